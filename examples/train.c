/* SPDX-License-Identifier: MIT
 * train.c - trains a recipe and says how it goes after each epoch.  usage: train RECIPE DATA RUN
 * e.g. train models/digits.net generated:digits /some/folder */
#include <stdio.h>

#include <convscope/convscope.h>

static bool say(void *context, const cvs_train_step *s) {
    (void)context;
    if (s->epoch_ended) {
        printf("epoch %d: loss %.4f, right on unseen pictures %.2f %%\n", s->epoch, s->loss,
               100 * s->val_accuracy);
    }
    return true; /* false would stop */
}

int main(int argc, char **argv) {
    cvs_error err = {0};
    char text[900];
    cvs_train_result result;
    cvs_train_options options = {.epochs = 2, .limit = 1000, .has_seed = true, .seed = 1, .on_step = say};
    if (argc == 4 && cvs_train(argv[1], argv[2], argv[3], &options, &result, &err) == CVS_OK) {
        printf("%lld parameters are in %s/model.onnx\n", (long long)result.params, argv[3]);
        return 0;
    }
    fprintf(stderr, "%s\n", cvs_error_text(&err, text, sizeof text));
    return 1;
}
