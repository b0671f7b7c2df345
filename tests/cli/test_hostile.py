#!/usr/bin/env python3
# Files made to do harm (hostile_files.py): each is an error said in a sentence or a report; never a crash, a hang, more memory than the
# limit, a byte of a file outside, or a command carried out.
import os, resource, subprocess, tempfile, unittest
from concurrent.futures import ThreadPoolExecutor

import hostile_files, program
from program import ROOT

DIGITS = os.path.join(ROOT, "models", "digits.onnx")
LIMIT = 3 << 30


def bounded():
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(*args):
    p = program.run(*args, text=False, timeout=400, preexec_fn=bounded)
    return p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")


class Hostile(unittest.TestCase):
    def check(self, case):
        kind, path, wanted = case
        name = os.path.basename(path)
        runs = [("info", path), ("predict", path, os.path.join(ROOT, "models", "digit.png")), ("draw", path, "-o", path + ".svg")]
        if kind == "picture":
            runs = [("predict", DIGITS, path)]
        bad = []
        for args in runs:
            try:
                code, out, err = run(*args, "--max-memory", "1024")
            except subprocess.TimeoutExpired:
                bad.append("%s %s: no end" % (args[0], name))
                continue
            said = "%s %s: exit %d: %s" % (args[0], name, code, err.strip()[:200])
            if code not in (0, 2, 3, 4, 5, 6, 7, 8, 9):
                bad.append(said)
            if code == 2 and args[0] == "info":
                bad.append("a damaged file is not a wrong argument: " + said)
            if code != 0 and not err.startswith("convscope: ") and "\nconvscope: " not in err:
                bad.append("no sentence: " + said)
            if hostile_files.SECRET in out + err or "root:" in out + err:
                bad.append("read what it must not: " + said)
            if any(ord(c) < 32 and c not in "\n\t" or c in "\u202e\u2066\x7f" for c in out + err):
                bad.append("control characters reach the terminal: " + said)
            if wanted == "refused" and code == 0 and args[0] in ("info", "predict") and (args[0] == "predict" or kind == "model" and args[0] == "info"):
                bad.append("opened: " + said)
            if wanted == "opens" and args[0] == "info" and code != 0:
                bad.append("should open: " + said)
            if wanted == "report" and args[0] == "info" and code != 0:
                bad.append("should open as a report: " + said)
        return bad

    def test_every_file(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            cases = hostile_files.make(folder)
            self.assertGreaterEqual(len(cases), 120)
            with ThreadPoolExecutor(2) as pool:
                bad = [line for lines in pool.map(self.check, cases) for line in lines]
            self.assertFalse(os.path.exists(os.path.join(folder, "outside", "canary")), "a pickle was carried out")
            print("%d hostile files" % len(cases))
        self.assertEqual(bad, [], "\n" + "\n".join(bad))


    def test_a_model_that_is_cut_while_it_is_open(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            model, second = os.path.join(folder, "large.onnx"), os.path.join(folder, "weights")
            h = hostile_files
            weights = h.tensor("w", [64, 1 << 15], b"\0" * (8 << 20))
            nodes = [h.node("Flatten", ["x"], ["f"]), h.node("Gemm", ["f", "w"], ["y"])]
            with open(model, "wb") as f:
                f.write(h.field(1, 8) + h.field(7, h.graph(nodes, [weights])) + h.field(8, h.field(2, 13)))
            os.mkfifo(second)  # the model is mapped, and not yet read, when its weights are asked for
            p = program.start("info", model, "--weights", second)
            with open(second, "wb") as out:
                os.truncate(model, 100)
                out.write(b"no weights")
            err = p.communicate(timeout=400)[1]
            self.assertEqual(p.returncode, 3, err)
            self.assertIn("became shorter", err)

    def test_a_pipe_that_nobody_writes_to(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            pipe = os.path.join(folder, "pipe")
            os.mkfifo(pipe)
            code, _, err = run("info", pipe)
            self.assertEqual(code, 3, err)
            self.assertIn("nothing came through", err)


if __name__ == "__main__":
    unittest.main()
