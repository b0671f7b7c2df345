/* SPDX-License-Identifier: MIT
 * hub.c - config.json and preprocessor_config.json of transformers and timm; see hub.h. What pictures go through follows the image processors of
 * transformers 4.40 and timm's create_transform for validation.
 */
#include "formats/hub.h"

#include <math.h>

#include "formats/told.h"

enum { CONFIG, PREPROCESSOR };
static const char *const file_name[] = {"config.json", "preprocessor_config.json"};

/* ---- the files ------------------------------------------------------------------------------------------------- */

/* A JSON object of the folder; *out NULL and `damage` where it is none. */
static cvs_status read_object(const char *folder, const char *name, const cvs_limits *limits, json_t **out,
                              char damage[300], cvs_error *err) {
    cvi_file f = {0};
    cvs_error why = {.lang = err ? err->lang : CVS_EN};
    char *path = cvi_path_join(folder, name);
    *out = NULL;
    if (!path) {
        return cvi_no_memory(err, strlen(folder));
    }
    bool there = cvi_is_file(path);
    cvi_free(path);
    if (!there) {
        return CVS_OK;
    }
    cvs_status s = cvi_file_read_beneath(folder, name, limits, &f, &why);
    s = s == CVS_OK ? cvi_json_parse((const char *)f.data, f.size, out, &why) : s;
    cvi_file_close(&f);
    if (s == CVS_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        s = cvi_fail(&why, CVS_E_FORMAT, "the JSON text should be an object");
    }
    if (s != CVS_OK) {
        snprintf(damage, 300, "%.290s", why.message);
    }
    return s == CVS_E_MEMORY ? cvi_no_memory(err, 0) : CVS_OK;
}

static bool is_hub(const json_t *config) {
    static const char *const keys[] = {"architectures", "model_type",     "id2label",
                                       "architecture",  "pretrained_cfg", "label_names"};
    for (int i = 0; i < CVI_COUNT(keys); i++) {
        if (json_object_get(config, keys[i])) {
            return true;
        }
    }
    return false;
}

cvs_status cvi_hub_open(const char *path, const cvs_limits *limits, cvi_hub *out, cvs_error *err) {
    *out = (cvi_hub){0};
    char *folder = cvi_is_folder(path) ? cvi_strdup(path) : cvi_path_dir(path);
    cvs_status s = folder ? CVS_OK : cvi_no_memory(err, strlen(path));
    s = s == CVS_OK ? read_object(folder, file_name[CONFIG], limits, &out->config, out->damage[CONFIG], err)
                    : s;
    s = s == CVS_OK ? read_object(folder, file_name[PREPROCESSOR], limits, &out->preprocessor,
                                  out->damage[PREPROCESSOR], err)
                    : s;
    if (out->config && !is_hub(out->config)) { /* somebody else's config.json */
        json_decref(out->config);
        out->config = NULL;
    }
    cvi_free(folder);
    if (s != CVS_OK) {
        cvi_hub_close(out);
    }
    return s;
}

void cvi_hub_close(cvi_hub *hub) {
    json_decref(hub->config);
    json_decref(hub->preprocessor);
    *hub = (cvi_hub){0};
}

int cvi_hub_choose(const char *folder, const char *const *names, int n) {
    static const char *const usual[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json", "model.onnx"};
    char *path = cvi_path_join(folder, file_name[CONFIG]);
    bool hub = path && cvi_is_file(path);
    cvi_free(path);
    for (int k = 0; hub && k < CVI_COUNT(usual); k++) {
        for (int i = 0; i < n; i++) {
            if (strcmp(names[i], usual[k]) == 0) {
                return i;
            }
        }
    }
    return -1;
}

/* ---- preprocessing ------------------------------------------------------------------------------------------- */

/* timm's settings stand in pretrained_cfg, in older files beside the rest. */
static const json_t *timm_settings(const cvi_hub *hub) {
    const json_t *own = json_object_get(hub->config, "pretrained_cfg");
    return json_is_object(own)                                  ? own
           : cvi_json_string(hub->config, "architecture", NULL) ? hub->config
                                                                : NULL;
}

/* Finite numbers, one a channel or one for all. */
static bool numbers(const json_t *v, double out[4]) {
    int64_t n = json_is_array(v) ? (int64_t)json_array_size(v) : 1;
    bool good = n >= 1 && n <= 4;
    for (int64_t i = 0; good && i < (n == 1 ? 3 : n); i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, (size_t)(n == 1 ? 0 : i)) : v;
        out[i] = json_number_value(one);
        good = json_is_number(one) && fabs(out[i]) < 1e9;
    }
    return good;
}

/* A deviation of 0 stands for 1 here, so a file may not say it. */
static bool normalisation(const json_t *mean, const json_t *std, cvs_preprocess *p) {
    bool good = numbers(mean, p->mean) && numbers(std, p->std);
    for (int i = 0; good && i < 4; i++) {
        good = p->std[i] > 1e-9 || (i == 3 && p->std[i] == 0);
    }
    return good;
}

static int64_t whole(const json_t *v) {
    int64_t n = json_is_integer(v) ? (int64_t)json_integer_value(v) : 0;
    return n >= 1 && n <= 8192 ? n : 0;
}

/* The side that a size names: 224, {"shortest_edge": 224}, {"height": 224, "width": 224}; *shortest: by the shorter side. */
static int64_t side_of(const json_t *size, bool *shortest) {
    const json_t *edge = json_object_get(size, "shortest_edge");
    *shortest = edge != NULL;
    if (json_is_object(size) && !edge) {
        int64_t h = whole(json_object_get(size, "height")), w = whole(json_object_get(size, "width"));
        return h == w ? h : 0;
    }
    return whole(json_is_object(size) ? edge : size);
}

static bool is_convnext(const json_t *pre) {
    const char *type = cvi_json_string(pre, "image_processor_type", NULL);
    type = type ? type : cvi_json_string(pre, "feature_extractor_type", "");
    return strncmp(type, "ConvNext", 8) == 0 || json_is_number(json_object_get(pre, "crop_pct"));
}

/* Resizing and cropping; *side is what the network sees, or 0. */
static void transformers_size(const json_t *pre, cvs_preprocess *p, int64_t *side) {
    bool shortest = false, cropped = false;
    int64_t size = side_of(json_object_get(pre, "size"), &shortest);
    int64_t crop = side_of(json_object_get(pre, "crop_size"), &cropped);
    double share = cvi_json_number(pre, "crop_pct", 224.0 / 256);
    *side = size;
    p->resize = CVS_RESIZE_STRETCH;
    if (is_convnext(pre)) { /* up to 384 pixels a crop of a larger picture, from there on all of it */
        bool crops = size < 384 && share > 0.1 && share <= 1;
        p->resize = crops ? CVS_RESIZE_SHORTER : CVS_RESIZE_STRETCH;
        p->resize_to = crops ? (int64_t)((double)size / share) : 0;
    } else if (cvi_json_bool(pre, "do_center_crop", false) && crop > 0) {
        *side = crop;
        p->resize = shortest ? CVS_RESIZE_SHORTER : CVS_RESIZE_STRETCH;
        p->resize_to = shortest ? CVI_MAX(size, crop) : 0;
    } else if (shortest) {
        p->resize = CVS_RESIZE_SHORTER;
        p->resize_to = size;
    }
}

/* An image processor's settings; false: none that are known. */
static bool transformers_preprocess(const json_t *pre, cvs_preprocess *p, int64_t *side) {
    *p = (cvs_preprocess){.known = true};
    double factor = cvi_json_number(pre, "rescale_factor", 1.0 / 255);
    *side = 0;
    p->scale = cvi_json_bool(pre, "do_rescale", true) ? factor : 1;
    bool good = p->scale > 0 && p->scale <= 1;
    if (good && json_object_get(pre, "image_mean") && cvi_json_bool(pre, "do_normalize", true)) {
        good = normalisation(json_object_get(pre, "image_mean"), json_object_get(pre, "image_std"), p);
    } else {
        good = good && (json_object_get(pre, "size") || json_object_get(pre, "rescale_factor"));
    }
    bool offset = cvi_json_bool(pre, "rescale_offset", false);
    for (int i = 0; i < 4 && good; i++) {
        p->mean[i] += offset && i < 3 ? 1 : 0;
        if (cvi_json_bool(pre, "include_top", false) && p->std[i] > 0) { /* EfficientNet's divides twice */
            p->std[i] *= p->std[i];
        }
    }
    p->order = cvi_json_bool(pre, "do_flip_channel_order", false) ? CVS_BGR : CVS_RGB;
    transformers_size(pre, p, side);
    return good;
}

static bool timm_preprocess(const json_t *cfg, cvs_preprocess *p, int64_t *side) {
    const json_t *size = json_object_get(cfg, "input_size");
    int64_t h = whole(json_array_get(size, 1)), w = whole(json_array_get(size, 2));
    double share = cvi_json_number(cfg, "crop_pct", 0.875);
    *p = (cvs_preprocess){.known = true, .scale = 1.0 / 255};
    *side = json_array_size(size) == 3 && h == w ? h : 0;
    if (strcmp(cvi_json_string(cfg, "crop_mode", "center"), "squash") == 0) {
        p->resize = CVS_RESIZE_STRETCH;
    } else if (*side > 0 && share > 0.1 && share <= 1) {
        p->resize_to = (int64_t)((double)*side / share);
    }
    return normalisation(json_object_get(cfg, "mean"), json_object_get(cfg, "std"), p);
}

/* What either file says of pictures. */
static bool preprocess_of(const cvi_hub *hub, cvs_preprocess *p, int64_t *side, int *from) {
    *from = PREPROCESSOR;
    if (hub->preprocessor && transformers_preprocess(hub->preprocessor, p, side)) {
        return true;
    }
    *from = CONFIG;
    const json_t *timm = timm_settings(hub);
    return timm && timm_preprocess(timm, p, side);
}

int64_t cvi_hub_side(const cvi_hub *hub) {
    cvs_preprocess p;
    int64_t side = 0;
    int from = 0;
    (void)preprocess_of(hub, &p, &side, &from);
    return side > 0 ? side : whole(json_object_get(hub->config, "image_size"));
}

const char *cvi_hub_name(const cvi_hub *hub) {
    const char *timm = cvi_json_string(hub->config, "architecture", NULL);
    return timm ? timm : cvi_json_string(hub->config, "model_type", NULL);
}

/* ---- for a model ------------------------------------------------------------------------------------------------- */

/* timm's names are often ids, with words for them beside. */
static cvs_status described(cvs_model *m, const json_t *descriptions) {
    const char **names = cvi_arena_alloc(m->arena, CVI_MAX(m->n_classes, 1), sizeof *names);
    bool failed = !names;
    for (int i = 0; i < m->n_classes && !failed; i++) {
        const char *text = cvi_json_string(descriptions, m->classes[i], NULL);
        names[i] = text && strlen(text) < 1000 ? cvi_arena_strn(m->arena, text, strlen(text)) : m->classes[i];
        failed = !names[i];
    }
    m->classes = failed ? m->classes : names;
    return failed ? CVS_E_MEMORY : CVS_OK;
}

static cvs_status take_classes(cvs_model *m, const cvi_hub *hub, cvs_error *err) {
    const json_t *own = json_object_get(hub->config, "pretrained_cfg");
    bool taken = false;
    const struct {
        const json_t *at;
        const char *key;
    } places[] = {{hub->config, "label_names"}, {own, "label_names"}, {hub->config, "id2label"}};
    for (int i = 0; i < CVI_COUNT(places) && !taken; i++) {
        const json_t *v = json_object_get(places[i].at, places[i].key);
        CVI_TRY(v ? cvi_told_classes(m, v, file_name[CONFIG], &taken, err) : CVS_OK);
        const json_t *words = taken ? json_object_get(places[i].at, "label_descriptions") : NULL;
        if (words && described(m, words) != CVS_OK) {
            return cvi_no_memory(err, 0);
        }
    }
    return CVS_OK;
}

cvs_status cvi_hub_take(cvs_model *m, const char *path, cvs_error *err) {
    cvi_hub hub;
    cvs_preprocess p;
    int64_t side = 0;
    int from = 0;
    CVI_TRY(cvi_hub_open(path, &m->limits, &hub, err));
    cvs_status s = m->n_classes == 0 && hub.config ? take_classes(m, &hub, err) : CVS_OK;
    bool own =
        m->preprocess.known && strncmp(m->preprocess.from, "preset", 6) != 0; /* the model's own word */
    if (s == CVS_OK && !own && preprocess_of(&hub, &p, &side, &from)) {
        snprintf(p.from, sizeof p.from, "%s", file_name[from]);
        m->preprocess = p;
    }
    for (int i = 0; i < 2 && s == CVS_OK; i++) {
        bool told = !hub.damage[i][0] ||
                    cvi_model_note(m, "%s beside the model was not used: %s", file_name[i], hub.damage[i]);
        s = told ? CVS_OK : cvi_no_memory(err, 0);
    }
    cvi_hub_close(&hub);
    return s;
}
