#!/usr/bin/env python3
# The programs in examples/ do what their first line says, and fail with a sentence.
import os, subprocess, tempfile, unittest

ROOT = os.environ.get("CVS_SOURCE_ROOT", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("CVS_BUILD_ROOT", os.path.join(ROOT, "build"))
MODEL = os.path.join(ROOT, "models", "digits.onnx")
SEVEN = os.path.join(ROOT, "models", "digits_7.png")


def run(name, *args):
    return subprocess.run([os.path.join(BUILD, "examples", "example_" + name), *args], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)


class Examples(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="cvs-test-")

    def test_predict(self):
        p = run("predict", MODEL, SEVEN)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(len(p.stdout.splitlines()), 5)
        self.assertRegex(p.stdout.splitlines()[0], r"\d+\.\d+ %  7")

    def test_gradcam(self):
        out = os.path.join(self.dir, "why.png")
        p = run("gradcam", MODEL, SEVEN, out)
        self.assertEqual(p.returncode, 0, p.stderr)
        with open(out, "rb") as f:
            self.assertEqual(f.read(8), b"\x89PNG\r\n\x1a\n")

    def test_train(self):
        out = os.path.join(self.dir, "run")
        p = run("train", os.path.join(ROOT, "models", "digits.net"), "generated:digits", out)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(sorted(os.listdir(out)), ["best.onnx", "history.json", "model.onnx", "state.safetensors", "train", "validation"])
        self.assertEqual(run("predict", os.path.join(out, "model.onnx"), SEVEN).returncode, 0)

    def test_a_sentence_on_bad_input(self):
        for name, args in (("predict", ["none.onnx", SEVEN]), ("gradcam", [MODEL, "none.png", "x.png"]),
                           ("train", ["none.net", "generated:digits", self.dir])):
            p = run(name, *args)
            self.assertNotEqual(p.returncode, 0)
            self.assertIn("none.", p.stderr)


if __name__ == "__main__":
    unittest.main()
