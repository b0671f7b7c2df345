/* SPDX-License-Identifier: MIT
 * arch_parts.c - pieces of architectures known by their tensors: convolution with normalisation, squeeze-and-excitation, residual blocks
 * of them, normalisation over channels. Widths, kernels and groups are read off the shapes.
 */
#include "formats/arch_parts.h"

int64_t cvi_arch_dim(const cvs_tensor *t, int i) {
    return t && i < t->rank ? t->dim[i] : 0;
}

const cvs_tensor *cvi_arch_weight(const cvi_state *s, const char *label) {
    return cvi_state_find(s, "%s.weight", label);
}

cvi_arch_part cvi_arch_part_of(const char *block, const char *first, const char *second, bool squeeze) {
    cvi_arch_part p = {.squeeze = squeeze};
    snprintf(p.first, sizeof p.first, "%s%s", block, first);
    snprintf(p.second, sizeof p.second, "%s%s", block, second);
    return p;
}

void cvi_arch_head(cvi_buf *b, const char *name, int64_t classes, int64_t colours, int size) {
    cvi_buf_printf(b, "name \"%s\"\n%sinput %lldx%dx%d\n", name,
                   classes == 1000 ? "preprocess ImageNet-torch\n" : "", (long long)colours, size, size);
}

void cvi_arch_conv(const cvi_state *s, cvi_buf *b, const cvi_arch_part *p, const cvi_arch_family *f,
                   int64_t stride, cvi_arch_place *at, const char *act) {
    const cvs_tensor *w = cvi_arch_weight(s, p->first);
    int64_t per = CVI_MAX(cvi_arch_dim(w, 1), 1);
    char dilation[16] = "";
    if (f->dilation > 1 && cvi_arch_dim(w, 2) > 1) {
        snprintf(dilation, sizeof dilation, " d%d", f->dilation);
    }
    cvi_buf_printf(b, "%s: %s%s%sconv %lld k%lld s%lld g%lld%s%s %s\n", p->first, *at->label ? "from " : "",
                   at->label, *at->label ? " " : "", (long long)cvi_arch_dim(w, 0),
                   (long long)cvi_arch_dim(w, 2), (long long)stride,
                   (long long)CVI_MAX(at->channels / per, 1), dilation, f->same ? " same" : "",
                   cvi_state_find(s, "%s.bias", p->first) ? "bias" : "nobias");
    cvi_buf_printf(b, "%s: bn eps=%s\n", p->second, f->eps);
    snprintf(at->label, sizeof at->label, "%s", p->second);
    at->channels = cvi_arch_dim(w, 0);
    if (act) {
        cvi_buf_printf(b, "%.70s.act: %s\n", p->second, act);
        snprintf(at->label, sizeof at->label, "%.70s.act", p->second);
    }
}

void cvi_arch_squeeze(const cvi_state *s, cvi_buf *b, const cvi_arch_part *p, const cvi_arch_family *f,
                      cvi_arch_place *at) {
    cvi_buf_printf(b,
                   "%.60s.pool: from %s gap\n%s: conv %lld k1 bias\n%.60s.act: %s\n%s: conv %lld k1 "
                   "bias\n%.60s.gate: %s\n",
                   p->first, at->label, p->first, (long long)cvi_arch_dim(cvi_arch_weight(s, p->first), 0),
                   p->first, f->squeeze_act, p->second,
                   (long long)cvi_arch_dim(cvi_arch_weight(s, p->second), 0), p->second, f->gate);
    cvi_buf_printf(b, "%.60s.scaled: from %s,%.60s.gate mul\n", p->second, at->label, p->second);
    snprintf(at->label, sizeof at->label, "%.60s.scaled", p->second);
}

void cvi_arch_block(const cvi_state *s, cvi_buf *b, const cvi_arch_part *parts, int n,
                    const cvi_arch_family *f, int64_t stride, const char *name, bool skip, bool last_act,
                    cvi_arch_place *at) {
    const cvi_arch_place in = *at;
    int strided = 0;
    for (int i = n - 1; i >= 0; i--) {
        bool wide = !parts[i].squeeze && cvi_arch_dim(cvi_arch_weight(s, parts[i].first), 2) > 1;
        strided = wide ? i : strided;
    }
    for (int i = 0; i < n; i++) {
        if (parts[i].squeeze) {
            cvi_arch_squeeze(s, b, &parts[i], f, at);
        } else {
            cvi_arch_conv(s, b, &parts[i], f, i == strided ? stride : 1, at,
                          i + 1 < n || last_act ? f->act : NULL);
        }
    }
    if (skip && stride == 1 && at->channels == in.channels) {
        cvi_buf_printf(b, "%s.add: from %s,%s add\n", name, in.label, at->label);
        snprintf(at->label, sizeof at->label, "%.70s.add", name);
    }
}

void cvi_arch_channel_norm(cvi_buf *b, const char *label, const char *eps, cvi_arch_place *at) {
    long long n = (long long)at->channels;
    cvi_buf_printf(
        b,
        "\"%s.weight\": param f32[%lld]\n\"%s.bias\": param f32[%lld]\n"
        "\"%s.last\": from %s op Transpose perm=[0;2;3;1] hidden\n"
        "\"%s.norm\": from \"%s.last\",\"%s.weight\",\"%s.bias\" op LayerNormalization axis=-1 epsilon=%s\n"
        "%s: op Transpose perm=[0;3;1;2] hidden\n",
        label, n, label, n, label, at->label, label, label, label, label, eps, label);
    snprintf(at->label, sizeof at->label, "%s", label);
}
