// products.tsx - one slice of the sum: the window's values, the kernel's weights, their products, cell by cell on one canvas.
import { useMemo, useState } from "preact/hooks";
import type { Unit } from "./api";
import { go, t, weights } from "./store";
import { Canvas } from "./canvas";
import { colorOf, ink, inkOn, rangeOf } from "./color";
import { extent } from "./paint";
import { num } from "./format";
import { useReveal } from "./motion";
import { spot, type Group } from "./unit";

export function Products(q: { u: Unit; group: Group; kernel: number[]; layer?: number; reveal: string; step: (term: number) => void }) {
  const { u, group } = q, n = group.terms.length, [hover, setHovered] = useState(-1), [kept, setKept] = useState(0), sums = u.kind === "sum" && u.n > 1;
  const setHover = (k: number): void => { setHovered(k); if (k >= 0) setKept(k); };
  const spots = group.terms.map((i) => spot(u, i));
  const columns = useMemo(() => {
    const k = q.kernel;
    if (k.length > 2 && k.slice(2).reduce((a, b) => a * b, 1) === n) return k[k.length - 1];
    const xs = new Set(spots.filter((s) => s.x >= 0).map((s) => s.x)).size;
    return xs > 0 && n % xs === 0 ? xs : Math.ceil(Math.sqrt(n));
  }, [n, q.kernel, group]);
  const lines = Math.ceil(n / columns), roomy = columns <= 5, cw = roomy ? (columns <= 3 ? 104 : 74) : Math.max(14, Math.floor(380 / columns)), ch = roomy ? (sums ? 52 : 34) : cw;
  const values = group.terms.map((i) => u.value[i]), weights = group.terms.map((i) => u.weight[i]);
  const [low, high] = extent(values), range = rangeOf(low, high), [wl, wh] = extent(weights), wrange = { low: -Math.max(-wl, wh, 1e-9), high: Math.max(-wl, wh, 1e-9) };
  const products = group.terms.map((i) => u.value[i] * u.weight[i]), [pl, ph] = extent(products), prange = { low: -Math.max(-pl, ph, 1e-9), high: Math.max(-pl, ph, 1e-9) };
  const W = columns * cw + 2, H = lines * ch + 2;
  const shown = useReveal(q.reveal, roomy, Math.min(420, 140 + 24 * n)), none = u.op === "ConvTranspose" ? t("no stamp", "无盖印") : t("padding 0", "填充 0");
  const draw = (g: CanvasRenderingContext2D): void => {
    group.terms.forEach((i, k) => {
      g.globalAlpha = shown >= 1 ? 1 : 0.15 + 0.85 * Math.max(0, Math.min(1, (shown * (n + 3) - k) / 3)); // one after the other, softly
      const x = 1 + (k % columns) * cw, y = 1 + Math.floor(k / columns) * ch, pad = u.from[i] < 0;
      g.textAlign = "center"; g.textBaseline = "middle";
      if (pad) { g.fillStyle = ink("panel"); g.fillRect(x, y, cw - 2, ch - 2); g.fillStyle = ink("quiet"); g.font = `11px ${ink("font")}`; if (roomy) g.fillText(none, x + cw / 2, y + ch / 2); return; }
      if (!sums) { cell(g, x, y, cw - 2, ch - 2, u.value[i], range, roomy); }
      else if (roomy) {
        const half = (cw - 2) / 2;
        cell(g, x, y, half, 24, u.value[i], range, true, "", columns <= 3 ? 3 : 2);
        cell(g, x + half, y, half, 24, u.weight[i], wrange, true, "", columns <= 3 ? 3 : 2);
        cell(g, x, y + 24, cw - 2, ch - 27, products[k], prange, true, columns <= 3 ? "= " : "");
      } else cell(g, x, y, cw - 1, ch - 1, products[k], prange, cw > 34);
      if (u.kind === "max" && u.weight[i] === 1) { g.strokeStyle = ink("mark"); g.lineWidth = 3; g.strokeRect(x + 1.5, y + 1.5, cw - 5, ch - 5); }
      if (k === hover) { g.strokeStyle = ink("accent"); g.lineWidth = 2; g.strokeRect(x + 1, y + 1, cw - 4, ch - 4); }
    });
    g.globalAlpha = 1;
  };
  const find = (x: number, y: number): number => { const c = Math.floor((x - 1) / cw), r = Math.floor((y - 1) / ch), k = r * columns + c; return c >= 0 && c < columns && k >= 0 && k < n ? k : -1; };
  const i = hover >= 0 ? group.terms[hover] : -1;
  return (
    <div class="products">
      {sums && <div class="key"><span>{roomy ? t("each cell: value, weight, and their product below", "每格：数值、权重，下方为乘积") : t("products; point at one for its numbers", "乘积；指向单元格查看数值")}</span></div>}
      <Canvas w={W} h={H} draw={draw} label={t("Products of values and weights; a click goes back to the value", "数值与权重的乘积；单击回溯到该数值")} role="application" onMove={(x, y) => setHover(find(x, y))} onLeave={() => setHover(-1)}
        onDown={(x, y) => { const k = find(x, y); if (k >= 0 && u.from[group.terms[k]] >= 0) q.step(group.terms[k]); }}
        onKey={(e) => { const d = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[e.key]; if (d) { setHover(Math.max(0, Math.min(n - 1, Math.max(hover, 0) + d))); return true; } if (e.key === "Enter" && i >= 0 && u.from[i] >= 0) { q.step(i); return true; } return false; }} />
      {sums && q.layer !== undefined && u.tap[0] >= 0 && <Weight u={u} term={group.terms[Math.max(0, kept)]} layer={q.layer} row={Math.floor(Math.max(0, kept) / columns)} column={Math.max(0, kept) % columns} />}
      <p class="value-line" aria-live="polite">{i >= 0 ? (u.from[i] < 0 ? t("padding: 0", "填充：0") : sums ? <>{num(u.value[i], 6)} × {num(u.weight[i], 6)} = <b>{num(u.value[i] * u.weight[i], 6)}</b></> : <b>{num(u.value[i], 6)}</b>)
        : sums ? <>Σ = <b>{num(group.sum, 6)}</b> {n < u.n && t("from this channel", "来自该通道")}</> : "\u00a0"}</p>
    </div>
  );
}

function cell(g: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, v: number, r: { low: number; high: number }, text: boolean, before = "", digits = w > 60 ? 4 : 3): void {
  g.fillStyle = colorOf(v, r); g.fillRect(x, y, w, h);
  if (!text) return;
  g.fillStyle = inkOn(v, r); g.font = `${w > 60 ? 12 : w > 40 ? 10.5 : 9.5}px ${ink("font")}`;
  g.fillText(before + num(v, digits), x + w / 2, y + h / 2 + 0.5);
}

/** Changes the weight that was pointed at last; what follows from it is shown on the page Why. */
function Weight(q: { u: Unit; term: number; layer: number; row: number; column: number }) {
  const { u, term } = q, tap = u.tap[term] ?? -1, changed = weights.value.find((x) => x.layer === q.layer && x.tap === tap), C = Math.floor(u.at / u.dim.slice(2).reduce((a, b) => a * b, 1)) % (u.dim[1] ?? 1);
  if (tap < 0) return null;
  const set = (v: number): void => { weights.value = [...weights.value.filter((x) => x !== changed), { layer: q.layer, channel: C, tap, value: v, was: u.weight[term] }]; };
  return (
    <div class="weight"><label>{t(`weight at row ${q.row}, column ${q.column}`, `第 ${q.row} 行第 ${q.column} 列的权重`)} <input type="number" step="0.1" value={Number((changed?.value ?? u.weight[term]).toPrecision(5))} onChange={(e) => { const v = Number((e.target as HTMLInputElement).value); if (Number.isFinite(v)) set(v); }} /></label>
      {changed && <button onClick={() => { weights.value = weights.value.filter((x) => x !== changed); }}>{t("Undo", "撤销")}</button>}
      {weights.value.length > 0 && <button class="primary" onClick={() => go({ page: "why" })}>{t("See what changes", "查看影响")}</button>}</div>
  );
}
