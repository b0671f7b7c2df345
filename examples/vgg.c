/* SPDX-License-Identifier: MIT
 * vgg.c - the network in the manner of VGG that Keras's examples train on CIFAR-10, with its 1,250,858 parameters, RMSprop and pictures that are
 * moved and mirrored.  usage: vgg DATA RUN [EPOCHS]; e.g. vgg cifar10:DIR /some/folder 100 */
#include <stdio.h>
#include <stdlib.h>

#include <convscope/convscope.h>

/* conv, conv, pool, dropout: twice as deep as wide is long */
static void block(cvs_net *model, int filters) {
    cvs_net_conv2d_with(model, filters, 3, 1, "same", "relu");
    cvs_net_conv2d(model, filters, 3, "relu");
    cvs_net_max_pooling2d(model, 2);
    cvs_net_dropout(model, 0.25);
}

int main(int argc, char **argv) {
    cvs_error err = {0};
    char text[900];
    cvs_train_result result;
    cvs_train_options options = {.batch = 32, .profile = "keras"};
    cvs_net *model = cvs_net_new(3, 32, 32);
    block(model, 32);
    block(model, 64);
    cvs_net_flatten(model);
    cvs_net_dense(model, 512, "relu");
    cvs_net_dropout(model, 0.5);
    cvs_net_dense(model, 10, "softmax");
    cvs_net_compile(model, "rmsprop lr=0.0001", "cross_entropy");
    cvs_net_train_with(model, "augment shift=3 flip");
    int epochs = argc > 3 ? atoi(argv[3]) : 100;
    if (argc < 3 || cvs_net_fit(model, argv[1], epochs, argv[2], &options, &result, &err) != CVS_OK) {
        fprintf(stderr, "%s\n",
                argc < 3 ? "usage: vgg DATA RUN [EPOCHS]" : cvs_error_text(&err, text, sizeof text));
        return 1;
    }
    printf("%lld parameters, right on unseen pictures %.2f %%\n", (long long)result.params,
           100 * result.val_accuracy);
    cvs_net_free(model);
    return 0;
}
