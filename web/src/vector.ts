// vector.ts - any part of the page as a drawing: what the canvases paint is recorded again as shapes and text, what stands beside them (headings,
// tables, bars) is read off the page, and both become SVG or PDF. No picture of a picture: lines stay lines, text stays text; maps stay pixels.
import { pdfOf } from "./pdf";

export type Matrix = [number, number, number, number, number, number];
interface PathItem { kind: "path"; d: string; fill?: string; stroke?: string; width: number; dash: number[]; alpha: number }
export interface TextItem { kind: "text"; x: number; y: number; text: string; size: number; bold: boolean; mono: boolean; fill: string; anchor: "start" | "middle" | "end"; turn: number; alpha: number; width: number }
interface ImageItem { kind: "image"; x: number; y: number; w: number; h: number; canvas: HTMLCanvasElement; crisp: boolean; alpha: number }
export type Item = PathItem | TextItem | ImageItem;
export interface Drawing { w: number; h: number; items: Item[]; background: string }
type Painter = { w: number; h: number; draw: (g: CanvasRenderingContext2D) => void };

const painters = new WeakMap<HTMLCanvasElement, Painter>();
const shapes = new WeakMap<Path2D, string>();
/** A ready path and the text that it was made of (absolute M, L, C), so that it can be written down again. */
export function pathOf(text: string): Path2D { const p = new Path2D(text); shapes.set(p, text); return p; }
/** Canvases tell how they are painted. */
export const remember = (c: HTMLCanvasElement, p: Painter): void => { painters.set(c, p); };

const r = (v: number): string => String(Math.round(v * 100) / 100);
let ruler: CanvasRenderingContext2D | null = null;
const measure = (): CanvasRenderingContext2D => (ruler ??= document.createElement("canvas").getContext("2d")!);
const plain = (color: string): string => { const g = measure(); g.fillStyle = "#000"; g.fillStyle = color; return String(g.fillStyle); };
const times = (m: Matrix, n: Matrix): Matrix => [m[0] * n[0] + m[2] * n[1], m[1] * n[0] + m[3] * n[1], m[0] * n[2] + m[2] * n[3], m[1] * n[2] + m[3] * n[3], m[0] * n[4] + m[2] * n[5] + m[4], m[1] * n[4] + m[3] * n[5] + m[5]];

interface State { m: Matrix; fillStyle: string; strokeStyle: string; lineWidth: number; font: string; textAlign: string; textBaseline: string; globalAlpha: number; filter: string; imageSmoothingEnabled: boolean; lineDashOffset: number; lineCap: string; lineJoin: string; dash: number[] }
const fresh = (m: Matrix): State => ({ m, fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, font: "10px sans-serif", textAlign: "start", textBaseline: "alphabetic", globalAlpha: 1, filter: "none", imageSmoothingEnabled: true, lineDashOffset: 0, lineCap: "butt", lineJoin: "miter", dash: [] });

/** What a page's painter may ask of a canvas, written down instead of painted. */
class Recorder {
  private s: State; private stack: State[] = []; private d = "";
  constructor(private items: Item[], base: Matrix) { this.s = fresh(base); }
  /** The same under the name of the thing it stands for; unknown requests do nothing. */
  context(): CanvasRenderingContext2D {
    const own = this as unknown as Record<string, unknown>, s = (): Record<string, unknown> => this.s as unknown as Record<string, unknown>;
    return new Proxy({}, {
      get: (_, key: string) => (key in fresh([1, 0, 0, 1, 0, 0]) && key !== "m" ? s()[key] : typeof own[key] === "function" ? (own[key] as (...a: unknown[]) => unknown).bind(this) : () => undefined),
      set: (_, key: string, value) => { s()[key] = value; return true; },
    }) as unknown as CanvasRenderingContext2D;
  }
  private at(x: number, y: number): [number, number] { const m = this.s.m; return [m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]]; }
  private point(x: number, y: number): string { const [a, b] = this.at(x, y); return `${r(a)} ${r(b)}`; }
  private scaleOf(): number { const m = this.s.m; return Math.sqrt(Math.abs(m[0] * m[3] - m[1] * m[2])); }
  private put(d: string, how: "fill" | "stroke"): void {
    if (!d) return;
    const k = this.scaleOf(), style = how === "fill" ? this.s.fillStyle : this.s.strokeStyle;
    if (typeof style !== "string") return; // gradients and patterns have no one colour
    this.items.push({ kind: "path", d, [how]: plain(style), width: this.s.lineWidth * k, dash: how === "stroke" ? this.s.dash.map((v) => v * k) : [], alpha: this.s.globalAlpha });
  }
  private box = (x: number, y: number, w: number, h: number): string => `M${this.point(x, y)}L${this.point(x + w, y)}L${this.point(x + w, y + h)}L${this.point(x, y + h)}Z`;
  save(): void { this.stack.push({ ...this.s }); }
  restore(): void { const s = this.stack.pop(); if (s) this.s = s; }
  translate(x: number, y: number): void { this.s.m = times(this.s.m, [1, 0, 0, 1, x, y]); }
  scale(x: number, y: number): void { this.s.m = times(this.s.m, [x, 0, 0, y, 0, 0]); }
  rotate(a: number): void { this.s.m = times(this.s.m, [Math.cos(a), Math.sin(a), -Math.sin(a), Math.cos(a), 0, 0]); }
  setLineDash(d: number[]): void { this.s.dash = d; }
  beginPath(): void { this.d = ""; }
  moveTo(x: number, y: number): void { this.d += `M${this.point(x, y)}`; }
  lineTo(x: number, y: number): void { this.d += `${this.d ? "L" : "M"}${this.point(x, y)}`; }
  bezierCurveTo(a: number, b: number, c: number, d: number, x: number, y: number): void { this.d += `C${this.point(a, b)} ${this.point(c, d)} ${this.point(x, y)}`; }
  closePath(): void { this.d += "Z"; }
  rect(x: number, y: number, w: number, h: number): void { this.d += this.box(x, y, w, h); }
  roundRect(x: number, y: number, w: number, h: number): void { this.rect(x, y, w, h); }
  arc(x: number, y: number, radius: number, from: number, to: number): void { // by curves of at most a quarter
    const whole = Math.min(Math.abs(to - from), 2 * Math.PI), n = Math.max(1, Math.ceil(whole / (Math.PI / 2))), step = (Math.sign(to - from) * whole) / n, k = (4 / 3) * Math.tan(step / 4) * radius;
    for (let i = 0; i < n; i++) {
      const a = from + i * step, b = a + step, [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
      if (i === 0) this.lineTo(x + radius * ca, y + radius * sa);
      this.bezierCurveTo(x + radius * ca - k * sa, y + radius * sa + k * ca, x + radius * cb + k * sb, y + radius * sb - k * cb, x + radius * cb, y + radius * sb);
    }
  }
  private ready(p: Path2D | undefined): string { return p instanceof Path2D ? (shapes.get(p) ?? "").replace(/(-?[\d.]+)[ ,]+(-?[\d.]+)/g, (_, x: string, y: string) => this.point(Number(x), Number(y))) : this.d; }
  fill(p?: Path2D): void { this.put(this.ready(p), "fill"); }
  stroke(p?: Path2D): void { this.put(this.ready(p), "stroke"); }
  fillRect(x: number, y: number, w: number, h: number): void { this.put(this.box(x, y, w, h), "fill"); }
  strokeRect(x: number, y: number, w: number, h: number): void { this.put(this.box(x, y, w, h), "stroke"); }
  measureText(text: string): TextMetrics { const g = measure(); g.font = this.s.font; return g.measureText(text); }
  fillText(text: string, x: number, y: number): void {
    const s = this.s, size = Number(/(\d+(?:\.\d+)?)px/.exec(s.font)?.[1] ?? 10), k = this.scaleOf(), down = s.textBaseline === "middle" ? 0.35 * size : s.textBaseline === "top" || s.textBaseline === "hanging" ? 0.8 * size : s.textBaseline === "bottom" ? -0.2 * size : 0, [a, b] = this.at(x, y + down);
    this.items.push({ kind: "text", x: a, y: b, text, size: size * k, bold: /\b(bold|[6-9]00)\b/.test(s.font), mono: /mono/i.test(s.font), fill: plain(s.fillStyle), alpha: s.globalAlpha, turn: (Math.atan2(s.m[1], s.m[0]) * 180) / Math.PI,
      anchor: s.textAlign === "center" ? "middle" : s.textAlign === "right" || s.textAlign === "end" ? "end" : "start", width: this.measureText(text).width * k });
  }
  drawImage(source: CanvasImageSource, ...a: number[]): void {
    const full = source as HTMLImageElement, sw = full.naturalWidth || Number(full.width), sh = full.naturalHeight || Number(full.height);
    const [x0, y0, w0, h0, x, y, w, h] = a.length >= 8 ? a : [0, 0, sw, sh, a[0], a[1], a[2] ?? sw, a[3] ?? sh];
    if (!(w0 > 0 && h0 > 0)) return;
    const canvas = document.createElement("canvas"), g = canvas.getContext("2d")!, [X, Y] = this.at(x, y), k = this.s.m;
    canvas.width = Math.max(1, Math.round(w0)); canvas.height = Math.max(1, Math.round(h0));
    g.filter = this.s.filter || "none";
    g.drawImage(source, x0, y0, w0, h0, 0, 0, canvas.width, canvas.height);
    this.items.push({ kind: "image", x: X, y: Y, w: w * k[0], h: h * k[3], canvas, crisp: !this.s.imageSmoothingEnabled, alpha: this.s.globalAlpha });
  }
}

/* A text of the page, line by line as it stands. */
function lines(node: Text): { text: string; rect: DOMRect }[] {
  const range = document.createRange(), out: { text: string; rect: DOMRect }[] = [], words = node.data.match(/\S+\s*|\s+/g) ?? [], wide = /[\u3000-\u9fff\uff00-\uffef]/.test(node.data);
  const parts = wide ? [...node.data] : words;
  let from = 0;
  for (const part of parts) {
    range.setStart(node, from); range.setEnd(node, from + part.length);
    from += part.length;
    const rect = range.getBoundingClientRect(), last = out[out.length - 1];
    if (!part.trim() && !last) continue;
    if (rect.width === 0) continue;
    if (last && Math.abs(last.rect.bottom - rect.bottom) < 3) { last.text += part; last.rect = new DOMRect(last.rect.x, last.rect.y, rect.right - last.rect.x, last.rect.height); } else if (part.trim()) out.push({ text: part, rect });
  }
  return out.map((x) => ({ text: x.text.replace(/\s+/g, " ").trimEnd(), rect: x.rect }));
}

const clear = (color: string): boolean => /^rgba\(.*, 0\)$|transparent/.test(color);
const boxOf = (q: DOMRect, x: number, y: number): string => { const [a, b, c, d] = [r(q.left - x), r(q.top - y), r(q.right - x), r(q.bottom - y)]; return `M${a} ${b}L${c} ${b}L${c} ${d}L${a} ${d}Z`; };

/** Everything that is seen of an element, as a drawing. */
function drawingOf(root: Element): Drawing {
  const frame = root.getBoundingClientRect(), items: Item[] = [], X = frame.left, Y = frame.top;
  const visit = (e: Element): void => {
    if (e.matches(".save, .command, .tip, .act, .about, [hidden], input, option")) return;
    const q = e.getBoundingClientRect(), style = getComputedStyle(e), alpha = Number(style.opacity);
    if (style.visibility === "hidden" || style.display === "none" || alpha === 0) return;
    if (e instanceof HTMLCanvasElement) {
      const p = painters.get(e);
      if (p) p.draw(new Recorder(items, [q.width / p.w, 0, 0, q.height / p.h, q.left - X, q.top - Y]).context());
      else if (e.width > 1) items.push({ kind: "image", x: q.left - X, y: q.top - Y, w: q.width, h: q.height, canvas: e, crisp: true, alpha });
      return;
    }
    if (e instanceof HTMLImageElement) { new Recorder(items, [1, 0, 0, 1, q.left - X, q.top - Y]).context().drawImage(e, 0, 0, q.width, q.height); return; }
    if (e instanceof SVGElement) {
      e.querySelectorAll("path").forEach((path) => items.push({ kind: "path", d: (path.getAttribute("d") ?? "").replace(/(-?[\d.]+) (-?[\d.]+)/g, (_, a: string, b: string) => `${r(Number(a) + q.left - X)} ${r(Number(b) + q.top - Y)}`), stroke: plain(getComputedStyle(path).stroke), width: 1.4, dash: [4, 5], alpha: 0.65 }));
      return;
    }
    if (q.width > 0 && q.height > 0) {
      if (!clear(style.backgroundColor)) items.push({ kind: "path", d: boxOf(q, X, Y), fill: plain(style.backgroundColor), width: 0, dash: [], alpha });
      const edge = parseFloat(style.borderTopWidth), below = parseFloat(style.borderBottomWidth);
      if (edge > 0 && parseFloat(style.borderLeftWidth) > 0 && !clear(style.borderTopColor)) items.push({ kind: "path", d: boxOf(q, X, Y), stroke: plain(style.borderTopColor), width: edge, dash: [], alpha });
      else if (edge > 0 || below > 0) items.push({ kind: "path", d: `M${r(q.left - X)} ${r((edge > 0 ? q.top : q.bottom) - Y)}L${r(q.right - X)} ${r((edge > 0 ? q.top : q.bottom) - Y)}`, stroke: plain(edge > 0 ? style.borderTopColor : style.borderBottomColor), width: edge || below, dash: [], alpha });
    }
    const size = parseFloat(style.fontSize);
    for (const child of e.childNodes) {
      if (child instanceof Element) visit(child);
      else if (child instanceof Text && child.data.trim() && q.width > 0) for (const one of lines(child))
        items.push({ kind: "text", x: one.rect.left - X, y: one.rect.bottom - Y - (one.rect.height - size) / 2 - size * 0.2, text: one.text, size, bold: Number(style.fontWeight) >= 600, mono: /mono/i.test(style.fontFamily.split(",")[0]), fill: plain(style.color), anchor: "start", turn: 0, alpha, width: one.rect.width });
    }
  };
  for (const child of root.children) visit(child);
  return { w: frame.width, h: frame.height, items, background: plain(getComputedStyle(document.documentElement).getPropertyValue("--panel").trim() || "#fff") };
}

const escape = (s: string): string => s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;").replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "");

function svgOf(d: Drawing, title: string): string {
  const family = "system-ui, 'Noto Sans', 'DejaVu Sans', 'Noto Sans CJK SC', sans-serif", out = [`<svg xmlns="http://www.w3.org/2000/svg" width="${r(d.w)}" height="${r(d.h)}" viewBox="0 0 ${r(d.w)} ${r(d.h)}" font-family="${family}"><title>${escape(title)}</title><rect width="100%" height="100%" fill="${d.background}"/>`];
  for (const x of d.items) {
    const faint = x.alpha < 1 ? ` opacity="${r(x.alpha)}"` : "";
    if (x.kind === "path") out.push(`<path d="${x.d}" fill="${x.fill ?? "none"}"${x.stroke ? ` stroke="${x.stroke}" stroke-width="${r(x.width)}"${x.dash.length ? ` stroke-dasharray="${x.dash.map(r).join(" ")}"` : ""}` : ""}${faint}/>`);
    else if (x.kind === "image") out.push(`<image x="${r(x.x)}" y="${r(x.y)}" width="${r(x.w)}" height="${r(x.h)}" preserveAspectRatio="none"${x.crisp ? ' style="image-rendering:pixelated"' : ""}${faint} href="${x.canvas.toDataURL()}"/>`);
    else out.push(`<text x="${r(x.x)}" y="${r(x.y)}" font-size="${r(x.size)}"${x.bold ? ' font-weight="600"' : ""}${x.mono ? ' font-family="monospace"' : ""}${x.anchor === "start" ? "" : ` text-anchor="${x.anchor}"`}${x.turn ? ` transform="rotate(${r(x.turn)} ${r(x.x)} ${r(x.y)})"` : ""} fill="${x.fill}"${faint}>${escape(x.text)}</text>`);
  }
  return out.join("\n") + "\n</svg>\n";
}

export const svgFile = (root: Element, title: string): Blob => new Blob([svgOf(drawingOf(root), title)], { type: "image/svg+xml" });
export const pdfFile = async (root: Element, title: string): Promise<Blob> => pdfOf(drawingOf(root), title);
