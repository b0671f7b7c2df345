// visdom.tsx - the page of what the Visdom client for Python draws: environments beside, panes in the order they came, brought up to date
// twice a second. Texts are HTML of somebody's program: they stand in frames that can run nothing and fetch nothing.
import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { follow, tell, textAddress, type Pane, type Picture, type Plot, type Property, type View } from "./visdomapi";
import { attempt, dark, extra, go, t } from "./store";
import { Command, Panel } from "./canvas";
import { isPlain, PlainPlot } from "./visdomplot";
import { PlotlyFrame } from "./visdomframe";
import { Embeddings, Network } from "./visdomgraph";

const view = signal<View | null>(null), filter = signal("");
const env = (): string => extra.value.env ?? "main";
const send = (pane: Pane, what: string, more: Record<string, unknown> = {}): void => { void attempt(() => tell(env(), pane.id, what, more)); };

export function VisdomRail() {
  const v = view.value;
  return (
    <aside class="rail" aria-label={t("Environments", "环境")}>
      <h3>{t("Environments", "环境")}</h3>
      <ul class="envs">{(v?.envs ?? []).map(([name, n]) => <li key={name}><button class={name === env() ? "link on" : "link"} aria-current={name === env() ? "true" : undefined} onClick={() => go({ extra: { env: name } })}>{name}</button> <span class="quiet small">{n}</span></li>)}</ul>
      <label class="control"><span>{t("Titles", "标题")}</span><input type="search" placeholder={t("filter", "筛选")} value={filter.value} onInput={(e) => { filter.value = (e.target as HTMLInputElement).value; }} /></label>
      {v?.saves && <button onClick={() => { void attempt(() => tell(env(), "", "save")); }}>{t("Save this environment", "保存此环境")}</button>}
    </aside>
  );
}

function Pictures(q: { pane: Pane }) {
  const list = q.pane.type === "image_history" ? (q.pane.content as Picture[]) : [q.pane.content as Picture], last = list.length - 1;
  const [chosen, setChosen] = useState(-1), at = chosen < 0 || chosen > last ? last : chosen, one = list[at] ?? {};
  const src = typeof one.src === "string" && one.src.startsWith("data:image/") ? one.src : "";
  return (
    <figure class="vimage">
      {src ? <img src={src} alt={one.caption || q.pane.title || t("Picture", "图片")} /> : <p class="quiet">{t("no picture", "没有图片")}</p>}
      {last > 0 && <input type="range" min="0" max={last} value={at} aria-label={t("Which picture", "第几张")} onInput={(e) => setChosen(Number((e.target as HTMLInputElement).value))} />}
      <figcaption class="small">{one.caption}{last > 0 && <span class="quiet"> {at + 1}/{last + 1}</span>}</figcaption>
    </figure>
  );
}

function Properties(q: { pane: Pane }) {
  const list = Array.isArray(q.pane.content) ? (q.pane.content as Property[]) : [];
  const set = (i: number, value: unknown): void => send(q.pane, "property", { property: i, value });
  const field = (p: Property, i: number) => {
    const value = (e: Event): string => (e.target as HTMLInputElement).value;
    if (p.type === "button") return <button onClick={() => set(i, "clicked")}>{String(p.value ?? p.name)}</button>;
    if (p.type === "checkbox") return <input type="checkbox" aria-label={p.name} checked={!!p.value} onChange={() => set(i, !p.value)} />;
    if (p.type === "select") return <select aria-label={p.name} value={String(p.value)} onChange={(e) => set(i, Number(value(e)))}>{(p.values ?? []).map((x, k) => <option key={k} value={String(k)}>{x}</option>)}</select>;
    return <input type={p.type === "number" ? "number" : "text"} step="any" aria-label={p.name} value={String(p.value ?? "")} onChange={(e) => set(i, value(e))} />;
  };
  return <table class="vprops"><tbody>{list.map((p, i) => <tr key={i}><th scope="row">{p.name}</th><td>{field(p, i)}</td></tr>)}</tbody></table>;
}

function Body(q: { pane: Pane; w: number; h: number }) {
  const { pane } = q, plot = pane.type === "plot" ? (pane.content as Plot) : null;
  if (pane.type === "text") return <iframe class="vtext" sandbox="" title={pane.title || t("Text", "文本")} src={textAddress(env(), pane.id, pane.number, dark.value ? "dark" : "light")} style={{ height: q.h }} />;
  if (pane.type === "image" || pane.type === "image_history") return <Pictures pane={pane} />;
  if (pane.type === "properties") return <Properties pane={pane} />;
  if (pane.type === "network") return <Network pane={pane} w={q.w} h={q.h} />;
  if (pane.type === "embeddings") return <Embeddings pane={pane} env={env()} w={q.w} h={q.h} send={(what, more) => send(pane, what, more)} />;
  if (plot && Array.isArray(plot.data)) return isPlain({ data: plot.data, layout: plot.layout ?? {} }) ? <PlainPlot plot={{ data: plot.data, layout: plot.layout ?? {} }} number={pane.number} w={q.w} h={q.h} title={pane.title ?? ""} /> : <PlotlyFrame plot={plot} number={pane.number} h={q.h} title={pane.title ?? ""} />;
  return <p class="quiet">{t("This kind of pane is not drawn here:", "此类面板暂不绘制：")} {pane.type}</p>;
}

function One(q: { pane: Pane }) {
  const { pane } = q, asked = typeof pane.width === "number" ? pane.width : 0, w = Math.min(900, Math.max(260, asked || 400)), tall = typeof pane.height === "number" ? pane.height : 0;
  return (
    <section class="panel vpane" style={{ width: w + 26 }} aria-label={pane.title || pane.id}>
      <header><h2>{pane.title || <span class="quiet">{pane.id}</span>}</h2><button class="icon" aria-label={t("Close this pane", "关闭此面板")} title={t("Close", "关闭")} onClick={() => send(pane, "close")}>×</button></header>
      <Body pane={pane} w={w} h={Math.min(900, Math.max(120, tall || 260))} />
    </section>
  );
}

export function Visdom() {
  const v = view.value, now = env();
  useEffect(() => {
    let over = false, timer = 0;
    const look = async (): Promise<void> => {
      try {
        const got = document.hidden ? null : await follow(view.value, now);
        if (got && !over) view.value = got; // not what belongs to the environment that was left
      } catch { /* the server ends or is busy: the next look tells */ }
      if (!over) timer = window.setTimeout(() => { void look(); }, 500);
    };
    void look();
    return () => { over = true; clearTimeout(timer); };
  }, [now]);
  if (!v || v.env !== now) return <p class="quiet empty">{t("opening…", "正在打开…")}</p>;
  const shown = v.panes.filter((p) => !filter.value || (p.title ?? "").toLowerCase().includes(filter.value.toLowerCase()));
  if (!v.panes.length) return <Panel title="Visdom"><p>{t("Nothing was drawn into this environment yet. In Python:", "此环境中还没有内容。在 Python 中：")}</p><Command text={`vis = visdom.Visdom(port=${v.port})`} /></Panel>;
  return <div class="vpanes">{shown.map((p) => <One key={p.id} pane={p} />)}</div>;
}
