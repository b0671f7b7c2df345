// logapi.ts - the part of the HTTP contract about logs of training (docs/http.md): runs, tags, curves, histograms, pictures, texts, findings.
import { get, packet, post, postPacket, address } from "./api";

export type Axis = "step" | "epoch" | "time";
export type Kind = "scalar" | "histogram" | "picture" | "text";
export interface Run { id: number; log: number; name: string; settings: Record<string, string> }
export interface Series { run: number; id: number; n: number; first: number; last: number }
export interface Tag { tag: string; kind: Kind; series: Series[] }
export interface Log { shape: number; data: number; live: boolean; logs: string[]; runs: Run[]; tags: Tag[]; notes: string[]; evolution: number[] }
export interface Line { series: number; all: number; x: Float64Array; y: Float64Array; s: Float64Array }
export interface Lines { lines: Line[]; first: number; last: number }
export interface Band { n: number; runs: number; x: Float64Array; mean: Float64Array; deviation: Float64Array; low: Float64Array; high: Float64Array }
export interface View { axis: Axis; from?: number; to?: number; columns: number; smooth: number }
export interface Bins { step: number; left: Float64Array; right: Float64Array; count: Float64Array }
export interface Finding { run: number; code: string; severity: "note" | "warning" | "fault"; title: string; step: number; layer: string; evidence: string; why: string; advice: string; recipe: string; tag: string }
export interface Control { run: string; paused: boolean; ended: boolean; step: number; epoch: number; epochs: number; rate: number; id: number; changes: { step: number; rate: number }[] }

type RawSeries = [number, number, number, number, number];
export async function getLog(): Promise<Log> {
  const raw = await get<Omit<Log, "tags"> & { tags: { tag: string; kind: Kind; series: RawSeries[] }[] }>("log", {});
  return { ...raw, evolution: raw.evolution ?? [], tags: raw.tags.map((x) => ({ ...x, series: x.series.map(([run, id, n, first, last]) => ({ run, id, n, first, last })) })) };
}
export const getNew = (): Promise<{ shape: number; data: number; live: boolean }> => get("log/new", {});

export async function getLines(series: number[], view: View, signal?: AbortSignal): Promise<Lines> {
  const { head, at, buffer } = await postPacket<{ lines: [number, number, number, number][]; smooth: boolean; first: number | string; last: number | string }>("log/curves", { series, ...view }, signal);
  let from = at;
  const column = (n: number): Float64Array => { const a = new Float64Array(buffer, from, n); from += n * 8; return a; };
  const lines = head.lines.map(([id, n, all]) => { const x = column(n), y = column(n), s = head.smooth ? column(n) : y; return { series: id, all, x, y, s }; });
  return { lines, first: Number(head.first), last: Number(head.last) };
}
export async function getBand(series: number[], view: View, signal?: AbortSignal): Promise<Band> {
  const { head, at, buffer } = await postPacket<{ n: number; runs: number }>("log/curves", { series, band: true, ...view }, signal);
  const column = (k: number): Float64Array => new Float64Array(buffer, at + k * head.n * 8, head.n);
  return { n: head.n, runs: head.runs, x: column(0), mean: column(1), deviation: column(2), low: column(3), high: column(4) };
}
export async function getBins(series: number, times: number): Promise<{ all: number; times: Bins[] }> {
  const { head, at, buffer } = await packet<{ all: number; times: [number, number, number][] }>("log/bins", { series, times });
  let from = at;
  const column = (n: number): Float64Array => { const a = new Float64Array(buffer, from, n); from += n * 8; return a; };
  return { all: head.all, times: head.times.map(([step, , n]) => ({ step, left: column(n), right: column(n), count: column(n) })) };
}
export const getSteps = (series: number): Promise<{ steps: number[]; lines?: string[] }> => get("log/text", { series });
export const getText = (series: number, k: number): Promise<{ steps: number[]; lines: string[] }> => get("log/text", { series, k });
export const pictureAt = (series: number, k: number): string => address("log/picture", { series, k });
export const csvAt = (series: number): string => address("log/csv", { series });
export const getFindings = async (): Promise<Finding[]> => (await get<{ warnings: Finding[] }>("log/warnings", {})).warnings;
export const getControls = async (): Promise<Control[]> => (await get<{ runs: Control[] }>("log/control", {})).runs;
export const sendControl = (ask: { run: string; pause?: boolean; step?: number; rate?: number }): Promise<unknown> => post("log/control", {}, JSON.stringify(ask), "application/json");
