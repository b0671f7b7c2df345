// SPDX-License-Identifier: MIT
// The peers' end of the pipe, in JavaScript: answers prepare, run N, dump FILE and quit (bench_ours.c has the list).
'use strict';
const fs = require('fs');
const { performance } = require('perf_hooks');

/** A float32 .npy file, C order: { shape, data }. */
function readNpy(path) {
  const b = fs.readFileSync(path);
  const long = b[6] > 1;
  const start = (long ? 12 : 10) + (long ? b.readUInt32LE(8) : b.readUInt16LE(8));
  const head = b.toString('latin1', 10, start);
  if (!/'<f4'/.test(head) || /'fortran_order': True/.test(head)) throw new Error(path + ' is not float32 in C order');
  const shape = /'shape': \(([^)]*)\)/.exec(head)[1].split(',').filter((s) => s.trim()).map(Number);
  return { shape, data: new Float32Array(b.buffer.slice(b.byteOffset + start, b.byteOffset + b.length)) };
}

function writeNpy(path, shape, data) {
  let head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + '\n';
  const start = Buffer.alloc(10);
  start.write('\x93NUMPY\x01\x00', 0, 'latin1');
  start.writeUInt16LE(head.length, 8);
  fs.writeFileSync(path, Buffer.concat([start, Buffer.from(head, 'latin1'), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

/** prepare(settings) -> { once, result }: once() does the work one time, result() gives { shape, data }. */
async function serve(prepare) {
  let work = null;
  const say = (...words) => fs.writeSync(1, words.join('\t') + '\n');
  const answer = async (words) => {
    if (words[0] === 'prepare') {
      const settings = Object.fromEntries(words.slice(1).map((w) => [w.slice(0, w.indexOf('=')), w.slice(w.indexOf('=') + 1)]));
      work = await prepare(settings);
      for (let i = 0; i < Number(settings.warm || 2); i++) await work.once();
      return [];
    }
    if (words[0] === 'run') {
      const times = [];
      for (let i = 0; i < Number(words[1]); i++) {
        const t = performance.now();
        await work.once();
        times.push((performance.now() - t).toFixed(6));
      }
      return times;
    }
    if (words[0] === 'dump') {
      const r = await work.result();
      writeNpy(words[1], r.shape, r.data);
      return [];
    }
    throw new Error('unknown request');
  };
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    const words = line.split('\t');
    if (words[0] === 'quit') process.exit(0);
    try {
      say('ok', ...(await answer(words)));
    } catch (e) {
      say('error', String(e.message || e).replace(/\s+/g, ' ').slice(0, 300));
    }
  }
  process.exit(0);
}

module.exports = { readNpy, serve };
