/* SPDX-License-Identifier: MIT
 * test_onnx.c - the ONNX reader on damage (cut at every byte, flipped bits, edited side data, failing allocations), and what is
 * read again after our own writer wrote it. That the numbers are right is the backend cases' business (onnx-backend).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/onnx_encode.h"
#include "formats/onnx_write.h"
#include "formats/protobuf.h"
#include "graph/graph.h"
#include "reader_harness.h"
#include "test_helpers.h"

#include "../fuzz/fuzz_onnx.c"

static const char *const fixtures[] = {"functions",        "if_captures",      "attributes_9",
                                       "graph_in_pieces",  "unpacked_data",    "small_types",
                                       "quantised_small",  "ort_attention",    "ort_matmul_4bits",
                                       "ort_qlinear_conv", "ort_qlinear_pools"};

static void fixture_path(char *path, size_t size, const char *name) {
    char relative[200];
    snprintf(relative, sizeof relative, "%s/model.onnx", name);
    test_data(path, size, "onnx", relative);
}

static cvi_file fixture(const char *name) {
    char path[512];
    cvi_file f = {0};
    fixture_path(path, sizeof path, name);
    test_ok(cvi_file_read, path, NULL, &f);
    return f;
}

/* Opens bytes; whatever happens, the error is a located sentence that names the file. */
static cvs_status open_bytes(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_error *err) {
    cvs_model *m = NULL;
    cvs_open_options options = {0};
    *err = (cvs_error){0};
    if (limits) {
        options.limits = *limits;
    }
    cvs_status s = cvs_model_open_memory(data, size, "broken.onnx", &options, &m, err);
    assert_int_equal(s, err->code);
    if (s != CVS_OK) {
        assert_null(m);
        assert_string_equal(err->file, "broken.onnx");
        assert_true(err->message[0] != '\0');
    }
    cvs_model_free(m);
    return s;
}

static void every_cut_is_said(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(fixtures); i++) {
        cvi_file f = fixture(fixtures[i]);
        cvs_error err;
        int opened = 0, located = 0;
        assert_int_equal(open_bytes(f.data, f.size, NULL, &err), CVS_OK);
        for (size_t n = 0; n < f.size; n++) {
            uint8_t *copy = cvi_malloc(CVI_MAX(n, 1)); /* exact size: reading beyond is seen by a sanitizer */
            memcpy(copy, f.data, n);
            opened += open_bytes(copy, n, NULL, &err) == CVS_OK;
            located += err.has_offset;
            cvi_free(copy);
        }
        /* A cut between the outer fields behind the graph leaves a whole model of another opset; few such cuts exist. */
        assert_true(opened <= 40);
        assert_true(located >= (int)f.size / 2);
        cvi_file_close(&f);
    }
}

static void flipped_bits_do_no_harm(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(fixtures); i++) {
        cvi_file f = fixture(fixtures[i]);
        uint8_t *copy = cvi_malloc(f.size);
        memcpy(copy, f.data, f.size);
        for (size_t at = 0; at < f.size; at++) {
            for (int bit = 0; bit < 8; bit += 1 + (int)(at % 3)) {
                copy[at] ^= (uint8_t)(1 << bit);
                LLVMFuzzerTestOneInput(copy, f.size);
                copy[at] = f.data[at];
            }
        }
        cvi_free(copy);
        cvi_file_close(&f);
    }
}

static void every_failing_allocation_is_said(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(fixtures); i++) {
        cvi_file f = fixture(fixtures[i]);
        for (int k = 0;; k++) {
            cvs_error err = {0};
            cvs_model *m = NULL;
            test_fail_from(k, -1);
            cvs_status s = cvs_model_open_memory(f.data, f.size, "m.onnx", NULL, &m, &err);
            cvi_set_hooks(NULL);
            cvs_model_free(m);
            if (!test_has_failed()) {
                assert_int_equal(s, CVS_OK);
                assert_true(k > 5);
                break;
            }
            assert_int_equal(s, CVS_E_MEMORY);
            assert_true(k < 100000);
        }
        cvi_file_close(&f);
    }
}

static void limits_hold(void **state) {
    (void)state;
    cvi_file f = fixture("functions");
    cvs_error err;
    assert_int_equal(open_bytes(f.data, f.size, &(cvs_limits){.max_nodes = 3}, &err), CVS_E_LIMIT);
    assert_int_equal(open_bytes(f.data, f.size, &(cvs_limits){.max_depth = 3}, &err), CVS_E_LIMIT);
    assert_int_equal(open_bytes(f.data, f.size, &(cvs_limits){.max_name_bytes = 3}, &err), CVS_E_LIMIT);
    assert_int_not_equal(open_bytes(f.data, f.size, &(cvs_limits){.max_memory_bytes = 2000}, &err), CVS_OK);
    cvi_file_close(&f);
}

/* ---- models made here, to say one wrong thing at a time ---- */

typedef struct maker {
    cvi_buf graph, model;
} maker;

static void put_node(maker *m, const char *op, const char *domain, const char *in, const char *out) {
    cvi_buf n = {0};
    cvi_pbw_text(&n, 1, in);
    cvi_pbw_text(&n, 2, out);
    cvi_pbw_text(&n, 4, op);
    cvi_pbw_text(&n, 7, domain);
    cvi_pbw_message(&m->graph, 1, &n);
}

static void put_port(maker *m, uint32_t field, const char *name) {
    cvs_tensor t = {.dtype = CVS_F32, .rank = 1, .dim = {2}};
    cvi_onnx_put_value(&m->graph, field, name, &t);
}

static void put_weight(maker *m, const char *name, int64_t dim, const void *data, size_t bytes) {
    cvi_buf t = {0};
    cvs_tensor shape = {.dtype = CVS_F32, .rank = 1, .dim = {dim}};
    cvi_onnx_put_tensor_head(&t, &shape, name);
    cvi_pbw_bytes(&t, 9, data, bytes);
    cvi_pbw_message(&m->graph, 5, &t);
}

static cvs_status finish(maker *m, cvs_error *err) {
    cvi_buf opset = {0};
    cvi_pbw_int(&m->model, 1, 8);
    cvi_pbw_message(&m->model, 7, &m->graph);
    cvi_pbw_int(&opset, 2, 13);
    cvi_pbw_message(&m->model, 8, &opset);
    cvs_status s = open_bytes((const uint8_t *)m->model.data, m->model.size, NULL, err);
    cvi_buf_free(&m->model);
    return s;
}

static void check_wrong(maker *m, cvs_status status, const char *says, const char *node) {
    cvs_error err;
    char text[1000];
    cvs_status s = finish(m, &err);
    cvs_error_text(&err, text, sizeof text);
    if (s != status || !strstr(text, says) || !strstr(text, node)) {
        fail_msg("status %d: %s", (int)s, text);
    }
}

static void wrong_graphs_are_located(void **state) {
    (void)state;
    const float two[2] = {1, 2};
    maker m = {0};
    put_node(&m, "Relu", "", "nothing", "y");
    put_port(&m, 12, "y");
    check_wrong(&m, CVS_E_FORMAT, "value nothing is read, but nothing makes it", "y (Relu)");
    m = (maker){0};
    put_node(&m, "Relu", "", "x", "y");
    put_node(&m, "Neg", "", "x", "y");
    put_port(&m, 11, "x");
    check_wrong(&m, CVS_E_FORMAT, "value y is made twice", "Neg");
    m = (maker){0};
    put_node(&m, "Relu", "", "a", "b");
    put_node(&m, "Neg", "", "b", "a");
    check_wrong(&m, CVS_E_FORMAT, "cycle", "");
    m = (maker){0};
    put_weight(&m, "w", 3, two, sizeof two);
    check_wrong(&m, CVS_E_FORMAT, "tensor w holds 2 numbers, its shape 3 needs 3", "byte");
    m = (maker){0};
    put_weight(&m, "w", INT64_MAX / 2, two, sizeof two);
    check_wrong(&m, CVS_E_LIMIT, "too large", "byte");
    m = (maker){0};
    put_weight(&m, "w", (int64_t)1 << 40, two, sizeof two);
    check_wrong(&m, CVS_E_FORMAT, "needs 1099511627776", "byte");
    m = (maker){0};
    put_weight(&m, "w", 2, two, sizeof two);
    put_weight(&m, "w", 2, two, sizeof two);
    check_wrong(&m, CVS_E_FORMAT, "value w is made twice", "byte");
    m = (maker){0};
    put_port(&m, 11, "x");
    put_port(&m, 12, "z");
    check_wrong(&m, CVS_E_FORMAT, "value z is read", "byte");
}

/* A function that calls itself, by way of another. */
static void cyclic_functions_are_refused(void **state) {
    (void)state;
    maker m = {0};
    put_node(&m, "A", "own", "x", "y");
    put_port(&m, 11, "x");
    put_port(&m, 12, "y");
    for (int i = 0; i < 2; i++) {
        cvi_buf f = {0}, n = {0};
        cvi_pbw_text(&f, 1, i ? "B" : "A");
        cvi_pbw_text(&f, 4, "a");
        cvi_pbw_text(&f, 5, "b");
        cvi_pbw_text(&n, 1, "a");
        cvi_pbw_text(&n, 2, "b");
        cvi_pbw_text(&n, 4, i ? "A" : "B");
        cvi_pbw_text(&n, 7, "own");
        cvi_pbw_message(&f, 7, &n);
        cvi_pbw_text(&f, 10, "own");
        cvi_pbw_message(&m.model, 25, &f);
    }
    check_wrong(&m, CVS_E_FORMAT, "calls itself", "");
}

/* 2^20 nodes from twenty functions that each call the one before twice. */
static void doubling_functions_are_bounded(void **state) {
    (void)state;
    maker m = {0};
    char name[16], called[16];
    put_node(&m, "F20", "own", "x", "y");
    put_port(&m, 11, "x");
    put_port(&m, 12, "y");
    for (int i = 1; i <= 20; i++) {
        cvi_buf f = {0};
        snprintf(name, sizeof name, "F%d", i);
        snprintf(called, sizeof called, "F%d", i - 1);
        cvi_pbw_text(&f, 1, name);
        cvi_pbw_text(&f, 4, "a");
        cvi_pbw_text(&f, 5, "b");
        for (int k = 0; k < 2; k++) {
            cvi_buf n = {0};
            cvi_pbw_text(&n, 1, k ? "t" : "a");
            cvi_pbw_text(&n, 2, k ? "b" : "t");
            cvi_pbw_text(&n, 4, i > 1 ? called : "Relu");
            cvi_pbw_text(&n, 7, i > 1 ? "own" : "");
            cvi_pbw_message(&f, 7, &n);
        }
        cvi_pbw_text(&f, 10, "own");
        cvi_pbw_message(&m.model, 25, &f);
    }
    check_wrong(&m, CVS_E_LIMIT, "calls of functions", "");
}

/* ---- side files ---- */

static void write_text(const char *folder, const char *name, const void *data, size_t n) {
    char *path = cvi_path_join(folder, name);
    cvs_error err = {0};
    assert_int_equal(cvi_file_write(path, data, n, &err), CVS_OK);
    cvi_free(path);
}

static void side_model(const char *folder, const char *location, const char *offset, const char *length,
                       const char *extra) {
    maker m = {0};
    cvi_buf t = {0};
    cvs_tensor shape = {.dtype = CVS_F32, .rank = 1, .dim = {2}};
    cvi_onnx_put_tensor_head(&t, &shape, "w");
    cvi_pbw_entry(&t, 13, "location", location);
    if (offset) {
        cvi_pbw_entry(&t, 13, "offset", offset);
    }
    if (length) {
        cvi_pbw_entry(&t, 13, "length", length);
    }
    if (extra) {
        cvi_pbw_entry(&t, 13, extra, "1");
    }
    cvi_pbw_int(&t, 14, 1);
    cvi_pbw_message(&m.graph, 5, &t);
    put_node(&m, "Neg", "", "w", "y");
    put_port(&m, 12, "y");
    cvi_pbw_int(&m.model, 1, 8);
    cvi_pbw_message(&m.model, 7, &m.graph);
    write_text(folder, "m.onnx", m.model.data, m.model.size);
    cvi_buf_free(&m.model);
}

static cvs_status open_in(const char *folder, const char *name, cvs_model **out, cvs_error *err) {
    char *path = cvi_path_join(folder, name);
    *err = (cvs_error){0};
    cvs_status s = cvs_model_open(path, NULL, out, err);
    if (s != CVS_OK) {
        assert_true(err->message[0] && err->file[0]);
    }
    cvi_free(path);
    return s;
}

static void side_files_stay_beneath(void **state) {
    (void)state;
    const float numbers[4] = {9, 8, 1.5f, -2};
    char folder[256], outside[256];
    cvs_error err;
    cvs_model *m = NULL;
    test_folder(folder);
    test_folder(outside);
    write_text(folder, "w.bin", numbers, sizeof numbers);
    write_text(outside, "w.bin", numbers, sizeof numbers);
    side_model(folder, "w.bin", "8", "8", "checksum");
    assert_int_equal(open_in(folder, "m.onnx", &m, &err), CVS_OK);
    const cvs_tensor *w = m->graph->values[cvi_graph_find(m->graph, "w")].constant;
    assert_true(((const float *)w->data)[0] == 1.5f && ((const float *)w->data)[1] == -2);
    cvs_model_free(m);
    char up[600], link_path[300], target[300];
    snprintf(up, sizeof up, "../%s/w.bin", cvi_path_base(outside));
    snprintf(link_path, sizeof link_path, "%s/link.bin", folder);
    snprintf(target, sizeof target, "%s/w.bin", outside);
    assert_int_equal(symlink(target, link_path), 0);
    snprintf(link_path, sizeof link_path, "%s/hard.bin", folder);
    assert_int_equal(link(target, link_path), 0);
    snprintf(link_path, sizeof link_path, "%s/dir", folder);
    assert_int_equal(symlink(outside, link_path), 0);
    static const struct {
        const char *location, *offset, *length, *extra;
    } wrong[] = {{NULL, "0", "8", NULL},
                 {"link.bin", "0", "8", NULL},
                 {"hard.bin", "0", "8", NULL},
                 {"dir/w.bin", "0", "8", NULL},
                 {"x/../w.bin", "0", "8", NULL},
                 {"/etc/passwd", NULL, NULL, NULL},
                 {"absent.bin", "0", "8", NULL},
                 {"", "0", "8", NULL},
                 {"w.bin", "-8", "8", NULL},
                 {"w.bin", "9223372036854775807", "8", NULL},
                 {"w.bin", "12", "8", NULL},
                 {"w.bin", "0", "16", NULL},
                 {"w.bin", "0", "-1", NULL},
                 {"w.bin", "0x0", "8", NULL},
                 {"w.bin", "99999999999999999999", "8", NULL},
                 {"w.bin", "0", "8", "owner"},
                 {"m.onnx", "0", "999999999999", NULL}};
    for (int i = 0; i < CVI_COUNT(wrong); i++) {
        side_model(folder, wrong[i].location ? wrong[i].location : up, wrong[i].offset, wrong[i].length,
                   wrong[i].extra);
        cvs_status s = open_in(folder, "m.onnx", &m, &err);
        if (s == CVS_OK) {
            fail_msg("case %d was opened", i);
        }
    }
    const char *const names[] = {"m.onnx", "w.bin", "link.bin", "hard.bin", "dir"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        snprintf(link_path, sizeof link_path, "%s/%s", folder, names[i]);
        assert_int_equal(unlink(link_path), 0);
    }
    assert_int_equal(unlink(target), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rmdir(outside), 0);
}

/* ---- writing and reading again ---- */

static void same_graphs(const cvi_graph *a, const cvi_graph *b) {
    assert_int_equal(a->n_nodes, b->n_nodes);
    assert_int_equal(a->n_inputs, b->n_inputs);
    assert_int_equal(a->n_outputs, b->n_outputs);
    assert_int_equal(cvi_graph_n_layers(a), cvi_graph_n_layers(b));
    for (int n = 0; n < a->n_nodes; n++) {
        const cvi_node *x = &a->nodes[n], *y = &b->nodes[n];
        assert_string_equal(x->op, y->op);
        assert_string_equal(x->layer, y->layer);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->n_in, y->n_in);
        assert_int_equal(x->n_attr, y->n_attr);
        for (int k = 0; k < x->n_in; k++) {
            const cvs_tensor *s = x->in[k] >= 0 ? a->values[x->in[k]].constant : NULL;
            const cvs_tensor *t = y->in[k] >= 0 ? b->values[y->in[k]].constant : NULL;
            assert_int_equal(x->in[k] < 0, y->in[k] < 0);
            assert_int_equal(s == NULL, t == NULL);
            if (s) {
                assert_int_equal(s->bytes, t->bytes);
                assert_true(s->bytes == 0 || memcmp(s->data, t->data, s->bytes) == 0);
            }
        }
        for (int k = 0; k < x->n_attr; k++) {
            assert_string_equal(x->attr[k].name, y->attr[k].name);
            assert_int_equal(x->attr[k].kind, y->attr[k].kind);
            assert_true(x->attr[k].i == y->attr[k].i && x->attr[k].f == y->attr[k].f &&
                        x->attr[k].n == y->attr[k].n);
            if (x->attr[k].graph) {
                same_graphs(x->attr[k].graph, y->attr[k].graph);
            }
        }
    }
}

static void round_trip(const char *name, int64_t max_inline, bool expect_side) {
    char folder[256], path[600], from[512];
    cvs_error err = {0};
    cvs_model *a = NULL, *b = NULL;
    cvs_model_info info;
    test_folder(folder);
    snprintf(path, sizeof path, "%s/out.onnx", folder);
    fixture_path(from, sizeof from, name);
    test_ok(cvs_model_open, from, NULL, &a);
    assert_int_equal(cvi_onnx_write(a, path, max_inline, &err), CVS_OK);
    test_ok(cvs_model_open, path, NULL, &b);
    same_graphs(a->graph, b->graph);
    cvs_model_describe(b, &info);
    assert_string_equal(info.format, "ONNX");
    assert_non_null(strstr(info.producer, "convscope"));
    cvs_model_free(a);
    cvs_model_free(b);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/out.onnx.data", folder);
    assert_int_equal(unlink(path) == 0, expect_side);
    assert_int_equal(rmdir(folder), 0);
}

static void written_models_read_back(void **state) {
    (void)state;
    static const char *const names[] = {
        "functions",  "if_captures", "attributes_9", "softmax_11_flattens", "constants",
        "typed_data", "side_file",   "small_types",  "resize_11_sizes",     "batchnorm_7"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        round_trip(names[i], CVI_ONNX_MAX_INLINE, false);
    }
}

/* A model of one large weight [n] with names and preprocessing, written and read from a file that is mapped. */
static void large_weights_are_not_copied(void **state) {
    (void)state;
    char folder[256], path[600];
    cvs_error err = {0};
    test_folder(folder);
    snprintf(path, sizeof path, "%s/big.onnx", folder);
    for (int round = 0; round < 2; round++) {
        cvs_model *m = cvi_model_new(NULL, &err), *back = NULL;
        const int64_t dim[1] = {300000 + round};
        cvs_tensor t;
        assert_int_equal(cvs_tensor_new(&t, CVS_F32, 1, dim, &err), CVS_OK);
        ((float *)t.data)[299999] = 7;
        m->graph = cvi_graph_new(m, NULL, "big", &err);
        int x = cvi_graph_value(m->graph, "x", CVS_F32, 1, dim, &err), in[2] = {x, -1};
        in[1] = cvi_graph_constant(m->graph, "w", &t, &err);
        assert_true(cvi_graph_add_input(m->graph, x));
        assert_true(cvi_graph_add_output(m->graph, cvi_graph_op(m->graph, "Add", 2, in, "y", 0, NULL, &err)));
        assert_int_equal(cvi_graph_finish(m->graph, &err), CVS_OK);
        m->n_classes = 2;
        m->classes = (const char *const[]){"cat \"big\"", "\xe7\x8c\xab"};
        m->classes_from = "here";
        assert_int_equal(cvs_preprocess_parse("ImageNet-torch,size=256", &m->preprocess, &err), CVS_OK);
        m->preprocess.known = true;
        assert_int_equal(cvi_onnx_write(m, path, round ? 100000 : CVI_ONNX_MAX_INLINE, &err), CVS_OK);
        test_ok(cvs_model_open, path, NULL, &back);
        const cvs_tensor *w = back->graph->values[cvi_graph_find(back->graph, "w")].constant;
        bool inside = false;
        for (int i = 0; i < back->n_files; i++) {
            const uint8_t *at = w->data;
            inside |= at >= back->files[i].data && at < back->files[i].data + back->files[i].size;
        }
        assert_true(inside);
        assert_int_equal((uintptr_t)w->data % 64, 0);
        assert_true(((const float *)w->data)[299999] == 7);
        assert_true(back->preprocess.known && back->preprocess.resize_to == 256);
        assert_int_equal(back->n_classes, 0); /* 2 names for 300000 outputs are not used, and that is said */
        assert_int_equal(back->n_notes, 1);
        cvs_model_free(m);
        cvs_model_free(back);
        cvs_tensor_free(&t);
        assert_int_equal(unlink(path), 0);
    }
    snprintf(path, sizeof path, "%s/big.onnx.data", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void writing_survives_failures(void **state) {
    (void)state;
    char folder[256], path[600], from[512];
    cvs_model *m = NULL;
    test_folder(folder);
    snprintf(path, sizeof path, "%s/out.onnx", folder);
    fixture_path(from, sizeof from, "if_captures");
    test_ok(cvs_model_open, from, NULL, &m);
    for (int io = 0; io < 2; io++) {
        for (int k = 0;; k++) {
            cvs_error err = {0};
            test_fail_from(io ? -1 : k, io ? k : -1);
            cvs_status s = cvi_onnx_write(m, path, CVI_ONNX_MAX_INLINE, &err);
            cvi_set_hooks(NULL);
            if (!test_has_failed()) {
                assert_int_equal(s, CVS_OK);
                break;
            }
            /* Nothing is left; only making the finished file's folder durable may fail unsaid. */
            assert_int_equal(cvi_is_file(path), s == CVS_OK);
            assert_true(s == CVS_OK || s == (io ? CVS_E_IO : CVS_E_MEMORY));
        }
        assert_int_equal(unlink(path), 0);
    }
    cvs_model_free(m);
    assert_int_equal(rmdir(folder), 0);
}

static void half_floats_are_widened_unless_kept(void **state) {
    (void)state;
    cvi_file f = fixture("small_types");
    for (int keep = 0; keep < 2; keep++) {
        cvs_error err = {0};
        cvs_model *m = NULL;
        const cvs_open_options options = {.keep_types = keep};
        assert_int_equal(cvs_model_open_memory(f.data, f.size, "m", &options, &m, &err), CVS_OK);
        const cvs_tensor *h = m->graph->values[cvi_graph_find(m->graph, "h")].constant;
        assert_int_equal(h->dtype, keep ? CVS_F16 : CVS_F32);
        assert_int_equal(m->widened, !keep);
        assert_int_equal(m->n_notes, !keep);
        if (!keep) {
            assert_true(((const float *)h->data)[2] == 65504);
        }
        cvs_model_free(m);
    }
    cvi_file_close(&f);
}

/* The names of classes that exporters of classifiers keep: in ZipMap, in LabelEncoder, in a tensor of words. */
static void classes_of_classifiers(void **state) {
    (void)state;
    static const char *const names[] = {"classes_feature.onnx", "classes_zipmap.onnx",
                                        "classes_encoder.onnx"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        char path[512];
        test_data(path, sizeof path, "onnx_words", names[i]);
        cvs_model *m = test_open(path);
        assert_int_equal(m->n_classes, 3);
        assert_string_equal(m->classes[0], "Katze");
        assert_string_equal(m->classes[1], "dog \"big\"");
        assert_string_equal(m->classes[2], "\xe9\xb8\x9f");
        assert_string_equal(m->graph->values[m->graph->outputs[0]].name, i == 2 ? "p" : "loss");
        cvs_model_free(m);
    }
}

static int count_nodes(const cvi_graph *g, const char *op) {
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        n += strcmp(g->nodes[i].op, op) == 0;
    }
    return n;
}

/* Integers between two quantised layers become one rounding, those of weights numbers; where integers are handed out, they stay. */
static void quantised_layers_are_real(void **state) {
    (void)state;
    char path[512];
    fixture_path(path, sizeof path, "ort_qlinear_conv");
    cvs_model *m = test_open(path);
    assert_int_equal(count_nodes(m->graph, "convscope::Requantize"),
                     2); /* of the picture, of the convolution */
    assert_int_equal(count_nodes(m->graph, "QuantizeLinear"), 0);
    assert_int_equal(count_nodes(m->graph, "DequantizeLinear"), 0);
    for (int i = 0; i < m->graph->n_nodes; i++) {
        const cvi_node *n = &m->graph->nodes[i];
        for (int k = 1; strcmp(n->op, "Conv") == 0 && k < 3; k++) {
            assert_int_equal(m->graph->values[n->in[k]].constant->dtype, CVS_F32);
        }
    }
    cvs_model_free(m);
    fixture_path(path, sizeof path, "ort_qlinear_pools");
    m = test_open(path);
    assert_int_equal(count_nodes(m->graph, "convscope::Requantize"), 1);
    assert_int_equal(count_nodes(m->graph, "QuantizeLinear"), 4);
    cvs_model_free(m);
}

/* Weights alone are integers: the product is one of real numbers, of an input rounded by its own range. */
static void dynamic_products_are_real(void **state) {
    (void)state;
    char path[512];
    fixture_path(path, sizeof path, "ort_dynamic_conv");
    cvs_model *m = test_open(path);
    const cvi_graph *g = m->graph;
    assert_int_equal(g->n_nodes, 4); /* the range, rounding, convolution, bias */
    assert_int_equal(count_nodes(g, "ConvInteger") + count_nodes(g, "Cast") + count_nodes(g, "Mul"), 0);
    assert_int_equal(count_nodes(g, "convscope::Requantize"), 1);
    assert_int_equal(count_nodes(g, "Conv"), 1);
    cvs_model_free(m);
    fixture_path(path, sizeof path, "ort_dynamic_matmul");
    m = test_open(path);
    assert_int_equal(count_nodes(m->graph, "DequantizeLinear"), 0);
    assert_int_equal(count_nodes(m->graph, "convscope::Requantize"), 2);
    cvs_model_free(m);
}

/* A file that takes pictures with channels last and turns them: the graph takes them turned, files of numbers stay as they were. */
static void pictures_last(void **state) {
    (void)state;
    char model[512], in[512], out[512];
    test_data(model, sizeof model, "onnx_last", "model.onnx");
    test_data(in, sizeof in, "onnx_last", "in.npy");
    test_data(out, sizeof out, "onnx_last", "out.npy");
    cvs_model *m = reader_open(model, NULL);
    const cvi_value *v = &m->graph->values[m->graph->inputs[0]];
    assert_int_equal(v->dim[1], 3);
    assert_int_equal(v->dim[3], 6);
    assert_int_equal(v->file_layout, CVI_FILE_LAST);
    cvs_model_free(m);
    reader_matches(model, NULL, in, out, 2e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_is_said),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(every_failing_allocation_is_said),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(wrong_graphs_are_located),
        cmocka_unit_test(cyclic_functions_are_refused),
        cmocka_unit_test(doubling_functions_are_bounded),
        cmocka_unit_test(side_files_stay_beneath),
        cmocka_unit_test(written_models_read_back),
        cmocka_unit_test(large_weights_are_not_copied),
        cmocka_unit_test(writing_survives_failures),
        cmocka_unit_test(half_floats_are_widened_unless_kept),
        cmocka_unit_test(classes_of_classifiers),
        cmocka_unit_test(quantised_layers_are_real),
        cmocka_unit_test(dynamic_products_are_real),
        cmocka_unit_test(pictures_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
