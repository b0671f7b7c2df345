/* SPDX-License-Identifier: MIT
 * residual.c - the "toy ResNet" of Keras's guide to the functional API, with its 223,242 parameters: connections past layers are words of the
 * language.  usage: residual DATA RUN [EPOCHS]; e.g. residual cifar10:DIR /some/folder 20 */
#include <stdio.h>
#include <stdlib.h>

#include <convscope/convscope.h>

int main(int argc, char **argv) {
    cvs_error err = {0};
    char text[900];
    cvs_train_result result;
    cvs_train_options options = {.batch = 64, .profile = "keras"};
    cvs_net *model = cvs_net_new(3, 32, 32);
    cvs_net_conv2d(model, 32, 3, "relu");
    cvs_net_conv2d(model, 64, 3, "relu");
    cvs_net_max_pooling2d(model, 3);
    for (int i = 0; i < 2; i++) { /* x = layers.add([x, two convolutions of x]) */
        cvs_net_add(model, "residual { conv %d k3 relu conv %d k3 relu }", 64, 64);
    }
    cvs_net_conv2d(model, 64, 3, "relu");
    cvs_net_global_average_pooling2d(model);
    cvs_net_dense(model, 256, "relu");
    cvs_net_dropout(model, 0.5);
    cvs_net_dense(model, 10, NULL);
    cvs_net_compile(model, "rmsprop lr=0.001", "cross_entropy");
    int epochs = argc > 3 ? atoi(argv[3]) : 20;
    if (argc < 3 || cvs_net_fit(model, argv[1], epochs, argv[2], &options, &result, &err) != CVS_OK) {
        fprintf(stderr, "%s\n",
                argc < 3 ? "usage: residual DATA RUN [EPOCHS]" : cvs_error_text(&err, text, sizeof text));
        return 1;
    }
    printf("%lld parameters, right on unseen pictures %.2f %%\n", (long long)result.params,
           100 * result.val_accuracy);
    cvs_net_free(model);
    return 0;
}
