/* SPDX-License-Identifier: MIT
 * draw.h - figures: tensors and words in, pictures out. draw_report.h has the page that holds them all.
 *
 *     cvs_figure *figure;
 *     cvs_layer_activations(run, layer, shown, NULL, &figure, &err);    a figure of a model's layer, or
 *     cvs_draw_maps(&data, NULL, &figure, &err);                        of plain numbers
 *     cvs_figure_write(figure, "maps.svg", 0, &err);                    .svg .png .pdf
 *     cvs_figure_free(figure);
 *
 * Figures are pure functions of what they are given: the same input gives the same bytes of SVG on every machine and
 * thread. Nothing is kept: all strings and tensors may be freed after the call. A figure belongs to one thread at a time.
 * Lengths are points (1/72 inch); no text is below 6 points.
 */
#ifndef CONVSCOPE_DRAW_H
#define CONVSCOPE_DRAW_H

#include "explain.h"
#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cvs_theme {
    CVS_LIGHT,
    CVS_DARK,
    CVS_COLOR_BLIND, /* classes apart for every kind of colour vision */
    CVS_BLACK_WHITE  /* greys and hatches */
} cvs_theme;

typedef struct cvs_figure cvs_figure;

typedef struct cvs_figure_options {
    cvs_lang lang;
    cvs_theme theme;
    double width;        /* of the page, points; 0 = 540. The height follows from the content */
    const char *model;   /* for the line under the title; NULL = none */
    const char *command; /* the command that makes this picture, printed under it; NULL = none */
    bool bare;           /* no title, margin or command: for a page that says them itself */
    bool compact;        /* tiles without a number each: numbered by row */
    int64_t
        max_pixels; /* of all tiles together; larger maps are averaged down, and it is said; 0 = 6,000,000 */
} cvs_figure_options;

void cvs_figure_free(cvs_figure *figure); /* NULL is allowed */
/* Writes the format that the extension names; scale = pixels per point of a PNG, 0 = 2. Atomic. */
cvs_status cvs_figure_write(const cvs_figure *figure, const char *path, double scale, cvs_error *err);
/* The same in memory: extension ".svg", ".png", ".pdf", ".tex". *out is owned (cvs_free). */
cvs_status cvs_figure_encode(const cvs_figure *figure, const char *extension, double scale, char **out,
                             size_t *size, cvs_error *err);
/* Says before the work whether a figure could be written there: known extension, writable folder. */
cvs_status cvs_figure_check_path(const char *path, cvs_error *err);
/* The SVG text, terminated, owned (cvs_free). */
cvs_status cvs_figure_svg(const cvs_figure *figure, char **out, size_t *size, cvs_error *err);
/* The pixels, uint8 [H,W,3], owned. */
cvs_status cvs_figure_paint(const cvs_figure *figure, double scale, cvs_tensor *out, cvs_error *err);
void cvs_figure_size(const cvs_figure *figure, double *width, double *height);
/* Machine checks of the layout (texts that overlap, leave the page, are too small or covered). Returns the number of
 * faults; `faults` gets one a line, owned (cvs_free), NULL when there are none; it may be NULL. */
int cvs_figure_check(const cvs_figure *figure, char **faults);

/* ---- kernels ---------------------------------------------------------------------------------------- */
typedef enum cvs_filter_view {
    CVS_FILTERS_AUTO, /* colour for a layer that sees a colour picture; slices while they are legible; else norm */
    CVS_FILTERS_COLOR, /* three input channels as red, green, blue; mid-grey = 0; each kernel by its own largest weight */
    CVS_FILTERS_SLICES, /* one row per kernel, one tile per input channel; signed, one scale */
    CVS_FILTERS_NORM    /* one tile per kernel: root of the sum of squares over input channels */
} cvs_filter_view;

typedef struct cvs_filters_data {
    const char *layer, *settings; /* name; "3x3, stride 2" or NULL */
    const cvs_tensor *kernel;     /* float32 [K,C,R,S] (or [K,C,S]; dense: [K,C]) */
    const cvs_tensor *bias;       /* float32 [K], or NULL */
    bool sees_picture;            /* the input is the picture itself */
    bool dense;                   /* a matrix product, not a convolution (only the words differ) */
    cvs_channel_order order;      /* of the picture's channels */
    cvs_filter_view view;
    bool sorted; /* by norm, largest first; else in the file's order */
} cvs_filters_data;
/* Every kernel, none dropped, with its number, L2 norm, bias and numerical rank of its [C, R*S] matrix (singular values
 * above max(C, R*S) * 2^-23 of the largest). Numbers beside every tile while there is room, else as tooltips and as
 * distributions above the tiles. */
cvs_status cvs_draw_filters(const cvs_filters_data *data, const cvs_figure_options *options, cvs_figure **out,
                            cvs_error *err);

/* Norm and rank of one kernel [C,R*S] given as C*RS floats; rank -1 when c*rs is 0 or a value is not finite. */
typedef struct cvs_kernel_stats {
    double norm, largest; /* L2; largest absolute weight */
    int rank;
} cvs_kernel_stats;
cvs_status cvs_kernel_measure(const float *weights, int64_t c, int64_t rs, cvs_kernel_stats *out,
                              cvs_error *err);

/* ---- feature maps ------------------------------------------------------------------------------------ */
typedef struct cvs_maps_data {
    const char *layer, *settings;
    const cvs_tensor *value;    /* float32 [N,C,H,W], [N,C,L], [N,C] or [C]; axis 1 counts the maps */
    int64_t sample;             /* which of N */
    const cvs_tensor *picture;  /* uint8 [H,W,3] that the network saw, or NULL */
    const char *picture_name;   /* or NULL */
    bool own_scale;             /* every map by its own largest value; else one scale for the layer */
    const char *const *classes; /* names for the values of a vector of n_classes, or NULL */
    int n_classes;
} cvs_maps_data;
/* Every map, none dropped, its number under it; maps that are all zero (blank) or constant are marked and counted.
 * Negative values: a signed scale centred at zero; else from zero. A vector becomes bars. */
cvs_status cvs_draw_maps(const cvs_maps_data *data, const cvs_figure_options *options, cvs_figure **out,
                         cvs_error *err);

/* What the maps of a layer are like, without drawing. */
typedef struct cvs_maps_stats {
    int64_t maps, rows, columns; /* of one map; a vector has 1 x 1 */
    int64_t blank, constant;     /* all zero; all equal but not zero */
    int64_t not_finite;          /* values */
    double least, largest, mean, zero_share;
} cvs_maps_stats;
cvs_status cvs_maps_measure(const cvs_tensor *value, int64_t sample, cvs_maps_stats *out, cvs_error *err);

/* ---- pooling ------------------------------------------------------------------------------------------ */
typedef struct cvs_pooling_data {
    const char *layer, *settings;
    const cvs_tensor *input, *output; /* float32 [N,C,H,W], [N,C,OH,OW] */
    const cvs_tensor *switches;       /* int64 [N,C,OH,OW] = h*W+w of each winner, or NULL */
    cvs_window window;
    int64_t sample;
    int64_t shift[2]; /* dx, dy: also pool the layer's input moved by this much, edge repeated; 0,0 = no */
    int examples;     /* channels shown in detail, strongest first; 0 = 3 */
} cvs_pooling_data;
cvs_status cvs_draw_pooling(const cvs_pooling_data *data, const cvs_figure_options *options, cvs_figure **out,
                            cvs_error *err);
/* The numbers behind --shift: over all channels and windows. */
typedef struct cvs_shift_stats {
    int64_t windows, same, followed, elsewhere; /* winner in the same place; moved by the shift; neither */
    int64_t same_output;                        /* outputs that did not change */
} cvs_shift_stats;
cvs_status cvs_pooling_shift(const cvs_pooling_data *data, cvs_shift_stats *out, cvs_error *err);

/* ---- of a model's layer: fill the structs above from a model and a run ---------------------------------- */
cvs_status cvs_layer_filters(const cvs_model *model, int layer, cvs_filter_view view, bool sorted,
                             const cvs_figure_options *options, cvs_figure **out, cvs_error *err);
/* shown: what the network saw (cvs_run_file's), may be NULL or without data. */
cvs_status cvs_layer_activations(cvs_run *run, const cvs_model *model, int layer, const cvs_tensor *shown,
                                 bool own_scale, const cvs_figure_options *options, cvs_figure **out,
                                 cvs_error *err);
cvs_status cvs_layer_pooling(cvs_run *run, const cvs_model *model, int layer, const int64_t shift[2],
                             const cvs_figure_options *options, cvs_figure **out, cvs_error *err);

/* ---- the whole network ----------------------------------------------------------------------------------- */
/* Every layer as a column: side of its maps, channels, parameters, multiply-accumulates; colour = operator class. Up to
 * 48 layers also as named boxes in the order of computation; linked[i] (NULL: unknown) draws an arrow from layer i-1
 * to layer i. Columns link to "#L<index>". */
cvs_status cvs_draw_overview(const cvs_summary *summary, const bool *linked,
                             const cvs_figure_options *options, cvs_figure **out, cvs_error *err);

/* ---- an architecture --------------------------------------------------------------------------------------- */
typedef enum cvs_direction { CVS_DIRECTION_AUTO, CVS_TOP_DOWN, CVS_LEFT_RIGHT } cvs_direction;
/* The page: as large as the figure; 88 mm wide; 180 x 250 mm; 16:9, 254 x 143 mm. */
typedef enum cvs_fit { CVS_FIT_NONE, CVS_FIT_COLUMN, CVS_FIT_PAGE, CVS_FIT_SLIDE } cvs_fit;
/* Repeated units once with their count, folded further until it fits; or every layer. */
typedef enum cvs_fold { CVS_FOLD_AUTO, CVS_FOLD_NONE } cvs_fold;
typedef enum cvs_cost { CVS_COST_NONE, CVS_COST_MACS, CVS_COST_PARAMS, CVS_COST_MEMORY } cvs_cost;
/* Labels of a box or edge, ored together; 0 = what suits the style. */
enum { CVS_LABEL_NAMES = 1, CVS_LABEL_SHAPES = 2, CVS_LABEL_PARAMS = 4, CVS_LABEL_MACS = 8 };
enum { CVS_LABEL_MEMORY = 16, CVS_LABEL_FIELD = 32, CVS_LABEL_NONE = 1024 };

typedef struct cvs_draw_options {
    cvs_lang lang;
    cvs_theme theme;
    const char *style; /* a name of cvs_draw_style_describe; NULL or "auto": what suits the model */
    cvs_direction direction;
    cvs_fit fit;
    cvs_fold fold;
    int depth;          /* levels of groups that are opened; 0 = by what fits */
    const char *expand; /* groups to open fully, names or "all", separated by commas; NULL = none */
    unsigned labels;    /* CVS_LABEL_* */
    cvs_cost cost;      /* what the heat strip of each box shows */
    bool legend;
    bool fragment;                      /* TikZ: the picture only, for a document of one's own */
    bool keep_small, no_fuse, no_group; /* draw dropouts and casts; normalisation as boxes; no groups */
    int64_t batch, height, width;       /* shapes for free dimensions, 0 = 1 and a sensible side */
    const char *title;                  /* NULL = the model's name; "" = none */
    const char *command;                /* printed into the file's description; NULL = none */
    const char *image;                  /* a picture to show real feature maps of, or NULL */
    double scale;                       /* pixels per point of a PNG, 0 = 2 */
    const char *extra;                  /* "key=value,key=value" for one style's own settings, or NULL */
} cvs_draw_options;

/* What is drawn: an opened model, or the text of a description that only some styles read. */
typedef struct cvs_draw_source {
    const cvs_model *model; /* may be NULL when text is given */
    const char *text;       /* terminated; NULL when there is only a model */
    const char *name;       /* of the file, for messages */
} cvs_draw_source;
/* The style that a text is written for when it describes no network ("pgm": nodes, edges and plates); NULL: none. */
const char *cvs_draw_text_style(const char *text);

/* Draws n architectures and writes the file whose extension says the format: pictures .svg .png .pdf and more for every
 * picture style; .md .csv .json .dot and others as the style says. Atomic; the same input gives the same bytes. */
cvs_status cvs_draw_architecture(const cvs_draw_source *sources, int n, const cvs_draw_options *options,
                                 const char *path, cvs_error *err);
/* The same into memory; extension ".svg". *out is terminated, owned (cvs_free). */
cvs_status cvs_draw_architecture_memory(const cvs_draw_source *sources, int n,
                                        const cvs_draw_options *options, const char *extension, char **out,
                                        size_t *size, cvs_error *err);
/* The picture as a figure (checks, pixels); CVS_E_UNSUPPORTED for a style that makes text only. */
cvs_status cvs_draw_architecture_figure(const cvs_draw_source *sources, int n,
                                        const cvs_draw_options *options, cvs_figure **out, cvs_error *err);
/* Says before the work whether this style can write there. */
cvs_status cvs_draw_check(const char *style, const char *path, cvs_error *err);
/* Style i in [0, count): name, one line in the language, whether it draws pictures, other extensions ("" = none). */
int cvs_draw_style_count(void);
typedef struct cvs_draw_style_info {
    const char *name, *summary, *texts;
    bool pictures;
} cvs_draw_style_info;
cvs_status cvs_draw_style_describe(int i, cvs_lang lang, cvs_draw_style_info *out, cvs_error *err);

/* ---- one number ------------------------------------------------------------------------------------------- */
typedef struct cvs_unit_data {
    const cvs_unit *unit;
    const char *layer; /* or NULL */
    int rows;          /* terms shown, largest first; 0 = 16 */
} cvs_unit_data;
/* The account of one number (cvs_unit_account_of) as a table, with a bar for every row that begins where the one before ends. */
cvs_status cvs_draw_unit(const cvs_unit_data *data, const cvs_figure_options *options, cvs_figure **out,
                         cvs_error *err);

/* ---- why ------------------------------------------------------------------------------------------------- */
typedef struct cvs_attribution_data {
    const cvs_explanation *why;
    const char *title;         /* the method's, in the figure's language */
    const cvs_tensor *picture; /* uint8 [H,W,3] that the network saw, or NULL */
    const cvs_tensor *maps;    /* float32 [1,K,h,w] of the layer, for the votes, or NULL */
    const char *const
        *class_names; /* [n_class_names], for the most probable classes under occlusion; else their numbers */
    int n_class_names;
} cvs_attribution_data;
/* The picture, the map over it, the map itself with a legend, the strongest votes, the caption. */
cvs_status cvs_draw_attribution(const cvs_attribution_data *data, const cvs_figure_options *options,
                                cvs_figure **out, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif
