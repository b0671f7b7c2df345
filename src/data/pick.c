/* SPDX-License-Identifier: MIT
 * pick.c - which pictures of a source make a set: the share held out for testing, a limit spread over the classes, hashes.
 */
#include <math.h>
#include <stdlib.h>

#include "data/dataset.h"

#define DEFAULT_HOLDOUT 0.1
#define HOLDOUT_PURPOSE 0x686F6C646F7574u /* "holdout" */

uint64_t cvi_hash(uint64_t hash, const void *data, size_t n) {
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ p[i]) * 0x100000001B3u;
    }
    return hash;
}

uint64_t cvi_hash_number(uint64_t hash, uint64_t number) {
    uint8_t bytes[8]; /* the same on machines of either byte order */
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    return cvi_hash(hash, bytes, sizeof bytes);
}

typedef struct ticket {
    uint64_t key;
    int64_t index;
    int label;
} ticket;

static int by_label_and_key(const void *a, const void *b) {
    const ticket *x = a, *y = b;
    if (x->label != y->label) {
        return x->label < y->label ? -1 : 1;
    }
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Marks in keep[n] what stays: of every class its first round(share * members) by random key are test pictures; one at
 * least where there are two, never all. */
static void hold_out(ticket *tickets, int64_t n, const cvs_data_options *options, bool *keep) {
    double share = options->holdout != 0 ? fabs(options->holdout) : DEFAULT_HOLDOUT;
    bool kept = options->split == CVS_TEST || options->holdout < 0;
    qsort(tickets, (size_t)n, sizeof *tickets, by_label_and_key);
    for (int64_t first = 0, end; first < n; first = end) {
        for (end = first; end < n && tickets[end].label == tickets[first].label; end++) {}
        int64_t members = end - first, test = (int64_t)((double)members * share + 0.5);
        test = CVI_MIN(CVI_MAX(test, 1), members - 1);
        for (int64_t i = first; i < end; i++) {
            keep[tickets[i].index] = (i - first < test) == kept;
        }
    }
}

/* How many of each class a limit leaves: the largest even share, small classes give their rest away. */
static void divide(const int64_t *have, int n_classes, int64_t limit, int64_t *quota) {
    int64_t left = limit;
    memset(quota, 0, (size_t)n_classes * sizeof *quota);
    for (bool gave = true; left > 0 && gave;) {
        gave = false;
        int64_t open = 0;
        for (int k = 0; k < n_classes; k++) {
            open += have[k] > quota[k];
        }
        int64_t each = open > 0 ? CVI_MAX(left / open, 1) : 0;
        for (int k = 0; k < n_classes && left > 0; k++) {
            int64_t more = CVI_MIN(CVI_MIN(each, have[k] - quota[k]), left);
            quota[k] += more;
            left -= more;
            gave = gave || more > 0;
        }
    }
}

static cvs_status apply_limit(const int *label, int64_t n, int n_classes, int64_t limit, bool *keep,
                              cvs_error *err) {
    int64_t *have = cvi_calloc((size_t)n_classes, 2 * sizeof *have);
    if (have == NULL) {
        return cvi_no_memory(err, (size_t)n_classes * 2 * sizeof *have);
    }
    int64_t *quota = have + n_classes;
    for (int64_t i = 0; i < n; i++) {
        have[label[i]] += keep[i];
    }
    divide(have, n_classes, limit, quota);
    for (int64_t i = 0; i < n; i++) {
        if (keep[i]) {
            keep[i] = quota[label[i]]-- > 0;
        }
    }
    cvi_free(have);
    return CVS_OK;
}

static cvs_status choose(const int *label, int64_t n, int n_classes, bool own_split,
                         const cvs_data_options *options, bool *keep, cvs_error *err) {
    memset(keep, 1, (size_t)n * sizeof *keep);
    if (!own_split || options->split_training) {
        ticket *tickets = cvi_calloc((size_t)n, sizeof *tickets);
        if (tickets == NULL) {
            return cvi_no_memory(err, (size_t)n * sizeof *tickets);
        }
        for (int64_t i = 0; i < n; i++) {
            tickets[i] = (ticket){cvi_random_bits(options->seed, HOLDOUT_PURPOSE, (uint64_t)i), i, label[i]};
        }
        hold_out(tickets, n, options, keep);
        cvi_free(tickets);
    }
    return options->limit > 0 ? apply_limit(label, n, n_classes, options->limit, keep, err) : CVS_OK;
}

cvs_status cvi_pick(const int *label, int64_t n, int n_classes, bool own_split,
                    const cvs_data_options *options, int64_t **out, int64_t *count, cvs_error *err) {
    *out = NULL;
    *count = 0;
    bool *keep = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *keep);
    int64_t *index = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *index);
    cvs_status s = keep == NULL || index == NULL ? cvi_no_memory(err, (size_t)n * sizeof *index) : CVS_OK;
    if (s == CVS_OK) {
        s = choose(label, n, n_classes, own_split, options, keep, err);
    }
    for (int64_t i = 0; s == CVS_OK && i < n; i++) {
        if (keep[i]) {
            index[(*count)++] = i;
        }
    }
    cvi_free(keep);
    if (s != CVS_OK) {
        cvi_free(index);
        return s;
    }
    *out = index;
    return CVS_OK;
}
