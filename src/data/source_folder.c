/* SPDX-License-Identifier: MIT
 * source_folder.c - "folder:DIR": DIR/<class>/<picture>, or DIR/train/<class>/... and DIR/test/<class>/... (test may be
 * called val, valid or validation). Classes and pictures are sorted by name (bytes), so numbers do not depend on the file
 * system. Symbolic links below DIR are passed over, hidden files and files that are no pictures by suffix too.
 * The fingerprint covers names, sizes and the first 4 KiB of every picture, not all bytes: a set may be larger than memory.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/dataset.h"

enum { MAX_CLASSES = 100000, HASHED_BYTES = 4096 };

typedef struct entry {
    const char *path; /* below the root, in the arena */
    int label;
} entry;

typedef struct folder {
    const char *root;
    cvs_limits limits;
    entry *entries; /* owned */
    int64_t n, capacity;
    int64_t *index; /* of picture i of the set */
} folder;

/* ---- reading folders ------------------------------------------------------------------------------------ */

typedef enum kind { FOLDERS, PICTURES } kind;

static const char *const suffixes[] = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp"};

bool cvi_is_picture_name(const char *name) {
    size_t n = strlen(name);
    for (int i = 0; i < CVI_COUNT(suffixes); i++) {
        size_t m = strlen(suffixes[i]);
        if (n > m && strcasecmp(name + n - m, suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}

typedef struct names {
    char **name; /* sorted; freed by names_free */
    int64_t n, capacity;
} names;

static void names_free(names *list) {
    for (int64_t i = 0; i < list->n; i++) {
        cvi_free(list->name[i]);
    }
    cvi_free(list->name);
    *list = (names){0};
}

static bool names_add(names *list, const char *name) {
    if (list->n == list->capacity) {
        int64_t more = CVI_MAX(list->capacity * 2, 64);
        char **larger =
            cvi_realloc(list->name, (size_t)list->n * sizeof *larger, (size_t)more * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        list->name = larger;
        list->capacity = more;
    }
    list->name[list->n] = cvi_strdup(name);
    return list->name[list->n] != NULL && ++list->n > 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool wanted(int fd, const struct dirent *d, kind what) {
    struct stat st;
    if (d->d_name[0] == '.' || (what == PICTURES && !cvi_is_picture_name(d->d_name)) ||
        fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    return what == FOLDERS ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode);
}

/* The folders or the pictures in `path`, sorted. */
static cvs_status list_folder(const char *path, kind what, names *out, cvs_error *err) {
    *out = (names){0};
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return cvi_at_file(err, cvi_fail(err, CVS_E_IO, "the folder cannot be read"), path);
    }
    bool ok = true;
    for (struct dirent *d = readdir(dir); ok && d != NULL; d = readdir(dir)) {
        ok = !wanted(dirfd(dir), d, what) || names_add(out, d->d_name);
    }
    closedir(dir);
    if (!ok) {
        names_free(out);
        return cvi_no_memory(err, 0);
    }
    if (out->n > 0) {
        qsort(out->name, (size_t)out->n, sizeof *out->name, by_name);
    }
    return CVS_OK;
}

/* ---- classes and their pictures -------------------------------------------------------------------------- */

static bool add_entry(folder *f, const char *path, int label) {
    if (f->n == f->capacity) {
        int64_t more = CVI_MAX(f->capacity * 2, 256);
        entry *larger = cvi_realloc(f->entries, (size_t)f->n * sizeof *larger, (size_t)more * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        f->entries = larger;
        f->capacity = more;
    }
    f->entries[f->n++] = (entry){path, label};
    return true;
}

/* All pictures of root/<base><class>/; base is "" or "train/". */
static cvs_status add_class(cvs_data *data, const char *base, const char *class_name, int label,
                            cvs_error *err) {
    folder *f = data->self;
    char *path = cvi_arena_printf(data->arena, "%s/%s%s", f->root, base, class_name);
    if (path == NULL) {
        return cvi_no_memory(err, strlen(class_name));
    }
    names pictures;
    CVI_TRY(list_folder(path, PICTURES, &pictures, err));
    bool ok = true;
    for (int64_t i = 0; ok && i < pictures.n; i++) {
        char *relative = cvi_arena_printf(data->arena, "%s%s/%s", base, class_name, pictures.name[i]);
        ok = relative != NULL && add_entry(f, relative, label);
    }
    int64_t n = pictures.n;
    names_free(&pictures);
    if (!ok) {
        return cvi_no_memory(err, 0);
    }
    if (n == 0) {
        cvi_fail(err, CVS_E_FORMAT,
                 "the class folder holds no pictures (.png, .jpg, .webp or .bmp; links are not followed)");
        return cvi_at_file(err, CVS_E_FORMAT, path);
    }
    return CVS_OK;
}

/* The classes are the folders of `base`; their names go into info. */
static cvs_status take_classes(cvs_data *data, const char *base, cvs_error *err) {
    folder *f = data->self;
    char *path = cvi_arena_printf(data->arena, "%s/%s", f->root, base);
    if (path == NULL) {
        return cvi_no_memory(err, 0);
    }
    names list;
    CVI_TRY(list_folder(path, FOLDERS, &list, err));
    cvs_status s = CVS_OK;
    if (list.n == 0) {
        s = cvi_fail(err, CVS_E_FORMAT,
                     "the folder has no class folders in it (DIR/<class>/<picture> expected)");
    } else if (list.n > MAX_CLASSES) {
        s = cvi_fail(err, CVS_E_LIMIT, "the folder has %lld class folders, the limit is %d",
                     (long long)list.n, MAX_CLASSES);
    }
    const char **classes = s == CVS_OK ? cvi_arena_alloc(data->arena, list.n, sizeof *classes) : NULL;
    if (s == CVS_OK && classes == NULL) {
        s = cvi_no_memory(err, (size_t)list.n * sizeof *classes);
    }
    for (int64_t i = 0; s == CVS_OK && i < list.n; i++) {
        classes[i] = cvi_arena_strn(data->arena, list.name[i], strlen(list.name[i]));
        s = classes[i] == NULL ? cvi_no_memory(err, strlen(list.name[i])) : CVS_OK;
    }
    data->info.classes = classes;
    data->info.n_classes = s == CVS_OK ? (int)list.n : 0;
    names_free(&list);
    return cvi_at_file(err, s, path);
}

/* The test pictures of a set that has train/ and test/: folders of known classes only. */
static cvs_status take_test(cvs_data *data, const char *base, cvs_error *err) {
    folder *f = data->self;
    char *path = cvi_arena_printf(data->arena, "%s/%s", f->root, base);
    names list;
    if (path == NULL) {
        return cvi_no_memory(err, 0);
    }
    CVI_TRY(list_folder(path, FOLDERS, &list, err));
    cvs_status s = CVS_OK;
    for (int64_t i = 0; s == CVS_OK && i < list.n; i++) {
        const char *key = list.name[i];
        const char *const *at = bsearch(&key, data->info.classes, (size_t)data->info.n_classes,
                                        sizeof *data->info.classes, by_name);
        s = at == NULL ? cvi_at_file(err,
                                     cvi_fail(err, CVS_E_FORMAT,
                                              "the test pictures have a class \"%.60s\" that the training "
                                              "pictures do not have",
                                              key),
                                     path)
                       : add_class(data, base, key, (int)(at - data->info.classes), err);
    }
    names_free(&list);
    return s;
}

/* ---- the source -------------------------------------------------------------------------------------------- */

/* A folder below the root, not reached through a link. */
static bool has_folder(const char *root, const char *name) {
    char *path = cvi_path_join(root, name);
    struct stat st;
    bool is = path != NULL && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
    cvi_free(path);
    return is;
}

static cvs_status take_all(cvs_data *data, const char *base, cvs_error *err) {
    CVI_TRY(take_classes(data, base, err));
    for (int k = 0; k < data->info.n_classes; k++) {
        CVI_TRY(add_class(data, base, data->info.classes[k], k, err));
    }
    return CVS_OK;
}

static cvs_status take_entries(cvs_data *data, const cvs_data_options *options, bool *own_split,
                               cvs_error *err) {
    static const char *const tests[] = {"test", "val", "valid", "validation"};
    folder *f = data->self;
    *own_split = false;
    if (!has_folder(f->root, "train")) {
        return take_all(data, "", err);
    }
    for (int i = 0; i < CVI_COUNT(tests) && !*own_split; i++) {
        if (has_folder(f->root, tests[i])) {
            *own_split = true;
            if (options->split == CVS_TEST) {
                char base[16];
                snprintf(base, sizeof base, "%s/", tests[i]);
                CVI_TRY(take_classes(data, "train/", err));
                return take_test(data, base, err);
            }
        }
    }
    return take_all(data, "train/", err);
}

static cvs_status pick(cvs_data *data, bool own_split, const cvs_data_options *options, cvs_error *err) {
    folder *f = data->self;
    int *label = cvi_calloc((size_t)CVI_MAX(f->n, 1), sizeof *label);
    if (label == NULL) {
        return cvi_no_memory(err, (size_t)f->n * sizeof *label);
    }
    for (int64_t i = 0; i < f->n; i++) {
        label[i] = f->entries[i].label;
    }
    cvs_status s =
        cvi_pick(label, f->n, data->info.n_classes, own_split, options, &f->index, &data->info.count, err);
    cvi_free(label);
    return s;
}

static uint64_t fingerprint(const folder *f, int64_t count) {
    uint64_t h = CVI_HASH_START;
    int root = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int64_t i = 0; root >= 0 && i < count; i++) {
        const entry *e = &f->entries[f->index[i]];
        uint8_t head[HASHED_BYTES];
        struct stat st = {0};
        h = cvi_hash(h, e->path, strlen(e->path) + 1);
        int fd = openat(root, e->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        if (fd >= 0 && fstat(fd, &st) == 0) {
            ssize_t n = read(fd, head, sizeof head);
            h = cvi_hash_number(h, (uint64_t)st.st_size);
            h = cvi_hash(h, head, n > 0 ? (size_t)n : 0);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (root >= 0) {
        close(root);
    }
    return h;
}

static cvs_status open_folder(cvs_data *data, const char *where, const cvs_data_options *options,
                              cvs_error *err) {
    folder *f = cvi_calloc(1, sizeof *f);
    if (f == NULL) {
        return cvi_no_memory(err, sizeof *f);
    }
    data->self = f;
    f->limits = options->limits;
    f->root = cvi_arena_strn(data->arena, where, strlen(where));
    if (f->root == NULL) {
        return cvi_no_memory(err, strlen(where));
    }
    if (!cvi_is_folder(where)) {
        return cvi_at_file(err, cvi_fail(err, CVS_E_IO, "there is no such folder"), where);
    }
    bool own_split;
    CVI_TRY(take_entries(data, options, &own_split, err));
    CVI_TRY(pick(data, own_split, options, err));
    data->info.channels = 3;
    data->info.fingerprint = fingerprint(f, data->info.count);
    return CVS_OK;
}

static cvs_status get_folder(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label,
                             cvs_tensor *mask, cvs_error *err) {
    (void)mask;
    const folder *f = data->self;
    const entry *e = &f->entries[f->index[i]];
    char *path = cvi_path_join(f->root, e->path);
    if (path == NULL) {
        return cvi_no_memory(err, strlen(e->path));
    }
    cvs_status s = cvs_image_read(path, &f->limits, picture, err);
    cvi_free(path);
    *label = e->label;
    return s;
}

static void close_folder(cvs_data *data) {
    folder *f = data->self;
    if (f != NULL) {
        cvi_free(f->entries);
        cvi_free(f->index);
        cvi_free(f);
    }
}

const cvi_source cvi_source_folder = {
    .name = "folder",
    .en = "folder:DIR - DIR/<class>/<picture>, or DIR/train/<class>/... and DIR/test/<class>/...",
    .zh = "folder:DIR - DIR/<类别>/<图片>，或 DIR/train/<类别>/... 与 DIR/test/<类别>/...",
    .open = open_folder,
    .get = get_folder,
    .close = close_folder,
};
