#!/usr/bin/env python3
# convscope compare: layer by layer against what `run` writes for each side, two models of unlike depth, and one sentence on every mistake.
import csv, json, math, os, unittest

from test_features import DIGITS, MODELS, THINGS, Case, load, run

CAR, FISH = os.path.join(MODELS, "things_car.png"), os.path.join(MODELS, "things_fish.png")


class Compare(Case):
    def sides(self):
        out = []
        for name, picture in (("a", CAR), ("b", FISH)):
            self.ok("run", THINGS, picture, "-o", self.path(name))
            with open(os.path.join(self.path(name), "index.json"), encoding="utf-8") as f:
                out.append({x["name"]: os.path.join(self.path(name), x["file"]) for x in json.load(f)["layers"]})
        return out

    def test_two_pictures(self):
        p = self.ok("compare", THINGS, CAR, FISH, "--csv", self.path("c.csv"))
        self.assertIn("they part first at conv_1", p.stderr)
        a, b = self.sides()
        with open(self.path("c.csv"), encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual([r["name"] for r in rows], list(a))
        for r in rows:
            u, v = load(a[r["name"]])[1], load(b[r["name"]])[1]
            size = [math.sqrt(math.fsum(x * x for x in w)) for w in (u, v)]
            apart = math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(u, v))) / sum(size)
            cosine = math.fsum(x * y for x, y in zip(u, v)) / (size[0] * size[1])
            self.assertAlmostEqual(float(r["difference"]), apart, places=6)
            self.assertAlmostEqual(float(r["cosine"]), cosine, places=6)

    def test_the_same_is_said_to_be_the_same(self):
        p = self.ok("compare", THINGS, CAR, CAR, "--json")
        self.assertIn("every layer is the same", p.stderr)
        self.assertEqual({x["difference"] for x in json.loads(p.stdout)}, {0})
        self.assertIn("每一层都相同", self.ok("compare", THINGS, CAR, CAR, "--lang", "zh").stderr)

    def test_models_of_unlike_depth(self):
        p = self.ok("compare", THINGS, CAR, FISH, "--with", DIGITS, "--alike", "--json", "--csv", self.path("k.csv"))
        for x in json.loads(p.stdout):
            self.assertLessEqual(abs(x["cka"]), 1.000001)
        one = self.ok("compare", THINGS, CAR, FISH, "--with", THINGS, "--alike", "--csv", self.path("k.csv"))
        self.assertIn("conv_3", one.stdout)
        with open(self.path("k.csv"), encoding="utf-8", newline="") as f:
            same = [float(r["cka"]) for r in csv.DictReader(f) if r["layer"] == r["layer2"] and r["cka"]]
        self.assertGreater(len(same), 10)
        self.assertLess(max(abs(v - 1) for v in same), 1e-6)

    def test_mistakes(self):
        for words, args in (("compared on two pictures", [THINGS, CAR]), ("two pictures at most", [THINGS, CAR, FISH, CAR, "--with", DIGITS])):
            p = run("compare", *args)
            self.assertEqual(p.returncode, 2, p.stderr)
            self.assertIn(words, p.stderr)
        self.refused(3, "", "compare", THINGS, CAR, self.path("none.png"))


if __name__ == "__main__":
    unittest.main(verbosity=0)
