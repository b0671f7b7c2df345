/* SPDX-License-Identifier: MIT
 * pets.c - the first network of every book for cats against dogs: 150x150 pictures, one answer between no and yes, 3,453,121 parameters, pictures
 * turned, moved, enlarged and mirrored.  usage: pets DATA RUN [EPOCHS]
 * e.g. pets folder:DIR /some/folder 100, where DIR has train/cats, train/dogs, test/cats and test/dogs */
#include <stdio.h>
#include <stdlib.h>

#include <convscope/convscope.h>

int main(int argc, char **argv) {
    cvs_error err = {0};
    char text[900];
    cvs_train_result result;
    cvs_train_options options = {.batch = 32, .profile = "keras"};
    static const int filters[] = {32, 64, 128, 128};
    cvs_net *model = cvs_net_new(3, 150, 150);
    for (int i = 0; i < 4; i++) {
        cvs_net_conv2d(model, filters[i], 3, "relu");
        cvs_net_max_pooling2d(model, 2);
    }
    cvs_net_flatten(model);
    cvs_net_dropout(model, 0.5);
    cvs_net_dense(model, 512, "relu");
    cvs_net_dense(model, 1, "sigmoid");
    cvs_net_compile(model, "rmsprop lr=0.0001", "binary");
    cvs_net_train_with(model, "augment rotate=40 shift=30 scale=0.2 flip");
    int epochs = argc > 3 ? atoi(argv[3]) : 100;
    if (argc < 3 || cvs_net_fit(model, argv[1], epochs, argv[2], &options, &result, &err) != CVS_OK) {
        fprintf(stderr, "%s\n",
                argc < 3 ? "usage: pets DATA RUN [EPOCHS]" : cvs_error_text(&err, text, sizeof text));
        return 1;
    }
    printf("%lld parameters, right on unseen pictures %.2f %%\n", (long long)result.params,
           100 * result.val_accuracy);
    cvs_net_free(model);
    return 0;
}
