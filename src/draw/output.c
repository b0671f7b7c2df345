/* SPDX-License-Identifier: MIT
 * output.c - picks the writer of a figure by the extension of the file's name, and writes atomically.
 */
#include "draw/scene.h"

#include <strings.h>

static cvs_status write_svg(const cvi_scene *s, double scale, cvi_buf *out, cvs_error *err) {
    (void)scale;
    return cvi_scene_svg(s, NULL, out, err);
}

typedef struct output {
    const char *extension;
    cvs_status (*write)(const cvi_scene *s, double scale, cvi_buf *out, cvs_error *err);
} output;

static const output outputs[] = {
#define CVI_OUTPUT(extension, function) {extension, function},
#include "outputs.def"
#undef CVI_OUTPUT
};

static const char extensions[] =
#define CVI_OUTPUT(extension, function) " " extension
#include "outputs.def"
#undef CVI_OUTPUT
    ;

const char *cvi_picture_extensions(void) {
    return extensions;
}

static const output *find_output(const char *path) {
    const char *name = cvi_path_base(path), *dot = strrchr(name, '.');
    for (int i = 0; dot != NULL && i < CVI_COUNT(outputs); i++) {
        if (strcasecmp(dot, outputs[i].extension) == 0) {
            return &outputs[i];
        }
    }
    return NULL;
}

bool cvi_is_picture_extension(const char *extension) {
    return find_output(extension) != NULL;
}

cvs_status cvi_scene_encode(const cvi_scene *s, const char *extension, double scale, cvi_buf *out,
                            cvs_error *err) {
    const output *o = find_output(extension);
    if (o == NULL) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the extension does not name a picture format; known are%s",
                        extensions);
    }
    return o->write(s, scale, out, err);
}

cvs_status cvi_check_figure_path(const char *path, cvs_error *err) {
    if (find_output(path) == NULL) {
        cvi_fail(err, CVS_E_ARGUMENT, "the extension does not name a picture format; known are%s",
                 extensions);
        return cvi_at_file(err, CVS_E_ARGUMENT, path);
    }
    return cvi_check_output(path, err);
}

cvs_status cvi_scene_write(const cvi_scene *s, const char *path, double scale, cvs_error *err) {
    const output *o = find_output(path);
    if (o == NULL) {
        return cvi_check_figure_path(path, err);
    }
    cvi_buf buf = {0};
    cvs_status status = o->write(s, scale, &buf, err);
    if (status == CVS_OK) {
        status = cvi_file_write(path, buf.data, buf.size, err);
    } else {
        cvi_at_file(err, status, path);
    }
    cvi_buf_free(&buf);
    return status;
}
