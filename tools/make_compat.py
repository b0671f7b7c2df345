#!/usr/bin/env python3
# Makes tests/data/compat: a small network and what Captum, pytorch-grad-cam, PAIR saliency and tf-keras-vis say of it, for
# test_explain_compat.c. Runs in a throw-away environment, in three parts:
#   make_compat.py torch DIR   PyTorch 1.13, captum 0.7.0, grad-cam 1.5.4, saliency 0.2.1, scikit-image 0.20.0: also writes the network
#   make_compat.py keras DIR   after it: TensorFlow 2.13.1, tf-keras-vis 0.8.7, and the recipe of Deep Learning with Python
#   make_compat.py pieces DIR CONVSCOPE   after it: captum 0.7.0 and lime 0.2.0.1, with Convscope's pieces and its draws, made anew here
import sys
import numpy as np

SIDE, TARGET = 24, 1
LIME_SAMPLES = SHAP_SAMPLES = 400
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
    other = CategoricalScore([2])
    save("tf_keras_vis_gradient_other", Saliency(net)(other, x, normalize_map=False))
    tf.random.set_seed(7)
    np.random.seed(7)
    some = [Saliency(net)(score, x, smooth_samples=500, smooth_noise=.2, keepdims=True, normalize_map=False) for _ in range(8)]
    save("tf_keras_vis_smoothgrad", np.moveaxis(np.mean(some, axis=0), -1, 1))  # its mean over 4000, before the largest channel is taken
    for name, kind in (("gradcam", Gradcam), ("gradcampp", GradcamPlusPlus), ("layercam", Layercam), ("scorecam", Scorecam)):
        for layer, tail in (("relu2", ""), ("relu1", "_relu1"), ("relu3", "_relu3")):
            save("tf_keras_vis_" + name + tail, kind(net)(score, x, penultimate_layer=layer, expand_cam=False, normalize_cam=False))
        save("tf_keras_vis_" + name + "_other", kind(net)(other, x, penultimate_layer="relu3", expand_cam=False, normalize_cam=False))
    # The book, section 5.4.3: the probability's gradient, its mean per map, the mean over the weighted maps.
    both = keras.Model(net.inputs, [net.get_layer("relu2").output, net.output])
    with tf.GradientTape() as tape:
        maps, logits = both(x)
        tape.watch(maps)
        both2 = keras.Sequential(net.layers[3:])
        p = tf.nn.softmax(both2(maps))[:, TARGET]
    pooled = tf.reduce_mean(tape.gradient(p, maps), axis=(0, 1, 2))
    save("dlwp_gradcam", np.maximum(np.mean(maps[0].numpy() * pooled.numpy(), axis=-1), 0))


def philox(seed, purpose, index):
    """src/base/random.c's counter-based numbers, written anew: uniform in [0, 1)."""
    m = 0xFFFFFFFF
    c = [index & m, index >> 32, purpose & m, purpose >> 32]
    k = [seed & m, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & m, (p0 >> 32) ^ c[3] ^ k[1], p0 & m]
        k = [(k[0] + 0x9E3779B9) & m, (k[1] + 0xBB67AE85) & m]
    return ((c[0] | c[1] << 32) >> 11) * 2.0 ** -53


def lime_rows(n, samples, seed=0):
    """Which pieces are there: all, then each with probability 1/2."""
    purpose = 0x6c696d65
    return np.array([[1 if k == 0 or philox(seed, purpose, k * n + j) < 0.5 else 0 for j in range(n)] for k in range(samples)])


def shapley_rows(n, samples, seed=0):
    """Sets of pieces: a size by the Shapley kernel, then the first of a shuffle; after each the set of all others."""
    weight = np.array([1.0 / (k * (n - k)) for k in range(1, n)])
    edges = np.cumsum(weight)
    rows = np.zeros((samples, n), int)
    for k in range(samples):
        if k % 2:
            rows[k] = 1 - rows[k - 1]
            continue
        u = philox(seed, 0x6b737a65, k) * edges[-1]
        size = min(int((edges <= u).sum()) + 1, n - 1)
        order = list(range(n))
        for i in range(size):
            j = i + int(philox(seed, 0x6b736574, k * n + i) * (n - i))
            order[i], order[j] = order[j], order[i]
            rows[k, order[i]] = 1
    return rows


def pieces_part(exe):
    """What Captum and the lime package make of the same pieces (cut by Convscope: their shapes are ours to choose) and the same draws."""
    import subprocess
    import torch
    from torch import nn
    from captum import attr as C
    from captum._utils.models.linear_model import SkLearnLinearRegression
    from captum.attr._core.kernel_shap import KernelShap
    from lime.lime_base import LimeBase
    from sklearn.linear_model import LinearRegression
    w = np.load(out + "/weights.npz")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2, self.conv3, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 4)

        def forward(self, x):
            x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
            return self.fc(self.conv3(self.conv2(x).relu()).relu().mean((2, 3)))

    net = Net().double().eval()
    net.load_state_dict({k: torch.tensor(v, dtype=torch.float64) for k, v in w.items()})
    x = torch.tensor(np.load(out + "/input.npy"), dtype=torch.float64)
    subprocess.run([exe, "explain", out + "/net.onnx", out + "/input.npy", "--method", "lime", "--raw", out + "/pieces.npy"], check=True)
    values, label = np.unique(np.load(out + "/pieces.npy"), return_inverse=True)  # a number of its own for every piece
    first = np.array([np.argmax(label == k) for k in range(len(values))])
    label = np.argsort(np.argsort(first))[label].reshape(SIDE, SIDE)  # in reading order, as they are numbered
    save("pieces", label)
    n, mask = len(values), torch.tensor(label)[None, None].expand(1, 3, SIDE, SIDE)
    means = torch.zeros_like(x)
    for k in range(n):
        means[0, :, label == k] = x[0, :, label == k].mean(1, keepdim=True)

    def scores(rows, without):
        with torch.no_grad():
            return np.array([net(torch.where(torch.tensor(r)[mask] > 0, x, without))[0, TARGET].item() for r in rows])

    # LIME: the authors' LimeBase with their own kernel on the cosine distance; Captum's with the same rows and the same kernel.
    rows = lime_rows(n, LIME_SAMPLES)
    seen = rows.sum(1)
    distance = 1 - np.sqrt(seen / n)
    theirs = LimeBase(lambda d: np.sqrt(np.exp(-(d ** 2) / 0.25 ** 2)))
    for name, without in (("lime_means", means), ("lime_black", torch.zeros_like(x))):
        y = scores(rows, without)
        pairs = theirs.explain_instance_with_data(rows.astype(float), np.stack([-y, y], 1), distance, 1, n, feature_selection="none",
                                                  model_regressor=LinearRegression())[1]
        value = np.zeros(n)
        for k, v in pairs:
            value[k] = v
        save(name, value[label])

    def captum(without, given):
        it = iter(given)
        base = C.LimeBase(net, SkLearnLinearRegression(), lambda a, b, z, **k: torch.exp(-(1 - torch.sqrt(z.double().sum() / n)) ** 2 / (2 * .25 ** 2)),
                          lambda original, **k: torch.tensor(next(it))[None], True, lambda z, original, **k: torch.where(z[0][mask] > 0, original, without), None)
        return base.attribute(x, target=TARGET, n_samples=len(given)).detach().numpy().ravel()

    save("captum_lime", captum(torch.zeros_like(x), rows)[label])

    class Given(KernelShap):
        def kernel_shap_perturb_generator(self, original, **k):
            yield torch.ones(1, n, dtype=torch.long)
            yield torch.zeros(1, n, dtype=torch.long)
            for r in shapley_rows(n, SHAP_SAMPLES):
                yield torch.tensor(r)[None]

    given = Given(net)
    given.perturb_func = given.kernel_shap_perturb_generator
    save("captum_kernelshap", given.attribute(x, torch.zeros_like(x), target=TARGET, feature_mask=mask, n_samples=SHAP_SAMPLES + 2)[0, 0])
    torch.manual_seed(2)  # and by its own draws, as they come
    save("captum_kernelshap_drawn",
         KernelShap(net).attribute(x, torch.zeros_like(x), target=TARGET, feature_mask=mask, n_samples=40000, perturbations_per_eval=200)[0, 0])


if part == "pieces":
    pieces_part(sys.argv[3])
else:
    torch_part() if part == "torch" else keras_part()
