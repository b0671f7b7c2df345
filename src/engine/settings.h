/* SPDX-License-Identifier: MIT
 * settings.h (internal to the engine) - a node's settings as people write them: "3x3, stride 2, pad 1".
 */
#ifndef CVI_SETTINGS_H
#define CVI_SETTINGS_H

#include "engine/engine.h"

/* Writes them into buf, "" where there are none; cut between two settings where they do not fit. */
void cvi_settings_text(const cvi_opctx *ctx, cvs_lang lang, char *buf, size_t size);

#endif
