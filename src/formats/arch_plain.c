/* SPDX-License-Identifier: MIT
 * arch_plain.c - architectures without branches, as torchvision names their tensors: Tiny VGG (CNN Explainer), VGG-11 to VGG-19 with and
 * without normalisation, AlexNet.
 */
#include "formats/state.h"

static int64_t dim(const cvs_tensor *t, int i) {
    return t && i < t->rank ? t->dim[i] : 0;
}

/* ---- Tiny VGG ---- */

static void tiny_vgg(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "conv_1_1.weight"),
                     *last = cvi_state_find(s, "output.weight");
    if (dim(first, 3) != 3 || !last || !cvi_state_find(s, "conv_2_2.weight")) {
        return;
    }
    cvi_buf_puts(b, "name \"Tiny VGG\"\npreprocess unit\ninput 3x64x64\n");
    static const char *const stage[] = {"1", "2"};
    for (int i = 0; i < 2; i++) {
        for (int k = 1; k <= 2; k++) {
            const cvs_tensor *w = cvi_state_find(s, "conv_%s_%d.weight", stage[i], k);
            cvi_buf_printf(b, "conv_%s_%d: conv %lld k3 valid\nrelu_%s_%d: relu\n", stage[i], k,
                           (long long)dim(w, 0), stage[i], k);
        }
        cvi_buf_printf(b, "max_pool_%s: maxpool k2\n", stage[i]);
    }
    cvi_buf_printf(b, "flatten: flatten\noutput: fc %lld\nsoftmax: softmax\n", (long long)dim(last, 0));
}

const cvi_arch cvi_arch_tiny_vgg = {.name = "Tiny VGG", .write = tiny_vgg};

/* ---- VGG ---- */

enum { MAX_LAYERS = 80 };

/* The places of a Sequential show what stands between two layers with weights: a rectifier, or a rectifier and a pooling. */
static int write_features(const cvi_state *s, cvi_buf *b, int64_t *channels) {
    int convs = 0, before = -1;
    for (int i = 0; i < MAX_LAYERS; i++) {
        const cvs_tensor *w = cvi_state_find(s, "features.%d.weight", i);
        if (dim(w, 3) == 0) {
            continue;
        }
        if (dim(w, 3) != 3 || dim(w, 2) != 3) {
            return 0;
        }
        bool bn = cvi_state_find(s, "features.%d.running_mean", i + 1);
        if (before >= 0 && i > before + 1) { /* before: the place of the last rectifier */
            cvi_buf_printf(b, "features.%d: maxpool k2\n", before + 1);
        }
        cvi_buf_printf(b, "features.%d: conv %lld k3 %s\n", i, (long long)dim(w, 0),
                       cvi_state_find(s, "features.%d.bias", i) ? "bias" : "nobias");
        if (bn) {
            cvi_buf_printf(b, "features.%d: bn\n", i + 1);
        }
        before = i + 1 + bn;
        cvi_buf_printf(b, "features.%d: relu\n", before);
        *channels = dim(w, 0);
        convs++;
    }
    cvi_buf_printf(b, "features.%d: maxpool k2\n", before + 1);
    return convs;
}

/* The dense layers of a Sequential, each but the last with a rectifier behind it. false: none. */
static bool write_classifier(const cvi_state *s, cvi_buf *b) {
    int last = -1, units = 0;
    for (int i = 0; i < MAX_LAYERS; i++) {
        last = cvi_state_find(s, "classifier.%d.weight", i) ? i : last;
    }
    for (int i = 0; i <= last; i++) {
        const cvs_tensor *w = cvi_state_find(s, "classifier.%d.weight", i);
        if (w && w->rank == 2) {
            cvi_buf_printf(b, "classifier.%d: fc %lld\n", i, (long long)dim(w, 0));
            if (i < last) {
                cvi_buf_printf(b, "classifier.%d: relu\n", i + 1);
            }
            units++;
        }
    }
    return units > 0;
}

static void vgg(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "features.0.weight");
    const cvs_tensor *dense = cvi_state_find(s, "classifier.0.weight");
    dense = dense ? dense : cvi_state_find(s, "classifier.weight");
    cvi_buf body = {0};
    int64_t channels = 0;
    int convs = first && dense ? write_features(s, &body, &channels) : 0;
    if (convs >= 8 && channels > 0 && dim(dense, 1) % channels == 0) {
        int64_t area = dim(dense, 1) / channels;
        int size = area == 49 ? 224 : area == 4 ? 64 : area == 1 ? 32 : 0;
        const cvs_tensor *last = cvi_state_find(s, "classifier.6.weight");
        bool bn = cvi_state_find(s, "features.1.running_mean");
        if (size > 0) {
            cvi_buf_printf(b, "name \"VGG-%d%s\"\n%sinput %lldx%dx%d\n%s", convs + 3, bn ? " with BN" : "",
                           dim(last, 0) == 1000 ? "preprocess ImageNet-torch\n" : "",
                           (long long)dim(first, 1), size, size, body.data);
            if (cvi_state_find(s, "classifier.weight")) {
                cvi_buf_printf(b, "classifier: fc %lld\n", (long long)dim(dense, 0));
            } else {
                write_classifier(s, b);
            }
        }
    }
    b->failed |= body.failed;
    cvi_buf_free(&body);
}

/* timm has the dense layers as convolutions. */
static void timm_vgg(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "features.0.weight"),
                     *fc = cvi_state_find(s, "head.fc.weight"),
                     *wide[] = {cvi_state_find(s, "pre_logits.fc1.weight"),
                                cvi_state_find(s, "pre_logits.fc2.weight")};
    cvi_buf body = {0};
    int64_t channels = 0;
    int convs = first && fc && wide[0] && wide[1] ? write_features(s, &body, &channels) : 0;
    if (convs >= 8 && body.data) {
        cvi_buf_printf(b, "name \"VGG-%d%s\"\n%sinput %lldx224x224\n%s", convs + 3,
                       cvi_state_find(s, "features.1.running_mean") ? " with BN" : "",
                       dim(fc, 0) == 1000 ? "preprocess ImageNet-torch\n" : "", (long long)dim(first, 1),
                       body.data);
        for (int i = 0; i < 2; i++) {
            cvi_buf_printf(b, "pre_logits.fc%d: conv %lld k%lld valid bias\npre_logits.act%d: relu\n", i + 1,
                           (long long)dim(wide[i], 0), (long long)dim(wide[i], 2), i + 1);
        }
        cvi_buf_printf(b, "head.global_pool: gap\nhead.fc: fc %lld\n", (long long)dim(fc, 0));
    }
    b->failed |= body.failed;
    cvi_buf_free(&body);
}

const cvi_arch cvi_arch_timm_vgg = {.name = "VGG", .write = timm_vgg};

const cvi_arch cvi_arch_vgg = {.name = "VGG", .write = vgg};

/* ---- AlexNet ---- */

static void alexnet(const cvi_state *s, cvi_buf *b) {
    static const struct {
        int place;
        const char *window;
        bool pool;
    } convs[] = {
        {0, "k11 s4 p2", true}, {3, "k5 p2", true}, {6, "k3", false}, {8, "k3", false}, {10, "k3", true}};
    const cvs_tensor *first = cvi_state_find(s, "features.0.weight"),
                     *last = cvi_state_find(s, "classifier.6.weight");
    if (dim(first, 3) != 11 || !last) {
        return;
    }
    cvi_buf_printf(b, "name \"AlexNet\"\n%sinput 3x224x224\n",
                   dim(last, 0) == 1000 ? "preprocess ImageNet-torch\n" : "");
    for (int i = 0; i < CVI_COUNT(convs); i++) {
        int p = convs[i].place;
        cvi_buf_printf(b, "features.%d: conv %lld %s\nfeatures.%d: relu\n", p,
                       (long long)dim(cvi_state_find(s, "features.%d.weight", p), 0), convs[i].window, p + 1);
        if (convs[i].pool) {
            cvi_buf_printf(b, "features.%d: maxpool k3 s2\n", p + 2);
        }
    }
    write_classifier(s, b);
}

const cvi_arch cvi_arch_alexnet = {.name = "AlexNet", .write = alexnet};
