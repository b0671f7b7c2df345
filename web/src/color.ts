// color.ts - colour maps (those of the program's figures, told apart by every kind of colour vision) and class colours.
import { dark, palette } from "./store";

const sequential = "07021E 0E0936 121551 10226C 03377C 004E7A 006280 007587 00898D 009E8F 00B489 44C77A 7BD669 B1E06A DDEB75 FFF5A5";
const divergingLight = "0F4294 2159AC 3371C4 4889DA 6DA2E1 92BAE7 B7D1EC DEE7F1 F2E4E0 EEC4B7 E9A390 E0816B D65D45 BF412E A5261B 8B0006";
const divergingDark = "98BFFF 6BA6FF 508EE4 3778C7 30629D 2A4E75 24394F 1E252C 2B211D 4D2D23 723728 99412D C24A33 E05F4B FB7765 FFA194";

const greys = "000000 FFFFFF", warm = "0B0724 2B0B57 5C126E 8F2469 C13A50 E9602C F99C10 F6D746 FCFFA4";
const purpleOrangeLight = "3B1C74 6B52A5 9A8FC7 CCC6E2 F4F2EE F6CC96 E8973C B9600F 7A3A05", purpleOrangeDark = "C9B8FF 9B83DC 6A52A6 3C2F62 211F22 553617 9A5E17 D98F33 FFCB85";

/** 256 colours as little-endian RGBA words. */
function table(text: string): Uint32Array {
  const anchors = text.split(" ").map((h) => [0, 2, 4].map((i) => parseInt(h.slice(i, i + 2), 16)));
  const out = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (anchors.length - 1), k = Math.min(Math.floor(at), anchors.length - 2), f = at - k;
    const [r, g, b] = [0, 1, 2].map((j) => Math.round(anchors[k][j] * (1 - f) + anchors[k + 1][j] * f));
    out[i] = 0xff000000 | (b << 16) | (g << 8) | r;
  }
  return out;
}
export type Palette = "usual" | "warm" | "grey";
const tables: Record<Palette, { sequential: Uint32Array; light: Uint32Array; dark: Uint32Array }> = {
  usual: { sequential: table(sequential), light: table(divergingLight), dark: table(divergingDark) },
  warm: { sequential: table(warm), light: table(purpleOrangeLight), dark: table(purpleOrangeDark) },
  grey: { sequential: table(greys), light: table(greys), dark: table(greys) },
};

/** What a colour scale covers: signed scales are centred at zero. */
export interface Range { low: number; high: number; grey?: boolean }
export function rangeOf(least: number, largest: number): Range {
  if (least < 0) { const most = Math.max(-least, largest, 1e-12); return { low: -most, high: most }; }
  return { low: 0, high: Math.max(largest, 1e-12) };
}
export const isSigned = (r: Range): boolean => r.low < 0;
export const lut = (r: Range): Uint32Array => { const of = tables[r.grey ? "grey" : palette.value] ?? tables.usual; return isSigned(r) ? (dark.value ? of.dark : of.light) : of.sequential; };
export function colorOf(v: number, r: Range): string {
  const i = Math.max(0, Math.min(255, Math.round(((v - r.low) / (r.high - r.low)) * 255)));
  const c = lut(r)[Number.isFinite(v) ? i : 0];
  return `rgb(${c & 255},${(c >> 8) & 255},${(c >> 16) & 255})`;
}
/** Black or white, whichever reads better on the colour of a value. */
export function inkOn(v: number, r: Range): string {
  const i = Math.max(0, Math.min(255, Math.round(((v - r.low) / (r.high - r.low)) * 255))), c = lut(r)[Number.isFinite(v) ? i : 0];
  return 0.3 * (c & 255) + 0.59 * ((c >> 8) & 255) + 0.11 * ((c >> 16) & 255) > 140 ? "#14181d" : "#ffffff";
}

const classes: Record<string, [string, string, string, string]> = {
  input: ["#E2E6EA", "#565F69", "#343B44", "#A9B3BE"], convolution: ["#FBDDA0", "#875000", "#57400F", "#F0B84E"],
  "depthwise or grouped convolution": ["#FDEBD0", "#96571A", "#4B3A24", "#E3AC74"], normalisation: ["#CBE8CE", "#1F6B36", "#1F4429", "#85D198"],
  "activation function": ["#F3EA9A", "#666000", "#484210", "#DDD057"], pooling: ["#E9B3A4", "#7E2616", "#5B291E", "#F29C86"],
  upsampling: ["#C2DCF6", "#1D5B98", "#1D3F60", "#82BDF5"], dense: ["#DACFF2", "#5B3F9E", "#3B2F5F", "#BBA5F0"],
  addition: ["#BDE5B0", "#2B6B22", "#2A4A20", "#97D982"], product: ["#D3EBB0", "#4A6411", "#38491A", "#B5D57A"],
  concatenation: ["#B2E1DF", "#0B6260", "#144645", "#66CFCC"], reshaping: ["#EDEDE8", "#62625A", "#35352F", "#B9B9AC"],
  arithmetic: ["#E8E0D2", "#675A45", "#3F3728", "#CDBB9B"], "softmax or sigmoid": ["#F4C5DF", "#91246A", "#582344", "#F08FC7"],
  output: ["#C9B6F0", "#4B2291", "#402477", "#C6A6FF"], other: ["#F0F0F2", "#63636B", "#303036", "#B4B4BE"],
};
const glyphs = ["input", "convolution", "depthwise or grouped convolution", "normalisation", "activation function", "pooling", "upsampling", "dense",
  "addition", "product", "concatenation", "reshaping", "arithmetic", "softmax or sigmoid", "output", "other"];
export const glyph = { depthwise: 2, norm: 3, activation: 4, pool: 5, dense: 7, add: 8, concat: 10, shape: 11, softmax: 13 };
export function classColor(name: string): { fill: string; edge: string } {
  const c = classes[name] ?? classes.other;
  return dark.value ? { fill: c[2], edge: c[3] } : { fill: c[0], edge: c[1] };
}
export const glyphColor = (g: number): { fill: string; edge: string } => classColor(glyphs[g] ?? "other");

/** How much larger than usual the reader's text is: what is painted follows it. */
export const em = (): number => parseFloat(getComputedStyle(document.documentElement).fontSize) / 14 || 1;
/** A colour of the page's style sheet. */
export const ink = (name: string): string => { void dark.value; return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(); };
