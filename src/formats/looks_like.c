/* SPDX-License-Identifier: MIT
 * looks_like.c - what a file that is no model looks like, by its first bytes, for one helpful sentence.
 */
#include "open.h"
#include "protobuf.h"

typedef struct magic {
    const char *bytes;
    int n, at;
    const char *what;
} magic;

/* Nothing that a reader takes begins so, whatever stands behind it. */
static const magic foreign[] = {
    {"\x89PNG\r\n\x1a\n", 8, 0, "a PNG picture"},
    {"GIF8", 4, 0, "a GIF picture"},
    {"%PDF", 4, 0, "a PDF document"},
    {"\xfd"
     "7zXZ",
     5, 0, "an xz-compressed file"},
    {"7z\xbc\xaf\x27\x1c", 6, 0, "a 7z archive"},
    {"\x7f"
     "ELF",
     4, 0, "a program"},
    {"SQLite format 3", 15, 0, "an SQLite database"},
};

/* Known where no reader wants the file. */
static const magic others[] = {
    {"\xff\xd8\xff", 3, 0, "a JPEG picture"},
    {"BM", 2, 0, "a BMP picture"},
    {"WEBP", 4, 8, "a WebP picture"},
    {"\x89HDF\r\n\x1a\n", 8, 0, "an HDF5 file without a Keras model"},
    {"\x93NUMPY", 6, 0, "a NumPy array (.npy)"},
    {"PK\x03\x04", 4, 0, "a zip archive"},
    {"PK\x05\x06", 4, 0, "an empty zip archive"},
    {"\x1f\x8b", 2, 0, "a gzip-compressed file"},
    {"BZh", 3, 0, "a bzip2-compressed file"},
    {"ustar", 5, 257, "a tar archive"},
    {"version https://git-lfs", 23, 0, "a Git LFS pointer instead of the file itself (run: git lfs pull)"},
    {"\x80\x02", 2, 0, "a Python pickle"},
    {"\x80\x03", 2, 0, "a Python pickle"},
    {"\x80\x04", 2, 0, "a Python pickle"},
    {"\x80\x05", 2, 0, "a Python pickle"},
};

static bool starts_with(const cvi_file *f, size_t at, const char *word) {
    size_t n = strlen(word);
    if (f->size < at + n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t c = f->data[at + i];
        c = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 32) : c;
        if (c != (uint8_t)word[i]) {
            return false;
        }
    }
    return true;
}

/* Text of any encoding that keeps ASCII: no control characters in the first bytes. */
static bool is_text(const cvi_file *f) {
    size_t n = CVI_MIN(f->size, 512);
    for (size_t i = 0; i < n; i++) {
        uint8_t c = f->data[i];
        if (c == 127 || (c < 32 && c != '\n' && c != '\r' && c != '\t' && c != '\f')) {
            return false;
        }
    }
    return true;
}

static const magic *find_magic(const magic *list, int n, const cvi_file *f) {
    for (int i = 0; i < n; i++) {
        const magic *m = &list[i];
        if (f->size >= (size_t)(m->at + m->n) && f->data[m->at] == (uint8_t)m->bytes[0] &&
            memcmp(f->data + m->at, m->bytes, (size_t)m->n) == 0) {
            return m;
        }
    }
    return NULL;
}

bool cvi_is_foreign(const cvi_file *file) {
    return find_magic(foreign, CVI_COUNT(foreign), file) != NULL || cvi_is_other_format(file);
}

/* torch.save of PyTorch 0.1.1 (2016): a tar archive with these entries. */
static bool is_torch_tar(const cvi_file *f) {
    for (size_t at = 0; at + 512 <= CVI_MIN(f->size, (size_t)1 << 20); at += 512) {
        bool header = memcmp(f->data + at + 257, "ustar", 5) == 0;
        const char *name = (const char *)f->data + at;
        if (header && (strncmp(name, "storages", 100) == 0 || strncmp(name, "pickle", 100) == 0)) {
            return true;
        }
    }
    return false;
}

static const char *looks_like(const cvi_file *f) {
    size_t at = 0;
    if (f->size == 0) {
        return "an empty file";
    }
    const magic *m = find_magic(foreign, CVI_COUNT(foreign), f);
    m = m ? m : find_magic(others, CVI_COUNT(others), f);
    if (m && strcmp(m->what, "a tar archive") == 0 && is_torch_tar(f)) {
        return "an archive of PyTorch 0.1.1, of 2016: let a PyTorch that reads it save it anew";
    }
    if (m) {
        return m->what;
    }
    while (at < f->size &&
           (f->data[at] == ' ' || f->data[at] == '\n' || f->data[at] == '\r' || f->data[at] == '\t')) {
        at++;
    }
    if (starts_with(f, at, "<!doctype html") || starts_with(f, at, "<html")) {
        return "an HTML page";
    }
    if (starts_with(f, at, "<?xml") || starts_with(f, at, "<svg")) {
        return "an XML document";
    }
    if (!is_text(f)) {
        return "binary data of an unknown kind";
    }
    return at < f->size && (f->data[at] == '{' || f->data[at] == '[') ? "a JSON file without a model"
                                                                      : "a text file";
}

cvs_status cvi_unknown_file(const cvi_file *file, cvs_error *err) {
    cvs_lang lang = err ? err->lang : CVS_EN;
    char known[256] = "";
    CVI_TRY(cvi_other_format(file, err));
    for (int i = 0; i < cvi_n_readers; i++) {
        size_t n = strlen(known);
        if (n + strlen(cvi_readers[i]->title) + 3 > sizeof known) {
            break;
        }
        snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", cvi_readers[i]->title);
    }
    return cvi_fail(err, CVS_E_FORMAT, "this is not a model file that can be opened (%s); it looks like %s",
                    known, cvi_tr(lang, looks_like(file)));
}
