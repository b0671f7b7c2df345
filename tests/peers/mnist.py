#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# usage: mnist.py CONVSCOPE FOLDER MNIST_DIR. Not part of make test: the README's training of a LeNet-class network on all of MNIST, as a newcomer would start
# it, at low priority; how long it takes, and whether the program's own evaluation finds at least 99 % of the 10,000 test pictures right.
import json, os, shutil, subprocess, sys, time

exe, place, data = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
recipe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "digits.net")
if not os.path.isdir(data):
    sys.exit("mnist: skipped, there is no folder %s with the four idx files (MNIST=DIR)" % data)
run = os.path.join(place, "mnist")
shutil.rmtree(run, ignore_errors=True)
os.makedirs(place, exist_ok=True)
begun = time.time()
subprocess.run(["nice", "-n", "10", exe, "train", recipe, "--data", "mnist:" + data, "-o", run], check=True)
seconds = time.time() - begun
told = json.loads(subprocess.run([exe, "evaluate", os.path.join(run, "model.onnx"), "mnist:" + data, "--json"], check=True, stdout=subprocess.PIPE).stdout)
print("mnist: %.2f %% of %d test pictures right after %.0f seconds on %d cores" % (100 * told["accuracy"], told["pictures"], seconds, os.cpu_count()))
sys.exit(0 if told["accuracy"] >= 0.99 and told["pictures"] == 10000 else 1)
