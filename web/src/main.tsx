// main.tsx - the frame of the page: header, rail, page, foot.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "./style.css";
import "./panels.css";
import * as api from "./api";
import { attempt, busy, chosenNow, dark, go, lang, m, model, page, pagesNow, palette, refresh, start, state, step, t, theme, trouble, watches, type Page } from "./store";
import { Rail, takeFiles } from "./rail";
import { bytes, short } from "./format";
import { Overview } from "./overview";
import { Network } from "./network";
import { LayerPage } from "./layer";
import { Arithmetic } from "./arithmetic";
import { Why } from "./why";
import { Compare } from "./compare";
import { Tour, TourCard } from "./tour";
import { Watch, WatchRail } from "./watch";
import { Visdom, VisdomRail } from "./visdom";
import { Evolution, EvolutionRail } from "./evolution";

const names = (): Record<Page, string> => ({
  overview: t("Overview", "总览"), network: t("Network", "结构"), layer: t("Layer", "层"), arithmetic: t("Arithmetic", "算术"),
  why: t("Why", "为什么"), compare: t("Compare", "对比"), tour: t("Tour", "导览"), watch: t("Training", "训练"), evolution: t("Evolution", "演化"), visdom: "Visdom",
});
const views: Record<Page, () => preact.JSX.Element> = { overview: Overview, network: Network, layer: LayerPage, arithmetic: Arithmetic, why: Why, compare: Compare, tour: Tour, watch: Watch, evolution: Evolution, visdom: Visdom };

const builtinName = (x: string): string => ({ things: t("Things (colour pictures)", "物体（彩色图片）"), digits: t("Digits", "手写数字"), shortcut: t("Shortcut (a flawed one)", "捷径（有缺陷的模型）") })[x] ?? x;

function ModelChooser() {
  const s = state.value!;
  const choose = async (value: string): Promise<void> => {
    if (!value.startsWith("+")) { go({ m: Number(value) }); return; }
    const here = chosenNow(), got = await attempt(() => api.openBuiltin(value.slice(1)));
    if (got) { await refresh(); if (here()) go({ m: got.id }); }
  };
  return (
    <select class="models" aria-label={t("Model", "模型")} value={String(m.value)} onChange={(e) => { void choose((e.target as HTMLSelectElement).value); }}>
      {s.models.map((x) => <option key={x.id} value={String(x.id)}>{x.builtin ? builtinName(x.builtin) : x.name}</option>)}
      {s.builtin.map((x) => <option key={x} value={`+${x}`}>{builtinName(x)}</option>)}
    </select>
  );
}

function Header() {
  const info = model.value, name = names();
  return (
    <header class="top">
      <a class="logo" href="#/overview" aria-label="Convscope"><svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true"><g fill="none" stroke="currentColor" stroke-width="2.4"><rect x="3" y="3" width="15" height="15" rx="2" opacity=".4" /><rect x="8.500" y="8.500" width="15" height="15" rx="2" opacity=".7" /><rect x="14" y="14" width="15" height="15" rx="2" /></g></svg>Convscope</a>
      {!!state.value?.models.length && <ModelChooser />}
      <nav aria-label={t("Pages", "页面")}>
        {pagesNow.value.map((x) => <button key={x} class={page.value === x ? "on" : ""} aria-current={page.value === x ? "page" : undefined} onClick={() => go({ page: x })}>{name[x]}</button>)}
      </nav>
      <div class="numbers" title={info ? `${info.format} · ${info.preprocess}` : ""}>
        {info && <><b>{short(info.params)}</b> {t("parameters", "参数")} · <b>{short(info.macs)}</b> {t("MACs", "乘加")} · <b>{bytes(info.memory)}</b></>}
      </div>
      <button class="icon swatch" aria-label={t("Colours of maps", "特征图配色")} title={t("Colours of maps: blue to yellow, dark to warm, grey", "特征图配色：蓝黄、暖色、灰度")} onClick={() => { palette.value = palette.value === "usual" ? "warm" : palette.value === "warm" ? "grey" : "usual"; }}><i class={palette.value} /></button>
      <button class="icon" title={t("中文", "English")} aria-label={t("Switch to Chinese", "切换到英文")} onClick={() => { lang.value = lang.value === "en" ? "zh" : "en"; }}>{t("中", "EN")}</button>
      <button class="icon" aria-label={t("Light or dark", "浅色或深色")} title={t("Light or dark", "浅色或深色")} onClick={() => { theme.value = dark.value ? "light" : "dark"; }}>{dark.value ? "☀" : "☾"}</button>
    </header>
  );
}

function App() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const stop = (e: DragEvent): void => { e.preventDefault(); setOver(e.type === "dragover"); };
    const drop = (e: DragEvent): void => { e.preventDefault(); setOver(false); if (e.dataTransfer?.files.length) void takeFiles(e.dataTransfer.files); };
    addEventListener("dragover", stop); addEventListener("dragleave", stop); addEventListener("drop", drop);
    return () => { removeEventListener("dragover", stop); removeEventListener("dragleave", stop); removeEventListener("drop", drop); };
  }, []);
  const View = views[page.value];
  return (
    <div class={over ? "frame over" : "frame"}>
      <Header />
      <div class={busy.value > 0 ? "busy on" : "busy"} aria-hidden="true" />
      {page.value === "evolution" ? <EvolutionRail /> : page.value === "visdom" ? <VisdomRail /> : watches.value ? <WatchRail /> : <Rail />}
      <main id="main" aria-label={names()[page.value]}>{watches.value ? <View key={page.value} /> : model.value ? <View key={`${page.value} ${m.value}`} /> : <p class="quiet empty">{state.value && !state.value.models.length ? t("Drop a model file here.", "将模型文件拖放到此处。") : t("opening…", "正在打开…")}</p>}</main>
      {step.value >= 0 && <TourCard />}
      {trouble.value && <div class="trouble" role="alert"><span>{trouble.value}</span><button onClick={() => { trouble.value = ""; }} aria-label={t("Close", "关闭")}>×</button></div>}
    </div>
  );
}

void start();
const root = document.getElementById("app")!;
root.textContent = "";
render(<App />, root);
