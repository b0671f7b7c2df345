/* SPDX-License-Identifier: MIT
 * classes.c - the names of the classes of a set whose labels are numbers: from a file beside it, one a line, else those that are known,
 * else the numbers.
 */
#include "data/dataset.h"

enum { MAX_CLASSES = 256, MAX_CLASSES_FILE = 1 << 16 };

/* One name a line from DIR/classes.txt; false where there is no such file. */
static cvs_status read_classes(cvs_data *data, const char *path, const char **names, int *n, cvs_error *err) {
    cvi_file file;
    cvs_limits limits = {.max_file_bytes = MAX_CLASSES_FILE};
    CVI_TRY(cvi_file_read(path, &limits, &file, err));
    const char *p = (const char *)file.data, *end = p + file.size;
    cvs_status s = CVS_OK;
    *n = 0;
    while (p < end && s == CVS_OK) {
        const char *line = p, *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop != NULL ? stop : end;
        p = stop + 1;
        while (stop > line && (stop[-1] == '\r' || stop[-1] == ' ')) {
            stop--;
        }
        if (stop == line) {
            continue;
        }
        if (*n == MAX_CLASSES) {
            s = cvi_fail(err, CVS_E_FORMAT, "there are more than %d class names", MAX_CLASSES);
        } else if ((names[*n] = cvi_arena_strn(data->arena, line, (size_t)(stop - line))) == NULL) {
            s = cvi_no_memory(err, (size_t)(stop - line));
        } else {
            ++*n;
        }
    }
    cvi_file_close(&file);
    return cvi_at_file(err, s, path);
}

cvs_status cvi_name_classes(cvs_data *data, const char *dir, const char *file, const char *const *known,
                            int most, cvs_error *err) {
    const char **names = cvi_arena_alloc(data->arena, MAX_CLASSES, sizeof *names);
    char *path = cvi_path_join(dir, file);
    if (names == NULL || path == NULL) {
        cvi_free(path);
        return cvi_no_memory(err, MAX_CLASSES * sizeof *names);
    }
    int n = 0;
    cvs_status s = cvi_is_file(path) ? read_classes(data, path, names, &n, err) : CVS_OK;
    if (s == CVS_OK && n > 0 && n <= most) {
        s = cvi_fail(err, CVS_E_FORMAT, "%d class names, but a picture has the label %d", n, most);
        cvi_at_file(err, s, path);
    }
    cvi_free(path);
    CVI_TRY(s);
    for (int i = 0; n == i && known != NULL && known[i] != NULL; i++) {
        names[n++] = known[i];
    }
    for (bool numbers = n <= most; numbers && n <= CVI_MAX(most, 9); n++) {
        names[n] = cvi_arena_printf(data->arena, "%d", n);
        if (names[n] == NULL) {
            return cvi_no_memory(err, 8);
        }
    }
    data->info.classes = names;
    data->info.n_classes = n;
    return CVS_OK;
}
