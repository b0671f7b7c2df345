// whatif.tsx - cover a part of the picture, switch channels off, and watch the answer change: only what can change is computed again.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, classOf, extra, go, layers, m, off, p, prediction, seeable, t, weights } from "./store";
import { Canvas, Panel, Segmented, useLoad } from "./canvas";
import { picture } from "./paint";
import { ink, rangeOf } from "./color";
import { MapView } from "./mapview";
import { num, percent } from "./format";
import { csv, give, Save } from "./save";

type Fill = "mean" | "dark" | "light";
type Spot = [number, number];
interface Past { spot: Spot | null; dabs: Spot[]; off: typeof off.value; weights: typeof weights.value }
const mostDabs = 200; // the server takes 256 edits at once

/** The probabilities of an output that may be logits. */
function asProbabilities(out: number[], logit: number): number[] {
  if (logit !== 2) return out;
  const most = Math.max(...out), e = out.map((v) => Math.exp(v - most)), sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

/** Switches a channel off without leaving the page. */
function SwitchOff() {
  const list = layers.value.filter((l) => l.dim.length === 4 && !l.output), [chosen, setChosen] = useState(-1), [c, setC] = useState(0);
  const l = list.find((x) => x.index === chosen) ?? [...list].reverse().find((x) => x.conv) ?? list[list.length - 1];
  if (!l) return null;
  const n = l.dim[1], gone = off.value.some((o) => o.layer === l.index && o.channel === c);
  return (
    <div class="row"><label>{t("channel", "通道")} <input type="number" min={0} max={n - 1} value={c} onInput={(e) => setC(Math.max(0, Math.min(n - 1, Math.floor(Number((e.target as HTMLInputElement).value) || 0))))} /></label>
      <label>{t("of", "于")} <select value={String(l.index)} onChange={(e) => { setChosen(Number((e.target as HTMLSelectElement).value)); setC(0); }}>{list.map((x) => <option key={x.index} value={String(x.index)}>{x.name}</option>)}</select></label>
      <button disabled={gone} onClick={() => { off.value = [...off.value, { layer: l.index, channel: c }]; }}>{t("Switch off", "关闭")}</button></div>
  );
}

export function WhatIf() {
  const a = prediction.value, [h, w] = a?.side ?? [0, 0], size = Number(extra.value.patch ?? 0) || Math.max(4, Math.round(Math.max(h, w) / 4));
  const fill = (extra.value.fill as Fill) || "mean", mode = extra.value.brush === "paint" ? "paint" : "square", [spot, setSpot] = useState<Spot | null>(null), [dabs, setDabs] = useState<Spot[]>([]), brush = Math.max(2, Math.round(size / 4)), [result, setResult] = useState<{ out: number[]; ms: number } | null>(null), [turn, setTurn] = useState(0);
  const image = useLoad(async () => (seeable() ? picture(api.shownAddress(m.value, p.value)).catch(() => undefined) : undefined), [m.value, p.value, seeable()]);
  const stats = useLoad(() => attempt(() => api.getStats(m.value, p.value, "in0")), [m.value, p.value]);
  const past = useRef<Past[]>([]), now: Past = { spot, dabs, off: off.value, weights: weights.value }, seenNow = useRef(now), [undoable, setUndoable] = useState(0), undoing = useRef(false);
  const remember = (): void => { past.current = [...past.current.slice(-50), { spot, dabs, off: off.value, weights: weights.value }]; setUndoable(past.current.length); };
  useEffect(() => { // channels and weights are changed on other pages too
    const was = seenNow.current;
    seenNow.current = now;
    if (!undoing.current && (was.off !== now.off || was.weights !== now.weights)) { past.current = [...past.current.slice(-50), was]; setUndoable(past.current.length); }
    undoing.current = false;
  }, [off.value, weights.value, spot, dabs]);
  const undo = (): void => { const last = past.current.pop(); if (!last) return; undoing.current = true; setSpot(last.spot); setDabs(last.dabs); off.value = last.off; weights.value = last.weights; setUndoable(past.current.length); };
  const reset = (): void => { remember(); undoing.current = true; setSpot(null); setDabs([]); off.value = []; weights.value = []; };
  useEffect(() => {
    const on = (e: KeyboardEvent): void => { if ((e.ctrlKey || e.metaKey) && e.key === "z" && !(e.target instanceof HTMLInputElement)) { undo(); e.preventDefault(); } };
    addEventListener("keydown", on);
    return () => removeEventListener("keydown", on);
  });
  const asked = useRef<api.Edit[] | null>(null), flying = useRef(false);
  const edits = useMemo((): api.Edit[] => {
    const list: api.Edit[] = off.value.map((o) => ({ place: String(o.layer), channel: o.channel, channels: 1, fill: 0 }));
    const colour = stats?.channels.map((c) => (fill === "mean" ? c.mean : fill === "dark" ? stats.least : stats.largest)) ?? [];
    const cut = (y: number, x: number, n: number): api.Edit => { const y0 = Math.max(0, y), x0 = Math.max(0, x); return { place: "in0", y: y0, x: x0, h: Math.min(h, y + n) - y0, w: Math.min(w, x + n) - x0, fill: colour }; };
    if (stats) list.unshift(...dabs.map(([y, x]) => cut(y, x, brush)), ...(spot ? [cut(spot[0], spot[1], size)] : []));
    const changed = weights.value.map((o): api.Edit => ({ place: String(o.layer), channel: o.channel, tap: o.tap, weight: o.value }));
    return [...list, ...changed.sort((a, b) => Number(a.place) - Number(b.place))];
  }, [spot, dabs, stats, off.value, weights.value, size, fill]);
  const send = async (): Promise<void> => { // one at a time; whatever came meanwhile is sent as one
    if (flying.current) return;
    flying.current = true;
    while (asked.current) {
      const next: api.Edit[] = asked.current, model = m.value, shown = p.value;
      asked.current = null;
      const got = await attempt(() => api.whatIf(model, shown, next));
      if (got && model === m.value && shown === p.value) { setResult(next.length ? { out: got.output, ms: got.ms } : null); setTurn((n) => n + 1); }
    }
    flying.current = false;
  };
  useEffect(() => { if (a && (edits.length || result || flying.current)) { asked.current = edits; void send(); } }, [edits, a]); // an answer still on its way is put right too
  useEffect(() => { setSpot(null); setDabs([]); setResult(null); past.current = []; setUndoable(0); }, [m.value, p.value]);
  const scale = h ? 300 / Math.max(h, w) : 1, W = w * scale, H = h * scale;
  const draw = (g: CanvasRenderingContext2D): void => {
    if (image) { g.imageSmoothingEnabled = scale < 1; g.drawImage(image, 0, 0, W, H); }
    g.fillStyle = fill === "mean" ? "#808080" : fill === "dark" ? "#000" : "#fff";
    for (const [y, x] of dabs) g.fillRect(x * scale, y * scale, brush * scale, brush * scale);
    if (!spot) return;
    g.fillRect(spot[1] * scale, spot[0] * scale, size * scale, size * scale);
    g.strokeStyle = ink("accent"); g.lineWidth = 2; g.strokeRect(spot[1] * scale, spot[0] * scale, size * scale, size * scale);
  };
  const to = (x: number, y: number): void => { const clip = (v: number, n: number): number => Math.round(Math.max(-size / 2, Math.min(n - size / 2, v))); setSpot([clip(y / scale - size / 2, h), clip(x / scale - size / 2, w)]); };
  const dab = (x: number, y: number): void => { // on a grid of half a brush, so that going over a place again adds nothing
    const step = Math.max(1, brush >> 1), at: Spot = [Math.round((y / scale - brush / 2) / step) * step, Math.round((x / scale - brush / 2) / step) * step];
    setDabs((all) => (all.length >= mostDabs || all.some((o) => o[0] === at[0] && o[1] === at[1]) ? all : [...all, at]));
  };
  const key = (e: KeyboardEvent): boolean => {
    const d = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (e.key === "Delete" || e.key === "Backspace") { remember(); setSpot(null); setDabs([]); return true; }
    if (!d) return false;
    const s = spot ?? [h / 2 - size / 2, w / 2 - size / 2], step = Math.max(1, Math.round(size / 6));
    setSpot([Math.round(s[0] + d[0] * step), Math.round(s[1] + d[1] * step)]);
    return true;
  };
  const maps = layers.value.filter((l) => l.dim.length === 4 && l.dim[2] > 1), last = off.value[off.value.length - 1], watched = last ? maps.find((l) => l.index > last.layer && l.conv) ?? maps[maps.length - 1] : maps[maps.length - 1];
  const strongest = useLoad(async () => (watched && a?.classes ? attempt(() => api.getStats(m.value, p.value, String(watched.index))) : undefined), [watched?.index, a?.classes, m.value, p.value]);
  const ch = strongest ? strongest.channels.reduce((b, c, i) => (c.strength > strongest.channels[b].strength ? i : b), 0) : 0;
  const shared = useMemo(() => (strongest ? rangeOf(strongest.channels[ch].least, strongest.channels[ch].largest) : undefined), [strongest]);
  if (!a?.classes) return null;
  const after = result ? asProbabilities(result.out, a.logit) : null;
  return (
    <Panel class="whatif" title={t("What if", "如果…")} side={<>{result ? t(`computed again in ${result.ms.toFixed(1)} ms`, `重新计算用时 ${result.ms.toFixed(1)} 毫秒`) : ""}<Save name="what-if" label={t("what if", "假设结果")} items={after ? [{ label: "CSV", run: () => give("what-if.csv", csv(["class", "name", "before", "now"], a.scores.map((s) => [s.index, s.name, s.probability, after[s.index]]))) }] : []} /></>}>
      <div class="two">
        <div>
          {w > 0 && <Canvas w={W} h={H} draw={draw} class="map pick" role="application" label={t("Drag the square over the picture; arrow keys move it, Delete takes it away", "在图片上拖动方块；方向键移动，Delete 移除")}
            onDown={(x, y) => { remember(); (mode === "paint" ? dab : to)(x, y); }} onMove={(x, y, e) => { if (e.buttons) (mode === "paint" ? dab : to)(x, y); }} onKey={key} />}
          <div class="row">
            <Segmented value={mode} set={(v) => go({ extra: { brush: v === "paint" ? "paint" : "" } })} label={t("Cover by", "遮挡方式")} options={[["square", t("drag a square", "拖动方块")], ["paint", t("paint", "涂抹")]]} />
            <label>{t("size", "大小")} <input type="range" min={2} max={Math.max(8, Math.max(h, w))} value={size} onInput={(e) => go({ extra: { patch: (e.target as HTMLInputElement).value } })} /></label>
            <Segmented value={fill} set={(v) => go({ extra: { fill: v } })} label={t("Cover with", "遮挡颜色")} options={[["mean", t("mean", "均值")], ["dark", t("dark", "暗")], ["light", t("light", "亮")]]} />
            {(spot || dabs.length > 0) && <button onClick={() => { remember(); setSpot(null); setDabs([]); }}>{t("Uncover", "移除遮挡")}</button>}
          </div>
        </div>
        <div>
          <table class="change"><thead><tr><th>{t("class", "类别")}</th><th>{t("before", "之前")}</th><th>{t("now", "现在")}</th><th /></tr></thead><tbody>
            {a.scores.slice(0, 8).map((s) => { const now = after ? after[s.index] : s.probability, d = now - s.probability; return (
              <tr key={s.index}><td title={s.name}>{s.name || classOf(s.index)}</td><td class="n">{percent(s.probability)}</td><td class="n"><b>{percent(now)}</b></td>
                <td><span class="twobars"><i class="was" style={{ width: `${s.probability * 100}%` }} /><i class="is" style={{ width: `${Math.min(1, Math.max(0, now)) * 100}%` }} /></span>
                  <span class={Math.abs(d) < 0.0005 ? "delta quiet" : d > 0 ? "delta up" : "delta down"}>{Math.abs(d) < 0.0005 ? "±0" : `${d > 0 ? "+" : "−"}${num(Math.abs(d) * 100, 3)}`}</span></td></tr>); })}
          </tbody></table>
          <div class="row"><button disabled={!undoable} onClick={undo} title="Ctrl+Z">{t("Undo", "撤销")}</button><button disabled={!edits.length} onClick={reset}>{t("Everything as it was", "全部还原")}</button></div>
          <SwitchOff />
          <p class="quiet small">{t("Drag a square over the picture or paint on it, switch channels off, change a weight on the page Arithmetic.", "在图片上拖动方块或涂抹，关闭通道，或在“算术”页面修改权重。")}</p>
          {weights.value.length > 0 && <div class="chips">{weights.value.map((o, i) => <button key={`${o.layer} ${o.tap}`} class="chip on" onClick={() => { weights.value = weights.value.filter((_, k) => k !== i); }} title={t("As it was", "恢复原值")}>{layers.value[o.layer]?.name} · {o.channel} · {t("weight", "权重")} {num(o.was, 3)} → {num(o.value, 3)} ×</button>)}</div>}
          {off.value.length > 0 && <div class="chips">{off.value.map((o, i) => <button key={`${o.layer} ${o.channel}`} class="chip on" onClick={() => { off.value = off.value.filter((_, k) => k !== i); }} title={t("Switch on again", "重新打开")}>{layers.value[o.layer]?.name} · {o.channel} ×</button>)}</div>}
        </div>
        {watched && <div class="watch"><h3>{watched.name} · {t("channel", "通道")} {ch}</h3><div class="row">
          <div><p class="caption quiet">{t("before", "之前")}</p><MapView where={String(watched.index)} channel={ch} size={150} label={t("before", "之前")} range={shared} /></div>
          <div><p class="caption quiet">{t("now", "现在")}</p><MapView where={String(watched.index)} channel={ch} size={150} label={t("now", "现在")} edited={edits.length > 0 && turn > 0} turn={turn} range={shared} /></div></div></div>}
      </div>
    </Panel>
  );
}
