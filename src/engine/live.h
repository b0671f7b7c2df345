/* SPDX-License-Identifier: MIT
 * live.h (internal to the engine) - memory alive while each layer is computed.
 */
#ifndef CVI_LIVE_H
#define CVI_LIVE_H

#include "engine/groups.h"

/* Fills live_bytes and peak_bytes of every layer and live_peak_bytes, from the layers' bytes; input_bytes[n inputs]. */
cvs_status cvi_live_bytes(const cvi_graph *g, const cvi_groups *groups, const int64_t *input_bytes,
                          cvs_summary *s, cvs_error *err);

#endif
