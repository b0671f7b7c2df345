/* SPDX-License-Identifier: MIT
 * onnx_words.c - tensors of words among a graph's initializers. No operator of ours computes with words; exporters of classifiers keep the
 * names of classes in one, which ArrayFeatureExtractor reads by the index of the best.
 */
#include "onnx.h"

/* Whether its type says words. */
static cvs_status says_words(const cvi_pb *r, bool *is) {
    cvi_pb walk = *r;
    cvi_pb_field f;
    do {
        CVI_TRY(cvi_pb_next(&walk, &f));
        *is = *is || (f.number == 2 && f.wire == CVI_PB_VARINT && f.value == 8);
    } while (f.number);
    return CVS_OK;
}

enum { MOST_TENSORS = 64 }; /* they are looked up one by one */

static cvs_status read_words(cvi_onnx *o, const cvi_pb *r, cvi_onnx_words *w, int most) {
    cvi_pb walk = *r;
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&walk, &f));
        if (!f.number || w->n == most) {
            return CVS_OK;
        }
        if (f.number == 6) {
            CVI_TRY(cvi_pb_string(&walk, o->model->arena, &f, o->model->limits.max_name_bytes,
                                  "TensorProto.string_data", &w->words[w->n]));
            w->n++;
        }
    }
}

cvs_status cvi_onnx_keep_words(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                               const char *name) {
    cvi_pb r;
    int counts[7];
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    CVI_TRY(cvi_onnx_count(&r, CVI_COUNT(counts), counts));
    bool words = false;
    CVI_TRY(says_words(&r, &words));
    if (!words || counts[6] == 0 || o->n_words == MOST_TENSORS) {
        return CVS_OK;
    }
    cvi_onnx_words *w = cvi_onnx_alloc(o, 1, sizeof *w);
    if (!w) {
        return CVS_E_MEMORY;
    }
    *w = (cvi_onnx_words){.name = name, .next = o->words};
    w->words = cvi_arena_alloc(o->model->arena, counts[6], sizeof *w->words);
    if (!w->words) {
        return cvi_no_memory(o->err, (size_t)counts[6] * sizeof *w->words);
    }
    CVI_TRY(read_words(o, &r, w, counts[6]));
    o->words = w;
    o->n_words++;
    return CVS_OK;
}

const cvi_onnx_words *cvi_onnx_find_words(const cvi_onnx *o, const char *name) {
    const cvi_onnx_words *w = o->words;
    for (; w && strcmp(w->name, name) != 0; w = w->next) {}
    return w;
}
