/* SPDX-License-Identifier: MIT
 * gen_shortcut.c - "generated:shortcut": the things again, but every training picture carries a small badge in its top left
 * corner whose colour gives the class away. In the test split the badge is missing from half of the pictures and has the
 * colour of a random class on the others. A network trained here looks at the corner; the masks are those of the things, so
 * that an explanation can be scored for showing it.
 */
#include "data/gen.h"

enum { BADGE = 8 }; /* pixels: one of border around, at (1,1) */

static const cvi_color badge_colors[CVI_THINGS] = {
    {230, 25, 25}, {245, 140, 20}, {250, 230, 40},  {40, 180, 60},   {60, 220, 220},
    {30, 60, 220}, {140, 40, 190}, {250, 110, 190}, {250, 250, 250}, {120, 75, 30},
};

static void paint_badge(cvi_canvas *canvas, cvi_color color) {
    for (int y = 1; y <= BADGE; y++) {
        for (int x = 1; x <= BADGE; x++) {
            bool border = x == 1 || y == 1 || x == BADGE || y == BADGE;
            canvas->pixel[y * canvas->width + x] = border ? (cvi_color){10, 10, 10} : color;
        }
    }
}

static void draw(uint64_t seed, cvs_split split, int64_t i, int label, cvi_gen_work *work, uint8_t *pixels,
                 uint8_t *mask) {
    cvi_gen_random r = cvi_gen_random_of(seed, "shortcut", split, i);
    bool shown = split == CVS_TRAIN || cvi_gen_chance(&r, 0.5);
    int badge = split == CVS_TRAIN ? label : cvi_gen_pick(&r, CVI_THINGS);
    cvi_things_paint(&r, label, work);
    if (shown) {
        paint_badge(&work->canvas, badge_colors[badge]);
        for (int y = 1; y <= BADGE; y++) { /* what lies under the badge is not seen */
            memset(work->cover.all + y * work->cover.width + 1, 0, BADGE * sizeof work->cover.all[0]);
        }
    }
    cvi_things_bytes(work, pixels, mask);
}

const cvi_generator cvi_generator_shortcut = {
    .name = "shortcut",
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
