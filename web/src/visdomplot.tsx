// visdomplot.tsx - the plain kinds of Visdom's plots on a canvas: lines, points, bars (histograms come as bars) and heat maps. Everything else is
// Plotly's (visdomframe.tsx), which is loaded only then.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Plot, Trace } from "./visdomapi";
import { dark, t } from "./store";
import { num } from "./format";

const COLORS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
const PLAIN = ["scatter", "scattergl", "bar", "heatmap"];

const obj = (v: unknown): Record<string, unknown> => (v && typeof v === "object" && !Array.isArray(v) ? (v as Record<string, unknown>) : {});
const text = (v: unknown): string => (typeof v === "string" ? v : typeof obj(v).text === "string" ? (obj(v).text as string) : "");
const finite = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v);

/** Whether every part of the figure is one that is drawn here. */
export function isPlain(p: Plot): boolean {
  const kinds = new Set(p.data.map((x) => x.type ?? "scatter")), layout = p.layout;
  if (![...kinds].every((k) => PLAIN.includes(k)) || (kinds.has("heatmap") && p.data.length > 1)) return false;
  if (["scene", "annotations", "shapes", "polar", "geo", "updatemenus", "sliders", "xaxis2", "yaxis2"].some((k) => k in layout && layout[k] && (!Array.isArray(layout[k]) || (layout[k] as unknown[]).length > 0))) return false;
  return p.data.every((x) => (x.type === "heatmap" ? Array.isArray(x.z) : !x.text && x.orientation !== "h" && !x.error_y && [undefined, "none", "tozeroy"].includes(x.fill)));
}

interface Axis { log: boolean; low: number; high: number; names?: string[]; title: string }

function axisOf(layout: unknown, values: unknown[][], zero: boolean): Axis {
  const a = obj(layout), log = a.type === "log", names = values.some((list) => list.some((v) => typeof v === "string"));
  if (names) {
    const all = [...new Set(values.flat().map(String))];
    return { log: false, low: -0.5, high: all.length - 0.5, names: all, title: text(a.title) };
  }
  let low = Infinity, high = -Infinity;
  for (const list of values) for (const v of list) if (finite(v) && (!log || v > 0)) { if (v < low) low = v; if (v > high) high = v; }
  if (zero) { low = Math.min(low, 0); high = Math.max(high, 0); }
  const range = a.range as unknown[] | undefined;
  if (Array.isArray(range) && finite(range[0]) && finite(range[1])) { [low, high] = log ? [10 ** range[0], 10 ** range[1]] : [range[0], range[1]]; }
  if (!(low <= high)) { low = log ? 1 : 0; high = log ? 10 : 1; }
  if (low === high) { const d = Math.abs(low) * 0.05 || 0.5; low = log ? low / 2 : low - d; high = log ? high * 2 : high + d; }
  return { log, low, high, title: text(a.title) };
}
const place = (a: Axis, v: unknown): number => {
  const n = a.names ? a.names.indexOf(String(v)) : typeof v === "number" ? v : NaN;
  return a.log ? Math.log(n / a.low) / Math.log(a.high / a.low) : (n - a.low) / (a.high - a.low);
};
function ticks(a: Axis, room: number): [number, string][] {
  if (a.names) { const step = Math.ceil(a.names.length / Math.max(2, room)); return a.names.map((n, i): [number, string] => [i, n]).filter(([i]) => i % step === 0); }
  if (a.log) { const out: [number, string][] = [], from = Math.ceil(Math.log10(a.low) - 1e-9), to = Math.floor(Math.log10(a.high) + 1e-9), step = Math.max(1, Math.ceil((to - from + 1) / room)); for (let k = from; k <= to; k += step) out.push([10 ** k, num(10 ** k, 3)]); return out.length ? out : [[a.low, num(a.low, 3)], [a.high, num(a.high, 3)]]; }
  const raw = (a.high - a.low) / Math.max(2, room), power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= raw) ?? raw;
  const out: [number, string][] = [];
  for (let v = Math.ceil(a.low / step) * step; v <= a.high + step * 1e-6 && out.length < 30; v += step) out.push([v, String(Math.abs(v) < step / 1e6 ? 0 : Number(v.toPrecision(4))).replace("-", "−")]);
  return out;
}

const colorOf = (trace: Trace, i: number): string => { const c = obj(trace.line).color ?? obj(trace.marker).color; return typeof c === "string" ? c : COLORS[i % COLORS.length]; };
const pointColor = (trace: Trace, k: number, otherwise: string): string => { const c = obj(trace.marker).color; return Array.isArray(c) && typeof c[k] === "string" ? (c[k] as string) : otherwise; };
const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37]];
const viridis = (v: number): number[] => { const x = Math.max(0, Math.min(1, v)) * 9, i = Math.min(8, Math.floor(x)); return VIRIDIS[i].map((a, k) => a + (VIRIDIS[i + 1][k] - a) * (x - i)); };

interface Box { x: number; y: number; w: number; h: number; xa: Axis; ya: Axis }

function frame(g: CanvasRenderingContext2D, b: Box, ink: string, faint: string): void {
  g.strokeStyle = faint; g.fillStyle = ink; g.lineWidth = 1; g.font = "11px system-ui, sans-serif"; g.textBaseline = "middle";
  for (const [v, name] of ticks(b.ya, b.h / 34)) { const y = b.y + b.h * (1 - place(b.ya, b.ya.names ? name : v)); if (y < b.y - 1 || y > b.y + b.h + 1) continue; g.beginPath(); g.moveTo(b.x, y); g.lineTo(b.x + b.w, y); g.stroke(); g.textAlign = "right"; g.fillText(name.slice(0, 9), b.x - 5, y); }
  g.textBaseline = "top"; g.textAlign = "center";
  for (const [v, name] of ticks(b.xa, b.w / 64)) { const x = b.x + b.w * place(b.xa, b.xa.names ? name : v); if (x < b.x - 1 || x > b.x + b.w + 1) continue; g.beginPath(); g.moveTo(x, b.y + b.h); g.lineTo(x, b.y + b.h + 4); g.stroke(); g.fillText(name.slice(0, 12), x, b.y + b.h + 6); }
  g.strokeRect(b.x + 0.5, b.y + 0.5, b.w, b.h);
  if (b.xa.title) g.fillText(b.xa.title, b.x + b.w / 2, b.y + b.h + 20);
  if (b.ya.title) { g.save(); g.translate(4, b.y + b.h / 2); g.rotate(-Math.PI / 2); g.fillText(b.ya.title, 0, 0); g.restore(); }
}

function drawLines(g: CanvasRenderingContext2D, b: Box, trace: Trace, i: number): void {
  const xs = trace.x ?? trace.y!.map((_, k) => k), ys = trace.y ?? [], color = colorOf(trace, i), mode = trace.mode ?? "lines";
  const dash = obj(trace.line).dash;
  g.strokeStyle = color; g.lineWidth = 1.6; g.setLineDash(dash === "dash" ? [6, 4] : dash === "dot" ? [2, 3] : dash === "dashdot" ? [6, 3, 2, 3] : []);
  if (mode.includes("lines")) {
    const path = new Path2D(); let open = false, first = NaN, last = NaN;
    for (let k = 0; k < ys.length; k++) {
      const x = b.x + b.w * place(b.xa, xs[k]), y = b.y + b.h * (1 - place(b.ya, ys[k]));
      if (!Number.isFinite(x) || !Number.isFinite(y)) { open = false; continue; }
      if (open) path.lineTo(x, y); else { path.moveTo(x, y); first = Number.isNaN(first) ? x : first; }
      last = x; open = true;
    }
    g.stroke(path);
    if (trace.fill === "tozeroy" && Number.isFinite(first)) { const base = b.y + b.h * (1 - Math.max(0, Math.min(1, place(b.ya, 0)))); path.lineTo(last, base); path.lineTo(first, base); g.globalAlpha = 0.25; g.fillStyle = color; g.fill(path); g.globalAlpha = 1; }
  }
  g.setLineDash([]);
  if (mode.includes("markers")) {
    const size = obj(trace.marker).size, r = Math.max(1, (finite(size) ? size : 6) / 2);
    for (let k = 0; k < ys.length; k++) {
      const x = b.x + b.w * place(b.xa, xs[k]), y = b.y + b.h * (1 - place(b.ya, ys[k]));
      if (Number.isFinite(x) && Number.isFinite(y)) { g.fillStyle = pointColor(trace, k, color); g.beginPath(); g.arc(x, y, r, 0, 7); g.fill(); }
    }
  }
}

function drawBars(g: CanvasRenderingContext2D, b: Box, bars: Trace[], stacked: boolean): void {
  const xs = bars[0].x ?? bars[0].y!.map((_, k) => k), at = xs.map((v) => place(b.xa, v)).sort((p, q) => p - q);
  let gap = 1;
  for (let k = 1; k < at.length; k++) gap = Math.min(gap, at[k] - at[k - 1] || gap);
  const wide = Math.max(1, b.w * gap * 0.86), each = stacked ? wide : wide / bars.length, tops = new Map<string, number>();
  bars.forEach((trace, i) => {
    (trace.y ?? []).forEach((v, k) => {
      if (!finite(v)) return;
      const x = trace.x?.[k] ?? k, key = String(x), from = stacked ? tops.get(key) ?? 0 : 0;
      tops.set(key, from + v);
      const left = b.x + b.w * place(b.xa, x) - wide / 2 + (stacked ? 0 : i * each), y0 = b.y + b.h * (1 - place(b.ya, from)), y1 = b.y + b.h * (1 - place(b.ya, from + v));
      g.fillStyle = pointColor(trace, k, colorOf(trace, i)); g.fillRect(left, Math.min(y0, y1), Math.max(1, each - 1), Math.abs(y1 - y0));
    });
  });
}

function drawHeat(g: CanvasRenderingContext2D, b: Box, trace: Trace): [number, number] {
  const z = trace.z as unknown[][], rows = z.length, columns = Math.max(1, ...z.map((r) => r.length));
  let low = finite(trace.zmin) ? trace.zmin : Infinity, high = finite(trace.zmax) ? trace.zmax : -Infinity;
  for (const r of z) for (const v of r) if (finite(v)) { if (!finite(trace.zmin) && v < low) low = v; if (!finite(trace.zmax) && v > high) high = v; }
  const pixels = new ImageData(columns, Math.max(1, rows));
  z.forEach((r, i) => r.forEach((v, k) => { if (finite(v)) { const c = viridis(high > low ? (v - low) / (high - low) : 0.5); pixels.data.set([c[0], c[1], c[2], 255], ((rows - 1 - i) * columns + k) * 4); } }));
  const small = document.createElement("canvas"); small.width = columns; small.height = Math.max(1, rows); small.getContext("2d")!.putImageData(pixels, 0, 0);
  g.imageSmoothingEnabled = false; g.drawImage(small, b.x, b.y, b.w, b.h);
  return [low, high];
}

export function PlainPlot(q: { plot: Plot; number: number; w: number; h: number; title: string }) {
  const canvas = useRef<HTMLCanvasElement>(null), box = useRef<Box | null>(null), [said, setSaid] = useState(""), { data, layout } = q.plot, isDark = dark.value;
  const heat = data[0]?.type === "heatmap", bars = data.filter((x) => x.type === "bar"), stacked = layout.barmode === "stack", many = data.length > 1 && layout.showlegend !== false;
  useEffect(() => {
    const c = canvas.current!, scale = devicePixelRatio || 1, g = c.getContext("2d")!, style = getComputedStyle(c), ink = style.getPropertyValue("--quiet"), faint = style.getPropertyValue("--line");
    c.width = q.w * scale; c.height = q.h * scale; g.setTransform(scale, 0, 0, scale, 0, 0); g.clearRect(0, 0, q.w, q.h);
    const z = heat ? (data[0].z as unknown[][]) : [], xs = heat ? [data[0].x ?? (z[0] ?? []).map((_, k) => k)] : data.map((x) => x.x ?? (x.y ?? []).map((_, k) => k)), ys = heat ? [data[0].y ?? z.map((_, k) => k)] : data.map((x) => x.y ?? []);
    const sums = stacked ? [Object.values(bars.reduce<Record<string, number>>((all, x) => { (x.y ?? []).forEach((v, k) => { if (finite(v)) all[String(x.x?.[k] ?? k)] = (all[String(x.x?.[k] ?? k)] ?? 0) + v; }); return all; }, {}))] : [];
    const xa = axisOf(layout.xaxis, xs, false), ya = axisOf(layout.yaxis, [...ys, ...sums], bars.length > 0 || data.some((x) => x.fill === "tozeroy"));
    if ((heat || bars.length) && !xa.names && xs[0].length > 0) { const d = (xa.high - xa.low) / Math.max(1, xs[0].length - 1) / 2; xa.low -= d; xa.high += d; }
    if (heat && !ya.names) { ya.low -= 0.5; ya.high += 0.5; }
    if (!heat && !bars.length && !xa.names && !ya.log) { const d = (ya.high - ya.low) * 0.04; ya.low -= d; ya.high += d; }
    const left = 52 + (ya.title ? 12 : 0), b: Box = { x: left, y: 8, w: Math.max(20, q.w - left - (heat ? 62 : 12)), h: Math.max(20, q.h - 8 - 24 - (xa.title ? 14 : 0)), xa, ya };
    box.current = b;
    let range: [number, number] = [0, 1];
    if (heat) range = drawHeat(g, b, data[0]);
    frame(g, b, ink, heat ? "transparent" : faint);
    g.save(); g.beginPath(); g.rect(b.x, b.y, b.w, b.h); g.clip();
    if (bars.length) drawBars(g, b, bars, stacked);
    data.forEach((x, i) => { if (x.type !== "bar" && x.type !== "heatmap") drawLines(g, b, x, i); });
    g.restore();
    if (heat) { for (let k = 0; k < b.h; k++) { const [r, gr, bl] = viridis(1 - k / b.h); g.fillStyle = `rgb(${r},${gr},${bl})`; g.fillRect(b.x + b.w + 8, b.y + k, 10, 1); } g.fillStyle = ink; g.textAlign = "left"; g.textBaseline = "top"; g.fillText(num(range[1], 3), b.x + b.w + 21, b.y); g.textBaseline = "bottom"; g.fillText(num(range[0], 3), b.x + b.w + 21, b.y + b.h); }
  }, [q.number, q.w, q.h, isDark]);
  const point = (e: MouseEvent): void => {
    const b = box.current, r = canvas.current!.getBoundingClientRect();
    if (!b || heat) return;
    const px = e.clientX - r.left, py = e.clientY - r.top; let best = 400, line = "";
    data.forEach((x, i) => (x.y ?? []).forEach((v, k) => {
      const at = x.x?.[k] ?? k, dx = b.x + b.w * place(b.xa, at) - px, dy = b.y + b.h * (1 - place(b.ya, v)) - py, d = dx * dx + (x.type === "bar" ? 0 : dy * dy);
      if (d < best) { best = d; line = `${x.name ?? i + 1}: ${typeof at === "number" ? num(at, 6) : String(at)}, ${finite(v) ? num(v, 6) : "–"}`; }
    }));
    setSaid(line);
  };
  const chosen = useRef<[number, number]>([0, -1]);
  const step = (e: KeyboardEvent): void => { // arrows: along a trace, and to the next one
    const along = { ArrowRight: 1, ArrowLeft: -1 }[e.key] ?? 0, other = { ArrowDown: 1, ArrowUp: -1 }[e.key] ?? 0;
    if (heat || (!along && !other) || !data.length) return;
    e.preventDefault();
    const i = (chosen.current[0] + other + data.length) % data.length, x = data[i], n = x.y?.length ?? 0, k = Math.max(0, Math.min(n - 1, chosen.current[1] + along)), at = x.x?.[k] ?? k, v = x.y?.[k];
    chosen.current = [i, k];
    setSaid(n ? `${x.name ?? i + 1}: ${typeof at === "number" ? num(at, 6) : String(at)}, ${finite(v) ? num(v, 6) : "–"}` : "");
  };
  return (
    <>
      <canvas ref={canvas} tabIndex={heat ? undefined : 0} style={{ width: q.w, height: q.h }} role={heat ? "img" : "application"} onKeyDown={step} aria-label={`${q.title || t("Plot", "图")}: ${data.map((x) => `${x.name ?? ""} ${Math.max(x.x?.length ?? 0, x.y?.length ?? 0, x.z?.length ?? 0)}`).join(", ")}`} onMouseMove={point} onMouseLeave={() => setSaid("")} />
      <p class="vlegend small" aria-live="polite">{said || (many ? data.map((x, i) => <span key={i}><i class="swatch" style={{ color: colorOf(x, i) }} />{x.name ?? i + 1}</span>) : "\u00a0")}</p>
    </>
  );
}
