/* SPDX-License-Identifier: MIT
 * test_arch.c - architectures to draw: what repeats is found as often as published, the numbers are those of the analysis,
 * concatenations of everything become a chain, layouts cross no box, figures pass the scene's checks, hostile names come out
 * as text, everything repeats byte for byte and survives any failing allocation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "convscope/convscope.h"
#include "draw/arch_table.h"
#include "draw/graph_layout.h"
#include "markup.h"
#include "test_helpers.h"

static cvs_model *open_zoo(const char *name) {
    const char *root = getenv("CVS_SOURCE_ROOT");
    char path[512];
    snprintf(path, sizeof path, "%s/zoo/%s.net", root != NULL ? root : ".", name);
    return test_open(path);
}

static cvs_model *open_text(const char *text, const char *name) {
    cvs_model *model = NULL;
    cvs_error err = {0};
    char said[900];
    if (cvs_model_open_memory(text, strlen(text), name, NULL, &model, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, said, sizeof said));
    }
    return model;
}

static cvi_arch *arch_of(const cvs_model *model, const cvs_draw_options *o) {
    cvi_arch *a = NULL;
    cvs_error err = {0};
    char text[900];
    if (cvi_arch_from_model(model, o, &a, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    return a;
}

/* ---- repeats --------------------------------------------------------------------------------------------------- */

/* "bottleneck 4x2, ..." of the outermost repeats. */
static const char *repeats_of(const cvi_arch *a, char *buf, size_t size) {
    size_t at = 0;
    buf[0] = '\0';
    for (int g = 0; g < a->n_groups; g++) {
        const cvi_arch_group *group = &a->groups[g];
        bool inner = false;
        for (int p = group->parent; p >= 0; p = a->groups[p].parent) {
            inner = inner || a->groups[p].kind != CVI_GROUP_STAGE;
        }
        if (group->kind == CVI_GROUP_REPEAT && !inner) {
            at += (size_t)snprintf(buf + at, size - at, "%s%s %dx%d", at > 0 ? ", " : "", group->motif,
                                   group->count / group->repeat, group->repeat);
        }
    }
    return buf;
}

static void published_repeats_are_found(void **state) {
    (void)state;
    static const struct {
        const char *net, *repeats;
    } cases[] = {
        {"resnet50", "bottleneck 4x2, bottleneck 4x3, bottleneck 4x5, bottleneck 4x2"},
        {"resnet152", "bottleneck 4x2, bottleneck 4x7, bottleneck 4x35, bottleneck 4x2"},
        {"densenet121", "dense layer 3x6, dense layer 3x12, dense layer 3x24, dense layer 3x16"},
        {"mobilenet_v2", "inverted residual 4x2, inverted residual 4x3, inverted residual 4x2, "
                         "inverted residual 4x2"},
        {"squeezenet1_1", "fire module 4x2, fire module 4x2, fire module 4x2, fire module 4x2"},
        {"vgg16", ""},
        {"lenet5", ""},
    };
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        char text[600];
        cvs_model *model = open_zoo(cases[i].net);
        cvi_arch *a = arch_of(model, NULL);
        assert_string_equal(repeats_of(a, text, sizeof text), cases[i].repeats);
        cvi_arch_free(a);
        cvs_model_free(model);
    }
}

static void separable_residuals_are_not_inverted(void **state) {
    (void)state;
    static const char net[] = "input 8x32x32\n"
                              "block sep(c) { residual { dwconv k3 | conv $c k1 bn relu | dwconv k3 | conv "
                              "$c k1 bn | maxpool k3 s2 p1 } "
                              "{ conv $c k1 s2 bn } }\n"
                              "sep(16) | sep(32) | gap | fc 3\n";
    cvs_model *model = open_text(net, "sep.net");
    cvi_arch *a = arch_of(model, NULL);
    int found = 0;
    for (int g = 0; g < a->n_groups; g++) {
        found += strcmp(a->groups[g].motif, "separable residual") == 0;
        assert_string_not_equal(a->groups[g].motif, "inverted residual");
    }
    assert_int_equal(found, 2);
    cvi_arch_free(a);
    cvs_model_free(model);
}

static void inception_modules_are_named(void **state) {
    (void)state;
    cvs_model *model = open_zoo("inception_v3");
    cvi_arch *a = arch_of(model, NULL);
    int modules = 0;
    for (int g = 0; g < a->n_groups; g++) {
        modules += strcmp(a->groups[g].motif, "Inception module") == 0 ? a->groups[g].repeat : 0;
    }
    assert_int_equal(modules, 11);
    cvi_arch_free(a);
    cvs_model_free(model);
}

/* Prints a box by hand. */
static int add(cvi_arch *a, cvi_node_kind kind, cvi_class cls, const char *op, int64_t units, int64_t kernel,
               int64_t side) {
    cvi_arch_node n = {
        .kind = kind, .cls = cls, .known = true, .op = op, .word = op, .groups = 1, .units = units};
    n.name = cvi_arena_printf(a->arena, "%s_%d", op, a->n_nodes);
    n.windowed = kernel > 0;
    n.axes = 2;
    for (int i = 0; i < 2; i++) {
        n.kernel[i] = kernel;
        n.stride[i] = n.dilation[i] = 1;
    }
    n.out = (cvi_shape){4, {1, units > 0 ? units : 64, side, side}};
    n.in = n.out;
    n.macs = kernel * 1000;
    return cvi_arch_add_node(a, &n);
}

/* DenseNet-201's body: every dense layer joins all that came before (`all`) or the join before it. */
static cvi_arch *dense_201(bool all) {
    static const int layers[] = {6, 12, 48, 32};
    cvi_arch *a = cvi_arch_new(CVS_EN, "DenseNet-201", NULL);
    int from = add(a, CVI_NODE_INPUT, CVI_CLASS_INPUT, "", 0, 0, 56);
    for (int b = 0; b < 4; b++) {
        int64_t side = 56 >> b;
        int made[64], n = 1;
        made[0] = from;
        for (int i = 0; i < layers[b]; i++) {
            int one = add(a, CVI_NODE_LAYER, CVI_CLASS_CONV, "Conv", 128, 1, side);
            cvi_arch_add_edge(a, from, one, &a->nodes[from].out);
            int three = add(a, CVI_NODE_LAYER, CVI_CLASS_CONV, "Conv", 32, 3, side);
            cvi_arch_add_edge(a, one, three, &a->nodes[one].out);
            int join = add(a, CVI_NODE_CONCAT, CVI_CLASS_CONCAT, "Concat", 0, 0, side);
            for (int k = 0; k < n && all; k++) {
                cvi_arch_add_edge(a, made[k], join, &a->nodes[made[k]].out);
            }
            if (!all) {
                cvi_arch_add_edge(a, from, join, &a->nodes[from].out);
            }
            cvi_arch_add_edge(a, three, join, &a->nodes[three].out);
            made[n++] = three;
            from = join;
        }
        int pool = add(a, CVI_NODE_LAYER, CVI_CLASS_POOL, "Pool", 0, 2, side / 2);
        cvi_arch_add_edge(a, from, pool, &a->nodes[from].out);
        from = pool;
    }
    assert_int_equal(cvi_arch_finish(a, NULL), CVS_OK);
    return a;
}

static void joins_of_everything_become_a_chain(void **state) {
    (void)state;
    for (int all = 0; all < 2; all++) {
        char text[600];
        cvi_arch *a = dense_201(all == 1);
        int edges = a->n_edges;
        clock_t t = clock();
        assert_int_equal(cvi_arch_chain_concats(a, NULL), CVS_OK);
        assert_int_equal(cvi_arch_fold(a, NULL), CVS_OK);
        printf("DenseNet-201, %s: %d arrows, %d after chaining, %.1f ms\n", all ? "all inputs" : "chain",
               edges, a->n_edges, 1e3 * (double)(clock() - t) / CLOCKS_PER_SEC);
        assert_int_equal(a->n_edges, 98 * 4 + 4);
        assert_string_equal(repeats_of(a, text, sizeof text),
                            "dense layer 3x6, dense layer 3x12, dense layer 3x48, dense layer 3x32");
        cvi_arch_free(a);
    }
}

/* Cells that read the two before them: no place that every path passes. */
static void cells_without_cuts_repeat(void **state) {
    (void)state;
    cvi_arch *a = cvi_arch_new(CVS_EN, "NASNet-like", NULL);
    int before = add(a, CVI_NODE_INPUT, CVI_CLASS_INPUT, "", 0, 0, 28), last = before;
    for (int c = 0; c < 60; c++) {
        int parts[10];
        for (int i = 0; i < 10; i++) {
            int from = i % 2 ? before : last;
            int one = add(a, CVI_NODE_LAYER, CVI_CLASS_CONV, "Conv", 44 + i, 1, 28);
            cvi_arch_add_edge(a, from, one, &a->nodes[from].out);
            int two = add(a, CVI_NODE_LAYER, CVI_CLASS_CONV, "Conv", 44, 3 + i % 3 * 2, 28);
            cvi_arch_add_edge(a, one, two, &a->nodes[one].out);
            parts[i] = two;
        }
        int join = add(a, CVI_NODE_CONCAT, CVI_CLASS_CONCAT, "Concat", 0, 0, 28);
        for (int i = 0; i < 10; i++) {
            cvi_arch_add_edge(a, parts[i], join, &a->nodes[parts[i]].out);
        }
        before = last;
        last = join;
    }
    assert_int_equal(cvi_arch_finish(a, NULL), CVS_OK);
    assert_int_equal(cvi_arch_fold(a, NULL), CVS_OK);
    int most = 0, unit = 0;
    for (int g = 0; g < a->n_groups; g++) {
        if (a->groups[g].repeat > most) {
            most = a->groups[g].repeat;
            unit = a->groups[g].count / most;
        }
    }
    assert_true(most >= 58);
    assert_int_equal(unit, 21);
    cvi_arch_free(a);
}

/* ---- numbers ------------------------------------------------------------------------------------------------------- */

static void numbers_are_those_of_the_analysis(void **state) {
    (void)state;
    static const char *const nets[] = {"vgg16", "resnet50", "densenet121", "inception_v3", "mobilenet_v2"};
    for (int i = 0; i < CVI_COUNT(nets); i++) {
        cvs_model *model = open_zoo(nets[i]);
        for (int64_t batch = 1; batch <= 4; batch += 3) {
            cvs_draw_options o = {.batch = batch, .fold = CVS_FOLD_NONE};
            cvs_run_options run = {.batch = batch};
            cvs_summary s;
            cvi_table t;
            cvi_arch *a = arch_of(model, &o);
            assert_int_equal(cvs_model_summarize(model, &run, CVS_EN, &s, NULL), CVS_OK);
            assert_int_equal(a->params, s.params);
            assert_int_equal(a->trainable, s.params_trainable);
            assert_int_equal(a->macs, s.macs);
            assert_int_equal(a->bytes, s.activation_bytes);
            assert_int_equal(a->peak_bytes, s.live_peak_bytes);
            assert_int_equal(cvi_table_make(a, &o, &t, NULL), CVS_OK);
            int64_t params = 0, macs = 0, bytes = 0;
            for (int r = 0; r + 1 < t.n; r++) {
                params += t.rows[r].kind == CVI_ROW_LAYER ? t.rows[r].params : 0;
                macs += t.rows[r].kind == CVI_ROW_LAYER ? t.rows[r].macs : 0;
                bytes +=
                    t.rows[r].kind == CVI_ROW_LAYER && t.rows[r].cell[CVI_COL_INDEX][0] ? t.rows[r].bytes : 0;
            }
            assert_int_equal(t.rows[t.n - 1].kind, CVI_ROW_TOTAL);
            assert_int_equal(params, t.rows[t.n - 1].params);
            assert_int_equal(macs, t.rows[t.n - 1].macs);
            assert_int_equal(bytes, t.rows[t.n - 1].bytes);
            cvi_table_free(&t);
            cvs_summary_free(&s);
            cvi_arch_free(a);
        }
        cvs_model_free(model);
    }
}

static void vgg_sees_212_pixels_after_its_last_pooling(void **state) {
    (void)state;
    cvs_model *model = open_zoo("vgg16");
    cvi_arch *a = arch_of(model, NULL);
    int pools = 0;
    assert_int_equal(a->params, 138357544);
    for (int i = 0; i < a->n_nodes; i++) {
        if (a->nodes[i].cls == CVI_CLASS_POOL && ++pools == 5) {
            assert_int_equal(a->nodes[i].field[0], 212);
            assert_int_equal(a->nodes[i].jump[0], 32);
        }
    }
    assert_int_equal(pools, 5);
    assert_true(a->peak_bytes > 0 && a->peak_bytes < a->bytes);
    cvi_arch_free(a);
    cvs_model_free(model);
}

/* ---- layouts --------------------------------------------------------------------------------------------------------- */

static void check_layout(const cvi_arch *a, const cvs_draw_options *o, bool across, double longest) {
    cvi_view *v = NULL;
    cvi_layout *l = NULL;
    cvi_buf report = {0};
    cvi_layout_options lo = {.across = across, .longest = longest, .aspect = 1.3, .frame_title = 10};
    assert_int_equal(cvi_view_make(a, o, NULL, 0, &v, NULL), CVS_OK);
    cvi_box_size *sizes = calloc((size_t)v->n_boxes, sizeof *sizes);
    for (int b = 0; b < v->n_boxes; b++) { /* any sizes will do, unequal ones */
        sizes[b] = (cvi_box_size){50 + b * 37 % 60, 16 + b * 13 % 25};
    }
    assert_int_equal(cvi_layout_make(v, sizes, &lo, &l, NULL), CVS_OK);
    if (cvi_layout_check(l, &report) > 0) {
        fail_msg("%s, %s, %d boxes:\n%s", a->name, across ? "across" : "down", v->n_boxes, report.data);
    }
    cvi_buf_free(&report);
    cvi_layout_free(l);
    cvi_view_free(v);
    free(sizes);
}

static void check_layouts(const cvs_model *model) {
    for (int fold = 0; fold < 2; fold++) {
        cvs_draw_options o = {.fold = fold ? CVS_FOLD_NONE : CVS_FOLD_AUTO};
        cvi_arch *a = arch_of(model, &o);
        for (int across = 0; across < 2; across++) {
            check_layout(a, &o, across, 0.0);
            check_layout(a, &o, across, 600.0);
        }
        cvi_arch_free(a);
    }
}

static void no_arrow_runs_through_a_box(void **state) {
    (void)state;
    static const char *const nets[] = {"lenet5",       "vgg16",       "resnet50",
                                       "resnet152",    "densenet121", "inception_v3",
                                       "mobilenet_v2", "tiny_vgg",    "squeezenet1_1"};
    for (int i = 0; i < CVI_COUNT(nets); i++) {
        cvs_model *model = open_zoo(nets[i]);
        check_layouts(model);
        cvs_model_free(model);
    }
}

static void check_figure(const cvs_model *model, const cvs_draw_options *o) {
    cvs_draw_source source = {.model = model};
    cvs_figure *figure = NULL;
    cvs_error err = {0};
    char text[900], *faults = NULL, *one = NULL, *two = NULL;
    if (cvs_draw_architecture_figure(&source, 1, o, &figure, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    if (cvs_figure_check(figure, &faults) > 0) {
        cvs_model_info info;
        cvs_model_describe(model, &info);
        fail_msg("%s: %s", info.name, faults);
    }
    cvs_free(faults);
    cvs_figure_free(figure);
    assert_int_equal(cvs_draw_architecture_memory(&source, 1, o, ".svg", &one, NULL, &err), CVS_OK);
    assert_int_equal(cvs_draw_architecture_memory(&source, 1, o, ".svg", &two, NULL, &err), CVS_OK);
    assert_string_equal(one, two);
    assert_well_formed(one);
    assert_non_null(strstr(one, "<text"));
    cvs_free(one);
    cvs_free(two);
}

/* Down on the left, up on the right, arrows level between. */
static void encoder_decoders_are_valleys(void **state) {
    (void)state;
    cvs_model *model =
        open_text("input 1x64x64 | e1: conv 8 k3 relu | p1: maxpool k2 | e2: conv 16 k3 relu | p2: "
                  "maxpool k2 | m: conv 32 k3 relu | u2: deconv 16 k2 s2 | c2: from u2,e2 concat | d2: "
                  "conv 16 k3 relu | u1: deconv 8 k2 s2 | c1: from u1,e1 concat | d1: conv 8 k3 relu",
                  "u.net");
    cvs_draw_options o = {.style = "graph"};
    cvi_arch *a = arch_of(model, &o);
    cvi_view *v = NULL;
    cvi_layout *l = NULL;
    cvi_layout_options lo = {.aspect = 1.2};
    cvi_box_size sizes[40];
    assert_int_equal(cvi_view_make(a, &o, NULL, 0, &v, NULL), CVS_OK);
    assert_in_range(v->n_boxes, 10, 40);
    for (int b = 0; b < v->n_boxes; b++) {
        sizes[b] = (cvi_box_size){60 + b, 20 + b % 3 * 7};
    }
    assert_int_equal(cvi_layout_make(v, sizes, &lo, &l, NULL), CVS_OK);
    int bridges = 0;
    for (int i = 0; i < v->n_links; i++) {
        const cvi_place *from = &l->boxes[v->links[i].from], *to = &l->boxes[v->links[i].to];
        if (l->routes[i].rail) {
            bridges++;
            assert_true(to->x > from->x + from->w);
            assert_true(from->y + from->h / 2 - to->y - to->h / 2 < 0.01);
            assert_true(to->y + to->h / 2 - from->y - from->h / 2 < 0.01);
        }
    }
    assert_int_equal(bridges, 2);
    assert_int_equal(cvi_layout_check(l, NULL), 0);
    cvi_layout_free(l);
    cvi_view_free(v);
    cvi_arch_free(a);
    check_figure(model, &o);
    cvs_model_free(model);
}

static const char *const prototxts[] = {"SSD300",     "YOLO",           "alexnet", "fcn-16s",
                                        "googlenet",  "inceptionv3",    "nin",     "resnet-50",
                                        "squeezenet", "squeezenet_v11", "vgg-16",  "zynqnet"};

static bool open_prototxt(const char *name, cvs_model **out) {
    char relative[200], path[600];
    snprintf(relative, sizeof relative, "data/models/netscope/%s.prototxt", name);
    if (!test_shared(path, sizeof path, relative)) {
        return false;
    }
    *out = test_open(path);
    return true;
}

static void prototxts_are_laid_out(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(prototxts); i++) {
        cvs_model *model;
        if (!open_prototxt(prototxts[i], &model)) {
            printf("skipped: no ../shared/data/models/netscope\n");
            skip();
        }
        check_layouts(model);
        cvs_model_free(model);
    }
}

/* ---- figures ------------------------------------------------------------------------------------------------------------ */

static void figures_pass_the_checks(void **state) {
    (void)state;
    static const char *const nets[] = {"lenet5", "resnet50", "densenet121", "inception_v3", "mobilenet_v2"};
    static const cvs_fit fits[] = {CVS_FIT_NONE, CVS_FIT_COLUMN, CVS_FIT_PAGE, CVS_FIT_SLIDE};
    for (int i = 0; i < CVI_COUNT(nets); i++) {
        cvs_model *model = open_zoo(nets[i]);
        for (int k = 0; k < 8; k++) {
            cvs_draw_options o = {.style = "graph",
                                  .lang = k & 1 ? CVS_ZH : CVS_EN,
                                  .theme = (cvs_theme)(k % 4),
                                  .fit = fits[k / 2],
                                  .legend = k % 3 == 0,
                                  .cost = (cvs_cost)(k % 4),
                                  .direction = k % 3 == 1 ? CVS_LEFT_RIGHT : CVS_DIRECTION_AUTO,
                                  .labels = k == 5 ? CVS_LABEL_NAMES | CVS_LABEL_SHAPES | CVS_LABEL_PARAMS |
                                                         CVS_LABEL_MACS | CVS_LABEL_FIELD
                                                   : 0u};
            check_figure(model, &o);
        }
        cvs_model_free(model);
    }
    for (int i = 0; i < CVI_COUNT(prototxts); i++) {
        cvs_model *model;
        if (open_prototxt(prototxts[i], &model)) {
            check_figure(model, &(cvs_draw_options){.style = "graph", .legend = true});
            cvs_model_free(model);
        }
    }
}

/* Every box and arrow of the view once. */
static void everything_is_drawn_once(void **state) {
    (void)state;
    cvs_model *model = open_zoo("resnet50");
    cvs_draw_options o = {.style = "graph"};
    cvs_draw_source source = {.model = model};
    cvi_arch *a = arch_of(model, &o);
    cvi_view *v = NULL;
    char *svg = NULL;
    assert_int_equal(cvi_view_make(a, &o, NULL, 0, &v, NULL), CVS_OK);
    assert_int_equal(cvs_draw_architecture_memory(&source, 1, &o, ".svg", &svg, NULL, NULL), CVS_OK);
    for (int b = 0; b < v->n_boxes; b++) {
        char id[40];
        snprintf(id, sizeof id, "id=\"%s\"", v->boxes[b].id);
        const char *first = strstr(svg, id);
        assert_non_null(first);
        assert_null(strstr(first + 1, id));
    }
    for (int i = 0; i < v->n_links; i++) {
        char id[80];
        snprintf(id, sizeof id, "id=\"e-%s-%s\"", v->boxes[v->links[i].from].id, v->boxes[v->links[i].to].id);
        const char *first = strstr(svg, id);
        assert_non_null(first);
        assert_null(strstr(first + 1, id));
    }
    cvs_free(svg);
    cvi_view_free(v);
    cvi_arch_free(a);
    cvs_model_free(model);
}

static void hostile_names_come_out_as_text(void **state) {
    (void)state;
    char text[4000], name[1100];
    memset(name, 'x', 1000);
    static const char odd[] = "<b>&amp;\\\\n_%'#{}~^$\xE5\x8D\xB7\xE7\xA7\xAF\\\"";
    memcpy(name, odd, sizeof odd - 1);
    name[1000] = '\0';
    snprintf(
        text, sizeof text,
        "name: \"%s\" layer { name: \"data\" type: \"Input\" top: \"%s\" input_param { shape { dim: 1 dim: 3 "
        "dim: 8 dim: 8 } } } layer { name: \"%s\" type: \"Convolution\" bottom: \"%s\" top: \"%s\" "
        "convolution_param { num_output: 4 kernel_size: 3 } } layer { name: \"odd\" type: \"<Odd & "
        "\\\"type\\\">\" "
        "bottom: \"%s\" top: \"odd\" }",
        "a<b>&\\\"c", "in", name, "in", "mid", "mid");
    cvs_model *model = open_text(text, "hostile.prototxt");
    static const char *const styles[] = {"graph", "dot", "table", "table", "table", "table", "table"},
                             *const extensions[] = {".svg", ".dot", ".md", ".html", ".tex", ".csv", ".txt"};
    cvs_draw_source source = {.model = model};
    check_figure(model, &(cvs_draw_options){.style = "graph", .legend = true});
    for (int i = 0; i < CVI_COUNT(styles); i++) {
        cvs_draw_options o = {.style = styles[i]};
        char *out = NULL;
        assert_int_equal(cvs_draw_architecture_memory(&source, 1, &o, extensions[i], &out, NULL, NULL),
                         CVS_OK);
        assert_non_null(strstr(out, "\xE5\x8D\xB7"));
        bool markup = i == 0 || i == 2 || i == 3;
        assert_true(!markup || strstr(out, "<b>&") == NULL);
        cvs_free(out);
    }
    cvs_model_free(model);
}

static void unknown_shapes_are_drawn(void **state) {
    (void)state;
    cvs_model *model =
        open_text("layer { name: \"a\" type: \"Mystery\" top: \"x\" } layer { name: \"c\" type: "
                  "\"Convolution\" bottom: \"x\" top: \"y\" convolution_param { num_output: 4 "
                  "kernel_size: 3 } } layer { name: \"r\" type: \"ReLU\" bottom: \"y\" top: \"y\" }",
                  "odd.prototxt");
    check_figure(model, &(cvs_draw_options){.style = "graph"});
    cvs_model_free(model);
}

/* ---- damage ----------------------------------------------------------------------------------------------------------------- */

static void any_failing_allocation_is_survived(void **state) {
    (void)state;
    static const char *const extensions[] = {".svg", ".json", ".dot", ".md", ".tex"};
    cvs_model *model = open_zoo("resnet50");
    cvs_draw_source source = {.model = model};
    for (int i = 0; i < CVI_COUNT(extensions); i++) {
        cvs_draw_options o = {.style = i < 2 ? "graph" : i == 2 ? "dot" : "table", .legend = true};
        for (int k = 0; k < 4000; k = k < 60 ? k + 1 : k + 1 + k / 9) {
            char *out = NULL;
            cvs_error err = {0};
            test_fail_from(k, -1);
            cvs_status s = cvs_draw_architecture_memory(&source, 1, &o, extensions[i], &out, NULL, &err);
            bool failed = test_has_failed();
            cvi_set_hooks(NULL);
            assert_true(s == CVS_OK || s == CVS_E_MEMORY);
            assert_true(s == CVS_OK || out == NULL);
            cvs_free(out);
            if (!failed) {
                break;
            }
        }
    }
    cvs_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_repeats_are_found),
        cmocka_unit_test(separable_residuals_are_not_inverted),
        cmocka_unit_test(inception_modules_are_named),
        cmocka_unit_test(joins_of_everything_become_a_chain),
        cmocka_unit_test(cells_without_cuts_repeat),
        cmocka_unit_test(numbers_are_those_of_the_analysis),
        cmocka_unit_test(vgg_sees_212_pixels_after_its_last_pooling),
        cmocka_unit_test(no_arrow_runs_through_a_box),
        cmocka_unit_test(encoder_decoders_are_valleys),
        cmocka_unit_test(prototxts_are_laid_out),
        cmocka_unit_test(figures_pass_the_checks),
        cmocka_unit_test(everything_is_drawn_once),
        cmocka_unit_test(hostile_names_come_out_as_text),
        cmocka_unit_test(unknown_shapes_are_drawn),
        cmocka_unit_test(any_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
