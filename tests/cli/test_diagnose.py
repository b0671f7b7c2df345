#!/usr/bin/env python3
# Diagnosis on planted faults, one a run, and silence on healthy runs: small networks on generated digits, and on sets written here with labels that
# are wrong, pictures that leak, classes that are rare.
import array, json, os, random, subprocess, tempfile, unittest

from program import ENV, EXE

CONV = "input 1x28x28\nconv 8 k3 s2\nrelu\nconv 16 k3 s2\nrelu\nflatten\nfc 32\nrelu\nfc 10\n"


def whole(path):
    with open(path, "rb") as f:
        return f.read()


def digits(split, n, folder):
    """n generated digits as bytes, and their labels."""
    path = os.path.join(folder, split + ".npy")
    subprocess.run([EXE, "generate", "digits", "--raw", path, "--count", str(n), "--split", split], check=True, env=ENV,
                   stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    pixels, raw = whole(path)[-n * 784:], whole(path + ".labels.npy")[-n * 4:]
    return [pixels[i * 784:(i + 1) * 784] for i in range(n)], [int.from_bytes(raw[4 * i:4 * i + 4], "little") for i in range(n)]


def scale_npy(path, by):
    data = whole(path)
    at = 10 + int.from_bytes(data[8:10], "little")
    numbers = array.array("f", data[at:])
    with open(path, "wb") as f:
        f.write(data[:at] + array.array("f", [v * by for v in numbers]).tobytes())


def write_idx(folder, train, test):
    os.makedirs(folder, exist_ok=True)
    for name, (pictures, labels) in (("train", train), ("t10k", test)):
        n = len(labels)
        with open(os.path.join(folder, name + "-images-idx3-ubyte"), "wb") as f:
            f.write(b"".join(v.to_bytes(4, "big") for v in (0x803, n, 28, 28)) + b"".join(pictures))
        with open(os.path.join(folder, name + "-labels-idx1-ubyte"), "wb") as f:
            f.write(b"".join(v.to_bytes(4, "big") for v in (0x801, n)) + bytes(labels))
    return "mnist:" + folder


class Diagnose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="cvs-test-")
        cls.train, cls.test = digits("train", 1600, cls.dir), digits("test", 400, cls.dir)

    def run_one(self, name, net, words, data="generated:digits", limit=1600):
        path, run = os.path.join(self.dir, name + ".net"), os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(net + "train {\n seed 3\n batch 32\n epochs 4\n" + words + "\n}\n")
        told = subprocess.run([EXE, "train", path, "--data", data, "--limit", str(limit), "-o", run], capture_output=True, text=True, env=ENV)
        seen = json.loads(subprocess.run([EXE, "watch", run, "--json"], capture_output=True, text=True, check=True, env=ENV).stdout)["warnings"]
        for w in seen:  # the training command says the same, and the watch command too
            self.assertIn("[%s]" % w["code"], told.stderr)
            self.assertTrue(w["title"] and w["evidence"] and w["why"] and w["advice"], w)
        return {w["code"]: w for w in seen}

    def test_healthy(self):
        nets = {"plain": CONV, "norm": CONV.replace("\nrelu\nconv", "\nbn\nrelu\nconv"), "drop": CONV.replace("fc 32", "dropout 0.3\nfc 32"),
                "tanh": CONV.replace("relu", "tanh"), "linear": "input 1x28x28\nflatten\nfc 10\n"}
        for name, net in nets.items():
            for words in (" optimizer adam", " optimizer momentum lr=0.02\n schedule cosine", " optimizer rmsprop lr=0.001\n augment shift=2"):
                self.assertEqual(self.run_one("healthy-" + name, net, words), {}, (name, words))
        self.assertEqual(self.run_one("healthy-things", "input 3x64x64\nconv 8 k5 s2\nbn\nrelu\nmaxpool k2\nconv 16 k3\nrelu\ngap\nfc 10\n",
                                      " epochs 3", "generated:things", 800), {})

    def test_healthy_of_other_kinds(self):
        """Normalisations, connections past layers, other losses, rules, batches and augmentation: nothing to say about any."""
        conv = "input 1x28x28\nconv 8 k3 s2\nNORM\nrelu\nconv 16 k3 s2\nNORM\nrelu\nflatten\nfc 32\nrelu\nfc 10\n"
        runs = {
            "layer": (conv.replace("NORM", "ln"), " optimizer adamw"),
            "group": (conv.replace("NORM", "gn 4"), " optimizer sgd lr=0.05 momentum=0.9 nesterov"),
            "keras": (conv.replace("NORM", "bn momentum=0.8"), " profile keras\n optimizer rmsprop"),
            "residual": ("input 1x28x28\nconv 8 k3 s2\nrelu\nresidual { conv 8 k3 bn relu conv 8 k3 bn }\nrelu\ngap\nfc 10\n", " optimizer adam lr=0.005"),
            "leaky": (CONV.replace("relu", "leaky 0.1"), " optimizer adam amsgrad\n clip norm=5"),
            "silu": (CONV.replace("relu", "silu"), " optimizer adam\n penalty l2=0.0001"),
            "binary": (CONV, " optimizer adam\n loss binary"),
            "squares": (CONV + "softmax\n", " optimizer adam\n loss mse"),
            "smooth": (CONV, " optimizer adam\n loss cross_entropy smoothing=0.1\n warmup epochs=1"),
            "mixed": (CONV, " optimizer adam\n augment mixup=0.2 crop=2"),
            "small-batch": (CONV, " optimizer momentum lr=0.005\n batch 8"),
            "large-batch": (CONV, " optimizer adam lr=0.003\n batch 200\n epochs 6"),
            "stopping": (CONV, " optimizer adam\n schedule plateau patience=1\n stop patience=2\n epochs 8"),
            "weights": (CONV, " optimizer adam\n weights 1 1 1 1 1 1 1 1 1 2"),
        }
        for name, (net, words) in runs.items():
            self.assertEqual(self.run_one("healthy-" + name, net, words), {}, (name, words))

    def from_scaled(self, name, net, words, scales):
        """A run whose first weights are those of the recipe, some of them multiplied."""
        run = os.path.join(self.dir, name + "-start")
        with open(run + ".net", "w") as f:
            f.write(net + "train {\n seed 3\n batch 32\n epochs 4\n" + words + "\n}\n")
        start = [EXE, "train", run + ".net", "--data", "generated:digits", "--limit", "1600"]
        subprocess.run(start + ["--steps", "1", "--lr", "1e-12", "--params", "--no-events", "-o", run], check=True, capture_output=True, env=ENV)
        for parameter, by in scales.items():
            scale_npy(os.path.join(run, "params", parameter + ".npy"), by)
        to = os.path.join(self.dir, name)
        subprocess.run(start + ["--init", os.path.join(run, "params"), "-o", to], check=True, capture_output=True, env=ENV)
        seen = json.loads(subprocess.run([EXE, "watch", to, "--json"], capture_output=True, text=True, check=True, env=ENV).stdout)["warnings"]
        return {w["code"]: w for w in seen}

    def test_saturated(self):
        seen = self.from_scaled("saturated", CONV.replace("relu", "tanh").replace("28\n", "28\npreprocess invert=yes\n", 1), " optimizer sgd lr=0.001", {"conv_1.weight": 60})
        self.expect("saturated_units", seen)
        w = seen["saturated_units"]
        self.assertEqual((w["layer"], w["step"]), ("tanh_1", 50))  # since the first look, after an epoch
        self.assertIn("0.03", w["evidence"])

    def test_bad_start(self):
        seen = self.from_scaled("start", CONV, " optimizer adam", {"fc_2.weight": 60})
        self.expect("bad_start", seen)
        self.assertEqual(seen["bad_start"]["step"], 1)
        self.assertIn("2.3", seen["bad_start"]["evidence"])  # what guessing would cost

    def test_weights_still(self):
        """A branch is multiplied by 0 before it joins the others: no gradient reaches its kernels."""
        net = ("input 1x28x28\nfirst: conv 8 k3 s2\nrelu\nlive: conv 8 k3\ncut: from first conv 8 k3\nzero: const f32[1][0.0]\n"
               "gone: from cut,zero op Mul\nfrom live,gone add\nrelu\nflatten\nfc 10\n")
        seen = self.run_one("still", net, " optimizer adam")
        self.expect("weights_still", seen)
        self.assertEqual(seen["weights_still"]["layer"], "cut.weight")

    def test_one_answer(self):
        """Labels that say nothing, one of them 3.5 times as frequent: the best guess is always that one."""
        r = random.Random(5)
        pictures, labels = self.train
        mixed = [0 if r.random() < 3.5 / 12.5 else r.randrange(1, 10) for _ in labels]
        tests = [0 if r.random() < 3.5 / 12.5 else r.randrange(1, 10) for _ in self.test[1]]
        data = write_idx(os.path.join(self.dir, "guess"), (pictures, mixed), (self.test[0], tests))
        seen = self.run_one("guess", "input 1x28x28\nconv 4 k3 s2\nrelu\ngap\nfc 10\n", " optimizer adam", data)
        self.expect("one_answer", seen)
        self.assertIn("one of the 10 classes", seen["one_answer"]["evidence"])

    def test_underfitting(self):
        """Four numbers of a picture are all that the network sees."""
        seen = self.run_one("under", "input 1x28x28\navgpool k14\nflatten\nfc 10\n", " optimizer adam lr=0.05\n epochs 12\n schedule cosine")
        self.expect("underfitting", seen)
        self.assertGreater(seen["underfitting"]["step"], 0)

    def test_normalisation_mismatch(self):
        """Running statistics that hardly move are still those of the beginning when the network is used."""
        seen = self.run_one("running", CONV.replace("\nrelu\nconv", "\nbn momentum=0.9999\nrelu\nconv").replace("fc 32", "bn momentum=0.9999\nfc 32"),
                            " optimizer adam lr=0.003")
        self.expect("normalisation_mismatch", seen)
        self.assertNotIn("overfitting", seen)

    def expect(self, code, seen):
        self.assertIn(code, seen)
        for lang in ("en", "zh"):  # every word of it in both languages
            w = seen[code]
            self.assertTrue(w["title"] and w["why"] and w["advice"] and w["evidence"] and w["step"] >= 0, w)
        self.assertEqual([c for c in seen if seen[c]["severity"] == "fault" and c != code], [], seen)

    def test_rates(self):
        for words in (" optimizer momentum lr=10", " optimizer adam lr=0.5"):
            seen = self.run_one("high", CONV, words)
            self.assertTrue({"learning_rate_high", "not_finite", "exploding_gradients"} & set(seen), seen)
            self.assertNotIn("dead_units", seen)
        self.expect("learning_rate_low", self.run_one("low", CONV, " optimizer sgd lr=0.000001"))
        self.expect("always_clipped", self.run_one("clip", CONV, " optimizer sgd lr=0.1\n clip norm=0.01"))

    def test_not_finite(self):
        seen = self.run_one("nan", "input 1x28x28\nconv 8 k3\nconv 8 k3\nconv 8 k3\nflatten\nfc 10\n", " loss mse\n optimizer sgd lr=100")
        self.expect("not_finite", seen)
        self.assertGreater(seen["not_finite"]["step"], 0)

    def test_gradients(self):
        deep = "input 1x28x28\nconv 8 k3 s2\nsigmoid\n" + "conv 8 k3 p1\nsigmoid\n" * 6 + "flatten\nfc 10\n"
        seen = self.run_one("vanishing", deep, " optimizer sgd lr=0.05")
        self.expect("vanishing_gradients", seen)
        self.assertEqual(seen["vanishing_gradients"]["layer"], "conv_1.weight")

    def test_inputs(self):
        seen = self.run_one("wide", "input 1x28x28\npreprocess scale=1\nconv 8 k3 s2\ntanh\nflatten\nfc 10\n", " optimizer sgd lr=0.01")
        self.expect("bad_normalisation", seen)

    def test_dead(self):
        """Half of the channels of the first layer get a bias that no picture lifts above 0."""
        run = os.path.join(self.dir, "start")
        net = os.path.join(self.dir, "start.net")
        with open(net, "w") as f:
            f.write(CONV + "train {\n seed 3\n}\n")
        start = [EXE, "train", net, "--data", "generated:digits", "--limit", "640", "--epochs", "2"]
        subprocess.run(start + ["--steps", "1", "--params", "-o", run], check=True, capture_output=True, env=ENV)
        bias = os.path.join(run, "params", "conv_1.bias.npy")
        data = whole(bias)
        with open(bias, "wb") as f:
            f.write(data[:-32] + b"\x00\x00\xa0\xc1" * 5 + data[-12:])  # -20
        subprocess.run(start + ["--init", os.path.join(run, "params"), "-o", run + "2"], check=True, capture_output=True, env=ENV)
        out = subprocess.run([EXE, "watch", run + "2"], capture_output=True, text=True, check=True, env=ENV).stdout
        self.assertIn("[dead_units], layer relu_1", out)
        self.assertIn("62%", out)
        chinese = subprocess.run([EXE, "watch", run + "2", "--lang", "zh"], capture_output=True, text=True, check=True, env=ENV).stdout
        self.assertIn("神经元死亡", chinese)

    def test_labels(self):
        r = random.Random(1)
        pictures, labels = self.train
        wrong = [(l + r.randrange(1, 10)) % 10 if r.random() < 0.15 else l for l in labels]
        data = write_idx(os.path.join(self.dir, "noisy"), (pictures, wrong), self.test)
        self.expect("label_noise", self.run_one("noisy", CONV, " optimizer adam\n epochs 5", data))
        shuffled = labels[:]
        r.shuffle(shuffled)
        data = write_idx(os.path.join(self.dir, "shuffled"), (pictures, shuffled), self.test)
        self.expect("not_learning", self.run_one("shuffled", CONV, " optimizer momentum lr=0.01", data))

    def test_leak_and_imbalance(self):
        pictures, labels = self.train
        data = write_idx(os.path.join(self.dir, "leak"), self.train, (self.test[0] + pictures[:40], self.test[1] + labels[:40]))
        seen = self.run_one("leak", CONV, " optimizer adam", data)
        self.expect("data_leak", seen)
        self.assertIn("40 of 440", seen["data_leak"]["evidence"])
        keep = [i for i in range(len(labels)) if labels[i] != 3 or i < 60]
        data = write_idx(os.path.join(self.dir, "rare"), ([pictures[i] for i in keep], [labels[i] for i in keep]), self.test)
        self.expect("class_imbalance", self.run_one("rare", CONV, " optimizer adam", data))

    def test_overfitting(self):
        """Twenty pictures learned by heart, with labels that say nothing."""
        r = random.Random(2)
        pictures, labels = self.train
        mixed = [l if r.random() < 0.5 else r.randrange(10) for l in labels[:120]]
        data = write_idx(os.path.join(self.dir, "few"), (pictures[:120], mixed), self.test)
        seen = self.run_one("few", "input 1x28x28\nflatten\nfc 128\nrelu\nfc 10\n", " optimizer adam lr=0.002\n epochs 40", data)
        self.assertIn("overfitting", seen)

    def test_others_logs(self):
        self.assertEqual(subprocess.run([EXE, "watch", "/nowhere/at/all"], capture_output=True, env=ENV).returncode, 3)


if __name__ == "__main__":
    unittest.main()
