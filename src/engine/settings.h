/* SPDX-License-Identifier: MIT
 * settings.h (internal to the engine) - a node's settings as people write them: "3x3, stride 2, pad 1".
 */
#ifndef CVI_SETTINGS_H
#define CVI_SETTINGS_H

#include "engine/engine.h"

/* Writes them into buf, "" where there are none; cut between two settings where they do not fit. */
void cvi_settings_text(const cvi_graph *g, const cvi_opctx *ctx, cvs_lang lang, char *buf, size_t size);
/* The same of a window whose input's shape nobody knows, from the file alone; "" for other operators. */
void cvi_settings_unplaced(const cvi_graph *g, const cvi_node *node, cvs_lang lang, char *buf, size_t size);

#endif
