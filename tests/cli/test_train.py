#!/usr/bin/env python3
# convscope train from outside: what it writes, one line per epoch, Ctrl-C, any number of threads, bad recipes and places.
import json, os, signal, subprocess, tempfile, time, unittest

ROOT = os.environ.get("CVS_SOURCE_ROOT", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
EXE = os.path.join(os.environ.get("CVS_BUILD_ROOT", os.path.join(ROOT, "build")), "convscope")
RECIPE = os.path.join(ROOT, "models", "digits.net")


def start(*args):
    return subprocess.Popen([EXE, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=dict(os.environ, LC_ALL="C.UTF-8", LANG="C.UTF-8"))


def run(*args):
    p = start(*args)
    out, err = p.communicate(timeout=300)
    return p.returncode, out, err


class Train(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="cvs-test-")

    def path(self, name):
        return os.path.join(self.dir, name)

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

    def test_from_a_trained_model(self):
        code, out, err = run("train", os.path.join(ROOT, "models", "digits.onnx"), "--data", "generated:digits", "--limit", 320,
                             "--epochs", 1, "--lr", "0.0001", "-o", self.path("more"))
        self.assertEqual(code, 0, err)

    def test_interrupt(self):
        p = start("train", RECIPE, "--data", "generated:digits", "--epochs", 1000, "-o", self.path("run"))
        for _ in range(600):
            if os.path.exists(self.path("run/history.json")):
                break
            time.sleep(0.1)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 10, err)
        self.assertIn("stopped", err.splitlines()[-1])
        self.assertTrue(json.loads(self.read("run", "history.json"))["stopped"])
        self.assertEqual(run("info", self.path("run/model.onnx"))[0], 0)
        self.assertEqual([f for f in os.listdir(self.path("run")) if f.endswith(".tmp")], [])

    def test_bad(self):
        with open(RECIPE) as f:
            text = f.read()
        with open(self.path("bad.net"), "w") as f:
            f.write(text.replace("batch 64", "batch many"))
        line = text.split("batch 64")[0].count("\n") + 1
        missing = self.path("no-such-folder")
        for args, words in (
                ((self.path("bad.net"), "--data", "generated:digits", "-o", self.path("x")), ("bad.net", "line %d" % line, "many")),
                ((RECIPE, "-o", self.path("x")), ("--data",)),
                ((RECIPE, "--data", "mnist:" + missing, "-o", self.path("x")), (missing,)),
                ((RECIPE, "--data", "generated:digits", "-o", "/dev/full"), ("/dev/full",)),
                ((RECIPE, "--data", "generated:digits"), ("-o",)),
                ((RECIPE, "--data", "generated:digits", "--lr", "fast", "-o", self.path("x")), ("--lr", "fast")),
                ((RECIPE, "--data", "generated:digits", "--optimizer", "best", "-o", self.path("x")), ("best",))):
            code, out, err = run("train", *args)
            self.assertNotEqual(code, 0, args)
            lines = err.splitlines()
            if words[0] == "bad.net":  # of a text: the line, and a caret under the column
                self.assertRegex(lines[1], "batch many")
                self.assertEqual(lines[2].index("^"), lines[1].index("many"))
                lines = lines[:1]
            self.assertEqual(len(lines), 1, err)
            for w in words:
                self.assertIn(w, err)
            self.assertFalse(os.path.exists(self.path("x")), args)


if __name__ == "__main__":
    unittest.main()
