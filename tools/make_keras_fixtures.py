#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/data/keras/*: small models saved by Keras itself (.h5), their inputs and every layer's output as Keras computes
# it, so that the unit test needs no Keras. Run it with Keras 2 (pip install tensorflow-cpu==2.15.1) and with Keras 3
# (pip install keras jax, KERAS_BACKEND=jax); each writes its own files. With --all DIR it writes every model with every layer
# to DIR; without, the few that are committed to the source tree.
import argparse
import json
import os

import numpy as np

try:
    from tensorflow import keras
except ImportError:
    import keras

L = keras.layers
THREE = getattr(keras, "__version__", "2").startswith("3")
TAG = "k3" if THREE else "k2"
rng = np.random.default_rng(3)


def sequential():
    return keras.Sequential([
        keras.Input((9, 8, 3)), L.Conv2D(4, 3, strides=2, padding="same", activation="relu"), L.BatchNormalization(),
        L.MaxPooling2D(2, padding="same"), L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu"),
        L.SeparableConv2D(6, (3, 2), padding="same", depth_multiplier=2, activation="tanh"), L.Dropout(0.3),
        L.AveragePooling2D((2, 1), strides=1, padding="same"), L.Flatten(), L.Dense(5, activation="softmax")], name="seq")


def branches():
    x = keras.Input((8, 6, 3), name="picture")
    a = L.Conv2D(4, (3, 1), dilation_rate=(2, 1), padding="same", use_bias=False)(x)
    b = L.Conv2D(4, 1, activation="relu6" if not THREE else "relu6")(x)
    s = L.Add()([a, b, a])
    s = L.Subtract()([s, b])
    m = L.Multiply()([s, L.Dense(4, activation="sigmoid")(L.Reshape((1, 1, 4))(L.GlobalAveragePooling2D()(s)))])
    m = L.Multiply()([m, L.GlobalMaxPooling2D()(m)])
    c = L.Concatenate()([L.Maximum()([m, b]), L.Minimum()([m, b, a]), L.Average()([a, b])])
    c = L.Concatenate(axis=1)([c, c])
    u = L.UpSampling2D((2, 3))(c)
    v = L.UpSampling2D(2, interpolation="bilinear")(c)
    v = L.ZeroPadding2D(((1, 0), (2, 1)))(v)
    v = L.Cropping2D(((0, 1), (1, 0)))(v)
    o1 = L.GlobalMaxPooling2D(keepdims=True)(u)
    o2 = L.Dense(3, name="scores")(L.Flatten()(L.GlobalAveragePooling2D(keepdims=True)(v)))
    return keras.Model(x, [o2, o1], name="branches")


def transposed():
    x = keras.Input((5, 4, 3))
    outs = []
    for i, (k, s, p) in enumerate([(3, 2, "same"), (3, 2, "valid"), (2, 2, "same"), (1, 3, "valid"), (4, 3, "same"), (1, 2, "same")]):
        outs.append(L.Conv2DTranspose(2, k, strides=s, padding=p, name="up_%d" % i, activation="relu")(x))
    outs.append(L.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=0, name="up_op")(x))
    outs.append(L.Conv2DTranspose(2, 3, strides=2, padding="valid", output_padding=1, name="up_op1")(x))
    return keras.Model(x, outs)


def shared():
    i = keras.Input((6, 6, 3), name="inner_in")
    y = L.Conv2D(4, 3, name="inner_conv", activation="relu")(i)
    y = L.BatchNormalization(name="inner_bn")(y)
    y = L.Conv2D(2, 1, name="inner_last")(y)
    inner = keras.Model(i, y, name="inner")
    tail = keras.Sequential([keras.Input((4, 4, 2)), L.Conv2D(3, 2, name="tail_conv"), L.BatchNormalization(name="tail_bn"), L.Flatten(name="tail_flat")], name="tail")
    tail.trainable = False
    a, b = keras.Input((6, 6, 3), name="left"), keras.Input((6, 6, 3), name="right")
    conv = L.Conv2D(3, 1, name="both")
    p, q = inner(conv(a)), inner(conv(b))
    d = L.Dense(2, name="out", activation="softmax")(L.Concatenate()([tail(p), tail(q)]))
    return keras.Model([a, b], d)


def stacked():
    base = keras.Sequential([keras.Input((6, 6, 3)), L.Conv2D(4, 3, name="c1"), L.BatchNormalization(name="b1"), L.Conv2D(2, 1, name="c2")], name="base")
    base.trainable = False
    model = keras.Sequential([base, L.GlobalAveragePooling2D(), L.Dense(3)], name="stacked")
    model.build((None, 6, 6, 3))
    return model


def activations():
    x = keras.Input((4, 3, 2))
    y = L.Conv2D(3, 1)(x)
    outs = []
    names = ["relu", "sigmoid", "tanh", "softmax", "elu", "selu", "softplus", "softsign", "exponential", "hard_sigmoid", "swish", "gelu", "linear"]
    names += ["relu6", "leaky_relu", "mish", "silu", "hard_silu", "log_softmax"] if THREE else []
    for n in names:
        outs.append(L.Activation(n, name="a_" + n)(y))
    slope = dict(negative_slope=0.3) if THREE else dict(alpha=0.3)
    outs += [L.PReLU(shared_axes=[1, 2], name="prelu_s", alpha_initializer="ones")(y), L.PReLU(name="prelu")(y), L.LeakyReLU(name="leaky", **slope)(y),
             L.ELU(alpha=0.5, name="elu_l")(y), L.ReLU(max_value=0.5, name="relu_m")(y), L.ReLU(negative_slope=0.1, name="relu_n")(y),
             L.ReLU(max_value=0.4, negative_slope=0.1, name="relu_mn")(y), L.ReLU(threshold=0.2, name="relu_t")(y), L.Softmax(name="soft_l")(y),
             L.Softmax(axis=1, name="soft_1")(y), L.Dense(2, activation="gelu", name="dense_high")(y)]
    if not THREE:
        outs.append(L.ThresholdedReLU(theta=0.3, name="thr")(y))
    return keras.Model(x, outs)


def norms():
    x = keras.Input((6, 5, 4))
    n = L.Normalization(name="normalize")
    n.adapt(rng.standard_normal((50, 6, 5, 4)).astype("f4") * 3 + 1)
    y = L.Rescaling(1.0 / 4, offset=-0.5, name="rescale")(x)
    y = n(y)
    y = L.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0], name="fixed")(y)
    outs = [L.LayerNormalization(name="ln")(y), L.BatchNormalization(scale=False, name="bn_s")(y), L.BatchNormalization(center=False, scale=False, name="bn_n")(y),
            L.LayerNormalization(center=False, name="ln_c")(y), L.Resizing(9, 7, name="res")(y), L.Resizing(3, 4, interpolation="nearest", name="res_n")(y),
            L.GroupNormalization(groups=2, name="gn")(y), L.GaussianNoise(0.1, name="noise")(y), L.SpatialDropout2D(0.2, name="sd")(y),
            L.Dense(3, name="dense4")(y), L.Permute((3, 1, 2), name="perm")(y), L.Permute((2, 1, 3), name="perm2")(y), L.Reshape((5, 3, 8), name="resh")(y),
            L.Reshape((-1, 4), name="resh3")(y), L.Flatten(name="flat")(y), L.RandomFlip(name="flip")(y), L.LayerNormalization(axis=-1, name="ln3")(L.Reshape((30, 4), name="resh4")(y))]
    return keras.Model(x, outs)


def sequence():
    x = keras.Input((12, 3))
    y = L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu")(x)
    y = L.BatchNormalization()(y)
    z = L.MaxPooling1D(2)(y)
    z = L.Conv1D(5, 2, strides=2, padding="same")(z)
    z = L.SeparableConv1D(4, 3, padding="same")(z)
    t = L.TimeDistributed(L.Dense(3, activation="relu", name="in_td"), name="td")(z)
    outs = [L.GlobalAveragePooling1D()(z), L.GlobalMaxPooling1D()(y), t, L.Dense(2, name="d3", activation="softmax")(z), L.Flatten()(y), L.UpSampling1D(2)(z),
            L.ZeroPadding1D(1)(z), L.Cropping1D((1, 0))(z), L.Permute((2, 1))(z), L.AveragePooling1D(2, padding="same")(z), L.Concatenate(axis=1)([z, z]), L.Softmax(axis=1)(z)]
    return keras.Model(x, outs)


def volume():
    x = keras.Input((4, 5, 6, 2))
    y = L.Conv3D(3, 2, padding="same", strides=(1, 2, 2), activation="relu")(x)
    z = L.MaxPooling3D((2, 1, 2))(y)
    return keras.Model(x, [L.GlobalAveragePooling3D()(z), L.Flatten()(z), L.UpSampling3D((1, 2, 1))(z), L.ZeroPadding3D(1)(z)])


def attention():
    i = keras.Input((6, 5, 3))
    x = L.LayerNormalization(axis=[2, 3])(L.Conv2D(4, 2)(i))
    x = L.Reshape((-1, 4))(x)
    y = L.Reshape((5, 3))(L.Cropping2D(((0, 5), (0, 0)))(i))
    a = L.MultiHeadAttention(2, 3, name="itself")(x, x)
    b = L.MultiHeadAttention(3, 2, value_dim=4, output_shape=5, use_bias=False, name="other")(a, key=y, value=y)
    return keras.Model(i, [L.Add()([x, a]), b, L.Attention()([a, x])], name="attention")


def grouped():
    """Heads that share keys and values, kernels divided by their norm, products of two sequences."""
    i = keras.Input((5, 8))
    x = L.GroupQueryAttention(3, 4, 2, name="shared")(i, i)
    a, b = L.SpectralNormalization(L.Dense(4, activation="tanh"))(x), L.SpectralNormalization(L.Conv1D(4, 3, padding="same"))(i)
    rows = [L.GlobalAveragePooling1D()(a), L.GlobalMaxPooling1D()(b)]
    return keras.Model(i, [L.Dot((2, 2))([a, b]), L.Dot(1, normalize=True)([a, b]), L.Dot(-1)(rows)], name="grouped")


def opaque():
    x = keras.Input((4, 4, 3))
    y = L.Lambda(lambda t: t * 2, name="doubled")(L.Conv2D(2, 1, name="before")(x))
    return keras.Model(x, L.Dense(2)(L.Flatten()(y)))


def functions():
    """Functions that are applied without a layer (keras.ops), one of each kind."""
    from keras import ops as K
    x = keras.Input((6, 5, 4), name="picture")
    top, places = K.top_k(x, 2)
    parts = [K.where(x > 0, x, x * 0.1), K.concatenate([K.split(x, 2, -1)[1], top], -1), K.flip(K.roll(x, 2, 1), 2), K.tile(x, (1, 2, 1, 1)), K.repeat(x, 2, 1), K.take(x, [0, -1], -1),
             x[:, 1:-1, ::2, -1], x[:, None, ..., 0], K.transpose(x, (0, 3, 1, 2)), K.moveaxis(x, 3, 1), K.swapaxes(x, 1, 2), K.mean(x, (1, 2)), K.max(x, -1, keepdims=True), K.std(x, -1), K.var(x, 1),
             K.logsumexp(x, -1), K.normalize(x, -1), K.matmul(x, np.ones((4, 3), "float32") * 0.3), K.einsum("bhwc,bhvc->bhwv", x, x), K.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))), K.clip(x, -0.2, 0.3),
             K.image.resize(x, (9, 3)), K.average_pool(x, 2, 2), K.conv(x, np.ones((3, 3, 4, 2), "float32") * 0.1, padding="same"), K.cumsum(x, 1),
             K.one_hot(K.argmax(x, -1), 4), K.cast(places, "float32"), K.leaky_relu(x, 0.3), K.stack([x, 1 - x], 2), K.squeeze(K.expand_dims(x, 1), 1), K.rsqrt(x * x + 1), K.maximum(x, 0.1), K.unstack(x, 4, -1)[2]]
    return keras.Model(x, L.Concatenate()([L.Flatten()(p) for p in parts]), name="functions")


def seldom():
    """Layers that are seldom in networks of pictures."""
    x = keras.Input((6, 8), name="steps")
    y = L.EinsumDense("abc,cde->abde", (6, 2, 4), bias_axes="de", activation="relu")
    a, h, c = L.LSTM(4, return_sequences=True, return_state=True)(x)
    b = L.LSTM(4)(a, initial_state=[h, c])
    d, e = L.GRU(3, return_state=True)(x)
    f = L.RNN(L.GRUCell(3), return_sequences=True)(x)
    g = L.RepeatVector(3)(b)
    att = [L.Attention(use_scale=True)([a, a]), L.Attention(score_mode="concat")([a, a]), L.AdditiveAttention()([a, a]), L.Attention()([a, a], use_causal_mask=True)]
    m = L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    n, scores = L.MultiHeadAttention(2, 3)(x, a, return_attention_scores=True)
    p = L.Reshape((6, 4, 2))(x)
    q = [L.CenterCrop(3, 2)(p), L.CenterCrop(9, 4)(p), L.Resizing(3, 5, crop_to_aspect_ratio=True)(p), L.Resizing(3, 5, pad_to_aspect_ratio=True, fill_value=0.5)(p), L.UnitNormalization()(p), L.UnitNormalization(axis=(1, 2))(p),
         L.RMSNormalization()(p), y(x)]
    return keras.Model(x, L.Concatenate()([L.Flatten()(v) for v in [a, h, c, b, d, e, f, g, m, n, scores, *att, *q]]), name="seldom")


def channels_first():
    x = keras.Input((3, 8, 6))
    f = dict(data_format="channels_first")
    y = L.Conv2D(4, 3, padding="same", activation="relu", **f)(x)
    y = L.BatchNormalization(axis=1)(y)
    y = L.MaxPooling2D(2, **f)(y)
    y = L.SeparableConv2D(5, 2, **f)(y)
    y = L.ZeroPadding2D(1, **f)(y)
    return keras.Model(x, [L.GlobalAveragePooling2D(**f)(y), L.Dense(3)(L.Flatten(**f)(y)), L.Softmax(axis=1)(y), L.Concatenate(axis=1)([y, y])])


def small_vgg():
    return keras.Sequential([keras.Input((12, 12, 1)), L.Rescaling(1 / 255.0), L.Conv2D(4, 3, activation="relu", padding="same"), L.MaxPooling2D(),
                             L.Conv2D(6, 3, groups=2, activation="relu"), L.Flatten(), L.Dropout(0.5), L.Dense(1, activation="sigmoid")])


def recurrent():
    x = keras.Input((2, 10, 12, 1))
    y = L.TimeDistributed(L.Conv2D(3, 3, activation="relu"))(x)
    y = L.TimeDistributed(L.MaxPooling2D(2))(y)
    y = L.Reshape((10, 12))(L.TimeDistributed(L.Flatten())(y))
    y = L.Bidirectional(L.LSTM(5, return_sequences=True))(y)
    y = L.Bidirectional(L.GRU(4, return_sequences=True, reset_after=False), merge_mode="sum")(y)
    y = L.LSTM(4, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid", activation="softsign")(y)
    y = L.TimeDistributed(L.Dense(4, activation="relu"))(L.GRU(3, return_sequences=True)(y))
    parts = [L.LSTM(3, use_bias=False)(y), L.GRU(3, go_backwards=True)(y), L.SimpleRNN(3, activation="relu")(y),
             L.Bidirectional(L.SimpleRNN(3), merge_mode="ave")(y)]
    return keras.Model(x, [L.Concatenate()(parts), L.Bidirectional(L.GRU(2, return_sequences=True), merge_mode="mul")(y)])


MODELS = [sequential, branches, transposed, shared, stacked, activations, norms, sequence, volume, small_vgg, opaque, recurrent, attention]
COMMITTED = {"k2": ["sequential", "shared", "branches", "sequence", "attention"],
             "k3": ["shared", "activations", "channels_first", "norms", "opaque", "recurrent", "attention", "functions", "grouped", "seldom"]}[TAG]


def randomise(model):
    adapted = {id(w) for l in model.layers if isinstance(l, L.Normalization) for w in l.weights}
    for w in model.weights:
        name = getattr(w, "path", w.name)
        if id(w) in adapted or "seed" in name:
            continue
        v = rng.standard_normal(w.shape).astype("f4") * 0.5
        w.assign(np.abs(v) + 0.5 if "variance" in name else v)


def write(make, folder, layers):
    model = make()
    randomise(model)
    base = os.path.join(folder, "%s_%s" % (TAG, make.__name__))
    model.save(base + ".h5")
    inputs = [rng.standard_normal([2] + list(i.shape)[1:]).astype("f4") for i in model.inputs]
    for i, x in enumerate(inputs):
        np.save("%s.in%d.npy" % (base, i), x)
    if make is opaque:
        return
    outs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    outs = outs if isinstance(outs, list) else [outs]
    np.save(base + ".out.npy", np.concatenate([np.asarray(y, "f4").reshape(-1) for y in outs]))
    if layers:
        os.makedirs(base + ".act", exist_ok=True)
        for l in model.layers:
            try:
                y = keras.Model(model.inputs, l.output).predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
            except Exception as e:
                print("no activation of", l.name, type(e).__name__)
                continue
            if not isinstance(y, list):
                np.save("%s.act/%s.npy" % (base, l.name), np.asarray(y, "f4"))


def quantise(w, kind):
    """What TensorFlow.js's converter does to a weight: bytes, manifest entry, and the value that comes back."""
    if kind == "float16":
        return w.astype("<f2").tobytes(), {"dtype": "float16", "original_dtype": "float32"}, w.astype("f2").astype("f4")
    if kind in ("uint8", "uint16"):
        top = 255 if kind == "uint8" else 65535
        low, scale = float(w.min()), float(w.max() - w.min()) / top or 1.0
        q = np.round((w - low) / scale).astype("<u1" if kind == "uint8" else "<u2")
        return q.tobytes(), {"dtype": kind, "scale": scale, "min": low, "original_dtype": "float32"}, (q * scale + low).astype("f4")
    return w.astype("<f4").tobytes(), None, w


def write_tfjs(folder, kind, shard):
    """A layers model in the form of TensorFlow.js's converter, weights of Keras 2 quantised and cut into shards."""
    rng_model = keras.Sequential([keras.Input((7, 6, 2)), L.Conv2D(3, 3, activation="relu", name="conv"), L.BatchNormalization(name="norm"),
                                  L.MaxPooling2D(2, padding="same", name="pool"), L.Flatten(name="flat"), L.Dense(4, activation="softmax", name="out")], name="net")
    randomise(rng_model)
    data, entries, values = b"", [], []
    for w in rng_model.weights:
        raw, q, value = quantise(w.numpy(), kind)
        data += raw
        values.append(value)
        entries.append(dict({"name": w.name.split(":")[0], "shape": list(w.shape), "dtype": "float32"}, **({"quantization": q} if q else {})))
    rng_model.set_weights(values)
    n = (len(data) + shard - 1) // shard
    paths = ["group1-shard%dof%d.bin" % (i + 1, n) for i in range(n)]
    out = os.path.join(folder, "tfjs_" + kind)
    os.makedirs(out, exist_ok=True)
    for i, path in enumerate(paths):
        with open(os.path.join(out, path), "wb") as f:
            f.write(data[i * shard:(i + 1) * shard])
    topology = {"keras_version": keras.__version__ if THREE else "2.15.0", "backend": "tensorflow", "model_config": json.loads(rng_model.to_json())}
    with open(os.path.join(out, "model.json"), "w") as f:
        json.dump({"format": "layers-model", "generatedBy": "keras v2.15.0", "convertedBy": "tools/make_keras_fixtures.py",
                   "modelTopology": topology, "weightsManifest": [{"paths": paths, "weights": entries}]}, f)
    x = rng.standard_normal((2, 7, 6, 2)).astype("f4")
    np.save(os.path.join(out, "in0.npy"), x)
    np.save(os.path.join(out, "out.npy"), rng_model.predict(x, verbose=0).reshape(-1))


def write_weights_apart(folder):
    """Architecture as JSON, weights as Keras 3's own "weights.h5"."""
    model = stacked()
    randomise(model)
    base = os.path.join(folder, "k3_stacked")
    model.save_weights(base + ".weights.h5")
    with open(base + ".json", "w") as f:
        f.write(model.to_json())
    x = rng.standard_normal((2, 6, 6, 3)).astype("f4")
    np.save(base + ".in0.npy", x)
    np.save(base + ".out.npy", np.asarray(model.predict(x, verbose=0), "f4").reshape(-1))


def write_application(folder):
    """A narrow ResNet of keras.applications: its weights alone, as a file that names no network. The picture is i % 251 / 251 in the order
    channel, row, column (tests/unit/test_keras.c makes it again). Copied with libver="latest", which is smaller."""
    import h5py
    from keras.src.applications import resnet

    def stack(x):
        for stage, stride in ((2, 1), (3, 2), (4, 2), (5, 2)):
            x = resnet.stack_residual_blocks_v1(x, 2, 2 if stage == 3 else 1, stride1=stride, name="conv%d" % stage)
        return x

    model = resnet.ResNet(stack, False, True, weights=None, input_shape=(224, 224, 3), classes=5)
    for layer in model.layers:
        w = layer.get_weights()
        if len(w) == 4:
            layer.set_weights([rng.uniform(0.5, 1.5, v.shape) if i in (0, 3) else rng.normal(0, 0.2, v.shape)
                               for i, v in enumerate(w)])
        elif len(w) == 2:
            layer.set_weights([w[0] * (0.2 if layer.name == "predictions" else 1), rng.normal(0, 0.2, w[1].shape)])
    x = ((np.arange(3 * 224 * 224) % 251) / 251).astype("f4").reshape(1, 3, 224, 224).transpose(0, 2, 3, 1)
    base = os.path.join(folder, "k3_applications_resnet")
    model.save_weights(base + "_full.weights.h5")
    with h5py.File(base + "_full.weights.h5") as a, h5py.File(base + ".weights.h5", "w", libver="latest") as b:
        for key in a:
            a.copy(key, b)
    os.remove(base + "_full.weights.h5")
    np.save(base + ".out.npy", np.asarray(model.predict(x, verbose=0), "f4").reshape(-1))


class Narrow:
    """keras.layers with a 64th of the filters where there are many, for keras.applications."""

    def __init__(self, least):
        self.least = least

    def __getattr__(self, name):
        make = getattr(L, name)
        if name not in ("Conv2D", "SeparableConv2D"):
            return make

        def narrow(filters, *args, **kwargs):
            return make(max(2, filters // 64) if filters >= self.least else filters, *args, **kwargs)
        return narrow


def write_narrow(folder, module, make, name, side, least):
    """The same for other networks of keras.applications, made narrow: as Keras 2 named layers and stored weights, and as Keras 3 does."""
    import h5py
    suffix = ".weights.h5" if THREE else "_tf_dim_ordering_tf_kernels.h5"
    keras.backend.clear_session()
    L.Conv2D(2, 1)(keras.Input((4, 4, 2)))  # names that Keras counts begin where they may
    module.layers = Narrow(least)
    model = make()
    module.layers = L
    for layer in model.layers:
        w = layer.get_weights()
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([rng.normal(0.2, 0.3, v.shape) if i in (1, 2) else rng.uniform(0.5, 1.5, v.shape) for i, v in enumerate(w)])
    x = ((np.arange(3 * side * side) % 251) / 251).astype("f4").reshape(1, 3, side, side).transpose(0, 2, 3, 1)
    base = os.path.join(folder, TAG + "_applications_" + name)
    whole = base + "_full" + (".weights.h5" if THREE else ".h5")
    model.save_weights(whole)
    with h5py.File(whole) as a, h5py.File(base + suffix, "w", libver="latest") as b:
        def put(path, item):  # one by one: groups that are copied whole keep their older, larger form
            if isinstance(item, h5py.Dataset):
                b[path] = item[()]
            else:
                b.require_group(path)
            for key, value in item.attrs.items():
                b[path].attrs[key] = value
        put("/", a)
        a.visititems(put)
    os.remove(whole)
    np.save(base + ".out.npy", np.asarray(model(x, training=False), "f4").reshape(-1))


def write_applications(folder):
    if THREE:
        from keras.src.applications import xception
        write_narrow(folder, xception, lambda: xception.Xception(weights=None, classes=5), "xception", 299, 1)
    else:
        from keras.src.applications import mobilenet_v3
        mobilenet_v3._depth = lambda v, *more: max(2, int(np.ceil(v)))
        write_narrow(folder, mobilenet_v3, lambda: mobilenet_v3.MobileNetV3Small(weights=None, classes=5, alpha=0.0625, include_preprocessing=False),
                     "mobilenet_v3", 224, 1000)


def write_keras1(folder):
    """A file as Keras 1 wrote it on Theano: channels first, kernels [O,I,h,w] rotated, flattened in channel, row, column order.
    Keras 2 computes what it should give, with channels last and a Permute."""
    import h5py
    model = keras.Sequential([keras.Input((8, 7, 2)), L.Conv2D(3, (3, 2), activation="relu", padding="valid"), L.MaxPooling2D(2), L.Permute((3, 1, 2)),
                              L.Flatten(), L.Dense(4, activation="softmax")])
    randomise(model)
    kernel, bias, dense, dense_bias = model.get_weights()
    config = {"class_name": "Sequential", "config": [
        {"class_name": "Convolution2D", "config": {"name": "convolution2d_1", "batch_input_shape": [None, 2, 8, 7], "nb_filter": 3, "nb_row": 3, "nb_col": 2,
                                                   "border_mode": "valid", "subsample": [1, 1], "dim_ordering": "th", "bias": True, "activation": "relu"}},
        {"class_name": "MaxPooling2D", "config": {"name": "maxpooling2d_1", "pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "th"}},
        {"class_name": "Dropout", "config": {"name": "dropout_1", "p": 0.5}}, {"class_name": "Flatten", "config": {"name": "flatten_1"}},
        {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 4, "activation": "softmax", "bias": True}}]}
    base = os.path.join(folder, "k1_theano")
    groups = {"convolution2d_1": [("convolution2d_1_W", kernel[::-1, ::-1].transpose(3, 2, 0, 1)), ("convolution2d_1_b", bias)], "maxpooling2d_1": [],
              "dropout_1": [], "flatten_1": [], "dense_1": [("dense_1_W", dense), ("dense_1_b", dense_bias)]}
    with h5py.File(base + ".h5", "w") as f:
        f.attrs["model_config"] = json.dumps(config).encode()
        f.attrs["keras_version"] = b"1.2.2"
        f.attrs["backend"] = b"theano"
        m = f.create_group("model_weights")
        m.attrs["layer_names"] = [n.encode() for n in groups]
        for name, weights in groups.items():
            g = m.create_group(name)
            g.attrs["weight_names"] = [n.encode() for n, _ in weights]
            for n, w in weights:
                g[n] = w
    x = rng.standard_normal((2, 8, 7, 2)).astype("f4")
    np.save(base + ".in0.npy", np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    np.save(base + ".out.npy", np.asarray(model.predict(x, verbose=0), "f4").reshape(-1))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--all", metavar="DIR")
    a = p.parse_args()
    folder = a.all or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "keras")
    os.makedirs(folder, exist_ok=True)
    models = MODELS + ([channels_first, functions, grouped, seldom] if THREE else [])
    for make in models:
        if a.all or make.__name__ in COMMITTED:
            write(make, folder, bool(a.all))
            print(TAG, make.__name__)
    for kind, shard in (("float32", 1 << 20), ("float16", 500), ("uint8", 100), ("uint16", 64)) if not THREE else ():
        write_tfjs(folder, kind, shard)
    (write_weights_apart if THREE else write_keras1)(folder)
    if THREE:
        write_application(folder)
    write_applications(folder)


if __name__ == "__main__":
    main()
