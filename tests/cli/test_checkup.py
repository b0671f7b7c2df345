#!/usr/bin/env python3
# convscope explain --check, score and diagnose from outside: numbers of an independent computation (ONNX Runtime and SciPy on the same
# model, picture and map), the shortcut net caught, the smaller network as a file, one sentence on every mistake.
import csv, json, os, unittest

from program import Case, ROOT, run

THINGS = os.path.join(ROOT, "models", "things.onnx")
SHORTCUT = os.path.join(ROOT, "models", "shortcut.onnx")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


class Diagnose(Case):
    def good(self, *args):
        p = run(*args)
        self.assertEqual(p.returncode, 0, p.stderr)
        return p

    def bad(self, says, *args):
        p = run(*args)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn(says, p.stderr)
        self.assertEqual(len(p.stderr.strip().split("\n")), 1, p.stderr)
        self.assertEqual(os.listdir(self.dir), [])

    def check(self, method, *args):
        return json.loads(self.good("explain", THINGS, "generated:things#19", "--method", method, "--check", "--json", *args).stdout)

    # ---- explain --check ---------------------------------------------------------------------------------------------

    def test_the_numbers_of_an_independent_computation(self):
        # NumPy, SciPy and ONNX Runtime on the same model, picture, mask and map; 2026-11-23
        want = {"deletion": 0.018967193, "insertion": 0.965824, "pointing": 1.0, "mass": 0.49782068, "rank": 0.394736842}
        k = self.check("input-x-gradient")
        for name, value in want.items():
            self.assertAlmostEqual(k["metrics"][name]["value"], value, delta=1e-5, msg=name)
        self.assertAlmostEqual(k["metrics"]["road"]["value"], 0.4978147, delta=2e-3)  # its noise is drawn anew
        self.assertAlmostEqual(k["probability"], 0.9986816, delta=1e-5)
        self.assertIsNone(k["metrics"]["completeness"]["value"])

    def test_what_is_known_of_methods(self):
        guided, cam, ig = (self.check(m) for m in ("guided-backprop", "gradcam", "integrated-gradients"))
        last = lambda k: k["shuffled_weights"][-1]["from_here_to_the_answer"]["spearman_size"]
        self.assertGreater(last(guided), 0.9)  # it does not notice the last layers (Adebayo et al. 2018)
        self.assertIn("Beware", guided["metrics"]["random-weights"]["verdict"])
        self.assertLess(abs(last(cam)), 0.9)
        self.assertLess(ig["metrics"]["completeness"]["value"], 0.01)
        for k in (guided, cam, ig):
            self.assertLess(k["metrics"]["deletion"]["value"], k["random_deletion"])
            self.assertGreater(k["metrics"]["insertion"]["value"], k["random_insertion"])
            self.assertAlmostEqual(k["deletion"]["probability"][0], k["probability"], delta=1e-5)
            self.assertAlmostEqual(k["insertion"]["probability"][-1], k["probability"], delta=1e-5)

    def test_check_says_it_in_words_and_draws_it(self):
        picture = os.path.join(ROOT, "models", "things_umbrella.png")
        svg = self.path("check.svg")
        p = self.good("explain", THINGS, picture, "--method", "layercam", "--check", "--check-figure", svg)
        self.assertEqual(len(p.stdout.strip().split("\n")), 10)
        self.assertIn("Not measured: where the object is, is not known.", p.stdout)
        self.assertIn("put to the test", read(svg))
        p = self.good("explain", THINGS, "generated:things#3", "--method", "layercam", "--check", "--lang", "zh")
        self.assertIn("打乱权重", p.stdout)
        mask = self.path("d")
        self.good("generate", "things", "--split", "test", "--count", "20", "-o", mask)
        one = self.good("explain", THINGS, os.path.join(mask, "019_umbrella.png"), "--method", "gradcam", "--check", "--json", "--mask",
                        os.path.join(mask, "019_umbrella_mask.png"))
        self.assertEqual(json.loads(one.stdout)["metrics"], self.check("gradcam")["metrics"])

    def test_mistakes_of_check(self):
        self.bad("no picture 99999", "explain", THINGS, "generated:things#99999", "--method", "gradcam", "--check")
        self.bad("there is no generated data set", "explain", THINGS, "generated:nothing#1", "--method", "gradcam", "--check")
        self.bad("nothing.png", "explain", THINGS, "generated:things#1", "--method", "gradcam", "--check", "--mask", "nothing.png")
        self.bad(".txt", "explain", THINGS, "generated:things#1", "--method", "gradcam", "--check", "--check-figure", self.path("x.txt"))

    # ---- score --------------------------------------------------------------------------------------------------------

    def test_score(self):
        table, text, figure = self.path("s.csv"), self.path("s.md"), self.path("s.svg")
        p = self.good("score", THINGS, "generated:things", "--methods", "gradcam,layercam", "--pictures", "3", "--json",
                      "--csv", table, "--markdown", text, "-o", figure)
        s = json.loads(p.stdout)
        self.assertEqual([m["method"] for m in s["methods"]], ["gradcam", "layercam"])
        self.assertEqual(s["pictures"], 3)
        for m in s["methods"]:
            for metric in ("deletion", "insertion", "road", "sensitivity", "sparseness", "random-weights", "pointing", "mass", "rank"):
                self.assertEqual(m[metric]["pictures"], 3, (m["method"], metric))
                self.assertGreaterEqual(m[metric]["standard_error"], 0)
            self.assertLess(m["deletion"]["mean"], s["random_deletion"]["mean"])
        rows = list(csv.DictReader(read(table).splitlines()))
        self.assertEqual({r["method"] for r in rows}, {"gradcam", "layercam"})
        mine = [r for r in rows if r["method"] == "gradcam" and r["measure"] == "mass"][0]
        self.assertAlmostEqual(float(mine["mean"]), s["methods"][0]["mass"]["mean"], delta=1e-8)
        self.assertEqual(read(text).count("\n"), 4)
        # the mean and the standard error of single pictures
        each = [json.loads(self.good("explain", THINGS, "generated:things#%d" % i, "--method", "gradcam", "--check", "--json").stdout)
                ["metrics"]["mass"]["value"] for i in range(3)]
        mean = sum(each) / 3
        self.assertAlmostEqual(mean, s["methods"][0]["mass"]["mean"], delta=1e-6)
        error = (sum((v - mean) ** 2 for v in each) / 2 / 3) ** 0.5
        self.assertAlmostEqual(error, s["methods"][0]["mass"]["standard_error"], delta=1e-6)

    def test_mistakes_of_score(self):
        self.bad("gradcam", "score", THINGS, "generated:things", "--methods", "gradcat")
        self.bad("names no data set", "score", THINGS, "nothing")
        self.bad("--split", "score", THINGS, "generated:things", "--split", "both")

    # ---- diagnose -------------------------------------------------------------------------------------------------------

    def test_the_shortcut_net_is_caught(self):
        figure = self.path("d.svg")
        d = json.loads(self.good("diagnose", SHORTCUT, "generated:shortcut", "--pictures", "200", "--json", "-o", figure).stdout)
        found = [f for f in d["findings"] if f["kind"] == "shortcut"]
        self.assertEqual(len(found), 1)
        place = found[0]["place"]  # the badge is 8x8 at (1,1)
        self.assertEqual((place["row"], place["column"]), (0, 0))
        self.assertLessEqual(max(place["rows"], place["columns"]), 16)
        self.assertGreater(found[0]["without"]["changed_answers"], 0.3)
        self.assertIn("beside-the-object", [f["kind"] for f in d["findings"]])
        self.assertEqual(d["findings"][0]["kind"], "shortcut")
        self.assertIn("Shortcut", read(figure))
        again = self.good("diagnose", SHORTCUT, "generated:shortcut", "--pictures", "200", "--json", "--threads", "1").stdout
        self.assertEqual(d, json.loads(again))  # any number of threads, the same numbers

    def test_an_honest_net_and_its_smaller_self(self):
        small = self.path("small.onnx")
        d = json.loads(self.good("diagnose", THINGS, "generated:things", "--pictures", "200", "--json", "--apply", small).stdout)
        kinds = [f["kind"] for f in d["findings"]]
        self.assertNotIn("shortcut", kinds)
        self.assertNotIn("beside-the-object", kinds)
        self.assertGreater(d["taken"], 0)
        self.assertEqual(d["choosing"] + d["measuring"], 200)
        self.assertEqual(sum(map(sum, d["confusion"])), 200)
        for f in d["findings"]:
            if f["kind"] in ("dead", "duplicate", "low-rank", "insensitive"):
                self.assertTrue(0 < len(f["filters"]) < f["of"])
                self.assertLess(f["without"]["params"], d["network"]["params"])
                self.assertLess(f["without"]["macs"], d["network"]["macs"])
        info = json.loads(self.good("info", small, "--json").stdout)
        self.assertEqual((info["totals"]["params"], info["totals"]["macs"]), (d["together"]["params"], d["together"]["macs"]))
        self.assertLess(os.path.getsize(small), os.path.getsize(THINGS))
        self.assertGreater(d["together"]["accuracy"], d["network"]["accuracy"] - 0.06)

    def test_residual_network_loses_channels(self):
        """Channels of the stream that are 0 wherever they are made go from every layer of it; the answers stay."""
        net, params = self.path("res.net"), self.path("run/params")
        with open(net, "w") as f:
            f.write("input 1x28x28\nconv 12 k3 s2\nbn\nrelu\nresidual { conv 12 k3 bn relu conv 12 k3 bn }\nrelu\n"
                    "residual { conv 12 k3 bn relu conv 12 k3 bn }\nrelu\ngap\nfc 10\ntrain {\n seed 3\n batch 32\n}\n")
        train = ("train", net, "--data", "generated:digits", "--limit", "1600")
        self.good(*train, "--epochs", "3", "--lr", "0.005", "--params", "-o", self.path("run"))
        for name in ("bn_1", "bn_3", "bn_5"):  # behind the stem and at the end of both branches
            for part in ("scale", "shift"):
                path = os.path.join(params, "%s.%s.npy" % (name, part))
                with open(path, "rb") as f:
                    data = bytearray(f.read())
                for c in (1, 4, 7):
                    data[len(data) - 48 + 4 * c:len(data) - 44 + 4 * c] = bytes(4)
                with open(path, "wb") as f:
                    f.write(data)
        self.good(*train, "--init", params, "--steps", "1", "--lr", "1e-12", "-o", self.path("planted"))
        small = self.path("small.onnx")
        d = json.loads(self.good("diagnose", self.path("planted/model.onnx"), "generated:digits", "--pictures", "200", "--json", "--apply", small).stdout)
        dead = [f for f in d["findings"] if f["kind"] == "dead" and f["taken"]]
        self.assertEqual([(f["layer"], f["filters"]) for f in dead], [("conv_1", [1, 4, 7])])
        self.assertIn("from 3 layers at once", dead[0]["evidence"])
        without = dead[0]["without"]
        self.assertAlmostEqual(without["loss"], d["network"]["loss"], delta=1e-6)
        self.assertEqual((without["accuracy"], without["changed_answers"]), (d["network"]["accuracy"], 0))
        # a channel: stem 9 + 1, two ends 12 * 9 each, three normalisations' 4 each, two beginnings 12 * 9 each, 10 of the last matrix; the
        # branches' beginnings had no bias and get one of 12 for what the filters gave
        gone = 3 * (10 + 2 * 108 + 3 * 4 + 2 * 108 + 10)
        self.assertEqual(d["network"]["params"] - without["params"], gone - 2 * 12)
        info = json.loads(self.good("info", small, "--json").stdout)
        self.assertEqual((info["totals"]["params"], info["totals"]["macs"]), (d["together"]["params"], d["together"]["macs"]))
        self.assertLess(without["macs"], 0.76 * d["network"]["macs"])

    def test_mistakes_of_diagnose(self):
        self.bad("no pictures", "diagnose", THINGS, "folder:" + ROOT)
        self.bad("--tolerance", "diagnose", THINGS, "generated:things", "--tolerance", "x")
        self.bad("there is no method", "diagnose", THINGS, "generated:things", "--method", "gradcat")


if __name__ == "__main__":
    unittest.main()
