/* SPDX-License-Identifier: MIT
 * arch_video.c - torchvision's residual networks for videos by the names of their tensors (Tran et al. 2018): R3D, MC3 (whose later filters do not look
 * along time) and R(2+1)D (whose filters look at places first and along time then). The input is [N,colours,frames,rows,columns].
 */
#include "formats/arch_parts.h"

enum { STAGES = 4, MAX_BLOCKS = 40, NAME = 60 };

/* A convolution over frames, rows and columns, padded to keep its size; the stride counts where the filter is longer than a point, in a shortcut
 * by itself. */
static void conv3(const cvi_state *s, cvi_buf *b, const char *conv, const char *norm, const int64_t stride[3],
                  const char *act, cvi_arch_place *at) {
    const cvs_tensor *w = cvi_arch_weight(s, conv);
    long long k[3];
    for (int i = 0; i < 3; i++) {
        k[i] = (long long)cvi_arch_dim(w, 2 + i);
    }
    cvi_buf_printf(
        b,
        "\"%s.weight\": param f32[%lldx%lldx%lldx%lldx%lld]\n\"%s\": from \"%s\",\"%s.weight\" op Conv "
        "kernel_shape=[%lld;%lld;%lld] strides=[%lld;%lld;%lld] "
        "pads=[%lld;%lld;%lld;%lld;%lld;%lld]\n\"%s\": bn\n",
        conv, (long long)cvi_arch_dim(w, 0), (long long)cvi_arch_dim(w, 1), k[0], k[1], k[2], conv, at->label,
        conv, k[0], k[1], k[2], (long long)stride[0], (long long)stride[1], (long long)stride[2], k[0] / 2,
        k[1] / 2, k[2] / 2, k[0] / 2, k[1] / 2, k[2] / 2, norm);
    snprintf(at->label, sizeof at->label, "%s", norm);
    if (act) {
        cvi_buf_printf(b, "\"%.60s.%s\": %s\n", norm, act, act);
        snprintf(at->label, sizeof at->label, "%.60s.%s", norm, act);
    }
    at->channels = cvi_arch_dim(w, 0);
}

/* PREFIX.0 and its normalisation PREFIX.1, or the two halves PREFIX.0.0 and PREFIX.0.3 of one. */
static void builder(const cvi_state *s, cvi_buf *b, const char *prefix, int64_t stride, const char *act,
                    cvi_arch_place *at) {
    char conv[NAME + 8], norm[NAME + 8];
    snprintf(conv, sizeof conv, "%s.0.0", prefix);
    if (cvi_arch_weight(s, conv)) {
        snprintf(norm, sizeof norm, "%s.0.1", prefix);
        conv3(s, b, conv, norm, (const int64_t[]){1, stride, stride}, "relu", at);
        snprintf(conv, sizeof conv, "%s.0.3", prefix);
        snprintf(norm, sizeof norm, "%s.1", prefix);
        conv3(s, b, conv, norm, (const int64_t[]){stride, 1, 1}, act, at);
        return;
    }
    snprintf(conv, sizeof conv, "%s.0", prefix);
    snprintf(norm, sizeof norm, "%s.1", prefix);
    int64_t frames = cvi_arch_dim(cvi_arch_weight(s, conv), 2) > 1 ? stride : 1;
    conv3(s, b, conv, norm, (const int64_t[]){frames, stride, stride}, act, at);
}

static void block(const cvi_state *s, cvi_buf *b, const char *p, int64_t stride, cvi_arch_place *at) {
    char name[NAME], norm[NAME];
    cvi_arch_place in = *at;
    snprintf(name, sizeof name, "%.40s.conv1", p);
    builder(s, b, name, stride, "relu", at);
    snprintf(name, sizeof name, "%.40s.conv2", p);
    builder(s, b, name, 1, NULL, at);
    snprintf(name, sizeof name, "%.40s.downsample.0", p);
    if (cvi_arch_weight(s, name)) {
        bool halves = cvi_state_find(s, "%s.conv1.0.0.weight", p),
             flat = cvi_arch_dim(cvi_state_find(s, "%s.conv1.0.weight", p), 2) == 1;
        snprintf(norm, sizeof norm, "%.40s.downsample.1", p);
        conv3(s, b, name, norm, (const int64_t[]){flat && !halves ? 1 : stride, stride, stride}, NULL, &in);
    }
    cvi_buf_printf(b, "\"%s.add\": from \"%s\",\"%s\" add\n\"%s\": relu\n", p, at->label, in.label, p);
    snprintf(at->label, sizeof at->label, "%s", p);
}

static void video_resnet(const cvi_state *s, cvi_buf *b) {
    static const int64_t stem[] = {1, 2, 2}, one[] = {1, 1, 1};
    const cvs_tensor *first = cvi_state_find(s, "stem.0.weight"), *fc = cvi_state_find(s, "fc.weight");
    const cvs_tensor *later = cvi_state_find(s, "layer2.0.conv1.0.weight");
    bool halves = cvi_state_find(s, "layer1.0.conv1.0.3.weight");
    if (!first || first->rank != 5 || !fc || (!halves && (!later || later->rank != 5)) ||
        cvi_state_find(s, "layer1.0.conv3.0.weight")) {
        return;
    }
    cvi_arch_place at = {.label = "input", .channels = first->dim[1]};
    cvi_buf_printf(b, "name \"%s\"\ninput: input f32[?x%lldx16x112x112]\n",
                   halves              ? "R(2+1)D"
                   : later->dim[2] > 1 ? "R3D"
                                       : "MC3",
                   (long long)first->dim[1]);
    conv3(s, b, "stem.0", "stem.1", stem, "relu", &at);
    if (cvi_state_find(s, "stem.3.weight")) {
        conv3(s, b, "stem.3", "stem.4", one, "relu", &at);
    }
    for (int stage = 1; stage <= STAGES; stage++) {
        for (int i = 0; i < MAX_BLOCKS; i++) {
            char name[NAME];
            snprintf(name, sizeof name, "layer%d.%d", stage, i);
            if (!cvi_state_find(s, "%s.conv1.1.weight", name)) {
                break;
            }
            block(s, b, name, i == 0 && stage > 1 ? 2 : 1, &at);
        }
    }
    cvi_buf_printf(b, "avgpool: op GlobalAveragePool\nrow: flatten\nfc: fc %lld\n",
                   (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_video_resnet = {.name = "R3D", .write = video_resnet, .any_size = true};
