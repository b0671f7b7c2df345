# SPDX-License-Identifier: MIT
"""The throw-away environment of the benchmark: the peers at pinned versions, and what the rows run on. Everything lies in one folder
that git ignores; removing it is all it takes to be rid of them. PyTorch comes as the distribution's package (the package index has
builds for x86-64 only with gigabytes of GPU libraries)."""
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys

ORT, TENSORFLOW = "1.32.0", "2.21.0"
NPM = {"onnxruntime-node": "1.30.0", "onnxruntime-web": "1.30.0", "@tensorflow/tfjs": "4.22.0",
       "@tensorflow/tfjs-backend-wasm": "4.22.0"}
TORCH_EXTRA = ["captum==0.9.0", "grad-cam==1.5.7", "ttach==0.0.3"]
METHODS_EXTRA = ["saliency==0.2.1", "zennit==0.5.1", "torchcam==0.5.0", "dianna==1.8.1"]  # of methods.py
KERAS_EXTRA = ["tf-keras-vis==0.8.7"]
TORCH_NEEDS = ["numpy==1.26.4", "opencv-python-headless==4.10.0.84", "scikit-learn==1.4.2", "matplotlib==3.8.4", "tqdm==4.66.5",
               "packaging==24.1"]
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def sh(*command, **more):
    p = subprocess.run(command, capture_output=True, text=True, **more)
    if p.returncode:
        sys.exit("bench: %s failed: %s" % (" ".join(command[:6]), (p.stderr or p.stdout).strip()[-600:]))
    return p.stdout


def once(folder, name, what, make):
    """Runs make() unless the folder's stamp says that exactly this was made before."""
    stamp, text = os.path.join(folder, name + ".stamp"), json.dumps(what)
    if os.path.exists(stamp) and open(stamp).read() == text:
        return
    print("bench: preparing %s" % name, flush=True)
    make()
    with open(stamp, "w") as f:
        f.write(text)


def digest(*paths):
    """Of what the files hold: what is made from them is made again when they change."""
    h = hashlib.sha256()
    for p in paths:
        with open(p, "rb") as f:
            h.update(f.read() + b"\0")
    return h.hexdigest()


def torch_python():
    """A Python that has torch and torchvision, or None."""
    for python in ("/usr/bin/python3", sys.executable):
        if os.path.exists(python) and subprocess.run([python, "-c", "import torch, torchvision"], capture_output=True).returncode == 0:
            return python
    return None


class Env:
    """Where everything lies; `has` the peers that could be had."""

    def __init__(self, folder, build):
        self.folder, self.build = os.path.abspath(folder), os.path.abspath(build)
        self.ours = os.path.join(self.build, "bench", "bench_ours")
        self.convscope = os.path.join(self.build, "convscope")
        self.models = os.path.join(self.folder, "models")
        self.torch = None
        self.missing = []

    def at(self, *names):
        return os.path.join(self.folder, *names)

    def model(self, name):
        return os.path.join(self.models, name)

    def install(self):
        os.makedirs(self.folder, exist_ok=True)
        subprocess.run(["sh", os.path.join(ROOT, "tools", "install.sh"), "bench"], check=True)
        once(self.folder, "onnxruntime", [ORT], self.install_ort)
        once(self.folder, "keras", [TENSORFLOW], self.install_keras)
        once(self.folder, "node", NPM, self.install_node)
        self.torch = torch_python()
        if self.torch:
            once(self.folder, "torch", TORCH_EXTRA + TORCH_NEEDS, self.install_torch)
            once(self.folder, "methods", METHODS_EXTRA, self.install_methods)
        else:
            self.missing.append("PyTorch")
        once(self.folder, "keras-methods", KERAS_EXTRA, self.install_keras_methods)
        once(self.folder, "onednn", digest(os.path.join(HERE, "peer_dnnl.c")), self.compile_dnnl)
        zoo = sorted(glob.glob(os.path.join(ROOT, "zoo", "*.net")))
        once(self.folder, "models", digest(os.path.join(HERE, "models.py"), *zoo), self.make_models)

    def venv(self, name, *packages):
        if not os.path.exists(self.at(name, "bin", "pip")):
            sh(sys.executable, "-m", "venv", self.at(name))
        sh(self.at(name, "bin", "python"), "-m", "pip", "-q", "--disable-pip-version-check", "install", *packages)

    def install_ort(self):
        self.venv("venv", "onnxruntime==" + ORT, "numpy", "onnx==1.19.1")

    def install_keras(self):
        self.venv("venv-tf", "tensorflow-cpu==" + TENSORFLOW)

    def install_node(self):
        if not shutil.which("npm"):
            sys.exit("bench: npm is missing; install nodejs and npm")
        os.makedirs(self.at("npm"), exist_ok=True)
        with open(self.at("npm", "package.json"), "w") as f:
            json.dump({"private": True, "dependencies": NPM}, f)
        sh("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", cwd=self.at("npm"))

    def install_torch(self):
        pip = [self.at("venv", "bin", "python"), "-m", "pip", "-q", "--disable-pip-version-check", "install", "--upgrade", "--target",
               self.at("torch-extra")]
        sh(*pip, "--no-deps", *TORCH_EXTRA)
        sh(*pip, *TORCH_NEEDS)

    def install_methods(self):
        """Apart from the rest; scikit-image, which XRAI's cut of the picture needs, with what it needs."""
        pip = [self.at("venv", "bin", "python"), "-m", "pip", "-q", "--disable-pip-version-check", "install", "--upgrade", "--no-deps", "--target",
               self.at("methods-extra")]
        sh(*pip, *METHODS_EXTRA, "scikit-image==0.22.0", "networkx==3.2.1", "lazy_loader==0.3", "imageio==2.33.1", "tifffile==2023.12.9",
           "xarray==2024.2.0", "pandas==2.2.2", "pytz==2024.1")

    def install_keras_methods(self):
        sh(self.at("venv-tf", "bin", "python"), "-m", "pip", "-q", "--disable-pip-version-check", "install", "--upgrade", "--no-deps", "--target",
           self.at("keras-extra"), *KERAS_EXTRA, "deprecated==1.2.18", "scipy==1.14.1", "pillow==11.0.0", "imageio==2.33.1", "packaging==24.1")

    def compile_dnnl(self):
        os.makedirs(self.folder, exist_ok=True)
        sh("cc", "-O2", "-fopenmp", os.path.join(HERE, "peer_dnnl.c"), "-ldnnl", "-lm", "-o", self.at("peer_dnnl"))

    def make_models(self):
        sh(self.at("venv", "bin", "python"), os.path.join(HERE, "models.py"), self.convscope, os.path.join(ROOT, "zoo"), self.models)

    # ---- commands of the drivers --------------------------------------------------------------------

    def command(self, kind):
        """(command, environment) of a driver: ours, torch, ort, node, keras."""
        script = lambda name: os.path.join(HERE, name)
        return {
            "ours": lambda: ([self.ours], {}),
            "torch": lambda: ([self.torch, script("peer_torch.py")], {"PYTHONPATH": self.at("torch-extra")}),
            "ort": lambda: ([self.at("venv", "bin", "python"), script("peer_ort.py")], {}),
            "keras": lambda: ([self.at("venv-tf", "bin", "python"), script("peer_keras.py")], {}),
            "node": lambda: (["node", script("peer_node.js")], {"NODE_MODULES": self.at("npm", "node_modules")}),
        }[kind]()

    def versions(self):
        v = {"ort": ORT, "keras": TENSORFLOW, "node": NPM["onnxruntime-node"], "web": NPM["onnxruntime-web"],
             "tfjs": NPM["@tensorflow/tfjs"], "captum": TORCH_EXTRA[0].split("==")[1], "grad-cam": TORCH_EXTRA[1].split("==")[1], **dict(p.split("==") for p in METHODS_EXTRA + KERAS_EXTRA)}
        if self.torch:
            v["torch"] = sh(self.torch, "-c", "import torch; print(torch.__version__)").strip().split("a")[0]
        return v

    def node_files(self):
        return glob.glob(self.at("npm", "node_modules", "onnxruntime-node", "bin", "*", "linux", "x64", "*"))
