// mapview.tsx - one map, large, with a window or a cursor on it; the value under the pointer; a pick on click, drag or hover.
import { useMemo, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, m, p, prediction, reached, t } from "./store";
import { Canvas, Legend, useLoad } from "./canvas";
import { rangeOf, type Range } from "./color";
import { drawMap, extent, foldVector } from "./paint";
import { num } from "./format";

interface MapViewProps {
  where: api.Place; channel: number; size?: number; cursor?: [number, number]; box?: [number, number, number, number]; label: string; edited?: api.Edited; turn?: number;
  range?: Range; live?: boolean; over?: (g: CanvasRenderingContext2D, scale: number) => void; onPick?: (y: number, x: number, channel?: number) => void; onKey?: (e: KeyboardEvent) => boolean;
}

export function MapView(q: MapViewProps) {
  const size = q.size ?? 240, [value, setValue] = useState<string>(""), there = reached(q.where);
  const d = useLoad(async () => {
    if (!there) return undefined;
    const mm = m.value, pp = p.value, where = q.where, one = await attempt(() => api.getMaps(mm, pp, where, { list: [q.channel], edited: q.edited }));
    if (one && one.H * one.W === 1) { const all = await attempt(() => api.getMaps(mm, pp, where, { edited: q.edited })); return all && { ...all, vector: true, where }; }
    return one && { ...one, vector: false, where };
  }, [q.where, q.channel, m.value, p.value, q.edited, q.turn, there]);
  const [w, h] = d ? (d.vector ? foldVector(d.c) : [d.w, d.h]) : [1, 1];
  const scale = size / Math.max(w, h), W = Math.max(8, w * scale), H = Math.max(8, h * scale);
  const range = useMemo(() => q.range ?? (d ? rangeOf(...extent(d.data)) : { low: 0, high: 1 }), [d, q.range]);
  const cursor: [number, number] | undefined = d?.vector ? [Math.floor(q.channel / w), q.channel % w] : q.cursor;
  const spots: { kind: string; r: [number, number, number, number] }[] = [];
  const mark = (kind: string, y0: number, x0: number, y1: number, x1: number): void => { spots.push({ kind, r: [x0 * scale, y0 * scale, Math.max(3, (x1 - x0) * scale), Math.max(3, (y1 - y0) * scale)] }); };
  if (d && q.box && !d.vector) mark("box", ...q.box);
  if (d && q.box && d.vector) mark("box", Math.floor(q.channel / w), q.channel % w, Math.floor(q.channel / w) + 1, (q.channel % w) + 1);
  if (d && cursor) mark("cursor", cursor[0], cursor[1], cursor[0] + 1, cursor[1] + 1);
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    if (!d) return;
    if (d.vector) { const padded = new Float32Array(w * h).fill(NaN); padded.set(d.data); drawMap(g, padded, 0, w, h, range, 0, 0, W, H); } else drawMap(g, d.data, 0, w, h, range, 0, 0, W, H);
    q.over?.(g, scale);
  }, [d, range, W, H, q.over]);
  const cell = (px: number, py: number): [number, number] => [Math.max(0, Math.min(h - 1, Math.floor(py / scale))), Math.max(0, Math.min(w - 1, Math.floor(px / scale)))];
  const pick = (px: number, py: number): void => {
    const [y, x] = cell(px, py);
    if (!d || !q.onPick || d.where !== q.where) return; // what is shown is still another layer's
    if (!d.vector) q.onPick(y, x);
    else if (y * w + x < d.c) q.onPick(0, 0, y * w + x);
  };
  const move = (px: number, py: number, e: PointerEvent): void => {
    if (!d) return;
    const [y, x] = cell(px, py), i = y * w + x;
    setValue(i < d.data.length ? `${d.vector ? i : `${y}, ${x}`}: ${num(d.data[i])}` : "");
    if (q.live && (e.buttons || e.shiftKey)) pick(px, py);
  };
  if (!there) return <p class="quiet">{prediction.value ? t("not computed: the run stopped before it", "未计算：运行在此之前已停止") : "…"}</p>;
  return (
    <div class={d && d.where !== q.where ? "mapview stale" : "mapview"}>
      <div class="marked" style={{ width: `${W}px`, height: `${H}px` }}><Canvas w={W} h={H} draw={draw} label={q.label} onMove={move} onLeave={() => setValue("")} onDown={q.onPick && pick} onKey={q.onKey} role={q.onPick ? "application" : "img"} class="map" />
        {spots.map((s) => <i key={s.kind} class={`glide ${s.kind}`} style={{ left: `${s.r[0]}px`, top: `${s.r[1]}px`, width: `${s.r[2]}px`, height: `${s.r[3]}px` }} />)}</div>
      <div class="mapfoot"><Legend range={range} what={q.label} w={Math.min(120, W)} /><span class="value">{value}</span></div>
    </div>
  );
}
