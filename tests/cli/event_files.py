#!/usr/bin/env python3
# TensorBoard event files written without any library, for tests of `watch` and for measuring it: scalars of any number, histograms, pictures,
# texts, settings, and broken ones.
#   event_files.py FOLDER million      one run with a series of 1,000,000 points and spikes in it
#   event_files.py FOLDER runs N K     N runs of K points each
import math, os, random, struct, sys

TABLE = []
for i in range(256):
    c = i
    for _ in range(8):
        c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
    TABLE.append(c)


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = c >> 8 ^ TABLE[(c ^ b) & 255]
    return c ^ 0xFFFFFFFF


def masked(c):
    return ((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data):
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked(crc32c(head))) + data + struct.pack("<I", masked(crc32c(data)))


def varint(n, width=0):
    n &= (1 << 64) - 1
    out = b""
    while n > 127 or len(out) + 1 < width:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def event(wall, step, values):
    return record(b"\x09" + struct.pack("<d", wall) + b"\x10" + varint(step) + field(5, b"".join(field(1, v) for v in values)))


def scalar(tag, value):
    return field(1, tag) + b"\x15" + struct.pack("<f", value)


def metadata(plugin, content=b""):
    return field(9, field(1, field(1, plugin) + (field(2, content) if content else b"")))


def histogram(tag, edges, counts):
    rows = b"".join(struct.pack("<ddd", edges[i], edges[i + 1], counts[i]) for i in range(len(counts)))
    shape = field(2, b"\x08" + varint(len(counts))) + field(2, b"\x08\x03")
    return field(1, tag) + metadata(b"histograms") + field(8, b"\x08\x02" + field(2, shape) + field(4, rows))


def picture(tag, png):
    return field(1, tag) + field(4, b"\x08\x01\x10\x01\x18\x03" + field(4, png))


def text(tag, words):
    return field(1, tag) + metadata(b"text") + field(8, b"\x08\x07" + field(8, words))


def settings(pairs):
    inner = b"".join(field(1, field(1, k) + field(2, b"\x11" + struct.pack("<d", v) if isinstance(v, float) else field(3, v))) for k, v in pairs)
    return field(1, b"_hparams_/session_start_info") + metadata(b"hparams", field(3, inner))


class Fast:
    """Scalars of one tag, many of them. A CRC is affine: the tables say what each changing byte of a record of this length adds."""

    def __init__(self, tag):
        self.tag = tag
        data, self.at = self.build(0.0, 0, 0.0)
        self.n = len(data)
        zero = crc32c(bytes(self.n))
        self.base = crc32c(data)
        self.tables = []
        for p in self.at:
            row = []
            for b in range(256):
                one = bytearray(self.n)
                one[p] = b ^ data[p]
                row.append(crc32c(bytes(one)) ^ zero)
            self.tables.append(row)
        self.head = struct.pack("<Q", self.n)
        self.head += struct.pack("<I", masked(crc32c(self.head)))

    def build(self, wall, step, value):
        start = b"\x09" + struct.pack("<d", wall) + b"\x10" + varint(step, 4)
        value = b"\x15" + struct.pack("<f", value)
        data = start + field(5, field(1, field(1, self.tag) + value))
        return data, list(range(1, 9)) + list(range(10, 14)) + list(range(len(data) - 4, len(data)))

    def record(self, wall, step, value):
        data, _ = self.build(wall, step, value)
        c = self.base
        for p, row in zip(self.at, self.tables):
            c ^= row[data[p]]
        return self.head + data + struct.pack("<I", masked(c))


def open_run(folder, name="."):
    path = os.path.join(folder, name)
    os.makedirs(path, exist_ok=True)
    f = open(os.path.join(path, "events.out.tfevents.1700000000.test.1.0"), "ab")
    f.write(record(b"\x09" + struct.pack("<d", 1.7e9) + field(3, b"brain.Event:2")))
    return f


def million(folder, n=1000000, tag=b"loss"):
    """A falling loss with noise; spikes at three places; returns where they are."""
    rng, fast = random.Random(1), Fast(tag)
    spikes = {n // 7: 9.0, n // 2 + 1: -3.0, n - 2: 7.0}
    with open_run(folder) as f:
        for i in range(n):
            v = spikes.get(i, 0.2 + 2 * math.exp(-i / (n / 6)) + 0.1 * rng.gauss(0, 1))
            f.write(fast.record(1.7e9 + i * 0.01, i, v))
    return spikes


def many(folder, runs, points):
    fast = Fast(b"epoch_loss")
    for r in range(runs):
        rng = random.Random(r)
        rate = 10 ** rng.uniform(-4, -1)
        with open_run(folder, "run_%04d" % r) as f:
            f.write(event(1.7e9, 0, [settings([(b"learning_rate", rate), (b"batch", float(2 ** rng.randint(4, 8))), (b"optimizer", rng.choice([b"adam", b"sgd"]))])]))
            for i in range(points):
                f.write(fast.record(1.7e9 + i, i, 0.1 + 2.2 * math.exp(-i * rate * 3) + 0.05 * rng.gauss(0, 1)))


if __name__ == "__main__":
    if sys.argv[2] == "million":
        million(sys.argv[1])
    else:
        many(sys.argv[1], int(sys.argv[3]), int(sys.argv[4]))
