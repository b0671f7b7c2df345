/* SPDX-License-Identifier: MIT
 * arch.h (internal) - the drawable architecture: what an architecture figure, table or text is made from.
 *
 *     model -> cvi_arch_from_model  (arch_model.c: boxes, edges, numbers; every box once)
 *           -> cvi_arch_simplify    (arch_simplify.c: fuse, drop; arch_concat.c: cumulative joins become a chain)
 *           -> cvi_arch_fold        (arch_fold.c: stages, repeats, units; arch_name.c: their names)
 *           -> cvi_view_make        (view.c: what is visible when some groups are folded)
 *           -> a style              (styles.def: one file and one line each)
 *
 * A cvi_arch is immutable once made and may be shared by threads; strings and arrays live in its arena. Nodes are in
 * topological order, inputs first. Numbers are those of the shapes it was made for (batch included).
 */
#ifndef CVI_ARCH_H
#define CVI_ARCH_H

#include "draw/figure.h"
#include "draw/scene.h"
#include "graph/graph.h"

typedef struct cvi_shape {
    int rank; /* -1: unknown */
    int64_t dim[CVS_MAX_RANK];
} cvi_shape;

/* Something small that belongs to a box: normalisation, activation function, dropout, flatten. Drawn as a strip or tick. */
typedef struct cvi_strip {
    cvi_class cls;
    const char *word; /* "BN", "ReLU" */
    const char *name; /* of the layer in the file */
} cvi_strip;

enum { CVI_MAX_STRIPS = 6 };

typedef enum cvi_node_kind {
    CVI_NODE_INPUT,  /* the network's own input */
    CVI_NODE_LAYER,  /* anything that computes */
    CVI_NODE_ADD,    /* joins two or more boxes by a sum: drawn as a circle */
    CVI_NODE_MUL,    /* ... by a product */
    CVI_NODE_CONCAT, /* ... one behind the other */
    CVI_NODE_OUTPUT  /* the network's own output, where a style wants one drawn (none is made by default) */
} cvi_node_kind;

typedef struct cvi_arch_node {
    cvi_node_kind kind;
    cvi_class cls;    /* colour */
    const char *name; /* the layer's, as in the file; unique in the arch */
    const char *op;   /* the operator's name in the file; "" for an input */
    const char
        *word; /* short, in the arch's language: "conv", "max pool"; the operator's own name when unknown */
    const char *title; /* the box's first line: "3x3 conv, 64 /2" */
    const char *note;  /* what the reader says about it, or NULL */
    int layer;         /* as in `info` (cvs_summary), -1: an input */
    bool known;        /* the operator is in the table */
    bool is_output;    /* the network gives it out */
    bool windowed;     /* kernel, stride, pad, dilation count */
    int axes;          /* of the window: 1 to 3 */
    int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int64_t groups, units;     /* convolution groups (1); output channels or features, 0 = unknown */
    cvi_shape in, out;         /* first data input; what leaves the box */
    int64_t params, trainable; /* numbers learned, without running statistics */
    int64_t macs, flops;       /* of the whole batch */
    int64_t bytes;             /* of all values that the members write, batch included */
    unsigned op_flags;         /* CVI_OP_* of the operator; 0 where unknown */
    const char *symbol;        /* of a join, for its circle: "+", "×"; NULL = none */
    bool in_place;             /* shares the memory of its input (reshape, identity) */
    int64_t weight_bytes,
        live_bytes; /* alive while this box computes: what later boxes still need, and its own */
    bool has_field;
    int64_t field[2], jump[2]; /* receptive field and effective stride, rows and columns */
    int n_strips,
        n_heads; /* strips follow the operation; heads (pre-activation) come before it: first n_heads */
    cvi_strip strip[CVI_MAX_STRIPS];
    int n_members;
    const int *members; /* graph nodes, in order; none for an input */
    int group;          /* innermost group, -1 = none */
    uint64_t signature; /* of structure: equal for boxes that are alike (arch_fold.c) */
} cvi_arch_node;

typedef struct cvi_arch_edge {
    int from, to;
    int slot;        /* which input of `to`, from 0 */
    cvi_shape shape; /* of what flows */
} cvi_arch_edge;

typedef enum cvi_group_kind {
    CVI_GROUP_STAGE,  /* a run of boxes with one spatial size */
    CVI_GROUP_REPEAT, /* `repeat` units one after the other that are alike, of count / repeat nodes each */
    CVI_GROUP_BLOCK   /* a unit that stands alone */
} cvi_group_kind;

/* Groups nest; a group is a contiguous run of nodes. parent < child in the list. Inside a REPEAT only the first unit has
 * groups of its own: the others are alike. */
typedef struct cvi_arch_group {
    cvi_group_kind kind;
    int parent;        /* -1 = none */
    int first, count;  /* nodes */
    int repeat;        /* of a REPEAT: units; else 1 */
    const char *motif; /* "Bottleneck", "Dense layer", "Block A"; in the arch's language */
    const char *scope; /* prefix that the names in the file share ("layer3"), or "" */
    int64_t params, macs, bytes;
} cvi_arch_group;

typedef struct cvi_arch {
    cvi_arena *arena;
    cvs_lang lang;
    const char *name, *source; /* the model's name; format or "text" */
    const cvs_model *model;    /* borrowed; NULL: made from text only */
    const char *input;         /* "1x3x224x224": what the numbers are for; "?" */
    int64_t batch;
    int n_nodes, n_edges, n_groups, cap_nodes, cap_edges, cap_groups;
    cvi_arch_node *nodes;
    cvi_arch_edge *edges; /* sorted by to, then slot, after finish */
    int *edge_at;         /* per node and one more: its first incoming edge in `edges` */
    int *users_at,
        *users; /* per node and one more: its outgoing edges (indices into edges), ascending `to` */
    cvi_arch_group *groups;
    int64_t params, trainable, macs, flops, bytes, weight_bytes, peak_bytes;
    int n_unknown_ops, n_unknown_shapes;
    const char *warning; /* why shapes are missing, or NULL */
} cvi_arch;

/* ---- making (arch.c, arch_model.c) ------------------------------------------------------------------ */
/* From an opened model; works without weights, with operators nobody knows and shapes nobody can infer. options may be
 * NULL: simplified and grouped as asked there. Owned, cvi_arch_free. */
cvs_status cvi_arch_from_model(const cvs_model *model, const cvs_draw_options *options, cvi_arch **out,
                               cvs_error *err);
/* The same neither simplified nor grouped. */
cvs_status cvi_arch_read(const cvs_model *model, const cvs_draw_options *options, cvi_arch **out,
                         cvs_error *err);
void cvi_arch_free(cvi_arch *a);
/* By hand (other sources, tests): new, add, finish. Node fields not given are zero ("unknown" where 0 cannot be). Strings
 * are borrowed: copy them with cvi_arena_strn(a->arena, ...). add_* return the index, -1 = out of memory. */
cvi_arch *cvi_arch_new(cvs_lang lang, const char *name, cvs_error *err);
int cvi_arch_add_node(cvi_arch *a, const cvi_arch_node *node);
int cvi_arch_add_edge(cvi_arch *a, int from, int to, const cvi_shape *shape);
/* Sorts nodes topologically (stable) and edges, builds the indices, the sums and the titles that are NULL. A cycle is an
 * error. Called again by whoever changed nodes or edges. */
cvs_status cvi_arch_finish(cvi_arch *a, cvs_error *err);
/* Fills live_bytes of every node and peak_bytes: what lies in memory while a node computes, when every value is freed
 * after its last reader (arch_memory.c). Before simplifying: it belongs to the graph as it runs. */
cvs_status cvi_arch_measure_memory(cvi_arch *a, cvs_error *err);

/* ---- changing (arch_simplify.c, arch_concat.c, arch_fold.c) ------------------------------------------ */
cvs_status cvi_arch_simplify(cvi_arch *a, const cvs_draw_options *options, cvs_error *err);
cvs_status cvi_arch_chain_concats(cvi_arch *a, cvs_error *err);
cvs_status cvi_arch_fold(cvi_arch *a, cvs_error *err);

/* ---- reading ----------------------------------------------------------------------------------------- */
/* Nodes of the main path, first to last: from an input to an output, most multiply-accumulates, then longest. Returns the
 * count, path[] has room for n_nodes; -1 = out of memory. */
int cvi_arch_main_path(const cvi_arch *a, int *path);
int cvi_arch_n_inputs(const cvi_arch *a, int node); /* boxes that it reads */
/* Spatial size of what leaves (H, W; 1, L for one axis; 1, 1 without any) and channels; -1 unknown. */
int64_t cvi_shape_height(const cvi_shape *s);
int64_t cvi_shape_width(const cvi_shape *s);
int64_t cvi_shape_channels(const cvi_shape *s);
bool cvi_shape_equal(const cvi_shape *a, const cvi_shape *b);
/* "64x56x56" without the batch; "?" when unknown. Fills buf, returns it. */
const char *cvi_shape_short(const cvi_shape *s, char *buf, size_t size);
/* "11.2 M", "3.4 k", "0"; "1.2 MiB". */
cvi_number cvi_short_number(double v);
cvi_number cvi_short_bytes(int64_t v);

/* ---- what is visible (view.c) -------------------------------------------------------------------------- */
typedef enum cvi_box_kind {
    CVI_BOX_NODE,  /* one node */
    CVI_BOX_GROUP, /* a folded group: its nodes as one box */
} cvi_box_kind;

typedef struct cvi_box {
    cvi_box_kind kind;
    int index;      /* node or group of the arch */
    int frame;      /* innermost frame it is drawn in, -1 = none */
    int times;      /* how many equal boxes of the arch it stands for (product of the repeats around it) */
    const char *id; /* "n12", "g3": stable between runs, unique in the view */
} cvi_box;

/* An open group: a hull around its boxes, "xN" when it stands for N. */
typedef struct cvi_frame {
    int group, parent; /* parent: frame, -1 = none */
    int repeat;        /* units it stands for; 1 = only a hull */
} cvi_frame;

typedef struct cvi_link {
    int from, to;    /* boxes */
    cvi_shape shape; /* of what flows; rank -1 unknown */
    bool changes;    /* the shape differs from the other shapes that enter `from`: worth a label */
    int slot;
} cvi_link;

typedef struct cvi_view {
    const cvi_arch *arch; /* borrowed */
    cvi_arena *arena;
    int n_boxes, n_frames, n_links;
    cvi_box *boxes; /* topological order */
    cvi_frame *frames;
    cvi_link *links; /* each pair (from, to) once; from < to */
    int *box_of;     /* per arch node: its box; nodes of hidden units: the box that stands for them */
} cvi_view;

/* open[group] != 0: its inside is drawn; a REPEAT that is open shows one unit (exemplar), value 2 shows every unit. NULL:
 * by options (depth, fold, expand) and, where those leave it open, folded further until at most `most` boxes remain
 * (0 = no bound). Owned, cvi_view_free. */
cvs_status cvi_view_make(const cvi_arch *a, const cvs_draw_options *options, const uint8_t *open, int most,
                         cvi_view **out, cvs_error *err);
void cvi_view_free(cvi_view *v);
/* What a box is: fills a node that stands for it (a folded group: name, class of its costliest member, sums, shapes in and
 * out, title "Bottleneck" or "Bottleneck x35"). */
void cvi_box_node(const cvi_view *v, int box, cvi_arch_node *out);

/* ---- styles ------------------------------------------------------------------------------------------- */
/* What a style is given. Everything is borrowed. */
typedef struct cvi_draw_job {
    int n;                         /* models side by side */
    const cvi_arch *const *arch;   /* [n]; NULL entries never */
    const cvs_draw_source *source; /* [n]: what they were made from */
    const cvs_draw_options *o;     /* never NULL, defaults filled in */
    const char *extension;         /* ".svg", ".md": lower case; what will be written */
} cvi_draw_job;

/* What it gives back: a scene (written by outputs.def) or text in the asked format; the caller frees both. */
typedef struct cvi_drawing {
    cvi_scene *scene;
    cvi_buf text;
} cvi_drawing;

typedef struct cvi_draw_style {
    const char *name;
    const char *en, *zh; /* one line for the help */
    bool pictures;       /* makes scenes: every extension of outputs.def */
    const char *
        texts; /* other extensions that it writes itself, ".md .csv"; they win over outputs.def. NULL = none */
    int most;  /* models side by side: 1, 2, ...; 0 = any number */
    bool raw;  /* wants arch entries neither simplified nor grouped */
    bool sources_only; /* reads source[].text itself; arch entries may be NULL */
    bool (*reads)(
        const char *text); /* whether a text is of the kind that only this style draws; NULL: none is */
    cvs_status (*draw)(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err);
} cvi_draw_style;

#endif
