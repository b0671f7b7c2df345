/* SPDX-License-Identifier: MIT
 * onnx_read.c - the ONNX reader: recognises a ModelProto by its fields, reads opsets, metadata and functions, then the graph.
 */
#include "onnx.h"

#include "formats/told.h"
#include "onnx_metadata.h"

/* Wire types of ModelProto's fields, by number; -1 = not a field. */
static const signed char model_wire[] = {-1, 0,  2,  2,  2,  0,  2, 2,  2,  -1, -1, -1, -1, -1,
                                         2,  -1, -1, -1, -1, -1, 2, -1, -1, -1, -1, 2,  2};

/* Walks the outer fields without descending: every known field must have its wire type, and a model needs a graph. A file
 * that is cut off inside a field still counts, so that the reader can say where. */
static int match(const cvi_open *open) {
    if (open->is_folder || open->file->size < 2) {
        return 0;
    }
    cvs_error quiet = {0};
    cvi_pb r = cvi_pb_begin(open->file->data, open->file->size, 8, &quiet);
    int known = 0, unknown = 0;
    bool graph = false, version = false;
    for (int i = 0; i < 4096; i++) {
        cvi_pb_field f;
        const uint8_t *start = r.at;
        bool whole = cvi_pb_next(&r, &f) == CVS_OK;
        if (whole && !f.number) {
            break;
        }
        if (!whole) { /* the tag may still be read */
            unsigned tag = start < r.end && *start < 0x80 ? *start : 0;
            f.number = tag >> 3;
            f.wire = (cvi_pb_wire)(tag & 7);
        }
        bool is_known = f.number > 0 && f.number < sizeof model_wire && model_wire[f.number] >= 0;
        if (is_known && (int)f.wire != model_wire[f.number]) {
            return 0;
        }
        known += is_known;
        unknown += !is_known;
        version |= is_known && f.number == 1 && f.value > 0 && f.value < 1000;
        graph |= is_known && f.number == 7;
        if (!whole) {
            break;
        }
    }
    if (unknown > 16 * known || (!graph && !version)) {
        return 0;
    }
    return graph && version ? 90 : graph ? 60 : unknown == 0 ? 30 : 0;
}

typedef struct model_parts {
    const char *producer, *producer_version;
    cvi_pb_piece graph;
    int n_entries;
    cvi_pb_piece *entries; /* metadata_props */
} model_parts;

static cvs_status model_field(cvi_onnx *o, const cvi_pb_field *f, model_parts *p) {
    const cvi_pb *r = &o->root;
    int64_t max = o->model->limits.max_name_bytes;
    switch (f->number) {
    case 2:
        return cvi_pb_string(r, o->work, f, max, "ModelProto.producer_name", &p->producer);
    case 3:
        return cvi_pb_string(r, o->work, f, max, "ModelProto.producer_version", &p->producer_version);
    case 7:
        return cvi_pb_collect(r, o->work, &p->graph, f, "ModelProto.graph");
    case 8:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "ModelProto.opset_import"));
        return cvi_onnx_parse_opset(o, r, &f->bytes, &o->opsets[o->n_opsets++]);
    case 14:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "ModelProto.metadata_props"));
        p->entries[p->n_entries++] = f->bytes;
        return CVS_OK;
    case 25:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "ModelProto.functions"));
        return cvi_onnx_parse_function(o, r, &f->bytes, &o->functions[o->n_functions++]);
    default:
        return CVS_OK;
    }
}

static cvs_status parse_model(cvi_onnx *o, model_parts *p) {
    int counts[26];
    *p = (model_parts){.producer = "", .producer_version = ""};
    CVI_TRY(cvi_onnx_count(&o->root, CVI_COUNT(counts), counts));
    if (counts[25] > CVI_ONNX_MAX_CALLS) {
        return cvi_fail(o->err, CVS_E_LIMIT, "%d local functions, the limit is %d", counts[25],
                        CVI_ONNX_MAX_CALLS);
    }
    o->opsets = cvi_onnx_alloc(o, counts[8], sizeof *o->opsets);
    o->functions = cvi_onnx_alloc(o, counts[25], sizeof *o->functions);
    p->entries = cvi_onnx_alloc(o, counts[14], sizeof *p->entries);
    if (!o->opsets || !o->functions || !p->entries) {
        return CVS_E_MEMORY;
    }
    cvi_pb walk = o->root;
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&walk, &f));
        if (!f.number) {
            break;
        }
        CVI_TRY(model_field(o, &f, p));
    }
    if (!p->graph.data) {
        return cvi_fail(o->err, CVS_E_FORMAT, "the ONNX file has no graph");
    }
    return cvi_onnx_index_functions(o);
}

/* The opset of the default domain: 1 when none is said; a newer one than we know is read as the newest. */
static cvs_status choose_opset(cvi_onnx *o, int64_t *version) {
    *version = cvi_onnx_opset_of(o->opsets, o->n_opsets, "", 1);
    if (*version < 1) {
        return cvi_fail(o->err, CVS_E_FORMAT, "opset version %lld is not valid", (long long)*version);
    }
    if (*version > CVI_ONNX_NEWEST) {
        bool said = cvi_model_note(
            o->model, "opset %lld is newer than the newest known one (%d), whose meaning is used",
            (long long)*version, CVI_ONNX_NEWEST);
        return said ? CVS_OK : cvi_no_memory(o->err, 0);
    }
    bool others = cvi_onnx_opset_of(o->opsets, o->n_opsets, "com.microsoft", 0) > 0 ||
                  cvi_onnx_opset_of(o->opsets, o->n_opsets, "org.pytorch.aten", 0) > 0;
    o->track = others || *version < 13 || *version == 18 || *version == 19 || *version == 20;
    for (int i = 0; i < o->n_functions; i++) {
        o->track |= cvi_onnx_opset_of(o->functions[i].opsets, o->functions[i].n_opsets, "", *version) < 13;
    }
    return CVS_OK;
}

/* What the file says beside its graph; of a key that comes twice the last counts. */
static cvs_status take_entries(cvi_onnx *o, const model_parts *p) {
    json_t *others = json_object();
    cvs_status s = others ? CVS_OK : cvi_no_memory(o->err, 0);
    for (int i = 0; i < p->n_entries && s == CVS_OK; i++) {
        const char *key, *value;
        s = cvi_onnx_parse_entry(o, &o->root, &p->entries[i], &key, &value);
        s = s == CVS_OK ? cvi_onnx_take_metadata(o->model, key, value, o->err) : s;
        if (s == CVS_OK && cvi_utf8_valid((const uint8_t *)key, strlen(key)) &&
            cvi_utf8_valid((const uint8_t *)value, strlen(value)) &&
            json_object_set_new(others, key, json_string(value)) != 0) {
            s = cvi_no_memory(o->err, strlen(value));
        }
    }
    s = s == CVS_OK ? cvi_told_metadata(o->model, others, o->err) : s;
    json_decref(others);
    return s;
}

static cvs_status read_model(cvi_onnx *o) {
    model_parts p;
    int64_t version = 1;
    CVI_TRY(parse_model(o, &p));
    CVI_TRY(choose_opset(o, &version));
    bool spaced = p.producer[0] && p.producer_version[0];
    o->model->producer =
        cvi_arena_printf(o->model->arena, "%s%s%s", p.producer, spaced ? " " : "", p.producer_version);
    if (!o->model->producer) {
        return cvi_no_memory(o->err, 0);
    }
    CVI_TRY(cvi_onnx_graph(o, NULL, &o->root, &p.graph, version, &o->model->graph));
    CVI_TRY(take_entries(o, &p));
    o->model->name = o->model->graph->name;
    if (o->model->widened &&
        !cvi_model_note(o->model, "16-bit floating-point numbers were widened to float32 while reading")) {
        return cvi_no_memory(o->err, 0);
    }
    cvi_onnx_label_last(o, o->model->graph);
    CVI_TRY(cvi_onnx_dynamic(o, o->model->graph));
    CVI_TRY(cvi_onnx_real_numbers(o, o->model->graph));
    cvi_onnx_pictures_first(o->model->graph);
    return cvi_graph_finish(o->model->graph, o->err);
}

static cvs_status read_onnx(cvi_open *open) {
    cvs_error local = {0};
    cvi_onnx o = {.open = open, .model = open->model, .err = open->err ? open->err : &local};
    o.root = cvi_pb_begin(open->file->data, open->file->size, open->limits.max_depth, o.err);
    o.keep_types = open->options && open->options->keep_types;
    o.work = cvi_arena_new(open->limits.max_memory_bytes);
    o.scratch = cvi_arena_new(open->limits.max_memory_bytes);
    char *folder = open->file->path ? cvi_path_dir(open->file->path) : NULL;
    cvs_status s = CVS_OK;
    if (!o.work || !o.scratch || (open->file->path && !folder)) {
        s = cvi_no_memory(o.err, 0);
    } else {
        o.folder = open->from_memory ? NULL : folder;
        s = read_model(&o);
    }
    cvi_free(folder);
    cvi_arena_free(o.work);
    cvi_arena_free(o.scratch);
    return s == CVS_OK ? cvi_model_keep_file(open->model, open->file, o.err) : s;
}

const cvi_reader cvi_reader_onnx = {
    .name = "onnx", .title = "ONNX", .suffixes = ".onnx", .match = match, .read = read_onnx};
