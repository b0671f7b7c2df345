// evolution.tsx - how features form: one slider over the snapshots moves every layer: kernels, maps of a picture, Grad-CAM, and, as in figure 4 of
// Zeiler and Fergus, the training picture that excites each channel most, projected to the pixels.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import * as api from "./evolutionapi";
import { calm, dark, extra, go, pictures, t } from "./store";
import { pictureAddress } from "./api";
import { Canvas, Command, Panel, useLoad, useWidth } from "./canvas";
import { colorOf, ink } from "./color";
import { drawMap, extent } from "./paint";
import { num, percent } from "./format";
import { takeFiles } from "./rail";
import { word } from "./commands";

const list = signal<api.Snapshots | null>(null), problem = signal("");
const run = (): api.Run | undefined => list.value?.runs.find((x) => x.run === extra.value.run) ?? list.value?.runs[0];
const strongest = (): number => Number(extra.value.top ?? 500);
const channels = (): number => Number(extra.value.count ?? 8);
const chosen = (): { k?: number; p?: number } => (extra.value.mine ? { p: Number(extra.value.mine) } : { k: Number(extra.value.sample ?? 0) });

export function EvolutionRail() {
  const r = run(), c = chosen(), file = useRef<HTMLInputElement>(null), s = list.value;
  const add = async (files: FileList): Promise<void> => { const [one] = await takeFiles(files); if (one !== undefined) go({ extra: { mine: String(one) } }); };
  return (
    <aside class="rail watchrail" aria-label={t("Picture and settings", "图片与设置")}>
      {(s?.runs.length ?? 0) > 1 && <label class="control"><span>{t("Run", "运行")}</span><select value={r?.run} onChange={(e) => go({ extra: { run: (e.target as HTMLSelectElement).value } })}>{s!.runs.map((x) => <option key={x.run} value={x.run}>{x.run.split("/").slice(-2).join("/")}</option>)}</select></label>}
      <h3>{t("Picture", "图片")}</h3>
      <div class="thumbs" role="listbox" aria-label={t("Pictures", "图片")}>
        {r?.data && Array.from({ length: s!.samples }, (_, k) => <button key={k} role="option" aria-selected={c.k === k} class={c.k === k ? "on" : ""} aria-label={`${t("test picture", "测试图片")} ${k}`} onClick={() => go({ extra: { sample: String(k), mine: "" } })}><img src={api.sampleAddress(r.run, k)} alt="" loading="lazy" /></button>)}
        {pictures.value.filter((x) => x.width).map((x) => <button key={`p${x.id}`} role="option" aria-selected={c.p === x.id} class={c.p === x.id ? "on" : ""} aria-label={x.name} onClick={() => go({ extra: { mine: String(x.id) } })}><img src={pictureAddress(x.id, 96)} alt="" loading="lazy" /></button>)}
      </div>
      <div class="row"><button onClick={() => file.current!.click()}>{t("Add…", "添加…")}</button><input ref={file} type="file" accept="image/*" hidden onChange={(e) => { void add((e.target as HTMLInputElement).files!); }} /></div>
      <label class="control"><span>{t("Channels a layer", "每层通道数")}</span><select value={String(channels())} onChange={(e) => go({ extra: { count: (e.target as HTMLSelectElement).value } })}>{[4, 8, 12, 16, 24].map((n) => <option key={n} value={String(n)}>{n}</option>)}</select></label>
      <label class="control"><span>{t("Strongest among", "最强激活的查找范围")}</span><select value={String(strongest())} onChange={(e) => go({ extra: { top: (e.target as HTMLSelectElement).value } })}>{[...new Set([0, 500, 2000, 10000, -1, strongest()])].map((n) => <option key={n} value={String(n)}>{n === 0 ? t("not looked for", "不查找") : n < 0 ? t("all training pictures", "全部训练图片") : `${n.toLocaleString("en-US")} ${t("training pictures", "张训练图片")}`}</option>)}</select></label>
      <p class="quiet small">{t("Epoch 0 is before the first step. Every number is of that epoch's own weights.", "第 0 轮为训练开始之前。所有数值均由该轮的权重计算得出。")}</p>
    </aside>
  );
}

/* Signed numbers of one or three colours around grey. */
function drawSigned(g: CanvasRenderingContext2D, data: Float32Array, dim: number[], bgr: boolean, most: number, x: number, y: number, side: number): void {
  const [c, h, w] = dim, image = new ImageData(w, h), n = h * w, fit = side / Math.max(h, w), s = most > 0 ? 127 / most : 0;
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < 3; k++) { let v = 0; if (c === 3) v = data[(bgr ? 2 - k : k) * n + i]; else for (let j = 0; j < c; j++) v += data[j * n + i]; image.data[4 * i + k] = 128 + Math.max(-128, Math.min(127, v * s)); }
    image.data[4 * i + 3] = 255;
  }
  paintPixels(g, image, x, y, w * fit, h * fit);
}
let scratch: HTMLCanvasElement | null = null;
function paintPixels(g: CanvasRenderingContext2D, image: ImageData, x: number, y: number, w: number, h: number): void {
  scratch ??= document.createElement("canvas");
  scratch.width = image.width; scratch.height = image.height;
  scratch.getContext("2d")!.putImageData(image, 0, 0);
  g.imageSmoothingEnabled = false;
  g.drawImage(scratch, 0, 0, image.width, image.height, x, y, w, h);
}
function drawBytes(g: CanvasRenderingContext2D, data: Uint8Array, dim: number[], x: number, y: number, side: number): void {
  const [h, w] = dim, image = new ImageData(w, h), fit = side / Math.max(h, w);
  for (let i = 0; i < h * w; i++) { for (let k = 0; k < 3; k++) image.data[4 * i + k] = data[3 * i + k]; image.data[4 * i + 3] = 255; }
  paintPixels(g, image, x, y, w * fit, h * fit);
}
const mostAbs = (v: Float32Array): number => { const [lo, hi] = extent(v); return Math.max(Math.abs(lo), Math.abs(hi), 1e-12); };

function LayerPanel(q: { r: api.Run; index: number; epoch: number; width: number }) {
  const c = chosen(), top = strongest(), n = channels(), [step, setStep] = useState(0);
  const quick = useLoad(async (newest) => { try { return await api.getLayer(q.r.run, q.index, { channels: n, strongest: 0, ...c }); } catch (e) { if (newest()) problem.value = String(e instanceof Error ? e.message : e); return undefined; } }, [q.r.run, q.index, n, c.k, c.p]);
  const whole = useLoad(async (newest) => { if (!top) return undefined; setStep(1); try { return await api.getLayer(q.r.run, q.index, { channels: n, strongest: top, ...c }); } catch (e) { if (newest()) problem.value = String(e instanceof Error ? e.message : e); return undefined; } finally { if (newest()) setStep(2); } }, [q.r.run, q.index, n, top, c.k, c.p]);
  const fits = (d?: api.LayerData): d is api.LayerData => !!d && d.run === q.r.run && d.asked === `${n} ${c.k ?? ""} ${c.p ?? ""}`;
  const d = top && fits(whole) && whole.strongest === top ? whole : fits(quick) ? quick : undefined;
  const scales = useMemo(() => { // one scale a channel for all its epochs
    if (!d) return null;
    const per = (get: (cell: api.Cell) => Float32Array | null): number[] => d.channels.map((_, i) => Math.max(...Array.from({ length: d.epochs }, (_2, e) => { const v = get(d.cells[e * d.channels.length + i]); return v ? mostAbs(v) : 1e-12; })));
    return { kernel: per((x) => x.kernel), map: per((x) => x.map), negative: d.cells.some((x) => x.map && extent(x.map)[0] < 0) };
  }, [d]);
  if (!d || !scales) return <Panel title={q.r.layers[q.index]}><p class="quiet">{t("looking…", "正在计算…")}</p></Panel>;
  const count = d.channels.length, label = 128, why = d.why[q.epoch] && d.shown ? 1 : 0, side = Math.max(24, Math.min(100, (q.width - label - 40 - (q.width > 780 ? why * 150 : 0)) / count - 6)), cell = (i: number): api.Cell => d.cells[q.epoch * count + i];
  const rows: [string, (x: api.Cell) => unknown, (g: CanvasRenderingContext2D, x: api.Cell, i: number, px: number, py: number) => void][] = [
    [d.input < 0 ? t("kernel", "卷积核") : `${t("kernel, input", "卷积核，输入")} ${d.input}`, (x) => x.kernel, (g, x, i, px, py) => { if (x.kernelDim![0] === 3) drawSigned(g, x.kernel!, x.kernelDim!, d.bgr, scales.kernel[i], px, py, side); else drawMap(g, x.kernel!, 0, x.kernelDim![2], x.kernelDim![1], { low: -scales.kernel[i], high: scales.kernel[i] }, px, py, side, side); }],
    [t("feature map", "特征图"), (x) => x.map, (g, x, i, px, py) => drawMap(g, x.map!, 0, x.mapDim![1], x.mapDim![0], { low: scales.negative ? -scales.map[i] : 0, high: scales.map[i] }, px, py, side, side * (x.mapDim![0] / x.mapDim![1]))],
    [t("in this picture", "本图片中的成因"), (x) => x.track, (g, x, _i, px, py) => drawSigned(g, x.track!, x.trackDim!, d.bgr, mostAbs(x.track!), px, py, side)],
    [t("strongest of all", "全体最强"), (x) => x.projection, (g, x, _i, px, py) => drawSigned(g, x.projection!, x.projectionDim!, d.bgr, mostAbs(x.projection!), px, py, side)],
    [t("its picture", "对应图片"), (x) => x.patch, (g, x, _i, px, py) => drawBytes(g, x.patch!, x.patchDim!, px, py, side)],
  ];
  const used = rows.filter(([, get]) => d.cells.some((x) => get(x))), w = label + count * (side + 6), h = used.length * (side + 6) + 18;
  const draw = (g: CanvasRenderingContext2D): void => {
    g.font = `11px ${ink("font")}`; g.textBaseline = "middle";
    used.forEach(([name, get, paint], k) => {
      const y = k * (side + 6);
      g.fillStyle = ink("quiet"); g.textAlign = "left"; g.fillText(name, 0, y + side / 2);
      for (let i = 0; i < count; i++) {
        const x = label + i * (side + 6), one = cell(i);
        if (get(one)) paint(g, one, i, x, y);
        g.strokeStyle = k >= 3 && one.moved ? ink("accent") : ink("line"); g.lineWidth = k >= 3 && one.moved ? 2 : 1; g.strokeRect(x - 0.5, y - 0.5, side + 1, side + 1);
      }
    });
    g.textAlign = "center"; g.fillStyle = ink("quiet");
    for (let i = 0; i < count; i++) g.fillText(String(d.channels[i]), label + i * (side + 6) + side / 2, h - 8);
  };
  const H = 132, wide = d.shown ? (H * d.shownDim![1]) / d.shownDim![0] : 0;
  const drawWhy = (g: CanvasRenderingContext2D): void => {
    drawBytes(g, d.shown!, d.shownDim!, 0, 0, Math.max(H, wide));
    const m = d.why[q.epoch]!, dim = d.whyDim[q.epoch]!, hi = Math.max(extent(m)[1], 1e-12);
    const image = new ImageData(dim[1], dim[0]);
    for (let i = 0; i < m.length; i++) { const v = Math.max(0, m[i]) / hi, rgb = /(\d+),(\d+),(\d+)/.exec(colorOf(v, { low: 0, high: 1 }))!; image.data.set([+rgb[1], +rgb[2], +rgb[3], 60 + 150 * v], 4 * i); }
    scratch ??= document.createElement("canvas"); scratch.width = dim[1]; scratch.height = dim[0]; scratch.getContext("2d")!.putImageData(image, 0, 0);
    g.imageSmoothingEnabled = true; g.drawImage(scratch, 0, 0, dim[1], dim[0], 0, 0, wide, H);
  };
  const alike = Array.from({ length: d.epochs }, (_, e) => { let s = 0; for (let i = 0; i < count; i++) s += d.cells[e * count + i].alike; return s / count; }), cw = 150, ch = 54;
  const drawAlike = (g: CanvasRenderingContext2D): void => {
    const lo = Math.min(0, ...alike), X = (e: number): number => 4 + (e / Math.max(1, d.epochs - 1)) * (cw - 8), Y = (v: number): number => ch - 6 - ((v - lo) / (1 - lo)) * (ch - 14);
    g.strokeStyle = ink("line"); g.beginPath(); g.moveTo(0, Y(1)); g.lineTo(cw, Y(1)); g.moveTo(0, Y(lo)); g.lineTo(cw, Y(lo)); g.stroke();
    g.strokeStyle = ink("accent"); g.lineWidth = 1.8; g.beginPath(); alike.forEach((v, e) => (e ? g.lineTo(X(e), Y(v)) : g.moveTo(X(e), Y(v)))); g.stroke();
    g.fillStyle = ink("mark"); g.beginPath(); g.arc(X(q.epoch), Y(alike[q.epoch]), 4, 0, 7); g.fill();
  };
  const jumps = Array.from({ length: count }, (_, i) => cell(i)).filter((x) => x.moved && x.patch).length;
  return (
    <Panel title={<>{d.name}{d.unit !== d.name && <span class="quiet"> · {d.unit}</span>}</>} side={<>{t("kernels like the last ones", "与最终卷积核的相似度")} <b class="n">{num(alike[q.epoch], 3)}</b>{d.pictures > 0 && <> · {t("strongest among", "查找范围")} {d.pictures.toLocaleString("en-US")}{jumps > 0 && <> · {jumps} {t("channels jumped to another picture", "个通道换了图片")}</>}</>}{top !== 0 && step === 1 && <> · {t("looking for the strongest…", "正在查找最强激活…")}</>}</>}>
      <div class="evolved"><div class="scrollx"><Canvas w={w} h={h} draw={draw} label={`${d.name}: ${t("channels", "通道")} ${d.channels.join(", ")}`} /></div>
        <div class="aside">{why > 0 && <><Canvas w={wide} h={H} draw={drawWhy} label={`Grad-CAM: ${d.targetName}`} /><p class="caption">Grad-CAM · {d.targetName} {percent(d.probability[q.epoch])}</p></>}
          <Canvas w={cw} h={ch} draw={drawAlike} label={`${t("Cosine with the kernels of the last epoch", "与最后一轮卷积核的余弦")}: ${alike.map((v) => num(v, 2)).join(", ")}`} /></div></div>
    </Panel>
  );
}

export function Evolution() {
  const [ref, width] = useWidth<HTMLDivElement>(), [playing, setPlaying] = useState(false);
  useEffect(() => { void api.getSnapshots().then((x) => { list.value = x; }).catch((e) => { problem.value = String(e instanceof Error ? e.message : e); }); }, []);
  const r = run(), last = (r?.epochs.length ?? 1) - 1, at = Math.max(0, Math.min(last, Number(extra.value.epoch ?? last)));
  useEffect(() => {
    if (!playing) return;
    const timer = setInterval(() => { const now = Number(extra.value.epoch ?? last); go({ extra: { epoch: String(now >= last ? 0 : now + 1) } }); }, calm.matches ? 1500 : 700);
    return () => clearInterval(timer);
  }, [playing, last]);
  void dark.value;
  return (
    <div class="page evolution" ref={ref}>
      {problem.value && <p class="wrong" role="alert">{problem.value} <button class="link" onClick={() => { problem.value = ""; }}>×</button></p>}
      {!list.value ? <p class="quiet empty">{t("reading…", "正在读取…")}</p> : !r ? <div class="empty quiet"><p>{t("None of the runs kept snapshots of its network. Train with --snapshots:", "这些运行都没有保存网络快照。训练时请加 --snapshots：")}</p><Command text="convscope train RECIPE --snapshots -o RUN" /></div> : <>
        <div class="timeline" role="group" aria-label={t("Epoch", "轮次")}>
          <button class="primary" onClick={() => setPlaying(!playing)} aria-pressed={playing}>{playing ? t("Stop", "停止") : t("Play", "播放")}</button>
          <input type="range" min="0" max={last} step="1" value={at} aria-label={t("Epoch", "轮次")} aria-valuetext={`${t("epoch", "第")} ${r.epochs[at]}`} onInput={(e) => { setPlaying(false); go({ extra: { epoch: (e.target as HTMLInputElement).value } }); }} />
          <b class="big n">{t("epoch", "第")} {r.epochs[at]}{t("", " 轮")}</b>
          <span class="quiet small">{r.epochs.join(" · ")}</span>
        </div>
        {width > 0 && r.layers.slice(0, 24).map((_, i) => <LayerPanel key={`${r.run} ${i}`} r={r} index={i} epoch={at} width={width} />)}
        <Command text={`convscope evolution ${word(r.run)}${strongest() ? ` --strongest ${strongest()}` : ""} -o evolution.gif`} />
      </>}
    </div>
  );
}
