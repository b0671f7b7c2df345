// network.tsx - the whole graph: stages, layers or every operator by zoom, the real maps on its arrows, searched, traced, coloured by what
// a layer costs, says or matters; the chosen box is explained beside it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, calm, extra, go, lang, m, p, pictures, prediction, t } from "./store";
import { Canvas, Command, Segmented, useLoad, useWidth } from "./canvas";
import { boxOfLayer, fit, hit, makeScene, paint, paintMinimap, scaleOf, traced, whole, type Measure, type Scale, type Scene, type View } from "./graphscene";
import { mapsCome, mapsOf } from "./graphmaps";
import { Inspector } from "./inspector";
import { Search, found } from "./search";
import { bytes, num, short } from "./format";
import { command, word } from "./commands";
import { colorOf } from "./color";
import { Save } from "./save";

type Level = "blocks" | "folded" | "all";
const levels: Level[] = ["blocks", "folded", "all"];
type Way = "" | "in" | "out" | "both";

/** The level that reads well when all of it is in view, from the layers of every block to blocks alone. */
function readable(graph: api.Graph, W: number, H: number): boolean { return graph.boxes.length < 4 || Math.min((W - 32) / graph.width, (H - 32) / graph.height) > 0.72; }

export function Network() {
  const e = extra.value, expand = e.open ?? "", measure = (e.by as Measure) || "kind", direction = e.dir === "lr" ? "lr" : "tb", maps = e.maps !== "off" && pictures.value.length > 0, way = (e.trace as Way) || "";
  const [ref, W] = useWidth<HTMLDivElement>(), H = Math.max(420, Math.min(900, innerHeight - 190)), [v, setV] = useState<View | null>(null), [auto, setAuto] = useState<Level>("folded");
  const [hover, setHover] = useState(""), selected = e.box ?? "", [search, setSearch] = useState(""), drag = useRef<[number, number, View, boolean] | null>(null), pinned = levels.includes(e.graph as Level), level: Level = pinned ? (e.graph as Level) : auto;
  const anchor = useRef<{ x: number; y: number; layer: number } | null>(null), settled = useRef(false), fingers = useRef(new Map<number, [number, number]>()), flight = useRef(0);
  const gap = maps && level !== "all" ? 36 : maps ? 26 : 0;
  const scene = useLoad((newest) => attempt(async () => {
    if (W <= 0) return undefined;
    const mm = m.value;
    let graph = await api.getGraph(mm, level, expand, direction, gap);
    if (!newest()) return undefined;
    if (!pinned && !settled.current && level === "folded" && W > 0 && !readable(graph, W, H) && !expand) { // too much to read: blocks first, zooming opens them
      const coarse = await api.getGraph(mm, "blocks", "", direction, gap);
      if (!newest()) return undefined;
      if (coarse.boxes.length < graph.boxes.length) { graph = coarse; setAuto("blocks"); }
    }
    settled.current = true;
    return { ...makeScene(graph, gap), level: level as string };
  }), [m.value, level, expand, direction, gap, lang.value, W > 0]);
  const shown = useRef<Scene | null>(null);
  useEffect(() => {
    if (!scene || W <= 0 || shown.current === scene) return;
    const a = anchor.current, b = a && boxOfLayer(scene, a.layer);
    shown.current = scene;
    anchor.current = null;
    if (a && b) { const k = Math.max(fit(scene, W, H).k, Math.min(1.7, Math.max(0.9, v?.k ?? 1))); setV({ k, x: b.x + b.w / 2 - a.x / k, y: b.y + b.h / 2 - a.y / k }); } else setV(fit(scene, W, H));
  }, [scene, W > 0]);
  const sizes = useLoad(async () => {
    if (!pictures.value.length || (measure !== "activation" && measure !== "gradient")) return undefined;
    const of = measure === "gradient" ? (await attempt(() => api.getGradients(m.value, p.value, -1)))?.sizes : (await attempt(() => api.getStrength(m.value, p.value)))?.filter((_, i) => i % 3 === 0);
    return of && { measure, of };
  }, [measure, m.value, p.value]);
  const strength = sizes?.measure === measure ? sizes.of : null; // activations are no gradients while those are on their way
  const scale = useMemo(() => (scene ? scaleOf(scene, measure, strength) : null), [scene, measure, strength]);
  const hits = useMemo(() => (scene && search.trim() ? found(scene, search) : null), [search, scene, lang.value]);
  const lit = useMemo(() => (way && scene && scene.byId.has(selected) ? traced(scene, selected, way) : null), [way, scene, selected]);
  const marked = useMemo(() => (hits ? new Set(hits.map((x) => x.box.id)) : null), [hits]);
  const come = mapsCome.value, picture = maps && pictures.value.some((x) => x.id === p.value);
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    if (scene && v) paint(g, scene, v, W, H, { measure, scale, selected, hover, hits: marked, lit, maps: (b) => (picture && (b.last >= 0 || b.class === "input") ? mapsOf(m.value, p.value, b.last >= 0 ? String(b.last) : "in0") : undefined) });
  }, [scene, v, W, H, measure, scale, selected, hover, marked, lit, come, picture, m.value, p.value]);
  const mini = useMemo(() => (g: CanvasRenderingContext2D): void => { if (scene && v) paintMinimap(g, scene, v, W, H, 130, 150); }, [scene, v, W, H]);
  const change = (to: Level, x: number, y: number, at: View): void => { // the same layer stays under the pointer
    const b = scene && (hit(scene, at, x, y) ?? nearest(scene, at, x, y));
    if (b) { anchor.current = { x, y, layer: Math.max(0, b.layer) }; setAuto(to); }
  };
  const zoom = (x: number, y: number, by: number): void => {
    if (!v || !scene) return;
    const k = Math.max(0.03, Math.min(12, v.k * by)), next = { k, x: v.x + x / v.k - x / k, y: v.y + y / v.k - y / k };
    setV(next);
    if (pinned || expand || scene.level !== level) return;
    if (by > 1 && level === "blocks" && k > 2.6) change("folded", x, y, next);
    else if (by > 1 && level === "folded" && k > 3.6 && scene.graph.groups.some((g) => g.repeat > 1)) change("all", x, y, next);
    else if (by < 1 && level === "all" && k < 0.5) change("folded", x, y, next);
    else if (by < 1 && level === "folded" && k < 0.42 && scene.frames.length > 1) change("blocks", x, y, next);
  };
  const fly = (to: View): void => { // at most 300 ms, at once where motion is not wanted
    const from = v, start = performance.now(), turn = ++flight.current;
    if (!from || calm.matches) { setV(to); return; }
    const stepOn = (now: number): void => {
      const f = Math.min(1, (now - start) / 260), s = f * f * (3 - 2 * f), k = from.k * (to.k / from.k) ** s;
      if (turn !== flight.current) return;
      const cx = (from.x + W / 2 / from.k) * (1 - s) + (to.x + W / 2 / to.k) * s, cy = (from.y + H / 2 / from.k) * (1 - s) + (to.y + H / 2 / to.k) * s;
      setV({ k, x: cx - W / 2 / k, y: cy - H / 2 / k });
      if (f < 1) requestAnimationFrame(stepOn);
    };
    requestAnimationFrame(stepOn);
  };
  const show = (id: string): void => {
    const b = scene?.byId.get(id);
    go({ extra: { box: id } });
    if (b && v) { const k = Math.max(v.k, 1.3); fly({ k, x: b.x + b.w / 2 - W / 2 / k, y: b.y + b.h / 2 - H / 2 / k }); }
  };
  const box = scene?.byId.get(selected), open = (name: string): void => go({ extra: { open: [expand, name].filter(Boolean).join(","), graph: "folded" } });
  const key = (ev: KeyboardEvent): boolean => {
    if (ev.key === "+" || ev.key === "=") { zoom(W / 2, H / 2, 1.3); return true; }
    if (ev.key === "-") { zoom(W / 2, H / 2, 1 / 1.3); return true; }
    if (ev.key === "0" && scene) { fly(fit(scene, W, H)); return true; }
    if (ev.key === "t") { go({ extra: { trace: way === "" ? "both" : way === "both" ? "in" : way === "in" ? "out" : "" } }); return true; }
    if (ev.key === "Escape" && selected) { go({ extra: { box: "", trace: "" } }); return true; }
    const d = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[ev.key], list = scene?.graph.boxes ?? [];
    if (ev.key === "Enter" && box) { if (box.kind === "group") open(box.name); else if (box.layer >= 0) go({ page: "layer", layer: box.layer }); return true; }
    if (!d || !list.length) return false;
    show(list[Math.max(0, Math.min(list.length - 1, list.findIndex((b) => b.id === selected) + d))].id);
    return true;
  };
  const down = (x: number, y: number, ev: PointerEvent): void => {
    if (!v) return;
    flight.current++;
    fingers.current.set(ev.pointerId, [x, y]);
    drag.current = [x, y, v, false];
    (ev.target as HTMLElement).setPointerCapture(ev.pointerId);
  };
  const move = (x: number, y: number, ev: PointerEvent): void => {
    const d = drag.current, f = fingers.current, was = f.get(ev.pointerId);
    if (f.size === 2 && was && d) { // two fingers: zoom about the other one
      const [ox, oy] = [...f].find(([id]) => id !== ev.pointerId)![1], before = Math.hypot(was[0] - ox, was[1] - oy), now = Math.hypot(x - ox, y - oy);
      f.set(ev.pointerId, [x, y]);
      d[3] = true;
      if (before > 8) zoom(ox, oy, now / before);
      return;
    }
    if (d && f.size === 1) { if (Math.abs(x - d[0]) + Math.abs(y - d[1]) > 3) d[3] = true; if (d[3]) setV({ ...d[2], x: d[2].x - (x - d[0]) / d[2].k, y: d[2].y - (y - d[1]) / d[2].k }); } else if (scene && v && !d) setHover(hit(scene, v, x, y)?.id ?? "");
  };
  const up = (): void => {
    const d = drag.current;
    fingers.current.clear();
    drag.current = null;
    if (d && !d[3] && scene && v) go({ extra: { box: hit(scene, v, d[0], d[1])?.id ?? "" } });
  };
  const jump = (x: number, y: number): void => { if (scene && v) { const k = Math.min(130 / scene.graph.width, 150 / scene.graph.height), x0 = (130 - scene.graph.width * k) / 2, y0 = (150 - scene.graph.height * k) / 2; setV({ ...v, x: (x - x0) / k - W / 2 / v.k, y: (y - y0) / k - H / 2 / v.k }); } };
  return (
    <div class="page network">
      <div class="toolbar">
        <Segmented value={level} set={(x) => { settled.current = true; go({ extra: { graph: x, box: "", open: "" } }); }} label={t("Detail", "详细程度")} options={[["blocks", t("blocks", "块")], ["folded", t("layers", "层")], ["all", t("operators", "算子")]]} />
        <label>{t("Colour by", "着色")} <select value={measure} onChange={(x) => go({ extra: { by: (x.target as HTMLSelectElement).value } })}>
          {([["kind", t("kind", "类型")], ["macs", t("MACs", "乘加")], ["params", t("parameters", "参数")], ["bytes", t("memory", "内存")], ["activation", t("activation strength", "激活强度")], ["gradient", t("gradient strength", "梯度强度")]] as const).map(([k, x]) => <option key={k} value={k}>{x}</option>)}</select></label>
        {scale && <HeatLegend scale={scale} measure={measure} />}
        <Search text={search} set={setSearch} hits={hits} show={show} selected={selected} />
        <button aria-pressed={maps} class={maps ? "on" : ""} onClick={() => go({ extra: { maps: maps ? "off" : "" } })}>{t("Maps", "特征图")}</button>
        {expand && <button onClick={() => go({ extra: { open: "" } })}>{t("Fold again", "重新折叠")}</button>}
        <span class="grow" />
        <span class="row"><button title={t("Direction", "方向")} aria-label={t("Turn the direction", "切换方向")} onClick={() => go({ extra: { dir: direction === "tb" ? "lr" : "" } })}>{direction === "tb" ? "↓" : "→"}</button>
          <button onClick={() => zoom(W / 2, H / 2, 1.4)} aria-label={t("Larger", "放大")}>+</button><button onClick={() => zoom(W / 2, H / 2, 1 / 1.4)} aria-label={t("Smaller", "缩小")}>−</button>
          <button onClick={() => { if (scene) fly(fit(scene, W, H)); }}>{t("Fit", "适应窗口")}</button><Save name="network-view" of=".graph" label={t("the view of the graph", "结构图画面")} items={[]} /></span>
      </div>
      <div class="graph-row">
        <div class="graph" ref={ref}>
          <Canvas w={Math.max(W, 40)} h={H} draw={draw} role="application" class="stage" label={t("The network's graph. Arrow keys go from box to box, Enter opens, plus and minus zoom, 0 fits, T traces.", "网络结构图。方向键切换方框，回车打开，加减号缩放，0 适应窗口，T 追踪。")} onKey={key}
            onWheel={(x, y, ev) => zoom(x, y, Math.exp(-ev.deltaY * (ev.deltaMode === 0 ? 0.0015 : 0.05)))} onDown={down} onMove={move} onUp={up} onLeave={() => setHover("")} />
          {scene && v && !whole(scene, v, W, H) && <div class="minimap"><Canvas w={130} h={150} draw={mini} label={t("The whole graph, small", "全图缩略")} onDown={jump} onMove={(x, y, ev) => { if (ev.buttons) jump(x, y); }} /></div>}
        </div>
        <Inspector box={box} scene={scene ?? null} way={way} setWay={(x) => go({ extra: { trace: x } })} open={open} show={show} />
      </div>
      <Command text={command("draw", "-o", "network.svg", ...(level === "all" ? ["--no-fold"] : level === "blocks" ? ["--depth", "1"] : expand ? ["--expand", word(expand)] : []), ...(direction === "lr" ? ["--direction", "lr"] : []))} />
    </div>
  );
}

function nearest(s: Scene, v: View, x: number, y: number): api.GraphBox | undefined {
  const sx = x / v.k + v.x, sy = y / v.k + v.y;
  let best: api.GraphBox | undefined, least = Infinity;
  for (const b of s.graph.boxes) { const d = Math.abs(b.x + b.w / 2 - sx) + Math.abs(b.y + b.h / 2 - sy); if (d < least) { least = d; best = b; } }
  return best;
}

function HeatLegend(q: { scale: Scale; measure: Measure }) {
  const text = (v: number): string => (q.scale.log ? num(v, 2) : q.measure === "bytes" ? bytes(v) : short(v)), w = 110;
  const draw = (g: CanvasRenderingContext2D): void => { for (let i = 0; i < w; i++) { g.fillStyle = colorOf((i + 0.5) / w, { low: 0, high: 1 }); g.fillRect(i, 0, 1.5, 8); } };
  const target = prediction.value?.scores[0];
  return (
    <div class="legend" style={{ width: `${w}px` }} title={q.measure === "gradient" && target ? t(`of the logit of ${target.name || target.index}`, `对 ${target.name || target.index} 的 logit`) : ""}>
      <Canvas w={w} h={8} draw={draw} label={`${text(q.scale.low)} – ${text(q.scale.high)}`} />
      <div class="legend-numbers"><span>{text(q.scale.low)}</span>{q.scale.log && <span>log</span>}<span>{text(q.scale.high)}</span></div>
    </div>
  );
}
