/* SPDX-License-Identifier: MIT
 * state_model.c - a model out of named tensors alone: an architecture of archs.def whose every weight is there; else a chain that fits
 * the shapes, said to be a guess; else the parameters one by one, unconnected.
 */
#include "formats/net.h"
#include "formats/state.h"

#define CVI_ARCH(name) extern const cvi_arch cvi_arch_##name;
#include "formats/archs.def"
#undef CVI_ARCH

static const cvi_arch *const archs[] = {
#define CVI_ARCH(name) &cvi_arch_##name,
#include "formats/archs.def"
#undef CVI_ARCH
};

/* Tensors that nothing used, all below `extra`: an auxiliary head. */
static int left_beyond(const cvi_state *s, const char *extra) {
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        const cvi_state_item *item = &s->item[i];
        bool known = extra && strncmp(item->name, extra, strlen(extra)) == 0;
        n += !item->used && !cvi_state_is_counter(item) && !known;
    }
    return n;
}

/* Builds the text and gives it the weights; *fits says whether all went in. Only lack of memory is an error. */
static cvs_status try_text(cvi_open *open, cvi_state *s, const cvi_buf *text, const char *extra, bool *fits) {
    cvs_model *m = open->model;
    net_file file = {0};
    cvs_error quiet = {0};
    int missing = 0, left = 0;
    *fits = false;
    if (text->failed) {
        return cvi_no_memory(open->err, text->size);
    }
    if (text->size == 0) {
        return CVS_OK;
    }
    cvs_status e = cvi_net_parse(m->arena, text->data, text->size, open->limits.max_depth, &file, &quiet);
    e = e == CVS_OK ? cvi_net_build(m, &file, &quiet) : e;
    e = e == CVS_OK ? cvi_state_assign_named(m, s, &missing, &left, &quiet) : e;
    *fits = e == CVS_OK && missing == 0 && left_beyond(s, extra) == 0;
    if (*fits) {
        return CVS_OK;
    }
    m->graph = NULL;
    m->name = NULL;
    m->preprocess = (cvs_preprocess){0};
    return e == CVS_E_MEMORY ? cvi_no_memory(open->err, 0) : CVS_OK;
}

static cvs_status noted(cvi_open *open, bool ok) {
    return ok ? CVS_OK : cvi_no_memory(open->err, 0);
}

cvs_status cvi_state_model(cvi_open *open, cvi_state *s) {
    bool fits = false;
    const char *slash = strrchr(open->path ? open->path : "", '/');
    s->file = slash ? slash + 1 : open->path;
    for (int i = 0; i < CVI_COUNT(archs); i++) {
        cvi_buf text = {0};
        archs[i]->write(s, &text);
        cvs_status e = try_text(open, s, &text, archs[i]->extra, &fits);
        cvi_buf_free(&text);
        CVI_TRY(e);
        if (fits) {
            bool told = cvi_model_note(open->model,
                                       "the file holds weights only: %s recognised by their names and shapes",
                                       open->model->name ? open->model->name : archs[i]->name);
            return noted(
                open, told && (!archs[i]->note ||
                               cvi_model_note(open->model, "%s", cvi_tr(open->model->lang, archs[i]->note))));
        }
    }
    cvi_buf text = {0};
    if (!s->foreign) {
        cvi_state_chain(s, &text);
    }
    cvs_status e = try_text(open, s, &text, NULL, &fits);
    cvi_buf_free(&text);
    CVI_TRY(e);
    if (fits) {
        return noted(
            open,
            cvi_model_note(
                open->model,
                "the file holds weights only: this chain fits their shapes, but activations, "
                "poolings and the input's size are a guess; name the architecture to be sure: --arch FILE"));
    }
    return cvi_state_view(open, s);
}
