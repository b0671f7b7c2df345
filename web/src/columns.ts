// columns.ts - which layers the overview shows, how they hang together, and which channels of them.
import type { Layer, Model, Place, Prediction, Stats, Maps } from "./api";
import * as api from "./api";
import { glyph } from "./color";
import { grid } from "./format";

export interface Column {
  layer: Layer | null; // null: the picture
  place: Place; name: string; dim: [number, number, number]; kind: "maps" | "strip" | "classes";
  block: number; // columns of one block share a colour range
  from: { column: number; same: boolean; reach: Reach[] }[]; // same: channel k reads channel k only
  channels: number[]; maps?: Maps; stats?: Stats;
}

/** Which channels [first, end) of a source the channels [a, b) are made of; a run of them, so that a way through many layers costs one call a layer. */
export type Reach = (a: number, b: number) => [number, number];

const keepsChannels = (l: Layer): boolean => !l.dense && (!l.conv || l.glyph === 2) && l.glyph !== glyph.concat && l.glyph !== glyph.shape && l.glyph !== glyph.softmax && l.glyph !== 12;
const isStep = (l: Layer): boolean => l.glyph === glyph.norm || l.glyph === glyph.activation;

/** At most `most` layers, evenly over the net, what changes the size of the maps first. */
export function choose(model: Model, most: number): Layer[] {
  const readers = new Map<Place, Layer[]>();
  for (const l of model.layers) for (const f of l.from) readers.set(f, [...(readers.get(f) ?? []), l]);
  const read = (l: Layer): boolean => l.output || readers.has(String(l.index)); // a dropout's mask is neither
  const all = model.layers.filter((l) => l.glyph !== glyph.shape && l.dim.length > 0 && grid(l.dim)[0] > 0 && read(l));
  const onward = (l: Layer): boolean => { const r = readers.get(String(l.index)) ?? []; return r.length === 1 && isStep(r[0]); };
  let list = all;
  if (list.length > most) list = all.filter((l) => l.glyph !== glyph.norm);
  if (list.length > most) list = all.filter((l) => !onward(l));
  if (list.length > most) { // the last of every size of map, then the rest evenly
    const size = (l: Layer): string => grid(l.dim).slice(1).join("x");
    const must = new Set(list.filter((l, i) => i === list.length - 1 || (size(l) !== size(list[i + 1]))).slice(-most));
    const rest = list.filter((l) => !must.has(l)), room = most - must.size;
    for (let i = 0; i < room; i++) must.add(rest[Math.floor(((i + 0.5) * rest.length) / room)]);
    list = list.filter((l) => must.has(l));
  }
  return list;
}

export function columnsOf(model: Model, most: number): Column[] {
  const shown = choose(model, most), at = new Map<Place, number>();
  const input = model.inputs[0], side = grid(input?.dim ?? []);
  const out: Column[] = [{ layer: null, place: "in0", name: input?.name ?? "input", dim: side, kind: "maps", block: 0, from: [], channels: [] }];
  at.set("in0", 0);
  for (const l of shown) {
    const dim = grid(l.dim), last = l === shown[shown.length - 1], flat = dim[1] * dim[2] === 1;
    at.set(String(l.index), out.length);
    out.push({ layer: l, place: String(l.index), name: l.name, dim, block: 0, from: [], channels: [],
      kind: flat ? (last || (model.classes.length === dim[0] && dim[0] > 1) ? "classes" : "strip") : "maps" });
  }
  const byIndex = new Map(model.layers.map((l) => [String(l.index), l]));
  const cache = new Map<Place, { column: number; reach: Reach[] }[]>();
  const dimOf = (p: Place): number[] => byIndex.get(p)?.dim ?? (p.startsWith("in") ? model.inputs[Number(p.slice(2))]?.dim : undefined) ?? [];
  const within = (l: Layer, j: number): Reach => { // channels of its j-th source that channel k of a layer is made of
    const from = grid(dimOf(l.from[j])), to = grid(l.dim), all: Reach = (a, b) => (a < b ? [0, from[0]] : [0, 0]);
    if (l.glyph === glyph.concat && l.dim.length > 1 && l.from.reduce((n, f) => n + grid(dimOf(f))[0], 0) === to[0]) {
      const start = l.from.slice(0, j).reduce((n, f) => n + grid(dimOf(f))[0], 0);
      return (a, b) => [Math.max(0, a - start), Math.max(0, Math.min(from[0], b - start))];
    }
    if (l.glyph === glyph.shape && to[1] * to[2] === 1 && from[0] * from[1] * from[2] === to[0]) { const n = from[1] * from[2]; return (a, b) => [Math.floor(a / n), Math.ceil(b / n)]; }
    const groups = l.conv ? Number(/(?:groups|分组|组) ?(\d+)/.exec(l.settings)?.[1] ?? (l.glyph === 2 && from[0] === to[0] ? to[0] : 1)) : 1;
    if (l.conv && groups > 1 && to[0] % groups === 0 && from[0] % groups === 0) { const out = to[0] / groups, into = from[0] / groups; return (a, b) => [Math.floor(a / out) * into, Math.ceil(b / out) * into]; }
    if (keepsChannels(l) && from[0] === to[0]) return (a, b) => [a, b];
    if (keepsChannels(l) && from[0] === 1 && l.from.length > 1) return (a, b) => [0, a < b ? 1 : 0]; // one map for all channels
    return all;
  };
  const join = (outer: Reach, inner: Reach): Reach => (a, b) => { const [x, y] = outer(a, b); return y > x ? inner(x, y) : [0, 0]; };
  const sources = (p: Place, depth: number): { column: number; reach: Reach[] }[] => { // the nearest shown ones that a place is made of
    const known = cache.get(p);
    if (known) return known;
    const l = byIndex.get(p), found = new Map<number, Reach[]>();
    cache.set(p, []);
    (l && depth < 2000 ? l.from : []).forEach((f, j) => {
      const step = within(l!, j), here = at.get(f);
      for (const s of here !== undefined ? [{ column: here, reach: [(a: number, b: number): [number, number] => [a, b]] }] : sources(f, depth + 1)) {
        const ways = found.get(s.column) ?? [];
        if (ways.length < 4) ways.push(...s.reach.slice(0, 4 - ways.length).map((r) => join(step, r))); // more ways through a block read no other channels
        found.set(s.column, ways);
      }
    });
    const list = [...found].map(([column, reach]) => ({ column, reach }));
    cache.set(p, list);
    return list;
  };
  let block = 0;
  out.forEach((c, i) => {
    if (!c.layer) return;
    c.from = sources(c.place, 0).filter((s) => s.column < i).map((s) => ({ ...s, same: out[s.column].dim[0] === c.dim[0] && s.reach.every((r) => [0, c.dim[0] >> 1, c.dim[0] - 1].every((k) => { const [a, b] = r(k, k + 1); return a === k && b === k + 1; })) }));
    if (c.from.every((s) => !s.same)) block++;
    c.block = block;
  });
  return out;
}

/** Loads what the columns show for a picture, and the answer: the strongest channels of every block, the same ones along it. */
export async function load(m: number, p: number, columns: Column[], rows: number, order: "strongest" | "first"): Promise<{ columns: Column[]; answer: Prediction | null }> {
  const asks = columns.map((c, i): api.GlanceAsk => ({ place: c.place, kind: c.kind, first: !c.layer || order === "first",
    like: columns.flatMap((d, k) => (k > i && d.kind === "maps" && d.from.some((s) => s.column === i && s.same) ? [k] : [])).slice(0, 64) }));
  const got = await api.getGlance(m, p, asks, rows, 96);
  const all = columns.map((c, i) => ({ ...c, ...got.columns[i], dim: got.columns[i].stats.dim }));
  if (!got.answer.stopped) return { answer: got.answer, columns: all };
  const left = all.filter((c) => c.dim[0] > 0), at = new Map(left.map((c, i) => [all.indexOf(c), i])); // a run that stopped has no more
  return { answer: got.answer, columns: left.map((c) => ({ ...c, from: c.from.filter((s) => at.has(s.column)).map((s) => ({ ...s, column: at.get(s.column)! })) })) };
}
