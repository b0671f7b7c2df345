/* SPDX-License-Identifier: MIT
 * script_transformer.c - the calls that PyTorch makes of nn.MultiheadAttention and nn.TransformerEncoderLayer outside of training, one for
 * the whole layer: written out as the dense layers, products and normalisations that they stand for, by the rows of the other lists.
 */
#include <math.h>

#include "formats/script.h"

enum { MOST_ARGS = 6 };

static script_value none(void) {
    return cvi_script_none();
}

/* torch.NAME(a, b, c, ...), the arguments by place */
static script_value call(script *s, const char *name, int n, const script_value *given) {
    script_value arg[MOST_ARGS];
    memcpy(arg, given, (size_t)n * sizeof *arg);
    return cvi_script_ok(s) ? cvi_script_call(s, &(script_args){.name = name, .n = n, .arg = arg}) : none();
}
#define CALL(s, name, ...)                                                                                   \
    call((s), (name), (int)(sizeof((script_value[]){__VA_ARGS__}) / sizeof(script_value)),                   \
         (script_value[]){__VA_ARGS__})

static script_value numbers(script *s, int n, const int64_t *v) {
    script_value item[CVS_MAX_RANK];
    for (int i = 0; i < n; i++) {
        item[i] = cvi_script_int(v[i]);
    }
    return cvi_script_list(s, n, item);
}

/* scores [N,heads,T,T], those that the mask names minus infinity; `kind` 0: [T,T], 1: [N,T] of places that are padding, 2: of every head */
static script_value masked(script *s, script_value scores, script_value mask, int64_t kind) {
    if (mask.kind == SCRIPT_V_NONE || !cvi_script_ok(s)) {
        return scores;
    }
    int v = cvi_script_graph(s, &mask);
    if (cvi_script_shape(s, v, 0)->dtype != CVS_BOOL) {
        return CALL(s, "torch.add", scores, mask);
    }
    if (kind == 1) {
        mask = CALL(s, "torch.unsqueeze", CALL(s, "torch.unsqueeze", mask, cvi_script_int(1)),
                    cvi_script_int(1));
    }
    return CALL(s, "torch.masked_fill", scores, mask, cvi_script_float(-INFINITY));
}

typedef struct attention {
    script_value x, width, heads, in_weight, in_bias, out_weight, out_bias, mask, kind;
} attention;

/* x [N,T,D] -> out_weight (softmax(q k' / sqrt(d)) v) + out_bias; *scores: behind softmax [N,heads,T,T] */
static script_value attend(script *s, const attention *a, script_value *scores) {
    static const int64_t turn[] = {2, 0, 3, 1, 4}, back[] = {0, 2, 1, 3};
    int x = cvi_script_graph(s, &a->x);
    int64_t width = cvi_script_whole(&a->width, 0), heads = cvi_script_whole(&a->heads, 0);
    if (!cvi_script_ok(s) || cvi_script_rank(s, x) != 3 || heads < 1 || width < heads || width % heads != 0) {
        return cvi_script_refuse(s, "attention");
    }
    script_value batch = cvi_script_dimension(s, x, 0), places = cvi_script_dimension(s, x, 1);
    script_value all[5] = {batch, places, cvi_script_int(3), cvi_script_int(heads),
                           cvi_script_int(width / heads)};
    script_value joined[3] = {batch, places, cvi_script_int(width)}, part[3];
    script_value y = CALL(s, "torch.linear", a->x, a->in_weight, a->in_bias);
    y = CALL(s, "torch.reshape", y, cvi_script_list(s, 5, all));
    y = CALL(s, "torch.permute", y, numbers(s, 5, turn));
    for (int i = 0; i < 3; i++) {
        part[i] = CALL(s, "torch.select", y, cvi_script_int(0), cvi_script_int(i));
    }
    script_value q = CALL(s, "torch.mul", part[0], cvi_script_float(1 / sqrt((double)(width / heads))));
    script_value k = CALL(s, "torch.transpose", part[1], cvi_script_int(-2), cvi_script_int(-1));
    *scores = masked(s, CALL(s, "torch.matmul", q, k), a->mask, cvi_script_whole(&a->kind, 2));
    *scores = CALL(s, "torch.softmax", *scores, cvi_script_int(-1));
    y = CALL(s, "torch.permute", CALL(s, "torch.matmul", *scores, part[2]), numbers(s, 4, back));
    y = CALL(s, "torch.reshape", y, cvi_script_list(s, 3, joined));
    return CALL(s, "torch.linear", y, a->out_weight, a->out_bias);
}

/* _native_multi_head_attention(q, k, v, width, heads, qkv weight, bias, out weight, bias, mask, need_weights, average, mask_type), where PyTorch
 * comes only with q, k and v the same: the outputs, and the weights averaged over the heads or None */
static script_value multi_head(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value k = cvi_script_arg(a, 1, "key"), v = cvi_script_arg(a, 2, "value"), scores = none();
    attention t = {.x = cvi_script_arg(a, 0, "query"),
                   .width = cvi_script_arg(a, 3, "embed_dim"),
                   .heads = cvi_script_arg(a, 4, "num_head"),
                   .in_weight = cvi_script_arg(a, 5, "qkv_weight"),
                   .in_bias = cvi_script_arg(a, 6, "qkv_bias"),
                   .out_weight = cvi_script_arg(a, 7, "proj_weight"),
                   .out_bias = cvi_script_arg(a, 8, "proj_bias"),
                   .mask = cvi_script_arg(a, 9, "mask"),
                   .kind = cvi_script_arg(a, 12, "mask_type")};
    script_value weights = cvi_script_arg(a, 10, "need_weights"), average = cvi_script_arg(a, 11, "average");
    bool same = t.x.kind == SCRIPT_V_TENSOR && k.kind == SCRIPT_V_TENSOR && v.kind == SCRIPT_V_TENSOR &&
                cvi_script_graph(s, &k) == cvi_script_graph(s, &t.x) &&
                cvi_script_graph(s, &v) == cvi_script_graph(s, &t.x);
    if (!same) {
        return cvi_script_refuse(s, a->name);
    }
    script_value both[2] = {attend(s, &t, &scores), none()};
    if (cvi_script_whole(&weights, 1) && cvi_script_ok(s)) {
        const int64_t over_heads = 1;
        both[1] = cvi_script_whole(&average, 1) ? CALL(s, "torch.mean", scores, numbers(s, 1, &over_heads))
                                                : scores;
    }
    return cvi_script_ok(s) ? cvi_script_list(s, 2, both) : none();
}

/* layer_norm(x) over the last axis */
static script_value normed(script *s, script_value x, const script_args *a, int at, script_value eps) {
    int64_t width = cvi_script_whole(&a->arg[1], 0);
    return CALL(s, "torch.layer_norm", x, numbers(s, 1, &width), a->arg[at], a->arg[at + 1], eps);
}

/* _transformer_encoder_layer_fwd(x, width, heads, qkv weight, bias, out weight, bias, gelu, norm_first, eps, norm1 weight, bias, norm2 weight,
 * bias, dense1 weight, bias, dense2 weight, bias, mask, mask_type) */
static script_value encoder_layer(script *s, const script_call *row, const script_args *a) {
    (void)row;
    if (a->n < 18 || a->arg[0].kind != SCRIPT_V_TENSOR) {
        return cvi_script_refuse(s, a->name);
    }
    const script_value *arg = a->arg;
    bool gelu = cvi_script_whole(&arg[7], 0) != 0, before = cvi_script_whole(&arg[8], 0) != 0;
    script_value scores = none(), x = arg[0];
    attention t = {.x = before ? normed(s, x, a, 10, arg[9]) : x,
                   .width = arg[1],
                   .heads = arg[2],
                   .in_weight = arg[3],
                   .in_bias = arg[4],
                   .out_weight = arg[5],
                   .out_bias = arg[6],
                   .mask = cvi_script_arg(a, 18, "mask"),
                   .kind = cvi_script_arg(a, 19, "mask_type")};
    x = CALL(s, "torch.add", x, attend(s, &t, &scores));
    x = before ? x : normed(s, x, a, 10, arg[9]);
    script_value y = before ? normed(s, x, a, 12, arg[9]) : x;
    y = CALL(s, "torch.linear", y, arg[14], arg[15]);
    y = gelu ? CALL(s, "torch.gelu", y) : CALL(s, "torch.relu", y);
    x = CALL(s, "torch.add", x, CALL(s, "torch.linear", y, arg[16], arg[17]));
    return before ? x : normed(s, x, a, 12, arg[9]);
}

static const script_call rows[] = {
    {"_native_multi_head_attention", multi_head, NULL, 0},
    {"_transformer_encoder_layer_fwd", encoder_layer, NULL, 0},
};

const script_calls cvi_script_transformer = {rows, CVI_COUNT(rows)};
