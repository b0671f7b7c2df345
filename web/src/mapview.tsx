// mapview.tsx - one map, large, with a window or a cursor on it; the value under the pointer; a pick on click, drag or hover.
import { useMemo, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, m, p } from "./store";
import { Canvas, Legend, useLoad } from "./canvas";
import { ink, rangeOf, type Range } from "./color";
import { drawMap, extent, foldVector } from "./paint";
import { num } from "./format";

export interface MapViewProps {
  where: api.Place; channel: number; size?: number; cursor?: [number, number]; box?: [number, number, number, number]; label: string; edited?: boolean; turn?: number;
  range?: Range; live?: boolean; onPick?: (y: number, x: number, channel?: number) => void; onKey?: (e: KeyboardEvent) => boolean;
}

export function MapView(q: MapViewProps) {
  const size = q.size ?? 240, [value, setValue] = useState<string>("");
  const d = useLoad(async () => {
    const one = await attempt(() => api.getMaps(m.value, p.value, q.where, { list: [q.channel], edited: q.edited }));
    if (one && one.H * one.W === 1) { const all = await attempt(() => api.getMaps(m.value, p.value, q.where, { edited: q.edited })); return all && { ...all, vector: true }; }
    return one && { ...one, vector: false };
  }, [q.where, q.channel, m.value, p.value, q.edited, q.turn]);
  const [w, h] = d ? (d.vector ? foldVector(d.c) : [d.w, d.h]) : [1, 1];
  const scale = size / Math.max(w, h), W = Math.max(8, w * scale), H = Math.max(8, h * scale);
  const range = useMemo(() => q.range ?? (d ? rangeOf(...extent(d.data)) : { low: 0, high: 1 }), [d, q.range]);
  const cursor: [number, number] | undefined = d?.vector ? [Math.floor(q.channel / w), q.channel % w] : q.cursor;
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    if (!d) return;
    if (d.vector) { const padded = new Float32Array(w * h).fill(NaN); padded.set(d.data); drawMap(g, padded, 0, w, h, range, 0, 0, W, H); } else drawMap(g, d.data, 0, w, h, range, 0, 0, W, H);
    const mark = (y0: number, x0: number, y1: number, x1: number): void => {
      const r: [number, number, number, number] = [x0 * scale, y0 * scale, Math.max(3, (x1 - x0) * scale), Math.max(3, (y1 - y0) * scale)];
      g.lineWidth = 4; g.strokeStyle = ink("page"); g.strokeRect(...r);
      g.lineWidth = 2; g.strokeStyle = ink("mark"); g.strokeRect(...r);
    };
    if (q.box && !d.vector) mark(...q.box);
    if (q.box && d.vector) mark(Math.floor(q.channel / w), q.channel % w, Math.floor(q.channel / w) + 1, (q.channel % w) + 1);
    if (cursor) mark(cursor[0], cursor[1], cursor[0] + 1, cursor[1] + 1);
  }, [d, range, W, H, cursor?.[0], cursor?.[1], q.box?.join()]);
  const cell = (px: number, py: number): [number, number] => [Math.max(0, Math.min(h - 1, Math.floor(py / scale))), Math.max(0, Math.min(w - 1, Math.floor(px / scale)))];
  const pick = (px: number, py: number): void => {
    const [y, x] = cell(px, py);
    if (!d || !q.onPick) return;
    if (!d.vector) q.onPick(y, x);
    else if (y * w + x < d.c) q.onPick(0, 0, y * w + x);
  };
  const move = (px: number, py: number, e: PointerEvent): void => {
    if (!d) return;
    const [y, x] = cell(px, py), i = y * w + x;
    setValue(i < d.data.length ? `${d.vector ? i : `${y}, ${x}`}: ${num(d.data[i])}` : "");
    if (q.live && (e.buttons || e.shiftKey)) pick(px, py);
  };
  return (
    <div class="mapview">
      <Canvas w={W} h={H} draw={draw} label={q.label} onMove={move} onLeave={() => setValue("")} onDown={q.onPick && pick} onKey={q.onKey} role={q.onPick ? "application" : "img"} class="map" />
      <div class="mapfoot"><Legend range={range} what={q.label} w={Math.min(120, W)} /><span class="value">{value}</span></div>
    </div>
  );
}
