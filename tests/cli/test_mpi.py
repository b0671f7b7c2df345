#!/usr/bin/env python3
# mpirun convscope train: 1, 2 and 4 processes give the bytes of none, over interruption, a dead process and resume; what goes wrong is one
# sentence. Skipped, visibly, where there is no mpirun or the program was built without MPI. Everything stays on this machine.
import json, os, shutil, signal, subprocess, sys, time, unittest

from program import BUILD, Case, ENV, EXE

NET = "input 1x28x28\nconv 6 k5 s2%s\nrelu\nconv 8 k3\nrelu\ngap\nfc 10\ntrain {\n seed 2\n batch 30\n}\n"
MPI = dict(ENV, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
           OMPI_MCA_btl="self,vader", OMPI_MCA_oob_tcp_if_include="lo", OMPI_MCA_plm="isolated", OMPI_MCA_rmaps_base_oversubscribe="1",
           OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_btl_vader_single_copy_mechanism="none")


def start(ranks, *args):
    before = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
    return subprocess.Popen(before + [EXE, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=MPI, start_new_session=True)


def run(ranks, *args):
    p = start(ranks, *args)
    out, err = p.communicate(timeout=300)
    return p.returncode, [x for x in err.splitlines() if x.startswith(("convscope:", "epoch ", "stopped"))], err


class Mpi(Case):
    def setUp(self):
        super().setUp()
        for name, norm in (("plain", ""), ("norm", "\nbn")):
            with open(self.path(name + ".net"), "w") as f:
                f.write(NET % norm)

    def train(self, net, to, *args):
        return ("train", self.path(net + ".net"), "--data", "generated:digits", "--limit", 157, "-o", self.path(to)) + args

    def same(self, a, b):
        for name in ("model.onnx", "best.onnx", "state.safetensors"):
            with open(self.path(a + "/" + name), "rb") as f, open(self.path(b + "/" + name), "rb") as g:
                self.assertEqual(f.read(), g.read(), (name, a, b))

    def test_equal_bytes(self):
        for net, alone in (("plain", ()), ("norm", ("--shards", 8))):
            code, _, err = run(0, *self.train(net, net + "0", "--epochs", 2, *alone))
            self.assertEqual(code, 0, err)
            for ranks in (1, 2, 4):
                code, lines, err = run(ranks, *self.train(net, "%s%d" % (net, ranks), "--epochs", 2, "--threads", 1))
                self.assertEqual((code, len(lines)), (0, 2), err)  # one of them talks
                self.same(net + "0", "%s%d" % (net, ranks))
        record = json.loads(subprocess.run([EXE, "runs", self.path("plain4"), "--json"], capture_output=True, text=True).stdout)[0]
        self.assertEqual((record["sessions"][0]["ranks"], record["state"]), (4, "finished"))

    def wait_epochs(self, run_folder, n):
        for _ in range(6000):
            got = subprocess.run([EXE, "runs", self.path(run_folder), "--json"], capture_output=True, text=True)
            rows = json.loads(got.stdout) if got.returncode == 0 else []
            if rows and len(rows[0]["epochs"]) >= n:
                return rows[0]
            time.sleep(0.05)
        self.fail("no epoch came")

    def test_interrupted_killed_resumed(self):
        args = ("--epochs", 400, "--resume", "--threads", 1)
        p = start(2, *self.train("plain", "cut", *args))
        self.wait_epochs("cut", 1)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=300)
        self.assertNotEqual(p.returncode, 0)
        made = len(self.wait_epochs("cut", 1)["epochs"])
        p = start(3, *self.train("plain", "cut", *args))  # another number of processes goes on
        self.wait_epochs("cut", made + 1)
        children = [int(x) for x in os.listdir("/proc") if x.isdigit() and self.is_rank(x, 1)]
        self.assertEqual(len(children), 1)
        os.kill(children[0], signal.SIGKILL)  # one process dies: mpirun ends the others
        _, err = p.communicate(timeout=300)
        self.assertNotEqual(p.returncode, 0, err)
        made = len(self.wait_epochs("cut", 1)["epochs"])
        self.assertEqual(self.wait_epochs("cut", 1)["state"], "killed")
        short = ("--epochs", made + 2, "--resume", "--threads", 1)
        code, lines, err = run(1, *self.train("plain", "cut", *short))
        self.assertEqual(code, 0, err)
        code, lines, err = run(0, *self.train("plain", "whole", *short))
        self.assertEqual(code, 0, err)
        self.same("whole", "cut")

    def ask(self, folder, until=0, **what):
        with open(self.path(folder + "/new"), "w") as f:
            json.dump(what, f)
        os.rename(self.path(folder + "/new"), self.path(folder + "/control.json"))
        for _ in range(6000):
            try:
                with open(self.path(folder + "/steering.json")) as f:
                    told = json.load(f)
                if told["id"] == what["id"] and told["step"] >= until and (not what.get("pause") or told["paused"]):
                    return told
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        self.fail("the run took no request")

    def test_steered(self):
        p = start(2, *self.train("plain", "led", "--epochs", 60, "--threads", 1, "--control"))
        self.wait_epochs("led", 1)
        paused = self.ask("led", id=1, pause=True)
        time.sleep(0.3)
        stepped = self.ask("led", paused["step"] + 3, id=2, pause=True, steps=3, learning_rate=0.01)
        self.assertEqual((stepped["step"], stepped["paused"]), (paused["step"] + 3, True))
        self.ask("led", id=3, pause=False)
        _, err = p.communicate(timeout=300)
        self.assertEqual(p.returncode, 0, err)
        with open(self.path("led/history.json")) as f:
            changes = json.load(f)["changes"]
        self.assertEqual([[s, round(r, 9)] for s, r in changes], [[paused["step"] + 1, 0.01]])
        code, _, err = run(0, *self.train("plain", "again", "--epochs", 60, "--changes", self.path("led/history.json")))
        self.assertEqual(code, 0, err)
        self.same("led", "again")

    def is_rank(self, pid, rank):
        try:
            with open("/proc/%s/environ" % pid, "rb") as f:
                env = f.read().split(b"\0")
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                return self.dir.encode() in f.read() and b"OMPI_COMM_WORLD_RANK=%d" % rank in env
        except OSError:
            return False

    def test_sentences(self):
        code, lines, err = run(3, *self.train("plain", "x", "--shards", 2))
        self.assertEqual((code, len(lines)), (2, 1), err)
        self.assertIn("3 processes are too many: every batch is cut into 2 shards", lines[0])
        code, lines, err = run(2, "train", self.path("none.net"), "-o", self.path("x"))
        self.assertEqual(len(lines), 1, err)
        code, lines, err = run(2, *self.train("plain", "/dev/null/x"))
        self.assertEqual((code, len(lines)), (3, 1), err)

    def test_without_the_module(self):
        lone = self.path("convscope")
        shutil.copy(EXE, lone)
        env = dict(ENV, OMPI_COMM_WORLD_SIZE="2", OMPI_COMM_WORLD_RANK="0")
        got = subprocess.run([lone, *map(str, self.train("plain", "x"))], capture_output=True, text=True, env=env)
        self.assertEqual((got.returncode, len(got.stderr.splitlines())), (5, 1), got.stderr)
        self.assertIn("built without MPI", got.stderr)
        self.assertFalse(os.path.exists(self.path("x")))


if __name__ == "__main__":
    if not shutil.which("mpirun") or not os.path.exists(os.path.join(BUILD, "convscope_mpi.so")):
        print("skipped: there is no mpirun, or the program was built without MPI (libopenmpi-dev, openmpi-bin)")
        sys.exit(77)
    unittest.main()
