/* SPDX-License-Identifier: MIT
 * torch_module.c - whole modules saved with torch.save(model): a Sequential says exactly how its layers follow one another, and each layer
 * keeps its settings, so it becomes the graph that it was. Modules of other classes hide their forward in Python code: only their
 * parameters are read (torch_tree.c).
 */
#include "formats/script.h"

enum { MAX_ARGS = 7, MAX_DEPTH = 40 };

/* A class of torch.nn.modules, the call that it makes, and where the arguments behind the input come from: names of parameters, buffers
 * or settings; "=0" is False. */
static const struct {
    const char *class, *call, *arg[MAX_ARGS];
} classes[] = {
    {"conv.Conv1d", "conv1d", {"weight", "bias", "stride", "padding", "dilation", "groups"}},
    {"conv.Conv2d", "conv2d", {"weight", "bias", "stride", "padding", "dilation", "groups"}},
    {"conv.ConvTranspose2d",
     "conv_transpose2d",
     {"weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"}},
    {"batchnorm.BatchNorm1d",
     "batch_norm",
     {"weight", "bias", "running_mean", "running_var", "=0", "momentum", "eps"}},
    {"batchnorm.BatchNorm2d",
     "batch_norm",
     {"weight", "bias", "running_mean", "running_var", "=0", "momentum", "eps"}},
    {"normalization.GroupNorm", "group_norm", {"num_groups", "weight", "bias", "eps"}},
    {"normalization.LayerNorm", "layer_norm", {"normalized_shape", "weight", "bias", "eps"}},
    {"linear.Linear", "linear", {"weight", "bias"}},
    {"linear.Identity", "contiguous", {0}},
    {"activation.ReLU", "relu", {0}},
    {"activation.ReLU6", "relu6", {0}},
    {"activation.LeakyReLU", "leaky_relu", {"negative_slope"}},
    {"activation.ELU", "elu", {"alpha"}},
    {"activation.CELU", "celu", {"alpha"}},
    {"activation.SELU", "selu", {0}},
    {"activation.SiLU", "silu", {0}},
    {"activation.Mish", "mish", {0}},
    {"activation.GELU", "gelu", {"approximate"}},
    {"activation.Hardswish", "hardswish", {0}},
    {"activation.Hardsigmoid", "hardsigmoid", {0}},
    {"activation.Hardtanh", "hardtanh", {"min_val", "max_val"}},
    {"activation.Sigmoid", "sigmoid", {0}},
    {"activation.Tanh", "tanh", {0}},
    {"activation.Softplus", "softplus", {"beta", "threshold"}},
    {"activation.PReLU", "prelu", {"weight"}},
    {"activation.Softmax", "softmax", {"dim"}},
    {"activation.LogSoftmax", "log_softmax", {"dim"}},
    {"pooling.MaxPool2d", "max_pool2d", {"kernel_size", "stride", "padding", "dilation", "ceil_mode"}},
    {"pooling.AvgPool2d",
     "avg_pool2d",
     {"kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"}},
    {"pooling.AdaptiveAvgPool2d", "adaptive_avg_pool2d", {"output_size"}},
    {"dropout.Dropout", "dropout", {"p"}},
    {"dropout.Dropout2d", "dropout2d", {"p"}},
    {"flatten.Flatten", "flatten", {"start_dim", "end_dim"}},
    {"pixelshuffle.PixelShuffle", "pixel_shuffle", {"upscale_factor"}},
    {"padding.ZeroPad2d", "constant_pad_nd", {"padding", "=0"}},
    {"padding.ReflectionPad2d", "reflection_pad2d", {"padding"}},
    {"padding.ReplicationPad2d", "replication_pad2d", {"padding"}},
};

/* "conv.Conv2d" of "torch.nn.modules.conv.Conv2d"; "" for other classes. */
static const char *class_of(const cvi_pickle *p) {
    const char *maker = cvi_pickle_maker(p);
    /* A module of protocol 2 is made by copyreg or by NEWOBJ; both name its class first. */
    return strncmp(maker, "torch.nn.modules.", 17) == 0 ? maker + 17 : "";
}

static bool is_sequential(const cvi_pickle *p) {
    return strcmp(class_of(p), "container.Sequential") == 0;
}

static int find_class(const char *name) {
    for (int i = 0; i < CVI_COUNT(classes); i++) {
        if (strcmp(classes[i].class, name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool is_pairs(const cvi_pickle *p) {
    return cvi_pickle_is(p, CVI_PK_DICT) || (cvi_pickle_is(p, CVI_PK_OBJECT) && p->pairs);
}

bool cvi_torch_knows_module(const cvi_pickle *p) {
    return is_sequential(p) ? is_pairs(cvi_pickle_get(p->state, "_modules")) : find_class(class_of(p)) >= 0;
}

/* Whether the whole tree is Sequentials of known layers; *layers counts them. */
static bool known(const cvi_pickle *p, int depth, int *layers) {
    const cvi_pickle *inner = cvi_pickle_get(p ? p->state : NULL, "_modules");
    if (depth > MAX_DEPTH || ++*layers > 10000) {
        return false;
    }
    if (!is_sequential(p)) {
        const cvi_pickle *mode = cvi_pickle_get(p ? p->state : NULL, "padding_mode");
        bool zeros = !mode || strcmp(cvi_pickle_text(mode), "zeros") == 0;
        return find_class(class_of(p)) >= 0 && zeros;
    }
    for (int64_t i = 0; is_pairs(inner) && i + 1 < inner->n; i += 2) {
        if (inner->item[i]->kind != CVI_PK_TEXT || !known(inner->item[i + 1], depth + 1, layers)) {
            return false;
        }
    }
    return is_pairs(inner);
}

bool cvi_torch_is_sequential(const cvi_pickle *root) {
    int layers = 0;
    return is_sequential(root) && known(root, 0, &layers);
}

/* A parameter, a buffer or a setting of a module. */
static script_value part(script *s, const cvi_pickle *module, const char *path, const char *name) {
    static const char *const places[] = {"_parameters", "_buffers"};
    char *full = cvi_arena_printf(s->arena, "%s%s%s", path, *path ? "." : "", name);
    if (!full) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    if (*name == '=') {
        return cvi_script_bool(false);
    }
    for (int i = 0; i < CVI_COUNT(places); i++) {
        const cvi_pickle *p = cvi_pickle_get(cvi_pickle_get(module->state, places[i]), name);
        if (p) {
            return cvi_script_from_pickle(s, full, p);
        }
    }
    return cvi_script_from_pickle(s, full, cvi_pickle_get(module->state, name));
}

static script_value run_leaf(script *s, const cvi_pickle *p, const char *path, script_value x) {
    char name[80];
    int k = find_class(class_of(p));
    script_value arg[1 + MAX_ARGS] = {x};
    script_args a = {.name = name, .n = 1, .arg = arg};
    for (int i = 0; i < MAX_ARGS && classes[k].arg[i]; i++) {
        arg[a.n++] = part(s, p, path, classes[k].arg[i]);
    }
    snprintf(name, sizeof name, "torch.%s", classes[k].call);
    s->place = path;
    s->leaf = true;
    s->named = false;
    return cvi_script_ok(s) ? cvi_script_call(s, &a) : cvi_script_none();
}

script_value cvi_torch_run_module(script *s, const cvi_pickle *p, const char *path, script_value x) {
    script_value made = cvi_script_none();
    if (cvi_yolo_module(s, p, path, x, &made)) {
        return made;
    }
    if (!is_sequential(p)) {
        return cvi_torch_knows_module(p) ? run_leaf(s, p, path, x) : cvi_script_refuse(s, path);
    }
    const cvi_pickle *inner = cvi_pickle_get(p->state, "_modules");
    for (int64_t i = 0; i + 1 < inner->n && cvi_script_ok(s); i += 2) {
        char *full = cvi_arena_printf(s->arena, "%s%s%s", path, *path ? "." : "", inner->item[i]->text);
        if (!full) {
            cvi_script_set(s, cvi_no_memory(s->err, 0));
            break;
        }
        x = cvi_torch_run_module(s, inner->item[i + 1], full, x);
    }
    return x;
}

script_value cvi_torch_run_sequential(script *s, const cvi_pickle *root, script_value x) {
    return cvi_torch_run_module(s, root, "", x);
}
