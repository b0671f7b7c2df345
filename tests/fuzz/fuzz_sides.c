/* SPDX-License-Identifier: MIT
 * fuzz_sides.c - libFuzzer target: what lies beside a model. Any text as NAME.convscope.json (classes, preprocessing), behind a byte 0 as classes.txt,
 * behind a second one as config.json and preprocessor_config.json of hubs and as what an exporter's metadata say; a whole first text without braces is tried as a preprocessing of its own.
 */
#include "convscope/data.h"
#include "formats/told.h"
#include "fuzz_folder.h"
#include "fuzz_open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char net[] = "input 3x4x4\nfc 3\nsoftmax\n";
    const uint8_t *list = NULL, *hub = NULL;
    size_t n_list = 0, n_hub = 0, n = fuzz_split(data, size, &list, &n_list);
    n_list = fuzz_split(list, n_list, &hub, &n_hub);
    cvs_error err = {0};
    const cvs_open_options options = {.limits = {.max_memory_bytes = 1 << 22}};
    cvs_model *model = NULL;
    const char *path = fuzz_write("m.net", net, sizeof net - 1);
    if (n > 0 && data[0] == '{') {
        fuzz_write("m.convscope.json", data, n);
    } else {
        char text[512];
        cvs_preprocess p = {0};
        snprintf(text, sizeof text, "%.*s", (int)(n < 500 ? n : 500), (const char *)data);
        (void)cvs_preprocess_parse(text, &p, &err);
        fuzz_write("m.convscope.json", "{}", 2);
    }
    fuzz_write("classes.txt", list, n_list);
    fuzz_write("config.json", hub, n_hub);
    fuzz_write("preprocessor_config.json", hub, n_hub);
    if (cvs_model_open(path, &options, &model, &err) == CVS_OK) {
        int64_t side = 0;
        (void)cvi_told_text(model, (const char *)hub, n_hub, &side, &err);
        cvs_model_free(model);
    }
    return 0;
}
