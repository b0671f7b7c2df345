/* SPDX-License-Identifier: MIT
 * onnx_proto.c - the small messages of an ONNX file as plain structs: nodes, attributes, value infos, functions. Arrays are counted
 * first and then filled, so that memory stays in proportion to the file.
 */
#include "onnx.h"

#include "tensor/list.h"

void *cvi_onnx_alloc(cvi_onnx *o, int64_t count, size_t size) {
    void *p = cvi_arena_alloc(o->work, CVI_MAX(count, 1), size);
    if (!p) {
        cvi_no_memory(o->err, (size_t)CVI_MAX(count, 1) * size);
    }
    return p;
}

static uint64_t hash(const char *s) {
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    }
    return h ^ (h >> 29);
}

static size_t slot_of(const cvi_onnx_map *m, const char *key) {
    size_t mask = (size_t)m->capacity - 1, at = (size_t)hash(key) & mask;
    while (m->key[at] && strcmp(m->key[at], key) != 0) {
        at = (at + 1) & mask;
    }
    return at;
}

bool cvi_onnx_map_put(cvi_onnx *o, cvi_onnx_map *m, const char *key, int value) {
    if (2 * (m->count + 1) > m->capacity) {
        cvi_onnx_map bigger = {.capacity = m->capacity ? m->capacity * 2 : 16};
        bigger.key = cvi_onnx_alloc(o, bigger.capacity, sizeof *bigger.key);
        bigger.value = cvi_onnx_alloc(o, bigger.capacity, sizeof *bigger.value);
        if (!bigger.key || !bigger.value) {
            return false;
        }
        for (int i = 0; i < m->capacity; i++) {
            if (m->key[i]) {
                size_t at = slot_of(&bigger, m->key[i]);
                bigger.key[at] = m->key[i];
                bigger.value[at] = m->value[i];
            }
        }
        bigger.count = m->count;
        *m = bigger;
    }
    size_t at = slot_of(m, key);
    m->count += m->key[at] == NULL;
    m->key[at] = key;
    m->value[at] = value;
    return true;
}

int cvi_onnx_map_get(const cvi_onnx_map *m, const char *key) {
    size_t at = m->capacity ? slot_of(m, key) : 0;
    return m->capacity && m->key[at] ? m->value[at] : -1;
}

cvs_status cvi_onnx_count(const cvi_pb *message, int n, int *counts) {
    cvi_pb r = *message;
    cvi_pb_field f;
    memset(counts, 0, (size_t)n * sizeof *counts);
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number < (uint32_t)n && counts[f.number] < INT32_MAX) {
            counts[f.number]++;
        }
    }
}

static cvs_status string(cvi_onnx *o, const cvi_pb *r, const cvi_pb_field *f, const char *what,
                         const char **out) {
    return cvi_pb_string(r, o->work, f, o->model->limits.max_name_bytes, what, out);
}

cvs_status cvi_onnx_parse_entry(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                                const char **key, const char **value) {
    cvi_pb r;
    cvi_pb_field f;
    *key = *value = "";
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number == 1) {
            CVI_TRY(string(o, &r, &f, "StringStringEntryProto.key", key));
        } else if (f.number == 2) {
            CVI_TRY(cvi_pb_expect(&r, &f, CVI_PB_BYTES, "StringStringEntryProto.value"));
            if (cvi_utf8_valid(f.bytes.data, f.bytes.size)) {
                const char *copy = cvi_arena_strn(o->work, (const char *)f.bytes.data, f.bytes.size);
                if (!copy) {
                    return cvi_no_memory(o->err, f.bytes.size);
                }
                *value = copy;
            }
        }
    }
}

cvs_status cvi_onnx_parse_opset(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                                cvi_onnx_opset *out) {
    cvi_pb r;
    cvi_pb_field f;
    *out = (cvi_onnx_opset){.domain = "", .version = 1};
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number == 1) {
            CVI_TRY(string(o, &r, &f, "OperatorSetIdProto.domain", &out->domain));
        } else if (f.number == 2) {
            CVI_TRY(cvi_pb_expect(&r, &f, CVI_PB_VARINT, "OperatorSetIdProto.version"));
            out->version = (int64_t)f.value;
        }
    }
}

/* ---- attributes ---- */

/* The numbers of `floats` or of `ints`, of which there are `total`. */
static cvs_status fill_numbers(cvi_onnx *o, const cvi_pb *message, bool floats, int64_t total,
                               cvi_onnx_attr *out) {
    const char *what = floats ? "AttributeProto.floats" : "AttributeProto.ints";
    cvi_pb r = *message;
    cvi_pb_field f;
    void *room = floats ? (void *)(out->floats = cvi_onnx_alloc(o, total, sizeof *out->floats))
                        : (void *)(out->ints = cvi_onnx_alloc(o, total, sizeof *out->ints));
    if (!room) {
        return CVS_E_MEMORY;
    }
    for (int64_t n = 0;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            out->n = (int)n;
            return CVS_OK;
        }
        if (f.number == (floats ? 7 : 8)) {
            cvi_pb_numbers numbers;
            uint64_t v = 0;
            bool more = true;
            CVI_TRY(cvi_pb_numbers_begin(&r, &f, floats ? 4 : 0, what, &numbers));
            for (;;) {
                CVI_TRY(cvi_pb_numbers_next(&r, &numbers, &v, &more));
                if (!more) {
                    break;
                }
                if (floats) {
                    out->floats[n++] = (double)cvi_pb_float(v);
                } else {
                    out->ints[n++] = (int64_t)v;
                }
            }
        }
    }
}

/* How many numbers the repeated field `number` holds in all, packed or not. */
static cvs_status count_numbers(const cvi_pb *message, uint32_t number, int width, const char *what,
                                int64_t *total) {
    cvi_pb r = *message;
    cvi_pb_field f;
    *total = 0;
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            return *total <= INT32_MAX ? CVS_OK : cvi_fail(r.err, CVS_E_LIMIT, "%s is too long", what);
        }
        if (f.number == number) {
            cvi_pb_numbers numbers;
            CVI_TRY(cvi_pb_numbers_begin(&r, &f, width, what, &numbers));
            *total += cvi_pb_numbers_count(&numbers);
        }
    }
}

/* Text if it is text; a byte string that is none stays NULL and is known by its absence. */
static cvs_status bytes_as_text(cvi_onnx *o, const cvi_pb *r, const cvi_pb_field *f, const char **out) {
    CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "AttributeProto.s"));
    *out = NULL;
    if (cvi_utf8_valid(f->bytes.data, f->bytes.size)) {
        *out = cvi_arena_strn(o->work, (const char *)f->bytes.data, f->bytes.size);
        return *out ? CVS_OK : cvi_no_memory(o->err, f->bytes.size);
    }
    return CVS_OK;
}

static cvs_status attr_field(cvi_onnx *o, const cvi_pb *r, const cvi_pb_field *f, cvi_onnx_attr *out,
                             int *n_strings) {
    switch (f->number) {
    case 1:
        return string(o, r, f, "AttributeProto.name", &out->name);
    case 2:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_FIXED32, "AttributeProto.f"));
        out->f = (double)cvi_pb_float(f->value);
        return CVS_OK;
    case 3:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_VARINT, "AttributeProto.i"));
        out->i = (int64_t)f->value;
        return CVS_OK;
    case 4:
        return bytes_as_text(o, r, f, &out->s);
    case 5:
        return cvi_pb_collect(r, o->work, &out->tensor, f, "AttributeProto.t");
    case 6:
        return cvi_pb_collect(r, o->work, &out->graph, f, "AttributeProto.g");
    case 9:
        return bytes_as_text(o, r, f, &out->strings[(*n_strings)++]);
    case 20:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_VARINT, "AttributeProto.type"));
        out->type = f->value <= 20 ? (int)f->value : 0;
        return CVS_OK;
    case 21:
        return string(o, r, f, "AttributeProto.ref_attr_name", &out->ref);
    default:
        return CVS_OK;
    }
}

/* Files of IR 1 need not state an attribute's type: it is what is there. */
static int type_from_content(const int *counts) {
    static const struct {
        int field, type;
    } rows[] = {{2, CVI_ONNX_FLOAT}, {3, CVI_ONNX_INT},    {4, CVI_ONNX_STRING}, {5, CVI_ONNX_TENSOR},
                {6, CVI_ONNX_GRAPH}, {7, CVI_ONNX_FLOATS}, {8, CVI_ONNX_INTS},   {9, CVI_ONNX_STRINGS}};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        if (counts[rows[i].field]) {
            return rows[i].type;
        }
    }
    return 0;
}

static cvs_status parse_attr(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                             cvi_onnx_attr *out) {
    cvi_pb r;
    int counts[22], n_strings = 0;
    int64_t n_ints = 0, n_floats = 0;
    *out = (cvi_onnx_attr){.name = "", .s = "", .offset = cvi_pb_offset(parent, message->data)};
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    CVI_TRY(cvi_onnx_count(&r, CVI_COUNT(counts), counts));
    CVI_TRY(count_numbers(&r, 7, 4, "AttributeProto.floats", &n_floats));
    CVI_TRY(count_numbers(&r, 8, 0, "AttributeProto.ints", &n_ints));
    out->strings = cvi_onnx_alloc(o, counts[9], sizeof *out->strings);
    if (!out->strings) {
        return CVS_E_MEMORY;
    }
    cvi_pb walk = r;
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&walk, &f));
        if (!f.number) {
            break;
        }
        CVI_TRY(attr_field(o, &walk, &f, out, &n_strings));
    }
    if (!out->type) {
        out->type = type_from_content(counts);
    }
    if (out->type == CVI_ONNX_INTS) {
        CVI_TRY(fill_numbers(o, &r, false, n_ints, out));
    } else if (out->type == CVI_ONNX_FLOATS) {
        CVI_TRY(fill_numbers(o, &r, true, n_floats, out));
    } else if (out->type == CVI_ONNX_STRINGS) {
        out->n = n_strings;
    }
    return CVS_OK;
}

/* ---- nodes ---- */

static cvs_status node_field(cvi_onnx *o, const cvi_pb *r, const cvi_pb_field *f, cvi_onnx_node *out) {
    switch (f->number) {
    case 1:
        return string(o, r, f, "NodeProto.input", &out->in[out->n_in++]);
    case 2:
        return string(o, r, f, "NodeProto.output", &out->out[out->n_out++]);
    case 3:
        return string(o, r, f, "NodeProto.name", &out->name);
    case 4:
        return string(o, r, f, "NodeProto.op_type", &out->op);
    case 5:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "NodeProto.attribute"));
        return parse_attr(o, r, &f->bytes, &out->attr[out->n_attr++]);
    case 7:
        return string(o, r, f, "NodeProto.domain", &out->domain);
    case 8:
        return string(o, r, f, "NodeProto.overload", &out->overload);
    case 9: {
        const char *key, *value;
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "NodeProto.metadata_props"));
        CVI_TRY(cvi_onnx_parse_entry(o, r, &f->bytes, &key, &value));
        out->hidden |= strcmp(key, "convscope.hidden") == 0;
        return CVS_OK;
    }
    default:
        return CVS_OK;
    }
}

cvs_status cvi_onnx_parse_node(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                               cvi_onnx_node *out) {
    cvi_pb r;
    int counts[6];
    *out = (cvi_onnx_node){.name = "",
                           .op = "",
                           .domain = "",
                           .overload = "",
                           .offset = cvi_pb_offset(parent, message->data ? message->data : parent->base)};
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    CVI_TRY(cvi_onnx_count(&r, CVI_COUNT(counts), counts));
    out->in = cvi_onnx_alloc(o, counts[1], sizeof *out->in);
    out->out = cvi_onnx_alloc(o, counts[2], sizeof *out->out);
    out->attr = cvi_onnx_alloc(o, counts[5], sizeof *out->attr);
    if (!out->in || !out->out || !out->attr) {
        return CVS_E_MEMORY;
    }
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            break;
        }
        cvs_status s = node_field(o, &r, &f, out);
        if (s != CVS_OK) {
            bool known = out->name[0] || out->op[0]; /* before the damage */
            return known ? cvi_at_node(o->err, s, out->name, out->op) : s;
        }
    }
    if (strcmp(out->domain, "ai.onnx") == 0) {
        out->domain = "";
    }
    if (!out->op[0]) {
        cvs_status s = cvi_fail(o->err, CVS_E_FORMAT, "a node says no operator");
        return cvi_at_offset(o->err, cvi_at_node(o->err, s, out->name, ""), out->offset);
    }
    return CVS_OK;
}

/* ---- value infos ---- */

static cvs_status parse_shape(const cvi_pb *parent, const cvi_pb_piece *message, cvi_onnx_info *out) {
    cvi_pb r;
    cvi_pb_field f, g;
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    out->rank = 0;
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number != 1) {
            continue;
        }
        CVI_TRY(cvi_pb_expect(&r, &f, CVI_PB_BYTES, "TensorShapeProto.dim"));
        if (out->rank == CVS_MAX_RANK) {
            return cvi_at_offset(
                r.err,
                cvi_fail(r.err, CVS_E_UNSUPPORTED, "a value has more than %d dimensions", CVS_MAX_RANK),
                f.offset);
        }
        cvi_pb d;
        int64_t size = -1;
        CVI_TRY(cvi_pb_enter(&r, &f.bytes, &d));
        for (;;) {
            CVI_TRY(cvi_pb_next(&d, &g));
            if (!g.number) {
                break;
            }
            if (g.number == 1 && g.wire == CVI_PB_VARINT) {
                size = (int64_t)g.value < 0 ? -1 : (int64_t)g.value;
            }
        }
        out->dim[out->rank++] = size;
    }
}

static cvs_status parse_type(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                             cvi_onnx_info *out) {
    cvi_pb r;
    cvi_pb_field f;
    cvi_pb_piece tensor = {0}, shape = {0};
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            break;
        }
        if (f.number == 1) {
            CVI_TRY(cvi_pb_collect(&r, o->work, &tensor, &f, "TypeProto.tensor_type"));
            out->is_tensor = true;
        } else if (f.number == 4 || f.number == 9) { /* a sequence, an optional value */
            out->is_tensor = true;
            out->dtype = CVI_LIST;
        }
    }
    cvi_pb t;
    CVI_TRY(cvi_pb_enter(&r, &tensor, &t));
    for (;;) {
        CVI_TRY(cvi_pb_next(&t, &f));
        if (!f.number) {
            break;
        }
        if (f.number == 1) {
            CVI_TRY(cvi_pb_expect(&t, &f, CVI_PB_VARINT, "TypeProto.Tensor.elem_type"));
            out->dtype = cvi_onnx_widened(o, cvi_onnx_dtype((int64_t)f.value));
        } else if (f.number == 2) {
            CVI_TRY(cvi_pb_collect(&t, o->work, &shape, &f, "TypeProto.Tensor.shape"));
        }
    }
    return shape.data ? parse_shape(&t, &shape, out) : CVS_OK;
}

cvs_status cvi_onnx_parse_info(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                               cvi_onnx_info *out) {
    cvi_pb r;
    cvi_pb_field f;
    cvi_pb_piece type = {0};
    *out = (cvi_onnx_info){.name = "", .rank = -1, .offset = cvi_pb_offset(parent, message->data)};
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            break;
        }
        if (f.number == 1) {
            CVI_TRY(string(o, &r, &f, "ValueInfoProto.name", &out->name));
        } else if (f.number == 2) {
            CVI_TRY(cvi_pb_collect(&r, o->work, &type, &f, "ValueInfoProto.type"));
        }
    }
    return parse_type(o, &r, &type, out);
}

/* ---- functions ---- */

static cvs_status function_field(cvi_onnx *o, const cvi_pb *r, const cvi_pb_field *f,
                                 cvi_onnx_function *out) {
    switch (f->number) {
    case 1:
        return string(o, r, f, "FunctionProto.name", &out->name);
    case 4:
        return string(o, r, f, "FunctionProto.input", &out->in[out->n_in++]);
    case 5:
        return string(o, r, f, "FunctionProto.output", &out->out[out->n_out++]);
    case 6:
        out->attr[out->n_attr] = (cvi_onnx_attr){.name = "", .s = ""};
        return string(o, r, f, "FunctionProto.attribute", &out->attr[out->n_attr++].name);
    case 7:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "FunctionProto.node"));
        return cvi_onnx_parse_node(o, r, &f->bytes, &out->nodes[out->n_nodes++]);
    case 9:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "FunctionProto.opset_import"));
        return cvi_onnx_parse_opset(o, r, &f->bytes, &out->opsets[out->n_opsets++]);
    case 10:
        return string(o, r, f, "FunctionProto.domain", &out->domain);
    case 11:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "FunctionProto.attribute_proto"));
        return parse_attr(o, r, &f->bytes, &out->attr[out->n_attr++]);
    case 13:
        return string(o, r, f, "FunctionProto.overload", &out->overload);
    default:
        return CVS_OK;
    }
}

cvs_status cvi_onnx_parse_function(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                                   cvi_onnx_function *out) {
    cvi_pb r;
    int counts[12];
    *out = (cvi_onnx_function){
        .name = "", .domain = "", .overload = "", .offset = cvi_pb_offset(parent, message->data)};
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    CVI_TRY(cvi_onnx_count(&r, CVI_COUNT(counts), counts));
    out->in = cvi_onnx_alloc(o, counts[4], sizeof *out->in);
    out->out = cvi_onnx_alloc(o, counts[5], sizeof *out->out);
    out->attr = cvi_onnx_alloc(o, (int64_t)counts[6] + counts[11], sizeof *out->attr);
    out->nodes = cvi_onnx_alloc(o, counts[7], sizeof *out->nodes);
    out->opsets = cvi_onnx_alloc(o, counts[9], sizeof *out->opsets);
    if (!out->in || !out->out || !out->attr || !out->nodes || !out->opsets) {
        return CVS_E_MEMORY;
    }
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            break;
        }
        CVI_TRY(function_field(o, &r, &f, out));
    }
    if (strcmp(out->domain, "ai.onnx") == 0) {
        out->domain = "";
    }
    return CVS_OK;
}
