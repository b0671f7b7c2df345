#!/usr/bin/env python3
# Makes tests/data/compat: a small network and what Captum, pytorch-grad-cam, PAIR saliency and tf-keras-vis say of it, for
# test_explain_compat.c. Runs in a throw-away environment, in two parts:
#   make_compat.py torch DIR   PyTorch 1.13, captum 0.7.0, grad-cam 1.5.4, saliency 0.2.1, scikit-image 0.20.0: also writes the network
#   make_compat.py keras DIR   after it: TensorFlow 2.13.1, tf-keras-vis 0.8.7, and the recipe of Deep Learning with Python
import sys
import numpy as np

SIDE, TARGET = 24, 1
part, out = sys.argv[1], sys.argv[2]


def save(name, a):
    a = a.detach().numpy() if hasattr(a, "detach") else a
    np.save("%s/%s.npy" % (out, name), np.ascontiguousarray(np.asarray(a, dtype=np.float32)))


def torch_part():
    import torch
    from torch import nn

    torch.manual_seed(3)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.relu1, self.pool = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
            self.conv2, self.relu2 = nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
            self.conv3, self.relu3 = nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
            self.gap, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 4)

        def forward(self, x):
            x = self.relu2(self.conv2(self.pool(self.relu1(self.conv1(x)))))
            return self.fc(torch.flatten(self.gap(self.relu3(self.conv3(x))), 1))

    net = Net().eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(2.0)
        net.fc.weight.mul_(3.0)
    y, u = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    r = np.random.RandomState(5)
    picture = np.stack([np.exp(-((y - .35) ** 2 + (u - .6) ** 2) * 14), y * u, np.sin(9 * u) * .3 + .4]) + r.rand(3, SIDE, SIDE) * .15
    x = torch.tensor(picture[None].astype(np.float32))
    save("input", x)
    torch.onnx.export(net, x, out + "/net.onnx", input_names=["x"], output_names=["logits"], opset_version=13,
                      dynamic_axes={"x": {0: "N"}})
    np.savez(out + "/weights.npz", **{k: v.numpy() for k, v in net.state_dict().items()})

    from captum import attr as C
    save("captum_gradient", C.Saliency(net).attribute(x, target=TARGET))
    save("captum_input_x_gradient", C.InputXGradient(net).attribute(x, target=TARGET))
    save("captum_guided_backprop", C.GuidedBackprop(net).attribute(x, target=TARGET))
    save("captum_deconvnet", C.Deconvolution(net).attribute(x, target=TARGET))
    ig = C.IntegratedGradients(net)
    save("captum_ig", ig.attribute(x, target=TARGET))
    save("captum_ig_trapezoid", ig.attribute(x, target=TARGET, n_steps=12, method="riemann_trapezoid"))
    save("captum_ig_left", ig.attribute(x, target=TARGET, n_steps=12, method="riemann_left"))
    save("captum_deeplift", C.DeepLift(net).attribute(x, target=TARGET))
    save("captum_lrp", C.LRP(net).attribute(x, target=TARGET))
    save("captum_gradcam", C.LayerGradCam(net, net.relu2).attribute(x, target=TARGET))
    save("captum_guided_gradcam", C.GuidedGradCam(net, net.relu2).attribute(x, target=TARGET))
    save("captum_conductance", C.LayerConductance(net, net.relu2).attribute(x, target=TARGET).sum(1, keepdim=True))
    save("captum_layer_ig", C.LayerIntegratedGradients(net, net.relu2).attribute(x, target=TARGET).sum(1, keepdim=True))

    # By chance: means over many draws, which test_explain_compat.c holds against as many of ours.
    torch.manual_seed(11)
    tunnel = C.NoiseTunnel(C.Saliency(net))
    for name, kind in (("smoothgrad", "smoothgrad"), ("smoothgrad_squared", "smoothgrad_sq"), ("vargrad", "vargrad")):
        save("captum_" + name, tunnel.attribute(x, target=TARGET, nt_type=kind, nt_samples=4000, nt_samples_batch_size=200, stdevs=0.05))
    save("captum_gradientshap", C.GradientShap(net).attribute(x, torch.zeros_like(x), n_samples=4000, stdevs=0.05, target=TARGET))
    save("captum_occlusion", C.Occlusion(net).attribute(x, sliding_window_shapes=(3, 4, 4), strides=(3, 4, 4), target=TARGET)[:, :1])

    import pytorch_grad_cam as P
    import pytorch_grad_cam.base_cam as base
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    kept = {}
    scale = base.scale_cam_image
    base.scale_cam_image = lambda cam, size=None: kept.setdefault("cam", np.array(cam)) * 0 if size is None else (
        kept.update(cam=np.array(cam)), scale(cam, size))[1]

    def cam(name, kind, layer):
        kept.clear()
        with kind(model=net, target_layers=[layer]) as c:
            c(input_tensor=x, targets=[ClassifierOutputTarget(TARGET)])
        save(name, kept["cam"])  # before scaling and enlarging

    for name, kind in (("gradcam", P.GradCAM), ("gradcampp", P.GradCAMPlusPlus), ("xgradcam", P.XGradCAM), ("layercam", P.LayerCAM),
                       ("hirescam", P.HiResCAM), ("scorecam", P.ScoreCAM), ("eigencam", P.EigenCAM), ("ablationcam", P.AblationCAM)):
        cam("grad_cam_" + name, kind, net.relu2)
    cam("grad_cam_ablationcam_negative", P.AblationCAM, net.conv3)
    full = P.FullGrad(net, [])
    import pytorch_grad_cam.fullgrad_cam as fg
    fg.scale_cam_image = lambda r: r
    save("grad_cam_fullgrad", full(input_tensor=x, targets=[ClassifierOutputTarget(TARGET)]))

    import saliency.core as S
    from saliency.core import xrai as X

    def model(batch, call_model_args=None, expected_keys=None):
        t = torch.tensor(np.moveaxis(np.asarray(batch, dtype=np.float32), -1, 1), requires_grad=True)
        net(t)[:, TARGET].sum().backward()
        return {S.base.INPUT_OUTPUT_GRADIENTS: np.moveaxis(t.grad.numpy(), 1, -1)}

    hwc = np.moveaxis(picture, 0, -1).astype(np.float32)
    back = lambda a: np.moveaxis(a, -1, 0)[None]
    save("pair_guided_ig", back(S.GuidedIG().GetMask(hwc, model, x_steps=60)))
    save("pair_blur_ig", back(S.BlurIG().GetMask(hwc, model, steps=40)))
    # XRAI in its two parts, on a larger picture with more in it: the cut, and the ranking of given segments by given attributions.
    side = 96
    y, u = np.mgrid[0:side, 0:side] / side
    big = np.stack([(u > .5) * .6 + .2 * y, ((y - .4) ** 2 + (u - .3) ** 2 < .05) * .7 + .1, .5 * np.cos(5 * y * u)], -1)
    big = (big + np.random.RandomState(8).rand(side, side, 3) * .06).astype(np.float32)
    from skimage import segmentation
    save("pair_picture", np.moveaxis(big, -1, 0)[None])
    cuts = [segmentation.felzenszwalb(X._normalize_image(big, [-1., 1.]), scale=s, sigma=.8, min_size=150) for s in (50, 250)]
    np.save(out + "/pair_cuts.npy", np.stack(cuts).astype(np.uint8))
    weights = np.random.RandomState(9).randn(side, side).astype(np.float32)
    weights += 3 * np.exp(-((y - .4) ** 2 + (u - .3) ** 2) * 30).astype(np.float32)
    save("pair_weights", weights)
    masks = X._get_segments_felzenszwalb(big, resize_image=False)
    save("pair_xrai", X.XRAI._xrai(weights, masks)[0])


def keras_part():
    import tensorflow as tf
    from tensorflow import keras
    w = np.load(out + "/weights.npz")
    L = keras.layers
    net = keras.Sequential([L.Input((SIDE, SIDE, 3)), L.Conv2D(6, 3, padding="same", activation="relu", name="relu1"), L.MaxPooling2D(2),
                            L.Conv2D(8, 3, padding="same", activation="relu", name="relu2"),
                            L.Conv2D(8, 3, padding="same", activation="relu", name="relu3"),
                            L.GlobalAveragePooling2D(), L.Dense(4)])
    for layer, name in ((0, "conv1"), (2, "conv2"), (3, "conv3")):
        net.layers[layer].set_weights([w[name + ".weight"].transpose(2, 3, 1, 0), w[name + ".bias"]])
    net.layers[5].set_weights([w["fc.weight"].T, w["fc.bias"]])
    x = np.moveaxis(np.load(out + "/input.npy"), 1, -1)
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.scores import CategoricalScore
    score = CategoricalScore([TARGET])
    save("tf_keras_vis_gradient", Saliency(net)(score, x, normalize_map=False))
    for name, kind in (("gradcam", Gradcam), ("gradcampp", GradcamPlusPlus), ("layercam", Layercam), ("scorecam", Scorecam)):
        save("tf_keras_vis_" + name, kind(net)(score, x, penultimate_layer="relu2", expand_cam=False, normalize_cam=False))
    # The book, section 5.4.3: the probability's gradient, its mean per map, the mean over the weighted maps.
    both = keras.Model(net.inputs, [net.get_layer("relu2").output, net.output])
    with tf.GradientTape() as tape:
        maps, logits = both(x)
        tape.watch(maps)
        both2 = keras.Sequential(net.layers[3:])
        p = tf.nn.softmax(both2(maps))[:, TARGET]
    pooled = tf.reduce_mean(tape.gradient(p, maps), axis=(0, 1, 2))
    save("dlwp_gradcam", np.maximum(np.mean(maps[0].numpy() * pooled.numpy(), axis=-1), 0))


torch_part() if part == "torch" else keras_part()
