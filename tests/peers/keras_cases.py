# What exporters.py measures of TensorFlow and Keras beyond whole networks: single operations in frozen graphs, every layer class of Keras
# in every format. cases(work, wanted) yields (name, form, path, x, y, more): x and y lists of arrays, more: further words for the program.
import os, shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np
import tensorflow as tf, keras
from keras import layers as L, ops as K


def graph_of(function, specs, path):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    f = tf.function(function).get_concrete_function(*specs)
    with open(path, "wb") as out:
        out.write(convert_variables_to_constants_v2(f).graph.as_graph_def().SerializeToString())


def operations():
    """name -> function of x [1,6,5,4]."""
    raw = tf.raw_ops
    pick = tf.constant([[0, 1], [0, 3]])
    boxes = lambda x: tf.concat([x[0, :, 0, :2], x[0, :, 0, :2] + tf.abs(x[0, :, 1, :2]) + 0.5], 1)
    return {
        "TopKV2": lambda x: tf.math.top_k(x, 3), "GatherNd": lambda x: tf.gather_nd(x, pick), "Where": lambda x: tf.where(x > 0.3),
        "OneHot": lambda x: tf.one_hot(tf.argmax(x, -1), 4, 2.0, -1.0), "ScatterNd": lambda x: tf.scatter_nd([[1], [3], [1]], x[0, :3, 0], [5, 4]),
        "TensorScatterUpdate": lambda x: tf.tensor_scatter_nd_update(x[0], [[1], [4]], x[0, :2] * 2),
        "TensorScatterAdd": lambda x: tf.tensor_scatter_nd_add(x[0], [[1], [1]], x[0, :2]),
        "SparseToDense": lambda x: raw.SparseToDense(sparse_indices=[[0, 1], [2, 0]], output_shape=[3, 2], sparse_values=x[0, 0, 0, :2], default_value=0.5),
        "NonMaxSuppressionV3": lambda x: tf.image.non_max_suppression(boxes(x), x[0, :, 2, 3], 4, 0.3, 0.1),
        "NonMaxSuppressionV5": lambda x: tf.image.non_max_suppression_with_scores(boxes(x), x[0, :, 2, 3], 4, 0.3, 0.1),
        "Size": lambda x: tf.size(tf.where(x > 0)), "BroadcastTo": lambda x: tf.broadcast_to(x[:, :1], [2, 6, 5, 4]), "ZerosLike": lambda x: tf.zeros_like(tf.where(x > 0)) + tf.constant(1, tf.int64),
        "OnesLike": lambda x: tf.ones_like(x * 2) + x, "All": lambda x: tf.reduce_all(x > -0.2, [1, 2]), "Any": lambda x: tf.reduce_any(x > 0.8, -1),
        "Cumsum": lambda x: tf.cumsum(x, 2, exclusive=True, reverse=True), "ReverseV2": lambda x: tf.reverse(x, [1, -1]),
        "Roll": lambda x: tf.roll(x, [-2, 1], [1, 2]), "Atan2": lambda x: tf.atan2(x, tf.reverse(x, [1])),
        "FloorMod": lambda x: tf.math.floormod(x, 0.3), "FloorMod int": lambda x: tf.math.floormod(tf.cast(x * 10, tf.int32), 3),
        "DivNoNan": lambda x: tf.math.divide_no_nan(x, tf.nn.relu(x)), "MulNoNan": lambda x: tf.math.multiply_no_nan(x, tf.nn.relu(x)),
        "FakeQuant": lambda x: tf.quantization.fake_quant_with_min_max_vars(x, -0.7, 0.9), "FakeQuant narrow": lambda x: tf.quantization.fake_quant_with_min_max_args(x, -0.7, 0.9, narrow_range=True),
        "AddN of one": lambda x: raw.AddN(inputs=[x]) * 2, "AddN": lambda x: tf.add_n([x, x * 2, x - 1]), "Angles": lambda x: tf.asin(x) + tf.acos(x) + tf.atan(x) + tf.asinh(x) + tf.atanh(x * 0.9) + tf.acosh(x + 2.5) + tf.sinh(x) + tf.cosh(x),
        "IsNan": lambda x: tf.math.is_nan(tf.math.log(x)), "LogicalXor": lambda x: tf.math.logical_xor(x > 0, x > 0.5),
        "ExtractImagePatches": lambda x: tf.image.extract_patches(x, [1, 3, 2, 1], [1, 2, 1, 1], [1, 1, 1, 1], "SAME"),
        "ResizeBicubic": lambda x: tf.image.resize(x, [9, 13], "bicubic"), 
        "MatrixBandPart": lambda x: tf.linalg.band_part(x[0], 1, 0), "EuclideanNorm": lambda x: tf.math.reduce_euclidean_norm(x, -1),
        "MirrorPad symmetric": lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 0], [0, 0]], "SYMMETRIC"),
        "BatchMatMul": lambda x: tf.matmul(x, x, transpose_b=True), "Xlogy": lambda x: tf.math.xlogy(tf.nn.relu(x), tf.abs(x)), "LogSoftmax": lambda x: tf.nn.log_softmax(x), 
        "Softmax axis": lambda x: tf.nn.softmax(x, 1), "L2Normalize": lambda x: tf.math.l2_normalize(x, -1), "Mod": lambda x: raw.Mod(x=tf.cast(x * 10, tf.int32), y=tf.constant(3)),
        "ClipByValue": lambda x: tf.clip_by_value(x, -0.3, 0.4), 
        "Gelu": lambda x: tf.nn.gelu(x) + tf.nn.gelu(x, approximate=True), "Silu": lambda x: tf.nn.silu(x), "Moments": lambda x: tf.nn.moments(x, [1, 2]),
        "Meshgrid": lambda x: tf.stack(tf.meshgrid(tf.range(4.0), x[0, 0, :, 0])), "Repeat": lambda x: tf.repeat(x, 2, 1), "Tile batch": lambda x: tf.tile(x, [2, 1, 1, 1]),
        "Unstack": lambda x: tf.unstack(x, axis=2)[1], "Select scalar": lambda x: tf.where(tf.reduce_sum(x) > 0, x, -x),
    }


def operation_cases(work, wanted):
    x = np.random.default_rng(4).uniform(-1, 1, (1, 6, 5, 4)).astype("float32")
    path = os.path.join(work, "op.pb")
    for name, f in operations().items():
        if wanted(name):
            y = f(tf.constant(x))
            y = [t.numpy() for t in (y if isinstance(y, (list, tuple)) else [y])]
            graph_of(lambda t: f(t), [tf.TensorSpec(x.shape, tf.float32, name="x")], path)
            yield name, "operation in a GraphDef", path, [x], y, ()



def functional(shapes, f):
    inputs = [keras.Input(s) for s in shapes]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], f(*inputs))


def two(layer, longer=False):
    """A layer of two inputs behind one: convscope run takes one. The second is longer where `longer`."""
    def f(x):
        y = L.Dense(8, name="other")(x)
        return layer(x, L.ZeroPadding1D(1)(y) if longer else y)
    return functional([(5, 8)], f)


def one(layer, shape=(8, 9, 4)):
    return lambda: functional([shape], layer())


def normalization(**given):
    layer = L.Normalization(**given)
    if not given.get("mean"):
        layer.adapt(np.random.default_rng(2).normal(0.3, 2, (20, 8, 9, 4)).astype("float32"))
    return layer


def wrapped_states(x):
    y, *states = L.LSTM(5, return_state=True, return_sequences=True)(x)
    z = L.LSTM(5)(L.Dense(4)(y), initial_state=states)
    y, state = L.GRU(3, return_state=True)(x)
    return L.Concatenate()([z, y, state])


def layer_list():
    """name -> function that makes a model."""
    S = (7, 6)  # a sequence
    heads = {
        "Activation": one(lambda: L.Activation("gelu")), "ActivityRegularization": one(lambda: L.ActivityRegularization(0.1)),
        "Add": lambda: two(lambda a, b: L.Add()([a, b])), "AdditiveAttention": lambda: two(lambda a, b: L.AdditiveAttention()([a, b]), True),
        "AlphaDropout": one(lambda: L.AlphaDropout(0.3)), "Attention": lambda: two(lambda a, b: L.Attention(use_scale=True)([a, b]), True),
        "Attention concat": lambda: two(lambda a, b: L.Attention(score_mode="concat")([a, b]), True),
        "Attention causal": lambda: two(lambda a, b: L.Attention()([a, b, b], use_causal_mask=True), True),
        "Average": lambda: two(lambda a, b: L.Average()([a, b])), "BatchNormalization": one(lambda: L.BatchNormalization(axis=2)),
        "CenterCrop": one(lambda: L.CenterCrop(5, 4)), "CenterCrop larger": one(lambda: L.CenterCrop(12, 4)), "Dot": lambda: two(lambda a, b: L.Dot((2, 2), normalize=True)([a, b])),
        "EinsumDense": one(lambda: L.EinsumDense("abcd,de->abce", (8, 9, 5), bias_axes="e", activation="relu")),
        "ELU": one(lambda: L.ELU(0.7)),
        "Flatten": one(lambda: L.Flatten()), "GaussianDropout": one(lambda: L.GaussianDropout(0.3)), "GaussianNoise": one(lambda: L.GaussianNoise(0.3)),
        "GlobalAveragePooling1D": one(lambda: L.GlobalAveragePooling1D(), S), "GlobalMaxPooling3D": one(lambda: L.GlobalMaxPooling3D(), (4, 5, 6, 2)),
        "GroupNormalization": one(lambda: L.GroupNormalization(2)), "GroupQueryAttention": lambda: two(lambda a, b: L.GroupQueryAttention(4, 4, 2)(a, b), True),
        "Identity": one(lambda: L.Identity()), "LayerNormalization": one(lambda: L.LayerNormalization(axis=(2, 3))), "LeakyReLU": one(lambda: L.LeakyReLU(0.15)),
        "Masking": one(lambda: L.Masking(0.0), S), "Maximum": lambda: two(lambda a, b: L.Maximum()([a, b])), "Minimum": lambda: two(lambda a, b: L.Minimum()([a, b])),
        "MultiHeadAttention": lambda: two(lambda a, b: L.MultiHeadAttention(2, 4, value_dim=3, output_shape=6)(a, b), True),
        "MultiHeadAttention causal": lambda: functional([(6, 8)], lambda a: L.MultiHeadAttention(2, 4)(a, a, use_causal_mask=True)),
        "MultiHeadAttention scores": lambda: functional([(6, 8)], lambda a: L.MultiHeadAttention(2, 4)(a, a, return_attention_scores=True)),
        "MultiHeadAttention axes": lambda: functional([(4, 5, 8)], lambda a: L.MultiHeadAttention(2, 4, attention_axes=(2,))(a, a)),
        "Multiply": lambda: two(lambda a, b: L.Multiply()([a, b])), "Normalization": one(lambda: normalization()), "Normalization fixed": one(lambda: normalization(mean=0.5, variance=2.0)),
        "Normalization invert": one(lambda: normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0], invert=True)),
        "Permute": one(lambda: L.Permute((3, 1, 2))), "PReLU": one(lambda: L.PReLU("uniform")), "RMSNormalization": one(lambda: L.RMSNormalization()), "ReLU": one(lambda: L.ReLU(3.0, 0.2, 0.1)),
        "RepeatVector": one(lambda: L.RepeatVector(3), (6,)), "Rescaling": one(lambda: L.Rescaling([1.0, 2.0, 3.0, 0.5], [0.1, 0.2, 0.3, 0.4])), "Reshape": one(lambda: L.Reshape((6, -1))),
        "Resizing": one(lambda: L.Resizing(5, 14)), "Resizing nearest": one(lambda: L.Resizing(5, 14, "nearest")), "Resizing crop": one(lambda: L.Resizing(5, 4, crop_to_aspect_ratio=True)),
        "Resizing pad": one(lambda: L.Resizing(5, 4, pad_to_aspect_ratio=True, fill_value=0.5)), "SimpleRNN": one(lambda: L.SimpleRNN(4), S), "Softmax": one(lambda: L.Softmax(axis=2)),
        "SpatialDropout2D": one(lambda: L.SpatialDropout2D(0.2)), "SpectralNormalization": one(lambda: L.SpectralNormalization(L.Conv2D(3, 3))), "States": lambda: functional([S], wrapped_states),
        "StackedRNNCells": one(lambda: L.RNN([L.LSTMCell(4), L.GRUCell(3)]), S), "RNN of a cell": one(lambda: L.RNN(L.GRUCell(4), return_sequences=True), S), "ConvLSTM2D": one(lambda: L.ConvLSTM2D(3, 3), (4, 6, 6, 2)),
        "LSTM": one(lambda: L.LSTM(4), S), "GRU": one(lambda: L.GRU(4, return_sequences=True), S), "Bidirectional": one(lambda: L.Bidirectional(L.LSTM(4, return_sequences=True)), S), "TimeDistributed": one(lambda: L.TimeDistributed(L.Conv2D(3, 3)), (4, 6, 6, 2)),
        "Subtract": lambda: two(lambda a, b: L.Subtract()([a, b])), "ThresholdedReLU": one(lambda: L.ReLU(threshold=0.4)), "UnitNormalization": one(lambda: L.UnitNormalization()),
        "UnitNormalization axes": one(lambda: L.UnitNormalization(axis=(1, 2))), "UpSampling1D": one(lambda: L.UpSampling1D(3), S), "UpSampling2D": one(lambda: L.UpSampling2D((2, 3), interpolation="bilinear")), "UpSampling2D bicubic": one(lambda: L.UpSampling2D((2, 3), interpolation="bicubic")),
        "UpSampling3D": one(lambda: L.UpSampling3D((2, 1, 3)), (3, 4, 5, 2)), "ZeroPadding1D": one(lambda: L.ZeroPadding1D((1, 2)), S), "ZeroPadding3D": one(lambda: L.ZeroPadding3D(((1, 2), (0, 1), (2, 0))), (3, 4, 5, 2)),
        "Cropping1D": one(lambda: L.Cropping1D((1, 2)), S), "Cropping3D": one(lambda: L.Cropping3D(1), (3, 4, 5, 2)), "Conv1D causal": one(lambda: L.Conv1D(4, 3, padding="causal", dilation_rate=2), S),
        "Conv1DTranspose": one(lambda: L.Conv1DTranspose(4, 3, strides=2), S), "Conv2D groups": one(lambda: L.Conv2D(6, 3, groups=2, dilation_rate=2)), "Conv2DTranspose": one(lambda: L.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=1)),
        "Conv3D": one(lambda: L.Conv3D(3, 2, strides=2, padding="same"), (4, 5, 6, 2)), "Conv3DTranspose": one(lambda: L.Conv3DTranspose(3, 2, strides=2), (4, 5, 6, 2)), "DepthwiseConv1D": one(lambda: L.DepthwiseConv1D(3, depth_multiplier=2), S),
        "DepthwiseConv2D": one(lambda: L.DepthwiseConv2D(3, depth_multiplier=2, strides=2)), "SeparableConv1D": one(lambda: L.SeparableConv1D(4, 3), S), "SeparableConv2D": one(lambda: L.SeparableConv2D(4, 3, depth_multiplier=2)),
        "AveragePooling1D": one(lambda: L.AveragePooling1D(3, 2, "same"), S), "AveragePooling3D": one(lambda: L.AveragePooling3D(2), (4, 5, 6, 2)), "MaxPooling1D": one(lambda: L.MaxPooling1D(2), S), "MaxPooling3D": one(lambda: L.MaxPooling3D(2), (4, 5, 6, 2)),
        "AdaptiveAveragePooling2D": one(lambda: L.AdaptiveAveragePooling2D((3, 4))), "AdaptiveMaxPooling2D": one(lambda: L.AdaptiveMaxPooling2D((2, 5))), "RandomFlip": one(lambda: L.RandomFlip()), "RandomRotation": one(lambda: L.RandomRotation(0.2)),
        "RandomZoom": one(lambda: L.RandomZoom(0.2)), "RandomTranslation": one(lambda: L.RandomTranslation(0.1, 0.1)), "RandomContrast": one(lambda: L.RandomContrast(0.2)), "RandomBrightness": one(lambda: L.RandomBrightness(0.2)), "RandomCrop": one(lambda: L.RandomCrop(5, 5)),
        "Pipeline": one(lambda: L.Pipeline([L.Rescaling(0.5), L.CenterCrop(4, 4)])), "Embedding": lambda: keras.Sequential([keras.Input((6,), dtype="int32"), L.Embedding(20, 4)]), "ReversibleEmbedding": lambda: keras.Sequential([keras.Input((6,), dtype="int32"), L.ReversibleEmbedding(20, 4)]),
        "CategoryEncoding": lambda: keras.Sequential([keras.Input((6,), dtype="int32"), L.CategoryEncoding(8, "multi_hot")]), "Discretization": one(lambda: L.Discretization(bin_boundaries=[-0.5, 0.0, 0.5])), "Solarization": one(lambda: L.Solarization(0.0)), "RandomGrayscale": one(lambda: L.RandomGrayscale(0.5), (8, 9, 3)),
        "MelSpectrogram": one(lambda: L.MelSpectrogram(fft_length=64, sequence_stride=16, sequence_length=64, sampling_rate=400, num_mel_bins=8), (256,))

    }
    ops = {
        "add": lambda x: K.add(x, 1.5), "where": lambda x: K.where(x > 0, x, x * 0.1), "concatenate": lambda x: K.concatenate([x, x * 2], -1), "stack": lambda x: K.stack([x, -x], 2), "split": lambda x: K.split(x, 2, -1)[1],
        "slices": lambda x: x[:, 1:-1, ::2, -1], "new axis": lambda x: x[:, None, :, 0], "transpose": lambda x: K.transpose(x, (0, 3, 1, 2)), "reshape": lambda x: K.reshape(x, (-1, 18, 16)), "mean": lambda x: K.mean(x, (1, 2)), "max": lambda x: K.max(x, -1, keepdims=True), "sum": lambda x: K.sum(x, 1), "var": lambda x: K.var(x, -1), "std": lambda x: K.std(x, (1, 2)),
        "exp": lambda x: K.exp(x), "log": lambda x: K.log(K.abs(x) + 1), "sqrt": lambda x: K.sqrt(K.square(x) + 1), "rsqrt": lambda x: K.rsqrt(x * x + 1), "sin": lambda x: K.sin(x) + K.cos(x), "softmax": lambda x: K.softmax(x, -1), "relu": lambda x: K.relu(x), "gelu": lambda x: K.gelu(x, approximate=False), "silu": lambda x: K.silu(x), "sigmoid": lambda x: K.sigmoid(x), "tanh": lambda x: K.tanh(x),
        "matmul": lambda x: K.matmul(x, K.swapaxes(x, 2, 3)), "dot with numbers": lambda x: K.matmul(x, np.ones((4, 3), "float32") * 0.3), "einsum": lambda x: K.einsum("bhwc,bhvc->bhwv", x, x), "expand_dims": lambda x: K.expand_dims(x, 1), "squeeze": lambda x: K.squeeze(K.sum(x, 1, keepdims=True), 1), "pad": lambda x: K.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
        "clip": lambda x: K.clip(x, -0.2, 0.3), "maximum": lambda x: K.maximum(x, 0.1), "minimum": lambda x: K.minimum(0.1, x), "power": lambda x: K.power(K.abs(x), 1.5), "normalize": lambda x: K.normalize(x, -1), "tile": lambda x: K.tile(x, (1, 2, 1, 1)), "repeat": lambda x: K.repeat(x, 2, 1), "flip": lambda x: K.flip(x, 2), "roll": lambda x: K.roll(x, 2, 1), "take": lambda x: K.take(x, [0, 2], -1),
        "image.resize": lambda x: K.image.resize(x, (12, 5)), "depth_to_space": lambda x: K.nn.depth_to_space(x, 2), "avg pool": lambda x: K.average_pool(x, 2, 2), "max pool": lambda x: K.max_pool(x, 2, 2, "same"), "conv": lambda x: K.conv(x, np.ones((3, 3, 4, 2), "float32") * 0.1, padding="same"), "multiply": lambda x: 2 * x - x / 3, "negative": lambda x: -x, "divide": lambda x: 1 / (x + 3), "subtract": lambda x: 1 - x, "equal": lambda x: K.cast(x > 0.2, "float32"),
        "logical": lambda x: K.cast(K.logical_and(x > 0, x < 0.5), "float32"), "argmax": lambda x: K.argmax(x, -1), "top_k": lambda x: K.top_k(x, 2)[0], "cumsum": lambda x: K.cumsum(x, 1), "floor": lambda x: K.floor(x * 3) + K.ceil(x * 3) + K.round(x * 3), "sign": lambda x: K.sign(x), "broadcast_to": lambda x: K.broadcast_to(K.mean(x, -1, keepdims=True), (1, 8, 9, 4)), "ones_like": lambda x: K.ones_like(x) + K.zeros_like(x) + x, "layer_norm": lambda x: K.layer_normalization(x, epsilon=1e-5), "batch_norm": lambda x: K.batch_normalization(x, np.zeros(4, "float32"), np.ones(4, "float32"), -1), "dot_product_attention": lambda x: K.dot_product_attention(x, x, x), "leaky_relu": lambda x: K.leaky_relu(x, 0.3), "hard_sigmoid": lambda x: K.hard_sigmoid(x), "logsumexp": lambda x: K.logsumexp(x, -1), "moveaxis": lambda x: K.moveaxis(x, 3, 1), "ravel": lambda x: K.reshape(x, (1, -1)), "unstack": lambda x: K.unstack(x, 4, -1)[2], "one_hot": lambda x: K.one_hot(K.argmax(x, -1), 4), "absolute": lambda x: K.absolute(x), "prod": lambda x: K.prod(x, -1), "any": lambda x: K.cast(K.any(x > 0.9, -1), "float32"),
    }
    for name, f in ops.items():
        heads["ops." + name] = lambda f=f: functional([(8, 9, 4)], f)
    return heads


def randomise(net):
    rng = np.random.default_rng(3)
    for w in net.weights:
        if "float" in w.dtype and "kernel" not in w.path and not any(s in w.path for s in ("seed", "embedding", "normalization/mean", "normalization/variance")):
            w.assign(rng.uniform(0.2, 0.8, w.shape))


def lite(net, path, xs):
    with open(path, "wb") as f:
        f.write(tf.lite.TFLiteConverter.from_keras_model(net).convert())
    it = tf.lite.Interpreter(path, experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF)
    it.allocate_tensors()
    for d in it.get_input_details():
        same = [x for x in xs if list(x.shape) == list(d["shape"])]
        it.set_tensor(d["index"], same[min(len(same) - 1, [e["name"] for e in it.get_input_details() if list(e["shape"]) == list(d["shape"])].index(d["name"]))])
    it.invoke()
    return [it.get_tensor(o["index"]) for o in it.get_output_details()]


DRAWN = {"BatchNormalization", "Masking", "MultiHeadAttention axes", "Normalization invert", "ReLU", "StackedRNNCells", "ConvLSTM2D",
         "AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "RandomCrop", "ReversibleEmbedding", "CategoryEncoding", "Discretization", "Solarization", "MelSpectrogram", "ops.layer_norm",
         "ops.batch_norm", "ops.dot_product_attention"}  # open from .keras and .h5 and are drawn, but not run (docs/formats.md)


def layer_cases(work, wanted):
    for name, make in layer_list().items():
        if not wanted(name):
            continue
        keras.backend.clear_session()
        keras.utils.set_random_seed(5)
        try:
            net = make()
        except Exception as e:
            print(name, "is not of this Keras:", str(e)[:200])
            continue
        randomise(net)
        rng = np.random.default_rng(6)
        xs = [rng.uniform(-1, 1, (1,) + tuple(t.shape[1:])).astype("float32") if t.dtype == "float32" else rng.integers(0, 8, (1,) + tuple(t.shape[1:])).astype("int32") for t in net.inputs]
        y = net(xs if len(xs) > 1 else xs[0], training=False)
        y = [np.asarray(t) for t in (y if isinstance(y, (list, tuple)) else [y])]
        for form, suffix in ((".keras", ".keras"), (".h5", ".h5"), ("SavedModel", "-saved"), ("TFLite", ".tflite")):
            if not wanted(name + " " + form) or (name in DRAWN and form[0] == "."):
                continue
            path, want = os.path.join(work, "layer" + suffix), y
            try:
                if form == "SavedModel":
                    shutil.rmtree(path, ignore_errors=True)
                    net.export(path, verbose=False)
                elif form == "TFLite":
                    lite_y = lite(net, path, xs)
                    want = lite_y if len(lite_y) > 1 else y
                else:
                    net.save(path)
            except Exception as e:
                print(name, form, "is not written:", " ".join(str(e).split())[:120])
                continue
            yield name, form, path, xs, want, ()


def cases(work, wanted):
    yield from operation_cases(work, wanted)
    yield from layer_cases(work, wanted)
