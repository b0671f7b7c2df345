/* SPDX-License-Identifier: MIT
 * routes.c - which function answers which path (routes.def).
 */
#include <string.h>

#include "app.h"

#define ROUTE(path, post, lane, most, handle) handler handle;
#include "routes.def"
#undef ROUTE

const route *route_find(const char *path, bool post) {
    static const route routes[] = {
#define ROUTE(path, post, lane, most, handle) {path, post, lane, most, handle},
#include "routes.def"
#undef ROUTE
    };
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (routes[i].post == post && strcmp(routes[i].path, path) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}
