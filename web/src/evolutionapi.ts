// evolutionapi.ts - the part of the HTTP contract about snapshots of a network while it was trained.
import { address, get, packet } from "./api";

export interface Run { run: string; data: string; epochs: number[]; layers: string[] }
export interface Snapshots { runs: Run[]; samples: number }
export interface Cell {
  alike: number; value: number; picture: string; moved: boolean; kernel: Float32Array | null; map: Float32Array | null; track: Float32Array | null; projection: Float32Array | null; patch: Uint8Array | null;
  kernelDim: number[] | null; mapDim: number[] | null; trackDim: number[] | null; projectionDim: number[] | null; patchDim: number[] | null;
}
export interface LayerData {
  run: string; asked: string; strongest: number; name: string; unit: string; channels: number[]; epochs: number; input: number; cells: Cell[]; target: number; targetName: string;
  probability: number[]; why: (Float32Array | null)[]; whyDim: (number[] | null)[]; shown: Uint8Array | null; shownDim: number[] | null; pictures: number; bgr: boolean;
}
interface RawCell { alike: number | string; value: number | string; picture: string; moved: boolean; kernel: number[] | null; map: number[] | null; track: number[] | null; projection: number[] | null; patch: number[] | null }
interface RawLayer { name: string; unit: string; channels: number[]; epochs: number; input: number; cells: RawCell[]; target: number; targetName: string; probability: (number | string)[]; why: (number[] | null)[]; shown: number[] | null; pictures: number; bgr: boolean }

export const getSnapshots = (): Promise<Snapshots> => get("evolution", {});
export const sampleAddress = (run: string, k: number): string => address("evolution/picture", { run, k });

export async function getLayer(run: string, layer: number, q: { channels: number; strongest: number; k?: number; p?: number }): Promise<LayerData> {
  const { head, at, buffer } = await packet<RawLayer>("evolution/layer", { run, layer, ...q });
  let from = at;
  const size = (d: number[] | null): number => (d ? d.reduce((a, b) => a * b, 1) : 0);
  const floats = (d: number[] | null): Float32Array | null => { if (!d) return null; const a = new Float32Array(buffer, from, size(d)); from += size(d) * 4; return a; };
  const bytes = (d: number[] | null): Uint8Array | null => { if (!d) return null; const a = new Uint8Array(buffer, from, size(d)); from += size(d); return a; };
  const cells: Cell[] = head.cells.map((c) => ({ alike: Number(c.alike), value: Number(c.value), picture: c.picture, moved: c.moved, kernel: floats(c.kernel), map: floats(c.map), track: floats(c.track), projection: floats(c.projection), patch: null,
    kernelDim: c.kernel, mapDim: c.map, trackDim: c.track, projectionDim: c.projection, patchDim: c.patch }));
  const why = head.why.map(floats);
  cells.forEach((c) => { c.patch = bytes(c.patchDim); });
  return { ...head, run, asked: `${q.channels} ${q.k ?? ""} ${q.p ?? ""}`, strongest: q.strongest, cells, why, whyDim: head.why, shown: bytes(head.shown), shownDim: head.shown, probability: head.probability.map(Number) };
}
