// arithmetic.tsx - how one number came about: what it reads, the products, the whole sum; move it, play it, go back to the pixels.
import { useEffect, useMemo, useState } from "preact/hooks";
import * as api from "./api";
import { at, attempt, channel, current, extra, go, layers, m, model, noPicture, p, page, place, prediction, reached, t } from "./store";
import { Canvas, Command, keep, Panel, Segmented, useLoad, useWidth } from "./canvas";
import { MapView } from "./mapview";
import { Products } from "./products";
import { back, groups, rows, show, spot, stepTo, tapsOf, trail, type Group } from "./unit";
import { colorOf, ink } from "./color";
import { fixed, grid, num, shape } from "./format";
import { commandWithPicture, word } from "./commands";
import { Influence } from "./influence";
import { Flow } from "./flow";
import { useGlide } from "./motion";
import { csv, figures, give, npy, Save } from "./save";
import { About } from "./tour";

const digits = 5;

const kernels = new Map<string, Promise<number[]>>();
/** The sides of a layer's kernel; none where it has no filters. */
function kernelOf(model: number, layer: number): Promise<number[]> {
  const key = `${model} ${layer}`, known = kernels.get(key) ?? api.getFilters(model, layer, 0, 0).then((f) => f.dim, () => []);
  kernels.set(key, known);
  return known;
}

export function Arithmetic() {
  const l = current.value, where = place.value || String(l?.index ?? 0), isPixel = where.startsWith("in");
  const dim = grid(l?.dim ?? []), [playing, setPlaying] = useState(false), [chosen, setChosen] = useState<string>("");
  const element = at.value, mm = m.value, pp = p.value, there = reached(where);
  useEffect(() => { // nothing chosen yet: the strongest number of the channel
    if (!l || place.value || element >= 0 || !there) return;
    let alive = true;
    const c = channel.value;
    void attempt(() => api.getMaps(mm, pp, where, { list: [c] })).then((d) => {
      if (!d || !alive) return;
      let best = 0;
      for (let i = 1; i < d.data.length; i++) if (d.data[i] > d.data[best]) best = i;
      at.value = c * dim[1] * dim[2] + best;
    });
    return () => { alive = false; };
  }, [where, element, channel.value, mm, pp, there]);
  const got = useLoad(async () => { // a number and the sides of its kernel belong together
    if (!there) return undefined;
    if (element < 0 || isPixel) return keep;
    return attempt(async () => { const [unit, kernel] = await Promise.all([api.getUnit(mm, pp, where, element), place.value || !l?.conv ? [] : kernelOf(mm, l.index)]); return { unit, kernel, where, pp }; });
  }, [where, element, mm, pp, there]);
  const u = got?.unit, kernel = got?.kernel, fresh = !!u && u.at === element && got.where === where && got.pp === pp;
  const set = useMemo(() => (u ? groups(u, tapsOf(u, kernel)) : []), [u, kernel]);
  const key = (g: Group): string => `${g.source} ${g.channel} ${g.terms[0]}`;
  const strongest = set.reduce<Group | undefined>((a, g) => (!a || Math.abs(g.sum) > Math.abs(a.sum) ? g : a), undefined);
  const group = set.find((g) => key(g) === chosen) ?? (extra.value.from ? set.find((g) => String(g.channel) === extra.value.from) : undefined) ?? strongest;
  const c = Math.floor(element / (dim[1] * dim[2])), y = Math.floor(element / dim[2]) % dim[1], x = element % dim[2];
  const moveTo = (cc: number, yy: number, xx: number): void => {
    const clip = (v: number, n: number): number => Math.max(0, Math.min(n - 1, v));
    go({ at: (clip(cc, dim[0]) * dim[1] + clip(yy, dim[1])) * dim[2] + clip(xx, dim[2]), channel: clip(cc, dim[0]) });
  };
  useEffect(() => {
    if (!playing) return;
    const pause = extra.value.pace === "fast" ? 90 : extra.value.pace === "slow" ? 1200 : 480;
    const timer = setInterval(() => { if (at.value < 0) return; const n = dim[1] * dim[2], first = Math.floor(at.value / n) * n; at.value = first + ((at.value - first + 1) % n); }, pause);
    return () => clearInterval(timer);
  }, [playing, where, extra.value.pace]);
  const onKey = (e: KeyboardEvent): boolean => {
    const d = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (d) { if (dim[1] * dim[2] === 1) moveTo(c + d[0] + d[1], 0, 0); else moveTo(c, y + d[0], x + d[1]); return true; }
    if (e.key === "PageUp" || e.key === "PageDown") { moveTo(c + (e.key === "PageDown" ? 1 : -1), y, x); return true; }
    if (e.key === " ") { setPlaying(!playing); return true; }
    return false;
  };
  useEffect(() => {
    const on = (e: KeyboardEvent): void => { if (e.key === "Escape" && page.value === "arithmetic" && !back()) go({ page: "overview" }); };
    addEventListener("keydown", on);
    return () => removeEventListener("keydown", on);
  }, []);
  if (!l) return <div class="page" />;
  const here = { place: where, at: element, name: place.value ? u?.sources[0]?.name ?? where : l.name };
  return (
    <div class="page arithmetic">
      <div class="toolbar">
        <label>{t("Layer", "层")} <select value={place.value ? "" : String(l.index)} onChange={(e) => { trail.value = []; setPlaying(false); go({ layer: Number((e.target as HTMLSelectElement).value), at: -1, channel: 0 }); }}>
          {place.value && <option value="">{where}</option>}
          {layers.value.map((k) => <option key={k.index} value={String(k.index)}>{k.index} {k.name} · {k.title}</option>)}</select></label>
        {!place.value && <>
          <label>{t("channel", "通道")} <input type="number" min={0} max={dim[0] - 1} value={Math.max(0, c)} onInput={(e) => moveTo(Number((e.target as HTMLInputElement).value), y, x)} /></label>
          {dim[1] * dim[2] > 1 && <>
            <label>{t("row", "行")} <input type="number" min={0} max={dim[1] - 1} value={Math.max(0, y)} onInput={(e) => moveTo(c, Number((e.target as HTMLInputElement).value), x)} /></label>
            <label>{t("column", "列")} <input type="number" min={0} max={dim[2] - 1} value={Math.max(0, x)} onInput={(e) => moveTo(c, y, Number((e.target as HTMLInputElement).value))} /></label>
            <button class={playing ? "on" : ""} aria-pressed={playing} onClick={() => setPlaying(!playing)}>{playing ? t("❚❚ Pause", "❚❚ 暂停") : t("▶ Play", "▶ 播放")}</button>
            <Segmented value={extra.value.pace === "fast" || extra.value.pace === "slow" ? extra.value.pace : "usual"} set={(v) => go({ place: place.value, extra: { pace: v === "usual" ? "" : v } })} label={t("Pace", "速度")} options={[["slow", t("slow", "慢")], ["usual", t("usual", "中")], ["fast", t("fast", "快")]]} /></>}
        </>}
        <span class="grow" />
        <button disabled={!trail.value.length} onClick={() => { back(); }}>{t("← Back (Esc)", "← 返回（Esc）")}</button>
      </div>
      <Trail here={here.name} />
      {noPicture() && <p class="hint-box">{noPicture()}</p>}
      {!there && prediction.value?.stopped && <p class="hint-box">{t("This layer has no numbers:", "该层没有数值：")} {prediction.value?.stopped}</p>}
      {isPixel ? <Pixel where={where} element={element} /> : u && <>
        <Headline u={u} l={place.value ? undefined : l} c={c} y={y} x={x} stale={!fresh} />
        <div class={fresh || got!.where === where ? "three" : "three stale"} key={got!.where}>
          <Flow on={`${element} ${chosen}`} />
          {group && <Panel title={<>{t("Reads", "读取")} <b>{u.sources[group.source]?.name}</b></>} side={<>{`${t("channel", "通道")} ${Math.max(0, group.channel)} / ${grid(u.sources[group.source]?.dim ?? [])[0]}`}<Save name="reads" label={t("what is read", "读取的图")} items={[]} /></>}>
            <Source u={u} group={group} />
          </Panel>}
          <Panel title={middleTitle(u)} class="wide" side={<Save name="products" label={middleTitle(u)} items={[]} />}>
            {u.kind === "softmax" ? <Softmax u={u} /> : group && <Products u={u} group={group} kernel={kernel ?? []} reveal={playing && extra.value.pace !== "fast" ? `${element}` : `${where} ${key(group)}`} layer={place.value ? undefined : l.index} step={(i) => { if (!fresh) return; setPlaying(false); const s = u.sources[u.source[i]]; void stepTo(s.place, u.from[i], s.name, here); }} />}
          </Panel>
          {!place.value && <Panel title={<>{t("Makes", "得到")} <b>{l.name}</b></>} side={<>{`${t("channel", "通道")} ${c} / ${dim[0]}`}<Save name={`${l.name}-${c}`} label={t("the map", "特征图")} items={[npy("npy", { m: m.value, p: p.value, layer: l.index })]} /></>}>
            <MapView where={where} channel={c} cursor={[y, x]} label={t("The layer's map. Arrow keys move the number that is explained.", "该层的特征图。方向键移动所解释的数。")}
              onPick={(yy, xx, cc) => { setPlaying(false); moveTo(cc ?? c, yy, xx); }} onKey={onKey} live />
          </Panel>}
        </div>
        {u.kind !== "softmax" && <Sum u={u} set={set} group={group} choose={(g) => setChosen(key(g))} stale={!fresh} where={where} name={here.name}
          step={(g) => { if (!fresh) return; setPlaying(false); const best = g.terms.reduce((a, i) => (Math.abs(u.value[i] * u.weight[i]) > Math.abs(u.value[a] * u.weight[a]) ? i : a), g.terms[0]); const s = u.sources[u.source[best]]; if (u.from[best] >= 0) void stepTo(s.place, u.from[best], s.name, here); }} />}
      </>}
      {!playing && there && element >= 0 && <Influence l={place.value ? undefined : l} where={where} at={element} />}
      <p class="quiet">{l.sentence} {l.reading}</p>
      {!place.value && <Command text={commandWithPicture("arithmetic", "--layer", word(l.name), "--at", dim[1] * dim[2] > 1 ? `${c},${y},${x}` : String(Math.max(0, c)), "-o", "arithmetic.svg")} />}
    </div>
  );
}

function middleTitle(u: api.Unit): string {
  return u.kind === "sum" ? (u.n === 1 ? t("times a factor, plus a constant", "乘以系数，再加常数") : t("Value × weight", "数值 × 权重")) : u.kind === "max" ? t("The largest wins", "取最大者")
    : u.kind === "copy" ? t("The same number", "原样传递") : u.kind === "softmax" ? t("Its share of all exponentials", "在全部指数中的占比") : t("A function of it", "对它取函数");
}

function Trail(q: { here: string }) {
  const list = trail.value;
  if (!list.length) return null;
  return (
    <nav class="trail" aria-label={t("The way back", "回溯路径")}>
      {list.map((s, i) => <button key={i} onClick={() => { trail.value = list.slice(0, i); show(s); }}>{s.name}</button>)}<b aria-current="step">{q.here}</b>
      <span class="quiet">{t("from the answer back towards the pixels", "从答案一路回溯到像素")}</span>
    </nav>
  );
}

function Headline(q: { u: api.Unit; l?: api.Layer; c: number; y: number; x: number; stale: boolean }) {
  const { u } = q, classes = model.value?.classes ?? [], name = q.l?.output && classes[q.c] ? ` (${classes[q.c]})` : "";
  return (
    <div class={q.stale ? "headline stale" : "headline"}>
      <span class="big">{num(u.result, 6)}</span>
      <span><b>{u.title}</b> <About l={q.l} /> · {q.l ? `${q.l.name} [${q.c}${name}${grid(q.l.dim)[1] * grid(q.l.dim)[2] > 1 ? `, ${q.y}, ${q.x}` : ""}]` : shape(u.dim)}{q.l?.settings && ` · ${q.l.settings}`}<br /><code class="formula">{u.formula}</code></span>
    </div>
  );
}

function Source(q: { u: api.Unit; group: Group }) {
  const { u, group } = q, spots = group.terms.map((i) => spot(u, i)).filter((s) => s.y >= 0);
  const ys = spots.map((s) => s.y), xs = spots.map((s) => s.x), source = u.sources[group.source];
  const box: [number, number, number, number] | undefined = spots.length ? [Math.min(...ys), Math.min(...xs), Math.max(...ys) + 1, Math.max(...xs) + 1] : undefined;
  if (!source || source.place.startsWith("v")) return <p class="quiet">{t("a value inside the layer, without a map of its own", "层内部的中间值，没有单独的特征图")}</p>;
  return <MapView where={source.place} channel={Math.max(0, group.channel)} box={box} label={t("What is read, with the window", "读取的内容与窗口")} />;
}

function Pixel(q: { where: string; element: number }) {
  const d = useLoad(() => attempt(() => api.getMaps(m.value, p.value, q.where)), [q.where, m.value, p.value]);
  if (!d) return <p class="quiet">…</p>;
  const c = Math.floor(q.element / (d.H * d.W)), y = Math.floor(q.element / d.W) % d.H, x = q.element % d.W;
  return (
    <Panel title={t("A pixel: here the network's own numbers end", "像素：网络的数值到此为止")} side={`${t("channel", "通道")} ${c}, ${t("row", "行")} ${y}, ${t("column", "列")} ${x}`}>
      <div class="headline"><span class="big">{num(d.data[q.element], 6)}</span><span>{t("after preprocessing", "预处理之后")}: <code>{model.value?.preprocess}</code></span></div>
      <MapView where={q.where} channel={c} cursor={[y, x]} label={t("The input", "输入")} size={320} />
    </Panel>
  );
}

function Softmax(q: { u: api.Unit }) {
  const { u } = q, classes = model.value?.classes ?? [], sum = u.weight.reduce((a, b) => a + b, 0), most = Math.max(...u.weight);
  const list = Array.from({ length: u.n }, (_, i) => i).sort((a, b) => u.weight[b] - u.weight[a]).slice(0, 12);
  if (!list.includes(u.own)) list.push(u.own);
  return (
    <table class="sum"><thead><tr><th>{t("class", "类别")}</th><th>x</th><th>exp(x − max)</th><th>{t("share", "占比")}</th></tr></thead><tbody>
      {list.map((i) => <tr key={i} class={i === u.own ? "on" : ""} onClick={() => { void stepTo(u.sources[0].place, u.from[i], u.sources[0].name, { place: place.value || String(current.value!.index), at: at.value, name: current.value!.name }); }}>
        <td>{classes[i] ?? i}</td><td>{num(u.value[i], 5)}</td><td><i class="bar" style={{ width: `${(u.weight[i] / most) * 90}px` }} />{num(u.weight[i], 5)}</td><td>{num(u.weight[i] / sum, 5)}</td></tr>)}
    </tbody><tfoot><tr><td>Σ</td><td /><td>{num(sum, 6)}</td><td>{num(u.weight[u.own], 5)} / {num(sum, 6)} = <b>{num(u.total, 6)}</b></td></tr></tfoot></table>
  );
}

interface SumProps { u: api.Unit; set: Group[]; group?: Group; choose: (g: Group) => void; step: (g: Group) => void; stale: boolean; where: api.Place; name: string }
const Sum = (q: SumProps) => (q.u.kind !== "sum" || q.u.n < 2 ? <p class="equation"><Plain u={q.u} /></p> : <Whole {...q} />);

function Whole(q: SumProps) {
  const { u } = q, [ref, width] = useWidth<HTMLDivElement>();
  const many = q.set.length === u.n, source = (g: Group): string => (u.sources.length > 1 ? `${u.sources[g.source]?.name} ` : "");
  const list = rows(u, q.set, 10, digits, {
    bias: u.n === 1 ? t("constant", "常数") : t("bias", "偏置"), others: (n) => t(`${n} others`, `其余 ${n} 项`), rounding: t("rounding (float32 and the digits shown)", "舍入（float32 与所示位数）"),
    name: (g) => `${source(g)}${many ? t("input", "输入") : t("channel", "通道")} ${g.channel < 0 ? "—" : g.channel}` });
  const ends = list.flatMap((r) => [r.total - r.value, r.total]), least = Math.min(0, ...ends), most = Math.max(1e-9 + least, 0, ...ends), [box, boxWidth] = useWidth<HTMLTableElement>(), room = width - boxWidth - 20, w = Math.max(90, Math.min(720, room >= 90 ? room : width));
  const moving = useGlide(ends.concat(least, most), 180);
  const bars = (g: CanvasRenderingContext2D): void => {
    const low = moving[moving.length - 2], k = (w - 8) / Math.max(moving[moving.length - 1] - low, 1e-9), mid = Math.round(4 - low * k);
    g.strokeStyle = ink("line"); g.beginPath(); g.moveTo(mid + 0.5, 0); g.lineTo(mid + 0.5, list.length * 26); g.stroke();
    list.forEach((r, i) => {
      const before = moving[2 * i], total = moving[2 * i + 1], y = i * 26 + 7;
      g.fillStyle = colorOf(Math.sign(r.value) * 0.75, { low: -1, high: 1 });
      g.fillRect(mid + Math.min(before, total) * k, y, Math.max(1, Math.abs(total - before) * k), 12);
      g.strokeStyle = ink("quiet"); g.beginPath(); g.moveTo(mid + total * k + 0.5, y); g.lineTo(mid + total * k + 0.5, y + (i < list.length - 1 ? 32 : 14)); g.stroke();
    });
  };
  return (
    <Panel title={t("The whole sum", "完整求和")} side={<>{t(`${u.n} products${u.bias !== 0 ? " and a bias" : ""}, largest first; a click looks inside`, `共 ${u.n} 个乘积${u.bias !== 0 ? "及偏置" : ""}，按大小排列；单击查看内部`)}<Save label={t("the whole sum", "完整求和")} name="sum" items={[...figures("unit", { layer: q.where, at: u.at, name: q.name }), { label: t("CSV: every term", "CSV：全部项"), run: () => give("terms.csv", csv(["source", "element", "tap", "value", "weight", "product"], [...(u.bias ? [["bias", "", "", "", "", u.bias]] : []), ...Array.from({ length: u.n }, (_, i) => [u.sources[u.source[i]]?.name ?? "", u.from[i], u.tap[i], u.value[i], u.weight[i], u.value[i] * u.weight[i]])])) }]} /></>} class={q.stale ? "stale" : ""}>
      <div class="sum-box" ref={ref}>
        <table class="sum" ref={box}><tbody>
          {list.map((r, i) => <tr key={i} class={r.group && r.group === q.group ? "on" : ""} tabIndex={r.group ? 0 : undefined} onClick={() => r.group && q.choose(r.group)} onDblClick={() => r.group && q.step(r.group)}
            onKeyDown={(e) => { if (r.group && e.key === "Enter") q.choose(r.group); }}>
            <td>{r.label}</td><td class="n">{r.value >= 0 ? "+" : ""}{fixed(r.value, digits)}</td><td class="n quiet">{fixed(r.total, digits)}</td>
            <td class="act">{r.group && r.group.channel >= 0 && <button onClick={(e) => { e.stopPropagation(); q.step(r.group!); }} title={t("Where this came from", "查看它的来源")}>{t("back ↩", "回溯 ↩")}</button>}</td></tr>)}
        </tbody><tfoot><tr><td>=</td><td class="n"><b>{fixed(u.result, digits)}</b></td><td class="n quiet" colSpan={2}>{t("in double", "双精度")} {num(u.total, 9)}</td></tr></tfoot></table>
        <Canvas w={w} h={list.length * 26} draw={bars} label={t("The running total", "累计和")} />
      </div>
    </Panel>
  );
}

function Plain(q: { u: api.Unit }) {
  const { u } = q;
  if (u.n === 0) return <>{num(u.result, 6)}</>;
  if (u.kind === "sum") return <>{num(u.value[0], 6)} × {num(u.weight[0], 6)} {u.bias < 0 ? "−" : "+"} {num(Math.abs(u.bias), 6)} = <b>{num(u.total, 6)}</b></>;
  if (u.kind === "max") return <>max({Array.from(u.value.slice(0, 9)).map((v) => num(v, 4)).join(", ")}{u.n > 9 ? ", …" : ""}) = <b>{num(u.result, 6)}</b></>;
  if (u.kind === "copy") return <>{num(u.value[0], 6)} = <b>{num(u.result, 6)}</b></>;
  return <>{u.title}({Array.from(u.value.slice(0, 4)).map((v) => num(v, 6)).join(", ")}) = <b>{num(u.result, 6)}</b> · {t("slope", "斜率")} {num(u.weight[0], 4)}</>;
}
