// watch.tsx - the page of training runs: what is wrong first, then curves, layers, histograms, pictures, texts and the table of runs.
import { useEffect, useMemo, useState } from "preact/hooks";
import * as api from "./logapi";
import { axis, bands, controls, findings, follow, frozen, groupOf, isTest, live, log, logScale, lookAtControls, matches, nameOf, outliers, runFilter, runsById, set, shown, smooth, stamp, styles, tab, tagFilter, visible } from "./watchstate";
import { attempt, t } from "./store";
import { Command, keep, Panel, Segmented, useLoad, useWidth } from "./canvas";
import { LineChart, type Mark } from "./linechart";
import { Histograms } from "./histograms";
import { Health } from "./health";
import { ConfusionCard } from "./confusion";
import { num } from "./format";
import { word } from "./commands";

const MOST_CHARTS = 12, TABLE = "confusion_table";

/* ---- beside the page: which runs, and how they are drawn ---- */
export function WatchRail() {
  const l = log.value, list = (l?.runs ?? []).filter((r) => matches(nameOf(r), runFilter.value)), [most, setMost] = useState(100), sm = smooth.value;
  const flip = (r: api.Run): void => { shown.value = { ...shown.value, [r.id]: !visible.value.has(r.id) }; };
  const only = (r: api.Run): void => { const to: Record<number, boolean> = {}, group = groupOf(r); for (const x of l!.runs) to[x.id] = groupOf(x) === group; shown.value = to; };
  return (
    <aside class="rail watchrail" aria-label={t("Runs and how they are drawn", "训练记录与绘制方式")}>
      <p class="quiet small wrap">{l?.logs.length === 1 ? l.logs[0] : l ? `${l.logs.length} ${t("logs", "个记录目录")}` : ""}</p>
      <p class="live"><i class={frozen.value ? "dot held" : live.value ? "dot on" : "dot"} />{frozen.value ? t("held", "已停止刷新") : live.value ? t("a run goes on", "训练进行中") : t("nothing new", "没有新数据")}
        <button class="link" onClick={() => { frozen.value = !frozen.value; }}>{frozen.value ? t("follow", "继续刷新") : t("hold", "停止刷新")}</button></p>
      <label class="control"><span>{t("Smoothing", "平滑")} <b class="n">{num(sm, 3)}</b></span><input type="range" min="0" max="0.99" step="0.01" value={sm} onInput={(e) => set("smooth", (e.target as HTMLInputElement).value)} /></label>
      <div class="control"><span>{t("Across", "横轴")}</span><Segmented label={t("Horizontal axis", "横轴")} value={axis.value} set={(v) => set("axis", v)} options={[["step", t("step", "步")], ["epoch", t("epoch", "轮")], ["time", t("time", "时间")]]} /></div>
      <label class="check"><input type="checkbox" checked={logScale.value} onChange={() => set("log", logScale.value ? "" : "1")} /> {t("logarithmic", "对数纵轴")}</label>
      <label class="check" title={t("The range covers the 5th to the 95th hundredth; what lies beyond is marked at the edge.", "纵轴范围取 5% 到 95% 分位；超出的数值在边缘标出。")}><input type="checkbox" checked={outliers.value} onChange={() => set("outliers", outliers.value ? "" : "1")} /> {t("range without outliers", "范围忽略离群值")}</label>
      <label class="check"><input type="checkbox" checked={bands.value} onChange={() => set("band", bands.value ? "" : "1")} /> {t("mean and band of all runs", "各次运行的均值与范围")}</label>
      <h3>{t("Runs", "运行")} <span class="quiet">{visible.value.size}/{l?.runs.length ?? 0}</span></h3>
      <input type="search" placeholder={t("filter, or /regex/", "筛选，或 /正则/")} value={runFilter.value} onInput={(e) => { runFilter.value = (e.target as HTMLInputElement).value; shown.value = {}; }} aria-label={t("Filter runs", "筛选运行")} />
      <ul class="runs">
        {list.slice(0, most).map((r) => (
          <li key={r.id} class={visible.value.has(r.id) ? "" : "out"}><label title={nameOf(r)}><input type="checkbox" checked={visible.value.has(r.id)} onChange={() => flip(r)} /><i class={styles.value.get(r.id)?.dash ? "swatch dash" : "swatch"} style={{ color: styles.value.get(r.id)?.color }} /><span>{nameOf(r)}</span></label>
            <button class="link" onClick={() => only(r)}>{t("only", "仅此")}</button></li>
        ))}
      </ul>
      {list.length > most && <button class="link" onClick={() => setMost(most * 4)}>{t("more", "更多")} ({list.length - most})</button>}
      {Object.keys(shown.value).length > 0 && <button class="link" onClick={() => { shown.value = {}; }}>{t("all again", "恢复全部")}</button>}
    </aside>
  );
}

/* ---- what is wrong ---- */
function Findings(q: { show: (f: api.Finding) => void }) {
  const list = findings.value, [quiet, setQuiet] = useState<Record<string, boolean>>({}), [open, setOpen] = useState("");
  if (!list) return null;
  const key = (f: api.Finding): string => `${f.run} ${f.code} ${f.layer}`, left = list.filter((f) => !quiet[key(f)]), many = left.length > 4;
  if (!list.length) return <p class="fine">{t("No fault was found in these runs.", "未在这些运行中发现问题。")} <span class="quiet">{t("Checked: gradients, dead and saturated units, learning rate, over- and underfitting, labels, leaks, normalisation.", "已检查：梯度、失活与饱和单元、学习率、过拟合与欠拟合、标签、数据泄漏、归一化。")}</span></p>;
  const grade = { fault: t("fault", "故障"), warning: t("warning", "警告"), note: t("note", "提示") };
  return (
    <section class="findings" aria-label={t("What is wrong", "诊断")}>
      {left.slice(0, 12).map((f) => {
        const r = runsById.value.get(f.run), on = open === key(f) || !many;
        return (
          <article key={key(f)} class={`finding ${f.severity}`}>
            <header><button class="link head" aria-expanded={on} onClick={() => setOpen(open === key(f) ? "" : key(f))}><i class={f.severity} /><b>{f.title}</b></button><span class="quiet small">{grade[f.severity]}{f.layer && <> · {f.layer}</>} · {f.step < 0 ? t("before the first step", "训练开始之前") : `${t("first at step", "首次出现于第")} ${f.step}${t("", " 步")}`}{(log.value?.runs.length ?? 0) > 2 && r && <> · {nameOf(r)}</>}</span></header>
            <p class="evidence">{f.evidence}</p>
            {on && <><p><span class="quiet">{t("Why", "原因")}</span> {f.why}</p><p><span class="quiet">{t("What to do", "建议")}</span> {f.advice}</p>{f.recipe && <Command text={f.recipe} />}
              <p class="row">{f.tag && <button onClick={() => q.show(f)}>{t("Show the curve", "查看曲线")}</button>}<button class="link" onClick={() => setQuiet({ ...quiet, [key(f)]: true })}>{t("Silence", "不再提示")}</button></p></>}
          </article>
        );
      })}
      {left.length < list.length && <button class="link" onClick={() => setQuiet({})}>{t("show what was silenced", "显示已忽略的提示")} ({list.length - left.length})</button>}
    </section>
  );
}

/* ---- a hand on the run ---- */
function Controls() {
  const list = controls.value.filter((c) => !c.ended), [rate, setRate] = useState("");
  if (!list.length) return null;
  const send = (ask: Parameters<typeof api.sendControl>[0]): void => { void attempt(async () => { await api.sendControl(ask); await lookAtControls(); }); };
  return (
    <Panel title={t("Steer the run", "控制训练")} side={t("what you change is written into the run's history", "所做更改会写入该次运行的历史")}>
      {list.map((c) => (
        <div class="toolbar steer" key={c.run}>
          {list.length > 1 && <b>{c.run}</b>}
          <span class="n">{t("epoch", "第")} {c.epoch}/{c.epochs}{t("", " 轮")} · {t("step", "步")} {c.step}</span>
          <button class={c.paused ? "primary" : ""} onClick={() => send({ run: c.run, pause: !c.paused })}>{c.paused ? t("Go on", "继续") : t("Pause", "暂停")}</button>
          <button disabled={!c.paused} onClick={() => send({ run: c.run, pause: true, step: 1 })}>{t("One step", "单步")}</button>
          <button disabled={!c.paused} onClick={() => send({ run: c.run, pause: true, step: 50 })}>{t("50 steps", "50 步")}</button>
          <label>{t("learning rate", "学习率")} <b class="n">{num(c.rate, 3)}</b> → <input type="number" min="0" step="any" value={rate} placeholder={String(Number(c.rate.toPrecision(3)))} onInput={(e) => setRate((e.target as HTMLInputElement).value)} /></label>
          <button disabled={!(Number(rate) > 0)} onClick={() => { send({ run: c.run, rate: Number(rate) }); setRate(""); }}>{t("Change", "更改")}</button>
          <span>{[0.1, 0.5, 2].map((k) => <button key={k} class="link vote" onClick={() => send({ run: c.run, rate: c.rate * k })}>×{k}</button>)}</span>
          {c.changes.length > 0 && <span class="quiet small">{t("changed at", "已更改：")} {c.changes.slice(-4).map((x) => `${x.step}: ${num(x.rate, 3)}`).join(", ")}</span>}
        </div>
      ))}
    </Panel>
  );
}

/* ---- curves ---- */
/** Tags as people look for them: what was learned first, the layers' health last. */
const order = (tag: string): number => (/^(epoch_)?(val_)?loss$|^epoch_loss$/.test(tag) ? 0 : /accuracy|acc$|top_?k|f1|iou/i.test(tag) ? 1 : /loss/i.test(tag) ? 2 : /learning_rate|^lr$/i.test(tag) ? 3 : tag.startsWith("health/") ? 9 : 5);
const section = (tag: string): string => (tag.includes("/") ? tag.slice(0, tag.indexOf("/")) : "");

function ChartCard(q: { tag: api.Tag; width: number; marks: Mark[]; zoom: [number, number] | null; onZoom: (z: [number, number] | null) => void }) {
  const [big, setBig] = useState(false), series = useMemo(() => q.tag.series.filter((s) => visible.value.has(s.run)), [q.tag, visible.value]), w = big ? q.width * 2 + 12 : q.width;
  const points = series.reduce((n, s) => n + s.n, 0);
  return (
    <section class={`panel chartcard${big ? " big" : ""}`} id={`tag ${q.tag.tag}`}>
      <header><h2 title={q.tag.tag}>{q.tag.tag}</h2><div class="side">{series.length > 1 && series.length > 4 ? `${series.length} ${t("runs", "次运行")} · ` : ""}{points.toLocaleString("en-US")} {t("points", "点")}
        {series.length === 1 && <a href={api.csvAt(series[0].id)} download title={t("All points as CSV", "全部数据点 (CSV)")}>CSV</a>}<button class="icon" aria-label={big ? t("Smaller", "缩小") : t("Larger", "放大")} title={big ? t("Smaller", "缩小") : t("Larger", "放大")} onClick={() => setBig(!big)}>{big ? "⤡" : "⤢"}</button></div></header>
      <LineChart tag={q.tag.tag} series={series} w={Math.max(160, w - 26)} h={big ? 380 : 210} marks={q.marks} zoom={q.zoom} onZoom={q.onZoom} />
    </section>
  );
}

function Curves(q: { width: number; focus: string }) {
  const l = log.value!, [most, setMost] = useState<Record<string, number>>({}), [open, setOpen] = useState<Record<string, boolean>>({}), [zooms, setZooms] = useState<Record<string, [number, number] | null>>({});
  const tags = l.tags.filter((x) => x.kind === "scalar" && matches(x.tag, tagFilter.value) && x.series.some((s) => visible.value.has(s.run)));
  const sections = new Map<string, api.Tag[]>();
  for (const x of [...tags].sort((a, b) => order(a.tag) - order(b.tag))) sections.set(section(x.tag), [...(sections.get(section(x.tag)) ?? []), x]);
  const across = Math.max(1, Math.floor((q.width + 12) / 420)), width = (q.width - 12 * (across - 1)) / across, linked = axis.value !== "step";
  const zoomKey = (tag: string): string => (linked ? axis.value : tag);
  useEffect(() => { setZooms({}); }, [axis.value]);
  return (
    <>
      <p class="quiet small hint">{t("Drag: a part. Shift and drag: move. Ctrl and wheel: in and out. Double click: all.", "拖动：放大所选部分；Shift 加拖动：平移；Ctrl 加滚轮：缩放；双击：显示全部。")}</p>
      {[...sections].map(([name, list]) => {
        const closed = !(open[name] ?? (!(name === "health" || list.length > 40) || !!tagFilter.value || list.some((x) => x.tag === q.focus))), n = most[name] ?? MOST_CHARTS, shownTags = [...list.filter((x) => x.tag === q.focus), ...list.filter((x) => x.tag !== q.focus)].slice(0, n);
        return (
          <section key={name}>
            {(name || sections.size > 1) && <h2 class="group"><button class="link" aria-expanded={!closed} onClick={() => setOpen({ ...open, [name]: closed })}>{closed ? "▸" : "▾"} {name || t("the run", "总体")} <span class="quiet">{list.length}</span></button></h2>}
            {!closed && <div class="charts" style={{ gridTemplateColumns: `repeat(${across}, minmax(0, 1fr))` }}>{shownTags.map((x) => <ChartCard key={x.tag} tag={x} width={width} zoom={zooms[zoomKey(x.tag)] ?? null} onZoom={(z) => setZooms({ ...zooms, [zoomKey(x.tag)]: z })}
              marks={axis.value === "step" ? (findings.value ?? []).filter((f) => f.tag === x.tag && f.step >= 0).slice(0, 3).map((f) => ({ x: f.step, text: f.title })) : []} />)}</div>}
            {!closed && list.length > n && <button onClick={() => setMost({ ...most, [name]: n * 3 })}>{t("More", "更多")} ({list.length - n})</button>}
          </section>
        );
      })}
      {!tags.length && <p class="quiet empty">{l.tags.length ? t("No curve passes the filter.", "没有符合筛选条件的曲线。") : t("Nothing was logged yet; this page waits for it.", "还没有记录；本页会等待新数据。")}</p>}
    </>
  );
}

/* ---- pictures and texts, one slider for all ---- */
function PictureCard(q: { tag: string; series: api.Series; share: number }) {
  const steps = useLoad(async () => { try { return (await api.getSteps(q.series.id)).steps; } catch { return keep; } }, [q.series.id, stamp.value]), r = runsById.value.get(q.series.run);
  if (!steps?.length) return null;
  const target = steps[0] + (steps[steps.length - 1] - steps[0]) * q.share, k = steps.reduce((best, s, i) => (Math.abs(s - target) < Math.abs(steps[best] - target) ? i : best), 0);
  return (
    <section class="panel"><header><h2 title={q.tag}>{q.tag}</h2><div class="side">{t("step", "步")} {steps[k]} · {k + 1}/{steps.length}</div></header>
      <img class="logged" src={api.pictureAt(q.series.id, k)} alt={`${q.tag}, ${t("step", "步")} ${steps[k]}`} loading="lazy" />
      <p class="caption quiet">{r ? nameOf(r) : ""}</p></section>
  );
}
function Pictures() {
  const of = (kind: api.Kind): { tag: string; s: api.Series }[] => log.value!.tags.filter((x) => x.kind === kind && matches(x.tag, tagFilter.value)).flatMap((x) => x.series.filter((s) => visible.value.has(s.run)).map((s) => ({ tag: x.tag, s })));
  const tables = of("text").filter((x) => x.tag === TABLE).slice(0, 24), drawn = new Set(tables.map((x) => x.s.run)), list = of("picture").filter((x) => x.tag !== "confusion_matrix" || !drawn.has(x.s.run)); // the table says the same with names
  const [share, setShare] = useState(1), [most, setMost] = useState(24);
  if (!list.length && !tables.length) return <p class="quiet empty">{t("No picture was logged.", "没有记录图片。")}</p>;
  return (
    <>
      <label class="control wide"><span>{t("All pictures, from the first step to the last", "所有图片：从第一步到最后一步")}</span><input type="range" min="0" max="1" step="0.001" value={share} onInput={(e) => setShare(Number((e.target as HTMLInputElement).value))} /></label>
      <div class="cards">{list.slice(0, most).map((x) => <PictureCard key={x.s.id} tag={x.tag} series={x.s} share={share} />)}</div>
      {list.length > most && <button onClick={() => setMost(most * 3)}>{t("More", "更多")} ({list.length - most})</button>}
      {tables.length > 0 && <div class="confusions">{tables.map((x) => <ConfusionCard key={x.s.id} series={x.s} share={share} />)}</div>}
    </>
  );
}
function TextCard(q: { tag: string; series: api.Series }) {
  const got = useLoad(async () => { try { return await api.getText(q.series.id, q.series.n - 1); } catch { return undefined; } }, [q.series.id, q.series.n]), r = runsById.value.get(q.series.run);
  return <section class="panel"><header><h2 title={q.tag}>{q.tag}</h2><div class="side">{r ? nameOf(r) : ""} · {t("step", "步")} {q.series.last}</div></header><pre class="logged-text">{got?.lines.filter((x, i, all) => !(/^```/.test(x) && (i === 0 || i >= all.length - 2))).join("\n")}</pre></section>;
}
function Texts() {
  const list = log.value!.tags.filter((x) => x.kind === "text" && x.tag !== TABLE && matches(x.tag, tagFilter.value)).flatMap((x) => x.series.filter((s) => visible.value.has(s.run)).map((s) => ({ tag: x.tag, s })));
  return list.length ? <div class="texts">{list.slice(0, 60).map((x) => <TextCard key={x.s.id} tag={x.tag} series={x.s} />)}</div> : <p class="quiet empty">{t("No text was logged.", "没有记录文本。")}</p>;
}

/* ---- the table of runs ---- */
function Runs() {
  const l = log.value!, [sort, setSort] = useState<[string, number]>(["", 1]), [most, setMost] = useState(200);
  const metrics = l.tags.filter((x) => x.kind === "scalar" && !x.tag.startsWith("health/") && order(x.tag) < 3).sort((a, b) => order(a.tag) - order(b.tag)).slice(0, 4);
  const groups = new Map<string, api.Run[]>();
  for (const r of l.runs) if (matches(nameOf(r), runFilter.value)) groups.set(groupOf(r), [...(groups.get(groupOf(r)) ?? []), r]);
  const keys = [...new Set(l.runs.flatMap((r) => Object.keys(r.settings)))].slice(0, 30), differ = keys.filter((k) => new Set([...groups.values()].map((g) => g.map((r) => r.settings[k]).find((v) => v !== undefined))).size > 1), columns = [...differ, ...keys.filter((k) => !differ.includes(k))].slice(0, 14);
  const wanted = metrics.flatMap((x) => x.series.map((s) => s.id));
  const ends = useLoad(async () => { // least and last of every metric: two points a run are enough
    if (!wanted.length) return new Map<number, [number, number]>();
    try { const got = await api.getLines(wanted.slice(0, 20000), { axis: "step", columns: 1, smooth: 0 }); return new Map(got.lines.map((x) => [x.series, [Math.min(...Array.from(x.y).filter(Number.isFinite)), x.y[x.y.length - 1]] as [number, number]])); } catch { return keep; }
  }, [wanted.length, stamp.value]);
  interface Row { key: string; runs: api.Run[]; name: string; settings: Record<string, string>; values: Record<string, [number, number] | undefined> }
  const rows: Row[] = [...groups].map(([key, runs]) => {
    const settings = Object.assign({}, ...runs.map((r) => r.settings)) as Record<string, string>, values: Row["values"] = {};
    for (const x of metrics) for (const s of x.series) { const r = runs.find((y) => y.id === s.run); if (r) values[`${isTest(r) ? "val " : ""}${x.tag}`] = ends?.get(s.id); }
    return { key, runs, name: runs.length > 1 || part(runs[0]) ? nameOf(runs[0]).replace(/\/?(train|validation|val|test|eval)$/i, "") || l.logs[runs[0].log].replace(/\/+$/, "").split("/").pop()! : nameOf(runs[0]), settings, values };
  });
  const numbers = [...new Set(rows.flatMap((r) => Object.keys(r.values)))];
  const cell = (r: Row, c: string): string | number => (c === "" ? r.name : numbers.includes(c) ? r.values[c]?.[1] ?? NaN : r.settings[c] ?? "");
  rows.sort((a, b) => { const x = cell(a, sort[0]), y = cell(b, sort[0]), m = Number(x), n = Number(y); return sort[1] * (Number.isFinite(m) && Number.isFinite(n) ? m - n : String(x).localeCompare(String(y))); });
  const head = (c: string, text: string, number: boolean): preact.JSX.Element => <th class={number ? "n" : ""} aria-sort={sort[0] === c ? (sort[1] > 0 ? "ascending" : "descending") : "none"}><button class="link" title={text} onClick={() => setSort([c, sort[0] === c ? -sort[1] : 1])}>{text}{sort[0] === c ? (sort[1] > 0 ? " ↑" : " ↓") : ""}</button></th>;
  return (
    <Panel title={`${rows.length} ${t("runs", "次运行")}`} side={t("last value; least below it", "最新值，其下为最小值")}>
      <div class="tablebox"><table class="runtable"><thead><tr>{head("", t("run", "运行"), false)}{numbers.map((c) => head(c, c, true))}{columns.map((c) => head(c, c, false))}</tr></thead>
        <tbody>{rows.slice(0, most).map((r) => <tr key={r.key}><td class="tip-name" title={r.name}><i class="swatch" style={{ color: styles.value.get(r.runs[0].id)?.color }} />{r.name}</td>
          {numbers.map((c) => <td class="n">{r.values[c] ? <>{num(r.values[c]![1], 4)}<br /><span class="quiet small">{num(r.values[c]![0], 4)}</span></> : ""}</td>)}
          {columns.map((c) => <td class={differ.includes(c) ? "differs" : "quiet"} title={r.settings[c]}>{Number.isFinite(Number(r.settings[c])) && r.settings[c] !== "" && r.settings[c] !== undefined ? num(Number(r.settings[c]), 4) : r.settings[c]}</td>)}</tr>)}</tbody></table></div>
      {rows.length > most && <button onClick={() => setMost(most * 4)}>{t("More", "更多")} ({rows.length - most})</button>}
    </Panel>
  );
}
const part = (r: api.Run): boolean => /(^|\/)(train|validation|val|test|eval)$/i.test(r.name);

export function Watch() {
  const [ref, width] = useWidth<HTMLDivElement>(), l = log.value, [focus, setFocus] = useState(""), what = tab.value;
  useEffect(follow, []);
  const count = (kind: api.Kind): number => l?.tags.filter((x) => x.kind === kind).length ?? 0, health = !!l?.tags.some((x) => x.tag.startsWith("health/"));
  const tabs: [string, string][] = [["curves", t("Curves", "曲线")], ...(health ? [["layers", t("Layers", "各层")] as [string, string]] : []), ...(count("histogram") ? [["histograms", t("Histograms", "直方图")] as [string, string]] : []), ...(count("picture") ? [["pictures", t("Pictures", "图片")] as [string, string]] : []), ...(count("text") ? [["texts", t("Texts", "文本")] as [string, string]] : []), ["runs", t("Runs", "运行表")]];
  const show = (f: api.Finding): void => { setFocus(f.tag); tagFilter.value = ""; set("tab", "curves"); setTimeout(() => document.getElementById(`tag ${f.tag}`)?.scrollIntoView({ block: "center" }), 60); };
  return (
    <div class="page watching" ref={ref}>
      {!l ? <p class="quiet empty">{t("reading…", "正在读取…")}</p> : <>
        {l.notes.length > 0 && <details class="notes"><summary>{t("Damaged files", "损坏的文件")} ({l.notes.length})</summary>{l.notes.map((x) => <p key={x} class="small">{x}</p>)}</details>}
        <Findings show={show} />
        <Controls />
        <div class="toolbar"><Segmented label={t("What is shown", "显示内容")} value={what} set={(v) => set("tab", v === "curves" ? "" : v)} options={tabs} />
          {what !== "runs" && what !== "layers" && <input type="search" placeholder={t("filter tags, or /regex/", "筛选标签，或 /正则/")} value={tagFilter.value} onInput={(e) => { tagFilter.value = (e.target as HTMLInputElement).value; }} aria-label={t("Filter tags", "筛选标签")} />}</div>
        {width > 0 && (what === "layers" ? <Health width={width} /> : what === "histograms" ? <Histograms width={width} /> : what === "pictures" ? <Pictures /> : what === "texts" ? <Texts /> : what === "runs" ? <Runs /> : <Curves width={width} focus={focus} />)}
        <Command text={`convscope watch ${l.logs.map(word).join(" ")} --text`} />
      </>}
    </div>
  );
}
