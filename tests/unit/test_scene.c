/* SPDX-License-Identifier: MIT
 * test_scene.c - the display list: its checks find what is wrong, widths are the font's, lines break where they may, colours
 * can be told apart, and the writers give well-formed, repeatable files of hostile words.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <zlib.h>

#include "draw/scene.h"
#include "draw/text_width.h"
#include "markup.h"

static const cvi_font plain = {.size = 10, .color = 0x000000FF};

static cvi_scene *page(void) {
    cvi_scene *s = cvi_scene_new(CVS_EN, CVS_LIGHT, "a \"page\" <1> & more");
    assert_non_null(s);
    cvi_scene_page(s, 200, 100);
    return s;
}

static int faults(cvi_scene *s) {
    int n = cvi_scene_check(s, NULL);
    cvi_scene_free(s);
    return n;
}

static void checks_find_faults(void **state) {
    (void)state;
    cvi_scene *s = page();
    cvi_draw_text(s, 10, 20, &plain, "one");
    cvi_draw_text(s, 10, 40, &plain, "two");
    assert_int_equal(faults(s), 0);
    s = page();
    cvi_draw_text(s, 10, 20, &plain, "one");
    cvi_draw_text(s, 12, 25, &plain, "two");
    assert_int_equal(faults(s), 1); /* overlap */
    s = page();
    cvi_draw_text(s, 180, 20, &plain, "leaves the page");
    assert_int_equal(faults(s), 1);
    s = page();
    cvi_draw_text(s, 10, 20, &(cvi_font){.size = 5.5, .color = 0xFF}, "tiny");
    assert_int_equal(faults(s), 1);
    s = page();
    cvi_draw_text(s, 10, 20, &plain, "covered");
    cvi_draw_rect(s, 0, 0, 50, 50, 0, &(cvi_paint){.fill = 0xFF0000FF});
    assert_int_equal(faults(s), 1);
    s = page();
    cvi_draw_rect(s, 0, 0, 50, 50, 0, &(cvi_paint){.fill = 0xFF0000FF});
    cvi_draw_text(s, 10, 20, &plain, "on top");
    assert_int_equal(faults(s), 0);
    s = page();
    cvi_group_begin(s, "open", NULL, NULL);
    assert_int_equal(faults(s), 1);
    s = page();
    cvi_draw_line(s, 10, 10, 300, 10, &(cvi_paint){.stroke = 0xFF, .width = 1});
    assert_int_equal(faults(s), 1);
}

static void rotated_text_is_a_rotated_box(void **state) {
    (void)state;
    cvi_font up = plain;
    up.angle = -45;
    cvi_scene *s = page();
    cvi_draw_text(s, 20, 90, &up, "diagonal words");
    cvi_draw_text(s, 20, 20, &plain, "free"); /* inside the bounding box, not in the box */
    assert_int_equal(faults(s), 0);
    s = page();
    cvi_draw_text(s, 20, 90, &up, "diagonal words");
    cvi_draw_text(s, 40, 70, &plain, "hit");
    assert_int_equal(faults(s), 1);
}

static void widths_are_the_fonts(void **state) {
    (void)state;
    assert_true(fabs(cvi_advance('M', false, false) - 1767.0 / 2048.0) < 1e-12);
    assert_true(fabs(cvi_advance('i', false, true) - 1233.0 / 2048.0) < 1e-12);
    assert_true(fabs(cvi_advance(0x7F51, true, true) - 1.0) < 1e-12); /* 网 */
    assert_true(cvi_advance('M', true, false) > cvi_advance('M', false, false));
    assert_true(cvi_advance(0x301, false, false) < 0.01); /* combining acute */
    assert_true(fabs(cvi_width_em("ab\xE7\xBD\x91", false, false) -
                     (cvi_advance('a', false, false) + cvi_advance('b', false, false) + 1.0)) < 1e-12);
    assert_true(cvi_width_em("\xFF\xC0\x80", false, false) > 0.0); /* broken bytes count as U+FFFD */
}

static void line_is(const char *text, double em, const char *first, const char *rest) {
    const char *next;
    size_t n = cvi_line_break(text, em, false, false, &next);
    assert_int_equal(n, strlen(first));
    assert_memory_equal(text, first, n);
    assert_string_equal(next, rest);
}

static void lines_break_where_they_may(void **state) {
    (void)state;
    line_is("one two three", 5.0, "one two", "three");
    line_is("one", 50.0, "one", "");
    line_is("incomprehensible", 3.1, "incom", "prehensible");
    line_is("\xE7\x89\xB9\xE5\xBE\x81\xE5\x9B\xBE", 2.0, "\xE7\x89\xB9\xE5\xBE\x81",
            "\xE5\x9B\xBE"); /* 特征图 */
    line_is("\xE7\x89\xB9\xE5\xBE\x81\xE3\x80\x82", 2.0, "\xE7\x89\xB9",
            "\xE5\xBE\x81\xE3\x80\x82"); /* no line begins with 。 */
    line_is("x", 0.0, "x", "");          /* at least one character */
}

static void wrapped_and_fitted_text_stays_inside(void **state) {
    (void)state;
    static const char *const names[] = {
        "conv_1_1",
        "a/very/long/path/of/scopes/that/never/ends/Conv2D_17:0",
        "\xE5\x8D\xB7\xE7\xA7\xAF\xE5\xB1\x82\xE7\x9A\x84\xE5\x90\x8D\xE5\xAD\x97\xE5\xBE\x88\xE9\x95\xBF",
        "\x01\x02<b>&\"'\xFF\xFE]]>",
        "\xE2\x80\xAE rtl",
        ""};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        for (double max = 8; max < 150; max += 17) {
            cvi_scene *s = page();
            double w = cvi_draw_text_fit(s, 20, 20, max, &plain, names[i]);
            assert_true(w <= max + 1e-6);
            int lines = cvi_draw_text_wrap(s, 20, 40, max + 10, 11, 3, &plain, names[i]);
            assert_in_range(lines, 0, 3);
            cvi_scene_page(s, 20 + max + 10.5, 100);
            assert_int_equal(faults(s), 0);
        }
    }
}

static void cleaning_drops_what_could_hide(void **state) {
    (void)state;
    char out[64];
    assert_int_equal(cvi_text_clean("a\x01\nb\xE2\x80\xAE\xFF", out), 6);
    assert_string_equal(out, "a b\xEF\xBF\xBD");
}

static void themes_are_readable(void **state) {
    (void)state;
    for (int k = CVS_LIGHT; k <= CVS_BLACK_WHITE; k++) {
        const cvi_theme *t = cvi_theme_get((cvs_theme)k);
        assert_int_equal(t->kind, k);
        static const int texts[] = {CVI_INK, CVI_MUTED, CVI_ACCENT, CVI_WARNING, CVI_MARK};
        for (int i = 0; i < CVI_COUNT(texts); i++) {
            assert_true(cvi_contrast(t->role[texts[i]], t->role[CVI_PAGE]) >= 4.5);
            assert_true(cvi_contrast(t->role[texts[i]], t->role[CVI_PANEL]) >= 4.5);
        }
        for (int i = 0; i < CVI_N_CLASSES; i++) {
            assert_true(cvi_contrast(t->role[CVI_INK], t->look[i].fill) >= 4.5);
            assert_true(cvi_contrast(t->look[i].edge, t->look[i].fill) >= 4.5);
            const char *v = cvi_theme_variable(t, t->look[i].fill),
                       *e = cvi_theme_variable(t, t->look[i].edge);
            assert_non_null(strstr(v, "-FILL")); /* fails when two colours are equal */
            assert_non_null(strstr(e, "-EDGE"));
        }
    }
}

/* ---- colour vision: Machado, Oliveira and Fernandes 2009, severity 1, on linear light; then CIELAB ----- */

static double linear_light(double u) {
    return u <= 0.04045 ? u / 12.92 : pow((u + 0.055) / 1.055, 2.4);
}

static double lab_root(double t) {
    return t > 0.008856 ? cbrt(t) : 7.787 * t + 16.0 / 116.0;
}

static void seen_as(cvi_color c, int vision, double lab[3]) {
    static const double seen[4][9] = {
        {1, 0, 0, 0, 1, 0, 0, 0, 1},
        {0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998},
        {0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881},
        {1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900}};
    double v[3], w[3];
    for (int i = 0; i < 3; i++) {
        v[i] = linear_light((double)(c >> (24 - 8 * i) & 0xFF) / 255.0);
    }
    for (int i = 0; i < 3; i++) {
        const double *m = &seen[vision][3 * i];
        w[i] = fmin(fmax(m[0] * v[0] + m[1] * v[1] + m[2] * v[2], 0.0), 1.0);
    }
    double x = lab_root((0.4124 * w[0] + 0.3576 * w[1] + 0.1805 * w[2]) / 0.95047),
           y = lab_root(0.2126 * w[0] + 0.7152 * w[1] + 0.0722 * w[2]),
           z = lab_root((0.0193 * w[0] + 0.1192 * w[1] + 0.9505 * w[2]) / 1.08883);
    lab[0] = 116 * y - 16;
    lab[1] = 500 * (x - y);
    lab[2] = 200 * (y - z);
}

static void classes_differ_for_every_eye(void **state) {
    (void)state;
    const cvi_theme *t = cvi_theme_get(CVS_COLOR_BLIND), *bw = cvi_theme_get(CVS_BLACK_WHITE);
    for (int a = 0; a < CVI_N_CLASSES; a++) {
        for (int b = 0; b < a; b++) {
            double least = HUGE_VAL;
            for (int vision = 0; vision < 4; vision++) {
                double p[3], q[3];
                seen_as(t->look[a].fill, vision, p);
                seen_as(t->look[b].fill, vision, q);
                least = fmin(least, hypot(hypot(p[0] - q[0], p[1] - q[1]), p[2] - q[2]));
            }
            assert_true(least >= (t->look[a].hatch == t->look[b].hatch ? 12.0 : 7.0));
            double p[3], q[3];
            seen_as(bw->look[a].fill, 0, p);
            seen_as(bw->look[b].fill, 0, q);
            assert_true(bw->look[a].hatch != bw->look[b].hatch || fabs(p[0] - q[0]) >= 5.0);
            assert_true(fabs(q[1]) < 0.5 && fabs(q[2]) < 0.5); /* grey */
        }
    }
}

static double lightness(cvi_color c) {
    return cvi_contrast(c, 0x000000FF);
}

static void colour_maps_rise(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        const cvi_theme *t = cvi_theme_get(k == 0 ? CVS_LIGHT : CVS_DARK);
        for (int i = 1; i < 256; i++) {
            assert_true(lightness(t->sequential[i]) >= lightness(t->sequential[i - 1]) * 0.999);
        }
        cvi_color zero = t->diverging[128];
        int r = (int)(zero >> 24), b = (int)(zero >> 8 & 0xFF);
        assert_in_range(r - b + 2, 0, 4); /* neutral */
        assert_true(cvi_contrast(t->diverging[0], zero) > 5.0);
        assert_true(cvi_contrast(t->diverging[255], zero) > 5.0);
    }
    assert_int_equal(cvi_map_diverging(0.0F, 1.0F), 128);
    assert_int_equal(cvi_map_diverging(-1.0F, 1.0F), 0);
    assert_int_equal(cvi_map_diverging(9.0F, 1.0F), 255);
    assert_int_equal(cvi_map_diverging(NAN, 1.0F), 128);
    assert_int_equal(cvi_map_sequential(1.0F, 0.0F, 1.0F), 255);
    assert_int_equal(cvi_map_sequential(NAN, 0.0F, 1.0F), 0);
    assert_int_equal(cvi_map_sequential(1.0F, 1.0F, 1.0F), 0);
}

/* ---- writers ------------------------------------------------------------------------------------------- */

static cvi_scene *everything(void) {
    cvi_scene *s = page();
    cvi_paint box = {.fill = 0xFFCC00FF,
                     .stroke = 0x333333FF,
                     .width = 0.8,
                     .dash = {2, 1},
                     .hatch = CVI_HATCH_CROSS,
                     .round = true};
    cvi_group_begin(s, "a/b <c>", "tool & tip", NULL);
    cvi_draw_rect(s, 5, 5, 60, 30, 4, &box);
    cvi_group_end(s);
    cvi_group_begin(s, "a/b <c>", NULL, "#there");
    cvi_draw_circle(s, 100, 20, 10, &box);
    cvi_group_end(s);
    cvi_path_begin(s);
    cvi_path_move(s, 120, 10);
    cvi_path_curve(s, 130, 10, 130, 30, 150, 30);
    cvi_path_close(s);
    cvi_path_end(s, &box);
    cvi_draw_arrow_head(s, 190, 20, 1, 0, 6, 0xFF);
    cvi_font f = {
        .size = 7, .bold = true, .mono = true, .color = 0x112233FF, .anchor = CVI_MIDDLE, .angle = -30};
    cvi_draw_text(s, 100, 60, &f, "<&\"'> \xE5\x9B\xBE \x07 ]]>");
    cvi_color palette[256] = {0x00000000, 0xFF0000FF, 0x00FF0080};
    uint8_t *p = cvi_draw_image(s, 5, 50, 40, 40, 4, 4, 1, palette, false);
    for (int i = 0; i < 16; i++) {
        p[i] = (uint8_t)(i % 3);
    }
    uint8_t *q = cvi_draw_image(s, 150, 50, 40, 40, 2, 2, 3, NULL, true);
    memset(q, 200, 12);
    return s;
}

static void svg_is_well_formed_and_repeatable(void **state) {
    (void)state;
    cvi_scene *s = everything();
    cvi_buf a = {0}, b = {0}, c = {0};
    assert_int_equal(cvi_scene_svg(s, NULL, &a, NULL), CVS_OK);
    assert_int_equal(cvi_scene_svg(s, NULL, &b, NULL), CVS_OK);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    assert_well_formed(a.data);
    assert_non_null(strstr(a.data, "viewBox=\"0 0 200 100\""));
    assert_non_null(strstr(a.data, "role=\"img\""));
    assert_non_null(strstr(a.data, "textLength"));
    assert_non_null(strstr(a.data, "&lt;&amp;&quot;&#39;&gt;"));
    assert_null(strstr(a.data, "\x07"));
    assert_null(strstr(a.data, "<c>"));
    assert_int_equal(strstr(strstr(a.data, " id=\"") + 5, " id=\"") == NULL, 0);
    cvi_svg_options o = {.id_prefix = "x-", .variables = true, .embedded = true};
    assert_int_equal(cvi_scene_svg(s, &o, &c, NULL), CVS_OK);
    assert_well_formed(c.data);
    assert_null(strstr(c.data, "<?xml"));
    assert_non_null(strstr(c.data, "id=\"x-"));
    cvi_buf_free(&a);
    cvi_buf_free(&b);
    cvi_buf_free(&c);
    cvi_scene_free(s);
}

static void painted_twice_is_the_same(void **state) {
    (void)state;
    cvi_scene *s = everything();
    cvs_tensor a = {0}, b = {0};
    assert_int_equal(cvi_scene_paint(s, 3, &a, NULL), CVS_OK);
    assert_int_equal(cvi_scene_paint(s, 3, &b, NULL), CVS_OK);
    assert_int_equal(a.dim[0], 300);
    assert_int_equal(a.dim[1], 600);
    assert_memory_equal(a.data, b.data, a.bytes);
    const uint8_t *p =
        a.data; /* nearest neighbour: pixel 1 of the indexed picture is pure red in its middle */
    const uint8_t *red = p + ((50 * 3 + 15) * 600 + (5 + 15) * 3) * 3;
    assert_int_equal(red[0], 255);
    assert_int_equal(red[1], 0);
    cvs_tensor_free(&a);
    cvs_tensor_free(&b);
    cvi_buf pdf[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cvi_scene_pdf(s, 0, &pdf[i], NULL), CVS_OK);
        assert_memory_equal(pdf[i].data, "%PDF-", 5);
    }
    assert_int_equal(pdf[0].size, pdf[1].size);
    assert_memory_equal(pdf[0].data, pdf[1].data, pdf[0].size);
    cvi_buf_free(&pdf[0]);
    cvi_buf_free(&pdf[1]);
    cvi_scene_page(s, 1e6, 10);
    cvs_error err = {0};
    assert_int_equal(cvi_scene_paint(s, 3, &a, &err), CVS_E_LIMIT);
    cvi_scene_free(s);
}

static void indexed_png_is_read_back(void **state) {
    (void)state;
    uint8_t pixels[35];
    cvi_color palette[256];
    for (int i = 0; i < 256; i++) {
        palette[i] = (uint32_t)i << 24 | (uint32_t)(255 - i) << 16 | 0x40FF;
    }
    for (int i = 0; i < 35; i++) {
        pixels[i] = (uint8_t)(i * 7);
    }
    cvi_buf out = {0};
    assert_int_equal(cvi_png8_encode(pixels, 7, 5, palette, &out, NULL), CVS_OK);
    cvs_tensor t = {0};
    assert_int_equal(cvs_image_decode(out.data, out.size, "test.png", NULL, &t, NULL), CVS_OK);
    assert_int_equal(t.dim[0], 5);
    assert_int_equal(t.dim[1], 7);
    for (int i = 0; i < 35; i++) {
        assert_int_equal(((uint8_t *)t.data)[3 * i], pixels[i]);
        assert_int_equal(((uint8_t *)t.data)[3 * i + 1], 255 - pixels[i]);
        assert_int_equal(((uint8_t *)t.data)[3 * i + 2], 0x40);
    }
    cvs_tensor_free(&t);
    cvi_buf_free(&out);
}

static void unknown_extension_is_said(void **state) {
    (void)state;
    cvs_error err = {0};
    assert_int_equal(cvi_check_figure_path("x.gif", &err), CVS_E_ARGUMENT);
    assert_non_null(strstr(err.message, ".svg"));
    assert_non_null(strstr(err.message, ".png"));
}

typedef struct countdown {
    int64_t left;
} countdown;

static bool fail_at(void *context, size_t bytes) {
    (void)bytes;
    return ((countdown *)context)->left-- == 0;
}

static void no_allocation_is_taken_for_granted(void **state) {
    (void)state;
    for (int64_t k = 0; k < 60; k++) {
        countdown c = {k};
        cvi_hooks hooks = {.fail_alloc = fail_at, .context = &c};
        cvi_set_hooks(&hooks);
        cvi_scene *s = cvi_scene_new(CVS_EN, CVS_LIGHT, "t");
        cvs_status status = CVS_E_MEMORY;
        if (s != NULL) {
            cvi_scene_page(s, 100, 100);
            cvi_draw_text_fit(s, 5, 20, 40, &plain, "long enough to be shortened");
            cvi_draw_text_wrap(s, 5, 40, 40, 12, 0, &plain, "long enough to be broken into lines");
            uint8_t *p = cvi_draw_image(s, 5, 50, 10, 10, 2, 2, 1, s->theme->sequential, false);
            (void)p;
            cvi_buf out = {0};
            status = cvi_scene_svg(s, NULL, &out, NULL);
            cvi_buf_free(&out);
        }
        cvi_set_hooks(NULL);
        cvi_scene_free(s);
        assert_true(status == CVS_E_MEMORY || c.left >= 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_find_faults),
        cmocka_unit_test(rotated_text_is_a_rotated_box),
        cmocka_unit_test(widths_are_the_fonts),
        cmocka_unit_test(lines_break_where_they_may),
        cmocka_unit_test(wrapped_and_fitted_text_stays_inside),
        cmocka_unit_test(cleaning_drops_what_could_hide),
        cmocka_unit_test(themes_are_readable),
        cmocka_unit_test(classes_differ_for_every_eye),
        cmocka_unit_test(colour_maps_rise),
        cmocka_unit_test(svg_is_well_formed_and_repeatable),
        cmocka_unit_test(painted_twice_is_the_same),
        cmocka_unit_test(indexed_png_is_read_back),
        cmocka_unit_test(unknown_extension_is_said),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
