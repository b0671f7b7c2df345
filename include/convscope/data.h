/* SPDX-License-Identifier: MIT
 * data.h - from a picture to what goes into a network, and sets of labelled pictures.
 */
#ifndef CONVSCOPE_DATA_H
#define CONVSCOPE_DATA_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cvs_resize {
    CVS_RESIZE_SHORTER,  /* shorter side, then centre crop */
    CVS_RESIZE_STRETCH,  /* both sides to the input's, aspect not kept */
    CVS_RESIZE_NONE,     /* the picture must have the input's size */
    CVS_RESIZE_LETTERBOX /* as large as fits with its aspect kept, in the middle of grey (114), as YOLO is trained and used: sizes, places and
                          * sampling (bilinear, not antialiased) as ultralytics' LetterBox has them */
} cvs_resize;
typedef enum cvs_channel_order { CVS_RGB, CVS_BGR, CVS_GRAY } cvs_channel_order;

/* value = (pixel * scale - mean[c]) / std[c], pixel in 0..255, c in the network's channel order. */
typedef struct cvs_preprocess {
    bool
        known; /* false: nothing said what the network wants, this is the guess (shorter side, centre crop, /255) */
    char from[96]; /* who said it: "preset ImageNet-torch", "side file x.json", "guess"; for people */
    cvs_resize resize;
    int64_t resize_to;       /* the side before cropping; 0 = the input's own side times resize_ratio */
    double resize_ratio;     /* e.g. 256/224; 0 stands for 1 */
    cvs_channel_order order; /* CVS_GRAY is chosen by itself when the input has one channel */
    double scale;            /* 0 stands for 1/255 */
    double mean[4], std[4];  /* std 0 stands for 1 */
    bool invert;             /* 255 - pixel first (dark ink on white paper for nets trained on white ink) */
} cvs_preprocess;

/* Parses "--preprocess": a preset (unit, tf, ImageNet-torch, ImageNet-caffe) and/or key=value pairs separated by commas
 * (resize=shorter|stretch|none|letterbox, size=256 or ratio=1.143 (of the input's side), order=rgb|bgr|gray, scale=, mean=a:b:c, std=a:b:c, invert=yes). */
cvs_status cvs_preprocess_parse(const char *text, cvs_preprocess *out, cvs_error *err);
/* Writes it as text that parse() reads, for captions and commands; returns buf. */
const char *cvs_preprocess_text(const cvs_preprocess *p, char *buf, size_t size);
/* Applies it: image uint8 [H,W,3] -> out float32 [1,channels,height,width], owned; `shown` (may be NULL) gets the
 * uint8 [height,width,3] picture that the network sees, before scaling, owned. */
cvs_status cvs_preprocess_apply(const cvs_preprocess *p, const cvs_tensor *image, int64_t channels,
                                int64_t height, int64_t width, cvs_tensor *out, cvs_tensor *shown,
                                cvs_error *err);

/* ---- data sets --------------------------------------------------------------------------------------
 * A set of labelled pictures, named by a spec:
 *   mnist:DIR          MNIST and Fashion-MNIST, idx files, plain or .gz
 *   cifar10:DIR        CIFAR-10, binary or python version (pickles, read as data); cifar100:DIR likewise, the fine labels
 *   npz:FILE           NumPy archive with x_train, y_train, x_test, y_test, or x and y; npy:X.npy,Y.npy likewise
 *   folder:DIR         DIR/<class>/<picture>, or DIR/train/<class>/... and DIR/test/<class>/...
 *   generated:NAME     made by Convscope from a seed: digits, things, shortcut (things with a planted corner mark)
 * Pictures are read when asked for; reading is thread safe. */
typedef struct cvs_data cvs_data;
typedef enum cvs_split { CVS_TRAIN, CVS_TEST } cvs_split;

typedef struct cvs_data_options {
    cvs_split split;
    int64_t
        limit; /* at most this many, evenly over the classes where possible; 0 = all (generated: its default) */
    uint64_t
        seed; /* of generated pictures and of the split where a folder has none; 0 is a seed like any other */
    double holdout; /* share kept for CVS_TEST when the source has no split of its own; 0 = 0.1 */
    bool
        split_training; /* with holdout: that share of the training pictures is CVS_TEST, whether or not the source has test pictures */
    cvs_limits limits;
} cvs_data_options;

/* *out is owned, cvs_data_free. options may be NULL. */
cvs_status cvs_data_open(const char *spec, const cvs_data_options *options, cvs_data **out, cvs_error *err);
void cvs_data_free(cvs_data *data);

typedef struct cvs_data_info {
    const char *spec; /* borrowed, as are the names */
    int64_t count;
    int n_classes;
    const char *const *classes;
    const char *const *classes_zh; /* the same in Chinese where they are known, else NULL */
    int channels;                  /* 1 or 3 */
    int64_t height, width;         /* of every picture; 0 = they differ, or are known only by reading them */
    bool has_masks;                /* where the object is, is known */
    uint64_t fingerprint;          /* of content and order: the same data, the same number */
} cvs_data_info;
void cvs_data_describe(const cvs_data *data, cvs_data_info *out);
/* One line of help for each kind of spec, i from 0; NULL beyond the last. Borrowed, static. */
const char *cvs_data_source(int i, cvs_lang lang);
/* Picture i: uint8 [H,W,channels], owned by the caller; its class; and, where masks are known and mask is not NULL, uint8 [H,W]
 * with 255 on the object, owned. */
cvs_status cvs_data_get(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label, cvs_tensor *mask,
                        cvs_error *err);

/* ---- streams of pictures -----------------------------------------------------------------------------
 * Pictures one after the other, one in memory at a time: a data set's spec, or a folder of any size and depth (below it symbolic links
 * and hidden files are passed over; the order is the file system's). What cannot be read is passed over and counted. */
typedef struct cvs_pictures cvs_pictures; /* one thread at a time */
/* Whether this names a folder or a spec, rather than one picture. */
bool cvs_is_pictures(const char *where);
/* options as in cvs_data_open, may be NULL; of a folder only limit (the first so many) and limits count. */
cvs_status cvs_pictures_open(const char *where, const cvs_data_options *options, cvs_pictures **out,
                             cvs_error *err);
/* Pictures that are in memory already, uint8 [H,W,3]: [n], borrowed with their names until the stream is freed. */
cvs_status cvs_pictures_memory(const cvs_tensor *pictures, const char *const *names, int n,
                               cvs_pictures **out, cvs_error *err);
void cvs_pictures_free(cvs_pictures *pictures); /* NULL allowed */
/* The next picture, uint8 [H,W,3], owned by the caller, and its name (a path below the folder, or "123 class"), borrowed until the next
 * call. At the end data is NULL. */
cvs_status cvs_pictures_next(cvs_pictures *pictures, cvs_tensor *picture, const char **name, cvs_error *err);
/* A picture again, by its name. */
cvs_status cvs_pictures_read(cvs_pictures *pictures, const char *name, cvs_tensor *picture, cvs_error *err);
/* How many were passed over, and the name of the first of them (borrowed, "" for none). */
int64_t cvs_pictures_skipped(const cvs_pictures *pictures, const char **first);

#ifdef __cplusplus
}
#endif
#endif
