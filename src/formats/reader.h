/* SPDX-License-Identifier: MIT
 * reader.h (internal) - one reader (and maybe writer) per format; one line each in readers.def.
 * A reader turns bytes into a cvs_model with canonical nodes (graph.h). It never executes anything that a file says, opens
 * side files only through cvi_file_read_beneath, and answers damaged input with one located sentence.
 */
#ifndef CVI_READER_H
#define CVI_READER_H

#include "graph/graph.h"
#include "convscope/model.h"

/* What is to be opened. `file` is the file's bytes (size 0 and path of a folder when is_folder). */
typedef struct cvi_open {
    const char *path;
    bool is_folder;
    bool from_memory; /* path is only a name for messages: no side files */
    const char *hub;  /* the folder with config.json of hubs, where it is not the file's own; may be NULL */
    struct cvi_zip
        *zip; /* while readers are asked whether they know it: the file's archive, where it is a whole one */
    cvi_file *
        file; /* a reader that keeps pointers into it hands it to cvi_model_keep_file(model, file) (then file is zeroed) */
    const cvs_open_options *options;
    cvs_limits limits;   /* all set */
    bool has_signatures; /* set by a reader that has looked at options->signature */
    cvs_model *model;    /* to fill; made by the caller, freed by the caller on failure */
    cvs_error *err;
} cvi_open;

typedef struct cvi_reader {
    const char *name;     /* "onnx" */
    const char *title;    /* "ONNX" */
    const char *suffixes; /* ".onnx .pb", only a hint for better messages */
    /* 0 = not mine, 1..100 = how sure, by content; looks at bytes only, bounded time. */
    int (*match)(const cvi_open *open);
    cvs_status (*read)(cvi_open *open);
    /* Loads a weights-only file of this format into a model whose architecture is known; NULL: the format has none. */
    cvs_status (*load_weights)(cvs_model *model, const char *path, cvs_error *err);
    bool by_name; /* load_weights matches names or order on a finished graph, of whatever format it came */
    bool part; /* its files are a model together with others beside them: in a folder none of them is one */
} cvi_reader;

typedef struct cvi_model_writer {
    const char *name, *title, *suffix; /* ".onnx" */
    cvs_status (*write)(const cvs_model *model, const char *path, cvs_error *err);
} cvi_model_writer;

extern const cvi_reader *const cvi_readers[];
extern const int cvi_n_readers;
extern const cvi_model_writer *const cvi_model_writers[];
extern const int cvi_n_model_writers;

#endif
