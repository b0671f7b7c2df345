// excites.tsx - what a channel looks for: a picture made for it, the patches that it answers to most, its strongest number on this picture
// projected down to the pixels. Long work runs on the server, with progress and a stop; what was computed is kept.
import { useEffect, useMemo, useState } from "preact/hooks";
import * as api from "./api";
import { extra, go, m, model, p, seeable, state, t } from "./store";
import { Canvas, Command, Panel, Segmented, useLoad, useWidth } from "./canvas";
import { isKept, stop, work, type Request } from "./explain";
import { drawPixels, picture } from "./paint";
import { ink } from "./color";
import { num } from "./format";
import { command, commandWithPicture, word } from "./commands";
import { figures, npy, Save, type Item } from "./save";

/** Asks the server for long work; run it by itself where it is quick, else at a click. */
function useWork<T extends { job: number }>(ask: Request, read: (job: number) => Promise<T>, auto: boolean): { got?: T; progress: [number, string] | null; wrong: string; start: () => void; cancel: () => void } {
  const key = JSON.stringify([m.value, ask.task === "deconv" ? p.value : 0, ask]), [asked, setAsked] = useState(""), [progress, setProgress] = useState<[number, string] | null>(null), [wrong, setWrong] = useState("");
  const on = auto || asked === key || isKept(ask), [got, set] = useState<{ key: string; value: T } | undefined>(undefined);
  useEffect(() => {
    if (!on) return;
    let alive = true;
    setWrong(""); setProgress([0, ""]);
    void work(ask, read, (f, what) => { if (alive) setProgress([f, what]); }).then((value) => { if (alive) set({ key, value }); })
      .catch((e: unknown) => { if (alive) { setAsked(""); setWrong(e instanceof DOMException ? t("stopped", "已停止") : e instanceof Error ? e.message : String(e)); } })
      .finally(() => { if (alive) setProgress(null); });
    return () => { alive = false; };
  }, [key, on]);
  return { got: got?.key === key ? got.value : undefined, progress: on && got?.key !== key ? progress : null, wrong, start: () => { setWrong(""); setAsked(key); }, cancel: () => stop(ask) };
}

function Bar(q: { at: [number, string] | null; wrong: string; cancel: () => void; again: () => void }) {
  if (q.wrong) return <p class="wrong">{q.wrong} <button onClick={q.again}>{t("Again", "重试")}</button></p>;
  if (!q.at) return null;
  return <div class="progress" role="status"><i style={{ width: `${Math.max(2, q.at[0] * 100)}%` }} /><span>{q.at[1] || t("waiting for its turn", "排队中")}</span><button onClick={q.cancel}>{t("Stop", "停止")}</button></div>;
}

const rgb = (d: Uint8Array, from: number, h: number, w: number): ImageData => {
  const out = new ImageData(w, h);
  for (let i = 0; i < w * h; i++) { out.data[4 * i] = d[from + 3 * i]; out.data[4 * i + 1] = d[from + 3 * i + 1]; out.data[4 * i + 2] = d[from + 3 * i + 2]; out.data[4 * i + 3] = 255; }
  return out;
};

/** A signed projection as colours around mid-grey, by its own largest value (all but the strongest half a percent). */
function signed(d: Float32Array, dim: number[]): ImageData {
  const w = dim[dim.length - 1], h = dim[dim.length - 2], n = w * h, c = Math.round(d.length / n), size = Float32Array.from(d, Math.abs).sort(), most = size[Math.max(0, Math.floor(size.length * 0.995) - 1)] || size[size.length - 1] || 1, out = new ImageData(w, h);
  for (let i = 0; i < n; i++) {
    const sum = c === 3 || c === 1 ? 0 : Array.from({ length: c }, (_, k) => d[k * n + i]).reduce((a, b) => a + b, 0);
    for (let k = 0; k < 3; k++) out.data[4 * i + k] = 128 + 127 * (c === 3 ? d[k * n + i] : c === 1 ? d[i] : sum) / most;
    out.data[4 * i + 3] = 255;
  }
  return out;
}

/* ---- made for it ---- */

function Made(q: { l: api.Layer; c: number; quick: boolean }) {
  const steps = extra.value.steps === "512" ? 512 : 128, ask = { task: "feature", layer: q.l.index, channel: q.c, steps, p: 0 };
  const w = useWork(ask, api.getFeature, q.quick), f = w.got, size = 176;
  const image = useMemo(() => f && rgb(f.pixels, 0, f.dim[1], f.dim[2]), [f]);
  const cmd = command("features", "--layer", word(q.l.name), "--channel", String(q.c), "--mode", "fourier", "--steps", String(steps), "-o", "feature.png");
  const draw = (g: CanvasRenderingContext2D): void => { if (image) drawPixels(g, image, 0, 0, size, (size * image.height) / image.width); else { g.fillStyle = ink("frame"); g.fillRect(0, 0, size, size); } };
  const curve = (g: CanvasRenderingContext2D): void => {
    if (!f) return;
    const low = Math.min(...f.values), high = Math.max(...f.values, low + 1e-9);
    g.strokeStyle = ink("accent"); g.lineWidth = 1.5; g.beginPath();
    f.values.forEach((v, i) => { const x = (i / Math.max(1, f.values.length - 1)) * (size - 2) + 1, y = 33 - ((v - low) / (high - low)) * 30; if (i) g.lineTo(x, y); else g.moveTo(x, y); });
    g.stroke();
  };
  const items: Item[] = f ? [...figures("feature", { job: f.job }, cmd), npy("map", { job: f.job, ext: "npy" })] : [];
  return (
    <section class="excite">
      <header><h3>{t("A picture made for it", "为它生成的图片")}</h3>{f && <Save items={items} label={t("the feature picture", "特征图片")} />}</header>
      <Canvas w={size} h={image ? (size * image.height) / image.width : size} draw={draw} class="map" label={t("A picture that this channel likes, made by gradient ascent", "通过梯度上升生成的、该通道偏好的图片")} />
      {f && <><Canvas w={size} h={36} draw={curve} label={t("How much it likes it, step by step", "每一步的偏好程度")} /><p class="caption">{t("mean of the channel", "通道均值")}: {num(f.values[0], 3)} → <b>{num(f.values[f.values.length - 1], 3)}</b>{f.silent && ` · ${t("no gradient ever reached the picture: it is noise", "梯度始终为零：图片仍是噪声")}`}</p></>}
      <Bar at={w.progress} wrong={w.wrong} cancel={w.cancel} again={w.start} />
      {!f && !w.progress && !w.wrong && <button class="primary" onClick={w.start}>{t("Make it", "生成")}</button>}
      <div class="row"><Segmented value={String(steps)} set={(v) => go({ extra: { steps: v === "512" ? "512" : "" } })} label={t("Steps", "步数")} options={[["128", t("128 steps", "128 步")], ["512", t("512, finer", "512 步，更细")]]} /></div>
      <p class="caption quiet">{t("Gradient ascent from noise: what the channel answers to, not what any picture shows.", "从噪声开始做梯度上升：表示通道对什么有响应，而非某张真实图片。")}</p>
      <Command text={cmd} />
    </section>
  );
}

/* ---- found for it ---- */

function Found(q: { l: api.Layer; c: number; quick: boolean }) {
  const line = state.value?.models.find((x) => x.id === m.value), own = line?.builtin ? `generated:${line.builtin}` : "open", source = extra.value.source || own, limit = source === "open" ? 1000 : Number(extra.value.of ?? 300);
  const ask = { task: "top", layer: q.l.index, channel: q.c, source, limit, top: 9, p: source === "open" ? (state.value?.pictures.length ?? 0) : 0 };
  const w = useWork(ask, api.getTop, q.quick), f = w.got, side = 58, [shown, setShown] = useState<"patch" | "both">("both");
  const images = useMemo(() => f?.items.map((x) => ({ patch: rgb(x.pixels, 0, x.patch[0], x.patch[1]), projection: signed(x.numbers, x.projection) })) ?? [], [f]);
  const rows = Math.max(1, Math.ceil(images.length / 3)), wide = shown === "both" ? 2 * side + 3 : side, W = 3 * wide + 20, H = rows * (side + 22);
  const draw = (g: CanvasRenderingContext2D): void => {
    images.forEach((x, i) => {
      const left = (i % 3) * (wide + 10), top = Math.floor(i / 3) * (side + 22), k = Math.min(side / x.patch.width, side / x.patch.height);
      drawPixels(g, x.patch, left, top, x.patch.width * k, x.patch.height * k);
      if (shown === "both") drawPixels(g, x.projection, left + side + 3, top, x.patch.width * k, x.patch.height * k);
      g.fillStyle = ink("quiet"); g.font = `11px ${ink("font")}`; g.fillText(num(f!.items[i].value, 3), left, top + side + 13);
    });
  };
  const [tip, setTip] = useState("");
  const move = (x: number, y: number): void => { const i = Math.floor(y / (side + 22)) * 3 + Math.floor(x / (wide + 10)), one = f?.items[i]; setTip(one ? `${one.name}: ${num(one.value)}` : ""); };
  const cmd = command("deconv", ...(source === "open" ? ["FOLDER"] : [source, "--limit", String(limit)]), "--layer", word(q.l.name), "--channel", String(q.c), "-o", "top.png");
  return (
    <section class="excite">
      <header><h3>{t("What excites it most", "最能激发它的图块")}</h3>{f && f.items.length > 0 && <Save items={figures("top", { job: f.job }, cmd)} label={t("the top patches", "图块")} />}</header>
      {f && f.items.length > 0 && <Canvas w={W} h={H} draw={draw} label={t("The patches that excite this channel most, each beside its projection", "最能激发该通道的图块及其投影")} onMove={move} onLeave={() => setTip("")} />}
      {f && f.items.length === 0 && <p class="quiet">{t("No picture excites this channel.", "没有图片能激发该通道。")}</p>}
      {f && <p class="readout">{tip || t(`the best of ${f.pictures} pictures`, `取自 ${f.pictures} 张图片`)}</p>}
      <Bar at={w.progress} wrong={w.wrong} cancel={w.cancel} again={w.start} />
      {!f && !w.progress && !w.wrong && <button class="primary" onClick={w.start}>{t("Look for them", "查找")}</button>}
      <div class="row">
        <label>{t("among", "范围")} <select value={source} onChange={(e) => go({ extra: { source: (e.target as HTMLSelectElement).value } })}>
          <option value="open">{t("the pictures that are open", "已打开的图片")}</option>
          {["things", "digits", "shortcut"].map((x) => <option key={x} value={`generated:${x}`}>{t(`${x}, drawn by the program`, `${x}（程序绘制）`)}</option>)}</select></label>
        {source !== "open" && <label>{t("of", "张数")} <select value={String(limit)} onChange={(e) => go({ extra: { of: (e.target as HTMLSelectElement).value } })}>{["100", "300", "1000", "5000"].map((x) => <option key={x}>{x}</option>)}</select></label>}
        {f && f.items.length > 0 && <Segmented value={shown} set={setShown} label={t("Show", "显示")} options={[["both", t("with projection", "含投影")], ["patch", t("patches", "仅图块")]]} />}
      </div>
      <Command text={cmd} />
    </section>
  );
}

/* ---- on this picture ---- */

function Projected(q: { l: api.Layer; c: number }) {
  const rule = extra.value.rule === "guided" || extra.value.rule === "gradient" ? extra.value.rule : "deconvnet", ask = { task: "deconv", layer: q.l.index, channel: q.c, rule };
  const w = useWork(ask, api.getProjection, true), f = w.got, size = 176;
  const seen = useLoad(async () => (seeable() ? picture(api.shownAddress(m.value, p.value)).catch(() => undefined) : undefined), [m.value, p.value, seeable()]);
  const image = useMemo(() => f && signed(f.data, f.dim), [f]), H = image ? (size * image.height) / image.width : size;
  const box = (g: CanvasRenderingContext2D): void => { // the field, and everything else dimmed
    if (!f?.box || !image) return;
    const k = size / image.width, [y, x, h, v] = f.box;
    g.lineWidth = 3; g.strokeStyle = ink("page"); g.strokeRect(x * k, y * k, v * k, h * k); g.lineWidth = 1.5; g.strokeStyle = ink("mark"); g.strokeRect(x * k, y * k, v * k, h * k);
  };
  const draw = (g: CanvasRenderingContext2D): void => { if (image) { drawPixels(g, image, 0, 0, size, H); box(g); } else { g.fillStyle = ink("frame"); g.fillRect(0, 0, size, size); } };
  const beside = (g: CanvasRenderingContext2D): void => { if (seen) { g.imageSmoothingEnabled = seen.naturalWidth > size; g.drawImage(seen, 0, 0, size, H); box(g); } };
  const cmd = commandWithPicture("deconv", "--layer", word(q.l.name), "--channel", String(q.c), ...(rule === "deconvnet" ? [] : ["--rule", rule]), "-o", "deconv.png");
  return (
    <section class="excite">
      <header><h3>{t("On this picture, down to the pixels", "在此图片上，投影到像素")}</h3>{f && <Save items={[...figures("deconv", { job: f.job }, cmd), npy("map", { job: f.job, ext: "npy" })]} label={t("the projection", "投影")} />}</header>
      <div class="row tight"><Canvas w={size} h={H} draw={draw} class="map" label={t("The channel's strongest number, projected to the pixels", "该通道最大值投影到像素")} />{seen && <Canvas w={size} h={H} draw={beside} class="map" label={t("The same place of the picture", "图片的同一位置")} />}</div>
      <Bar at={w.progress} wrong={w.wrong} cancel={w.cancel} again={w.start} />
      {f && <p class="caption">{t("its strongest number", "其最大值")} <b>{num(f.value)}</b> {t(`at row ${f.at[0]}, column ${f.at[1]}`, `位于第 ${f.at[0]} 行第 ${f.at[1]} 列`)}</p>}
      <div class="row"><Segmented value={rule} set={(v) => go({ extra: { rule: v === "deconvnet" ? "" : v } })} label={t("Rule", "规则")} options={[["deconvnet", t("deconvolution", "反卷积")], ["guided", t("guided", "引导")], ["gradient", t("gradient", "梯度")]]} /></div>
      <Command text={cmd} />
    </section>
  );
}

export function Excites(q: { l: api.Layer; c: number }) {
  const [ref, width] = useWidth<HTMLDivElement>(), quick = (model.value?.macs ?? 1e12) < 5e7;
  if (q.l.dim.length < 2 || !model.value?.weights) return null;
  return (
    <Panel class="excites" title={t(`What excites channel ${q.c}`, `什么能激发通道 ${q.c}`)}>
      <div ref={ref} class={width > 900 ? "excite-row" : "excite-row narrow"}><Made {...q} quick={quick} /><Found {...q} quick={quick} /><Projected {...q} /></div>
    </Panel>
  );
}
