/* SPDX-License-Identifier: MIT
 * other_formats.c - files of networks in formats that are not read: known by their first bytes or by their shape, so that one sentence
 * says what a file is and how its network gets here (mostly as ONNX). A new one is a line in the table below.
 * Looks at bytes only, in bounded time, and follows nothing.
 */
#include "open.h"

#include "formats/zip.h"
#include "protobuf.h"

enum { LOOK = 1 << 16, MOST_FIELDS = 256 };

static bool bytes_at(const cvi_file *f, size_t at, const char *bytes, size_t n) {
    return f->size >= at + n && memcmp(f->data + at, bytes, n) == 0;
}

static bool holds(const uint8_t *data, size_t size, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= size; i++) {
        if (data[i] == (uint8_t)word[0] && memcmp(data + i, word, n) == 0) {
            return true;
        }
    }
    return false;
}

/* A word in the first or the last 64 KiB. */
static bool has_word(const cvi_file *f, const char *word) {
    size_t n = CVI_MIN(f->size, (size_t)LOOK);
    return holds(f->data, n, word) || (f->size > n && holds(f->data + f->size - n, n, word));
}

static char first_letter(const cvi_file *f) {
    size_t at = 0;
    while (at < f->size && at < LOOK && strchr(" \t\r\n\xef\xbb\xbf", f->data[at]) && f->data[at]) {
        at++;
    }
    return at < f->size ? (char)f->data[at] : '\0';
}

/* ---- protobuf without a name ---------------------------------------------------------------------------------------- */

/* Model of Core ML: specificationVersion (1), description (2), isUpdatable (10), and the kind of model as a field from 200 on; ONNX has others
 * between. */
static bool is_core_ml(const cvi_file *f) {
    cvs_error quiet = {0};
    cvi_pb r = cvi_pb_begin(f->data, f->size, 8, &quiet);
    cvi_pb_field field;
    bool described = false, kind = false;
    if (f->size < 4 || f->data[0] != 0x08 || f->data[1] < 1 || f->data[1] > 32) {
        return false;
    }
    for (int i = 0; i < MOST_FIELDS && cvi_pb_next(&r, &field) == CVS_OK && field.number != 0; i++) {
        described = described || (field.number == 2 && field.wire == CVI_PB_BYTES);
        kind = kind || (field.number >= 200 && field.number <= 4000 && field.wire == CVI_PB_BYTES);
        if (field.number > 2 && field.number < 200 && field.number != 10) {
            return false;
        }
    }
    return described && kind;
}

/* ProgramDesc of PaddlePaddle begins with a block (1) of idx 0 (1) and parent_idx -1 (2). */
static bool is_paddle(const cvi_file *f) {
    static const char block[] = "\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    size_t at = 1;
    if (f->size < 16 || f->data[0] != 0x0a) {
        return false;
    }
    while (at < 11 && (f->data[at] & 128) != 0) {
        at++;
    }
    return bytes_at(f, at + 1, block, sizeof block - 1);
}

/* A parameter of PaddlePaddle: three versions and counts of 0, then a description of the tensor: its type (1), its sides (2). */
static bool is_paddle_parameters(const cvi_file *f) {
    static const char zeros[16];
    return bytes_at(f, 0, zeros, sizeof zeros) && f->size > 24 && f->data[16] >= 4 && f->data[16] <= 64 &&
           f->data[17] == 0 && f->data[18] == 0 && f->data[19] == 0 && f->data[20] == 0x08 &&
           f->data[21] < 32 && f->data[22] == 0x10;
}

/* NetDef of Caffe2: operators (2) with a type in text (4) and arguments that are messages (5); where Caffe has a number there. */
static bool is_caffe2(const cvi_file *f) {
    cvs_error quiet = {0};
    cvi_pb r = cvi_pb_begin(f->data, f->size, 8, &quiet), op;
    cvi_pb_field field, inner;
    if (f->size < 4 || (f->data[0] != 0x0a && f->data[0] != 0x12)) {
        return false;
    }
    for (int i = 0; i < MOST_FIELDS && cvi_pb_next(&r, &field) == CVS_OK && field.number != 0; i++) {
        if (field.number == 1 && field.wire == CVI_PB_BYTES) {
            continue;
        }
        if (field.number != 2 || field.wire != CVI_PB_BYTES ||
            cvi_pb_enter(&r, &field.bytes, &op) != CVS_OK) {
            return false;
        }
        bool typed = false, argued = false, plain = true;
        for (int k = 0; k < MOST_FIELDS && cvi_pb_next(&op, &inner) == CVS_OK && inner.number != 0; k++) {
            plain = plain && inner.wire == CVI_PB_BYTES && inner.number <= 10;
            typed = typed || inner.number == 4;
            argued = argued || inner.number == 5;
        }
        return plain && typed && argued;
    }
    return false;
}

/* ---- others ------------------------------------------------------------------------------------------------------------ */

static bool is_cntk(const cvi_file *f) {
    return bytes_at(f, 0, "B\0C\0N\0", 6) ||
           (bytes_at(f, 0, "\x08\x01\x12", 3) &&
            (has_word(f, "CompositeFunction") || has_word(f, "primitive_functions")));
}

/* Torch7 writes a kind (4: an object, 3: a table), a number, and of an object "V 1" and its class; as binary numbers or as text. */
static bool is_torch7(const cvi_file *f) {
    bool binary = bytes_at(f, 0, "\4\0\0\0\1\0\0\0", 8) || bytes_at(f, 0, "\3\0\0\0\1\0\0\0", 8);
    bool text = bytes_at(f, 0, "4\n1\n3\nV 1\n", 10) || bytes_at(f, 0, "3\n1\n", 4);
    size_t n = CVI_MIN(f->size, (size_t)4096);
    return (binary && holds(f->data, n, "V 1")) || (text && holds(f->data, n, "\n3\nV 1\n"));
}

static bool is_openvino(const cvi_file *f) {
    size_t n = CVI_MIN(f->size, (size_t)1024);
    return first_letter(f) == '<' && holds(f->data, n, "<net ") && has_word(f, "<layer");
}

static bool is_mxnet(const cvi_file *f) {
    return first_letter(f) == '{' && has_word(f, "\"arg_nodes\"") && has_word(f, "\"heads\"");
}

static bool is_mxnet_parameters(const cvi_file *f) {
    return bytes_at(f, 0, "\x12\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

static bool is_paddle_json(const cvi_file *f) {
    size_t n = CVI_MIN(f->size, (size_t)1024);
    return first_letter(f) == '{' && holds(f->data, n, "\"base_code\"") && holds(f->data, n, "\"pir\"");
}

static bool is_tensorrt(const cvi_file *f) {
    return bytes_at(f, 0, "ftrt", 4) || bytes_at(f, 0, "ptrt", 4);
}

static bool is_rknn(const cvi_file *f) {
    return bytes_at(f, 0, "RKNN", 4) || bytes_at(f, 0, "CYPTRKNN", 8);
}

static bool is_mobile_torch(const cvi_file *f) {
    return bytes_at(f, 4, "PTMF", 4);
}

static bool is_executorch(const cvi_file *f) {
    return bytes_at(f, 4, "ET1", 3);
}

static bool is_ort(const cvi_file *f) {
    return bytes_at(f, 4, "ORTM", 4);
}

static bool is_gguf(const cvi_file *f) {
    return bytes_at(f, 0, "GGUF", 4);
}

static bool is_mindspore(const cvi_file *f) {
    return bytes_at(f, 4, "MSL1", 4) || bytes_at(f, 4, "MSL2", 4);
}

/* MNN's FlatBuffers bear no name: the tables' names of its converter and the version in text are what is left to see. */
static bool is_mnn(const cvi_file *f) {
    size_t n = strlen(f->path ? f->path : "");
    return n > 4 && strcmp(f->path + n - 4, ".mnn") == 0 && f->size > 16 && f->data[3] == 0 &&
           f->data[0] >= 8;
}

static bool begins(const cvi_file *f, const char *word) {
    return bytes_at(f, 0, word, strlen(word));
}

/* ONNX in words: the notation of onnx.printer, JSON and protobuf's own text. */
static bool is_onnx_text(const cvi_file *f) {
    return first_letter(f) == '<' && has_word(f, "ir_version:") && has_word(f, "opset_import: [");
}

static bool is_onnx_json(const cvi_file *f) {
    return first_letter(f) == '{' && (has_word(f, "\"irVersion\"") || has_word(f, "\"ir_version\"")) &&
           (has_word(f, "\"opsetImport\"") || has_word(f, "\"opset_import\""));
}

static bool is_onnx_prototxt(const cvi_file *f) {
    return begins(f, "ir_version:") && has_word(f, "graph {") && has_word(f, "opset_import {");
}

/* An archive with a whole model file or folder in it. */
static bool is_packed_model(const cvi_file *f) {
    static const char *const ends[] = {".onnx", ".tflite",     ".h5", ".hdf5",  ".keras",
                                       ".pt",   ".pth",        ".pb", ".param", ".mlmodel",
                                       ".cfg",  ".caffemodel", ".t7", ".xml",   ".pdmodel"};
    cvs_limits limits = cvs_limits_default(NULL);
    cvi_zip *zip = NULL;
    bool found = false;
    if (!cvi_zip_is(f->data, f->size) || cvi_zip_open(f->data, f->size, &limits, &zip, NULL) != CVS_OK) {
        return false;
    }
    for (int i = 0; i < cvi_zip_count(zip) && i < 4096 && !found; i++) {
        const char *name = cvi_zip_at(zip, i)->name;
        for (int k = 0; k < CVI_COUNT(ends) && !found; k++) {
            size_t n = strlen(name), m = strlen(ends[k]);
            found = n > m && strcmp(name + n - m, ends[k]) == 0;
        }
    }
    cvi_zip_close(zip);
    return found;
}

/* ---- the table --------------------------------------------------------------------------------------------------------- */

typedef struct other_format {
    bool (*is)(const cvi_file *f);
    bool sure; /* asked before the readers, which could take it for theirs */
    const char *what, *how;
} other_format;

static const char from_source[] = "open the ONNX file or the network that it was made from";

static const other_format table[] = {
    {is_core_ml, true, "a Core ML model",
     "onnxmltools (convert_coreml) writes ONNX of its neural networks; of an ML Program, export the network "
     "it was made from"},
    {is_paddle, true, "a PaddlePaddle model",
     "paddle2onnx --model_dir DIR --model_filename FILE.pdmodel --params_filename FILE.pdiparams --save_file "
     "FILE.onnx"},
    {is_paddle_json, true, "a PaddlePaddle model", "paddle2onnx writes ONNX of it"},
    {is_paddle_parameters, true, "a file of PaddlePaddle parameters",
     "paddle2onnx writes ONNX of it and the model beside it"},
    {is_caffe2, true, "a Caffe2 network", "convert-caffe2-to-onnx (of PyTorch 1) writes ONNX of it"},
    {is_cntk, true, "a CNTK model",
     "in Python: cntk.Function.load(FILE).save(\"FILE.onnx\", format=cntk.ModelFormat.ONNX)"},
    {is_torch7, true, "a Torch7 model",
     "PyTorch 0.4 reads it (torch.utils.serialization.load_lua) and saves its weights"},
    {is_openvino, true, "an OpenVINO model",
     "OpenVINO writes no ONNX: open the network that it was made from"},
    {is_mxnet, true, "an MXNet network",
     "in Python: mxnet.onnx.export_model(\"symbol.json\", \"params\", ...)"},
    {is_mxnet_parameters, true, "a file of MXNet parameters",
     "in Python: mxnet.onnx.export_model(\"symbol.json\", \"params\", ...)"},
    {is_tensorrt, true, "a TensorRT engine, compiled for one GPU", from_source},
    {is_rknn, true, "an RKNN model, compiled for a Rockchip processor", from_source},
    {is_mobile_torch, true, "a PyTorch model for phones (FlatBuffers)",
     "in Python: torch.jit.load, then torch.jit.save or torch.onnx.export"},
    {is_executorch, true, "an ExecuTorch program", from_source},
    {is_ort, true, "an ONNX Runtime model (.ort)", from_source},
    {is_gguf, true, "a GGUF file, the weights of a language model", "it holds no convolutional network"},
    {is_onnx_text, true, "an ONNX model in text",
     "in Python: onnx.save(onnx.parser.parse_model(open(FILE).read()), \"FILE.onnx\")"},
    {is_onnx_json, true, "an ONNX model in JSON",
     "in Python: onnx.save(onnx.load(FILE, format=\"json\"), \"FILE.onnx\")"},
    {is_onnx_prototxt, true, "an ONNX model in protobuf's text",
     "in Python: onnx.save(onnx.load(FILE, format=\"textproto\"), \"FILE.onnx\")"},
    {is_mindspore, true, "a MindSpore Lite model",
     "in Python: mindspore.export(net, ..., file_format=\"ONNX\")"},
    {is_mnn, false, "an MNN model", from_source},
    {is_packed_model, false, "a zip archive with a model in it", "unpack it"},
};

static const other_format *find(const cvi_file *file, bool sure) {
    for (int i = 0; i < CVI_COUNT(table); i++) {
        if (table[i].sure == sure && table[i].is(file)) {
            return &table[i];
        }
    }
    return NULL;
}

static cvs_status tell(const other_format *format, cvs_error *err) {
    cvs_lang lang = err ? err->lang : CVS_EN;
    return cvi_fail(err, CVS_E_UNSUPPORTED, "this is %s, a format that is not read here: %s",
                    cvi_tr(lang, format->what), cvi_tr(lang, format->how));
}

bool cvi_is_other_format(const cvi_file *file) {
    return find(file, true) != NULL;
}

cvs_status cvi_other_format(const cvi_file *file, cvs_error *err) {
    const other_format *format = find(file, true);
    format = format ? format : find(file, false);
    return format ? tell(format, err) : CVS_OK;
}

cvs_status cvi_other_folder(const char *path, cvs_error *err) {
    static const char *const inside[] = {"Data/com.apple.CoreML", "coremldata.bin"};
    for (int i = 0; i < CVI_COUNT(inside); i++) {
        char *part = cvi_path_join(path, inside[i]);
        if (!part) {
            return cvi_no_memory(err, strlen(path));
        }
        bool there = i == 0 ? cvi_is_folder(part) : cvi_is_file(part);
        cvi_free(part);
        if (there) {
            return tell(&table[0], err);
        }
    }
    return CVS_OK;
}
