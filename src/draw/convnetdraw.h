/* SPDX-License-Identifier: MIT
 * convnetdraw.h (internal) - scripts of ConvNetDraw: one "name(height, width, channels)" a line.
 */
#ifndef CVI_CONVNETDRAW_H
#define CVI_CONVNETDRAW_H

#include "draw/arch.h"

/* Whether a text's first statement is "word(". */
bool cvi_convnetdraw_match(const char *text);
/* Reads a script: a chain of boxes whose outputs are what it says. Errors name line and column and show the place with a
 * caret. Owned, cvi_arch_free. */
cvs_status cvi_arch_from_convnetdraw(const char *text, const char *name, cvs_lang lang, cvi_arch **out,
                                     cvs_error *err);

#endif
