#!/usr/bin/env python3
# Makes the ONNX cases in this folder: small models that use what real files use (old opsets, local functions, subgraphs,
# side files, scattered and unpacked fields), in the layout of the ONNX project's backend tests. The outputs were computed by
# ONNX Runtime on the model as the onnx package writes it, before any reordering that only changes the bytes.
# Needs: pip install onnx onnxruntime numpy.   usage: make.py  (in this folder)
import os
import shutil
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

rng = np.random.default_rng(5)


def f32(*shape):
    return (rng.standard_normal(shape) * 2).astype(np.float32)


def case(name, nodes, inputs, outputs, constants=(), opset=13, functions=(), change=None, opsets=(), feed=None, info=(), ir=8):
    """inputs: {name: array}; outputs: names; constants: {name: array}; change(model): edits after the outputs are known."""
    graph = h.make_graph(
        nodes, name,
        [h.make_tensor_value_info(k, h.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in inputs.items()],
        [h.make_tensor_value_info(k, t, None) for k, t in outputs.items()],
        [nh.from_array(v, k) for k, v in dict(constants).items()], value_info=list(info))
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset), *opsets], functions=list(functions),
                         producer_name="make.py", ir_version=ir)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results = session.run(list(outputs), inputs)
    shutil.rmtree(name, ignore_errors=True)
    os.makedirs(name + "/test_data_set_0")
    data = model.SerializeToString()
    if change:
        changed = change(model)
        data = changed if isinstance(changed, bytes) else model.SerializeToString()
    open(name + "/model.onnx", "wb").write(data)
    for kind, arrays in (("input", list(inputs.values())), ("output", results)):
        for k, a in enumerate(arrays):
            open("%s/test_data_set_0/%s_%d.pb" % (name, kind, k), "wb").write(nh.from_array(np.asarray(a)).SerializeToString())


F = T.FLOAT
n = h.make_node

# ---- old opsets ----
case("softmax_11_flattens", [n("Softmax", ["x"], ["y"], axis=1)], {"x": f32(2, 3, 4, 2)}, {"y": F}, opset=11)
case("softmax_11_negative", [n("Relu", ["x"], ["r"]), n("LogSoftmax", ["r"], ["y"], axis=-2)], {"x": f32(2, 3, 4)}, {"y": F}, opset=11)
case("hardmax_9", [n("Hardmax", ["x"], ["y"])], {"x": f32(3, 2, 3)}, {"y": F}, opset=9)
case("upsample_7", [n("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 3.0], mode="nearest")], {"x": f32(1, 2, 3, 2)}, {"y": F}, opset=7)
case("upsample_9_linear", [n("Upsample", ["x", "s"], ["y"], mode="linear")], {"x": f32(1, 2, 3, 2)}, {"y": F},
     {"s": np.array([1, 1, 2, 2], np.float32)}, opset=9)
case("resize_10", [n("Resize", ["x", "s"], ["y"], mode="nearest")], {"x": f32(1, 1, 4, 4)}, {"y": F},
     {"s": np.array([1, 1, 1.5, 0.5], np.float32)}, opset=10)
case("resize_11_sizes", [n("Resize", ["x", "e", "e", "z"], ["y"], mode="linear", coordinate_transformation_mode="half_pixel")],
     {"x": f32(1, 1, 4, 4)}, {"y": F}, {"e": np.zeros(0, np.float32), "z": np.array([1, 1, 7, 3], np.int64)}, opset=11)
case("attributes_9", [
    n("Slice", ["x"], ["a"], axes=[2, 3], starts=[1, -4], ends=[9, -1]),
    n("Pad", ["a"], ["b"], pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.5),
    n("Clip", ["b"], ["c"], min=-0.75, max=1.25),
    n("Unsqueeze", ["c"], ["d"], axes=[0]),
    n("Squeeze", ["d"], ["e"], axes=[0]),
    n("ReduceMean", ["e"], ["m"], axes=[2], keepdims=1),
    n("ReduceSum", ["e"], ["s"], axes=[1, 3], keepdims=0),
    n("Split", ["e"], ["p", "q"], axis=1, split=[1, 2]),
    n("TopK", ["m"], ["t", "i"], k=2, axis=-1),
    n("Dropout", ["q"], ["y"], ratio=0.4)],
    {"x": f32(1, 3, 6, 5)}, {"y": F, "p": F, "m": F, "s": F, "t": F, "i": T.INT64}, opset=9)
case("split_11_equal", [n("Split", ["x"], ["p", "q", "r"], axis=0)], {"x": f32(6, 2)}, {"p": F, "q": F, "r": F}, opset=11)
case("batchnorm_7", [n("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], spatial=1, epsilon=1e-3)], {"x": f32(2, 3, 2, 2)}, {"y": F},
     {"s": f32(3), "b": f32(3), "m": f32(3), "v": np.abs(f32(3))}, opset=7)
case("constants", [
    n("Constant", [], ["a"], value_float=2.5), n("Constant", [], ["b"], value_floats=[1.0, -2.0, 3.0]),
    n("Constant", [], ["c"], value_ints=[3, 1]), n("Constant", [], ["i"], value_int=1),
    n("Identity", ["b"], ["b2"]), n("Mul", ["x", "a"], ["m"]), n("Add", ["m", "b2"], ["y"]), n("Reshape", ["y", "c"], ["z"]),
    n("Gather", ["z", "i"], ["g"]), n("Constant", [], ["k"], value=nh.from_array(f32(2, 2)))],
    {"x": f32(3)}, {"z": F, "g": F, "k": F}, opset=13)

# ---- subgraphs ----
then = h.make_graph([n("Mul", ["r", "w"], ["t"]), n("Add", ["t", "k"], ["u"])], "then", [], [h.make_tensor_value_info("u", F, None)],
                    [nh.from_array(f32(3), "k")])
inner = h.make_graph([n("Sub", ["r", "w"], ["v2"])], "inner", [], [h.make_tensor_value_info("v2", F, None)])
inner2 = h.make_graph([n("Neg", ["r"], ["v3"])], "inner2", [], [h.make_tensor_value_info("v3", F, None)])
other = h.make_graph([n("If", ["c"], ["v"], then_branch=inner2, else_branch=inner)], "else", [], [h.make_tensor_value_info("v", F, None)])
case("if_captures", [n("Relu", ["x"], ["r"]), n("ReduceSum", ["x", "ax"], ["s"], keepdims=0), n("Greater", ["s", "zero"], ["c"]),
                     n("If", ["c"], ["y"], then_branch=then, else_branch=other)],
     {"x": -np.abs(f32(3))}, {"y": F}, {"w": f32(3), "ax": np.array([0], np.int64), "zero": np.array(0, np.float32)}, opset=13)
case("if_captures_then", [n("Relu", ["x"], ["r"]), n("ReduceSum", ["x", "ax"], ["s"], keepdims=0), n("Greater", ["s", "zero"], ["c"]),
                          n("If", ["c"], ["y"], then_branch=then, else_branch=other)],
     {"x": np.abs(f32(3))}, {"y": F}, {"w": f32(3), "ax": np.array([0], np.int64), "zero": np.array(0, np.float32)}, opset=13)

# ---- local functions ----
own = h.make_opsetid("own", 1)
std = h.make_opsetid("", 13)


def ref(node, name, kind, given):
    a = onnx.AttributeProto()
    a.name, a.ref_attr_name, a.type = name, given, kind
    node.attribute.append(a)
    return node


scale = h.make_function("own", "Leak", ["a"], ["b"], [ref(n("LeakyRelu", ["a"], ["b"]), "alpha", onnx.AttributeProto.FLOAT, "slope")],
                        [std], ["slope"])
twice = h.make_function("own", "Twice", ["a", "w"], ["b", "first"], [
    ref(n("Leak", ["a"], ["first"], domain="own", name="one"), "slope", onnx.AttributeProto.FLOAT, "slope"),
    n("Leak", ["first"], ["t"], domain="own", name="two", slope=0.5),
    n("Constant", [], ["c"], value=nh.from_array(np.array([3.0], np.float32))),
    n("Mul", ["t", "c"], ["t2"]), n("Add", ["t2", "w"], ["b"])], [std, own], ["slope"])
case("functions", [n("Twice", ["x", "w"], ["y", "z"], domain="own", name="f", slope=0.25), n("Twice", ["y", "w"], ["q", ""], domain="own", name="g", slope=0.125),
                   n("Neg", ["q"], ["o"])],
     {"x": f32(2, 3)}, {"o": F, "z": F}, {"w": f32(3)}, opset=13, functions=[scale, twice], opsets=[own])

# ---- how the bytes may lie ----
conv = [n("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]), n("Relu", ["c"], ["y"])]
convs = dict(w=f32(2, 1, 3, 3), b=f32(2))
cx = {"x": f32(1, 1, 4, 4)}


def typed(model):
    for t in model.graph.initializer:
        a = nh.to_array(t)
        t.ClearField("raw_data")
        t.float_data.extend(a.flatten().tolist())


def unpacked(model):  # every number of float_data as a field of its own, dims packed into one
    typed(model)
    out = b""
    for t in model.graph.initializer:
        body = bytes([0x0A, len(t.dims)]) + bytes(t.dims) + bytes([0x10, t.data_type]) + b"\x42" + bytes([len(t.name)]) + t.name.encode()
        body += b"".join(b"\x25" + np.float32(v).tobytes() for v in t.float_data)
        out += b"\x2a" + varint(len(body)) + body
    del model.graph.initializer[:]
    g = model.graph.SerializeToString() + out
    model.ClearField("graph")
    return model.SerializeToString() + b"\x3a" + varint(len(g)) + g


def varint(v):
    b = b""
    while v >= 128:
        b += bytes([v & 127 | 128])
        v >>= 7
    return b + bytes([v])


def pieces(model):  # the graph in three pieces, a group and unknown fields between them
    g = model.graph
    parts = []
    for fields in (["node"], ["initializer", "name"], ["input", "output"]):
        p = onnx.GraphProto()
        for f in fields:
            if f == "name":
                p.name = g.name
            else:
                getattr(p, f).extend(getattr(g, f))
        parts.append(p.SerializeToString())
    model.ClearField("graph")
    unknown = b"\xc3\x3e\x08\x01\xcb\x3e\xcc\x3e\xc4\x3e" + b"\xf8\x3f\x07" + b"\xfa\x3f\x03abc" + b"\xfd\x3f\0\0\0\0"
    out = model.SerializeToString()
    for p in parts:
        out += unknown + b"\x3a" + varint(len(p)) + p
    return out


def shuffled(model):
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def listed(model):  # as before IR 4: initializers are inputs too
    model.ir_version = 3
    for t in model.graph.initializer:
        model.graph.input.insert(0, h.make_tensor_value_info(t.name, t.data_type, t.dims))


def side(model):
    blob = b"\0" * 64
    for t in model.graph.initializer:
        data = t.raw_data
        t.ClearField("raw_data")
        t.data_location = T.EXTERNAL
        for k, v in (("location", "weights/side.bin"), ("offset", str(len(blob))), ("length", str(len(data)))):
            e = t.external_data.add()
            e.key, e.value = k, v
        blob += data
    os.makedirs("side_file/weights")
    open("side_file/weights/side.bin", "wb").write(blob)


case("typed_data", conv, cx, {"y": F}, convs, change=typed)
case("unpacked_data", conv, cx, {"y": F}, convs, change=unpacked)
case("graph_in_pieces", conv, cx, {"y": F}, convs, change=pieces)
case("out_of_order", conv, cx, {"y": F}, convs, change=shuffled)
case("initializers_as_inputs", conv, cx, {"y": F}, convs, change=listed)
case("side_file", conv, cx, {"y": F}, convs, change=side)


def int32_data(model):
    for t in model.graph.initializer:
        a = nh.to_array(t)
        t.ClearField("raw_data")
        if t.name == "h":
            t.int32_data.extend(a.view(np.uint16).tolist())
        elif t.name == "u":
            t.uint64_data.extend(a.tolist())
        else:
            t.int32_data.extend(a.astype(int).tolist())


case("small_types", [n("Cast", ["h"], ["hf"], to=F), n("Cast", ["u"], ["uf"], to=F), n("Cast", ["i"], ["if"], to=F), n("Cast", ["t"], ["tf"], to=F),
                     n("Sum", ["x", "hf", "uf", "if", "tf"], ["y"])],
     {"x": f32(3)}, {"y": F}, {"h": np.array([0.5, -2, 65504], np.float16), "u": np.array([1, 2, 4000000000], np.uint32),
                               "i": np.array([-128, 5, 127], np.int8), "t": np.array([True, False, True])}, change=int32_data)

# ---- loops ----
V, I64, B = h.make_tensor_value_info, T.INT64, T.BOOL
branch = {"then_branch": h.make_graph([n("Add", ["n", "n"], ["t"])], "then", [], [V("t", F, None)]),
          "else_branch": h.make_graph([n("Identity", ["n"], ["e"])], "else", [], [V("e", F, None)])}
until = h.make_graph([n("Mul", ["s", "w"], ["m"]), n("Add", ["m", "x"], ["n"]), n("Mod", ["i", "two"], ["odd"]), n("Cast", ["odd"], ["is_odd"], to=B),
                      n("If", ["is_odd"], ["s2"], **branch), n("ReduceSum", ["s2"], ["sum"], keepdims=0), n("Less", ["sum", "limit"], ["go"]),
                      n("Identity", ["i"], ["turn"]), n("Identity", ["s2"], ["piece"])],
                     "body", [V("i", I64, []), V("c", B, []), V("s", F, [3])], [V("go", B, []), V("s2", F, [3]), V("piece", F, [3]), V("turn", I64, [])])
case("loop_until", [n("Relu", ["x0"], ["x"]), n("Loop", ["", "true", "s0"], ["last", "stack", "turns"], body=until),
                    n("ReduceMax", ["stack"], ["top"], axes=[0], keepdims=0)],
     {"x0": f32(3), "s0": np.array([0.5, 1, 2], np.float32)}, {"last": F, "turns": I64, "top": F},
     {"w": np.float32(1.5), "two": np.int64(2), "limit": np.float32(200), "true": np.array(True)})
turns = h.make_graph([n("Identity", ["c"], ["c2"]), n("Neg", ["s"], ["s2"]), n("Abs", ["s"], ["p"])], "body",
                     [V("i", I64, []), V("c", B, []), V("s", F, [2, 2])], [V("c2", B, []), V("s2", F, [2, 2]), V("p", F, [2, 2])])
for count in (0, 3):
    case("loop_%d_turns" % count, [n("Loop", ["m", "", "s0"], ["last", "stack"], body=turns)], {"m": np.array(count), "s0": f32(2, 2)},
         {"last": F, "stack": F})
axes = h.make_graph([n("Add", ["s", "a"], ["s2"]), n("Mul", ["s2", "b"], ["y"]), n("Sub", ["a", "b"], ["z"])], "body",
                    [V("s", F, [2]), V("a", F, [2]), V("b", F, [2])], [V("s2", F, [2]), V("y", F, [2]), V("z", F, [2])])
case("scan_axes", [n("Scan", ["s0", "A", "B"], ["last", "Y", "Z"], body=axes, num_scan_inputs=2, scan_input_axes=[1, -2], scan_input_directions=[1, 0],
                     scan_output_axes=[1, 0], scan_output_directions=[0, 1])],
     {"s0": f32(2), "A": f32(2, 4), "B": f32(4, 2)}, {"last": F, "Y": F, "Z": F})

# ---- operators of the first converters ----
case("image_scaler", [n("ImageScaler", ["x"], ["y"], scale=0.5, bias=[1.0, -2.0, 0.25])], {"x": f32(1, 3, 2, 4)}, {"y": F}, opset=8)
case("crop_border", [n("Crop", ["x"], ["y"], border=[1, 0, 2, 1])], {"x": f32(1, 2, 4, 6)}, {"y": F}, opset=8)
case("crop_size", [n("Crop", ["x"], ["y"], border=[1, 2, 0, 0], scale=[2, 3])], {"x": f32(1, 2, 4, 6)}, {"y": F}, opset=8)

# ---- elements of 8 bits and less: packed raw bytes, packed numbers of int32_data, one number a byte ----
import ml_dtypes as ml  # noqa: E402


def small(name, kind, shape, numbers):
    return h.make_tensor(name, kind, shape, numbers)


def quantised(model):
    for t in model.graph.initializer:
        for s in SMALL:
            if t.name == s.name:
                t.CopyFrom(s)
    return model


own = np.random.default_rng(12)
SMALL = [small("w4", T.INT4, [3, 5], own.integers(-8, 8, 15).tolist()), small("u4", T.UINT4, [3, 5], own.integers(0, 16, 15).tolist())]
codes = {"w4": own.integers(-8, 8, (3, 5)).astype(ml.int4), "u4": own.integers(0, 16, (3, 5)).astype(ml.uint4),
         "f8": (own.standard_normal((3, 5)) * 9).astype(ml.float8_e4m3fn), "z5": np.zeros((), ml.float8_e5m2), "zi": np.array([1, -2, 3], ml.int4)}
for t in SMALL:  # the same numbers in int32_data, two a number
    t.CopyFrom(h.make_tensor(t.name, t.data_type, t.dims, codes[t.name].astype(np.int8).ravel().tolist()))
case("quantised_small", [
    n("DequantizeLinear", ["w4", "s3", "zi"], ["a"], axis=0), n("DequantizeLinear", ["u4", "s1"], ["b"]), n("DequantizeLinear", ["f8", "s1"], ["c"]),
    n("Add", ["a", "b"], ["ab"]), n("Add", ["ab", "c"], ["w"]), n("MatMul", ["x", "w"], ["y"]), n("QuantizeLinear", ["y", "s1", "z5"], ["q"]),
    n("DequantizeLinear", ["q", "s1"], ["r"])],
     {"x": own.standard_normal((2, 3)).astype(np.float32)}, {"y": F, "r": F},
     {**codes, "s3": np.array([0.5, 0.25, 2], np.float32), "s1": np.float32(0.125)}, opset=21, ir=10, change=quantised)

# ---- pictures with channels last, beside this folder: the input is given as a file of numbers, not as the graph's tensor ----
last = "../onnx_last"
shutil.rmtree(last, ignore_errors=True)
case(last, [n("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), n("Conv", ["t", "w"], ["c"]), n("Relu", ["c"], ["y"])],
     {"x": f32(1, 5, 6, 3)}, {"y": F}, {"w": f32(2, 3, 3, 3)})
for name in ("input", "output"):
    path = last + "/test_data_set_0/" + name + "_0.pb"
    np.save(last + "/" + name.replace("put", "") + ".npy", nh.to_array(onnx.load_tensor(path)))
shutil.rmtree(last + "/test_data_set_0")
