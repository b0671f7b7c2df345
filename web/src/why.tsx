// why.tsx - why this answer: methods side by side over the picture, and what changes when part of it is covered or channels are off.
import { useEffect, useMemo, useState } from "preact/hooks";
import * as api from "./api";
import { extra, go, layers, m, model, noPicture, off, p, seeable, state, t } from "./store";
import { Canvas, Command, Legend, Panel, Segmented, useLoad, useWidth } from "./canvas";
import { explain, flat, stop, type Ask } from "./explain";
import { drawMap, extent, picture } from "./paint";
import { ink, rangeOf, type Range } from "./color";
import { num } from "./format";
import { figures, npy, Save } from "./save";
import { TargetPicker, targetOf } from "./target";
import { commandWithPicture, word } from "./commands";
import { WhatIf } from "./whatif";

const usual = "gradcam,integrated_gradients,guided_backprop,occlusion";

export function Why() {
  const e = extra.value, methods = state.value?.methods ?? [], names = new Set(methods.map((x) => x.name));
  const chosen = (e.methods ?? usual).split(",").map((x) => (names.has(x) ? x : x.replace(/_/g, "-"))).filter((x) => names.has(x));
  const target = targetOf(e.target ?? "");
  const view = e.view === "map" ? "map" : "over", maps = layers.value.filter((l) => l.conv && l.dim.length === 4);
  const toggle = (name: string): void => go({ extra: { methods: (chosen.includes(name) ? chosen.filter((x) => x !== name) : [...chosen, name]).join(",") || "none" } });
  const [more, setMore] = useState(false);
  const shownMethods = more ? methods : methods.filter((x) => chosen.includes(x.name) || ["gradient", "smoothgrad", "gradcam", "occlusion", "rise", "lime"].includes(x.name) || /guided.?backprop|integrated.?gradients|lrp.?epsilon/.test(x.name));
  return (
    <div class="page why">
      <div class="toolbar">
        <TargetPicker />
        {maps.length > 0 && <label>{t("CAM layer", "CAM 所用层")} <select value={e.cam ?? ""} onChange={(x) => go({ extra: { cam: (x.target as HTMLSelectElement).value } })}>
          <option value="">{t("last convolution", "最后一个卷积层")}</option>{maps.map((l) => <option key={l.index} value={l.name}>{l.name}</option>)}</select></label>}
        <Segmented value={view} set={(v) => go({ extra: { view: v } })} label={t("Show", "显示")} options={[["over", t("over the picture", "叠加在图片上")], ["map", t("the map alone", "仅显示图")]]} />
      </div>
      <div class="chips" role="group" aria-label={t("Methods", "方法")}>
        {shownMethods.map((x) => <button key={x.name} class={chosen.includes(x.name) ? "chip on" : "chip"} aria-pressed={chosen.includes(x.name)} title={x.sentence} onClick={() => toggle(x.name)}>{x.title}</button>)}
        <button class="chip more" onClick={() => setMore(!more)}>{more ? t("fewer", "收起") : t(`all ${methods.length} methods`, `全部 ${methods.length} 种方法`)}</button>
      </div>
      {noPicture() ? <p class="hint-box">{noPicture()}</p> : <>
      <div class="cards">{chosen.map((x) => <Card key={x} method={methods.find((k) => k.name === x)!} ask={{ method: x, layer: methods.find((k) => k.name === x)!.layer ? e.cam || undefined : undefined, target }} over={view === "over"} />)}</div>
      <WhatIf /></>}
    </div>
  );
}

function Card(q: { method: api.Method; ask: Ask; over: boolean }) {
  const [progress, setProgress] = useState<[number, string] | null>(null), [wrong, setWrong] = useState(""), [turn, setTurn] = useState(0), [ref, width] = useWidth<HTMLDivElement>(), size = Math.max(160, Math.min(360, width - 2));
  const key = JSON.stringify(q.ask);
  useEffect(() => { setWrong(""); setProgress([0, ""]); }, [key, m.value, p.value, turn]);
  const e = useLoad(async (newest) => { // one that is overtaken says nothing any more
    try { return await explain(q.ask, (f, what) => { if (newest()) setProgress([f, what]); }); }
    catch (x) { if (newest()) setWrong(x instanceof DOMException ? t("cancelled", "已取消") : x instanceof Error ? x.message : String(x)); return undefined; }
    finally { if (newest()) setProgress(null); }
  }, [key, m.value, p.value, turn]);
  const image = useLoad(async () => (seeable() ? picture(api.shownAddress(m.value, p.value)).catch(() => undefined) : undefined), [m.value, p.value, seeable()]);
  const d = useMemo(() => e && flat(e), [e]), range = useMemo(() => (d ? span(d.data) : { low: 0, high: 1 }), [d]);
  const ratio = image ? image.naturalHeight / image.naturalWidth : 1, W = ratio > 1 ? size / ratio : size, H = ratio > 1 ? size : size * ratio;
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    if (!d) { g.fillStyle = ink("panel"); g.fillRect(0, 0, W, H); return; }
    if (q.over && image) {
      g.filter = "grayscale(1)"; g.imageSmoothingEnabled = true; g.drawImage(image, 0, 0, W, H); g.filter = "none";
      g.globalAlpha = 0.62; drawMap(g, d.data, 0, d.w, d.h, range, ...gridPlace(e!, image, d, W, H), e!.kind !== "grid"); g.globalAlpha = 1;
    } else drawMap(g, d.data, 0, d.w, d.h, range, 0, 0, W, H, false);
  }, [d, range, q.over, image, W, H]);
  const command = commandWithPicture("explain", "--method", q.ask.method, ...(q.ask.target !== undefined ? ["--target", word(String(q.ask.target))] : []), ...(q.ask.layer ? ["--layer", word(q.ask.layer)] : []), "-o", "why.png");
  return (
    <Panel class={progress ? "card stale" : "card"} title={q.method.title} side={e && !progress ? <><Save label={q.method.title} name={q.ask.method} items={[...figures("why", { job: e.job }, command), npy("map", { job: e.job, ext: "npy" })]} /></> : ""}>
      <div ref={ref} class="fill"><Canvas w={W} h={H} draw={draw} label={e?.caption ?? q.method.title} class="map" /></div>
      {progress && <div class="progress"><i style={{ width: `${Math.max(2, progress[0] * 100)}%` }} /><span>{progress[1]}</span><button onClick={() => stop(q.ask)}>{t("Stop", "停止")}</button></div>}
      {wrong && <p class="wrong">{wrong} <button onClick={() => setTurn(turn + 1)}>{t("Again", "重试")}</button></p>}
      {e && !wrong && <><div class="mapfoot"><Legend range={range} what={t("attribution", "归因值")} w={120} /><span class="quiet small">{d!.w}×{d!.h} · {(e.seconds * 1000).toFixed(e.seconds < 0.01 ? 1 : 0)} ms</span></div>
        <p class="caption">{targetName(e)} · {e.index < 0 ? t("value", "数值") : t(e.probability ? "probability" : "logit", e.probability ? "概率" : "logit")} {num(e.value)}{e.layer && ` · ${e.layer}`}</p>
        {e.note && <p class="caption warn">{e.note}</p>}
        {e.votes.length > 0 && <Votes e={e} />}
        <p class="caption quiet">{q.method.caveat || q.method.sentence}</p><Command text={command} /></>}
    </Panel>
  );
}


const targetName = (e: api.Explanation): string => {
  const known = e.index >= 0 ? model.value?.classes[e.index] : undefined;
  return known && (!e.target || /^\d+$/.test(e.target) || model.value?.classes_guessed) ? known : e.target || `${t("class", "类别")} ${e.index}`;
};

/** Which filters spoke for the target and which against it; each can be looked at, and switched off. */
function Votes(q: { e: api.Explanation }) {
  const { e } = q, [all, setAll] = useState(false), l = layers.value.find((k) => k.name === e.layer), list = e.votes.slice(0, all ? 40 : 5), most = Math.max(...list.map((v) => Math.abs(v[1])), 1e-12);
  return (
    <div class="votes"><div class="caption">{t("votes of the filters", "各卷积核的投票")} <span class="quiet">{e.layer}</span></div>
      {list.map(([c, v]) => { const isOff = !!l && off.value.some((o) => o.layer === l.index && o.channel === c); return (
        <div key={c} class={isOff ? "ballot off" : "ballot"}><button class="vote" title={t("Look at this channel", "查看该通道")} onClick={() => { if (l) go({ page: "layer", layer: l.index, channel: c }); }}>{c}</button>
          <span class="scale"><i class={v >= 0 ? "for" : "against"} style={{ width: `${(Math.abs(v) / most) * 50}%` }} /></span><span class="n">{v >= 0 ? "+" : "−"}{num(Math.abs(v), 3)}</span>
          {l && <button class="link" aria-pressed={isOff} onClick={() => { off.value = isOff ? off.value.filter((o) => o.layer !== l.index || o.channel !== c) : [...off.value, { layer: l.index, channel: c }]; }}>{isOff ? t("on", "打开") : t("off", "关闭")}</button>}</div>); })}
      {e.votes.length > 5 && <button class="link small" onClick={() => setAll(!all)}>{all ? t("fewer", "收起") : t(`all ${Math.min(40, e.votes.length)}`, `全部 ${Math.min(40, e.votes.length)} 个`)}</button>}
    </div>
  );
}

/** The range of most numbers: one half of a hundredth lies beyond, so that a few loud pixels do not silence the rest. */
function span(data: Float32Array): Range {
  const size = Float32Array.from(data, Math.abs).sort(), most = size[Math.max(0, size.length - 1 - Math.floor(size.length / 200))];
  return rangeOf(extent(data)[0] < 0 ? -most : 0, most || extent(data)[1]);
}

/** Where a map lies over the picture: a cell of a grid stands in the middle of its patch. */
function gridPlace(e: api.Explanation, image: HTMLImageElement, d: { w: number; h: number }, W: number, H: number): [number, number, number, number] {
  if (e.kind !== "grid" || e.stride <= 0) return [0, 0, W, H];
  const kx = W / image.naturalWidth, ky = H / image.naturalHeight, first = (e.patch - e.stride) / 2;
  return [first * kx, first * ky, d.w * e.stride * kx, d.h * e.stride * ky];
}
