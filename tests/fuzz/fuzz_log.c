/* SPDX-License-Identifier: MIT
 * fuzz_log.c - libFuzzer target: an event file, as training writes it and a person's other programs do. The input is records, each two bytes
 * of length and its own bytes, framed here with their checksums (the length's top bit: as they are); every series is looked at, and diagnosed.
 */
#include "convscope/watch.h"
#include "fuzz_folder.h"
#include "watch/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void point(const cvs_log *log, int i, const cvs_series *s, int64_t k) {
    cvs_error err = {0};
    cvs_log_bins bins = {0};
    uint8_t *picture = NULL;
    char *text = NULL;
    size_t n = 0;
    if (s->kind == CVS_HISTOGRAMS && cvs_log_histogram(log, i, k, &bins, &err) == CVS_OK) {
        cvs_log_bins_free(&bins);
    } else if (s->kind == CVS_PICTURES && cvs_log_picture(log, i, k, &picture, &n, &err) == CVS_OK) {
        cvs_free(picture);
    } else if (s->kind == CVS_TEXTS && cvs_log_text(log, i, k, &text, &err) == CVS_OK) {
        cvs_free(text);
    }
}

static void look(cvs_log *log) {
    const cvs_view view = {.axis = CVS_AXIS_EPOCH, .from = 0, .to = 100, .columns = 8, .smoothing = 0.5};
    cvs_error err = {0};
    for (int i = 0; i < cvs_log_count(log) && i < 100; i++) {
        cvs_series s;
        cvs_log_series(log, i, &s);
        cvs_line line = {0};
        if (s.kind == CVS_SCALARS && cvs_log_line(log, i, &view, &line, &err) == CVS_OK) {
            cvs_line_free(&line);
        } else if (s.n > 0) {
            point(log, i, &s, s.n - 1);
        }
    }
    cvs_diagnosis d = {0};
    if (cvs_diagnose(log, CVS_EN, &d, &err) == CVS_OK) {
        cvs_diagnosis_free(&d);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvi_buf file = {0};
    for (size_t at = 0; at + 2 <= size;) {
        unsigned head = (unsigned)(data[at] | data[at + 1] << 8);
        size_t n = head & 0x7FFF;
        at += 2;
        n = CVI_MIN(n, size - at);
        if (head & 0x8000) {
            cvi_buf_add(&file, data + at, n);
        } else {
            cvi_record_add(&file, data + at, n);
        }
        at += n;
    }
    cvs_error err = {0};
    cvs_log *log = NULL;
    const cvs_limits limits = {.max_memory_bytes = 1 << 24};
    if (!file.failed &&
        cvs_log_open(fuzz_write("events.out.tfevents.1.a", file.data ? file.data : "", file.size), &limits,
                     &log, &err) == CVS_OK) {
        look(log);
    }
    cvs_log_free(log);
    cvi_buf_free(&file);
    return 0;
}
