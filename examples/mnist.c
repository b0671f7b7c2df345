/* SPDX-License-Identifier: MIT
 * mnist.c - the "simple MNIST convnet" of Keras's examples, with its 34,826 parameters.  usage: mnist DATA RUN [EPOCHS]
 * e.g. mnist mnist:DIR /some/folder 15 (any set of grey pictures will do) */
#include <stdio.h>
#include <stdlib.h>

#include <convscope/convscope.h>

int main(int argc, char **argv) {
    cvs_error err = {0};
    char text[900];
    cvs_train_result result;
    cvs_train_options options = {.batch = 128, .profile = "keras"};
    cvs_net *model = cvs_net_new(1, 28, 28);
    cvs_net_conv2d(model, 32, 3, "relu");
    cvs_net_max_pooling2d(model, 2);
    cvs_net_conv2d(model, 64, 3, "relu");
    cvs_net_max_pooling2d(model, 2);
    cvs_net_flatten(model);
    cvs_net_dropout(model, 0.5);
    cvs_net_dense(model, 10, "softmax");
    cvs_net_compile(model, "adam", "cross_entropy");
    int epochs = argc > 3 ? atoi(argv[3]) : 15;
    if (argc < 3 || cvs_net_fit(model, argv[1], epochs, argv[2], &options, &result, &err) != CVS_OK) {
        fprintf(stderr, "%s\n",
                argc < 3 ? "usage: mnist DATA RUN [EPOCHS]" : cvs_error_text(&err, text, sizeof text));
        return 1;
    }
    printf("%lld parameters, right on unseen pictures %.2f %%\n", (long long)result.params,
           100 * result.val_accuracy);
    cvs_net_free(model);
    return 0;
}
