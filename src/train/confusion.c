/* SPDX-License-Identifier: MIT
 * confusion.c - the confusion matrix of an epoch in the event files. Counted from the answers that the test gives anyway: no picture is
 * computed twice. Rows are labels, columns answers; a cell's colour is its share of the row, blue where it is right, orange where not.
 */
#include "train/confusion.h"

enum { SIDE = 320, GAP = 1 };

void cvi_confusion_ask(cvi_loop *r) {
    int64_t outputs;
    (void)cvi_trainer_answer(r->trainer, &outputs);
    int64_t n = CVI_MAX((int64_t)r->test.n_classes, outputs == 1 ? 2 : outputs);
    if (r->options->no_events || n < 2 || n > CVI_MOST_CONFUSED || r->test.n < 1) {
        return;
    }
    r->n_confusion = (int)n;
    r->confusion = cvi_calloc((size_t)(n * n), sizeof *r->confusion);
    bool all = r->confusion != NULL;
    if (r->options->comm) { /* without room in one process: nowhere */
        double short_of = all ? 0 : 1;
        all = r->options->comm->sum(r->options->comm->context, &short_of, 1) && short_of < 0.5;
    }
    if (!all) {
        cvi_free(r->confusion);
        r->confusion = NULL;
        return;
    }
    cvi_trainer_confusion(r->trainer, (int)n, r->confusion);
}

/* out: uint8 [H,W,3]. */
static cvs_status draw(int n, const double *cells, cvs_tensor *out, cvs_error *err) {
    static const double right[3] = {31, 86, 160}, wrong[3] = {214, 94, 20}, none[3] = {246, 246, 246};
    int cell = CVI_MAX(4, SIDE / n), side = n * (cell + GAP) + GAP;
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, (int64_t[]){side, side, 3}, err));
    uint8_t *to = out->data;
    memset(to, 205, out->bytes);
    for (int i = 0; i < n; i++) {
        double all = 0;
        for (int k = 0; k < n; k++) {
            all += cells[i * n + k];
        }
        for (int k = 0; k < n; k++) {
            double share = all > 0 ? cells[i * n + k] / all : 0;
            share = share > 0 ? 0.15 + 0.85 * share : 0; /* a single mistake is still seen */
            const double *color = i == k ? right : wrong;
            uint8_t rgb[3];
            for (int j = 0; j < 3; j++) {
                rgb[j] = (uint8_t)(none[j] + (color[j] - none[j]) * share + 0.5);
            }
            for (int y = 0; y < cell; y++) {
                int64_t row = i * (cell + GAP) + GAP + y, column = k * (cell + GAP) + GAP;
                for (int x = 0; x < cell; x++) {
                    memcpy(to + (row * side + column + x) * 3, rgb, sizeof rgb);
                }
            }
        }
    }
    return CVS_OK;
}

/* A class's name in a cell of a Markdown table. */
static void add_name(cvi_buf *b, const cvi_loop *r, int i) {
    const char *name = i < r->test.n_classes && r->test.classes ? r->test.classes[i] : NULL;
    if (!name || !name[0]) {
        cvi_buf_printf(b, "%d", i);
    }
    for (; name && *name; name++) {
        char c = *name == '|' ? '/' : (unsigned char)*name < ' ' ? ' ' : *name;
        cvi_buf_add(b, &c, 1);
    }
}

static void write_table(cvi_buf *b, const cvi_loop *r) {
    int n = r->n_confusion;
    cvi_buf_puts(b, "| label \\ answer |");
    for (int k = 0; k < n; k++) {
        cvi_buf_puts(b, " ");
        add_name(b, r, k);
        cvi_buf_puts(b, " |");
    }
    cvi_buf_puts(b, "\n|---|");
    for (int k = 0; k < n; k++) {
        cvi_buf_puts(b, "--:|");
    }
    for (int i = 0; i < n; i++) {
        cvi_buf_puts(b, "\n| ");
        add_name(b, r, i);
        cvi_buf_puts(b, " |");
        for (int k = 0; k < n; k++) {
            cvi_buf_printf(b, " %.0f |", r->confusion[i * n + k]);
        }
    }
    cvi_buf_puts(b, "\n");
}

cvs_status cvi_confusion_add(cvi_loop *r, cvi_events *e, int64_t step) {
    cvs_tensor picture = {0};
    cvi_buf b = {0};
    if (!r->confusion) {
        return CVS_OK;
    }
    CVI_TRY(draw(r->n_confusion, r->confusion, &picture, r->err));
    cvi_events_image(e, "confusion_matrix", step, &picture);
    cvs_tensor_free(&picture);
    write_table(&b, r);
    cvs_status s = b.failed ? cvi_no_memory(r->err, b.size) : CVS_OK;
    if (s == CVS_OK) {
        cvi_events_text(e, "confusion_table", step, b.data);
    }
    cvi_buf_free(&b);
    return s;
}
