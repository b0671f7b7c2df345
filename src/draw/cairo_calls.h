/* SPDX-License-Identifier: MIT
 * cairo_calls.h (internal to src/draw) - cairo and pango, loaded when the first picture is painted. With what they bring they are
 * forty shared objects, a quarter of the time from process start to a first prediction (measured), and most commands paint nothing.
 * Files that paint include this instead of the libraries' headers and call cvi_cairo_load() first; a function that is not in
 * cairo_calls.def is added to it.
 */
#ifndef CVI_CAIRO_CALLS_H
#define CVI_CAIRO_CALLS_H

#include <cairo-pdf.h>
#include <pango/pangocairo.h>

#include "base/base.h"

/* Pointers to functions and nothing else, in the order of the list. */
typedef struct cvi_cairo_calls {
#define CVI_CAIRO_CALL(name) __typeof__(name) *name;
#include "draw/cairo_calls.def"
#undef CVI_CAIRO_CALL
} cvi_cairo_calls;

extern cvi_cairo_calls cvi_cairo; /* written once, by cvi_cairo_load() */

/* Before the first call, in every entry: loads the libraries once in a process. CVS_E_UNSUPPORTED where they are not there.
 * Any thread. */
cvs_status cvi_cairo_load(cvs_error *err);

#ifndef CVI_CAIRO_OWN_NAMES /* calls go through the table */
#define cairo_append_path                        (cvi_cairo.cairo_append_path)
#define cairo_arc                                (cvi_cairo.cairo_arc)
#define cairo_clip                               (cvi_cairo.cairo_clip)
#define cairo_close_path                         (cvi_cairo.cairo_close_path)
#define cairo_copy_path                          (cvi_cairo.cairo_copy_path)
#define cairo_create                             (cvi_cairo.cairo_create)
#define cairo_curve_to                           (cvi_cairo.cairo_curve_to)
#define cairo_destroy                            (cvi_cairo.cairo_destroy)
#define cairo_fill                               (cvi_cairo.cairo_fill)
#define cairo_fill_preserve                      (cvi_cairo.cairo_fill_preserve)
#define cairo_font_options_create                (cvi_cairo.cairo_font_options_create)
#define cairo_font_options_destroy               (cvi_cairo.cairo_font_options_destroy)
#define cairo_font_options_set_antialias         (cvi_cairo.cairo_font_options_set_antialias)
#define cairo_font_options_set_hint_metrics      (cvi_cairo.cairo_font_options_set_hint_metrics)
#define cairo_font_options_set_hint_style        (cvi_cairo.cairo_font_options_set_hint_style)
#define cairo_get_source                         (cvi_cairo.cairo_get_source)
#define cairo_image_surface_create               (cvi_cairo.cairo_image_surface_create)
#define cairo_image_surface_get_data             (cvi_cairo.cairo_image_surface_get_data)
#define cairo_image_surface_get_stride           (cvi_cairo.cairo_image_surface_get_stride)
#define cairo_line_to                            (cvi_cairo.cairo_line_to)
#define cairo_move_to                            (cvi_cairo.cairo_move_to)
#define cairo_new_path                           (cvi_cairo.cairo_new_path)
#define cairo_paint                              (cvi_cairo.cairo_paint)
#define cairo_path_destroy                       (cvi_cairo.cairo_path_destroy)
#define cairo_pattern_set_extend                 (cvi_cairo.cairo_pattern_set_extend)
#define cairo_pattern_set_filter                 (cvi_cairo.cairo_pattern_set_filter)
#define cairo_pdf_surface_create_for_stream      (cvi_cairo.cairo_pdf_surface_create_for_stream)
#define cairo_pdf_surface_set_metadata           (cvi_cairo.cairo_pdf_surface_set_metadata)
#define cairo_rectangle                          (cvi_cairo.cairo_rectangle)
#define cairo_restore                            (cvi_cairo.cairo_restore)
#define cairo_rotate                             (cvi_cairo.cairo_rotate)
#define cairo_save                               (cvi_cairo.cairo_save)
#define cairo_scale                              (cvi_cairo.cairo_scale)
#define cairo_set_dash                           (cvi_cairo.cairo_set_dash)
#define cairo_set_line_cap                       (cvi_cairo.cairo_set_line_cap)
#define cairo_set_line_join                      (cvi_cairo.cairo_set_line_join)
#define cairo_set_line_width                     (cvi_cairo.cairo_set_line_width)
#define cairo_set_source_rgba                    (cvi_cairo.cairo_set_source_rgba)
#define cairo_set_source_surface                 (cvi_cairo.cairo_set_source_surface)
#define cairo_status                             (cvi_cairo.cairo_status)
#define cairo_status_to_string                   (cvi_cairo.cairo_status_to_string)
#define cairo_stroke                             (cvi_cairo.cairo_stroke)
#define cairo_stroke_preserve                    (cvi_cairo.cairo_stroke_preserve)
#define cairo_surface_destroy                    (cvi_cairo.cairo_surface_destroy)
#define cairo_surface_finish                     (cvi_cairo.cairo_surface_finish)
#define cairo_surface_flush                      (cvi_cairo.cairo_surface_flush)
#define cairo_surface_mark_dirty                 (cvi_cairo.cairo_surface_mark_dirty)
#define cairo_surface_status                     (cvi_cairo.cairo_surface_status)
#define cairo_translate                          (cvi_cairo.cairo_translate)
#define g_object_unref                           (cvi_cairo.g_object_unref)
#define pango_cairo_context_set_font_options     (cvi_cairo.pango_cairo_context_set_font_options)
#define pango_cairo_create_layout                (cvi_cairo.pango_cairo_create_layout)
#define pango_cairo_show_layout_line             (cvi_cairo.pango_cairo_show_layout_line)
#define pango_context_set_language               (cvi_cairo.pango_context_set_language)
#define pango_font_description_free              (cvi_cairo.pango_font_description_free)
#define pango_font_description_new               (cvi_cairo.pango_font_description_new)
#define pango_font_description_set_absolute_size (cvi_cairo.pango_font_description_set_absolute_size)
#define pango_font_description_set_family_static (cvi_cairo.pango_font_description_set_family_static)
#define pango_font_description_set_weight        (cvi_cairo.pango_font_description_set_weight)
#define pango_language_from_string               (cvi_cairo.pango_language_from_string)
#define pango_layout_get_context                 (cvi_cairo.pango_layout_get_context)
#define pango_layout_get_extents                 (cvi_cairo.pango_layout_get_extents)
#define pango_layout_get_line_readonly           (cvi_cairo.pango_layout_get_line_readonly)
#define pango_layout_set_font_description        (cvi_cairo.pango_layout_set_font_description)
#define pango_layout_set_single_paragraph_mode   (cvi_cairo.pango_layout_set_single_paragraph_mode)
#define pango_layout_set_text                    (cvi_cairo.pango_layout_set_text)
#endif

#endif
