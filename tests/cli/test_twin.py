#!/usr/bin/env python3
# Models made here byte by byte (a small protobuf writer, no library) and opened by the program: graphs as converters write
# them, hostile names, nodes that leave out what they must not, dead weights, repeated runs in both layouts.
import array, json, os, random, struct, tempfile, unittest, xml.dom.minidom, zipfile

from program import Case, floats, load, run

EVIL = "<script>alert(1)</script>\"'&%s%n\n\t\x1b[31m中文" + "A" * 1000


# ---- ONNX, written by hand ----

def varint(n):
    out = b""
    n &= (1 << 64) - 1
    while True:
        out += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return out


def field(number, v):
    if isinstance(v, int):
        return varint(number << 3) + varint(v)
    if isinstance(v, float):
        return varint(number << 3 | 5) + struct.pack("<f", v)
    if isinstance(v, str):
        v = v.encode()
    return varint(number << 3 | 2) + varint(len(v)) + v


def attribute(name, v):
    out = field(1, name)
    if isinstance(v, int):
        return out + field(3, v) + field(20, 2)
    if isinstance(v, str):
        return out + field(4, v) + field(20, 3)
    return out + b"".join(field(8, k) for k in v) + field(20, 7)


def node(op, inputs, outputs, name="", **attributes):
    return (b"".join(field(1, k) for k in inputs) + b"".join(field(2, k) for k in outputs) + field(3, name) + field(4, op)
            + b"".join(field(5, attribute(k, v)) for k, v in attributes.items()))


def tensor(name, dims, values, kind="f"):
    return (b"".join(field(1, d) for d in dims) + field(2, 1 if kind == "f" else 7) + field(8, name)
            + field(9, array.array(kind, values).tobytes()))


def port(name, dims):
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def model(nodes, weights=(), takes=(1, 3, 8, 8), gives="y", opset=13, name="g", producer="made by hand"):
    graph = (b"".join(field(1, n) for n in nodes) + field(2, name) + b"".join(field(5, w) for w in weights)
             + field(11, port("x", takes)) + field(12, field(1, gives)))
    return field(1, 7) + field(2, producer) + field(7, graph) + field(8, field(1, "ai.onnx.ml") + field(2, 1)) + field(8, field(1, "") + field(2, opset))


class Twin(Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(3)

    def put(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def numbers(self, n):
        return [self.random.uniform(-1, 1) for _ in range(n)]

    def outputs(self, *args):
        out = tempfile.mkdtemp(dir=self.dir)
        p = run("run", *args, "-o", out)
        self.assertEqual(p.returncode, 0, p.stderr)
        with open(os.path.join(out, "index.json"), encoding="utf-8") as f:
            index = json.load(f)
        files = {l["name"]: os.path.join(out, l["file"]) for l in index["layers"]}
        return [(shape, list(values)) for shape, values in (load(files[n]) for n in index["outputs"])]

    def refused(self, args, code, *words):
        p = run(*args)
        self.assertEqual(p.returncode, code, p.stderr)
        self.assertEqual(p.stderr.count("\n"), 1, p.stderr)
        for w in words:
            self.assertIn(w, p.stderr)

    def channels_last_model(self, batch):
        """As converters from Keras write it: the input has channels last, a Transpose turns it, dense layers are MatMul and Add."""
        nodes = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
                 node("Conv", ["t", "w", "b"], ["c"], auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[2, 2]),
                 node("Relu", ["c"], ["r"]), node("Transpose", ["r"], ["u"], perm=[0, 2, 3, 1]),
                 node("Reshape", ["u", "s"], ["f"]), node("MatMul", ["f", "m"], ["d"]), node("Add", ["d", "e"], ["a"]),
                 node("Softmax", ["a"], ["p"], axis=-1), node("Identity", ["p"], ["y"])]
        weights = [tensor("w", [2, 3, 3, 3], self.numbers(54)), tensor("b", [2], self.numbers(2)), tensor("s", [2], [-1, 24], "q"),
                   tensor("m", [24, 5], self.numbers(120)), tensor("e", [5], self.numbers(5))]
        return model(nodes, weights, takes=(batch, 6, 8, 3))

    def test_graph_with_channels_last_in_both_layouts(self):
        N, H, W, C = 3, 6, 8, 3
        last = self.numbers(N * H * W * C)
        first = [last[((n * H + h) * W + w) * C + c] for n in range(N) for c in range(C) for h in range(H) for w in range(W)]
        free = self.put("free.onnx", self.channels_last_model("N"))
        a = self.outputs(free, self.put("last.npy", floats((N, H, W, C), last)))[0]
        self.assertEqual(a[0], (N, 5))
        self.assertEqual(a, self.outputs(free, self.put("first.npy", floats((N, C, H, W), first)), "--layout", "nchw")[0])
        self.assertEqual(a, self.outputs(free, self.path("last.npy"), "--layout", "nhwc")[0])
        for n in range(N):  # one sample without a batch dimension
            size = H * W * C
            one = self.put("one.npy", floats((H, W, C), last[n * size:(n + 1) * size]))
            for x, y in zip(self.outputs(free, one)[0][1], a[1][n * 5:n * 5 + 5]):
                self.assertAlmostEqual(x, y, places=6)

    def test_numpy_archive_gives_a_text_its_weights(self):
        net = self.put("one.net", b"input 1x2x2\nfc: fc 3\n")
        w, b = self.numbers(12), self.numbers(3)
        packed = self.path("weights.npz")
        with zipfile.ZipFile(packed, "w") as z:
            with z.open("fc.weight.npy", "w", force_zip64=True) as f:  # as numpy.savez writes
                f.write(floats((3, 4), w))
            z.writestr("fc.bias.npy", floats((3,), b))
        x = self.numbers(4)
        shape, y = self.outputs(packed, self.put("x.npy", floats((1, 1, 2, 2), x)), "--arch", net)[0]
        self.assertEqual(shape, (1, 3))
        for k in range(3):
            self.assertAlmostEqual(y[k], sum(w[4 * k + i] * x[i] for i in range(4)) + b[k], places=6)
        self.assertEqual(self.outputs(net, self.path("x.npy"), "--weights", packed)[0][1], y)
        with zipfile.ZipFile(self.path("objects.npz"), "w") as z:
            z.writestr("a.npy", floats((1,), [1.0]).replace(b"'<f4'", b"'|O' "))
        self.refused(["info", self.path("objects.npz")], 5, "a.npy", "Python objects")

    def test_sparse_weights_are_dense_ones_with_zeros(self):
        x = self.put("x.npy", floats((1, 4), [1, 2, 3, 4]))

        def opened(values, places, shape, dims):
            sparse = (field(1, tensor("w", [len(values)], values)) + field(2, tensor("", shape, places, "q"))
                      + b"".join(field(3, d) for d in dims))
            graph = (field(1, node("MatMul", ["x", "w"], ["y"])) + field(2, "g") + field(11, port("x", (1, 4))) + field(12, field(1, "y"))
                     + field(15, sparse))
            return self.put("sparse.onnx", field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))

        for shape, places in (([3], [0, 5, 11]), ([3, 2], [0, 0, 1, 2, 3, 2])):
            self.assertEqual(self.outputs(opened([2.0, -1.0, 1.0], places, shape, [4, 3]), x)[0], ((1, 3), [2.0, 0.0, 2.0]))
        for places, dims in (([0, 5, 12], [4, 3]), ([5, 0, 11], [4, 3]), ([0, 0, 1], [4, 3]), ([0, -1, 3], [4, 3]), ([0, 1, 2], [2, 1])):
            self.refused(["info", opened([1.0, 2.0, 3.0], places, [3], dims)], 4, "sparse")
        self.refused(["info", opened([1.0], [0], [1], [1 << 31, 1 << 31])], 7, "too large")

    def test_fixed_batch_runs_sample_by_sample(self):
        self.random = random.Random(3)
        fixed = self.put("fixed.onnx", self.channels_last_model(1))
        self.random = random.Random(3)
        free = self.put("free.onnx", self.channels_last_model("N"))
        x = self.put("x.npy", floats((4, 6, 8, 3), self.numbers(4 * 144)))
        (shape, a), (_, b) = self.outputs(fixed, x)[0], self.outputs(free, x)[0]
        self.assertEqual(shape, (4, 5))
        for p, q in zip(a, b):
            self.assertAlmostEqual(p, q, places=6)

    def test_required_output_left_out(self):
        x = self.put("x.npy", floats((1, 3, 8, 8), self.numbers(192)))
        for first in (["Relu", ["x"], [""]], ["MaxPool", ["x"], ["", "i"]]):
            extra = {"kernel_shape": [2, 2]} if first[0] == "MaxPool" else {}
            m = self.put("left_out.onnx", model([node(*first, **extra), node("Relu", ["x"], ["y"])]))
            self.refused(["run", m, x, "-o", self.path("never")], 4, "left_out.onnx", "(Y)")
            self.assertFalse(os.path.exists(self.path("never")))

    def test_errors_after_opening_name_the_model(self):
        huge = tensor("s", [4], [1 << 62, 3, 8, 8], "q")
        m = self.put("huge.onnx", model([node("Expand", ["x", "s"], ["y"])], [huge]))
        self.refused(["info", m], 7, "huge.onnx", "Expand")
        self.refused(["info", m, "--lang", "zh"], 7, "huge.onnx", "过大")

    def test_absurd_shapes_are_refused_quickly(self):
        x = self.put("x.npy", floats((1, 3, 8, 8), self.numbers(192)))
        w = tensor("w", [4, 3, 3, 3], self.numbers(108))
        cases = {"kernel": [node("Conv", ["x", "w"], ["y"], kernel_shape=[1 << 40, 1 << 40])],
                 "pads": [node("Conv", ["x", "w"], ["y"], pads=[100000] * 4)],
                 "group": [node("Conv", ["x", "w"], ["y"], group=0)],
                 "cycle": [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])],
                 "twice": [node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])],
                 "unknown": [node("Nonsense", ["x"], ["y"], name="%s%n")]}
        for name, nodes in cases.items():
            m = self.put(name + ".onnx", model(nodes, [w]))
            p = run("run", m, x, "-o", self.path("never"))
            self.assertTrue(4 <= p.returncode <= 8, p.stderr)
            self.assertIn(name + ".onnx", p.stderr)
            self.assertEqual(p.stderr.count("\n"), 1, p.stderr)
            self.assertFalse(os.path.exists(self.path("never")))

    def test_hostile_names_stay_names(self):
        x = self.put("x.npy", floats((1, 3, 8, 8), self.numbers(192)))
        nodes = [node("Conv", ["x", "w"], [EVIL], name=EVIL), node("Relu", [EVIL], ["../../up"]),
                 node("MaxPool", ["../../up"], ["a/b\\c:*?"], kernel_shape=[2, 2]), node("GlobalAveragePool", ["a/b\\c:*?"], ["A/B\\C:*?"]),
                 node("Flatten", ["A/B\\C:*?"], ["index.json"]), node("Softmax", ["index.json"], ["y"])]
        m = self.put("names.onnx", model(nodes, [tensor("w", [4, 3, 3, 3], self.numbers(108))], name=EVIL, producer=EVIL))
        out = self.path("run")
        self.assertEqual(run("run", m, x, "-o", out).returncode, 0)
        with open(os.path.join(out, "index.json"), encoding="utf-8") as f:
            layers = json.load(f)["layers"]
        self.assertEqual(layers[0]["name"], EVIL)
        self.assertEqual(sorted(os.listdir(out)), sorted([l["file"] for l in layers] + ["index.json"]))
        html = self.path("r.html")
        self.assertEqual(run("report", m, x, "-o", html).returncode, 0)
        with open(html, encoding="utf-8") as f:
            self.assertNotIn("<script>alert", f.read())
        for command in (["activations", m, x, "--layer", "0"], ["filters", m, "--layer", "0"], ["pooling", m, x, "--layer", "2"]):
            self.assertEqual(run(*command, "-o", self.path("f.svg")).returncode, 0)
            xml.dom.minidom.parse(self.path("f.svg"))
        for command in (["info", m], ["predict", m, x], ["explain", m, x, "--method", "gradcam", "--layer", "0", "--raw", self.path("m.npy")]):
            p = run(*command)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertNotIn("\x1b", p.stdout + p.stderr)

    def test_weights_that_are_no_numbers(self):
        x = self.put("x.npy", floats((1, 3, 8, 8), self.numbers(192)))
        nodes = [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]), node("Flatten", ["p"], ["f"]), node("Softmax", ["f"], ["y"])]
        for value in (float("nan"), float("inf"), 3e38):
            m = self.put("nan.onnx", model(nodes, [tensor("w", [4, 3, 3, 3], [value] * 108)]))
            for command in (["report", m, x, "-o", self.path("r.html")], ["activations", m, x, "--layer", "0", "-o", self.path("a.png")],
                            ["filters", m, "--layer", "0", "-o", self.path("f.svg")], ["predict", m, x]):
                p = run(*command)
                self.assertEqual(p.returncode, 0, p.stderr)
            p = run("predict", m, x, "--json")
            self.assertEqual(p.returncode, 0, p.stderr)
            json.loads(p.stdout, parse_constant=lambda word: self.fail(word + " is not JSON"))


if __name__ == "__main__":
    unittest.main()
