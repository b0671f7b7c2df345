// network.tsx - the whole graph: blocks folded or every operator, zoomed, searched, traced; the chosen box explained beside it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, extra, go, lang, layers, m, model, t } from "./store";
import { Canvas, Command, Panel, Segmented, useLoad, useWidth } from "./canvas";
import { fit, hit, makeScene, paint, paintMinimap, traced, type Measure, type View } from "./graphscene";
import { bytes, shape, short } from "./format";
import { command, word } from "./commands";
import { MapView } from "./mapview";
import { channel } from "./store";

export function Network() {
  const e = extra.value, view = e.graph === "all" ? "all" : "folded", expand = e.open ?? "", measure = (e.by as Measure) || "kind";
  const [ref, W] = useWidth<HTMLDivElement>(), H = Math.max(420, Math.min(860, innerHeight - 200)), [v, setV] = useState<View | null>(null);
  const [hover, setHover] = useState(""), selected = e.box ?? "", [search, setSearch] = useState(""), drag = useRef<[number, number, View, boolean] | null>(null), [trace, setTrace] = useState(false);
  const graph = useLoad(() => attempt(() => api.getGraph(m.value, view, expand, "tb")), [m.value, view, expand, lang.value]);
  const scene = useMemo(() => graph && makeScene(graph), [graph]);
  useEffect(() => { if (scene && W > 0) setV(fit(scene, W, H)); }, [scene, W > 0]);
  const hits = useMemo(() => {
    const q = search.trim().toLowerCase();
    return q && scene ? new Set(scene.graph.boxes.filter((b) => [b.name, b.title, b.class, b.out, b.in].some((s) => s.toLowerCase().includes(q))).map((b) => b.id)) : null;
  }, [search, scene]);
  const lit = useMemo(() => (trace && scene && selected && scene.byId.has(selected) ? traced(scene, selected, "both") : null), [trace, scene, selected]);
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => { if (scene && v) paint(g, scene, v, W, H, { measure, selected, hover, hits, lit }); }, [scene, v, W, H, measure, selected, hover, hits, lit]);
  const mini = useMemo(() => (g: CanvasRenderingContext2D): void => { if (scene && v) paintMinimap(g, scene, v, W, H, 130, 150); }, [scene, v, W, H]);
  const zoom = (x: number, y: number, by: number): void => setV((o) => { if (!o) return o; const k = Math.max(0.03, Math.min(12, o.k * by)); return { k, x: o.x + x / o.k - x / k, y: o.y + y / o.k - y / k }; });
  const show = (id: string): void => {
    const b = scene?.byId.get(id);
    go({ extra: { box: id } });
    if (b && v) { const k = Math.max(v.k, 1.4); setV({ k, x: b.x + b.w / 2 - W / 2 / k, y: b.y + b.h / 2 - H / 2 / k }); }
  };
  const box = scene?.byId.get(selected);
  const key = (ev: KeyboardEvent): boolean => {
    if (ev.key === "+" || ev.key === "=") { zoom(W / 2, H / 2, 1.3); return true; }
    if (ev.key === "-") { zoom(W / 2, H / 2, 1 / 1.3); return true; }
    if (ev.key === "0" && scene) { setV(fit(scene, W, H)); return true; }
    const d = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[ev.key], list = scene?.graph.boxes ?? [];
    if (ev.key === "Enter" && box) { if (box.kind === "group") go({ extra: { open: [expand, box.name].filter(Boolean).join(",") } }); else if (box.layer >= 0) go({ page: "layer", layer: box.layer }); return true; }
    if (!d || !list.length) return false;
    show(list[Math.max(0, Math.min(list.length - 1, list.findIndex((b) => b.id === selected) + d))].id);
    return true;
  };
  return (
    <div class="page network">
      <div class="toolbar">
        <Segmented value={view} set={(x) => go({ extra: { graph: x, box: "" } })} label={t("Detail", "详细程度")} options={[["folded", t("blocks", "按块折叠")], ["all", t("every operator", "全部算子")]]} />
        <label>{t("Colour by", "着色")}<Segmented value={measure} set={(x) => go({ extra: { by: x } })} label={t("Colour by", "着色")} options={[["kind", t("kind", "类型")], ["macs", t("MACs", "乘加")], ["params", t("parameters", "参数")], ["bytes", t("memory", "内存")]]} /></label>
        <label><input type="search" placeholder={t("name, type, shape", "名称、类型、形状")} aria-label={t("Search", "搜索")} value={search} onInput={(x) => setSearch((x.target as HTMLInputElement).value)}
          onKeyDown={(x) => { if (x.key === "Enter" && hits?.size) { const list = [...hits]; show(list[(list.indexOf(selected) + 1) % list.length]); } }} />{hits && <span class="quiet"> {hits.size}</span>}</label>
        {expand && <button onClick={() => go({ extra: { open: "" } })}>{t("Fold again", "重新折叠")}</button>}
        <span class="grow" />
        <button onClick={() => zoom(W / 2, H / 2, 1.4)} aria-label={t("Larger", "放大")}>+</button><button onClick={() => zoom(W / 2, H / 2, 1 / 1.4)} aria-label={t("Smaller", "缩小")}>−</button>
        <button onClick={() => { if (scene) setV(fit(scene, W, H)); }}>{t("Fit", "适应窗口")}</button>
      </div>
      <div class="graph-row">
        <div class="graph" ref={ref}>
          <Canvas w={Math.max(W, 40)} h={H} draw={draw} role="application" class="stage" label={t("The network's graph. Arrow keys go from box to box, Enter opens, plus and minus zoom.", "网络结构图。方向键切换方框，回车打开，加减号缩放。")} onKey={key}
            onWheel={(x, y, ev) => { if (ev.ctrlKey || ev.metaKey || ev.deltaMode === 0) zoom(x, y, Math.exp(-ev.deltaY * 0.0015)); }}
            onDown={(x, y, ev) => { if (v) { drag.current = [x, y, v, false]; (ev.target as HTMLElement).setPointerCapture(ev.pointerId); } }}
            onMove={(x, y) => { const d = drag.current; if (d) { if (Math.abs(x - d[0]) + Math.abs(y - d[1]) > 3) d[3] = true; if (d[3]) setV({ ...d[2], x: d[2].x - (x - d[0]) / d[2].k, y: d[2].y - (y - d[1]) / d[2].k }); } else if (scene && v) setHover(hit(scene, v, x, y)?.id ?? ""); }}
            onUp={() => { const d = drag.current; drag.current = null; if (d && !d[3] && scene && v) go({ extra: { box: hit(scene, v, d[0], d[1])?.id ?? "" } }); }} onLeave={() => setHover("")} />
          <div class="minimap"><Canvas w={130} h={150} draw={mini} label={t("The whole graph, small", "全图缩略")} onDown={(x, y) => { if (scene && v) { const k = Math.min(130 / scene.graph.width, 150 / scene.graph.height), x0 = (130 - scene.graph.width * k) / 2, y0 = (150 - scene.graph.height * k) / 2; setV({ ...v, x: (x - x0) / k - W / 2 / v.k, y: (y - y0) / k - H / 2 / v.k }); } }} /></div>
        </div>
        <Inspector box={box} trace={trace} setTrace={setTrace} open={(name) => go({ extra: { open: [expand, name].filter(Boolean).join(",") } })} />
      </div>
      <Command text={command("draw", "-o", "network.svg", ...(view === "all" ? ["--no-fold"] : expand ? ["--expand", word(expand)] : []))} />
    </div>
  );
}

function Inspector(q: { box?: api.GraphBox; trace: boolean; setTrace: (v: boolean) => void; open: (name: string) => void }) {
  const b = q.box, l = b && b.layer >= 0 && b.kind !== "group" ? layers.value[b.layer] : undefined, info = model.value!;
  if (!b) return (
    <Panel class="inspector" title={info.name} side={info.format}>
      <dl class="numbers"><dt>{t("layers", "层数")}</dt><dd>{info.layers.length}</dd><dt>{t("parameters", "参数")}</dt><dd>{short(info.params)}</dd><dt>{t("MACs", "乘加")}</dt><dd>{short(info.macs)}</dd><dt>{t("activations", "激活内存")}</dt><dd>{bytes(info.memory)}</dd><dt>{t("input", "输入")}</dt><dd>{info.input}</dd></dl>
      {info.producer && <p class="quiet small">{info.producer}</p>}
      {info.notes.map((n) => <p key={n} class="quiet small">{n}</p>)}
      <p class="quiet small">{t("Click a box. Drag to move, wheel to zoom.", "单击方框查看；拖动平移，滚轮缩放。")}</p>
      <div class="row">{(["svg", "png", "pdf", "tex"] as const).map((x) => <a key={x} class="button" href={api.fileAddress("figure", { m: m.value, ext: x })} download>{x.toUpperCase()}</a>)}</div>
    </Panel>
  );
  return (
    <Panel class="inspector" title={b.title} side={b.kind === "group" ? t("a block", "块") : ""}>
      <dl class="numbers"><dt>{t("name", "名称")}</dt><dd class="wrap">{b.name}</dd><dt>{t("in", "输入")}</dt><dd>{b.in}</dd><dt>{t("out", "输出")}</dt><dd>{b.out}</dd><dt>{t("parameters", "参数")}</dt><dd>{short(b.params)}</dd><dt>{t("MACs", "乘加")}</dt><dd>{short(b.macs)}</dd><dt>{t("memory", "内存")}</dt><dd>{bytes(b.bytes)}</dd>
        {b.times > 1 && <><dt>{t("stands for", "代表")}</dt><dd>×{b.times}</dd></>}{l?.field && <><dt>{t("sees", "感受野")}</dt><dd>{l.field.size.join("×")}</dd></>}</dl>
      {l && l.dim.length === 4 && <MapView where={String(l.index)} channel={Math.min(channel.value, l.dim[1] - 1)} size={180} label={t("its first map for this picture", "该层对当前图片的特征图")} onPick={() => go({ page: "layer", layer: l.index })} />}
      {l && <><p><code class="formula">{l.formula}</code></p><p class="quiet small">{l.sentence}</p></>}
      <div class="row">
        {b.kind === "group" && <button class="primary" onClick={() => q.open(b.name)}>{t("Open", "展开")}</button>}
        {l && <button class="primary" onClick={() => go({ page: "layer", layer: l.index, channel: 0 })}>{t("Channels", "通道")}</button>}
        {l && <button onClick={() => go({ page: "arithmetic", layer: l.index, at: -1, channel: 0 })}>{t("Arithmetic", "算术")}</button>}
        <button aria-pressed={q.trace} class={q.trace ? "on" : ""} onClick={() => q.setTrace(!q.trace)}>{t("Trace", "追踪")}</button>
      </div>
      {l && <p class="quiet small">{shape(l.dim)} · {l.op} {l.settings}</p>}
    </Panel>
  );
}
