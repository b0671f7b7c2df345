// graphscene.ts - the laid-out graph as things to draw: no page elements; what is out of view is not painted, what is too small to read is
// painted as plain rectangles in few calls.
import type { Graph, GraphBox, GraphGroup } from "./api";
import { classColor, colorOf, ink, inkOn } from "./color";
import { pathOf } from "./vector";

export type Measure = "kind" | "macs" | "params" | "bytes" | "activation" | "gradient";
export interface View { x: number; y: number; k: number } // page = (scene - [x, y]) * k
interface Link { path: Path2D; from: string; to: string; box: [number, number, number, number]; tip: [number, number, number, number] } // tip: where it ends, and which way
/** Where the maps of a box stand: on the arrow that leaves it, centred at x, y. */
interface Exit { x: number; y: number; room: number; wide: number }
export interface Scene {
  graph: Graph; links: Link[]; byId: Map<string, GraphBox>; exits: Map<string, Exit>; all: Path2D; frames: GraphGroup[];
  order: GraphBox[]; // by layer: who holds layer number i
}

export function makeScene(graph: Graph, gap: number): Scene {
  const exits = new Map<string, Exit>(), across = graph.direction === "lr", all = new Path2D(), byId = new Map(graph.boxes.map((b) => [b.id, b]));
  const links = graph.links.map((l) => {
    const n = (l.path.match(/-?\d+(\.\d+)?/g) ?? []).map(Number), xs = n.filter((_, i) => i % 2 === 0), ys = n.filter((_, i) => i % 2 === 1);
    const path = pathOf(l.path), b = byId.get(l.from), room = across ? Math.abs(n[2] - n[0]) : Math.abs(n[3] - n[1]);
    all.addPath(path);
    const was = exits.get(l.from), end = n.length, later = across ? Math.abs(n[end - 2] - n[end - 4]) : Math.abs(n[end - 1] - n[end - 3]), most = gap || Infinity;
    if (b && (!was || room > was.room)) { // below the box, before the frame of what comes next; at the end of a column: where the arrow arrives
      const back = room < 20 && later > room, r = Math.min(back ? later : room, most), at = back ? (across ? n[end - 2] : n[end - 1]) - r / 2 : (across ? n[0] : n[1]) + r / 2;
      exits.set(l.from, across ? { x: at, y: back ? n[end - 1] : b.y + b.h / 2, room: r, wide: Math.max(b.h, 40) } : { x: back ? n[end - 2] : b.x + b.w / 2, y: at, room: r, wide: Math.max(b.w, 40) });
    }
    const last = n.length - 2, back = [4, 6, 8].find((k) => last + 2 - k >= 0 && (n[last] !== n[last + 2 - k] || n[last + 1] !== n[last + 3 - k])) ?? 2, dx = n[last] - (n[last + 2 - back] ?? n[last]), dy = n[last + 1] - (n[last + 3 - back] ?? n[last + 1]), long = Math.hypot(dx, dy) || 1;
    return { path, from: l.from, to: l.to, tip: [n[last], n[last + 1], dx / long, dy / long] as [number, number, number, number], box: [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] as [number, number, number, number] };
  });
  const order = graph.boxes.filter((b) => b.layer >= 0).sort((a, b) => a.layer - b.layer || b.last - a.last);
  return { graph, links, byId, exits, all, frames: graph.groups.filter((g) => (g.w ?? 0) > 0), order };
}

/** The box that holds a layer: the one that begins last at or before it (what is folded away belongs to the box before it). */
export function boxOfLayer(s: Scene, layer: number): GraphBox | undefined {
  let low = 0, high = s.order.length;
  while (low < high) { const mid = (low + high) >> 1; if (s.order[mid].layer <= layer) low = mid + 1; else high = mid; }
  const near = s.order.slice(Math.max(0, low - 40), low).reverse();
  return near.find((b) => b.last >= layer) ?? s.order[low - 1] ?? s.order[0];
}

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

/** A measure as a share of the most, with what stands at the ends; sizes of numbers are compared by their logarithm. */
export interface Scale { share: (b: GraphBox) => number; low: number; high: number; log: boolean }
export function scaleOf(s: Scene, measure: Measure, strength: ArrayLike<number> | null): Scale | null {
  if (measure === "kind") return null;
  if (measure === "activation" || measure === "gradient") {
    if (!strength) return null;
    let low = Infinity, high = 0;
    for (const b of s.graph.boxes) { const v = strength[b.last]; if (v > 0) { low = Math.min(low, v); high = Math.max(high, v); } }
    if (!(high > 0)) return null;
    const bottom = Math.log(Math.max(low, high * 1e-4)), span = Math.log(high) - bottom || 1;
    return { low: Math.exp(bottom), high, log: true, share: (b) => { const v = strength[b.last]; return v > 0 ? Math.max(0, (Math.log(v) - bottom) / span) : v === 0 ? 0 : NaN; } };
  }
  let high = 1;
  for (const b of s.graph.boxes) high = Math.max(high, b[measure]);
  return { low: 0, high, log: false, share: (b) => b[measure] / high };
}

export interface Look {
  measure: Measure; scale: Scale | null; selected: string; hover: string; hits: Set<string> | null; lit: Set<string> | null;
  maps: (b: GraphBox) => HTMLCanvasElement | undefined;
}
const heat = { low: 0, high: 1 };

/** How large a map on an arrow stands, in units of the scene; 0: no room. */
const mapSide = (e: Exit | undefined): number => (e ? Math.min(e.room - 5, 60) : 0);

export function paint(g: CanvasRenderingContext2D, s: Scene, v: View, W: number, H: number, look: Look): void {
  const line = ink("line"), text = ink("text"), quiet = ink("quiet"), accent = ink("accent"), font = ink("font"), panel = ink("panel");
  const left = v.x, top = v.y, right = v.x + W / v.k, bottom = v.y + H / v.k;
  const seen = (x0: number, y0: number, x1: number, y1: number): boolean => x1 >= left && x0 <= right && y1 >= top && y0 <= bottom;
  const tiny = v.k < 0.25, marked = look.lit ?? look.hits;
  g.save();
  g.scale(v.k, v.k); g.translate(-v.x, -v.y);
  if (!tiny) for (const f of s.frames) {
    if (!seen(f.x!, f.y!, f.x! + f.w!, f.y! + f.h!)) continue;
    g.fillStyle = ink("frame"); g.strokeStyle = line; g.lineWidth = 0.7 / Math.sqrt(v.k);
    g.beginPath(); g.roundRect(f.x!, f.y!, f.w!, f.h!, 4); g.fill(); g.stroke();
    if (v.k > 0.45) { g.fillStyle = quiet; g.font = `600 ${Math.min(11, 6.5 / Math.min(v.k, 1))}px ${font}`; g.textAlign = "left"; g.fillText(`${f.motif}${f.repeat > 1 ? ` ×${f.repeat}` : ""}`, f.x! + 5, f.y! + 8); }
  }
  g.lineWidth = Math.max(0.8, 0.8 / v.k); g.lineJoin = "round";
  if (tiny && !look.lit) { g.strokeStyle = quiet; g.globalAlpha = 0.5; g.stroke(s.all); } else for (const l of s.links) {
    if (!seen(...l.box)) continue;
    const on = look.lit ? look.lit.has(l.from) && look.lit.has(l.to) : false;
    g.strokeStyle = on ? accent : quiet; g.globalAlpha = look.lit ? (on ? 1 : 0.2) : 0.65;
    g.stroke(l.path);
    if (v.k > 0.4) { // which way it goes
      const [x, y, dx, dy] = l.tip;
      g.fillStyle = g.strokeStyle; g.beginPath(); g.moveTo(x, y); g.lineTo(x - 5 * dx - 2.2 * dy, y - 5 * dy + 2.2 * dx); g.lineTo(x - 5 * dx + 2.2 * dy, y - 5 * dy - 2.2 * dx); g.closePath(); g.fill();
    }
  }
  g.globalAlpha = 1;
  if (tiny) paintTiny(g, s, look, marked, seen, v.k);
  else for (const b of s.graph.boxes) {
    if (!seen(b.x, b.y, b.x + b.w, b.y + b.h)) continue;
    const share = look.scale ? look.scale.share(b) : NaN, c = classColor(b.class), hot = Number.isFinite(share);
    g.globalAlpha = marked && !marked.has(b.id) ? 0.3 : 1;
    g.fillStyle = look.measure === "kind" ? c.fill : hot ? colorOf(share, heat) : panel; g.strokeStyle = look.measure === "kind" ? c.edge : line; g.lineWidth = 0.8;
    const round = b.w < 16 ? b.w / 2 : 3;
    if (b.kind === "group") { g.beginPath(); g.roundRect(b.x + 2, b.y + 2, b.w, b.h, round); g.stroke(); }
    g.beginPath(); g.roundRect(b.x, b.y, b.w, b.h, round); g.fill(); g.stroke();
    if (b.id === look.selected || b.id === look.hover) { g.strokeStyle = accent; g.lineWidth = (b.id === look.selected ? 2 : 1.2) / Math.min(1, v.k); g.stroke(); }
    if (v.k * 7 > 4.5) label(g, b, look.measure !== "kind" && hot ? inkOn(share, heat) : text, look.measure !== "kind" && hot ? inkOn(share, heat) : quiet, font);
  }
  if (!tiny) for (const b of s.graph.boxes) paintMaps(g, b, s.exits.get(b.id), v.k, look, seen, line, panel, marked);
  g.restore();
}

/* Far away: one call a colour. */
function paintTiny(g: CanvasRenderingContext2D, s: Scene, look: Look, marked: Set<string> | null, seen: (a: number, b: number, c: number, d: number) => boolean, k: number): void {
  const least = 1.4 / k, paths = new Map<string, Path2D>();
  for (const b of s.graph.boxes) {
    if (!seen(b.x, b.y, b.x + b.w, b.y + b.h)) continue;
    const share = look.scale ? look.scale.share(b) : NaN, pale = marked && !marked.has(b.id);
    const color = look.measure === "kind" ? classColor(b.class).edge : Number.isFinite(share) ? colorOf(Math.round(share * 24) / 24, heat) : ink("line");
    const key = `${pale ? "-" : "+"}${color}`, path = paths.get(key) ?? paths.set(key, new Path2D()).get(key)!;
    path.rect(b.x, b.y, Math.max(b.w, least), Math.max(b.h, least));
  }
  for (const [key, path] of paths) { g.globalAlpha = key[0] === "-" ? 0.2 : 1; g.fillStyle = key.slice(1); g.fill(path); }
  g.globalAlpha = 1;
  const b = s.byId.get(look.selected);
  if (b) { g.strokeStyle = ink("accent"); g.lineWidth = 2.5 / k; g.strokeRect(b.x - 3 / k, b.y - 3 / k, b.w + 6 / k, b.h + 6 / k); }
}

/* The strongest maps of what flows on, standing on the arrow. */
function paintMaps(g: CanvasRenderingContext2D, b: GraphBox, e: Exit | undefined, k: number, look: Look,
  seen: (a: number, b: number, c: number, d: number) => boolean, line: string, panel: string, marked: Set<string> | null): void {
  const side = mapSide(e);
  if (!e || side * k < 13 || !seen(e.x - 60, e.y - side, e.x + 60, e.y + side)) return;
  const maps = look.maps(b);
  if (!maps) return;
  const n = Math.max(1, Math.min(Math.round(maps.width / maps.height), Math.floor((e.wide + 8) / (side + 1)))), w = n * side;
  g.globalAlpha = marked && !marked.has(b.id) ? 0.3 : 1;
  g.fillStyle = panel; g.fillRect(e.x - w / 2 - 1, e.y - side / 2 - 1, w + 2, side + 2);
  g.imageSmoothingEnabled = side * k < maps.height;
  g.drawImage(maps, 0, 0, maps.height * n, maps.height, e.x - w / 2, e.y - side / 2, w, side);
  g.strokeStyle = line; g.lineWidth = 0.8 / k;
  for (let i = 0; i < n; i++) g.strokeRect(e.x - w / 2 + i * side, e.y - side / 2, side, side);
  g.globalAlpha = 1;
}

function label(g: CanvasRenderingContext2D, b: GraphBox, text: string, quiet: string, font: string): void {
  const small = b.w < 16, fit = (s: string, w: number): string => {
    if (g.measureText(s).width <= w) return s;
    let low = 2, high = s.length;
    while (low < high) { const mid = (low + high + 1) >> 1; if (g.measureText(s.slice(0, mid) + "…").width <= w) low = mid; else high = mid - 1; }
    return s.slice(0, low) + "…";
  };
  g.textAlign = "center"; g.textBaseline = "middle"; g.fillStyle = text;
  if (small) { g.font = `9px ${font}`; g.fillText(b.title.length <= 2 ? b.title : b.title.slice(0, 1), b.x + b.w / 2, b.y + b.h / 2 + 0.5); g.textBaseline = "alphabetic"; return; }
  const lines: [string, string, string][] = [[b.title, `600 7px ${font}`, text]];
  if (b.strips.length) lines.push([b.strips.map((s) => s.word).join(" · "), `6px ${font}`, quiet]);
  if (b.h > 22 && b.name !== b.title) lines.push([b.name, `6px ${font}`, quiet]);
  const room = Math.min(9, (b.h - 2) / lines.length);
  lines.forEach(([s, f, c], i) => { g.font = f; g.fillStyle = c; g.fillText(fit(s, b.w - 6), b.x + b.w / 2, b.y + b.h / 2 + (i - (lines.length - 1) / 2) * room); });
  g.textBaseline = "alphabetic";
}

const small = new WeakMap<Scene, { key: string; image: HTMLCanvasElement }>();
/** The whole graph on a stamp; painted once, then only its frame moves. */
export function paintMinimap(g: CanvasRenderingContext2D, s: Scene, v: View, W: number, H: number, w: number, h: number): void {
  const k = Math.min(w / s.graph.width, h / s.graph.height), x0 = (w - s.graph.width * k) / 2, y0 = (h - s.graph.height * k) / 2, key = `${ink("panel")} ${w} ${h}`;
  let kept = small.get(s);
  if (kept?.key !== key) {
    const image = document.createElement("canvas"), to = image.getContext("2d")!;
    image.width = w * 2; image.height = h * 2; to.scale(2, 2);
    to.fillStyle = ink("panel"); to.fillRect(0, 0, w, h);
    for (const b of s.graph.boxes) { to.fillStyle = classColor(b.class).edge; to.fillRect(x0 + b.x * k, y0 + b.y * k, Math.max(1, b.w * k), Math.max(1, b.h * k)); }
    small.set(s, kept = { key, image });
  }
  g.drawImage(kept.image, 0, 0, w, h);
  g.strokeStyle = ink("accent"); g.lineWidth = 1.5; g.strokeRect(x0 + v.x * k, y0 + v.y * k, (W / v.k) * k, (H / v.k) * k);
}

export const hit = (s: Scene, v: View, x: number, y: number): GraphBox | undefined => {
  const sx = x / v.k + v.x, sy = y / v.k + v.y, slack = 2 / v.k;
  return s.graph.boxes.find((b) => sx >= b.x - slack && sx <= b.x + b.w + slack && sy >= b.y - slack && sy <= b.y + b.h + slack);
};

/** Whether all of the graph is in view. */
export const whole = (s: Scene, v: View, W: number, H: number): boolean => v.x <= 0 && v.y <= 0 && v.x + W / v.k >= s.graph.width && v.y + H / v.k >= s.graph.height;

/** All of it in view, not larger than reads well. */
export function fit(s: Scene, W: number, H: number): View {
  const { width, height } = s.graph, k = Math.min((W - 32) / width, (H - 32) / height, 2.2);
  return { k, x: width / 2 - W / 2 / k, y: height / 2 - H / 2 / k };
}
