/* SPDX-License-Identifier: MIT
 * script.h (internal) - TorchScript: the Python-like text of an archive's code/ folder is parsed by a closed grammar (script_parse.c) and
 * its forward method is followed once with symbolic tensors (script_run.c), each torch call becoming ONNX nodes (script_ops.c and
 * relatives). Only what the text says happens, and only to the graph: there is no way to files, names of Python or anything else.
 */
#ifndef CVI_SCRIPT_H
#define CVI_SCRIPT_H

#include "formats/torch.h"

/* ---- the text (script_parse.c) ---------------------------------------------------------------------------- */

typedef struct script_expr script_expr;
typedef struct script_statement script_statement;

typedef enum script_expr_kind {
    SCRIPT_NAME,
    SCRIPT_INT,
    SCRIPT_FLOAT,
    SCRIPT_STRING,
    SCRIPT_LIST,
    SCRIPT_TUPLE,
    SCRIPT_DICT,  /* item: key, value, ... */
    SCRIPT_CALL,  /* left = callee, item = arguments, names = of keyword arguments */
    SCRIPT_ATTR,  /* left.text */
    SCRIPT_INDEX, /* left[item[0]] */
    SCRIPT_UNARY, /* text = "-" or "not" */
    SCRIPT_BINARY /* text = operator */
} script_expr_kind;

struct script_expr {
    script_expr_kind kind;
    int line, n;
    int64_t i;
    double f;
    const char *text;
    script_expr *left, *right;
    script_expr **item;
    const char **names;
};

typedef enum script_statement_kind {
    SCRIPT_ASSIGN,
    SCRIPT_RETURN,
    SCRIPT_IF,
    SCRIPT_FOR,
    SCRIPT_WHILE
} script_statement_kind;

typedef struct script_body {
    int n;
    script_statement **statement;
} script_body;

struct script_statement {
    script_statement_kind kind;
    int line, n_targets; /* of ASSIGN: none for an expression alone; more than one unpack a tuple */
    const char **target;
    script_expr *value; /* or condition, or what FOR runs over */
    script_body body, otherwise;
};

typedef struct script_function {
    const char *name;
    int n;
    const char **param;
    script_expr **initial; /* default of a parameter, or NULL */
    script_body body;
} script_function;

typedef struct script_class {
    const char *name; /* "" for the functions of a file that stand in no class */
    int n;
    script_function **function;
} script_class;

typedef struct script_file {
    const char *path; /* "__torch__/torch/nn/modules/conv" */
    int n;
    script_class **class;
} script_file;

/* Parses one file of code; everything in the arena. Errors carry the line. */
cvs_status cvi_script_parse(cvi_arena *arena, const char *text, size_t size, script_file *out,
                            cvs_error *err);

/* ---- values ------------------------------------------------------------------------------------------------ */

typedef enum script_kind {
    SCRIPT_V_NONE,
    SCRIPT_V_BOOL,
    SCRIPT_V_INT,
    SCRIPT_V_FLOAT,
    SCRIPT_V_STRING,
    SCRIPT_V_LIST, /* lists and tuples */
    SCRIPT_V_DICT, /* item: key, value, ... */
    SCRIPT_V_TENSOR,
    SCRIPT_V_MODULE,
    SCRIPT_V_NAME /* a path of names that is no value: torch.nn, ops.prim, int */
} script_kind;

typedef struct script_value script_value;

/* An integer that depends on the input's size: a dimension of a tensor, or arithmetic on such. */
typedef struct script_size {
    char op; /* 'd' dimension, 'c' number, or + - * / */
    int value, axis;
    int64_t number;
    const struct script_size *a, *b;
} script_size;

struct script_value {
    script_kind kind;
    int64_t i[2];            /* of an integer (and a truth value): for the smaller and the larger input */
    const script_size *size; /* of an integer whose two numbers differ */
    double f;
    const char *s;         /* string, name, or path of a module */
    int v;                 /* graph value of a tensor */
    int n;                 /* items */
    int *shared_n;         /* of a list: its length, for all that name it */
    script_value **shared; /* the list's items, for all that name it */
    const cvi_pickle *object;
};

/* A value that is a part of another one, so that what changes it in place changes that one too. */
typedef struct script_view {
    int of; /* -1: it is no part */
    int64_t axis, start, end;
    bool one; /* one place of the axis, which is gone */
} script_view;

typedef struct script_frame script_frame;

typedef struct script {
    cvi_open *open;
    cvi_torch *torch;
    cvs_model *model;
    cvi_graph *g;
    cvi_arena *arena;
    cvs_error *err;
    cvs_status status;           /* sticky */
    const cvi_pickle *constants; /* of constants.pkl: a tuple, or NULL */
    script_value (*tree)(struct script *s, const cvi_pickle *root,
                         script_value x); /* NULL: the file's code is followed */
    script_file *file;                    /* read so far */
    int n_files, cap_files;
    cvs_tensor
        *shape[2]; /* per graph value, for two input sizes; numbers too where known; rank -1: unknown */
    int n_shapes;
    int *now;          /* per graph value: what in-place operators made of it, or itself */
    script_view *view; /* per graph value */
    int64_t steps;
    int depth, nesting; /* of calls; of everything */
    /* The input that is tried. */
    int64_t channels, side;
    bool one_size;        /* it is the only size that is tried, or known */
    int rank, asked_rank; /* of the input: of pictures, or what the first convolution asks for */
    bool wants_rank;
    bool wants_channels; /* set when the first convolution asks for another number */
    int64_t asked_channels;
    bool fixed;              /* set when the second size does not fit: the model takes one size only */
    bool guess;              /* the model takes one size only because settings follow it: another may do */
    bool uneven, was_uneven; /* windows of different lengths may be; some would have been */
    const char *place;       /* of the module being run, for names */
    bool leaf;               /* it has no submodules: its first node bears its name */
    bool named;
    const script_frame *frame;
    int n_opaque;
    const char *opaque[8]; /* calls that are not known */
} script;

/* ---- script_run.c ---- */
/* Runs the forward method of the root module on the given inputs. */
script_value cvi_script_forward(script *s, script_value self, const script_value *args, int n);
/* The number of inputs of its forward method, -1 when it has none. */
int cvi_script_inputs(script *s, script_value self, const char **names, int max);
script_value cvi_script_list(script *s, int n, const script_value *item);

/* What a node of the file's tree is: a tensor becomes a constant of that name; numbers, texts and lists are themselves. */
script_value cvi_script_from_pickle(script *s, const char *path, const cvi_pickle *p);

/* ---- script_recurrent.c ---- */
void cvi_script_drop_states(script *s);

/* ---- torch_module.c: the same for modules that say their own graph ---- */
/* A Sequential, a layer of torch.nn, or a class of ultralytics*.c, at its dotted path. */
script_value cvi_torch_run_module(script *s, const cvi_pickle *p, const char *path, script_value x);
script_value cvi_torch_run_sequential(script *s, const cvi_pickle *root, script_value x);
/* Whether it is a Sequential or a layer of torch.nn that is known; its parts are not looked at. */
bool cvi_torch_knows_module(const cvi_pickle *p);
/* ---- ultralytics.c: one of its classes. false: it is none ---- */
bool cvi_yolo_module(script *s, const cvi_pickle *p, const char *path, script_value x, script_value *out);
/* ---- torchscript.c: builds open->model by `run` on a tree of modules; side > 0: of the picture, which is known ---- */
typedef script_value cvi_script_tree(script *s, const cvi_pickle *root, script_value x);
cvs_status cvi_script_tree_read(cvi_open *open, cvi_torch *t, const cvi_pickle *root, cvi_script_tree *run,
                                int64_t side);

/* ---- script_values.c: making values and nodes; all do nothing after a failure ---- */
bool cvi_script_ok(const script *s);
void cvi_script_keep(script *s, cvs_status status);
#define cvi_script_set(s, call) (cvi_script_ok(s) ? cvi_script_keep((s), (call)) : (void)0)
script_value cvi_script_none(void);
script_value cvi_script_int(int64_t i);
script_value cvi_script_bool(bool b);
script_value cvi_script_float(double f);
script_value cvi_script_tensor(int v);
/* An integer known for both sizes; equal numbers are a constant. */
script_value cvi_script_sized(script *s, int64_t a, int64_t b, script_size size);
script_value cvi_script_arith(script *s, char op, script_value a, script_value b);
bool cvi_script_is_number(const script_value *v);
double cvi_script_number(const script_value *v, double otherwise);
int64_t cvi_script_whole(const script_value *v, int64_t otherwise);
bool cvi_script_true(script *s, const script_value *v);
/* A list of whole numbers, or one number for all; fills out[0..max) and answers how many there were. Constant ones only. */
int cvi_script_wholes(script *s, const script_value *v, int64_t *out, int max);
/* Graph values: a tensor; a number becomes a constant. -1 for None. */
int cvi_script_graph(script *s, const script_value *v);
/* A 1-D tensor of int64 out of integers that may depend on the input's size. */
int cvi_script_sizes(script *s, const script_value *v, int n);
int cvi_script_const_ints(script *s, int n, const int64_t *v);
int cvi_script_const_int(script *s, int64_t v); /* of rank 0 */
int cvi_script_const_float(script *s, double v);
int cvi_script_cast(script *s, int v, cvs_dtype type);
/* Two operands as graph values of one element type, as torch promotes them. */
void cvi_script_pair(script *s, const script_value *x, const script_value *y, int out[2]);
const cvs_tensor *cvi_script_shape(const script *s, int v, int which);
int cvi_script_rank(const script *s, int v);
/* A tensor of the file as a constant under a name; constants of one name and data are one. */
int cvi_script_constant(script *s, const char *name, const cvs_tensor *t);
cvs_status cvi_script_grow(script *s);

typedef struct script_node {
    cvi_node *node;
    int index, out;
} script_node;
/* A node with one output, n_attr attributes to be set by attr calls below, then done() works out shapes. */
script_node cvi_script_node(script *s, const char *op, int n_in, const int *in, int n_attr, bool hidden);
script_node cvi_script_nodes(script *s, const char *op, int n_in, const int *in, int n_attr, int n_out,
                             bool hidden);
void cvi_script_attr_int(script *s, script_node *n, const char *name, int64_t v);
void cvi_script_attr_float(script *s, script_node *n, const char *name, double v);
void cvi_script_attr_ints(script *s, script_node *n, const char *name, int count, const int64_t *v);
void cvi_script_attr_string(script *s, script_node *n, const char *name, const char *v);
void cvi_script_attr_strings(script *s, script_node *n, const char *name, int count, const char *const *v);
script_value cvi_script_done(script *s, script_node n);
/* One node without attributes. */
script_value cvi_script_simple(script *s, const char *op, int n_in, const int *in);

/* ---- calls: one row a name ---- */

/* Arguments of a call: by place first, then by name. */
typedef struct script_args {
    const char *name; /* as called, without "torch." and a trailing underscore */
    int n;            /* by place */
    script_value *arg;
    int n_named;
    const char **key;
    script_value *named;
    bool by_name; /* every argument bears the name of torch's schema (torch.export) */
} script_args;
/* Argument k, or the one of that name; None when absent. */
script_value cvi_script_arg(const script_args *a, int k, const char *name);
/* The same as a number; `otherwise` where it is none, or no whole one. */
double cvi_script_number_arg(const script_args *a, int k, const char *name, double otherwise);
int64_t cvi_script_whole_arg(const script_args *a, int k, const char *name, int64_t otherwise);
/* The same as a value of the graph: cvi_script_graph. */
int cvi_script_graph_arg(script *s, const script_args *a, int k, const char *name);

typedef struct script_call {
    const char *name;
    script_value (*make)(script *s, const struct script_call *c, const script_args *a);
    const char *op; /* ONNX operator, where make() serves several */
    double f;       /* a default of it */
} script_call;
typedef struct script_calls {
    const script_call *list;
    int n;
} script_calls;
extern const script_calls cvi_script_layers, cvi_script_maths, cvi_script_recurrent, cvi_script_compose,
    cvi_script_shapes, cvi_script_select, cvi_script_make, cvi_script_words, cvi_script_transformer;
/* ---- script_select.c ---- */
/* What an in-place operator made of a part: the whole that it is a part of has it from now on. */
void cvi_script_write_back(script *s, int part, int value);

/* ---- script_shapes.c ---- */
/* The size of x along an axis, a number or arithmetic on the input's; x with these sizes, as torch's view. */
script_value cvi_script_dimension(script *s, int x, int64_t axis);
script_value cvi_script_reshape(script *s, int x, const script_value *list, int n);

/* torch.NAME(...): every row of the lists above; unknown ones become an opaque node. */
script_value cvi_script_call(script *s, const script_args *a);
/* Notes on the model which calls have no translation. */
cvs_status cvi_script_notes(const script *s);
/* Does what the file asks for, but the translation cannot: an error that names it. */
script_value cvi_script_refuse(script *s, const char *what);

#endif
