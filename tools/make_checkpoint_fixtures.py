#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/data/checkpoint/*: checkpoints that TensorFlow itself saved - of a Keras model with its graph of objects, of a graph of
# TensorFlow 1 that trains (gradients, Adam, dropout, normalisation by the batch) with its .meta, of variables that a partitioner cut,
# and one of the first generation - with an input and what TensorFlow computes, so that the unit test needs no TensorFlow.
# Run it with TensorFlow 2.16 or newer (pip install tensorflow-cpu).
import os
import shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from tensorflow.core.protobuf import saver_pb2

OUT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "checkpoint"))
tf1 = tf.compat.v1
rng = np.random.default_rng(9)
shutil.rmtree(OUT, ignore_errors=True)
for folder in ("objects", "session", "slices", "first"):
    os.makedirs(os.path.join(OUT, folder))
x = rng.uniform(0, 1, (1, 8, 8, 3)).astype(np.float32)


def keep(name, array):
    np.save(os.path.join(OUT, name), array)


keep("in.npy", x)

# A Keras model's objects, with an optimizer's.
m = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3, padding="same", activation="relu", name="conv1"), L.BatchNormalization(name="bn1"),
                      L.SeparableConv2D(5, 3, name="sep"), L.Flatten(), L.Dense(3, activation="softmax", name="predictions")])
for w in m.weights:
    w.assign(rng.uniform(0.1, 0.6, w.shape) if "variance" in w.path else rng.normal(0, 0.4, w.shape))
optimizer = keras.optimizers.Adam()
optimizer.build(m.trainable_variables)
open(os.path.join(OUT, "objects.json"), "w").write(m.to_json())
tf.train.Checkpoint(model=m, optimizer=optimizer).save(os.path.join(OUT, "objects", "ck"))
keep("objects.out.npy", m(x).numpy())


def session(training):
    """A network of TensorFlow 1 as people wrote it; training: with all that belongs to it."""
    images = tf1.placeholder(tf.float32, [None, 8, 8, 3], name="images")
    labels = tf1.placeholder(tf.int64, [None], name="y")
    keep_prob = tf1.placeholder(tf.float32, name="keep_prob")
    normal = tf1.random_normal_initializer(0, 0.4)
    with tf1.variable_scope("net", reuse=tf1.AUTO_REUSE):
        w = tf1.get_variable("conv1/weights", [3, 3, 3, 4], initializer=normal)
        b = tf1.get_variable("conv1/biases", [4], initializer=normal)
        h = tf.nn.relu(tf.nn.conv2d(images, w, 1, "SAME") + b)
        gamma = tf1.get_variable("bn/gamma", [4], initializer=tf1.random_uniform_initializer(0.5, 1.5))
        beta = tf1.get_variable("bn/beta", [4], initializer=normal)
        mean = tf1.get_variable("bn/moving_mean", [4], initializer=normal, trainable=False)
        var = tf1.get_variable("bn/moving_variance", [4], initializer=tf1.random_uniform_initializer(0.5, 1.5), trainable=False)
        if training:
            h, now, spread = tf1.nn.fused_batch_norm(h, gamma, beta, is_training=True, epsilon=1e-3)
            update = [tf1.assign_sub(mean, (mean - now) * 0.1), tf1.assign_sub(var, (var - spread) * 0.1)]
        else:
            h, _, _ = tf1.nn.fused_batch_norm(h, gamma, beta, mean, var, is_training=False, epsilon=1e-3)
        h = tf1.reshape(tf1.nn.max_pool(h, 2, 2, "VALID"), [-1, 64])
        if training:
            tf1.summary.histogram("flat", h)
            h = tf1.nn.dropout(h, keep_prob=keep_prob)
        w = tf1.get_variable("fc/weights", [64, 3], use_resource=True, initializer=normal)
        b = tf1.get_variable("fc/biases", [3], use_resource=True, initializer=normal)
        logits = tf.add(tf.matmul(h, w), b, name="logits")
        answer = tf.nn.softmax(logits, name="probabilities")
    if training:
        loss = tf.reduce_mean(tf1.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)) + 1e-4 * tf.nn.l2_loss(w)
        tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32), name="accuracy")
        tf1.summary.scalar("loss", loss)
        with tf1.control_dependencies(update):
            tf1.train.AdamOptimizer(1e-3).minimize(loss, global_step=tf1.train.get_or_create_global_step())
    return images, answer


with tf.Graph().as_default(), tf1.Session() as s:
    tf1.set_random_seed(3)
    session(True)
    s.run(tf1.global_variables_initializer())
    tf1.train.Saver().save(s, os.path.join(OUT, "session", "model.ckpt"), global_step=7, strip_default_attrs=True)
with tf.Graph().as_default(), tf1.Session() as s:
    images, answer = session(False)
    tf1.train.Saver().restore(s, os.path.join(OUT, "session", "model.ckpt-7"))
    keep("session.out.npy", s.run(answer, {images: x}))

# Variables in slices, and the first generation of checkpoints: the same network, dense layers cut by rows.
with tf.Graph().as_default(), tf1.Session() as s:
    tf1.set_random_seed(4)
    normal = tf1.random_normal_initializer(0, 0.4)
    images = tf1.placeholder(tf.float32, [None, 8, 8, 3], name="images")
    w = tf1.get_variable("net/conv1/weights", [3, 3, 3, 70], initializer=normal)
    f = tf1.get_variable("net/fc/weights", [70, 3], initializer=normal, partitioner=tf1.fixed_size_partitioner(3))
    half = tf1.get_variable("net/fc/biases", [3], initializer=normal)
    step = tf1.get_variable("step", [], dtype=tf.int64, initializer=tf1.constant_initializer(5))
    flat = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, w, 1, "SAME")), [1, 2])
    answer = tf.nn.softmax(tf.matmul(flat, f.as_tensor()) + half, name="answer")
    s.run(tf1.global_variables_initializer())
    tf1.train.Saver().save(s, os.path.join(OUT, "slices", "model.ckpt"), strip_default_attrs=True)
    tf1.train.Saver(write_version=saver_pb2.SaverDef.V1).save(s, os.path.join(OUT, "first", "model.ckpt"), write_meta_graph=False)
    keep("slices.out.npy", s.run(answer, {images: x}))
    keep("fc.npy", s.run(f.as_tensor()))
for name in ("first/checkpoint", "slices/checkpoint"):
    os.remove(os.path.join(OUT, name))
