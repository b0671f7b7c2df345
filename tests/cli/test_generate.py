#!/usr/bin/env python3
# convscope generate from outside: files, arrays and sheets say the same; the splits differ; other data sets; one sentence on errors.
import os, struct, sys, unittest, zlib

from program import Case, read, run, SHARED


def png(path):
    """(width, height, rgb bytes) of an 8-bit RGB PNG, by its own chunks."""
    data, at, body = read(path), 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        part = data[at + 8:at + 8 + n]
        if kind == b"IHDR":
            w, h, depth, color = struct.unpack(">IIBB", part[:10])
        body += part if kind == b"IDAT" else b""
        at += 12 + n
    assert (depth, color) == (8, 2)
    raw, rows, last = zlib.decompress(body), [], bytes(3 * w)
    for y in range(h):
        kind, line = raw[y * (3 * w + 1)], bytearray(raw[y * (3 * w + 1) + 1:(y + 1) * (3 * w + 1)])
        for i in range(3 * w):
            a, b, c = (line[i - 3] if i > 2 else 0), last[i], (last[i - 3] if i > 2 else 0)
            p = a + b - c
            paeth = a if abs(p - a) <= abs(p - b) and abs(p - a) <= abs(p - c) else b if abs(p - b) <= abs(p - c) else c
            line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
        rows.append(bytes(line))
        last = line
    return w, h, b"".join(rows)


def npy(path):
    data = read(path)
    n = struct.unpack("<H", data[8:10])[0]
    return data[10:10 + n].decode(), data[10 + n:]


class Generate(Case):
    def test_files_arrays_and_sheet_agree(self):
        p = run("generate", "things", "--count", 12, "--seed", 5, "-o", self.path("d"), "--raw", self.path("a.npy"),
                "--sheet", self.path("s.png"), "--columns", 4)
        self.assertEqual((p.returncode, p.stdout), (0, ""), p.stderr)
        names = sorted(os.listdir(self.path("d")))
        self.assertEqual(len(names), 24)
        self.assertEqual(names[:2], ["000_airplane.png", "000_airplane_mask.png"])
        head, body = npy(self.path("a.npy"))
        self.assertIn("(12, 64, 64, 3)", head)
        self.assertIn("(12, 64, 64)", npy(self.path("a.npy.masks.npy"))[0])
        self.assertEqual(struct.unpack("<12i", npy(self.path("a.npy.labels.npy"))[1]), tuple(i % 10 for i in range(12)))
        w, h, sheet = png(self.path("s.png"))
        self.assertEqual((w, h), (4 * 66 + 2, 3 * 66 + 2))
        for i in (0, 7, 11):
            name = [n for n in names if n.startswith("%03d" % i) and "mask" not in n][0]
            self.assertEqual(png(os.path.join(self.path("d"), name)), (64, 64, body[i * 12288:(i + 1) * 12288]))
            y, x = i // 4 * 66 + 2 + 31, i % 4 * 66 + 2
            self.assertEqual(sheet[(y * w + x) * 3:(y * w + x + 64) * 3], body[i * 12288 + 31 * 192:i * 12288 + 32 * 192])

    def test_again_the_same_other_seed_or_split_not(self):
        seen = []
        for i, more in enumerate(([], [], ["--seed", 1], ["--split", "test"])):
            self.assertEqual(run("generate", "digits", "--count", 10, "--raw", self.path("%d.npy" % i), *more).returncode, 0)
            seen.append(npy(self.path("%d.npy" % i))[1])
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(len(set(seen)), 3)

    def test_errors_are_one_sentence(self):
        for code, args in ((2, ["things"]), (9, ["nothing", "-o", self.path("x")]), (2, ["things", "-o", self.path("x"), "--count", "0"]),
                           (2, ["things", "-o", self.path("x"), "--split", "some"]), (3, ["mnist:" + self.path("no"), "-o", self.path("x")]),
                           (3, ["things", "--sheet", self.path("no/sheet.png")]), (2, ["cats:x", "-o", self.path("x")])):
            p = run("generate", *args)
            self.assertEqual((p.returncode, p.stdout, p.stderr.count("\n")), (code, "", 1), "%s: %s" % (args, p.stderr))
            self.assertFalse(os.path.exists(self.path("x")), args)

    @unittest.skipUnless(os.path.isdir(os.path.join(SHARED, "data", "cifar10")), "no shared data")
    def test_other_data_sets(self):
        spec = "folder:" + os.path.join(SHARED, "data", "cifar10", "jpeg")
        self.assertEqual(run("generate", spec, "--count", 20, "--sheet", self.path("s.png")).returncode, 0)
        self.assertEqual(png(self.path("s.png"))[:2], (662, 134))
        p = run("generate", spec, "--raw", self.path("a.npy"))
        self.assertEqual((p.returncode, p.stderr.count("\n")), (2, 1))
        self.assertEqual(run("generate", "mnist:" + os.path.join(SHARED, "data", "mnist"), "--count", 10, "--raw",
                             self.path("m.npy")).returncode, 0)
        self.assertIn("(10, 28, 28, 1)", npy(self.path("m.npy"))[0])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
