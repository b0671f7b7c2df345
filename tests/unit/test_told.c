/* SPDX-License-Identifier: MIT
 * test_told.c - class names and preprocessing where other libraries keep them: Python's literals, metadata of exporters, config.json and
 * preprocessor_config.json of hubs. What is damaged is noted, what is not understood is left alone, a side file has the last word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "convscope/model.h"
#include "formats/told.h"
#include "test_helpers.h"

static char folder[256];

static void put(const char *name, const char *text) {
    char path[600];
    cvs_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(cvi_file_write(path, text, strlen(text), &err));
}

static int make_folder(void **state) {
    (void)state;
    test_folder(folder);
    put("m.net", "input 3x8x8\nconv 4 k3\ngap\nfc 3\n");
    return 0;
}

static int drop_folder(void **state) {
    (void)state;
    test_remove(folder);
    return 0;
}

/* ---- literals --------------------------------------------------------------------------------------------------- */

static void literals_become_json(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"{0: 'person', 1: \"it's\", 2: 'a \"b\"', }",
         "{\"0\":\"person\",\"1\":\"it's\",\"2\":\"a \\\"b\\\"\"}"},
        {"('a', (1, 2.5), [None, True, -3])", "[\"a\",[1,2.5],[null,true,-3]]"},
        {"{'x', 'y'}", "[\"x\",\"y\"]"},
        {" {} ", "{}"},
        {"'\\x41\\u00e9\\n\\''", "\"Aé\\n'\""},
        {"{'imgsz': [640, 640], 'names': {0: 'ok'}}", "{\"imgsz\":[640,640],\"names\":{\"0\":\"ok\"}}"},
        {"__import__('os').system('x')", NULL},
        {"{'a': 1 + 1}", NULL},
        {"{'a': f(2)}", NULL},
        {"{1: 2, 3}", NULL},
        {"{1, 2: 3}", NULL},
        {"{'a': 1, 'a': 2}", NULL},
        {"[1, 2", NULL},
        {"'open", NULL},
        {"'a\nb'", NULL},
        {"{{}: 1}", NULL},
        {"[1] 2", NULL},
        {"", NULL},
        {"[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", NULL},
    };
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        cvs_error err = {0};
        json_t *json = NULL;
        OK(cvi_python_literal(rows[i][0], strlen(rows[i][0]), &json, &err));
        char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        if (rows[i][1] == NULL) {
            assert_null(text);
        } else {
            assert_non_null(text);
            assert_string_equal(text, rows[i][1]);
        }
        free(text);
        json_decref(json);
    }
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static cvs_model *plain_model(void) {
    char path[600];
    snprintf(path, sizeof path, "%s/m.net", folder);
    return test_open(path);
}

static void names_come_in_many_forms(void **state) {
    (void)state;
    static const struct {
        const char *json, *last; /* NULL: no names */
    } rows[] = {
        {"[\"a\",\"b\",\"c\"]", "c"},
        {"{\"0\":\"a\",\"2\":\"c\",\"1\":\"b\"}", "c"},
        {"{\"c\":2,\"a\":0,\"b\":1}", "c"},
        {"[{\"id\":1,\"name\":\"a\"},{\"id\":2,\"name\":\"b\"}]", "b"},
        {"{\"0\":[\"n1\",\"a\"],\"1\":[\"n2\",\"b\"]}", "b"},
        {"{\"0\":\"LABEL_0\",\"1\":\"LABEL_1\"}", NULL},
        {"{\"a\":0,\"b\":2}", NULL},
        {"{\"a\":1,\"b\":1}", NULL},
        {"{\"a\":-1,\"b\":0}", NULL},
        {"{\"1\":\"a\",\"2\":\"b\"}", NULL},
        {"{\"0\":\"a\",\"00\":\"b\"}", NULL},
        {"{\"0\":\"a\",\"99999999999999999999\":\"b\"}", NULL},
        {"[3,1,2]", NULL},
        {"[[],[]]", NULL},
        {"[]", NULL},
        {"7", NULL},
    };
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        cvs_error err = {0};
        json_t *json = NULL;
        bool taken = false;
        cvs_model *m = plain_model();
        cvs_model_info info;
        OK(cvi_json_parse(rows[i].json, strlen(rows[i].json), &json, &err));
        OK(cvi_told_classes(m, json, "here", &taken, &err));
        cvs_model_describe(m, &info);
        assert_int_equal(taken, rows[i].last != NULL);
        assert_int_equal(info.n_classes > 0, taken);
        if (taken) {
            assert_string_equal(info.classes[info.n_classes - 1], rows[i].last);
            assert_string_equal(info.classes_from, "here");
        }
        json_decref(json);
        cvs_model_free(m);
    }
}

static void exporters_tell_in_metadata(void **state) {
    (void)state;
    static const struct {
        const char *text, *first; /* NULL: no classes */
        cvs_resize resize;
        double scale, mean;
        int notes;
        int64_t side;
    } rows[] = {
        {"{\"author\":\"Ultralytics\",\"task\":\"classify\",\"imgsz\":[64,64],\"names\":{\"0\":\"u\",\"1\":"
         "\"v\"}}",
         "u", CVS_RESIZE_SHORTER, 0, 0, 0, 64},
        {"{'author': 'Ultralytics', 'task': 'detect', 'imgsz': [320, 320], 'names': {0: 'u', 1: 'v'}}", NULL,
         CVS_RESIZE_LETTERBOX, 0, 0, 1, 320},
        {"{'stride': 32, 'names': ['u', 'v'], 'shape': (1, 3, 96, 96)}", "u", CVS_RESIZE_SHORTER, 1.0 / 255,
         0.485, 0, 96},
        {"{\"Image.BitmapPixelFormat\":\"Bgr8\",\"Image.NominalPixelRange\":\"Normalized_1_1\"}", NULL,
         CVS_RESIZE_SHORTER, 1 / 127.5, 1, 0, 0},
        {"{\"labels\":\"u, v,w\"}", "u", CVS_RESIZE_SHORTER, 0, 0, 0, 0},
        {"{\"class_names\":\"['u', 'v']\"}", "u", CVS_RESIZE_SHORTER, 0, 0, 0, 0},
        {"{\"id2label\":\"{\\\"0\\\":\\\"u\\\"}\"}", "u", CVS_RESIZE_SHORTER, 0, 0, 0, 0},
        {"{\"names\":\"one\"}", NULL, CVS_RESIZE_SHORTER, 0, 0, 0, 0},
        {"{'author': 'Ultralytics', 'names': os.system('x')}", NULL, CVS_RESIZE_SHORTER, 0, 0, 0, 0},
        {"nothing", NULL, CVS_RESIZE_SHORTER, 0, 0, 0, 0},
    };
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        cvs_error err = {0};
        int64_t side = -1;
        cvs_model *m = plain_model();
        cvs_model_info info;
        OK(cvi_told_text(m, rows[i].text, strlen(rows[i].text), &side, &err));
        cvs_model_describe(m, &info);
        assert_int_equal(side, rows[i].side);
        assert_int_equal(info.n_classes > 0, rows[i].first != NULL);
        assert_int_equal(info.n_notes, rows[i].notes);
        assert_int_equal(info.preprocess->resize, rows[i].resize);
        assert_float_equal(info.preprocess->scale, rows[i].scale, 1e-12);
        assert_float_equal(info.preprocess->mean[0], rows[i].mean, 1e-12);
        if (rows[i].first) {
            assert_string_equal(info.classes[0], rows[i].first);
        }
        cvs_model_free(m);
    }
}

/* ---- hubs ------------------------------------------------------------------------------------------------------- */

/* Opens m.net (or the folder) beside the two files; the text of its preprocessing and of its first class, "" where it has none. */
static void opened(const char *config, const char *preprocessor, const char *pictures, const char *class,
                   int notes) {
    char path[600], text[300] = "";
    cvs_model *m = NULL;
    cvs_model_info info;
    cvs_error err = {0};
    put("config.json", config);
    put("preprocessor_config.json", preprocessor);
    snprintf(path, sizeof path, "%s/m.net", folder);
    OK(cvs_model_open(path, NULL, &m, &err));
    cvs_model_describe(m, &info);
    if (info.preprocess->known) {
        cvs_preprocess_text(info.preprocess, text, sizeof text);
    }
    assert_string_equal(text, pictures);
    assert_string_equal(info.n_classes > 0 ? info.classes[0] : "", class);
    assert_int_equal(info.n_notes, notes);
    cvs_model_free(m);
}

static void hubs_tell_beside_the_weights(void **state) {
    (void)state;
    static const char named[] =
        "{\"model_type\":\"resnet\",\"id2label\":{\"0\":\"u\",\"1\":\"v\",\"2\":\"w\"}}";
    static const char norm[] =
        "resize=shorter,size=256,order=rgb,scale=1/255,mean=0.5:0.4:0.3,std=0.2:0.25:0.5";
#define NORM "\"image_mean\":[0.5,0.4,0.3],\"image_std\":[0.2,0.25,0.5]"
    opened("{}", "{}", "", "", 0);
    opened(named, "{" NORM ",\"size\":224,\"crop_pct\":0.875}", norm, "u", 0);
    opened(named,
           "{" NORM ",\"size\":{\"shortest_edge\":256},\"crop_size\":{\"height\":224,\"width\":224},"
           "\"do_center_crop\":true}",
           norm, "u", 0);
    opened(
        "{\"architecture\":\"resnet18\",\"label_names\":[\"n0\",\"n1\",\"n2\"],\"label_descriptions\":{"
        "\"n0\":"
        "\"fish\"},\"pretrained_cfg\":{\"input_size\":[3,224,224],\"crop_pct\":0.875,\"mean\":[0.5,0.4,0.3],"
        "\"std\":[0.2,0.25,0.5]}}",
        "{}", norm, "fish", 0);
    opened(named, "{" NORM ",\"size\":{\"height\":8,\"width\":8},\"include_top\":true}",
           "resize=stretch,order=rgb,scale=1/255,mean=0.5:0.4:0.3,std=0.04000000000000001:0.0625:0.25", "u",
           0);
    opened(named, "{\"do_normalize\":false,\"do_flip_channel_order\":true,\"size\":{\"shortest_edge\":288}}",
           "resize=shorter,size=288,order=bgr,scale=1/255", "u", 0);
#undef NORM
}

static void damage_beside_the_weights_is_noted(void **state) {
    (void)state;
    opened("{\"id2label\":", "[1]", "", "", 2);
    opened("{\"id2label\":{\"0\":\"u\",\"1\":\"v\"}}", "{}", "", "", 1); /* two names, three outputs */
    opened("{\"id2label\":7,\"pretrained_cfg\":[],\"label_names\":{\"a\":{}}}",
           "{\"image_mean\":[0.5],\"image_std\":[0],\"size\":{\"height\":-1}}", "", "", 0);
    opened("{\"other\":1}", "{\"image_mean\":[1e300],\"image_std\":[1]}", "", "", 0);
    char path[600], target[600];
    snprintf(path, sizeof path, "%s/config.json", folder);
    snprintf(target, sizeof target, "%s/../elsewhere.json", folder);
    put("../elsewhere.json", "{\"id2label\":{\"0\":\"u\",\"1\":\"v\",\"2\":\"w\"}}");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("../elsewhere.json", path), 0);
    snprintf(path, sizeof path, "%s/m.net", folder);
    cvs_model *m = test_open(path);
    cvs_model_info info;
    cvs_model_describe(m, &info);
    assert_int_equal(info.n_classes, 0);
    assert_int_equal(info.n_notes, 1);
    cvs_model_free(m);
    assert_int_equal(unlink(target), 0);
}

static void a_side_file_has_the_last_word(void **state) {
    (void)state;
    put("m.convscope.json", "{\"preprocess\":\"tf\",\"classes\":[\"x\",\"y\",\"z\"]}");
    opened("{\"id2label\":{\"0\":\"u\",\"1\":\"v\",\"2\":\"w\"}}",
           "{\"size\":8,\"image_mean\":0.5,\"image_std\":0.5}",
           "resize=shorter,order=rgb,scale=0.00784313725490196,mean=1:1:1:1", "x", 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_become_json),
        cmocka_unit_test_setup_teardown(names_come_in_many_forms, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(exporters_tell_in_metadata, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(hubs_tell_beside_the_weights, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(damage_beside_the_weights_is_noted, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_side_file_has_the_last_word, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
