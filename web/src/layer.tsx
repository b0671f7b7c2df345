// layer.tsx - all channels of a layer on one canvas, sorted; the chosen one large, with its kernel and what its numbers are like.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, channel, current, dark, extra, go, lang, layers, m, noPicture, off, p, prediction, reached, t } from "./store";
import { Canvas, Command, Legend, Panel, Segmented, useLoad, useWidth } from "./canvas";
import { MapView } from "./mapview";
import { drawMap, extent, foldVector, strip } from "./paint";
import { colorOf, ink, rangeOf, type Range } from "./color";
import { bytes, num, percent, shape, short } from "./format";
import { command, commandWithPicture } from "./commands";
import { explain } from "./explain";
import { Excites } from "./excites";
import { About } from "./tour";
import { csv, figures, give, npy, Save, type Item } from "./save";

type Sort = "number" | "strength" | "zeros" | "vote";
const gap = 8, label = 14;

export function LayerPage() {
  const asked = current.value!, sort = (extra.value.sort as Sort) || "strength", scale = extra.value.scale === "map" ? "map" : "layer";
  const there = reached(String(asked.index)), got = useLoad(async () => (there ? attempt(async () => ({ l: asked, stats: await api.getStats(m.value, p.value, String(asked.index)) })) : undefined), [asked.index, m.value, p.value, there]);
  const l = got && got.l.index !== asked.index ? layers.value[got.l.index] ?? asked : asked, where = String(l.index), stats = got?.stats; // a layer stays whole until the next one's numbers are here
  const voted = useLoad(async () => {
    if (sort !== "vote" || asked.dim.length < 4) return undefined;
    const e = await attempt(() => explain({ method: "gradcam", layer: asked.name, signed: true }));
    return e && { layer: asked.index, of: new Map(e.votes.map(([c, v]) => [c, v])) };
  }, [asked.index, sort, m.value, p.value]);
  const votes = voted?.layer === l.index ? voted.of : undefined;
  const order = useMemo(() => {
    const n = stats?.channels.length ?? 0, list = Array.from({ length: n }, (_, i) => i), s = stats?.channels ?? [];
    if (sort === "strength") list.sort((a, b) => s[b].strength - s[a].strength);
    if (sort === "zeros") list.sort((a, b) => s[b].zeros - s[a].zeros);
    if (sort === "vote" && votes) list.sort((a, b) => (votes.get(b) ?? 0) - (votes.get(a) ?? 0));
    return list;
  }, [stats, sort, votes]);
  const dead = stats?.channels.filter((s) => s.least === s.largest).length ?? 0, twins = stats?.channels.filter((s) => s.twin >= 0).length ?? 0;
  return (
    <div class="page layer">
      <div class="toolbar">
        <label>{t("Layer", "层")} <select value={String(asked.index)} onChange={(e) => go({ layer: Number((e.target as HTMLSelectElement).value), channel: 0, at: -1 })}>
          {layers.value.map((k) => <option key={k.index} value={String(k.index)}>{k.index} {k.name} · {k.title}</option>)}</select></label>
        <label>{t("Sort by", "排序")}<Segmented value={sort} set={(v) => go({ extra: { sort: v } })} label={t("Sort by", "排序")}
          options={[["strength", t("strength", "强度")], ["number", t("number", "编号")], ["zeros", t("zeros", "稀疏")], ["vote", t("vote for the answer", "对答案的贡献")]]} /></label>
        <label>{t("Colours per", "颜色范围")}<Segmented value={scale} set={(v) => go({ extra: { scale: v === "map" ? "map" : "" } })} label={t("Colour range", "颜色范围")} options={[["layer", t("layer", "层")], ["map", t("map", "单图")]]} /></label>
      </div>
      <div class="facts"><b>{l.title}</b> <About l={l} /> {l.settings} · {shape(l.dim)} · {short(l.params)} {t("parameters", "参数")} · {short(l.macs)} {t("MACs", "乘加")} · {bytes(l.bytes)}
        {l.field && <> · {t("each number sees", "每个数可见")} {l.field.size[0]}×{l.field.size[1]} {t("pixels", "像素")}</>}
        {dead > 0 && <span class="tag warn">{t(`${dead} dead here`, `${dead} 个无响应`)}</span>}{twins > 0 && <span class="tag">{t(`${twins} duplicates`, `${twins} 个重复`)}</span>}</div>
      {noPicture() && <p class="hint-box">{noPicture()}</p>}
      {!there && prediction.value?.stopped && <p class="hint-box">{t("This layer has no numbers:", "该层没有数值：")} {prediction.value?.stopped}</p>}
      <div class={l === asked ? "layer-grid" : "layer-grid stale"} key={where}>
        {stats && order.length > 0 && <div class="walls"><Wall l={l} where={where} stats={stats} order={order} votes={sort === "vote" ? votes : undefined} scale={scale} /></div>}
        {stats && <One l={l} stats={stats} />}
        {stats && order.length > 0 && <div class="excited"><Excites l={l} c={Math.min(channel.value, stats.channels.length - 1)} /></div>}
      </div>
      <p class="quiet">{l.sentence} {l.reading} {l.note}</p>
      <Command text={commandWithPicture("activations", "--layer", l.name, "-o", "maps.svg")} />
    </div>
  );
}

interface Batch { d: api.Maps; list: number[]; look?: string; strip?: { canvas: HTMLCanvasElement; across: number } }

/* Every channel; only what is on screen is asked for and drawn. */
function Wall(q: { l: api.Layer; where: string; stats: api.Stats; order: number[]; votes?: Map<number, number>; scale: "layer" | "map" }) {
  const [ref, width] = useWidth<HTMLDivElement>(), scroller = useRef<HTMLDivElement>(null), [scroll, setScroll] = useState(0), [hover, setHover] = useState(-1), [version, redraw] = useState(0);
  const store = useRef(new Map<number, { batch: Batch; row: number }>());
  const [C, H, W] = q.stats.dim, vector = H * W === 1, tile = vector ? 22 : C <= 24 ? 104 : C <= 128 ? 76 : 60, cw = tile + gap, ch = tile + (vector ? 4 : label + 4);
  const perRow = Math.max(1, Math.floor((width - 14) / cw)), lines = Math.ceil(q.order.length / perRow), view = Math.max(320, Math.min(640, innerHeight - 320));
  const first = Math.max(0, Math.floor(scroll / ch)), last = Math.min(lines, Math.ceil((scroll + view) / ch) + 1), ranges = useMemo(() => rangeOf(q.stats.least, q.stats.largest), [q.stats]);
  useEffect(() => { store.current.clear(); redraw((n) => n + 1); }, [q.where, q.stats]);
  useEffect(() => {
    if (vector) return;
    const need = q.order.slice(first * perRow, last * perRow).filter((c) => !store.current.has(c)), mm = m.value, pp = p.value, mine = store.current, stop = new AbortController();
    if (need.length) void attempt(() => api.getMaps(mm, pp, q.where, { list: need, side: tile * 1.5 | 0 }, stop.signal)).then((d) => { if (d) { const batch: Batch = { d, list: need }; need.forEach((c, row) => mine.set(c, { batch, row })); redraw((n) => n + 1); } });
    return () => stop.abort();
  }, [first, last, perRow, q.order, q.where, q.stats]);
  const rangeAt = (c: number): Range => (q.scale === "map" ? rangeOf(q.stats.channels[c].least, q.stats.channels[c].largest) : ranges);
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    const text = ink("quiet"), line = ink("line"), warn = ink("warn"), empty = ink("panel"), font = ink("font"), marks = new Set(off.value.filter((o) => String(o.layer) === q.where).map((o) => o.channel)), look = `${q.scale} ${dark.value}`;
    g.font = `11px ${font}`; g.lineWidth = 1;
    for (let i = first * perRow; i < Math.min(q.order.length, last * perRow); i++) {
      const c = q.order[i], x = 6 + (i % perRow) * cw, y = 4 + Math.floor(i / perRow) * ch - scroll, s = q.stats.channels[c], got = store.current.get(c);
      if (vector) { g.fillStyle = colorOf(s.mean, ranges); g.fillRect(x, y, tile, tile); }
      else if (got) {
        const { batch: b, row } = got, { w, h } = b.d, k = Math.min(tile / w, tile / h);
        if (b.look !== look) { b.strip = strip(b.d.data, b.d.c, w, h, (r) => rangeAt(b.list[r])); b.look = look; } // coloured once, copied ever after
        g.imageSmoothingEnabled = w > tile;
        g.drawImage(b.strip!.canvas, (row % b.strip!.across) * w, Math.floor(row / b.strip!.across) * h, w, h, x + (tile - w * k) / 2, y + (tile - h * k) / 2, w * k, h * k);
      } else { g.fillStyle = empty; g.fillRect(x, y, tile, tile); }
      g.strokeStyle = line; g.lineWidth = 1; g.strokeRect(x - 0.5, y - 0.5, tile + 1, tile + 1);
      if (marks.has(c)) { g.strokeStyle = warn; g.lineWidth = 2; g.beginPath(); g.moveTo(x, y); g.lineTo(x + tile, y + tile); g.stroke(); }
      if (vector) continue;
      g.textAlign = "left"; g.fillStyle = s.least === s.largest ? warn : text;
      g.fillText(s.least === s.largest ? `${c} ${t("dead", "无响应")}` : s.twin >= 0 ? `${c} = ${s.twin}` : String(c), x, y + tile + 12);
      if (q.votes) { const v = q.votes.get(c) ?? 0; g.textAlign = "right"; g.fillStyle = colorOf(Math.sign(v) * 0.8, { low: -1, high: 1 }); g.fillText(num(v, 2), x + tile, y + tile + 12); }
    }
  }, [version, first, last, scroll, perRow, q.order, q.scale, q.votes, q.stats, dark.value, lang.value, off.value]);
  const frame = (i: number, kind: string): preact.JSX.Element | null => (i < first * perRow || i >= last * perRow ? null : <i class={`tilebox ${kind}`} style={{ left: `${6 + (i % perRow) * cw}px`, top: `${4 + Math.floor(i / perRow) * ch - scroll}px`, width: `${tile}px`, height: `${tile}px` }} />);
  const find = (x: number, y: number): number => { const col = Math.floor((x - 6) / cw), i = Math.floor((y + scroll - 4) / ch) * perRow + col; return col >= 0 && col < perRow && i < q.order.length ? i : -1; };
  const key = (e: KeyboardEvent): boolean => {
    const d = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow }[e.key];
    if (e.key === "Enter") { go({ page: "arithmetic", at: -1, channel: channel.value }); return true; }
    if (!d) return false;
    const i = Math.max(0, Math.min(q.order.length - 1, q.order.indexOf(channel.value) + d)), y = Math.floor(i / perRow) * ch;
    go({ channel: q.order[i] });
    if (y < scroll || y + ch > scroll + view) scroller.current!.scrollTop = y - view / 2;
    return true;
  };
  const files: Item[] = [...figures("maps", { layer: q.where, scale: q.scale }, commandWithPicture("activations", "--layer", q.l.name)), npy("npy", { m: m.value, p: p.value, layer: q.where }),
    { label: t("CSV: numbers of every channel", "CSV：每个通道的数值"), run: () => give(`${q.l.name}-channels.csv`, csv(["channel", "least", "largest", "mean", "rms", "zeros", "twin", "vote"], q.order.map((c) => { const s = q.stats.channels[c]; return [c, s.least, s.largest, s.mean, s.strength, s.zeros, s.twin < 0 ? "" : s.twin, q.votes?.get(c) ?? ""]; }))) }];
  const tip = hover >= 0 ? q.stats.channels[q.order[hover]] : null;
  return (
    <Panel class="wall" title={t(`${C} channels`, `${C} 个通道`)} side={<><Legend range={hover >= 0 ? rangeAt(q.order[hover]) : ranges} what={t("activation", "激活值")} /><Save items={files} name={`${q.l.name}-wall`} label={t("the channels", "各通道")} /></>}>
      <div ref={ref}>
        <div ref={scroller} class="wallscroll" style={{ height: `${Math.min(view, lines * ch + 8)}px` }} onScroll={(e) => setScroll((e.target as HTMLElement).scrollTop)}>
          <div style={{ height: `${lines * ch + 8}px` }}><div class="sticky">
            <Canvas w={Math.max(40, width - 12)} h={Math.min(view, lines * ch + 8)} draw={draw} role="application" label={t("All channels; arrow keys choose, Enter opens the arithmetic", "全部通道；方向键选择，回车打开算术页")} onMove={(x, y) => setHover(find(x, y))}
              onLeave={() => setHover(-1)} onDown={(x, y) => { const i = find(x, y); if (i >= 0) go({ channel: q.order[i], at: -1 }); }} onKey={key} />
            {frame(hover, "hover")}{frame(q.order.indexOf(channel.value), "chosen")}</div></div>
        </div>
        <p class="readout">{tip ? <>{t("channel", "通道")} <b>{q.order[hover]}</b> · {num(tip.least, 3)} … {num(tip.largest, 3)} · {t("mean", "均值")} {num(tip.mean, 3)} · {percent(tip.zeros)} {t("zeros", "为零")}</> : "\u00a0"}</p>
      </div>
    </Panel>
  );
}

function One(q: { l: api.Layer; stats: api.Stats }) {
  const { l, stats } = q, c = Math.min(channel.value, stats.channels.length - 1), s = stats.channels[c], isOff = off.value.some((o) => o.layer === l.index && o.channel === c);
  const [best, spot] = [s.largest, stats.dim[1] * stats.dim[2]];
  const toggle = (): void => { off.value = isOff ? off.value.filter((o) => o.layer !== l.index || o.channel !== c) : [...off.value, { layer: l.index, channel: c }]; };
  return (
    <Panel class="one" title={<>{t("Channel", "通道")} {c}</>} side={spot > 1 ? `${stats.dim[1]}×${stats.dim[2]}` : ""}>
      <MapView where={String(l.index)} channel={c} size={260} label={t("The chosen channel; a click opens the arithmetic of that number", "所选通道；单击打开该数的算术过程")} onPick={(y, x, cc) => go({ page: "arithmetic", channel: cc ?? c, at: ((cc ?? c) * stats.dim[1] + y) * stats.dim[2] + x })} />
      <dl class="numbers"><dt>{t("largest", "最大")}</dt><dd>{num(best)}</dd><dt>{t("least", "最小")}</dt><dd>{num(s.least)}</dd><dt>{t("mean", "均值")}</dt><dd>{num(s.mean)}</dd><dt>{t("zeros", "零值")}</dt><dd>{percent(s.zeros)}</dd></dl>
      <div class="row"><button class="primary" onClick={() => go({ page: "arithmetic", at: -1, channel: c })}>{t("Arithmetic", "算术")}</button>
        <button aria-pressed={isOff} class={isOff ? "on" : ""} onClick={toggle}>{isOff ? t("Switch on again", "重新打开") : t("Switch off", "关闭此通道")}</button>
        {off.value.length > 0 && <button onClick={() => go({ page: "why" })}>{t("See what changes", "查看影响")}</button>}
        <a class="button" href={api.fileAddress("npy", { m: m.value, p: p.value, layer: l.index })} download>.npy</a></div>
      {l.filters && <Kernel l={l} c={c} />}
      <div class="saveable"><h3 class="with-save"><span>{t("All numbers of the layer", "该层全部数值")}</span><Save label={t("the histogram", "直方图")} name={`${l.name}-histogram`} items={[{ label: "CSV", run: () => give(`${l.name}-histogram.csv`, csv(["from", "to", "count"], Array.from(stats.bins, (b, i) => [stats.least + (i / stats.bins.length) * (stats.largest - stats.least), stats.least + ((i + 1) / stats.bins.length) * (stats.largest - stats.least), b]))) }]} /></h3>
      <Histogram stats={stats} /></div>
    </Panel>
  );
}

function Kernel(q: { l: api.Layer; c: number }) {
  const f = useLoad(async () => api.getFilters(m.value, q.l.index, q.c, 1).catch(() => undefined), [q.l.index, q.c, m.value]);
  if (!f || f.count < 1) return null;
  const [, C = 1, R = 1, S = 1] = f.dim, flat = R * S === 1, n = flat ? 1 : C, most = Math.max(...extent(f.data).map(Math.abs), 1e-9), range = { low: -most, high: most };
  const [vw, vh] = foldVector(C), norms = Array.from({ length: n }, (_, k) => ({ k, v: f.data.subarray(k * R * S, (k + 1) * R * S).reduce((a, b) => a + b * b, 0) })).sort((a, b) => b.v - a.v).slice(0, 24).map((x) => x.k).sort((a, b) => a - b);
  const side = flat ? 200 : norms.length <= 3 ? 72 : 44, per = flat ? 1 : Math.min(norms.length, Math.floor(272 / (side + 6))), H = flat ? (200 * vh) / vw : Math.ceil(norms.length / per) * (side + 6);
  const draw = (g: CanvasRenderingContext2D): void => {
    if (flat) { const d = new Float32Array(vw * vh).fill(NaN); d.set(f.data.subarray(0, C)); drawMap(g, d, 0, vw, vh, range, 0, 0, 200, H); return; }
    norms.forEach((k, i) => { const x = (i % per) * (side + 6), y = Math.floor(i / per) * (side + 6), sc = side / Math.max(R, S); drawMap(g, f.data, k * R * S, S, R, range, x, y, S * sc, R * sc); g.strokeStyle = ink("line"); g.strokeRect(x + 0.5, y + 0.5, S * sc - 1, R * sc - 1); });
  };
  return (<>
    <h3 class="with-save"><span>{t("Its kernel", "它的卷积核")} <span class="quiet small">{flat ? t(`${C} weights`, `${C} 个权重`) : t(`${R}×${S}, ${norms.length < C ? `the ${norms.length} largest of ${C}` : C} input channels`, `${R}×${S}，${norms.length < C ? `共 ${C} 个输入通道，显示最大的 ${norms.length} 个` : `${C} 个输入通道`}`)}</span></span><Save label={t("the kernels", "卷积核")} items={[...figures("filters", { layer: q.l.index }, command("filters", "--layer", q.l.name)),
      { label: t("CSV: this kernel", "CSV：此卷积核"), run: () => give(`${q.l.name}-kernel-${q.c}.csv`, csv(["channel", "row", "column", "weight"], Array.from(f.data.subarray(0, C * R * S), (v, i) => [Math.floor(i / (R * S)), Math.floor(i / S) % R, i % S, v]))) }]} /></h3>
    <Canvas w={flat ? 200 : per * (side + 6)} h={H} draw={draw} label={t("The kernel's weights", "卷积核权重")} /><Legend range={range} what={t("weight", "权重")} />
  </>);
}

function Histogram(q: { stats: api.Stats }) {
  const { bins, least, largest } = q.stats, w = 260, h = 70, most = Math.max(...bins, 1), range = rangeOf(least, largest);
  const [at, setAt] = useState(-1), edge = (i: number): number => least + (i / bins.length) * (largest - least);
  const draw = (g: CanvasRenderingContext2D): void => {
    bins.forEach((b, i) => { const v = least + ((i + 0.5) / bins.length) * (largest - least), y = (Math.log1p(b) / Math.log1p(most)) * (h - 4); g.fillStyle = colorOf(v, range); g.fillRect((i * w) / bins.length, h - y, w / bins.length - 0.5, y); if (i === at) { g.strokeStyle = ink("mark"); g.lineWidth = 1.5; g.strokeRect((i * w) / bins.length - 1, Math.min(h - y, h - 6) - 1, w / bins.length + 1.5, Math.max(y, 6) + 1); } });
    g.fillStyle = ink("line"); g.fillRect(0, h - 1, w, 1);
  };
  return <><Canvas w={w} h={h} draw={draw} role="application" label={t("Histogram, logarithmic; arrow keys read one bar after the other", "直方图（对数）；方向键逐柱读取")} onMove={(x) => setAt(Math.max(0, Math.min(bins.length - 1, Math.floor((x * bins.length) / w))))} onLeave={() => setAt(-1)}
    onKey={(e) => { const d = { ArrowLeft: -1, ArrowRight: 1 }[e.key]; if (d) setAt(Math.max(0, Math.min(bins.length - 1, at + d))); return !!d; }} /><div class="legend-numbers" style={{ width: `${w}px` }}><span>{num(least, 3)}</span><span class="quiet" aria-live="polite">{at >= 0 ? `${num(edge(at), 3)} … ${num(edge(at + 1), 3)}: ${bins[at]}` : t("logarithmic counts", "计数取对数")}</span><span>{num(largest, 3)}</span></div></>;
}

