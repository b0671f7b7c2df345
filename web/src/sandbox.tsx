// sandbox.tsx - a convolution to play with: sizes on sliders, whole numbers small enough to add up in one's head.
import { useEffect, useMemo, useState } from "preact/hooks";
import { extra, go, t } from "./store";
import { Canvas, Panel } from "./canvas";
import { colorOf, ink, inkOn } from "./color";
import { Save } from "./save";

const weights = [1, 0, -1, 2, 1, 0, -2, 1, -1, 0, 2, -1, 1, 0, 1, -1, 2, 0, 1, -2, 1, 0, -1, 1, 2];
const pixel = (y: number, x: number): number => ((y * 7 + x * 3 + ((y * x) % 5)) % 9) + 1;
const sizes = { size: [3, 9, 6], kernel: [1, 5, 3], pad: [0, 3, 1], stride: [1, 3, 1], dilation: [1, 2, 1] } as const;
type Key = keyof typeof sizes;

export function Sandbox() {
  const given = (extra.value.box5 ?? "").split(","), v = Object.fromEntries((Object.keys(sizes) as Key[]).map((k, i) => {
    const n = Number(given[i] || sizes[k][2]);
    return [k, Number.isInteger(n) && n >= sizes[k][0] && n <= sizes[k][1] ? n : sizes[k][2]];
  })) as Record<Key, number>;
  const set = (k: Key, n: number): void => go({ extra: { box5: (Object.keys(sizes) as Key[]).map((x) => (x === k ? n : v[x])).join(",") } });
  const padded = v.size + 2 * v.pad, reach = v.dilation * (v.kernel - 1) + 1, out = Math.max(0, Math.floor((padded - reach) / v.stride) + 1), unread = out > 0 ? padded - ((out - 1) * v.stride + reach) : 0;
  const [at, setAt] = useState(0), [playing, setPlaying] = useState(false), here = out > 0 ? at % (out * out) : 0, oy = Math.floor(here / Math.max(out, 1)), ox = here % Math.max(out, 1);
  useEffect(() => { if (!playing) return; const timer = setInterval(() => setAt((a) => a + 1), 500); return () => clearInterval(timer); }, [playing]);
  const value = (y: number, x: number): number => (y < v.pad || x < v.pad || y >= v.pad + v.size || x >= v.pad + v.size ? 0 : pixel(y - v.pad, x - v.pad));
  const terms = (yy: number, xx: number): [number, number][] => Array.from({ length: v.kernel * v.kernel }, (_, i) => [value(yy * v.stride + Math.floor(i / v.kernel) * v.dilation, xx * v.stride + (i % v.kernel) * v.dilation), weights[i]]);
  const sum = (yy: number, xx: number): number => terms(yy, xx).reduce((a, [x, w]) => a + x * w, 0), cell = Math.floor(Math.min(34, 300 / padded)), oc = 34;
  const text = (g: CanvasRenderingContext2D, n: number, x: number, y: number, c: number, color: string): void => { g.fillStyle = color; g.font = `${c > 24 ? 13 : 11}px ${ink("font")}`; g.textAlign = "center"; g.textBaseline = "middle"; g.fillText(String(n).replace("-", "−"), x + c / 2, y + c / 2 + 0.5); };
  const drawIn = useMemo(() => (g: CanvasRenderingContext2D): void => {
    for (let y = 0; y < padded; y++) for (let x = 0; x < padded; x++) {
      const n = value(y, x), pad = y < v.pad || x < v.pad || y >= v.pad + v.size || x >= v.pad + v.size, r = { low: 0, high: 12 };
      g.fillStyle = pad ? ink("frame") : colorOf(n, r); g.fillRect(x * cell, y * cell, cell - 1, cell - 1);
      text(g, n, x * cell, y * cell, cell - 1, pad ? ink("quiet") : inkOn(n, r));
    }
    if (out < 1) return;
    g.strokeStyle = ink("mark"); g.lineWidth = 2;
    for (let i = 0; i < v.kernel * v.kernel; i++) g.strokeRect((ox * v.stride + (i % v.kernel) * v.dilation) * cell + 1, (oy * v.stride + Math.floor(i / v.kernel) * v.dilation) * cell + 1, cell - 3, cell - 3);
  }, [JSON.stringify(v), here]);
  const drawOut = useMemo(() => (g: CanvasRenderingContext2D): void => {
    for (let y = 0; y < out; y++) for (let x = 0; x < out; x++) { const n = sum(y, x), r = { low: -40, high: 40 }; g.fillStyle = colorOf(n, r); g.fillRect(x * oc, y * oc, oc - 1, oc - 1); text(g, n, x * oc, y * oc, oc - 1, inkOn(n, r)); }
    g.strokeStyle = ink("mark"); g.lineWidth = 2; if (out > 0) g.strokeRect(ox * oc + 1, oy * oc + 1, oc - 3, oc - 3);
  }, [JSON.stringify(v), here]);
  const names: Record<Key, string> = { size: t("picture", "图片边长"), kernel: t("kernel", "卷积核"), pad: t("padding", "填充"), stride: t("stride", "步幅"), dilation: t("dilation", "空洞") };
  const pickOut = (x: number, y: number): void => { const r = Math.floor(y / oc), c = Math.floor(x / oc); if (r >= 0 && c >= 0 && r < out && c < out) { setPlaying(false); setAt(r * out + c); } };
  const key = (e: KeyboardEvent): boolean => { const d = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -out, ArrowDown: out }[e.key]; if (!d || out < 1) return false; setPlaying(false); setAt((here + d + out * out) % (out * out)); return true; };
  return (
    <Panel title={t("Sizes to play with", "动手试试各种尺寸")} side={<><Save name="sizes" label={t("the sandbox", "尺寸实验")} items={[]} /><button aria-pressed={playing} onClick={() => setPlaying(!playing)}>{playing ? t("❚❚ Pause", "❚❚ 暂停") : t("▶ Play", "▶ 播放")}</button></>}>
      <div class="sandbox">
        <div class="sliders">{(Object.keys(sizes) as Key[]).map((k) => <label key={k}><span>{names[k]}</span><input type="range" min={sizes[k][0]} max={sizes[k][1]} value={v[k]} onInput={(e) => set(k, Number((e.target as HTMLInputElement).value))} /><b>{v[k]}</b></label>)}
          <p class="formula"><code>⌊({v.size} + 2·{v.pad} − {v.dilation}·({v.kernel}−1) − 1) / {v.stride}⌋ + 1 = <b>{out}</b></code></p>
          {unread > 0 && <p class="quiet small">{t(`The last ${unread} rows and columns are never read: the stride does not divide evenly.`, `步幅不能整除：最后 ${unread} 行与列不会被读取。`)}</p>}
          {out < 1 && <p class="wrong">{t("The kernel is larger than the picture with its padding.", "卷积核比加上填充的图片还大。")}</p>}</div>
        <Canvas w={padded * cell} h={padded * cell} draw={drawIn} label={t("The picture with its padding, and the window", "带填充的图片与窗口")} onMove={(x, y) => { const c = Math.floor(x / cell / v.stride), r = Math.floor(y / cell / v.stride); if (out > 0 && r < out && c < out) { setPlaying(false); setAt(r * out + c); } }} />
        {out > 0 && <Canvas w={out * oc} h={out * oc} draw={drawOut} role="application" label={t("The result; arrow keys move the window", "结果；方向键移动窗口")} onMove={pickOut} onDown={pickOut} onKey={key} />}
      </div>
      {out > 0 && <p class="equation small" aria-live="polite">{terms(oy, ox).map(([x, w], i) => `${i ? (w < 0 ? " − " : " + ") : w < 0 ? "−" : ""}${x}·${Math.abs(w)}`).join("")} = <b>{String(sum(oy, ox)).replace("-", "−")}</b></p>}
    </Panel>
  );
}
