/* SPDX-License-Identifier: MIT
 * compat.c - the libraries whose arithmetic --compat takes over, and which of their methods are here. What a map holds (raw numbers, at
 * its own resolution, channels kept) does not change with it.
 */
#include "explain/method.h"

static const struct {
    const char *name, *title;
} libraries[] = {{"captum", "Captum"},
                 {"pytorch-grad-cam", "pytorch-grad-cam"},
                 {"tf-keras-vis", "tf-keras-vis"},
                 {"dlwp", "Deep Learning with Python"}};

const char *cvi_compat_title(cvi_compat library) {
    for (int i = 0; i < CVI_COUNT(libraries); i++) {
        if (library == 1u << i) {
            return libraries[i].title;
        }
    }
    return "";
}

const char *cvi_compat_list(unsigned set) {
#define CA "captum"
#define PG "pytorch-grad-cam"
#define TK "tf-keras-vis"
#define DL "dlwp"
    static const char *const lists[] = {"",
                                        CA,
                                        PG,
                                        CA ", " PG,
                                        TK,
                                        CA ", " TK,
                                        PG ", " TK,
                                        CA ", " PG ", " TK,
                                        DL,
                                        CA ", " DL,
                                        PG ", " DL,
                                        CA ", " PG ", " DL,
                                        TK ", " DL,
                                        CA ", " TK ", " DL,
                                        PG ", " TK ", " DL,
                                        CA ", " PG ", " TK ", " DL};
    return lists[set & 15];
}

cvs_status cvi_compat_find(const char *name, const cvi_method *m, cvi_compat *out, cvs_error *err) {
    *out = CVI_OWN;
    if (!name) {
        return CVS_OK;
    }
    int i = 0;
    while (i < CVI_COUNT(libraries) && strcmp(libraries[i].name, name) != 0) {
        i++;
    }
    if (i == CVI_COUNT(libraries)) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "--compat is \"%.40s\", captum, pytorch-grad-cam, tf-keras-vis or dlwp expected",
                        name);
    }
    *out = (cvi_compat)(1u << i);
    if (m->compat & *out) {
        return CVS_OK;
    }
    char list[400];
    size_t at = 0;
    for (int k = 0; k < cvi_n_methods; k++) {
        const char *other = cvi_methods[k]->name;
        if ((cvi_methods[k]->compat & *out) && at + strlen(other) + 3 < sizeof list) {
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", other);
        }
    }
    return cvi_fail(err, CVS_E_UNSUPPORTED,
                    "%.30s is not taken over from %s; with --compat %s there are: %.390s", m->name,
                    libraries[i].title, name, list);
}
