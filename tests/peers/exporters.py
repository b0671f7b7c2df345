#!/usr/bin/env python3
# usage: exporters.py CONVSCOPE FOLDER [torch|torch2|files|timm|hub|yolo|keras] [WORD...]. `files`: those that torch2_cases.py left in FOLDER, perhaps
# on a machine with another PyTorch. Not part of make test: long, and it installs TensorFlow into
# FOLDER/tf, timm into FOLDER/timm, what a PyTorch of 2.5 or newer needs beside it into FOLDER/torch2. The real
# libraries write networks with random weights in every format that they have, Convscope opens and runs the files, and the outputs are held
# against the library's own. Each result is a row of docs/exporters.csv: what, exporter, version, opset, largest difference (of the largest
# number), or what went wrong. Rows stay until they are measured again; WORDs run only the cases whose name holds one of them.
import csv, fcntl, gc, json, os, re, shutil, subprocess, sys, time

exe, place = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
part = sys.argv[3] if len(sys.argv) > 3 else None
words = sys.argv[4:]
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ledger = os.path.join(root, "docs", "exporters.csv")
fields = ["network", "format", "exporter", "version", "opset", "difference", "limit", "result"]
python = os.path.join(place, "tf", "bin", "python")
torch2_python = os.path.join(place, "torch2", "bin", "python")
timm_python = os.path.join(place, "timm", "bin", "python")
if part is None:
    bad = 0
    os.makedirs(place, exist_ok=True)
    new = "import torch, torchvision, sys; sys.exit(tuple(map(int, torch.__version__.split('.')[:2])) < (2, 5))"
    if subprocess.run(["/usr/bin/python3", "-c", new], stderr=subprocess.DEVNULL).returncode == 0:
        if not os.path.exists(torch2_python):
            subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", os.path.join(place, "torch2")], check=True)
            subprocess.run([torch2_python, "-m", "pip", "-q", "install", "onnx", "onnxscript", "safetensors"], check=True)
        bad |= subprocess.run([torch2_python, __file__, exe, place, "torch2"]).returncode
    elif subprocess.run(["/usr/bin/python3", "-c", "import torch, torchvision"], stderr=subprocess.DEVNULL).returncode == 0:
        bad |= subprocess.run(["/usr/bin/python3", __file__, exe, place, "torch"]).returncode
        if not os.path.exists(timm_python):  # --no-deps: it shall run on Debian's torch
            subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", os.path.join(place, "timm")], check=True)
            subprocess.run([timm_python, "-m", "pip", "-q", "install", "--no-deps", "timm==0.9.16", "huggingface_hub==0.20.3", "safetensors",
                            "filelock", "fsspec", "pyyaml", "tqdm", "packaging", "requests", "typing_extensions"], check=True)
        bad |= subprocess.run([timm_python, __file__, exe, place, "timm"]).returncode
        subprocess.run([timm_python, "-m", "pip", "-q", "install", "--no-deps", "transformers==4.40.2", "huggingface_hub==0.23.5", "tokenizers==0.19.1", "regex"], check=True)
        bad |= subprocess.run([timm_python, __file__, exe, place, "hub"]).returncode
        subprocess.run([timm_python, "-m", "pip", "-q", "install", "--no-deps", "ultralytics==8.3.150", "ultralytics-thop", "yolov5==7.0.14",
                        "facenet-pytorch==2.5.3", "spandrel", "einops", "opencv-python-headless==4.8.1.78", "py-cpuinfo", "psutil", "seaborn",
                        "pandas==1.5.3", "python-dateutil", "pytz", "tzdata", "matplotlib==3.7.5", "contourpy", "cycler", "fonttools",
                        "kiwisolver", "pillow", "pyparsing"], check=True)
        bad |= subprocess.run([timm_python, __file__, exe, place, "yolo"]).returncode
    else:
        print("exporters: torch skipped, python3-torch and python3-torchvision are not installed")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", os.path.join(place, "tf")], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", "tensorflow-cpu", "tf2onnx", "onnx", "h5py"], check=True)
    bad |= subprocess.run([python, __file__, exe, place, "keras"]).returncode
    sys.exit(bad)

import numpy as np

work = os.path.join(place, "files-%s-%d" % (part, os.getpid()))
faults = []


def key_of(row):
    """PyTorch 2 stands beside PyTorch 1; else a newer version takes the place of an older one."""
    return row["network"], row["format"], str(row["opset"]), row["exporter"] + row["version"].split(".")[0] if row["exporter"] == "torch" else ""


def known():
    if not os.path.exists(ledger):
        return {}
    with open(ledger, newline="") as f:
        return {key_of(r): r for r in csv.DictReader(f)}


def put(row):
    with open(os.path.join(place, "rows.lock"), "w") as lock:  # the two libraries may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        put_alone(row)


def put_alone(row):
    row["result"] = re.sub(r"(?<![:\w/])(?:/[\w.+-]+)+/", "", str(row["result"]))  # where a file lay says nothing to others
    rows = known()
    rows[key_of(row)] = row
    with open(ledger + ".tmp", "w", newline="") as f:
        w = csv.DictWriter(f, fields, lineterminator="\n")
        w.writeheader()
        w.writerows(rows[k] for k in sorted(rows))
    os.replace(ledger + ".tmp", ledger)


def outputs(model, x, *args):
    out = os.path.join(work, "out")
    shutil.rmtree(out, ignore_errors=True)
    given = [os.path.join(work, "input%d.npy" % i) for i in range(len(x) if isinstance(x, list) else 1)]
    for path, a in zip(given, x if isinstance(x, list) else [x]):
        np.save(path, a)
    p = subprocess.run([exe, "run", model, *given, "-o", out, "--threads", "1", *args], capture_output=True, text=True, timeout=900)
    if p.returncode:
        raise RuntimeError(p.stderr.strip()[-300:])
    with open(os.path.join(out, "index.json")) as f:
        index = json.load(f)
    files = {l["name"]: l["file"] for l in index["layers"]}
    return [np.load(os.path.join(out, files[n])) for n in index["outputs"]]


def compare(network, form, exporter, version, opset, limit, path, x, wanted, *args):
    """Runs the file and writes the row. `wanted`: the library's outputs, in the order of the file's."""
    row = dict(zip(fields, [network, form, exporter, version, opset, "", limit, ""]))
    try:
        got = outputs(path, x, *args)
        far = 0.0
        if len(got) < len(wanted):
            raise RuntimeError("%d outputs, wanted %d" % (len(got), len(wanted)))
        for a, b in zip(got, wanted):
            b = np.asarray(b)
            if a.size != b.size:
                raise RuntimeError("output %s, wanted %s" % (a.shape, b.shape))
            if b.dtype.kind in "iub":
                far = float(np.maximum(far, np.abs(a.astype(np.int64).reshape(b.shape) - b.astype(np.int64)).max()))
            else:
                far = float(np.maximum(far, np.abs(a.reshape(b.shape) - b).max() / max(np.abs(b).max(), 1e-30)))  # NaN stays
        row.update(difference="%.1e" % far if got[0].dtype.kind == "f" else "%d steps" % far, result="ok" if far <= limit else "too far")
    except Exception as e:  # a row of its own: the others go on
        row["result"] = " ".join(str(e).replace(work + "/", "").split())[:200]
    put(row)
    if row["result"] != "ok":
        faults.append(row)
    print("%-22s %-26s %4s  %-9s %s" % (network, form, opset, row["difference"], row["result"]), flush=True)


def wanted(name):
    return not words or any(w in name for w in words)


# ---- PyTorch and torchvision ---------------------------------------------------------------------------------
def torch_part():
    import torch, torchvision
    import torchvision.models as tv

    torch.set_num_threads(1)
    version = torch.__version__ + "/" + torchvision.__version__
    families = [("alexnet", 224), ("vgg11", 224), ("vgg11_bn", 224), ("resnet18", 64), ("resnext50_32x4d", 64), ("wide_resnet50_2", 64),
                ("squeezenet1_1", 64), ("densenet121", 64), ("googlenet", 64), ("inception_v3", 96), ("mobilenet_v2", 64),
                ("mobilenet_v3_small", 64), ("mobilenet_v3_large", 64), ("mnasnet0_5", 64), ("shufflenet_v2_x0_5", 64),
                ("efficientnet_b0", 64), ("regnet_x_400mf", 64), ("regnet_y_400mf", 64), ("convnext_tiny", 64)]
    for name, size in families:
        if not wanted(name):
            continue
        torch.manual_seed(7)
        extra = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
        net = getattr(tv, name)(weights=None, num_classes=10, **extra).eval()
        as_trained(torch, net)
        x = torch.randn(1, 3, size, size)
        with torch.no_grad():
            y = [net(x).numpy()]
            path = os.path.join(work, "m.onnx")
            for opset in (9, 11, 13, 17):
                try:
                    torch.onnx.export(net, x, path, opset_version=opset)
                except Exception as e:
                    put(dict(zip(fields, [name, "ONNX", "torch", version, opset, "", 1e-4, "torch does not export it: " + str(e)[:90]])))
                    continue
                compare(name, "ONNX", "torch", version, opset, 1e-4, path, x.numpy(), y)
            os.remove(path) if os.path.exists(path) else None
            traced = os.path.join(work, "m.pt")
            torch.jit.trace(net, x).save(traced)
            compare(name, "TorchScript traced", "torch", version, "", 1e-4, traced, x.numpy(), y)
            try:
                torch.jit.script(net).save(traced)
                compare(name, "TorchScript scripted", "torch", version, "", 1e-4, traced, x.numpy(), y)
            except Exception as e:
                print(name, "does not script:", str(e)[:80])
            torch.save(net.state_dict(), traced)
            x = torch.randn(1, 3, *2 * [299 if name == "inception_v3" else 224])  # the size that the recognised architecture names
            y = [net(x).numpy()]
            compare(name, ".pt state_dict", "torch", version, "", 1e-4, traced, x.numpy(), y)
            os.remove(traced)
        del net
        gc.collect()


# ---- PyTorch 2: torch2_cases.py has the networks and the formats ---------------------------------------------------
def torch2_part():
    import torch, torch2_cases

    torch.set_num_threads(1)
    for name, form, opset, path, x, y in torch2_cases.cases(work, lambda network, form: wanted(network + " " + form)):
        if path is None:
            put(dict(zip(fields, [name, form, "torch", torch2_cases.version, opset, "", 1e-4, "torch does not write it: " + x[:120]])))
            continue
        compare(name, form, "torch", torch2_cases.version, opset, 1e-4, path, x, y)
        shutil.rmtree(work)
        os.makedirs(work)


def files_part():
    with open(os.path.join(place, "cases.json")) as f:
        list_ = json.load(f)
    for row in list_:
        name, form, opset, path = row["network"], row["format"], row["opset"], row["path"] and os.path.join(place, row["path"])
        if not wanted(name + " " + form):
            continue
        if path is None:
            put(dict(zip(fields, [name, form, "torch", row["version"], opset, "", 1e-4, "torch does not write it: " + row["error"][:120]])))
            continue
        with np.load(path + ".npz") as f:
            x, y = f["x"], [f["y%d" % i] for i in range(len(f.files) - 1)]
        compare(name, form, "torch", row["version"], opset, 1e-4, path, x, y)


def as_trained(torch, net, least=0.6, most=1.4):
    """Running statistics and scales as after training, not 0 and 1."""
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.uniform_(-0.3, 0.3)
            m.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(m.weight, least, most)
            torch.nn.init.uniform_(m.bias, -0.3, 0.3)
    for name, p in net.named_parameters():
        if "gamma" in name or "layer_scale" in name or "grn" in name:
            torch.nn.init.uniform_(p.data, 0.5, 1.0)


# ---- timm: its state_dicts, whose names tell the architecture --------------------------------------------------
def timm_part():
    import warnings
    warnings.filterwarnings("ignore")
    import timm, torch

    torch.set_num_threads(1)
    version = "timm %s/torch %s" % (timm.__version__, torch.__version__)
    sides = {"inception_v3": 299, "inception_resnet_v2": 299, "inception_v4": 299, "legacy_xception": 299, "efficientnet_b1": 240, "efficientnet_b3": 300, "efficientnet_lite1": 240,
             "efficientnet_lite3": 280, "xception41": 299, "xception71": 299}  # that the recognised architecture names; 224 else
    for name in ("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "seresnet50", "seresnext50_32x4d", "resnet26t", "resnet50d", "vgg11_bn", "vgg16",
                 "densenet121", "mobilenetv2_100", "mobilenetv2_110d", "mobilenetv3_large_100", "mobilenetv3_small_100",
                 "tf_mobilenetv3_large_100", "tf_mobilenetv3_small_minimal_100", "efficientnet_b0", "efficientnet_b1", "efficientnet_b3",
                 "tf_efficientnet_b0", "efficientnet_lite0", "efficientnet_lite1", "tf_efficientnet_lite0", "efficientnet_es", "efficientnet_em", "efficientnetv2_rw_t", "efficientnetv2_rw_s",
                 "tf_efficientnetv2_s", "tf_efficientnetv2_b0", "mnasnet_100", "mnasnet_small", "semnasnet_100", "spnasnet_100", "fbnetc_100",
                 "fbnetv3_b", "lcnet_050", "tinynet_a", "ghostnet_100", "regnetx_004", "regnety_004", "convnext_tiny", "inception_v3",
                 "inception_v4", "legacy_xception", "repvgg_a0", "repvgg_b1g4", "res2net50_26w_4s", "res2next50", "ecaresnet26t", "ecaresnet50d",
                 "convnextv2_atto", "convnextv2_nano", "convmixer_1024_20_ks9_p14", "ese_vovnet19b_dw", "ese_vovnet39b", "inception_resnet_v2", "hrnet_w18_small", "dla34", "dla60x_c",
                 "dla102", "rexnet_100", "rexnetr_130", "selecsls42b", "selecsls60", "dpn48b", "dpn68", "dpn68b", "dpn92", "gernet_s", "gernet_m", "xception41",
                 "xception71", "mobilenetv3_rw"):
        if not wanted(name):
            continue
        torch.manual_seed(11)
        net = timm.create_model(name, **({"bn_eps": 1e-3} if name == "mobilenetv3_rw" else {})).eval()  # as its own weights have it
        as_trained(torch, net, 0.3, 0.7)  # with scales around 1 the deep ones blow up: torch's own float32 and float64 differ by 0.3
        path = os.path.join(work, name + ".pth")
        torch.save(net.state_dict(), path)
        x = torch.randn(1, 3, *2 * [sides.get(name, 224)])
        with torch.no_grad():
            y = [net(x).numpy()]
        compare(name, ".pt state_dict of timm", "timm", version, "", 1e-4, path, x.numpy(), y)
        os.remove(path)
        del net
        gc.collect()


# ---- folders as Hugging Face's transformers saves them ----------------------------------------------------------
def hub_part():
    import warnings
    warnings.filterwarnings("ignore")
    import torch
    import transformers as T

    torch.set_num_threads(1)
    version = "transformers %s/torch %s" % (T.__version__, torch.__version__)
    small = dict(layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2])
    early = dict(small, downsample_in_first_stage=True, hidden_act="gelu")
    scaled = [dict(width_coefficient=w, depth_coefficient=d, hidden_dim=h, image_size=i, depthwise_padding=p)
              for w, d, h, i, p in ((1.0, 1.0, 1280, 224, []), (1.1, 1.2, 1408, 260, [5, 8, 16]))]
    for name, family, side, settings in (
            ("resnet-18", "ResNet", 64, small), ("resnet-50", "ResNet", 64, {}), ("resnet-18 early", "ResNet", 64, early),
            ("regnet-y-400mf", "RegNet", 64, dict(hidden_sizes=[48, 104, 208, 440], depths=[1, 3, 6, 6], groups_width=8)),
            ("regnet-x-400mf", "RegNet", 64, dict(hidden_sizes=[32, 64, 160, 384], depths=[1, 2, 7, 12], groups_width=16, layer_type="x")),
            ("convnext-tiny", "ConvNext", 64, {}),
            ("convnextv2-atto", "ConvNextV2", 64, dict(hidden_sizes=[40, 80, 160, 320], depths=[2, 2, 6, 2])),
            ("mobilenet-v1", "MobileNetV1", 64, {}), ("mobilenet-v1 0.5", "MobileNetV1", 75, dict(tf_padding=False, depth_multiplier=0.5)),
            ("mobilenet-v2", "MobileNetV2", 64, {}),
            ("mobilenet-v2 0.75", "MobileNetV2", 75, dict(first_layer_is_expansion=False, depth_multiplier=0.75, hidden_act="relu")),
            ("efficientnet-b0", "EfficientNet", 64, scaled[0]), ("efficientnet-b2", "EfficientNet", 77, scaled[1])):
        for whole in (True, False):
            if not wanted(name):
                continue
            torch.manual_seed(11)
            config = getattr(T, family + "Config")(**settings)
            net = getattr(T, family + ("ForImageClassification" if whole else "Model"))(config).eval()
            as_trained(torch, net, 0.3, 0.7)
            path = os.path.join(work, "folder")
            shutil.rmtree(path, ignore_errors=True)
            net.save_pretrained(path)
            x = torch.randn(1, 3, side, side)
            with torch.no_grad():
                y = net(x)
            compare(name, "folder of a hub" + ("" if whole else ", no classifier"), "transformers", version, "", 1e-5, path, x.numpy(),
                    [(y.logits if whole else y.pooler_output).numpy()], "--size", "%dx%d" % (side, side))


# ---- YOLO checkpoints, and other common files of PyTorch ---------------------------------------------------------
def yolo_part():
    import copy, warnings
    warnings.filterwarnings("ignore")
    os.environ["YOLO_CONFIG_DIR"], os.environ["YOLO_OFFLINE"] = place, "true"
    import torch, ultralytics, yolov5
    sys.path.insert(0, os.path.dirname(yolov5.__file__))
    from ultralytics.nn.modules import Classify, Detect
    from yolov5.models.yolo import DetectionModel, SegmentationModel

    torch.set_num_threads(1)
    path = os.path.join(work, "m.pt")

    def listed(y):
        return [t.numpy() for t in (y if isinstance(y, (list, tuple)) else [y])]

    def checkpoint(name, net, version, side, export, exports):
        """Half-precision weights as the trainers save them; the answers are those of the network that the library exports."""
        as_trained(torch, net, 0.5, 1.2)
        for tower in getattr(net.model[-1], "one2one_cv3", []):  # or the best 300 are all alike
            torch.nn.init.normal_(tower[-1].weight, 0, 0.4)
        net = net.half()
        net.args = {"imgsz": side}
        torch.save({"epoch": -1, "model": copy.deepcopy(net), "ema": None, "train_args": {"imgsz": side}, "version": version}, path)
        net, x = net.float().eval(), torch.rand(1, 3, side, side)
        for m in net.modules():
            export(m)
        with torch.no_grad():
            y = net(x)
            want = listed(y)
            compare(name, ".pt checkpoint", "ultralytics", version, "", 1e-4, path, x.numpy(), want)
            if exports:
                torch.jit.trace(net, x, strict=False).save(path)
                compare(name, "TorchScript traced", "torch", torch.__version__, "", 1e-4, path, x.numpy(), want)
                torch.onnx.export(net, x, os.path.join(work, "m.onnx"), opset_version=12)
                compare(name, "ONNX", "torch", torch.__version__, 12, 1e-4, os.path.join(work, "m.onnx"), x.numpy(), want)
        os.remove(path)

    def new(m):
        if isinstance(m, (Detect, Classify)):
            m.export, m.format = True, "onnx"

    for name, exports in (("yolov8n", True), ("yolo11n", True), ("yolo12n", False), ("yolov10n", False), ("yolov9t", False), ("yolov8n-seg", True),
                          ("yolov9c-seg", False), ("yolov8n-pose", True), ("yolov8n-obb", True), ("yolo11n-cls", True), ("yolov5n", False),
                          ("yolov3-tiny", False), ("yolov8n-p2", False), ("yolov8n-ghost", False), ("yolov6n", False)):
        if wanted(name):
            torch.manual_seed(3)
            checkpoint(name + " (ultralytics)", ultralytics.YOLO(name + ".yaml").model.float().eval(), ultralytics.__version__,
                       224 if "cls" in name else 160, new, exports)
            gc.collect()

    def old(m):
        m.export = True

    for name, model, where in (("yolov5n", DetectionModel, ""), ("yolov5n-seg", SegmentationModel, "segment"), ("yolov5s-ghost", DetectionModel, "hub"),
                               ("yolov3-tiny", DetectionModel, "hub"), ("yolov5-fpn", DetectionModel, "hub")):
        if wanted(name):
            torch.manual_seed(3)
            net = model(os.path.join(os.path.dirname(yolov5.__file__), "models", where, name + ".yaml")).eval()
            checkpoint(name + " (YOLOv5)", net, "yolov5 " + yolov5.__version__, 160, old, name == "yolov5n")
            gc.collect()
    from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
    for name, by, side, make in (("FaceNet", "facenet-pytorch 2.5.3", 160, lambda: InceptionResnetV1(pretrained=None)),
                                 ("ESRGAN x4", "spandrel", 64, lambda: RRDBNet(num_filters=16, num_blocks=2, scale=4)),
                                 ("ESRGAN x2", "spandrel", 64, lambda: RRDBNet(in_nc=12, num_filters=16, num_blocks=1, scale=4, shuffle_factor=2)),
                                 ("Real-ESRGAN compact", "spandrel", 64, lambda: SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=16, num_conv=3, upscale=4))):
        if wanted(name):
            torch.manual_seed(3)
            net = make().eval()
            as_trained(torch, net, 0.3, 0.7)
            torch.save(net.state_dict(), path)
            x = torch.rand(1, 3, side, side)
            with torch.no_grad():
                compare(name, ".pt state_dict", "torch", by, "", 1e-4, path, x.numpy(), listed(net(x)))
            os.remove(path)


# ---- Keras and TensorFlow --------------------------------------------------------------------------------------
def keras_part():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import tensorflow as tf, keras
    from keras import layers as L

    version = "tf %s/keras %s" % (tf.__version__, keras.__version__)
    keras.utils.set_random_seed(5)

    def plain():
        return keras.Sequential([L.Input((32, 32, 3)), L.Rescaling(1 / 255.0), L.Conv2D(8, 3, padding="same", activation="relu"),
                                 L.MaxPooling2D(), L.Conv2D(16, 3, strides=2, padding="same"), L.BatchNormalization(), L.ReLU(),
                                 L.Conv2D(16, 3, activation="relu"), L.Flatten(), L.Dense(20, activation="relu"), L.Dropout(0.4),
                                 L.Dense(10, activation="softmax")], name="plain")

    def branched():
        i = L.Input((32, 32, 3), name="picture")
        a = L.Conv2D(8, 3, padding="same", use_bias=False, name="stem_conv")(i)
        a = L.BatchNormalization(epsilon=1e-3)(a)
        a = L.Activation("swish")(a)
        b = L.SeparableConv2D(8, 3, padding="same", activation="elu")(a)
        c = L.DepthwiseConv2D(5, padding="same", depth_multiplier=1)(a)
        a = L.Add()([a, b, c])
        s = L.GlobalAveragePooling2D(keepdims=True)(a)
        s = L.Conv2D(8, 1, activation="sigmoid")(s)
        a = L.Multiply()([a, s])
        b = L.AveragePooling2D(3, strides=2, padding="same")(a)
        c = L.MaxPooling2D(3, strides=2, padding="same")(a)
        a = L.Concatenate()([b, c])
        a = L.Conv2DTranspose(6, 3, strides=2, padding="same", activation="leaky_relu")(a)
        a = L.UpSampling2D(2, interpolation="bilinear")(a)
        a = L.ZeroPadding2D(((1, 2), (0, 1)))(a)
        a = L.Cropping2D(((1, 0), (2, 1)))(a)
        a = L.PReLU(shared_axes=[1, 2])(a)
        a = L.GlobalMaxPooling2D()(a)
        return keras.Model(i, [L.Dense(5, name="five")(a), L.Dense(3, activation="tanh", name="three")(a)], name="branched")

    nets = [("plain", plain), ("branched", branched)]
    apps = keras.applications
    for name, make in (("MobileNet", lambda: apps.MobileNet((64, 64, 3), weights=None, classes=10)),
                       ("MobileNetV2", lambda: apps.MobileNetV2((64, 64, 3), weights=None, classes=10)),
                       ("MobileNetV3Small", lambda: apps.MobileNetV3Small((64, 64, 3), weights=None, classes=10)),
                       ("EfficientNetB0", lambda: apps.EfficientNetB0(input_shape=(64, 64, 3), weights=None, classes=10)),
                       ("DenseNet121", lambda: apps.DenseNet121(input_shape=(64, 64, 3), weights=None, classes=10)),
                       ("ResNet50", lambda: apps.ResNet50(input_shape=(64, 64, 3), weights=None, classes=10)),
                       ("Xception", lambda: apps.Xception(input_shape=(96, 96, 3), weights=None, classes=10))):
        nets.append((name, make))
    weights_alone(tf, keras, version)
    import keras_cases
    for name, form, path, x, y, more in keras_cases.cases(work, wanted):
        compare(name, form, "tensorflow" if "operation" in form else "keras", version, "", 2e-3 if "icubic" in name else 1e-5, path, x, y, *more)
    for name, make in nets:
        if not wanted(name):
            continue
        keras.backend.clear_session()
        net = make()
        rng = np.random.default_rng(3)
        for layer in net.layers:
            if isinstance(layer, L.BatchNormalization):
                n = layer.moving_mean.shape[0]
                layer.moving_mean.assign(rng.uniform(-0.2, 0.2, n))
                layer.moving_variance.assign(rng.uniform(0.6, 1.4, n))
        x = rng.uniform(0, 255 if name in ("plain", "EfficientNetB0", "MobileNetV3Small") else 1, (1,) + net.input_shape[1:]).astype("float32")
        y = net(x, training=False)
        y = [t.numpy() for t in (y if isinstance(y, (list, tuple)) else [y])]

        def case(form, suffix, write, limit=1e-5, want=None, given=None, args=()):
            path = os.path.join(work, "m" + suffix)
            shutil.rmtree(path, ignore_errors=True)
            try:
                write(path)
            except Exception as e:
                put(dict(zip(fields, [name, form, "keras", version, "", "", limit, "the library does not write it: " + " ".join(str(e).split())[:120]])))
                print(name, form, "not written:", " ".join(str(e).split())[:160])
                return
            compare(name, form, "keras" if "keras" in form or form == ".h5" else "tensorflow", version, "", limit, path, x if given is None else given,
                    y if want is None else want, *args)

        case(".keras", ".keras", net.save)
        case(".h5", ".h5", net.save)
        arch = os.path.join(work, "arch.json")
        with open(arch, "w") as f:
            f.write(net.to_json())
        case(".weights.h5", ".weights.h5", net.save_weights, args=("--arch", arch))
        order = None

        def lite(path, kind="float"):
            nonlocal order
            conv = tf.lite.TFLiteConverter.from_keras_model(net)
            if kind == "int8":
                conv.optimizations = [tf.lite.Optimize.DEFAULT]
                conv.representative_dataset = lambda: ([rng.uniform(x.min(), x.max(), x.shape).astype("float32")] for _ in range(8))
                conv.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                conv.inference_input_type = conv.inference_output_type = tf.int8
            elif kind == "float16":
                conv.optimizations = [tf.lite.Optimize.DEFAULT]
                conv.target_spec.supported_types = [tf.float16]
            data = conv.convert()
            with open(path, "wb") as f:
                f.write(data)
            it = tf.lite.Interpreter(model_content=data, experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF)
            it.allocate_tensors()
            i = it.get_input_details()[0]
            v = x
            if kind == "int8":
                scale, zero = i["quantization"]
                v = np.clip(np.round(x / scale) + zero, -128, 127).astype("int8")
            it.set_tensor(i["index"], v)
            it.invoke()
            order = v, [it.get_tensor(o["index"]) for o in it.get_output_details()]

        for kind in ("float", "float16", "int8"):
            path = os.path.join(work, "m.tflite")
            try:
                lite(path, kind)
            except Exception as e:
                print(name, "TFLite", kind, "not written:", " ".join(str(e).split())[:160])
                continue
            compare(name, "TFLite " + kind, "tensorflow", version, "", 1e-5 if kind != "int8" else 2, path, order[0], order[1])
        case("SavedModel", "-saved", net.export)

        def frozen(path):
            from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
            f = tf.function(lambda t: net(t, training=False)).get_concrete_function(tf.TensorSpec(x.shape, tf.float32))
            graph = convert_variables_to_constants_v2(f).graph.as_graph_def()
            with open(path, "wb") as out:
                out.write(graph.SerializeToString())

        case("GraphDef", ".pb", frozen)
        if len(y) == 1:
            def onnx_file(path):
                import tf2onnx
                f = tf.function(lambda t: net(t, training=False), input_signature=[tf.TensorSpec(x.shape, tf.float32, name="input")])
                tf2onnx.convert.from_function(f, input_signature=f.input_signature, opset=15, output_path=path)
            case("ONNX by tf2onnx", ".onnx", onnx_file)
        written_by_us(name, net, x, y, version)
        del net
        gc.collect()


def weights_alone(tf, keras, version):
    """Files of weights of keras.applications, with and without the classifier: their names must tell the architecture."""
    sides = {"Xception": 299, "InceptionV3": 299, "InceptionResNetV2": 299, "EfficientNetB1": 240, "EfficientNetB2": 260, "EfficientNetB3": 300,
             "EfficientNetV2B1": 240, "EfficientNetV2S": 384}  # that the recognised architecture names; 224 else
    for name, given in (("MobileNet", {"alpha": 0.25}), ("MobileNet", {"alpha": 0.5}), ("MobileNetV2", {"alpha": 0.35}), ("MobileNetV2", {"alpha": 1.4}),
                        ("MobileNetV3Small", {}), ("MobileNetV3Small", {"minimalistic": True}), ("MobileNetV3Small", {"alpha": 0.75}),
                        ("MobileNetV3Large", {}), ("EfficientNetB0", {}), ("EfficientNetB1", {}), ("EfficientNetB2", {}), ("EfficientNetB3", {}),
                        ("EfficientNetV2B0", {}), ("EfficientNetV2B1", {}), ("EfficientNetV2S", {}), ("InceptionV3", {}), ("InceptionResNetV2", {}),
                        ("Xception", {}), ("DenseNet121", {}), ("ResNet50", {}), ("ResNet50V2", {}), ("ConvNeXtTiny", {}), ("VGG16", {}),
                        ("NASNetMobile", {})):
        label = name + "".join("-" + str(v) for v in given.values())
        if not wanted(label):
            continue
        side, more = sides.get(name, 224), dict(given)
        if name.startswith(("MobileNetV3", "EfficientNetV2", "ConvNeXt")):
            more["include_preprocessing"] = False
        for top in (True, False):
            keras.backend.clear_session()
            keras.utils.set_random_seed(5)
            net = getattr(keras.applications, name)(input_shape=(side, side, 3), weights=None, include_top=top, **({"classes": 7} if top else {}), **more)
            rng = np.random.default_rng(3)
            for layer in net.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    n = layer.moving_mean.shape[0]
                    layer.moving_mean.assign(rng.uniform(-0.2, 0.2, n))
                    layer.moving_variance.assign(rng.uniform(3, 5, n) if name == "EfficientNetV2S" else rng.uniform(0.6, 1.4, n))  # deep: else it blows up
            x = rng.uniform(0, 1, (1, side, side, 3)).astype("float32")
            y = net(x * 255 if name.startswith("EfficientNetB") else x, training=False).numpy()  # which scales pixels itself
            path = os.path.join(work, "m.weights.h5")
            net.save_weights(path)
            compare(label, "weights alone" + ("" if top else ", no top"), "keras", version, "", 1e-4, path, x.transpose(0, 3, 1, 2),
                    [y if top else y.transpose(0, 3, 1, 2)])
            os.remove(path)
            del net
            gc.collect()


def written_by_us(name, net, x, y, version):
    """Keras JSON (with the weights beside it) that Convscope writes from a .keras file, opened by the real Keras."""
    import keras

    row = dict(zip(fields, [name, "Keras JSON that we write", "convscope", version, "", "", 1e-5, ""]))
    source, path = os.path.join(work, "from.keras"), os.path.join(work, "to.json")
    try:
        net.save(source)
        p = subprocess.run([exe, "convert", source, "-o", path, "--no-check"], capture_output=True, text=True)
        if p.returncode:
            raise RuntimeError(p.stderr.strip())
        with open(path) as f:
            text = f.read()
        back, weights, at = keras.models.model_from_json(text), {}, 0
        group = json.loads(text)["weightsManifest"][0]
        numbers = np.fromfile(os.path.join(work, group["paths"][0]), "<f4")
        for w in group["weights"]:
            n = int(np.prod(w["shape"]))
            weights.setdefault(w["name"].rsplit("/", 1)[0], []).append(numbers[at:at + n].reshape(w["shape"]))
            at += n
        for layer in back.layers:
            if layer.weights:
                layer.set_weights(weights[layer.name])
        z = back(x, training=False)
        z = [t.numpy() for t in (z if isinstance(z, (list, tuple)) else [z])]
        far = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(z, y))
        row.update(difference="%.1e" % far, result="ok" if far <= 1e-5 and len(y) == len(z) else "too far")
    except Exception as e:
        row["result"] = " ".join(str(e).replace(work + "/", "").split())[:200]
    put(row)
    if row["result"] != "ok":
        faults.append(row)
    print("%-22s %-22s       %-9s %s" % (name, row["format"], row["difference"], row["result"]), flush=True)


def main():
    os.makedirs(work, exist_ok=True)
    began = time.time()
    {"torch": torch_part, "torch2": torch2_part, "files": files_part, "timm": timm_part, "hub": hub_part, "yolo": yolo_part, "keras": keras_part}[part]()
    print("%s: %d faults, %d s" % (part, len(faults), time.time() - began))
    shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if faults else 0)


main()
