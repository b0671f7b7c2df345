/* SPDX-License-Identifier: MIT
 * imagenet.c - the names of ImageNet's 1,000 classes (imagenet.def), for models whose file names none: by --classes imagenet, or as a guess
 * that says so.
 */
#include "class_list.h"

#include "convscope/model.h"

static const char text[] =
#include "imagenet.def"
    ;

enum { CLASSES = 1000 };

cvs_status cvi_classes_imagenet(cvs_model *m, bool background, cvs_error *err) {
    static const char with[] = "background\n";
    char *all = background ? cvi_malloc(sizeof with + sizeof text) : NULL;
    if (!background) {
        return cvi_classes_from_text(m, text, sizeof text - 1, "ImageNet", err);
    }
    if (!all) {
        return cvi_no_memory(err, sizeof with + sizeof text);
    }
    memcpy(all, with, sizeof with - 1);
    memcpy(all + sizeof with - 1, text, sizeof text);
    cvs_status s =
        cvi_classes_from_text(m, all, sizeof with - 1 + sizeof text - 1, "ImageNet with background", err);
    cvi_free(all);
    return s;
}

bool cvs_imagenet_name(int64_t classes, int64_t index, char *name, size_t size) {
    if ((classes != CLASSES && classes != CLASSES + 1) || index < 0 || index >= classes) {
        return false;
    }
    const char *at = text;
    int64_t line = index - (classes - CLASSES);
    if (line < 0) {
        snprintf(name, size, "background");
        return true;
    }
    for (; line > 0; line--) {
        at = strchr(at, '\n') + 1;
    }
    snprintf(name, size, "%.*s", (int)(strchr(at, '\n') - at), at);
    return true;
}
