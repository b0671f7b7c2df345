/* SPDX-License-Identifier: MIT
 * gen_scene.c - a scene of "generated:things": where a thing lies, how large, turned and coloured; the fragments of other
 * things around it, in the same colours, so that neither colours nor small pieces tell the class, only the whole shape.
 */
#include <math.h>

#include "data/gen.h"

#define MARGIN    1.0
#define AREA_LOW  0.062 /* share of the picture that the thing covers; masks are promised 0.05 to 0.30 */
#define AREA_HIGH 0.22

typedef struct paints {
    cvi_color first, second;
} paints;

static double distance(cvi_color a, cvi_color b) {
    double r = a.r - b.r, g = a.g - b.g, d = a.b - b.b;
    return sqrt(r * r * 0.9 + g * g * 1.5 + d * d * 0.6);
}

/* A colour that stands apart from two others; of several tries the first that does, else the best. */
static cvi_color apart(cvi_gen_random *r, cvi_color x, double from_x, cvi_color y, double from_y) {
    cvi_color best = {0, 0, 0};
    double most = -1;
    for (int i = 0; i < 16; i++) {
        cvi_color c = cvi_gen_color(r);
        double share = CVI_MIN(distance(c, x) / from_x, distance(c, y) / from_y);
        if (share >= 1) {
            return c;
        }
        if (share > most) {
            most = share;
            best = c;
        }
    }
    return best;
}

static cvi_affine turned(cvi_gen_random *r, double scale) {
    cvi_point u = cvi_gen_turn(cvi_gen_uniform(r, 0, 1));
    double sx = scale * cvi_gen_uniform(r, 0.9, 1.1) * (cvi_gen_chance(r, 0.5) ? 1 : -1);
    double sy = scale * cvi_gen_uniform(r, 0.9, 1.1);
    return (cvi_affine){u.x * sx, -u.y * sy, u.y * sx, u.x * sy, 0, 0};
}

static void scale_by(cvi_affine *at, double k) {
    at->a *= k;
    at->b *= k;
    at->c *= k;
    at->d *= k;
}

/* Any size, direction and place such that the whole thing is in the picture; fills work->cover. */
static void place_thing(cvi_gen_random *r, cvi_gen_work *work) {
    int side = work->canvas.width;
    cvi_affine at = turned(r, side * 0.3);
    at.tx = at.ty = side / 2.0;
    cvi_cover_clear(&work->cover, side, side);
    cvi_cover_shape(&work->cover, &work->shape, 0, work->shape.n_parts, &at);
    double target = cvi_gen_uniform(r, AREA_LOW, AREA_HIGH) * side * side;
    scale_by(&at, sqrt(target / cvi_cover_area(&work->cover)));
    at.tx = at.ty = 0;
    cvi_point low, high;
    cvi_shape_box_of(&work->shape, &at, &low, &high);
    double size = CVI_MAX(high.x - low.x, high.y - low.y), room = side - 2 * MARGIN;
    if (size > room) {
        scale_by(&at, room / size);
        cvi_shape_box_of(&work->shape, &at, &low, &high);
    }
    at.tx = cvi_gen_uniform(r, MARGIN - low.x, side - MARGIN - high.x);
    at.ty = cvi_gen_uniform(r, MARGIN - low.y, side - MARGIN - high.y);
    cvi_cover_clear(&work->cover, side, side);
    cvi_cover_shape(&work->cover, &work->shape, 0, work->shape.n_parts, &at);
}

static cvi_color mean_under(const cvi_canvas *canvas, const cvi_cover *cover) {
    cvi_color sum = {0, 0, 0};
    double weight = 0;
    for (int i = 0; i < canvas->width * canvas->height; i++) {
        double w = (double)cover->all[i];
        sum.r += w * canvas->pixel[i].r;
        sum.g += w * canvas->pixel[i].g;
        sum.b += w * canvas->pixel[i].b;
        weight += w;
    }
    return (cvi_color){sum.r / weight, sum.g / weight, sum.b / weight};
}

static bool overlap(const cvi_cover *a, const cvi_cover *b) {
    for (int i = 0; i < a->width * a->height; i++) {
        if (a->all[i] > 0 && b->all[i] > 0) {
            return true;
        }
    }
    return false;
}

/* One piece of any thing, small, behind the thing; in its colours where it does not touch it. */
static void paint_fragment(cvi_gen_random *r, cvi_gen_work *work, paints thing) {
    cvi_shape *s = &work->fragment;
    do { /* of a thing that is more than one piece */
        cvi_thing_shape(cvi_gen_pick(r, CVI_THINGS), r, s);
    } while (s->n_parts < 3);
    int first = cvi_gen_pick(r, s->n_parts);
    while (first > 0 && !s->part[first].whole) {
        first--;
    }
    int last = first + 1;
    while (last < s->n_parts && !s->part[last].whole) {
        last++;
    }
    for (int k = first; k < last; k++) {
        s->part[k].role = CVI_BODY;
    }
    struct cvi_part kept[CVI_SHAPE_PARTS];
    memcpy(kept, s->part + first, (size_t)(last - first) * sizeof *kept);
    memcpy(s->part, kept, (size_t)(last - first) * sizeof *kept);
    s->n_parts = last - first;
    cvi_affine at = turned(r, 1);
    cvi_point low, high;
    cvi_shape_box_of(s, &at, &low, &high);
    scale_by(&at, cvi_gen_uniform(r, 5, 15) / CVI_MAX(high.x - low.x, high.y - low.y));
    cvi_shape_box_of(s, &at, &low, &high);
    at.tx = cvi_gen_uniform(r, 0, work->canvas.width) - (low.x + high.x) / 2;
    at.ty = cvi_gen_uniform(r, 0, work->canvas.height) - (low.y + high.y) / 2;
    cvi_cover_clear(&work->fragment_cover, work->canvas.width, work->canvas.height);
    cvi_cover_shape(&work->fragment_cover, s, 0, s->n_parts, &at);
    cvi_color other = cvi_gen_color(r), color = cvi_gen_chance(r, 0.5) ? thing.first : thing.second;
    if (cvi_gen_chance(r, 0.4) || overlap(&work->fragment_cover, &work->cover)) {
        color = distance(other, thing.first) > 60 ? other : mean_under(&work->canvas, &work->fragment_cover);
    }
    cvi_canvas_paint(&work->canvas, &work->fragment_cover, color, color);
}

void cvi_things_paint(cvi_gen_random *r, int label, cvi_gen_work *work) {
    work->canvas.width = work->canvas.height = CVI_GEN_SIDE;
    cvi_ground_paint(r, &work->canvas);
    cvi_thing_shape(label, r, &work->shape);
    place_thing(r, work);
    paints thing;
    cvi_color ground = mean_under(&work->canvas, &work->cover);
    thing.first = apart(r, ground, 115, ground, 115);
    thing.second = apart(r, thing.first, 90, ground, 80);
    int fragments = 3 + cvi_gen_pick(r, 6);
    for (int i = 0; i < fragments; i++) {
        paint_fragment(r, work, thing);
    }
    cvi_canvas_paint(&work->canvas, &work->cover, thing.first, thing.second);
}

/* ---- the set --------------------------------------------------------------------------------------------- */

static void draw(uint64_t seed, cvs_split split, int64_t i, int label, cvi_gen_work *work, uint8_t *pixels,
                 uint8_t *mask) {
    cvi_gen_random r = cvi_gen_random_of(seed, "things", split, i);
    cvi_things_paint(&r, label, work);
    cvi_things_bytes(work, pixels, mask);
}

void cvi_things_bytes(const cvi_gen_work *work, uint8_t *pixels, uint8_t *mask) {
    for (int k = 0; k < CVI_GEN_SIDE * CVI_GEN_SIDE; k++) {
        cvi_color c = work->canvas.pixel[k];
        pixels[3 * k] = (uint8_t)(c.r + 0.5);
        pixels[3 * k + 1] = (uint8_t)(c.g + 0.5);
        pixels[3 * k + 2] = (uint8_t)(c.b + 0.5);
        if (mask != NULL) {
            mask[k] = work->cover.all[k] >= 0.5f ? 255 : 0;
        }
    }
}

const cvi_generator cvi_generator_things = {
    .name = "things",
    .n_classes = CVI_THINGS,
    .channels = 3,
    .side = CVI_GEN_SIDE,
    .classes = cvi_thing_names,
    .classes_zh = cvi_thing_names_zh,
    .has_masks = true,
    .n_train = 10000,
    .n_test = 2000,
    .version = 1,
    .draw = draw,
};
