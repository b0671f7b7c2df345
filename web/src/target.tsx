// target.tsx - what is explained: the model's answer, a class by search, one number of a layer, or a region of it.
import { useMemo, useRef, useState } from "preact/hooks";
import { extra, go, layers, model, prediction, t } from "./store";
import { Segmented } from "./canvas";
import { grid, percent } from "./format";

export type Kind = "answer" | "class" | "neuron" | "region";
export const kindOf = (text: string): Kind => (text === "" ? "answer" : text.startsWith("neuron:") ? "neuron" : text.startsWith("region:") ? "region" : "class");
/** As the server takes it: a number for a class, else text; nothing for the answer. */
export const targetOf = (text: string): number | string | undefined => (text === "" ? undefined : /^\d+$/.test(text) ? Number(text) : text);

const set = (target: string): void => go({ extra: { target } });

/** A class by name or number; what was typed is looked for in all names. */
function ClassPicker(q: { value: string }) {
  const names = model.value?.classes ?? [], scores = prediction.value?.scores ?? [], [typed, setTyped] = useState<string | null>(null), [open, setOpen] = useState(false), [at, setAt] = useState(0), leaving = useRef(0);
  const nameOf = (i: number): string => names[i] || scores.find((s) => s.index === i)?.name || `${t("class", "类别")} ${i}`;
  const found = useMemo(() => {
    const word = (typed ?? "").trim().toLowerCase(), all = names.length ? names.map((_, i) => i) : scores.map((s) => s.index);
    if (!word) return scores.map((s) => s.index).concat(all.filter((i) => !scores.some((s) => s.index === i))).slice(0, 60);
    const hits = all.filter((i) => String(i) === word || (names[i] ?? "").toLowerCase().includes(word));
    if (/^\d+$/.test(word) && !names.length && !hits.includes(Number(word))) hits.unshift(Number(word));
    return hits.sort((a, b) => Number((names[b] ?? "").toLowerCase().startsWith(word)) - Number((names[a] ?? "").toLowerCase().startsWith(word))).slice(0, 60);
  }, [typed, names, scores]);
  const take = (i: number | undefined): void => { if (i === undefined) return; set(String(i)); setTyped(null); setOpen(false); };
  const key = (e: KeyboardEvent): void => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { setOpen(true); setAt(Math.max(0, Math.min(found.length - 1, at + (e.key === "ArrowDown" ? 1 : -1)))); e.preventDefault(); }
    else if (e.key === "Enter") take(found[at]);
    else if (e.key === "Escape" && open) { setOpen(false); setTyped(null); e.stopPropagation(); }
  };
  return (
    <span class="combo">
      <input type="search" role="combobox" aria-expanded={open} aria-controls="class-list" aria-label={t("Class: type to search", "类别：输入以搜索")} placeholder={t("search a class", "搜索类别")} autocomplete="off"
        value={typed ?? nameOf(Number(q.value))} onFocus={() => { clearTimeout(leaving.current); setOpen(true); setTyped(""); setAt(0); }} onBlur={() => { leaving.current = window.setTimeout(() => { setOpen(false); setTyped(null); }, 150); }} onInput={(e) => { setTyped((e.target as HTMLInputElement).value); setOpen(true); setAt(0); }} onKeyDown={key} />
      {open && <ul id="class-list" role="listbox">{found.map((i, k) => { const s = scores.find((x) => x.index === i); return <li key={i} role="option" aria-selected={k === at} class={k === at ? "on" : ""} onPointerDown={(e) => { e.preventDefault(); take(i); }}><span>{nameOf(i)}</span><span class="quiet">{s ? percent(s.probability) : i}</span></li>; })}{!found.length && <li class="quiet">{t("no class of that name", "没有这个名字的类别")}</li>}</ul>}
    </span>
  );
}

/** neuron:LAYER:CHANNEL[,ROW,COLUMN] and region:LAYER:CHANNEL,ROW-ROW,COLUMN-COLUMN, as fields. */
function Place(q: { value: string; kind: "neuron" | "region" }) {
  const list = layers.value.filter((l) => l.dim.length >= 2), [, where = "", rest = "0"] = q.value.split(":"), l = list.find((x) => String(x.index) === where) ?? list[list.length - 1];
  const [C, H, W] = grid(l?.dim ?? []), [c = "0", rows = "", columns = ""] = rest.split(","), flat = H * W === 1;
  const put = (layer: number, text: string): void => set(`${q.kind}:${layer}:${text}`);
  const num = (v: string, top: number): string => String(Math.max(0, Math.min(top, Math.floor(Number(v) || 0))));
  const span = (v: string, n: number): [string, string] => { const [a = "0", b = String(n - 1)] = v ? v.split("-") : ["0", String(n - 1)]; return [a, b]; };
  const [r0, r1] = span(rows, H), [c0, c1] = span(columns, W);
  const field = (label: string, value: string, top: number, then: (v: string) => void): preact.JSX.Element => <label>{label} <input type="number" min={0} max={top} value={value} onChange={(e) => then(num((e.target as HTMLInputElement).value, top))} /></label>;
  if (!l) return null;
  return (<>
    <label>{t("in", "于")} <select value={String(l.index)} onChange={(e) => put(Number((e.target as HTMLSelectElement).value), "0")}>{list.map((x) => <option key={x.index} value={String(x.index)}>{x.index} {x.name}</option>)}</select></label>
    {field(t("channel", "通道"), c === "*" ? "0" : c, C - 1, (v) => put(l.index, [v, rows, columns].filter(Boolean).join(",")))}
    {q.kind === "neuron" && !flat && <label><input type="checkbox" checked={!rows} onChange={(e) => put(l.index, (e.target as HTMLInputElement).checked ? c : `${c},${H >> 1},${W >> 1}`)} /> {t("where it is strongest", "取最强处")}</label>}
    {q.kind === "neuron" && rows && <>{field(t("row", "行"), rows, H - 1, (v) => put(l.index, `${c},${v},${columns}`))}{field(t("column", "列"), columns, W - 1, (v) => put(l.index, `${c},${rows},${v}`))}</>}
    {q.kind === "region" && !flat && <>{field(t("rows", "行"), r0, H - 1, (v) => put(l.index, `${c},${v}-${Math.max(Number(v), Number(r1))},${c0}-${c1}`))}{field("–", r1, H - 1, (v) => put(l.index, `${c},${Math.min(Number(r0), Number(v))}-${v},${c0}-${c1}`))}
      {field(t("columns", "列"), c0, W - 1, (v) => put(l.index, `${c},${r0}-${r1},${v}-${Math.max(Number(v), Number(c1))}`))}{field("–", c1, W - 1, (v) => put(l.index, `${c},${r0}-${r1},${Math.min(Number(c0), Number(v))}-${v}`))}</>}
  </>);
}

export function TargetPicker() {
  const text = extra.value.target ?? "", kind = kindOf(text), a = prediction.value, list = layers.value.filter((l) => l.dim.length === 4), last = [...list].reverse().find((l) => l.conv) ?? list[list.length - 1];
  const choose = (k: Kind): void => set(k === "answer" ? "" : k === "class" ? String(a?.scores[1]?.index ?? a?.scores[0]?.index ?? 0) : `${k}:${last?.index ?? 0}:0`);
  const options: [Kind, string][] = [["answer", t("the answer", "模型的回答")], ["class", t("a class", "某个类别")], ["neuron", t("a neuron", "某个神经元")], ["region", t("a region", "某个区域")]];
  return (
    <span class="target"><span>{t("Explain", "解释")}</span> <Segmented value={kind} set={choose} label={t("What is explained", "解释的对象")} options={last ? options : options.slice(0, 2)} />
      {kind === "class" && <ClassPicker value={text} />}{(kind === "neuron" || kind === "region") && <Place value={text} kind={kind} />}</span>
  );
}
