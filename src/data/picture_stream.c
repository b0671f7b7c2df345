/* SPDX-License-Identifier: MIT
 * picture_stream.c - streams of pictures: a data set from end to end, what is in memory, or a folder walked as deep as it goes. Of a
 * folder only the open folders from the top down to the current one are in memory, so it may hold any number of pictures.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/dataset.h"

enum { DEEPEST = 24, LONGEST = 4096 };

struct cvs_pictures {
    cvs_data *data;         /* of a spec; else */
    const cvs_tensor *kept; /* [n_kept] in memory; else a folder */
    const char *const *kept_name;
    int n_kept;
    char *root;
    DIR *dir[DEEPEST];   /* open folders, [0] is the root */
    size_t end[DEEPEST]; /* where the name of dir[i] ends in `name` */
    int depth;           /* how many are open */
    int64_t at, limit, skipped;
    cvs_limits limits;
    char name[LONGEST], first[LONGEST];
};

bool cvs_is_pictures(const char *where) {
    return cvi_is_spec(where) || cvi_is_folder(where);
}

cvs_status cvs_pictures_open(const char *where, const cvs_data_options *options, cvs_pictures **out,
                             cvs_error *err) {
    cvs_pictures *p = cvi_calloc(1, sizeof *p);
    *out = NULL;
    if (!p) {
        return cvi_no_memory(err, sizeof *p);
    }
    p->limit = options ? options->limit : 0;
    p->limits = cvs_limits_default(options ? &options->limits : NULL);
    cvs_status s = CVS_OK;
    if (!cvi_is_folder(where)) {
        s = cvs_data_open(where, options, &p->data, err);
    } else {
        p->root = cvi_strdup(where);
        p->dir[0] = p->root ? opendir(where) : NULL;
        p->depth = p->dir[0] ? 1 : 0;
        s = !p->root     ? cvi_no_memory(err, strlen(where))
            : !p->dir[0] ? cvi_at_file(err, cvi_fail(err, CVS_E_IO, "the folder cannot be read"), where)
                         : CVS_OK;
    }
    if (s != CVS_OK) {
        cvs_pictures_free(p);
        return s;
    }
    *out = p;
    return CVS_OK;
}

cvs_status cvs_pictures_memory(const cvs_tensor *pictures, const char *const *names, int n,
                               cvs_pictures **out, cvs_error *err) {
    cvs_pictures *p = cvi_calloc(1, sizeof *p);
    *out = p;
    if (!p) {
        return cvi_no_memory(err, sizeof *p);
    }
    p->kept = pictures;
    p->kept_name = names;
    p->n_kept = n;
    return CVS_OK;
}

void cvs_pictures_free(cvs_pictures *p) {
    if (p) {
        while (p->depth > 0) {
            closedir(p->dir[--p->depth]);
        }
        cvs_data_free(p->data);
        cvi_free(p->root);
        cvi_free(p);
    }
}

int64_t cvs_pictures_skipped(const cvs_pictures *p, const char **first) {
    if (first) {
        *first = p->first;
    }
    return p->skipped;
}

/* A grey picture [H,W,1] as [H,W,3]. */
static cvs_status widen(cvs_tensor *t, cvs_error *err) {
    if (t->rank != 3 || t->dim[2] != 1) {
        return CVS_OK;
    }
    cvs_tensor wide = {0};
    int64_t dim[3] = {t->dim[0], t->dim[1], 3};
    CVI_TRY(cvs_tensor_new(&wide, CVS_U8, 3, dim, err));
    for (int64_t i = 0; i < t->dim[0] * t->dim[1]; i++) {
        memset((uint8_t *)wide.data + 3 * i, ((const uint8_t *)t->data)[i], 3);
    }
    cvs_tensor_free(t);
    *t = wide;
    return CVS_OK;
}

/* Picture `name`, a path below the root. */
static cvs_status read_file(const cvs_pictures *p, const char *name, cvs_tensor *picture, cvs_error *err) {
    char *path = cvi_path_join(p->root, name);
    if (!path) {
        return cvi_no_memory(err, strlen(name));
    }
    cvs_status s = cvs_image_read(path, &p->limits, picture, err);
    cvi_free(path);
    return s;
}

static cvs_status read_number(const cvs_pictures *p, int64_t i, cvs_tensor *picture, int *label,
                              cvs_error *err) {
    CVI_TRY(cvs_data_get(p->data, i, picture, label, NULL, err));
    cvs_status s = widen(picture, err);
    if (s != CVS_OK) {
        cvs_tensor_free(picture);
    }
    return s;
}

static cvs_status copy_kept(const cvs_pictures *p, int64_t i, cvs_tensor *picture, cvs_error *err) {
    if (i < 0 || i >= p->n_kept) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "there is no picture %lld of %d", (long long)i, p->n_kept);
    }
    CVI_TRY(cvs_tensor_new(picture, CVS_U8, 3, p->kept[i].dim, err));
    memcpy(picture->data, p->kept[i].data, picture->bytes);
    return CVS_OK;
}

/* Only memory that runs out can go wrong: nothing is passed over. Their names begin with their numbers. */
static cvs_status next_kept(cvs_pictures *p, cvs_tensor *picture, cvs_error *err) {
    if (p->at >= p->n_kept) {
        return CVS_OK;
    }
    snprintf(p->name, sizeof p->name, "%lld %s", (long long)p->at, p->kept_name[p->at]);
    return copy_kept(p, p->at++, picture, err);
}

cvs_status cvs_pictures_read(cvs_pictures *p, const char *name, cvs_tensor *picture, cvs_error *err) {
    int label;
    *picture = (cvs_tensor){0};
    if (p->kept) {
        return copy_kept(p, strtoll(name, NULL, 10), picture, err);
    }
    return p->data ? read_number(p, strtoll(name, NULL, 10), picture, &label, err)
                   : read_file(p, name, picture, err);
}

/* Goes into the folder whose path below the root is in `name`. One that cannot be opened is passed over. */
static void enter(cvs_pictures *p, size_t end) {
    char *path = p->depth < DEEPEST ? cvi_path_join(p->root, p->name) : NULL;
    DIR *dir = path ? opendir(path) : NULL;
    cvi_free(path);
    if (dir) {
        p->dir[p->depth] = dir;
        p->end[p->depth++] = end;
    }
}

/* The next file whose name is that of a picture, its path in `name`. */
static bool next_name(cvs_pictures *p) {
    while (p->depth > 0) {
        DIR *dir = p->dir[p->depth - 1];
        size_t end = p->end[p->depth - 1];
        struct stat st;
        const struct dirent *d = readdir(dir);
        if (!d) {
            closedir(dir);
            p->depth--;
            continue;
        }
        size_t n = strlen(d->d_name);
        if (d->d_name[0] == '.' || end + n + 2 > LONGEST ||
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (end > 0) {
            p->name[end++] = '/';
        }
        memcpy(p->name + end, d->d_name, n + 1);
        if (S_ISREG(st.st_mode) && cvi_is_picture_name(d->d_name)) {
            return true;
        }
        if (S_ISDIR(st.st_mode)) {
            enter(p, end + n);
        }
    }
    return false;
}

/* Only what is wrong with the picture itself lets it be passed over. */
static bool passes_over(cvs_status s) {
    return s == CVS_E_IO || s == CVS_E_FORMAT || s == CVS_E_UNSUPPORTED || s == CVS_E_LIMIT;
}

cvs_status cvs_pictures_next(cvs_pictures *p, cvs_tensor *picture, const char **name, cvs_error *err) {
    *picture = (cvs_tensor){0};
    *name = p->name;
    if (p->kept) {
        return next_kept(p, picture, err);
    }
    cvs_data_info info = {0};
    if (p->data) {
        cvs_data_describe(p->data, &info);
    }
    while (p->data ? p->at < info.count : (p->limit == 0 || p->at < p->limit) && next_name(p)) {
        int label = -1;
        cvs_status s =
            p->data ? read_number(p, p->at, picture, &label, err) : read_file(p, p->name, picture, err);
        if (p->data) {
            bool named = label >= 0 && label < info.n_classes && info.classes;
            snprintf(p->name, sizeof p->name, named ? "%lld %s" : "%lld%s", (long long)p->at,
                     named ? info.classes[label] : "");
        }
        p->at++;
        if (s == CVS_OK || !passes_over(s)) {
            return s;
        }
        cvi_error_clear(err);
        if (p->skipped++ == 0) {
            memcpy(p->first, p->name, sizeof p->first);
        }
    }
    return CVS_OK;
}
