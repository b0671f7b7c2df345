/* SPDX-License-Identifier: MIT
 * common.c - what commands share besides options: opening, running, saying errors, numbers and columns for people.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "cli_check.h"

int cli_fail(cli *c) {
    char text[1200];
    cvs_status s = c->err.code;
    bool of_model = s == CVS_E_MEMORY || s == CVS_E_LIMIT || s == CVS_E_SHAPE || s == CVS_E_UNSUPPORTED;
    of_model = of_model || (s != CVS_OK && c->err.node[0]);
    if (of_model && !c->err.file[0] && c->n_args > 0) { /* met after opening: about the model as a whole */
        snprintf(c->err.file, sizeof c->err.file, "%s", c->args[0]);
    }
    fprintf(stderr, "convscope: %s\n", cvs_error_text(&c->err, text, sizeof text));
    cli_show_place(c);
    return cvs_status_exit(c->err.code);
}

int cli_usage(cli *c, const char *fmt, ...) {
    (void)c;
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "convscope: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    return cvs_status_exit(CVS_E_ARGUMENT);
}

void cli_say(const cli *c, const char *fmt, ...) {
    (void)c;
    char text[2000],
        safe[2400]; /* names from files come in here: no control character reaches the terminal */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "%s\n", cli_safe(text, safe, sizeof safe));
}

/* --size HxW. false: it is something else, and told so */
static bool size_option(cli *c, int64_t *height, int64_t *width) {
    const char *size = cli_value(c, "--size");
    long long h = 0, w = 0;
    int end = 0;
    if (size && (sscanf(size, "%lldx%lld%n", &h, &w, &end) != 2 || size[end] || h < 1 || w < 1 || h > 65536 ||
                 w > 65536)) {
        cli_usage(
            c, CLI_T(c, "--size is HxW in pixels, such as 224x224", "--size 应为 高x宽（像素），如 224x224"));
        return false;
    }
    *height = h;
    *width = w;
    return true;
}

/* A model that takes one size, which its file does not say, and a .npy of another: opened again for that one, where it fits too. */
static void open_for_array(cli *c, const char *path, cvs_open_options *options, cvs_model **model) {
    const char *array = c->n_args > 1 && c->args[0] == path ? c->args[1] : "";
    size_t n = strlen(array);
    cvs_model_info info;
    cvs_port in;
    cvs_tensor t = {0};
    cvs_model *other = NULL;
    cvs_error quiet = {.lang = c->lang};
    char room[PATH_MAX];
    cvs_model_describe(*model, &info);
    if (n < 5 || strcmp(array + n - 4, ".npy") != 0 || !info.size_guessed || options->height > 0 ||
        cvs_model_input(*model, 0, &in, &quiet) != CVS_OK || in.rank != 4 ||
        cvs_npy_read(cli_named(array, room, sizeof room), NULL, &t, &quiet) != CVS_OK) {
        return;
    }
    bool differs = t.rank == 4 && (t.dim[2] != in.dim[2] || t.dim[3] != in.dim[3]) && t.dim[2] <= 65536 &&
                   t.dim[3] <= 65536;
    options->height = differs ? t.dim[2] : 0;
    options->width = differs ? t.dim[3] : 0;
    cvs_tensor_free(&t);
    if (differs && cvs_model_open(cli_named(path, room, sizeof room), options, &other, &quiet) == CVS_OK) {
        cvs_model_free(*model);
        *model = other;
    }
}

cvs_status cli_open(cli *c, const char *path, bool quiet, cvs_model **out) {
    cvs_open_options options = {.lang = c->lang,
                                .weights = cli_value(c, "--weights"),
                                .arch = cli_value(c, "--arch"),
                                .classes = cli_value(c, "--classes"),
                                .signature = cli_value(c, "--signature")};
    int64_t seed, mib;
    c->err.code = CVS_E_ARGUMENT;
    if (!cli_int(c, "--init", 0, INT64_MAX, 0, &seed) ||
        !cli_int(c, "--max-memory", 1, INT64_MAX >> 20, 8192, &mib) ||
        !size_option(c, &options.height, &options.width)) {
        exit(cvs_status_exit(CVS_E_ARGUMENT));
    }
    c->err.code = CVS_OK;
    options.init = cli_flag(c, "--init") || c->init;
    options.init_seed = cli_flag(c, "--init") ? (uint64_t)seed : 1;
    options.limits.max_memory_bytes = mib << 20;
    if (cli_value(c, "--preprocess")) {
        cvs_status s = cvs_preprocess_parse(cli_value(c, "--preprocess"), &c->preprocess, &c->err);
        if (s != CVS_OK) {
            return s;
        }
        options.preprocess = &c->preprocess;
    }
    char room[PATH_MAX];
    cvs_status s = cvs_model_open(cli_named(path, room, sizeof room), &options, out, &c->err);
    if (s == CVS_OK) {
        open_for_array(c, path, &options, out);
    }
    if (s == CVS_OK && !quiet) {
        cvs_model_info info;
        cvs_model_describe(*out, &info);
        char safe[420];
        for (int i = 0; i < info.n_notes; i++) {
            cli_say(c, CLI_T(c, "note: %s", "注：%s"), cli_safe(info.notes[i], safe, sizeof safe));
        }
    }
    return s;
}

bool cli_run_options(cli *c, cvs_run_options *out) {
    int64_t threads, batch, mib;
    *out = (cvs_run_options){.device = cli_value(c, "--device"), .exact = cli_flag(c, "--exact")};
    if (!cli_int(c, "--threads", 1, 1024, 0, &threads) || !cli_int(c, "--batch", 1, 1 << 20, 0, &batch) ||
        !cli_int(c, "--max-memory", 1, INT64_MAX >> 20, 8192, &mib)) {
        return false;
    }
    out->threads = (int)threads;
    out->batch = batch;
    out->limits.max_memory_bytes = mib << 20;
    if (!size_option(c, &out->height, &out->width)) {
        return false;
    }
    out->progress = cli_progress;
    out->progress_context = c;
    return true;
}

cvs_status cli_run_file(cli *c, const cvs_model *model, cvs_run *run, const char *path, cvs_tensor *shown) {
    cvs_tensor seen = {0};
    char spec[1024];
    int64_t number;
    if (cli_data_number(path, spec, sizeof spec, &number)) {
        return cli_run_number(c, run, spec, number, shown, NULL);
    }
    char room[PATH_MAX];
    cvs_status s =
        cvs_run_file(run, cli_named(path, room, sizeof room), cli_value(c, "--layout"), &seen, &c->err);
    cvs_model_info info;
    cvs_model_describe(model, &info);
    size_t n = strlen(path);
    bool npy = n > 4 && (strcmp(path + n - 4, ".npy") == 0 || strcmp(path + n - 4, ".npz") == 0);
    if (s == CVS_OK && !npy && !info.preprocess->known) {
        char text[300];
        cli_say(
            c,
            CLI_T(c,
                  "guess: nothing says how this model wants its pictures; used %s (--preprocess changes it)",
                  "猜测：没有信息说明该模型需要怎样的图片预处理；已使用 %s（可用 --preprocess 更改）"),
            cvs_preprocess_text(info.preprocess, text, sizeof text));
    }
    if (shown) {
        *shown = seen;
    } else {
        cvs_tensor_free(&seen);
    }
    return s;
}

cvs_status cli_run_layer(cli *c, const cvs_model *model, cvs_run *run, const char *path, int layer,
                         cvs_tensor *shown) {
    char text[1200];
    cvs_tensor t;
    cvs_status s = cli_run_file(c, model, run, path, shown);
    if (s == CVS_E_UNSUPPORTED && cvs_run_layer(run, layer, &t, NULL) == CVS_OK) {
        cli_say(c, CLI_T(c, "note: %s", "注：%s"), cvs_error_text(&c->err, text, sizeof text));
        c->err = (cvs_error){.lang = c->err.lang};
        s = CVS_OK;
    }
    return s;
}

cvs_status cli_picture(cli *c, const char *path, cvs_tensor *out) {
    char room[PATH_MAX];
    return cvs_image_read(cli_named(path, room, sizeof room), NULL, out, &c->err);
}

bool cli_place(cli *c, cvs_unit_options *o) {
    const char *at = cli_value(c, "--at");
    long long row = 0, column = 0;
    int end = 0;
    if (at && (sscanf(at, "%9lld,%9lld%n", &row, &column, &end) != 2 || at[end])) {
        cli_usage(c, CLI_T(c, "--at is ROW,COLUMN, such as 3,5", "--at 应为 行,列，如 3,5"));
        return false;
    }
    o->has_position = at != NULL;
    o->row = row;
    o->column = column;
    return true;
}

bool cli_progress(void *context, const char *what, double fraction) {
    const cli *c = context;
    (void)c;
    if (!isatty(STDERR_FILENO)) {
        return true;
    }
    if (fraction >= 1.0) {
        fprintf(stderr, "\r\033[K");
    } else {
        int full = fraction < 0 ? 0 : (int)(fraction * 30);
        fprintf(stderr, "\r\033[K[%.*s%.*s] %3d%% %s", full, "##############################", 30 - full,
                "..............................", fraction < 0 ? 0 : (int)(fraction * 100), what);
    }
    fflush(stderr);
    return true;
}

/* One code point of valid UTF-8; 0xFFFD and one byte for what is not. */
static uint32_t code_point(const unsigned char *s, int *length) {
    uint32_t c = s[0];
    int n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 0;
    uint32_t v = n < 2 ? c : c & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            n = 0;
            break;
        }
        v = v << 6 | (s[i] & 0x3f);
    }
    *length = n ? n : 1;
    return n ? v : 0xfffd;
}

static bool is_wide(uint32_t v) {
    return (v >= 0x1100 && v <= 0x115f) || (v >= 0x2e80 && v <= 0xa4cf) || (v >= 0xac00 && v <= 0xd7a3) ||
           (v >= 0xf900 && v <= 0xfaff) || (v >= 0xfe30 && v <= 0xfe6f) || (v >= 0xff00 && v <= 0xff60) ||
           (v >= 0xffe0 && v <= 0xffe6) || (v >= 0x1f300 && v <= 0x1faff) || (v >= 0x20000 && v <= 0x3fffd);
}

int cli_width(const char *utf8) {
    int width = 0, length;
    for (const unsigned char *s = (const unsigned char *)utf8; *s; s += length) {
        width += is_wide(code_point(s, &length)) ? 2 : 1;
    }
    return width;
}

void cli_pad(FILE *to, const char *utf8, int width, bool right) {
    int spaces = width - cli_width(utf8);
    spaces = spaces < 0 ? 0 : spaces;
    fprintf(to, "%*s%s%*s", right ? spaces : 0, "", utf8, right ? 0 : spaces, "");
}

const char *cli_safe(const char *text, char *buf, size_t size) {
    size_t at = 0;
    int length;
    for (const unsigned char *s = (const unsigned char *)text; *s && at + 8 < size; s += length) {
        uint32_t v = code_point(s, &length);
        bool control = v < 32 || (v >= 127 && v < 160) || (v >= 0x200b && v <= 0x200f) ||
                       (v >= 0x2028 && v <= 0x202e) || (v >= 0x2066 && v <= 0x2069) || v == 0xfffd;
        if (control) {
            at += (size_t)snprintf(buf + at, size - at, length > 1 ? "\\u%04x" : "\\x%02x",
                                   length > 1 ? v : (uint32_t)s[0]);
        } else {
            memcpy(buf + at, s, (size_t)length);
            at += (size_t)length;
        }
    }
    buf[at] = 0;
    return buf;
}

const char *cli_grouped(int64_t v, char *buf, size_t size) {
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)v);
    size_t at = 0;
    for (int i = 0; i < n && at + 2 < size; i++) {
        if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-') {
            buf[at++] = ',';
        }
        buf[at++] = digits[i];
    }
    buf[at] = 0;
    return buf;
}

const char *cli_short(double v, char *buf, size_t size) {
    const char *unit = v >= 1e12 ? " T" : v >= 1e9 ? " G" : v >= 1e6 ? " M" : v >= 1e3 ? " k" : "";
    double scale = v >= 1e12 ? 1e12 : v >= 1e9 ? 1e9 : v >= 1e6 ? 1e6 : v >= 1e3 ? 1e3 : 1;
    snprintf(buf, size, scale > 1 ? "%.2f%s" : "%.0f%s", v / scale, unit);
    return buf;
}

const char *cli_bytes(int64_t v, char *buf, size_t size) {
    const char *unit = v >= 1 << 30 ? "GiB" : v >= 1 << 20 ? "MiB" : v >= 1 << 10 ? "KiB" : "B";
    double scale = v >= 1 << 30 ? 1073741824.0 : v >= 1 << 20 ? 1048576.0 : v >= 1 << 10 ? 1024.0 : 1.0;
    snprintf(buf, size, scale > 1 ? "%.1f %s" : "%.0f %s", (double)v / scale, unit);
    return buf;
}

char *cli_small_text(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > 4 << 20) {
        return NULL;
    }
    FILE *f = fopen(path, "rb");
    char *text = f ? malloc((size_t)info.st_size + 1) : NULL;
    size_t n = text ? fread(text, 1, (size_t)info.st_size, f) : 0;
    if (f) {
        fclose(f);
    }
    if (text && memchr(text, 0, n)) {
        free(text);
        return NULL;
    }
    if (text) {
        text[n] = 0;
    }
    return text;
}
