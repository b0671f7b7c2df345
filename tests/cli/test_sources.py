#!/usr/bin/env python3
# Sets of pictures that programs of others made: CIFAR's binary files, .npz as NumPy writes them, .npy pairs: read back byte for byte, and a sentence on
# each kind of damage.
import os, random, struct, unittest, zipfile

from program import BUILD, Case, npy, answer as run


class Sources(Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(3)

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def read(self, spec, split, count):
        """Pictures [count,H,W,C] and labels as the program gives them."""
        code, out, err = run("generate", spec, "--raw", self.path("out.npy"), "--count", count, "--split", split)
        self.assertEqual(code, 0, err)
        with open(self.path("out.npy"), "rb") as f, open(self.path("out.npy.labels.npy"), "rb") as g:
            a, b = f.read(), g.read()
        skip = 10 + struct.unpack("<H", a[8:10])[0]
        labels = b[10 + struct.unpack("<H", b[8:10])[0]:]
        return a[skip:], [x[0] for x in struct.iter_unpack("<i", labels)]

    def records(self, n, fine):
        """n CIFAR records, and what they hold as [H,W,C]."""
        labels = [i % (100 if fine else 10) for i in range(n)]
        planes = [self.random.randbytes(3072) for _ in range(n)]
        file = b"".join((bytes([7]) if fine else b"") + bytes([l]) + p for l, p in zip(labels, planes))
        return file, labels, b"".join(bytes(p[c * 1024 + k] for k in range(1024) for c in range(3)) for p in planes)

    def test_cifar(self):
        first, l1, p1 = self.records(20, False)
        second, l2, p2 = self.records(10, False)
        test, l3, p3 = self.records(30, False)
        for name, data in (("data_batch_1", first), ("data_batch_2", second), ("test_batch", test)):
            self.write("c10/%s.bin" % name, data)
        self.assertEqual(self.read("cifar10:" + self.path("c10"), "train", 30), (p1 + p2, l1 + l2))
        self.assertEqual(self.read("cifar10:" + self.path("c10"), "test", 30), (p3, l3))
        train, l1, p1 = self.records(200, True)
        self.write("c100/train.bin", train)
        self.write("c100/test.bin", self.records(100, True)[0])
        self.assertEqual(self.read("cifar100:" + self.path("c100"), "train", 200), (p1, l1))
        for name, data, word in (("short", first[:-1], "whole number"), ("label", bytes([10]) + first[1:], "label is 10"), ("empty", b"", "records")):
            self.write("bad-%s/data_batch_1.bin" % name, data)
            code, out, err = run("generate", "cifar10:" + self.path("bad-" + name), "--raw", self.path("x.npy"))
            self.assertEqual((code != 0, len(err.splitlines())), (True, 1), err)
            self.assertIn(word, err)
            self.assertIn("data_batch_1.bin", err)
        self.assertNotEqual(run("generate", "cifar10:" + self.dir, "--raw", self.path("x.npy"))[0], 0)

    def test_arrays(self):
        n, m = 24, 12
        x, y = self.random.randbytes(n * 35), bytes(i % 4 for i in range(n))
        u, v = self.random.randbytes(m * 35), bytes(i % 4 for i in range(m))
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(self.path("m.npz"), "w", method) as z:
                for name, data, shape in (("x_train", x, (n, 5, 7)), ("y_train", y, (n,)), ("x_test", u, (m, 5, 7)), ("y_test", v, (m,))):
                    z.writestr(zipfile.ZipInfo(name + ".npy"), npy(data, shape), method)
            self.assertEqual(self.read("npz:" + self.path("m.npz"), "train", n), (x, list(y)))
            self.assertEqual(self.read("npz:" + self.path("m.npz"), "test", m), (u, list(v)))
        colour = self.random.randbytes(n * 4 * 4 * 3)
        labels = struct.pack("<%dq" % n, *[i % 3 for i in range(n)])
        a, b = self.write("a.npy", npy(colour, (n, 4, 4, 3))), self.write("b.npy", npy(labels, (n, 1), "<i8"))
        train, test = self.read("npy:%s,%s" % (a, b), "train", 21), self.read("npy:%s,%s" % (a, b), "test", 3)
        pieces = [colour[i * 48:i * 48 + 48] for i in range(n)]
        self.assertEqual(sorted(pieces), sorted((train[0] + test[0])[i * 48:i * 48 + 48] for i in range(n)))
        shares = struct.pack("<%df" % (n * 16), *[(k % 256) / 255 for k in range(n * 16)])
        f = self.write("f.npy", npy(shares, (n, 4, 4), "<f4"))
        got, _ = self.read("npy:%s,%s" % (f, b), "train", 21)
        self.assertTrue(set(got[i * 16:i * 16 + 16] for i in range(21)) <= set(bytes((k + i * 16) % 256 for k in range(16)) for i in range(n)))
        bad = {"shape": npy(colour, (n, 48)), "count": npy(colour[:-48], (n - 1, 4, 4, 3))}
        for name, data in bad.items():
            code, out, err = run("generate", "npy:%s,%s" % (self.write(name + ".npy", data), b), "--raw", self.path("x.npy"))
            self.assertEqual((code != 0, len(err.splitlines())), (True, 1), err)
        self.assertNotEqual(run("generate", "npy:" + a, "--raw", self.path("x.npy"))[0], 0)
        with open(self.path("m.npz"), "rb") as g:
            whole = g.read()
        for cut in range(0, len(whole), 97):
            code, out, err = run("generate", "npz:" + self.write("cut.npz", whole[:cut]), "--raw", self.path("x.npy"))
            self.assertEqual((code in (3, 4), len(err.splitlines())), (True, 1), err)

    def test_network_in_code(self):
        self.write("c10/data_batch_1.bin", self.records(100, False)[0])
        self.write("c10/test_batch.bin", self.records(50, False)[0])
        code, out, err = run("cifar10:" + self.path("c10"), self.path("run"), 2, exe=os.path.join(BUILD, "examples", "example_cifar"))
        self.assertEqual(code, 0, err)
        self.assertIn("122570 parameters", out)  # as Keras counts this network
        self.assertEqual(run("info", self.path("run/recipe.net"))[0], 0)
        code, out, err = run("nothing:here", self.path("run2"), exe=os.path.join(BUILD, "examples", "example_cifar"))
        self.assertEqual((code, len(err.splitlines())), (1, 1))


if __name__ == "__main__":
    unittest.main()
