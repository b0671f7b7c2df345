/* SPDX-License-Identifier: MIT
 * test_dissect.c - network dissection: a map that is the object's mask has an intersection over union of 1, a threshold above all gives 0,
 * one below all the object's own share; anything else as counted by hand.
 */
#include "convscope/dissect.h"
#include "explain_asked.h"

enum { SIDE = 64, PLANE = SIDE * SIDE, SEEN = 3 };

typedef struct things {
    net n;
    cvs_data *data;
    cvs_data_info info;
    uint8_t mask[SEEN][PLANE];
    int label[SEEN];
} things;

/* x [N,3,64,64] -> 1x1 convolution "maps" of 2 maps (-> "known": plus the first picture's mask). */
static void begin_things(things *t, bool known) {
    net *n = &t->n;
    net_begin(n, CVS_F32);
    NET_OK(n, cvs_data_open("generated:things", &(cvs_data_options){.split = CVS_TEST}, &t->data, &n->err));
    cvs_data_describe(t->data, &t->info);
    for (int i = 0; i < SEEN; i++) {
        cvs_tensor seen, mask;
        NET_OK(n, cvs_data_get(t->data, i, &seen, &t->label[i], &mask, &n->err));
        assert_int_equal(cvs_tensor_count(&mask), PLANE);
        memcpy(t->mask[i], mask.data, PLANE);
        cvs_tensor_free(&seen);
        cvs_tensor_free(&mask);
    }
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, SIDE, SIDE});
    int w = net_weight(n, "maps_w", 4, (int64_t[]){2, 3, 1, 1}, 0.5);
    int v = net_op(n, "Conv", "maps", 2, (int[]){x, w}, 0, NULL);
    if (known) {
        cvs_tensor add = {
            .dtype = CVS_F32, .rank = 4, .dim = {1, 1, SIDE, SIDE}, .bytes = PLANE * sizeof(float)};
        add.data = cvi_arena_alloc(n->model->arena, PLANE, sizeof(float));
        for (int i = 0; i < PLANE; i++) {
            ((float *)add.data)[i] = t->mask[0][i] ? 1.0f : 0.0f;
        }
        memset(n->g->values[w].constant->data, 0, 6 * sizeof(float));
        int c = cvi_graph_constant(n->g, "mask", &add, &n->err);
        v = net_op(n, "Add", "known", 2, (int[]){v, c}, 0, NULL);
    }
    net_finish(n, v);
}

static void end_things(things *t) {
    cvs_data_free(t->data);
    net_end(&t->n);
}

static void the_mask_itself(void **state) {
    (void)state;
    things t;
    cvs_dissection d;
    begin_things(&t, true);
    double on = 0;
    for (int i = 0; i < PLANE; i++) {
        on += t.mask[0][i] != 0;
    }
    cvs_dissect_options o = {.layer = "known", .pictures = 1, .share = on / PLANE};
    NET_OK(&t.n, cvs_dissect(t.n.model, NULL, t.data, &o, &d, &t.n.err));
    assert_int_equal(d.channels, 2);
    assert_int_equal(d.best[1], t.label[0]);
    for (int k = 0; k < d.classes; k++) {
        assert_true(d.iou[k] == (k == t.label[0] ? 1.0 : 0.0));
    }
    cvs_dissection_free(&d);
    o.has_share = true; /* nothing lies above the largest */
    o.share = 0;
    NET_OK(&t.n, cvs_dissect(t.n.model, NULL, t.data, &o, &d, &t.n.err));
    for (int k = 0; k < d.channels * d.classes; k++) {
        assert_true(d.iou[k] == 0.0);
    }
    cvs_dissection_free(&d);
    o.share = 1; /* everything lies above */
    NET_OK(&t.n, cvs_dissect(t.n.model, NULL, t.data, &o, &d, &t.n.err));
    assert_true(fabs(d.iou[t.label[0]] - on / PLANE) < 1e-12);
    cvs_dissection_free(&d);
    end_things(&t);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void counted_by_hand(void **state) {
    (void)state;
    things t;
    cvs_dissection d;
    begin_things(&t, false);
    cvs_dissect_options o = {.layer = "maps", .pictures = SEEN, .share = 0.1};
    NET_OK(&t.n, cvs_dissect(t.n.model, NULL, t.data, &o, &d, &t.n.err));
    const float *w = t.n.g->values[cvi_graph_find(t.n.g, "maps_w")].constant->data;
    const cvs_preprocess *p = &t.n.model->preprocess;
    double scale = p->scale > 0 ? p->scale : 1.0 / 255;
    for (int c = 0; c < 2; c++) {
        double *v = calloc(SEEN * PLANE, sizeof *v), *sorted = calloc(SEEN * PLANE, sizeof *v);
        for (int i = 0; i < SEEN; i++) {
            cvs_tensor seen;
            int label;
            NET_OK(&t.n, cvs_data_get(t.data, i, &seen, &label, NULL, &t.n.err));
            for (int k = 0; k < 3 * PLANE; k++) {
                double x = ((double)((const uint8_t *)seen.data)[k] * scale - p->mean[k % 3]) /
                           (p->std[k % 3] != 0 ? p->std[k % 3] : 1);
                v[i * PLANE + k / 3] += (double)w[c * 3 + k % 3] * x;
            }
            cvs_tensor_free(&seen);
        }
        memcpy(sorted, v, SEEN * PLANE * sizeof *v);
        qsort(sorted, SEEN * PLANE, sizeof *v, by_size);
        assert_true(fabs(d.threshold[c] - sorted[SEEN * PLANE / 10]) < 1e-5);
        for (int k = 0; k < d.classes; k++) {
            double both = 0, either = 0;
            for (int i = 0; i < SEEN * PLANE; i++) {
                bool lit = v[i] > d.threshold[c] + 1e-6;
                bool object = t.label[i / PLANE] == k && t.mask[i / PLANE][i % PLANE];
                both += lit && object;
                either += lit || object;
            }
            assert_true(fabs(d.iou[c * d.classes + k] - both / either) < 2e-3);
        }
        free(v);
        free(sorted);
    }
    cvs_dissection_free(&d);
    end_things(&t);
}

static void mistakes_are_sentences(void **state) {
    (void)state;
    things t;
    cvs_dissection d;
    begin_things(&t, false);
    assert_int_equal(cvs_dissect(t.n.model, NULL, t.data, &(cvs_dissect_options){.share = 2}, &d, &t.n.err),
                     CVS_E_ARGUMENT);
    assert_int_equal(
        cvs_dissect(t.n.model, NULL, t.data, &(cvs_dissect_options){.layer = "none"}, &d, &t.n.err),
        CVS_E_NOT_FOUND);
    end_things(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mask_itself),
        cmocka_unit_test(counted_by_hand),
        cmocka_unit_test(mistakes_are_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
