/* SPDX-License-Identifier: MIT
 * source_mnist.c - "mnist:DIR": pictures and labels in idx files, as MNIST and Fashion-MNIST are handed out.
 * DIR holds train-* and t10k-* files, or one pair of any name (NAME-images-idx3-ubyte, NAME-labels-idx1-ubyte), which is
 * then divided; "-idx" may be ".idx" and every file may end in .gz. A classes.txt beside them names the classes.
 * Everything is read when the set is opened: MNIST takes 47 MB.
 */
#include <dirent.h>
#include <stdlib.h>

#include "data/dataset.h"

typedef struct mnist {
    cvi_idx images, labels;
    int64_t *index; /* of picture i of the set */
} mnist;

/* ---- which files --------------------------------------------------------------------------------------- */

static const char *const image_ends[] = {"-images-idx3-ubyte", "-images-idx3-ubyte.gz", "-images.idx3-ubyte",
                                         "-images.idx3-ubyte.gz"};
static const char *const label_ends[] = {"-labels-idx1-ubyte", "-labels-idx1-ubyte.gz", "-labels.idx1-ubyte",
                                         "-labels.idx1-ubyte.gz"};

/* DIR/<prefix><one of the ends>, owned; NULL with *memory = false where there is none. */
static char *find_part(const char *dir, const char *prefix, size_t n, const char *const *ends, bool *memory) {
    for (int i = 0; i < CVI_COUNT(image_ends); i++) {
        char name[400];
        snprintf(name, sizeof name, "%.*s%s", (int)CVI_MIN(n, 255), prefix, ends[i]);
        char *path = cvi_path_join(dir, name);
        if (path == NULL) {
            *memory = true;
            return NULL;
        }
        if (cvi_is_file(path)) {
            return path;
        }
        cvi_free(path);
    }
    return NULL;
}

/* The name before the end of an image file, as its length; 0 where `name` is none. */
static size_t prefix_of(const char *name) {
    size_t n = strlen(name);
    for (int i = 0; i < CVI_COUNT(image_ends); i++) {
        size_t m = strlen(image_ends[i]);
        if (n > m && n - m < 255 && strcmp(name + n - m, image_ends[i]) == 0) {
            return n - m;
        }
    }
    return 0;
}

/* The only prefix of image files in DIR, into prefix[256]; an error where there are several or none. */
static cvs_status only_prefix(const char *dir, char *prefix, cvs_error *err) {
    DIR *folder = opendir(dir);
    if (folder == NULL) {
        return cvi_fail(err, CVS_E_IO, "the folder cannot be read");
    }
    prefix[0] = '\0';
    char second[256] = "";
    for (struct dirent *d = readdir(folder); d != NULL; d = readdir(folder)) {
        size_t n = d->d_name[0] != '.' ? prefix_of(d->d_name) : 0;
        if (n > 0 && (strlen(prefix) != n || memcmp(prefix, d->d_name, n) != 0)) {
            char *to = prefix[0] == '\0' ? prefix : second;
            memcpy(to, d->d_name, n);
            to[n] = '\0';
        }
    }
    closedir(folder);
    if (prefix[0] == '\0') {
        return cvi_fail(
            err, CVS_E_NOT_FOUND,
            "the folder holds no idx pictures (train-images-idx3-ubyte or a file named like it, .gz or not)");
    }
    if (second[0] != '\0') {
        bool swap = strcmp(prefix, second) > 0; /* the order of a folder is the file system's own */
        return cvi_fail(
            err, CVS_E_ARGUMENT,
            "the folder holds several sets of idx pictures (%.60s, %.60s), but no pair of train and t10k",
            swap ? second : prefix, swap ? prefix : second);
    }
    return CVS_OK;
}

typedef struct files {
    char *images, *labels; /* owned */
    bool own_split;
} files;

static cvs_status find_files(const char *dir, cvs_split split, files *out, cvs_error *err) {
    char prefix[256];
    bool memory = false;
    if (!cvi_is_folder(dir)) {
        return cvi_fail(err, CVS_E_IO, "there is no such folder");
    }
    char *train = find_part(dir, "train", 5, image_ends, &memory);
    char *test = memory ? NULL : find_part(dir, "t10k", 4, image_ends, &memory);
    out->own_split = train != NULL && test != NULL;
    cvs_status s = CVS_OK;
    if (memory) {
        s = cvi_no_memory(err, strlen(dir));
    } else if (out->own_split) {
        snprintf(prefix, sizeof prefix, "%s", split == CVS_TEST ? "t10k" : "train");
    } else {
        s = only_prefix(dir, prefix, err);
    }
    cvi_free(train);
    cvi_free(test);
    CVI_TRY(s);
    out->images = find_part(dir, prefix, strlen(prefix), image_ends, &memory);
    out->labels = memory ? NULL : find_part(dir, prefix, strlen(prefix), label_ends, &memory);
    if (memory) {
        return cvi_no_memory(err, strlen(dir));
    }
    if (out->images == NULL || out->labels == NULL) { /* the pictures can only have gone this instant */
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "the labels of the pictures are missing: %.100s-labels-idx1-ubyte", prefix);
    }
    return CVS_OK;
}

/* ---- the source --------------------------------------------------------------------------------------------- */

static cvs_status pick(cvs_data *data, mnist *m, bool own_split, const cvs_data_options *options,
                       cvs_error *err) {
    int64_t n = m->labels.dim[0];
    int *label = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *label);
    if (label == NULL) {
        return cvi_no_memory(err, (size_t)n * sizeof *label);
    }
    for (int64_t i = 0; i < n; i++) {
        label[i] = m->labels.data[i];
    }
    cvs_status s =
        cvi_pick(label, n, data->info.n_classes, own_split, options, &m->index, &data->info.count, err);
    cvi_free(label);
    return s;
}

static uint64_t fingerprint(const mnist *m, int64_t count) {
    uint64_t h = CVI_HASH_START;
    int64_t area = m->images.dim[1] * m->images.dim[2];
    for (int r = 1; r < 3; r++) {
        h = cvi_hash_number(h, (uint64_t)m->images.dim[r]);
    }
    for (int64_t i = 0; i < count; i++) {
        h = cvi_hash(h, m->labels.data + m->index[i], 1);
        h = cvi_hash(h, m->images.data + m->index[i] * area, (size_t)area);
    }
    return h;
}

static cvs_status fill(cvs_data *data, mnist *m, const char *dir, const files *f,
                       const cvs_data_options *options, cvs_error *err) {
    CVI_TRY(cvi_idx_read(f->images, 3, &options->limits, &m->images, err));
    CVI_TRY(cvi_idx_read(f->labels, 1, &options->limits, &m->labels, err));
    if (m->labels.dim[0] != m->images.dim[0]) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "there are %lld labels, but %lld pictures",
                                (long long)m->labels.dim[0], (long long)m->images.dim[0]);
        return cvi_at_file(err, s, f->labels);
    }
    if (m->images.bytes == 0) {
        cvs_status s =
            cvi_fail(err, CVS_E_FORMAT, "the idx file holds no pictures: its sizes are %lldx%lldx%lld",
                     (long long)m->images.dim[0], (long long)m->images.dim[1], (long long)m->images.dim[2]);
        return cvi_at_file(err, s, f->images);
    }
    int most = 0;
    for (int64_t i = 0; i < m->labels.dim[0]; i++) {
        most = CVI_MAX(most, m->labels.data[i]);
    }
    CVI_TRY(cvi_name_classes(data, dir, "classes.txt", NULL, most, err));
    CVI_TRY(pick(data, m, f->own_split, options, err));
    data->info.channels = 1;
    data->info.height = m->images.dim[1];
    data->info.width = m->images.dim[2];
    data->info.fingerprint = fingerprint(m, data->info.count);
    return CVS_OK;
}

static cvs_status open_mnist(cvs_data *data, const char *where, const cvs_data_options *options,
                             cvs_error *err) {
    mnist *m = cvi_calloc(1, sizeof *m);
    if (m == NULL) {
        return cvi_no_memory(err, sizeof *m);
    }
    data->self = m;
    files f = {0};
    cvs_status s = find_files(where, options->split, &f, err);
    if (s == CVS_OK) {
        s = fill(data, m, where, &f, options, err);
    }
    cvi_free(f.images);
    cvi_free(f.labels);
    return cvi_at_file(err, s, where);
}

static cvs_status get_mnist(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label,
                            cvs_tensor *mask, cvs_error *err) {
    (void)mask;
    const mnist *m = data->self;
    int64_t at = m->index[i];
    CVI_TRY(cvs_tensor_new(picture, CVS_U8, 3, (int64_t[]){data->info.height, data->info.width, 1}, err));
    memcpy(picture->data, m->images.data + at * (int64_t)picture->bytes, picture->bytes);
    *label = m->labels.data[at];
    return CVS_OK;
}

static void close_mnist(cvs_data *data) {
    mnist *m = data->self;
    if (m != NULL) {
        cvi_idx_free(&m->images);
        cvi_idx_free(&m->labels);
        cvi_free(m->index);
        cvi_free(m);
    }
}

const cvi_source cvi_source_mnist = {
    .name = "mnist",
    .en = "mnist:DIR - MNIST or Fashion-MNIST, idx files, plain or .gz",
    .zh = "mnist:DIR - MNIST 或 Fashion-MNIST 的 idx 文件，可为 .gz",
    .open = open_mnist,
    .get = get_mnist,
    .close = close_mnist,
};
