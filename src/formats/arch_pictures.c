/* SPDX-License-Identifier: MIT
 * arch_pictures.c - architectures that make pictures of pictures: U-Net (Ronneberger et al. 2015) as Pytorch-UNet names its tensors, the
 * enlarging networks ESRGAN (Wang et al. 2018, three namings), Real-ESRGAN's compact one and SRCNN (Dong et al. 2014), the generators of
 * CycleGAN and pix2pix that have residual blocks (Zhu et al. 2017).
 */
#include "formats/arch_parts.h"

enum { LABEL = CVI_ARCH_LABEL, MAX_UNITS = 100 };

static int64_t dim(const cvs_tensor *t, int i) {
    return cvi_arch_dim(t, i);
}

static void begin(cvi_buf *b, const char *name, int64_t colours, int side) {
    cvi_buf_printf(b, "name \"%s\"\npreprocess unit\ninput %lldx%dx%d\n", name, (long long)colours, side,
                   side);
}

/* ---- U-Net ------------------------------------------------------------------------------------------------------ */

/* The pair of convolutions on the way down and on the way up, as the newer and the older version name them. */
static void unet_name(char out[LABEL], bool newer, bool down, int i) {
    const char *pair = newer ? "double_conv." : "conv.";
    if (i == 0) {
        snprintf(out, LABEL, "inc.%s%s", newer ? "" : "conv.", pair);
    } else if (down) {
        snprintf(out, LABEL, "down%d.%s.1.%s", i, newer ? "maxpool_conv" : "mpconv", pair);
    } else {
        snprintf(out, LABEL, "up%d.conv.%s", i, pair);
    }
}

static void unet_pair(const cvi_state *s, cvi_buf *b, const char *p, cvi_arch_place *at) {
    static const cvi_arch_family f = {.act = "relu", .eps = "1e-5"};
    const cvi_arch_part parts[] = {cvi_arch_part_of(p, "0", "1", false),
                                   cvi_arch_part_of(p, "3", "4", false)};
    cvi_arch_conv(s, b, &parts[0], &f, 1, at, f.act);
    cvi_arch_conv(s, b, &parts[1], &f, 1, at, f.act);
}

static void unet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *last = cvi_state_find(s, "outc.conv.weight"), *first = NULL;
    bool newer = cvi_state_find(s, "inc.double_conv.0.weight");
    cvi_arch_place level[8] = {{"", 0}}, at;
    char p[LABEL];
    unet_name(p, newer, true, 0);
    first = cvi_state_find(s, "%s0.weight", p);
    if (!first || !last) {
        return;
    }
    begin(b, "U-Net", dim(first, 1), 256);
    int depth = 0;
    at = (cvi_arch_place){.channels = dim(first, 1)};
    unet_pair(s, b, p, &at);
    for (; depth < 7; depth++) {
        level[depth] = at;
        unet_name(p, newer, true, depth + 1);
        if (!cvi_state_find(s, "%s0.weight", p)) {
            break;
        }
        cvi_buf_printf(b, "down%d.pool: from %s maxpool k2\n", depth + 1, at.label);
        snprintf(at.label, sizeof at.label, "down%d.pool", depth + 1);
        unet_pair(s, b, p, &at);
    }
    for (int i = 1; i <= depth; i++) {
        const cvi_arch_place *skip = &level[depth - i];
        const cvs_tensor *w = cvi_state_find(s, "up%d.up.weight", i);
        if (w) {
            cvi_buf_printf(b, "up%d.up: from %s deconv %lld k2 s2 bias\n", i, at.label, (long long)dim(w, 1));
            at.channels = dim(w, 1);
        } else {
            cvi_buf_printf(b,
                           "up%d.scales: const f32[4][1;1;2;2]\nup%d.up: from %s,_,up%d.scales op Resize "
                           "mode=\"linear\" "
                           "coordinate_transformation_mode=\"align_corners\"\n",
                           i, i, at.label, i);
        }
        cvi_buf_printf(b, "up%d.joined: from %s,up%d.up concat\n", i, skip->label, i);
        snprintf(at.label, sizeof at.label, "up%d.joined", i);
        at.channels += skip->channels;
        unet_name(p, newer, false, i);
        unet_pair(s, b, p, &at);
    }
    cvi_buf_printf(b, "outc.conv: from %s conv %lld k1 bias\n", at.label, (long long)dim(last, 0));
}

const cvi_arch cvi_arch_unet = {.name = "U-Net", .write = unet};

/* ---- ESRGAN -------------------------------------------------------------------------------------------------------- */

/* One naming: first layer, dense layers (%d: block, its third, its layer), behind the trunk, enlarging, the last two. */
typedef struct esrgan_names {
    const char *first, *trunk, *up[2], *high, *last;
} esrgan_names;

static const esrgan_names esrgans[] = {
    {"conv_first", "conv_body", {"conv_up1", "conv_up2"}, "conv_hr", "conv_last"},
    {"conv_first", "trunk_conv", {"upconv1", "upconv2"}, "HRconv", "conv_last"},
    {"0", "", {"3", "6"}, "8", "10"}}; /* "model." before all names is taken off as a wrapper's */

static void dense_name(char out[LABEL], int naming, int block, int third, int layer) {
    if (naming == 0) {
        snprintf(out, LABEL, "body.%d.rdb%d.conv%d", block, third, layer);
    } else if (naming == 1) {
        snprintf(out, LABEL, "RRDB_trunk.%d.RDB%d.conv%d", block, third, layer);
    } else {
        snprintf(out, LABEL, "1.sub.%d.RDB%d.conv%d.0", block, third, layer);
    }
}

static void point(const cvi_state *s, cvi_buf *b, const char *label, const char *from, const char *act) {
    const cvs_tensor *w = cvi_arch_weight(s, label);
    cvi_buf_printf(b, "%s: from %s conv %lld k%lld bias\n", label, from, (long long)dim(w, 0),
                   (long long)dim(w, 2));
    if (act) {
        cvi_buf_printf(b, "%s.act: %s\n", label, act);
    }
}

/* x + 0.2 y, named `out`. */
static void fifth(cvi_buf *b, const char *out, const char *x, const char *y) {
    cvi_buf_printf(b, "%s.part: from %s,share mul\n%s: from %s,%s.part add\n", out, y, out, x, out);
}

/* Three groups of five dense layers, each group and all together adding a fifth of what they make. */
static void dense_block(const cvi_state *s, cvi_buf *b, int naming, int block, char at[LABEL]) {
    char in[LABEL], third_in[LABEL], name[LABEL], joined[LABEL], out[LABEL];
    snprintf(in, sizeof in, "%s", at);
    for (int third = 1; third <= 3; third++) {
        cvi_buf list = {0};
        snprintf(third_in, sizeof third_in, "%s", at);
        cvi_buf_puts(&list, third_in);
        for (int layer = 1; layer <= 5; layer++) {
            dense_name(name, naming, block, third, layer);
            snprintf(joined, sizeof joined, "%s", third_in);
            if (layer > 1) {
                snprintf(joined, sizeof joined, "%.60s.joined", name);
                cvi_buf_printf(b, "%s: from %s concat\n", joined, list.data ? list.data : "");
            }
            point(s, b, name, joined, layer < 5 ? "leaky 0.2" : NULL);
            cvi_buf_printf(&list, ",%s.act", name);
        }
        snprintf(out, sizeof out, "block%d.%d", block, third);
        fifth(b, out, third_in, name);
        snprintf(at, LABEL, "%s", out);
        b->failed |= list.failed;
        cvi_buf_free(&list);
    }
    snprintf(out, sizeof out, "block%d", block);
    fifth(b, out, in, at);
    snprintf(at, LABEL, "%s", out);
}

static void esrgan(const cvi_state *s, cvi_buf *b) {
    char at[LABEL] = "first", name[LABEL], trunk[LABEL];
    int naming = 0, blocks = 0;
    for (; naming < CVI_COUNT(esrgans); naming++) {
        dense_name(name, naming, 0, 1, 5);
        if (cvi_arch_weight(s, name)) {
            break;
        }
    }
    if (naming == CVI_COUNT(esrgans)) {
        return;
    }
    const esrgan_names *n = &esrgans[naming];
    const cvs_tensor *first = cvi_arch_weight(s, n->first);
    /* In the networks for smaller factors squares of pixels are channels first. */
    int64_t fold = dim(first, 1) == 12 ? 2 : dim(first, 1) == 48 ? 4 : 1;
    begin(b, "ESRGAN", dim(first, 1) / (fold * fold), 64);
    cvi_buf_puts(b, "share: const f32[1][0.2]\n");
    if (fold > 1) { /* channel first, then the place in the square */
        cvi_buf_printf(
            b,
            "cut: const i64[6][0;%lld;%lld;%lld;%lld;%lld]\nback: const i64[4][0;%lld;%lld;%lld]\n"
            "squares: from input,cut op Reshape hidden\nturned: op Transpose perm=[0;1;3;5;2;4] hidden\n"
            "folded: from turned,back op Reshape\n",
            (long long)(dim(first, 1) / (fold * fold)), 64 / (long long)fold, (long long)fold,
            64 / (long long)fold, (long long)fold, (long long)dim(first, 1), 64 / (long long)fold,
            64 / (long long)fold);
    }
    point(s, b, n->first, fold > 1 ? "folded" : "input", NULL);
    snprintf(at, sizeof at, "%s", n->first);
    for (;; blocks++) {
        dense_name(name, naming, blocks, 1, 1);
        if (blocks == MAX_UNITS || !cvi_arch_weight(s, name)) {
            break;
        }
        dense_block(s, b, naming, blocks, at);
    }
    snprintf(trunk, sizeof trunk, "1.sub.%d", blocks);
    const char *behind = *n->trunk ? n->trunk : trunk;
    point(s, b, behind, at, NULL);
    cvi_buf_printf(b, "trunk: from %s,%s add\n", n->first, behind);
    snprintf(at, sizeof at, "trunk");
    for (int i = 0; i < 2 && cvi_arch_weight(s, n->up[i]); i++) {
        cvi_buf_printf(b, "enlarged%d: from %s upsample x2 nearest\n", i + 1, at);
        snprintf(name, sizeof name, "enlarged%d", i + 1);
        point(s, b, n->up[i], name, "leaky 0.2");
        snprintf(at, sizeof at, "%.60s.act", n->up[i]);
    }
    point(s, b, n->high, at, "leaky 0.2");
    snprintf(at, sizeof at, "%.60s.act", n->high);
    point(s, b, n->last, at, NULL);
}

const cvi_arch cvi_arch_esrgan = {.name = "ESRGAN", .write = esrgan};

/* Convolutions with a slope for each channel between them, pixels out of channels, the enlarged input added. */
static void compact(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "body.0.weight"), *last = NULL;
    int n = 0, factor = 1;
    for (; n < 2 * MAX_UNITS && cvi_state_find(s, "body.%d.weight", n); n++) {
        last = cvi_state_find(s, "body.%d.weight", n);
    }
    while (factor < 8 && dim(first, 1) * factor * factor < dim(last, 0)) {
        factor++;
    }
    if (n < 5 || n % 2 == 0 || dim(cvi_state_find(s, "body.1.weight"), 1) ||
        dim(first, 1) * factor * factor != dim(last, 0)) {
        return;
    }
    begin(b, "Real-ESRGAN compact", dim(first, 1), 64);
    for (int i = 0; i < n; i++) {
        const cvs_tensor *w = cvi_state_find(s, "body.%d.weight", i);
        if (i % 2) {
            cvi_buf_printf(b, "body.%d: prelu\n", i);
        } else {
            cvi_buf_printf(b, "body.%d: conv %lld k%lld bias\n", i, (long long)dim(w, 0),
                           (long long)dim(w, 2));
        }
    }
    cvi_buf_printf(b,
                   "upsampler: pixelshuffle %d\nbase: from input upsample x%d nearest\nenlarged: from "
                   "upsampler,base add\n",
                   factor, factor);
}

const cvi_arch cvi_arch_compact = {.name = "Real-ESRGAN compact", .write = compact};

static void srcnn(const cvi_state *s, cvi_buf *b) {
    static const char *const labels[] = {"conv1", "conv2", "conv3"};
    const cvs_tensor *first = cvi_arch_weight(s, labels[0]), *last = cvi_arch_weight(s, labels[2]);
    if (dim(first, 2) != 9 || dim(last, 2) != 5 || dim(first, 1) != dim(last, 0)) {
        return;
    }
    begin(b, "SRCNN", dim(first, 1), 128);
    for (int i = 0; i < 3; i++) {
        point(s, b, labels[i], i == 0 ? "input" : i == 1 ? "conv1.act" : "conv2.act", i < 2 ? "relu" : NULL);
    }
}

const cvi_arch cvi_arch_srcnn = {.name = "SRCNN", .write = srcnn};

/* ---- generators with residual blocks --------------------------------------------------------------------------------- */

/* Normalisation of each map by itself, without weights. */
static void instance_norm(cvi_buf *b, const char *label, int64_t channels, bool act, char at[LABEL]) {
    static const char *const names[] = {"ones", "zeros"};
    for (int k = 0; k < 2; k++) {
        cvi_buf_printf(b, "%s.%s: const f32[%lld][", label, names[k], (long long)channels);
        for (int64_t i = 0; i < channels && i < 4096 && !b->failed; i++) {
            cvi_buf_printf(b, "%s%d", i ? ";" : "", k == 0);
        }
        cvi_buf_puts(b, "]\n");
    }
    cvi_buf_printf(b, "%s.norm: from %s,%s.ones,%s.zeros op InstanceNormalization epsilon=0.00001\n", label,
                   at, label, label);
    snprintf(at, LABEL, "%.60s.norm", label);
    if (act) {
        cvi_buf_printf(b, "%s.relu: relu\n", label);
        snprintf(at, LABEL, "%.60s.relu", label);
    }
}

static void mirrored(const cvi_state *s, cvi_buf *b, const char *label, char at[LABEL]) {
    const cvs_tensor *w = cvi_arch_weight(s, label);
    long long p = (long long)dim(w, 2) / 2;
    cvi_buf_printf(b,
                   "%s.pads: const i64[8][0;0;%lld;%lld;0;0;%lld;%lld]\n%s.padded: from %s,%s.pads op Pad "
                   "mode=\"reflect\"\n"
                   "%s: conv %lld k%lld valid bias\n",
                   label, p, p, p, p, label, at, label, label, (long long)dim(w, 0), (long long)dim(w, 2));
    snprintf(at, LABEL, "%.70s", label);
}

static void generator(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "1.weight");
    char at[LABEL] = "input", label[LABEL], in[LABEL];
    int place = 4;
    if (dim(first, 2) != 7 || !cvi_state_find(s, "10.conv_block.1.weight") || !cvi_state_find(s, "1.bias")) {
        return;
    }
    cvi_buf_printf(b, "name \"ResNet generator\"\npreprocess tf\ninput %lldx256x256\n",
                   (long long)dim(first, 1));
    mirrored(s, b, "1", at);
    instance_norm(b, "1", dim(first, 0), true, at);
    for (; place < 40; place++) { /* by halves, residual, by doubles, and the last */
        const cvs_tensor *w = cvi_state_find(s, "%d.weight", place);
        snprintf(label, sizeof label, "%d", place);
        if (w && dim(w, 2) == 7) {
            mirrored(s, b, label, at);
            cvi_buf_puts(b, "tanh: tanh\n");
            return;
        }
        if (w) {
            bool up = place > 10; /* the blocks begin at 10 */
            int64_t channels = dim(w, up ? 1 : 0);
            cvi_buf_printf(
                b, up ? "%s: from %s deconv %lld k3 s2 p1 x1 bias\n" : "%s: from %s conv %lld k3 s2 bias\n",
                label, at, (long long)channels);
            snprintf(at, LABEL, "%s", label);
            instance_norm(b, label, channels, true, at);
        }
        if (!cvi_state_find(s, "%d.conv_block.1.weight", place)) {
            continue;
        }
        bool drops = cvi_state_find(s, "%d.conv_block.6.weight", place);
        snprintf(in, sizeof in, "%s", at);
        for (int k = 0; k < 2; k++) {
            snprintf(label, sizeof label, "%d.conv_block.%d", place, k == 0 ? 1 : drops ? 6 : 5);
            mirrored(s, b, label, at);
            instance_norm(b, label, dim(cvi_arch_weight(s, label), 0), k == 0, at);
        }
        cvi_buf_printf(b, "%d: from %s,%s add\n", place, in, at);
        snprintf(at, LABEL, "%d", place);
    }
}

const cvi_arch cvi_arch_generator = {.name = "ResNet generator", .write = generator};
