// explain.ts - long work of the server (explanations, feature pictures, ...): asked for, waited for, and kept while the picture stays.
import * as api from "./api";
import { lang, m, p } from "./store";

const kept = new Map<string, Promise<unknown>>();
const running = new Map<string, number>(), unwanted = new Set<string>(); // unwanted: stopped before the server had given it a number

type Progress = (fraction: number, what: string) => void;
export type Request = Record<string, unknown>;
const keyOf = (ask: Request): string => JSON.stringify({ lang: lang.value, m: m.value, p: p.value, ...ask });

export interface Ask extends Request { method: string; layer?: string; target?: number | string; signed?: boolean; samples?: number; patch?: number; stride?: number }

/** What a job tells; asking the same twice computes it once. */
export function work<T>(ask: Request, read: (job: number) => Promise<T>, progress?: Progress): Promise<T> {
  const full = { m: m.value, p: p.value, ...ask }, key = keyOf(ask);
  let got = kept.get(key) as Promise<T> | undefined;
  if (!got) {
    got = run(key, full, read, progress);
    kept.set(key, got);
    got.catch(() => kept.delete(key));
    if (kept.size > 60) kept.delete(kept.keys().next().value as string);
  }
  return got;
}
export const isKept = (ask: Request): boolean => kept.has(keyOf(ask));

/** The map of a method for what is shown now. */
export const explain = (ask: Ask, progress?: Progress): Promise<api.Explanation> => work(ask, api.getMap, progress);

async function run<T>(key: string, ask: Request, read: (job: number) => Promise<T>, progress?: Progress): Promise<T> {
  unwanted.delete(key);
  running.set(key, -1);
  try {
    const { job } = await api.startExplain(ask);
    running.set(key, job);
    if (unwanted.has(key)) void api.cancelJob(job).catch(() => undefined);
    for (let wait = 8; ; wait = Math.min(150, wait * 1.5)) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      const s = await api.getJob(job);
      if (s.done && s.cancelled) throw new DOMException("cancelled", "AbortError");
      if (s.done && s.error) throw new api.ApiError(s.error);
      if (s.done) return await read(job);
      progress?.(s.fraction, s.what);
    }
  } finally {
    running.delete(key); unwanted.delete(key);
  }
}

/** Cancels what is under way for a request. */
export function stop(ask: Request): void {
  const key = keyOf(ask), job = running.get(key);
  if (job !== undefined && job < 0) unwanted.add(key);
  else if (job !== undefined) void api.cancelJob(job).catch(() => undefined); // it may have ended by itself
}

/** A map as one number a pixel: the sum over colour channels. */
export function flat(e: api.Explanation): { data: Float32Array; w: number; h: number } {
  const w = e.dim[e.dim.length - 1], h = e.dim[e.dim.length - 2], n = w * h, c = Math.max(1, Math.floor(e.data.length / n)), out = new Float32Array(n);
  for (let k = 0; k < c; k++) for (let i = 0; i < n; i++) out[i] += e.data[k * n + i];
  if (e.kind === "grid") for (let i = 0; i < n; i++) out[i] = e.value - out[i]; // what the target lost with the patch there
  return { data: out, w, h };
}
