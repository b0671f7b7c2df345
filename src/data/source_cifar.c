/* SPDX-License-Identifier: MIT
 * source_cifar.c - "cifar10:DIR" and "cifar100:DIR": the binary version of CIFAR (Krizhevsky 2009). A record is the label (CIFAR-100: the coarse
 * one, then the fine one) and 3072 bytes: red, green and blue planes of 32x32. data_batch_*.bin and test_batch.bin, or train.bin
 * and test.bin; any other .bin files alone are divided. A folder without .bin files may hold the python version (cifar_pickle.c).
 */
#include <dirent.h>
#include <stdlib.h>

#include "data/dataset.h"

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE };

typedef struct kind {
    int labels; /* bytes before the pixels; the last one counts */
    int classes;
    const char *file; /* with the names */
    const char *list, *meta,
        *names; /* of the python version: the labels' key, the file with the names and their key */
    const char *const *known;
} kind;

static const char *const ten[] = {"airplane", "automobile", "bird", "cat",   "deer", "dog",
                                  "frog",     "horse",      "ship", "truck", NULL};
static const kind cifar10 = {1, 10, "batches.meta.txt", "labels", "batches.meta", "label_names", ten},
                  cifar100 = {2,   100, "fine_label_names.txt", "fine_labels", "meta", "fine_label_names",
                              NULL};

static bool is_bin(const char *name) {
    size_t n = strlen(name);
    return name[0] != '.' && n > 4 && strcmp(name + n - 4, ".bin") == 0;
}

static bool is_test(const char *name) {
    return strcmp(name, "test_batch.bin") == 0 || strcmp(name, "test.bin") == 0 ||
           strcmp(name, "test_batch") == 0 || strcmp(name, "test") == 0;
}

static bool is_train(const char *name) {
    return strncmp(name, "data_batch_", 11) == 0 || strcmp(name, "train.bin") == 0 ||
           strcmp(name, "train") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int only_bin(const struct dirent *e) {
    return is_bin(e->d_name);
}

/* Batches of the python version have no suffix. */
static int only_batch(const struct dirent *e) {
    return !strchr(e->d_name, '.') && (is_test(e->d_name) || is_train(e->d_name));
}

/* Appends the records of one file. */
static cvs_status add_file(cvi_arrays *a, const kind *k, const char *path, const cvs_limits *limits,
                           cvs_error *err) {
    cvi_file file = {0};
    CVI_TRY(cvi_file_read(path, limits, &file, err));
    size_t record = (size_t)k->labels + PIXELS;
    int64_t n = (int64_t)(file.size / record);
    cvs_status s = CVS_OK;
    uint8_t *pixels = NULL, *labels = NULL;
    if (file.size == 0 || file.size % record != 0) {
        s = cvi_fail(err, CVS_E_FORMAT, "%lld bytes are no whole number of records of %lld bytes",
                     (long long)file.size, (long long)record);
    } else {
        pixels = cvi_realloc(a->pixels, (size_t)a->n * PIXELS, (size_t)(a->n + n) * PIXELS);
        a->pixels = pixels ? pixels : a->pixels;
        labels = pixels ? cvi_realloc(a->labels, (size_t)a->n, (size_t)(a->n + n)) : NULL;
        a->labels = labels ? labels : a->labels;
        s = labels ? CVS_OK : cvi_no_memory(err, (size_t)(a->n + n) * PIXELS);
    }
    for (int64_t i = 0; s == CVS_OK && i < n; i++) {
        const uint8_t *from = file.data + (size_t)i * record;
        uint8_t label = from[k->labels - 1];
        if (label >= k->classes) {
            s = cvi_at_offset(
                err, cvi_fail(err, CVS_E_FORMAT, "the label is %d; there are %d classes", label, k->classes),
                (int64_t)((size_t)i * record));
            break;
        }
        a->labels[a->n + i] = label;
        memcpy(a->pixels + (a->n + i) * PIXELS, from + k->labels, PIXELS);
    }
    a->n += s == CVS_OK ? n : 0;
    cvi_file_close(&file);
    return cvi_at_file(err, s, path);
}

/* The classes' names beside pickled batches, where they are. */
static cvs_status read_names(cvs_data *data, const char *where, const kind *k,
                             const cvs_data_options *options, const char *const **known, cvs_error *err) {
    char *path = cvi_path_join(where, k->meta);
    const char **names = NULL;
    cvs_status s = path ? CVS_OK : cvi_no_memory(err, strlen(where));
    if (s == CVS_OK && cvi_is_file(path)) {
        s = cvi_cifar_names(path, k->names, &options->limits, data->arena, &names, err);
        *known = names && names[0] ? (const char *const *)names : NULL;
    }
    cvi_free(path);
    return s;
}

static cvs_status open_cifar(cvs_data *data, const char *where, const kind *k,
                             const cvs_data_options *options, cvs_error *err) {
    struct dirent **list = NULL;
    cvi_arrays a = {.height = SIDE, .width = SIDE, .channels = 3, .planes = true};
    const char *const *known = k->known;
    int n = scandir(where, &list, only_bin, by_name), train = 0, test = 0, read = 0;
    bool pickled = n == 0;
    if (pickled) {
        free(list); /* libc's own memory */
        n = scandir(where, &list, only_batch, by_name);
    }
    cvs_status s = n < 0 ? cvi_fail(err, CVS_E_IO, "there is no such folder") : CVS_OK;
    for (int i = 0; i < n; i++) {
        train += is_train(list[i]->d_name);
        test += is_test(list[i]->d_name);
    }
    bool own = train > 0 && test > 0;
    for (int i = 0; i < n; i++) {
        bool wanted =
            !own || (options->split == CVS_TEST ? is_test(list[i]->d_name) : is_train(list[i]->d_name));
        char *path = wanted && s == CVS_OK ? cvi_path_join(where, list[i]->d_name) : NULL;
        if (wanted && s == CVS_OK) {
            s = !path     ? cvi_no_memory(err, strlen(where))
                : pickled ? cvi_cifar_pickle(path, k->list, k->classes, &options->limits, &a, err)
                          : add_file(&a, k, path, &options->limits, err);
            read++;
        }
        cvi_free(path);
        free(list[i]); /* libc's own memory */
    }
    free(list);
    if (s == CVS_OK && read == 0) {
        s = cvi_fail(
            err, CVS_E_NOT_FOUND,
            "the folder holds no files of CIFAR (data_batch_1.bin, train.bin, data_batch_1, train, ...)");
    }
    if (s == CVS_OK && pickled && !known) {
        s = read_names(data, where, k, options, &known, err);
    }
    if (s != CVS_OK) {
        cvi_arrays_free(&a);
        return cvi_at_file(err, s, where);
    }
    return cvi_at_file(err, cvi_arrays_finish(data, &a, own, where, k->file, known, options, err), where);
}

static cvs_status open_cifar10(cvs_data *data, const char *where, const cvs_data_options *options,
                               cvs_error *err) {
    return open_cifar(data, where, &cifar10, options, err);
}

static cvs_status open_cifar100(cvs_data *data, const char *where, const cvs_data_options *options,
                                cvs_error *err) {
    return open_cifar(data, where, &cifar100, options, err);
}

const cvi_source cvi_source_cifar10 = {
    .name = "cifar10",
    .en = "cifar10:DIR - CIFAR-10, binary version (.bin files) or python version",
    .zh = "cifar10:DIR - CIFAR-10 的二进制版本（.bin 文件）或 python 版本",
    .open = open_cifar10,
    .get = cvi_arrays_get,
    .close = cvi_arrays_close,
};

const cvi_source cvi_source_cifar100 = {
    .name = "cifar100",
    .en = "cifar100:DIR - CIFAR-100, binary or python version, the fine labels",
    .zh = "cifar100:DIR - CIFAR-100 的二进制或 python 版本，使用细分类标签",
    .open = open_cifar100,
    .get = cvi_arrays_get,
    .close = cvi_arrays_close,
};
