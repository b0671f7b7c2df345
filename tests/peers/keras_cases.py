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


def cases(work, wanted):
    yield from operation_cases(work, wanted)
