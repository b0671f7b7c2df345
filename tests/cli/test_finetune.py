#!/usr/bin/env python3
# Training as people use it beyond a recipe: a trained network for other classes, weights taken over, a Keras model as it was compiled, several runs
# averaged, CIFAR's python batches, what augmentation does, and disks that are full.
import json, os, pickle, resource, shutil, signal, struct, sys, types, unittest

from program import Case, ROOT, answer as run

DIGITS = os.path.join(ROOT, "models", "digits.onnx")


def npy(path):
    with open(path, "rb") as f:
        data = f.read()
    return data[10 + int.from_bytes(data[8:10], "little"):]


class Finetune(Case):
    def read(self, *names):
        with open(self.path(*names), "rb") as f:
            return f.read()

    def net(self, name, layers, words=""):
        with open(self.path(name), "w") as f:
            f.write("input 1x28x28\n%s\ntrain {\n seed 2\n batch 32\n%s\n}\n" % (layers.replace(" | ", "\n"), words))
        return self.path(name)

    def test_other_classes(self):
        """The last layer is new and learns, the others keep every bit; the model names the data's classes."""
        small = ("--data", "generated:things", "--limit", 200, "--epochs", 1)
        code, out, err = run("train", DIGITS, *small, "--head", "data", "--freeze", "body", "--params", "-o", self.path("new"))
        self.assertEqual(code, 0, err)
        self.assertIn("the last layer is new, for 10 classes", err)
        code, out, err = run("train", DIGITS, *small, "--steps", 1, "--set", "optimizer sgd lr=0", "--params", "-o", self.path("old"))
        self.assertEqual(code, 0, err)
        for name in ("conv_1.weight", "conv_2.bias", "conv_3.weight"):
            self.assertEqual(self.read("new", "params", name + ".npy"), self.read("old", "params", name + ".npy"), name)
        self.assertNotEqual(self.read("new", "params", "logits.weight.npy"), self.read("old", "params", "logits.weight.npy"))
        code, out, err = run("info", self.path("new", "best.onnx"), "--json")
        self.assertEqual(code, 0, err)
        code, out, err = run("predict", self.path("new", "best.onnx"), os.path.join(ROOT, "models", "things_car.png"))
        self.assertEqual(code, 0, err)
        self.assertIn("airplane", out + run("predict", self.path("new", "best.onnx"), os.path.join(ROOT, "models", "things_car.png"), "--top", 10)[1])
        code, out, err = run("train", DIGITS, *small, "--head", 7, "-o", self.path("wrong"))
        self.assertNotEqual(code, 0)
        self.assertIn("7 outputs", err)
        self.assertFalse(os.path.exists(self.path("wrong")))
        code, out, err = run("train", DIGITS, *small, "--head", 0, "-o", self.path("wrong"))
        self.assertNotEqual(code, 0)

    def test_head_of_fewer_classes(self):
        for i, c in enumerate(("one", "two", "three")):
            for split in ("train", "test"):
                os.makedirs(self.path("set", split, c))
                for k in (2, 5, 7):
                    shutil.copy(os.path.join(ROOT, "models", "digits_%d.png" % ((k + i) % 10)), self.path("set", split, c, "%d.png" % k))
        code, out, err = run("train", DIGITS, "--data", "folder:" + self.path("set"), "--head", "data", "--epochs", 1, "-o", self.path("run"))
        self.assertEqual(code, 0, err)
        code, out, err = run("predict", self.path("run", "model.onnx"), os.path.join(ROOT, "models", "digit.png"), "--top", 3)
        self.assertEqual(code, 0, err)
        self.assertTrue(all(c in out for c in ("one", "two", "three")), out)

    def test_weights_taken_over(self):
        base = "conv_1: conv 12 k5 valid | relu | pool_1: maxpool k2 | conv_2: conv 24 k3 valid | relu"
        args = ("--data", "generated:digits", "--limit", 64, "--steps", 1, "--lr", "1e-12", "--params")
        code, out, err = run("train", self.net("a.net", base + " | gap | fc 10"), *args, "--init", DIGITS, "-o", self.path("a"))
        self.assertEqual(code, 0, err)
        self.assertIn("4 of 6 parameters", err)
        self.assertEqual(run("train", DIGITS, *args, "-o", self.path("d"))[0], 0)
        self.assertEqual(self.read("a", "params", "conv_2.weight.npy"), self.read("d", "params", "conv_2.weight.npy"))
        renamed = base.replace("conv_1:", "first:").replace("conv_2:", "second:")
        code, out, err = run("train", self.net("b.net", renamed + " | gap | fc 10", " start %s" % DIGITS), *args, "-o", self.path("b"))
        self.assertEqual(code, 0, err)
        self.assertEqual(npy(self.path("b", "params", "second.weight.npy")), npy(self.path("d", "params", "conv_2.weight.npy")))
        code, out, err = run("train", self.net("c.net", "conv 3 k7 | gap | fc 10"), *args, "--init", DIGITS, "-o", self.path("c"))
        self.assertNotEqual(code, 0)
        self.assertIn("no parameter of this model", err)

    def test_settings(self):
        net = self.net("s.net", "conv 4 k5 s2 | relu | flatten | fc 10", " optimizer adam")
        args = ("train", net, "--data", "generated:digits", "--limit", 64, "--epochs", 1, "-o", self.path("run"))
        code, out, err = run(*args, "--set", "optimizer sgd lr=0.05 momentum=0.8 nesterov | schedule cosine\nbatch 16")
        self.assertEqual(code, 0, err)
        s = json.loads(self.read("run", "history.json"))["settings"]
        self.assertEqual((s["optimizer"], s["learning_rate"], s["momentum"], s["schedule"], s["batch"]), ("nesterov", 0.05, 0.8, "cosine", 16))
        code, out, err = run(*args, "--set", "batch 16 | shedule cosine")
        self.assertNotEqual(code, 0)
        self.assertIn("--set", err)
        self.assertIn("shedule", err)
        self.assertNotEqual(run(*args, "--set", "batch 16 } train {")[0], 0)

    def test_keras_as_compiled(self):
        model = os.path.join(ROOT, "tests", "data", "keras", "k3_norms.h5")
        compiled = os.path.join(ROOT, "tests", "data", "training", "keras_b.keras")
        code, out, err = run("info", compiled)
        self.assertEqual(code, 0, err)
        self.assertTrue(os.path.exists(model))

    # ---- several models -------------------------------------------------------------------------------------

    def test_ensemble(self):
        net = self.net("e.net", "conv 4 k5 s2 | relu | flatten | fc 10")
        for seed in (1, 2, 3):
            code, out, err = run("train", net, "--data", "generated:digits", "--limit", 640, "--epochs", 1, "--seed", seed, "-o", self.path("r%d" % seed))
            self.assertEqual(code, 0, err)
        for n in range(10):  # a set of ten pictures
            for split in ("train", "test"):
                os.makedirs(self.path("set", split, str(n)))
                shutil.copy(os.path.join(ROOT, "models", "digits_%d.png" % n), self.path("set", split, str(n), "x.png"))
        runs, data = [self.path("r%d" % s) for s in (1, 2, 3)], "folder:" + self.path("set")
        code, out, err = run("evaluate", *runs, data, "--json", "--top", 3)
        self.assertEqual(code, 0, err)
        got = json.loads(out)
        right = top = 0
        loss = []
        for n in range(10):
            mean = {}
            for r in runs:
                code, out, err = run("predict", r + "/best.onnx", self.path("set", "test", str(n), "x.png"), "--top", 10, "--json")
                self.assertEqual(code, 0, err)
                answer = json.loads(out)
                answer = answer[0] if isinstance(answer, list) else answer
                for row in answer.get("top") or answer.get("classes") or answer["predictions"]:
                    name = row.get("class", row.get("name", row.get("label")))
                    mean[str(name)] = mean.get(str(name), 0) + row["probability"] / 3
            order = sorted(mean, key=lambda k: -mean[k])
            right += order[0] == str(n)
            top += str(n) in order[:3]
            import math
            loss.append(-math.log(mean[str(n)]))
        self.assertAlmostEqual(got["accuracy"], right / 10)
        self.assertAlmostEqual(got["top_accuracy"], top / 10)
        self.assertAlmostEqual(got["loss"], sum(loss) / 10, places=4)
        alone = json.loads(run("evaluate", runs[0], data, "--json")[1])
        twice = json.loads(run("evaluate", runs[0], runs[0], data, "--json")[1])
        self.assertEqual(alone["confusion"], twice["confusion"])
        self.assertAlmostEqual(alone["loss"], twice["loss"], places=5)
        code, out, err = run("evaluate", runs[0], os.path.join(ROOT, "tests", "data", "training", "keras_b.keras"), data)
        self.assertNotEqual(code, 0)

    # ---- data -----------------------------------------------------------------------------------------------

    def batches(self, n, labels):
        pixels = bytes((i * 31 + k * 7 + k // 97) % 256 for i in range(n) for k in range(3072))
        return pixels, [(i * 3) % labels for i in range(n)]

    def python2(self, pixels, key, labels):
        """A batch as Python 2 pickled the official ones: protocol 2, bytes as strings."""
        text = lambda s: b"U" + bytes([len(s)]) + s
        long_text = lambda s: b"T" + struct.pack("<I", len(s)) + s
        number = lambda v: b"K" + bytes([v]) if v < 256 else b"M" + struct.pack("<H", v)
        dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        array = (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR(K\x01(" + number(len(labels)) +
                 b"M\x00\x0ct" + dtype + b"\x89" + long_text(pixels) + b"tb")
        return (b"\x80\x02}(" + text(b"batch_label") + text(b"one") + text(key) + b"](" + b"".join(map(number, labels)) + b"e" + text(b"data") +
                array + b"u.")

    def python3(self, pixels, key, labels, protocol):
        """The same with Python 3's own pickler; NumPy is a stand-in of two names."""
        names = {m: types.ModuleType(m) for m in ("numpy", "numpy.core", "numpy.core.multiarray")}

        class ndarray:
            def __reduce__(self):
                return names["numpy.core.multiarray"]._reconstruct, (ndarray, (0,), b"b"), (1, (len(labels), 3072), dtype(), False, pixels)

        class dtype:
            def __reduce__(self):
                return dtype, ("u1", False, True), (3, "|", None, None, None, -1, -1, 0)

        def _reconstruct(*_):
            pass
        for thing, module in ((ndarray, "numpy"), (dtype, "numpy"), (_reconstruct, "numpy.core.multiarray")):
            thing.__module__, thing.__qualname__ = module, thing.__name__
            setattr(names[module], thing.__name__, thing)
        kept = {m: sys.modules.get(m) for m in names}
        sys.modules.update(names)
        try:
            return pickle.dumps({b"data": ndarray(), key: labels, "filenames": ["a"] * len(labels)}, protocol=protocol)
        finally:
            for m, was in kept.items():
                if was is None:
                    del sys.modules[m]
                else:
                    sys.modules[m] = was

    def put(self, folder, files):
        os.makedirs(self.path(folder), exist_ok=True)
        for name, data in files.items():
            with open(self.path(folder, name), "wb") as f:
                f.write(data)

    def test_cifar_python(self):
        """Pickled batches train to the same bytes as the binary version, whoever pickled them; nothing in them is executed."""
        net = self.path("c.net")
        with open(net, "w") as f:
            f.write("input 3x32x32\nconv 4 k5 s4\nrelu\nflatten\nfc 10\ntrain {\n batch 8\n seed 2\n}\n")
        pixels, labels = self.batches(40, 10)
        record = b"".join(bytes([labels[i]]) + pixels[i * 3072:(i + 1) * 3072] for i in range(40))
        self.put("bin", {"data_batch_1.bin": record, "test_batch.bin": record[:10 * 3073]})
        made = {"two": lambda n: self.python2(pixels[:n * 3072], b"labels", labels[:n]),
                "three": lambda n: self.python3(pixels[:n * 3072], b"labels", labels[:n], 4),
                "old": lambda n: self.python3(pixels[:n * 3072], "labels", labels[:n], 2)}
        for name, make in made.items():
            self.put(name, {"data_batch_1": make(40), "test_batch": make(10), "readme.html": b"no batch"})
        for name in ("bin", *made):
            code, out, err = run("train", net, "--data", "cifar10:" + self.path(name), "--epochs", 1, "--no-events", "-o", self.path("run-" + name))
            self.assertEqual(code, 0, err)
            self.assertEqual(self.read("run-" + name, "model.onnx"), self.read("run-bin", "model.onnx"), name)
        pixels, labels = self.batches(20, 100)
        names = pickle.dumps({"fine_label_names": ["name%d" % i for i in range(100)]}, protocol=2)
        self.put("hundred", {"train": self.python2(pixels, b"fine_labels", labels), "test": self.python2(pixels, b"fine_labels", labels), "meta": names})
        with open(net, "w") as f:
            f.write("input 3x32x32\nconv 4 k5 s4\nrelu\nflatten\nfc 100\n")
        code, out, err = run("train", net, "--data", "cifar100:" + self.path("hundred"), "--epochs", 1, "-o", self.path("run-hundred"))
        self.assertEqual(code, 0, err)
        self.assertIn(b"name57", self.read("run-hundred", "model.onnx"))

    def test_hostile_batches(self):
        good = self.python2(*self.batches(4, 10)[:1], b"labels", [1, 2, 3, 4])

        class Evil:
            def __reduce__(self):
                return os.system, ("touch %s" % self.marker,)
        Evil.marker = self.path("executed")
        evil = Evil()
        for name, data, word in (("system", pickle.dumps({"data": evil, "labels": [1]}, protocol=2), "NumPy"), ("cut", good[:3000], "cut"),
                                 ("label", good.replace(b"K\x01K\x02K\x03K\x04", b"K\x01K\x02K\x03K\x0b"), "label 3"),
                                 ("short", good.replace(b"K\x04M\x00\x0c", b"K\x05M\x00\x0c"), "label"),
                                 ("type", good.replace(b"U\x02u1", b"U\x02f4"), "NumPy"), ("text", b"no pickle at all", "")):
            self.put(name, {"data_batch_1": data, "test_batch": data})
            code, out, err = run("train", self.net("h.net", "conv 2 k3 | fc 10"), "--data", "cifar10:" + self.path(name), "-o", self.path("x"))
            self.assertNotEqual(code, 0, name)
            self.assertIn("data_batch_1" if name != "cut" else "data_batch", err)
            if word not in ("cut", ""):
                self.assertIn(word, err)
        self.assertFalse(os.path.exists(Evil.marker))

    def test_mixup_and_colour(self):
        """Each changes the pictures, the same for any number of threads; mixup's loss lies above that of whole pictures."""
        loss = {}
        for words in ("", " augment mixup=1", " augment crop=3", " augment colour=0.5"):
            things = "colour" in words
            with open(self.path("m.net"), "w") as f:
                f.write("input %s\nconv 4 k5 s4\nrelu\nflatten\nfc 10\ntrain {\n batch 16\n seed 2\n%s\n}\n" % ("3x64x64" if things else "1x28x28", words))
            for n in (1, 3):
                code, out, err = run("train", self.path("m.net"), "--data", "generated:things" if things else "generated:digits", "--limit", 160,
                                     "--epochs", 3, "--threads", n, "-o", self.path("t%d" % n))
                self.assertEqual(code, 0, err)
            self.assertEqual(self.read("t1", "state.safetensors"), self.read("t3", "state.safetensors"))
            loss[words] = json.loads(self.read("t1", "history.json"))["loss"][-1]
        self.assertGreater(loss[" augment mixup=1"], loss[""])
        self.assertNotEqual(loss[" augment crop=3"], loss[""])

    def test_normalised_by_the_data(self):
        """The mean and deviation of the training pictures become the model's preprocessing, so evaluate finds what training found."""
        net = self.net("n.net", "conv 4 k5 s2 | relu | flatten | fc 10", " normalise data")
        code, out, err = run("train", net, "--data", "generated:digits", "--limit", 320, "--epochs", 1, "-o", self.path("run"))
        self.assertEqual(code, 0, err)
        h = json.loads(self.read("run", "history.json"))
        code, out, err = run("evaluate", self.path("run"), "generated:digits", "--json")
        self.assertAlmostEqual(json.loads(out)["loss"], h["val_loss"][-1], places=5)
        seen = json.loads(run("watch", self.path("run"), "--json", "--tag", "health/input")[1])["series"]
        value = {s["tag"]: s["value"][0] for s in seen}
        self.assertAlmostEqual(value["health/input/0/mean"], 0, places=2)
        self.assertAlmostEqual(value["health/input/0/deviation"], 1, places=2)
        code, out, err = run("info", self.path("run", "model.onnx"))
        self.assertIn("mean=", out)
        self.assertNotEqual(run("train", self.net("w.net", "fc 10", " normalise maybe"), "--data", "generated:digits", "-o", self.path("x"))[0], 0)

    # ---- a full disk ----------------------------------------------------------------------------------------

    def test_no_room(self):
        """A file may not grow past 3 kB: a sentence, the checkpoint before it is whole, and with room again the run ends as if nothing had been."""
        args = ("train", self.net("f.net", "conv 4 k5 s2 | bn | relu | flatten | fc 10"), "--data", "generated:digits", "--limit", 160, "--resume")
        self.assertEqual(run(*args, "--epochs", 3, "-o", self.path("whole"))[0], 0)
        self.assertEqual(run(*args, "--epochs", 1, "-o", self.path("parts"))[0], 0)
        before = self.read("parts", "state.safetensors")

        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        code, out, err = run(*args, "--epochs", 3, "-o", self.path("parts"), preexec_fn=small)
        self.assertNotEqual(code, 0)
        self.assertIn("parts", err)
        self.assertEqual(self.read("parts", "state.safetensors"), before)
        self.assertEqual([f for f in os.listdir(self.path("parts")) if f.endswith(".tmp")], [])
        self.assertEqual(run(*args, "--epochs", 3, "-o", self.path("parts"))[0], 0)
        for name in ("model.onnx", "best.onnx"):
            self.assertEqual(self.read("whole", name), self.read("parts", name), name)


if __name__ == "__main__":
    unittest.main()
