/* SPDX-License-Identifier: MIT
 * test_torchscript.c - TorchScript archives that PyTorch traced and scripted (tests/data/torch, tools/make_torch_fixtures.py) and archives of
 * torch.export (tools/make_torch2_fixtures.py) give PyTorch's own outputs, at the traced size and at others; code that loops, recurses, nests or asks for what it may not is refused; damage. An
 * archive of torch.export, written here by its schema, gives the same outputs.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convscope/run.h"
#include "formats/script.h"
#include "ops/op.h"

#define LLVMFuzzerTestOneInput fuzz_pt2
#include "../fuzz/fuzz_pt2.c"
#undef LLVMFuzzerTestOneInput
#include "../fuzz/fuzz_script.c"
#include "test_helpers.h"
#include "zip_builder.h"

/* Opened for pictures of side x side, or 0: largest difference between the model's first output and NAME.out.npy for NAME.in.npy. */
static double difference(const char *model, const char *name, int64_t side) {
    char path[3][600], text[900];
    cvs_error err = {0};
    cvs_model *m = NULL;
    cvs_run *run = NULL;
    cvs_tensor got = {0}, want = {0};
    static const char *const suffix[] = {"", ".in.npy", ".out.npy"};
    for (int i = 0; i < 3; i++) {
        char file[100];
        snprintf(file, sizeof file, "%s%s", i ? name : model, suffix[i]);
        test_data(path[i], sizeof path[i], "torch", file);
    }
    if (*model == '/') {
        snprintf(path[0], sizeof path[0], "%s", model);
    }
    const char *input = path[1];
    test_ok(cvs_npy_read, path[2], NULL, &want);
    const cvs_open_options options = {.height = side, .width = side};
    if (cvs_model_open(path[0], &options, &m, &err) != CVS_OK || cvs_run_new(m, NULL, &run, &err) != CVS_OK ||
        cvs_run_npy(run, &input, 1, NULL, &err) != CVS_OK || cvs_run_output(run, 0, &got, &err) != CVS_OK) {
        fail_msg("%s: %s", model, cvs_error_text(&err, text, sizeof text));
    }
    bool guessed =
        strncmp(model, "phone", 5) == 0; /* windows of adaptive pooling fit many sizes: that is told */
    assert_true(m->has_weights && m->n_notes == guessed);
    assert_true(side == 0 || (m->size_guessed && m->graph->values[m->graph->inputs[0]].dim[2] == side));
    assert_int_equal(cvs_tensor_count(&got), cvs_tensor_count(&want));
    double worst = 0;
    for (int64_t i = 0; i < cvs_tensor_count(&got); i++) {
        worst = fmax(worst, fabs(cvi_get(&got, i) - cvi_get(&want, i)));
    }
    cvs_tensor_free(&got);
    cvs_tensor_free(&want);
    cvs_run_free(run);
    cvs_model_free(m);
    return worst;
}

static void as_torch(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"traced.pt", "small"},          {"scripted.pt", "small"},
                                           {"odd_traced.pt", "odd"},        {"odd_scripted.pt", "odd"},
                                           {"module.pth", "module"},        {"odd_traced.pt", "odd_wide"},
                                           {"odd_scripted.pt", "odd_wide"}, {"mixed.pt2", "mixed"},
                                           {"mixed.pt2", "mixed_one"},      {"core.pt2", "core"},
                                           {"phone_traced.pt", "phone"},    {"phone.ptl", "phone"},
                                           {"lines_traced.pt", "lines"},    {"lines_scripted.pt", "lines"},
                                           {"video_traced.pt", "video"},    {"video_scripted.pt", "video"},
                                           {"row_traced.pt", "row"},        {"row_scripted.pt", "row"},
                                           {"best_traced.pt", "best"},      {"tokens_traced.pt", "tokens"},
                                           {"sized_scripted.pt", "sized"}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        double d = difference(cases[i][0], cases[i][1], strcmp(cases[i][1], "sized") == 0 ? 24 : 0);
        if (!(d < 1e-5)) {
            fail_msg("%s on %s is off by %g", cases[i][0], cases[i][1], d);
        }
    }
}

/* Names are those of the modules; the input's size follows from the dense layer. */
static void named(void **state) {
    (void)state;
    char path[600];
    cvs_model *m = NULL;
    cvs_error err = {0};
    test_data(path, sizeof path, "torch", "traced.pt");
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
    int v = cvi_graph_find(m->graph, "conv2");
    assert_true(v >= 0 && m->graph->values[v].dim[1] == 6);
    assert_true(cvi_graph_find(m->graph, "fc1.weight") >= 0);
    const cvi_value *in = &m->graph->values[m->graph->inputs[0]];
    assert_string_equal(in->name, "x");
    assert_int_equal(in->dim[1], 1);
    assert_int_equal(in->dim[2], 28);
    cvs_model_free(m);
    test_data(path, sizeof path, "torch", "odd_traced.pt");
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
    assert_int_equal(m->graph->values[m->graph->inputs[0]].dim[2], -1);
    assert_int_equal(m->graph->n_outputs, 2);
    cvs_model_free(m);
}

/* ---- code by hand ---------------------------------------------------------------------------------------------- */

/* Opens a module M with w [4,3,3,3] whose forward has this body; *m NULL on failure. */
static cvs_status open_code(const char *code, cvs_model **m, cvs_error *err) {
    static const char tree[] = "c__torch__\nM\n)\x81}(Vw\nctorch._utils\n_rebuild_tensor_v2\n(("
                               "Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI108\ntQ"
                               "I0\n(I4\nI3\nI3\nI3\nt(I27\nI9\nI3\nI1\nt\x89NtRub.";
    static const float numbers[108] = {0};
    zip_builder b = {0};
    cvi_buf text = {0};
    cvi_buf_printf(&text, "class M(Module):\n  w : Tensor\n%s", code);
    zip_add(&b, "m/data.pkl", tree, sizeof tree - 1, NULL);
    zip_add(&b, "m/data/0", numbers, sizeof numbers, NULL);
    zip_add(&b, "m/code/__torch__.py", text.data, text.size, &(zip_lie){.deflate = true});
    zip_finish(&b, 3, "");
    *m = NULL;
    cvs_open_options options = {.limits = {.max_memory_bytes = 256 << 20}};
    cvs_status s = cvs_model_open_memory(b.out.data, b.out.size, "m.pt", &options, m, err);
    zip_free(&b);
    cvi_buf_free(&text);
    return s;
}

#define FORWARD "  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n"
#define CONV    "torch.conv2d(x, self.w, None, [1, 1], [1, 1], [1, 1], 1)"

static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *code, *sentence;
    } cases[] = {
        {FORWARD "    while True:\n      y = 1\n    return x\n", "too long"},
        {FORWARD "    return (self).forward(x, )\n", "too deeply"},
        {FORWARD "    return __import__(\"os\").system(\"touch convscope-was-here\")\n", "not understood"},
        {FORWARD "    return os.system(\"touch convscope-was-here\")\n", "not understood"},
        {FORWARD "    return open(\"/etc/passwd\")\n", "not understood"},
        {FORWARD "    return self.w[5]\n", "index"},
        {FORWARD "    y = [1, 2]\n    return y[2]\n", "beyond a list"},
        {FORWARD "    if torch.gt(" CONV ", 0):\n      y = x\n    else:\n      y = x\n    return y\n",
         "depends on numbers"},
        {FORWARD "    return 3\n", "no tensor"},
        {FORWARD "    ops.prim.RaiseException(\"told so\")\n    return x\n", "told so"},
        {FORWARD "    return lambda q: q\n", "not understood at"},
        {FORWARD "    import os\n    return x\n", "not understood at"},
        {FORWARD "    y = \"never ends\n    return y\n", "not understood at"},
        {FORWARD "    a, b, c = [1, 2]\n    return x\n", "unpacking"},
        {FORWARD "    y = torch.view(x, [99999999999, 99999999999])\n    return y\n", ""},
        {FORWARD
         "    y = torch.constant_pad_nd(x, [9223372036854775807, 9223372036854775807], 0.)\n    return y\n",
         ""},
        {"  def other(self) -> Tensor:\n    return self.w\n", "no forward"},
    };
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        cvs_model *m = NULL;
        cvs_error err = {0};
        cvs_status s = open_code(cases[i].code, &m, &err);
        if (s == CVS_OK || !err.message[0] || !strstr(err.message, cases[i].sentence)) {
            fail_msg("case %d: %s", i, s == CVS_OK ? "was opened" : err.message);
        }
    }
}

/* Brackets, attributes, sums and branches many thousand deep: refused, without the stack running out. */
static void deep(void **state) {
    (void)state;
    static const char *const open[] = {"(", "[", "self.", "-", "not ", "1 + ", "torch.relu("};
    for (int i = 0; i < CVI_COUNT(open); i++) {
        cvi_buf b = {0};
        cvi_buf_puts(&b, FORWARD "    y = ");
        for (int k = 0; k < 20000; k++) {
            cvi_buf_puts(&b, i == 2 && k > 0 ? "w." : open[i]);
        }
        cvi_buf_puts(&b, "x\n    return x\n");
        cvs_model *m = NULL;
        cvs_error err = {0};
        assert_int_not_equal(open_code(b.data, &m, &err), CVS_OK);
        cvi_buf_free(&b);
    }
    cvi_buf b = {0};
    cvi_buf_puts(&b, FORWARD);
    for (int k = 0; k < 300; k++) {
        cvi_buf_printf(&b, "%*sif True:\n", 4 + k, "");
    }
    cvi_buf_printf(&b, "%*sreturn x\n", 304, "");
    cvs_model *m = NULL;
    cvs_error err = {0};
    assert_int_not_equal(open_code(b.data, &m, &err), CVS_OK);
    cvi_buf_free(&b);
}

/* What PyTorch itself writes in odd places, and a call that nobody knows: it opens, is noted, and stops a run by name. */
static void understands(void **state) {
    (void)state;
    static const char *const codes[] = {
        FORWARD "    y = " CONV "\n    a, b = 1, 2\n    if torch.__isnot__(self.none, None):\n      z = y\n  "
                "  else:\n      z = torch.relu(y)\n"
                "    return z\n",
        FORWARD "    y = " CONV "\n    l = annotate(List[Tensor], [])\n    for i in range(3):\n      _0 = "
                "torch.append(l, torch.mul(y, 2.5))\n"
                "    return torch.cat(l, -3)\n",
        FORWARD "    y = " CONV "\n    n = ops.prim.NumToTensor(torch.size(y, 2))\n    z = torch.reshape(y, "
                "[int(n), -1])\n    return (z, {\"k\": z})\n",
        FORWARD "    y = unchecked_cast(Tensor, " CONV ")\n    return torch.add_(y, y, alpha=2)\n"};
    for (int i = 0; i < CVI_COUNT(codes); i++) {
        cvs_model *m = NULL;
        cvs_error err = {0};
        if (open_code(codes[i], &m, &err) != CVS_OK) {
            fail_msg("case %d: %s", i, err.message);
        }
        cvs_model_free(m);
    }
    cvs_model *m = NULL;
    cvs_error err = {0};
    assert_int_equal(open_code(FORWARD "    return torch.some_new_thing(" CONV ", 3)\n", &m, &err), CVS_OK);
    assert_true(m->n_notes == 1 && strstr(m->notes[0], "torch::some_new_thing"));
    cvs_model_free(m);
}

static void damaged(void **state) {
    (void)state;
    static const char seed[] =
        "class M(Module):\n" FORWARD "    y = " CONV "\n    z = torch.view(y, [torch.size(y, 0), 2, 2, -1])\n"
        "    if torch.eq(torch.dim(z), 4):\n      z = torch.mean(z, [2, 3], True)\n    else:\n      z = y\n  "
        "  return z\n";
    uint8_t copy[sizeof seed];
    memcpy(copy, seed, sizeof seed);
    for (size_t n = 0; n < sizeof seed; n++) {
        LLVMFuzzerTestOneInput(copy, n);
    }
    for (size_t bit = 0; bit < 8 * (sizeof seed - 1); bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        LLVMFuzzerTestOneInput(copy, sizeof seed - 1);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (int k = 0;; k++) {
        test_fail_from(k, -1);
        LLVMFuzzerTestOneInput(copy, sizeof seed - 1);
        bool failed = test_has_failed();
        cvi_set_hooks(NULL);
        if (!failed) {
            break;
        }
    }
}

/* ---- torch.export --------------------------------------------------------------------------------------------- */

static const char *const tensors[] = {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                      "fc1.weight",   "fc1.bias",   "fc2.weight",   "fc2.bias"};

#define TENSOR(name)  "{\"name\": \"t\", \"arg\": {\"as_tensor\": {\"name\": \"" name "\"}}, \"kind\": 1}"
#define INTS(numbers) "{\"name\": \"n\", \"arg\": {\"as_ints\": [" numbers "]}, \"kind\": 1}"
#define INT(number)   "{\"name\": \"i\", \"arg\": {\"as_int\": " number "}, \"kind\": 1}"
#define NODE(op, in, out, place)                                                                             \
    "{\"target\": \"torch.ops.aten." op "\", \"inputs\": [" in                                               \
    "], \"outputs\": [{\"as_tensor\": {\"name\": \"" out                                                     \
    "\"}}], \"metadata\": {\"nn_module_stack\": \"L__self__,,__main__.Small" place "\"}}"

static const char nodes[] =
    NODE("conv2d.default", TENSOR("x") ", " TENSOR("p0") ", " TENSOR("p1"), "a", ";L__self___conv1,conv1,torch.nn.modules.conv.Conv2d") ", " NODE(
        "relu.default", TENSOR("a"), "b",
        "") ", " NODE("max_pool2d.default", TENSOR("b") ", " INTS("2, 2") ", " INTS("2, 2"), "c",
                      "") ", " NODE("conv2d.default",
                                    TENSOR("c") ", " TENSOR("p2") ", " TENSOR("p3") ", " INTS(
                                        "1, 1") ", " INTS("0, 0") ", " INTS("1, 1") ", " INT("2"),
                                    "d",
                                    ";L__self___conv2,conv2,torch.nn.modules.conv.Conv2d") ", " NODE("relu."
                                                                                                     "defaul"
                                                                                                     "t",
                                                                                                     TENSOR(
                                                                                                         "d"),
                                                                                                     "e", "") ", " NODE("max_pool2d.default",
                                                                                                                        TENSOR("e") ", " INTS(
                                                                                                                            "2, 2"),
                                                                                                                        "f", "") ", " NODE("flatten.using_ints",
                                                                                                                                           TENSOR("f") ", " INT("1"), "g", "") ", " NODE("linear.default", TENSOR("g") ", " TENSOR("p4") ", " TENSOR("p5"), "h", ";L__self___fc1,fc1,torch.nn.modules.linear.Linear") ", " NODE("relu.default",
                                                                                                                                                                                                                                                                                                                                TENSOR("h"), "i", "") ", " NODE("linear.default", TENSOR("i") ", " TENSOR("p6") ", " TENSOR("p7"),
                                                                                                                                                                                                                                                                                                                                                                "j",
                                                                                                                                                                                                                                                                                                                                                                ";L__self___fc2,fc2,torch.nn.modules.linear.Linear");

static void put_sizes(cvi_buf *b, const cvs_tensor *t) {
    int64_t stride[CVS_MAX_RANK] = {0}, row = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        stride[i] = row;
        row *= t->dim[i];
    }
    for (int k = 0; k < 2; k++) {
        cvi_buf_puts(b, k ? "], \"strides\": [" : "\"sizes\": [");
        for (int i = 0; i < t->rank; i++) {
            cvi_buf_printf(b, "%s{\"as_int\": %lld}", i ? ", " : "", (long long)(k ? stride[i] : t->dim[i]));
        }
    }
    cvi_buf_puts(b, "], \"storage_offset\": {\"as_int\": 0}");
}

static void exported(void **state) {
    (void)state;
    char path[600], folder[256], file[400];
    cvs_model *m = NULL;
    cvs_error err = {0};
    zip_builder z = {0};
    cvi_buf json = {0}, config = {0};
    test_data(path, sizeof path, "torch", "state.pth");
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
    zip_add(&z, "archive/archive_format", "pt2", 3, NULL);
    cvi_buf_puts(&config, "{\"config\": {");
    cvi_buf_printf(&json,
                   "{\"graph_module\": {\"graph\": {\"inputs\": [], \"outputs\": [], \"nodes\": [%s], "
                   "\"tensor_values\": {\"x\": {\"dtype\": 7, "
                   "\"sizes\": [{\"as_expr\": {\"expr_str\": \"s0\", \"hint\": {\"as_int\": 2}}}, "
                   "{\"as_int\": 1}, {\"as_int\": 28}, "
                   "{\"as_int\": 28}]}}}, \"signature\": {\"input_specs\": [",
                   nodes);
    for (int i = 0; i < 8; i++) {
        char name[60];
        const cvs_tensor *t = m->graph->values[cvi_graph_find(m->graph, tensors[i])].constant;
        snprintf(name, sizeof name, "archive/data/weights/weight_%d", i);
        zip_add(&z, name, t->data, t->bytes, NULL);
        cvi_buf_printf(&config,
                       "%s\"%s\": {\"path_name\": \"weight_%d\", \"is_param\": true, \"use_pickle\": false, "
                       "\"tensor_meta\": {\"dtype\": 7, ",
                       i ? ", " : "", tensors[i], i);
        put_sizes(&config, t);
        cvi_buf_puts(&config, "}}");
        cvi_buf_printf(&json, "{\"parameter\": {\"arg\": {\"name\": \"p%d\"}, \"parameter_name\": \"%s\"}}, ",
                       i, tensors[i]);
    }
    cvi_buf_puts(&config, "}}");
    cvi_buf_puts(&json, "{\"user_input\": {\"arg\": {\"as_tensor\": {\"name\": \"x\"}}}}], \"output_specs\": "
                        "[{\"user_output\": {\"arg\": "
                        "{\"as_tensor\": {\"name\": \"j\"}}}}]}}, \"schema_version\": {\"major\": 8, "
                        "\"minor\": 8}, \"torch_version\": \"2.9.0\"}");
    zip_add(&z, "archive/data/weights/model_weights_config.json", config.data, config.size, NULL);
    zip_add(&z, "archive/models/model.json", json.data, json.size, NULL);
    zip_finish(&z, z.n, "");
    cvs_model_free(m);
    test_folder(folder);
    snprintf(file, sizeof file, "%s/small.pt2", folder);
    assert_int_equal(cvi_file_write(file, z.out.data, z.out.size, &err), CVS_OK);
    double d = difference(file, "small", 0);
    if (!(d < 1e-5)) {
        fail_msg("off by %g", d);
    }
    assert_int_equal(cvs_model_open(file, NULL, &m, &err), CVS_OK);
    assert_string_equal(m->producer, "torch.export 2.9.0");
    assert_true(cvi_graph_find(m->graph, "conv2") >= 0 && m->graph->values[m->graph->inputs[0]].dim[0] == -1);
    cvs_model_free(m);
    for (size_t n = 0; n < json.size; n += 3) {
        fuzz_pt2((const uint8_t *)json.data, n);
    }
    for (size_t bit = 0; bit < 8 * json.size; bit += 11) {
        json.data[bit / 8] = (char)(json.data[bit / 8] ^ (1 << bit % 8));
        fuzz_pt2((const uint8_t *)json.data, json.size);
        json.data[bit / 8] = (char)(json.data[bit / 8] ^ (1 << bit % 8));
    }
    for (int k = 0;; k++) {
        test_fail_from(k, -1);
        fuzz_pt2((const uint8_t *)json.data, json.size);
        bool failed = test_has_failed();
        cvi_set_hooks(NULL);
        if (!failed) {
            break;
        }
    }
    cvi_buf_free(&json);
    cvi_buf_free(&config);
    zip_free(&z);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_torch),    cmocka_unit_test(named),
                                       cmocka_unit_test(refuses),     cmocka_unit_test(deep),
                                       cmocka_unit_test(understands), cmocka_unit_test(exported),
                                       cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
