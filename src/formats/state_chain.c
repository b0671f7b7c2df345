/* SPDX-License-Identifier: MIT
 * state_chain.c - the guess for a file of weights that no known architecture fits: its convolutions, normalisations and dense layers one
 * behind the other, rectifiers between them, and the padding, poolings and input size that make the first dense layer's width come out.
 */
#include <ctype.h>
#include <stdlib.h>

#include "formats/state.h"

enum { MAX_CHAIN = 200 };

typedef enum kind { CONV, NORM, DENSE } kind;

typedef struct layer {
    kind kind;
    const char *name; /* without ".weight" */
    int length;       /* of name */
    const cvs_tensor *w;
    bool bias, used;
} layer;

typedef struct chain {
    const cvi_state *s;
    layer layer[MAX_CHAIN];
    int order[MAX_CHAIN];
    int n, n_ordered;
} chain;

static bool ends(const char *name, const char *suffix, int *length) {
    size_t n = strlen(name), k = strlen(suffix);
    *length = (int)(n - k);
    return n > k && n - k < 200 && strcmp(name + n - k, suffix) == 0;
}

/* Every tensor must belong to a layer of a known kind. */
static bool list_layers(const cvi_state *s, chain *c) {
    int counted = 0;
    for (int i = 0; i < s->n; i++) {
        const cvi_state_item *item = &s->item[i];
        layer l = {.name = item->name, .w = &item->t};
        counted += cvi_state_is_counter(item);
        if (!ends(item->name, ".weight", &l.length)) {
            continue;
        }
        const cvs_tensor *mean = cvi_state_find(s, "%.*s.running_mean", l.length, l.name);
        l.bias = cvi_state_find(s, "%.*s.bias", l.length, l.name);
        l.kind = mean ? NORM : item->t.rank == 4 ? CONV : DENSE;
        bool known = (mean ? item->t.rank == 1 && l.bias : item->t.rank == 4 || item->t.rank == 2) &&
                     cvs_tensor_count(&item->t) > 0;
        if (!known || item->t.dtype != CVS_F32 || c->n == MAX_CHAIN) {
            return false;
        }
        counted += 1 + l.bias + (mean ? 2 : 0);
        c->layer[c->n++] = l;
    }
    return c->n > 0 && counted == s->n;
}

/* "conv2" before "conv10". */
static int natural(const char *a, const char *b) {
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            char *ea, *eb;
            unsigned long long x = strtoull(a, &ea, 10), y = strtoull(b, &eb, 10);
            if (x != y) {
                return x < y ? -1 : 1;
            }
            a = ea;
            b = eb;
        } else if (*a != *b) {
            return *a < *b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return (*a != 0) - (*b != 0);
}

static int by_name(const void *a, const void *b) {
    return natural(((const layer *)a)->name, ((const layer *)b)->name);
}

/* How a layer can follow c channels (or units, after the first dense one). */
static bool follows(const layer *l, int64_t c, bool dense) {
    switch (l->kind) {
    case CONV:
        return !dense && l->w->dim[1] > 0 && c % l->w->dim[1] == 0;
    case NORM:
        return l->w->dim[0] == c;
    default:
        return dense ? l->w->dim[1] == c : l->w->dim[1] % c == 0;
    }
}

/* The order of the file where it fits; else the next layer that fits by its channels. */
static bool find_order(chain *c) {
    int convs = 0, norms = 0;
    for (int i = 0; i < c->n; i++) {
        convs += c->layer[i].kind == CONV;
        norms += c->layer[i].kind == NORM;
    }
    bool norm_first = norms >= convs && norms > 0, dense = c->layer[0].kind == DENSE;
    int64_t channels = dense ? c->layer[0].w->dim[1] : c->layer[0].w->dim[1];
    if (c->layer[0].kind == NORM) {
        return false;
    }
    for (int step = 0; step < c->n; step++) {
        int best = -1;
        for (int i = 0; i < c->n; i++) {
            const layer *l = &c->layer[i];
            if (l->used || !follows(l, channels, dense)) {
                continue;
            }
            if (c->s->ordered) {
                best = i == step ? i : -1;
                if (i >= step) {
                    break;
                }
                continue;
            }
            bool better = best < 0 || (norm_first && l->kind == NORM && c->layer[best].kind == CONV) ||
                          (!norm_first && l->kind == CONV && c->layer[best].kind == NORM) ||
                          (l->kind != DENSE && c->layer[best].kind == DENSE);
            best = better ? i : best;
        }
        if (best < 0) {
            return false;
        }
        layer *l = &c->layer[best];
        l->used = true;
        c->order[c->n_ordered++] = best;
        dense |= l->kind == DENSE;
        channels = l->w->dim[0];
    }
    return true;
}

/* ---- sizes ------------------------------------------------------------------------------------------------- */

typedef struct plan {
    int64_t size;
    bool same; /* padding */
    int every; /* a pooling behind each so many convolutions; 0: none; -1: where numbered places leave room for one */
    bool gap;
} plan;

/* The number at the end of "features.12" or "12", or -1. */
static long place_of(const layer *l) {
    int at = l->length;
    while (at > 0 && isdigit((unsigned char)l->name[at - 1])) {
        at--;
    }
    return at < l->length && (at == 0 || l->name[at - 1] == '.') && l->length - at < 6
               ? strtol(l->name + at, NULL, 10)
               : -1;
}

/* Whether a pooling follows the k-th layer of the order, a convolution that is the n-th one. */
static bool pools(const chain *c, const plan *p, int k, int n) {
    if (p->every >= 0) {
        return p->every > 0 && n % p->every == 0;
    }
    int last = k, next = k + 1; /* behind its normalisation */
    if (next < c->n && c->layer[c->order[next]].kind == NORM) {
        last = next++;
    }
    long here = place_of(&c->layer[c->order[last]]);
    long there = next < c->n ? place_of(&c->layer[c->order[next]]) : -1;
    bool before_dense = next < c->n && c->layer[c->order[next]].kind == DENSE;
    return here >= 0 && (there < 0 || before_dense ? there < here || there - here > 2 : there - here > 2);
}

/* Side after all convolutions, or -1. */
static int64_t final_side(const chain *c, const plan *p) {
    int64_t side = p->size;
    for (int k = 0, n = 0; k < c->n && side > 0; k++) {
        const layer *l = &c->layer[c->order[k]];
        if (l->kind != CONV) {
            continue;
        }
        int64_t kernel = l->w->dim[2];
        side = p->same ? side + 2 * (kernel / 2) - kernel + 1 : side - kernel + 1;
        side = side > 0 && pools(c, p, k, ++n) ? side / 2 : side;
    }
    return side > 0 ? side : -1;
}

static bool find_plan(const chain *c, int64_t width, int64_t channels, plan *out) {
    static const int gray[] = {28, 32, 64, 48, 96, 128, 224, 0},
                     color[] = {32, 64, 224, 28, 96, 128, 48, 256, 227, 299, 150, 100, 200, 180, 300, 112, 0};
    static const int every[] = {-1, 1, 2, 0, 3};
    int64_t area = width / channels, wanted = 1;
    const int *sizes = c->layer[c->order[0]].w->dim[1] == 1 ? gray : color;
    while (wanted * wanted < area) {
        wanted++;
    }
    for (int e = 0; e < CVI_COUNT(every) && wanted * wanted == area; e++) {
        for (int i = 0; sizes[i]; i++) {
            for (int same = 0; same < 2; same++) {
                *out = (plan){.size = sizes[i], .same = same, .every = every[e]};
                if (final_side(c, out) == wanted) {
                    return true;
                }
            }
        }
    }
    *out = (plan){.size = sizes[0], .same = true, .every = 2, .gap = true};
    return area == 1 && final_side(c, out) > 0;
}

/* ---- the text ------------------------------------------------------------------------------------------------ */

static void put_label(cvi_buf *b, const layer *l) {
    cvi_buf_puts(b, "\"");
    for (int i = 0; i < l->length; i++) {
        unsigned char ch = (unsigned char)l->name[i];
        if (ch == '"' || ch == '\\' || ch < 32) {
            cvi_buf_printf(b, "\\x%02x", ch);
        } else {
            cvi_buf_add(b, &ch, 1);
        }
    }
    cvi_buf_puts(b, "\": ");
}

static void write_conv(cvi_buf *b, const layer *l, int64_t channels, const plan *p) {
    int64_t groups = channels / l->w->dim[1];
    cvi_buf_printf(b, "conv %lld k%lldx%lld g%lld %s", (long long)l->w->dim[0], (long long)l->w->dim[2],
                   (long long)l->w->dim[3], (long long)groups, l->bias ? "bias" : "nobias");
    cvi_buf_printf(b, " p%lldx%lld\n", (long long)(p->same ? l->w->dim[2] / 2 : 0),
                   (long long)(p->same ? l->w->dim[3] / 2 : 0));
}

static void write_chain(const chain *c, const plan *p, cvi_buf *b) {
    const layer *first = &c->layer[c->order[0]];
    int64_t channels = first->w->dim[1];
    int convs = 0, norms = 0;
    for (int k = 0; k < c->n; k++) {
        convs += c->layer[k].kind == CONV;
        norms += c->layer[k].kind == NORM;
    }
    bool dense = first->kind == DENSE, pool = false;
    bool early = norms < convs; /* few normalisations stand behind the rectifier, not before it */
    convs = 0;
    if (dense) {
        cvi_buf_printf(b, "input f32[?x%lld]\n", (long long)channels);
    } else {
        cvi_buf_printf(b, "input %lldx%lldx%lld\n", (long long)channels, (long long)p->size,
                       (long long)p->size);
    }
    for (int k = 0; k < c->n; k++) {
        const layer *l = &c->layer[c->order[k]];
        bool last = k + 1 == c->n, norm_next = !last && c->layer[c->order[k + 1]].kind == NORM;
        if (l->kind == DENSE && !dense) {
            cvi_buf_puts(b, p->gap ? "gap\nflatten\n" : "flatten\n");
            dense = true;
        }
        put_label(b, l);
        if (l->kind == CONV) {
            write_conv(b, l, channels, p);
            pool = pools(c, p, k, ++convs);
        } else if (l->kind == NORM) {
            cvi_buf_puts(b, "bn\n");
        } else {
            cvi_buf_printf(b, "fc %lld %s\n", (long long)l->w->dim[0], l->bias ? "" : "nobias");
        }
        channels = l->w->dim[0];
        bool more_weights = false;
        for (int i = k + 1; i < c->n; i++) {
            more_weights |= c->layer[c->order[i]].kind != NORM;
        }
        if (more_weights && (early ? l->kind != NORM : !norm_next)) {
            cvi_buf_puts(b, "relu\n");
            if (pool && !dense) {
                cvi_buf_puts(b, "maxpool k2\n");
                pool = false;
            }
        }
    }
}

void cvi_state_chain(const cvi_state *s, cvi_buf *text) {
    chain *c = cvi_calloc(1, sizeof *c);
    plan p = {.size = 64, .same = true};
    if (!c) {
        text->failed = true;
        return;
    }
    c->s = s;
    if (list_layers(s, c)) {
        if (!s->ordered) {
            qsort(c->layer, (size_t)c->n, sizeof *c->layer, by_name);
        }
        bool ok = find_order(c);
        for (int k = 1; ok && k < c->n;
             k++) { /* the first dense layer behind convolutions decides the sizes */
            const layer *l = &c->layer[c->order[k]];
            if (l->kind == DENSE) {
                int before = c->order[k - 1];
                ok = c->layer[c->order[0]].kind == DENSE ||
                     find_plan(c, l->w->dim[1], c->layer[before].w->dim[0], &p);
                break;
            }
        }
        if (ok) {
            write_chain(c, &p, text);
        }
    }
    cvi_free(c);
}
