/* SPDX-License-Identifier: MIT
 * sequence.c - SequenceEmpty SequenceConstruct SequenceInsert SequenceErase SequenceAt SequenceLength SplitToSequence ConcatFromSequence
 * Optional OptionalHasElement OptionalGetElement: lists of tensors (tensor/list.h). What is in a list is known only while running, so shapes
 * behind one are too; gradients do not pass it.
 */
#include "ops/walk.h"
#include "tensor/list.h"

/* Insertions copy the list, so a hostile loop's cost grows with the square of its turns. */
enum { MOST_ELEMENTS = 1 << 16 };

typedef struct list {
    int kind;
    int64_t n;
    cvs_tensor *element; /* views, in the scratch memory */
} list;

static cvs_status new_list(const cvi_opctx *ctx, int kind, int64_t n, list *l) {
    if (n > MOST_ELEMENTS) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "a sequence has more than %d tensors, the limit",
                        MOST_ELEMENTS);
    }
    *l = (list){
        .kind = kind, .n = n, .element = cvi_arena_alloc(ctx->scratch, CVI_MAX(n, 1), sizeof *l->element)};
    return l->element != NULL ? CVS_OK : cvi_no_memory(ctx->err, (size_t)n * sizeof *l->element);
}

/* Input k as a list, with room for one more. */
static cvs_status read_list(const cvi_opctx *ctx, int k, list *l) {
    int kind;
    int64_t n;
    CVI_TRY(cvi_need(ctx, k));
    CVI_TRY(cvi_list_open(ctx->in[k], &kind, &n, NULL, ctx->err));
    CVI_TRY(new_list(ctx, kind, n + 1, l));
    l->n = n;
    return cvi_list_open(ctx->in[k], &kind, &n, l->element, ctx->err);
}

/* The place that input k names, from the end where negative, in [0, most]; `otherwise` where the input is absent. */
static cvs_status read_place(const cvi_opctx *ctx, int k, int64_t n, int64_t most, int64_t otherwise,
                             int64_t *place) {
    int count;
    CVI_TRY(cvi_ints(ctx, k, place, 1, &count));
    if (count == 0) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld elements, but must have one", k, 0LL);
    }
    int64_t asked = count < 0 ? otherwise : *place;
    *place = asked < 0 ? asked + n : asked;
    if (*place < 0 || *place > most) {
        return cvi_fail(ctx->err, CVS_E_ARGUMENT, "place %lld is outside of a sequence of %lld",
                        (long long)asked, (long long)n);
    }
    return CVS_OK;
}

/* ---- operators that make a list: `collect` says what is in it ------------------------------------------------ */
typedef cvs_status (*collector)(const cvi_opctx *ctx, list *l, bool numbers);

static cvs_status infer_list(cvi_opctx *ctx, collector collect) {
    list l;
    for (int k = 0; k < ctx->n_in; k++) {
        CVI_TRY(cvi_need(ctx, k));
    }
    CVI_TRY(collect(ctx, &l, false));
    int64_t words = cvi_list_words(l.n, l.element);
    if (words < 0) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    return cvi_out_shape(ctx, 0, CVI_LIST, 1, &words);
}

static cvs_status forward_list(cvi_opctx *ctx, collector collect) {
    list l;
    CVI_TRY(collect(ctx, &l, true));
    if (cvi_list_words(l.n, l.element) != ctx->out[0].dim[0]) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "output %d of the branch changed its shape while running", 0);
    }
    cvi_list_fill(l.kind, l.n, l.element, ctx->out[0].data);
    return CVS_OK;
}

static cvs_status collect_empty(const cvi_opctx *ctx, list *l, bool numbers) {
    (void)numbers;
    return new_list(ctx, CVI_LIST_SEQUENCE, 0, l);
}

static cvs_status collect_inputs(const cvi_opctx *ctx, list *l, bool numbers) {
    (void)numbers;
    CVI_TRY(new_list(ctx, CVI_LIST_SEQUENCE, ctx->n_in, l));
    for (int k = 0; k < ctx->n_in; k++) {
        if (ctx->in[k] == NULL) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "input %d is absent", k);
        }
        l->element[k] = *ctx->in[k];
    }
    return CVS_OK;
}

static cvs_status collect_optional(const cvi_opctx *ctx, list *l, bool numbers) {
    (void)numbers;
    const cvs_tensor *x = cvi_in(ctx, 0);
    CVI_TRY(new_list(ctx, CVI_LIST_OPTIONAL, x != NULL, l));
    if (x != NULL) {
        l->element[0] = *x;
    }
    return CVS_OK;
}

static cvs_status collect_inserted(const cvi_opctx *ctx, list *l, bool numbers) {
    (void)numbers;
    int64_t place;
    CVI_TRY(read_list(ctx, 0, l));
    CVI_TRY(read_place(ctx, 2, l->n, l->n, l->n, &place));
    memmove(l->element + place + 1, l->element + place, (size_t)(l->n - place) * sizeof *l->element);
    l->element[place] = *ctx->in[1];
    l->n++;
    return CVS_OK;
}

static cvs_status collect_erased(const cvi_opctx *ctx, list *l, bool numbers) {
    (void)numbers;
    int64_t place;
    CVI_TRY(read_list(ctx, 0, l));
    CVI_TRY(read_place(ctx, 1, l->n, l->n - 1, -1, &place));
    l->n--;
    memmove(l->element + place, l->element + place + 1, (size_t)(l->n - place) * sizeof *l->element);
    return CVS_OK;
}

/* How many pieces SplitToSequence makes along the axis, and the side of piece i. */
typedef struct cuts {
    int axis;
    int64_t pieces, each; /* each > 0: all but the last of that side */
    const cvs_tensor *sides;
    bool drop; /* pieces of one without the axis */
} cuts;

static cvs_status read_cuts(const cvi_opctx *ctx, cuts *c) {
    const cvs_tensor *x = ctx->in[0], *split = cvi_in(ctx, 1);
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &c->axis));
    int64_t side = x->dim[c->axis], total = 0;
    *c = (cuts){.axis = c->axis,
                .pieces = side,
                .each = 1,
                .drop = split == NULL && cvi_op_int(ctx, "keepdims") == 0};
    if (split == NULL) {
        return CVS_OK;
    }
    CVI_TRY(cvi_type_is(ctx, 1, cvi_is_integer, "of an integer type"));
    CVI_TRY(cvi_need(ctx, 1));
    if (split->rank == 0) {
        c->each = cvi_get_int(split, 0);
        c->pieces = c->each > 0 ? side / c->each + (side % c->each != 0) : 0;
        total = c->each > 0 ? side : -1;
    } else {
        c->sides = split;
        c->pieces = cvs_tensor_count(split);
        for (int64_t i = 0; i < c->pieces && total >= 0; i++) {
            int64_t s = cvi_get_int(split, i);
            total = s >= 0 && cvi_add(total, s, &total) ? total : -1;
        }
    }
    return total == side ? CVS_OK
                         : cvi_at_attr(ctx->err,
                                       cvi_fail(ctx->err, CVS_E_SHAPE,
                                                "the pieces do not make up a side of %lld", (long long)side),
                                       "split");
}

static cvs_status collect_pieces(const cvi_opctx *ctx, list *l, bool numbers) {
    const cvs_tensor *x = ctx->in[0];
    size_t size = cvs_dtype_size(x->dtype);
    cuts c = {0};
    CVI_TRY(read_cuts(ctx, &c));
    CVI_TRY(new_list(ctx, CVI_LIST_SEQUENCE, c.pieces, l));
    int64_t outer = cvi_product(x->dim, 0, c.axis), inner = cvi_product(x->dim, c.axis + 1, x->rank), at = 0;
    for (int64_t i = 0; i < c.pieces; i++) {
        cvs_tensor *t = &l->element[i];
        int64_t side = c.sides != NULL ? cvi_get_int(c.sides, i) : CVI_MIN(c.each, x->dim[c.axis] - at);
        *t = (cvs_tensor){.dtype = x->dtype};
        for (int a = 0; a < x->rank; a++) {
            if (a != c.axis || !c.drop) {
                t->dim[t->rank++] = a == c.axis ? side : x->dim[a];
            }
        }
        size_t run = (size_t)(side * inner) * size;
        if (numbers && run > 0 && outer > 0) {
            t->data = cvi_arena_alloc(ctx->scratch, outer, run);
            if (t->data == NULL) {
                return cvi_no_memory(ctx->err, (size_t)outer * run);
            }
            for (int64_t o = 0; o < outer; o++) {
                memcpy((char *)t->data + (size_t)o * run,
                       (const char *)x->data + (size_t)((o * x->dim[c.axis] + at) * inner) * size, run);
            }
        }
        at += side;
    }
    return CVS_OK;
}

#define LIST_CALLS(NAME)                                                                                     \
    static cvs_status infer_##NAME(cvi_opctx *ctx) {                                                         \
        return infer_list(ctx, collect_##NAME);                                                              \
    }                                                                                                        \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        return forward_list(ctx, collect_##NAME);                                                            \
    }
LIST_CALLS(empty)
LIST_CALLS(inputs)
LIST_CALLS(optional)
LIST_CALLS(inserted)
LIST_CALLS(erased)
LIST_CALLS(pieces)

/* ---- operators that take something out ------------------------------------------------------------------------ */
typedef cvs_status (*finder)(const cvi_opctx *ctx, cvs_tensor *t);

static cvs_status infer_found(cvi_opctx *ctx, finder find) {
    cvs_tensor t;
    CVI_TRY(find(ctx, &t));
    return cvi_out_shape(ctx, 0, t.dtype, t.rank, t.dim);
}

static cvs_status forward_found(cvi_opctx *ctx, finder find) {
    cvs_tensor found, *t = &found;
    CVI_TRY(find(ctx, t));
    if (!cvi_same_shape(&ctx->out[0], t) || ctx->out[0].dtype != t->dtype) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "output %d of the branch changed its shape while running", 0);
    }
    if (ctx->out[0].bytes > 0) {
        memcpy(ctx->out[0].data, t->data, ctx->out[0].bytes);
    }
    return CVS_OK;
}

static cvs_status find_at(const cvi_opctx *ctx, cvs_tensor *t) {
    list l;
    int64_t place;
    CVI_TRY(read_list(ctx, 0, &l));
    CVI_TRY(read_place(ctx, 1, l.n, l.n - 1, 0, &place));
    *t = l.element[place];
    return CVS_OK;
}

static cvs_status infer_length(cvi_opctx *ctx) {
    if (ctx->in[0]->dtype != CVI_LIST) {
        return cvi_fail(ctx->err, CVS_E_FORMAT, "this is not a sequence of tensors");
    }
    return cvi_out_shape(ctx, 0, CVS_I64, 0, NULL);
}

static cvs_status forward_length(cvi_opctx *ctx) {
    list l;
    CVI_TRY(read_list(ctx, 0, &l));
    cvi_put_int(&ctx->out[0], 0, l.n);
    return CVS_OK;
}

/* An input that is no optional value has its element: itself. */
static cvs_status find_element(const cvi_opctx *ctx, cvs_tensor *t) {
    list l = {0};
    *t = *ctx->in[0];
    if (ctx->in[0]->dtype != CVI_LIST) {
        return CVS_OK;
    }
    CVI_TRY(read_list(ctx, 0, &l));
    if (l.kind == CVI_LIST_SEQUENCE) {
        return CVS_OK;
    }
    if (l.n != 1) {
        return cvi_fail(ctx->err, CVS_E_ARGUMENT, "the optional value is empty");
    }
    *t = l.element[0];
    return CVS_OK;
}

#define FOUND_CALLS(NAME)                                                                                    \
    static cvs_status infer_##NAME(cvi_opctx *ctx) {                                                         \
        return infer_found(ctx, find_##NAME);                                                                \
    }                                                                                                        \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        return forward_found(ctx, find_##NAME);                                                              \
    }
FOUND_CALLS(at)
FOUND_CALLS(element)

static cvs_status infer_has(cvi_opctx *ctx) {
    return cvi_out_shape(ctx, 0, CVS_BOOL, 0, NULL);
}

static cvs_status forward_has(cvi_opctx *ctx) {
    const cvs_tensor *x = cvi_in(ctx, 0);
    list l = {0};
    if (x != NULL && x->dtype == CVI_LIST) {
        CVI_TRY(read_list(ctx, 0, &l));
    }
    cvi_put_int(&ctx->out[0], 0, x != NULL && (l.kind != CVI_LIST_OPTIONAL || l.n > 0));
    return CVS_OK;
}

/* ---- ConcatFromSequence ------------------------------------------------------------------------------------------ */
typedef struct joining {
    list l;
    int axis, rank;
    int64_t dim[CVS_MAX_RANK];
    bool stacked;
} joining;

static cvs_status read_joining(const cvi_opctx *ctx, joining *j) {
    CVI_TRY(read_list(ctx, 0, &j->l));
    j->stacked = cvi_op_int(ctx, "new_axis") != 0;
    if (j->l.n == 0) {
        return cvi_fail(ctx->err, CVS_E_ARGUMENT, "an empty sequence cannot be joined");
    }
    const cvs_tensor *first = &j->l.element[0];
    j->rank = first->rank + j->stacked;
    if (j->rank > CVS_MAX_RANK) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "the output would have rank %d, at most %d is supported",
                        j->rank, CVS_MAX_RANK);
    }
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), j->rank, &j->axis));
    for (int a = 0, from = 0; a < j->rank; a++) {
        j->dim[a] = a == j->axis ? 0 : first->dim[j->stacked ? from++ : a];
    }
    for (int64_t i = 0; i < j->l.n; i++) {
        const cvs_tensor *t = &j->l.element[i];
        bool fits = t->rank == first->rank && t->dtype == first->dtype;
        for (int a = 0; a < first->rank && fits; a++) {
            fits = t->dim[a] == first->dim[a] || (a == j->axis && !j->stacked);
        }
        if (!fits || !cvi_add(j->dim[j->axis], j->stacked ? 1 : t->dim[j->axis], &j->dim[j->axis])) {
            char a[128], b[128];
            return cvi_fail(ctx->err, CVS_E_SHAPE, "%s and %s cannot be joined along axis %d",
                            cvs_shape_text(first->rank, first->dim, a, sizeof a),
                            cvs_shape_text(t->rank, t->dim, b, sizeof b), j->axis);
        }
    }
    return CVS_OK;
}

static cvs_status infer_joining(cvi_opctx *ctx) {
    joining j;
    CVI_TRY(read_joining(ctx, &j));
    return cvi_out_shape(ctx, 0, j.l.element[0].dtype, j.rank, j.dim);
}

static cvs_status forward_joining(cvi_opctx *ctx) {
    joining j;
    CVI_TRY(read_joining(ctx, &j));
    size_t size = cvs_dtype_size(ctx->out[0].dtype);
    int64_t outer = cvi_product(j.dim, 0, j.axis), inner = cvi_product(j.dim, j.axis + 1, j.rank), at = 0;
    for (int64_t i = 0; i < j.l.n; i++) {
        const cvs_tensor *t = &j.l.element[i];
        int64_t side = j.stacked ? 1 : t->dim[j.axis];
        size_t run = (size_t)(side * inner) * size;
        for (int64_t o = 0; o < outer && run > 0; o++) {
            memcpy((char *)ctx->out[0].data + (size_t)((o * j.dim[j.axis] + at) * inner) * size,
                   (const char *)t->data + (size_t)o * run, run);
        }
        at += side;
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */
static const cvi_op_io inputs_in[] = {{"inputs", CVI_DATA, false, true}};
static const cvi_op_io optional_in[] = {{"input", CVI_DATA, true, false}};
static const cvi_op_io element_in[] = {{"input", CVI_DATA, false, false}};
static const cvi_op_io insert_in[] = {{"input_sequence", CVI_DATA, false, false},
                                      {"tensor", CVI_DATA, false, false},
                                      {"position", CVI_SHAPE, true, false}};
static const cvi_op_io erase_in[] = {{"input_sequence", CVI_DATA, false, false},
                                     {"position", CVI_SHAPE, true, false}};
static const cvi_op_io at_in[] = {{"input_sequence", CVI_DATA, false, false},
                                  {"position", CVI_SHAPE, false, false}};
static const cvi_op_io split_in[] = {{"input", CVI_DATA, false, false}, {"split", CVI_SHAPE, true, false}};
static const cvi_op_io list_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr empty_attrs[] = {
    {"dtype", CVI_ATTR_INT, "1", "an ONNX element type", "type of what will be in it", "将存放的元素类型"}};
static const cvi_op_attr split_attrs[] = {
    {"axis", CVI_ATTR_INT, "0", "-rank ... rank-1", "axis that is cut", "被切分的轴"},
    {"keepdims", CVI_ATTR_INT, "1", "0|1", "0: pieces of one lose the axis", "取 0 时单片去掉该轴"}};
static const cvi_op_attr join_attrs[] = {
    {"axis", CVI_ATTR_INT, NULL, "-rank ... rank-1", "axis that grows", "拼接所沿的轴"},
    {"new_axis", CVI_ATTR_INT, "0", "0|1", "1: a new axis, one place an element",
     "取 1 时新增一个轴，每个元素占一位"}};

#define LIST_OP(ID, NAME, SINCE, IN, N_IN, ATTRS, N_ATTRS, CALLS, ...)                                       \
    const cvi_op cvi_op_##ID = {.name = NAME,                                                                \
                                .since = SINCE,                                                              \
                                .inputs = IN,                                                                \
                                .n_inputs = N_IN,                                                            \
                                .outputs = list_out,                                                         \
                                .n_outputs = 1,                                                              \
                                .attrs = ATTRS,                                                              \
                                .n_attrs = N_ATTRS,                                                          \
                                .glyph = CVI_GLYPH_SHAPE,                                                    \
                                .infer = infer_##CALLS,                                                      \
                                .forward = forward_##CALLS,                                                  \
                                .any_type = true,                                                            \
                                .field = cvi_field_none,                                                     \
                                .text = {__VA_ARGS__}}

LIST_OP(sequence_empty, "SequenceEmpty", 11, NULL, 0, empty_attrs, 1, empty, "Empty sequence", "空序列",
        "Begins a list of tensors.", "建立一个空的张量列表。", "y = []", "Has no picture.", "没有图像。");
LIST_OP(sequence_construct, "SequenceConstruct", 11, inputs_in, 1, NULL, 0, inputs, "Sequence", "序列",
        "Puts tensors into a list.", "把若干张量放入一个列表。", "y = [a, b, …]",
        "Has no picture; its elements have.", "没有图像；其元素有。");
LIST_OP(sequence_insert, "SequenceInsert", 11, insert_in, 3, NULL, 0, inserted, "Insert into a sequence",
        "插入序列", "Puts a tensor into a list, at the end or at a place.",
        "把张量插入列表的末尾或指定位置。", "y = s with x at place i", "Has no picture; its elements have.",
        "没有图像；其元素有。");
LIST_OP(sequence_erase, "SequenceErase", 11, erase_in, 2, NULL, 0, erased, "Erase from a sequence",
        "从序列删除", "Takes a tensor out of a list, the last one or that of a place.",
        "从列表中删除最后一个或指定位置的张量。", "y = s without place i",
        "Has no picture; its elements have.", "没有图像；其元素有。");
LIST_OP(sequence_at, "SequenceAt", 11, at_in, 2, NULL, 0, at, "Element of a sequence", "序列的元素",
        "Reads the tensor at a place of a list.", "读取列表中指定位置的张量。", "y = s[i]",
        "The picture of that element.", "该元素的图像。");
LIST_OP(sequence_length, "SequenceLength", 11, element_in, 1, NULL, 0, length, "Length of a sequence",
        "序列长度", "Counts the tensors of a list.", "数出列表中张量的个数。", "y = |s|", "A single number.",
        "单个数。");
LIST_OP(split_to_sequence, "SplitToSequence", 11, split_in, 2, split_attrs, 2, pieces,
        "Split into a sequence", "切分为序列", "Cuts a tensor along an axis into a list of pieces.",
        "把张量沿某一轴切成若干片的列表。", "y = [x[0:a], x[a:b], …]", "Has no picture; its pieces have.",
        "没有图像；其各片有。");
LIST_OP(concat_from_sequence, "ConcatFromSequence", 11, element_in, 1, join_attrs, 2, joining,
        "Join a sequence", "拼接序列", "Joins the tensors of a list along an axis, or stacks them.",
        "把列表中的张量沿某一轴拼接或堆叠。", "y = s[0] ∥ s[1] ∥ …", "The elements side by side.",
        "各元素并排。");
LIST_OP(optional, "Optional", 15, optional_in, 1, NULL, 0, optional, "Optional value", "可选值",
        "Wraps a tensor, or nothing, as a value that may be absent.", "把张量（或空）包装成可以缺省的值。",
        "y = x or nothing", "Has no picture; what is in it has.", "没有图像；其内容有。");
LIST_OP(optional_has_element, "OptionalHasElement", 15, optional_in, 1, NULL, 0, has, "Is a value there",
        "是否有值", "Says whether an optional value holds something.", "判断可选值是否有内容。",
        "y = x is there", "One or zero.", "一或零。");
LIST_OP(optional_get_element, "OptionalGetElement", 15, element_in, 1, NULL, 0, element, "Take the value out",
        "取出可选值", "Takes what an optional value holds out of it.", "取出可选值的内容。",
        "y = what is in x", "The picture of what was in it.", "其内容的图像。");
