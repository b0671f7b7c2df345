// SPDX-License-Identifier: MIT
// Peers that live in JavaScript: ONNX Runtime for Node, ONNX Runtime Web (wasm) and TensorFlow.js (wasm, pure JavaScript).
// NODE_MODULES names the folder that holds their packages.
'use strict';
const path = require('path');
const { readNpy, serve } = require('./serve.js');
const packages = process.env.NODE_MODULES;
const load = (name) => require(path.join(packages, name));

async function onnx(ort, s, model, options) {
  const session = await ort.InferenceSession.create(model, options);
  const { shape, data } = readNpy(s.input);
  const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', data, shape) };
  let out = null;
  return {
    once: async () => { out = await session.run(feeds); },
    result: () => { const t = out[session.outputNames[0]]; return { shape: t.dims, data: t.data }; },
  };
}

function nodeOrt(s) {
  return onnx(load('onnxruntime-node'), s, s.model,
    { intraOpNumThreads: 2, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all', logSeverityLevel: 3 });
}

function webOrt(s) {
  const ort = load('onnxruntime-web');
  ort.env.wasm.numThreads = Number(s.config.replace(/\D/g, '') || 1);
  return onnx(ort, s, require('fs').readFileSync(s.model), { executionProviders: ['wasm'] });
}

// Tiny VGG with our weights (NCHW there, NHWC here).
async function tfjs(s) {
  const tf = load('@tensorflow/tfjs');
  if (s.config.startsWith('wasm')) {
    const wasm = load('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(path.join(packages, '@tensorflow/tfjs-backend-wasm/dist/'));
    if (wasm.setThreadsCount) wasm.setThreadsCount(2);
  }
  await tf.setBackend(s.config.startsWith('wasm') ? 'wasm' : 'cpu');
  await tf.ready();
  const part = (i, k) => { const a = readNpy(path.join(s.params, `${i}_${k}.npy`)); return tf.tensor(a.data, a.shape); };
  const kernels = [0, 1, 2, 3].map((i) => tf.transpose(part(i, 0), [2, 3, 1, 0]));
  const biases = [0, 1, 2, 3].map((i) => part(i, 1));
  const dense = tf.tidy(() => tf.transpose(part(4, 0)));
  const denseBias = part(4, 1);
  const input = readNpy(s.input);
  const x = tf.transpose(tf.tensor(input.data, input.shape), [0, 2, 3, 1]);
  const conv = (v, i) => tf.fused.conv2d({ x: v, filter: kernels[i], strides: 1, pad: 'valid', bias: biases[i], activation: 'relu' });
  let out = null;
  return {
    once: async () => {
      const y = tf.tidy(() => {
        let v = tf.maxPool(conv(conv(x, 0), 1), 2, 2, 'valid');
        v = tf.maxPool(conv(conv(v, 2), 3), 2, 2, 'valid');
        const flat = tf.reshape(tf.transpose(v, [0, 3, 1, 2]), [1, -1]);
        return tf.softmax(tf.add(tf.matMul(flat, dense), denseBias));
      });
      out = await y.data();
      y.dispose();
    },
    result: () => ({ shape: [1, 10], data: Float32Array.from(out) }),
  };
}

serve((s) => ({ node: nodeOrt, web: webOrt, tfjs })[s.task](s));
