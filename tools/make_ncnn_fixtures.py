#!/usr/bin/env python3
# Makes tests/data/ncnn/more.*: a net of ncnn's rarer layers, weights of 8 bits among them, with ncnn's own results.
# Needs: pip install ncnn numpy.   usage: tools/make_ncnn_fixtures.py  (in the repository's root)
import os
import struct
import ncnn
import numpy as np

HERE = "tests/data/ncnn/more"
rng = np.random.default_rng(8)  # a seed without numbers halfway between two integers
bin_file = open(HERE + ".bin", "wb")
lines = []


def f(n, low=-.5, high=.5):
    a = rng.uniform(low, high, n).astype("<f4")
    bin_file.write(a.tobytes())
    return a


def tag(t=0):
    bin_file.write(struct.pack("<I", t))


def i8(n):
    bin_file.write(rng.integers(-127, 128, n).astype("i1").tobytes() + b"\0" * (-n % 4))


def l(line):
    lines.append(line)


l("Input x 0 1 x 0=8 1=8 2=4")
l("Convolution c1 1 1 x c1 0=6 1=3 4=1 5=1 6=216 8=101 9=1")
tag(0x000D4B38)
i8(216)
f(6)
f(6,80,120)
f(1,60,70)
T = f(1,20,30)
l("ConvolutionDepthWise c2 1 1 c1 c2 0=6 1=3 4=1 5=1 6=54 7=6 8=1")
tag(0x000D4B38)
i8(54)
f(6)
f(6,80,120)
bin_file.write(T.tobytes())
l("ConvolutionDepthWise c3 1 1 c2 c3 0=6 1=3 4=1 5=0 6=54 7=6 8=2")
tag(0)
f(54)
f(1,200,210)
f(1,20,30)
l("Split s 1 9 c3 s0 s1 s2 s3 s4 s5 s6 s7 s8")
l("Crop k1 1 1 s0 k1 -23309=2,1,2 -23310=2,-1,7 -23311=2,1,2")
l("Crop k2 1 1 s1 k2 0=1 1=2 2=1 3=4 4=3 5=4")
l("Crop k3 1 1 s2 k3 0=1 1=1 3=-233 4=-233 5=-233 6=1 7=2 2=0 8=0")
l("Crop k4 2 1 s3 k2 k4 0=2 1=1 2=1")
l("DeconvolutionDepthWise d1 1 1 k4 d1 0=4 1=3 3=2 4=1 5=1 6=72 7=2 18=1 9=2 -23310=1,0.1")
tag()
f(72)
f(4)
l("GroupNorm g1 1 1 s4 g1 0=2 1=6 2=0.01 3=1")
f(6)
f(6)
l("InstanceNorm i1 1 1 g1 i1 0=6 1=0.01 2=1")
f(6)
f(6)
l("LRN l1 1 1 s5 l1 0=0 1=5 2=0.5 3=0.75 4=1")
l("Normalize n1 1 1 s6 n1 0=0 1=0 2=0.001 3=6 4=1")
f(6)
l("Power p1 1 1 n1 p1 0=2 1=0.5 2=0.3")
l("MemoryData m1 0 1 m1 0=8 1=8 2=6")
f(384)
l("BinaryOp b1 2 1 s7 m1 b1 0=0")
l("GELU e1 1 1 b1 e1 0=1")
l("Reduction r1 1 1 s8 r1 0=3 1=0 -23303=2,1,2 4=0 5=1")
l("InnerProduct f1 1 1 r1 f1 0=5 1=1 2=30 8=1 9=1")
tag(0x000D4B38)
i8(30)
f(5)
f(5,80,120)
f(1,40,50)
l("Permute q1 1 1 i1 q1 0=0")
l("Reshape h1 1 1 q1 h1 0=64 1=6")
l("Convolution1D v1 1 1 h1 v1 0=3 1=3 4=1 5=1 6=54 9=1")
tag()
f(54)
f(3)
l("LayerNorm w1 1 1 v1 w1 0=64 1=0.001 2=1")
f(64)
f(64)
l("ExpandDims x1 1 1 w1 x1 -23303=1,0")
l("Squeeze y1 1 1 x1 y1 -23303=1,0")
bin_file.close()
blobs = {b for s in lines for b in s.split()[4:4 + int(s.split()[2]) + int(s.split()[3])]}
open(HERE + ".param", "w").write("7767517\n%d %d\n" % (len(lines), len(blobs)) + "\n".join(lines) + "\n")
x = np.random.default_rng(1).random((1, 4, 8, 8)).astype(np.float32)
np.save(HERE + ".in.npy", x)
net = ncnn.Net()
for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "lightmode"):
    setattr(net.opt, name, False)
net.opt.num_threads = 1
net.load_param(HERE + ".param")
net.load_model(HERE + ".bin")
for name in ("c2", "d1", "k3", "l1", "p1", "e1", "f1", "y1"):
    extractor = net.create_extractor()
    extractor.input("x", ncnn.Mat(x[0]))
    np.save(HERE + "." + name + ".npy", np.array(extractor.extract(name)[1])[None].astype(np.float32))
os._exit(0)  # ncnn's own end of the program is not always a clean one
