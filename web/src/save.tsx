// save.tsx - what a panel shows as files: figures that the program draws (SVG, PNG, PDF), numbers (.npy, CSV), the canvas as it is.
import { useEffect, useRef } from "preact/hooks";
import * as api from "./api";
import { dark, m, p, t, trouble } from "./store";
import { pdfFile, svgFile } from "./vector";

export interface Item { label: string; href?: string; run?: () => void | Promise<void> }
type Args = Record<string, string | number | undefined>;

/** Gives a file to the browser. */
export function give(name: string, content: Blob | string, type = "text/csv;charset=utf-8"): void {
  const url = URL.createObjectURL(typeof content === "string" ? new Blob([content], { type }) : content), a = document.createElement("a");
  a.href = url; a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const cell = (v: string | number): string => (typeof v === "number" ? String(v) : /[",\n]/.test(v) ? `"${v.replace(/"/g, '""')}"` : v);
export const csv = (head: string[], rows: (string | number)[][]): string => [head, ...rows].map((r) => r.map(cell).join(",")).join("\n") + "\n";

/** A figure of the program as SVG, PNG and PDF. */
export function figures(what: string, args: Args, command?: string): Item[] {
  const rest: Record<string, string | number> = { m: m.value, p: p.value, what, theme: dark.value ? "dark" : "light" };
  for (const [k, v] of Object.entries(args)) if (v !== undefined) rest[k] = v;
  if (command && command.length < 400) rest.command = command;
  return (["svg", "png", "pdf"] as const).map((ext) => ({ label: ext.toUpperCase(), href: api.fileAddress("plot", { ...rest, ext }) }));
}
export const npy = (path: string, args: Record<string, string | number>): Item => ({ label: ".npy", href: api.fileAddress(path, args) });

/** Every canvas of a panel, one below the other, as it is seen. */
export function seen(root: Element | null, name: string): void {
  const all = [...(root?.querySelectorAll("canvas") ?? [])].filter((c) => c.width > 1 && c.height > 1);
  if (!all.length) return;
  const out = document.createElement("canvas"), gap = 12, g = out.getContext("2d")!;
  out.width = Math.max(...all.map((c) => c.width)) + 2 * gap;
  out.height = all.reduce((a, c) => a + c.height + gap, gap);
  g.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--panel").trim() || "#fff";
  g.fillRect(0, 0, out.width, out.height);
  let y = gap;
  for (const c of all) { g.drawImage(c, gap, y); y += c.height + gap; }
  out.toBlob((b) => { if (b) give(`${name}.png`, b); });
}

/** A menu that opens below its button and closes by itself. What a panel shows is also saved as it is seen: `of` names what is meant where it is
 * not the panel that the menu stands in. */
export function Save(q: { items: Item[]; name?: string; label?: string; of?: string }) {
  const ref = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (e: Event): void => { const d = ref.current; if (d?.open && (e instanceof KeyboardEvent ? e.key === "Escape" : !d.contains(e.target as Node))) { d.open = false; if (e instanceof KeyboardEvent) { e.stopPropagation(); d.querySelector("summary")?.focus(); } } };
    addEventListener("pointerdown", close); addEventListener("keydown", close, true);
    return () => { removeEventListener("pointerdown", close); removeEventListener("keydown", close, true); };
  }, []);
  const root = (): Element | null => (q.of ? document.querySelector(q.of) : ref.current!.closest(".saveable, .panel"));
  const asSeen: [string, () => void | Promise<void>][] = q.name ? [
    [t("SVG as seen", "所见 SVG"), () => { const e = root(); if (e) give(`${q.name}.svg`, svgFile(e, what)); }],
    [t("PDF as seen", "所见 PDF"), async () => { const e = root(); if (e) give(`${q.name}.pdf`, await pdfFile(e, what)); }],
    [t("PNG as seen", "所见 PNG"), () => seen(root(), q.name!)]] : [];
  const what = q.label ?? t("this panel", "此面板");
  const shut = (): void => { setTimeout(() => { if (ref.current) ref.current.open = false; }, 50); };
  return (
    <details class="save" ref={ref}>
      <summary aria-label={t(`Save ${what} as a file`, `将${what}存为文件`)} title={t(`Save ${what} as a file`, `将${what}存为文件`)}>{t("Save", "保存")} ▾</summary>
      <div class="menu">
        {q.items.map((x) => x.href ? <a key={x.label} href={x.href} download onClick={shut}>{x.label}</a>
          : <button key={x.label} aria-label={x.label} onClick={() => { shut(); void Promise.resolve(x.run?.()).catch((e: unknown) => { trouble.value = String(e); }); }}>{x.label}</button>)}
        {asSeen.map(([label, run]) => <button key={label} aria-label={label} onClick={() => { shut(); void Promise.resolve(run()).catch((e: unknown) => { trouble.value = String(e); }); }}>{label}</button>)}
      </div>
    </details>
  );
}
