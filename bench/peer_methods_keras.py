# SPDX-License-Identifier: MIT
"""tf-keras-vis as a peer: its own classes on SqueezeNet 1.1 in Keras with the weights of our model file. Maps are asked for as they
are, neither enlarged nor scaled; noise has size 0, here and on our side, so that outputs can be compared."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np

from serve import THREADS, serve

import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(int(THREADS))
tf.config.threading.set_inter_op_parallelism_threads(1)
LAST, BATCH = "fire9", 32


def squeezenet(weights):
    layers = tf.keras.layers
    made = []

    def conv(x, n, size, stride=1, padding="same"):
        layer = layers.Conv2D(n, size, stride, padding, activation="relu")
        made.append(layer)
        return layer(x)

    def fire(x, narrow, wide, name):
        x = conv(x, narrow, 1)
        return layers.Concatenate(name=name)([conv(x, wide, 1), conv(x, wide, 3)])
    picture = layers.Input((224, 224, 3))
    x = layers.MaxPooling2D(3, 2)(conv(picture, 64, 3, 2, "valid"))
    for i, (narrow, wide) in enumerate(((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))):
        x = fire(x, narrow, wide, "fire%d" % (i + 2))
        if i in (1, 3):
            x = layers.MaxPooling2D(3, 2)(x)
    net = tf.keras.Model(picture, layers.GlobalAveragePooling2D()(conv(x, 1000, 1)))
    stored = np.load(weights)
    for layer, k in zip(made, stored["order"], strict=True):
        layer.set_weights([stored["%s/0" % k].transpose(2, 3, 1, 0), stored["%s/1" % k]])
    return net


def prepare(s):
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.scores import CategoricalScore
    net, x = squeezenet(s["weights"]), tf.constant(np.load(s["input"]).transpose(0, 2, 3, 1))
    task, score, kept = s["task"], CategoricalScore([int(s["target"])]), {}
    if task in ("gradient", "smoothgrad"):
        method, more = Saliency(net), dict(keepdims=True, normalize_map=False, smooth_samples=int(s.get("samples", 0)), smooth_noise=0.0)
    else:
        kind = {"gradcam": Gradcam, "gradcam++": GradcamPlusPlus, "layercam": Layercam, "scorecam": Scorecam}[task]
        method, more = kind(net), dict(penultimate_layer=LAST, seek_penultimate_conv_layer=False, expand_cam=False, normalize_cam=False)
        if task == "scorecam":
            more["batch_size"] = BATCH

    def once():
        kept["map"] = method(score, x, **more)

    def result():
        a = np.asarray(kept["map"])
        return a.transpose(0, 3, 1, 2) if a.ndim == 4 else a[:, None]
    return once, result


if __name__ == "__main__":
    serve(prepare)
