// linechart.tsx - curves of one tag: what the server sends for the width, panned and zoomed at once and then made sharp; nothing that is not
// finite and no spike is passed over. Drag: a part; Shift and drag: move; Ctrl and wheel: in and out; double click: all.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./logapi";
import { axis, bands, logScale, nameOf, outliers, runsById, smooth, spot, stamp, styles } from "./watchstate";
import { dark, t } from "./store";
import { ink } from "./color";
import { num } from "./format";

export interface Mark { x: number; text: string }
interface Data { lines: api.Line[]; band: api.Band | null; first: number; last: number; from: number; to: number }
interface Box { x0: number; x1: number; y0: number; y1: number }
const left = 52, right = 10, top = 6, bottom = 22;

/** Ticks at 1, 2 or 5 times a power of ten; on a logarithmic scale (numbers are logarithms) at powers. */
export function ticks(lo: number, hi: number, most: number, log = false): number[] {
  if (!(hi > lo)) return [lo];
  if (log && hi - lo >= 1) {
    const step = Math.max(1, Math.ceil((hi - lo) / most)), out: number[] = [];
    for (let v = Math.ceil(lo / step) * step; v <= hi; v += step) out.push(v);
    return out;
  }
  const raw = (hi - lo) / Math.max(1, most), power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= raw) ?? raw, out: number[] = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9 && out.length < 50; i++) out.push(i * step);
  return out;
}
/** A tick's number, as short as its distance to the next one allows. */
export const tickText = (v: number): string => (Math.abs(v) >= 1e6 || (v !== 0 && Math.abs(v) < 1e-4) ? num(v, 3).replace(/\.0+(?=e)/, "") : String(Number(v.toPrecision(6))).replace("-", "−"));
/** The texts of an axis; where its numbers differ too little for their room, what they have in common (`from`) is said once and they say the rest. */
function tickTexts(values: number[], fits: (text: string) => boolean): { texts: string[]; from: string } {
  const plain = values.map(tickText);
  if (values.length < 2 || (new Set(plain).size === plain.length && plain.every(fits))) return { texts: plain, from: "" };
  const near = Math.min(...values.slice(1).map((v, i) => Math.abs(v - values[i]))), digits = Math.max(0, Math.min(15, Math.ceil(-Math.log10(near) + 1e-9) + 1));
  const base = Number(values[0].toFixed(digits));
  return { texts: values.map((v) => { const d = Number((v - base).toPrecision(2)); return Math.abs(d) < near / 20 ? "+0" : `+${tickText(d)}`; }), from: String(base).replace("-", "−") };
}
export const seconds = (v: number): string => (Math.abs(v) < 120 ? `${num(v, 3)} s` : Math.abs(v) < 7200 ? `${num(v / 60, 3)} min` : Math.abs(v) < 172800 ? `${num(v / 3600, 3)} h` : `${num(v / 86400, 3)} d`);
const xText = (v: number, a: api.Axis): string => (a === "time" ? seconds(v) : Number.isInteger(v) ? v.toLocaleString("en-US") : num(v, 5));

/** The part of the numbers that decides the range: all of them, or without the outermost twentieths. */
function rangeOf(d: Data, x0: number, x1: number, log: boolean, without: boolean): [number, number] {
  let lo = Infinity, hi = -Infinity;
  const sample: number[] = [], use = (v: number): void => {
    if (!Number.isFinite(v) || (log && v <= 0)) return;
    if (without) sample.push(v);
    if (v < lo) lo = v;
    if (v > hi) hi = v;
  };
  if (d.band) for (let i = 0; i < d.band.n; i++) { if (d.band.x[i] >= x0 && d.band.x[i] <= x1) { use(d.band.low[i]); use(d.band.high[i]); } }
  else for (const l of d.lines) for (let i = 0; i < l.x.length; i++) if (l.x[i] >= x0 && l.x[i] <= x1) { use(l.y[i]); if (l.s !== l.y) use(l.s[i]); }
  if (without && sample.length > 20) { const s = Float64Array.from(sample).sort(); lo = s[Math.floor(s.length * 0.05)]; hi = s[Math.ceil(s.length * 0.95) - 1]; }
  if (!(lo <= hi)) return log ? [-1, 0] : [0, 1];
  if (log) { lo = Math.log10(lo); hi = Math.log10(hi); }
  if (lo === hi) { const d2 = Math.abs(lo) > 0 && !log ? Math.abs(lo) * 0.1 : 0.5; return [lo - d2, hi + d2]; }
  const room = (hi - lo) * 0.05;
  return [lo - room, hi + room];
}

/** Index of the point of a line nearest to x. */
function nearest(x: Float64Array, at: number): number {
  let lo = 0, hi = x.length;
  while (lo < hi) { const mid = (lo + hi) >> 1; if (x[mid] < at) lo = mid + 1; else hi = mid; }
  return lo > 0 && (lo === x.length || at - x[lo - 1] < x[lo] - at) ? lo - 1 : lo;
}

/** Draws the curves alone, without axes, into a canvas of w x h. */
function drawLines(g: CanvasRenderingContext2D, d: Data, b: Box, w: number, h: number, log: boolean): void {
  const sx = w / (b.x1 - b.x0 || 1), sy = h / (b.y1 - b.y0 || 1), many = d.lines.length > 40, st = styles.value, owner = seriesRun.value;
  const X = (x: number): number => (x - b.x0) * sx, Y = (y: number): number => h - ((log ? Math.log10(y) : y) - b.y0) * sy;
  const drawable = (y: number): boolean => y - y === 0 && (!log || y > 0);
  const path = (x: Float64Array, y: Float64Array): void => {
    let down = false;
    g.beginPath();
    for (let i = 0; i < x.length; i++) {
      const v = y[i];
      if (!drawable(v)) { down = false; continue; }
      const px = X(x[i]), py = Math.max(-1e4, Math.min(1e4, Y(v)));
      if (down) g.lineTo(px, py); else g.moveTo(px, py);
      if (!down && (i + 1 >= x.length || !drawable(y[i + 1]))) { g.lineTo(px + 0.01, py); }
      down = true;
    }
    g.stroke();
  };
  g.lineJoin = "round"; g.lineCap = "round";
  if (d.band) {
    const n = d.band, color = st.values().next().value?.color ?? ink("accent"), area = (lo: (i: number) => number, hi: (i: number) => number, alpha: number): void => {
      g.globalAlpha = alpha; g.fillStyle = color; g.beginPath();
      let begun = false;
      for (let i = 0; i < n.n; i++) { const v = hi(i); if (drawable(v)) { if (begun) g.lineTo(X(n.x[i]), Y(v)); else g.moveTo(X(n.x[i]), Y(v)); begun = true; } }
      for (let i = n.n - 1; i >= 0; i--) { const v = lo(i); if (drawable(v)) g.lineTo(X(n.x[i]), Y(v)); }
      g.fill();
    };
    area((i) => n.low[i], (i) => n.high[i], 0.12);
    area((i) => n.mean[i] - n.deviation[i], (i) => n.mean[i] + n.deviation[i], 0.22);
    g.globalAlpha = 1; g.strokeStyle = color; g.lineWidth = 2; path(n.x, n.mean);
    return;
  }
  for (let pass = 0; pass < 2; pass++) {
    for (const l of d.lines) {
      const s = st.get(owner.get(l.series) ?? -1) ?? { color: "#888", dash: false }, smoothed = l.s !== l.y;
      if (pass === 0 && !smoothed) continue;
      g.strokeStyle = s.color; g.globalAlpha = pass === 0 ? (many ? 0.08 : 0.28) : many ? 0.4 : 1; g.lineWidth = pass === 0 || many ? 1 : 1.8;
      if (s.dash && pass === 1 && !many) g.setLineDash([5, 4]);
      path(l.x, pass === 0 ? l.y : l.s);
      g.setLineDash([]);
    }
  }
  g.globalAlpha = 1;
}

/* What no line can show: numbers that are not finite (×), and numbers beyond the range (small triangles at the edge). */
function drawBeyond(g: CanvasRenderingContext2D, d: Data, b: Box, w: number, h: number, log: boolean): void {
  const owner = seriesRun.value, st = styles.value;
  for (const l of d.lines) {
    let count = 0;
    g.fillStyle = g.strokeStyle = st.get(owner.get(l.series) ?? -1)?.color ?? ink("warn");
    for (let i = 0; i < l.x.length && count < 400; i++) {
      const v = l.y[i], px = ((l.x[i] - b.x0) / (b.x1 - b.x0 || 1)) * w, y = log ? Math.log10(v) : v;
      if (px < -1 || px > w + 1) continue;
      if (v - v !== 0) { count++; g.lineWidth = 1.5; g.beginPath(); g.moveTo(px - 3, 3); g.lineTo(px + 3, 9); g.moveTo(px + 3, 3); g.lineTo(px - 3, 9); g.stroke(); continue; }
      if (log && v <= 0) continue;
      const up = y > b.y1, down = y < b.y0;
      if (up || down) { count++; const e = up ? 0 : h, s = up ? 5 : -5; g.beginPath(); g.moveTo(px, e); g.lineTo(px - 3, e + s); g.lineTo(px + 3, e + s); g.fill(); }
    }
  }
}

const seriesRun = { value: new Map<number, number>() };

interface Chart { tag: string; series: api.Series[]; w: number; h: number; marks?: Mark[]; zoom?: [number, number] | null; onZoom?: (z: [number, number] | null) => void }

export function LineChart(q: Chart) {
  const canvas = useRef<HTMLCanvasElement>(null), held = useRef<Data | null>(null), view = useRef<[number, number] | null>(q.zoom ?? null), frame = useRef(0), ask = useRef(0), abort = useRef<AbortController | null>(null);
  const sharp = useRef<{ bitmap: HTMLCanvasElement; box: Box; ms: number; of: Data; look: unknown[] } | null>(null), drag = useRef<{ x: number; from: number; box: [number, number]; pan: boolean } | null>(null), pointer = useRef<number | null>(null);
  const [tip, setTip] = useState<{ x: number; rows: { name: string; color: string; y: number; s: number; x: number }[]; more: number } | null>(null), [near, setNear] = useState(false), [stateText, setState] = useState("");
  const a = axis.value, sm = smooth.value, lg = logScale.value, out = outliers.value, band = bands.value && q.series.length > 1, isDark = dark.value, ratio = Math.min(devicePixelRatio || 1, 2), W = q.w - left - right, H = q.h - top - bottom;
  const ids = useMemo(() => q.series.map((s) => s.id), [q.series]), key = ids.join();
  for (const s of q.series) seriesRun.value.set(s.id, s.run);

  const span = (): [number, number] => { const d = held.current; return view.current ?? (d ? [d.first, d.last > d.first ? d.last : d.first + 1] : [0, 1]); };
  const box = (d: Data): Box => { const [x0, x1] = span(), [y0, y1] = rangeOf(d, x0, x1, lg, out); return { x0, x1, y0, y1 }; };

  const paint = (): void => {
    frame.current = 0;
    const c = canvas.current, d = held.current;
    if (!c) return;
    const g = c.getContext("2d")!;
    if (c.width !== Math.round(q.w * ratio) || c.height !== Math.round(q.h * ratio)) { c.width = Math.round(q.w * ratio); c.height = Math.round(q.h * ratio); }
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, q.w, q.h);
    if (!d || W < 20) return;
    let last = sharp.current;
    const moving = drag.current?.pan || wheeling.current, slow = last && last.of === d && last.ms > 6;
    const b = moving && slow ? { ...last!.box, x0: span()[0], x1: span()[1] } : box(d);
    const look = [W, H, ratio, lg, isDark, styles.value, b.x0, b.x1, b.y0, b.y1], same = last?.of === d && look.every((x, i) => x === last!.look[i]); // only the cursor moved
    if (!(moving && slow) && !same) { // the curves anew
      const t0 = performance.now(), bitmap = last?.bitmap ?? document.createElement("canvas");
      bitmap.width = Math.max(1, Math.round(W * ratio)); bitmap.height = Math.max(1, Math.round(H * ratio));
      const to = bitmap.getContext("2d")!;
      to.setTransform(ratio, 0, 0, ratio, 0, 0);
      drawLines(to, d, b, W, H, lg);
      drawBeyond(to, d, b, W, H, lg);
      sharp.current = last = { bitmap, box: b, ms: performance.now() - t0, of: d, look };
    }
    g.font = `11px ${ink("font")}`; g.lineWidth = 1; g.textBaseline = "middle"; g.textAlign = "right";
    const marks = ticks(b.y0, b.y1, Math.max(2, Math.floor(H / 34)), lg), { texts, from } = tickTexts(marks.map((y) => (lg ? 10 ** y : Math.abs(y) < (b.y1 - b.y0) * 1e-9 ? 0 : y)), (x) => g.measureText(x).width <= left - 8);
    c.dataset.y = `${from}|${texts.join("|")}`;
    marks.forEach((y, i) => {
      const py = Math.round(top + H - ((y - b.y0) / (b.y1 - b.y0)) * H) + 0.5;
      g.strokeStyle = ink("line"); g.globalAlpha = 0.7; g.beginPath(); g.moveTo(left, py); g.lineTo(left + W, py); g.stroke();
      g.globalAlpha = 1; g.fillStyle = ink("quiet"); g.fillText(texts[i], left - 6, py);
    });
    g.textBaseline = "top"; g.textAlign = "center";
    for (const x of ticks(b.x0, b.x1, Math.max(2, Math.floor(W / 90)))) {
      const px = Math.round(left + ((x - b.x0) / (b.x1 - b.x0)) * W) + 0.5;
      g.fillStyle = ink("quiet"); g.fillText(xText(Number(x.toPrecision(12)), a), Math.min(Math.max(px, left + 12), left + W - 16), top + H + 6);
      g.strokeStyle = ink("line"); g.beginPath(); g.moveTo(px, top + H); g.lineTo(px, top + H + 4); g.stroke();
    }
    g.save(); g.beginPath(); g.rect(left, top, W, H); g.clip();
    const k = W / (b.x1 - b.x0), o = last!.box;
    g.drawImage(last!.bitmap, left + (o.x0 - b.x0) * k, top, (o.x1 - o.x0) * k, H);
    if (from) { g.textAlign = "left"; g.textBaseline = "bottom"; const wide = g.measureText(`${from} +…`).width; g.globalAlpha = 0.85; g.fillStyle = ink("panel"); g.fillRect(left + 1, top + H - 16, wide + 8, 15); g.globalAlpha = 1; g.fillStyle = ink("quiet"); g.fillText(`${from} +…`, left + 5, top + H - 3); }
    if (a !== "time") for (const m of q.marks ?? []) {
      const px = left + (m.x - b.x0) * k;
      g.strokeStyle = ink("warn"); g.setLineDash([2, 3]); g.beginPath(); g.moveTo(px, top); g.lineTo(px, top + H); g.stroke(); g.setLineDash([]);
      g.fillStyle = ink("warn"); g.textAlign = px > left + W * 0.7 ? "right" : "left"; g.textBaseline = "top"; g.fillText(m.text, px + (g.textAlign === "left" ? 4 : -4), top + 2);
    }
    const cursor = pointer.current !== null ? span()[0] + ((pointer.current - left) / W) * (span()[1] - span()[0]) : spot.peek() && spot.peek()!.axis === a ? spot.peek()!.x : null;
    if (cursor !== null) { const px = left + (cursor - b.x0) * k; g.strokeStyle = ink("quiet"); g.globalAlpha = 0.6; g.beginPath(); g.moveTo(px, top); g.lineTo(px, top + H); g.stroke(); g.globalAlpha = 1; }
    if (drag.current && !drag.current.pan && pointer.current !== null) { const x0 = Math.min(drag.current.x, pointer.current), x1 = Math.max(drag.current.x, pointer.current); g.fillStyle = ink("accent"); g.globalAlpha = 0.14; g.fillRect(x0, top, x1 - x0, H); g.globalAlpha = 1; }
    g.restore();
    g.strokeStyle = ink("line"); g.strokeRect(left + 0.5, top + 0.5, W - 1, H - 1);
  };
  const latest = useRef(paint); // what is drawn is always what the newest properties say
  latest.current = paint;
  const redraw = (): void => { if (!frame.current) frame.current = requestAnimationFrame(() => latest.current()); };
  const wheeling = useRef(0);

  const fetch = async (): Promise<void> => {
    abort.current?.abort();
    const mine = (abort.current = new AbortController()), v = view.current, wide = v ? v[1] - v[0] : 0;
    const to: api.View = { axis: a, columns: Math.max(50, Math.round(W * ratio * (v ? 2 : 1))), smooth: sm, ...(v ? { from: v[0] - wide / 2, to: v[1] + wide / 2 } : {}) }; // half a width more on both sides, to pan into
    try {
      if (band) {
        const b = await api.getBand(ids, { ...to, columns: Math.min(600, to.columns) }, mine.signal);
        if (mine.signal.aborted) return;
        const ends = v ? held.current : null;
        held.current = { lines: [], band: b, first: ends?.first ?? b.x[0] ?? 0, last: ends?.last ?? b.x[b.n - 1] ?? 1, from: b.x[0], to: b.x[b.n - 1] };
      } else {
        const got = await api.getLines(ids, to, mine.signal);
        if (mine.signal.aborted) return;
        held.current = { lines: got.lines, band: null, first: got.first, last: got.last, from: to.from ?? got.first, to: to.to ?? got.last };
      }
      setState(held.current.lines.length || held.current.band?.runs ? "" : t("no points here", "此处没有数据点"));
      redraw();
    } catch (e) { if (!(e instanceof DOMException)) setState(e instanceof Error ? e.message : String(e)); }
  };
  const newest = useRef(fetch); // what is asked for later is what is wanted then
  newest.current = fetch;
  const later = (ms: number): void => { clearTimeout(ask.current); ask.current = window.setTimeout(() => { wheeling.current = 0; void newest.current(); redraw(); }, ms); };

  useEffect(() => { // asks only once it is nearly in sight
    const o = new IntersectionObserver((e) => setNear(e[e.length - 1].isIntersecting), { rootMargin: "250px" });
    o.observe(canvas.current!);
    return () => { o.disconnect(); abort.current?.abort(); cancelAnimationFrame(frame.current); frame.current = 0; clearTimeout(ask.current); };
  }, []);
  const zoomKey = q.zoom?.join() ?? "";
  useEffect(() => { view.current = q.zoom ?? null; }, [zoomKey]);
  useEffect(() => { view.current = q.zoom ?? null; held.current = null; }, [a]);
  useEffect(() => { if (near) void fetch(); }, [near, key, a, sm, band, stamp.value, q.w, zoomKey]);
  useLayoutEffect(redraw, [q.w, q.h, lg, out, isDark, styles.value, q.marks, spot.value]);

  const move = (to: [number, number], final = false): void => {
    view.current = to;
    redraw();
    later(final ? 0 : 140);
    if (final) q.onZoom?.(to);
  };
  const all = (): void => { view.current = null; q.onZoom?.(null); void fetch(); redraw(); };
  useEffect(() => {
    const c = canvas.current!, on = (e: WheelEvent): void => {
      if (!e.ctrlKey && !e.metaKey) return;
      e.preventDefault();
      const [x0, x1] = span(), at = x0 + ((e.offsetX - left) / W) * (x1 - x0), k = Math.exp(Math.max(-1, Math.min(1, e.deltaY / 240)));
      wheeling.current = 1;
      move([at - (at - x0) * k, at + (x1 - at) * k]);
    };
    c.addEventListener("wheel", on, { passive: false });
    return () => c.removeEventListener("wheel", on);
  });

  const look = (px: number): void => {
    const d = held.current;
    if (!d || px < left || px > left + W) { setTip(null); return; }
    const [x0, x1] = span(), x = x0 + ((px - left) / W) * (x1 - x0);
    spot.value = { axis: a, x };
    if (d.band) { const i = nearest(d.band.x, x); setTip({ x: d.band.x[i], more: 0, rows: [{ name: `${t("mean of", "均值，共")} ${d.band.runs}${t(" runs", " 次运行")} ± ${num(d.band.deviation[i], 3)}`, color: ink("accent"), y: d.band.mean[i], s: d.band.mean[i], x: d.band.x[i] }] }); return; }
    const rows = d.lines.map((l) => { const i = nearest(l.x, x), run = seriesRun.value.get(l.series) ?? -1, r = runsById.value.get(run); return { name: r ? nameOf(r) : "", color: styles.value.get(run)?.color ?? "#888", x: l.x[i], y: l.y[i], s: l.s[i] }; }).filter((r) => r.x !== undefined);
    rows.sort((m, n) => Math.abs(m.x - x) - Math.abs(n.x - x) || n.s - m.s);
    setTip({ x, rows: rows.slice(0, 10), more: rows.length - 10 });
  };
  const end = (): void => { pointer.current = null; drag.current = null; spot.value = null; setTip(null); redraw(); };
  const onMove = (e: PointerEvent): void => {
    const px = e.offsetX, d = drag.current;
    pointer.current = Math.min(Math.max(px, left), left + W);
    if (d?.pan) { const k = (d.box[1] - d.box[0]) / W; move([d.box[0] - (px - d.x) * k, d.box[1] - (px - d.x) * k]); setTip(null); } else { look(px); redraw(); }
  };
  const onDown = (e: PointerEvent): void => { if (e.button !== 0 || e.offsetX < left) return; canvas.current!.setPointerCapture(e.pointerId); drag.current = { x: e.offsetX, from: e.offsetX, box: span(), pan: e.shiftKey }; };
  const onUp = (): void => {
    const d = drag.current, p = pointer.current;
    drag.current = null;
    if (d?.pan) { q.onZoom?.(view.current); later(0); } else if (d && p !== null && Math.abs(p - d.x) > 5) {
      const [x0, x1] = span(), at = (x: number): number => x0 + ((x - left) / W) * (x1 - x0);
      move([at(Math.min(d.x, p)), at(Math.max(d.x, p))], true);
    }
    redraw();
  };
  const onKey = (e: KeyboardEvent): void => {
    const [x0, x1] = span(), wide = x1 - x0, c = (x0 + x1) / 2;
    if (e.key === "ArrowLeft" || e.key === "ArrowRight") { const s = e.key === "ArrowLeft" ? -1 : 1; if (e.shiftKey) move([x0 + s * wide * 0.1, x1 + s * wide * 0.1]); else { pointer.current = Math.min(Math.max((pointer.current ?? left + W / 2) + s * Math.max(1, W / 100), left), left + W); look(pointer.current); redraw(); } }
    else if (e.key === "+" || e.key === "=") move([c - wide / 4, c + wide / 4]);
    else if (e.key === "-") move([c - wide, c + wide]);
    else if (e.key === "0" || e.key === "Escape") all();
    else return;
    e.preventDefault();
  };
  return (
    <div class="chart" style={{ height: `${q.h}px` }}>
      <canvas ref={canvas} style={{ width: `${q.w}px`, height: `${q.h}px` }} tabIndex={0} role="application" aria-label={`${q.tag}: ${t("arrow keys move the cursor, + and − zoom, 0 shows all", "方向键移动光标，+ 与 − 缩放，0 显示全部")}`}
        onPointerMove={onMove} onPointerLeave={() => { if (!drag.current) end(); }} onPointerDown={onDown} onPointerUp={onUp} onPointerCancel={end} onDblClick={all} onKeyDown={onKey} onBlur={end} />
      {stateText && <p class="chart-note quiet">{stateText}</p>}
      {tip && (
        <div class="tip" style={{ [tip.x > (span()[0] + span()[1]) / 2 ? "right" : "left"]: `${tip.x > (span()[0] + span()[1]) / 2 ? q.w - left - ((tip.x - span()[0]) / (span()[1] - span()[0])) * W + 12 : left + ((tip.x - span()[0]) / (span()[1] - span()[0])) * W + 12}px` }}>
          <b>{a === "time" ? "" : `${a === "epoch" ? t("epoch", "轮") : t("step", "步")} `}{xText(a === "step" ? Math.round(tip.rows[0]?.x ?? tip.x) : tip.x, a)}</b>
          <table>{tip.rows.map((r) => <tr><td><i style={{ background: r.color }} /></td><td class="tip-name">{r.name}</td><td class="n">{num(r.y, 4)}</td>{sm > 0 && !band && <td class="n quiet">{num(r.s, 4)}</td>}</tr>)}</table>
          {tip.more > 0 && <span class="quiet">+{tip.more}</span>}
        </div>
      )}
    </div>
  );
}
