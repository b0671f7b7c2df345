/* SPDX-License-Identifier: MIT
 * op_info.c - the operator table as the public header shows it.
 */
#include "convscope/graph.h"
#include "ops/op.h"

int cvs_op_count(void) {
    return cvi_n_ops;
}

static cvs_status check(int i, cvs_error *err) {
    return i >= 0 && i < cvi_n_ops
               ? CVS_OK
               : cvi_fail(err, CVS_E_ARGUMENT, "there is no operator number %d, there are %d", i, cvi_n_ops);
}

cvs_status cvs_op_describe(int i, cvs_lang lang, cvs_op_info *out, cvs_error *err) {
    CVI_TRY(check(i, err));
    const cvi_op *op = cvi_ops[i];
    const cvi_op_text *t = &op->text;
    bool zh = lang == CVS_ZH;
    *out = (cvs_op_info){
        .name = op->name,
        .title = zh ? t->title_zh : t->title_en,
        .sentence = zh ? t->sentence_zh : t->sentence_en,
        .formula = t->formula,
        .reading = zh ? t->reading_zh : t->reading_en,
        .since = op->since,
        .differentiable = op->backward != NULL,
        .fast = op->fast != NULL,
        .n_attributes = op->n_attrs,
    };
    return CVS_OK;
}

cvs_status cvs_op_attribute(int i, int k, cvs_lang lang, const char **name, const char **initial,
                            const char **range, const char **meaning, cvs_error *err) {
    CVI_TRY(check(i, err));
    if (k < 0 || k >= cvi_ops[i]->n_attrs) {
        return cvi_fail(err, CVS_E_ARGUMENT, "operator %s has no attribute number %d", cvi_ops[i]->name, k);
    }
    const cvi_op_attr *a = &cvi_ops[i]->attrs[k];
    *name = a->name;
    *initial = a->initial;
    *range = a->range;
    *meaning = lang == CVS_ZH ? a->zh : a->en;
    return CVS_OK;
}
