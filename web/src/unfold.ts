// unfold.ts - what one map of the overview is made of, ready to be drawn: the maps it reads, the kernel of each, what each gives by itself, and
// the rest. Where a convolution's window lies is found from the terms of two of its numbers, so that it holds for any stride, pad and dilation.
import * as api from "./api";
import { grid } from "./format";
import { extent } from "./paint";
import { rangeOf, type Range } from "./color";
import { groups, spot } from "./unit";

interface Input { place: api.Place; channel: number; name: string; data: Float32Array; w: number; h: number; range: Range; kernel?: Float32Array; part?: Float32Array }
export interface Axis { stride: number; pad: number; dilation: number; taps: number }
export interface Fold {
  l: api.Layer; channel: number; inputs: Input[]; rest?: Float32Array; restOf: number; bias: number; out: Float32Array; w: number; h: number;
  range: Range; kernelRange: Range; partRange: Range; y?: Axis; x?: Axis; total: number; // total: how many maps it is made of
}
const most = 10;

/** Stride, pad and dilation from (output, tap, input) triples of one axis; null where no window of that kind fits all of them. */
export function axisOf(list: [number, number, number][], taps: number): Axis | null {
  const a = list[0];
  if (!a) return null;
  const other = list.find((x) => x[0] === a[0] && x[1] !== a[1]), dilation = other ? (other[2] - a[2]) / (other[1] - a[1]) : 1;
  const next = list.find((x) => x[0] !== a[0]), stride = next ? (next[2] - next[1] * dilation - a[2] + a[1] * dilation) / (next[0] - a[0]) : 1;
  const pad = a[0] * stride + a[1] * dilation - a[2];
  return stride > 0 && dilation > 0 && list.every((x) => x[0] * stride - pad + x[1] * dilation === x[2]) ? { stride, pad, dilation, taps } : null;
}

/** One input map under one kernel: what it gives to every number of the output. */
function convolve(data: Float32Array, w: number, h: number, kernel: Float32Array, y: Axis, x: Axis, W: number, H: number): Float32Array {
  const out = new Float32Array(W * H);
  for (let i = 0; i < H; i++) for (let r = 0; r < y.taps; r++) {
    const iy = i * y.stride - y.pad + r * y.dilation;
    if (iy < 0 || iy >= h) continue;
    for (let s = 0; s < x.taps; s++) {
      const k = kernel[r * x.taps + s];
      for (let j = 0, ix = s * x.dilation - x.pad; j < W; j++, ix += x.stride) if (ix >= 0 && ix < w) out[i * W + j] += k * data[iy * w + ix];
    }
  }
  return out;
}

/** Everything about a channel of a layer; null where its numbers are made in a way that this view has no picture for. */
export async function gather(m: number, p: number, l: api.Layer, channel: number): Promise<Fold | null> {
  const [C, H, W] = grid(l.dim), where = String(l.index), cy = H >> 1, cx = W >> 1, ny = cy > 0 ? cy - 1 : cy, nx = cx > 0 ? cx - 1 : cx;
  if (channel >= C || H * W < 2) return null;
  const index = (y: number, x: number): number => (channel * H + y) * W + x;
  const [u, v, got] = await Promise.all([api.getUnit(m, p, where, index(cy, cx)), api.getUnit(m, p, where, index(ny, nx)), api.getMaps(m, p, where, { list: [channel] })]);
  const base = { l, channel, out: got.data, w: W, h: H, range: rangeOf(...extent(got.data)), kernelRange: rangeOf(-1, 1), partRange: rangeOf(-1, 1), bias: u.bias, restOf: 0 };
  const kernel = l.conv && u.kind === "sum" ? (await api.getFilters(m, l.index, 0, 0).catch(() => ({ dim: [] as number[] }))).dim : [];
  if (kernel.length === 4 && u.sources.length === 1) return convolution({ ...base, inputs: [], total: 0 }, m, p, u, v, kernel, [cy, cx], [ny, nx]);
  const inputs: Input[] = [], seen = new Set<string>();
  for (let i = 0; i < u.n && seen.size < most; i++) {
    const s = spot(u, i), key = `${s.source} ${s.c}`;
    if (s.c < 0 || seen.has(key)) continue;
    seen.add(key);
    const source = u.sources[s.source], d = await api.getMaps(m, p, source.place, { list: [s.c] });
    if (d.h * d.w < 2) return null;
    inputs.push({ place: source.place, channel: s.c, name: source.name, data: d.data, w: d.w, h: d.h, range: rangeOf(...extent(d.data)) });
  }
  return inputs.length ? { ...base, inputs, total: inputs.length } : null;
}

async function convolution(fold: Fold, m: number, p: number, u: api.Unit, v: api.Unit, kernel: number[], a: [number, number], b: [number, number]): Promise<Fold | null> {
  const [, , R, S] = kernel, taps = R * S, rows: [number, number, number][] = [], columns: [number, number, number][] = [], source = u.sources[0];
  for (const [unit, at] of [[u, a], [v, b]] as const) for (let i = 0; i < Math.min(unit.n, taps); i++) {
    const s = spot(unit, i);
    if (s.y < 0) continue;
    rows.push([at[0], Math.floor(i / S), s.y]);
    columns.push([at[1], i % S, s.x]);
  }
  const y = axisOf(rows, R), x = axisOf(columns, S), set = groups(u, taps);
  if (!y || !x || set.some((g) => g.terms.length !== taps || g.channel < 0)) return null;
  const stats = await api.getStats(m, p, source.place), size = (i: number): number => stats.channels[set[i].channel].strength * Math.hypot(...set[i].terms.map((k) => u.weight[k]));
  let order = set.map((_, i) => i);
  if (set.length > most) order = order.map((i) => [i, size(i)]).sort((c, d) => d[1] - c[1]).slice(0, most - 1).map((c) => c[0]).sort((c, d) => c - d);
  const d = await api.getMaps(m, p, source.place, { list: order.map((i) => set[i].channel) }), n = d.w * d.h;
  const inputs = order.map((i, k): Input => {
    const data = d.data.subarray(k * n, (k + 1) * n), weights = Float32Array.from(set[i].terms, (term) => u.weight[term]);
    return { place: source.place, channel: set[i].channel, name: source.name, data, w: d.w, h: d.h, range: rangeOf(...extent(data)), kernel: weights, part: convolve(data, d.w, d.h, weights, y, x, fold.w, fold.h) };
  });
  const rest = set.length > inputs.length ? fold.out.map((value, i) => value - u.bias - inputs.reduce((sum, k) => sum + k.part![i], 0)) : undefined;
  const middle = a[0] * fold.w + a[1], sum = inputs.reduce((t, k) => t + k.part![middle], u.bias) + (rest?.[middle] ?? 0);
  if (Math.abs(sum - u.result) > 1e-3 * Math.max(1, Math.abs(u.result))) return null; // not made the way we think
  const largest = (list: Float32Array[]): number => Math.max(1e-12, ...list.map((data) => Math.max(...extent(data).map(Math.abs))));
  const parts = largest([...inputs.map((k) => k.part!), ...(rest ? [rest] : [])]), taken = largest(inputs.map((k) => k.kernel!));
  return { ...fold, inputs, rest, restOf: set.length - inputs.length, y, x, total: set.length, partRange: { low: -parts, high: parts }, kernelRange: { low: -taken, high: taken } };
}
