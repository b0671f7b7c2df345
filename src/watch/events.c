/* SPDX-License-Identifier: MIT
 * events.c - TensorBoard's event files: Event messages (tensorflow/core/util/event.proto, framework/summary.proto, graph.proto and the
 * hparams plugin's api.proto, by number) in TFRecord framing. Written so that the real reader accepts them: a test installs it.
 */
#include "watch/events.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

#include "formats/onnx_encode.h"
#include "formats/protobuf.h"
#include "tensor/image.h"
#include "watch/record.h"

enum { DT_FLOAT = 1, DT_DOUBLE = 2, DT_STRING = 7 };
enum { DATA_SCALAR = 1, DATA_TENSOR = 2, DATA_BLOBS = 3 };

struct cvi_events {
    int fd;
    char *path;
    double wall;
    cvi_buf pending;
};

static void put_fixed(cvi_buf *b, uint32_t field, cvi_pb_wire wire, uint64_t bits) {
    uint8_t bytes[8];
    int n = wire == CVI_PB_FIXED64 ? 8 : 4;
    for (int i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(bits >> (8 * i));
    }
    cvi_pbw_varint(b, (uint64_t)field << 3 | wire);
    cvi_buf_add(b, bytes, (size_t)n);
}

static void put_double(cvi_buf *b, uint32_t field, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_fixed(b, field, CVI_PB_FIXED64, bits);
}

static void put_float(cvi_buf *b, uint32_t field, double v) {
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    put_fixed(b, field, CVI_PB_FIXED32, bits);
}

/* Bytes that are no UTF-8 become '?'. */
static void put_text(cvi_buf *b, uint32_t field, const char *s) {
    cvi_buf clean = {0};
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        uint32_t code;
        bool valid;
        size_t k = cvi_utf8_next(s + i, n - i, &code, &valid);
        cvi_buf_add(&clean, valid ? s + i : "?", valid ? k : 1);
        i += k;
    }
    cvi_pbw_message(b, field, &clean);
}

static double clock_now(const cvi_events *e) {
    struct timespec t;
    if (e->wall >= 0) {
        return e->wall;
    }
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Begins an Event; 0 is left out, as in every proto3 message. */
static cvi_buf begin_event(const cvi_events *e, int64_t step) {
    cvi_buf b = {0};
    put_double(&b, 1, clock_now(e));
    if (step != 0) {
        cvi_pbw_int(&b, 2, step);
    }
    return b;
}

static void end_event(cvi_events *e, cvi_buf *event) {
    if (event->failed) {
        e->pending.failed = true;
    } else {
        cvi_record_add(&e->pending, event->data, event->size);
    }
    cvi_buf_free(event);
}

/* An Event with a Summary of one Value. */
static void add_value(cvi_events *e, int64_t step, cvi_buf *value) {
    cvi_buf event = begin_event(e, step), summary = {0};
    cvi_pbw_message(&summary, 1, value);
    cvi_pbw_message(&event, 5, &summary);
    end_event(e, &event);
}

/* A Value with its tag, the plugin that shows it and the plugin's own bytes. */
static cvi_buf begin_value(const char *tag, const char *plugin, const cvi_buf *content, int data_class) {
    cvi_buf value = {0}, metadata = {0}, data = {0};
    put_text(&value, 1, tag);
    if (plugin) {
        cvi_pbw_text(&data, 1, plugin);
        if (content && content->size > 0) {
            cvi_pbw_bytes(&data, 2, content->data, content->size);
        }
        cvi_pbw_message(&metadata, 1, &data);
        cvi_pbw_int(&metadata, 4, data_class);
        cvi_pbw_message(&value, 9, &metadata);
    }
    return value;
}

/* A TensorProto's head; rank 0: a single value. */
static cvi_buf begin_tensor(int dtype, int rank, const int64_t *dim) {
    cvi_buf t = {0}, shape = {0};
    cvi_pbw_int(&t, 1, dtype);
    for (int i = 0; i < rank; i++) {
        cvi_buf one = {0};
        cvi_pbw_int(&one, 1, dim[i]);
        cvi_pbw_message(&shape, 2, &one);
    }
    cvi_pbw_message(&t, 2, &shape);
    return t;
}

void cvi_events_scalar(cvi_events *e, const char *tag, int64_t step, double value) {
    cvi_buf v = {0};
    put_text(&v, 1, tag);
    put_float(&v, 2, value);
    add_value(e, step, &v);
}

void cvi_events_histogram(cvi_events *e, const char *tag, int64_t step, const cvi_bins *bins) {
    cvi_buf value = begin_value(tag, "histograms", NULL, DATA_TENSOR), numbers = {0};
    cvi_buf tensor = begin_tensor(DT_DOUBLE, 2, (int64_t[]){bins->n, 3});
    for (int i = 0; i < bins->n; i++) {
        double row[3] = {bins->left[i], bins->right[i], bins->count[i]};
        cvi_buf_add(&numbers, row, sizeof row);
    }
    cvi_pbw_message(&tensor, 4, &numbers);
    cvi_pbw_message(&value, 8, &tensor);
    add_value(e, step, &value);
}

void cvi_events_image(cvi_events *e, const char *tag, int64_t step, const cvs_tensor *rgb) {
    cvi_buf value = begin_value(tag, "images", NULL, DATA_BLOBS);
    cvi_buf tensor = begin_tensor(DT_STRING, 1, (int64_t[]){3});
    uint8_t *png = NULL;
    size_t size = 0;
    char text[24];
    if (cvi_png_encode_quick(rgb, &png, &size, NULL) != CVS_OK) {
        value.failed = true;
    }
    snprintf(text, sizeof text, "%lld", (long long)rgb->dim[1]);
    cvi_pbw_text(&tensor, 8, text);
    snprintf(text, sizeof text, "%lld", (long long)rgb->dim[0]);
    cvi_pbw_text(&tensor, 8, text);
    cvi_pbw_bytes(&tensor, 8, png, size);
    cvs_free(png);
    cvi_pbw_message(&value, 8, &tensor);
    add_value(e, step, &value);
}

void cvi_events_text(cvi_events *e, const char *tag, int64_t step, const char *markdown) {
    cvi_buf value = begin_value(tag, "text", NULL, DATA_TENSOR);
    cvi_buf tensor = begin_tensor(DT_STRING, 0, NULL);
    put_text(&tensor, 8, markdown);
    cvi_pbw_message(&value, 8, &tensor);
    add_value(e, step, &value);
}

/* ---- hyper-parameters: the plugin's own messages --------------------------------------------------------- */

/* HParamsPluginData {1 version, `field` message} as the metadata of an empty tensor. */
static void add_hparams(cvi_events *e, const char *tag, uint32_t field, cvi_buf *message) {
    cvi_buf content = {0};
    cvi_pbw_message(&content, field, message);
    cvi_buf value = begin_value(tag, "hparams", &content, DATA_TENSOR);
    value.failed |= content.failed;
    cvi_buf_free(&content);
    cvi_buf tensor = begin_tensor(DT_FLOAT, 1, (int64_t[]){0});
    cvi_pbw_message(&value, 8, &tensor);
    add_value(e, 0, &value);
}

void cvi_events_hparams(cvi_events *e, const cvi_hparam *list, int n) {
    cvi_buf start = {0};
    for (int i = 0; i < n; i++) {
        cvi_buf entry = {0}, v = {0};
        cvi_pbw_text(&entry, 1, list[i].name);
        if (list[i].text) {
            put_text(&v, 3, list[i].text);
        } else {
            put_double(&v, 2, list[i].number);
        }
        cvi_pbw_message(&entry, 2, &v);
        cvi_pbw_message(&start, 1, &entry);
    }
    put_double(&start, 5, clock_now(e));
    add_hparams(e, "_hparams_/session_start_info", 3, &start);
}

void cvi_events_hparams_end(cvi_events *e, bool success) {
    cvi_buf end = {0};
    cvi_pbw_int(&end, 1, success ? 1 : 2);
    put_double(&end, 2, clock_now(e));
    add_hparams(e, "_hparams_/session_end_info", 4, &end);
}

/* ---- the graph ------------------------------------------------------------------------------------------ */

/* What has a meaning in NodeDef.input (':' an output, '^' a control edge) becomes '_'. */
static void put_name(cvi_buf *b, uint32_t field, const char *name) {
    cvi_buf clean = {0};
    cvi_buf_puts(&clean, name);
    for (size_t i = 0; !clean.failed && i < clean.size; i++) {
        clean.data[i] = strchr(":^ ", clean.data[i]) ? '_' : clean.data[i];
    }
    put_text(b, field, clean.failed || !clean.data ? "" : clean.data);
    b->failed |= clean.failed;
    cvi_buf_free(&clean);
}

/* attr["_output_shapes"]: labels of the edges. */
static void put_shape(cvi_buf *node, const cvi_value *v) {
    cvi_buf shape = {0}, list = {0}, attr = {0}, entry = {0};
    if (v->rank < 0) {
        return;
    }
    for (int i = 0; i < v->rank; i++) {
        cvi_buf one = {0};
        cvi_pbw_int(&one, 1, v->dim[i]);
        cvi_pbw_message(&shape, 2, &one);
    }
    cvi_pbw_message(&list, 7, &shape);
    cvi_pbw_message(&attr, 1, &list);
    cvi_pbw_text(&entry, 1, "_output_shapes");
    cvi_pbw_message(&entry, 2, &attr);
    cvi_pbw_message(node, 5, &entry);
}

/* The name of the node that makes a value: an input's own, else its maker's; NULL for constants. */
static const char *maker(const cvi_graph *g, int v) {
    const cvi_value *value = &g->values[v];
    return value->constant ? NULL : value->producer >= 0 ? g->nodes[value->producer].layer : value->name;
}

void cvi_events_graph(cvi_events *e, const cvi_graph *g) {
    cvi_buf graph = {0}, versions = {0}, event = begin_event(e, 0);
    for (int i = 0; i < g->n_inputs; i++) {
        cvi_buf node = {0};
        put_name(&node, 1, g->values[g->inputs[i]].name);
        cvi_pbw_text(&node, 2, "Placeholder");
        put_shape(&node, &g->values[g->inputs[i]]);
        cvi_pbw_message(&graph, 1, &node);
    }
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *from = &g->nodes[n];
        cvi_buf node = {0};
        put_name(&node, 1, from->layer);
        cvi_pbw_text(&node, 2, from->op);
        for (int k = 0; k < from->n_in; k++) {
            const char *name = from->in[k] >= 0 ? maker(g, from->in[k]) : NULL;
            if (name) {
                put_name(&node, 3, name);
            }
        }
        if (from->n_out > 0 && from->out[0] >= 0) {
            put_shape(&node, &g->values[from->out[0]]);
        }
        cvi_pbw_message(&graph, 1, &node);
    }
    cvi_pbw_int(&versions, 1, 27);
    cvi_pbw_message(&graph, 4, &versions);
    cvi_pbw_message(&event, 4, &graph);
    end_event(e, &event);
}

void cvi_events_restart(cvi_events *e, int64_t step) {
    cvi_buf event = begin_event(e, step), session = {0};
    cvi_pbw_int(&session, 1, 1); /* START */
    cvi_pbw_message(&event, 7, &session);
    end_event(e, &event);
}

/* ---- the file ------------------------------------------------------------------------------------------- */

static cvs_status failed(const cvi_events *e, int number, cvs_error *err) {
    char reason[128];
    cvs_status s =
        number == ENOSPC || number == EDQUOT
            ? cvi_fail(err, CVS_E_IO, "no space is left on the device")
            : cvi_fail(err, CVS_E_IO, "cannot be written: %s", strerror_r(number, reason, sizeof reason));
    return cvi_at_file(err, s, e->path);
}

/* events.out.tfevents.SECONDS.convscope.PID.NUMBER: the next one comes behind it in every listing. */
static int make_file(cvi_events *e, const char *folder) {
    double now = clock_now(e);
    size_t room = strlen(folder) + 100;
    e->path = cvi_malloc(room);
    int fd = -1;
    for (int i = 0; e->path && fd < 0 && i < 1000; i++) {
        snprintf(e->path, room, "%s/events.out.tfevents.%010lld.convscope.%ld.%d.v2", folder, (long long)now,
                 (long)getpid(), i);
        fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) {
            break;
        }
    }
    return fd;
}

cvs_status cvi_events_open(const char *folder, double wall, cvi_events **out, cvs_error *err) {
    *out = NULL;
    CVI_TRY(cvi_make_folder(folder, err));
    cvi_events *e = cvi_calloc(1, sizeof *e);
    if (!e) {
        return cvi_no_memory(err, sizeof *e);
    }
    e->wall = wall;
    e->fd = make_file(e, folder);
    if (e->fd < 0) {
        cvs_status s = e->path ? failed(e, errno, err) : cvi_no_memory(err, 200);
        cvi_free(e->path);
        cvi_free(e);
        return s;
    }
    cvi_buf event = begin_event(e, 0);
    cvi_pbw_text(&event, 3, "brain.Event:2");
    end_event(e, &event);
    *out = e;
    return CVS_OK;
}

cvs_status cvi_events_flush(cvi_events *e, cvs_error *err) {
    size_t at = 0;
    if (e->pending.failed) {
        return cvi_no_memory(err, e->pending.size);
    }
    while (at < e->pending.size) {
        ssize_t n = cvi_io_should_fail() ? -1 : write(e->fd, e->pending.data + at, e->pending.size - at);
        if (n < 0 && errno != EINTR) {
            return failed(e, errno, err);
        }
        at += n > 0 ? (size_t)n : 0;
    }
    e->pending.size = 0;
    return CVS_OK;
}

cvs_status cvi_events_close(cvi_events *e, cvs_error *err) {
    if (!e) {
        return CVS_OK;
    }
    cvs_status s = cvi_events_flush(e, err);
    close(e->fd);
    cvi_buf_free(&e->pending);
    cvi_free(e->path);
    cvi_free(e);
    return s;
}
