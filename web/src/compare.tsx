// compare.tsx - two pictures, two models, two checkpoints: where their numbers part, layer by layer, and the maps of one layer side by side;
// models of any two depths by how alike their layers are (likeness.tsx).
import { useMemo, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, classOf, extra, go, layers, m, p, pictures, state, t, channel } from "./store";
import { Canvas, Command, Panel, useLoad, useWidth } from "./canvas";
import { drawMap, extent } from "./paint";
import { ink, rangeOf } from "./color";
import { num, percent } from "./format";
import { compareCommand } from "./commands";
import { csv, give, Save } from "./save";
import { Likeness } from "./likeness";

export function Compare() {
  const e = extra.value, others = pictures.value.filter((x) => x.id !== p.value), m2 = Number(e.model ?? m.value), p2 = Number(e.with ?? (m2 !== m.value ? p.value : others[0]?.id) ?? p.value);
  const pair = [m.value, p.value, m2, p2].join(), a = `${m.value},${p.value}`, b = `${m2},${p2}`; // what is shown of a pair is never another one's
  const told = useLoad(() => attempt(async () => ({ pair, d: await api.getCompare(m.value, p.value, m2, p2) })), [pair]), d = told?.pair === pair ? told.d : undefined;
  const theirs = useLoad(() => attempt(async () => ({ b, to: await api.getPrediction(m2, p2, 5) })), [b]), answer = theirs?.b === b ? theirs.to : undefined;
  const ours = useLoad(() => attempt(async () => ({ a, to: await api.getPrediction(m.value, p.value, 5) })), [a]), mine = ours?.a === a ? ours.to : undefined;
  const widest = useMemo(() => (d ? d.layers.reduce((best, x, i) => (x && x[0] > (d.layers[best]?.[0] ?? -1) && layers.value[i]?.conv ? i : best), 0) : 0), [d]);
  const chosen = e.layer ? Number(e.layer) : widest, l = layers.value[chosen];
  const alone = m2 === m.value && p2 === p.value;
  const like = d && d.n === d.n2 && d.layers.some((x) => x); // the same layers in the same places
  return (
    <div class="page compare">
      <div class="toolbar">
        <label>{t("with picture", "对比图片")} <select value={String(p2)} onChange={(x) => go({ extra: { with: (x.target as HTMLSelectElement).value } })}>{pictures.value.map((x) => <option key={x.id} value={String(x.id)}>{x.name}{x.id === p.value ? ` (${t("the same", "同一张")})` : ""}</option>)}</select></label>
        <label>{t("on model", "对比模型")} <select value={String(m2)} onChange={(x) => go({ extra: { model: (x.target as HTMLSelectElement).value } })}>{state.value!.models.map((x) => <option key={x.id} value={String(x.id)}>{x.name}{x.id === m.value ? ` (${t("the same", "同一个")})` : ""}</option>)}</select></label>
      </div>
      <div class="pair">
        <Side m={m.value} p={p.value} name="A" a={mine} /><Side m={m2} p={p2} name="B" a={answer} />
      </div>
      {alone && <p class="hint-box">{t("This is the same picture on the same model. Add a second picture on the left (Add…), or choose another model above.", "两侧是同一模型的同一张图片。请在左侧添加另一张图片（“添加…”），或在上方选择另一个模型。")}</p>}
      {d && like && !alone && <Bars d={d} chosen={chosen} choose={(i) => go({ extra: { layer: String(i) } })} />}
      {l && d && like && !alone && d.layers[chosen] && <Maps key={`${pair} ${chosen}`} l={l} m2={m2} p2={p2} />}
      {m2 !== m.value && <Likeness m2={m2} />}
      <Command text={compareCommand(m2, p2, !!d && !like)} />
    </div>
  );
}

function Side(q: { m: number; p: number; name: string; a?: api.Prediction }) {
  return (
    <Panel title={<><b>{q.name}</b> {state.value?.pictures.find((x) => x.id === q.p)?.name}</>}>
      <div class="sidebyside">{q.a?.picture !== false && <img src={api.shownAddress(q.m, q.p)} alt={t("The picture as the network sees it", "网络看到的图片")} />}
        <ol class="answer">{q.a?.scores.slice(0, 4).map((s) => <li key={s.index}><span class="name">{s.name || classOf(s.index)}</span><span class="value">{percent(s.probability)}</span><span class="bar"><i style={{ width: `${s.probability * 100}%` }} /></span></li>)}</ol></div>
    </Panel>
  );
}

/* How far the two part, a bar a layer: 0 the same, 1 nothing in common. */
function Bars(q: { d: { layers: ([number, number] | null)[] }; chosen: number; choose: (i: number) => void }) {
  const [ref, width] = useWidth<HTMLDivElement>(), n = q.d.layers.length, left = 30, w = Math.max(200, width - 4), bar = (w - left) / Math.max(n, 1), named = bar >= 30, slanted = named && bar < 92, h = slanted ? 186 : 140, floor = h - (slanted ? 70 : named ? 18 : 8), [hover, setHover] = useState(-1), at = hover >= 0 ? hover : q.chosen;
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    const tall = floor - 8;
    g.font = `11px ${ink("font")}`; g.textAlign = "right"; g.textBaseline = "middle";
    for (const v of [0, 0.5, 1]) { g.fillStyle = ink("quiet"); g.fillText(String(v), left - 6, floor - v * tall); g.fillStyle = ink("line"); g.fillRect(left, Math.round(floor - v * tall), w - left, 1); }
    g.textAlign = "center"; g.textBaseline = "alphabetic";
    q.d.layers.forEach((x, i) => {
      const y = x ? Math.min(1, x[0]) * tall : 0;
      g.fillStyle = i === at ? ink("accent") : ink("bar"); g.globalAlpha = 1; g.fillRect(left + i * bar + (bar > 6 ? 1 : 0), floor - y, Math.max(1, bar - (bar > 6 ? 2 : 0)), Math.max(1, y));
      g.globalAlpha = 1;
      if (!named) return;
      const name = layers.value[i]?.name ?? "", room = slanted ? 84 : bar - 4, mid = left + (i + 0.5) * bar;
      let s = name;
      for (let keep = name.length - 1; keep > 3 && g.measureText(s).width > room; keep--) s = name.slice(0, Math.ceil(keep / 2) - 1) + "…" + name.slice(name.length - Math.floor(keep / 2));
      g.fillStyle = i === at ? ink("accent") : ink("quiet");
      if (slanted) { g.save(); g.translate(mid + 4, floor + 10); g.rotate(-0.8); g.textAlign = "right"; g.fillText(s, 0, 0); g.restore(); g.textAlign = "center"; } else g.fillText(s, mid, h - 4);
    });
  }, [q.d, at, w]);
  const find = (x: number): number => Math.max(0, Math.min(n - 1, Math.floor((x - left) / bar))), x = q.d.layers[at], l = layers.value[at];
  const first = q.d.layers.findIndex((v) => v && v[0] > 1e-5), most = q.d.layers.reduce((best, v, i) => (v && v[0] > (q.d.layers[best]?.[0] ?? -1) ? i : best), 0), name = (i: number): string => layers.value[i]?.name ?? "";
  return (
    <Panel title={t("Where they part", "从哪里开始不同")} side={<>{t("|A − B| / (|A| + |B|), from 0 (the same) to 1", "|A − B| / (|A| + |B|)，0 表示相同，最大为 1")}<Save name="difference" label={t("where they part", "差异图")} items={[{ label: "CSV", run: () => give("difference.csv", csv(["layer", "name", "difference", "cosine"], q.d.layers.map((v, i) => [i, name(i), v?.[0] ?? "", v?.[1] ?? ""]))) }]} /></>}>
      <p class="quiet">{first < 0 ? t("Every layer is the same.", "每一层都相同。") : <>{t("They part first at", "最先不同于")} <button class="link" onClick={() => q.choose(first)}>{name(first)}</button>{t(", most at", "，差异最大处为")} <button class="link" onClick={() => q.choose(most)}>{name(most)}</button> ({num(q.d.layers[most]?.[0] ?? 0, 3)}).</>}</p>
      <div ref={ref}><Canvas w={w} h={h} draw={draw} role="application" label={t("Difference layer by layer; arrow keys choose a layer", "逐层差异；方向键选择层")} onMove={(px) => setHover(find(px))} onLeave={() => setHover(-1)} onDown={(px) => q.choose(find(px))}
        onKey={(e) => { const d = { ArrowLeft: -1, ArrowRight: 1 }[e.key]; if (d) q.choose(Math.max(0, Math.min(n - 1, q.chosen + d))); return !!d; }} /></div>
      <p class="readout" aria-live="polite"><b>{l?.name}</b> · {l?.title} · {x ? <>{t("difference", "差异")} <b>{num(x[0], 3)}</b> · {t("cosine", "余弦")} {num(x[1], 3)}</> : t("of different shapes", "形状不同")}</p>
    </Panel>
  );
}

function Maps(q: { l: api.Layer; m2: number; p2: number }) {
  const where = String(q.l.index), [ref, width] = useWidth<HTMLDivElement>(), [cursor, setCursor] = useState(-1);
  const got = useLoad(() => attempt(async () => {
    const s = await api.getStats(m.value, p.value, where), list = s.channels.map((_, i) => i).sort((x, y) => s.channels[y].strength - s.channels[x].strength).slice(0, 16);
    const [a, b] = await Promise.all([api.getMaps(m.value, p.value, where, { list, side: 96 }), api.getMaps(q.m2, q.p2, where, { list, side: 96 })]);
    return { list, a, b };
  }), [where, m.value, p.value, q.m2, q.p2]);
  const tile = 64, per = Math.max(1, Math.min(16, Math.floor((width - 30) / (tile + 6))));
  if (!got || got.a.H * got.a.W < 2) return <div ref={ref} />;
  const n = Math.min(per, got.list.length), range = rangeOf(...extent(Float32Array.from([...extent(got.a.data), ...extent(got.b.data)]))), size = got.a.w * got.a.h;
  const difference = got.a.data.map((v, i) => v - got.b.data[i]), most = Math.max(...extent(difference).map(Math.abs), 1e-9);
  const draw = (g: CanvasRenderingContext2D): void => {
    [[got.a.data, range, "A"], [got.b.data, range, "B"], [difference, { low: -most, high: most }, "A−B"]].forEach(([data, r, name], row) => {
      g.fillStyle = ink("quiet"); g.font = `12px ${ink("font")}`; g.fillText(name as string, 0, row * (tile + 6) + tile / 2 + 4);
      for (let i = 0; i < n; i++) { const x = 34 + i * (tile + 6), y = row * (tile + 6); drawMap(g, data as Float32Array, i * size, got.a.w, got.a.h, r as { low: number; high: number }, x, y, tile, tile, got.a.w > tile); g.strokeStyle = ink("line"); g.strokeRect(x - 0.5, y - 0.5, tile + 1, tile + 1); }
    });
    if (cursor >= 0) { g.strokeStyle = ink("accent"); g.lineWidth = 2; g.strokeRect(32 + cursor * (tile + 6), 0, tile + 4, 3 * (tile + 6) - 4); g.lineWidth = 1; }
    g.textAlign = "center"; g.fillStyle = ink("quiet"); g.font = `11px ${ink("font")}`;
    for (let i = 0; i < n; i++) g.fillText(String(got.list[i]), 34 + i * (tile + 6) + tile / 2, 3 * (tile + 6) + 10);
  };
  const open = (i: number): void => { channel.value = got.list[i]; go({ page: "layer", layer: q.l.index, channel: got.list[i] }); };
  const key = (e: KeyboardEvent): boolean => {
    const d = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (d) setCursor(Math.max(0, Math.min(n - 1, cursor + d)));
    if (e.key === "Enter") open(Math.max(0, cursor));
    return !!d || e.key === "Enter";
  };
  return (
    <div ref={ref}><Panel title={<>{q.l.name}: {t("the strongest channels of A", "A 中最强的通道")}</>} side={<>{t("click: the channel", "单击：查看该通道")}<Save name={`${q.l.name}-pair`} label={t("the maps", "特征图")} items={[]} /></>}>
      <div><Canvas w={34 + n * (tile + 6)} h={3 * (tile + 6) + 16} draw={draw} role="application" label={t("Maps of A, of B, and their difference; arrow keys and Enter choose a channel", "A、B 的特征图及其差；方向键与回车选择通道")} onKey={key} onDown={(x) => { const i = Math.floor((x - 34) / (tile + 6)); if (i >= 0 && i < n) open(i); }} /></div>
    </Panel></div>
  );
}
