// inspector.tsx - the box that is chosen in the network: what it does, its maps, its neighbours, and everything that its nodes say of themselves.
import { useState } from "preact/hooks";
import * as api from "./api";
import { attempt, channel, go, lang, layers, m, model, t } from "./store";
import { Panel, useLoad } from "./canvas";
import { MapView } from "./mapview";
import type { Scene } from "./graphscene";
import { bytes, num, percent, shape, short } from "./format";

type Way = "" | "in" | "out" | "both";
interface InspectorProps { box?: api.GraphBox; scene: Scene | null; way: Way; setWay: (v: Way) => void; open: (name: string) => void; show: (id: string) => void }

export function Inspector(q: InspectorProps) {
  const b = q.box, info = model.value!, l = b && b.layer >= 0 && b.kind !== "group" ? layers.value[b.layer] : undefined, last = b && b.last >= 0 ? layers.value[b.last] : undefined;
  if (!b) return (
    <Panel class="inspector" title={<span class="wrap">{info.name}</span>}>
      <dl class="numbers"><dt>{t("format", "格式")}</dt><dd>{info.format}</dd>{info.producer && <><dt>{t("made by", "生成者")}</dt><dd class="wrap">{info.producer}</dd></>}<dt>{t("layers", "层数")}</dt><dd>{info.layers.length}</dd><dt>{t("parameters", "参数")}</dt><dd>{short(info.params)}</dd><dt>{t("MACs", "乘加")}</dt><dd>{short(info.macs)}</dd><dt>{t("activations", "激活内存")}</dt><dd>{bytes(info.memory)}</dd><dt>{t("input", "输入")}</dt><dd>{info.input.replace(/x/g, "×")}</dd></dl>
      {info.random && <p class="quiet small">{t("The file has no weights: these are random, nothing is learned.", "文件没有权重：此处为随机权重，网络尚未学到任何东西。")}</p>}
      {info.notes.filter((n) => !info.random || !/no weights|没有权重/.test(n)).map((n) => <p key={n} class="quiet small">{n}</p>)}
      <p class="quiet small">{t("Click a box. Drag to move, wheel or pinch to zoom: blocks open into layers, layers into operators.", "单击方框查看；拖动平移，滚轮或双指缩放：块会展开为层，层展开为算子。")}</p>
      <div class="row">{(["svg", "png", "pdf", "tex", "dot"] as const).map((x) => <a key={x} class="button" href={api.fileAddress("figure", { m: m.value, ext: x })} download>{x.toUpperCase()}</a>)}</div>
    </Panel>
  );
  return (
    <Panel class="inspector" title={<span class="wrap">{b.title}</span>}>
      <dl class="numbers"><dt>{t("name", "名称")}</dt><dd class="wrap">{b.name}</dd>{l && <><dt>{t("operator", "算子")}</dt><dd>{[...new Set(layers.value.slice(b.layer, b.last + 1).map((x) => x.op))].slice(0, 5).join(" + ") || l.op}</dd></>}<dt>{t("in", "输入")}</dt><dd>{b.in}</dd><dt>{t("out", "输出")}</dt><dd>{b.out}</dd>
        <dt>{t("parameters", "参数")}</dt><dd>{short(b.params)}</dd><dt>{t("MACs", "乘加")}</dt><dd>{short(b.macs)}</dd><dt>{t("memory", "内存")}</dt><dd>{bytes(b.bytes)}</dd>
        {b.times > 1 && <><dt>{t("stands for", "代表")}</dt><dd>×{b.times}</dd></>}{last?.field && <><dt>{t("sees", "感受野")}</dt><dd>{last.field.size.join("×")}</dd></>}</dl>
      {last && last.dim.length === 4 && last.dim[2] > 1 && <MapView where={String(last.index)} channel={Math.min(channel.value, last.dim[1] - 1)} size={170} label={t("one of its maps for this picture", "该层对当前图片的一张特征图")} onPick={() => go({ page: "layer", layer: last.index })} />}
      <div class="row">
        {b.kind === "group" && <button class="primary" onClick={() => q.open(b.name)}>{t("Open", "展开")}</button>}
        {last && <button class="primary" onClick={() => go({ page: "layer", layer: last.index, channel: 0 })}>{t("Channels", "通道")}</button>}
        {l && <button onClick={() => go({ page: "arithmetic", layer: l.index, at: -1, channel: 0 })}>{t("Arithmetic", "算术")}</button>}
      </div>
      {l && <><p><code class="formula">{l.formula}</code></p><p class="quiet small">{l.sentence}</p>{l.reading && <p class="quiet small">{l.reading}</p>}{l.note && <p class="quiet small wrap">{l.note}</p>}</>}
      <h3>{t("Trace", "追踪")}</h3>
      <div class="row">{([["in", t("to the input", "至输入")], ["out", t("to the output", "至输出")], ["both", t("both", "双向")]] as const).map(([k, text]) => <button key={k} aria-pressed={q.way === k} class={q.way === k ? "on" : ""} onClick={() => q.setWay(q.way === k ? "" : k)}>{text}</button>)}</div>
      {q.scene && <Neighbours scene={q.scene} id={b.id} show={q.show} />}
      {l && <Nodes first={b.layer} last={Math.min(Math.max(b.last, b.layer), b.layer + 5)} />}
    </Panel>
  );
}

function Neighbours(q: { scene: Scene; id: string; show: (id: string) => void }) {
  const from = q.scene.links.filter((x) => x.to === q.id), to = q.scene.links.filter((x) => x.from === q.id);
  const line = (id: string, dim: string): preact.JSX.Element => { const b = q.scene.byId.get(id); return <li key={id}><button class="link wrap" onClick={() => q.show(id)}>{b?.name || b?.title}</button> <span class="quiet small">{dim}</span></li>; };
  const shapes = new Map(q.scene.graph.links.map((x) => [`${x.from} ${x.to}`, x.shape]));
  return (<>
    {from.length > 0 && <><h3>{t("Reads", "读取")}</h3><ul class="neighbours">{from.map((x) => line(x.from, shapes.get(`${x.from} ${x.to}`) ?? ""))}</ul></>}
    {to.length > 0 && <><h3>{t("Read by", "被读取")}</h3><ul class="neighbours">{to.map((x) => line(x.to, shapes.get(`${x.from} ${x.to}`) ?? ""))}</ul></>}
  </>);
}

/* Everything that the file says, node by node, as a model viewer shows it. */
function Nodes(q: { first: number; last: number }) {
  const [open, setOpen] = useState(false), list = Array.from({ length: q.last - q.first + 1 }, (_, i) => q.first + i);
  return (
    <details class="nodes" open={open} onToggle={(e) => setOpen((e.target as HTMLDetailsElement).open)}>
      <summary>{t("All attributes and weights", "全部属性与权重")}</summary>
      {open && list.map((i) => <Node key={i} layer={i} />)}
    </details>
  );
}

function Node(q: { layer: number }) {
  const d = useLoad(() => attempt(() => api.getNode(m.value, q.layer)), [q.layer, m.value, lang.value]), l = layers.value[q.layer];
  if (!d) return null;
  const words = { attribute: t("attributes", "属性"), input: t("inputs", "输入"), output: t("outputs", "输出") };
  return (
    <section>
      <h3>{d.op} <span class="quiet wrap">{d.name}</span></h3>
      {(["attribute", "input", "output"] as const).map((kind) => { const list = d.parts.filter((x) => x.kind === kind); return list.length > 0 && (
        <dl key={kind} class="numbers small"><dt class="group">{words[kind]}</dt><dd />{list.map((x) => [
          <dt key={`${x.name}k`} class="wrap">{x.name}</dt>,
          <dd key={`${x.name}v`} class="wrap">{x.text || (kind === "output" ? shape(l?.dim ?? []) : "")}{x.numbers && <span class="quiet"><br />{num(Number(x.numbers[0]), 3)} … {num(Number(x.numbers[1]), 3)}, {t("mean", "均值")} {num(Number(x.numbers[2]), 3)}, σ {num(Number(x.numbers[3]), 3)}{Number(x.numbers[4]) > 0.001 && `, ${percent(Number(x.numbers[4]))} ${t("zeros", "为零")}`}</span>}</dd>])}</dl>); })}
    </section>
  );
}
