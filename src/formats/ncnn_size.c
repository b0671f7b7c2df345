/* SPDX-License-Identifier: MIT
 * ncnn_size.c - sizes that ncnn's layers compute from their inputs' ("/(0w,2),*(0h,2),0c": a list of prefix expressions; 0w is the width
 * of the first input), and the layers whose result has such sizes: Reshape, the range form of Crop.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "formats/ncnn.h"

enum { MAX_TOKENS = 128 };

/* w, h, d or c of input k: the graph counts them from the last axis. */
static bool size_of(ncnn *m, int k, char which, double *out) {
    if (k >= m->layer->n_in) {
        return false;
    }
    int rank = cvi_ncnn_rank(m, m->in[k]);
    int back = which == 'w' ? 1 : which == 'h' ? 2 : which == 'd' ? 3 : rank - 1;
    bool there = rank >= 2 && (back < rank && (which != 'd' || rank == 5) && (which != 'h' || rank >= 3));
    int64_t n = which == 'c' && rank < 4 ? 1 : there ? cvi_ncnn_dim(m, m->in[k], rank - back) : 1;
    *out = (double)n;
    return rank >= 2 && n >= 0;
}

/* An operation on numbers from the top of the stack; whole ones divide to whole ones. false: not known. */
static bool apply(const char *t, double *stack, int *n) {
    static const char *const two[] = {"+", "-", "*", "/", "//", "max", "min"};
    static const char *const one[] = {"abs", "neg", "square", "trunc", "ceil", "floor", "round", "sqrt"};
    for (int i = 0; i < CVI_COUNT(two); i++) {
        if (strcmp(t, two[i]) == 0 && *n >= 2) {
            double a = stack[*n - 1], b = stack[*n - 2];
            const double r[] = {a + b,
                                a - b,
                                a * b,
                                b != 0 ? a / b : (double)NAN,
                                b != 0 ? floor(a / b) : (double)NAN,
                                fmax(a, b),
                                fmin(a, b)};
            stack[--*n - 1] = r[i];
            return true;
        }
    }
    for (int i = 0; i < CVI_COUNT(one); i++) {
        if (strcmp(t, one[i]) == 0 && *n >= 1) {
            double a = stack[*n - 1];
            const double r[] = {fabs(a), -a,       a * a,    trunc(a),
                                ceil(a), floor(a), round(a), a >= 0 ? sqrt(a) : (double)NAN};
            stack[*n - 1] = r[i];
            return true;
        }
    }
    return false;
}

static bool delimits(char c) {
    return c == '(' || c == ')' || c == ',';
}

int cvi_ncnn_sizes(ncnn *m, const char *text, int64_t *out, int most) {
    char token[MAX_TOKENS][16];
    double stack[MAX_TOKENS];
    int tokens = 0, n = 0;
    for (const char *p = text; *p;) {
        size_t k = 0;
        while (p[k] && !delimits(p[k])) {
            k++;
        }
        if (k >= sizeof *token || (k > 0 && tokens == MAX_TOKENS)) {
            return -1;
        }
        if (k > 0) {
            memcpy(token[tokens], p, k);
            token[tokens++][k] = 0;
        }
        p += k + (p[k] != 0);
    }
    for (int i = tokens - 1; i >= 0; i--) { /* prefix notation: from the back */
        const char *t = token[i];
        char *end;
        double v = strtod(t, &end);
        if (isdigit((unsigned char)t[0]) && strchr("whdc", t[1]) && t[1] && !t[2]) {
            if (!size_of(m, t[0] - '0', t[1], &v)) {
                return -1;
            }
            stack[n++] = v;
        } else if (end != t && !*end) {
            stack[n++] = v;
        } else if (!apply(t, stack, &n)) {
            return -1;
        }
    }
    for (int i = 0; i < n && n <= most; i++) { /* the first of the list is on top */
        double v = stack[n - 1 - i];
        if (!(fabs(v) <= INT32_MAX)) {
            return -1;
        }
        out[i] = (int64_t)v;
    }
    return n <= most ? n : -1;
}

/* ---- Reshape ---- */

/* Sizes in ncnn's order w, h, d, c as far as there are; 0 copies the input's of the same name. */
static void reshape(ncnn *m, int n, const int64_t *size) {
    int rank = cvi_ncnn_rank(m, m->in[0]);
    int64_t dim[5] = {0};
    for (int i = 0; i < n; i++) {
        int from =
            rank - 1 - i; /* the axis of that name: counted from the last, c is the first behind the batch */
        from = i == n - 1 && n >= 3 ? 1 : from;
        dim[n - i] = size[i] != 0 ? size[i] : from > 0 ? cvi_ncnn_dim(m, m->in[0], from) : -1;
        if (dim[n - i] < -1 || (size[i] == 0 && dim[n - i] < 1)) {
            m->refused = "this form of the operator is not run";
            return;
        }
    }
    cvi_ncnn_put(m, 0, cvi_ncnn_reshape(m, NULL, m->in[0], n + 1, dim));
}

void cvi_ncnn_reshape_layer(ncnn *m) {
    static const int ids[4] = {0, 1, 11, 2}; /* w, h, d, c */
    const ncnn_setting *s = m->layer->setting;
    int64_t size[4];
    int n = 0;
    if (cvi_ncnn_int(m, 3, 0) || cvi_ncnn_int(m, 12, 233) != 233 || cvi_ncnn_int(m, 13, 233) != 233) {
        m->refused = "this form of the operator is not run";
        return;
    }
    if (s[6].text && s[6].text[0]) {
        n = cvi_ncnn_sizes(m, s[6].text, size, 4); /* written w, h, d, c */
    } else {
        for (int i = 0; i < 4; i++) {
            int64_t v = cvi_ncnn_int(m, ids[i], -233);
            if (v != -233) {
                size[n++] = v;
            }
        }
    }
    if (n < 1) {
        m->refused = "this form of the operator is not run";
        return;
    }
    reshape(m, n, size);
}
