/* SPDX-License-Identifier: MIT
 * onnx_encode.h (internal) - our graph as protobuf bytes: the wire helpers and the small messages. The large part, the weights,
 * is streamed by onnx_write.c.
 */
#ifndef CVI_ONNX_ENCODE_H
#define CVI_ONNX_ENCODE_H

#include "graph/graph.h"

/* Wire helpers; failure is the buffer's sticky flag. */
void cvi_pbw_varint(cvi_buf *b, uint64_t v);
int cvi_pbw_varint_size(uint64_t v);
void cvi_pbw_int(cvi_buf *b, uint32_t field, int64_t v);
void cvi_pbw_bytes(cvi_buf *b, uint32_t field, const void *data, size_t n);
void cvi_pbw_text(cvi_buf *b, uint32_t field, const char *s);
/* Appends `inner` as a message and frees it. */
void cvi_pbw_message(cvi_buf *b, uint32_t field, cvi_buf *inner);
void cvi_pbw_entry(cvi_buf *b, uint32_t field, const char *key,
                   const char *value); /* StringStringEntryProto */

/* NodeProto into GraphProto.node. */
cvs_status cvi_onnx_put_node(cvi_buf *b, const cvi_graph *g, const cvi_node *node, cvs_error *err);
/* ValueInfoProto; `known` (may be NULL) has a type and a shape when the value itself says none. */
void cvi_onnx_put_value(cvi_buf *b, uint32_t field, const char *name, const cvs_tensor *known);
/* Turns a borrowed tensor into what a file stores: elements of less than 8 bits packed, in memory of its own (cvs_tensor_free). */
cvs_status cvi_onnx_packed(cvs_tensor *t, cvs_error *err);
/* TensorProto without its numbers: dims, type, name. */
void cvi_onnx_put_tensor_head(cvi_buf *b, const cvs_tensor *t, const char *name);
/* Which constants of g somebody reads: nodes, outputs, subgraphs. used has g->n_values entries, filled. */
void cvi_onnx_mark_used(const cvi_graph *g, bool *used);

#endif
