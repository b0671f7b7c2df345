/* SPDX-License-Identifier: MIT
 * cifar.c - the small CNN of every first course, built, compiled and fitted as in Keras.  usage: cifar DATA RUN [EPOCHS]
 * e.g. cifar cifar10:DIR /some/folder 10 (any set of colour pictures of 32x32 will do) */
#include <stdio.h>
#include <stdlib.h>

#include <convscope/convscope.h>

int main(int argc, char **argv) {
    cvs_error err = {0};
    char text[900];
    cvs_train_result result;
    cvs_net *model = cvs_net_new(3, 32, 32);
    cvs_net_conv2d(model, 32, 3, "relu");
    cvs_net_max_pooling2d(model, 2);
    cvs_net_conv2d(model, 64, 3, "relu");
    cvs_net_max_pooling2d(model, 2);
    cvs_net_conv2d(model, 64, 3, "relu");
    cvs_net_flatten(model);
    cvs_net_dense(model, 64, "relu");
    cvs_net_dense(model, 10, NULL);
    cvs_net_compile(model, "adam", "cross_entropy");
    int epochs = argc > 3 ? atoi(argv[3]) : 10;
    if (argc < 3 || cvs_net_fit(model, argv[1], epochs, argv[2], NULL, &result, &err) != CVS_OK) {
        fprintf(stderr, "%s\n",
                argc < 3 ? "usage: cifar DATA RUN [EPOCHS]" : cvs_error_text(&err, text, sizeof text));
        return 1;
    }
    printf("%lld parameters, right on unseen pictures %.2f %%\n", (long long)result.params,
           100 * result.val_accuracy);
    cvs_net_free(model);
    return 0;
}
