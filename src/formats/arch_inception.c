/* SPDX-License-Identifier: MIT
 * arch_inception.c - GoogLeNet (with normalisation) and Inception-v3 as torchvision names their tensors, Inception-v4 and
 * Inception-ResNet-v2 as timm does, Inception-ResNet-v1 as facenet-pytorch does: modules
 * whose branches are written from tables of the layers' names; widths and kernels are read off the shapes. Szegedy et al. 2014 to 2016.
 */
#include "formats/state.h"

enum { LABEL = 96 };

static int64_t dim(const cvs_tensor *t, int i) {
    return t && i < t->rank ? t->dim[i] : 0;
}

/* Convolution, normalisation, rectifier: label.conv, label.bn, label.relu. `how` ends the convolution's line ("s2 valid"). */
static void unit(const cvi_state *s, cvi_buf *b, const char *label, const char *from, const char *how) {
    const cvs_tensor *w = cvi_state_find(s, "%s.conv.weight", label);
    cvi_buf_printf(b, "%s.conv: %s%s%sconv %lld k%lldx%lld %s nobias\n%s.bn: bn eps=0.001\n%s.relu: relu\n",
                   label, *from ? "from " : "", from, *from ? " " : "", (long long)dim(w, 0),
                   (long long)dim(w, 2), (long long)dim(w, 3), how, label, label);
}

/* One branch: names of its units within the module, separated by blanks, each with its manner after a slash, underscores for
 * blanks; "pool" is the module's pooling. The branch's end goes into `ends`. */
static void branch(const cvi_state *s, cvi_buf *b, const char *module, const char *from, const char *path,
                   cvi_buf *ends, const char *pool) {
    char at[LABEL], name[LABEL], how[32];
    snprintf(at, sizeof at, "%s", from);
    while (*path) {
        size_t n = strcspn(path, " "), slash = strcspn(path, "/ ");
        snprintf(how, sizeof how, "%.*s", (int)(slash < n ? n - slash - 1 : 0), path + slash + (slash < n));
        for (char *c = how; *c; c++) {
            *c = *c == '_' ? ' ' : *c;
        }
        if (strncmp(path, "pool", 4) == 0) {
            snprintf(name, sizeof name, "%.60s.pool", module);
            cvi_buf_printf(b, "%s: from %s %s\n", name, at, pool);
            snprintf(at, sizeof at, "%s", name);
        } else {
            snprintf(name, sizeof name, "%.40s.%.*s", module, (int)slash, path);
            unit(s, b, name, at, how);
            snprintf(at, sizeof at, "%.80s.relu", name);
        }
        path += n + (path[n] == ' ');
    }
    cvi_buf_printf(ends, "%s%s", ends->size ? "," : "", at);
}

/* A module: branches in the order of the concatenation; `at` is what it reads and becomes its name. */
static void module(const cvi_state *s, cvi_buf *b, const char *name, const char *const *paths,
                   const char *pool, char at[LABEL]) {
    cvi_buf ends = {0};
    for (int i = 0; paths[i]; i++) {
        branch(s, b, name, at, paths[i], &ends, pool);
    }
    cvi_buf_printf(b, "%s: from %s concat\n", name, ends.data ? ends.data : "");
    b->failed |= ends.failed;
    cvi_buf_free(&ends);
    snprintf(at, LABEL, "%s", name);
}

/* Trained weights of torchvision expect numbers from -1 to 1: the model itself renormalises (transform_input). */
static void write_head(cvi_buf *b, const char *name, const cvs_tensor *first, const cvs_tensor *fc,
                       int size) {
    cvi_buf_printf(b, "name \"%s\"\n%sinput %lldx%dx%d\n", name,
                   dim(fc, 0) == 1000 ? "preprocess \"ImageNet-torch,mean=0.5:0.5:0.5,std=0.5:0.5:0.5\"\n"
                                      : "",
                   (long long)dim(first, 1), size, size);
}

/* ---- GoogLeNet ---- */

static void googlenet(const cvi_state *s, cvi_buf *b) {
    static const char *const paths[] = {"branch1", "branch2.0 branch2.1", "branch3.0 branch3.1",
                                        "pool branch4.1", NULL};
    static const char *const modules[] = {"3a", "3b", "", "4a", "4b", "4c", "4d", "4e", "", "5a", "5b"};
    const cvs_tensor *first = cvi_state_find(s, "conv1.conv.weight"), *fc = cvi_state_find(s, "fc.weight");
    if (!first || !fc || !cvi_state_find(s, "inception3a.branch1.conv.weight")) {
        return;
    }
    write_head(b, "GoogLeNet", first, fc, 224);
    unit(s, b, "conv1", "", "s2");
    cvi_buf_puts(b, "maxpool1: maxpool k3 s2 ceil\n");
    unit(s, b, "conv2", "", "");
    unit(s, b, "conv3", "", "");
    cvi_buf_puts(b, "maxpool2: maxpool k3 s2 ceil\n");
    char at[LABEL] = "maxpool2", name[LABEL];
    for (int i = 0, pools = 2; i < CVI_COUNT(modules); i++) {
        if (modules[i][0]) {
            snprintf(name, sizeof name, "inception%s", modules[i]);
            module(s, b, name, paths, "maxpool k3 s1 p1 ceil", at);
        } else {
            cvi_buf_printf(b, "maxpool%d: maxpool k%d s2 ceil\n", pools + 1, pools == 2 ? 3 : 2);
            snprintf(at, sizeof at, "maxpool%d", ++pools);
        }
    }
    cvi_buf_printf(b, "avgpool: gap\nfc: fc %lld\n", (long long)dim(fc, 0));
}

const cvi_arch cvi_arch_googlenet = {.name = "GoogLeNet", .write = googlenet, .extra = "aux"};

/* ---- Inception-v3 ---- */

static void inception_v3(const cvi_state *s, cvi_buf *b) {
    static const char *const a[] = {"branch1x1", "branch5x5_1 branch5x5_2",
                                    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", "pool branch_pool", NULL};
    static const char *const c[] = {
        "branch1x1", "branch7x7_1 branch7x7_2 branch7x7_3",
        "branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5", "pool branch_pool",
        NULL};
    const cvs_tensor *first = cvi_state_find(s, "Conv2d_1a_3x3.conv.weight"),
                     *fc = cvi_state_find(s, "fc.weight");
    if (!first || !fc || !cvi_state_find(s, "Mixed_7c.branch1x1.conv.weight")) {
        return;
    }
    static const char *const b6[] = {"branch3x3/s2_valid",
                                     "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3/s2_valid", "pool", NULL};
    static const char *const d7[] = {"branch3x3_1 branch3x3_2/s2_valid",
                                     "branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4/s2_valid",
                                     "pool", NULL};
    static const struct {
        const char *name;
        const char *const *paths;
        const char *pool;
    } modules[] = {{"Mixed_5b", a, "avgpool k3 s1 p1 countpad"},
                   {"Mixed_5c", a, "avgpool k3 s1 p1 countpad"},
                   {"Mixed_5d", a, "avgpool k3 s1 p1 countpad"},
                   {"Mixed_6a", b6, "maxpool k3 s2"},
                   {"Mixed_6b", c, "avgpool k3 s1 p1 countpad"},
                   {"Mixed_6c", c, "avgpool k3 s1 p1 countpad"},
                   {"Mixed_6d", c, "avgpool k3 s1 p1 countpad"},
                   {"Mixed_6e", c, "avgpool k3 s1 p1 countpad"},
                   {"Mixed_7a", d7, "maxpool k3 s2"}};
    write_head(b, "Inception-v3", first, fc, 299);
    unit(s, b, "Conv2d_1a_3x3", "", "s2 valid");
    unit(s, b, "Conv2d_2a_3x3", "", "valid");
    unit(s, b, "Conv2d_2b_3x3", "", "");
    cvi_buf_puts(b, "maxpool1: maxpool k3 s2\n");
    unit(s, b, "Conv2d_3b_1x1", "", "");
    unit(s, b, "Conv2d_4a_3x3", "", "valid");
    cvi_buf_puts(b, "maxpool2: maxpool k3 s2\n");
    char at[LABEL] = "maxpool2", name[LABEL], from[2][LABEL];
    for (int i = 0; i < CVI_COUNT(modules); i++) {
        module(s, b, modules[i].name, modules[i].paths, modules[i].pool, at);
    }
    static const char *const forks[2][3] = {{"branch3x3_1", "branch3x3_2a", "branch3x3_2b"},
                                            {"branch3x3dbl_2", "branch3x3dbl_3a", "branch3x3dbl_3b"}};
    for (int i = 0; i < 2; i++) { /* two branches fork once more */
        const char *m = i == 0 ? "Mixed_7b" : "Mixed_7c";
        snprintf(name, sizeof name, "%s.branch1x1", m);
        unit(s, b, name, at, "");
        snprintf(name, sizeof name, "%s.branch3x3dbl_1", m);
        unit(s, b, name, at, "");
        for (int k = 0; k < 2; k++) {
            snprintf(from[0], LABEL, "%s%s", k == 0 ? at : m, k == 0 ? "" : ".branch3x3dbl_1.relu");
            snprintf(name, sizeof name, "%s.%s", m, forks[k][0]);
            unit(s, b, name, from[0], "");
            snprintf(from[1], LABEL, "%.80s.relu", name);
            for (int side = 1; side < 3; side++) {
                snprintf(name, sizeof name, "%s.%s", m, forks[k][side]);
                unit(s, b, name, from[1], "");
            }
        }
        cvi_buf_printf(b, "%s.pool: from %s avgpool k3 s1 p1 countpad\n", m, at);
        snprintf(name, sizeof name, "%s.branch_pool", m);
        unit(s, b, name, "", "");
        cvi_buf_printf(b,
                       "%s: from %s.branch1x1.relu,%s.branch3x3_2a.relu,%s.branch3x3_2b.relu,"
                       "%s.branch3x3dbl_3a.relu,%s.branch3x3dbl_3b.relu,%s.branch_pool.relu concat\n",
                       m, m, m, m, m, m, m);
        snprintf(at, sizeof at, "%s", m);
    }
    cvi_buf_printf(b, "avgpool: gap\nfc: fc %lld\n", (long long)dim(fc, 0));
}

const cvi_arch cvi_arch_inception_v3 = {.name = "Inception-v3", .write = inception_v3, .extra = "AuxLogits"};

/* ---- Inception-v4 ---- */

/* Its last modules: two branches fork at their ends. */
static void forked(const cvi_state *s, cvi_buf *b, int place, char at[LABEL]) {
    static const char *const stem[] = {"branch1_0", "branch2_0 branch2_1 branch2_2"};
    static const char *const fork[2][2] = {{"branch1_1a", "branch1_1b"}, {"branch2_3a", "branch2_3b"}};
    char m[LABEL];
    cvi_buf ends = {0}, inner = {0};
    snprintf(m, sizeof m, "features.%d", place);
    branch(s, b, m, at, "branch0", &ends, "");
    for (int i = 0; i < 2; i++) {
        branch(s, b, m, at, stem[i], &inner, "");
        for (int side = 0; side < 2; side++) {
            branch(s, b, m, inner.data ? inner.data : "", fork[i][side], &ends, "");
        }
        inner.size = 0;
    }
    branch(s, b, m, at, "pool branch3.1", &ends, "avgpool k3 s1 p1");
    cvi_buf_printf(b, "%s: from %s concat\n", m, ends.data ? ends.data : "");
    b->failed |= ends.failed || inner.failed;
    cvi_buf_free(&ends);
    cvi_buf_free(&inner);
    snprintf(at, LABEL, "%s", m);
}

static void inception_v4(const cvi_state *s, cvi_buf *b) {
    static const char *const after[] = {"pool", "conv/s2_valid", NULL}, *const before[] = {"conv/s2_valid",
                                                                                           "pool", NULL};
    static const char *const stem[] = {"branch0.0 branch0.1/valid",
                                       "branch1.0 branch1.1 branch1.2 branch1.3/valid", NULL};
    static const char *const a[] = {"branch0", "branch1.0 branch1.1", "branch2.0 branch2.1 branch2.2",
                                    "pool branch3.1", NULL};
    static const char *const to_b[] = {"branch0/s2_valid", "branch1.0 branch1.1 branch1.2/s2_valid", "pool",
                                       NULL};
    static const char *const seven[] = {"branch0", "branch1.0 branch1.1 branch1.2",
                                        "branch2.0 branch2.1 branch2.2 branch2.3 branch2.4", "pool branch3.1",
                                        NULL};
    static const char *const to_c[] = {"branch0.0 branch0.1/s2_valid",
                                       "branch1.0 branch1.1 branch1.2 branch1.3/s2_valid", "pool", NULL};
    static const struct {
        int last; /* place of the last module of this kind */
        const char *const *paths;
        const char *pool;
    } kinds[] = {{3, after, "maxpool k3 s2"},  {4, stem, ""},
                 {5, before, "maxpool k3 s2"}, {9, a, "avgpool k3 s1 p1"},
                 {10, to_b, "maxpool k3 s2"},  {17, seven, "avgpool k3 s1 p1"},
                 {18, to_c, "maxpool k3 s2"}};
    const cvs_tensor *first = cvi_state_find(s, "features.0.conv.weight"),
                     *fc = cvi_state_find(s, "last_linear.weight");
    if (!first || !fc || !cvi_state_find(s, "features.21.branch2_3b.conv.weight")) {
        return;
    }
    char at[LABEL] = "features.2.relu", name[LABEL];
    write_head(b, "Inception-v4", first, fc, 299);
    unit(s, b, "features.0", "", "s2 valid");
    unit(s, b, "features.1", "", "valid");
    unit(s, b, "features.2", "", "");
    for (int i = 0, place = 3; i < CVI_COUNT(kinds); i++) {
        for (; place <= kinds[i].last; place++) {
            snprintf(name, sizeof name, "features.%d", place);
            module(s, b, name, kinds[i].paths, kinds[i].pool, at);
        }
    }
    for (int place = 19; place <= 21; place++) {
        forked(s, b, place, at);
    }
    cvi_buf_printf(b, "global_pool: gap\nlast_linear: fc %lld\n", (long long)dim(fc, 0));
}

const cvi_arch cvi_arch_inception_v4 = {.name = "Inception-v4", .write = inception_v4};

/* ---- Inception-ResNet (Szegedy et al. 2016) ---- */

/* Branches joined, a point convolution of the width of the input, a share of it added to the input. */
static void residual(const cvi_state *s, cvi_buf *b, const char *name, const char *const *paths,
                     const char *share, bool relu, char at[LABEL]) {
    char in[LABEL], m[LABEL];
    snprintf(in, sizeof in, "%s", at);
    snprintf(m, sizeof m, "%.70s.joined", name);
    cvi_buf ends = {0};
    for (int i = 0; paths[i]; i++) {
        branch(s, b, name, in, paths[i], &ends, "");
    }
    cvi_buf_printf(b, "%s: from %s concat\n%s.conv2d: conv %lld k1 bias\n", m, ends.data ? ends.data : "",
                   name, (long long)dim(cvi_state_find(s, "%s.conv2d.weight", name), 0));
    if (strcmp(share, "1") != 0) {
        cvi_buf_printf(b, "%s.scale: const f32[1][%s]\n%s.scaled: from %s.conv2d,%s.scale mul\n", name, share,
                       name, name, name);
    }
    cvi_buf_printf(b, "%s.add: from %s,%s.%s add\n", name, in, name,
                   strcmp(share, "1") != 0 ? "scaled" : "conv2d");
    if (relu) {
        cvi_buf_printf(b, "%s.relu: relu\n", name);
    }
    snprintf(at, LABEL, "%.70s.%s", name, relu ? "relu" : "add");
    b->failed |= ends.failed;
    cvi_buf_free(&ends);
}

static const char *const by_35[] = {"branch0", "branch1.0 branch1.1", "branch2.0 branch2.1 branch2.2", NULL};
static const char *const by_17[] = {"branch0", "branch1.0 branch1.1 branch1.2", NULL};
static const char *const to_17[] = {"branch0/s2_valid", "branch1.0 branch1.1 branch1.2/s2_valid", "pool",
                                    NULL};
static const char *const to_8[] = {"branch0.0 branch0.1/s2_valid", "branch1.0 branch1.1/s2_valid",
                                   "branch2.0 branch2.1 branch2.2/s2_valid", "pool", NULL};

/* All blocks of a list. */
static void residuals(const cvi_state *s, cvi_buf *b, const char *list, const char *const *paths,
                      const char *share, char at[LABEL]) {
    char name[LABEL];
    for (int i = 0; i < 100 && cvi_state_find(s, "%s.%d.conv2d.weight", list, i); i++) {
        snprintf(name, sizeof name, "%s.%d", list, i);
        residual(s, b, name, paths, share, true, at);
    }
}

/* What both versions begin with. */
static void inception_resnet_stem(const cvi_state *s, cvi_buf *b) {
    unit(s, b, "conv2d_1a", "", "s2 valid");
    unit(s, b, "conv2d_2a", "", "valid");
    unit(s, b, "conv2d_2b", "", "");
    cvi_buf_puts(b, "maxpool_3a: maxpool k3 s2\n");
    unit(s, b, "conv2d_3b", "", "");
    unit(s, b, "conv2d_4a", "", "valid");
}

/* Version 2 as timm names its tensors. */
static void inception_resnet_v2(const cvi_state *s, cvi_buf *b) {
    static const char *const a[] = {"branch0", "branch1.0 branch1.1", "branch2.0 branch2.1 branch2.2",
                                    "pool branch3.1", NULL};
    const cvs_tensor *first = cvi_state_find(s, "conv2d_1a.conv.weight"),
                     *fc = cvi_state_find(s, "classif.weight");
    if (!first || !fc || !cvi_state_find(s, "mixed_5b.branch0.conv.weight")) {
        return;
    }
    char at[LABEL] = "maxpool_5a";
    write_head(b, "Inception-ResNet-v2", first, fc, 299);
    inception_resnet_stem(s, b);
    cvi_buf_puts(b, "maxpool_5a: maxpool k3 s2\n");
    module(s, b, "mixed_5b", a, "avgpool k3 s1 p1", at);
    residuals(s, b, "repeat", by_35, "0.17", at);
    module(s, b, "mixed_6a", to_17, "maxpool k3 s2", at);
    residuals(s, b, "repeat_1", by_17, "0.1", at);
    module(s, b, "mixed_7a", to_8, "maxpool k3 s2", at);
    residuals(s, b, "repeat_2", by_17, "0.2", at);
    residual(s, b, "block8", by_17, "1", false, at);
    unit(s, b, "conv2d_7b", "", "");
    cvi_buf_printf(b, "global_pool: gap\nclassif: fc %lld\n", (long long)dim(fc, 0));
}

const cvi_arch cvi_arch_inception_resnet_v2 = {.name = "Inception-ResNet-v2", .write = inception_resnet_v2};

/* Version 1 as facenet-pytorch names it: faces of 160 pixels to directions of 512 numbers. */
static void facenet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "conv2d_1a.conv.weight"),
                     *last = cvi_state_find(s, "last_linear.weight");
    if (!first || !last || !cvi_state_find(s, "conv2d_4b.conv.weight") ||
        !cvi_state_find(s, "last_bn.weight")) {
        return;
    }
    char at[LABEL] = "conv2d_4b.relu";
    cvi_buf_printf(b,
                   "name \"FaceNet\"\npreprocess "
                   "\"resize=stretch,scale=0.0078125,mean=0.99609375:0.99609375:0.99609375\"\n"
                   "input %lldx160x160\n",
                   (long long)dim(first, 1));
    inception_resnet_stem(s, b);
    unit(s, b, "conv2d_4b", "", "s2 valid");
    residuals(s, b, "repeat_1", by_35, "0.17", at);
    module(s, b, "mixed_6a", to_17, "maxpool k3 s2", at);
    residuals(s, b, "repeat_2", by_17, "0.1", at);
    module(s, b, "mixed_7a", to_8, "maxpool k3 s2", at);
    residuals(s, b, "repeat_3", by_17, "0.2", at);
    residual(s, b, "block8", by_17, "1", false, at);
    cvi_buf_printf(b,
                   "avgpool_1a: from %s gap\nlast_linear: fc %lld nobias\nlast_bn: bn eps=0.001\n"
                   "embedding: op LpNormalization axis=1 p=2\n",
                   at, (long long)dim(last, 0));
}

const cvi_arch cvi_arch_facenet = {.name = "FaceNet", .write = facenet, .extra = "logits."};
