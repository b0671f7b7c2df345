#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/data/tflite/*: TensorFlow Lite files with what stands behind detectors, sparse weights, operations of indices and truths,
# windows of three dimensions and activations of 16 bits, with an input and what the interpreter computes, so that the unit test needs no
# TensorFlow. Run it with TensorFlow 2.16 or newer (pip install tensorflow-cpu).
import json
import os
import shutil
import tempfile
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

OUT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "tflite"))
os.makedirs(OUT, exist_ok=True)
rng = np.random.default_rng(3)
REFERENCE = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def write(name, f, x, setup=lambda c: None):
    m = tf.Module()
    m.call = tf.function(f, input_signature=[tf.TensorSpec(x.shape, tf.float32, name="x")])
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(m, folder)
        c = tf.lite.TFLiteConverter.from_saved_model(folder)
        setup(c)
        data = c.convert()
    i = tf.lite.Interpreter(model_content=data, experimental_op_resolver_type=REFERENCE)
    i.allocate_tensors()
    i.set_tensor(i.get_input_details()[0]["index"], x)
    i.invoke()
    open(os.path.join(OUT, name + ".tflite"), "wb").write(data)
    np.save(os.path.join(OUT, name + ".in.npy"), x)
    out = [i.get_tensor(o["index"]).copy() for o in i.get_output_details()]
    if setup is custom:  # what stands behind the last detection is what was in memory
        for o in out:
            if o.size > 1:
                o[0, int(out[1][0]):] = 0
    for k, o in enumerate(out):
        np.save(os.path.join(OUT, "%s.out%s.npy" % (name, k or "")), o)


def detector(regular, least):
    settings = {"max_detections": 6, "max_classes_per_detection": 1, "detections_per_class": 4, "num_classes": 3}
    text = ['name: "TFLite_Detection_PostProcess"'] + ['attr { key: "%s" value { i: %d } }' % p for p in settings.items()]
    text += ['attr { key: "%s" value { f: %g } }' % p for p in (("nms_score_threshold", least), ("nms_iou_threshold", 0.4), ("y_scale", 10.0),
                                                               ("x_scale", 10.0), ("h_scale", 5.0), ("w_scale", 5.0))]
    text.append('attr { key: "use_regular_nms" value { b: %s } }' % ("true" if regular else "false"))
    anchors = np.stack(list(np.meshgrid(np.linspace(0.1, 0.9, 5), np.linspace(0.1, 0.9, 5)))[::-1], -1).reshape(-1, 2)
    anchors = np.concatenate([anchors, np.full((25, 2), 0.35)], 1).astype(np.float32)

    @tf.function(experimental_implements=" ".join(text))
    def stand_in(boxes, scores, anchors):
        zero = tf.constant(0.0)
        return zero, zero, zero, zero

    def f(x):
        return stand_in(x[:, :, :4] * 4 - 2, x[:, :, 4:], tf.constant(anchors))

    return f


def custom(c):
    c.allow_custom_ops = True


x = rng.uniform(0, 1, (1, 25, 8)).astype(np.float32)
write("detector", detector(False, 0.95), x, custom)
write("detector_regular", detector(True, 0.3), x, custom)


def indices(t):
    """t [4,6]: operations whose answers are whole numbers or truths, every one as a piece of one row."""
    flat = lambda *v: [tf.reshape(tf.cast(p, tf.float32), [-1]) for p in v]
    best, places = tf.math.top_k(t, 3)
    out = flat(best, places, tf.one_hot(places, 6, 2.0, -1.0), tf.reduce_any(t > 0.9, 1), tf.reduce_all(t > 0.1, 0, keepdims=True))
    out += flat(tf.zeros_like(t)[:1], tf.math.floormod(t, 0.3), tf.reverse(t, [1]), tf.gather_nd(t, [[0, 1], [3, 2]]))
    out += flat(tf.scatter_nd([[1], [3]], t[:2], [5, 6]), tf.cumsum(t, 1, exclusive=True), tf.cumsum(t, 0, reverse=True))
    out += flat(tf.broadcast_to(t[:1], [3, 6]), tf.math.atan2(t, 0.5 - t), tf.range(t[0, 0], 2.0, 0.7)[:1])
    return tf.concat(out, 0)[tf.newaxis]


write("indices", indices, rng.uniform(0, 1, (4, 6)).astype(np.float32))

k3, b3 = rng.normal(0, 0.3, (2, 3, 2, 2, 4)).astype(np.float32), rng.normal(0, 0.3, 4).astype(np.float32)
t3 = rng.normal(0, 0.3, (2, 2, 3, 2, 4)).astype(np.float32)


def volumes(v):
    """v [1,4,6,5,2]"""
    a = tf.nn.relu(tf.nn.conv3d(v, k3, [1, 1, 2, 1, 1], "SAME") + b3)
    return tf.nn.conv3d_transpose(a, t3, [1, 8, 6, 5, 2], [1, 2, 2, 1, 1], "SAME")


write("volumes", volumes, rng.normal(0, 1, (1, 4, 6, 5, 2)).astype(np.float32))

thin = rng.normal(0, 0.3, (64, 32)).astype(np.float32) * (rng.uniform(0, 1, (64, 32)) < 0.1)
block = rng.normal(0, 0.3, (32, 16)).astype(np.float32) * np.kron(rng.uniform(0, 1, (32, 4)) < 0.1, np.ones((1, 4))).astype(np.float32)


def sparsely(c):
    c.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]


def sparse(v):
    return tf.matmul(tf.nn.relu(tf.matmul(v, thin)), block)


write("sparse", sparse, rng.normal(0, 1, (1, 64)).astype(np.float32), sparsely)

kernels = [rng.normal(0, 0.3, s).astype(np.float32) for s in ((3, 3, 3, 6), (3, 3, 6, 1), (1, 1, 6, 5))]


def sixteen(v):
    """v [1,8,8,3]: integers of 16 bits between layers, weights of 8."""
    a = tf.nn.relu6(tf.nn.conv2d(v, kernels[0], 2, "SAME") + 0.1)
    b = tf.nn.sigmoid(tf.nn.depthwise_conv2d(a, kernels[1], [1, 1, 1, 1], "SAME"))
    c = tf.concat([tf.nn.max_pool2d(a + b, 2, 2, "VALID"), tf.nn.avg_pool2d(a * b, 2, 2, "VALID")], 3)
    return tf.nn.softmax(tf.reduce_mean(tf.nn.conv2d(c[..., 3:9], kernels[2], 1, "SAME"), [1, 2]))


def wide(c):
    c.optimizations = [tf.lite.Optimize.DEFAULT]
    c.representative_dataset = lambda: ([rng.uniform(0, 1, (1, 8, 8, 3)).astype(np.float32)] for _ in range(8))
    c.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]


write("sixteen", sixteen, rng.uniform(0, 1, (1, 8, 8, 3)).astype(np.float32), wide)

# float.tflite of make_tensorflow_fixtures.py with the file that ultralytics (8.3, exporter.py) puts behind a network.
shutil.copy(os.path.join(OUT, "..", "tensorflow", "float.tflite"), os.path.join(OUT, "ultralytics.tflite"))
CLASSES = np.load(os.path.join(OUT, "..", "tensorflow", "float.out.npy")).shape[-1]
with zipfile.ZipFile(os.path.join(OUT, "ultralytics.tflite"), "a", zipfile.ZIP_DEFLATED) as z:
    told = {"description": "Ultralytics YOLO11n-cls model", "author": "Ultralytics", "version": "8.3.150", "stride": 1, "task": "classify", "batch": 1,
            "imgsz": [32, 32], "names": {i: "kind %d" % i for i in range(CLASSES)}, "args": {"batch": 1, "half": False}, "channels": 3}
    z.writestr(zipfile.ZipInfo("metadata.json", (2025, 1, 1, 0, 0, 0)), json.dumps(told, indent=2), zipfile.ZIP_DEFLATED)
