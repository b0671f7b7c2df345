// influence.tsx - from one number out: which pixels really move it (the effective receptive field, beside the theoretical one), and what
// of the later layers it moves.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, go, layers, m, p, prediction, seeable, t } from "./store";
import { Canvas, Command, Panel, useLoad } from "./canvas";
import { explain, flat } from "./explain";
import { drawMap, picture } from "./paint";
import { ink } from "./color";
import { grid, num, percent, short } from "./format";
import { commandWithPicture } from "./commands";
import { figures, npy, Save } from "./save";
import { MapView } from "./mapview";

/** Settles first: arrow keys and play pass over many numbers. */
function useSettled<T>(value: T, ms: number): T {
  const [v, set] = useState(value);
  useEffect(() => { const timer = setTimeout(() => set(value), ms); return () => clearTimeout(timer); }, [value, ms]);
  return v;
}

/** The smallest square around the centre of mass that holds a share of the whole. */
function core(data: Float32Array, w: number, h: number, share: number): { box: [number, number, number, number]; total: number } {
  let total = 0, cy = 0, cx = 0;
  for (let i = 0; i < w * h; i++) { const v = data[i]; total += v; cy += v * Math.floor(i / w); cx += v * (i % w); }
  if (!(total > 0)) return { box: [0, 0, h, w], total: 0 };
  cy = Math.round(cy / total); cx = Math.round(cx / total);
  for (let r = 0; ; r++) {
    const y0 = Math.max(0, cy - r), y1 = Math.min(h, cy + r + 1), x0 = Math.max(0, cx - r), x1 = Math.min(w, cx + r + 1);
    let inside = 0;
    for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) inside += data[y * w + x];
    if (inside >= share * total || (y1 - y0 === h && x1 - x0 === w)) return { box: [y0, x0, y1, x1], total };
  }
}

function Sees(q: { l: api.Layer; at: number; box: [number, number, number, number] | null }) {
  const [, H, W] = grid(q.l.dim), at = useSettled(q.at, 350), n = H * W, target = n > 1 ? `neuron:${q.l.index}:${Math.floor(at / n)},${Math.floor(at / W) % H},${at % W}` : `neuron:${q.l.index}:${Math.floor(at / n)}`, size = 220;
  const [wrong, setWrong] = useState("");
  const e = useLoad(async (newest) => { try { setWrong(""); return await explain({ method: "gradient", target }); } catch (x) { if (newest()) setWrong(x instanceof Error ? x.message : String(x)); return undefined; } }, [target, m.value, p.value]);
  const image = useLoad(async () => (seeable() ? picture(api.shownAddress(m.value, p.value)).catch(() => undefined) : undefined), [m.value, p.value, seeable()]);
  const d = useMemo(() => { if (!e) return undefined; const f = flat({ ...e, data: e.data.map(Math.abs) as Float32Array }); return { ...f, ...core(f.data, f.w, f.h, 0.5) }; }, [e]);
  const scale = d ? size / Math.max(d.w, d.h) : 1, CW = d ? d.w * scale : size, CH = d ? d.h * scale : size;
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    if (!d) { g.fillStyle = ink("frame"); g.fillRect(0, 0, CW, CH); return; }
    if (image) { g.filter = "grayscale(1)"; g.globalAlpha = 0.35; g.drawImage(image, 0, 0, CW, CH); g.filter = "none"; g.globalAlpha = 1; }
    const most = d.data.reduce((a, b) => Math.max(a, b), 0), soft = d.data.map((v) => (v > 2e-4 * most ? Math.sqrt(v / most) : NaN)); // less is what rounding leaves
    g.globalAlpha = image ? 0.8 : 1; drawMap(g, soft, 0, d.w, d.h, { low: 0, high: 1 }, 0, 0, CW, CH); g.globalAlpha = 1;
    const stroke = (b: [number, number, number, number], color: string, dash: number[]): void => { g.setLineDash([]); g.lineWidth = 3.5; g.strokeStyle = ink("page"); g.strokeRect(b[1] * scale, b[0] * scale, (b[3] - b[1]) * scale, (b[2] - b[0]) * scale); g.setLineDash(dash); g.lineWidth = 2; g.strokeStyle = color; g.strokeRect(b[1] * scale, b[0] * scale, (b[3] - b[1]) * scale, (b[2] - b[0]) * scale); g.setLineDash([]); };
    if (q.box) stroke(q.box, ink("mark"), [5, 4]);
    if (d.total > 0) stroke(d.box, ink("accent"), []);
  }, [d, image, CW, CH, q.box?.join()]);
  const side = (b: [number, number, number, number]): string => `${Math.round(b[2] - b[0])}×${Math.round(b[3] - b[1])}`;
  const cmd = commandWithPicture("explain", "--method", "gradient", "--target", target, "-o", "field.png");
  return (
    <section class="excite">
      <header><h3>{t("What it sees of the picture", "它看到图片的哪些部分")}</h3>{e && <Save items={[...figures("field", { job: e.job }, cmd), npy("map", { job: e.job, ext: "npy" })]} label={t("the effective field", "有效感受野")} />}</header>
      <Canvas w={CW} h={CH} draw={draw} class="map" label={t("How strongly each pixel moves this number: its effective receptive field", "每个像素对该数的影响强度：有效感受野")} />
      {wrong && <p class="wrong">{wrong}</p>}
      {d && <p class="caption">{d.total > 0 ? <>{t("half of all influence lies within", "一半的影响集中在")} <b>{side(d.box)}</b> {t("pixels (solid)", "像素内（实线）")}{q.box && <>{t("; it could see", "；理论上可见")} <b>{side(q.box)}</b> {t("(dashed)", "（虚线）")}</>}</> : t("No pixel moves it here: its gradient is zero.", "此处没有像素能影响它：梯度为零。")}</p>}
      <Command text={cmd} />
    </section>
  );
}

function Reaches(q: { where: api.Place; at: number }) {
  const at = useSettled(q.at, 350), [got, set] = useState<{ key: string; r: api.Reach } | null>(null), key = `${m.value} ${p.value} ${q.where} ${at}`, [shown, setShown] = useState(-1);
  const r = got?.key === key ? got.r : undefined;
  const wanted = useRef<{ key: string; run: () => Promise<api.Reach> } | null>(null), flying = useRef(false);
  const ask = async (): Promise<void> => { // one at a time: the server keeps the last one's maps
    const mm = m.value, pp = p.value;
    wanted.current = { key, run: () => api.getReach(mm, pp, q.where, at) };
    if (flying.current) return;
    flying.current = true;
    while (wanted.current) { const next: { key: string; run: () => Promise<api.Reach> } = wanted.current; wanted.current = null; const answer = await attempt(next.run); if (answer && !wanted.current) set({ key: next.key, r: answer }); }
    flying.current = false;
  };
  const later = r?.layers.filter((x) => String(x.layer) !== q.where) ?? [], one = later.find((x) => x.layer === shown) ?? later.find((x) => layers.value[x.layer]?.dim.length === 4), l = one && layers.value[one.layer];
  const [, H, W] = grid(l?.dim ?? []), most = Math.max(...later.map((x) => x.size), 1e-12), name = (i: number): string => layers.value[i]?.name ?? String(i);
  const rows = later.length > 14 ? [...later.slice(0, 5), ...later.slice(5, -6).filter((_, i, a) => i % Math.ceil(a.length / 3) === 0), ...later.slice(-6)] : later;
  return (
    <section class="excite wide">
      <header><h3>{t("Where it goes from here", "它影响后面的哪些数")}</h3></header>
      {!r && <><p class="caption quiet">{t("Changes this one number and computes everything behind it again: what moves, and how much.", "只改动这一个数，并重新计算其后的所有层：哪些数随之变化，变化多少。")}</p><button class="primary" onClick={() => { void ask(); }}>{t("Follow it forwards", "向前追踪")}</button></>}
      {r && later.length === 0 && <p class="caption">{t(`Set from ${num(r.was)} to ${num(r.set)}: nothing behind it changes.`, `由 ${num(r.was)} 改为 ${num(r.set)}：其后没有任何变化。`)}</p>}
      {r && later.length > 0 && <>
        <p class="caption">{t(`Set from ${num(r.was)} to ${num(r.set)}. Each row: how many numbers of that layer move, and by how much of its size.`, `由 ${num(r.was)} 改为 ${num(r.set)}。每行：该层有多少个数变化，变化占该层大小的比例。`)}</p>
        <div class="row tight top"><table class="sum reach"><tbody>{rows.map((x) => {
          const all = grid(layers.value[x.layer]?.dim ?? []).reduce((a, b) => a * b, 1);
          return <tr key={x.layer} class={one?.layer === x.layer ? "on" : ""} tabIndex={0} onClick={() => setShown(x.layer)} onKeyDown={(e) => { if (e.key === "Enter") setShown(x.layer); }}>
            <td>{name(x.layer)}</td><td class="n">{short(x.changed)} <span class="quiet">/ {short(all)}</span></td><td><i class="bar" style={{ width: `${Math.max(1, Math.sqrt(x.size / most) * 70)}px` }} />{percent(x.size)}</td></tr>; })}</tbody></table>
          {one && l && H * W > 1 && <div><MapView where={String(one.layer)} channel={Math.floor(one.at / (H * W))} edited="reach" turn={at} size={150} box={one.box} label={t("The later layer's map with the change; the box holds all that moved", "改动后的后续特征图；方框内为全部变化")} />
            <p class="caption">{t("channel", "通道")} {Math.floor(one.at / (H * W))}: {num(one.was)} → <b>{num(one.is)}</b> <button class="link" onClick={() => go({ page: "arithmetic", layer: one.layer, at: one.at })}>{t("look at it", "查看")}</button></p></div>}
          {one && l && H * W === 1 && <p class="caption">{t("most", "变化最大")}: {name(one.layer)} [{one.at}] {num(one.was)} → <b>{num(one.is)}</b></p>}
        </div></>}
    </section>
  );
}

/** The theoretical field in pixels of what the network sees, clipped to it. */
function fieldOf(l: api.Layer, at: number): [number, number, number, number] | null {
  const side = prediction.value?.side, f = l.field;
  if (!side || !f) return null;
  const [, H, W] = grid(l.dim), y = Math.floor(at / W) % H, x = at % W, clip = (v: number, n: number): number => Math.max(0, Math.min(n, v));
  const top = f.start[0] + y * f.jump[0] - (f.size[0] - 1) / 2, left = f.start[1] + x * f.jump[1] - (f.size[1] - 1) / 2;
  return [clip(top, side[0]), clip(left, side[1]), clip(top + f.size[0], side[0]), clip(left + f.size[1], side[1])];
}

export function Influence(q: { l?: api.Layer; where: api.Place; at: number }) {
  if (q.where.startsWith("v") || q.at < 0) return null;
  return (
    <Panel class="excites" title={t("Back to the pixels, on to the answer", "回到像素，通向答案")}>
      <div class="excite-row two-of">{q.l && <Sees l={q.l} at={q.at} box={fieldOf(q.l, q.at)} />}<Reaches key={q.where} where={q.where} at={q.at} /></div>
    </Panel>
  );
}
