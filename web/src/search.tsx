// search.tsx - finding a box of the network: by name, type or shape, also of layers that are folded away; every word must match, "quoted" exactly.
import { useRef, useState } from "preact/hooks";
import { layers, t } from "./store";
import { boxOfLayer, type Scene } from "./graphscene";
import type { GraphBox } from "./api";
import { shape } from "./format";

interface Hit { box: GraphBox; name: string; what: string }

export function found(s: Scene, text: string): Hit[] {
  const words = [...text.toLowerCase().matchAll(/"([^"]*)"|(\S+)/g)].map((x) => (x[1] !== undefined ? { exact: true, is: x[1] } : { exact: false, is: x[2].replace(/[x*]/g, (c) => (/^\d+([x*]\d+)+$/.test(x[2]) ? "×" : c)) }));
  const fits = (fields: string[]): boolean => words.every((w) => fields.some((f) => (w.exact ? f.toLowerCase() === w.is : f.toLowerCase().includes(w.is))));
  const out: Hit[] = [], seen = new Set<string>();
  for (const b of s.graph.boxes) if (fits([b.name, b.title, b.class, b.out, b.in])) { seen.add(b.id); out.push({ box: b, name: b.name, what: `${b.title} · ${b.out}` }); }
  for (const l of layers.value) {
    if (!fits([l.name, l.op, l.title, shape(l.dim), String(l.index)])) continue;
    const b = boxOfLayer(s, l.index);
    if (b && !(seen.has(b.id) && (b.name === l.name || b.layer === l.index))) out.push({ box: b, name: l.name, what: `${l.title} · ${shape(l.dim)}` });
  }
  return out;
}

export function Search(q: { text: string; set: (v: string) => void; hits: Hit[] | null; show: (id: string) => void; selected: string }) {
  const [at, setAt] = useState(0), [open, setOpen] = useState(false), leaving = useRef(0), list = (q.hits ?? []).slice(0, 60);
  const go = (i: number): void => { if (list[i]) { setAt(i); q.show(list[i].box.id); } };
  const key = (e: KeyboardEvent): void => {
    const d = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[e.key];
    if (d && list.length) { e.preventDefault(); setOpen(true); go(Math.max(0, Math.min(list.length - 1, at + d))); }
    if (e.key === "Enter" && list.length) { go(list[at]?.box.id === q.selected && open ? (at + 1) % list.length : at); setOpen(true); }
    if (e.key === "Escape") { q.set(""); setOpen(false); }
  };
  return (
    <span class="search">
      <input type="search" role="combobox" aria-expanded={open && list.length > 0} aria-controls="found" placeholder={t("name, type, shape", "名称、类型、形状")} aria-label={t("Search", "搜索")} value={q.text}
        onInput={(e) => { setAt(0); setOpen(true); q.set((e.target as HTMLInputElement).value); }} onKeyDown={key} onBlur={() => { leaving.current = window.setTimeout(() => setOpen(false), 150); }} onFocus={() => { clearTimeout(leaving.current); setOpen(true); }} />
      {q.hits && <span class="quiet n"> {q.hits.length}</span>}
      {open && list.length > 0 && <ul id="found" role="listbox" aria-label={t("Found", "搜索结果")}>{list.map((x, i) => (
        <li key={`${x.box.id} ${x.name}`} role="option" aria-selected={i === at} class={i === at ? "on" : ""} onPointerDown={(e) => { e.preventDefault(); go(i); }}><b>{x.name}</b> <span class="quiet">{x.what}</span></li>))}</ul>}
    </span>
  );
}
