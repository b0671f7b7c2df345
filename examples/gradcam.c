/* SPDX-License-Identifier: MIT
 * gradcam.c - where the last convolution looked for the predicted class, as a PNG.  usage: gradcam MODEL PICTURE OUT.png */
#include <stdio.h>

#include <convscope/convscope.h>

int main(int argc, char **argv) {
    cvs_error err = {0};
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_tensor shown = {0};
    cvs_explanation why = {0};
    cvs_figure *figure = NULL;
    char text[900];
    cvs_explain_options options = {.method = "gradcam", .target = {.index = -1}};
    if (argc == 4 && cvs_model_open(argv[1], NULL, &model, &err) == CVS_OK &&
        cvs_run_new(model, NULL, &run, &err) == CVS_OK &&
        cvs_run_file(run, argv[2], NULL, &shown, &err) == CVS_OK &&
        cvs_explain(run, &options, &why, &err) == CVS_OK) {
        cvs_attribution_data data = {.why = &why, .picture = &shown, .title = why.method};
        if (cvs_draw_attribution(&data, NULL, &figure, &err) == CVS_OK &&
            cvs_figure_write(figure, argv[3], 0, &err) == CVS_OK) {
            printf("%s\n", why.caption);
        }
    }
    if (err.code != CVS_OK) {
        fprintf(stderr, "%s\n", cvs_error_text(&err, text, sizeof text));
    }
    cvs_figure_free(figure);
    cvs_explanation_free(&why);
    cvs_tensor_free(&shown);
    cvs_run_free(run);
    cvs_model_free(model);
    return argc == 4 && err.code == CVS_OK ? 0 : 1;
}
