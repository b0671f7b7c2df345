// unfoldview.tsx - the soft way from the overview into one layer: the other columns fold away, the maps that are read come forward, each meets
// its kernel, and their products add up to the map that was clicked. The window slides over the real grid; arrow keys and the pointer lead it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, calm, extra, go, m, p, t } from "./store";
import { csv, figures, give, npy, Save } from "./save";
import { About } from "./tour";
import type { Column } from "./columns";
import { Canvas, Legend, useLoad } from "./canvas";
import { colorOf, em, ink, type Range } from "./color";
import { drawMap } from "./paint";
import { ease } from "./motion";
import { fixed, num } from "./format";
import { spot } from "./unit";
import { gather, type Axis, type Fold } from "./unfold";

interface Box { x: number; y: number; w: number; h: number }
interface Places { inputs: Box[]; chips: Box[]; parts: Box[]; plus: [number, number]; out: Box; left: number; right: number; tile: number }
export interface Stage { columns: Column[]; pitch: number; tile: number; w: number; h: number; top: number; at: (i: number, row: number) => Box; paint: (g: CanvasRenderingContext2D) => void }

const digits = 4, shown = (v: number): number => Number(v.toFixed(digits));
const mix = (a: number, b: number, x: number): number => a + (b - a) * x;
const between = (a: Box, b: Box, x: number): Box => ({ x: mix(a.x, b.x, x), y: mix(a.y, b.y, x), w: mix(a.w, b.w, x), h: mix(a.h, b.h, x) });

/* Where everything stands once the layer is unfolded. */
function placesOf(f: Fold, s: Stage): Places {
  const n = f.inputs.length + (f.rest ? 1 : 0), z = em(), left = 64 * z, right = 40 * z, head = s.top + 6, room = s.h - head - 14, isSum = !!f.inputs[0].part, wide = s.w - left - right - 16;
  const step = Math.min(room / Math.max(n, 1), 190 * z), size = Math.max(14, Math.min(step - 8, n <= 3 ? wide * 0.16 : 60 * z)), chip = Math.min(Math.max(34 * z, size * 0.5), size), text = 62 * z, y0 = head + (room - step * n) / 2 + (step - size) / 2;
  const middle = isSum ? chip + size + text + 24 * z : 150 * z, big = Math.max(70, Math.min(wide * 0.28, wide - size - middle - 70 * z, room - 60 * z));
  const gaps = isSum ? 5 : 3, gap = Math.max(6, Math.min(120 * z, (wide - size - middle - big) / gaps)), start = left + 8 + Math.max(0, (wide - size - middle - big - (gaps - 1) * gap) / 2);
  const xi = start, xc = xi + size + gap, xp = xc + chip + gap, plus = isSum ? xp + size + text + gap + 12 * z : xc + middle / 2, mid = head + room / 2 - 10 * z;
  const box = (x: number, i: number, w: number): Box => ({ x, y: y0 + i * step + (size - w) / 2, w, h: w });
  const rows = Array.from({ length: n }, (_, i) => i), xo = Math.min((isSum ? plus + 12 * z : xc + middle) + gap, s.w - right - big - 4);
  return { inputs: rows.map((i) => box(xi, i, size)), chips: rows.map((i) => box(xc, i, chip)), parts: rows.map((i) => box(xp, i, size)), plus: [plus, mid], out: { x: xo, y: mid - big / 2, w: big, h: big }, left, right, tile: size };
}

/* A map keeps its own sides inside a square tile. */
const fit = (b: Box, w: number, h: number): Box => { const k = Math.min(b.w / w, b.h / h); return { x: b.x + (b.w - w * k) / 2, y: b.y + (b.h - h * k) / 2, w: w * k, h: h * k }; };

function map(g: CanvasRenderingContext2D, data: Float32Array, w: number, h: number, range: Range, where: Box, edge: string, bold = false): Box {
  const b = fit(where, w, h);
  drawMap(g, data, 0, w, h, range, b.x, b.y, b.w, b.h);
  g.strokeStyle = edge; g.lineWidth = bold ? 2 : 1; g.strokeRect(b.x - 0.5, b.y - 0.5, b.w + 1, b.h + 1);
  return b;
}

/* What is not yet reached by the window is covered. */
function cover(g: CanvasRenderingContext2D, b: Box, w: number, h: number, cell: number): void {
  const y = Math.floor(cell / w), x = cell % w, cw = b.w / w, ch = b.h / h;
  g.fillStyle = ink("frame");
  g.fillRect(b.x + (x + 1) * cw, b.y + y * ch, b.w - (x + 1) * cw, ch);
  if (y + 1 < h) g.fillRect(b.x, b.y + (y + 1) * ch, b.w, b.h - (y + 1) * ch);
}

function mark(g: CanvasRenderingContext2D, b: Box, w: number, h: number, r: [number, number, number, number]): void {
  const x = b.x + (r[1] * b.w) / w, y = b.y + (r[0] * b.h) / h, W = Math.max(3, ((r[3] - r[1]) * b.w) / w), H = Math.max(3, ((r[2] - r[0]) * b.h) / h);
  g.strokeStyle = ink("page"); g.lineWidth = 3; g.strokeRect(x - 0.5, y - 0.5, W + 1, H + 1);
  g.strokeStyle = ink("mark"); g.lineWidth = 1.5; g.strokeRect(x - 0.5, y - 0.5, W + 1, H + 1);
}

function curve(g: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  const k = (x1 - x0) / 2;
  g.beginPath(); g.moveTo(x0, y0); g.bezierCurveTo(x0 + k, y0, x1 - k, y1, x1, y1); g.stroke();
}

/** The window of an output place on an input, cut at the edges of the map. */
function windowOf(f: Fold, y: number, x: number, w: number, h: number): [number, number, number, number] {
  const span = (o: number, a: Axis, n: number): [number, number] => { const from = o * a.stride - a.pad; return [Math.max(0, from), Math.min(n, from + (a.taps - 1) * a.dilation + 1)]; };
  const [y0, y1] = span(y, f.y!, h), [x0, x1] = span(x, f.x!, w);
  return [y0, x0, y1, x1];
}

/** The terms of a number, for layers whose window is not known beforehand. */
const boxesOf = (u: api.Unit): Map<string, [number, number, number, number]> => {
  const out = new Map<string, [number, number, number, number]>();
  for (let i = 0; i < Math.min(u.n, 400); i++) {
    const s = spot(u, i), key = `${u.sources[s.source]?.place} ${s.c}`, b = out.get(key);
    if (s.y < 0) continue;
    out.set(key, b ? [Math.min(b[0], s.y), Math.min(b[1], s.x), Math.max(b[2], s.y + 1), Math.max(b[3], s.x + 1)] : [s.y, s.x, s.y + 1, s.x + 1]);
  }
  return out;
};

/* The numbers of a window as they lie on the map, at most three rows of three. */
function windowRows(u: api.Unit): string[] {
  const rows = new Map<number, string[]>();
  for (let i = 0; i < u.n; i++) { const y = spot(u, i).y; if (y >= 0) rows.set(y, [...(rows.get(y) ?? []), num(u.value[i], 3)]); }
  return [...rows.values()].slice(0, 3).map((r, i) => r.slice(0, 3).join(", ") + (r.length > 3 || (i === 2 && rows.size > 3) ? " …" : ""));
}

const formulaOf = (u: api.Unit): string[] => u.kind === "sum" && u.n === 1 ? [`${num(u.value[0], 4)} × ${num(u.weight[0], 4)}`, `${u.bias < 0 ? "−" : "+"} ${num(Math.abs(u.bias), 4)}`]
  : u.kind === "sum" ? Array.from({ length: Math.min(u.n, 4) }, (_, i) => `${i ? "+ " : ""}${num(u.value[i], 4)}${u.weight[i] === 1 ? "" : ` × ${num(u.weight[i], 3)}`}`).concat(u.n > 4 ? [`+ … (${u.n})`] : [])
    : u.kind === "max" ? [t("the largest of", "取最大者"), ...windowRows(u)]
      : u.kind === "copy" ? [num(u.value[0], 5)] : [`${u.title}(${Array.from(u.value.slice(0, 2), (v) => num(v, 4)).join(", ")})`];

/** How far the unfolding is, 0 to 1, towards `to`; at once where there is to be no motion. */
function useWay(to: number, ms: number, done: () => void): number {
  const [x, set] = useState(0), now = useRef(0);
  useEffect(() => {
    const from = now.current, start = performance.now();
    let frame = 0;
    const step = (time: number): void => {
      now.current = calm.matches ? to : mix(from, to, Math.min(1, (time - start) / ms));
      set(now.current);
      if (now.current !== to) frame = requestAnimationFrame(step); else done();
    };
    frame = requestAnimationFrame(step);
    return () => cancelAnimationFrame(frame);
  }, [to]);
  return x;
}

export const openedOf = (): [number, number] | null => { const [l, c] = (extra.value.unfold ?? "").split(".").map(Number); return Number.isInteger(l) && Number.isInteger(c) ? [l, c] : null; };

export function Unfold(q: { stage: Stage; l: api.Layer; channel: number; close: () => void }) {
  const { stage, l, channel } = q, [leaving, setLeaving] = useState(false), [cell, setCell] = useState(-1), [playing, setPlaying] = useState(false), [hover, setHover] = useState(-1);
  const f = useLoad((newest) => attempt(async () => {
    const got = await gather(m.value, p.value, l, channel);
    if (!got && newest()) go({ page: "arithmetic", layer: l.index, channel, at: -1, extra: { unfold: "" } }); // no picture for it here: its numbers have one there
    return got ?? undefined;
  }), [l.index, channel, m.value, p.value]);
  const ready = !!f && f.l.index === l.index && f.channel === channel;
  const way = useWay(ready && !leaving ? 1 : 0, 450, () => { if (leaving) q.close(); }), e = ease(way);
  const base = useMemo(() => { // the overview as it stood, to be folded like paper
    const c = document.createElement("canvas"), ratio = Math.min(devicePixelRatio || 1, 2), g = c.getContext("2d")!;
    c.width = stage.w * ratio; c.height = stage.h * ratio;
    g.scale(ratio, ratio);
    stage.paint(g);
    return c;
  }, [stage.paint, stage.w, stage.h]);
  useEffect(() => { // first the strongest number, or the window begins its way
    if (!f) return;
    let best = 0;
    for (let i = 1; i < f.out.length; i++) if (f.out[i] > f.out[best]) best = i;
    setPlaying(!calm.matches && !!f.y);
    setCell(calm.matches || !f.y ? best : 0);
  }, [f]);
  useEffect(() => {
    if (!playing || !f || way < 1) return;
    const n = f.w * f.h, start = performance.now(), from = cell >= n - 1 ? 0 : cell, ms = 7000 * (1 - from / n);
    let frame = 0;
    const step = (time: number): void => { const at = Math.min(n - 1, Math.floor(from + ((time - start) / ms) * (n - from))); setCell(at); if (at < n - 1) frame = requestAnimationFrame(step); else setPlaying(false); };
    frame = requestAnimationFrame(step);
    return () => cancelAnimationFrame(frame);
  }, [playing, f, way === 1]);
  useEffect(() => { (document.querySelector(".overview canvas.stage") as HTMLElement | null)?.focus({ preventScroll: true }); }, []);
  const leave = (): void => { setPlaying(false); setLeaving(true); };
  useEffect(() => {
    const on = (k: KeyboardEvent): void => { if (k.key === "Escape") leave(); };
    addEventListener("keydown", on);
    return () => removeEventListener("keydown", on);
  }, []);
  const u = useLoad(async () => (f && !f.y && cell >= 0 ? api.getUnit(m.value, p.value, String(l.index), channel * f.w * f.h + cell).catch(() => undefined) : undefined), [f, cell]);
  const at = useMemo(() => f && placesOf(f, stage), [f, stage.w, stage.h]);
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    if (!f || !at || !ready) { g.drawImage(base, 0, 0, stage.w, stage.h); return; }
    paper(g, base, stage, f, at, e);
    if (e > 0) unfolded(g, stage, f, at, e, cell, playing, hover, u);
  }, [base, f, at, ready, e, cell, playing, hover, u]);

  const arithmetic = (input?: number): void => { if (f) go({ page: "arithmetic", layer: l.index, channel, at: channel * f.w * f.h + Math.max(0, cell), extra: { from: input !== undefined && f.inputs[input] ? String(f.inputs[input].channel) : "" } }); };
  const find = (x: number, y: number): { cell: number; row: number; big: boolean } | null => {
    if (!f || !at) return null;
    const inside = (b: Box, w: number, h: number): [number, number] | null => { const r = fit(b, w, h), cx = Math.floor(((x - r.x) / r.w) * w), cy = Math.floor(((y - r.y) / r.h) * h); return cx >= 0 && cy >= 0 && cx < w && cy < h ? [cy, cx] : null; };
    const clip = (v: number, n: number): number => Math.max(0, Math.min(n - 1, v));
    const big = inside(at.out, f.w, f.h);
    if (big) return { cell: big[0] * f.w + big[1], row: -1, big: true };
    for (let i = 0; i < at.inputs.length; i++) {
      const part = f.y ? inside(at.parts[i], f.w, f.h) : null, source = f.inputs[i], on = source && inside(at.inputs[i], source.w, source.h);
      if (part) return { cell: part[0] * f.w + part[1], row: i, big: false };
      if (on) { const back = (v: number, a: Axis | undefined, from: number, to: number): number => (a ? clip(Math.round((v + a.pad - ((a.taps - 1) * a.dilation) / 2) / a.stride), to) : clip(Math.floor((v * to) / from), to)); return { cell: back(on[0], f.y, source.h, f.h) * f.w + back(on[1], f.x, source.w, f.w), row: i, big: false }; }
      const c = at.chips[i];
      if (f.y && x >= c.x && x <= c.x + c.w && y >= c.y && y <= c.y + c.h) return { cell, row: i, big: false };
    }
    return null;
  };
  const move = (x: number, y: number): void => { const s = find(x, y); setHover(s ? s.row : -1); if (s && s.cell !== cell) { setPlaying(false); setCell(s.cell); } };
  const down = (x: number, y: number): void => {
    const s = find(x, y);
    if (!s) { leave(); return; }
    if (s.cell !== cell) { setPlaying(false); setCell(s.cell); setHover(s.row); return; } // a finger first shows, then opens
    arithmetic(s.row >= 0 ? s.row : undefined);
  };
  const key = (k: KeyboardEvent): boolean => {
    const d = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[k.key];
    if (!f) return false;
    if (k.key === "Enter") { arithmetic(); return true; }
    if (k.key === " ") { setPlaying(!playing); return true; }
    if (!d) return false;
    const now = Math.max(0, cell), y = Math.max(0, Math.min(f.h - 1, Math.floor(now / f.w) + d[0])), x = Math.max(0, Math.min(f.w - 1, (now % f.w) + d[1]));
    setPlaying(false); setCell(y * f.w + x);
    return true;
  };
  const y = f && cell >= 0 ? Math.floor(cell / f.w) : 0, x = f && cell >= 0 ? cell % f.w : 0, chosen = f && hover >= 0 ? f.inputs[hover] : undefined;
  return (<>
    <div class="crumbs">
      <nav aria-label={t("Where you are", "当前位置")}><button class="link" onClick={leave}>{t("Overview", "总览")}</button> <span aria-hidden="true">›</span> <b>{l.name}</b> <span aria-hidden="true">›</span> <b aria-current="step">{t("channel", "通道")} {channel}</b> <About l={l} /></nav>
      {f && <><button aria-pressed={playing} class={playing ? "on" : ""} onClick={() => setPlaying(!playing)}>{playing ? t("❚❚ Pause", "❚❚ 暂停") : t("▶ Play", "▶ 播放")}</button>
        {playing && <button onClick={() => { setPlaying(false); setCell(f.w * f.h - 1); }}>{t("Skip to the end", "直接到结尾")}</button>}</>}
      <button class="primary" onClick={() => arithmetic()}>{t("Its arithmetic", "它的算术过程")}</button>
      <button onClick={() => go({ page: "layer", layer: l.index, channel, extra: { unfold: "" } })}>{t("All channels", "全部通道")}</button>
      {f?.y && <span class="scale-of">{t("weights", "权重")}<Legend range={f.kernelRange} what={t("weights", "权重")} w={90 * em()} /></span>}{f && <span class="scale-of">{t("its map", "所得的图")}<Legend range={f.range} what={t("its map", "所得的图")} w={100 * em()} /></span>}
      <span class="grow" />{f && <Save name={`${l.name}-${channel}`} of=".overview .scroller" label={t("this view", "当前画面")} items={[...(cell >= 0 ? figures("unit", { layer: String(l.index), at: channel * f.w * f.h + cell, name: l.name }) : []), npy("npy", { m: m.value, p: p.value, layer: l.index }),
        { label: t("CSV: the map", "CSV：特征图"), run: () => give(`${l.name}-${channel}.csv`, csv(["row", "column", "value", ...(f.y ? [...f.inputs.map((x) => `from ${x.name} ${x.channel}`), ...(f.rest ? ["others"] : []), "bias"] : [])], Array.from(f.out, (v, i) => [Math.floor(i / f.w), i % f.w, v, ...(f.y ? [...f.inputs.map((x) => x.part![i]), ...(f.rest ? [f.rest[i]] : []), f.bias] : [])]))) }]} />}<button onClick={leave}>{t("← Overview (Esc)", "← 总览（Esc）")}</button>
    </div>
    <div class="scroller"><Canvas w={stage.w} h={stage.h} draw={draw} class="stage" role="application" onMove={move} onLeave={() => setHover(-1)} onDown={down} onKey={key}
      label={t("What the map is made of. Arrow keys move the window, Space plays, Enter opens every product, Escape goes back.", "这张特征图由什么得来。方向键移动窗口，空格播放，回车打开全部乘积，Esc 返回。")} /></div>
    <p class="readout" aria-live={playing ? "off" : "polite"}>{f && cell >= 0 ? <>
      <b>{l.name}</b> [{channel}, {y}, {x}] = <b class="value">{num(f.out[cell], 5)}</b>
      {f.y && chosen && <> · {t("of it from", "其中来自")} {chosen.name}, {t("channel", "通道")} {chosen.channel}: <b>{num(chosen.part![cell], 4)}</b> · {t("its weights", "它的权重")} {Array.from(chosen.kernel!.slice(0, 9), (v) => num(v, 2)).join(", ")}{chosen.kernel!.length > 9 && " …"}</>}
      {f.y && !chosen && ` · ${t(`${f.total} maps, a ${f.y.taps}×${f.x!.taps} window over each`, `${f.total} 张图，每张上有一个 ${f.y.taps}×${f.x!.taps} 的窗口`)}${f.bias ? ` · ${t("bias", "偏置")} ${num(f.bias, 4)}` : ""}`}
    </> : t("computing…", "计算中…")}</p>
  </>);
}

/* The overview's columns folded to both sides. */
function paper(g: CanvasRenderingContext2D, base: HTMLCanvasElement, s: Stage, f: Fold, at: Places, e: number): void {
  const target = s.columns.findIndex((c) => c.place === String(f.l.index)), source = s.columns.findIndex((c) => c.place === f.inputs[0].place), k = base.width / s.w, last = s.columns.length - 1, margin = (s.pitch - s.tile) / 2;
  const first = source >= 0 ? source : target, lefts = first, rights = last - target;
  s.columns.forEach((_, i) => {
    const x = i === 0 ? 0 : 8 + i * s.pitch - margin, w = i === last ? s.w - x : s.pitch - (i === 0 ? margin - 8 : 0);
    let to = x, wide = w, alpha = 1 - e;
    if (i < first) { wide = mix(w, (at.left - 10) / Math.max(lefts, 1), e); to = mix(x, 6 + (i * (at.left - 10)) / Math.max(lefts, 1), e); alpha = mix(1, 0.3, e); }
    if (i > target) { wide = mix(w, (at.right - 6) / Math.max(rights, 1), e); to = mix(x, s.w - at.right + ((i - target - 1) * (at.right - 6)) / Math.max(rights, 1), e); alpha = mix(1, 0.3, e); }
    if (alpha <= 0.01) return;
    g.globalAlpha = alpha;
    g.drawImage(base, x * k, 0, Math.max(1, w * k), base.height, to, 0, Math.max(1, wide), s.h);
  });
  g.globalAlpha = 1;
}

function words(g: CanvasRenderingContext2D, text: string, x: number, y: number, room: number, color: string, bold = false, ground = false): void {
  g.textAlign = "center"; g.fillStyle = color; g.font = `${bold ? "600 " : ""}${12 * em()}px ${ink("font")}`;
  let s = text;
  for (let n = 1; s.length > 4 && g.measureText(s).width > room; n++) s = text.slice(0, Math.max(2, (text.length - n) >> 1)) + "…" + text.slice(text.length - Math.max(2, (text.length - n) >> 1));
  if (ground) { const w = g.measureText(s).width; g.fillStyle = ink("panel"); g.fillRect(x - w / 2 - 3, y - 12 * em(), w + 6, 16 * em()); g.fillStyle = color; }
  g.fillText(s, x, y);
}

function unfolded(g: CanvasRenderingContext2D, s: Stage, f: Fold, at: Places, e: number, cell: number, playing: boolean, hover: number, u: api.Unit | undefined): void {
  const z = em(), text = ink("text"), quiet = ink("quiet"), line = ink("line"), accent = ink("accent"), panel = ink("panel"), bar = ink("bar"), y = Math.max(0, Math.floor(cell / f.w)), x = Math.max(0, cell % f.w), settled = e >= 1;
  const source = s.columns.findIndex((c) => c.place === f.inputs[0].place), target = s.columns.findIndex((c) => c.place === String(f.l.index)), boxes = u ? boxesOf(u) : null;
  const from = (i: number): Box => { const c = s.columns[source], row = c ? c.channels.indexOf(f.inputs[i].channel) : -1; return row >= 0 && c.kind === "maps" ? s.at(source, row) : at.inputs[i]; };
  const row = target >= 0 ? s.columns[target].channels.indexOf(f.channel) : -1, out = between(row >= 0 ? s.at(target, row) : at.out, at.out, e), n = at.inputs.length;
  const isSum = !!f.y, later = Math.max(0, (e - 0.6) / 0.4);
  g.globalAlpha = later; g.strokeStyle = quiet; g.lineWidth = 1;
  for (let i = 0; i < n; i++) { // the ways of the numbers
    const a = at.inputs[i], b = at.chips[i], c = at.parts[i], lit = hover === i;
    g.strokeStyle = lit ? accent : bar; g.lineWidth = lit ? 2 : 1.2;
    g.setLineDash(playing ? [4, 5] : []); g.lineDashOffset = playing ? -cell / 2 : 0;
    if (isSum) { if (f.inputs[i]) { curve(g, a.x + a.w, a.y + a.h / 2, b.x, b.y + b.h / 2); curve(g, b.x + b.w, b.y + b.h / 2, c.x, c.y + c.h / 2); } curve(g, c.x + c.w + 58 * z, c.y + c.h / 2, at.plus[0] - 11 * z, at.plus[1]); }
    else curve(g, a.x + a.w, a.y + a.h / 2, at.plus[0] - 70 * z, at.plus[1]);
  }
  curve(g, at.plus[0] + (isSum ? 11 : 70) * z, at.plus[1], at.out.x, at.plus[1]);
  g.setLineDash([]); g.globalAlpha = 1;
  f.inputs.forEach((input, i) => {
    const start = from(i), fresh = start === at.inputs[i];
    g.globalAlpha = fresh ? later : 1;
    const b = map(g, input.data, input.w, input.h, input.range, between(start, at.inputs[i], e), hover === i ? accent : line, hover === i);
    g.globalAlpha = 1;
    const r = isSum ? windowOf(f, y, x, input.w, input.h) : boxes?.get(`${input.place} ${input.channel}`);
    if (settled && cell >= 0 && r) mark(g, b, input.w, input.h, r);
  });
  const b = map(g, f.out, f.w, f.h, f.range, out, accent, true);
  if (playing && settled) cover(g, b, f.w, f.h, cell);
  if (settled && cell >= 0) mark(g, b, f.w, f.h, [y, x, y + 1, x + 1]);
  g.globalAlpha = later;
  if (isSum) sums(g, f, at, cell, playing && settled, hover, { text, quiet, line, accent, panel }); else middle(g, f, at, u, { text, quiet, line, panel });
  const head = 22 * z, below = 40 * z, a = at.inputs[0], centre = (q: Box): number => q.x + q.w / 2, partAt = centre(at.parts[0]) + 20 * z, chipRoom = Math.min(90 * z, (partAt - centre(a)) / 2.6), clear = (x: number): number => Math.max(24, 2 * (Math.abs(x - centre(at.chips[0])) - chipRoom / 2 - 6)), room = isSum ? Math.min(170 * z, clear(centre(a))) : 170 * z, partRoom = Math.min(150 * z, clear(partAt));
  words(g, f.inputs[0].name, a.x + a.w / 2, head, room, text, true);
  words(g, f.inputs[0].part && f.total > f.inputs.length ? t(`strongest ${f.inputs.length} of ${f.total}`, `${f.total} 张中最强的 ${f.inputs.length} 张`) : t("what it reads", "读取的图"), a.x + a.w / 2, below, room, quiet);
  if (isSum) { words(g, t("kernels", "卷积核"), centre(at.chips[0]), head, chipRoom, text, true); words(g, t("one each", "每张一个"), centre(at.chips[0]), below, chipRoom, quiet); words(g, t("products, summed", "乘积之和"), partAt, head, partRoom, text, true); words(g, t("over the window", "在窗口内相加"), partAt, below, partRoom, quiet); }
  words(g, f.l.name, at.out.x + at.out.w / 2, head, 200 * z, text, true);
  words(g, `${t("channel", "通道")} ${f.channel}`, at.out.x + at.out.w / 2, below, 150 * z, quiet);
  if (cell >= 0) words(g, num(f.out[cell], 5), at.out.x + at.out.w / 2, at.out.y + at.out.h + 24 * z, 160 * z, text, true);
  g.globalAlpha = 1; g.textAlign = "left";
}

/* Kernels, what each gives, and the sum: what is printed adds up, because what rounding loses is printed too. */
function sums(g: CanvasRenderingContext2D, f: Fold, at: Places, cell: number, covered: boolean, hover: number, ink4: { text: string; quiet: string; line: string; accent: string; panel: string }): void {
  const z = em(), now = Math.max(0, cell);
  let total = shown(f.bias);
  at.parts.forEach((c, i) => {
    const input = f.inputs[i], data = input?.part ?? f.rest!, k = at.chips[i], v = data[now];
    if (input) {
      map(g, input.kernel!, f.x!.taps, f.y!.taps, f.kernelRange, k, hover === i ? ink4.accent : ink4.line, hover === i);
      total += shown(v);
    } else { const a = at.inputs[i]; words(g, t(`${f.restOf} others`, `其余 ${f.restOf} 张`), (a.x + k.x + k.w) / 2, a.y + a.h / 2 + 4 * z, k.x + k.w - a.x, ink4.quiet); }
    const b = map(g, data, f.w, f.h, f.partRange, c, hover === i ? ink4.accent : ink4.line, hover === i);
    if (covered) cover(g, b, f.w, f.h, cell);
    if (cell >= 0) { const y = Math.floor(cell / f.w), x = cell % f.w; mark(g, b, f.w, f.h, [y, x, y + 1, x + 1]); }
    const value = input ? shown(v) : shown(f.out[now]) - total;
    if (!input) total += value;
    g.textAlign = "left"; g.font = `${12 * z}px ${ink("font")}`; g.fillStyle = Math.abs(value) < 0.5 * 10 ** -digits ? ink4.quiet : colorOf(Math.sign(value) * 0.8, { low: -1, high: 1 });
    g.fillText(`${value >= 0 ? "+" : ""}${fixed(value, digits)}`, c.x + c.w + 8 * z, c.y + c.h / 2 + 4 * z);
  });
  const [px, py] = at.plus, lost = shown(f.out[now]) - total;
  g.fillStyle = ink4.panel; g.strokeStyle = ink4.text; g.lineWidth = 1.5;
  g.beginPath(); g.arc(px, py, 11 * z, 0, 7); g.fill(); g.stroke();
  words(g, "+", px, py + 5 * z, 30, ink4.text, true);
  if (f.bias) words(g, `${t("bias", "偏置")} ${f.bias > 0 ? "+" : ""}${fixed(f.bias, digits)}`, px, py + 30 * z, 140 * z, ink4.quiet, false, true);
  if (Math.abs(lost) > 0.5 * 10 ** -digits) words(g, `${t("rounding", "舍入")} ${lost > 0 ? "+" : ""}${fixed(lost, digits)}`, px, py + 47 * z, 140 * z, ink4.quiet, false, true);
}

/* What the layer does with its few numbers. */
function middle(g: CanvasRenderingContext2D, f: Fold, at: Places, u: api.Unit | undefined, ink4: { text: string; quiet: string; line: string; panel: string }): void {
  const z = em(), [px, py] = at.plus, lines = u ? [...formulaOf(u), `= ${num(u.result, 5)}`] : [], w = 140 * z, h = (44 + lines.length * 18) * z;
  g.fillStyle = ink4.panel; g.strokeStyle = ink4.line; g.lineWidth = 1;
  g.beginPath(); g.rect(px - w / 2, py - h / 2, w, h); g.fill(); g.stroke();
  words(g, f.l.title, px, py - h / 2 + 22 * z, w - 8, ink4.text, true);
  lines.forEach((s, i) => words(g, s, px, py - h / 2 + (46 + i * 18) * z, w - 6, i === lines.length - 1 ? ink4.text : ink4.quiet, i === lines.length - 1));
}
