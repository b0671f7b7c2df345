# SPDX-License-Identifier: MIT
"""Keras (on TensorFlow for the CPU) as a peer for training: its CIFAR-10 tutorial's network, our starting weights, Adam, one batch
a step through train_on_batch, as it comes or with XLA."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np

from serve import THREADS, serve

import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(int(THREADS))
tf.config.threading.set_inter_op_parallelism_threads(1)


def network(weights):
    layers = tf.keras.layers
    m = tf.keras.Sequential([
        layers.Input((32, 32, 3)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)])
    stored, ours = np.load(weights), []
    for k in stored["order"]:
        w, b = stored["%s/0" % k], stored["%s/1" % k]
        if w.ndim == 4:
            w = w.transpose(2, 3, 1, 0)
        elif w.shape[1] == 1024:  # the flattened maps: [K, 64*4*4] in our order, channels last here
            w = w.reshape(-1, 64, 4, 4).transpose(2, 3, 1, 0).reshape(1024, -1)
        else:
            w = w.T
        ours += [w, b]
    m.set_weights(ours)
    return m


def train(s):
    m = network(s["weights"])
    m.compile(optimizer=tf.keras.optimizers.Adam(1e-3),
              loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile="XLA" in s["config"])
    x = np.ascontiguousarray(np.load(s["input"]).transpose(0, 2, 3, 1))
    y, size, kept = np.load(s["labels"]), int(s["batch"]), {"at": 0, "losses": []}
    if s["config"].startswith("train_function"):  # what fit() runs, without its loop; data prepared as tensors
        tx, ty = tf.constant(x), tf.constant(y)
        data = tf.data.Dataset.from_tensor_slices((tx, ty)).batch(size, drop_remainder=True).repeat().prefetch(2)
        m.make_train_function()
        step, iterator = m.train_function, iter(data)

        def once():
            logs = step(iterator)
            kept["losses"].append(float(logs["loss"]))  # the mean so far

        def losses():
            sums = np.array(kept["losses"]) * np.arange(1, len(kept["losses"]) + 1)
            return np.diff(sums, prepend=0.0)
        return once, losses

    def once():
        at = kept["at"] % (len(x) - size + 1)
        kept["at"] += size
        kept["losses"].append(float(m.train_on_batch(x[at:at + size], y[at:at + size])))
    return once, lambda: np.array(kept["losses"])


if __name__ == "__main__":
    serve(train)
