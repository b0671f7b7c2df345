#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/data/tensorflow/*: one small network saved by TensorFlow itself as TensorFlow Lite (float, float16, int8), as a frozen
# GraphDef and as a SavedModel, with an input and what TensorFlow computes, so that the unit test needs no TensorFlow.
# Run it with TensorFlow 2.16 or newer (pip install tensorflow-cpu).
import os
import shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "tensorflow")
SHAPE = (12, 10, 3)
rng = np.random.default_rng(5)


def network(quantisable):
    i = keras.Input(SHAPE, name="picture")
    x = L.Conv2D(6, 3, strides=2, padding="same", activation="relu")(i)
    x = L.BatchNormalization()(x)
    y = L.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    y = L.Conv2D(6, 1, activation="tanh")(y)
    x = L.Add()([x, y])
    z = L.MaxPooling2D(2, padding="same")(x)
    z = L.Concatenate()([z, L.AveragePooling2D(2, strides=1, padding="same")(z)])
    s = L.Conv2D(12, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(z))
    z = L.Multiply()([z, s])
    z = L.UpSampling2D(2, interpolation="bilinear")(z)
    if not quantisable:
        z = L.Conv2DTranspose(5, 3, strides=2, padding="same", activation="elu")(z)
        z = L.PReLU(shared_axes=[1, 2])(L.LeakyReLU(0.2)(z))
        z = L.LayerNormalization()(z)
        z = L.Conv2D(4, 3, dilation_rate=2, padding="same", activation="hard_sigmoid")(z)
    z = L.Cropping2D(1)(L.ZeroPadding2D(((1, 2), (0, 1)))(z))
    z = L.Dense(5)(L.Flatten()(z))
    return keras.Model(i, L.Softmax(name="answer")(z))


def randomise(m):
    for w in m.weights:
        v = w.numpy()
        if "moving_variance" in w.path or "gamma" in w.path:
            w.assign(rng.uniform(0.5, 1.5, v.shape))
        elif "moving_mean" in w.path or "beta" in w.path or "bias" in w.path:
            w.assign(rng.normal(0, 0.1, v.shape))
    return m


def lite(m, name, x, setup):
    c = tf.lite.TFLiteConverter.from_keras_model(m)
    setup(c)
    data = c.convert()
    it = tf.lite.Interpreter(
        model_content=data,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    it.allocate_tensors()
    i, o = it.get_input_details()[0], it.get_output_details()[0]
    ins, outs = [], []
    for k in range(len(x)):
        v = x[k:k + 1]
        if i["dtype"] != np.float32:
            scale, zero = i["quantization"]
            v = np.clip(np.round(v / scale) + zero, np.iinfo(i["dtype"]).min, np.iinfo(i["dtype"]).max).astype(i["dtype"])
        it.set_tensor(i["index"], v)
        it.invoke()
        ins.append(v)
        outs.append(it.get_tensor(o["index"]).copy())
    open(os.path.join(OUT, name + ".tflite"), "wb").write(data)
    np.save(os.path.join(OUT, name + ".in.npy"), np.concatenate(ins))
    np.save(os.path.join(OUT, name + ".out.npy"), np.concatenate(outs))


def half(c):
    c.optimizations = [tf.lite.Optimize.DEFAULT]
    c.target_spec.supported_types = [tf.float16]


def integers(c):
    c.optimizations = [tf.lite.Optimize.DEFAULT]
    c.representative_dataset = lambda: ([rng.uniform(0, 1, (1,) + SHAPE).astype(np.float32)] for _ in range(16))
    c.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    c.inference_input_type = c.inference_output_type = tf.int8


os.makedirs(OUT, exist_ok=True)
keras.utils.set_random_seed(1)
x = rng.uniform(0, 1, (2,) + SHAPE).astype(np.float32)
m = randomise(network(False))
lite(m, "float", x, lambda c: None)
lite(m, "half", x, half)
lite(randomise(network(True)), "int8", x, integers)
np.save(os.path.join(OUT, "graph.in.npy"), x)
np.save(os.path.join(OUT, "graph.out.npy"), m(x, training=False).numpy())
call = tf.function(lambda t: m(t, training=False)).get_concrete_function(tf.TensorSpec((None,) + SHAPE, tf.float32))
frozen = convert_variables_to_constants_v2(call).graph.as_graph_def()
open(os.path.join(OUT, "frozen.pb"), "wb").write(frozen.SerializeToString())
shutil.rmtree(os.path.join(OUT, "saved"), ignore_errors=True)
m.export(os.path.join(OUT, "saved"), verbose=False)


DENSE, KERNEL = rng.normal(0, 1, (3, 2, 4)).astype("f4"), rng.normal(0, 0.2, (2, 3, 2, 1, 4)).astype("f4")


def more(t):
    """Operations that the network above has none of."""
    a = tf.einsum("nhwc,cde->nhwde", t, DENSE)
    b = tf.einsum("nhwde,nhkde->ndhwk", a, a)
    c = tf.nn.conv3d_transpose(tf.reshape(a, (-1, 12, 10, 2, 4)), KERNEL, tf.stack([tf.shape(t)[0], 24, 10, 4, 1]),
                               [1, 2, 1, 2, 1], "SAME")
    return tf.concat([tf.reduce_mean(b, [1, 2]), tf.reduce_mean(c[..., 0], 2)[:, :10, :1] * tf.ones((1, 1, 10))], 1)


graph = tf.function(more).get_concrete_function(tf.TensorSpec((None,) + SHAPE, tf.float32)).graph.as_graph_def()
open(os.path.join(OUT, "more.pb"), "wb").write(graph.SerializeToString())
np.save(os.path.join(OUT, "more.out.npy"), more(x).numpy())


def heads(t):
    """What stands behind detectors and in hand-written layers; t [1,12,10,3], every answer a piece of one row."""
    raw, flat = tf.raw_ops, lambda *v: [tf.reshape(tf.cast(p, tf.float32), [-1]) for p in v]
    c = t * 2 - 1
    best, places = tf.math.top_k(c[0, :, :, 0], 3)
    corner = tf.abs(c[0, :, 0, :2])
    boxes = tf.concat([corner, corner + tf.abs(c[0, :, 1, :2]) + 0.5], 1)
    kept, scores = tf.image.non_max_suppression_with_scores(boxes, t[0, :, 2, 2], 5, 0.4, 0.2)
    plain = tf.image.non_max_suppression(boxes, t[0, :, 2, 2], 5, 0.4, 0.2)
    some = tf.where(c[0, :, :, 1] > 0.4)
    out = flat(best, places, tf.pad(kept, [[0, 12 - tf.size(kept)]]), tf.pad(scores, [[0, 12 - tf.size(scores)]]), tf.reduce_sum(plain),
               tf.gather_nd(c, [[0, 1, 2], [0, 3, 4]]), tf.reduce_sum(some, 0), tf.range(tf.size(some))[:5], tf.fill([tf.size(kept)], 2)[:2])
    out += flat(tf.one_hot(tf.argmax(c[0, :3], -1), 3, 2.0, -1.0), tf.scatter_nd([[1], [3], [1]], c[0, :3, 0], [5, 3]),
                tf.tensor_scatter_nd_update(c[0, :3], [[1], [2]], c[0, :2]), tf.tensor_scatter_nd_add(c[0, :3], [[1], [1]], c[0, :2]),
                raw.SparseToDense(sparse_indices=[[0, 1], [2, 0]], output_shape=[3, 2], sparse_values=c[0, 0, 0, :2], default_value=0.5))
    out += flat(tf.broadcast_to(c[:, :1, :1], [2, 2, 1, 3]), tf.zeros_like(some)[:2] + tf.ones_like(some)[:2], tf.reduce_all(c > -0.9, [1, 2]),
                tf.reduce_any(c > 0.9, -1), tf.cumsum(c, 2, exclusive=True, reverse=True), tf.reverse(c, [1, -1]), tf.roll(c, [-2, 1], [1, 2]))
    out += flat(tf.atan2(c, tf.reverse(c, [1])), tf.math.floormod(c, 0.3), tf.math.floormod(tf.cast(c * 9, tf.int32), 4),
                raw.Mod(x=tf.cast(c * 9, tf.int32), y=tf.constant(4)), tf.math.divide_no_nan(c, tf.nn.relu(c)),
                tf.math.multiply_no_nan(c, tf.nn.relu(c)), tf.math.xlogy(tf.nn.relu(c), t))
    out += flat(tf.quantization.fake_quant_with_min_max_vars(c, -0.7, 0.9),
                tf.quantization.fake_quant_with_min_max_args(c, -0.7, 0.9, narrow_range=True), raw.AddN(inputs=[c]),
                tf.image.extract_patches(c, [1, 3, 2, 1], [1, 2, 3, 1], [1, 2, 1, 1], "SAME"), tf.linalg.band_part(c[0, :, :, 0], 1, 2),
                tf.math.reduce_euclidean_norm(c, -1), tf.pad(c, [[0, 0], [1, 2], [2, 0], [0, 0]], "SYMMETRIC"))
    return tf.concat(out, 0)[tf.newaxis]


call = tf.function(heads).get_concrete_function(tf.TensorSpec((1,) + SHAPE, tf.float32))
graph = convert_variables_to_constants_v2(call).graph.as_graph_def()
open(os.path.join(OUT, "heads.pb"), "wb").write(graph.SerializeToString())
np.save(os.path.join(OUT, "heads.in.npy"), x[:1])
np.save(os.path.join(OUT, "heads.out.npy"), heads(x[:1]).numpy())


def turns(t):
    """A loop whose turns the file decides, with a list that it fills; t [1,3,2]."""
    w = tf.constant(np.linspace(-1, 1, 12).reshape(2, 6), tf.float32)
    steps = tf.TensorArray(tf.float32, 3, element_shape=(None, 2)).unstack(tf.transpose(t, [1, 0, 2]))
    state, answers = tf.zeros([tf.shape(t)[0], 2]), tf.TensorArray(tf.float32, 3, element_shape=(None, 2))
    for i in tf.range(3):
        a, b, c = tf.split(tf.matmul(steps.read(i) + state, w), 3, 1)
        state = tf.tanh(a) * tf.sigmoid(b) + state * tf.sigmoid(c)
        answers = answers.write(i, state * tf.cast(i, tf.float32))
    return tf.reshape(answers.stack(), [1, 6])


call = tf.function(turns).get_concrete_function(tf.TensorSpec((None, 3, 2), tf.float32))
graph = convert_variables_to_constants_v2(call, lower_control_flow=False).graph.as_graph_def()
open(os.path.join(OUT, "turns.pb"), "wb").write(graph.SerializeToString())
t = np.random.default_rng(2).normal(0, 1, (1, 3, 2)).astype(np.float32)
np.save(os.path.join(OUT, "turns.in.npy"), t)
np.save(os.path.join(OUT, "turns.out.npy"), turns(t).numpy())


class Signatures(tf.Module):
    """One network with three questions, as model hubs have them: two of a picture, one of nothing (which cannot be opened)."""

    def __init__(self):
        self.kernel = tf.Variable(np.random.default_rng(3).normal(0, 0.3, (3, 3, 3, 4)).astype("f4"))
        self.weights = tf.Variable(np.random.default_rng(4).normal(0, 0.5, (4, 5)).astype("f4"))

    @tf.function(input_signature=[tf.TensorSpec((None,) + SHAPE, tf.float32)])
    def embed(self, t):
        return {"embedding": tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(t, self.kernel, 2, "SAME")), [1, 2])}

    @tf.function(input_signature=[tf.TensorSpec((None,) + SHAPE, tf.float32)])
    def classify(self, t):
        return {"scores": tf.nn.softmax(tf.matmul(self.embed(t)["embedding"], self.weights))}

    @tf.function(input_signature=[])
    def version(self):
        return {"version": tf.constant(3)}


asked = Signatures()
shutil.rmtree(os.path.join(OUT, "signatures"), ignore_errors=True)
tf.saved_model.save(asked, os.path.join(OUT, "signatures"),
                    signatures={"serving_default": asked.classify, "embed": asked.embed, "version": asked.version})
np.save(os.path.join(OUT, "signatures.scores.npy"), asked.classify(x)["scores"].numpy())
np.save(os.path.join(OUT, "signatures.embed.npy"), asked.embed(x)["embedding"].numpy())


class Stream(tf.Module):
    """A network that sees a sound piece by piece: it remembers the end of the last piece. The first run is with what it starts with."""

    def __init__(self):
        rng = np.random.default_rng(6)
        self.past = tf.Variable(rng.normal(0, 1, (1, 2, 3)).astype("f4"))
        self.count = tf.Variable(np.float32([0.5]))
        self.kernel = tf.constant(rng.normal(0, 0.5, (3, 3, 4)).astype("f4"))

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 3), tf.float32)])
    def __call__(self, t):
        known = tf.concat([self.past, t], 1)
        self.past.assign(known[:, -2:])
        self.count.assign(self.count + 1.0)
        return tf.nn.conv1d(known, self.kernel, 1, "VALID") * self.count + tf.reduce_sum(self.past)


stream = Stream()
convert = tf.lite.TFLiteConverter.from_concrete_functions([stream.__call__.get_concrete_function()], stream)
convert.experimental_enable_resource_variables = True
lite_file = convert.convert()
open(os.path.join(OUT, "stream.tflite"), "wb").write(lite_file)
reader = tf.lite.Interpreter(model_content=lite_file)
reader.allocate_tensors()
piece = np.random.default_rng(7).normal(0, 1, (1, 4, 3)).astype("f4")
reader.set_tensor(reader.get_input_details()[0]["index"], piece)
reader.invoke()
np.save(os.path.join(OUT, "stream.in.npy"), piece)
np.save(os.path.join(OUT, "stream.out.npy"), reader.get_tensor(reader.get_output_details()[0]["index"]))
