/* SPDX-License-Identifier: MIT
 * log_payload.c - histograms, pictures and texts of a log, fetched from their files when somebody looks at them.
 */
#include <math.h>

#include "watch/event_read.h"
#include "watch/log.h"
#include "watch/record.h"

enum { MOST_BINS = 1 << 20 };

typedef struct fetched {
    cvi_file file;
    cvi_arena *arena;
    int k;
    bool found;
    cvi_event_value value;
} fetched;

static void release(fetched *f) {
    cvi_file_close(&f->file);
    cvi_arena_free(f->arena);
}

static cvs_status keep_value(void *context, int k, const cvi_event_value *v, bool *more) {
    fetched *f = context;
    if (k == f->k) {
        f->value = *v;
        f->found = true;
        *more = false;
    }
    return CVS_OK;
}

/* Point k of a series of this kind; release() what comes out, on failure too. */
static cvs_status fetch(const cvs_log *log, int series, cvs_series_kind kind, int64_t k, fetched *out,
                        cvs_error *err) {
    *out = (fetched){0};
    if (series < 0 || series >= log->n_series || log->series[series].kind != kind || k < 0 ||
        k >= log->series[series].n) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no such point of this kind in the log");
    }
    const cvi_place *p = &log->series[series].place[k];
    const char *path = log->files[p->file].path;
    cvs_limits limits = log->limits;
    limits.max_file_bytes = INT64_MAX;
    CVI_TRY(cvi_file_read(path, &limits, &out->file, err));
    if (p->offset + p->size + CVI_RECORD_TAIL > (int64_t)out->file.size) {
        return cvi_at_file(err, cvi_fail(err, CVS_E_FORMAT, "the file has become shorter"), path);
    }
    const uint8_t *data = out->file.data + p->offset;
    if (!cvi_record_good(data, (size_t)p->size)) {
        return cvi_at_offset(
            err, cvi_at_file(err, cvi_fail(err, CVS_E_FORMAT, "a record has a wrong checksum"), path),
            p->offset);
    }
    out->arena = cvi_arena_new(0);
    out->k = p->k;
    if (!out->arena) {
        return cvi_no_memory(err, 0);
    }
    CVI_TRY(cvi_event_each(data, (size_t)p->size, out->arena, keep_value, out, err));
    return out->found ? CVS_OK : cvi_at_file(err, cvi_fail(err, CVS_E_FORMAT, "the file has changed"), path);
}

/* ---- histograms ----------------------------------------------------------------------------------------- */

void cvs_log_bins_free(cvs_log_bins *b) {
    cvi_free(b->left);
    cvi_free(b->right);
    cvi_free(b->count);
    *b = (cvs_log_bins){0};
}

static cvs_status make_bins(int64_t n, cvs_log_bins *out, cvs_error *err) {
    out->n = n;
    out->left = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof(double));
    out->right = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof(double));
    out->count = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof(double));
    if (!out->left || !out->right || !out->count) {
        cvs_log_bins_free(out);
        return cvi_no_memory(err, (size_t)n * sizeof(double));
    }
    return CVS_OK;
}

/* A tensor [n,3] of left, right, count. */
static cvs_status bins_of_tensor(const cvi_event_tensor *t, cvs_log_bins *out, cvs_error *err) {
    int64_t n = 0;
    double *rows = cvi_event_numbers(t, 3 * (int64_t)MOST_BINS, &n);
    cvs_status s = make_bins(n / 3, out, err);
    for (int64_t i = 0; s == CVS_OK && i < n / 3; i++) {
        out->left[i] = rows[3 * i];
        out->right[i] = rows[3 * i + 1];
        out->count[i] = rows[3 * i + 2];
    }
    cvi_free(rows);
    return s;
}

/* A repeated double, packed or not: appended to list. */
static cvs_status add_doubles(const cvi_pb *r, const cvi_pb_field *f, double *list, int64_t *n) {
    cvi_pb_numbers numbers;
    bool more = true;
    CVI_TRY(cvi_pb_numbers_begin(r, f, 8, "bucket", &numbers));
    while (*n < MOST_BINS) {
        uint64_t bits;
        CVI_TRY(cvi_pb_numbers_next(r, &numbers, &bits, &more));
        if (!more) {
            break;
        }
        list[(*n)++] = cvi_pb_double(bits);
    }
    return CVS_OK;
}

/* HistogramProto: right edges and counts; the outermost edges are the least and the largest value. */
static cvs_status bins_of_histo(const cvi_pb_piece *message, cvs_log_bins *out, cvs_error *err) {
    cvi_pb r = cvi_pb_begin(message->data, message->size, 8, err);
    cvi_pb_field f;
    double least = 0, largest = 0;
    int64_t edges = 0, counts = 0;
    CVI_TRY(make_bins(CVI_MIN((int64_t)message->size / 8 + 1, (int64_t)MOST_BINS), out, err));
    do {
        cvs_status s = cvi_pb_next(&r, &f);
        if (s == CVS_OK && f.number == 6) {
            s = add_doubles(&r, &f, out->right, &edges);
        } else if (s == CVS_OK && f.number == 7) {
            s = add_doubles(&r, &f, out->count, &counts);
        }
        if (s != CVS_OK) {
            cvs_log_bins_free(out);
            return s;
        }
        least = f.number == 1 && f.wire == CVI_PB_FIXED64 ? cvi_pb_double(f.value) : least;
        largest = f.number == 2 && f.wire == CVI_PB_FIXED64 ? cvi_pb_double(f.value) : largest;
    } while (f.number != 0);
    int64_t n = CVI_MIN(edges, counts), first = 0;
    while (n > 0 && out->count[n - 1] == 0) {
        n--;
    }
    while (first < n && out->count[first] == 0) {
        first++;
    }
    for (int64_t i = first; i < n; i++) {
        out->left[i - first] = i == first ? least : out->right[i - 1];
        out->count[i - first] = out->count[i];
    }
    for (int64_t i = first; i < n; i++) {
        out->right[i - first] = i == n - 1 ? largest : out->right[i];
    }
    out->n = n - first;
    return CVS_OK;
}

cvs_status cvs_log_histogram(const cvs_log *log, int series, int64_t k, cvs_log_bins *out, cvs_error *err) {
    fetched f;
    *out = (cvs_log_bins){0};
    cvs_status s = fetch(log, series, CVS_HISTOGRAMS, k, &f, err);
    if (s == CVS_OK) {
        s = f.value.form == CVI_FORM_HISTO ? bins_of_histo(&f.value.histo, out, err)
                                           : bins_of_tensor(&f.value.tensor, out, err);
    }
    release(&f);
    return s;
}

/* ---- pictures and texts --------------------------------------------------------------------------------- */

cvs_status cvs_log_picture(const cvs_log *log, int series, int64_t k, uint8_t **out, size_t *size,
                           cvs_error *err) {
    fetched f;
    cvi_pb_piece bytes = {0};
    *out = NULL;
    *size = 0;
    cvs_status s = fetch(log, series, CVS_PICTURES, k, &f, err);
    if (s == CVS_OK && f.value.form == CVI_FORM_IMAGE) {
        cvi_pb r = cvi_pb_begin(f.value.image.data, f.value.image.size, 8, err);
        cvi_pb_field g = {.number = 1};
        while (s == CVS_OK && g.number != 0) {
            s = cvi_pb_next(&r, &g);
            bytes = s == CVS_OK && g.number == 4 && g.wire == CVI_PB_BYTES ? g.bytes : bytes;
        }
    } else if (s == CVS_OK && f.value.tensor.n_strings > 2) { /* width, height, pictures */
        bytes = f.value.tensor.strings[2];
    }
    if (s == CVS_OK && bytes.size == 0) {
        s = cvi_fail(err, CVS_E_FORMAT, "this point of the log holds no picture");
    }
    if (s == CVS_OK && !(*out = cvi_malloc(bytes.size))) {
        s = cvi_no_memory(err, bytes.size);
    }
    if (s == CVS_OK) {
        memcpy(*out, bytes.data, bytes.size);
        *size = bytes.size;
    }
    release(&f);
    return s;
}

cvs_status cvs_log_text(const cvs_log *log, int series, int64_t k, char **out, cvs_error *err) {
    fetched f;
    cvi_buf b = {0};
    *out = NULL;
    cvs_status s = fetch(log, series, CVS_TEXTS, k, &f, err);
    int n = s == CVS_OK ? CVI_MIN(f.value.tensor.n_strings, CVI_COUNT(f.value.tensor.strings)) : 0;
    cvi_buf_puts(&b, "");
    for (int i = 0; i < n; i++) {
        cvi_buf_add(&b, "\n", i > 0);
        cvi_buf_add(&b, f.value.tensor.strings[i].data, f.value.tensor.strings[i].size);
    }
    cvi_buf_add(&b, "", 1);
    if (s == CVS_OK && b.failed) {
        s = cvi_no_memory(err, b.size);
    }
    if (s == CVS_OK) {
        *out = b.data;
    } else {
        cvi_buf_free(&b);
    }
    release(&f);
    return s;
}
