/* SPDX-License-Identifier: MIT
 * model.c - the model around a graph: its arena, files kept open, notes for people.
 */
#include "graph/graph.h"

cvs_model *cvi_model_new(const cvs_limits *limits, cvs_error *err) {
    cvs_limits all = cvs_limits_default(limits);
    cvi_arena *arena = cvi_arena_new(all.max_memory_bytes);
    cvs_model *m = arena ? cvi_arena_alloc(arena, 1, sizeof *m) : NULL;
    if (!m) {
        cvi_arena_free(arena);
        cvi_no_memory(err, sizeof *m);
        return NULL;
    }
    *m = (cvs_model){.arena = arena,
                     .path = "",
                     .name = "",
                     .format = "",
                     .producer = "",
                     .has_weights = true,
                     .limits = all};
    return m;
}

void cvs_model_free(cvs_model *model) {
    if (!model) {
        return;
    }
    for (int i = 0; i < model->n_files; i++) {
        cvi_file_close(&model->files[i]);
    }
    cvi_arena_free(model->arena); /* frees the model itself */
}

bool cvi_model_note(cvs_model *m, const char *fmt, ...) {
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, cvi_tr(m->lang, fmt), args);
    va_end(args);
    const char **notes = cvi_arena_alloc(m->arena, m->n_notes + 1, sizeof *notes);
    const char *copy = cvi_arena_strn(m->arena, text, strlen(text));
    if (!notes || !copy) {
        return false;
    }
    for (int i = 0; i < m->n_notes; i++) {
        notes[i] = m->notes[i];
    }
    notes[m->n_notes++] = copy;
    m->notes = notes;
    return true;
}

cvs_status cvi_model_keep_file(cvs_model *m, cvi_file *f, cvs_error *err) {
    cvi_file *files = cvi_arena_alloc(m->arena, m->n_files + 1, sizeof *files);
    if (!files) {
        cvi_file_close(f);
        return cvi_no_memory(err, sizeof *files);
    }
    for (int i = 0; i < m->n_files; i++) {
        files[i] = m->files[i];
    }
    files[m->n_files++] = *f;
    m->files = files;
    *f = (cvi_file){0};
    return CVS_OK;
}
