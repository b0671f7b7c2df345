/* SPDX-License-Identifier: MIT
 * cmd_arithmetic.c - convscope arithmetic MODEL IMAGE --layer L --at C,Y,X: how one number of a layer came about, term by term.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"--layer", "L", "layer: name, number, last-conv (last-conv)", "层：名称、编号或 last-conv（last-conv）"},
    {"--at", "C[,ROW,COLUMN]", "the number: channel and place; without a place, the channel's largest (0)",
     "哪个数：通道与位置；不给位置时取该通道的最大值（0）"},
    {"--rows", "N", "parts shown, largest first (16)", "显示的项数，按大小排列（16）"},
    {"--csv", "FILE", "every term: source, element, element of the kernel, value, weight, product",
     "全部项：来源、元素、卷积核元素、数值、权重、乘积"},
};

/* Positions of a channel, and how many of them are a row. */
static int64_t plane_of(const cvs_tensor *value, int64_t *width) {
    int64_t plane = 1;
    for (int i = 2; i < value->rank; i++) {
        plane *= value->dim[i];
    }
    *width = value->rank > 2 ? value->dim[value->rank - 1] : 1;
    return plane;
}

/* The element of the layer's value that --at names; false: said what is wrong. */
static bool find_element(cli *c, const cvs_tensor *value, int64_t *out) {
    const char *text = cli_value(c, "--at") ? cli_value(c, "--at") : "0";
    long long at[3] = {0, -1, -1};
    int end = 0, n = sscanf(text, "%9lld%n,%9lld,%9lld%n", &at[0], &end, &at[1], &at[2], &end);
    int64_t channels = value->rank > 1 ? value->dim[1] : value->dim[0], width,
            plane = plane_of(value, &width);
    if ((n != 1 && n != 3) || text[end] || at[0] < 0 || at[0] >= channels ||
        (n == 3 && (at[1] < 0 || at[2] < 0 || at[2] >= width || at[1] >= plane / width))) {
        cli_usage(c,
                  CLI_T(c, "--at is CHANNEL or CHANNEL,ROW,COLUMN inside %lld channels of %lldx%lld",
                        "--at 应为 通道 或 通道,行,列；该层有 %lld 个通道，每个 %lldx%lld"),
                  (long long)channels, (long long)(plane / width), (long long)width);
        return false;
    }
    const float *v = (const float *)value->data + at[0] * plane;
    int64_t best = n == 3 ? at[1] * width + at[2] : 0;
    for (int64_t i = 0; n == 1 && i < plane; i++) {
        best = v[i] > v[best] ? i : best;
    }
    *out = at[0] * plane + best;
    return true;
}

static void print_row(const cli *c, const cvs_unit *u, const cvs_unit_account *a, const cvs_unit_row *r) {
    char label[200], safe[240];
    const char *source = r->kind == CVS_ROW_TERMS && u->n_sources > 0 ? u->source[r->source].name : "";
    switch (r->kind) {
    case CVS_ROW_BIAS:
        snprintf(label, sizeof label, "%s", CLI_T(c, "bias", "偏置"));
        break;
    case CVS_ROW_OTHERS:
        snprintf(label, sizeof label, CLI_T(c, "%lld others", "其余 %lld 项"), (long long)r->count);
        break;
    case CVS_ROW_ROUNDING:
        snprintf(label, sizeof label, "%s", CLI_T(c, "rounding", "舍入"));
        break;
    default:
        if (r->count > 1) {
            snprintf(label, sizeof label,
                     CLI_T(c, "%.60s channel %lld, %lld taps", "%.60s 通道 %lld，%lld 个采样点"), source,
                     (long long)r->channel, (long long)r->count);
        } else {
            snprintf(label, sizeof label, "%.60s [%lld]", source, (long long)r->place);
        }
    }
    printf("  ");
    cli_pad(stdout, cli_safe(label, safe, sizeof safe), 40, false);
    if (u->kind == CVS_UNIT_SUM) {
        printf(" %+14.*f %14.*f\n", a->digits, r->value, a->digits, r->total);
    } else {
        printf(" %14.*f\n", a->digits, r->value);
    }
}

static cvs_status print_account(cli *c, const cvs_unit *u, const char *layer, const cvs_tensor *value,
                                int64_t rows) {
    cvs_unit_account a;
    char safe[300], at[80];
    int64_t width, plane = plane_of(value, &width), inside = u->at % plane;
    cvs_status s = cvs_unit_account_of(u, (int)rows, 5, &a, &c->err);
    if (s != CVS_OK) {
        return s;
    }
    int n = snprintf(at, sizeof at, "%lld", (long long)(u->at / plane)); /* as --at takes it */
    if (plane > 1) {
        snprintf(at + n, sizeof at - (size_t)n, ",%lld,%lld", (long long)(inside / width),
                 (long long)(inside % width));
    }
    printf("%s [%s] = %.9g\n%s: %s\n", cli_safe(layer, safe, sizeof safe), at, u->result, u->title,
           u->formula ? u->formula : "");
    for (int i = 0; i < a.n; i++) {
        print_row(c, u, &a, &a.row[i]);
    }
    printf(CLI_T(c, "  %lld terms; in double precision %.12g\n", "  共 %lld 项；双精度结果 %.12g\n"),
           (long long)u->n_terms, u->total);
    return CVS_OK;
}

static cvs_status write_csv(cli *c, const cvs_unit *u, const char *path) {
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    fprintf(t.to, "source,element,tap,value,weight,product\n");
    if (u->bias != 0) {
        fprintf(t.to, "bias,,,,,%.17g\n", u->bias);
    }
    for (int64_t i = 0; i < u->n_terms; i++) {
        const cvs_term *one = &u->terms[i];
        cli_csv_cell(t.to, u->source[one->source].name);
        fprintf(t.to, ",%lld,%lld,%.9g,%.9g,%.17g\n", (long long)one->at, (long long)one->tap, one->value,
                one->weight, one->value * one->weight);
    }
    return cli_table_end(c, &t, path);
}

static cvs_status write_figure(cli *c, const cvs_model *model, const cvs_unit *u, const char *layer,
                               int64_t rows) {
    cli_figure figure;
    cvs_figure *picture = NULL;
    cvs_unit_data data = {.unit = u, .layer = layer, .rows = (int)rows};
    cli_figure_plain(c, model, cli_value(c, "-o"), &figure);
    cvs_status s = cvs_draw_unit(&data, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, cli_value(c, "-o"));
}

static cvs_status show(cli *c, const cvs_model *model, cvs_run *run, int64_t rows, bool *usage) {
    const char *name = cli_value(c, "--layer") ? cli_value(c, "--layer") : "last-conv";
    cvs_tensor value;
    cvs_unit u;
    int layer;
    int64_t at;
    cvs_status s = cvs_model_find_layer(model, name, &layer, &c->err);
    s = s == CVS_OK ? cli_run_layer(c, model, run, c->args[1], layer, NULL) : s;
    s = s == CVS_OK ? cvs_run_layer(run, layer, &value, &c->err) : s;
    if (s != CVS_OK) {
        return s;
    }
    cvs_summary summary;
    char known[200];
    /* "last-conv" and numbers by name. */
    if (cvs_model_summarize(model, NULL, c->lang, &summary, NULL) == CVS_OK) {
        snprintf(known, sizeof known, "%s", layer < summary.n_layers ? summary.layers[layer].name : name);
        name = known;
        cvs_summary_free(&summary);
    }
    if (value.dtype != CVS_F32 || value.rank < 1 || cvs_tensor_count(&value) < 1) {
        cli_say(c, "%s", CLI_T(c, "the layer holds no float32 numbers", "该层没有 float32 数值"));
        return c->err.code = CVS_E_UNSUPPORTED;
    }
    *usage = !find_element(c, &value, &at);
    if (*usage) {
        return CVS_E_ARGUMENT;
    }
    s = cvs_run_unit(run, CVS_PLACE_LAYER, layer, at, c->lang, &u, &c->err);
    if (s == CVS_OK) {
        s = print_account(c, &u, name, &value, rows);
        if (s == CVS_OK && cli_value(c, "-o")) {
            s = write_figure(c, model, &u, name, rows);
        }
        if (s == CVS_OK && cli_value(c, "--csv")) {
            s = write_csv(c, &u, cli_value(c, "--csv"));
        }
        cvs_unit_free(&u);
    }
    return s;
}

static int run(cli *c) {
    int64_t rows;
    bool usage = false;
    cvs_run_options run_options;
    cvs_model *model = NULL;
    cvs_run *runner = NULL;
    if (!cli_int(c, "--rows", 1, 60, 16, &rows) || !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    cvs_status s = cli_value(c, "-o") ? cvs_figure_check_path(cli_value(c, "-o"), &c->err) : CVS_OK;
    if (s == CVS_OK && cli_value(c, "--csv")) {
        s = cvs_output_check(cli_value(c, "--csv"), &c->err);
    }
    s = s == CVS_OK ? cli_open(c, c->args[0], false, &model) : s;
    s = s == CVS_OK ? cvs_run_new(model, &run_options, &runner, &c->err) : s;
    s = s == CVS_OK ? show(c, model, runner, rows, &usage) : s;
    cvs_run_free(runner);
    cvs_model_free(model);
    return s == CVS_OK ? 0 : usage ? cvs_status_exit(CVS_E_ARGUMENT) : cli_fail(c);
}

const cli_command cli_command_arithmetic = {
    .name = "arithmetic",
    .args = "MODEL IMAGE",
    .en = "how one number of a layer came about: every term, ranked, with a running total",
    .zh = "某一层中的一个数如何得来：各项按大小排列，附累计和",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};
