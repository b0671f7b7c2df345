/* SPDX-License-Identifier: MIT
 * test_draw_styles.c - the picture styles over nets, themes, pages and languages: the machine checks of every scene, the width of the
 * page, equal bytes twice, TikZ that a TeX takes (skipped where none is installed), and ConvNetDraw's scripts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "convscope/draw.h"
#include "draw/convnetdraw.h"
#include "draw/figure.h"
#include "draw/scene.h"
#include "draw/sketch.h"
#include "test_helpers.h"

static const char *const nets[] = {"lenet5",       "vgg16",       "resnet50", "inception_v3",
                                   "mobilenet_v2", "densenet121", "tiny_vgg"};
static const char *const styles[] = {"volume", "glyph", "lenet", "convnetdraw", "fc"};

static cvs_model *open_text(const char *text) {
    cvs_model *model = NULL;
    cvs_error err = {0};
    char line[900];
    if (cvs_model_open_memory(text, strlen(text), "text", NULL, &model, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, line, sizeof line));
    }
    return model;
}

static cvs_model *zoo(const char *name) {
    const char *root = getenv("CVS_SOURCE_ROOT");
    char path[600], line[900];
    cvs_model *model = NULL;
    cvs_error err = {0};
    snprintf(path, sizeof path, "%s/zoo/%s.net", root ? root : "..", name);
    if (cvs_model_open(path, NULL, &model, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, line, sizeof line));
    }
    return model;
}

static void check_one(const cvs_model *model, const char *name, const cvs_draw_options *o) {
    const cvs_draw_source source = {.model = model, .name = name};
    cvs_error err = {0};
    cvs_figure *figure = NULL;
    cvi_buf report = {0};
    char line[900];
    if (cvs_draw_architecture_figure(&source, 1, o, &figure, &err) != CVS_OK) {
        fail_msg("%s %s: %s", name, o->style, cvs_error_text(&err, line, sizeof line));
    }
    if (cvi_scene_check(figure->scene, &report) != 0) {
        fail_msg("%s %s fit %d theme %d lang %d: %s", name, o->style, o->fit, o->theme, o->lang, report.data);
    }
    double width = cvi_fit_width(o->fit);
    assert_true(width == 0.0 || figure->scene->width <= width + 0.01);
    cvs_figure_free(figure);
    cvi_buf_free(&report);
}

static void check_all(const cvs_model *model, const char *name) {
    for (int s = 0; s < CVI_COUNT(styles); s++) {
        for (int k = 0; k < 8; k++) {
            const cvs_draw_options o = {.style = styles[s],
                                        .theme = (cvs_theme)(k % 4),
                                        .fit = (cvs_fit)(k % 3),
                                        .lang = (cvs_lang)(k / 4),
                                        .cost = (cvs_cost)(k % 2)};
            check_one(model, name, &o);
        }
    }
}

static void scenes_hold_their_checks(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(nets); i++) {
        cvs_model *model = zoo(nets[i]);
        check_all(model, nets[i]);
        cvs_model_free(model);
    }
}

static const char unet[] =
    "name \"U<&\\\"_%$#{}\xE5\x8D\xB7\"\nblock double(c) {\n    conv $c k3 relu\n    conv $c k3 relu\n}\n"
    "input 1x64x64\ne1: double(8)\nd1: maxpool k2\ne2: double(16)\nd2: maxpool k2\ne3: double(32)\n"
    "u2: deconv 16 k2 s2\nc2: from u2,e2 concat\nf2: double(16)\nu1: deconv 8 k2 s2\n"
    "c1: from u1,e1 concat\nf1: double(8)\nout: conv 2 k1\n";

static void hostile_names_come_out_as_text(void **state) {
    (void)state;
    cvs_model *model = open_text(unet);
    check_all(model, "unet");
    cvs_model_free(model);
}

static char *encode(const cvs_model *model, const char *style, const char *extension) {
    const cvs_draw_source source = {.model = model, .name = "net"};
    const cvs_draw_options o = {.style = style};
    cvs_error err = {0};
    char *out = NULL, line[900];
    if (cvs_draw_architecture_memory(&source, 1, &o, extension, &out, NULL, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, line, sizeof line));
    }
    return out;
}

static void same_bytes_twice(void **state) {
    (void)state;
    cvs_model *model = zoo("resnet50");
    for (int s = 0; s < CVI_COUNT(styles); s++) {
        static const char *const extensions[] = {".svg", ".tex"};
        for (int e = 0; e < 2; e++) {
            char *a = encode(model, styles[s], extensions[e]), *b = encode(model, styles[s], extensions[e]);
            assert_string_equal(a, b);
            assert_non_null(strstr(a, e == 0 ? "<text" : "\\cvstext{"));
            cvs_free(a);
            cvs_free(b);
        }
    }
    cvs_model_free(model);
}

static void tex_takes_it(void **state) {
    (void)state;
    if (system("command -v pdflatex >/dev/null 2>&1") != 0) {
        print_message("skipped: pdflatex is not installed (texlive-latex-base, texlive-pictures)\n");
        skip();
    }
    char folder[256], command[700], path[300];
    test_folder(folder);
    cvs_model *model = open_text(unet);
    char *tex = encode(model, "volume", ".tex");
    snprintf(path, sizeof path, "%s/f.tex", folder);
    assert_int_equal(cvi_file_write(path, tex, strlen(tex), NULL), CVS_OK);
    snprintf(command, sizeof command,
             "cd %s && pdflatex -interaction=nonstopmode -halt-on-error f.tex >log 2>&1 && ! grep -q "
             "'^!\\|Overfull' log && "
             "test -s f.pdf",
             folder);
    assert_int_equal(system(command), 0);
    test_remove(folder);
    cvs_free(tex);
    cvs_model_free(model);
}

static void sizes_are_strictly_monotone(void **state) {
    (void)state;
    cvi_size_scale s = cvi_size_scale_for(1, 4096, 4, 30);
    assert_true(fabs(cvi_size_of(&s, 1) - 4) < 1e-9 && fabs(cvi_size_of(&s, 4096) - 30) < 1e-9);
    for (int v = 2; v <= 4096; v++) {
        assert_true(cvi_size_of(&s, v) > cvi_size_of(&s, v - 1));
    }
}

static void rails_never_coincide(void **state) {
    (void)state;
    cvi_rail r[] = {{.link = 0, .from = 0, .to = 9},
                    {.link = 1, .from = 2, .to = 5},
                    {.link = 2, .from = 4, .to = 7},
                    {.link = 3, .from = 7, .to = 9}};
    assert_int_equal(cvi_rail_levels(r, 4), 3);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) {
            bool share = r[i].from < r[j].to && r[j].from < r[i].to;
            assert_true(!share || r[i].level != r[j].level);
        }
    }
}

static void script_is(const char *text, int boxes, const char *message) {
    cvi_arch *a = NULL;
    cvs_error err = {0};
    cvs_status s = cvi_arch_from_convnetdraw(text, "s", CVS_EN, &a, &err);
    if (message == NULL) {
        assert_int_equal(s, CVS_OK);
        assert_int_equal(a->n_nodes, boxes);
    } else {
        assert_int_not_equal(s, CVS_OK);
        assert_non_null(strstr(err.message, message));
    }
    cvi_arch_free(a);
}

static void scripts_are_read_never_run(void **state) {
    (void)state;
    script_is("# x\n\nInput(28, 28, 1)\r\nCONV(24,24,8);\n mine ( 3 , 4 , 5 )", 3, NULL);
    script_is("input(28,28,1)\nconv(24,x,8)", 0, "line 2, column 9");
    script_is("input(28,28,1)\nconv(24,24)", 0, "line 2, column 11");
    script_is("input(28,28,1) alert(1)", 0, "line 1, column 16");
    script_is("input(28,28,0)", 0, "line 1, column 13");
    script_is("input(28,28,1+1)", 0, "line 1, column 14");
    assert_true(cvi_convnetdraw_match("# a\nconv(1,2,3)"));
    assert_false(cvi_convnetdraw_match("input 3x4x5\nconv 3 k3"));
    assert_false(cvi_convnetdraw_match(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_strictly_monotone),
        cmocka_unit_test(rails_never_coincide),
        cmocka_unit_test(scripts_are_read_never_run),
        cmocka_unit_test(same_bytes_twice),
        cmocka_unit_test(hostile_names_come_out_as_text),
        cmocka_unit_test(scenes_hold_their_checks),
        cmocka_unit_test(tex_takes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
