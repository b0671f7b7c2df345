/* SPDX-License-Identifier: MIT
 * predict.c - opens a model, shows it a picture, prints the five best classes.  usage: predict MODEL PICTURE */
#include <stdio.h>

#include <convscope/convscope.h>

int main(int argc, char **argv) {
    cvs_error err = {0};
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_score best[5];
    cvs_logit_kind kind;
    char text[900];
    int n = 0;
    if (argc == 3 && cvs_model_open(argv[1], NULL, &model, &err) == CVS_OK &&
        cvs_run_new(model, NULL, &run, &err) == CVS_OK &&
        cvs_run_file(run, argv[2], NULL, NULL, &err) == CVS_OK) {
        cvs_run_top(run, 0, 5, best, &n, &kind, &err);
    }
    for (int i = 0; i < n; i++) {
        printf("%6.2f %%  %d %s\n", 100 * best[i].probability, best[i].index, best[i].name);
    }
    if (err.code != CVS_OK) {
        fprintf(stderr, "%s\n", cvs_error_text(&err, text, sizeof text));
    }
    cvs_run_free(run);
    cvs_model_free(model);
    return n > 0 ? 0 : 1;
}
