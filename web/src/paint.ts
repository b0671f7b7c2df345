// paint.ts - maps as pixels: numbers through a colour table onto a canvas.
import { lut, type Range } from "./color";

let scratch: HTMLCanvasElement | null = null;

/** Draws one map of w x h numbers into a rectangle; crisp pixels unless smooth. */
export function drawMap(g: CanvasRenderingContext2D, data: Float32Array, from: number, w: number, h: number, range: Range,
  x: number, y: number, W: number, H: number, smooth = false): void {
  if (w < 1 || h < 1) return;
  scratch ??= document.createElement("canvas");
  if (scratch.width < w || scratch.height < h) { scratch.width = Math.max(scratch.width, w); scratch.height = Math.max(scratch.height, h); }
  const to = scratch.getContext("2d", { willReadFrequently: true })!, image = to.createImageData(w, h);
  fill(new Uint32Array(image.data.buffer), data, from, w * h, range);
  to.putImageData(image, 0, 0);
  g.imageSmoothingEnabled = smooth;
  g.drawImage(scratch, 0, 0, w, h, x, y, W, H);
}

/** n maps of w x h, one below the other as they lie in the array: coloured once and put once, then only copied. */
export function stack(data: Float32Array, n: number, w: number, h: number, rangeOf: (row: number) => Range): HTMLCanvasElement | null {
  if (n < 1 || w < 1 || h < 1) return null;
  const canvas = document.createElement("canvas"), image = new ImageData(w, n * h), out = new Uint32Array(image.data.buffer);
  canvas.width = w; canvas.height = n * h;
  for (let i = 0; i < n; i++) fill(out, data, i * w * h, w * h, rangeOf(i), i * w * h);
  canvas.getContext("2d", { willReadFrequently: true })!.putImageData(image, 0, 0);
  return canvas;
}

/** Numbers as colours; what is no number is left transparent. */
export function fill(out: Uint32Array, data: Float32Array, from: number, n: number, range: Range, to = 0): void {
  const table = lut(range), scale = 255 / (range.high - range.low || 1), low = range.low;
  for (let i = 0; i < n; i++) {
    const v = (data[from + i] - low) * scale;
    out[to + i] = v === v ? table[v < 0 ? 0 : v > 255 ? 255 : (v + 0.5) | 0] : 0;
  }
}

/** Least and largest of part of an array. */
export function extent(data: ArrayLike<number>, from = 0, n = data.length): [number, number] {
  let low = Infinity, high = -Infinity;
  for (let i = from; i < from + n; i++) { if (data[i] < low) low = data[i]; if (data[i] > high) high = data[i]; }
  return low <= high ? [low, high] : [0, 0];
}

/** A vector is folded into rows so that it fills a square. */
export function foldVector(c: number): [number, number] {
  const w = Math.max(1, Math.ceil(Math.sqrt(c)));
  return [w, Math.ceil(c / w)];
}

const images = new Map<string, Promise<HTMLImageElement>>();
/** A picture by address, loaded once. */
export function picture(address: string): Promise<HTMLImageElement> {
  let got = images.get(address);
  if (!got) {
    got = new Promise((resolve, reject) => { const i = new Image(); i.onload = () => resolve(i); i.onerror = reject; i.src = address; });
    images.set(address, got);
    got.catch(() => images.delete(address));
    if (images.size > 200) images.delete(images.keys().next().value as string);
  }
  return got;
}

let pixels: HTMLCanvasElement | null = null;
/** Ready pixels into a rectangle; crisp where they grow. */
export function drawPixels(g: CanvasRenderingContext2D, image: ImageData, x: number, y: number, W: number, H: number): void {
  pixels ??= document.createElement("canvas");
  pixels.width = image.width; pixels.height = image.height;
  pixels.getContext("2d")!.putImageData(image, 0, 0);
  g.imageSmoothingEnabled = W < image.width;
  g.drawImage(pixels, 0, 0, image.width, image.height, x, y, W, H);
}

/** Many maps of one size side by side on one canvas of their own, coloured once: drawing them again is copying. */
export function strip(data: Float32Array, n: number, w: number, h: number, rangeOfRow: (row: number) => Range): { canvas: HTMLCanvasElement; across: number } {
  const across = Math.max(1, Math.min(n, Math.floor(4096 / Math.max(w, 1)))), canvas = document.createElement("canvas"), image = new ImageData(w, h), out = new Uint32Array(image.data.buffer);
  canvas.width = across * w; canvas.height = Math.ceil(n / across) * h;
  const g = canvas.getContext("2d")!;
  for (let i = 0; i < n; i++) { fill(out, data, i * w * h, w * h, rangeOfRow(i)); g.putImageData(image, (i % across) * w, Math.floor(i / across) * h); }
  return { canvas, across };
}
