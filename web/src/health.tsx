// health.tsx - the layers of a run over time, a row each: how fast weights change, how large gradients are, which units are dead or saturated.
import { useMemo, useState } from "preact/hooks";
import * as api from "./logapi";
import { log, nameOf, runsById, stamp, visible } from "./watchstate";
import { t } from "./store";
import { Canvas, keep, Panel, useLoad } from "./canvas";
import { colorOf, ink, type Range } from "./color";
import { num } from "./format";

interface Kind { what: string; title: () => string; note: () => string; log: boolean; range: Range; text: (v: number) => string }
const share = (v: number): string => `${num(v * 100, 3)} %`;
const kinds: Kind[] = [
  { what: "update_ratio", title: () => t("Update to weight", "更新量与权重之比"), note: () => t("size of a step's change over the size of the weights: about 1/1000 is usual; blue is slower, red is faster", "一步的变化量与权重大小之比：通常约为千分之一；蓝色偏慢，红色偏快"), log: true, range: { low: -2, high: 2 }, text: (v) => num(v, 3) },
  { what: "gradient_rms", title: () => t("Gradient", "梯度"), note: () => t("root mean square; where the first layers fade against the last ones gradients vanish", "均方根；若靠前的层远小于靠后的层，则梯度消失"), log: true, range: { low: 0, high: 1 }, text: (v) => num(v, 3) },
  { what: "dead", title: () => t("Dead channels", "失活通道"), note: () => t("share of channels that answer the same to every picture", "对所有图片输出相同的通道所占比例"), log: false, range: { low: 0, high: 1 }, text: share },
  { what: "zeros", title: () => t("Zeros", "零值"), note: () => t("share of the activations that are 0", "激活值为 0 的比例"), log: false, range: { low: 0, high: 1 }, text: share },
  { what: "saturated", title: () => t("Saturated", "饱和"), note: () => t("share of the activations at the ends of a sigmoid or tanh", "处于 sigmoid 或 tanh 两端的激活值比例"), log: false, range: { low: 0, high: 1 }, text: share },
  { what: "unchanged", title: () => t("Weights that stayed", "未变化的权重"), note: () => t("share of the weights that a step left exactly as they were", "一步之后完全未变的权重比例"), log: false, range: { low: 0, high: 1 }, text: share },
  { what: "deviation", title: () => t("Activations", "激活值"), note: () => t("standard deviation of what a layer gives", "层输出的标准差"), log: true, range: { low: 0, high: 1 }, text: (v) => num(v, 3) },
  { what: "weight_rms", title: () => t("Weights", "权重"), note: () => t("root mean square", "均方根"), log: true, range: { low: 0, high: 1 }, text: (v) => num(v, 3) },
];

function Matrix(q: { kind: Kind; rows: { layer: string; series: number }[]; width: number }) {
  const d = useLoad(async () => { try { return await api.getLines(q.rows.map((r) => r.series), { axis: "step", columns: 200, smooth: 0 }); } catch { return keep; } }, [q.rows.map((r) => r.series).join(), stamp.value]), [at, setAt] = useState<{ row: number; x: number } | null>(null);
  const label = 168, high = q.rows.length > 24 ? 12 : 20, w = q.width - 28, W = w - label - 70, h = q.rows.length * high + 20, k = q.kind;
  const by = useMemo(() => new Map(d?.lines.map((l) => [l.series, l])), [d]);
  const range = useMemo<Range>(() => { // of logarithms, where it has no fixed range
    if (!k.log) return k.range;
    if (k.what === "update_ratio") return k.range;
    let lo = Infinity, hi = -Infinity;
    for (const l of d?.lines ?? []) for (const v of l.y) if (v > 0 && Number.isFinite(v)) { lo = Math.min(lo, Math.log10(v)); hi = Math.max(hi, Math.log10(v)); }
    return lo <= hi ? { low: Math.max(lo, hi - 6) - 1e-3, high: hi } : { low: 0, high: 1 };
  }, [d, k]);
  const level = (v: number): number => (!k.log ? v : k.what === "update_ratio" ? (v > 0 ? Math.max(-2, Math.min(2, Math.log10(v) + 3)) : -2) : v > 0 ? Math.max(0, (Math.log10(v) - range.low) / (range.high - range.low)) : 0);
  const colors: Range = k.log && k.what !== "update_ratio" ? { low: 0, high: 1 } : k.range, first = d?.first ?? 0, last = d && d.last > d.first ? d.last : first + 1;
  const draw = (g: CanvasRenderingContext2D): void => {
    g.font = `${high < 16 ? 10 : 12}px ${ink("font")}`; g.textBaseline = "middle";
    q.rows.forEach((r, i) => {
      const y = i * high, l = by.get(r.series);
      let name = r.layer;
      while (name.length > 4 && g.measureText(name).width > label - 12) name = `…${name.slice(2)}`;
      g.textAlign = "left"; g.fillStyle = at?.row === i ? ink("accent") : ink("text"); g.fillText(name, 0, y + high / 2);
      g.fillStyle = ink("line"); g.fillRect(label, y, W, high - 1);
      if (!l || !l.x.length) return;
      for (let p = 0; p < l.x.length; p++) {
        const x0 = label + ((l.x[p] - first) / (last - first)) * W, x1 = p + 1 < l.x.length ? label + ((l.x[p + 1] - first) / (last - first)) * W : label + W, v = l.y[p];
        g.fillStyle = Number.isFinite(v) ? colorOf(level(v), colors) : ink("mark");
        g.fillRect(x0, y, Math.max(1, x1 - x0 + 0.4), high - 1);
      }
      const end = l.y[l.y.length - 1];
      g.textAlign = "right"; g.fillStyle = ink("quiet"); g.fillText(k.text(end), w, y + high / 2);
    });
    g.fillStyle = ink("quiet"); g.textAlign = "left"; g.fillText(first.toLocaleString("en-US"), label, h - 8); g.textAlign = "right"; g.fillText(`${t("step", "步")} ${last.toLocaleString("en-US")}`, label + W, h - 8);
    if (at) { g.strokeStyle = ink("mark"); g.beginPath(); g.moveTo(at.x, 0); g.lineTo(at.x, h - 20); g.stroke(); }
  };
  const hovered = at ? by.get(q.rows[at.row]?.series) : undefined, step = at ? first + ((at.x - label) / W) * (last - first) : 0;
  const index = hovered ? hovered.x.reduce((best, x, i) => (x <= step ? i : best), 0) : 0;
  return (
    <Panel title={k.title()} side={at && hovered ? <span class="n">{q.rows[at.row].layer} · {t("step", "步")} {hovered.x[index]} · <b>{k.text(hovered.y[index])}</b></span> : k.note()}>
      <Canvas w={w} h={h} draw={draw} label={`${k.title()}: ${q.rows.map((r) => { const l = by.get(r.series); return l ? `${r.layer} ${k.text(l.y[l.y.length - 1])}` : r.layer; }).slice(0, 30).join(", ")}`} onMove={(x, y) => { const row = Math.floor(y / high); setAt(row < q.rows.length && x >= label && x <= label + W ? { row, x } : null); }} onLeave={() => setAt(null)} />
    </Panel>
  );
}

export function Health(q: { width: number }) {
  const l = log.value!, runs = [...new Set(l.tags.filter((x) => x.tag.startsWith("health/")).flatMap((x) => x.series.map((s) => s.run)))].filter((r) => visible.value.has(r)), [chosen, setChosen] = useState(-1), run = runs.includes(chosen) ? chosen : runs[0];
  const across = q.width > 1150 ? 2 : 1, width = (q.width - 12 * (across - 1)) / across;
  const tables = kinds.map((kind) => ({ kind, rows: l.tags.filter((x) => x.kind === "scalar" && x.tag.startsWith("health/") && x.tag.endsWith(`/${kind.what}`) && !x.tag.startsWith("health/input/")).flatMap((x) => x.series.filter((s) => s.run === run).map((s) => ({ layer: x.tag.slice(7, -kind.what.length - 1), series: s.id }))) })).filter((x) => x.rows.length > 0);
  return (
    <>
      {runs.length > 1 && <label class="toolbar">{t("Run", "运行")} <select value={String(run)} onChange={(e) => setChosen(Number((e.target as HTMLSelectElement).value))}>{runs.map((r) => <option value={String(r)}>{nameOf(runsById.value.get(r)!)}</option>)}</select></label>}
      <div class="charts" style={{ gridTemplateColumns: `repeat(${across}, minmax(0, 1fr))` }}>{tables.map((x) => <Matrix key={x.kind.what} kind={x.kind} rows={x.rows} width={width} />)}</div>
      {!tables.length && <p class="quiet empty">{t("The runs shown have no measurements of their layers.", "所显示的运行没有各层的测量数据。")}</p>}
    </>
  );
}
