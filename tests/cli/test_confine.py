#!/usr/bin/env python3
# --confine: the same answers and files as without, for every kind of argument; a file beside no argument stays closed; time has a bound.
import os, shutil, unittest

import program
from program import Case, ROOT

MODEL = os.path.join(ROOT, "models", "digits.onnx")
IMAGE = os.path.join(ROOT, "models", "digit.png")
CHECKPOINTS = os.path.join(ROOT, "tests", "data", "checkpoint")


def run(*args, cwd=None):
    return program.run(*args, text=False, cwd=cwd)


class Confine(Case):
    def setUp(self):
        super().setUp()
        note = run("info", MODEL, "--confine").stderr.decode()
        if "no Landlock" in note or "no seccomp" in note:
            self.skipTest(note.strip())

    def both(self, *args):
        a, b = run(*args), run(*args, "--confine")
        self.assertEqual((a.returncode, a.stdout, a.stderr), (b.returncode, b.stdout, b.stderr), args)
        return b

    def test_same_answers(self):
        self.assertEqual(self.both("info", MODEL).returncode, 0)
        self.assertEqual(self.both("predict", MODEL, IMAGE, "--json").returncode, 0)
        self.assertEqual(self.both("info", os.path.join(self.dir, "none.onnx")).returncode, 3)
        self.assertEqual(self.both("predict", MODEL, IMAGE, "--top", "many").returncode, 2)

    def test_same_files(self):
        for name, args in (("a.svg", ["draw", MODEL]), ("a.pdf", ["draw", MODEL, "--lang", "zh"]),
                           ("a.png", ["explain", MODEL, IMAGE, "--method", "gradcam"]), ("a.npy", None)):
            out = os.path.join(self.dir, name)
            args = args or ["explain", MODEL, IMAGE, "--method", "gradient", "--raw"]
            where = [out] if args[-1] == "--raw" else ["-o", out]
            files = []
            for extra in ([], ["--confine"]):
                p = run(*args, *where, *extra)
                self.assertEqual(p.returncode, 0, p.stderr)
                with open(out, "rb") as f:
                    files.append(f.read())
                os.remove(out)
            if not name.endswith((".pdf", ".png")):  # hold their hour and their command line
                self.assertEqual(files[0], files[1], name)
        p = run("run", MODEL, IMAGE, "-o", os.path.join(self.dir, "all"), "--confine")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertTrue(os.path.exists(os.path.join(self.dir, "all", "index.json")))

    def test_relative_names_and_pipes(self):
        p = run("explain", "digits.onnx", "digit.png", "--method", "gradient", "--raw", "/dev/stdout", "--confine",
                cwd=os.path.dirname(MODEL))
        self.assertEqual((p.returncode, p.stdout[:6]), (0, b"\x93NUMPY"), p.stderr)
        p = run("info", "digits.onnx", "--confine", cwd=os.path.dirname(MODEL))
        self.assertEqual(p.returncode, 0, p.stderr)

    def test_a_checkpoint_by_the_name_that_tensorflow_gives_it(self):
        # "ck-1" is no file: ck-1.index and its shards are. They are reached, their folder's neighbours are not.
        away = os.path.join(self.dir, "away")
        shutil.copytree(os.path.join(CHECKPOINTS, "objects"), away)
        prefix, arch = os.path.join(away, "ck-1"), os.path.join(CHECKPOINTS, "objects.json")
        for given in (prefix, prefix + ".index", away):
            self.assertEqual(self.both("info", given).returncode, 0, given)
            self.assertEqual(self.both("info", given, "--arch", arch).returncode, 0, given)
            self.assertEqual(self.both("info", arch, "--weights", given).returncode, 0, given)
        for cwd, given in ((away, "ck-1"), (self.dir, "away/ck-1")):
            p = run("info", given, "--confine", cwd=cwd)
            self.assertEqual(p.returncode, 0, p.stderr)
        shard = os.path.join(away, "ck-1.data-00000-of-00001")
        os.rename(shard, os.path.join(self.dir, "elsewhere"))
        os.symlink(os.path.join(self.dir, "elsewhere"), shard)
        self.assertNotEqual(run("info", prefix, "--confine").returncode, 0)

    def test_a_link_that_the_user_names_is_followed(self):
        link = os.path.join(self.dir, "mine.onnx")
        os.symlink(MODEL, link)
        self.assertEqual(run("info", link, "--confine").returncode, 0)

    def test_time_has_a_bound(self):
        p = run("explain", MODEL, IMAGE, "--method", "rise", "--samples", "1000000", "--raw", os.path.join(self.dir, "r.npy"), "--confine", "--max-seconds", "1")
        self.assertEqual(p.returncode, 7, p.stderr)
        self.assertIn(b"1 second", p.stderr)


if __name__ == "__main__":
    unittest.main()
