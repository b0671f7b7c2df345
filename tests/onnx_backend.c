/* SPDX-License-Identifier: MIT
 * onnx_backend.c - runs backend tests of the ONNX project: `onnx-backend DIR...` takes every folder beneath that holds a
 * model.onnx and test_data_set_K/{input,output}_N.pb, runs the model and compares types, shapes and numbers (rtol 1e-3,
 * atol 1e-7, as ONNX's own runner). What is skipped stands in onnx_backend_skips.txt with its reason, nowhere else.
 * Options: --plain uses only the plain C twins, --answer keeps the outputs only (fused, shared memory), --verbose names passed and skipped ones too.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "convscope/run.h"
#include "formats/onnx.h"
#include "ops/op.h"
#include "tensor/list.h"

#define MAX_PORTS 64

typedef struct skip_rule {
    char kind[8], pattern[120], reason[200];
} skip_rule;

typedef struct runner {
    skip_rule *skips;
    int n_skips, passed, failed, skipped;
    bool plain, answer, verbose;
    char why[600];
} runner;

/* Lines: "test PATTERN reason..." (a test folder's name) or "op PATTERN reason..." (a node whose operator is unknown). */
static bool load_skips(runner *r, const char *path) {
    FILE *f = fopen(path, "r");
    char line[512];
    if (!f) {
        return false;
    }
    r->skips = calloc(1000, sizeof *r->skips);
    while (r->skips && r->n_skips < 1000 && fgets(line, sizeof line, f)) {
        skip_rule *s = &r->skips[r->n_skips];
        if (line[0] == '#' || sscanf(line, "%7s %119s %199[^\n]", s->kind, s->pattern, s->reason) != 3) {
            continue;
        }
        r->n_skips++;
    }
    fclose(f);
    return r->skips != NULL;
}

static const skip_rule *skip_of(const runner *r, const char *kind, const char *name) {
    for (int i = 0; i < r->n_skips; i++) {
        if (strcmp(r->skips[i].kind, kind) == 0 && fnmatch(r->skips[i].pattern, name, 0) == 0) {
            return &r->skips[i];
        }
    }
    return NULL;
}

static const skip_rule *skip_in_graph(const runner *r, const cvi_graph *g) {
    for (int n = 0; n < g->n_nodes; n++) {
        const skip_rule *s = g->nodes[n].def ? NULL : skip_of(r, "op", g->nodes[n].op);
        for (int a = 0; a < g->nodes[n].n_attr && !s; a++) {
            s = g->nodes[n].attr[a].graph ? skip_in_graph(r, g->nodes[n].attr[a].graph) : NULL;
        }
        if (s) {
            return s;
        }
    }
    return NULL;
}

/* A tensor file: `model` owns what it points to. */
static bool load_tensor(cvs_model *model, const char *path, cvs_tensor *out, cvs_error *err) {
    cvi_file file = {0};
    if (cvi_file_read(path, NULL, &file, err) != CVS_OK) {
        return false;
    }
    cvi_onnx o = {.model = model, .work = model->arena, .keep_types = true, .err = err};
    o.root = cvi_pb_begin(file.data, file.size, 64, err);
    cvi_pb_piece piece = {.data = file.data, .size = file.size};
    bool ok = cvi_onnx_tensor(&o, &o.root, &piece, NULL, out) == CVS_OK;
    return cvi_model_keep_file(model, &file, err) == CVS_OK && ok;
}

/* SequenceProto or OptionalProto: tensors, or sequences of them, as a packed list in `model`'s memory. */
static bool parse_list(cvi_onnx *o, const cvi_pb *r, int kind, cvs_tensor *out) {
    cvs_tensor element[MAX_PORTS];
    int64_t n = 0;
    for (cvi_pb walk = *r;;) {
        cvi_pb_field f;
        cvi_pb inner;
        if (cvi_pb_next(&walk, &f) != CVS_OK || n == MAX_PORTS) {
            return false;
        }
        if (f.number == 0) {
            break;
        }
        if (f.number == 3 && cvi_onnx_tensor(o, &walk, &f.bytes, NULL, &element[n++]) != CVS_OK) {
            return false;
        }
        if (f.number == 5 && (cvi_pb_enter(&walk, &f.bytes, &inner) != CVS_OK ||
                              !parse_list(o, &inner, CVI_LIST_SEQUENCE, &element[n++]))) {
            return false;
        }
    }
    int64_t words = cvi_list_words(n, element);
    *out = (cvs_tensor){.dtype = CVI_LIST, .rank = 1, .dim = {words}, .bytes = (size_t)words * sizeof words};
    out->data = words > 0 ? cvi_arena_alloc(o->work, words, sizeof words) : NULL;
    if (out->data != NULL) {
        cvi_list_fill(kind, n, element, out->data);
    }
    return out->data != NULL;
}

/* What model.onnx declares input (field 11) or output (12) k to be: 1 a tensor, 4 a sequence, 9 an optional value. */
static int declared_kind(const char *dir, uint32_t field, int k, cvs_error *err) {
    char path[4200];
    cvi_file file = {0};
    static const uint32_t way[] = {7, 0, 2};
    int found = 1;
    snprintf(path, sizeof path, "%s/../model.onnx", dir);
    if (cvi_file_read(path, NULL, &file, err) != CVS_OK) {
        return 1;
    }
    cvi_pb r = cvi_pb_begin(file.data, file.size, 64, err);
    cvi_pb_field f = {0};
    for (int level = 0; level < 4; level++) {
        uint32_t wanted = level == 1 ? field : level < 3 ? way[level] : 0;
        bool ok = cvi_pb_next(&r, &f) == CVS_OK;
        while (ok && f.number != 0 && level < 3 && (f.number != wanted || (level == 1 && k-- > 0))) {
            ok = cvi_pb_next(&r, &f) == CVS_OK;
        }
        if (!ok || f.number == 0) {
            break;
        }
        cvi_pb inner;
        found = level == 3 ? (int)f.number : found;
        if (level < 3 && cvi_pb_enter(&r, &f.bytes, &inner) == CVS_OK) {
            r = inner;
        }
    }
    cvi_file_close(&file);
    return found;
}

static bool load_list(cvs_model *model, const char *path, int kind, cvs_tensor *out, cvs_error *err) {
    cvi_file file = {0};
    if (cvi_file_read(path, NULL, &file, err) != CVS_OK) {
        return false;
    }
    cvi_onnx o = {.model = model, .work = model->arena, .keep_types = true, .err = err};
    o.root = cvi_pb_begin(file.data, file.size, 64, err);
    bool ok = parse_list(&o, &o.root, kind == 9 ? CVI_LIST_OPTIONAL : CVI_LIST_SEQUENCE, out);
    return cvi_model_keep_file(model, &file, err) == CVS_OK && ok;
}

static bool close_enough(double a, double e) {
    if (isnan(a) || isnan(e)) {
        return isnan(a) && isnan(e);
    }
    if (isinf(a) || isinf(e)) {
        return a == e;
    }
    return fabs(a - e) <= 1e-7 + 1e-3 * fabs(e);
}

static bool same(runner *r, const cvs_tensor *got, const cvs_tensor *want, int output);

static bool same_lists(runner *r, const cvs_tensor *got, const cvs_tensor *want, int output) {
    cvs_tensor a[MAX_PORTS], b[MAX_PORTS];
    int64_t n = -1, m = -2;
    int kind;
    cvs_error err = {0};
    bool ok = cvi_list_open(got, &kind, &n, NULL, &err) == CVS_OK &&
              cvi_list_open(want, &kind, &m, NULL, &err) == CVS_OK && n == m && n <= MAX_PORTS;
    if (!ok) {
        snprintf(r->why, sizeof r->why, "output %d is a list of %lld, wanted %lld", output, (long long)n,
                 (long long)m);
        return false;
    }
    (void)cvi_list_open(got, &kind, &n, a, &err);
    (void)cvi_list_open(want, &kind, &m, b, &err);
    for (int64_t i = 0; i < n && ok; i++) {
        ok = same(r, &a[i], &b[i], output);
    }
    return ok;
}

static bool same(runner *r, const cvs_tensor *got, const cvs_tensor *want, int output) {
    char a[200], b[200];
    if (got->dtype == CVI_LIST && want->dtype == CVI_LIST) {
        return same_lists(r, got, want, output);
    }
    bool shape = got->rank == want->rank;
    for (int i = 0; shape && i < want->rank; i++) {
        shape = got->dim[i] == want->dim[i];
    }
    if (got->dtype != want->dtype || !shape) {
        snprintf(r->why, sizeof r->why, "output %d is %s %s, wanted %s %s", output,
                 cvs_dtype_name(got->dtype), cvs_shape_text(got->rank, got->dim, a, sizeof a),
                 cvs_dtype_name(want->dtype), cvs_shape_text(want->rank, want->dim, b, sizeof b));
        return false;
    }
    int64_t n = cvs_tensor_count(want), bad = 0, first = -1;
    bool whole = want->dtype == CVS_I64 || want->dtype == CVS_U64;
    for (int64_t i = 0; i < n; i++) {
        bool ok = whole ? cvi_get_int(got, i) == cvi_get_int(want, i)
                        : close_enough(cvi_get(got, i), cvi_get(want, i));
        if (!ok && bad++ == 0) {
            first = i;
        }
    }
    if (bad) {
        snprintf(r->why, sizeof r->why,
                 "output %d: %lld of %lld numbers differ, first at %lld: %.9g, wanted %.9g", output,
                 (long long)bad, (long long)n, (long long)first, cvi_get(got, first), cvi_get(want, first));
    }
    return bad == 0;
}

static int load_set(cvs_model *store, const char *dir, const char *kind, cvs_tensor *out, runner *r,
                    cvs_error *err) {
    int n = 0;
    for (; n < MAX_PORTS; n++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/%s_%d.pb", dir, kind, n);
        if (!cvi_is_file(path)) {
            break;
        }
        int declared = declared_kind(dir, kind[0] == 'i' ? 11 : 12, n, err);
        if (declared == 1 ? !load_tensor(store, path, &out[n], err)
                          : !load_list(store, path, declared, &out[n], err)) {
            cvs_error_text(err, r->why, sizeof r->why);
            return -1;
        }
    }
    return n;
}

static bool run_set(runner *r, const cvs_model *model, cvs_run *run, const char *dir) {
    cvs_error err = {0};
    cvs_tensor in[MAX_PORTS], want[MAX_PORTS];
    cvs_model *store = cvi_model_new(NULL, &err);
    bool ok = false;
    int n_in = store ? load_set(store, dir, "input", in, r, &err) : -1;
    int n_out = n_in >= 0 ? load_set(store, dir, "output", want, r, &err) : -1;
    if (n_out >= 0 && cvs_run_tensors(run, in, n_in, &err) != CVS_OK) {
        cvs_error_text(&err, r->why, sizeof r->why);
    } else if (n_out >= 0) {
        ok = true;
        for (int i = 0; ok && i < n_out; i++) {
            cvs_tensor got = {0};
            ok = cvs_run_output(run, i, &got, &err) == CVS_OK;
            if (!ok) {
                cvs_error_text(&err, r->why, sizeof r->why);
            }
            ok = ok && same(r, &got, &want[i], i);
        }
        if (ok && n_out == 0 && model->graph->n_outputs > 0) {
            snprintf(r->why, sizeof r->why, "there is no output to compare with");
            ok = false;
        }
    }
    cvs_model_free(store);
    return ok;
}

static bool run_sets(runner *r, const cvs_model *model, const char *dir) {
    cvs_error err = {0};
    cvs_run *run = NULL;
    const cvs_run_options options = {.threads = 2, .plain = r->plain, .answer_only = r->answer};
    if (cvs_run_new(model, &options, &run, &err) != CVS_OK) {
        cvs_error_text(&err, r->why, sizeof r->why);
        return false;
    }
    bool ok = true;
    int sets = 0;
    for (int k = 0; ok; k++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/test_data_set_%d", dir, k);
        if (!cvi_is_folder(path)) {
            break;
        }
        ok = run_set(r, model, run, path);
        sets++;
    }
    if (ok && sets == 0) {
        snprintf(r->why, sizeof r->why, "there is no test_data_set_0");
        ok = false;
    }
    cvs_run_free(run);
    return ok;
}

static void run_case(runner *r, const char *dir) {
    const char *name = cvi_path_base(dir);
    const skip_rule *skip = skip_of(r, "test", name);
    char path[4096];
    cvs_error err = {0};
    cvs_model *model = NULL;
    bool ok = false;
    r->why[0] = '\0';
    snprintf(path, sizeof path, "%s/model.onnx", dir);
    if (!skip) {
        const cvs_open_options options = {.keep_types = true};
        ok = cvs_model_open(path, &options, &model, &err) == CVS_OK;
        if (!ok) {
            cvs_error_text(&err, r->why, sizeof r->why);
        }
        skip = ok ? skip_in_graph(r, model->graph) : NULL;
        ok = ok && !skip && run_sets(r, model, dir);
    }
    r->skipped += skip != NULL;
    r->passed += !skip && ok;
    r->failed += !skip && !ok;
    if (skip ? r->verbose : !ok || r->verbose) {
        printf("%s %s%s%s\n",
               skip ? "SKIP"
               : ok ? "PASS"
                    : "FAIL",
               name, skip || !ok ? ": " : "", skip ? skip->reason : r->why);
    }
    cvs_model_free(model);
}

static void walk(runner *r, const char *dir, int depth) {
    char path[4096];
    snprintf(path, sizeof path, "%s/model.onnx", dir);
    if (cvi_is_file(path)) {
        run_case(r, dir);
        return;
    }
    struct dirent **list = NULL;
    int n = depth < 12 ? scandir(dir, &list, NULL, alphasort) : 0;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
        if (list[i]->d_name[0] != '.' && cvi_is_folder(path)) {
            walk(r, path, depth + 1);
        }
        free(list[i]);
    }
    free(list);
}

int main(int argc, char **argv) {
    runner r = {0};
    const char *skips = getenv("CVS_BACKEND_SKIPS");
    int dirs = 0;
    if (!load_skips(&r, skips ? skips : CVS_BACKEND_SKIPS)) {
        fprintf(stderr, "onnx-backend: the list of skips cannot be read: %s\n",
                skips ? skips : CVS_BACKEND_SKIPS);
        return 3;
    }
    for (int i = 1; i < argc; i++) {
        r.plain |= strcmp(argv[i], "--plain") == 0;
        r.answer |= strcmp(argv[i], "--answer") == 0;
        r.verbose |= strcmp(argv[i], "--verbose") == 0;
    }
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') {
            continue;
        }
        if (!cvi_is_folder(argv[i])) {
            fprintf(stderr, "onnx-backend: %s is no folder\n", argv[i]);
            free(r.skips);
            return 3;
        }
        walk(&r, argv[i], 0);
        dirs++;
    }
    free(r.skips);
    if (dirs == 0) {
        fprintf(stderr, "usage: onnx-backend [--plain|--answer] [--verbose] DIR...\n");
        return 2;
    }
    printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped);
    return r.failed ? 1 : 0;
}
