/* SPDX-License-Identifier: MIT
 * bits.c - BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitCast: integers as rows of bits, with numpy broadcasting, and the same
 * bytes under another element type. None of them has a gradient.
 */
#include "ops/walk.h"

typedef int64_t (*bit_rule)(int64_t a, int64_t b, cvs_dtype type);

typedef struct bit_job {
    cvi_walk walk;
    const cvs_tensor *a, *b, *y;
    bit_rule rule;
} bit_job;

static cvs_status infer_bits(cvi_opctx *ctx) {
    int64_t dim[CVS_MAX_RANK];
    int rank;
    CVI_TRY(cvi_type_is(ctx, 0, cvi_is_integer, "of an integer type"));
    CVI_TRY(cvi_one_type(ctx, 0, 1));
    CVI_TRY(cvi_broadcast(ctx, 2, ctx->in, &rank, dim));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, rank, dim);
}

static void bit_rows(void *context, int64_t begin, int64_t end) {
    const bit_job *j = context;
    const cvi_walk *w = &j->walk;
    int last = w->rank - 1;
    int64_t sa = last >= 0 ? w->step[0][last] : 0, sb = last >= 0 ? w->step[1][last] : 0;
    for (int64_t row = begin; row < end; row++) {
        int64_t offset[CVI_WALK_OPERANDS];
        cvi_walk_at(w, row, offset);
        for (int64_t i = 0; i < w->length; i++) {
            int64_t a = cvi_get_int(j->a, offset[0] + i * sa), b = cvi_get_int(j->b, offset[1] + i * sb);
            cvi_put_int(j->y, row * w->length + i, j->rule(a, b, j->a->dtype));
        }
    }
}

static cvs_status run_bits(cvi_opctx *ctx, bit_rule rule) {
    bit_job j = {.a = ctx->in[0], .b = ctx->in[1], .y = &ctx->out[0], .rule = rule};
    if (cvs_tensor_count(j.y) == 0) {
        return CVS_OK;
    }
    cvi_walk_make(&j.walk, j.y->rank, j.y->dim, 2, ctx->in);
    cvi_each_rows(ctx, j.walk.rows, j.walk.length, &j, bit_rows);
    return CVS_OK;
}

static int64_t both(int64_t a, int64_t b, cvs_dtype type) {
    (void)type;
    return a & b;
}

static int64_t either(int64_t a, int64_t b, cvs_dtype type) {
    (void)type;
    return a | b;
}

static int64_t differ(int64_t a, int64_t b, cvs_dtype type) {
    (void)type;
    return a ^ b;
}

/* By less than nothing or by all the bits and more: only what fills up from the sign is left. */
static bool beyond(int64_t by, cvs_dtype type) {
    int small = cvi_small_bits(type);
    return by < 0 || by >= (small > 0 ? small : (int)cvs_dtype_size(type) * 8);
}

static int64_t shift_left(int64_t a, int64_t by, cvs_dtype type) {
    return beyond(by, type) ? 0 : (int64_t)((uint64_t)a << by);
}

static int64_t shift_right(int64_t a, int64_t by, cvs_dtype type) {
    bool minus = cvi_is_signed(type) && a < 0;
    if (beyond(by, type)) {
        return minus ? -1 : 0;
    }
    uint64_t moved = (uint64_t)a >> by;
    return (int64_t)(minus && by > 0 ? moved | ~(UINT64_MAX >> by) : moved);
}

static cvs_status forward_and(cvi_opctx *ctx) {
    return run_bits(ctx, both);
}

static cvs_status forward_or(cvi_opctx *ctx) {
    return run_bits(ctx, either);
}

static cvs_status forward_xor(cvi_opctx *ctx) {
    return run_bits(ctx, differ);
}

static cvs_status infer_shift(cvi_opctx *ctx) {
    const char *way = cvi_op_string(ctx, "direction");
    if (strcmp(way, "LEFT") != 0 && strcmp(way, "RIGHT") != 0) {
        return cvi_at_attr(
            ctx->err, cvi_fail(ctx->err, CVS_E_FORMAT, "direction is \"%.40s\"; known are LEFT, RIGHT", way),
            "direction");
    }
    return infer_bits(ctx);
}

static cvs_status forward_shift(cvi_opctx *ctx) {
    return run_bits(ctx, cvi_op_string(ctx, "direction")[0] == 'L' ? shift_left : shift_right);
}

static cvs_status infer_not(cvi_opctx *ctx) {
    CVI_TRY(cvi_type_is(ctx, 0, cvi_is_integer, "of an integer type"));
    return cvi_infer_same(ctx);
}

static cvs_status forward_not(cvi_opctx *ctx) {
    int64_t n = cvs_tensor_count(&ctx->out[0]);
    for (int64_t i = 0; i < n; i++) {
        cvi_put_int(&ctx->out[0], i, ~cvi_get_int(ctx->in[0], i));
    }
    return CVS_OK;
}

/* ---- BitCast ------------------------------------------------------------------------------------------ */
static cvs_status infer_bit_cast(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    cvs_dtype to = (cvs_dtype)cvi_op_int(ctx, "to");
    size_t size = cvs_dtype_size(to);
    if (size != cvs_dtype_size(x->dtype) || cvi_small_bits(to) % 8 != cvi_small_bits(x->dtype) % 8) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "elements of type %s cannot be read as %s",
                                    cvs_dtype_name(x->dtype), cvs_dtype_name(to)),
                           "to");
    }
    return cvi_out_shape(ctx, 0, to, x->rank, x->dim);
}

static cvs_status forward_bit_cast(cvi_opctx *ctx) {
    cvs_tensor *y = &ctx->out[0];
    const uint8_t *x = ctx->in[0]->data;
    int64_t n = cvs_tensor_count(y);
    bool packed = cvi_small_bits(y->dtype) % 8 != 0;
    if (!packed && y->dtype != CVS_BOOL && n > 0) {
        memcpy(y->data, x, y->bytes);
    }
    for (int64_t i = 0; i < n && (packed || y->dtype == CVS_BOOL);
         i++) { /* numbers in memory, not patterns */
        uint8_t v = x[i] != 0;
        if (packed) {
            v = cvi_is_integer(y->dtype) ? cvi_small_wrap(y->dtype, x[i])
                                         : (uint8_t)(x[i] & ((1 << cvi_small_bits(y->dtype)) - 1));
        }
        ((uint8_t *)y->data)[i] = v;
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io pair_in[] = {{"A", CVI_DATA, false, false}, {"B", CVI_DATA, false, false}};
static const cvi_op_io one_in[] = {{"X", CVI_DATA, false, false}};
static const cvi_op_io bits_out[] = {{"Y", CVI_DATA, false, false}};

#define BITS(ID, NAME, FORWARD, ...)                                                                         \
    const cvi_op cvi_op_##ID = {.name = NAME,                                                                \
                                .since = 18,                                                                 \
                                .inputs = pair_in,                                                           \
                                .n_inputs = 2,                                                               \
                                .outputs = bits_out,                                                         \
                                .n_outputs = 1,                                                              \
                                .flags = CVI_OP_POINTWISE,                                                   \
                                .glyph = CVI_GLYPH_MATH,                                                     \
                                .infer = infer_bits,                                                         \
                                .forward = FORWARD,                                                          \
                                .any_type = true,                                                            \
                                .cost = cvi_cost_each,                                                       \
                                .text = {__VA_ARGS__}}

BITS(bitwise_and, "BitwiseAnd", forward_and, "Bitwise and", "按位与",
     "Keeps the bits that are set in both integers.", "保留两个整数中都为 1 的位。", "y = a & b",
     "Small steps of the number vanish where the mask has zeros.", "掩码为零的位上，数值的细小变化会消失。");
BITS(bitwise_or, "BitwiseOr", forward_or, "Bitwise or", "按位或",
     "Sets the bits that are set in either integer.", "把任一整数中为 1 的位置为 1。", "y = a | b",
     "Never darker than either input of unsigned numbers.", "对无符号数而言，不会比任一输入更暗。");
BITS(bitwise_xor, "BitwiseXor", forward_xor, "Bitwise exclusive or", "按位异或",
     "Sets the bits in which the two integers differ.", "把两个整数不同的位置为 1。", "y = a ^ b",
     "Zero where both are equal.", "两者相等处为零。");

const cvi_op cvi_op_bitwise_not = {
    .name = "BitwiseNot",
    .since = 18,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = bits_out,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_not,
    .forward = forward_not,
    .any_type = true,
    .cost = cvi_cost_each,
    .text = {"Bitwise not", "按位取反", "Turns every bit of an integer over.", "把整数的每一位取反。",
             "y = ~x", "The negative of the picture.", "图像的负片。"},
};

static const cvi_op_attr shift_attrs[] = {
    {"direction", CVI_ATTR_STRING, NULL, "LEFT|RIGHT", "which way the bits move", "各位移动的方向"},
};

const cvi_op cvi_op_bit_shift = {
    .name = "BitShift",
    .since = 11,
    .inputs = pair_in,
    .n_inputs = 2,
    .outputs = bits_out,
    .n_outputs = 1,
    .attrs = shift_attrs,
    .n_attrs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_shift,
    .forward = forward_shift,
    .any_type = true,
    .cost = cvi_cost_each,
    .text = {"Bit shift", "移位", "Moves the bits of an integer: times or divided by a power of two.",
             "移动整数的各位：相当于乘以或除以 2 的幂。", "y = x << n, or x >> n",
             "Brighter or darker by a power of two; what leaves the type is gone.",
             "按 2 的幂变亮或变暗；超出类型的部分丢失。"},
};

static const cvi_op_attr bit_cast_attrs[] = {
    {"to", CVI_ATTR_INT, NULL, "an ONNX element type", "type of the output", "输出的元素类型"},
};

const cvi_op cvi_op_bit_cast = {
    .name = "BitCast",
    .since = 26,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = bits_out,
    .n_outputs = 1,
    .attrs = bit_cast_attrs,
    .n_attrs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_bit_cast,
    .forward = forward_bit_cast,
    .any_type = true,
    .text = {"Bit cast", "按位转换", "Reads the same bytes as numbers of another type of the same size.",
             "把同样的字节当作另一种等长类型的数来读。", "y = the bits of x", "Has no likeness to its input.",
             "与输入没有相似之处。"},
};
