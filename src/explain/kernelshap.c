/* SPDX-License-Identifier: MIT
 * kernelshap.c - KernelSHAP (Lundberg and Lee 2017) over pieces of the picture, as Captum draws it: sizes k of the sets of pieces with
 * probability in proportion to (M-1) / (k (M-k)), sets of a size evenly, then least squares without weights. After each set comes the
 * set of all other pieces (Covert and Lee 2021, arXiv:2012.01536): as likely, and what a pair has in common cancels. That all pieces
 * give f(x) and none gives f(without) is met exactly, by elimination instead of a large weight.
 */
#include <math.h>

#include "explain/pieces.h"

enum { SAMPLES = 1000, SIZES = 0x6b737a65 /* "ksze" */, SETS = 0x6b736574 /* "kset" */ };

typedef struct shapley {
    cvi_pieces pieces;
    uint8_t *on; /* [samples + 2, n]: none, all, then the draws */
    double *score, *system, *answer;
    int64_t *order; /* [n] */
    int64_t samples;
} shapley;

/* The size of a set: u in [0,1) through the sum of 1 / (k (n-k)), k = 1..n-1. */
static int64_t size_of_set(int64_t n, double u) {
    double all = 0.0, sum = 0.0;
    for (int64_t k = 1; k < n; k++) {
        all += 1.0 / ((double)k * (double)(n - k));
    }
    for (int64_t k = 1; k < n - 1; k++) {
        sum += 1.0 / ((double)k * (double)(n - k));
        if (u * all < sum) {
            return k;
        }
    }
    return n - 1;
}

static void draw(shapley *s) {
    int64_t n = s->pieces.n;
    uint64_t seed = s->pieces.again.q->options->seed;
    memset(s->on + n, 1, (size_t)n);
    for (int64_t k = 0; k < s->samples && n > 1; k++) {
        if (k % 2 == 1) {
            for (int64_t i = 0; i < n; i++) {
                s->on[(k + 2) * n + i] = !s->on[(k + 1) * n + i];
            }
            continue;
        }
        int64_t size = size_of_set(n, cvi_random_uniform(seed, SIZES, (uint64_t)k));
        for (int64_t i = 0; i < n; i++) {
            s->order[i] = i;
        }
        for (int64_t i = 0; i < size; i++) { /* the first of a shuffle */
            double u = cvi_random_uniform(seed, SETS, (uint64_t)(k * n + i));
            int64_t j = i + (int64_t)(u * (double)(n - i)), t = s->order[i];
            s->order[i] = s->order[j];
            s->order[j] = t;
            s->on[(k + 2) * n + s->order[i]] = 1;
        }
    }
}

/* The last piece has what the others leave of f(x) - f(without): answer [n]. */
static void fit(shapley *s) {
    int64_t n = s->pieces.n, m = n - 1;
    double none = s->score[0], whole = s->score[1] - none, rest = whole;
    for (int64_t k = 2; k < s->samples + 2; k++) {
        const uint8_t *z = s->on + k * n;
        double y = s->score[k] - none - (z[m] ? whole : 0.0);
        for (int64_t i = 0; i < m; i++) {
            double zi = (double)z[i] - (double)z[m];
            for (int64_t j = 0; j <= i && zi != 0.0; j++) {
                s->system[i * m + j] += zi * ((double)z[j] - (double)z[m]);
            }
            s->answer[i] += zi * y;
        }
    }
    cvi_solve(s->system, s->answer, m);
    for (int64_t i = 0; i < m; i++) {
        rest -= s->answer[i];
    }
    s->answer[m] = rest;
}

static cvs_status ask(shapley *s, cvi_question *q, cvs_explanation *out) {
    char text[120];
    CVI_TRY(cvi_option_samples(q, SAMPLES, &s->samples));
    CVI_TRY(cvi_pieces_new(q, false, text, sizeof text, &s->pieces));
    int64_t n = s->pieces.n, rows = s->samples + 2, numbers = rows + n * n + n;
    if (s->samples < n) {
        return cvi_fail(q->err, CVS_E_ARGUMENT,
                        "%lld samples are too few for the %lld pieces of this picture; give %lld or more",
                        (long long)s->samples, (long long)n, (long long)(4 * n));
    }
    s->on = cvi_calloc((size_t)rows, (size_t)n);
    s->score = cvi_calloc((size_t)numbers, sizeof *s->score);
    s->order = cvi_calloc((size_t)n, sizeof *s->order);
    if (!s->on || !s->score || !s->order) {
        return cvi_no_memory(q->err, (size_t)numbers * sizeof *s->score);
    }
    s->system = s->score + rows;
    s->answer = s->system + n * n;
    draw(s);
    CVI_TRY(cvi_pieces_scores(&s->pieces, s->on, rows, s->score));
    fit(s);
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang,
                    "%lld pieces, %lld samples, removed pieces show %s (all removed: %.4g), "
                    "seed %llu"),
             (long long)n, (long long)s->samples, text, s->score[0], (unsigned long long)q->options->seed);
    double all = 0.0;
    for (int64_t i = 0; i < n; i++) {
        all += s->answer[i];
    }
    cvi_complete(out, all, s->score[1] - s->score[0]);
    return cvi_pieces_map(&s->pieces, s->answer, out);
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    shapley s = {0};
    cvs_status status = ask(&s, q, out);
    cvi_pieces_free(&s.pieces);
    cvi_free(s.on);
    cvi_free(s.score);
    cvi_free(s.order);
    return status;
}

const cvi_method cvi_method_kernelshap = {
    .name = "kernelshap",
    .title_en = "KernelSHAP",
    .title_zh = "KernelSHAP",
    .sentence_en =
        "Every piece's fair share of the target: its mean gain over all orders in which the pieces "
        "could come, estimated.",
    .sentence_zh = "每个区块在目标中的公平份额：区块以各种次序加入时平均带来的增量（估计值）。",
    .caveat_en = "An estimate by chance; a piece's value is given to each of its pixels, and another cut or "
                 "replacement gives another map.",
    .caveat_zh = "这是随机估计；区块的值赋给其中每个像素，分块或替换方式不同则结果不同。",
    .source = "Lundberg and Lee 2017, arXiv:1705.07874; sampling of Captum, in pairs",
    .family = CVI_FAMILY_PERTURBATION,
    .flags = CVI_FLAG_SAMPLES ", " CVI_FLAG_FILL ", " CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_LAYER,
    .sign = CVI_SIGN_ALWAYS,
    .run = run,
};
