#!/usr/bin/env python3
# The programs in examples/ do what their first line says, and fail with a sentence.
import os, struct, unittest, zlib

import program
from program import BUILD, Case, ROOT

MODEL = os.path.join(ROOT, "models", "digits.onnx")
SEVEN = os.path.join(ROOT, "models", "digits_7.png")


def run(name, *args):
    return program.run(*args, exe=os.path.join(BUILD, "examples", "example_" + name))


class Examples(Case):
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
        self.assertEqual(sorted(os.listdir(out)), ["best.onnx", "history.json", "model.onnx", "run.sqlite", "state.safetensors", "train", "validation"])
        self.assertEqual(run("predict", os.path.join(out, "model.onnx"), SEVEN).returncode, 0)

    def colours(self, side, classes, each):
        """Pictures of one colour with a bar as PNG: train and test folders by class; the spec."""
        for split in ("train", "test"):
            for c in range(classes):
                folder = os.path.join(self.dir, "set", split, "class%d" % c)
                os.makedirs(folder)
                for i in range(each):
                    rows = []
                    for y in range(side):
                        row = b"\0"
                        for x in range(side):
                            on = (x * classes // side + i) % classes == c
                            row += bytes((200 if on else 20 + 9 * c, 25 * c, 10 * i % 256))
                        rows.append(row)
                    data = zlib.compress(b"".join(rows))
                    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
                    with open(os.path.join(folder, "%d.png" % i), "wb") as f:
                        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", data) +
                                chunk(b"IEND", b""))
        return "folder:" + os.path.join(self.dir, "set")

    def test_networks_of_the_books(self):
        """Each has the parameters that Keras counts for its model, trains and keeps what it learned."""
        small = self.colours(32, 10, 4)
        for name, data, count in (("mnist", small, "34826"), ("cifar", small, "122570"), ("vgg", small, "1250858"),
                                  ("residual", small, "223242")):
            out = os.path.join(self.dir, name)
            p = run(name, data, out, "1")
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertIn(count + " parameters", p.stdout)
            self.assertTrue(os.path.exists(os.path.join(out, "best.onnx")))
            with open(os.path.join(out, "recipe.net")) as f:
                self.assertIn("train {", f.read())

    def test_cats_and_dogs(self):
        p = run("pets", self.colours(150, 2, 3), os.path.join(self.dir, "pets"), "1")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("3453121 parameters", p.stdout)

    def test_finetune(self):
        p = run("finetune", MODEL, self.colours(28, 3, 6), os.path.join(self.dir, "tuned"), "2")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("867 of 10739 parameters trained", p.stdout)  # 288 * 3 + 3; digits.onnx has 2,890 in its last layer
        self.assertEqual(run("finetune", MODEL).returncode, 1)

    def test_a_sentence_on_bad_input(self):
        for name, args in (("predict", ["none.onnx", SEVEN]), ("gradcam", [MODEL, "none.png", "x.png"]),
                           ("train", ["none.net", "generated:digits", self.dir])):
            p = run(name, *args)
            self.assertNotEqual(p.returncode, 0)
            self.assertIn("none.", p.stderr)


if __name__ == "__main__":
    unittest.main()
