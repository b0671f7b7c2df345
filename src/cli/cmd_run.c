/* SPDX-License-Identifier: MIT
 * cmd_run.c - convscope run MODEL INPUT -o DIR: every activation as .npy and an index.json that names them. The index is written
 * last; when anything fails, what this call wrote is removed again.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const cli_option options[] = {
    {"-o", "DIR", "folder for the .npy files and index.json (made if absent)",
     "存放 .npy 文件与 index.json 的文件夹（不存在则创建）"},
    {"--layers", "NAME,...", "only these layers (names, numbers, last-conv)",
     "只输出这些层（名称、编号或 last-conv）"},
};

/* What was written so far, to be removed on failure. */
typedef struct written {
    char **path;
    int n;
    bool made_folder;
} written;

static void remove_written(const written *w, const char *folder) {
    for (int i = 0; i < w->n; i++) {
        unlink(w->path[i]);
    }
    if (w->made_folder) {
        rmdir(folder);
    }
}

/* "003_conv_2_1.npy": the number keeps names apart that differ only in letters that a path cannot carry. */
static void safe_file(int index, const char *name, char *out, size_t size) {
    int at = snprintf(out, size, "%03d_", index);
    for (size_t i = 0; name[i] && i < 60; i++) {
        unsigned char ch = (unsigned char)name[i];
        out[at++] = isalnum(ch) || ch == '-' || ch == '.' || ch == '_' ? (char)ch : '_';
    }
    snprintf(out + at, size - (size_t)at, ".npy");
}

static json_t *shape_json(const cvs_tensor *t) {
    json_t *list = json_array();
    for (int i = 0; i < t->rank; i++) {
        json_array_append_new(list, json_integer(t->dim[i]));
    }
    return list;
}

static cvs_status write_layer(cli *c, cvs_run *run, const cvs_layer *l, const char *folder, written *w,
                              json_t *list) {
    cvs_tensor t = {0};
    cvs_status s = cvs_run_layer_file(run, l->index, cli_value(c, "--layout"), &t, &c->err);
    if (s != CVS_OK) {
        return s;
    }
    if (strcmp(cvs_dtype_name(t.dtype), "sequence") == 0) { /* its elements are written behind it */
        cvs_tensor_free(&t);
        return CVS_OK;
    }
    char file[96];
    safe_file(l->index, l->name, file, sizeof file);
    size_t n = strlen(folder) + strlen(file) + 2;
    char *path = malloc(n);
    if (!path) {
        cvs_tensor_free(&t);
        return c->err.code = CVS_E_MEMORY;
    }
    snprintf(path, n, "%s/%s", folder, file);
    s = cvs_npy_write(path, &t, &c->err);
    if (s == CVS_OK) {
        w->path[w->n++] = path;
        json_array_append_new(list, json_pack("{s:o*,s:o*,s:s,s:s,s:o}", "name", json_string_nocheck(l->name),
                                              "node", json_string_nocheck(l->node), "op", l->op, "file", file,
                                              "shape", shape_json(&t)));
    } else {
        free(path);
    }
    cvs_tensor_free(&t);
    return s;
}

static json_t *port_names(const cvs_model *model, int n, bool inputs) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        cvs_port p;
        if ((inputs ? cvs_model_input : cvs_model_output)(model, i, &p, NULL) == CVS_OK) {
            json_array_append_new(list, json_string_nocheck(p.name));
        }
    }
    return list;
}

/* Marks the layers that --layers asks for (all when it is absent). */
static cvs_status choose(cli *c, const cvs_model *model, int n_layers, bool *wanted) {
    const char *text = cli_value(c, "--layers");
    for (int i = 0; i < n_layers; i++) {
        wanted[i] = !text;
    }
    while (text && *text) {
        size_t n = strcspn(text, ",");
        char name[512];
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), text);
        int layer;
        cvs_status s = cvs_model_find_layer(model, name, &layer, &c->err);
        if (s != CVS_OK) {
            return s;
        }
        wanted[layer] = true;
        text += n + (text[n] == ',');
    }
    return CVS_OK;
}

static cvs_status write_all(cli *c, const cvs_model *model, cvs_run *run, const cvs_summary *sum,
                            const bool *wanted, const char *folder, written *w) {
    cvs_model_info info;
    cvs_model_describe(model, &info);
    json_t *layers = json_array();
    cvs_status s = CVS_OK;
    for (int i = 0; i < sum->n_layers && s == CVS_OK; i++) {
        if (wanted[i]) {
            s = write_layer(c, run, &sum->layers[i], folder, w, layers);
        }
        cli_progress(c, sum->layers[i].name, (i + 1.0) / sum->n_layers);
    }
    json_t *index = json_pack("{s:o,s:o,s:o}", "inputs", port_names(model, info.n_inputs, true), "outputs",
                              port_names(model, info.n_outputs, false), "layers", layers);
    char *text = index ? json_dumps(index, JSON_INDENT(1)) : NULL;
    size_t n = strlen(folder) + 16;
    char *path = malloc(n);
    if (s == CVS_OK && (!text || !path)) {
        s = c->err.code = CVS_E_MEMORY;
    }
    if (s == CVS_OK) {
        snprintf(path, n, "%s/index.json", folder);
        s = cvs_file_write(path, text, strlen(text), &c->err);
    }
    free(path);
    free(text);
    json_decref(index);
    return s;
}

static cvs_status run_model(cli *c, const cvs_run_options *run_options, const char *folder) {
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_summary sum = {0};
    written w = {0};
    bool *wanted = NULL;
    cvs_status s =
        cvs_folder_make(folder, &w.made_folder, &c->err); /* before the work: a bad place is said first */
    if (s == CVS_OK) {
        s = cli_open(c, c->args[0], false, &model);
    }
    if (s == CVS_OK) {
        s = cvs_run_new(model, run_options, &run, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_model_summarize(model, run_options, c->lang, &sum, &c->err);
    }
    if (s == CVS_OK) {
        wanted = calloc((size_t)sum.n_layers + 1, sizeof *wanted);
        w.path = calloc((size_t)sum.n_layers + 1, sizeof *w.path);
        s = wanted && w.path ? choose(c, model, sum.n_layers, wanted) : (c->err.code = CVS_E_MEMORY);
    }
    if (s == CVS_OK) { /* where an operator is unknown, the layers before it can be had */
        int last = sum.n_layers - 1;
        while (last > 0 && !wanted[last]) {
            last--;
        }
        s = cli_run_layer(c, model, run, c->args[1], last, NULL);
    }
    if (s == CVS_OK) {
        s = write_all(c, model, run, &sum, wanted, folder, &w);
    }
    if (s == CVS_OK) {
        cli_say(c,
                CLI_T(c, "wrote %d activations and index.json to %s", "已将 %d 个激活与 index.json 写入 %s"),
                w.n, folder);
    } else {
        remove_written(&w, folder);
    }
    for (int i = 0; i < w.n; i++) {
        free(w.path[i]);
    }
    free(w.path);
    free(wanted);
    cvs_summary_free(&sum);
    cvs_run_free(run);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    const char *folder = cli_value(c, "-o");
    cvs_run_options run_options;
    if (!folder) {
        return cli_usage(c, CLI_T(c, "convscope run needs -o DIR", "convscope run 需要 -o DIR"));
    }
    if (!cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (cvs_folder_check(folder, &c->err) != CVS_OK || run_model(c, &run_options, folder) != CVS_OK) {
        return cli_fail(c);
    }
    return 0;
}

const cli_command cli_command_run = {
    .name = "run",
    .args = "MODEL INPUT -o DIR",
    .en = "every activation as .npy, with an index",
    .zh = "将每一层的激活写成 .npy，并附索引",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};
