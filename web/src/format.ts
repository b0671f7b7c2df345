// format.ts - numbers and shapes for people.
const minus = (s: string): string => s.replace("-", "−");

/** At most `digits` significant ones, a real minus sign. */
export function num(v: number, digits = 4): string {
  if (!Number.isFinite(v)) return Number.isNaN(v) ? "NaN" : v > 0 ? "∞" : "−∞";
  if (v === 0) return "0";
  const a = Math.abs(v);
  if (a >= 1e6 || a < 1e-4) return minus(v.toExponential(Math.max(0, digits - 2)).replace("e+", "e"));
  return minus(a >= 1000 && digits <= 4 ? v.toFixed(0) : v.toPrecision(digits));
}
export const fixed = (v: number, d: number): string => minus(v.toFixed(d));
export function short(v: number): string {
  for (const [size, name] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]] as const) if (v >= size) return (v / size).toPrecision(3) + name;
  return String(Math.round(v));
}
export function bytes(v: number): string {
  for (const [size, name] of [[2 ** 30, " GiB"], [2 ** 20, " MiB"], [2 ** 10, " KiB"]] as const) if (v >= size) return (v / size).toPrecision(3) + name;
  return `${v} B`;
}
/** "64×56×56": without the batch. */
export const shape = (dim: number[]): string => (dim.length > 1 ? dim.slice(1) : dim).join("×") || "1";
export const percent = (v: number): string => (v >= 0.9995 ? "100 %" : v < 0.001 ? "<0.1 %" : `${(v * 100).toFixed(v < 0.1 ? 1 : 0)} %`);
/** [C,H,W] of a shape, as the server cuts it into maps. */
export function grid(dim: number[]): [number, number, number] {
  const n = dim.length, c = n >= 2 ? dim[1] : n === 1 ? dim[0] : 1, w = n >= 3 ? dim[n - 1] : 1;
  return [c, n > 3 ? dim.slice(2, n - 1).reduce((a, b) => a * b, 1) : 1, w];
}
