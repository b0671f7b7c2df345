#!/usr/bin/env python3
# convscope runs and the record that train keeps: while a run goes on, after kill -9 and --resume, two writers, a full disk, damage, many.
import csv, io, json, os, shutil, signal, sqlite3, subprocess, time, unittest

from program import Case, EXE, answer as run, start

NET = "input 1x28x28\nconv 6 k5 s2\nrelu\nconv 8 k3\nrelu\ngap\nfc 10\ntrain {\n seed 2\n batch 32\n}\n"


class Runs(Case):
    def setUp(self):
        super().setUp()
        with open(self.path("a.net"), "w") as f:
            f.write(NET)

    def train(self, to, *args):
        return ("train", self.path("a.net"), "--data", "generated:digits", "--limit", 320, "-o", self.path(to)) + args

    def records(self, where, *args):
        code, out, err = run("runs", self.path(where), "--json", *args)
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def test_list_and_compare(self):
        for seed in (1, 2):
            for lr in ("0.001", "0.01"):
                self.assertEqual(run(*self.train("e/lr%s/run_%d" % (lr, seed), "--seed", seed, "--lr", lr, "--epochs", 2))[0], 0)
        got = self.records("e")
        self.assertEqual([r["run"] for r in got], ["lr0.001/run_1", "lr0.001/run_2", "lr0.01/run_1", "lr0.01/run_2"])
        h = json.loads(self.read("e/lr0.01/run_2/history.json"))
        r = got[3]
        self.assertEqual((r["state"], r["seed"], r["step"], r["steps"], r["name"]), ("finished", 2, 20, 20, "run_2"))
        for key in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
            for e, v in zip(r["epochs"], h[key]):
                self.assertAlmostEqual(e[key], v, places=7)
        self.assertEqual(r["settings"]["learning_rate"], 0.01)
        self.assertEqual(r["best"], min(e["val_loss"] for e in r["epochs"]))
        self.assertEqual({f["name"] for f in r["files"]} - set(os.listdir(self.path("e/lr0.01/run_2"))), set())
        self.assertEqual(sorted(n for n in os.listdir(self.path("e/lr0.01/run_2")) if "sqlite" in n), ["run.sqlite"])
        code, out, err = run("runs", self.path("e"), "--sort", "val_accuracy")
        self.assertEqual(code, 0, err)
        lines = out.splitlines()
        self.assertEqual(lines[0].split()[-2:], ["learning_rate", "seed"])  # only what differs
        accuracies = [float(x.split()[3]) for x in lines[1:5]]
        self.assertEqual(accuracies, sorted(accuracies, reverse=True))
        self.assertIn("4 runs, 4 finished", out)
        self.assertIn("共 4 次训练", run("runs", self.path("e"), "--lang", "zh")[1])
        code, out, err = run("runs", self.path("e"), "--csv", "-")
        rows = list(csv.DictReader(io.StringIO(out)))
        self.assertEqual([x["learning_rate"] for x in rows], ["0.001"] * 2 + ["0.01"] * 2)
        self.assertEqual(len(set(next(csv.reader(io.StringIO(out))))), len(next(csv.reader(io.StringIO(out)))))
        self.assertEqual(run("runs", self.path("e"), "--csv", self.path("t.csv"))[0], 0)
        self.assertEqual(self.read("t.csv").decode(), out)
        one = run("runs", self.path("e/lr0.01/run_1"))[1]
        self.assertIn("learning_rate = 0.01", one)
        self.assertIn("epoch", one)
        self.assertEqual(self.records("e", "--state", "failed"), [])
        for bad in (("--sort", "nothing"), ("--state", "asleep")):
            code, out, err = run("runs", self.path("e"), *bad)
            self.assertEqual((code, out, len(err.splitlines())), (2, "", 1), err)
        code, out, err = run("runs", self.path("nowhere"))
        self.assertEqual((code, len(err.splitlines())), (3, 1), err)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def wait_for(self, where, what):
        for _ in range(6000):
            if os.path.exists(self.path(where + "/run.sqlite")):
                code, out, err = run("runs", self.path(where), "--json")
                self.assertEqual((code, err.strip()), (0, ""))  # readable at any moment
                got = json.loads(out)
                if got and what(got[0]):
                    return got[0]
            time.sleep(0.05)
        self.fail("it never came")

    def test_live_killed_resumed(self):
        args = ("--epochs", 24)
        p = start(*self.train("whole", *args))
        live = self.wait_for("whole", lambda r: r["epochs"])
        p.send_signal(signal.SIGSTOP)  # however slow the others are
        self.assertEqual(self.records("whole")[0]["state"], "running")
        code, out, err = run(*self.train("whole", *args))
        p.send_signal(signal.SIGCONT)
        self.assertEqual((code, len(err.splitlines())), (2, 1), err)  # one writer
        self.assertIn("another process", err)
        _, err = p.communicate(timeout=300)
        self.assertEqual(p.returncode, 0, err)
        whole = self.records("whole")[0]
        self.assertEqual((whole["state"], whole["id"], len(whole["epochs"])), ("finished", live["id"], 24))
        sessions = 0
        while True:
            p = start(*self.train("cut", "--resume", *args))
            sessions += 1
            time.sleep(0.3 + 0.7 * sessions)
            p.send_signal(signal.SIGKILL)
            p.communicate()
            if p.returncode == 0:
                break
            if os.path.exists(self.path("cut/run.sqlite")):
                got = self.records("cut")
                self.assertTrue(not got or got[0]["state"] in ("killed", "finished"), got)
        cut = self.records("cut")[0]
        self.assertEqual(cut["state"], "finished")
        strip = lambda r: [{k: v for k, v in e.items() if k != "seconds"} for e in r["epochs"]]
        self.assertEqual(strip(cut), strip(whole))
        for name in ("model.onnx", "state.safetensors", "best.onnx"):
            self.assertEqual(self.read("cut/" + name), self.read("whole/" + name), name)
        self.assertTrue(all(s["status"] in ("killed", "finished") for s in cut["sessions"]))

    def test_stopped_and_failed(self):
        p = start(*self.train("s", "--epochs", 1000))
        self.wait_for("s", lambda r: r["epochs"])
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=300)
        self.assertEqual(p.returncode, 10)
        self.assertEqual(self.records("s")[0]["state"], "stopped")
        code, _, err = run(*self.train("f", "--epochs", 3, "--optimizer", "sgd", "--loss", "mse", "--lr", 1000))
        self.assertNotEqual(code, 0)
        got = self.records("f")[0]
        self.assertEqual(got["state"], "failed")
        self.assertIn("no number any more", got["message"])

    def test_others_can_read_it(self):
        self.assertEqual(run(*self.train("r", "--epochs", 2))[0], 0)
        db = sqlite3.connect("file:%s?mode=ro" % self.path("r/run.sqlite"), uri=True)
        self.assertEqual(db.execute("select status, epochs, step from run").fetchall(), [("finished", 2, 20)])
        self.assertEqual(db.execute("select count(*) from epochs").fetchone(), (2,))
        self.assertEqual(db.execute("pragma integrity_check").fetchone(), ("ok",))
        db.close()

    def test_damaged(self):
        for name in ("a", "b", "c"):
            self.assertEqual(run(*self.train("d/" + name, "--epochs", 1))[0], 0)
        with open(self.path("d/b/run.sqlite"), "r+b") as f:
            f.write(b"\xff" * 3000)
        open(self.path("d/c/run.sqlite"), "w").close()
        code, out, err = run("runs", self.path("d"), "--json")
        self.assertEqual((code, [r["run"] for r in json.loads(out)], len(err.splitlines())), (0, ["a"], 2), err)
        self.assertEqual(run(*self.train("d/b", "--epochs", 2, "--resume"))[0], 0)  # the checkpoint knows it all
        self.assertEqual(len(self.records("d/b")[0]["epochs"]), 2)

    def test_full_disk(self):
        small = self.path("small")
        os.mkdir(small)
        mount = "mount -t tmpfs -o size=%s tmpfs " + small + " && cd " + small + " && "
        probe = subprocess.run(["unshare", "-Urm", "sh", "-c", mount % "1m" + "true"], capture_output=True)
        if probe.returncode != 0:
            print("skipped: no small file system can be mounted here: " + probe.stderr.decode().strip())
            return
        seen = set()
        for size in ("8k", "40k", "80k", "120k", "400k"):
            command = " ".join(map(str, ("timeout 100", EXE, *self.train(small + "/run", "--epochs", 40))))
            got = subprocess.run(["unshare", "-Urm", "sh", "-c", mount % size + command + "; code=$?; cp run/run.sqlite* " +
                                  self.dir + " 2>/dev/null; exit $code"], capture_output=True, text=True)
            last = [x for x in got.stderr.splitlines() if x.startswith("convscope:")]
            self.assertEqual((got.returncode, len(last)), (3, 1), (size, got.stderr))
            seen.add(last[0].split(":")[-1])
        self.assertTrue(seen)

    def test_a_thousand(self):
        self.assertEqual(run(*self.train("one", "--epochs", 1))[0], 0)
        for i in range(1000):
            os.makedirs(self.path("many/group_%d/run_%d" % (i % 10, i)))
            shutil.copy(self.path("one/run.sqlite"), self.path("many/group_%d/run_%d" % (i % 10, i)))
        code, out, err = run("runs", self.path("many"))
        self.assertEqual((code, err), (0, ""))
        self.assertIn("1000 runs, 1000 finished", out)


if __name__ == "__main__":
    unittest.main()
