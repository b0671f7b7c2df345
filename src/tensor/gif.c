/* SPDX-License-Identifier: MIT
 * gif.c - pictures one after the other as an animated GIF, by giflib. One palette for all frames: their own colours where there are at most 256, else
 * boxes of colours split where they are longest (Heckbert 1982).
 */
#include <string.h>

#include "base/base.h"
#include "convscope/tensor.h"

#if __has_include(<gif_lib.h>)
#include <gif_lib.h>

enum { BINS = 32 * 32 * 32, MOST = 256 };

typedef struct palette {
    int n;
    GifColorType colors[MOST];
    uint8_t of[BINS]; /* which color stands for a bin of 5 bits a channel */
    bool exact;
    uint32_t keys[MOST]; /* exact: the colours, sorted */
} palette;

typedef struct box {
    int lo[3], hi[3];
    int64_t count;
} box;

static int bin_of(const uint8_t *p) {
    return (p[0] >> 3) << 10 | (p[1] >> 3) << 5 | p[2] >> 3;
}

static uint32_t key_of(const uint8_t *p) {
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

/* Where a colour is or would be among the sorted ones. */
static int place_of(const palette *p, uint32_t key) {
    int lo = 0, hi = p->n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (p->keys[mid] < key) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* All colours, if there are no more than fit. */
static bool take_exact(palette *p, const cvs_tensor *frames, int n) {
    for (int f = 0; f < n; f++) {
        const uint8_t *v = frames[f].data;
        for (size_t i = 0; i < frames[f].bytes; i += 3) {
            uint32_t key = key_of(v + i);
            int at = place_of(p, key);
            if (at < p->n && p->keys[at] == key) {
                continue;
            }
            if (p->n == MOST) {
                return false;
            }
            memmove(p->keys + at + 1, p->keys + at, sizeof *p->keys * (size_t)(p->n++ - at));
            p->keys[at] = key;
        }
    }
    for (int i = 0; i < p->n; i++) {
        p->colors[i] = (GifColorType){(GifByteType)(p->keys[i] >> 16), (GifByteType)(p->keys[i] >> 8 & 255),
                                      (GifByteType)(p->keys[i] & 255)};
    }
    return true;
}

/* Makes a box as small as its colours, and counts them. */
static void shrink(box *b, const int64_t *count) {
    box s = {{31, 31, 31}, {0, 0, 0}, 0};
    for (int i = 0; i < BINS; i++) {
        int at[3] = {i >> 10, i >> 5 & 31, i & 31};
        bool in = count[i] > 0;
        for (int c = 0; c < 3; c++) {
            in = in && at[c] >= b->lo[c] && at[c] <= b->hi[c];
        }
        for (int c = 0; c < 3 && in; c++) {
            s.lo[c] = CVI_MIN(s.lo[c], at[c]);
            s.hi[c] = CVI_MAX(s.hi[c], at[c]);
        }
        s.count += in ? count[i] : 0;
    }
    *b = s;
}

static int longest_side(const box *b) {
    int best = 0;
    for (int c = 1; c < 3; c++) {
        best = b->hi[c] - b->lo[c] > b->hi[best] - b->lo[best] ? c : best;
    }
    return best;
}

static void make_boxes(palette *p, const int64_t *count) {
    box list[MOST] = {{{0, 0, 0}, {31, 31, 31}, 0}};
    int n = 1;
    shrink(&list[0], count);
    while (n < MOST) {
        int best = -1;
        double most = 0;
        for (int i = 0; i < n; i++) {
            int side = longest_side(&list[i]), length = list[i].hi[side] - list[i].lo[side];
            double want =
                (double)length * (double)length * (double)(list[i].count > 0 ? 1 + list[i].count / 64 : 0);
            best = want > most ? i : best;
            most = want > most ? want : most;
        }
        if (best < 0) {
            break;
        }
        int side = longest_side(&list[best]), middle = (list[best].lo[side] + list[best].hi[side]) / 2;
        list[n] = list[best];
        list[best].hi[side] = middle;
        list[n].lo[side] = middle + 1;
        shrink(&list[best], count);
        shrink(&list[n++], count);
    }
    p->n = n;
    for (int k = 0; k < n; k++) {
        double sum[3] = {0}, all = 0;
        for (int i = 0; i < BINS; i++) {
            int at[3] = {i >> 10, i >> 5 & 31, i & 31};
            bool in = count[i] > 0;
            for (int c = 0; c < 3; c++) {
                in = in && at[c] >= list[k].lo[c] && at[c] <= list[k].hi[c];
            }
            for (int c = 0; c < 3 && in; c++) {
                sum[c] += (double)count[i] * (at[c] * 255.0 / 31);
            }
            all += in ? (double)count[i] : 0;
            p->of[i] = in ? (uint8_t)k : p->of[i];
        }
        if (all > 0) {
            p->colors[k] =
                (GifColorType){(GifByteType)(sum[0] / all + 0.5), (GifByteType)(sum[1] / all + 0.5),
                               (GifByteType)(sum[2] / all + 0.5)};
        }
    }
}

static cvs_status make_palette(palette *p, const cvs_tensor *frames, int n, cvs_error *err) {
    p->exact = take_exact(p, frames, n);
    if (p->exact) {
        return CVS_OK;
    }
    int64_t *count = cvi_calloc(BINS, sizeof *count);
    if (!count) {
        return cvi_no_memory(err, BINS * sizeof *count);
    }
    for (int f = 0; f < n; f++) {
        for (size_t i = 0; i < frames[f].bytes; i += 3) {
            count[bin_of((const uint8_t *)frames[f].data + i)]++;
        }
    }
    make_boxes(p, count);
    cvi_free(count);
    return CVS_OK;
}

static int put_bytes(GifFileType *gif, const GifByteType *data, int n) {
    cvi_buf *b = gif->UserData;
    cvi_buf_add(b, data, (size_t)n);
    return b->failed ? 0 : n;
}

static bool put_frame(GifFileType *gif, const cvs_tensor *t, const palette *p, GifPixelType *line,
                      int delay) {
    int h = (int)t->dim[0], w = (int)t->dim[1];
    GifByteType control[4];
    GraphicsControlBlock block = {
        .DisposalMode = DISPOSE_DO_NOT, .DelayTime = delay / 10, .TransparentColor = -1};
    EGifGCBToExtension(&block, control);
    if (EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, sizeof control, control) != GIF_OK ||
        EGifPutImageDesc(gif, 0, 0, w, h, false, NULL) != GIF_OK) {
        return false;
    }
    for (int y = 0; y < h; y++) {
        const uint8_t *row = (const uint8_t *)t->data + (int64_t)y * w * 3;
        for (int x = 0; x < w; x++) {
            line[x] = p->exact ? (GifPixelType)place_of(p, key_of(row + 3 * x)) : p->of[bin_of(row + 3 * x)];
        }
        if (EGifPutLine(gif, line, w) != GIF_OK) {
            return false;
        }
    }
    return true;
}

/* The whole file into b; false: out of memory (giflib fails for no other reason here). */
static bool put_all(cvi_buf *b, const cvs_tensor *frames, int n, const palette *p, GifPixelType *line,
                    int delay) {
    int code = 0, bits = 1;
    while (1 << bits < p->n) {
        bits++;
    }
    GifFileType *gif = EGifOpen(b, put_bytes, &code);
    ColorMapObject *colors = GifMakeMapObject(1 << bits, NULL);
    bool good = gif && colors;
    if (good) {
        memcpy(colors->Colors, p->colors, sizeof *p->colors * (size_t)p->n);
        EGifSetGifVersion(gif, true);
        static const GifByteType forever[] = {1, 0, 0};
        good =
            EGifPutScreenDesc(gif, (int)frames[0].dim[1], (int)frames[0].dim[0], bits, 0, colors) == GIF_OK &&
            EGifPutExtensionLeader(gif, APPLICATION_EXT_FUNC_CODE) == GIF_OK &&
            EGifPutExtensionBlock(gif, 11, "NETSCAPE2.0") == GIF_OK &&
            EGifPutExtensionBlock(gif, sizeof forever, forever) == GIF_OK &&
            EGifPutExtensionTrailer(gif) == GIF_OK;
    }
    for (int f = 0; f < n && good; f++) {
        good = put_frame(gif, &frames[f], p, line, delay);
    }
    GifFreeMapObject(colors);
    if (gif) {
        good = EGifCloseFile(gif, &code) == GIF_OK && good;
    }
    return good && !b->failed;
}

cvs_status cvs_gif_write(const char *path, const cvs_tensor *frames, int n, int delay, cvs_error *err) {
    for (int f = 0; f < n; f++) {
        if (frames[f].dtype != CVS_U8 || frames[f].rank != 3 || frames[f].dim[2] != 3 ||
            frames[f].dim[0] != frames[0].dim[0] || frames[f].dim[1] != frames[0].dim[1] ||
            frames[f].dim[0] < 1 || frames[f].dim[1] < 1 || frames[f].dim[0] > 65535 ||
            frames[f].dim[1] > 65535) {
            n = 0;
        }
    }
    if (n < 1) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "frames of a GIF are uint8 [H,W,3], all of one size, at most 65535 wide");
    }
    palette *p = cvi_calloc(1, sizeof *p);
    GifPixelType *line = cvi_calloc((size_t)frames[0].dim[1], sizeof *line);
    cvi_buf b = {0};
    cvs_status s = p && line ? make_palette(p, frames, n, err) : cvi_no_memory(err, sizeof *p);
    if (s == CVS_OK) {
        s = put_all(&b, frames, n, p, line, delay) ? cvi_file_write(path, b.data, b.size, err)
                                                   : cvi_no_memory(err, b.size);
    }
    cvi_buf_free(&b);
    cvi_free(line);
    cvi_free(p);
    return s;
}

#else

cvs_status cvs_gif_write(const char *path, const cvs_tensor *frames, int n, int delay, cvs_error *err) {
    (void)frames;
    (void)n;
    (void)delay;
    return cvi_at_file(
        err,
        cvi_fail(err, CVS_E_UNSUPPORTED,
                 "this program was built without giflib (libgif-dev); .png and .svg can be written"),
        path);
}

#endif
