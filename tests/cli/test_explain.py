#!/usr/bin/env python3
# convscope explain from outside: maps against the outputs of other implementations (skipped where ../shared is absent), what is written
# and how it lies, and one sentence on every mistake with nothing written.
import csv, json, os, unittest

from program import Case, floats, load, ROOT, run, SHARED

DATA = os.path.join(SHARED, "data")
MODEL = os.path.join(ROOT, "models", "digits.onnx")
DIGIT = os.path.join(ROOT, "models", "digit.png")


def save(path, shape, values):
    with open(path, "wb") as f:
        f.write(floats(shape, values))


class Explain(Case):
    def shared(self, *parts):
        path = os.path.join(DATA, *parts)
        if not os.path.exists(path):
            self.skipTest("no " + os.path.join("../shared/data", *parts))
        return path

    def map(self, model, picture, *args):
        out = self.path("map.npy")
        p = run("explain", model, picture, "--raw", out, *args)
        self.assertEqual(p.returncode, 0, p.stderr)
        return load(out)

    def close(self, got, want, relative, absolute=0.0):
        self.assertEqual(len(got), len(want))
        bound = max(absolute, relative * max(abs(v) for v in want))
        self.assertLessEqual(max(abs(a - b) for a, b in zip(got, want)), bound)

    # ---- against others ------------------------------------------------------------------------------------------

    def squeezenet(self, photo):
        """The golden crop as the network's input: blue, green, red minus their means, planes first."""
        gold = self.shared("goldens", "onnx_squeezenet-fp16")
        shape, pixels = load(os.path.join(gold, "crop_%s.npy" % photo))
        self.assertEqual(shape, (224, 224, 3))
        planes = [[float(v) - mean for v in pixels[c::3]] for c, mean in ((2, 104), (1, 117), (0, 123))]
        save(self.path("input.npy"), (1, 3, 224, 224), planes[0] + planes[1] + planes[2])
        _, logits = load(os.path.join(gold, "logits_%s.npy" % photo))
        return gold, self.path("input.npy"), max(range(len(logits)), key=lambda i: logits[i])

    def test_squeezenet_gradcam_at_the_last_concatenation(self):
        model = self.shared("models", "onnx", "squeezenet-fp16")
        for photo in ("chelsea", "coffee", "dog_and_cat", "eagle", "elephant", "kitten"):
            gold, picture, winner = self.squeezenet(photo)
            want = load(os.path.join(gold, "gradcam_%s.npy" % photo))[1]
            shape, got = self.map(model, picture, "--method", "gradcam", "--layer", "fire9/concat_1", "--target", winner)
            self.assertEqual(shape, (13, 13))
            self.close(got, want, 1e-3)
            top = self.map(model, picture, "--method", "gradcam", "--layer", "fire9/concat_1")[1]
            self.assertEqual(got, top)

    def test_squeezenet_gradient(self):
        model = self.shared("models", "onnx", "squeezenet-fp16")
        gold, picture, winner = self.squeezenet("chelsea")
        want = load(os.path.join(gold, "gradient_chelsea.npy"))[1]
        shape, got = self.map(model, picture, "--method", "gradient", "--target", winner)
        self.assertEqual(shape, (1, 3, 224, 224))
        self.close(got, want, 1e-3)

    def test_cifar_captum(self):
        gold = self.shared("goldens", "pytorch_cifar-captum")
        model = self.shared("models", "torchscript", "cifar-captum", "traced.pt")
        if "not a model file that can be opened" in run("info", model).stderr:
            self.skipTest("TorchScript files are not read in this version")
        for method, layer in (("gradient", ()), ("gradcam", ("--layer", "conv2"))):
            name = "gradient_top1" if method == "gradient" else "gradcam_conv2_top1"
            shape, want = load(os.path.join(gold, name + ".npy"))
            size = len(want) // shape[0]
            for i in range(shape[0]):
                got = self.map(model, os.path.join(gold, "input.npy"), "--method", method, "--sample", i, *layer)[1]
                self.close(got, want[i * size:(i + 1) * size], 1e-4)

    def test_relevance_and_deeplift_are_captums(self):
        model, root = self.shared("tiny-vgg", "model.json"), self.shared("goldens", "tiny-vgg")
        with open(os.path.join(root, "bus_1", "attr", "meta.json")) as f:
            targets = json.load(f)["targets"]
        for method, file, extra in (("lrp-epsilon", "lrp_epsilon", ("--epsilon", "0.01")), ("lrp-zplus", "lrp_zplus", ("--epsilon", "0.01")),
                                    ("deeplift", "deeplift_rescale", ("--baseline", "black"))):
            for top in ("top1", "top2"):
                want = load(os.path.join(root, "bus_1", "attr_peers", "%s_%s.npy" % (file, top)))[1]
                got = self.map(model, os.path.join(root, "bus_1", "input.npy"), "--method", method, "--target", targets[top], *extra)[1]
                self.close(got, want, 1e-5)

    def test_report_looks_behind_an_activation(self):
        """mnist-8's last convolution comes before its bias and ReLU: nearly all votes are negative there."""
        model, page = self.shared("models", "onnx", "mnist-8"), self.path("r.html")
        p = run("report", model, DIGIT, "-o", page)
        self.assertEqual(p.returncode, 0, p.stderr)
        with open(page, encoding="utf-8") as f:
            html = f.read()
        why = html[html.index('id="why"'):html.index('id="structure"')]
        self.assertIn("those before the activation", why)
        self.assertIn("--layer ReLU114_Output_0 --method gradcam", why)

    # ---- what is written -----------------------------------------------------------------------------------------

    def test_channels_last_files_get_channels_last_maps(self):
        model, koala = self.shared("tiny-vgg", "model.json"), self.shared("tiny-vgg", "img", "koala_1.jpeg")
        last, a = self.map(model, koala, "--method", "gradient")
        first, b = self.map(model, koala, "--method", "gradient", "--layout", "nchw")
        self.assertEqual((last, first), ((1, 64, 64, 3), (1, 3, 64, 64)))
        self.assertEqual([a[3 * i + 1] for i in range(64 * 64)], list(b[64 * 64:2 * 64 * 64]))

    def test_raw_votes_and_picture_agree(self):
        raw, votes, picture = self.path("m.npy"), self.path("v.csv"), self.path("p.svg")
        p = run("explain", MODEL, DIGIT, "--method", "gradcam", "--signed", "--raw", raw, "--votes", votes, "-o", picture)
        self.assertEqual((p.returncode, p.stdout), (0, ""), p.stderr)
        self.assertIn("Grad-CAM", p.stderr)
        self.assertIn("logit", p.stderr)
        with open(votes) as f:
            rows = list(csv.DictReader(f))
        self.assertAlmostEqual(sum(float(r["value"]) for r in rows), sum(load(raw)[1]), places=3)
        self.assertAlmostEqual(sum(float(r["share"]) for r in rows), 1, places=5)
        self.assertEqual(sorted(int(r["channel"]) for r in rows), list(range(len(rows))))
        with open(picture, encoding="utf-8") as f:
            self.assertIn("<svg", f.read())

    def test_one_way_to_write_is_enough(self):
        for option, name in (("--raw", "m.npy"), ("-o", "m.png"), ("--votes", "v.csv")):
            p = run("explain", MODEL, DIGIT, "--method", "gradcam", option, self.path(name))
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertEqual(os.listdir(self.dir), [name])
            os.unlink(self.path(name))

    def test_targets_and_threads(self):
        top = self.map(MODEL, DIGIT, "--method", "gradient")
        self.assertEqual(top, self.map(MODEL, DIGIT, "--method", "gradient", "--target", "top", "--threads", "3"))
        other = self.map(MODEL, DIGIT, "--method", "gradient", "--target", "1")
        third = self.map(MODEL, DIGIT, "--method", "gradient", "--target", "8")
        self.assertNotEqual(other, third)
        self.assertNotEqual(top, self.map(MODEL, DIGIT, "--method", "gradient", "--output", "prob"))

    def test_the_methods_are_listed(self):
        for lang in ("en", "zh"):
            p = run("explain", "--method", "list", "--lang", lang)
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            for name in ("gradient", "gradcam"):
                self.assertRegex(p.stdout, "(?m)^%s  +\\S" % name)

    # ---- mistakes ------------------------------------------------------------------------------------------------

    def said(self, code, word, *args, name="m.npy"):
        for lang in ("en", "zh"):
            p = run("explain", *args, "--preprocess", "unit", "--raw", self.path(name), "--lang", lang)
            self.assertEqual(p.returncode, code, p.stderr)
            lines = [l for l in p.stderr.split("\n") if l]
            self.assertEqual((len(lines), p.stdout), (1, ""), p.stderr)
            self.assertIn(word, lines[0])
            if lang == "zh":
                self.assertRegex(lines[0], "[\u4e00-\u9fff]")
            self.assertEqual(os.listdir(self.dir), [])

    def test_mistakes_are_one_sentence_and_write_nothing(self):
        self.said(9, "gradcam", MODEL, DIGIT, "--method", "magic")
        self.said(9, "conv_9", MODEL, DIGIT, "--method", "gradcam", "--layer", "conv_9")
        self.said(9, "10", MODEL, DIGIT, "--method", "gradient", "--target", "10")
        self.said(2, "-3", MODEL, DIGIT, "--method", "gradient", "--target", "-3")
        self.said(9, "eleventy", MODEL, DIGIT, "--method", "gradient", "--target", "eleventy")
        self.said(2, "--output", MODEL, DIGIT, "--method", "gradient", "--output", "loss")
        self.said(2, "5", MODEL, DIGIT, "--method", "gradient", "--sample", "5")
        self.said(2, "--sample", MODEL, DIGIT, "--method", "gradient", "--sample", "many")
        self.said(2, "nchw", MODEL, DIGIT, "--method", "gradient", "--layout", "sideways")
        self.said(3, "none.png", MODEL, self.path("none.png"), "--method", "gradient")
        self.said(2, "--method", MODEL, DIGIT)
        self.said(3, "no/m.npy", MODEL, DIGIT, "--method", "gradient", name="no/m.npy")

    def test_no_place_to_write_is_said_first(self):
        p = run("explain", MODEL, DIGIT, "--method", "gradient")
        self.assertEqual(p.returncode, 2)
        self.assertIn("--raw", p.stderr)
        p = run("explain", MODEL, DIGIT, "--method", "gradient", "-o", self.path("m.gif"))
        self.assertEqual(p.returncode, 2)
        self.assertIn("m.gif", p.stderr)

    def test_occlusion_keeps_every_class_and_the_strongest_map(self):
        classes, active, raw = self.path("c.npy"), self.path("a.npy"), self.path("r.npy")
        p = run("explain", MODEL, DIGIT, "--method", "occlusion", "--patch", 7, "--stride", 7, "--output", "prob", "--raw", raw,
                "--raw-classes", classes, "--raw-activation", active, "-o", self.path("o.svg"))
        self.assertEqual(p.returncode, 0, p.stderr)
        shape, values = load(classes)
        self.assertEqual(shape, (10, 4, 4))
        self.assertEqual(load(active)[0], (4, 4))
        target = load(raw)[1]
        for cell in range(16):
            self.assertAlmostEqual(sum(values[k * 16 + cell] for k in range(10)), 1.0, 4)
        self.assertTrue(any(list(values[k * 16:k * 16 + 16]) == list(target) for k in range(10)))
        with open(self.path("o.svg"), encoding="utf-8") as f:
            self.assertIn("most probable class", f.read())

    def test_accuracy_under_occlusion(self):
        raw = self.path("r.npy")
        p = run("explain", MODEL, "--method", "occlusion", "--data", "generated:digits", "--limit", 10, "--patch", 14, "--raw", raw,
                "-o", self.path("o.png"))
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("10 pictures", p.stdout + p.stderr)
        shape, values = load(raw)
        self.assertEqual(shape, (3, 3))
        self.assertTrue(all(0 <= v <= 1 and abs(v * 10 - round(v * 10)) < 1e-4 for v in values))
        p = run("explain", MODEL, "--method", "gradcam", "--data", "generated:digits", "--raw", raw)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("occlusion", p.stderr)

    def test_targets_inside_the_network(self):
        for target in ("neuron:last-conv:1", "region:last-conv:0,0-1,0-1", "region:last-conv:*", "mix:1*3,-1*5"):
            p = run("explain", MODEL, DIGIT, "--method", "integrated-gradients", "--target", target, "--raw", self.path("r.npy"),
                    "-o", self.path("o.svg"))
            self.assertEqual(p.returncode, 0, p.stderr)
        p = run("explain", MODEL, DIGIT, "--method", "gradient", "--target", "neuron:last-conv:9999", "--raw", self.path("n.npy"))
        self.assertIn("there is no channel 9999", p.stderr)
        self.assertFalse(os.path.exists(self.path("n.npy")))

    def test_another_librarys_arithmetic(self):
        for method, library in (("gradient", "captum"), ("gradcam", "dlwp"), ("scorecam", "tf-keras-vis"), ("ablationcam", "pytorch-grad-cam")):
            p = run("explain", MODEL, DIGIT, "--method", method, "--compat", library, "--raw", self.path("r.npy"))
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertIn("arithmetic of", p.stdout + p.stderr)
        p = run("explain", MODEL, DIGIT, "--method", "rise", "--compat", "dlwp", "--raw", self.path("n.npy"))
        self.assertIn("gradcam", p.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=1)
