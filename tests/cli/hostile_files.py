# Files that were made to do harm, every row of the table of known attacks on model loaders: each yields (name, path, wanted), where wanted is
# "refused" (a sentence and a code), "report" (it opens, and what is foreign in it is only shown) or "either". Standard library only.
import io, json, os, pickle, struct, sys, warnings, zipfile, zlib

sys.setrecursionlimit(20000)
SECRET = "the-content-of-a-file-that-no-model-may-read"


# ---- protobuf, ONNX ----

def varint(v):
    v &= (1 << 64) - 1
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, dims, raw=None, kind=1, extra=b""):
    return b"".join(field(1, d) for d in dims) + field(2, kind) + field(8, name) + (field(9, raw) if raw is not None else b"") + extra


def external(**pairs):
    return field(14, 1) + b"".join(field(13, field(1, k) + field(2, v)) for k, v in pairs.items())


def value(name, dims, kind=1):
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def attr_ints(name, values):
    return field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7)


def attr_int(name, v):
    return field(1, name) + field(3, v) + field(20, 2)


def node(op, ins, outs, attrs=(), name="", domain=None):
    return (b"".join(field(1, i) for i in ins) + b"".join(field(2, o) for o in outs) + field(3, name) + field(4, op) +
            b"".join(field(5, a) for a in attrs) + (field(7, domain) if domain else b""))


def graph(nodes, inits=(), ins=None, outs=None, name="g"):
    ins = [value("x", [1, 1, 8, 8])] if ins is None else ins
    outs = [value("y", [])] if outs is None else outs
    return (b"".join(field(1, n) for n in nodes) + field(2, name) + b"".join(field(5, t) for t in inits) +
            b"".join(field(11, v) for v in ins) + b"".join(field(12, v) for v in outs))


def onnx(g, functions=(), opset=17, extra=b""):
    return field(1, 8) + field(8, field(2, opset)) + field(7, g) + b"".join(field(25, f) for f in functions) + extra


W = struct.pack("<9f", *range(9))
CONV = node("Conv", ["x", "w"], ["y"])


def onnx_with(t):
    return onnx(graph([CONV], [t]))


def onnx_files(put, folder):
    put("plain.onnx", onnx_with(tensor("w", [1, 1, 3, 3], W)), "opens")
    secret = os.path.join(os.path.dirname(folder), "secret.bin")
    with open(os.path.join(folder, "inside.bin"), "wb") as f:
        f.write(W + b"\0" * 64)
    put("side.onnx", onnx_with(tensor("w", [1, 1, 3, 3], extra=external(location="inside.bin"))), "opens")
    os.symlink(secret, os.path.join(folder, "link.bin"))
    os.symlink(os.path.dirname(folder), os.path.join(folder, "up"))
    with open(os.path.join(folder, "once.bin"), "wb") as f:
        f.write(W + b"\0" * 64)
    os.link(os.path.join(folder, "once.bin"), os.path.join(folder, "hard.bin"))
    os.mkdir(os.path.join(folder, "sub"))
    os.mkfifo(os.path.join(folder, "pipe.bin"))
    for i, where in enumerate(["../secret.bin", "sub/../../secret.bin", "./sub/../../secret.bin", secret, "link.bin", "up/secret.bin",
                               "sub", ".", "", "/dev/zero", "/proc/self/environ", "pipe.bin", "none.bin", "inside.bin\0../secret.bin",
                               "..\\secret.bin", "file://" + secret, "hard.bin"]):
        put("side-%d.onnx" % i, onnx_with(tensor("w", [1, 1, 3, 3], extra=external(location=where))),
            "refused")
    for i, pairs in enumerate([dict(offset="-4"), dict(length="-1"), dict(offset="9999999999999999999999"), dict(offset="100"),
                               dict(length="1125899906842624"), dict(length="4"), dict(offset="0x10"), dict(offset="1e1"),
                               dict(offset="18446744073709551612", length="36")]):
        put("range-%d.onnx" % i, onnx_with(tensor("w", [1, 1, 3, 3], extra=external(location="inside.bin", **pairs))), "refused")
    put("known-keys.onnx", onnx_with(tensor("w", [1, 1, 3, 3], extra=external(location="inside.bin", basepath=os.path.dirname(folder)))), "either")
    put("two-places.onnx", onnx_with(tensor("w", [1, 1, 3, 3], W, extra=external(location="../secret.bin"))), "either")
    for i, dims in enumerate([[1 << 62], [1 << 32, 1 << 32], [-1, 1, 3, 3], [1, 1, 3, 1 << 40], [1] * 300, [3, 3], [0, 1, 3, 3]]):
        put("dims-%d.onnx" % i, onnx_with(tensor("w", dims, W)), "either" if dims[0] == 0 else "refused")
    put("bomb.onnx", onnx(graph([node("ConstantOfShape", ["s"], ["y"])], [tensor("s", [2], struct.pack("<2q", 1 << 31, 1 << 31), 7)], ins=[])), "either")
    put("expand.onnx", onnx(graph([node("Expand", ["x", "s"], ["y"])], [tensor("s", [4], struct.pack("<4q", 1 << 20, 1 << 20, 8, 8), 7)])), "either")
    put("duplicate-names.onnx", onnx(graph([CONV], [tensor("w", [1, 1, 3, 3], W), tensor("w", [1, 1, 1, 1], W[:4])])), "refused")
    put("duplicate-outputs.onnx", onnx(graph([CONV, CONV], [tensor("w", [1, 1, 3, 3], W)])), "refused")
    put("cycle.onnx", onnx(graph([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])])), "refused")
    put("self.onnx", onnx(graph([node("Add", ["x", "y"], ["y"])])), "refused")
    put("nothing.onnx", onnx(graph([node("Relu", ["none"], ["y"])])), "refused")
    function = lambda name, calls: field(1, name) + field(4, "x") + field(5, "y") + field(7, node(calls, ["x"], ["y"], domain="d")) + field(10, "d")
    call = graph([node("F", ["x"], ["y"], domain="d")])
    put("function-of-itself.onnx", onnx(call, [function("F", "F")]), "refused")
    put("functions-in-a-ring.onnx", onnx(call, [function("F", "G"), function("G", "F")]), "refused")
    deep = [function("F", "F1")] + [field(1, "F%d" % i) + field(4, "x") + field(5, "y") + field(10, "d") + b"".join(
        field(7, node("F%d" % (i + 1), ["x" if k == 0 else "t%d" % (k - 1)], ["t%d" % k if k < 9 else "y"], domain="d")) for k in range(10))
        for i in range(1, 30)]
    put("functions-by-powers.onnx", onnx(call, deep), "refused")
    inner = graph([node("Relu", ["x"], ["y"])])
    for _ in range(3000):
        inner = graph([node("If", ["x"], ["y"], [field(1, "then_branch") + field(6, inner) + field(20, 5)])], ins=[])
    put("graphs-in-graphs.onnx", onnx(inner), "refused")
    put("many-nodes.onnx", onnx(graph([node("Relu", ["x" if i == 0 else "t%d" % (i - 1)], ["t%d" % i]) for i in range(60000)], outs=[value("t59999", [])])), "either")
    put("long-name.onnx", onnx(graph([node("Relu", ["x"], ["y"], name="n" * (1 << 20))])), "either")
    put("control.onnx", onnx(graph([node("Relu", ["x"], ["y"], name="\x1b[2J\x07\r\n\u202e<b>")])), "opens")
    put("markup.onnx", onnx(graph([node("Relu", ["x"], ["<script>alert(1)</script>"])], outs=[value("<script>alert(1)</script>", [])])), "opens")
    put("not-utf8.onnx", onnx(graph([node("Relu", ["x"], ["y"])], name=b"\xff\xfe\xc0\x80")), "either")
    put("unknown.onnx", onnx(graph([node("ReadFile", ["x"], ["y"], domain="evil")])), "report")
    put("truncated.onnx", onnx_with(tensor("w", [1, 1, 3, 3], W))[:-20], "refused")
    put("length.onnx", field(1, 8) + varint(7 << 3 | 2) + varint(1 << 60) + b"x", "refused")
    put("groups.onnx", field(1, 8) + bytes([0x0b]) * 100000, "refused")
    put("endless-varint.onnx", field(1, 8) + bytes([0x3a]) + b"\xff" * 40, "refused")
    put("kernel.onnx", onnx(graph([node("Conv", ["x", "w"], ["y"], [attr_ints("pads", [1 << 62] * 4)])], [tensor("w", [1, 1, 3, 3], W)])), "either")
    put("dilation.onnx", onnx(graph([node("Conv", ["x", "w"], ["y"], [attr_ints("dilations", [1 << 62] * 2)])], [tensor("w", [1, 1, 3, 3], W)])), "either")
    put("stride.onnx", onnx(graph([node("Conv", ["x", "w"], ["y"], [attr_ints("strides", [0, 0])])], [tensor("w", [1, 1, 3, 3], W)])), "either")
    put("group.onnx", onnx(graph([node("Conv", ["x", "w"], ["y"], [attr_int("group", 0)])], [tensor("w", [1, 1, 3, 3], W)])), "either")
    put("pool.onnx", onnx(graph([node("MaxPool", ["x"], ["y"], [attr_ints("kernel_shape", [1 << 31, 1 << 31])])])), "either")
    put("resize.onnx", onnx(graph([node("Resize", ["x", "", "s"], ["y"])], [tensor("s", [4], struct.pack("<4f", 1, 1, 1e18, float("nan")))])), "either")
    put("opset.onnx", onnx(graph([node("Relu", ["x"], ["y"])]), opset=1 << 40), "either")


# ---- JSON, Keras, TensorFlow.js ----

def keras_config(layers):
    return {"class_name": "Sequential", "config": {"name": "m", "layers": layers}, "keras_version": "2.15.0", "backend": "tensorflow"}


FIRST = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4, 4, 1], "name": "i"}}


def json_files(put, folder):
    lam = {"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAAA=", None, None], "function_type": "lambda"}}
    put("lambda.json", json.dumps(keras_config([FIRST, lam])), "report")
    for name in ("TFSMLayer", "os.system", "__import__", "TFOpLambda"):
        put("class-%s.json" % name, json.dumps(keras_config([FIRST, {"class_name": name, "module": "os", "config": {
            "name": "l", "filepath": "/etc/passwd", "function": "os.system"}}])), "either")
    put("duplicate-keys.json", '{"class_name":"Sequential","class_name":"Functional","config":{"layers":[]}}', "refused")
    put("deep.json", "[" * 100000 + "]" * 100000, "refused")
    put("deep-object.json", '{"a":' * 100000 + "1" + "}" * 100000, "refused")
    put("number.json", '{"class_name":"Sequential","config":{"layers":[{"class_name":"Dense","config":{"units":1e999}}]}}', "refused")
    put("units.json", json.dumps(keras_config([FIRST, {"class_name": "Dense", "config": {"name": "d", "units": 1 << 62}}])), "either")
    put("filters.json", json.dumps(keras_config([FIRST, {"class_name": "Conv2D", "config": {"name": "c", "filters": -3, "kernel_size": [1 << 40, 2]}}])), "either")
    put("upsample.json", json.dumps(keras_config([FIRST, {"class_name": "UpSampling2D", "config": {"name": "u", "size": [1 << 30, 1 << 30]}}])), "either")
    nested = keras_config([FIRST])
    for _ in range(400):
        nested = keras_config([nested])
    put("models-in-models.json", json.dumps(nested), "either")
    call = lambda n: {"class_name": "Activation", "name": n, "config": {"name": n, "activation": "relu"}, "inbound_nodes": [[["b" if n == "a" else "a", 0, 0, {}]]]}
    put("ring.json", json.dumps({"class_name": "Functional", "config": {"name": "m", "layers": [call("a"), call("b")], "input_layers": [], "output_layers": [["b", 0, 0]]}}), "refused")
    for i, where in enumerate(["../secret.bin", "/etc/passwd", "link.bin", "up/secret.bin", "http://127.0.0.1:9/w", "pipe.bin", "a" * 5000]):
        put("shard-%d.json" % i, json.dumps({"format": "layers-model", "modelTopology": {"model_config": keras_config([FIRST])}, "weightsManifest": [
            {"paths": [where], "weights": [{"name": "w", "shape": [4], "dtype": "float32"}]}]}), "refused")
    for i, shape in enumerate([[1 << 62], [-4], [1 << 32, 1 << 32], ["4"], None, [1e300]]):
        put("weights-%d.json" % i, json.dumps({"format": "layers-model", "modelTopology": {"model_config": keras_config([FIRST])}, "weightsManifest": [
            {"paths": ["inside.bin"], "weights": [{"name": "w", "shape": shape, "dtype": "float32"}]}]}), "refused")


# ---- archives and pickles ----

def zipped(entries, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    warnings.simplefilter("ignore")  # the same name twice is meant
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in entries:
            z.writestr(zipfile.ZipInfo(name) if method == zipfile.ZIP_STORED else name, data)
    return out.getvalue()


class Call:
    def __init__(self, *what):
        self.what = what

    def __reduce__(self):
        return self.what


def torch_zip(data, extra=()):
    return zipped([("archive/data.pkl", data), ("archive/version", b"3\n"), ("archive/data/0", b"\0" * 64)] + list(extra))


def storage_state(size, stride, offset=0, numel=16, key="0"):
    """{'w': tensor} as torch writes it, with any numbers."""
    def text(s):
        return b"X" + struct.pack("<I", len(s)) + s.encode()

    def number(v):
        data = v.to_bytes(max(1, (v.bit_length() + 8) // 8), "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data
    pid = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(numel) + b"tQ"
    args = b"(" + pid + number(offset) + b"(" + b"".join(map(number, size)) + b"t(" + b"".join(map(number, stride)) + b"t\x89)tR"
    return b"\x80\x02}" + text("conv.weight") + b"ctorch._utils\n_rebuild_tensor_v2\n" + args + b"s."


def pickle_files(put, folder):
    canary = os.path.join(os.path.dirname(folder), "canary")
    for i, what in enumerate([(os.system, ("touch " + canary,)), (exec, ("open(%r,'w')" % canary,)), (open, (canary, "w")),
                              (eval, ("__import__('os').system('touch %s')" % canary,)), (getattr, ("abc", "upper"))]):
        for protocol in (0, 2, 4):
            data = pickle.dumps({"w": Call(*what)}, protocol=protocol)
            put("call-%d-%d.pt" % (i, protocol), torch_zip(data), "either")
            put("call-%d-%d.pkl" % (i, protocol), data, "either")
    for i, data in enumerate([b"\x80\x02" + b"(" * 100000 + b".", b"\x80\x02" + b"]" * 50000 + b"a" * 49999 + b".", b"\x80\x02K\x01q\xff.",
                              b"\x80\x02K\x01r\xff\xff\xff\xff.", b"\x80\x04\x95" + b"\xff" * 8 + b".", b"\x80\x02X\xff\xff\xff\x7fabc.",
                              b"\x80\x02]q\x00h\x00a.", b"\x80\x02}q\x00h\x00h\x00s.", b"\x80\x02\x8b\xff\xff\xff\x7f.", b"\x80\x02.", b"\x80\x09N.",
                              b"\x80\x02cos\nsystem\n(S'touch x'\ntR.", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", b"\x80\x02N" * 10]):
        put("machine-%d.pt" % i, torch_zip(data), "either")
        put("machine-%d.pkl" % i, data, "either")
    for i, args in enumerate([([1 << 40], [1]), ([4, 4], [1 << 62, 1]), ([-1], [1]), ([4], [-1]), ([17], [1]), ([4], [1], 13), ([4], [1], -1),
                              ([4], [1], 0, 1 << 60), ([4], [1], 0, 16, "../0"), ([4], [1], 0, 16, "9"), ([1 << 31, 1 << 31, 4], [0, 0, 0])]):
        put("storage-%d.pt" % i, torch_zip(storage_state(*args)), "refused")
    put("storage.pt", torch_zip(storage_state([2, 2, 2, 2], [8, 4, 2, 1])), "opens")


def zip_files(put, folder):
    config = json.dumps(keras_config([FIRST])).encode()
    meta = ("metadata.json", b'{"keras_version": "3.0.0"}')
    good = [meta, ("config.json", config), ("model.weights.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 200)]
    put("damaged-weights.keras", zipped(good), "refused")
    put("twice.keras", zipped(good + [("config.json", b"{}")]), "refused")
    put("traversal.keras", zipped(good + [("../secret.bin", b"x")]), "refused")
    put("absolute.keras", zipped(good + [("/etc/passwd", b"x")]), "refused")
    put("nul.keras", zipped(good + [("config.jso\\n", b"x")]), "either")
    bomb = zipped([meta, ("config.json", b" " * (200 << 20))], zipfile.ZIP_DEFLATED)
    put("bomb.keras", bomb, "refused")
    base = bytearray(zipped(good))
    put("cut.keras", bytes(base[:-30]), "refused")
    put("trailing.keras", bytes(base) + b"PAYLOAD" * 100, "either")
    put("leading.keras", b"#!/bin/sh\ntouch x\n" + bytes(base), "either")
    central = bytes(base).index(b"PK\1\2")
    for name, at, new in (("names-differ", base.index(b"config.json"), b"CONFIG"), ("size", central + 24, b"\xff\xff\xff\x7f"), ("offset", central + 42, b"\xff\xff\xff\x7f"),
                          ("flags", central + 8, b"\x01\x00"), ("method", central + 10, b"\x63\x00"), ("crc", central + 16, b"\1\2\3\4"),
                          ("overlap", bytes(base).index(b"PK\1\2", central + 4) + 42, b"\0\0\0\0")):
        data = bytearray(base)
        data[at:at + len(new)] = new
        put(name + ".keras", bytes(data), "refused")
    end = bytes(base).rindex(b"PK\5\6")
    for name, at, new in (("entries", end + 10, b"\xff\xff"), ("directory", end + 16, b"\xff\xff\xff\x7f")):
        data = bytearray(base)
        data[at:at + len(new)] = new
        put(name + ".keras", bytes(data), "refused")
    module = b"\x80\x02c__torch__\nM\n)\x81}X\x08\0\0\0training\x89sb."
    for name, text in (("minus", "-" * 200000 + "x"), ("not", "not " * 100000 + "x"), ("members", "x" + ".a" * 100000), ("sum", "x" + " + x" * 100000),
                       ("calls", "torch.relu(" * 50000 + "x" + ")" * 50000)):
        code = ("class M(Module):\n  training : bool\n  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n    return " + text + "\n").encode()
        entries = (("data.pkl", module), ("code/__torch__.py", code), ("constants.pkl", b"\x80\x02)."), ("version", b"3\n"))
        put("code-%s.pt" % name, zipped([("m/" + n, d) for n, d in entries]), "refused")
    put("seven.pt", b"7z\xbc\xaf\x27\x1c\0\4" + b"\0" * 200, "refused")
    put("tar.pt", b"evil" + b"\0" * 253 + b"ustar\0" + b"\0" * 400, "refused")
    put("nested.keras", zipped([meta, ("config.json", config), ("model.weights.h5", zipped(good))]), "refused")


# ---- the rest ----

def safetensors(header, data=b"", n=None):
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text) if n is None else n) + text + data


def other_files(put, folder):
    row = '{"dtype":"F32","shape":[4],"data_offsets":[%d,%d]}'
    put("overlap.safetensors", safetensors('{"a":%s,"b":%s}' % (row % (0, 16), row % (8, 24)), b"\0" * 24), "refused")
    put("hole.safetensors", safetensors('{"a":%s,"b":%s}' % (row % (0, 16), row % (20, 36)), b"\0" * 36), "refused")
    put("twice.safetensors", safetensors('{"a":%s,"a":%s}' % (row % (0, 16), row % (0, 16)), b"\0" * 16), "refused")
    put("past.safetensors", safetensors('{"a":%s}' % (row % (0, 1 << 40)), b"\0" * 16), "refused")
    put("negative.safetensors", safetensors('{"a":%s}' % (row % (-16, 0)), b"\0" * 16), "refused")
    put("header.safetensors", safetensors("{}", n=1 << 62), "refused")
    put("shape.safetensors", safetensors('{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}'), "refused")
    put("trailing.safetensors", safetensors('{"a":%s}' % (row % (0, 16)), b"\0" * 99), "refused")
    put("empty.safetensors", b"", "refused")
    for name, text in (("depth", "input 1x3x8x8\n" + "repeat 9 {\n" * 40 + "relu\n" + "}\n" * 40), ("powers", "input 3x8x8\nrepeat 100000 { repeat 100000 { relu } }"),
                       ("huge", "input 1x1x99999999999x99999999999\nconv 9 k3"), ("filters", "input 1x3x8x8\nconv 1e99 k3"),
                       ("open", "input 1x3x8x8\nblock a {"), ("quotes", "input 1x3x8x8\n\"" + "a" * 100000), ("self", "block a { a }\ninput 1x3x8x8\na")):
        put(name + ".net", text, "refused")
    put("deep.prototxt", "layer {" * 100000, "refused")
    put("powers.prototxt", 'name: "x"\ninput: "d" input_shape { dim: 1 dim: 99999999 dim: 99999999 dim: 99999999 }\nlayer { name: "c" type: "Convolution" bottom: "d" top: "c" convolution_param { num_output: 99999999 kernel_size: 99999999 } }', "either")
    put("flat.tflite", struct.pack("<I", 0xfffffff0) + b"TFL3" + b"\xff" * 64, "refused")
    put("loop.tflite", struct.pack("<I", 8) + b"TFL3" + struct.pack("<i", -8) * 40, "refused")
    put("net.cfg", "[net]\nwidth=99999999\nheight=99999999\nchannels=99999999\n[convolutional]\nfilters=99999999\nsize=99999\n", "either")
    put("ring.cfg", "[net]\nwidth=8\nheight=8\nchannels=3\n[route]\nlayers=0\n", "refused")
    put("count.param", "7767517\n99999999 99999999\nInput x 0 1 x\n", "refused")
    put("graph.pb", field(1, field(1, "a") + field(2, "Conv2D") + field(3, "b")) + field(1, field(1, "b") + field(2, "Relu") + field(3, "a")), "refused")
    put("zero.bin", b"\0" * 4096, "refused")
    put("text.txt", "hello\n", "refused")
    put("polyglot.onnx", b"\x89PNG\r\n\x1a\n" + onnx_with(tensor("w", [1, 1, 3, 3], W)), "refused")
    put("hdf5.h5", b"\x89HDF\r\n\x1a\n" + b"\xff" * 512, "refused")
    put("hdf5-short.h5", b"\x89HDF\r\n\x1a\n", "refused")


def png(width, height, data=b"\0" * 10):
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def picture_files(put, folder):
    npy = lambda head, body=b"": b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() + body
    put("huge.png", png(0x7fffffff, 0x7fffffff), "refused")
    put("wide.png", png(100000, 100000), "refused")
    put("short.png", png(64, 64), "refused")
    put("object.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", pickle.dumps([Call(os.system, ("true",))])), "refused")
    put("huge.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"), "refused")
    put("code.npy", npy("__import__('os').system('true')"), "refused")
    put("short.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 28, 28), }", b"\0" * 10), "refused")
    put("nan.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 28, 28), }", struct.pack("<f", float("nan")) * 784), "either")
    put("no.jpg", b"\xff\xd8\xff\xe0" + b"\xff" * 100, "refused")
    put("no.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8 " + b"\xff" * 60, "refused")
    put("no.bmp", b"BM" + b"\xff" * 60, "refused")


def make(folder):
    """Writes every file into a new folder within `folder`; yields (kind, path, wanted), kind being "model" or "picture"."""
    parent = os.path.join(folder, "outside")
    inside = os.path.join(parent, "models")
    os.makedirs(inside)
    with open(os.path.join(parent, "secret.bin"), "w") as f:
        f.write((SECRET + " ") * 8)
    out = []
    for kind, maker in (("model", onnx_files), ("model", json_files), ("model", pickle_files), ("model", zip_files), ("model", other_files), ("picture", picture_files)):
        def put(name, data, wanted):
            path = os.path.join(inside, maker.__name__.split("_")[0] + "-" + name)
            with open(path, "wb") as f:
                f.write(data.encode() if isinstance(data, str) else data)
            out.append((kind, path, wanted))
        maker(put, inside)
    return out
