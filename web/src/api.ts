// api.ts - the HTTP contract (docs/http.md) as functions. Nothing else here talks to the server.
export type Place = string; // "12" a layer, "in0" an input, "v7" a value inside a layer

export interface ModelLine { id: number; name: string; builtin: string; format: string; command: string; weights: boolean; layers: number }
export interface PictureLine { id: number; name: string; group: string; command: string; width: number; height: number }
export interface Method { name: string; title: string; sentence: string; caveat: string; layer: boolean; kind: number }
export interface State { version: string; models: ModelLine[]; pictures: PictureLine[]; builtin: string[]; methods: Method[]; watching: number; visdom: number }
export interface Layer {
  index: number; name: string; op: string; title: string; dim: number[]; from: Place[]; params: number; macs: number; bytes: number;
  settings: string; formula: string; sentence: string; reading: string; note: string; glyph: number;
  conv: boolean; pool: boolean; dense: boolean; filters: boolean; output: boolean;
  field?: { size: [number, number]; jump: [number, number]; start: [number, number] };
}
export interface Model {
  name: string; format: string; producer: string; weights: boolean; classes: string[]; inputs: { name: string; dim: number[] }[];
  random: boolean; classes_guessed: boolean; layers: Layer[]; notes: string[]; params: number; macs: number; memory: number; input: string; preprocess: string; guessed: boolean;
}
export interface Score { index: number; name: string; probability: number; logit: number }
export interface Prediction { scores: Score[]; classes: boolean; guessed: boolean; ms: number; picture: boolean; logit: number; side?: [number, number]; stopped?: string; reached?: number[] }
export interface Maps { c: number; h: number; w: number; H: number; W: number; C: number; factor: number; data: Float32Array }
export interface ChannelStats { least: number; largest: number; mean: number; strength: number; zeros: number; twin: number }
export interface Stats { dim: [number, number, number]; least: number; largest: number; broken: number; channels: ChannelStats[]; bins: Float32Array }
export interface Source { place: Place; name: string; dim: number[] }
export interface Unit {
  kind: "sum" | "max" | "copy" | "function" | "softmax"; op: string; title: string; formula: string; dim: number[]; at: number;
  result: number; total: number; bias: number; own: number; sources: Source[]; n: number;
  source: Float64Array; from: Float64Array; tap: Float64Array; value: Float64Array; weight: Float64Array;
}
export interface Explanation {
  kind: "pixels" | "layer" | "grid"; dim: number[]; method: string; layer: string; target: string; index: number; probability: boolean;
  value: number; caption: string; seconds: number; votes: [number, number, number][]; patch: number; stride: number; note: string; data: Float32Array; job: number;
}
export interface FeaturePicture { layer: string; channel: number; dim: number[]; values: number[]; silent: boolean; seconds: number; pixels: Uint8Array; job: number }
export interface TopPatch { name: string; value: number; at: [number, number]; box: [number, number, number, number]; patch: number[]; projection: number[]; pixels: Uint8Array; numbers: Float32Array }
export interface TopPatches { layer: string; channel: number; pictures: number; skipped: number; seconds: number; items: TopPatch[]; job: number }
export interface Projection { layer: string; channel: number; dim: number[]; value: number; at: [number, number]; box?: [number, number, number, number]; seconds: number; data: Float32Array; job: number }
export interface Reach { was: number; set: number; layers: { layer: number; changed: number; channels: number; at: number; box: [number, number, number, number]; was: number; is: number; size: number }[] }
export interface Edit { place: Place; y?: number; x?: number; h?: number; w?: number; channel?: number; channels?: number; fill?: number | number[]; tap?: number; weight?: number }

export class ApiError extends Error {}

/** This tab: its what-if edits are its own (docs/http.md). */
const view = crypto.getRandomValues(new Uint32Array(3)).join("-"), reachView = crypto.getRandomValues(new Uint32Array(2)).join("-");
/** Whose changes a map is shown with: those of the page Why, or the one number that is followed forwards. */
export type Edited = boolean | "reach";
const editedBy = (e: Edited): { edited?: number; v?: string } => (e ? { edited: 1, v: e === "reach" ? reachView : view } : {});

let language = "en";
export const setApiLanguage = (lang: string): void => { language = lang; };

export function address(path: string, args: Record<string, string | number | undefined>): string {
  const q = new URLSearchParams({ lang: language });
  for (const [k, v] of Object.entries(args)) if (v !== undefined) q.set(k, String(v));
  return `/api/${path}?${q}`;
}

async function send(path: string, args: Record<string, string | number | undefined>, init?: RequestInit): Promise<Response> {
  const reply = await fetch(address(path, args), init);
  if (!reply.ok) {
    let text = `${reply.status}`;
    try { text = ((await reply.json()) as { error: string }).error || text; } catch { /* not ours: the number must do */ }
    throw new ApiError(text);
  }
  return reply;
}

export async function get<T>(path: string, args: Record<string, string | number | undefined>, signal?: AbortSignal): Promise<T> {
  return (await send(path, args, { signal })).json() as Promise<T>;
}

export async function post<T>(path: string, args: Record<string, string | number | undefined>, body: BodyInit, type: string): Promise<T> {
  const headers = { "Content-Type": type, "X-Convscope": "1" };
  return (await send(path, args, { method: "POST", headers, body })).json() as Promise<T>;
}

export interface Packet<H> { head: H; at: number; buffer: ArrayBuffer }
function unpack<H>(buffer: ArrayBuffer): Packet<H> {
  const n = new DataView(buffer).getUint32(0, true);
  return { head: JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, n))) as H, at: 4 + n, buffer };
}
export async function packet<H>(path: string, args: Record<string, string | number | undefined>, signal?: AbortSignal): Promise<Packet<H>> {
  return unpack(await (await send(path, args, { signal })).arrayBuffer());
}
/** A packet for a question too long for an address. */
export async function postPacket<H>(path: string, ask: unknown, signal?: AbortSignal, args: Record<string, string | number> = {}): Promise<Packet<H>> {
  const headers = { "Content-Type": "application/json", "X-Convscope": "1" };
  return unpack(await (await send(path, args, { method: "POST", headers, body: JSON.stringify(ask), signal })).arrayBuffer());
}

const number = (v: number | string): number => Number(v);

export const getState = (): Promise<State> => get("state", {});
export const getModel = (m: number): Promise<Model> => get("model", { m });
export const getPrediction = (m: number, p: number, top = 10): Promise<Prediction> => get("predict", { m, p, top });
export const pictureAddress = (p: number, side: number): string => address("picture", { p, side });
export const shownAddress = (m: number, p: number): string => address("shown", { m, p });
export const fileAddress = (path: string, args: Record<string, string | number>): string => address(path, args);
export const openBuiltin = (builtin: string): Promise<{ id: number }> => post("models", {}, JSON.stringify({ builtin }), "application/json");
export const uploadModel = (f: File): Promise<{ id: number }> => post("models", { name: f.name }, f, "application/octet-stream");
export const uploadPicture = (f: Blob, name: string): Promise<{ id: number }> => post("pictures", { name }, f, "application/octet-stream");

export interface MapsQuery { from?: number; count?: number; list?: number[]; side?: number; edited?: Edited }
export async function getMaps(m: number, p: number, layer: Place, q: MapsQuery = {}, signal?: AbortSignal): Promise<Maps> {
  const args = { m, p, layer, from: q.from, count: q.count, list: q.list?.join(","), side: q.side, ...editedBy(q.edited ?? false) };
  return readMaps(await packet<MapsHead>("maps", args, signal));
}
interface MapsHead { dim: number[]; sent: number[]; factor: number }
function readMaps({ head, at, buffer }: Packet<MapsHead>): Maps {
  const [C, H, W] = head.dim, [c, h, w] = head.sent;
  return { C, H, W, c, h, w, factor: head.factor, data: new Float32Array(buffer, at, c * h * w) };
}

export async function getStats(m: number, p: number, layer: Place): Promise<Stats> {
  return readStats(await packet<StatsHead>("stats", { m, p, layer }));
}
interface StatsHead { dim: [number, number, number]; least: number; largest: number; broken: number; bins: number }
function readStats({ head, at, buffer }: Packet<StatsHead>): Stats {
  const f = new Float32Array(buffer, at), channels: ChannelStats[] = [];
  for (let i = 0; i < head.dim[0]; i++) {
    const [least, largest, mean, strength, zeros, twin] = f.subarray(i * 6, i * 6 + 6);
    channels.push({ least, largest, mean, strength, zeros, twin });
  }
  return { dim: head.dim, least: number(head.least), largest: number(head.largest), broken: head.broken, channels, bins: f.subarray(head.dim[0] * 6, head.dim[0] * 6 + head.bins) };
}

/** All that the overview shows of a picture, in one reply. like: later columns whose channels are this one's too. */
export interface GlanceAsk { place: Place; kind: "maps" | "strip" | "classes"; first: boolean; like: number[] }
export interface Glance { answer: Prediction; columns: { stats: Stats; channels: number[]; maps: Maps }[] }
interface GlanceHead { answer: Prediction; columns: (MapsHead & { channels: number[]; least: number; largest: number })[] }
export async function getGlance(m: number, p: number, columns: GlanceAsk[], rows: number, side: number): Promise<Glance> {
  const { head, at, buffer } = await postPacket<GlanceHead>("glance", { columns, rows, side }, undefined, { m, p });
  let stats = at, maps = at + 24 * head.columns.reduce((n, c) => n + c.dim[0], 0);
  return { answer: head.answer, columns: head.columns.map((c) => {
    const one = { channels: c.channels, stats: readStats({ head: { dim: c.dim as [number, number, number], least: c.least, largest: c.largest, broken: 0, bins: 0 }, at: stats, buffer }), maps: readMaps({ head: c, at: maps, buffer }) };
    stats += 24 * c.dim[0];
    maps += one.maps.data.byteLength;
    return one;
  }) };
}

export async function getUnit(m: number, p: number, layer: Place, at: number, signal?: AbortSignal): Promise<Unit> {
  const got = await packet<Omit<Unit, "n" | "source" | "from" | "tap" | "value" | "weight"> & { terms: number }>("unit", { m, p, layer, at }, signal);
  const n = got.head.terms, column = (k: number): Float64Array => new Float64Array(got.buffer, got.at + k * n * 8, n);
  return { ...got.head, result: number(got.head.result), total: number(got.head.total), bias: number(got.head.bias), n,
    source: column(0), from: column(1), tap: column(2), value: column(3), weight: column(4) };
}

export async function getFilters(m: number, layer: number, from: number, count: number): Promise<{ dim: number[]; count: number; data: Float32Array }> {
  const { head, at, buffer } = await packet<{ dim: number[]; count: number }>("filters", { m, layer, from, count });
  const each = head.dim.slice(1).reduce((a, b) => a * b, 1);
  return { dim: head.dim, count: head.count, data: new Float32Array(buffer, at, head.count * each) };
}

export const startExplain = (ask: Record<string, unknown>): Promise<{ job: number }> => post("explain", {}, JSON.stringify(ask), "application/json");
export const getJob = (job: number): Promise<{ done: boolean; fraction: number; what: string; error: string; cancelled: boolean }> => get("job", { job });
export const cancelJob = (job: number): Promise<unknown> => post("cancel", { job }, "{}", "application/json");
export async function getMap(job: number): Promise<Explanation> {
  const { head, at, buffer } = await packet<Omit<Explanation, "data" | "job">>("map", { job });
  return { ...head, job, data: new Float32Array(buffer, at, head.dim.reduce((a, b) => a * b, 1)) };
}
const count = (dim: number[]): number => dim.reduce((a, b) => a * b, 1);
export async function getFeature(job: number): Promise<FeaturePicture> {
  const { head, at, buffer } = await packet<Omit<FeaturePicture, "pixels" | "job">>("map", { job });
  return { ...head, job, values: head.values.map(number), pixels: new Uint8Array(buffer, at, count(head.dim)) };
}
export async function getTop(job: number): Promise<TopPatches> {
  const { head, at, buffer } = await packet<Omit<TopPatches, "job">>("map", { job });
  let from = at;
  for (const x of head.items) { x.numbers = new Float32Array(buffer, from, count(x.projection)); from += x.numbers.byteLength; }
  for (const x of head.items) { x.pixels = new Uint8Array(buffer, from, count(x.patch)); from += x.pixels.byteLength; }
  return { ...head, job };
}
export async function getProjection(job: number): Promise<Projection> {
  const { head, at, buffer } = await packet<Omit<Projection, "data" | "job">>("map", { job });
  return { ...head, job, value: number(head.value), data: new Float32Array(buffer, at, count(head.dim)) };
}
export const getReach = (m: number, p: number, layer: Place, at: number): Promise<Reach> => get("reach", { m, p, layer, at, v: reachView });

export const whatIf = (m: number, p: number, edits: Edit[]): Promise<{ output: number[]; ms: number }> =>
  post("whatif", { m, p, v: view }, JSON.stringify({ edits }), "application/json");
export const getCompare = (m: number, p: number, m2: number, p2: number): Promise<{ layers: ([number, number] | null)[]; n: number; n2: number }> =>
  get("compare", { m, p, m2, p2 });

export interface GraphBox { id: string; x: number; y: number; w: number; h: number; name: string; title: string; class: string; in: string; out: string;
  kind: string; group: number; times: number; layer: number; last: number; params: number; macs: number; bytes: number; main: boolean; strips: { head: boolean; word: string; class: string }[] }
export interface GraphLink { from: string; to: string; rail: boolean; shape: string; path: string }
export interface GraphGroup { id: number; kind: string; parent: number; repeat: number; layers: number; motif: string; scope: string; x?: number; y?: number; w?: number; h?: number }
export interface Graph { width: number; height: number; direction: string; boxes: GraphBox[]; links: GraphLink[]; groups: GraphGroup[] }
export const getGraph = (m: number, view: string, expand: string, direction: string, gap: number): Promise<Graph> =>
  get("graph", { m, view: view === "all" ? "all" : "folded", depth: view === "blocks" && !expand ? 1 : undefined, expand: expand || undefined, direction, gap: gap || undefined });

/** Root mean square, largest absolute value, share of zeros of every layer. */
export async function getStrength(m: number, p: number): Promise<Float32Array> { const { at, buffer } = await packet("strength", { m, p }); return new Float32Array(buffer, at); }
/** Root mean square of d target / d layer, for every layer. */
export async function getGradients(m: number, p: number, target: number): Promise<{ target: string; index: number; sizes: Float64Array }> {
  const { head, at, buffer } = await packet<{ target: string; index: number }>("gradients", { m, p, target });
  return { ...head, sizes: new Float64Array(buffer, at) };
}
export interface Thumbs { maps: { place: Place; channels: number[]; h: number; w: number }[]; data: Float32Array }
export async function getThumbs(m: number, p: number, places: Place[], count: number, side: number): Promise<Thumbs> {
  const { head, at, buffer } = await packet<{ maps: Thumbs["maps"] }>("thumbs", { m, p, layers: places.join(","), count, side });
  return { maps: head.maps, data: new Float32Array(buffer, at) };
}
export interface NodePart { kind: "attribute" | "input" | "output"; name: string; text: string; constant: boolean; numbers?: (number | string)[] }
export const getNode = (m: number, layer: number): Promise<{ name: string; op: string; note: string; parts: NodePart[] }> => get("node", { m, layer });
export interface Likeness { a: number[]; b: number[]; best: number[]; best2: number[]; grid: number; examples: number; cka: Float64Array }
export async function getLikeness(m: number, m2: number, pictures: number[], signal?: AbortSignal): Promise<Likeness> {
  const { head, at, buffer } = await packet<Omit<Likeness, "cka">>("similar", { m, m2, pictures: pictures.join(",") }, signal);
  return { ...head, cka: new Float64Array(buffer, at, head.a.length * head.b.length) };
}
