// whatif.tsx - cover a part of the picture, switch channels off, and watch the answer change: only what can change is computed again.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, extra, go, layers, m, model, off, p, prediction, t, weights } from "./store";
import { Canvas, Panel, Segmented, useLoad } from "./canvas";
import { picture } from "./paint";
import { ink, rangeOf } from "./color";
import { MapView } from "./mapview";
import { num, percent } from "./format";

type Fill = "mean" | "dark" | "light";

/** The probabilities of an output that may be logits. */
export function asProbabilities(out: number[], logit: number): number[] {
  if (logit !== 2) return out;
  const most = Math.max(...out), e = out.map((v) => Math.exp(v - most)), sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

export function WhatIf() {
  const a = prediction.value, [h, w] = a?.side ?? [0, 0], size = Number(extra.value.patch ?? 0) || Math.max(4, Math.round(Math.max(h, w) / 4));
  const fill = (extra.value.fill as Fill) || "mean", [spot, setSpot] = useState<[number, number] | null>(null), [result, setResult] = useState<{ out: number[]; ms: number } | null>(null), [turn, setTurn] = useState(0);
  const image = useLoad(() => picture(api.shownAddress(m.value, p.value)).catch(() => undefined), [m.value, p.value]);
  const stats = useLoad(() => attempt(() => api.getStats(m.value, p.value, "in0")), [m.value, p.value]);
  const asked = useRef<api.Edit[] | null>(null), flying = useRef(false);
  const edits = useMemo((): api.Edit[] => {
    const list: api.Edit[] = off.value.map((o) => ({ place: String(o.layer), channel: o.channel, channels: 1, fill: 0 }));
    if (spot && stats) list.unshift({ place: "in0", y: spot[0], x: spot[1], h: size, w: size, fill: stats.channels.map((c) => (fill === "mean" ? c.mean : fill === "dark" ? stats.least : stats.largest)) });
    const changed = weights.value.map((o): api.Edit => ({ place: String(o.layer), channel: o.channel, tap: o.tap, weight: o.value }));
    return [...list, ...changed.sort((a, b) => Number(a.place) - Number(b.place))];
  }, [spot, stats, off.value, weights.value, size, fill]);
  const send = async (): Promise<void> => { // one at a time; whatever came meanwhile is sent as one
    if (flying.current) return;
    flying.current = true;
    while (asked.current) {
      const next: api.Edit[] = asked.current;
      asked.current = null;
      const got = await attempt(() => api.whatIf(m.value, p.value, next));
      if (got) { setResult(next.length ? { out: got.output, ms: got.ms } : null); setTurn((n) => n + 1); }
    }
    flying.current = false;
  };
  useEffect(() => { if (a && (edits.length || result)) { asked.current = edits; void send(); } }, [edits, a]);
  useEffect(() => { setSpot(null); setResult(null); }, [m.value, p.value]);
  const scale = h ? 300 / Math.max(h, w) : 1, W = w * scale, H = h * scale;
  const draw = (g: CanvasRenderingContext2D): void => {
    if (image) { g.imageSmoothingEnabled = scale < 1; g.drawImage(image, 0, 0, W, H); }
    if (!spot) return;
    g.fillStyle = fill === "mean" ? "#808080" : fill === "dark" ? "#000" : "#fff";
    g.fillRect(spot[1] * scale, spot[0] * scale, size * scale, size * scale);
    g.strokeStyle = ink("accent"); g.lineWidth = 2; g.strokeRect(spot[1] * scale, spot[0] * scale, size * scale, size * scale);
  };
  const to = (x: number, y: number): void => { const clip = (v: number, n: number): number => Math.round(Math.max(-size / 2, Math.min(n - size / 2, v))); setSpot([clip(y / scale - size / 2, h), clip(x / scale - size / 2, w)]); };
  const key = (e: KeyboardEvent): boolean => {
    const d = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (e.key === "Delete" || e.key === "Backspace") { setSpot(null); return true; }
    if (!d) return false;
    const s = spot ?? [h / 2 - size / 2, w / 2 - size / 2], step = Math.max(1, Math.round(size / 6));
    setSpot([Math.round(s[0] + d[0] * step), Math.round(s[1] + d[1] * step)]);
    return true;
  };
  const maps = layers.value.filter((l) => l.dim.length === 4 && l.dim[2] > 1), last = off.value[off.value.length - 1], watched = last ? maps.find((l) => l.index > last.layer && l.conv) ?? maps[maps.length - 1] : maps[maps.length - 1];
  const strongest = useLoad(async () => (watched ? attempt(() => api.getStats(m.value, p.value, String(watched.index))) : undefined), [watched?.index, m.value, p.value]);
  const ch = strongest ? strongest.channels.reduce((b, c, i) => (c.strength > strongest.channels[b].strength ? i : b), 0) : 0;
  const shared = useMemo(() => (strongest ? rangeOf(strongest.channels[ch].least, strongest.channels[ch].largest) : undefined), [strongest]);
  if (!a?.classes) return null;
  const after = result ? asProbabilities(result.out, a.logit) : null;
  return (
    <Panel class="whatif" title={t("What if", "如果…")} side={result ? t(`computed again in ${result.ms.toFixed(1)} ms`, `重新计算用时 ${result.ms.toFixed(1)} 毫秒`) : ""}>
      <div class="two">
        <div>
          {w > 0 && <Canvas w={W} h={H} draw={draw} class="map pick" role="application" label={t("Drag the square over the picture; arrow keys move it, Delete takes it away", "在图片上拖动方块；方向键移动，Delete 移除")}
            onDown={(x, y) => to(x, y)} onMove={(x, y, e) => { if (e.buttons) to(x, y); }} onKey={key} />}
          <div class="row">
            <label>{t("size", "大小")} <input type="range" min={2} max={Math.max(8, Math.max(h, w))} value={size} onInput={(e) => go({ extra: { patch: (e.target as HTMLInputElement).value } })} /></label>
            <Segmented value={fill} set={(v) => go({ extra: { fill: v } })} label={t("Cover with", "遮挡颜色")} options={[["mean", t("mean", "均值")], ["dark", t("dark", "暗")], ["light", t("light", "亮")]]} />
            {spot && <button onClick={() => setSpot(null)}>{t("Uncover", "移除遮挡")}</button>}
          </div>
        </div>
        <div>
          <table class="change"><thead><tr><th>{t("class", "类别")}</th><th>{t("before", "之前")}</th><th>{t("now", "现在")}</th><th /></tr></thead><tbody>
            {a.scores.slice(0, 8).map((s) => { const now = after ? after[s.index] : s.probability, d = now - s.probability; return (
              <tr key={s.index}><td>{s.name || model.value?.classes[s.index] || s.index}</td><td class="n">{percent(s.probability)}</td><td class="n"><b>{percent(now)}</b></td>
                <td><span class="twobars"><i class="was" style={{ width: `${s.probability * 100}%` }} /><i class="is" style={{ width: `${Math.min(1, Math.max(0, now)) * 100}%` }} /></span>
                  <span class={Math.abs(d) < 0.0005 ? "delta quiet" : d > 0 ? "delta up" : "delta down"}>{Math.abs(d) < 0.0005 ? "±0" : `${d > 0 ? "+" : "−"}${num(Math.abs(d) * 100, 3)}`}</span></td></tr>); })}
          </tbody></table>
          <p class="quiet small">{t("Drag a square over the picture, or switch channels off on the page Layer.", "在图片上拖动方块，或在“层”页面关闭通道。")}</p>
          {weights.value.length > 0 && <div class="chips">{weights.value.map((o, i) => <button key={`${o.layer} ${o.tap}`} class="chip on" onClick={() => { weights.value = weights.value.filter((_, k) => k !== i); }} title={t("As it was", "恢复原值")}>{layers.value[o.layer]?.name} · {o.channel} · {t("weight", "权重")} {num(o.was, 3)} → {num(o.value, 3)} ×</button>)}</div>}
          {off.value.length > 0 && <div class="chips">{off.value.map((o, i) => <button key={`${o.layer} ${o.channel}`} class="chip on" onClick={() => { off.value = off.value.filter((_, k) => k !== i); }} title={t("Switch on again", "重新打开")}>{layers.value[o.layer]?.name} · {o.channel} ×</button>)}
            <button class="chip" onClick={() => { off.value = off.value.slice(0, -1); }}>{t("Undo", "撤销")}</button></div>}
        </div>
        {watched && <div class="watch"><h3>{watched.name} · {t("channel", "通道")} {ch}</h3><div class="row">
          <MapView where={String(watched.index)} channel={ch} size={150} label={t("before", "之前")} range={shared} />
          <MapView where={String(watched.index)} channel={ch} size={150} label={t("now", "现在")} edited={edits.length > 0 && turn > 0} turn={turn} range={shared} /></div></div>}
      </div>
    </Panel>
  );
}
