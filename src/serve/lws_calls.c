/* SPDX-License-Identifier: MIT
 * lws_calls.c - fills the table of lws_calls.h from the shared library that the build found.
 */
#define CVI_LWS_OWN_NAMES
#include "lws_calls.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "serve/lws_file.h" /* made by Meson: CVS_LWS */

cvi_lws_calls cvi_lws;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char fault[200];

static void load(void) {
    static const char *const names[] = {
#define CVI_LWS_CALL(name) #name,
#include "lws_calls.def"
#undef CVI_LWS_CALL
    };
    enum { COUNT = sizeof names / sizeof *names };
    void *library = dlopen(CVS_LWS, RTLD_LAZY | RTLD_LOCAL), *found[COUNT];
    _Static_assert(sizeof found == sizeof cvi_lws, "the table is pointers to functions and nothing else");
    int n = 0;
    while (library != NULL && n < COUNT && (found[n] = dlsym(library, names[n])) != NULL) {
        n++;
    }
    if (n == COUNT) {
        memcpy(&cvi_lws, found, sizeof cvi_lws);
    } else {
        const char *why = dlerror();
        snprintf(fault, sizeof fault, "%s", why != NULL ? why : CVS_LWS);
    }
}

const char *cvi_lws_load(void) {
    pthread_once(&once, load);
    return fault;
}
