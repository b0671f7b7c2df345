/* SPDX-License-Identifier: MIT
 * theme.c - the four themes and the colour maps, from theme.def, theme_print.def and colormap.def.
 */
#include "draw/theme.h"
#include "ops/op.h"

#include <math.h>

#define CVI_RGB(hex)              ((cvi_color)0x##hex << 8 | 0xFFu),
#define CVI_COLORMAP(name, table) static const cvi_color map_##name[256] = {table};
#include "colormap.def"
#undef CVI_COLORMAP
#undef CVI_RGB

/* One list of classes for operators and for colours. */
_Static_assert((int)CVI_CLASS_UNKNOWN == (int)CVI_GLYPH_UNKNOWN &&
                   (int)CVI_CLASS_DENSE == (int)CVI_GLYPH_DENSE &&
                   (int)CVI_CLASS_SHAPE == (int)CVI_GLYPH_SHAPE,
               "theme.def follows cvi_glyph");

#define RGB(hex) ((cvi_color)0x##hex << 8 | 0xFFu)

static const cvi_theme light = {
    .kind = CVS_LIGHT,
    .role =
        {
#define CVI_ROLE(name, light_, dark_) RGB(light_),
#define CVI_CLASS(name, lf, le, df, de, hatch_, text)
#include "theme.def"
#undef CVI_ROLE
#undef CVI_CLASS
        },
    .look =
        {
#define CVI_ROLE(name, light_, dark_)
#define CVI_CLASS(name, lf, le, df, de, hatch_, text) {RGB(lf), RGB(le), CVI_HATCH_##hatch_, text},
#include "theme.def"
#undef CVI_ROLE
#undef CVI_CLASS
        },
    .sequential = map_SEQUENTIAL,
    .diverging = map_DIVERGING_LIGHT,
};

static const cvi_theme dark = {
    .kind = CVS_DARK,
    .role =
        {
#define CVI_ROLE(name, light_, dark_) RGB(dark_),
#define CVI_CLASS(name, lf, le, df, de, hatch_, text)
#include "theme.def"
#undef CVI_ROLE
#undef CVI_CLASS
        },
    .look =
        {
#define CVI_ROLE(name, light_, dark_)
#define CVI_CLASS(name, lf, le, df, de, hatch_, text) {RGB(df), RGB(de), CVI_HATCH_##hatch_, text},
#include "theme.def"
#undef CVI_ROLE
#undef CVI_CLASS
        },
    .sequential = map_SEQUENTIAL,
    .diverging = map_DIVERGING_DARK,
};

/* ---- for print: the light roles with safe colours, and greys --------------------------------------------- */

static const cvi_theme color_blind = {
    .kind = CVS_COLOR_BLIND,
    .hatched = true,
#define CVI_ROLE(name, light_, dark_)               .role[CVI_##name] = RGB(light_),
#define CVI_CLASS(id, lf, le, df, de, hatch_, text) .look[CVI_CLASS_##id].name = (text),
#define CVI_PRINT_ROLE(name, bw)
#define CVI_PRINT(name, sf, se, sh, bf, be, bh)                                                              \
    .look[CVI_CLASS_##name].fill = RGB(sf), .look[CVI_CLASS_##name].edge = RGB(se),                          \
    .look[CVI_CLASS_##name].hatch = CVI_HATCH_##sh,
#include "theme.def"
#include "theme_print.def"
#undef CVI_PRINT_ROLE
#undef CVI_PRINT
#undef CVI_ROLE
    .sequential = map_SEQUENTIAL,
    .diverging = map_DIVERGING_LIGHT,
};

#define GREY(v)   ((cvi_color)(v)*0x01010100u | 0xFFu)
#define GREY4(v)  GREY(v), GREY((v) + 1), GREY((v) + 2), GREY((v) + 3)
#define GREY16(v) GREY4(v), GREY4((v) + 4), GREY4((v) + 8), GREY4((v) + 12)
#define GREY64(v) GREY16(v), GREY16((v) + 16), GREY16((v) + 32), GREY16((v) + 48)
static const cvi_color map_GREYS[256] = {GREY64(0), GREY64(64), GREY64(128), GREY64(192)};

static const cvi_theme black_white = {
    .kind = CVS_BLACK_WHITE,
    .hatched = true,
#define CVI_ROLE(name, light_, dark_)
#define CVI_PRINT_ROLE(name, bw) .role[CVI_##name] = RGB(bw),
#define CVI_PRINT(name, sf, se, sh, bf, be, bh)                                                              \
    .look[CVI_CLASS_##name].fill = RGB(bf), .look[CVI_CLASS_##name].edge = RGB(be),                          \
    .look[CVI_CLASS_##name].hatch = CVI_HATCH_##bh,
#include "theme.def"
#include "theme_print.def"
#undef CVI_ROLE
#undef CVI_CLASS
#undef CVI_PRINT_ROLE
#undef CVI_PRINT
    .sequential = map_GREYS,
    .diverging = map_DIVERGING_LIGHT,
};

/* Variable names in the order of the tables: roles, then fill and edge of each class. */
static const char *const role_names[] = {
#define CVI_ROLE(name, light_, dark_) "cvs-" #name,
#define CVI_CLASS(name, lf, le, df, de, hatch_, text)
#include "theme.def"
#undef CVI_ROLE
#undef CVI_CLASS
};

static const char *const class_names[][2] = {
#define CVI_ROLE(name, light_, dark_)
#define CVI_CLASS(name, lf, le, df, de, hatch_, text) {"cvs-" #name "-FILL", "cvs-" #name "-EDGE"},
#include "theme.def"
#undef CVI_ROLE
#undef CVI_CLASS
};

const cvi_theme *cvi_theme_get(cvs_theme kind) {
    return kind == CVS_DARK          ? &dark
           : kind == CVS_COLOR_BLIND ? &color_blind
           : kind == CVS_BLACK_WHITE ? &black_white
                                     : &light;
}

const char *cvi_theme_variable(const cvi_theme *theme, cvi_color color) {
    for (int i = 0; i < CVI_N_THEME_ROLES; i++) {
        if (theme->role[i] == color) {
            return role_names[i];
        }
    }
    for (int i = 0; i < CVI_N_CLASSES; i++) {
        if (theme->look[i].fill == color) {
            return class_names[i][0];
        }
        if (theme->look[i].edge == color) {
            return class_names[i][1];
        }
    }
    return NULL;
}

void cvi_theme_css(const cvi_theme *theme, cvi_buf *out) {
    for (int i = 0; i < CVI_N_THEME_ROLES; i++) {
        cvi_buf_printf(out, "--%s:#%06x;", role_names[i], (unsigned)(theme->role[i] >> 8));
    }
    for (int i = 0; i < CVI_N_CLASSES; i++) {
        cvi_buf_printf(out, "--%s:#%06x;", class_names[i][0], (unsigned)(theme->look[i].fill >> 8));
        cvi_buf_printf(out, "--%s:#%06x;", class_names[i][1], (unsigned)(theme->look[i].edge >> 8));
    }
}

uint8_t cvi_map_sequential(float v, float lo, float hi) {
    if (!(v > lo) || !(hi > lo)) {
        return 0;
    }
    if (v >= hi) {
        return 255;
    }
    double t = ((double)v - (double)lo) / ((double)hi - (double)lo);
    return (uint8_t)(t * 255.0 + 0.5);
}

uint8_t cvi_map_diverging(float v, float limit) {
    if (isnan(v) || !(limit > 0.0F)) {
        return 128;
    }
    double t = (double)v / (double)limit;
    t = t > 1.0 ? 1.0 : t < -1.0 ? -1.0 : t;
    return (uint8_t)(t >= 0.0 ? 128.0 + floor(t * 127.0 + 0.5) : 128.0 - floor(-t * 128.0 + 0.5));
}

static double luminance(cvi_color c) {
    double sum = 0.0;
    static const double weight[3] = {0.2126, 0.7152, 0.0722};
    for (int i = 0; i < 3; i++) {
        double u = (double)(c >> (24 - 8 * i) & 0xFF) / 255.0;
        sum += weight[i] * (u <= 0.04045 ? u / 12.92 : pow((u + 0.055) / 1.055, 2.4));
    }
    return sum;
}

double cvi_contrast(cvi_color a, cvi_color b) {
    double la = luminance(a), lb = luminance(b);
    return la > lb ? (la + 0.05) / (lb + 0.05) : (lb + 0.05) / (la + 0.05);
}
