#!/usr/bin/env python3
# convscope draw from outside: every style of graph, table and dot on nets of every kind gives well-formed files, the same twice, that a
# second renderer and Graphviz take without a word (skipped where those are not installed); and one sentence on every mistake.
import json, os, shutil, subprocess, unittest
import xml.dom.minidom as xml

from program import Case, ROOT, run, SHARED

NETSCOPE = os.path.join(SHARED, "data", "models", "netscope")
ZOO = ["lenet5", "vgg16", "resnet50", "densenet121", "inception_v3", "mobilenet_v2"]


class Draw(Case):
    def draw(self, model, name, *args):
        out = self.path(name)
        p = run("draw", model, "-o", out, *args)
        self.assertEqual((p.returncode, p.stderr), (0, ""), model)
        with open(out, "rb") as f:
            return f.read()

    def zoo(self):
        return [os.path.join(ROOT, "zoo", n + ".net") for n in ZOO]

    def prototxts(self):
        if not os.path.isdir(NETSCOPE):
            self.skipTest("no ../shared/data/models/netscope")
        return [os.path.join(NETSCOPE, n) for n in sorted(os.listdir(NETSCOPE)) if n.endswith(".prototxt")]

    def test_svg_is_well_formed_and_repeats(self):
        for model in self.zoo():
            for extra in ([], ["--fit", "column", "--lang", "zh"], ["--theme", "bw", "--direction", "lr", "--legend"]):
                a = self.draw(model, "a.svg", "--style", "graph", *extra)
                self.assertEqual(a, self.draw(model, "b.svg", "--style", "graph", *extra))
                self.assertTrue(xml.parseString(a).getElementsByTagName("text"))

    def test_second_renderer(self):
        if not shutil.which("rsvg-convert"):
            self.skipTest("rsvg-convert (librsvg2-bin) is not installed")
        for model in self.zoo():
            self.draw(model, "a.svg", "--style", "graph")
            p = subprocess.run(["rsvg-convert", self.path("a.svg"), "-o", self.path("a.png")], capture_output=True, text=True, timeout=300)
            self.assertEqual((p.returncode, p.stderr), (0, ""), model)
            self.assertGreater(os.path.getsize(self.path("a.png")), 5000)

    def test_graphviz_accepts_dot(self):
        if not shutil.which("dot"):
            self.skipTest("dot (graphviz) is not installed")
        hostile = 'name: "a<b>&\\"" layer { name: "x<y>&\\"\\\\N|{}_%卷积" type: "Input" top: "t" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } } ' \
                  'layer { name: "' + "n" * 1000 + '" type: "Odd<&>" bottom: "t" top: "u" }'
        with open(self.path("hostile.prototxt"), "w") as f:
            f.write(hostile)
        for model in self.zoo() + [self.path("hostile.prototxt")]:
            self.draw(model, "a.dot", "--style", "dot")
            p = subprocess.run(["dot", "-Tsvg", self.path("a.dot"), "-o", self.path("a.svg")], capture_output=True, text=True, timeout=300)
            self.assertEqual((p.returncode, p.stderr), (0, ""), model)

    def test_prototxts(self):
        for model in self.prototxts():
            for style, ext in (("graph", "svg"), ("dot", "dot"), ("table", "md")):
                self.assertGreater(len(self.draw(model, "a." + ext, "--style", style)), 400)

    def test_layout_as_json(self):
        o = json.loads(self.draw(os.path.join(ROOT, "zoo", "resnet50.net"), "a.json", "--style", "graph"))
        ids = {b["id"] for b in o["boxes"]}
        self.assertEqual(len(ids), len(o["boxes"]))
        self.assertTrue(all(l["from"] in ids and l["to"] in ids for l in o["links"]))
        self.assertEqual([g["repeat"] for g in o["groups"] if g["kind"] == "repeat"], [2, 3, 5, 2])
        self.assertEqual(o["params"], 25610152)

    def test_numbers(self):
        o = json.loads(self.draw(os.path.join(ROOT, "zoo", "vgg16.net"), "a.json", "--style", "table"))
        total = [r for r in o["rows"] if r["row"] == "total"][0]
        self.assertEqual(total["params"], 138357544)
        self.assertEqual(sum(r["params"] for r in o["rows"] if r["row"] == "layer"), 138357544)

    def test_folding(self):
        net = os.path.join(ROOT, "zoo", "resnet50.net")
        folded, every = (json.loads(self.draw(net, "a.json", "--style", "graph", *x))["boxes"] for x in ([], ["--fold", "none"]))
        one = json.loads(self.draw(net, "a.json", "--style", "graph", "--depth", "1"))["boxes"]
        self.assertTrue(len(one) < len(folded) < len(every))

    def test_text_and_several_models(self):
        p = run("draw", "input 1x28x28 | conv 6 k5 relu | maxpool k2 | flatten | fc 10", "-o", self.path("t.svg"))
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        p = run("draw", *self.zoo()[:2], "--style", "graph", "-o", self.path("two.svg"))
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        with open(self.path("two.svg"), "rb") as f:
            self.assertIn(b"VGG-16", f.read())

    def test_mistakes(self):
        net = self.zoo()[0]
        for args in ([net], [net, "-o", self.path("x.xyz")], [net, "--style", "nosuch", "-o", self.path("x.svg")],
                     [net, "--style", "table", "-o", self.path("x.svg")], [net, "--theme", "pink", "-o", self.path("x.svg")],
                     [net, "--labels", "names,odd", "-o", self.path("x.svg")], [net, "--scale", "0", "-o", self.path("x.png")],
                     [self.path("none.onnx"), "-o", self.path("x.svg")]):
            p = run("draw", *args)
            self.assertNotEqual(p.returncode, 0, args)
            self.assertEqual(len(p.stderr.strip().split("\n")), 1, p.stderr)
            self.assertFalse(os.path.exists(self.path("x.svg")))


if __name__ == "__main__":
    unittest.main()
