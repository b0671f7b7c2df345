/* SPDX-License-Identifier: MIT
 * class_list.c - class names from files and JSON; see class_list.h.
 */
#include "class_list.h"

#include <stdlib.h>

#include "convscope/run.h"
#include "protobuf.h"

#define MAX_CLASSES 1000000
enum { NO_MEMORY = -2 };

static cvs_status set_classes(cvs_model *m, const char **names, int n, const char *from, cvs_error *err) {
    const char *copy = cvi_arena_strn(m->arena, from, strlen(from));
    if (!copy) {
        return cvi_no_memory(err, strlen(from));
    }
    m->classes = names;
    m->n_classes = n;
    m->classes_from = copy;
    return CVS_OK;
}

typedef struct line {
    const char *at;
    size_t n;
} line;

/* The next line without its end and outer blanks; false at the end. */
static bool next_line(const char **at, const char *end, line *out) {
    if (*at >= end) {
        return false;
    }
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    const char *last = stop ? stop : end;
    const char *first = *at;
    *at = stop ? stop + 1 : end;
    while (first < last && (*first == ' ' || *first == '\t')) {
        first++;
    }
    while (last > first && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r')) {
        last--;
    }
    *out = (line){first, (size_t)(last - first)};
    return true;
}

/* How many characters of the line are a prefix of the given kind: 'i' its own index ("3: ", "3 "), 'w' a WordNet id. */
static size_t prefix(const line *l, char kind, int index) {
    size_t n = 0;
    if (kind == 'i') {
        char number[16];
        n = (size_t)snprintf(number, sizeof number, "%d", index);
        if (l->n <= n + 1 || memcmp(l->at, number, n) != 0 || !strchr(" :,\t", l->at[n])) {
            return 0;
        }
        n++;
    } else {
        if (l->n < 11 || l->at[0] != 'n' || l->at[9] != ' ') {
            return 0;
        }
        for (n = 1; n < 9; n++) {
            if (l->at[n] < '0' || l->at[n] > '9') {
                return 0;
            }
        }
        n = 10;
    }
    while (n < l->n && l->at[n] == ' ') {
        n++;
    }
    return n < l->n ? n : 0;
}

cvs_status cvi_classes_from_text(cvs_model *m, const char *text, size_t size, const char *from,
                                 cvs_error *err) {
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    if (!cvi_utf8_valid((const uint8_t *)text, size)) {
        return cvi_fail(err, CVS_E_FORMAT, "the class list is not UTF-8 text");
    }
    const char *end = text + size, *at = text;
    line l;
    int n = 0;
    bool indexed = true, wordnet = true;
    while (next_line(&at, end, &l)) {
        if (l.n == 0) {
            continue;
        }
        indexed = indexed && prefix(&l, 'i', n) > 0;
        wordnet = wordnet && prefix(&l, 'w', n) > 0;
        if (++n > MAX_CLASSES) {
            return cvi_fail(err, CVS_E_LIMIT, "more than %d class names", MAX_CLASSES);
        }
    }
    const char **names = cvi_arena_alloc(m->arena, CVI_MAX(n, 1), sizeof *names);
    if (!names) {
        return cvi_no_memory(err, (size_t)n * sizeof *names);
    }
    at = text;
    for (int i = 0; next_line(&at, end, &l);) {
        if (l.n == 0) {
            continue;
        }
        size_t skip = indexed ? prefix(&l, 'i', i) : wordnet ? prefix(&l, 'w', i) : 0;
        names[i] = cvi_arena_strn(m->arena, l.at + skip, l.n - skip);
        if (!names[i++]) {
            return cvi_no_memory(err, l.n);
        }
    }
    return n ? set_classes(m, names, n, from, err) : cvi_fail(err, CVS_E_FORMAT, "the class list is empty");
}

/* An entry is a name, or (as Keras's imagenet_class_index.json has it) a list of id and name. */
static const char *entry_name(const json_t *entry) {
    if (json_is_array(entry) && json_array_size(entry) > 0) {
        entry = json_array_get(entry, json_array_size(entry) - 1);
    }
    return json_string_value(entry);
}

cvs_status cvi_classes_from_json(cvs_model *m, const json_t *json, const char *from, cvs_error *err) {
    bool list = json_is_array(json);
    size_t n = list ? json_array_size(json) : json_object_size(json);
    if (n == 0 || n > MAX_CLASSES) {
        return cvi_fail(err, CVS_E_FORMAT, "class names should be a list of strings");
    }
    const char **names = cvi_arena_alloc(m->arena, (int64_t)n, sizeof *names);
    if (!names) {
        return cvi_no_memory(err, n * sizeof *names);
    }
    for (size_t i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        const char *name = entry_name(list ? json_array_get(json, i) : json_object_get(json, key));
        if (!name) {
            return cvi_fail(err, CVS_E_FORMAT, "class names should be a list of strings");
        }
        names[i] = cvi_arena_strn(m->arena, name, strlen(name));
        if (!names[i]) {
            return cvi_no_memory(err, strlen(name));
        }
    }
    return set_classes(m, names, (int)n, from, err);
}

cvs_status cvi_classes_from_file(cvs_model *m, const char *path, const char *from, cvs_error *err) {
    cvi_file f = {0};
    CVI_TRY(cvi_file_read(path, &m->limits, &f, err));
    const char *text = (const char *)f.data;
    cvs_status s;
    if (f.size > 0 && (text[0] == '[' || text[0] == '{')) {
        json_t *json = NULL;
        s = cvi_json_parse(text, f.size, &json, err);
        if (s == CVS_OK) {
            s = cvi_classes_from_json(m, json, from, err);
        }
        json_decref(json);
    } else {
        s = cvi_classes_from_text(m, text, f.size, from, err);
    }
    cvi_file_close(&f);
    return cvi_at_file(err, s, path);
}

/* Elements of one sample of the first output, or -1 when the shape is not known without a run, or
 * NO_MEMORY. */
int64_t cvi_classes_wanted(const cvs_model *m) {
    if (m->graph->n_outputs == 0) {
        return -1;
    }
    const cvi_value *v = &m->graph->values[m->graph->outputs[0]];
    int rank = v->rank;
    int64_t dim[CVS_MAX_RANK], n = 1;
    memcpy(dim, v->dim, sizeof dim);
    bool known = rank > 0;
    for (int i = 1; i < rank; i++) {
        known = known && dim[i] > 0;
    }
    if (!known) { /* ask the shape rules */
        cvs_summary s = {0};
        cvs_error quiet = {0};
        cvs_status status = cvs_model_summarize(m, NULL, CVS_EN, &s, &quiet);
        if (status != CVS_OK) {
            return status == CVS_E_MEMORY ? NO_MEMORY : -1;
        }
        for (int i = 0; i < s.n_layers; i++) {
            if (strcmp(s.layers[i].name, v->name) == 0) {
                rank = s.layers[i].rank;
                memcpy(dim, s.layers[i].dim, sizeof dim);
            }
        }
        cvs_summary_free(&s);
    }
    for (int i = 1; i < rank; i++) {
        if (dim[i] < 0 || !cvi_mul(n, dim[i], &n)) {
            return -1;
        }
    }
    return rank == 1 ? dim[0] : rank > 1 ? n : -1;
}

cvs_status cvi_classes_check(cvs_model *m, cvs_error *err) {
    int64_t n = m->n_classes ? cvi_classes_wanted(m) : -1;
    bool two = n == 1 && m->n_classes == 2; /* one sigmoid unit is two classes */
    if (n == NO_MEMORY) {
        return cvi_no_memory(err, 0);
    }
    if (n < 0 || n == m->n_classes || two) {
        return CVS_OK;
    }
    bool said = cvi_model_note(m, "%s has %d class names, the output has %lld values: the names are not used",
                               m->classes_from, m->n_classes, (long long)n);
    m->n_classes = 0;
    m->classes = NULL;
    m->classes_from = NULL;
    return said ? CVS_OK : cvi_no_memory(err, 0);
}
