// visdomapi.ts - Visdom's panes as the server tells of them (docs/http.md, Visdom): kept here, and brought up to date by what changed.
import { address, post } from "./api";

export interface Trace { type?: string; name?: string; mode?: string; x?: unknown[]; y?: unknown[]; z?: unknown[]; text?: unknown; fill?: string; marker?: Record<string, unknown>; line?: Record<string, unknown>; [key: string]: unknown }
export interface Plot { data: Trace[]; layout: Record<string, unknown> }
export interface Picture { src?: string; caption?: string }
export interface Property { type: string; name: string; value: unknown; values?: string[] }
export interface Pane { id: string; number: number; base: number; type: string; title?: string; width?: number; height?: number; selected?: number; content?: unknown; directed?: unknown; showEdgeLabels?: unknown; showVertexLabels?: unknown }
interface Told { port: number; saves: boolean; envs: [string, number][]; number: number; order: string[]; panes: (Pane & { ends?: [unknown[], unknown[], unknown[]][] })[] }
export interface View { port: number; saves: boolean; envs: [string, number][]; number: number; env: string; panes: Pane[] }

const traces = (p: Pane): Trace[] => (p.type === "plot" ? (p.content as Plot).data ?? [] : []);

/** The same view, or a new one where anything has changed. Of traces that only grew the new points alone travel. */
export async function follow(was: View | null, env: string): Promise<View> {
  const old = was?.env === env ? was : null, have: Record<string, number[]> = {};
  for (const p of old?.panes ?? []) have[p.id] = [p.base, ...traces(p).map((x) => Math.max(x.x?.length ?? 0, x.y?.length ?? 0))];
  const told = await post<Told>("visdom", {}, JSON.stringify({ env, since: old?.number ?? 0, have }), "application/json");
  if (old && told.number === old.number) return old;
  const known = new Map((old?.panes ?? []).map((p) => [p.id, p]));
  for (const p of told.panes) {
    const before = known.get(p.id);
    if (p.ends && before) {
      const data = traces(before).map((trace, i) => { // made anew: a view that two answers are on their way for stays what it was
        const end = p.ends![i], grown = { ...trace };
        (["x", "y", "z"] as const).forEach((k, n) => { if (end?.[n]?.length) grown[k] = [...(trace[k] ?? []), ...end[n]]; });
        return grown;
      });
      known.set(p.id, { ...before, number: p.number, base: p.base, content: { ...(before.content as Plot), data } });
    } else known.set(p.id, p);
  }
  return { port: told.port, saves: told.saves, envs: told.envs, number: told.number, env, panes: told.order.map((id) => known.get(id)).filter((p): p is Pane => !!p) };
}

export const textAddress = (env: string, win: string, number: number, theme: string): string => address("visdom/html", { env, win, number, theme });
export const tell = (env: string, win: string, what: string, more: Record<string, unknown> = {}): Promise<unknown> => post("visdom/event", {}, JSON.stringify({ env, win, what, ...more }), "application/json");
