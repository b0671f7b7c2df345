// unit.ts - one number's terms, sorted for people: groups by input channel, ranked, with a running total that adds up as printed.
import type { Place, Unit } from "./api";
import * as api from "./api";
import { go, m, p, stillHere } from "./store";
import { grid } from "./format";
import { signal } from "@preact/signals";

export interface Spot { source: number; c: number; y: number; x: number } // y, x: -1 in the padding
export interface Group { source: number; channel: number; terms: number[]; sum: number }
export interface Row { label: string; value: number; total: number; group?: Group }

export function spot(u: Unit, i: number): Spot {
  const s = u.source[i], at = u.from[i], [C, H, W] = grid(u.sources[s]?.dim ?? []);
  if (at < 0) return { source: s, c: -1, y: -1, x: -1 };
  return { source: s, c: Math.floor(at / (H * W)) % C, y: Math.floor(at / W) % H, x: at % W };
}

export const part = (u: Unit, i: number): number => (u.kind === "sum" ? u.value[i] * u.weight[i] : u.kind === "max" ? u.value[i] : u.kind === "softmax" ? u.weight[i] : u.value[i]);

/** Terms by the kernel's slices: as many taps side by side belong to one input channel. */
export function groups(u: Unit, taps: number): Group[] {
  const out: Group[] = [];
  for (let i = 0; i < u.n; i += taps) {
    const terms = Array.from({ length: Math.min(taps, u.n - i) }, (_, k) => i + k), inside = terms.find((k) => u.from[k] >= 0);
    out.push({ source: u.source[i], channel: inside === undefined ? -1 : spot(u, inside).c, terms, sum: terms.reduce((a, k) => a + part(u, k), 0) });
  }
  return out;
}

/** How many terms make one group: a convolution's taps in one channel, the whole window of a pool, else each by itself. */
export function tapsOf(u: Unit, kernel: number[] | undefined): number {
  if (u.kind === "max") return Math.max(u.n, 1);
  if (u.kind !== "sum" || u.n < 2) return 1;
  if (u.tap[0] >= 0 && kernel && kernel.length > 2) return kernel.slice(2).reduce((a, b) => a * b, 1);
  if (u.tap[0] < 0 && spot(u, 0).c === spot(u, u.n - 1).c) return u.n; // an average over one map
  return 1;
}

/** The whole sum in rows: what is printed to `digits` decimals adds up, because what rounding loses has a row of its own. */
export function rows(u: Unit, list: Group[], most: number, digits: number, words: { bias: string; others: (n: number) => string; rounding: string; name: (g: Group) => string }): Row[] {
  const out: Row[] = [], round = (v: number): number => Number(v.toFixed(digits));
  let total = 0;
  const add = (label: string, value: number, group?: Group): void => { total += round(value); out.push({ label, value, total, group }); };
  if (u.bias !== 0) add(words.bias, u.bias);
  const ranked = [...list].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  for (const g of ranked.slice(0, most)) add(words.name(g), g.sum, g);
  const rest = ranked.slice(most);
  if (rest.length) add(words.others(rest.length), rest.reduce((a, g) => a + g.sum, 0));
  const lost = round(u.result) - total;
  if (Math.abs(lost) > 0.5 * 10 ** -digits) add(words.rounding, lost);
  return out;
}

/* ---- going back towards the pixels ---- */
interface Step { place: Place; at: number; name: string }
export const trail = signal<Step[]>([]);

/** Shows the number that a term came from; what is only a copy is passed through. */
export async function stepTo(place: Place, at: number, name: string, from: Step): Promise<void> {
  let where = place, element = at, called = name;
  const here = stillHere();
  for (let i = 0; i < 20 && where.startsWith("v"); i++) {
    const u = await api.getUnit(m.value, p.value, where, element).catch(() => null);
    if (!here()) return; // gone on to something else meanwhile
    if (!u || u.n !== 1 || u.from[0] < 0) break;
    where = u.sources[0].place; element = u.from[0]; called = u.sources[0].name;
    if (u.kind !== "copy") break;
  }
  trail.value = [...trail.value, from];
  show({ place: where, at: element, name: called });
}
export function show(s: Step): void {
  if (/^\d+$/.test(s.place)) go({ page: "arithmetic", layer: Number(s.place), at: s.at, place: "" });
  else go({ page: "arithmetic", at: s.at, place: s.place });
}
export function back(): boolean {
  const last = trail.value[trail.value.length - 1];
  if (!last) return false;
  trail.value = trail.value.slice(0, -1);
  show(last);
  return true;
}
