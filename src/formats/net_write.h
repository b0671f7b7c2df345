/* SPDX-License-Identifier: MIT
 * net_write.h (internal to the writer of text) - what its two halves share: net_write.c writes the whole and any operator,
 * net_forms.c the nodes that a word says exactly.
 */
#ifndef CVI_NET_WRITE_H
#define CVI_NET_WRITE_H

#include "formats/net.h"

typedef struct net_writing {
    const cvs_model *model;
    const cvi_graph *g;
    cvi_buf out;
    bool general;  /* words only where they need no shape */
    int current;   /* what the next statement would read */
    int *uses;     /* per value: how many inputs and outputs read it */
    bool *written; /* per value: constants that have their statement */
    cvs_error *err;
} net_writing;

void cvi_net_put_name(cvi_buf *b, const char *s);
/* The shortest decimal that reads back as the same float (double where it is none), always with a point or exponent. */
void cvi_net_put_real(cvi_buf *b, double v);
/* "from a,_,b ", or nothing where the statement would read the same without. */
void cvi_net_put_from(net_writing *w, int n, const int *in);
/* Writes the node with a word; false, and nothing written: no word means exactly this node. */
bool cvi_net_put_word(net_writing *w, const cvi_node *node);

#endif
