#!/usr/bin/env python3
# Makes the ort_* cases in this folder: operators that ONNX Runtime's optimiser and quantiser write (domain com.microsoft) and those that
# exporters of classifiers put behind a network (ai.onnx.ml), one small model each, in the layout of the ONNX project's backend tests. The
# outputs were computed by ONNX Runtime 1.32. Needs: pip install onnx onnxruntime numpy.   usage: make_runtime.py  (in this folder)
import os
import shutil
import numpy as np
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

rng = np.random.default_rng(21)


def f(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def u8(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def i8(*shape):
    return rng.integers(-128, 128, shape, dtype=np.int8)


def case(name, nodes, x, outputs, constants=(), opset=17):
    """outputs: {name: type}; constants: {name: array}."""
    graph = h.make_graph(nodes, name, [h.make_tensor_value_info("x", T.FLOAT, x.shape)],
                         [h.make_tensor_value_info(k, t, None) for k, t in outputs.items()],
                         [nh.from_array(np.asarray(v), k) for k, v in dict(constants).items()])
    model = h.make_model(graph, producer_name="make_runtime.py", ir_version=8,
                         opset_imports=[h.make_opsetid("", opset), h.make_opsetid("com.microsoft", 1), h.make_opsetid("ai.onnx.ml", 2)])
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    results = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    name = "ort_" + name
    shutil.rmtree(name, ignore_errors=True)
    os.makedirs(name + "/test_data_set_0")
    open(name + "/model.onnx", "wb").write(model.SerializeToString())
    for kind, arrays in (("input", [x]), ("output", results)):
        for k, a in enumerate(arrays):
            open("%s/test_data_set_0/%s_%d.pb" % (name, kind, k), "wb").write(nh.from_array(np.asarray(a)).SerializeToString())


F, U8, I8 = T.FLOAT, T.UINT8, T.INT8


def n(op, ins, outs, domain="com.microsoft", **attributes):
    return h.make_node(op, ins.split(" ") if isinstance(ins, str) else ins, outs.split(" ") if isinstance(outs, str) else outs,
                       domain=domain, **attributes)


def m(op, ins, outs, **attributes):
    return n(op, [s if s != "-" else "" for s in ins.split(" ")], [s if s != "-" else "" for s in outs.split(" ")], **attributes)


# ---- fused by the optimiser ----
case("fused_conv_sum", [m("FusedConv", "x w b z", "y", pads=[1] * 4, activation="Relu")], f(1, 3, 5, 5), {"y": F},
     {"w": f(3, 3, 3, 3), "b": f(3), "z": f(1, 3, 5, 5)})
case("fused_conv_clip", [m("FusedConv", "x w", "y", group=3, activation="Clip", activation_params=[-0.5, 0.75])], f(1, 3, 5, 5), {"y": F},
     {"w": f(3, 1, 3, 3)})
case("fused_conv_hard", [m("FusedConv", "x w", "a", activation="HardSigmoid", activation_params=[0.2, 0.4]),
                         m("FusedConv", "a v", "y", activation="LeakyRelu", activation_params=[0.3])], f(1, 2, 4, 4), {"y": F},
     {"w": f(2, 2, 3, 3), "v": f(3, 2, 1, 1)})
case("fused_gemm", [m("FusedGemm", "x w b", "y", transB=1, alpha=0.5, activation="Tanh")], f(3, 4), {"y": F}, {"w": f(5, 4), "b": f(5)})
case("fused_matmul", [m("FusedMatMul", "x w", "a", transA=1, alpha=0.25), m("FusedMatMul", "a v", "y", transB=1)], f(2, 4, 3), {"y": F},
     {"w": f(2, 4, 5), "v": f(2, 6, 5)})
case("gelus", [m("Gelu", "x", "a"), m("BiasGelu", "a b", "c"), m("FastGelu", "c b", "d"), m("FastGelu", "d", "e"),
               m("QuickGelu", "e", "y", alpha=1.3)], 3 * f(2, 6), {"y": F}, {"b": f(6)})
case("skip_norms", [m("SkipLayerNormalization", "x s g b c", "y - - t", epsilon=1e-5), m("SkipSimplifiedLayerNormalization", "t s g", "r", epsilon=1e-5),
                    h.make_node("SimplifiedLayerNormalization", ["r", "g"], ["q"], axis=-1, epsilon=1e-3)], f(2, 3, 4),
     {"y": F, "t": F, "q": F}, {"s": f(2, 3, 4), "g": f(4), "b": f(4), "c": f(4)})
case("attention", [m("Attention", "x w b", "a", num_heads=2), m("MultiHeadAttention", "a k k c - m", "y", num_heads=2, scale=0.4)], f(1, 4, 6),
     {"y": F}, {"w": 0.4 * f(6, 18), "b": f(18), "k": f(1, 3, 6), "c": f(18), "m": f(1, 2, 4, 3)})
for bits in (2, 4, 8):
    zeros = -(-3 * bits // 8)
    case("matmul_%dbits" % bits, [m("MatMulNBits", "x w s z - b", "a", K=40, N=4, bits=bits, block_size=16),
                                  h.make_node("Concat", ["a"] * 10, ["c"], axis=-1),
                                  m("MatMulNBits", "c w s", "y", K=40, N=4, bits=bits, block_size=16)], f(2, 40), {"y": F},
         {"w": u8(4, 3, 2 * bits), "s": np.abs(f(12)) * 0.1, "z": u8(4 * zeros), "b": f(4)})

# ---- quantised ----
q = {"s": np.float32(0.0213), "z": np.uint8(120), "t": np.float32(0.013), "u": np.uint8(99)}
first = [h.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])]
case("qlinear_arithmetic", first + [m("QLinearLeakyRelu", "q s z t u", "a", alpha=0.2), m("QLinearSigmoid", "a t u s z", "b"),
                                    m("QLinearMul", "a t u b s z t u", "c"), m("QLinearAdd", "c t u q s z s z", "d"),
                                    m("QLinearConcat", "t u d s z c t u", "e", axis=1),
                                    m("QLinearSoftmax", "e t u p o", "w", axis=1, opset=12), m("QLinearSoftmax", "e t u p o", "v", axis=1, opset=13)],
     f(1, 2, 3, 4), {"a": U8, "b": U8, "c": U8, "d": U8, "e": U8, "w": U8, "v": U8},
     {**q, "p": np.float32(1 / 256), "o": np.uint8(0)})
case("qlinear_pools", first + [m("QLinearAveragePool", "q s z t u", "a", kernel_shape=[2, 2], strides=[1, 1], pads=[1, 1, 0, 0]),
                               m("QLinearGlobalAveragePool", "a t u s z", "b"),
                               h.make_node("Transpose", ["q"], ["l"], perm=[0, 2, 3, 1]),
                               m("QLinearAveragePool", "l s z t u", "c", kernel_shape=[2, 2], channels_last=1),
                               m("NhwcMaxPool", "c", "d", kernel_shape=[2, 2], strides=[1, 1]),
                               m("QLinearGlobalAveragePool", "d t u s z", "y", channels_last=1)], f(1, 3, 5, 5),
     {"a": U8, "b": U8, "c": U8, "d": U8, "y": U8}, q)
case("qlinear_where", first + [h.make_node("Greater", ["x", "t"], ["c"]), m("QLinearWhere", "c q s z k t u s z", "y")], f(2, 5), {"y": U8},
     {**q, "k": u8(2, 5)})
w = {"w": i8(3, 2, 3, 3), "ws": np.array([0.01, 0.02, 0.005], np.float32), "wz": np.zeros(3, np.int8), "b": np.array([900, -70, 5], np.int32)}
case("qlinear_conv_last", first + [h.make_node("Transpose", ["q"], ["l"], perm=[0, 2, 3, 1]),
                                   m("QLinearConv", "l s z w ws wz o u b", "y", channels_last=1, pads=[1] * 4, strides=[2, 2])], f(1, 2, 5, 5),
     {"y": U8}, {**q, **w, "o": np.float32(0.05)})
case("qlinear_conv", first + [h.make_node("QLinearConv", "q s z w ws wz o u b".split(), ["a"], pads=[1] * 4), h.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2]),
                              h.make_node("DequantizeLinear", ["p", "o", "u"], ["y"])], f(1, 2, 5, 5), {"y": F}, {**q, **w, "o": np.float32(0.05)})
g = {"w": i8(4, 5), "ws": np.array([0.01, 0.02, 0.005, 0.03], np.float32), "wz": np.zeros(4, np.int8), "b": np.array([900, -70, 5, 0], np.int32)}
case("qgemm", first + [m("QGemm", "q s z w ws wz b o u", "y", transB=1), m("QGemm", "q s z w ws wz b", "v", transB=1)], f(2, 5), {"y": U8, "v": F},
     {**q, **g, "o": np.float32(0.03)})
case("dynamic_matmul", [m("DynamicQuantizeMatMul", "x w s z b", "a"), h.make_node("DynamicQuantizeLinear", ["a"], ["q", "t", "u"]),
                        m("MatMulIntegerToFloat", "q v t r u e", "y")], f(3, 4), {"a": F, "y": F},
     {"w": u8(4, 5), "s": np.abs(f(5)) * 0.02, "z": u8(5), "b": f(5), "v": i8(5, 3), "r": np.float32(0.01), "e": np.int8(3)})
case("dynamic_conv", [h.make_node("DynamicQuantizeLinear", ["x"], ["q", "t", "u"]), h.make_node("ConvInteger", ["q", "w", "u", "z"], ["c"], pads=[1] * 4),
                      h.make_node("Cast", ["c"], ["d"], to=F), h.make_node("Mul", ["t", "s"], ["r"]), h.make_node("Mul", ["d", "r"], ["e"]),
                      h.make_node("Add", ["e", "b"], ["y"])], f(1, 2, 5, 5), {"y": F},
     {"w": u8(3, 2, 3, 3), "z": np.uint8(127), "s": np.array([0.01], np.float32), "b": f(3, 1, 1)})
case("quantise_own", [m("QuantizeLinear", "x s z", "a"), m("DequantizeLinear", "a s z", "y")], f(2, 5), {"a": T.UINT16, "y": F},
     {"s": np.float32(0.001), "z": np.uint16(30000)})

# ---- behind a classifier ----
case("ml_numbers", [m("Scaler", "x", "a", domain="ai.onnx.ml", offset=[0.1, 0.2, 0.3, 0.4], scale=[1.0, 2.0, 3.0, 4.0]),
                    m("Normalizer", "a", "b", domain="ai.onnx.ml", norm="L2"), m("Normalizer", "b", "c", domain="ai.onnx.ml", norm="L1"),
                    m("Normalizer", "c", "d", domain="ai.onnx.ml", norm="MAX"), m("Binarizer", "d", "y", domain="ai.onnx.ml", threshold=0.2),
                    m("ArrayFeatureExtractor", "d i", "e", domain="ai.onnx.ml")], np.abs(f(3, 4)), {"d": F, "y": F, "e": F}, {"i": np.array([1, 3])})
for name, labels, after in (("numbers", [4, 9, 2], "SOFTMAX"), ("counts", [0, 1, 2], "LOGISTIC")):
    case("ml_classifier_" + name, [m("LinearClassifier", "x", "label y", domain="ai.onnx.ml", coefficients=f(12).tolist(), intercepts=f(3).tolist(),
                                     classlabels_ints=labels, post_transform=after, multi_class=1)], f(5, 4), {"y": F, "label": T.INT64})
case("ml_regressor", [m("LinearRegressor", "x", "y", domain="ai.onnx.ml", coefficients=f(8).tolist(), intercepts=f(2).tolist(), targets=2)], f(3, 4),
     {"y": F})
