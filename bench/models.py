# SPDX-License-Identifier: MIT
"""What the rows run on, made in the environment folder by this program itself: the nets of zoo/ with random weights as ONNX files,
the same with every value as an output, the weights as arrays in the order of the nodes, inputs, and pictures to train on. Run with
a Python that has onnx and numpy:  models.py CONVSCOPE ZOO FOLDER"""
import os
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import onnx

NETS = ("vgg16", "resnet50", "squeezenet1_1", "mobilenet_v2", "tiny_vgg", "keras_cifar")
SIDES = {"tiny_vgg": 64, "keras_cifar": 32}
GROWTH_SIDES = (112, 224, 448, 896)
GROWTH_DEPTHS = (4, 8, 16, 32, 64)
TRAIN_PICTURES = 1280


def convert(convscope, source, target):
    p = subprocess.run([convscope, "convert", source, "--init", "1", "-o", target], capture_output=True, text=True)
    if p.returncode:
        sys.exit("models: %s" % p.stderr.strip())


def every_value(path, target, maps_only=False):
    """The same graph with the output of every node as an output: what a user of ONNX Runtime must do to see all of them. maps_only:
    not those that a runtime may fuse away, in front of a normalisation, sum or rectifier that alone reads them."""
    m = onnx.load(path)
    have = {o.name for o in m.graph.output}
    readers = {}
    for node in m.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    behind = {"Conv": {"BatchNormalization", "Relu", "Clip"}, "BatchNormalization": {"Relu", "Clip", "Add"}, "Add": {"Relu"},
              "Gemm": {"Relu"}}
    for node in m.graph.node:
        fused = len(readers.get(node.output[0], [])) == 1 and readers[node.output[0]][0] in behind.get(node.op_type, ())
        if node.output[0] not in have and node.op_type != "Dropout" and not (maps_only and fused):
            m.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None))
    onnx.save(m, target)


def arrays(path, target):
    """NAME/0, NAME/1 ... of every node with weights, `order` has the names; matrices [out, in]."""
    g = onnx.load(path).graph
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in g.initializer}
    out, order = {}, []
    for i, node in enumerate(g.node):
        if node.op_type not in ("Conv", "BatchNormalization", "Gemm"):
            continue
        name = "%s %d" % (node.name.replace("/", "."), i)
        parts = [stored[x] for x in node.input[1:]]
        if node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute):
            parts[0] = np.ascontiguousarray(parts[0].T)
        order.append(name)
        out[name + "/n"] = len(parts)
        out.update({"%s/%d" % (name, k): p for k, p in enumerate(parts)})
    np.savez(target, order=order, **out)
    return [[out["%s/%d" % (n, k)] for k in range(out[n + "/n"])] for n in order]


def png(path, picture):
    """uint8 [H,W,3]."""
    h, w, _ = picture.shape
    rows = b"".join(b"\0" + picture[y].tobytes() for y in range(h))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def training_data(folder):
    """Pictures of noise with a coloured cast per class, as files for us and as arrays for the others, in the same order."""
    random = np.random.default_rng(5)
    labels = random.integers(0, 10, TRAIN_PICTURES)
    pictures = random.integers(0, 200, (TRAIN_PICTURES, 32, 32, 3)) + (labels * 5)[:, None, None, None]
    pictures = pictures.astype(np.uint8)
    place = {}
    for split, chosen in (("train", range(TRAIN_PICTURES)), ("test", range(64))):
        for i in chosen:
            d = os.path.join(folder, "pictures", split, "c%d" % labels[i])
            os.makedirs(d, exist_ok=True)
            path = os.path.join(d, "%05d.png" % i)
            png(path, pictures[i])
            if split == "train":
                place[path] = i
    with open(os.path.join(folder, "order.txt"), "w") as f:  # ours reads class by class, name by name
        rank = {i: n for n, (_, i) in enumerate(sorted(place.items()))}
        f.write("\n".join(str(rank[i]) for i in range(TRAIN_PICTURES)) + "\n")
    np.save(os.path.join(folder, "train_x.npy"), (pictures.transpose(0, 3, 1, 2) / 255.0).astype(np.float32))
    np.save(os.path.join(folder, "train_y.npy"), labels.astype(np.int64))


def growth_texts(zoo, folder):
    """Nets whose side or depth grows: the zoo's text with another input, and a row of equal convolutions."""
    for net in ("resnet50", "squeezenet1_1"):
        text = open(os.path.join(zoo, net + ".net"), encoding="utf-8").read()
        for side in GROWTH_SIDES:
            with open(os.path.join(folder, "%s_%d.net" % (net, side)), "w", encoding="utf-8") as f:
                f.write(re.sub(r"(?m)^input 3x224x224", "input 3x%dx%d" % (side, side), text))
    for depth in GROWTH_DEPTHS:
        with open(os.path.join(folder, "depth_%d.net" % depth), "w", encoding="utf-8") as f:
            f.write('name "depth %d"\ninput 3x56x56\nstem: conv 64 k3 relu\n' % depth)
            f.write("".join("conv_%d: conv 64 k3 relu\n" % i for i in range(depth)))
            f.write("pool: gap\nflatten\nlogits: fc 10\nprob: softmax\n")


def main(convscope, zoo, folder):
    os.makedirs(folder, exist_ok=True)
    at = lambda *names: os.path.join(folder, *names)
    random = np.random.default_rng(7)
    for net in NETS:
        side = SIDES.get(net, 224)
        convert(convscope, os.path.join(zoo, net + ".net"), at(net + ".onnx"))
        parts = arrays(at(net + ".onnx"), at(net + ".npz"))
        if net in ("vgg16", "resnet50", "squeezenet1_1", "mobilenet_v2"):
            every_value(at(net + ".onnx"), at(net + "_all.onnx"))
            every_value(at(net + ".onnx"), at(net + "_maps.onnx"), maps_only=True)
        if net in ("tiny_vgg", "keras_cifar"):
            os.makedirs(at(net), exist_ok=True)
            for i, layer in enumerate(parts):
                for k, a in enumerate(layer):
                    np.save(at(net, "%d_%d.npy" % (i, k)), a)
        for batch in (1, 16):
            x = random.standard_normal((batch, 3, side, side)).astype(np.float32)
            np.save(at("%s_%d.npy" % (net, batch)), x)
    for side in GROWTH_SIDES:
        np.save(at("side_%d.npy" % side), random.standard_normal((1, 3, side, side)).astype(np.float32))
    for batch in (1, 2, 4, 8, 16, 32, 64):
        np.save(at("batch_%d.npy" % batch), random.standard_normal((batch, 3, 224, 224)).astype(np.float32))
    np.save(at("depth.npy"), random.standard_normal((1, 3, 56, 56)).astype(np.float32))
    growth_texts(zoo, folder)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".net"):
            convert(convscope, at(name), at(name[:-4] + ".onnx"))
    training_data(folder)
    start = at("start")  # the starting weights of the training net, for --start
    os.makedirs(start, exist_ok=True)
    for t in onnx.load(at("keras_cifar.onnx")).graph.initializer:
        if t.dims:
            path = os.path.join(start, t.name + ".npy")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            np.save(path, onnx.numpy_helper.to_array(t))


if __name__ == "__main__":
    main(*sys.argv[1:4])
