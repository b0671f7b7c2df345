/* SPDX-License-Identifier: MIT
 * cmd_compare.c - convscope compare MODEL IMAGE...: where two pictures, or two models (--with), part, layer by layer; models of any two
 * depths by how alike their layers are (--alike, linear CKA over all pictures given).
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "convscope/compare.h"

static const cli_option options[] = {
    {"--with", "MODEL", "the second model (without it: one model, two pictures)",
     "第二个模型（不指定则为同一模型、两张图片）"},
    {"--alike", NULL,
     "how alike the layers are instead (linear CKA): models of any two depths, several pictures",
     "改为比较各层的相似程度（线性 CKA）：适用于深度不同的模型与多张图片"},
    {"--csv", "FILE", "all numbers as a table", "全部数值写成表格"},
};

/* One layer of both: |a-b| / (|a|+|b|), root mean squares, and the cosine; NaN where the shapes differ. */
typedef struct apart {
    double difference, cosine;
} apart;

static apart measure(const cvs_tensor *a, const cvs_tensor *b) {
    double d = 0, x = 0, y = 0, dot = 0;
    bool same = a->dtype == CVS_F32 && b->dtype == CVS_F32 && a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++) {
        same = a->dim[i] == b->dim[i];
    }
    if (!same) {
        return (apart){NAN, NAN};
    }
    const float *u = a->data, *v = b->data;
    int64_t n = cvs_tensor_count(a);
    for (int64_t i = 0; i < n; i++) {
        double p = (double)u[i], q = (double)v[i];
        d += (p - q) * (p - q);
        x += p * p;
        y += q * q;
        dot += p * q;
    }
    double size = sqrt(x) + sqrt(y), both = sqrt(x) * sqrt(y);
    return (apart){size > 0 ? sqrt(d) / size : 0, both > 0 ? dot / both : 1};
}

/* A command's two sides: the models (one may stand for both) with their runs and summaries. */
typedef struct sides {
    cvs_model *model[2];
    cvs_run *run[2];
    cvs_summary summary[2];
    bool two; /* models */
} sides;

static void sides_free(sides *x) {
    for (int k = 0; k < 2; k++) {
        cvs_run_free(x->run[k]);
        cvs_summary_free(&x->summary[k]);
    }
    cvs_model_free(x->two ? x->model[1] : NULL);
    cvs_model_free(x->model[0]);
}

static cvs_status sides_open(cli *c, const cvs_run_options *o, sides *x) {
    const char *with = cli_value(c, "--with");
    x->two = with != NULL;
    cvs_status s = cli_open(c, c->args[0], false, &x->model[0]);
    s = s == CVS_OK && with ? cli_open(c, with, false, &x->model[1]) : s;
    x->model[1] = with ? x->model[1] : x->model[0];
    for (int k = 0; k < 2 && s == CVS_OK; k++) {
        s = cvs_model_summarize(x->model[k], o, c->lang, &x->summary[k], &c->err);
        s = s == CVS_OK ? cvs_run_new(x->model[k], o, &x->run[k], &c->err) : s;
    }
    return s;
}

/* A layer's name as a cell of a CSV, without what a terminal would obey. */
static void name_cell(FILE *to, const cvs_layer *l) {
    char safe[600];
    cli_csv_cell(to, cli_safe(l->name, safe, sizeof safe));
}

static json_t *number(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *name_of(const cvs_layer *l) {
    char safe[600];
    return json_string(cli_safe(l->name, safe, sizeof safe));
}

/* ---- layer by layer --------------------------------------------------------------------------------------------------- */

static void say_first(const cli *c, const sides *x, const apart *list, int n) {
    int first = -1, most = -1;
    char a[300], b[300];
    for (int i = 0; i < n; i++) {
        first = first < 0 && list[i].difference > 1e-5 ? i : first;
        most = isfinite(list[i].difference) && (most < 0 || list[i].difference > list[most].difference)
                   ? i
                   : most;
    }
    if (most < 0) {
        cli_say(c, "%s",
                CLI_T(c, "no layer of the two has the same shape; --alike compares such models",
                      "两者没有形状相同的层；可用 --alike 比较这样的模型"));
    } else if (first < 0) {
        cli_say(c, "%s", CLI_T(c, "every layer is the same", "每一层都相同"));
    } else {
        cli_say(c,
                CLI_T(c, "they part first at %s, most at %s (%.3g of 1)",
                      "最先不同于 %s，差异最大处为 %s（%.3g，最大为 1）"),
                cli_safe(x->summary[0].layers[first].name, a, sizeof a),
                cli_safe(x->summary[0].layers[most].name, b, sizeof b), list[most].difference);
    }
}

static void print_layers(const cli *c, const sides *x, const apart *list, int n) {
    cli_pad(stdout, CLI_T(c, "layer", "层"), 34, false);
    printf("  %10s  %8s\n", CLI_T(c, "difference", "差异"), CLI_T(c, "cosine", "余弦"));
    for (int i = 0; i < n; i++) {
        char safe[300];
        cli_pad(stdout, cli_safe(x->summary[0].layers[i].name, safe, sizeof safe), 34, false);
        if (isfinite(list[i].difference)) {
            int bar = (int)(fmin(list[i].difference, 1) * 20 + 0.5);
            printf("  %10.4g  %8.4f  ", list[i].difference, list[i].cosine);
            for (int k = 0; k < bar; k++) {
                printf("█");
            }
            printf("\n");
        } else {
            printf("  %s\n", CLI_T(c, "of different shapes", "形状不同"));
        }
    }
}

static cvs_status layers(cli *c, sides *x) {
    int n = x->summary[0].n_layers < x->summary[1].n_layers ? x->summary[0].n_layers : x->summary[1].n_layers;
    apart *list = calloc((size_t)n + 1, sizeof *list);
    cvs_tensor *kept = calloc((size_t)n + 1, sizeof *kept), t = {0};
    cli_table table;
    cvs_status s = list && kept ? cli_run_file(c, x->model[0], x->run[0], c->args[1], NULL)
                                : (c->err.code = CVS_E_MEMORY);
    /* One run may serve both sides: what the first gave is copied. */
    for (int i = 0; i < n && s == CVS_OK; i++) {
        s = cvs_run_layer_file(x->run[0], i, "nchw", &kept[i], &c->err);
    }
    s = s == CVS_OK ? cli_run_file(c, x->model[1], x->run[1], c->args[c->n_args > 2 ? 2 : 1], NULL) : s;
    for (int i = 0; i < n && s == CVS_OK; i++) {
        s = cvs_run_layer_file(x->run[1], i, "nchw", &t, &c->err);
        list[i] = s == CVS_OK ? measure(&kept[i], &t) : list[i];
        cvs_tensor_free(&t);
    }
    s = s == CVS_OK && !cli_table_begin(c, &table) ? CVS_E_MEMORY : s;
    json_t *j = cli_flag(c, "--json") ? json_array() : NULL;
    if (s == CVS_OK) {
        fprintf(table.to, "layer,name,difference,cosine\n");
        for (int i = 0; i < n; i++) {
            const cvs_layer *l = &x->summary[0].layers[i];
            fprintf(table.to, "%d,", i);
            name_cell(table.to, l);
            fprintf(table.to, isfinite(list[i].difference) ? ",%.9g,%.9g\n" : ",,\n", list[i].difference,
                    list[i].cosine);
            if (j) {
                json_array_append_new(j, json_pack("{si so so so}", "layer", i, "name", name_of(l),
                                                   "difference", number(list[i].difference), "cosine",
                                                   number(list[i].cosine)));
            }
        }
        s = cli_table_end(c, &table, cli_value(c, "--csv"));
    }
    if (s == CVS_OK && j) {
        json_dumpf(j, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        printf("\n");
    } else if (s == CVS_OK) {
        print_layers(c, x, list, n);
    }
    if (s == CVS_OK) {
        say_first(c, x, list, n);
    }
    json_decref(j);
    for (int i = 0; kept && i < n; i++) {
        cvs_tensor_free(&kept[i]);
    }
    free(kept);
    free(list);
    return s;
}

/* ---- how alike -------------------------------------------------------------------------------------------------------- */

static cvs_status print_alike(cli *c, const sides *x, const cvs_similarity *o) {
    cli_table table;
    if (!cli_table_begin(c, &table)) {
        return CVS_E_MEMORY;
    }
    json_t *j = cli_flag(c, "--json") ? json_array() : NULL;
    fprintf(table.to, "layer,name,layer2,name2,cka\n");
    for (int i = 0; i < o->n[0]; i++) {
        const cvs_layer *a = &x->summary[0].layers[o->layer[0][i]];
        for (int k = 0; k < o->n[1]; k++) {
            const cvs_layer *b = &x->summary[1].layers[o->layer[1][k]];
            double v = o->cka[(size_t)i * (size_t)o->n[1] + (size_t)k];
            fprintf(table.to, "%d,", a->index);
            name_cell(table.to, a);
            fprintf(table.to, ",%d,", b->index);
            name_cell(table.to, b);
            fprintf(table.to, isfinite(v) ? ",%.9g\n" : ",\n", v);
            if (j && k == o->best[0][i]) {
                json_array_append_new(j,
                                      json_pack("{si so si so so}", "layer", a->index, "name", name_of(a),
                                                "layer2", b->index, "name2", name_of(b), "cka", number(v)));
            } else if (!j && k == o->best[0][i]) {
                char safe[300];
                cli_pad(stdout, cli_safe(a->name, safe, sizeof safe), 34, false);
                printf("  ~  ");
                cli_pad(stdout, cli_safe(b->name, safe, sizeof safe), 34, false);
                printf("  %.3f\n", v);
            }
        }
    }
    if (j) {
        json_dumpf(j, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        printf("\n");
        json_decref(j);
    }
    cli_say(c,
            CLI_T(c, "linear CKA over %d examples; for each layer the most alike of the other model",
                  "线性 CKA，%d 个样本；为每层列出另一模型中最相似的层"),
            o->examples);
    return cli_table_end(c, &table, cli_value(c, "--csv"));
}

static cvs_status alike(cli *c, const cvs_run_options *run_options, sides *x) {
    int n = c->n_args - 1;
    cvs_tensor *pictures = calloc((size_t)n, sizeof *pictures);
    cvs_similarity o = {0};
    cvs_similarity_options how = {.progress = cli_progress, .progress_context = c};
    cvs_status s = pictures ? CVS_OK : (c->err.code = CVS_E_MEMORY);
    for (int i = 0; i < n && s == CVS_OK; i++) {
        s = cli_picture(c, c->args[1 + i], &pictures[i]);
    }
    s = s == CVS_OK
            ? cvs_compare_layers(x->model[0], x->model[1], run_options, pictures, n, &how, &o, &c->err)
            : s;
    s = s == CVS_OK ? print_alike(c, x, &o) : s;
    cvs_similarity_free(&o);
    for (int i = 0; pictures && i < n; i++) {
        cvs_tensor_free(&pictures[i]);
    }
    free(pictures);
    return s;
}

static int run(cli *c) {
    cvs_run_options run_options;
    sides x = {0};
    bool with = cli_value(c, "--with") != NULL, all = cli_flag(c, "--alike");
    if (!all && !with && c->n_args != 3) {
        return cli_usage(c,
                         CLI_T(c, "one model is compared on two pictures; --with MODEL names a second model",
                               "同一模型需要两张图片；--with MODEL 指定第二个模型"));
    }
    if (!all && c->n_args > 3) {
        return cli_usage(
            c, CLI_T(c, "two pictures at most; --alike takes several", "最多两张图片；--alike 可用多张"));
    }
    if (all && c->n_args - 1 > CVS_SIMILAR_PICTURES) {
        return cli_usage(c, CLI_T(c, "--alike takes at most %d pictures", "--alike 最多使用 %d 张图片"),
                         CVS_SIMILAR_PICTURES);
    }
    if (!cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    run_options.progress = NULL;
    const char *csv = cli_value(c, "--csv");
    cvs_status s = csv ? cvs_output_check(csv, &c->err) : CVS_OK;
    s = s == CVS_OK ? sides_open(c, &run_options, &x) : s;
    s = s != CVS_OK ? s : all ? alike(c, &run_options, &x) : layers(c, &x);
    sides_free(&x);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_compare = {
    .name = "compare",
    .args = "MODEL IMAGE...",
    .en = "where two pictures or two models part, layer by layer; how alike the layers of any two models are",
    .zh = "两张图片或两个模型从哪一层开始不同；任意两个模型各层的相似程度",
    .min_args = 2,
    .max_args = -1,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};
