/* SPDX-License-Identifier: MIT
 * finetune.c - what a trained network knows, for other classes: its last layer is replaced and trained while the others stay, then all are trained a
 * little at a small rate.  usage: finetune MODEL DATA RUN [EPOCHS]; e.g. finetune squeezenet.onnx folder:DIR /some/folder */
#include <stdio.h>
#include <stdlib.h>

#include <convscope/convscope.h>

int main(int argc, char **argv) {
    cvs_error err = {0};
    char text[900], second[1000];
    cvs_train_result head, all;
    int epochs = argc > 4 ? atoi(argv[4]) : 5;
    cvs_net *model = argc > 3 ? cvs_net_from(argv[1]) : NULL;
    if (!model) {
        fprintf(stderr, "usage: finetune MODEL DATA RUN [EPOCHS]\n");
        return 1;
    }
    cvs_net_train_with(model, "head data"); /* as many answers as there are classes */
    cvs_net_train_with(model, "freeze body");
    cvs_net_compile(model, "adam", "cross_entropy");
    cvs_status s = cvs_net_fit(model, argv[2], epochs, argv[3], NULL, &head, &err);
    cvs_net_free(model);
    snprintf(text, sizeof text, "%.800s/best.onnx", argv[3]);
    snprintf(second, sizeof second, "%.800s/all", argv[3]);
    model = cvs_net_from(text);
    cvs_net_compile(model, "sgd lr=0.001 momentum=0.9", "cross_entropy");
    if (s != CVS_OK || cvs_net_fit(model, argv[2], epochs, second, NULL, &all, &err) != CVS_OK) {
        fprintf(stderr, "%s\n", cvs_error_text(&err, text, sizeof text));
        return 1;
    }
    printf("%lld of %lld parameters trained: right on unseen pictures %.2f %%; all of them: %.2f %%\n",
           (long long)head.params, (long long)all.params, 100 * head.val_accuracy, 100 * all.val_accuracy);
    cvs_net_free(model);
    return 0;
}
