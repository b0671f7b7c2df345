/* SPDX-License-Identifier: MIT
 * element.c - one element of a plain tensor of any type, as double or int64; for shape inputs and plain twins, not for
 * hot loops.
 */
#include "ops/op.h"
#include "tensor/half.h"
#include "tensor/small.h"

double cvi_get(const cvs_tensor *t, int64_t i) {
    switch (t->dtype) {
    case CVS_F32:
        return (double)((const float *)t->data)[i];
    case CVS_F64:
        return ((const double *)t->data)[i];
    case CVS_F16:
        return (double)cvi_half_to_float(((const uint16_t *)t->data)[i]);
    case CVS_BF16:
        return (double)cvi_bfloat_to_float(((const uint16_t *)t->data)[i]);
    case CVS_U64:
        return (double)((const uint64_t *)t->data)[i];
    case CVS_F8E4M3FN:
    case CVS_F8E4M3FNUZ:
    case CVS_F8E5M2:
    case CVS_F8E5M2FNUZ:
    case CVS_F4E2M1:
    case CVS_F8E8M0:
        return cvi_small_get(t->dtype, ((const uint8_t *)t->data)[i]);
    default:
        return (double)cvi_get_int(t, i);
    }
}

int64_t cvi_get_int(const cvs_tensor *t, int64_t i) {
    switch (t->dtype) {
    case CVS_I64:
    case CVS_U64:
        return ((const int64_t *)t->data)[i];
    case CVS_I32:
        return ((const int32_t *)t->data)[i];
    case CVS_U32:
        return ((const uint32_t *)t->data)[i];
    case CVS_I16:
        return ((const int16_t *)t->data)[i];
    case CVS_U16:
        return ((const uint16_t *)t->data)[i];
    case CVS_I8:
    case CVS_I4:
    case CVS_I2:
        return ((const int8_t *)t->data)[i];
    case CVS_U8:
    case CVS_U4:
    case CVS_U2:
        return ((const uint8_t *)t->data)[i];
    case CVS_BOOL:
        return ((const uint8_t *)t->data)[i] != 0;
    case CVS_F32:
    case CVS_F64:
    case CVS_F16:
    case CVS_BF16:
    case CVS_F8E4M3FN:
    case CVS_F8E4M3FNUZ:
    case CVS_F8E5M2:
    case CVS_F8E5M2FNUZ:
    case CVS_F4E2M1:
    case CVS_F8E8M0: { /* towards zero; what int64 cannot hold is clamped rather than undefined */
        double v = cvi_get(t, i);
        return v != v ? 0 : v >= 9.2e18 ? INT64_MAX : v <= -9.2e18 ? INT64_MIN : (int64_t)v;
    }
    default:
        return 0;
    }
}

void cvi_put(const cvs_tensor *t, int64_t i, double v) {
    int64_t whole = v != v ? 0 : v >= 9.2e18 ? INT64_MAX : v <= -9.2e18 ? INT64_MIN : (int64_t)v;
    switch (t->dtype) {
    case CVS_F32:
        ((float *)t->data)[i] = (float)v;
        break;
    case CVS_F64:
        ((double *)t->data)[i] = v;
        break;
    case CVS_F16:
        ((uint16_t *)t->data)[i] = cvi_float_to_half((float)v);
        break;
    case CVS_BF16:
        ((uint16_t *)t->data)[i] = cvi_float_to_bfloat((float)v);
        break;
    case CVS_I64:
        ((int64_t *)t->data)[i] = whole;
        break;
    case CVS_U64:
        ((uint64_t *)t->data)[i] = v >= 9.2e18 ? (uint64_t)v : (uint64_t)whole;
        break;
    case CVS_I32:
    case CVS_U32:
        ((uint32_t *)t->data)[i] = (uint32_t)whole;
        break;
    case CVS_I16:
    case CVS_U16:
        ((uint16_t *)t->data)[i] = (uint16_t)whole;
        break;
    case CVS_I8:
    case CVS_U8:
        ((uint8_t *)t->data)[i] = (uint8_t)whole;
        break;
    case CVS_BOOL:
        ((uint8_t *)t->data)[i] = v != 0.0;
        break;
    case CVS_U4:
    case CVS_I4:
    case CVS_U2:
    case CVS_I2:
        ((uint8_t *)t->data)[i] = cvi_small_wrap(t->dtype, whole);
        break;
    case CVS_F8E4M3FN:
    case CVS_F8E4M3FNUZ:
    case CVS_F8E5M2:
    case CVS_F8E5M2FNUZ:
    case CVS_F4E2M1:
    case CVS_F8E8M0:
        ((uint8_t *)t->data)[i] = cvi_small_put(t->dtype, v, (cvi_small_how){.saturate = true, .round = 'u'});
        break;
    default:
        break;
    }
}
