/* SPDX-License-Identifier: MIT
 * layers.c - layers as people count them: the values that nodes make and no reader hid, in topological order; found by name
 * or by number.
 */
#include "graph/graph.h"

#include <stdlib.h>

static bool is_layer(const cvi_graph *g, int v) {
    return v >= 0 && !g->values[v].hidden && !g->values[v].constant;
}

/* Calls back for layer after layer until it answers true; returns that layer's value, or -1. */
static int walk(const cvi_graph *g, bool (*stop)(void *context, int layer, int value), void *context) {
    int layer = 0;
    for (int n = 0; n < g->n_nodes; n++) {
        for (int k = 0; k < g->nodes[n].n_out; k++) {
            int v = g->nodes[n].out[k];
            if (is_layer(g, v) && stop(context, layer++, v)) {
                return v;
            }
        }
    }
    return -1;
}

static bool count_one(void *context, int layer, int value) {
    (void)value;
    *(int *)context = layer + 1;
    return false;
}

static bool number_one(void *context, int layer, int value) {
    ((int *)context)[value] = layer;
    return false;
}

void cvi_graph_layer_numbers(const cvi_graph *g, int *layer_of) {
    for (int v = 0; v < g->n_values; v++) {
        layer_of[v] = -1;
    }
    walk(g, number_one, layer_of);
}

int cvi_graph_n_layers(const cvi_graph *g) {
    int n = 0;
    walk(g, count_one, &n);
    return n;
}

static bool at_number(void *context, int layer, int value) {
    (void)value;
    return layer == *(const int *)context;
}

int cvi_graph_layer(const cvi_graph *g, int layer) {
    return walk(g, at_number, &layer);
}

/* Levenshtein distance, letters compared without case, bounded to short strings. */
static int distance(const char *a, const char *b) {
    int row[65];
    int n = (int)strnlen(a, 64), m = (int)strnlen(b, 64);
    for (int j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int above = row[j];
            int change = (a[i - 1] | 32) == (b[j - 1] | 32) ? diagonal : diagonal + 1;
            row[j] = CVI_MIN(change, CVI_MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[m];
}

typedef struct near_names {
    const char *wanted;
    const cvi_graph *g;
    const char *name[3];
    int score[3];
} near_names;

static bool consider(void *context, int layer, int value) {
    near_names *near = context;
    (void)layer;
    const char *name = near->g->values[value].name;
    int score = strstr(name, near->wanted) ? 0 : distance(name, near->wanted);
    for (int i = 0; i < 3; i++) {
        if (!near->name[i] || score < near->score[i]) {
            for (int j = 2; j > i; j--) {
                near->name[j] = near->name[j - 1];
                near->score[j] = near->score[j - 1];
            }
            near->name[i] = name;
            near->score[i] = score;
            break;
        }
    }
    return false;
}

cvs_status cvi_graph_find_layer(const cvi_graph *g, const char *text, int *value, cvs_error *err) {
    int v = cvi_graph_find(g, text);
    if (v >= 0 && g->values[v].producer >= 0 && !g->values[v].constant) {
        *value = v;
        return CVS_OK;
    }
    char *end = NULL;
    long number = strtol(text, &end, 10);
    if (end != text && !*end) {
        v = number >= 0 && number < INT32_MAX ? cvi_graph_layer(g, (int)number) : -1;
        if (v >= 0) {
            *value = v;
            return CVS_OK;
        }
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no layer number %ld: the model has %d layers, counted from 0", number,
                        cvi_graph_n_layers(g));
    }
    for (int n = 0; n < g->n_nodes; n++) { /* by the operator's name, as files of ONNX show it */
        int made = g->nodes[n].n_out > 0 ? g->nodes[n].out[0] : -1;
        if (is_layer(g, made) && strcmp(g->nodes[n].name, text) == 0) {
            *value = made;
            return CVS_OK;
        }
    }
    near_names near = {.wanted = text, .g = g};
    walk(g, consider, &near);
    if (!near.name[0]) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "the model has no layers");
    }
    return cvi_fail(err, CVS_E_NOT_FOUND, "there is no layer \"%.80s\"; near names: %.60s%s%.60s%s%.60s",
                    text, near.name[0], near.name[1] ? ", " : "", near.name[1] ? near.name[1] : "",
                    near.name[2] ? ", " : "", near.name[2] ? near.name[2] : "");
}

int cvi_graph_users(const cvi_graph *g, int v, int *nodes, int max) {
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            if (g->nodes[i].in[k] == v) {
                if (n < max) {
                    nodes[n] = i;
                }
                n++;
                break;
            }
        }
    }
    return n;
}
