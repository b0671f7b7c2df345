/* SPDX-License-Identifier: MIT
 * pickle.c - the pickle machine; see pickle.h. A stack of nodes, a stack of marks, a memo. Opcodes as pickletools.py of CPython documents
 * them. Every opcode makes at most one node, and the memo may not be longer than the bytes read, so memory is bounded by the file.
 */
#include "formats/pickle.h"

#include <stdlib.h>

typedef struct machine {
    cvi_arena *arena;
    const uint8_t *data;
    int64_t size, at, base;
    cvi_pickle **stack, **memo;
    int64_t n, capacity, memo_size;
    int64_t memoized; /* for MEMOIZE */
    int64_t *marks;
    int64_t n_marks, marks_capacity;
    cvi_pickle *refs, *globals;
    cvs_error *err;
} machine;

static cvs_status stop(const machine *m, cvs_status s) {
    return cvi_at_offset(m->err, s, m->base + m->at);
}

static cvs_status damaged(const machine *m) {
    return stop(m, cvi_fail(m->err, CVS_E_FORMAT, "the pickle is damaged or cut off"));
}

static cvs_status memory(const machine *m) {
    return cvi_no_memory(m->err, 0);
}

/* ---- bytes ------------------------------------------------------------------------------------------------ */

static cvs_status take(machine *m, int64_t n, const uint8_t **out) {
    if (n < 0 || n > m->size - m->at) {
        return damaged(m);
    }
    *out = m->data + m->at;
    m->at += n;
    return CVS_OK;
}

/* A little-endian number of n <= 8 bytes; one beyond int64 is damage (nothing in a file is that long). */
static cvs_status take_number(machine *m, int n, int64_t *out) {
    const uint8_t *p = NULL;
    uint64_t v = 0;
    CVI_TRY(take(m, n, &p));
    for (int i = 0; i < n; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    if (v > INT64_MAX) {
        return damaged(m);
    }
    *out = (int64_t)v;
    return CVS_OK;
}

/* The rest of a line, without its end. */
static cvs_status take_line(machine *m, const char **out, int64_t *n) {
    const uint8_t *from = m->data + m->at, *end = memchr(from, '\n', (size_t)(m->size - m->at));
    if (!end) {
        return damaged(m);
    }
    *n = end - from;
    *out = cvi_arena_strn(m->arena, (const char *)from, (size_t)*n);
    m->at += *n + 1;
    return *out ? CVS_OK : memory(m);
}

/* ---- nodes and the stack ----------------------------------------------------------------------------------- */

static cvs_status grow(const machine *m, void **list, int64_t n, int64_t *capacity, size_t size) {
    if (n < *capacity) {
        return CVS_OK;
    }
    int64_t more = CVI_MAX(2 * *capacity, 8);
    void *bigger = cvi_arena_alloc(m->arena, more, size);
    if (!bigger) {
        return memory(m);
    }
    if (n > 0) {
        memcpy(bigger, *list, (size_t)n * size);
    }
    *list = bigger;
    *capacity = more;
    return CVS_OK;
}

static cvs_status push(machine *m, cvi_pickle *p) {
    void *stack = m->stack;
    CVI_TRY(grow(m, &stack, m->n, &m->capacity, sizeof(cvi_pickle *)));
    m->stack = stack;
    m->stack[m->n++] = p;
    return CVS_OK;
}

static cvs_status make(machine *m, cvi_pickle_kind kind, cvi_pickle **out) {
    *out = cvi_arena_alloc(m->arena, 1, sizeof **out);
    if (!*out) {
        return memory(m);
    }
    (*out)->kind = kind;
    return push(m, *out);
}

/* The lowest place of the stack that the opcodes since the last mark may take from. */
static int64_t bottom(const machine *m) {
    return m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
}

static cvs_status pop(machine *m, cvi_pickle **out) {
    if (m->n <= bottom(m)) {
        return damaged(m);
    }
    *out = m->stack[--m->n];
    return CVS_OK;
}

static cvs_status top(const machine *m, cvi_pickle **out) {
    if (m->n <= bottom(m)) {
        return damaged(m);
    }
    *out = m->stack[m->n - 1];
    return CVS_OK;
}

static cvs_status push_mark(machine *m) {
    void *marks = m->marks;
    CVI_TRY(grow(m, &marks, m->n_marks, &m->marks_capacity, sizeof *m->marks));
    m->marks = marks;
    m->marks[m->n_marks++] = m->n;
    return CVS_OK;
}

/* Takes what stands above the last mark: list[0..n), which stays valid until the next push. */
static cvs_status pop_mark(machine *m, cvi_pickle ***list, int64_t *n) {
    if (m->n_marks == 0) {
        return damaged(m);
    }
    int64_t from = m->marks[--m->n_marks];
    *list = m->stack ? m->stack + from : NULL; /* a mark may be all that there ever was */
    *n = m->n - from;
    m->n = from;
    return CVS_OK;
}

static cvs_status add_items(const machine *m, cvi_pickle *p, cvi_pickle *const *list, int64_t n) {
    if (p->n + n > p->capacity) {
        int64_t room = CVI_MAX(p->n + n, p->n == 0 ? 0 : 2 * p->capacity);
        cvi_pickle **bigger = cvi_arena_alloc(m->arena, room, sizeof(cvi_pickle *));
        if (!bigger) {
            return memory(m);
        }
        if (p->n > 0) {
            memcpy(bigger, p->item, (size_t)p->n * sizeof(cvi_pickle *));
        }
        p->item = bigger;
        p->capacity = room;
    }
    if (n > 0) {
        memcpy(p->item + p->n, list, (size_t)n * sizeof(cvi_pickle *));
    }
    p->n += n;
    return CVS_OK;
}

/* list.append, dict[key] = value: on containers and on objects (an OrderedDict is one). */
static cvs_status extend(machine *m, cvi_pickle *p, cvi_pickle *const *list, int64_t n, bool pairs) {
    bool container = pairs ? p->kind == CVI_PK_DICT : p->kind == CVI_PK_LIST || p->kind == CVI_PK_SET;
    bool object = p->kind == CVI_PK_OBJECT && (p->n == 0 || p->pairs == pairs);
    if ((!container && !object) || (pairs && n % 2)) {
        return damaged(m);
    }
    p->pairs = pairs;
    return add_items(m, p, list, n);
}

/* ---- opcodes by kind ----------------------------------------------------------------------------------------- */

static cvs_status text(machine *m, int length_bytes, cvi_pickle_kind kind) {
    int64_t n = 0;
    const uint8_t *bytes = NULL;
    cvi_pickle *p = NULL;
    CVI_TRY(take_number(m, length_bytes, &n));
    CVI_TRY(take(m, n, &bytes));
    CVI_TRY(make(m, kind, &p));
    p->n = n;
    p->text =
        kind == CVI_PK_BYTES ? (const char *)bytes : cvi_arena_strn(m->arena, (const char *)bytes, (size_t)n);
    return p->text ? CVS_OK : memory(m);
}

static cvs_status number(machine *m, cvi_pickle_kind kind, int64_t v) {
    cvi_pickle *p = NULL;
    CVI_TRY(make(m, kind, &p));
    p->i = v;
    p->f = (double)v;
    return CVS_OK;
}

/* LONG1, LONG4: two's complement of any length. */
static cvs_status long_number(machine *m, int length_bytes) {
    int64_t n = 0;
    const uint8_t *b = NULL;
    CVI_TRY(take_number(m, length_bytes, &n));
    CVI_TRY(take(m, n, &b));
    bool negative = n > 0 && b[n - 1] & 0x80, wide = false;
    uint64_t v = negative ? UINT64_MAX : 0;
    for (int64_t i = 0; i < n; i++) {
        if (i < 8) {
            v = (v & ~((uint64_t)0xFF << (8 * i))) | (uint64_t)b[i] << (8 * i);
        } else {
            wide |= b[i] != (negative ? 0xFF : 0);
        }
    }
    wide |= (v >> 63 != 0) != negative;
    int64_t value = 0;
    memcpy(&value, &v, sizeof value);
    CVI_TRY(number(m, CVI_PK_INT, wide ? (negative ? INT64_MIN : INT64_MAX) : value));
    m->stack[m->n - 1]->wide = wide;
    return CVS_OK;
}

static cvs_status text_number(machine *m, uint8_t op) {
    const char *line = NULL;
    int64_t n = 0;
    char *end = NULL;
    CVI_TRY(take_line(m, &line, &n));
    if (op == 'F') {
        double f = strtod(line, &end);
        CVI_TRY(number(m, CVI_PK_FLOAT, 0));
        m->stack[m->n - 1]->f = f;
        return end != line ? CVS_OK : damaged(m);
    }
    if (op == 'I' && n == 2 && line[0] == '0' && (line[1] == '0' || line[1] == '1')) {
        return number(m, CVI_PK_BOOL, line[1] == '1');
    }
    long long v = strtoll(line, &end, 10);
    if (end == line || (*end && *end != 'L')) {
        return damaged(m);
    }
    return number(m, CVI_PK_INT, v);
}

static cvs_status binary_float(machine *m) {
    const uint8_t *p = NULL;
    uint64_t bits = 0;
    double f = 0;
    CVI_TRY(take(m, 8, &p));
    for (int i = 0; i < 8; i++) {
        bits = bits << 8 | p[i];
    }
    memcpy(&f, &bits, sizeof f);
    CVI_TRY(number(m, CVI_PK_FLOAT, 0));
    m->stack[m->n - 1]->f = f;
    return CVS_OK;
}

/* STRING: a Python literal in quotes; UNICODE: raw. Escapes stay as they are written. */
static cvs_status line_text(machine *m, bool quoted) {
    const char *line = NULL;
    int64_t n = 0;
    cvi_pickle *p = NULL;
    CVI_TRY(take_line(m, &line, &n));
    if (quoted) {
        if (n < 2 || line[0] != line[n - 1] || (line[0] != '\'' && line[0] != '"')) {
            return damaged(m);
        }
        line = cvi_arena_strn(m->arena, line + 1, (size_t)(n -= 2));
        if (!line) {
            return memory(m);
        }
    }
    CVI_TRY(make(m, CVI_PK_TEXT, &p));
    p->text = line;
    p->n = n;
    return CVS_OK;
}

static cvs_status push_global(machine *m, const char *module, const char *name) {
    cvi_pickle *p = NULL;
    CVI_TRY(make(m, CVI_PK_GLOBAL, &p));
    p->text = cvi_arena_printf(m->arena, "%s.%s", module, name);
    p->n = p->text ? (int64_t)strlen(p->text) : 0;
    p->before = m->globals;
    m->globals = p;
    return p->text ? CVS_OK : memory(m);
}

static cvs_status global(machine *m, bool from_stack) {
    const char *module = NULL, *name = NULL;
    int64_t n = 0;
    if (from_stack) {
        cvi_pickle *a = NULL, *b = NULL;
        CVI_TRY(pop(m, &b));
        CVI_TRY(pop(m, &a));
        if (a->kind != CVI_PK_TEXT || b->kind != CVI_PK_TEXT) {
            return damaged(m);
        }
        return push_global(m, a->text, b->text);
    }
    CVI_TRY(take_line(m, &module, &n));
    CVI_TRY(take_line(m, &name, &n));
    return push_global(m, module, name);
}

static cvs_status push_object(machine *m, cvi_pickle *callee, cvi_pickle *args) {
    cvi_pickle *p = NULL;
    CVI_TRY(make(m, CVI_PK_OBJECT, &p));
    p->callee = callee;
    p->args = args;
    return CVS_OK;
}

/* REDUCE, NEWOBJ: callee and arguments from the stack. NEWOBJ_EX has named arguments too, which are not kept. */
static cvs_status object(machine *m, bool named) {
    cvi_pickle *callee = NULL, *args = NULL;
    if (named) {
        CVI_TRY(pop(m, &args));
    }
    CVI_TRY(pop(m, &args));
    CVI_TRY(pop(m, &callee));
    return push_object(m, callee, args);
}

static cvs_status collect(machine *m, cvi_pickle_kind kind) {
    cvi_pickle **list = NULL, *p = NULL;
    int64_t n = 0;
    CVI_TRY(pop_mark(m, &list, &n));
    p = cvi_arena_alloc(m->arena, 1, sizeof *p);
    if (!p) {
        return memory(m);
    }
    p->kind = kind;
    p->pairs = kind == CVI_PK_DICT;
    if (p->pairs && n % 2) {
        return damaged(m);
    }
    CVI_TRY(add_items(m, p, list, n));
    return push(m, p);
}

static cvs_status small_tuple(machine *m, int n) {
    cvi_pickle *p = NULL, *item[3] = {NULL};
    for (int i = n - 1; i >= 0; i--) {
        CVI_TRY(pop(m, &item[i]));
    }
    CVI_TRY(make(m, CVI_PK_TUPLE, &p));
    return add_items(m, p, item, n);
}

/* INST and OBJ of protocol 0 and 1. */
static cvs_status old_object(machine *m, bool inst) {
    cvi_pickle *callee = NULL;
    if (inst) {
        CVI_TRY(global(m, false));
        callee = m->stack[--m->n];
        CVI_TRY(collect(m, CVI_PK_TUPLE));
        return push_object(m, callee, m->stack[--m->n]);
    }
    CVI_TRY(collect(m, CVI_PK_TUPLE));
    cvi_pickle *all = m->stack[--m->n];
    if (all->n == 0) {
        return damaged(m);
    }
    callee = all->item[0];
    all->item++;
    all->n--;
    all->capacity--;
    return push_object(m, callee, all);
}

static cvs_status build(machine *m) {
    cvi_pickle *state = NULL, *p = NULL;
    CVI_TRY(pop(m, &state));
    CVI_TRY(top(m, &p));
    if (p->kind == CVI_PK_OBJECT) {
        p->state = state;
    }
    return p->kind == CVI_PK_OBJECT || p->kind == CVI_PK_REF ? CVS_OK : damaged(m);
}

static cvs_status extend_marked(machine *m, bool pairs) {
    cvi_pickle **list = NULL, *p = NULL;
    int64_t n = 0;
    CVI_TRY(pop_mark(m, &list, &n));
    CVI_TRY(top(m, &p));
    return extend(m, p, list, n, pairs);
}

static cvs_status extend_one(machine *m, bool pairs) {
    cvi_pickle *list[2] = {NULL}, *p = NULL;
    if (pairs) {
        CVI_TRY(pop(m, &list[1]));
    }
    CVI_TRY(pop(m, &list[0]));
    CVI_TRY(top(m, &p));
    return extend(m, p, list, 1 + pairs, pairs);
}

static cvs_status persistent(machine *m, bool from_stack) {
    cvi_pickle *id = NULL, *p = NULL;
    if (!from_stack) {
        CVI_TRY(line_text(m, false));
    }
    CVI_TRY(pop(m, &id));
    CVI_TRY(make(m, CVI_PK_REF, &p));
    p->args = id;
    p->before = m->refs;
    m->refs = p;
    return CVS_OK;
}

/* ---- the memo -------------------------------------------------------------------------------------------------- */

static cvs_status memo_put(machine *m, int64_t i) {
    cvi_pickle *p = NULL;
    CVI_TRY(top(m, &p));
    if (i < 0 || i > m->at) { /* a place for each of the bytes so far is enough for every honest pickle */
        return damaged(m);
    }
    if (i >= m->memo_size) {
        int64_t room = CVI_MAX(2 * m->memo_size, i + 16);
        cvi_pickle **bigger = cvi_arena_alloc(m->arena, room, sizeof(cvi_pickle *));
        if (!bigger) {
            return memory(m);
        }
        if (m->memo_size > 0) {
            memcpy(bigger, m->memo, (size_t)m->memo_size * sizeof(cvi_pickle *));
        }
        m->memo = bigger;
        m->memo_size = room;
    }
    m->memo[i] = p;
    m->memoized++;
    return CVS_OK;
}

static cvs_status memo_get(machine *m, int64_t i) {
    if (i < 0 || i >= m->memo_size || !m->memo[i]) {
        return damaged(m);
    }
    return push(m, m->memo[i]);
}

static cvs_status memo(machine *m, bool put, int bytes) {
    int64_t i = 0;
    if (bytes > 0) {
        CVI_TRY(take_number(m, bytes, &i));
    } else {
        const char *line = NULL;
        int64_t n = 0;
        char *end = NULL;
        CVI_TRY(take_line(m, &line, &n));
        i = strtoll(line, &end, 10);
        if (end == line || *end) {
            return damaged(m);
        }
    }
    return put ? memo_put(m, i) : memo_get(m, i);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static cvs_status constants(machine *m, uint8_t op) {
    cvi_pickle *p = NULL;
    int64_t v = 0;
    const uint8_t *b = NULL;
    switch (op) {
    case 'N':
        return make(m, CVI_PK_NONE, &p);
    case 0x88:
        return number(m, CVI_PK_BOOL, 1);
    case 0x89:
        return number(m, CVI_PK_BOOL, 0);
    case 'J':
        CVI_TRY(take(m, 4, &b));
        v = (int64_t)(b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
        return number(m, CVI_PK_INT, v >= (int64_t)1 << 31 ? v - ((int64_t)1 << 32) : v);
    case 'K':
        CVI_TRY(take_number(m, 1, &v));
        return number(m, CVI_PK_INT, v);
    case 'M':
        CVI_TRY(take_number(m, 2, &v));
        return number(m, CVI_PK_INT, v);
    case 'I':
    case 'L':
    case 'F':
        return text_number(m, op);
    case 'G':
        return binary_float(m);
    case 0x8a:
        return long_number(m, 1);
    case 0x8b:
        return long_number(m, 4);
    case 'S':
        return line_text(m, true);
    case 'V':
        return line_text(m, false);
    case 'U':
    case 0x8c:
        return text(m, 1, CVI_PK_TEXT);
    case 'T':
    case 'X':
        return text(m, 4, CVI_PK_TEXT);
    case 0x8d:
        return text(m, 8, CVI_PK_TEXT);
    case 'C':
        return text(m, 1, CVI_PK_BYTES);
    case 'B':
        return text(m, 4, CVI_PK_BYTES);
    case 0x8e:
    case 0x96:
        return text(m, 8, CVI_PK_BYTES);
    default:
        return stop(m, cvi_fail(m->err, CVS_E_UNSUPPORTED, "pickle opcode 0x%02x is not understood", op));
    }
}

static cvs_status containers(machine *m, uint8_t op) {
    cvi_pickle *p = NULL, **list = NULL;
    int64_t n = 0;
    switch (op) {
    case ']':
        return make(m, CVI_PK_LIST, &p);
    case '}':
        return make(m, CVI_PK_DICT, &p);
    case ')':
        return make(m, CVI_PK_TUPLE, &p);
    case 0x8f:
        return make(m, CVI_PK_SET, &p);
    case 'l':
        return collect(m, CVI_PK_LIST);
    case 'd':
        return collect(m, CVI_PK_DICT);
    case 't':
        return collect(m, CVI_PK_TUPLE);
    case 0x91:
        return collect(m, CVI_PK_SET);
    case 0x85:
    case 0x86:
    case 0x87:
        return small_tuple(m, op - 0x84);
    case 'a':
        return extend_one(m, false);
    case 's':
        return extend_one(m, true);
    case 'e':
    case 0x90:
        return extend_marked(m, false);
    case 'u':
        return extend_marked(m, true);
    case '(':
        return push_mark(m);
    case '0':
        return m->n > bottom(m) ? pop(m, &p) : pop_mark(m, &list, &n);
    case '1':
        return pop_mark(m, &list, &n);
    case '2':
        CVI_TRY(top(m, &p));
        return push(m, p);
    default:
        return constants(m, op);
    }
}

static cvs_status step(machine *m, uint8_t op) {
    int64_t v = 0;
    switch (op) {
    case 0x80: /* PROTO */
        CVI_TRY(take_number(m, 1, &v));
        return v <= 5 ? CVS_OK
                      : stop(m, cvi_fail(m->err, CVS_E_UNSUPPORTED,
                                         "pickle protocol %d is newer than 5, the newest known", (int)v));
    case 0x95:
        return take_number(m, 8, &v); /* FRAME: only a hint */
    case 'c':
        return global(m, false);
    case 0x93:
        return global(m, true);
    case 'R':
    case 0x81:
        return object(m, false);
    case 0x92:
        return object(m, true);
    case 'i':
        return old_object(m, true);
    case 'o':
        return old_object(m, false);
    case 'b':
        return build(m);
    case 'P':
        return persistent(m, false);
    case 'Q':
        return persistent(m, true);
    case 'p':
        return memo(m, true, 0);
    case 'q':
        return memo(m, true, 1);
    case 'r':
        return memo(m, true, 4);
    case 0x94:
        return memo_put(m, m->memoized);
    case 'g':
        return memo(m, false, 0);
    case 'h':
        return memo(m, false, 1);
    case 'j':
        return memo(m, false, 4);
    default:
        return containers(m, op);
    }
}

cvs_status cvi_pickle_read(cvi_arena *arena, const uint8_t *data, size_t size, int64_t base, cvi_pickled *out,
                           cvs_error *err) {
    machine m = {.arena = arena, .data = data, .size = (int64_t)size, .base = base, .err = err};
    *out = (cvi_pickled){0};
    for (;;) {
        const uint8_t *op = NULL;
        CVI_TRY(take(&m, 1, &op));
        if (*op == '.') {
            break;
        }
        CVI_TRY(step(&m, *op));
    }
    if (m.n_marks > 0) {
        return damaged(&m);
    }
    out->used = (size_t)m.at;
    out->refs = m.refs;
    out->globals = m.globals;
    return pop(&m, &out->root);
}

/* ---- looks ---------------------------------------------------------------------------------------------------------- */

bool cvi_pickle_is(const cvi_pickle *p, cvi_pickle_kind kind) {
    return p && p->kind == kind;
}

cvi_pickle *cvi_pickle_item(const cvi_pickle *p, int64_t i) {
    bool list = cvi_pickle_is(p, CVI_PK_LIST) || cvi_pickle_is(p, CVI_PK_TUPLE);
    return list && i >= 0 && i < p->n ? p->item[i] : NULL;
}

cvi_pickle *cvi_pickle_get(const cvi_pickle *p, const char *key) {
    bool pairs = cvi_pickle_is(p, CVI_PK_DICT) || (cvi_pickle_is(p, CVI_PK_OBJECT) && p->pairs);
    for (int64_t i = 0; pairs && i + 1 < p->n; i += 2) {
        if (p->item[i]->kind == CVI_PK_TEXT && strcmp(p->item[i]->text, key) == 0) {
            return p->item[i + 1];
        }
    }
    return NULL;
}

const char *cvi_pickle_text(const cvi_pickle *p) {
    return cvi_pickle_is(p, CVI_PK_TEXT) ? p->text : "";
}

const char *cvi_pickle_maker(const cvi_pickle *p) {
    const cvi_pickle *c = cvi_pickle_is(p, CVI_PK_OBJECT) ? p->callee : NULL;
    if (cvi_pickle_is(c, CVI_PK_REF) && strcmp(cvi_pickle_text(cvi_pickle_item(c->args, 0)), "module") == 0) {
        c = cvi_pickle_item(c->args, 1); /* PyTorch's stream form puts a class's source text beside it */
    }
    return cvi_pickle_is(c, CVI_PK_GLOBAL) ? c->text : "";
}
