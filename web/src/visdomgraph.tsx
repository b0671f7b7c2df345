// visdomgraph.tsx - two panes of Visdom that are no plots: a network of nodes and edges, laid out by springs and moved by hand, and the points of an
// embedding, of which one or a region can be chosen: the program that drew them answers with what it knows of it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { textAddress, type Pane } from "./visdomapi";
import { dark, t } from "./store";

const COLORS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
const list = (v: unknown): Record<string, unknown>[] => (Array.isArray(v) ? v.filter((x): x is Record<string, unknown> => !!x && typeof x === "object") : []);
const words = (v: unknown): string => (typeof v === "string" || typeof v === "number" ? String(v) : "");
const whole = (v: unknown): number => (typeof v === "number" && Number.isInteger(v) ? v : -1);

// ---- networks -----------------------------------------------------------------------------------------------

interface Edge { from: number; to: number; label: string }
type Place = [number, number];

/** Fruchterman and Reingold 1991, from a circle, the same for the same graph: places in [0,1]². */
function springs(n: number, edges: Edge[], rounds = n > 400 ? 60 : 300): Place[] {
  const at: Place[] = Array.from({ length: n }, (_, i): Place => [0.5 + 0.4 * Math.cos((2 * Math.PI * i * 0.618) % (2 * Math.PI)), 0.5 + 0.4 * Math.sin((2 * Math.PI * i * 0.618) % (2 * Math.PI))]);
  const k = Math.sqrt(1 / Math.max(1, n)), move = new Float64Array(2 * n);
  for (let round = 0; round < rounds && n > 1; round++) {
    const heat = 0.12 * (1 - round / rounds) + 0.001;
    move.fill(0);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) {
      const dx = at[i][0] - at[j][0] || 1e-4 * (i - j), dy = at[i][1] - at[j][1] || 1e-4, push = (k * k) / (dx * dx + dy * dy + 1e-6);
      move[2 * i] += dx * push; move[2 * i + 1] += dy * push; move[2 * j] -= dx * push; move[2 * j + 1] -= dy * push;
    }
    for (const e of edges) {
      const dx = at[e.from][0] - at[e.to][0], dy = at[e.from][1] - at[e.to][1], pull = Math.hypot(dx, dy) / k;
      move[2 * e.from] -= dx * pull; move[2 * e.from + 1] -= dy * pull; move[2 * e.to] += dx * pull; move[2 * e.to + 1] += dy * pull;
    }
    for (let i = 0; i < n; i++) {
      move[2 * i] += (0.5 - at[i][0]) * 0.5; move[2 * i + 1] += (0.5 - at[i][1]) * 0.5; // what hangs together by nothing stays near
      const d = Math.hypot(move[2 * i], move[2 * i + 1]) || 1, s = Math.min(d, heat) / d;
      at[i][0] += move[2 * i] * s; at[i][1] += move[2 * i + 1] * s;
    }
  }
  const box = [0, 1].map((c) => [Math.min(...at.map((p) => p[c])), Math.max(...at.map((p) => p[c]))]);
  return at.map((p) => [0, 1].map((c) => (box[c][1] - box[c][0] > 1e-9 ? (p[c] - box[c][0]) / (box[c][1] - box[c][0]) : 0.5)) as Place);
}

export function Network(q: { pane: Pane; w: number; h: number }) {
  const content = (q.pane.content ?? {}) as { nodes?: unknown; edges?: unknown }, nodes = list(content.nodes).slice(0, 2000), n = nodes.length;
  const edges: Edge[] = list(content.edges).map((e) => ({ from: whole(e.source), to: whole(e.target), label: words(e.label) })).filter((e) => e.from >= 0 && e.to >= 0 && e.from < n && e.to < n);
  const first = useMemo(() => springs(n, edges), [q.pane.number]), [moved, setMoved] = useState<Record<number, Place>>({}), [over, setOver] = useState(-1), held = useRef(-1), svg = useRef<SVGSVGElement>(null);
  useEffect(() => setMoved({}), [q.pane.number]);
  const pad = 26, place = (i: number): Place => { const p = moved[i] ?? first[i] ?? [0.5, 0.5]; return [pad + p[0] * (q.w - 2 * pad), pad + p[1] * (q.h - 2 * pad)]; };
  const r = n > 120 ? 4 : n > 40 ? 6 : 9, always = (v: unknown): boolean => v === true, names = always(q.pane.showVertexLabels), kinds = always(q.pane.showEdgeLabels);
  const drag = (e: PointerEvent): void => {
    if (held.current < 0) return;
    const b = svg.current!.getBoundingClientRect(), clamp = (v: number): number => Math.max(0, Math.min(1, v));
    setMoved({ ...moved, [held.current]: [clamp((e.clientX - b.left - pad) / (q.w - 2 * pad)), clamp((e.clientY - b.top - pad) / (q.h - 2 * pad))] });
  };
  const label = (i: number): string => words(nodes[i].label) || words(nodes[i].name) || String(i), near = (e: Edge): boolean => e.from === over || e.to === over;
  const step = (e: KeyboardEvent): void => {
    const d = e.key === "ArrowRight" || e.key === "ArrowDown" ? 1 : e.key === "ArrowLeft" || e.key === "ArrowUp" ? -1 : 0;
    if (d && n) { e.preventDefault(); setOver((over + d + n) % n); }
  };
  const said = over >= 0 && over < n ? `${label(over)}: ${edges.filter(near).map((e) => label(e.from === over ? e.to : e.from)).join(", ") || t("no edge", "没有边")}` : "";
  return (
    <>
      <svg class="vgraph" ref={svg} width={q.w} height={q.h} {...{ tabindex: 0 }} role="application" aria-label={`${q.pane.title || t("Network", "网络图")}: ${n} ${t("nodes", "个节点")}, ${edges.length} ${t("edges; arrow keys go from node to node", "条边；用方向键逐个查看节点")}`} onKeyDown={step} onPointerMove={drag} onPointerUp={() => { held.current = -1; }} onPointerLeave={() => { held.current = -1; setOver(-1); }}>
        <defs><marker id={`tip-${q.pane.id}`} viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="tip" d="M0 0 8 4 0 8z" /></marker></defs>
        {edges.map((e, i) => {
          const [x0, y0] = place(e.from), [x1, y1] = place(e.to), d = Math.hypot(x1 - x0, y1 - y0) || 1, back = (r + 2) / d;
          return <g key={i} class={near(e) ? "edge on" : "edge"}><line x1={x0} y1={y0} x2={x1 - (x1 - x0) * back} y2={y1 - (y1 - y0) * back} marker-end={q.pane.directed === true ? `url(#tip-${q.pane.id})` : undefined} />{(kinds || near(e)) && e.label && <text x={(x0 + x1) / 2} y={(y0 + y1) / 2 - 3}>{e.label}</text>}</g>;
        })}
        {nodes.map((node, i) => { const [x, y] = place(i), club = whole(node.club); return <g key={i} class={over === i ? "node on" : "node"} onPointerDown={(e) => { held.current = i; (e.currentTarget as Element).setPointerCapture?.(e.pointerId); }} onPointerEnter={() => { if (held.current < 0) setOver(i); }}><circle cx={x} cy={y} r={r} fill={COLORS[(club >= 0 ? club : 0) % COLORS.length]} />{(names || over === i) && <text x={x} y={y - r - 3}>{label(i)}</text>}</g>; })}
      </svg>
      <p class="vlegend small" aria-live="polite">{said || "\u00a0"}</p>
    </>
  );
}

// ---- embeddings ---------------------------------------------------------------------------------------------

interface Dot { x: number; y: number; group: number; label: string; name: string; index: number }

export function Embeddings(q: { pane: Pane; env: string; w: number; h: number; send: (what: string, more?: Record<string, unknown>) => void }) {
  const content = (q.pane.content ?? {}) as { data?: unknown; isLoading?: boolean; has_previous?: boolean; selected?: { html?: string; entityId?: unknown } | null };
  const canvas = useRef<HTMLCanvasElement>(null), [at, setAt] = useState(-1), [region, setRegion] = useState<number[] | null>(null), isDark = dark.value;
  const dots: Dot[] = useMemo(() => list(content.data).map((p, i) => {
    const xy = Array.isArray(p.position) ? p.position : [], group = whole(p.group);
    return { x: Number(xy[0]), y: Number(xy[1]), group: group >= 0 ? group : 0, label: words(p.label), name: words(p.name) || String(i), index: whole(p.idx) >= 0 ? whole(p.idx) : i };
  }).filter((d) => Number.isFinite(d.x) && Number.isFinite(d.y)), [q.pane.number]);
  const groups = useMemo(() => [...new Map(dots.map((d) => [d.group, d.label])).entries()].sort((a, b) => a[0] - b[0]), [dots]);
  const box = useMemo(() => { let l = Infinity, r = -Infinity, b = Infinity, h = -Infinity; for (const d of dots) { l = Math.min(l, d.x); r = Math.max(r, d.x); b = Math.min(b, d.y); h = Math.max(h, d.y); } return { l, b, w: r - l || 1, h: h - b || 1 }; }, [dots]);
  const px = (d: Dot): number => 10 + ((d.x - box.l) / box.w) * (q.w - 20), py = (d: Dot): number => 10 + (1 - (d.y - box.b) / box.h) * (q.h - 20);
  useEffect(() => { setAt(-1); setRegion(null); }, [q.pane.base]);
  useEffect(() => {
    const c = canvas.current;
    if (!c) return;
    const scale = devicePixelRatio || 1, g = c.getContext("2d")!, style = getComputedStyle(c);
    c.width = q.w * scale; c.height = q.h * scale; g.setTransform(scale, 0, 0, scale, 0, 0); g.clearRect(0, 0, q.w, q.h);
    g.strokeStyle = style.getPropertyValue("--line"); g.strokeRect(0.5, 0.5, q.w - 1, q.h - 1);
    const r = dots.length > 2000 ? 1.8 : dots.length > 300 ? 2.6 : 4;
    g.globalAlpha = 0.8;
    for (const d of dots) { g.fillStyle = COLORS[d.group % COLORS.length]; g.beginPath(); g.arc(px(d), py(d), r, 0, 7); g.fill(); }
    g.globalAlpha = 1;
    if (dots[at]) { g.strokeStyle = style.getPropertyValue("--text"); g.lineWidth = 2; g.beginPath(); g.arc(px(dots[at]), py(dots[at]), r + 4, 0, 7); g.stroke(); }
    if (region) { g.strokeStyle = style.getPropertyValue("--accent"); g.setLineDash([5, 4]); g.lineWidth = 1.5; g.strokeRect(Math.min(region[0], region[2]), Math.min(region[1], region[3]), Math.abs(region[2] - region[0]), Math.abs(region[3] - region[1])); g.setLineDash([]); }
  }, [dots, at, region, q.w, q.h, isDark]);
  const spot = (e: PointerEvent): Place => { const b = canvas.current!.getBoundingClientRect(); return [e.clientX - b.left, e.clientY - b.top]; };
  const nearest = (x: number, y: number, far: number): number => { let best = far * far, found = -1; dots.forEach((d, i) => { const s = (px(d) - x) ** 2 + (py(d) - y) ** 2; if (s < best) { best = s; found = i; } }); return found; };
  const choose = (i: number): void => { setAt(i); if (dots[i]) q.send("entity", { index: dots[i].index, name: dots[i].name }); };
  const move = (e: PointerEvent): void => { const [x, y] = spot(e); if (region) setRegion([region[0], region[1], x, y]); else { const i = nearest(x, y, 12); if (i >= 0) setAt(i); } };
  const end = (e: PointerEvent): void => {
    const [x, y] = spot(e), r = region;
    setRegion(null);
    if (!r || Math.hypot(x - r[0], y - r[1]) < 6) { const i = nearest(x, y, 14); if (i >= 0) choose(i); return; }
    const inside = dots.filter((d) => px(d) >= Math.min(r[0], x) && px(d) <= Math.max(r[0], x) && py(d) >= Math.min(r[1], y) && py(d) <= Math.max(r[1], y));
    if (inside.length > 1) q.send("region", { index: inside.map((d) => d.index) });
  };
  const key = (e: KeyboardEvent): void => {
    const way: Record<string, Place> = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }, d = way[e.key];
    if (e.key === "Enter" && at >= 0) { e.preventDefault(); choose(at); }
    if (!d || !dots.length) return;
    e.preventDefault();
    if (at < 0) { setAt(0); return; }
    let best = Infinity, found = at; // the next one in that direction, sideways ways counted double
    dots.forEach((o, i) => { const dx = px(o) - px(dots[at]), dy = py(o) - py(dots[at]), along = dx * d[0] + dy * d[1], aside = Math.abs(dx * d[1]) + Math.abs(dy * d[0]); if (along > 0.01 && aside <= along * 2 && along + 2 * aside < best) { best = along + 2 * aside; found = i; } });
    setAt(found);
  };
  if (content.isLoading) return <p class="quiet">{t("the program is laying the points out…", "程序正在计算各点的位置…")}</p>;
  return (
    <>
      <canvas ref={canvas} tabIndex={0} style={{ width: q.w, height: q.h, touchAction: "none" }} role="application" aria-label={`${q.pane.title || t("Embedding", "嵌入")}: ${dots.length} ${t("points; arrow keys go from point to point, Enter asks the program about one, a rectangle drawn around some lays them out anew", "个点；方向键在点之间移动，回车向程序询问该点，框选一部分可重新排布")}`} onPointerDown={(e) => { const [x, y] = spot(e); setRegion([x, y, x, y]); }} onPointerMove={move} onPointerUp={end} onPointerLeave={() => setRegion(null)} onKeyDown={key} />
      <p class="vlegend small" aria-live="polite">{dots[at] ? <span><i class="swatch" style={{ color: COLORS[dots[at].group % COLORS.length] }} />{dots[at].name}{dots[at].label && ` · ${dots[at].label}`}</span> : groups.slice(0, 12).map(([g, label]) => <span key={g}><i class="swatch" style={{ color: COLORS[g % COLORS.length] }} />{label || g}</span>)}</p>
      {content.has_previous && <button onClick={() => q.send("back")}>{t("Back to all points", "返回上一层的点")}</button>}
      {content.selected?.html && <iframe class="vtext" sandbox="" title={t("What the program shows of this point", "程序给出的该点内容")} src={textAddress(q.env, q.pane.id, q.pane.number, isDark ? "dark" : "light")} style={{ height: 120 }} />}
    </>
  );
}
