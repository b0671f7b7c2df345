// snapshot.ts - the view as it stands, as one HTML file that opens anywhere: text stays text, canvases and pictures are inside, nothing is fetched.
// It is written straight from the live page: the page's own rules forbid it to build elements that carry styles.
import { lang, state, t } from "./store";
import { give } from "./save";

const empty = new Set(["area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"]), gone = "script, link, meta, title, style, .save, .tourcard, .trouble, .busy, input[type=file], .rail .row, a[download], .keep";
const quote = (s: string): string => s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
const attribute = (name: string, value: string | null): string => (value === null ? "" : ` ${name}="${quote(value)}"`);

function pixels(from: HTMLImageElement | HTMLCanvasElement): string {
  if (from instanceof HTMLCanvasElement) return from.width * from.height > 0 ? from.toDataURL() : "data:,";
  const c = document.createElement("canvas");
  c.width = Math.max(1, from.naturalWidth); c.height = Math.max(1, from.naturalHeight);
  c.getContext("2d")!.drawImage(from, 0, 0);
  return c.toDataURL();
}

function written(n: Node): string {
  if (n instanceof Text) return quote(n.data);
  if (!(n instanceof Element) || n.matches(gone)) return "";
  const name = n.tagName.toLowerCase();
  if (n instanceof HTMLCanvasElement || n instanceof HTMLImageElement)
    return `<img${attribute("class", n.getAttribute("class"))}${attribute("style", n.getAttribute("style"))}${attribute("alt", n instanceof HTMLImageElement ? n.alt : n.getAttribute("aria-label") ?? "")}${attribute("src", pixels(n))}>`;
  let all = "";
  for (const a of n.attributes) if (!(a.name === "href" && !a.value.startsWith("#")) && !a.name.startsWith("on")) all += attribute(a.name, a.value);
  if (n instanceof HTMLInputElement) all += `${n.hasAttribute("value") ? "" : attribute("value", n.value)} readonly`;
  if (n instanceof HTMLOptionElement && n.selected) all += " selected";
  return empty.has(name) ? `<${name}${all}>` : `<${name}${all}>${[...n.childNodes].map(written).join("")}</${name}>`;
}

function snapshotText(): string {
  const root = document.documentElement, rules = [...document.styleSheets].flatMap((s) => [...s.cssRules].map((x) => x.cssText)).join("\n").replace(/<\//g, "<\\/"), title = document.querySelector("main")?.getAttribute("aria-label") ?? "";
  const foot = `${t("Saved from Convscope", "由 Convscope 保存")} ${state.value?.version ?? ""} · ${new Date().toLocaleString(lang.value === "zh" ? "zh-CN" : "en")} · ${location.hash}`;
  return `<!doctype html>
<html lang="${quote(root.lang)}" data-theme="${quote(root.dataset.theme ?? "light")}"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Convscope · ${quote(title)}</title>
<style>${rules}
button, select, input, summary { pointer-events: none; } main img { max-width: none; display: block; } footer { padding: .6rem 1.2rem; border-top: 1px solid var(--line); }</style></head>
<body>${[...document.body.childNodes].map(written).join("")}<footer class="quiet small">${quote(foot)}</footer></body></html>
`;
}

export const saveView = (): void => give(`convscope-${document.querySelector("main .page")?.classList[1] ?? "view"}.html`, snapshotText(), "text/html;charset=utf-8");
