/* SPDX-License-Identifier: MIT
 * build_net.c - build.h: layers become words of the language, fit writes the text as RUN/recipe.net and trains it. There is one way from a
 * network's description to a graph, and this is on it.
 */
#include "convscope/build.h"

#include "base/base.h"

struct cvs_net {
    cvi_buf layers, train, text; /* text: what cvs_net_text hands out */
    char *optimizer, *loss;
    char *from; /* a model's file instead of layers, or NULL */
    bool failed;
    cvs_model *model; /* after a fit, or asked for */
};

cvs_net *cvs_net_new(int channels, int height, int width) {
    cvs_net *net = cvi_calloc(1, sizeof *net);
    if (net) {
        cvi_buf_printf(&net->layers, "input %dx%dx%d\n", channels, height, width);
    }
    return net;
}

cvs_net *cvs_net_from(const char *model) {
    cvs_net *net = cvi_calloc(1, sizeof *net);
    if (net) {
        net->from = cvi_strdup(model);
        net->failed = !net->from;
    }
    return net;
}

void cvs_net_free(cvs_net *net) {
    if (net) {
        cvs_model_free(net->model);
        cvi_buf_free(&net->layers);
        cvi_buf_free(&net->train);
        cvi_buf_free(&net->text);
        cvi_free(net->optimizer);
        cvi_free(net->loss);
        cvi_free(net->from);
        cvi_free(net);
    }
}

/* A line of words, and the activation behind them. */
static void put(cvs_net *net, const char *activation, const char *fmt, ...) CVI_PRINTF(3, 4);
static void put(cvs_net *net, const char *activation, const char *fmt, ...) {
    char words[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    cvi_buf_printf(&net->layers, "%s%s%s\n", words, activation ? " " : "", activation ? activation : "");
}

void cvs_net_conv2d(cvs_net *net, int filters, int kernel, const char *activation) {
    put(net, activation, "conv %d k%d valid", filters, kernel);
}

void cvs_net_conv2d_with(cvs_net *net, int filters, int kernel, int strides, const char *padding,
                         const char *activation) {
    put(net, activation, "conv %d k%d s%d %.20s", filters, kernel, strides, padding ? padding : "valid");
}

void cvs_net_depthwise_conv2d(cvs_net *net, int kernel, const char *activation) {
    put(net, activation, "dwconv k%d valid", kernel);
}

void cvs_net_max_pooling2d(cvs_net *net, int size) {
    put(net, NULL, "maxpool k%d", size);
}

void cvs_net_average_pooling2d(cvs_net *net, int size) {
    put(net, NULL, "avgpool k%d", size);
}

void cvs_net_global_average_pooling2d(cvs_net *net) {
    put(net, NULL, "gap");
}

void cvs_net_flatten(cvs_net *net) {
    put(net, NULL, "flatten");
}

void cvs_net_dense(cvs_net *net, int units, const char *activation) {
    put(net, activation, "fc %d", units);
}

void cvs_net_batch_normalization(cvs_net *net) {
    put(net, NULL, "bn");
}

void cvs_net_layer_normalization(cvs_net *net) {
    put(net, NULL, "ln");
}

void cvs_net_group_normalization(cvs_net *net, int groups) {
    put(net, NULL, "gn %d", groups);
}

void cvs_net_dropout(cvs_net *net, double rate) {
    put(net, NULL, "dropout %.9f", rate);
}

void cvs_net_spatial_dropout2d(cvs_net *net, double rate) {
    put(net, NULL, "dropout %.9f maps", rate);
}

void cvs_net_activation(cvs_net *net, const char *activation) {
    put(net, NULL, "%.100s", activation);
}

void cvs_net_add(cvs_net *net, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    char *words = n >= 0 ? cvi_malloc((size_t)n + 1) : NULL;
    if (words) {
        vsnprintf(words, (size_t)n + 1, fmt, again);
        cvi_buf_printf(&net->layers, "%s\n", words);
    }
    net->failed = net->failed || !words;
    cvi_free(words);
    va_end(again);
    va_end(args);
}

static void keep(cvs_net *net, char **to, const char *text) {
    cvi_free(*to);
    *to = text ? cvi_strdup(text) : NULL;
    net->failed = net->failed || (text && !*to);
}

void cvs_net_compile(cvs_net *net, const char *optimizer, const char *loss) {
    keep(net, &net->optimizer, optimizer);
    keep(net, &net->loss, loss);
}

void cvs_net_train_with(cvs_net *net, const char *statement) {
    cvi_buf_printf(&net->train, "    %s\n", statement);
}

/* Of a model from a file: what is said about its training, no more. */
static void put_settings(cvs_net *net) {
    cvi_buf_puts(&net->text, "");
    if (net->optimizer) {
        cvi_buf_printf(&net->text, "optimizer %s\n", net->optimizer);
    }
    if (net->loss) {
        cvi_buf_printf(&net->text, "loss %s\n", net->loss);
    }
    if (net->train.size > 0) {
        cvi_buf_add(&net->text, net->train.data, net->train.size);
    }
}

const char *cvs_net_text(cvs_net *net) {
    cvi_buf_free(&net->text);
    net->text = (cvi_buf){0};
    if (net->from) {
        put_settings(net);
        return net->failed || net->layers.size > 0 || net->text.failed ? NULL : net->text.data;
    }
    cvi_buf_add(&net->text, net->layers.data, net->layers.size);
    cvi_buf_printf(&net->text, "train {\n    optimizer %s\n    loss %s\n",
                   net->optimizer ? net->optimizer : "adam", net->loss ? net->loss : "cross_entropy");
    if (net->train.size > 0) {
        cvi_buf_add(&net->text, net->train.data, net->train.size);
    }
    cvi_buf_puts(&net->text, "}\n");
    return net->failed || net->layers.failed || net->train.failed || net->text.failed ? NULL : net->text.data;
}

static cvs_status take_result(cvs_net *net, const char *run, cvs_error *err) {
    cvs_model *model = NULL;
    char *path = cvi_path_join(run, "best.onnx");
    if (path && !cvi_is_file(path)) {
        cvi_free(path);
        path = cvi_path_join(run, "model.onnx");
    }
    cvs_status s = path ? cvs_model_open(path, NULL, &model, err) : cvi_no_memory(err, 0);
    cvi_free(path);
    if (s == CVS_OK) {
        cvs_model_free(net->model);
        net->model = model;
    }
    return s;
}

cvs_status cvs_net_fit(cvs_net *net, const char *data, int epochs, const char *run,
                       const cvs_train_options *options, cvs_train_result *result, cvs_error *err) {
    cvs_train_options o = options ? *options : (cvs_train_options){0};
    const char *text = cvs_net_text(net);
    o.epochs = epochs > 0 ? epochs : o.epochs;
    if (net->from && net->layers.size > 0) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "a network from a model file has its layers; none can be added in code");
    }
    if (!text) {
        return cvi_no_memory(err, net->layers.size);
    }
    if (net->from) {
        o.settings = text;
        CVI_TRY(cvs_train(net->from, data, run, &o, result, err));
        return take_result(net, run, err);
    }
    CVI_TRY(cvs_folder_check(run, err));
    CVI_TRY(cvi_make_folder(run, err));
    char *path = cvi_path_join(run, "recipe.net");
    cvs_status s = path ? cvi_file_write(path, text, strlen(text), err) : cvi_no_memory(err, 0);
    if (s == CVS_OK) {
        s = cvs_train(path, data, run, &o, result, err);
    }
    cvi_free(path);
    return s == CVS_OK ? take_result(net, run, err) : s;
}

cvs_status cvs_net_model(cvs_net *net, const cvs_model **out, cvs_error *err) {
    const char *text = net->model ? "" : cvs_net_text(net);
    *out = NULL;
    if (!text) {
        return cvi_no_memory(err, net->layers.size);
    }
    if (!net->model && net->from) {
        CVI_TRY(cvs_model_open(net->from, NULL, &net->model, err));
    } else if (!net->model) {
        cvs_open_options o = {.init = true, .init_seed = 1};
        CVI_TRY(cvs_model_open_memory(text, strlen(text), "net", &o, &net->model, err));
    }
    *out = net->model;
    return CVS_OK;
}
