# SPDX-License-Identifier: MIT
"""Captum, pytorch-grad-cam, PAIR saliency, Zennit, TorchCAM and DIANNA as peers, each through its own public class on torchvision's SqueezeNet 1.1 with
the weights of our model file. What is drawn by chance is drawn with noise of size 0 here and on our side, so that outputs can be
compared; it is as much work. A map of many channels is kept as the library gives it."""
import numpy as np

from peer_torch import last_conv, not_in_place, read
from serve import serve

import torch

BATCH = 4  # pictures at a time: of 1, 4 and 16 the fastest with every library here


def pixels(make, **call):
    """A Captum method of pixels: make(model) -> attribution object, call -> arguments of attribute."""
    def task(s, model, x, target):
        method, kept = make(model), {}

        def once():
            kept["map"] = method.attribute(x.clone().requires_grad_(True), target=target, **call)
        return once, lambda: kept["map"].detach().numpy()
    return task


def layered(name, **call):
    """A Captum method of a layer: the sum over its channels."""
    def task(s, model, x, target):
        import captum.attr
        method, kept = getattr(captum.attr, name)(model, last_conv(s["net"], model)), {}

        def once():
            kept["map"] = method.attribute(x, target=target, **call)
        return once, lambda: kept["map"].detach().sum(1, keepdim=True).numpy()
    return task


def captum(name, *args, **call):
    def make(model):
        import captum.attr
        return getattr(captum.attr, name)(model, *args)
    return pixels(make, **call)


def tunnel(kind, samples, noise=0.0):
    def make(model):
        from captum.attr import NoiseTunnel, Saliency
        return NoiseTunnel(Saliency(model))
    return pixels(make, nt_type=kind, nt_samples=samples, nt_samples_batch_size=BATCH, stdevs=noise)


def guided_gradcam(s, model, x, target):
    from captum.attr import GuidedGradCam
    method, kept = GuidedGradCam(model, last_conv(s["net"], model)), {}

    def once():
        kept["map"] = method.attribute(x.clone().requires_grad_(True), target=target)
    return once, lambda: kept["map"].detach().numpy()


def gradientshap(s, model, x, target):
    from captum.attr import GradientShap
    method, kept = GradientShap(model), {}

    def once():
        torch.manual_seed(0)
        kept["map"] = method.attribute(x, torch.zeros_like(x), n_samples=int(s["samples"]), stdevs=0.0, target=target)
    return once, lambda: kept["map"].detach().numpy()


def pieces(name):
    """On the pieces given. LIME counts its pictures as its authors' program does, and without its own lasso, whose penalty of 0.01 would
    leave nothing of logits this small."""
    def task(s, model, x, target):
        import captum.attr
        mask, kept, more = torch.from_numpy(np.load(s["pieces"])).long()[None, None].expand(1, 3, -1, -1), {}, {}
        if name == "Lime":
            from captum._utils.models.linear_model import SkLearnLinearRegression

            def near(original, changed, seen, **_):
                return torch.exp(-(1 - seen.float().mean().sqrt()) ** 2 / (2 * 0.25 ** 2))
            more = {"interpretable_model": SkLearnLinearRegression(), "similarity_func": near}
        method = getattr(captum.attr, name)(model, **more)

        def once():
            torch.manual_seed(0)
            with torch.no_grad():
                kept["map"] = method.attribute(x, target=target, feature_mask=mask, perturbations_per_eval=BATCH, n_samples=int(s["samples"]))
        return once, lambda: kept["map"].detach().numpy()
    return task


def channel_ablation(s, model, x, target):
    """What the target loses without a map, laid where the map is active, as ours."""
    from captum.attr import LayerActivation, LayerFeatureAblation
    layer, kept = last_conv(s["net"], model), {}
    method, maps = LayerFeatureAblation(model, layer), LayerActivation(model, layer).attribute(x).detach()
    mask = torch.arange(maps.shape[1])[None, :, None, None].expand_as(maps)

    def once():
        with torch.no_grad():
            kept["map"] = method.attribute(x, target=target, layer_baselines=0, layer_mask=mask, perturbations_per_eval=BATCH)

    def result():
        size = maps.abs()
        share = torch.where(size.sum((2, 3), True) > 0, size / size.sum((2, 3), True), torch.full_like(size, 1.0 / size[0, 0].numel()))
        return (kept["map"] * share).sum(1, keepdim=True).numpy()
    return once, result


def occlusion(s, model, x, target):
    from captum.attr import Occlusion
    method, kept, patch, stride = Occlusion(model), {}, int(s["patch"]), int(s["stride"])

    def once():
        with torch.no_grad():
            kept["map"] = method.attribute(x, sliding_window_shapes=(3, patch, patch), strides=(3, stride, stride), target=target,
                                           baselines=0, perturbations_per_eval=BATCH)
    return once, lambda: kept["map"].numpy()


def cam(name):
    """pytorch-grad-cam as its manual shows it: the map enlarged to the picture and scaled to 0..1."""
    def task(s, model, x, target):
        import pytorch_grad_cam as library
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
        kept, targets = {}, [ClassifierOutputTarget(target)]
        where = [] if name == "FullGrad" else [last_conv(s["net"], model)]
        method = getattr(library, name)(model, where)
        method.batch_size = BATCH

        def once():
            kept["map"] = method(input_tensor=x, targets=targets)
        return once, lambda: kept["map"]
    return task


def pair(name, **call):
    """PAIR saliency asks for gradients of pictures with channels last."""
    def task(s, model, x, target):
        import saliency.core as library
        kept, picture = {}, np.moveaxis(x[0].numpy(), 0, -1).astype(np.float32)

        def ask(batch, call_model_args=None, expected_keys=None):
            t = torch.tensor(np.moveaxis(np.asarray(batch, dtype=np.float32), -1, 1), requires_grad=True)
            g, = torch.autograd.grad(model(t)[:, target].sum(), t)
            return {library.base.INPUT_OUTPUT_GRADIENTS: np.moveaxis(g.numpy(), 1, -1)}
        method, more = getattr(library, name)(), dict(call)
        if name == "XRAI":
            more["extra_parameters"] = library.XRAIParameters(steps=int(s["steps"]), algorithm="full")
            more["baselines"] = [np.full_like(picture, picture.min()), np.full_like(picture, picture.max())]
        elif name == "GuidedIG":
            more["x_steps"] = int(s["steps"])
            more["x_baseline"] = np.zeros_like(picture)
        else:
            more["steps"] = int(s["steps"])
        if name != "GuidedIG":  # whose steps wait for each other
            more["batch_size"] = BATCH

        def once():
            kept["map"] = method.GetMask(picture, ask, **more)
        return once, lambda: np.moveaxis(kept["map"], -1, 0)[None] if kept["map"].ndim == 3 else kept["map"]
    return task


def zennit(rule, first=False):
    """The rule on every convolution (SqueezeNet has no other layer with weights), relevance from the logit; `first`: the box rule at the
    picture."""
    def task(s, model, x, target):
        from zennit.composites import ExcitationBackprop, LayerMapComposite, SpecialFirstLayerMapComposite
        from zennit.rules import AlphaBeta, Gamma, Norm, Pass, ZBox, ZPlus
        from zennit.types import Activation, AvgPool
        made = {"gamma": lambda: Gamma(0.25), "alphabeta": lambda: AlphaBeta(2, 1), "zplus": ZPlus, "excitation": lambda: None}[rule]()
        layers, kept = [(Activation, Pass()), (AvgPool, Norm()), (torch.nn.Conv2d, made)], {}
        if rule == "excitation":
            composite = ExcitationBackprop()
        elif first:
            composite = SpecialFirstLayerMapComposite(layers, [(torch.nn.Conv2d, ZBox(x.min() + 0 * x, x.max() + 0 * x))])
        else:
            composite = LayerMapComposite(layers)

        def once():
            t = x.clone().requires_grad_(True)
            with composite.context(model) as changed:
                y = changed(t)
                start = torch.zeros_like(y)
                start[0, target] = y[0, target].detach().sign() if rule == "excitation" else y[0, target].detach()
                kept["map"], = torch.autograd.grad(y, t, start)
        return once, lambda: kept["map"].numpy()
    return task


def torch_cam(s, model, x, target):
    from torchcam.methods import CAM
    method, kept = CAM(model, "features", "classifier.1"), {}

    def once():
        with torch.no_grad():
            model(x)
            kept["map"] = method(target)[0]
    return once, lambda: kept["map"].numpy()


def rise(s, model, x, target):
    import sys
    import types
    sys.modules.setdefault("onnxruntime", types.ModuleType("onnxruntime"))  # only for models that are files
    from dianna.methods.rise_image import RISEImage
    kept = {}

    def ask(batch):
        with torch.no_grad():
            return model(torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32))).numpy()

    def once():
        np.random.seed(0)
        method = RISEImage(n_masks=int(s["samples"]), feature_res=7, p_keep=0.5, axis_labels={0: "channels"})
        kept["map"] = method.explain(ask, x[0].numpy(), [target], batch_size=BATCH)
    return once, lambda: np.asarray(kept["map"])


TASKS = {
    "gradient": captum("Saliency"), "input-x-gradient": captum("InputXGradient"),
    "smoothgrad": tunnel("smoothgrad", 16), "smoothgrad-squared": tunnel("smoothgrad_sq", 16), "vargrad": tunnel("vargrad", 16, 0.5),
    "integrated-gradients": captum("IntegratedGradients", n_steps=20, internal_batch_size=BATCH), "gradientshap": gradientshap,
    "guided-backprop": captum("GuidedBackprop"), "deconvnet": captum("Deconvolution"), "guided-gradcam": guided_gradcam,
    "deeplift": captum("DeepLift"), "lrp-epsilon": captum("LRP"),
    "conductance": layered("LayerConductance", n_steps=20, internal_batch_size=BATCH),
    "layer-integrated-gradients": layered("LayerIntegratedGradients", n_steps=20, internal_batch_size=BATCH),
    "occlusion": occlusion, "lime": pieces("Lime"), "kernelshap": pieces("KernelShap"),
    "gradcam": cam("GradCAM"), "gradcam++": cam("GradCAMPlusPlus"), "xgradcam": cam("XGradCAM"), "layercam": cam("LayerCAM"),
    "hirescam": cam("HiResCAM"), "eigencam": cam("EigenCAM"), "scorecam": cam("ScoreCAM"), "ablationcam": cam("AblationCAM"),
    "fullgrad": cam("FullGrad"),
    "blur-ig": pair("BlurIG"), "guided-ig": pair("GuidedIG"), "xrai": pair("XRAI"),
    "lrp-gamma": zennit("gamma"), "lrp-alphabeta": zennit("alphabeta"), "lrp-zplus": zennit("zplus"),
    "lrp-composite": zennit("gamma", True), "deep-taylor": zennit("zplus", True), "excitation-backprop": zennit("excitation"),
    "channel-ablation": channel_ablation, "cam": torch_cam, "rise": rise,
}


def prepare(s):
    model, x = read(s)
    not_in_place(model)
    if TASKS[s["task"]].__qualname__.startswith("cam."):
        pass  # as its manual shows it, with the gradients of all weights
    elif s["task"] != "lrp-epsilon":  # which asks for them
        for p in model.parameters():
            p.requires_grad_(False)
    return TASKS[s["task"]](s, model, x, int(s["target"]))


if __name__ == "__main__":
    serve(prepare)
