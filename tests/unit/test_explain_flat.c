/* SPDX-License-Identifier: MIT
 * test_explain_flat.c - networks whose pictures have no channel axis, x [N,H,W]: every method says of them what it says of the same
 * network with one, x [N,1,H,W].
 */
#include "convscope/check.h"
#include "convscope/invariance.h"
#include "explain_asked.h"

#include <unistd.h>

/* A constant of four whole numbers. */
static int shape_of(net *n, const int64_t dim[4]) {
    cvs_tensor t = {.dtype = CVS_I64, .rank = 1, .dim = {4}, .bytes = 4 * sizeof *dim};
    t.data = cvi_arena_alloc(n->model->arena, 4, sizeof *dim);
    assert_non_null(t.data);
    memcpy(t.data, dim, t.bytes);
    int v = cvi_graph_constant(n->g, "shape", &t, &n->err);
    assert_true(v >= 0);
    return v;
}

/* x [N,12,10] or [N,1,12,10] -> conv1 -> relu -> conv2 -> global average pool -> dense "logits" -> softmax, the same numbers in both. */
static void begin_of(asked *a, bool flat) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int v = net_input(n, "x", CVS_F32, flat ? 3 : 4, flat ? (int64_t[]){-1, H, W} : (int64_t[]){-1, 1, H, W});
    int shape = shape_of(n, (int64_t[]){-1, 1, H, W});
    v = net_op(n, "Reshape", "picture", 2, (int[]){v, shape}, 0, NULL);
    v = net_relu(n, "relu1", net_conv(n, "conv1", v, 1, 4, 1));
    v = net_conv(n, "conv2", v, 4, MAPS, 1);
    int p = net_op(n, "GlobalAveragePool", "gap", 1, &v, 0, NULL);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), MAPS, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    cvs_tensor one = net_tensor(n, 4, (int64_t[]){1, 1, H, W}, 5);
    a->x = one;
    if (flat) {
        a->x.rank = 3;
        a->x.dim[1] = H;
        a->x.dim[2] = W;
    }
    NET_OK(n, cvs_run_new(n->model, &(cvs_run_options){.threads = 1}, &a->run, &n->err));
    NET_OK(n, cvs_run_tensors(a->run, &a->x, 1, &n->err));
}

static void every_method_is_the_same(void **state) {
    (void)state;
    asked flat, usual;
    begin_of(&flat, true);
    begin_of(&usual, false);
    static const char *const baselines[] = {"blur", "mean", "noise"};
    for (int i = 0; i < cvs_method_count(); i++) {
        cvs_method_info m;
        NET_OK(&flat.n, cvs_method_describe(i, CVS_EN, &m, &flat.n.err));
        cvs_explain_options o = {
            .samples = 300, .steps = 4, .patch = 5, .stride = 3, .baseline = baselines[i % 3]};
        cvs_explanation e = ask_signed(&flat, m.name, o), f = ask_signed(&usual, m.name, o);
        if (e.kind == CVS_MAP_PIXELS && (e.map.rank != 3 || e.map.dim[1] != H || e.map.dim[2] != W)) {
            fail_msg("%s: a map of pixels has another shape than the picture", m.name);
        }
        assert_int_equal(cvs_tensor_count(&e.map), cvs_tensor_count(&f.map));
        double most = largest(&f.map);
        for (int64_t k = 0; k < cvs_tensor_count(&f.map); k++) {
            if (fabs(cvi_get(&e.map, k) - cvi_get(&f.map, k)) > 1e-5 * most) {
                fail_msg("%s differs at %d", m.name, (int)k);
            }
        }
        assert_true(most > 0.0);
        cvs_explanation_free(&e);
        cvs_explanation_free(&f);
    }
    end(&flat);
    end(&usual);
}

/* Every measure of a check, and a baseline from a file without the channel axis. */
static void checks_and_files(void **state) {
    (void)state;
    asked flat, usual;
    begin_of(&flat, true);
    begin_of(&usual, false);
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/baseline.npy", folder);
    cvs_tensor base = net_tensor(&flat.n, 3, (int64_t[]){1, H, W}, 8);
    NET_OK(&flat.n, cvs_npy_write(path, &base, &flat.n.err));
    cvs_explain_options o = {.method = "integrated-gradients", .baseline = path, .steps = 8};
    cvs_explanation e = ask_with(&flat, o.method, o), f = ask_with(&usual, o.method, o);
    assert_true(fabs(e.completeness_of - f.completeness_of) < 1e-6);
    base.rank = 2; /* without the batch dimension */
    base.dim[0] = H;
    base.dim[1] = W;
    NET_OK(&flat.n, cvs_npy_write(path, &base, &flat.n.err));
    cvs_tensor_free(&base);
    cvs_explanation again = ask_with(&flat, o.method, o);
    assert_true(net_difference(&e.map, &again.map) <= 0.0);
    cvs_explanation_free(&again);
    o.baseline = "blur";
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    e = ask_with(&flat, o.method, o);
    f = ask_with(&usual, o.method, o);
    cvs_checked c, d;
    o.target.index = 1;
    NET_OK(&flat.n, cvs_check(flat.run, &o, &e, NULL, &c, &flat.n.err));
    NET_OK(&usual.n, cvs_check(usual.run, &o, &f, NULL, &d, &usual.n.err));
    for (int m = 0; m < CVS_N_METRICS; m++) {
        assert_int_equal(c.metric[m].known, d.metric[m].known);
        assert_true(fabs(c.metric[m].value - d.metric[m].value) < 1e-4);
    }
    unlink(path);
    rmdir(folder);
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    end(&flat);
    end(&usual);
}

static void expect_equal(const cvs_tensor *a, const cvs_tensor *b) {
    double most = largest(b);
    assert_int_equal(cvs_tensor_count(a), cvs_tensor_count(b));
    assert_true(most > 0.0);
    for (int64_t i = 0; i < cvs_tensor_count(a); i++) {
        assert_true(fabs(cvi_get(a, i) - cvi_get(b, i)) <= 1e-4 * most);
    }
}

/* Pictures made up in both modes, an inversion and a dream. */
static void pictures_are_made_up_alike(void **state) {
    (void)state;
    asked both[2];
    cvs_tensor photo = {0}, dreamt[2];
    begin_of(&both[0], true);
    begin_of(&both[1], false);
    NET_OK(&both[0].n, cvs_tensor_new(&photo, CVS_U8, 3, (int64_t[]){20, 20, 3}, &both[0].n.err));
    for (int i = 0; i < 1200; i++) {
        ((uint8_t *)photo.data)[i] = (uint8_t)(i * 7 % 256);
    }
    static const cvs_want wants[] = {CVS_WANT_CHANNEL, CVS_WANT_CLASS, CVS_WANT_NEURON, CVS_WANT_LIKENESS};
    for (int k = 0; k < CVI_COUNT(wants); k++) {
        cvs_feature f[2];
        for (int i = 0; i < 2; i++) {
            cvs_feature_maker *m;
            cvs_feature_options o = {.mode = k % 2 ? CVS_FEATURE_BOOK : CVS_FEATURE_FOURIER,
                                     .want = wants[k],
                                     .steps = 3,
                                     .layer = "conv2",
                                     .like = wants[k] == CVS_WANT_LIKENESS ? &photo : NULL};
            NET_OK(&both[i].n, cvs_feature_maker_new(both[i].n.model, NULL, &o, &m, &both[i].n.err));
            NET_OK(&both[i].n, cvs_feature_make(m, 1, &f[i], &both[i].n.err));
            cvs_feature_maker_free(m);
        }
        expect_equal(&f[0].input, &f[1].input);
        cvs_tensor file = {0};
        NET_OK(&both[0].n, cvs_feature_file(&f[0], "nhwc", &file, &both[0].n.err));
        assert_int_equal(file.rank, 3);
        assert_true(file.dim[1] == H && file.dim[2] == W);
        cvs_tensor_free(&file);
        cvs_feature_free(&f[0]);
        cvs_feature_free(&f[1]);
    }
    for (int i = 0; i < 2; i++) {
        cvs_dream_options o = {.steps = 2, .octaves = 2};
        NET_OK(&both[i].n, cvs_dream(both[i].n.model, NULL, &photo, &o, &dreamt[i], &both[i].n.err));
    }
    expect_equal(&dreamt[0], &dreamt[1]);
    cvs_tensor_free(&dreamt[0]);
    cvs_tensor_free(&dreamt[1]);
    cvs_tensor_free(&photo);
    end(&both[0]);
    end(&both[1]);
}

/* A unit's projection and how far layers move with the picture. */
static void units_and_moves_are_alike(void **state) {
    (void)state;
    asked both[2];
    cvs_projection p[2];
    cvs_invariance v[2];
    cvs_tensor photo = {0};
    begin_of(&both[0], true);
    begin_of(&both[1], false);
    NET_OK(&both[0].n, cvs_tensor_new(&photo, CVS_U8, 3, (int64_t[]){H, W, 3}, &both[0].n.err));
    for (int i = 0; i < H * W * 3; i++) {
        ((uint8_t *)photo.data)[i] = (uint8_t)(i * 11 % 256);
    }
    for (int i = 0; i < 2; i++) {
        cvs_unit_options o = {.layer = "conv2", .channel = 2};
        cvs_invariance_options moves = {.steps = 4, .target = 1};
        NET_OK(&both[i].n, cvs_project(both[i].run, &o, &p[i], &both[i].n.err));
        NET_OK(&both[i].n,
               cvs_measure_invariance(both[i].n.model, NULL, &photo, &moves, &v[i], &both[i].n.err));
    }
    expect_equal(&p[0].map, &p[1].map);
    assert_int_equal(p[0].map.rank, 4);
    for (int c = 0; c < CVS_CHANGES; c++) {
        for (int k = 0; k < 4; k++) {
            assert_true(fabs(v[0].distance[c][1][k] - v[1].distance[c][1][k]) <= 1e-4 * v[1].size[1]);
            assert_true(fabs(v[0].probability[c][k] - v[1].probability[c][k]) <= 1e-5);
        }
    }
    cvs_tensor file = {0};
    NET_OK(&both[0].n, cvs_projection_file(&p[0], NULL, &file, &both[0].n.err));
    assert_true(file.rank == 3 && file.dim[1] == H && file.dim[2] == W);
    cvs_tensor_free(&file);
    cvs_tensor_free(&photo);
    for (int i = 0; i < 2; i++) {
        cvs_projection_free(&p[i]);
        cvs_invariance_free(&v[i]);
        end(&both[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_the_same),
        cmocka_unit_test(checks_and_files),
        cmocka_unit_test(pictures_are_made_up_alike),
        cmocka_unit_test(units_and_moves_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
