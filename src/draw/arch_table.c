/* SPDX-License-Identifier: MIT
 * arch_table.c - the rows behind the table style: what each layer is and costs, sums of groups with their count, totals.
 */
#include "draw/arch_table.h"

static const struct {
    const char *title, *key;
    bool number;
} columns[CVI_N_COLUMNS] = {
    [CVI_COL_INDEX] = {"#", "index", true},
    [CVI_COL_NAME] = {"layer", "name", false},
    [CVI_COL_TYPE] = {"type", "type", false},
    [CVI_COL_WINDOW] = {"kernel, stride, pad", "window", false},
    [CVI_COL_IN] = {"input", "in", false},
    [CVI_COL_OUT] = {"output", "out", false},
    [CVI_COL_PARAMS] = {"params", "params", true},
    [CVI_COL_PARAMS_SHARE] = {"percent of params", "params_percent", true},
    [CVI_COL_MACS] = {"MACs", "macs", true},
    [CVI_COL_MACS_SHARE] = {"percent of MACs", "macs_percent", true},
    [CVI_COL_BYTES] = {"activation bytes", "activation_bytes", true},
    [CVI_COL_PEAK] = {"peak bytes so far", "peak_bytes", true},
    [CVI_COL_FIELD] = {"receptive field", "receptive_field", true},
    [CVI_COL_STRIDE] = {"total stride", "stride", true},
};

const char *cvi_column_title(cvi_column c, cvs_lang lang) {
    return cvi_tr(lang, columns[c].title);
}

const char *cvi_column_key(cvi_column c) {
    return columns[c].key;
}

bool cvi_column_is_number(cvi_column c) {
    return columns[c].number;
}

typedef struct filler {
    cvi_table *t;
    cvi_arena *arena;
    int64_t peak; /* so far */
    bool failed;
} filler;

static const char *keep(filler *f, const char *text) {
    const char *copy = cvi_arena_strn(f->arena, text, strlen(text));
    f->failed = f->failed || copy == NULL;
    return copy != NULL ? copy : "";
}

static const char *share(filler *f, int64_t part, int64_t whole) {
    char text[32];
    if (whole <= 0 || part == 0) {
        return "";
    }
    snprintf(text, sizeof text, "%.1f", 100.0 * (double)part / (double)whole);
    return keep(f, text);
}

static const char *count(filler *f, int64_t v) {
    return v == 0 ? "" : keep(f, cvi_count(v).text);
}

/* "3×3 /2 p1 d2 g4". */
static const char *window(filler *f, const cvi_arch_node *n) {
    char text[200] = "";
    size_t at = 0;
    static const char *const letters[] = {"", " /", " p", " d"};
    const int64_t *lists[] = {n->kernel, n->stride, n->pad_begin, n->dilation};
    static const int64_t usual[] = {-1, 1, 0, 1};
    for (int k = 0; n->windowed && k < 4; k++) {
        bool same = true, plain = true;
        for (int i = 0; i < n->axes; i++) {
            same = same && lists[k][i] == lists[k][0];
            plain = plain && lists[k][i] == usual[k];
        }
        if (plain) {
            continue;
        }
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%lld", letters[k], (long long)lists[k][0]);
        for (int i = 1; i < n->axes && !(same && k > 0); i++) {
            at += (size_t)snprintf(text + at, sizeof text - at, "×%lld", (long long)lists[k][i]);
        }
    }
    if (n->groups > 1) {
        snprintf(text + at, sizeof text - at, " g%lld", (long long)n->groups);
    }
    return keep(f, text);
}

static const char *pair(filler *f, const int64_t v[2]) {
    char text[64];
    snprintf(text, sizeof text, v[0] == v[1] ? "%lld" : "%lld×%lld", (long long)v[0], (long long)v[1]);
    return keep(f, text);
}

/* "3×3 conv, 64 + BN + ReLU". */
static const char *type_of(filler *f, const cvi_arch_node *n) {
    char text[400] = "";
    size_t at = 0;
    for (int i = 0; i < n->n_heads; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%.40s + ", n->strip[i].word);
    }
    at += (size_t)snprintf(text + at, sizeof text - at, "%.120s", n->title);
    for (int i = n->n_heads; i < n->n_strips; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, " + %.40s", n->strip[i].word);
    }
    return keep(f, text);
}

static cvi_row *add_row(filler *f, cvi_row_kind kind) {
    cvi_row *row = &f->t->rows[f->t->n++];
    *row = (cvi_row){.kind = kind, .box = -1, .repeat = 1};
    for (int i = 0; i < CVI_N_COLUMNS; i++) {
        row->cell[i] = "";
    }
    return row;
}

static void fill_costs(filler *f, cvi_row *row) {
    const cvi_arch *a = f->t->arch;
    row->cell[CVI_COL_PARAMS] = count(f, row->params);
    row->cell[CVI_COL_PARAMS_SHARE] = share(f, row->params, a->params);
    row->cell[CVI_COL_MACS] = count(f, row->macs);
    row->cell[CVI_COL_MACS_SHARE] = share(f, row->macs, a->macs);
    row->cell[CVI_COL_BYTES] = count(f, row->bytes);
    row->cell[CVI_COL_PEAK] = count(f, row->peak);
}

static void group_row(filler *f, int frame) {
    const cvi_view *v = f->t->view;
    const cvi_arch_group *g = &v->arch->groups[v->frames[frame].group];
    cvi_row *row = add_row(f, CVI_ROW_GROUP);
    char text[300];
    row->repeat = g->repeat;
    for (int up = v->frames[frame].parent; up >= 0; up = v->frames[up].parent) {
        row->depth++;
    }
    snprintf(text, sizeof text, g->repeat > 1 ? "%s%s%s ×%d" : "%s%s%s", g->scope,
             g->scope[0] != '\0' && g->motif[0] != '\0' ? " · " : "", g->motif, g->repeat);
    row->cell[CVI_COL_NAME] = keep(f, text);
    snprintf(text, sizeof text, cvi_tr(v->arch->lang, "%d layers"), g->count);
    row->cell[CVI_COL_TYPE] = keep(f, text);
    row->params = g->params;
    row->macs = g->macs;
    row->bytes = g->bytes;
    for (int i = g->first; i < g->first + g->count; i++) {
        row->peak = CVI_MAX(row->peak, v->arch->nodes[i].live_bytes);
    }
    row->peak = CVI_MAX(row->peak, f->peak);
    fill_costs(f, row);
}

static void layer_row(filler *f, int box) {
    const cvi_view *v = f->t->view;
    cvi_row *row = add_row(f, CVI_ROW_LAYER);
    cvi_arch_node n;
    char text[300];
    cvi_box_node(v, box, &n);
    row->box = box;
    for (int up = v->boxes[box].frame; up >= 0; up = v->frames[up].parent) {
        row->depth++;
    }
    row->params = n.params;
    row->macs = n.macs;
    row->bytes = n.bytes;
    f->peak = CVI_MAX(f->peak, n.live_bytes);
    row->peak = f->peak;
    if (n.layer >= 0) {
        snprintf(text, sizeof text, "%d", n.layer);
        row->cell[CVI_COL_INDEX] = keep(f, text);
    }
    row->cell[CVI_COL_NAME] = keep(f, n.name);
    row->cell[CVI_COL_TYPE] = type_of(f, &n);
    row->cell[CVI_COL_WINDOW] = window(f, &n);
    row->cell[CVI_COL_IN] =
        n.kind == CVI_NODE_INPUT ? "" : keep(f, cvi_shape_short(&n.in, text, sizeof text));
    row->cell[CVI_COL_OUT] = keep(f, cvi_shape_short(&n.out, text, sizeof text));
    fill_costs(f, row);
    row->cell[CVI_COL_FIELD] = n.has_field ? pair(f, n.field) : "";
    row->cell[CVI_COL_STRIDE] = n.has_field ? pair(f, n.jump) : "";
}

static void total_row(filler *f) {
    const cvi_arch *a = f->t->arch;
    cvi_row *row = add_row(f, CVI_ROW_TOTAL);
    char text[300];
    row->params = a->params;
    row->macs = a->macs;
    row->bytes = a->bytes;
    row->peak = a->peak_bytes;
    row->cell[CVI_COL_NAME] = cvi_tr(a->lang, "total");
    snprintf(text, sizeof text, cvi_tr(a->lang, "for input %.80s"), a->input);
    row->cell[CVI_COL_TYPE] = keep(f, text);
    fill_costs(f, row);
}

/* Rows for the frames that open between the last box and this one, outermost first. */
static void open_frames(filler *f, int box, bool *begun) {
    int chain[64], n = 0;
    const cvi_view *v = f->t->view;
    for (int frame = v->boxes[box].frame; frame >= 0 && n < 64; frame = v->frames[frame].parent) {
        chain[n++] = frame;
    }
    while (n-- > 0) {
        if (!begun[chain[n]]) {
            begun[chain[n]] = true;
            group_row(f, chain[n]);
        }
    }
}

cvs_status cvi_table_make(const cvi_arch *a, const cvs_draw_options *o, cvi_table *out, cvs_error *err) {
    *out = (cvi_table){.arch = a};
    CVI_TRY(cvi_view_make(a, o, NULL, 0, &out->view, err));
    filler f = {.t = out, .arena = out->view->arena};
    const cvi_view *v = out->view;
    out->rows = cvi_arena_alloc(f.arena, (int64_t)v->n_boxes + v->n_frames + 1, sizeof *out->rows);
    bool *begun = cvi_arena_alloc(f.arena, CVI_MAX(v->n_frames, 1), sizeof *begun);
    if (out->rows != NULL && begun != NULL) {
        for (int i = 0; i < v->n_boxes; i++) {
            open_frames(&f, i, begun);
            layer_row(&f, i);
        }
        total_row(&f);
    }
    if (out->rows == NULL || begun == NULL || f.failed) {
        cvi_table_free(out);
        return cvi_no_memory(err, sizeof *out->rows);
    }
    return CVS_OK;
}

void cvi_table_free(cvi_table *t) {
    cvi_view_free(t->view);
    *t = (cvi_table){0};
}
