/* SPDX-License-Identifier: MIT
 * history.c - RUN/history.json: one list per curve, one number per epoch, and what the run was made with. Rewritten whole and
 * atomically after every epoch.
 */
#include <math.h>

#include "train/trainer.h"

/* A number of a JSON file; what is no number becomes null. */
static void put_number(cvi_buf *b, double v) {
    if (isfinite(v)) {
        cvi_buf_printf(b, "%.9g", v);
    } else {
        cvi_buf_puts(b, "null");
    }
}

static void put_list(cvi_buf *b, const cvi_history *h, const char *name, size_t offset) {
    cvi_buf_printf(b, "  \"%s\": [", name);
    for (int i = 0; i < h->n; i++) {
        double v;
        memcpy(&v, (const char *)&h->list[i] + offset, sizeof v);
        cvi_buf_puts(b, i ? ", " : "");
        put_number(b, v);
    }
    cvi_buf_puts(b, "],\n");
}

static void put_text(cvi_buf *b, const char *name, const char *text) {
    json_t *value = json_stringn_nocheck(text, strlen(text));
    char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    cvi_buf_printf(b, "    \"%s\": %s,\n", name, quoted ? quoted : "null");
    if (quoted) {
        free(quoted); /* jansson's own memory */
    }
    json_decref(value);
}

static void put_setting(cvi_buf *b, const char *name, double v) {
    cvi_buf_printf(b, "    \"%s\": ", name);
    put_number(b, v);
    cvi_buf_puts(b, ",\n");
}

void cvi_history_settings(cvi_buf *b, const cvi_history *h) {
    const cvi_training *t = h->training;
    cvi_buf_puts(b, "{\n");
    put_text(b, "recipe", h->recipe);
    put_text(b, "data", h->data);
    put_text(b, "optimizer", t->optimizer->name);
    put_setting(b, "learning_rate", t->rates.learning_rate);
    put_setting(b, "momentum", t->rates.momentum);
    put_setting(b, "beta1", t->rates.beta1);
    put_setting(b, "beta2", t->rates.beta2);
    put_setting(b, "rho", t->rates.rho);
    put_setting(b, "epsilon", t->rates.epsilon);
    put_setting(b, "decay", t->rates.decay);
    put_setting(b, "dampening", t->rates.dampening);
    cvi_buf_printf(b, "    \"variant\": %s,\n", t->rates.variant ? "true" : "false");
    put_text(b, "profile", t->rates.profile == CVI_KERAS ? "keras" : "torch");
    put_text(b, "loss", t->loss->name);
    put_text(b, "schedule", t->schedule->name);
    put_setting(b, "epochs", t->epochs);
    put_setting(b, "batch", t->batch);
    put_setting(b, "shards", h->shards);
    put_setting(b, "shift", (double)t->augment.shift);
    put_setting(b, "rotate", t->augment.rotate);
    put_setting(b, "scale", t->augment.scale);
    put_setting(b, "brightness", t->augment.brightness);
    put_setting(b, "contrast", t->augment.contrast);
    put_setting(b, "cutout", (double)t->augment.cutout);
    put_setting(b, "crop", (double)t->augment.crop);
    put_setting(b, "colour", t->augment.colour);
    put_setting(b, "mixup", t->augment.mixup);
    cvi_buf_printf(b, "    \"flip\": %s,\n", t->augment.flip ? "true" : "false");
    cvi_buf_printf(b, "    \"seed\": %llu,\n", (unsigned long long)t->seed);
    cvi_buf_printf(b, "    \"pictures\": %lld,\n    \"val_pictures\": %lld,\n", (long long)h->pictures,
                   (long long)h->val_pictures);
    cvi_buf_printf(b, "    \"fingerprint\": \"%016llx\",\n    \"val_fingerprint\": \"%016llx\",\n",
                   (unsigned long long)h->fingerprint, (unsigned long long)h->val_fingerprint);
    cvi_buf_printf(b, "    \"parameters\": %lld,\n    \"version\": \"%s\"\n  }", (long long)h->params,
                   CVS_VERSION);
}

cvs_status cvi_history_write(const cvi_history *h, const char *run, cvs_error *err) {
    cvi_buf b = {0};
    cvi_buf_puts(&b, "{\n");
    put_list(&b, h, "loss", offsetof(cvi_epoch, loss));
    put_list(&b, h, "accuracy", offsetof(cvi_epoch, accuracy));
    put_list(&b, h, "val_loss", offsetof(cvi_epoch, val_loss));
    put_list(&b, h, "val_accuracy", offsetof(cvi_epoch, val_accuracy));
    put_list(&b, h, "learning_rate", offsetof(cvi_epoch, learning_rate));
    put_list(&b, h, "seconds", offsetof(cvi_epoch, seconds));
    cvi_buf_printf(&b, "  \"steps\": %lld,\n  \"stopped\": %s,\n  \"total_seconds\": %.3f,\n",
                   (long long)h->steps, h->stopped ? "true" : "false", h->seconds);
    for (int i = 0; i < h->n_changes; i++) {
        cvi_buf_printf(&b, "%s[%lld, %.17g]%s", i ? ", " : "  \"changes\": [", (long long)h->changes[i].step,
                       h->changes[i].rate, i + 1 == h->n_changes ? "],\n" : "");
    }
    cvi_buf_puts(&b, "  \"settings\": ");
    cvi_history_settings(&b, h);
    cvi_buf_puts(&b, "\n}\n");
    char *path = cvi_path_join(run, "history.json");
    cvs_status s = b.failed || !path ? cvi_no_memory(err, b.size) : cvi_file_write(path, b.data, b.size, err);
    cvi_free(path);
    cvi_buf_free(&b);
    return s;
}

void cvi_history_read_seconds(cvi_history *h, const char *run) {
    char *path = cvi_path_join(run, "history.json");
    cvi_file file = {0};
    json_t *root = NULL;
    if (path && cvi_is_file(path) && cvi_file_read(path, NULL, &file, NULL) == CVS_OK &&
        cvi_json_parse((const char *)file.data, file.size, &root, NULL) == CVS_OK) {
        const json_t *seconds = json_object_get(root, "seconds");
        for (int i = 0; i < h->n; i++) {
            const json_t *v = json_array_get(seconds, (size_t)i);
            h->list[i].seconds = json_is_number(v) ? json_number_value(v) : h->list[i].seconds;
        }
        h->seconds = cvi_json_number(root, "total_seconds", 0);
    }
    json_decref(root);
    cvi_file_close(&file);
    cvi_free(path);
}
