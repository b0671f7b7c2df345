/* SPDX-License-Identifier: MIT
 * cairo_calls.c - fills the table of cairo_calls.h from the shared libraries.
 */
#define CVI_CAIRO_OWN_NAMES
#include "draw/cairo_calls.h"

#include <dlfcn.h>
#include <pthread.h>

/* pangocairo brings pango, cairo and gobject: names are looked up in all of them. The number is that of their ABI. */
#define LIBRARY "libpangocairo-1.0.so.0"

cvi_cairo_calls cvi_cairo;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char fault[200]; /* why they could not be loaded; "": they are */

static void load(void) {
    static const char *const names[] = {
#define CVI_CAIRO_CALL(name) #name,
#include "draw/cairo_calls.def"
#undef CVI_CAIRO_CALL
    };
    void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL), *found[CVI_COUNT(names)];
    _Static_assert(sizeof found == sizeof cvi_cairo, "the table is pointers to functions and nothing else");
    bool whole = library != NULL;
    for (int i = 0; whole && i < CVI_COUNT(names); i++) {
        found[i] = dlsym(library, names[i]);
        whole = found[i] != NULL;
    }
    if (whole) {
        memcpy(&cvi_cairo, found, sizeof cvi_cairo);
    } else {
        const char *why = dlerror();
        snprintf(fault, sizeof fault, "%s", why != NULL ? why : LIBRARY);
    }
}

cvs_status cvi_cairo_load(cvs_error *err) {
    pthread_once(&once, load);
    if (fault[0] != '\0') {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "painting needs the libraries cairo and pango: %s", fault);
    }
    return CVS_OK;
}
