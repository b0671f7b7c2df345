// graphscene.ts - the laid-out graph as things to draw: no page elements, only what is in view is painted.
import type { Graph, GraphBox, GraphGroup } from "./api";
import { classColor, colorOf, ink, inkOn } from "./color";

export type Measure = "kind" | "macs" | "params" | "bytes";
export interface View { x: number; y: number; k: number } // page = (scene - [x, y]) * k
interface Link { path: Path2D; from: string; to: string; box: [number, number, number, number] }
export interface Scene { graph: Graph; links: Link[]; byId: Map<string, GraphBox>; most: Record<"macs" | "params" | "bytes", number> }

export function makeScene(graph: Graph): Scene {
  const links = graph.links.map((l) => {
    const n = (l.path.match(/-?\d+(\.\d+)?/g) ?? []).map(Number), xs = n.filter((_, i) => i % 2 === 0), ys = n.filter((_, i) => i % 2 === 1);
    return { path: new Path2D(l.path), from: l.from, to: l.to, box: [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] as [number, number, number, number] };
  });
  const most = { macs: 1, params: 1, bytes: 1 };
  for (const b of graph.boxes) for (const key of ["macs", "params", "bytes"] as const) most[key] = Math.max(most[key], b[key]);
  return { graph, links, byId: new Map(graph.boxes.map((b) => [b.id, b])), most };
}

export const frames = (s: Scene): GraphGroup[] => s.graph.groups.filter((g) => (g.w ?? 0) > 0);

/** Everything that a box is made of, or that is made of it. */
export function traced(s: Scene, id: string, ways: "in" | "out" | "both"): Set<string> {
  const found = new Set([id]);
  for (const way of ["in", "out"] as const) {
    if (ways !== "both" && ways !== way) continue;
    const next = new Map<string, string[]>();
    for (const l of s.links) { const [a, b] = way === "in" ? [l.to, l.from] : [l.from, l.to]; (next.get(a) ?? next.set(a, []).get(a)!).push(b); }
    const list = [id];
    while (list.length) for (const b of next.get(list.pop()!) ?? []) if (!found.has(b)) { found.add(b); list.push(b); }
  }
  return found;
}

export interface Look { measure: Measure; selected: string; hover: string; hits: Set<string> | null; lit: Set<string> | null }

export function paint(g: CanvasRenderingContext2D, s: Scene, v: View, W: number, H: number, look: Look): void {
  const line = ink("line"), text = ink("text"), quiet = ink("quiet"), accent = ink("accent"), font = ink("font");
  const left = v.x, top = v.y, right = v.x + W / v.k, bottom = v.y + H / v.k;
  const seen = (x0: number, y0: number, x1: number, y1: number): boolean => x1 >= left && x0 <= right && y1 >= top && y0 <= bottom;
  g.save();
  g.scale(v.k, v.k); g.translate(-v.x, -v.y);
  for (const f of frames(s)) {
    if (!seen(f.x!, f.y!, f.x! + f.w!, f.y! + f.h!)) continue;
    g.fillStyle = ink("frame"); g.strokeStyle = line; g.lineWidth = 0.7 / Math.sqrt(v.k);
    g.beginPath(); g.roundRect(f.x!, f.y!, f.w!, f.h!, 4); g.fill(); g.stroke();
    if (v.k > 0.8) { g.fillStyle = quiet; g.font = `600 6.5px ${font}`; g.textAlign = "left"; g.fillText(`${f.motif}${f.repeat > 1 ? ` ×${f.repeat}` : ""}`, f.x! + 5, f.y! + 8); }
  }
  g.lineWidth = Math.max(0.8, 0.8 / v.k); g.lineJoin = "round";
  for (const l of s.links) {
    if (!seen(...l.box)) continue;
    const on = look.lit ? look.lit.has(l.from) && look.lit.has(l.to) : false;
    g.strokeStyle = on ? accent : quiet; g.globalAlpha = look.lit ? (on ? 1 : 0.2) : 0.65;
    g.stroke(l.path);
  }
  g.globalAlpha = 1;
  for (const b of s.graph.boxes) {
    if (!seen(b.x, b.y, b.x + b.w, b.y + b.h)) continue;
    const share = look.measure === "kind" ? 0 : b[look.measure] / s.most[look.measure], c = classColor(b.class), heat = { low: 0, high: 1 };
    g.globalAlpha = (look.hits && !look.hits.has(b.id)) || (look.lit && !look.lit.has(b.id)) ? 0.3 : 1;
    g.fillStyle = look.measure === "kind" ? c.fill : colorOf(share, heat); g.strokeStyle = look.measure === "kind" ? c.edge : line; g.lineWidth = 0.8;
    const round = b.w < 16 ? b.w / 2 : 3;
    if (b.kind === "group") { g.beginPath(); g.roundRect(b.x + 2, b.y + 2, b.w, b.h, round); g.stroke(); }
    g.beginPath(); g.roundRect(b.x, b.y, b.w, b.h, round); g.fill(); g.stroke();
    if (b.id === look.selected || b.id === look.hover) { g.strokeStyle = accent; g.lineWidth = b.id === look.selected ? 2 : 1.2; g.stroke(); }
    if (v.k * 6.5 > 5) label(g, b, look.measure === "kind" ? text : inkOn(share, heat), look.measure === "kind" ? quiet : inkOn(share, heat), font);
  }
  g.restore();
}

function label(g: CanvasRenderingContext2D, b: GraphBox, text: string, quiet: string, font: string): void {
  const small = b.w < 16, fit = (s: string, w: number): string => { let r = s; while (r.length > 3 && g.measureText(r).width > w) r = r.slice(0, -2) + "…"; return r; };
  g.textAlign = "center"; g.textBaseline = "middle"; g.fillStyle = text;
  if (small) { g.font = `9px ${font}`; g.fillText(b.title.length <= 2 ? b.title : b.title.slice(0, 1), b.x + b.w / 2, b.y + b.h / 2 + 0.5); g.textBaseline = "alphabetic"; return; }
  const lines: [string, string, string][] = [[b.title, `600 7px ${font}`, text]];
  if (b.strips.length) lines.push([b.strips.map((s) => s.word).join(" · "), `6px ${font}`, quiet]);
  if (b.h > 22 && b.name !== b.title) lines.push([b.name, `6px ${font}`, quiet]);
  const room = Math.min(9, (b.h - 2) / lines.length);
  lines.forEach(([s, f, c], i) => { g.font = f; g.fillStyle = c; g.fillText(fit(s, b.w - 6), b.x + b.w / 2, b.y + b.h / 2 + (i - (lines.length - 1) / 2) * room); });
  g.textBaseline = "alphabetic";
}

export function paintMinimap(g: CanvasRenderingContext2D, s: Scene, v: View, W: number, H: number, w: number, h: number): void {
  const k = Math.min(w / s.graph.width, h / s.graph.height), x0 = (w - s.graph.width * k) / 2, y0 = (h - s.graph.height * k) / 2;
  g.fillStyle = ink("panel"); g.fillRect(0, 0, w, h);
  for (const b of s.graph.boxes) { g.fillStyle = classColor(b.class).edge; g.fillRect(x0 + b.x * k, y0 + b.y * k, Math.max(1, b.w * k), Math.max(1, b.h * k)); }
  g.strokeStyle = ink("accent"); g.lineWidth = 1.5; g.strokeRect(x0 + v.x * k, y0 + v.y * k, (W / v.k) * k, (H / v.k) * k);
}

export const hit = (s: Scene, v: View, x: number, y: number): GraphBox | undefined => {
  const sx = x / v.k + v.x, sy = y / v.k + v.y, slack = 2 / v.k;
  return s.graph.boxes.find((b) => sx >= b.x - slack && sx <= b.x + b.w + slack && sy >= b.y - slack && sy <= b.y + b.h + slack);
};

/** The whole in view, or, where it is long, its width. */
export function fit(s: Scene, W: number, H: number): View {
  const { width, height } = s.graph, whole = Math.min((W - 40) / width, (H - 40) / height), k = Math.min(3, Math.max(whole, Math.min((W - 40) / width, 1.1) * 0.55));
  const kk = Math.max(whole, Math.min(k, 2.2));
  return { k: kk, x: width / 2 - W / 2 / kk, y: height * kk <= H ? height / 2 - H / 2 / kk : -16 / kk };
}
