# SPDX-License-Identifier: MIT
"""ONNX Runtime's Python package as a peer. Outputs are bound to memory of its own, so that nothing is copied for Python."""
import numpy as np

from serve import THREADS, serve

import onnxruntime as ort


def session(path):
    o = ort.SessionOptions()
    o.intra_op_num_threads = int(THREADS)
    o.inter_op_num_threads = 1
    o.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    o.log_severity_level = 3
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def forward(s):
    m, x, kept = session(s["model"]), np.load(s["input"]), {}
    if s["config"] == "python, run":
        name = m.get_inputs()[0].name

        def once():
            kept["y"] = m.run(None, {name: x})
        return once, lambda: kept["y"][0]
    binding = m.io_binding()
    binding.bind_cpu_input(m.get_inputs()[0].name, x)
    for o in m.get_outputs():
        binding.bind_output(o.name)
    return lambda: m.run_with_iobinding(binding), lambda: binding.get_outputs()[0].numpy()


def occlusion(s):
    m, x, kept = session(s["model"]), np.load(s["input"]), {}
    patch, stride, size, side = int(s["patch"]), int(s["stride"]), int(s["size"]), x.shape[-1]
    name, target = m.get_inputs()[0].name, int(s["target"])
    places = [(t, l) for t in range(0, side - patch + 1, stride) for l in range(0, side - patch + 1, stride)]
    places = places[:size * int(s["batches"])] if "batches" in s else places

    def once():
        scores = []
        for at in range(0, len(places), size):
            batch = np.repeat(x, size, axis=0)
            for i, (t, l) in enumerate(places[at:at + size]):
                batch[i, :, t:t + patch, l:l + patch] = 0
            scores.append(m.run(None, {name: batch})[0][:len(places) - at])
        kept["y"] = np.concatenate(scores)
    return once, lambda: kept["y"][:, target]


if __name__ == "__main__":
    serve(lambda s: {"forward": forward, "occlusion": occlusion}[s["task"]](s))
