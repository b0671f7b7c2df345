// histograms.tsx - how the numbers of a weight, gradient or activation are spread, over time: as ridges (old behind, new in front) or as a map. Drawn
// from the buckets as they were logged, each as high as its share divided by its width: nothing is put into other buckets.
import { useMemo, useState } from "preact/hooks";
import * as api from "./logapi";
import { log, matches, nameOf, runsById, set, stamp, styles, tagFilter, visible } from "./watchstate";
import { extra, t } from "./store";
import { Canvas, keep, Segmented, useLoad } from "./canvas";
import { csv, give, Save } from "./save";
import { colorOf, ink } from "./color";
import { ticks, tickText } from "./linechart";

interface Shape { lo: number; hi: number; most: number; heights: { step: number; x0: Float64Array; x1: Float64Array; h: Float64Array; n: number }[] }

function shapeOf(times: api.Bins[]): Shape {
  let lo = Infinity, hi = -Infinity, most = 0;
  for (const b of times) for (let i = 0; i < b.count.length; i++) if (b.count[i] > 0) { if (b.left[i] < lo) lo = b.left[i]; if (b.right[i] > hi) hi = b.right[i]; }
  if (!(lo <= hi)) { lo = 0; hi = 1; }
  if (hi - lo < 1e-12) { lo -= 0.5; hi += 0.5; }
  const thin = (hi - lo) / 200; // a bucket without width still is seen
  const heights = times.map((b) => {
    const n = b.count.reduce((s, v) => s + v, 0) || 1, h = new Float64Array(b.count.length);
    for (let i = 0; i < h.length; i++) h[i] = b.count[i] / n / Math.max(b.right[i] - b.left[i], thin);
    return { step: b.step, x0: b.left, x1: b.right, h, n };
  });
  const tops = heights.flatMap((x) => Math.max(...Array.from(x.h), 0)).sort((a, b) => a - b);
  most = tops[Math.floor(tops.length * 0.9)] || tops[tops.length - 1] || 1; // one step that is all one number must not flatten the others
  return { lo, hi, most, heights };
}

function Card(q: { tag: string; series: api.Series; width: number; way: string }) {
  const d = useLoad(async () => { try { return await api.getBins(q.series.id, 48); } catch { return keep; } }, [q.series.id, q.series.n, stamp.value]), [over, setOver] = useState(-1), r = runsById.value.get(q.series.run);
  const s = useMemo(() => (d ? shapeOf(d.times) : null), [d]), w = q.width - 26, h = 210, n = s?.heights.length ?? 0, heat = q.way === "map";
  const draw = (g: CanvasRenderingContext2D): void => {
    if (!s || !n) return;
    const base = h - 20, color = styles.value.get(q.series.run)?.color ?? ink("accent"), X = (v: number): number => 6 + ((v - s.lo) / (s.hi - s.lo)) * (w - 48);
    g.font = `11px ${ink("font")}`; g.fillStyle = ink("quiet"); g.strokeStyle = ink("line"); g.lineWidth = 1;
    if (heat) {
      const Y = (v: number): number => base - ((v - s.lo) / (s.hi - s.lo)) * (base - 8), wide = (w - 60) / n;
      s.heights.forEach((one, k) => { for (let i = 0; i < one.h.length; i++) { if (one.h[i] <= 0) continue; const y1 = Y(one.x1[i]), y0 = Y(one.x0[i]); g.fillStyle = colorOf(Math.sqrt(Math.min(1, one.h[i] / s.most)), { low: 0, high: 1 }); g.fillRect(48 + k * wide, y1, wide + 0.5, Math.max(1, y0 - y1 + 0.3)); } });
      g.fillStyle = ink("quiet"); g.textAlign = "right"; g.textBaseline = "middle";
      for (const v of ticks(s.lo, s.hi, 5)) g.fillText(tickText(Math.abs(v) < 1e-12 ? 0 : v), 42, Y(v));
      g.textBaseline = "top"; g.textAlign = "left"; g.fillText(String(s.heights[0].step), 48, base + 5); g.textAlign = "right"; g.fillText(String(s.heights[n - 1].step), w - 12, base + 5);
      if (over >= 0) { g.strokeStyle = ink("mark"); g.strokeRect(48 + over * wide, 4, wide, base - 4); }
      return;
    }
    const room = 62, step = n > 1 ? (base - room - 8) / (n - 1) : 0;
    g.textAlign = "center"; g.textBaseline = "top";
    for (const v of ticks(s.lo, s.hi, 5)) { const x = X(v); g.beginPath(); g.moveTo(x, 8); g.lineTo(x, base + 3); g.stroke(); g.fillText(tickText(Math.abs(v) < 1e-12 ? 0 : v), Math.max(x, 20), base + 5); }
    s.heights.forEach((one, k) => {
      const y = base - (n - 1 - k) * step, at = k === over, share = n > 1 ? k / (n - 1) : 1;
      g.beginPath(); g.moveTo(X(one.x0[0] ?? s.lo), y);
      for (let i = 0; i < one.h.length; i++) { const top = y - Math.min(1.6, one.h[i] / s.most) * (room - 6), x0 = X(one.x0[i]), x1 = Math.max(X(one.x1[i]), x0 + 0.5); if (one.h.length > 60) g.lineTo((x0 + x1) / 2, top); else { g.lineTo(x0, top); g.lineTo(x1, top); } }
      g.lineTo(X(one.x1[one.h.length - 1] ?? s.hi), y);
      g.fillStyle = ink("panel"); g.globalAlpha = 0.9; g.fill(); g.fillStyle = color; g.globalAlpha = at ? 0.75 : 0.12 + 0.5 * share; g.fill();
      g.globalAlpha = at ? 1 : 0.35 + 0.65 * share; g.strokeStyle = at ? ink("mark") : color; g.lineWidth = at ? 2 : 1; g.stroke(); g.globalAlpha = 1;
    });
    g.fillStyle = ink("quiet"); g.textAlign = "left"; g.textBaseline = "middle";
    for (const k of over >= 0 ? [over] : n > 1 ? [0, n - 1] : [0]) g.fillText(String(s.heights[k].step), w - 38, base - (n - 1 - k) * step - 4);
  };
  const one = s && over >= 0 ? s.heights[over] : null;
  return (
    <section class="panel"><header><h2 title={q.tag}>{q.tag}</h2><div class="side" aria-live="polite">{one ? `${t("step", "步")} ${one.step}: ${one.n.toLocaleString("en-US")} ${t("numbers", "个数")}` : `${r ? nameOf(r) : ""} · ${q.series.n} ${t("times", "次")}`}{s && <Save name={q.tag.replace(/\W+/g, "-")} label={q.tag} items={[{ label: "CSV", run: () => give(`${q.tag.replace(/\W+/g, "-")}.csv`, csv(["step", "from", "to", "share of its width"], s.heights.flatMap((x) => Array.from(x.h, (v, i) => [x.step, x.x0[i], x.x1[i], v])))) }]} />}</div></header>
      {d && <Canvas w={w} h={h} draw={draw} label={`${q.tag}: ${t("histograms over time; arrow keys go from one to the next", "随时间变化的直方图；用方向键逐个查看")}`} role="application" onKey={(e) => { const d = { ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1 }[e.key]; if (!d || !n) return false; setOver(over < 0 ? (d > 0 ? 0 : n - 1) : Math.max(0, Math.min(n - 1, over + d))); return true; }} onLeave={() => setOver(-1)} onMove={(x, y) => { const base = h - 20, step = n > 1 ? (base - 70) / (n - 1) : 1; setOver(Math.max(0, Math.min(n - 1, heat ? Math.floor((x - 48) / ((w - 60) / n)) : n - 1 - Math.round((base - y) / step)))); }} />}</section>
  );
}

export function Histograms(q: { width: number }) {
  const way = extra.value.way ?? "ridge", list = log.value!.tags.filter((x) => x.kind === "histogram" && matches(x.tag, tagFilter.value)).flatMap((x) => x.series.filter((s) => visible.value.has(s.run)).map((s) => ({ tag: x.tag, s }))), [most, setMost] = useState(18);
  const across = Math.max(1, Math.floor((q.width + 12) / 400)), width = (q.width - 12 * (across - 1)) / across;
  return (
    <>
      <div class="toolbar"><Segmented label={t("Way of drawing", "绘制方式")} value={way} set={(v) => set("way", v)} options={[["ridge", t("ridges", "山脊图")], ["map", t("map", "热图")]]} /></div>
      <div class="charts" style={{ gridTemplateColumns: `repeat(${across}, minmax(0, 1fr))` }}>{list.slice(0, most).map((x) => <Card key={x.s.id} tag={x.tag} series={x.s} width={width} way={way} />)}</div>
      {list.length > most && <button onClick={() => setMost(most * 3)}>{t("More", "更多")} ({list.length - most})</button>}
      {!list.length && <p class="quiet empty">{t("No histogram passes the filter.", "没有符合筛选条件的直方图。")}</p>}
    </>
  );
}
