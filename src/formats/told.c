/* SPDX-License-Identifier: MIT
 * told.c - class names and preprocessing in the vocabulary of other libraries; see told.h.
 */
#include "formats/told.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_CLASSES = 100000, MAX_NAME = 1000, SHOWN = 12 };

#define FROM "metadata of the model file"

/* ---- class names ---------------------------------------------------------------------------------------------- */

/* A name as text: itself, a number's digits, or the last of a list of id and name. NULL: none. */
static const char *name_text(cvi_arena *arena, const json_t *v, bool *failed) {
    const char *text = json_is_array(v)    ? json_string_value(json_array_get(v, json_array_size(v) - 1))
                       : json_is_object(v) ? cvi_json_string(v, "name", NULL)
                                           : json_string_value(v);
    const char *copy = NULL;
    if (text && strlen(text) <= MAX_NAME) {
        copy = cvi_arena_strn(arena, text, strlen(text));
    } else if (json_is_integer(v)) {
        copy = cvi_arena_printf(arena, "%lld", (long long)json_integer_value(v));
    } else {
        return NULL;
    }
    *failed |= !copy;
    return copy;
}

/* A whole number from 0 on, of a key; -1: none. */
static int64_t number_of(const char *text) {
    char *end = NULL;
    long long n = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
    return end && !*end && n < MAX_CLASSES ? n : -1;
}

/* Puts a name at its place; a place that is taken or outside spoils the list. */
static bool place(const char **names, int64_t n, int64_t at, const char *name) {
    if (at < 0 || at >= n || !name || names[at]) {
        return false;
    }
    names[at] = name;
    return true;
}

static bool from_list(cvi_arena *arena, const json_t *list, const char **names, int64_t n, bool *failed) {
    bool good = true;
    for (int64_t i = 0; good && i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        good = !json_is_integer(v) && place(names, n, i, name_text(arena, v, failed));
    }
    return good;
}

static bool from_table(cvi_arena *arena, const json_t *table, const char **names, int64_t n, bool *failed) {
    const char *key;
    const json_t *v;
    json_object_foreach((json_t *)(uintptr_t)table, key, v) {
        bool by_name = json_is_integer(v);
        const char *name = by_name && strlen(key) <= MAX_NAME ? cvi_arena_strn(arena, key, strlen(key))
                                                              : name_text(arena, v, failed);
        if (!place(names, n, by_name ? (int64_t)json_integer_value(v) : number_of(key), name)) {
            return false;
        }
    }
    return true;
}

/* The names that a configuration has where nobody gave any. */
static bool are_made_up(const char *const *names, int64_t n) {
    char made[32];
    for (int64_t i = 0; i < n; i++) {
        snprintf(made, sizeof made, "LABEL_%lld", (long long)i);
        if (strcmp(names[i], made) != 0) {
            return false;
        }
    }
    return true;
}

cvs_status cvi_told_classes(cvs_model *m, const json_t *json, const char *from, bool *taken, cvs_error *err) {
    int64_t n = (int64_t)(json_is_array(json) ? json_array_size(json) : json_object_size(json));
    bool failed = false;
    *taken = false;
    if (n < 1 || n > MAX_CLASSES) {
        return CVS_OK;
    }
    const char **names = cvi_arena_alloc(m->arena, n, sizeof *names);
    const char *copy = cvi_arena_strn(m->arena, from, strlen(from));
    if (!names || !copy) {
        return cvi_no_memory(err, (size_t)n * sizeof *names);
    }
    bool good = json_is_array(json) ? from_list(m->arena, json, names, n, &failed)
                                    : from_table(m->arena, json, names, n, &failed);
    if (failed) {
        return cvi_no_memory(err, 0);
    }
    *taken = good && !are_made_up(names, n);
    if (*taken) {
        m->classes = names;
        m->n_classes = (int)n;
        m->classes_from = copy;
    }
    return CVS_OK;
}

/* Values in text: JSON, a Python literal, or one name a line or between commas. */
static cvs_status parse_text(const char *text, size_t size, json_t **out, cvs_error *err) {
    cvs_error quiet = {0};
    *out = NULL;
    cvs_status s = cvi_json_parse(text, size, out, &quiet);
    if (s == CVS_E_MEMORY) {
        return cvi_no_memory(err, size);
    }
    return s == CVS_OK ? s : cvi_python_literal(text, size, out, err);
}

static cvs_status split_names(const char *text, json_t **out, cvs_error *err) {
    const char *at = text, *stops = strchr(text, '\n') ? "\n" : strchr(text, ';') ? ";" : ",";
    json_t *list = json_array();
    bool failed = !list;
    *out = NULL;
    while (!failed && *at) {
        size_t n = strcspn(at, stops), skip = strspn(at, " \r\t");
        size_t from = CVI_MIN(skip, n), to = n;
        while (to > from && strchr(" \r\t", at[to - 1])) {
            to--;
        }
        json_t *name = to > from ? json_stringn(at + from, to - from) : NULL;
        failed = name && json_array_append_new(list, name) != 0;
        at += n + (at[n] != 0);
    }
    if (failed || json_array_size(list) < 2) {
        json_decref(list);
        return failed ? cvi_no_memory(err, strlen(text)) : CVS_OK;
    }
    *out = list;
    return CVS_OK;
}

/* A value that may stand as text. */
static cvs_status take(cvs_model *m, const json_t *v, const char *from, bool *taken, cvs_error *err) {
    json_t *parsed = NULL;
    *taken = false;
    if (json_is_string(v)) {
        CVI_TRY(parse_text(json_string_value(v), json_string_length(v), &parsed, err));
        if (!json_is_array(parsed) && !json_is_object(parsed)) {
            json_decref(parsed);
            CVI_TRY(split_names(json_string_value(v), &parsed, err));
        }
        v = parsed;
    }
    cvs_status s = v ? cvi_told_classes(m, v, from, taken, err) : CVS_OK;
    json_decref(parsed);
    return s;
}

const char *cvi_told_key(int i) {
    static const char *const keys[] = {
        "classes",      "CLASSES",   "class_names",  "classnames", "class_labels",   "id2label",
        "idx_to_class", "idx2class", "idx_to_label", "idx2label",  "index_to_class", "class_to_idx",
        "class2idx",    "label2id",  "label_to_idx", "label2idx",  "label_map",      "class_map",
        "label_names",  "labels",    "target_names", "categories", "names",          "vocab"};
    return i < CVI_COUNT(keys) ? keys[i] : NULL;
}

cvs_status cvi_told_object(cvs_model *m, const json_t *object, const char *from, bool *taken,
                           cvs_error *err) {
    const char *key = NULL;
    *taken = false;
    for (int i = 0; !*taken && (key = cvi_told_key(i)) != NULL; i++) {
        const json_t *v = json_object_get(object, key);
        if (v) {
            CVI_TRY(take(m, v, from, taken, err));
        }
    }
    return CVS_OK;
}

cvs_status cvi_told_apart(cvs_model *m, cvs_error *err) {
    char text[500] = "";
    int n = m->n_classes;
    for (int i = 0; i < n && i < SHOWN; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%.30s", i ? ", " : "", m->classes[i]);
    }
    m->n_classes = 0;
    m->classes_from = NULL;
    bool said = n == 0 || cvi_model_note(m, "it tells %lld classes apart: %s%s", (long long)n, text,
                                         n > SHOWN ? ", ..." : "");
    m->classes = NULL;
    return said ? CVS_OK : cvi_no_memory(err, 0);
}

/* ---- metadata of exporters ------------------------------------------------------------------------------------ */

/* The package ultralytics names itself and the task; YOLOv5 only stride and names. */
static cvs_status take_yolo(cvs_model *m, const json_t *meta, cvs_error *err) {
    const char *task = cvi_json_string(meta, "task", "");
    bool named = strcmp(cvi_json_string(meta, "author", ""), "Ultralytics") == 0;
    const cvi_value *out =
        m->graph && m->graph->n_outputs > 0 ? &m->graph->values[m->graph->outputs[0]] : NULL;
    bool classifies = *task ? strcmp(task, "classify") == 0 : !named && out && out->rank == 2;
    bool taken = false;
    if (!m->preprocess.known) {
        m->preprocess = (cvs_preprocess){.known = true, .resize = CVS_RESIZE_LETTERBOX};
        if (classifies && !*task) {
            CVI_TRY(cvs_preprocess_parse("ImageNet-torch,ratio=1", &m->preprocess, err));
        }
    }
    if (classifies) {
        m->preprocess.resize = CVS_RESIZE_SHORTER;
    } else {
        m->preprocess.resize = CVS_RESIZE_LETTERBOX;
    }
    snprintf(m->preprocess.from, sizeof m->preprocess.from, "%s", FROM);
    const json_t *names = json_object_get(meta, "names");
    CVI_TRY(names ? take(m, names, FROM, &taken, err) : CVS_OK);
    return taken && !classifies ? cvi_told_apart(m, err) : CVS_OK;
}

/* Windows ML: how pixels lie in memory and how far they reach (Microsoft's "ONNX metadata for image inputs"). */
static void take_windows(cvs_model *m, const json_t *meta) {
    const char *order = cvi_json_string(meta, "Image.BitmapPixelFormat", "");
    const char *range = cvi_json_string(meta, "Image.NominalPixelRange", "NominalRange_0_255");
    cvs_preprocess p = {.known = true, .scale = 1};
    bool known = true;
    if (strncmp(order, "Bgr", 3) == 0) {
        p.order = CVS_BGR;
    } else if (strncmp(order, "Gray", 4) == 0) {
        p.order = CVS_GRAY;
    } else {
        known = strncmp(order, "Rgb", 3) == 0;
    }
    if (strcmp(range, "Normalized_0_1") == 0) {
        p.scale = 1.0 / 255;
    } else if (strcmp(range, "Normalized_1_1") == 0) {
        p.scale = 1 / 127.5;
        p.mean[0] = p.mean[1] = p.mean[2] = 1;
    } else {
        known &= strcmp(range, "NominalRange_0_255") == 0;
    }
    if (known && !m->preprocess.known) {
        m->preprocess = p;
        snprintf(m->preprocess.from, sizeof m->preprocess.from, "%s", FROM);
    }
}

cvs_status cvi_told_metadata(cvs_model *m, const json_t *meta, cvs_error *err) {
    bool taken = false, yolo = strcmp(cvi_json_string(meta, "author", ""), "Ultralytics") == 0 ||
                               (json_object_get(meta, "stride") && json_object_get(meta, "names"));
    if (yolo) {
        return take_yolo(m, meta, err);
    }
    if (json_object_get(meta, "Image.BitmapPixelFormat")) {
        take_windows(m, meta);
    }
    return m->n_classes > 0 ? CVS_OK : cvi_told_object(m, meta, FROM, &taken, err);
}

/* 640, [640, 480] or "[640, 640]": the side of a square, 0 where it is none. */
static int64_t side_of(const json_t *size) {
    const json_t *first = json_is_array(size) ? json_array_get(size, 0) : size;
    const json_t *second = json_is_array(size) ? json_array_get(size, 1) : size;
    int64_t side = json_is_integer(first) && json_is_integer(second) &&
                           json_integer_value(first) == json_integer_value(second)
                       ? (int64_t)json_integer_value(first)
                       : 0;
    return side >= 8 && side <= 4096 ? side : 0;
}

cvs_status cvi_told_text(cvs_model *m, const char *text, size_t size, int64_t *side, cvs_error *err) {
    json_t *meta = NULL;
    *side = 0;
    CVI_TRY(parse_text(text, size, &meta, err));
    cvs_status s = CVS_OK;
    if (json_is_object(meta)) {
        const json_t *shape = json_object_get(meta, "shape"); /* [1, 3, 640, 640] */
        *side = side_of(json_object_get(meta, "imgsz"));
        if (*side == 0 && json_array_size(shape) == 4 &&
            json_equal(json_array_get(shape, 2), json_array_get(shape, 3))) {
            *side = side_of(json_array_get(shape, 3));
        }
        s = m->graph ? cvi_told_metadata(m, meta, err) : CVS_OK;
    }
    json_decref(meta);
    return s;
}
