# SPDX-License-Identifier: MIT
# Makes the .npy files of this folder with NumPy; test_npy.c knows that element i in C order is (i * 7) % 50, less 20
# where the type has a sign, and i % 3 != 0 for bool. Run in this folder: python3 make.py
import glob
import os
import numpy as np

for old in glob.glob("*.npy"):
    os.remove(old)


def values(dtype, shape):
    i = np.arange(int(np.prod(shape)))
    kind = np.dtype(dtype).kind
    v = i % 3 != 0 if kind == "b" else (i * 7) % 50 - (0 if kind == "u" else 20)
    return v.astype(dtype).reshape(shape)


def save(name, array, version=(1, 0)):
    with open(name + ".npy", "wb") as f:
        np.lib.format.write_array(f, array, version=version, allow_pickle=True)


for t in ["?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]:
    save("little-" + np.dtype(t).name, values(t, (2, 3, 4)))
for t in [">i2", ">u4", ">i8", ">f2", ">f4", ">f8"]:
    save("big-" + np.dtype(t).name, values(t, (2, 3, 4)))
save("fortran-float32", np.asfortranarray(values("<f4", (2, 3, 4))))
save("fortran-big-int16", np.asfortranarray(values(">i2", (5, 3))))
save("scalar-float64", values("<f8", ()))
save("vector-int32", values("<i4", (7,)))
save("empty-float32", values("<f4", (3, 0, 2)))
save("rank8-uint8", values("u1", (1, 2, 1, 3, 1, 2, 2, 1)))
save("version2-float32", values("<f4", (4, 3)), (2, 0))
save("version3-float32", values("<f4", (4, 3)), (3, 0))
save("refused-object", np.array([{}, 1], dtype=object))
save("refused-complex", values("<c8", (3,)))
save("refused-text", np.array(["a", "bc"]))
save("refused-structured", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
save("refused-rank9", np.zeros((1,) * 9, "u1"))
