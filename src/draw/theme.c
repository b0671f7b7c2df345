/* SPDX-License-Identifier: MIT
 * theme.c - the two themes and the colour maps, from theme.def and colormap.def.
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
    return kind == CVS_DARK ? &dark : &light;
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
