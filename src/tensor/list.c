/* SPDX-License-Identifier: MIT
 * list.c - packing of lists of tensors; see list.h. Words: kind, count, then for each element its type, its rank, its sides and its numbers
 * from the next word on.
 */
#include "base/base.h"
#include "tensor/list.h"

/* Words of the numbers of t; -1: no such tensor. */
static int64_t data_words(const cvs_tensor *t) {
    int64_t bytes = 0, count = cvs_tensor_count(t), size = (int64_t)cvs_dtype_size(t->dtype);
    if (count < 0 || size == 0 || !cvi_mul(count, size, &bytes)) {
        return -1;
    }
    return bytes / 8 + (bytes % 8 != 0);
}

int64_t cvi_list_words(int64_t n, const cvs_tensor *element) {
    int64_t words = 2;
    for (int64_t i = 0; i < n; i++) {
        int64_t data = data_words(&element[i]);
        if (data < 0 || !cvi_add(words, data, &words) || !cvi_add(words, 2 + element[i].rank, &words)) {
            return -1;
        }
    }
    return words;
}

void cvi_list_fill(int kind, int64_t n, const cvs_tensor *element, int64_t *words) {
    *words++ = kind;
    *words++ = n;
    for (int64_t i = 0; i < n; i++) {
        const cvs_tensor *t = &element[i];
        int64_t data = data_words(t);
        *words++ = t->dtype;
        *words++ = t->rank;
        for (int a = 0; a < t->rank; a++) {
            *words++ = t->dim[a];
        }
        if (data > 0) {
            words[data - 1] = 0; /* what fills up the last word */
            memcpy(words, t->data, (size_t)cvs_tensor_count(t) * cvs_dtype_size(t->dtype));
        }
        words += data;
    }
}

static cvs_status damaged(cvs_error *err) {
    return cvi_fail(err, CVS_E_FORMAT, "this is not a sequence of tensors");
}

/* The element at *at, which moves on. */
static bool next_element(const int64_t *words, int64_t n, int64_t *at, cvs_tensor *out) {
    if (n - *at < 2 || words[*at] < 0 || words[*at] > CVI_LIST || words[*at + 1] < 0 ||
        words[*at + 1] > CVS_MAX_RANK || n - *at - 2 < words[*at + 1]) {
        return false;
    }
    *out = (cvs_tensor){.dtype = (cvs_dtype)words[*at], .rank = (int)words[*at + 1]};
    *at += 2;
    for (int a = 0; a < out->rank; a++) {
        out->dim[a] = words[(*at)++];
    }
    int64_t data = data_words(out);
    if (data < 0 || data > n - *at) {
        return false;
    }
    out->bytes = (size_t)cvs_tensor_count(out) * cvs_dtype_size(out->dtype);
    out->data = data > 0 ? (void *)(uintptr_t)(words + *at) : NULL;
    *at += data;
    return true;
}

cvs_status cvi_list_open(const cvs_tensor *t, int *kind, int64_t *n, cvs_tensor *element, cvs_error *err) {
    const int64_t *words = t->data;
    int64_t total = cvs_tensor_count(t), at = 2;
    if (t->dtype != CVI_LIST || t->rank != 1 || total < 2 || words == NULL ||
        (words[0] != CVI_LIST_SEQUENCE && words[0] != CVI_LIST_OPTIONAL) || words[1] < 0 ||
        words[1] > total) {
        return damaged(err);
    }
    *kind = (int)words[0];
    *n = words[1];
    for (int64_t i = 0; i < *n; i++) {
        cvs_tensor one;
        if (!next_element(words, total, &at, &one)) {
            return damaged(err);
        }
        if (element != NULL) {
            element[i] = one;
        }
    }
    return at == total ? CVS_OK : damaged(err);
}
