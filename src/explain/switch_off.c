/* SPDX-License-Identifier: MIT
 * switch_off.c - one feature map after another filled with one number, and only what follows the layer run again.
 */
#include "explain/switch_off.h"

cvs_status cvi_switch_off(cvi_again *a, const cvs_tensor *maps, const float *level, double *whole,
                          double *without) {
    int64_t n = maps->dim[1];
    CVI_TRY(cvi_again_scores(a, 1, 0.0, whole)); /* the run that the others differ from */
    cvi_edit *edit = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *edit);
    cvi_change *change = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *change);
    cvs_status s = edit && change ? CVS_OK : cvi_no_memory(a->q->err, (size_t)n * sizeof *edit);
    for (int64_t k = 0; k < n && s == CVS_OK; k++) {
        edit[k] = (cvi_edit){.value = a->q->layer_value,
                             .c = k,
                             .channels = 1,
                             .h = INT32_MAX,
                             .w = INT32_MAX,
                             .fill = level ? &level[k] : NULL};
        change[k] = (cvi_change){&edit[k], 1};
    }
    if (s == CVS_OK) {
        s = cvi_changes_run(a, change, n, &(cvi_changed){.target = without});
    }
    cvi_free(edit);
    cvi_free(change);
    return s;
}
