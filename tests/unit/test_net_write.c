/* SPDX-License-Identifier: MIT
 * test_net_write.c - models written as text and read again: the same nodes, attributes, names and weight shapes; any operator, any
 * name; and what the text cannot hold is refused with its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "convscope/model.h"
#include "formats/net.h"
#include "test_helpers.h"

static cvs_model *open_text(const char *text, const char *name) {
    cvs_model *model = NULL;
    cvs_error err = {0};
    char line[900];
    if (cvs_model_open_memory(text, strlen(text), name, NULL, &model, &err) != CVS_OK) {
        fail_msg("%s\n%s", cvs_error_text(&err, line, sizeof line), text);
    }
    return model;
}

static const char *value_name(const cvi_graph *g, int v) {
    return v < 0 ? "" : g->values[v].name;
}

/* What an attribute or, absent, the operator's default says, as text. */
static void attribute_text(const cvi_node *node, const char *name, char *out, size_t size) {
    const cvi_attr *a = cvi_node_attr(node, name);
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; !a && node->def && i < node->def->n_attrs; i++) {
        const cvi_op_attr *row = &node->def->attrs[i];
        if (strcmp(row->name, name) == 0 && row->initial) {
            if (row->kind == CVI_ATTR_INT || row->kind == CVI_ATTR_FLOAT) {
                snprintf(out, size, "%.6g", strtod(row->initial, NULL));
            } else {
                snprintf(out, size, "%s", row->initial);
            }
        }
    }
    if (!a) {
        return;
    }
    for (int i = 0; i < a->n && at < size; i++) {
        double v = a->kind == CVI_ATTR_INTS     ? (double)a->ints[i]
                   : a->kind == CVI_ATTR_FLOATS ? a->floats[i]
                                                : 0;
        at += (size_t)snprintf(out + at, size - at, "%.6g;", v);
    }
    if (a->kind == CVI_ATTR_STRING) {
        snprintf(out, size, "%s", a->s);
    } else if (a->kind == CVI_ATTR_INT || a->kind == CVI_ATTR_FLOAT) {
        snprintf(out, size, "%.6g", a->kind == CVI_ATTR_INT ? (double)a->i : a->f);
    }
}

/* Lists of zeros or ones that stand for "absent" are equal to absence. */
static bool same_attribute(const cvi_node *a, const cvi_node *b, const char *name) {
    char x[400], y[400];
    attribute_text(a, name, x, sizeof x);
    attribute_text(b, name, y, sizeof y);
    if (strcmp(x, y) == 0) {
        return true;
    }
    const char *usual = strcmp(name, "pads") == 0 || strcmp(name, "output_padding") == 0 ? "0;" : "1;";
    const char *longer = x[0] ? x : y;
    bool neutral = !x[0] || !y[0];
    for (size_t i = 0; neutral && longer[i]; i++) {
        neutral = longer[i] == usual[i % 2];
    }
    return neutral || strcmp(name, "momentum") == 0; /* a running mean's speed: of training only */
}

static void compare(const cvs_model *one, const cvs_model *two) {
    const cvi_graph *g = one->graph, *h = two->graph;
    assert_int_equal(g->n_nodes, h->n_nodes);
    assert_int_equal(g->n_inputs, h->n_inputs);
    assert_int_equal(g->n_outputs, h->n_outputs);
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *a = &g->nodes[n];
        int v =
            cvi_graph_find(h, value_name(g, a->out[0])); /* order may differ where branches are independent */
        assert_true(v >= 0 && h->values[v].producer >= 0);
        const cvi_node *b = &h->nodes[h->values[v].producer];
        assert_string_equal(a->op, b->op);
        for (int i = 0; i < CVI_MAX(a->n_in, b->n_in); i++) {
            int x = i < a->n_in ? a->in[i] : -1, y = i < b->n_in ? b->in[i] : -1;
            const cvs_tensor *s = x < 0 ? NULL : g->values[x].constant,
                             *t = y < 0 ? NULL : h->values[y].constant;
            assert_int_equal(s != NULL, t != NULL);
            if (!s) {
                assert_string_equal(value_name(g, x), value_name(h, y));
                continue;
            }
            assert_int_equal(s->dtype, t->dtype);
            assert_int_equal(cvs_tensor_count(s), cvs_tensor_count(t));
            assert_int_equal(s->rank, t->rank);
            assert_memory_equal(s->dim, t->dim, (size_t)s->rank * sizeof s->dim[0]);
            if (t->data) {
                assert_memory_equal(s->data, t->data, t->bytes);
            }
        }
        for (int i = 0; i < a->n_attr + b->n_attr; i++) {
            const char *name = i < a->n_attr ? a->attr[i].name : b->attr[i - a->n_attr].name;
            if (!same_attribute(a, b, name)) {
                fail_msg("%s: attribute %s differs", a->name, name);
            }
        }
        assert_int_equal(g->values[a->out[0]].hidden, h->values[b->out[0]].hidden);
    }
    for (int i = 0; i < g->n_outputs; i++) {
        assert_string_equal(value_name(g, g->outputs[i]), value_name(h, h->outputs[i]));
    }
}

/* Model -> text -> model; and the text of that model is the same text but for the line that names the format. */
static void round_trip(const cvs_model *model) {
    cvi_buf text = {0}, again = {0};
    cvs_error err = {0};
    char line[900];
    if (cvi_net_text(model, &text, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, line, sizeof line));
    }
    cvs_model *back = open_text(text.data, "text");
    compare(model, back);
    assert_int_equal(cvi_net_text(back, &again, &err), CVS_OK);
    cvs_model *third = open_text(again.data, "text");
    compare(back, third);
    cvs_model_free(third);
    cvs_model_free(back);
    cvi_buf_free(&text);
    cvi_buf_free(&again);
}

static void zoo_and_words(void **state) {
    (void)state;
    static const char *const zoo[] = {"densenet121", "inception_v3",  "keras_cifar",
                                      "lenet5",      "mobilenet_v2",  "resnet50",
                                      "tiny_vgg",    "squeezenet1_1", "vgg16"};
    for (int i = 0; i < CVI_COUNT(zoo); i++) {
        char path[600];
        cvs_model *model = NULL;
        cvs_error err = {0};
        const char *root = getenv("CVS_SOURCE_ROOT");
        snprintf(path, sizeof path, "%s/zoo/%s.net", root ? root : "..", zoo[i]);
        assert_int_equal(cvs_model_open(path, NULL, &model, &err), CVS_OK);
        round_trip(model);
        cvs_model_free(model);
    }
    static const char *const texts[] = {
        "input 8x16x16\nconv 16 k3x1 s2x1 g4 nobias prelu leaky 0.2 elu 0.5 dropout 0.25 lrn 3\n"
        "pixelshuffle 2 | deconv 6 k4 s2 p1 x1 hsigmoid silu gelu mish hswish softplus selu\nsoftmax -1",
        "a: input 4x8x8\nb: input 4x8x8\nc: from a,b mul\nd: from a,c concat\ne: from d,a,b concat\n"
        "maxpool k3 s2 p1 ceil | avgpool k3 s1 p1 countpad | gmp | fc 5 transB=0 nobias\nfrom c output",
        "x: input f32[2x3x?x7]\ny: from x op Transpose perm=[0;2;3;1]\nz: op LeakyRelu alpha=0.1 hidden\nw: "
        "op Relu",
        "\"a \\\"b\\\" <&>\\n\\\\ \\x07 名字\": input 1x4x4\n\"from\": relu\n\"block\": from from tanh",
        "x: input f32[4x6]\nlow: const f32[][-0.5]\nhigh: const f32[][1e30]\nw: param f32[6x5]\n"
        "a: from x,w op MatMul\nb: from a,low,high op Clip\ns: from b op Split axis=1 num_outputs=2 "
        "out=\"t\"\n"
        "k: const i64[1][-1]\nu: from t,k op Reshape allowzero=0\nfrom s output\nfrom u output",
    };
    for (int i = 0; i < CVI_COUNT(texts); i++) {
        cvs_model *model = open_text(texts[i], "words");
        round_trip(model);
        cvs_model_free(model);
    }
}

static void operators_without_a_word(void **state) {
    (void)state;
    cvs_model *model = open_text("x: input f32[1x3x8x8]\n"
                                 "a: op \"com.example::Odd\" kind=\"two words\" list=[1;2] real=[1;0.5] "
                                 "t=i64[2][3;4] n*= \"p\" \"q\"\n"
                                 "b: relu",
                                 "unknown");
    const cvi_node *odd = &model->graph->nodes[0];
    assert_null(odd->def);
    assert_string_equal(cvi_node_string(odd, "kind", ""), "two words");
    assert_int_equal(cvi_node_attr(odd, "list")->kind, CVI_ATTR_INTS);
    assert_int_equal(cvi_node_attr(odd, "real")->kind, CVI_ATTR_FLOATS);
    assert_true(cvi_node_attr(odd, "real")->floats[1] == 0.5);
    assert_int_equal(((const int64_t *)cvi_node_attr(odd, "t")->tensor->data)[1], 4);
    assert_string_equal(cvi_node_attr(odd, "n")->strings[1], "q");
    round_trip(model);
    cvs_model_free(model);
}

static void mistakes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *words;
    } bad[] = {
        {"input 3x4x4\nop", 2, "op needs an operator"},
        {"input 3x4x4\nop Relu 5", 2, "is no key=value"},
        {"input 3x4x4\nop Relu a=[1;x]", 2, "is not understood"},
        {"input 3x4x4\nop Split out= 5", 2, "out= needs a name"},
        {"input 3x4x4\nw: param 3x4", 2, "param needs a type"},
        {"input 3x4x4\nw: const i64[2][1]", 2, "const needs type"},
        {"input 3x4x4\nw: const i64[2]", 2, "const needs type"},
        {"input 3x4x4\n\"x\" relu", 2, "a colon expected"},
        {"input f32[1x3x?x?]\nconv 4 k3", 2, "known only while running"},
        {"input 3x4x4\ndropout 1.5", 2, "dropout takes a share"},
        {"input 3x4x4\npixelshuffle 0", 2, "whole factor"},
        {"input 3x4x4\nfrom _ relu", 2, "has nothing to read"},
    };
    for (int i = 0; i < CVI_COUNT(bad); i++) {
        cvs_model *model = NULL;
        cvs_error err = {0};
        assert_int_not_equal(
            cvs_model_open_memory(bad[i].text, strlen(bad[i].text), "bad", NULL, &model, &err), CVS_OK);
        if (err.line != bad[i].line || !strstr(err.message, bad[i].words)) {
            fail_msg("%s: line %d, %s", bad[i].text, err.line, err.message);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zoo_and_words),
        cmocka_unit_test(operators_without_a_word),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
