#!/usr/bin/env python3
# convscope train from outside: what it writes, one line per epoch, Ctrl-C, any number of threads, bad recipes and places.
import json, os, random, re, shutil, signal, subprocess, time, unittest

from program import Case, ROOT, answer as run, start

RECIPE = os.path.join(ROOT, "models", "digits.net")


class Train(Case):
    def read(self, *names):
        with open(os.path.join(self.dir, *names), "rb") as f:
            return f.read()

    def test_run_and_threads(self):
        for n in (1, 2, 3):
            code, out, err = run("train", RECIPE, "--data", "generated:digits", "--limit", 640, "--epochs", 2, "--threads", n,
                                 "-o", self.path("run%d" % n))
            self.assertEqual((code, out), (0, ""), err)
            self.assertEqual(len(err.splitlines()), 2, err)
            self.assertIn("epoch 2/2", err)
        for name in ("model.onnx", "state.safetensors"):
            self.assertEqual(self.read("run1", name), self.read("run2", name))
            self.assertEqual(self.read("run1", name), self.read("run3", name))
        h = json.loads(self.read("run1", "history.json"))
        for key in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"):
            self.assertEqual(len(h[key]), 2, key)
        self.assertLess(h["loss"][1], h["loss"][0])
        self.assertEqual(h["settings"]["optimizer"], "adam")

    def net(self, name, train):
        with open(self.path(name), "w") as f:
            f.write("input 1x28x28\nconv 6 k5 s2\nrelu\nconv 8 k3\nrelu\ngap\nfc 10\ntrain {\n seed 2\n batch 32\n%s\n}\n" % train)
        return self.path(name)

    def test_evolution(self):
        net = self.net("e.net", " optimizer adam lr=0.005")
        code, out, err = run("train", net, "--data", "generated:digits", "--limit", 320, "--epochs", 4, "--snapshots", "-o", self.path("run"))
        self.assertEqual(code, 0, err)
        names = ["epoch_000%d.onnx" % n for n in (0, 1, 2, 3)]
        self.assertEqual(sorted(os.listdir(self.path("run/snapshots"))), names)
        seven = os.path.join(ROOT, "models", "digits_7.png")
        for args in ((seven,), (), (seven, "--layer", "conv_1", "--rows", "3", "--lang", "zh")):
            code, out, err = run("evolution", self.path("run"), *args, "-o", self.path("e.svg"))
            self.assertEqual(code, 0, err)
            svg = self.read("e.svg").decode()
            self.assertEqual(svg.count("<image"), 4 * (6 + (1 + 8 if len(args) == 1 else 0)) if len(args) < 3 else 4 * (1 + 3 + 3))
        code, out, err = run("evolution", self.dir, "-o", self.path("e.svg"))
        self.assertEqual((code, len(err.splitlines())), (9, 1), err)
        self.assertIn("--snapshots", err)

    def test_sweep(self):
        args = ("sweep", RECIPE, "--data", "generated:digits", "--limit", 640, "--epochs", 2)
        code, out, err = run(*args, "--lr", "0.00001,0.003", "--optimizer", "sgd,adam", "-o", self.path("all"))
        self.assertEqual(code, 0, err)
        rows = json.loads(self.read("all", "sweep.json"))
        self.assertEqual({(r["learning_rate"], r["optimizer"]) for r in rows}, {(x, o) for x in (0.00001, 0.003) for o in ("sgd", "adam")})
        self.assertEqual((rows[0]["learning_rate"], rows[0]["optimizer"]), (0.003, "adam"))
        self.assertEqual([r["val_accuracy"] for r in rows], sorted((r["val_accuracy"] for r in rows), reverse=True))
        self.assertEqual(json.loads(self.read("all", rows[0]["run"], "history.json"))["val_accuracy"][-1], rows[0]["val_accuracy"])
        code, again, err = run(*args, "--lr", "0.00001,0.003", "--optimizer", "sgd,adam", "-o", self.path("all"))
        self.assertEqual((code, again), (0, out), err)
        code, out, err = run(*args, "--lr", "0.001,0.1", "--random", 3, "-o", self.path("some"))
        rows = json.loads(self.read("some", "sweep.json"))
        self.assertEqual(len({r["learning_rate"] for r in rows}), 3)
        self.assertTrue(all(0.001 <= r["learning_rate"] <= 0.1 for r in rows))
        self.assertEqual(run(*args, "--lr", "fast", "-o", self.path("x"))[0], 2)

    def test_a_frozen_normalisation_works_as_in_use(self):
        loss = {}
        for freeze in ("", " freeze conv_1 bn_1"):
            with open(self.path("n.net"), "w") as f:
                f.write("input 1x28x28\nconv_1: conv 8 k3\nbn_1: bn\nrelu\nmaxpool\nflatten\nfc_1: fc 10\n"
                        "train {\n seed 2\n batch 32\n optimizer sgd lr=0\n%s\n}\n" % freeze)
            to = self.path("run" + freeze[:7].strip())
            code, out, err = run("train", self.path("n.net"), "--data", "generated:digits", "--limit", 320, "--epochs", 1, "-o", to)
            self.assertEqual(code, 0, err)
            history = json.loads(self.read(to, "history.json"))
            code, out, err = run("evaluate", to + "/model.onnx", "generated:digits", "--split", "train", "--limit", 320, "--json")
            self.assertEqual(code, 0, err)
            loss[freeze] = (history["loss"][0], json.loads(out)["loss"])
        self.assertAlmostEqual(*loss[" freeze conv_1 bn_1"], places=4)
        self.assertNotAlmostEqual(*loss[""], places=4)

    def test_freeze(self):
        first = self.path("first")
        args = ("--data", "generated:digits", "--limit", 320, "--epochs", 1, "--params")
        self.assertEqual(run("train", self.net("a.net", ""), *args, "-o", first)[0], 0)
        code, out, err = run("train", self.net("b.net", " freeze conv_1 fc_1.bias"), *args, "--init", first + "/params", "-o", self.path("more"))
        self.assertEqual(code, 0, err)
        for name in ("conv_1.weight", "conv_1.bias", "conv_2.weight", "conv_2.bias", "fc_1.weight", "fc_1.bias"):
            same = self.read("first", "params", name + ".npy") == self.read("more", "params", name + ".npy")
            self.assertEqual(same, name in ("conv_1.weight", "conv_1.bias", "fc_1.bias"), name)
        self.assertEqual(json.loads(self.read("more", "history.json"))["settings"]["parameters"], 6 * 8 * 9 + 8 + 80)
        for words, said in ((" freeze conv_9", "conv_9"), (" freeze c f", "nothing is left")):
            code, out, err = run("train", self.net("c.net", words), *args, "-o", self.path("x"))
            self.assertNotEqual(code, 0)
            self.assertIn(said, err)

    def test_augmentation(self):
        words = " augment shift=2 flip rotate=15 scale=0.1 brightness=0.1 contrast=0.2 cutout=8"
        net = self.net("a.net", words)
        for name in ("p", "q"):
            self.assertEqual(run("train", net, "--data", "generated:digits", "--preview", self.path(name + ".png"))[0], 0)
        self.assertEqual(self.read("p.png"), self.read("q.png"))
        self.assertEqual(run("train", self.net("b.net", ""), "--data", "generated:digits", "--preview", self.path("b.png"))[0], 0)
        self.assertNotEqual(self.read("p.png"), self.read("b.png"))
        for n in (1, 3):
            code, out, err = run("train", net, "--data", "generated:digits", "--limit", 320, "--epochs", 2, "--threads", n, "-o", self.path("r%d" % n))
            self.assertEqual(code, 0, err)
        self.assertEqual(self.read("r1", "state.safetensors"), self.read("r3", "state.safetensors"))
        self.assertEqual(json.loads(self.read("r1", "history.json"))["settings"]["rotate"], 15)

    def test_evaluate(self):
        self.assertEqual(run("train", RECIPE, "--data", "generated:digits", "--limit", 640, "--epochs", 2, "-o", self.path("run"))[0], 0)
        h = json.loads(self.read("run", "history.json"))
        seen = set()
        for n in (1, 3):
            code, out, err = run("evaluate", self.path("run/model.onnx"), "generated:digits", "--threads", n, "--json",
                                 "-o", self.path("e.svg"))
            self.assertEqual(code, 0, err)
            seen.add(out)
        self.assertEqual(len(seen), 1)
        e = json.loads(out)
        self.assertEqual(e["pictures"], h["settings"]["val_pictures"])
        self.assertAlmostEqual(e["accuracy"], h["val_accuracy"][-1], places=6)
        self.assertAlmostEqual(e["loss"], h["val_loss"][-1], places=4)
        matrix = e["confusion"]
        self.assertEqual(sum(map(sum, matrix)), e["pictures"])
        self.assertEqual(sum(matrix[i][i] for i in range(10)), round(e["accuracy"] * e["pictures"]))
        for i, c in enumerate(e["classes"]):
            self.assertEqual((c["count"], c["predicted"], c["right"]),
                             (sum(matrix[i]), sum(r[i] for r in matrix), matrix[i][i]))
        losses = [w["loss"] for w in e["worst"]]
        self.assertEqual((len(losses), sorted(losses, reverse=True)), (12, losses))
        self.assertIn("<svg", self.read("e.svg").decode())
        code, out, err = run("evaluate", self.path("run/model.onnx"), "generated:digits", "--limit", 50, "--lang", "zh")
        self.assertIn("召回率", out)
        code, out, err = run("evaluate", self.path("run/model.onnx"), "generated:things", "--limit", 50)
        self.assertIn("by number", err)
        code, out, err = run("evaluate", self.path("run/model.onnx"), "generated:nothing")
        self.assertNotEqual(code, 0)
        self.assertEqual(len(err.splitlines()), 1, err)

    def test_from_a_trained_model(self):
        code, out, err = run("train", os.path.join(ROOT, "models", "digits.onnx"), "--data", "generated:digits", "--limit", 320,
                             "--epochs", 1, "--lr", "0.0001", "-o", self.path("more"))
        self.assertEqual(code, 0, err)

    def test_interrupt(self):
        p = start("train", RECIPE, "--data", "generated:digits", "--epochs", 1000, "-o", self.path("run"))
        for _ in range(3000):
            if os.path.exists(self.path("run/history.json")):
                break
            time.sleep(0.1)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=300)
        self.assertEqual(p.returncode, 10, err)
        self.assertIn("stopped", err.splitlines()[-1])
        self.assertTrue(json.loads(self.read("run", "history.json"))["stopped"])
        self.assertEqual(run("info", self.path("run/model.onnx"))[0], 0)
        self.assertEqual([f for f in os.listdir(self.path("run")) if f.endswith(".tmp")], [])

    def test_killed(self):
        """kill -9 at moments drawn by chance, many times: going on ends with the bytes of a run that nobody interrupted."""
        with open(self.path("net.net"), "w") as f:
            f.write("input 1x28x28\nconv 4 k5 s2\nbn\nrelu\ndropout 0.2\nfc 10\n"
                    "train {\n optimizer adam\n schedule plateau patience=1\n stop patience=3\n batch 32\n epochs 3\n"
                    " augment shift=2\n seed 5\n}\n")
        args = ("train", self.path("net.net"), "--data", "generated:digits", "--limit", 960, "--threads", 2)
        code, out, err = run(*args, "-o", self.path("whole"))
        self.assertEqual(code, 0, err)
        start_of = random.Random(7)
        kills, longest = 0, 0.4
        while kills < 20:  # until the last one's end; a run that ended before four kills begins again, with shorter lives
            p = start(*args, "--resume", "--save-every", "0.01", "-o", self.path("killed"))
            try:
                p.communicate(timeout=start_of.uniform(0.02, longest))
            except subprocess.TimeoutExpired:
                p.kill()
                p.communicate()
                kills += 1
                continue
            self.assertEqual(p.returncode, 0)
            if kills > 3:
                break
            shutil.rmtree(self.path("killed"))
            kills, longest = 0, longest / 2
            self.assertGreater(longest, 0.001)
        if kills == 20:
            self.assertEqual(run(*args, "--resume", "-o", self.path("killed"))[0], 0)
        for name in ("model.onnx", "best.onnx", "state.safetensors"):
            self.assertEqual(self.read("whole", name), self.read("killed", name), name)
        a, b = (json.loads(self.read(r, "history.json")) for r in ("whole", "killed"))
        for key in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "steps", "stopped"):
            self.assertEqual(a[key], b[key], key)
        self.assertEqual(sorted(os.listdir(self.path("whole"))), sorted(os.listdir(self.path("killed"))))
        # other settings: said, and nothing is changed; more epochs: allowed
        before = self.read("killed", "state.safetensors")
        code, out, err = run(*args, "--lr", "0.5", "--resume", "-o", self.path("killed"))
        self.assertEqual(code, 2, err)
        self.assertIn("learning rate=0.001, not with learning rate=0.5", err)
        self.assertEqual(before, self.read("killed", "state.safetensors"))
        with open(self.path("killed/state.safetensors"), "wb") as f:
            f.write(before[:200])
        code, out, err = run(*args, "--resume", "-o", self.path("killed"))
        self.assertNotEqual(code, 0)
        self.assertIn("state.safetensors", err)

    def test_stopped_goes_on(self):
        args = ("train", RECIPE, "--data", "generated:digits", "--limit", 640, "--epochs", 4)
        self.assertEqual(run(*args, "-o", self.path("whole"))[0], 0)
        moment = random.Random(3)
        for _ in range(12):  # between any two steps, and between the last one and the test
            p = start(*args, "-o", self.path("parts"))
            time.sleep(moment.uniform(0.01, 0.2))
            p.send_signal(signal.SIGINT)
            p.communicate(timeout=300)
            self.assertIn(p.returncode, (0, 10, -signal.SIGINT))
            self.assertEqual(run(*args, "--resume", "--threads", 1, "-o", self.path("parts"))[0], 0)
            for name in ("model.onnx", "best.onnx", "state.safetensors"):
                self.assertEqual(self.read("whole", name), self.read("parts", name), name)
            shutil.rmtree(self.path("parts"))

    def test_bad(self):
        with open(RECIPE) as f:
            text = f.read()
        with open(self.path("bad.net"), "w") as f:
            f.write(text.replace("batch 64", "batch many"))
        line = text.split("batch 64")[0].count("\n") + 1
        missing = self.path("no-such-folder")
        for args, words in (
                ((self.path("bad.net"), "--data", "generated:digits", "-o", self.path("x")), (self.path("bad.net"), "line %d" % line, "many")),
                ((RECIPE, "-o", self.path("x")), ("--data",)),
                ((RECIPE, "--data", "mnist:" + missing, "-o", self.path("x")), (missing,)),
                ((RECIPE, "--data", "generated:digits", "-o", "/dev/full"), ("/dev/full",)),
                ((RECIPE, "--data", "generated:digits"), ("-o",)),
                ((RECIPE, "--data", "generated:digits", "--lr", "fast", "-o", self.path("x")), ("--lr", "fast")),
                ((RECIPE, "--data", "generated:digits", "--optimizer", "best", "-o", self.path("x")), ("best",))):
            code, out, err = run("train", *args)
            self.assertNotEqual(code, 0, args)
            lines = err.splitlines()
            place = re.search(r"line (\d+), column (\d+)", lines[0])
            if place:  # of a text: that line, and a caret under the column
                with open(args[0], encoding="utf-8") as f:
                    source = f.read().split("\n")[int(place.group(1)) - 1]
                self.assertIn(source.strip(), lines[1])
                self.assertEqual(lines[1][lines[2].index("^"):], source[int(place.group(2)) - 1:])
                lines = lines[:1]
            self.assertEqual(len(lines), 1, err)
            for w in words:
                self.assertIn(w, err)
            self.assertFalse(os.path.exists(self.path("x")), args)


if __name__ == "__main__":
    unittest.main()
