/* SPDX-License-Identifier: MIT
 * test_report.c - the report of a small network from zoo/: one well-formed page that loads nothing, names every layer, holds
 * every kind of picture, says why or why not, quotes its commands for a shell, repeats byte for byte, and survives any failing allocation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/base.h"
#include "convscope/convscope.h"
#include "markup.h"
#include "test_helpers.h"

typedef struct opened {
    cvs_model *model;
    cvs_run *run;
    cvs_tensor input, shown;
} opened;

static opened run_net(opened o);

static opened open_net(const char *name) {
    opened o = {0};
    const char *root = getenv("CVS_SOURCE_ROOT");
    char path[512];
    cvs_error err = {0};
    snprintf(path, sizeof path, "%s/zoo/%s", root != NULL ? root : ".", name);
    cvs_open_options options = {.init = true, .init_seed = 3};
    if (cvs_model_open(path, &options, &o.model, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    return run_net(o);
}

/* A network written as text, with random weights. */
static opened open_text(const char *text) {
    opened o = {0};
    cvs_error err = {0};
    cvs_open_options options = {.init = true, .init_seed = 3};
    if (cvs_model_open_memory(text, strlen(text), "text.net", &options, &o.model, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    return run_net(o);
}

static opened run_net(opened o) {
    cvs_port port;
    assert_int_equal(cvs_model_input(o.model, 0, &port, NULL), CVS_OK);
    for (int i = 0; i < port.rank; i++) {
        port.dim[i] = port.dim[i] > 0 ? port.dim[i] : 1;
    }
    assert_int_equal(cvs_tensor_new(&o.input, CVS_F32, port.rank, port.dim, NULL), CVS_OK);
    for (int64_t i = 0; i < cvs_tensor_count(&o.input); i++) {
        ((float *)o.input.data)[i] = (float)cvi_random_uniform(1, 2, (uint64_t)i);
    }
    assert_int_equal(cvs_tensor_new(&o.shown, CVS_U8, 3, (int64_t[]){32, 48, 3}, NULL), CVS_OK);
    cvs_run_options run_options = {.threads = 1};
    assert_int_equal(cvs_run_new(o.model, &run_options, &o.run, NULL), CVS_OK);
    assert_int_equal(cvs_run_tensors(o.run, &o.input, 1, NULL), CVS_OK);
    return o;
}

static void close_net(opened *o) {
    cvs_run_free(o->run);
    cvs_model_free(o->model);
    cvs_tensor_free(&o->input);
    cvs_tensor_free(&o->shown);
}

static char *report(opened *o, cvs_lang lang, size_t *size) {
    cvs_report_options options = {
        .lang = lang, .model_path = "nets/tiny vgg's.net", .image_path = "a <b> & \"c\".png"};
    char *html = NULL;
    cvs_error err = {0};
    if (cvs_report_html(o->run, o->model, &o->shown, &options, &html, size, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    return html;
}

static void one_page_that_loads_nothing(void **state) {
    (void)state;
    opened o = open_net("tiny_vgg.net");
    for (int lang = 0; lang < 2; lang++) {
        size_t na = 0, nb = 0;
        char *a = report(&o, (cvs_lang)lang, &na), *b = report(&o, (cvs_lang)lang, &nb);
        assert_int_equal(na, nb);
        assert_memory_equal(a, b, na);
        assert_int_equal(strlen(a), na);
        assert_well_formed(a);
        for (const char *p = a; (p = strstr(p, "=\"http")) != NULL; p++) {
            assert_memory_equal(p - 5, "xmlns", 5); /* a name, not an address */
        }
        assert_null(strstr(a, "<script"));
        assert_null(strstr(a, "url(http"));
        assert_null(strstr(a, "@import"));
        assert_non_null(strstr(a, "default-src 'none'"));
        assert_non_null(strstr(a, lang == CVS_ZH ? "lang=\"zh-CN\"" : "lang=\"en\""));
        assert_non_null(strstr(a, lang == CVS_ZH ? "\xE7\x89\xB9\xE5\xBE\x81\xE5\x9B\xBE" : "Feature maps"));
        /* hostile paths: escaped for HTML, quoted for a shell */
        assert_null(strstr(a, "<b>"));
        assert_non_null(strstr(a, "convscope predict &#39;nets/tiny vgg&#39;\\&#39;&#39;s.net&#39; "));
        assert_true(na < 4000000);
        cvs_free(a);
        cvs_free(b);
    }
    close_net(&o);
}

static void the_file_is_the_page(void **state) {
    (void)state;
    opened o = open_text("input 1x8x8\nconv 2 k3\nrelu\ngap\nfc 3\nsoftmax\n");
    const cvs_report_options options = {.lang = CVS_EN};
    char folder[256], path[300], *html = NULL;
    size_t size = 0;
    cvi_file file = {0};
    cvs_error err = {0};
    test_folder(folder);
    snprintf(path, sizeof path, "%s/page.html", folder);
    OK(cvs_report_html(o.run, o.model, &o.shown, &options, &html, &size, &err));
    OK(cvs_report_write(o.run, o.model, &o.shown, path, &options, &err));
    OK(cvi_file_read(path, NULL, &file, &err));
    assert_int_equal(file.size, size);
    assert_memory_equal(file.data, html, size);
    cvi_file_close(&file);
    cvs_free(html);
    assert_int_equal(cvs_report_write(o.run, o.model, NULL, "/nowhere/page.html", &options, &err), CVS_E_IO);
    test_remove(folder);
    close_net(&o);
}

static void every_layer_is_named(void **state) {
    (void)state;
    opened o = open_net("tiny_vgg.net");
    cvs_summary sum;
    size_t size = 0;
    char *html = report(&o, CVS_EN, &size), anchor[64];
    assert_int_equal(cvs_model_summarize(o.model, NULL, CVS_EN, &sum, NULL), CVS_OK);
    assert_true(sum.n_layers > 8);
    for (int i = 0; i < sum.n_layers; i++) {
        snprintf(anchor, sizeof anchor, "id=\"L%d\"", i);
        assert_non_null(strstr(html, anchor));
        assert_non_null(strstr(html, sum.layers[i].name));
    }
    static const char *const verbs[] = {"filters", "activations", "pooling", "predict",
                                        "info",    "report",      "explain"};
    for (int i = 0; i < CVI_COUNT(verbs); i++) {
        snprintf(anchor, sizeof anchor, "convscope %s ", verbs[i]);
        assert_non_null(strstr(html, anchor));
    }
    cvs_summary_free(&sum);
    cvs_free(html);
    close_net(&o);
}

static bool says(opened o, cvs_lang lang, const char *words) {
    size_t size = 0;
    char *html = report(&o, lang, &size);
    assert_well_formed(html);
    bool found = strstr(html, words) != NULL;
    cvs_free(html);
    return found;
}

/* The Why section: both maps, the votes, the gradient, each with its command. */
static void why_is_answered(void **state) {
    (void)state;
    opened o = open_net("lenet5.net");
    static const char *const parts[] = {
        "href=\"#why\"",     "id=\"why\"",       ">runner-up<",      "Votes of the feature maps",
        "--method gradient", "--method gradcam", "--votes votes.csv"};
    for (int i = 0; i < CVI_COUNT(parts); i++) {
        assert_true(says(o, CVS_EN, parts[i]));
    }
    assert_false(says(o, CVS_EN, "does not apply"));
    assert_true(says(o, CVS_ZH, "\xE7\xAC\xAC\xE4\xBA\x8C\xE5\x90\x8D")); /* runner-up */
    close_net(&o);
}

/* Where a method does not apply the report says so and goes on. */
static void why_not_is_said(void **state) {
    (void)state;
    opened o = open_text("input 1x8x8\nfc1: fc 6 relu\nfc2: fc 3\nprob: softmax\n"); /* no convolution */
    assert_true(says(o, CVS_EN, "Grad-CAM does not apply to this model: the model has no convolution"));
    assert_true(says(o, CVS_EN, "convscope explain"));
    assert_true(says(o, CVS_EN, "--method gradient --target"));
    assert_true(says(o, CVS_ZH, "Grad-CAM \xE4\xB8\x8D\xE9\x80\x82\xE7\x94\xA8"));
    close_net(&o);
    o = open_text("input 1x8x8\nc1: conv 4 k3 relu\nc2: conv 2 k3\n"); /* no classes */
    assert_true(says(o, CVS_EN, "There is no class to explain: "));
    assert_true(says(o, CVS_EN, "id=\"L1\""));
    assert_false(says(o, CVS_EN, "--method gradcam"));
    close_net(&o);
    o = open_text("input 1x8x8\nc1: conv 4 k3 relu\ngap\nout: fc 3\n"); /* one map per class is not this */
    assert_false(says(o, CVS_EN, "one map per class"));
    close_net(&o);
    o = open_text("input 1x8x8\nc1: conv 4 k3 relu\nc2: conv 5 k1\ngap\nprob: softmax\n"); /* but this is */
    assert_true(says(o, CVS_EN, "one map per class"));
    assert_true(says(o, CVS_EN, "--layer c1"));
    close_net(&o);
}

static bool stop_at(void *context, const char *what, double fraction) {
    (void)what;
    (void)fraction;
    return --*(int *)context > 0;
}

static void it_can_be_cancelled(void **state) {
    (void)state;
    opened o = open_net("lenet5.net");
    int left = 3;
    cvs_report_options options = {.progress = stop_at, .progress_context = &left};
    char *html = NULL;
    size_t size = 0;
    assert_int_equal(cvs_report_html(o.run, o.model, NULL, &options, &html, &size, NULL), CVS_E_CANCELLED);
    assert_null(html);
    close_net(&o);
}

static bool fail_at(void *context, size_t bytes) {
    (void)bytes;
    return (*(int64_t *)context)-- == 0;
}

static void no_allocation_is_taken_for_granted(void **state) {
    (void)state;
    opened o = open_net("lenet5.net");
    bool done = false;
    int n = 0;
    for (int64_t k = 0; !done; k += 1 + k / 9, n++) {
        int64_t left = k;
        cvi_hooks hooks = {.fail_alloc = fail_at, .context = &left};
        cvs_error err = {0};
        char *html = NULL;
        size_t size = 0;
        cvi_set_hooks(&hooks);
        cvs_status s = cvs_report_html(o.run, o.model, &o.shown, NULL, &html, &size, &err);
        cvi_set_hooks(NULL);
        done = left >= 0;
        assert_int_equal(s, done ? CVS_OK : CVS_E_MEMORY);
        assert_true(done ? html != NULL : html == NULL);
        cvs_free(html);
        assert_true(n < 400);
    }
    close_net(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_page_that_loads_nothing),
        cmocka_unit_test(the_file_is_the_page),
        cmocka_unit_test(every_layer_is_named),
        cmocka_unit_test(why_is_answered),
        cmocka_unit_test(why_not_is_said),
        cmocka_unit_test(it_can_be_cancelled),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
