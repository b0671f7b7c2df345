/* SPDX-License-Identifier: MIT
 * state_model.c - a model out of named tensors alone: an architecture of archs.def whose every weight is there; else one in a module beside
 * others; else a chain that fits the shapes, said to be a guess; else the parameters one by one, unconnected.
 */
#include <stdlib.h>

#include "formats/hub.h"
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

/* The picture's size in a parsed text ("input 3x224x224") becomes what somebody asked for. */
static bool resize_input(cvi_arena *arena, net_file *file, int64_t height, int64_t width) {
    for (int i = 0; i < file->body.n; i++) {
        net_statement *line = &file->body.statements[i];
        net_item *item = line->n_items > 0 ? &line->items[0] : NULL;
        if (item && item->word.text && strcmp(item->word.text, "input") == 0 && item->n_args == 1 &&
            item->args[0].text && *item->args[0].text >= '1' && *item->args[0].text <= '9') {
            long long channels = strtoll(item->args[0].text, NULL, 10);
            item->args[0].text =
                cvi_arena_printf(arena, "%lldx%lldx%lld", channels, (long long)height, (long long)width);
            return item->args[0].text != NULL;
        }
    }
    return true;
}

/* Builds the text and gives it the weights, with pictures of another size than the text's where side[0] > 0; *fits says whether all went in.
 * Only lack of memory is an error. */
static cvs_status try_size(cvi_open *open, cvi_state *s, const cvi_buf *text, const char *extra,
                           const int64_t side[2], bool *fits) {
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
    if (e == CVS_OK && side[0] > 0 && !resize_input(m->arena, &file, side[0], side[1])) {
        e = CVS_E_MEMORY;
    }
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

/* The size that the caller wants, that what lies beside the weights names, or the architecture's usual one. */
static cvs_status try_text(cvi_open *open, cvi_state *s, const cvi_buf *text, const char *extra, bool *fits) {
    const cvs_open_options *o = open->options;
    int64_t named = s->hub ? cvi_hub_side(s->hub) : 0, side[2] = {named, named};
    if (o && o->height > 0 && o->width > 0 && o->height <= 65536 && o->width <= 65536) {
        side[0] = o->height;
        side[1] = o->width;
    }
    if (side[0] > 0 && text->size > 0) {
        CVI_TRY(try_size(open, s, text, extra, side, fits));
        if (*fits) {
            return CVS_OK;
        }
    }
    side[0] = 0;
    return try_size(open, s, text, extra, side, fits);
}

static cvs_status noted(cvi_open *open, bool ok) {
    return ok ? CVS_OK : cvi_no_memory(open->err, 0);
}

/* The sizes of the input behind its channels are free from now on. */
static void free_sizes(cvi_graph *g) {
    cvi_value *in = g->n_inputs > 0 ? &g->values[g->inputs[0]] : NULL;
    for (int k = 2; in && k < in->rank; k++) {
        in->usual[k] = in->dim[k];
        in->dim[k] = -1;
    }
}

/* The first architecture that takes all of the tensors; notes say which. */
static cvs_status recognise(cvi_open *open, cvi_state *s, bool *fits) {
    *fits = false;
    for (int i = 0; i < CVI_COUNT(archs) && !*fits; i++) {
        cvi_buf text = {0};
        archs[i]->write(s, &text);
        cvs_status e = try_text(open, s, &text, archs[i]->extra, fits);
        cvi_buf_free(&text);
        CVI_TRY(e);
        if (*fits && archs[i]->any_size) {
            free_sizes(open->model->graph);
        }
        if (*fits) {
            bool told = cvi_model_note(open->model,
                                       "the file holds weights only: %s recognised by their names and shapes",
                                       open->model->name ? open->model->name : archs[i]->name);
            return noted(
                open, told && (!archs[i]->note ||
                               cvi_model_note(open->model, "%s", cvi_tr(open->model->lang, archs[i]->note))));
        }
    }
    return CVS_OK;
}

/* ---- one module among others ---------------------------------------------------------------------------------- */

/* A part of a training program (Lightning and its like): the tensors whose names begin so, up to the first dot. */
typedef struct module {
    const char *name;
    int length, n;
} module;

/* The modules that the names begin with, the one with the most tensors first; at most max of them, and those of few tensors are none. */
static int modules_of(const cvi_state *s, module *out, int max) {
    enum { FEWEST = 4 };
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        const char *dot = strchr(s->item[i].name, '.');
        int length = dot ? (int)CVI_MIN(dot - s->item[i].name, 200) : 0, at = 0;
        while (at < n &&
               (out[at].length != length || memcmp(out[at].name, s->item[i].name, (size_t)length) != 0)) {
            at++;
        }
        if (length > 0 && at == n && n < max) {
            out[n++] = (module){.name = s->item[i].name, .length = length};
        }
        if (length > 0 && at < n) {
            out[at].n++;
        }
    }
    int kept = 0;
    for (int i = 0; i < n; i++) {
        module m = out[i];
        int at = kept;
        if (m.n < FEWEST) {
            continue;
        }
        for (; at > 0 && out[at - 1].n < m.n; at--) {
            out[at] = out[at - 1];
        }
        out[at] = m;
        kept++;
    }
    return kept;
}

/* Checkpoints of training programs hold more than the network: losses, metrics, a teacher, a second network. One module of them that is
 * a known architecture is taken, the others are named in a note. */
static cvs_status recognise_module(cvi_open *open, const cvi_state *s, bool *fits) {
    module list[24];
    int n = modules_of(s, list, CVI_COUNT(list));
    for (int k = 0; k < n && !*fits && list[k].n >= s->n / 4; k++) {
        cvi_state part = {
            .model = s->model, .file = s->file, .hub = s->hub, .foreign = s->foreign, .ordered = s->ordered};
        cvs_error quiet = {0};
        for (int i = 0; i < s->n; i++) {
            const char *name = s->item[i].name;
            if (strncmp(name, list[k].name, (size_t)list[k].length) == 0 && name[list[k].length] == '.' &&
                name[list[k].length + 1]) {
                CVI_TRY(cvi_state_add(&part, name + list[k].length + 1, &s->item[i].t, open->err));
            }
        }
        cvs_status e = cvi_state_done(&part, &quiet);
        if (e == CVS_E_MEMORY) {
            return cvi_no_memory(open->err, 0);
        }
        CVI_TRY(e == CVS_OK ? recognise(open, &part, fits) : CVS_OK);
        if (*fits && part.n < s->n) {
            return noted(open, cvi_model_note(open->model,
                                              "this is the module \"%.*s\" of the file; %d tensors beside it "
                                              "belong to none of its layers",
                                              list[k].length, list[k].name, s->n - part.n));
        }
    }
    return CVS_OK;
}

static cvs_status make_model(cvi_open *open, cvi_state *s) {
    bool fits = false;
    CVI_TRY(recognise(open, s, &fits));
    if (!fits && !s->foreign) {
        CVI_TRY(recognise_module(open, s, &fits));
    }
    if (fits) {
        return CVS_OK;
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

cvs_status cvi_state_model(cvi_open *open, cvi_state *s) {
    cvi_hub hub = {0};
    const char *slash = strrchr(open->path ? open->path : "", '/');
    s->file = slash ? slash + 1 : open->path;
    if (!open->from_memory && open->path) {
        CVI_TRY(cvi_hub_open(open->path, &open->limits, &hub, open->err));
        s->hub = &hub;
        s->file = cvi_hub_name(&hub) ? cvi_hub_name(&hub) : s->file;
    }
    cvs_status e = make_model(open, s);
    s->hub = NULL;
    s->file = NULL;
    cvi_hub_close(&hub);
    return e;
}
