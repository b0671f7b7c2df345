#!/usr/bin/env python3
# The benchmark's own machinery, without any peer and without judging a time: our driver answers, two drivers take turns and compute
# the same, rows merge, and the table says what is below its bound.
import os, sys, unittest

from program import BUILD, Case, floats, load, ROOT

sys.path.insert(0, os.path.join(ROOT, "bench"))
sys.dont_write_bytecode = True
import drive, peers, rows, table  # noqa: E402

OURS = os.path.join(BUILD, "bench", "bench_ours")


def npy(path, shape, values):
    with open(path, "wb") as f:
        f.write(floats(shape, values))


def numbers(path):
    return load(path)[1]


class Bench(Case):
    def setUp(self):
        super().setUp()
        self.input = self.path("x.npy")
        npy(self.input, (1, 1, 28, 28), [(i * 37 % 101) / 101 for i in range(784)])
        self.model = os.path.join(ROOT, "models", "digits.onnx")
        self.drivers = []

    def tearDown(self):
        for d in self.drivers:
            d.close()
            self.assertIsNotNone(d.process.returncode)

    def driver(self):
        self.drivers.append(drive.Driver("ours", [OURS], timeout=300))
        return self.drivers[-1]

    def test_two_in_turns(self):
        a, b = self.driver(), self.driver()
        common = dict(task="forward", model=self.model, input=self.input, threads=2)
        a.prepare(**common, keep="all")
        a.pause()
        b.prepare(**common, keep="answer")
        sides = [drive.Side(a), drive.Side(b, scale=2.0)]
        foreign, stolen = drive.in_turns(sides, 0.02, turns=2, least=3)
        self.assertGreaterEqual(min(foreign, stolen), 0)
        for s in sides:
            self.assertGreaterEqual(len(s.ms), 3)
            self.assertTrue(0 < s.best() <= s.median())
        a.ask("dump", self.path("a.npy"))
        b.ask("dump", self.path("b.npy"))
        one, two = numbers(self.path("a.npy")), numbers(self.path("b.npy"))
        self.assertEqual(len(one), 10)
        self.assertLess(max(abs(p - q) for p, q in zip(one, two)), 1e-4)
        self.assertGreater(max(one) - min(one), 1e-3)
        self.assertGreater(int(a.ask("memory")[0]), 1 << 20)

    def test_explain(self):
        d = self.driver()
        d.prepare(task="explain", model=self.model, input=self.input, method="gradient", target=3)
        self.assertEqual(len(d.run(3)), 3)
        d.ask("dump", self.path("map.npy"))
        self.assertEqual(len(numbers(self.path("map.npy"))), 784)
        self.assertGreater(max(map(abs, numbers(self.path("map.npy")))), 0)

    def test_live_patch(self):
        """A patch that covers nothing changes nothing; one that covers all gives the answer to a picture of zeros."""
        npy(self.path("zeros.npy"), (1, 1, 28, 28), [0.0] * 784)
        got = []
        for task, picture, patch in (("forward", self.input, 0), ("live", self.input, 0), ("forward", self.path("zeros.npy"), 0),
                                     ("live", self.input, 28), ("live", self.input, 9)):
            d = self.driver()
            d.prepare(task=task, model=self.model, input=picture, patch=patch)
            d.run(3)
            d.ask("dump", self.path("out.npy"))
            got.append(numbers(self.path("out.npy")))
        close = lambda a, b: max(abs(p - q) for p, q in zip(a, b)) < 1e-4
        self.assertTrue(close(got[0], got[1]))
        self.assertTrue(close(got[2], got[3]))
        self.assertFalse(close(got[0], got[2]))
        self.assertFalse(close(got[0], got[4]) and close(got[2], got[4]))

    def test_faults_are_said(self):
        d = self.driver()
        with self.assertRaisesRegex(drive.Failed, "there is no such file"):
            d.prepare(task="forward", model=self.path("absent.onnx"), input=self.input)
        with self.assertRaisesRegex(drive.Failed, "unknown request"):
            d.ask("dance")
        gone = drive.Driver("gone", [sys.executable, "-c", "import sys; sys.exit('no such luck')"])
        self.drivers.append(gone)
        with self.assertRaisesRegex(drive.Failed, "no such luck"):
            gone.ask("run", 1)

    def test_table(self):
        row = dict(work="w", peer="p", peer_version="1", config="c", peer_best_ms="2", ours_best_ms="1", peer_median_ms="2",
                   ours_median_ms="1", ratio="2.0", must="1.5", goal="3")
        other = dict(row, work="v", ratio="1.2")
        new = dict(row, ratio="3.5")
        path = self.path("results.csv")
        table.write(path, table.merge([row, other], [new], [("v", "p"), ("w", "p")]))
        got = table.read(path)
        self.assertEqual([(r["work"], r["ratio"]) for r in got], [("v", "1.2"), ("w", "3.5")])
        self.assertEqual(list(got[0])[:11], "work peer peer_version config peer_best_ms ours_best_ms peer_median_ms ours_median_ms ratio "
                         "must goal".split())
        self.assertEqual([table.verdict(r) for r in got], ["**below must**", "goal"])
        self.assertEqual(table.summary(got), "2 rows, 1 below must, 1 below goal")
        self.assertEqual(len(table.markdown(got).split("\n")), 5)

    def test_rows(self):
        env = peers.Env(self.path("env"), BUILD)
        every = rows.all_rows(env)
        self.assertGreaterEqual(len(every), 40)
        self.assertEqual(len({(r.work, r.peer) for r in every}), len(every))
        for r in every:
            self.assertTrue(r.special or r.forms, r.work)
            self.assertTrue(not r.goal or float(r.goal) >= float(r.must), r.work)
            self.assertEqual(r.ours.get("threads", 2), 2)


if __name__ == "__main__":
    unittest.main()
