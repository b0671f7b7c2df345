#!/usr/bin/env python3
# convscope deconv, features, connections, backward, invariance and correspondence from outside: projections and the strongest pictures of a folder, against what `run` says of every picture; figures in every
# format, language and theme; one sentence on every mistake.
import csv, json, os, shutil, unittest

import program
from program import load, MODELS, ROOT, run

THINGS, DIGITS = os.path.join(MODELS, "things.onnx"), os.path.join(MODELS, "digits.onnx")


class Case(program.Case):
    def text(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def ok(self, *args):
        p = run(*args)
        self.assertEqual(p.returncode, 0, p.stderr)
        return p

    def refused(self, code, words, *args):
        p = run(*args)
        self.assertEqual(p.returncode, code, p.stderr)
        self.assertIn(words, p.stderr)
        self.assertEqual(len(p.stderr.strip().split("\n")), 1, p.stderr)

    def looks(self, *args):
        """The same figure in every format, both languages and themes: written, and the bytes of SVG repeat."""
        for name in ("f.png", "f.svg", "f.pdf"):
            for more in ([], ["--lang", "zh", "--theme", "dark"]):
                self.ok(*args, "-o", self.path(name), *more)
                self.assertGreater(os.path.getsize(self.path(name)), 1000)
        first = self.text("f.svg")
        self.ok(*args, "-o", self.path("f.svg"), "--lang", "zh", "--theme", "dark")
        self.assertEqual(first, self.text("f.svg"))

    def layer(self, model, picture, name):
        folder = self.path("run")
        shutil.rmtree(folder, ignore_errors=True)
        self.ok("run", model, picture, "-o", folder)
        index = json.loads(self.text("run/index.json"))
        file = [l["file"] for l in index["layers"] if l["name"] == name][0]
        return load(os.path.join(folder, file))

    def layers(self, model):
        return [l["name"] for l in json.loads(self.ok("info", model, "--json").stdout)["layers"]]


class Deconv(Case):
    def pictures(self):
        """A folder with sub-folders, a file that is no picture and one that is damaged; and the good ones."""
        folder = self.path("set")
        good = {}
        for i, name in enumerate(sorted(f for f in os.listdir(MODELS) if f.startswith("things_"))):
            at = ("a/b/" if i % 2 else "") + name
            os.makedirs(os.path.dirname(os.path.join(folder, at)), exist_ok=True)
            shutil.copy(os.path.join(MODELS, name), os.path.join(folder, at))
            good[at] = os.path.join(MODELS, name)
        with open(os.path.join(folder, "notes.txt"), "w") as f:
            f.write("no picture")
        with open(os.path.join(folder, "broken.png"), "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\nno more")
        return folder, good

    def test_the_strongest_pictures_are_those_that_run_says(self):
        folder, good = self.pictures()
        layer = [l for l in self.layers(THINGS) if "elu" in l][1]
        p = self.ok("deconv", THINGS, folder, "--layer", layer, "--channel", "0,3,5", "--top", "4", "--csv", self.path("t.csv"),
                    "--raw", self.path("raw"))
        self.assertIn("1 pictures could not be read, the first is broken.png", p.stderr)
        want = {}
        for name, path in good.items():
            (_, channels, h, w), v = self.layer(THINGS, path, layer)
            for k in (0, 3, 5):
                plane = v[k * h * w:(k + 1) * h * w]
                if max(plane) > 0:
                    want.setdefault(k, []).append((-max(plane), name, plane.index(max(plane)) // w, plane.index(max(plane)) % w))
        rows = list(csv.reader(self.text("t.csv").splitlines()))[1:]
        for k, list_ in want.items():
            best = sorted(list_)[:4]
            mine = [r for r in rows if r[0] == str(k)]
            self.assertEqual([r[5] for r in mine], [b[1] for b in best])
            self.assertEqual([(int(r[3]), int(r[4])) for r in mine], [(b[2], b[3]) for b in best])
            for r, b in zip(mine, best):
                self.assertAlmostEqual(float(r[2]), -b[0], delta=1e-4 * abs(b[0]))
        self.assertGreater(len(rows), 4)
        # a projection of the search is the one that the picture alone gives, cut out
        k, picture = rows[0][0], good[rows[0][5]]
        self.ok("deconv", THINGS, picture, "--layer", layer, "--channel", k, "--raw", self.path("whole.npy"))
        whole, part = load(self.path("whole.npy"))[1], load(self.path("raw/channel%s_1.npy" % k))[1]
        self.assertGreater(max(map(abs, whole)), 0)
        self.assertAlmostEqual(sum(map(abs, whole)), sum(map(abs, part)), delta=1e-3 * sum(map(abs, whole)))

    def test_figures(self):
        layer = [l for l in self.layers(THINGS) if "elu" in l][2]
        self.looks("deconv", THINGS, os.path.join(MODELS, "things_car.png"), "--layer", layer, "--channel", "2")
        self.looks("deconv", THINGS, "generated:things", "--limit", "24", "--layer", layer, "--maps", "3")
        self.looks("deconv", DIGITS, os.path.join(MODELS, "digits_3.png"), "--channel", "1", "--rule", "guided")

    def test_patches_are_cut_to_what_counts(self):
        held, sides = {}, {}
        for crop in ("field", "effective", "whole"):
            self.ok("deconv", THINGS, "generated:things", "--limit", "12", "--layer", "relu_3", "--channel", "3", "--top", "3", "--crop", crop,
                    "--raw", self.path(crop))
            made = [load(os.path.join(self.path(crop), "channel3_%d.npy" % k)) for k in (1, 2, 3)]
            held[crop] = [sum(map(abs, v)) for _, v in made]
            sides[crop] = [s[1:] for s, _ in made]
        self.assertEqual(set(sides["whole"]), {(64, 64)})
        self.assertEqual(len(set(sides["field"])), 1)
        for k in range(3):
            self.assertGreaterEqual(held["effective"][k], 0.99 * held["whole"][k])
            self.assertAlmostEqual(held["field"][k], held["whole"][k], delta=1e-5 * held["whole"][k])
            self.assertLessEqual(max(sides["effective"][k]), max(sides["field"][k]))
        self.refused(2, "--crop is field", "deconv", THINGS, "generated:things", "--crop", "x", "--csv", self.path("c.csv"))

    def test_a_picture_of_a_data_set_by_its_number(self):
        for command in (["connections", "--from", "relu_1", "--to", "relu_2", "--csv"], ["deconv", "--layer", "relu_3", "--channel", "3", "--raw"],
                        ["backward", "--layer", "relu_3", "--channel", "3", "-o"]):
            out = self.path("n.csv" if command[-1] == "--csv" else "n.npy" if command[-1] == "--raw" else "n.svg")
            self.ok(command[0], THINGS, "generated:things#19", *command[1:], out)
            self.assertGreater(os.path.getsize(out), 300)
        self.refused(9, "999999", "backward", THINGS, "generated:things#999999", "--layer", "relu_3", "--channel", "3", "-o", self.path("n.svg"))

    def test_mistakes(self):
        picture = os.path.join(MODELS, "things_car.png")
        out = self.path("x.npy")
        self.refused(2, "needs -o FILE", "deconv", THINGS, picture, "--channel", "1")
        self.refused(2, "needs --channel", "deconv", THINGS, picture, "--raw", out)
        self.refused(9, "there is no channel 4000", "deconv", THINGS, picture, "--channel", "4000", "--raw", out)
        self.refused(9, "there is no unit at row 999", "deconv", THINGS, picture, "--channel", "1", "--at", "999,0", "--raw", out)
        self.refused(2, "--at is ROW,COLUMN", "deconv", THINGS, picture, "--channel", "1", "--at", "9", "--raw", out)
        self.refused(2, "--rule is", "deconv", THINGS, picture, "--channel", "1", "--rule", "x", "--raw", out)
        self.refused(2, "--theme is light or dark", "deconv", THINGS, picture, "--channel", "1", "--theme", "blue", "-o", self.path("c.svg"))
        self.refused(2, "--channel is K", "deconv", THINGS, MODELS, "--channel", "1,x", "--csv", out)
        os.mkdir(self.path("empty"))
        self.refused(9, "no picture here", "deconv", THINGS, self.path("empty"), "--csv", out)
        self.assertFalse(os.path.exists(out))


class Features(Case):
    def test_the_book_as_another_library_computes_it(self):
        # PyTorch 1.13, float32, from the same noise; tests/data/features
        self.ok("features", THINGS, "--layer", "relu_3", "--channel", "3", "--mode", "book", "--raw", self.path("b.npy"),
                "--csv", self.path("b.csv"))
        shape, mine = load(self.path("b.npy"))
        want_shape, want = load(os.path.join(ROOT, "tests", "data", "features", "things_relu_3_channel_3.npy"))
        self.assertEqual(shape, want_shape)
        self.assertLess(max(abs(a - b) for a, b in zip(mine, want)), 1e-5 * max(map(abs, want)))
        row = self.text("b.csv").split("\n")[1].split(",")
        self.assertAlmostEqual(float(row[2]), 0.0043019047, delta=1e-7)
        self.assertAlmostEqual(float(row[3]), 0.2781642675, delta=1e-5)

    def test_what_is_made_does_what_was_asked(self):
        few = ["--steps", "40", "--raw", self.path("f.npy"), "--csv", self.path("f.csv")]
        for more in (["--layer", "relu_4", "--channel", "5"], ["--layer", "relu_4", "--channel", "5", "--neuron", "middle"],
                     ["--class", "car"], ["--class", "3", "--variants", "2", "--diversity", "5"],
                     ["--layer", "relu_2", "--invert", os.path.join(MODELS, "things_fish.png")]):
            self.ok("features", THINGS, *few, *more)
            for row in self.text("f.csv").strip().split("\n")[1:]:
                _, _, before, after, silent = row.split(",")
                self.assertGreater(float(after), float(before), more)
                self.assertEqual(silent, "0")
        # the picture that went into the network does excite it so
        self.ok("features", THINGS, "--layer", "relu_4", "--channel", "5", *few)
        after = float(self.text("f.csv").split("\n")[1].split(",")[3])
        (_, _, h, w), v = self.layer(THINGS, self.path("f.npy"), "relu_4")
        self.assertAlmostEqual(sum(v[5 * h * w:6 * h * w]) / (h * w), after, delta=1e-4 * after)

    def test_a_dream_is_larger_than_its_photograph_was_seen(self):
        self.ok("features", THINGS, "--layer", "relu_3,relu_4", "--dream", os.path.join(MODELS, "things_car.png"), "--steps", "3",
                "--raw", self.path("d.npy"), "-o", self.path("d.png"))
        shape, _ = load(self.path("d.npy"))
        self.assertEqual(shape, (125, 125, 3))

    def test_figures(self):
        self.looks("features", THINGS, "--layer", "relu_1", "--steps", "2")
        self.looks("features", DIGITS, "--class", "all", "--steps", "2")
        self.looks("features", THINGS, "--dream", os.path.join(MODELS, "things_car.png"), "--steps", "1")

    def test_mistakes(self):
        out = self.path("x.npy")
        self.refused(2, "needs -o FILE", "features", THINGS)
        self.refused(2, "one of --channel, --class", "features", THINGS, "--channel", "1", "--class", "2", "--raw", out)
        self.refused(2, "--channel is K", "features", THINGS, "--channel", "a", "--raw", out)
        self.refused(2, "--mode is", "features", THINGS, "--mode", "x", "--raw", out)
        self.refused(9, "there is no channel 999", "features", THINGS, "--channel", "999", "--raw", out)
        self.refused(9, "there is no class", "features", THINGS, "--class", "zebra", "--raw", out)
        self.refused(9, "there is no unit", "features", THINGS, "--channel", "1", "--neuron", "99,1", "--raw", out)
        self.refused(6, "the direction is", "features", THINGS, "--direction", os.path.join(ROOT, "tests", "data", "features",
                     "things_relu_3_channel_3.npy"), "--raw", out)
        self.assertFalse(os.path.exists(out))


class Connections(Case):
    def matrices(self, *args):
        return json.loads(self.ok("connections", *args, "--json").stdout)

    def test_contributions_add_up(self):
        # conv_3 has no bias: what its channels get is all that they are
        picture = os.path.join(MODELS, "things_car.png")
        m = self.matrices(THINGS, picture, "--to", "conv_3")
        self.assertEqual((m["from"], m["to"], m["channels"]), ("pool_2", "conv_3", [48, 32]))
        (_, channels, h, w), v = self.layer(THINGS, picture, "conv_3")
        for k in range(channels):
            total = sum(v[k * h * w:(k + 1) * h * w])
            size = sum(map(abs, m["contribution"][k])) + 1e-6
            self.assertAlmostEqual(m["total"][k], total, delta=1e-4 * size)
            self.assertAlmostEqual(sum(m["contribution"][k]), total, delta=1e-4 * size)

    def test_channels_that_are_silent_give_nothing(self):
        picture = os.path.join(MODELS, "things_car.png")
        m = self.matrices(THINGS, picture, "--from", "relu_4", "--to", "logits")
        self.assertNotIn("norm", m)
        (_, channels, h, w), v = self.layer(THINGS, picture, "relu_4")
        for c in range(channels):
            if max(v[c * h * w:(c + 1) * h * w]) == 0:
                self.assertEqual({row[c] for row in m["contribution"]}, {0})

    def test_weights_alone(self):
        m = self.matrices(THINGS, "--to", "conv_3")
        self.assertNotIn("contribution", m)
        self.ok("connections", THINGS, os.path.join(MODELS, "things_car.png"), "--to", "conv_3", "--csv", self.path("c.csv"))
        rows = list(csv.reader(self.text("c.csv").splitlines()))[1:]
        self.assertEqual(len(rows), 48 * 32)
        for to, source, norm, part, share in rows:
            self.assertAlmostEqual(m["norm"][int(to)][int(source)], float(norm), delta=1e-6)
            self.assertTrue(0 <= float(share) <= 1)
        self.assertAlmostEqual(sum(float(r[4]) for r in rows if r[0] == "0"), 1, delta=1e-6)

    def test_figures(self):
        picture = os.path.join(MODELS, "things_fish.png")
        self.looks("connections", THINGS, "--to", "conv_4")
        self.looks("connections", THINGS, picture, "--to", "conv_4")
        self.looks("connections", THINGS, picture, "--from", "gap", "--to", "logits")
        self.looks("backward", THINGS, picture, "--layer", "logits", "--channel", "3")
        self.looks("backward", DIGITS, os.path.join(MODELS, "digits_2.png"), "--layer", "last-conv", "--layers", "3")

    def test_mistakes(self):
        out = self.path("x.csv")
        self.refused(2, "needs -o FILE", "connections", THINGS)
        self.refused(2, "does not lead to", "connections", THINGS, "--from", "conv_4", "--to", "conv_2", "--csv", out)
        self.refused(2, "more than one layer of kernels", "connections", THINGS, "--from", "conv_1", "--to", "conv_4", "--csv", out)
        self.refused(9, "there is no channel", "backward", THINGS, os.path.join(MODELS, "things_car.png"), "--layer", "conv_2",
                     "--channel", "777", "-o", self.path("x.png"))
        self.assertFalse(os.path.exists(out))


class Measurements(Case):
    def test_nothing_moves_where_the_picture_does_not(self):
        picture = os.path.join(MODELS, "things_car.png")
        self.ok("invariance", THINGS, picture, "--steps", "5", "--target", "car", "--csv", self.path("i.csv"))
        rows = list(csv.DictReader(self.text("i.csv").splitlines()))
        self.assertEqual([r["change"] for r in rows], ["move"] * 5 + ["scale"] * 5 + ["turn"] * 5)
        self.assertEqual([float(r["amount"]) for r in rows[:5]], [-17, -8.5, 0, 8.5, 17])
        top = json.loads(self.ok("predict", THINGS, picture, "--json").stdout)[0]["top"][0]
        self.assertEqual(top["name"], "car")
        for r in (rows[2], rows[5], rows[10], rows[14]):
            self.assertLess(float(r["distance_low"]), 1e-3)
            self.assertLess(float(r["distance_high"]), 1e-3)
            self.assertAlmostEqual(float(r["probability"]), top["probability"], delta=1e-4)
        for r in (rows[0], rows[4], rows[9], rows[12]):
            self.assertGreater(float(r["distance_low"]), 0.1)

    def parts(self, lines):
        for name in ("things_car.png", "things_fish.png"):
            shutil.copy(os.path.join(MODELS, name), self.path(name))
        shutil.copy(self.path("things_car.png"), self.path("same.png"))
        with open(self.path("parts.csv"), "w") as f:
            f.write("picture,part,top,left,rows,columns\n" + lines)
        return self.path("parts.csv")

    def test_the_same_picture_corresponds_to_itself(self):
        parts = self.parts("things_car.png,a,3,4,20,20\nsame.png,a,3,4,20,20\nthings_car.png,b,30,30,9,9\nsame.png,b,30,30,9,9\n")
        self.ok("correspondence", THINGS, parts, "--csv", self.path("c.csv"))
        rows = list(csv.DictReader(self.text("c.csv").splitlines()))
        self.assertEqual([(r["layer"], r["part"]) for r in rows],
                         [(l, p) for l in ("conv_1", "gap") for p in ("a", "b", "random")])
        for r in rows:
            if r["part"] == "random":
                self.assertGreater(float(r["mean"]), 0)
            else:
                self.assertEqual((float(r["mean"]), float(r["deviation"])), (0, 0))

    def test_what_lies_in_other_places_differs(self):
        parts = self.parts("things_car.png,a,3,4,20,20\nthings_fish.png,a,30,30,20,20\n")
        first = self.ok("correspondence", THINGS, parts, "--layers", "relu_1,relu_3").stdout
        self.assertEqual(first, self.ok("correspondence", THINGS, parts, "--layers", "relu_1,relu_3", "--threads", "1").stdout)
        self.assertIn("relu_3", first)
        self.looks("correspondence", THINGS, parts)
        self.looks("invariance", THINGS, os.path.join(MODELS, "things_car.png"), "--steps", "4")

    def test_mistakes(self):
        out = self.path("x.png")
        self.refused(4, "expected", "correspondence", THINGS, self.parts("things_car.png,a,3\n"), "-o", out)
        self.refused(2, "has no box of part 2", "correspondence", THINGS, self.parts("things_car.png,a,3,4,9,9\nthings_fish.png,b,1,1,9,9\n"),
                     "-o", out)
        self.refused(2, "can be compared", "correspondence", THINGS, self.parts("things_car.png,a,3,4,9,9\n"), "-o", out)
        self.refused(2, "lies outside", "correspondence", THINGS,
                     self.parts("things_car.png,a,3,4,9,9\nthings_fish.png,a,900,1,9,9\n"), "-o", out)
        self.refused(3, "no-such", "correspondence", THINGS, self.parts("no-such.png,a,3,4,9,9\nthings_fish.png,a,9,1,9,9\n"), "-o", out)
        self.refused(9, "there is no class", "invariance", THINGS, os.path.join(MODELS, "things_car.png"), "--target", "zebra", "-o", out)
        self.assertFalse(os.path.exists(out))


if __name__ == "__main__":
    unittest.main()
