/* SPDX-License-Identifier: MIT
 * fuzz_state.c - libFuzzer target: names and shapes of tensors, a line each ("conv1.weight 64 3 7 7"), as a state_dict has them: the architecture is
 * recognised or guessed and the graph built. The numbers are zeros, of which there are many.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "formats/state.h"
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 22 }; /* numbers of one tensor */

/* One line of the text; false at its end. */
static bool add_line(cvi_state *s, const float *zeros, const char **text, cvs_error *err) {
    char line[300], *word, *rest = line;
    size_t n = strcspn(*text, "\n");
    if (!**text) {
        return false;
    }
    snprintf(line, sizeof line, "%.*s", (int)(n < 290 ? n : 290), *text);
    *text += n + ((*text)[n] != 0);
    cvs_tensor t = {.dtype = CVS_F32, .data = (void *)(uintptr_t)zeros};
    const char *name = strtok_r(line, " ", &rest);
    int64_t count = 1;
    while (name && t.rank < CVS_MAX_RANK && (word = strtok_r(NULL, " ", &rest)) != NULL) {
        int64_t dim = strtoll(word, NULL, 10);
        if (dim < 0 || !cvi_mul(count, dim, &count) || count > MOST) {
            return true;
        }
        t.dim[t.rank++] = dim;
    }
    t.bytes = (size_t)count * sizeof *zeros;
    return !name || cvi_state_add(s, name, &t, err) == CVS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float *zeros;
    static char none[] = "";
    cvs_error err = {0};
    const cvs_limits limits =
        cvs_limits_default(&(cvs_limits){.max_memory_bytes = 64 << 20, .max_nodes = 2000});
    cvi_file file = {.data = (const uint8_t *)none};
    cvi_open open = {.path = "fuzz.pt", .from_memory = true, .file = &file, .limits = limits, .err = &err};
    if (!zeros) {
        zeros =
            mmap(NULL, MOST * sizeof *zeros, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (zeros == MAP_FAILED) {
            abort();
        }
    }
    open.model = cvi_model_new(&limits, &err);
    char *copy = malloc(size + 1);
    if (open.model && copy) {
        memcpy(copy, data, size);
        copy[size] = 0;
        cvi_state s = {.model = open.model, .ordered = true};
        const char *text = copy;
        while (s.n < 1000 && add_line(&s, zeros, &text, &err)) {}
        if (!err.code && s.n > 0 && cvi_state_done(&s, &err) == CVS_OK) {
            (void)cvi_state_model(&open, &s);
        }
    }
    free(copy);
    cvs_model_free(open.model);
    return 0;
}
