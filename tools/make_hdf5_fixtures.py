#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/data/hdf5/*.h5 with h5py (the reference implementation) and expected.txt beside them, so that the unit
# test needs no h5py. Lines of expected.txt:
#   data FILE PATH DTYPE RANK DIM... : VALUE...      text FILE PATH ATTRIBUTE COUNT : HEX...      refuse FILE PATH
# Needs python3-h5py. Run from the source root; commit what it writes.
import os
import sys

import h5py
import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "hdf5")
lines = []
rng = np.random.default_rng(7)


def data(name, group, path, values, **options):
    d = group.create_dataset(path, data=values, **options)
    full = d.name
    v = np.asarray(d[()])
    kind = "int8" if v.dtype == np.bool_ else v.dtype.newbyteorder("=").name
    flat = v.reshape(-1)
    shown = " ".join(repr(float(x)) if v.dtype.kind == "f" else str(int(x)) for x in flat)
    lines.append("data %s %s %s %d %s : %s" % (name, full, kind, v.ndim, " ".join(map(str, v.shape)), shown))


def text(name, obj, attribute, value, count, shown, **options):
    obj.attrs.create(attribute, value, **options)
    hexes = " ".join(s.encode().hex() or "-" for s in shown)
    lines.append("text %s %s %s %d : %s" % (name, obj.name, attribute, count, hexes))


def fill(name, f, many):
    text(name, f, "model_config", "{\"é\": 层}", 1, ["{\"é\": 层}"])
    text(name, f, "layer_names", np.array([b"conv", b"pool_1"]), 2, ["conv", "pool_1"])
    text(name, f, "vlen", ["one", "", "three"], 3, ["one", "", "three"], dtype=h5py.string_dtype())
    text(name, f, "none", [], 0, [])
    f.attrs["count"] = 3
    g = f.create_group("a/b")
    data(name, g, "f32", rng.standard_normal((2, 3)).astype("<f4"))
    data(name, g, "f16", rng.standard_normal((3,)).astype("<f2"))
    data(name, g, "f64", rng.standard_normal((2, 2)))
    data(name, g, "be_f32", rng.standard_normal((2, 2)).astype(">f4"))
    data(name, g, "be_f64", rng.standard_normal((2,)).astype(">f8"))
    data(name, g, "be_i16", np.array([-2, 300], ">i2"))
    for t in ("i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"):
        data(name, g, "n_" + t.strip("<"), np.array([[1, 2, 100]], t))
    data(name, g, "bool", np.array([True, False]))
    data(name, g, "scalar", np.float32(2.5))
    data(name, g, "empty", np.zeros((0, 3), "f4"))
    x = np.round(rng.standard_normal((7, 5)), 2).astype("f4")
    data(name, g, "plain_chunks", x, chunks=(3, 2))
    data(name, g, "packed", x, chunks=(3, 2), compression="gzip", shuffle=True, fletcher32=True)
    data(name, g, "one_chunk", x, chunks=(7, 5), compression="gzip")
    data(name, g, "be_packed", x.astype(">f4"), chunks=(4, 5), compression="gzip", shuffle=True)
    data(name, g, "sum_only", x[:2], chunks=(2, 5), fletcher32=True)
    data(name, g, "cube", np.arange(24, dtype="f4").reshape(2, 3, 4), chunks=(1, 2, 3))
    m = f.create_group("many")
    for i in range(many):
        data(name, m, "member_%02d" % i, np.array([i], "f4"))
        m.attrs["attribute_%02d" % i] = "text %d" % i
        lines.append("text %s /many attribute_%02d 1 : %s" % (name, i, ("text %d" % i).encode().hex()))


def refused(name, f):
    f.create_dataset("real", data=np.zeros(2, "f4"))
    f["soft"] = h5py.SoftLink("/real")
    f["external"] = h5py.ExternalLink("other.h5", "/real")
    f.create_dataset("lzf", data=np.zeros(64, "f4"), chunks=(64,), compression="lzf")
    f.create_dataset("unwritten", shape=(1000, 1000), dtype="f4")
    f.create_dataset("holes", shape=(8,), dtype="f4", chunks=(2,))[0] = 1
    f.create_dataset("compound", data=np.zeros(2, [("x", "f4"), ("y", "f4")]))
    f.create_dataset("elsewhere", shape=(4,), dtype="f4", external=[("/dev/zero", 0, 16)])
    layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "real", shape=(2,))
    f.create_virtual_dataset("virtual", layout)
    f["type"] = np.dtype("f4")
    f.create_dataset("committed", shape=(2,), dtype=f["type"])[:] = 1
    f.create_dataset("strings", data=["a", "b"], dtype=h5py.string_dtype())
    for path in ("soft", "external", "lzf", "unwritten", "holes", "compound", "elsewhere", "virtual", "committed",
                 "strings", "type", "/"):
        lines.append("refuse %s %s" % (name, path))


def unlimited(name, f):
    """Data sets that may grow: the library then lists chunks in arrays and trees that count in the largest grid."""
    x = np.arange(35, dtype="f4").reshape(7, 5)
    cube = np.arange(60, dtype="i2").reshape(3, 4, 5)
    data(name, f, "rows", x, chunks=(3, 2), maxshape=(None, 5))
    data(name, f, "rows_room", x, chunks=(3, 2), maxshape=(None, 9))
    data(name, f, "columns", x, chunks=(3, 2), maxshape=(8, None), compression="gzip", shuffle=True)
    data(name, f, "cube_middle", cube, chunks=(2, 1, 2), maxshape=(4, None, 9))
    data(name, f, "both", x, chunks=(1, 1), maxshape=(None, None))
    data(name, f, "both_packed", x, chunks=(3, 2), maxshape=(None, None), compression="gzip", fletcher32=True)
    data(name, f, "both_deep", np.arange(400, dtype="u1").reshape(20, 20), chunks=(1, 1), maxshape=(None, None))
    data(name, f, "room", x, chunks=(3, 2), maxshape=(20, 30))
    data(name, f, "room_packed", x, chunks=(3, 2), maxshape=(20, 30), compression="gzip")
    data(name, f, "long", np.arange(700, dtype="u1"), chunks=(1,), maxshape=(None,))
    data(name, f, "empty", np.zeros((0, 3), "f4"), chunks=(2, 3), maxshape=(None, 3))
    f.create_dataset("holes", shape=(8,), dtype="f4", chunks=(2,), maxshape=(None,))[0] = 1
    f.create_dataset("tree_holes", shape=(8, 8), dtype="f4", chunks=(2, 2), maxshape=(None, None))[0, 0] = 1
    for path in ("holes", "tree_holes"):
        lines.append("refuse %s %s" % (name, path))
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)  # space at once: chunks one after the other, without a list
    early.set_chunk((3, 2))
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    space = h5py.h5s.create_simple((7, 5), (9, 8))
    h5py.h5d.create(f.id, b"implicit", h5py.h5t.IEEE_F32LE, space, early)
    f["implicit"][...] = x
    lines.append("data %s /implicit float32 2 7 5 : %s" % (name, " ".join(map(repr, x.reshape(-1).tolist()))))


def main():
    os.makedirs(OUT, exist_ok=True)
    for name, options, many in (("earliest.h5", dict(libver="earliest"), 20), ("latest.h5", dict(libver="latest"), 40),
                                ("userblock.h5", dict(userblock_size=512), 2)):
        with h5py.File(os.path.join(OUT, name), "w", **options) as f:
            fill(name, f, many)
    with h5py.File(os.path.join(OUT, "pages.h5"), "w", libver="latest") as f:
        data("pages.h5", f, "paged", np.arange(1100, dtype="u1"), chunks=(1,))
        data("pages.h5", f, "packed", np.arange(30, dtype="f4"), chunks=(4,), compression="gzip")
    with h5py.File(os.path.join(OUT, "refused.h5"), "w") as f:
        refused("refused.h5", f)
    with h5py.File(os.path.join(OUT, "unlimited.h5"), "w", libver="latest") as f:
        unlimited("unlimited.h5", f)
    with open(os.path.join(OUT, "expected.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
