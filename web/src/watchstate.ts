// watchstate.ts - what the page of training shows: the log as it is now, which runs are seen, how curves are drawn; kept in the address.
import { computed, signal } from "@preact/signals";
import * as api from "./logapi";
import { dark, extra, go, lang } from "./store";

export const log = signal<api.Log | null>(null);
export const stamp = signal(0); // counts up when points came
export const frozen = signal(false);
export const live = signal(false);
export const findings = signal<api.Finding[] | null>(null);
export const controls = signal<api.Control[]>([]);
export const shown = signal<Record<number, boolean>>({}); // runs that were switched by hand
export const runFilter = signal("");
export const tagFilter = signal("");
export const spot = signal<{ axis: api.Axis; x: number } | null>(null); // where a pointer is, for the cursor of all charts

export const tab = computed(() => extra.value.tab ?? "curves");
export const smooth = computed(() => { const v = Number(extra.value.smooth ?? 0.6); return v >= 0 && v < 1 ? v : 0.6; });
export const axis = computed<api.Axis>(() => (["step", "epoch", "time"] as const).find((x) => x === extra.value.axis) ?? "step");
export const logScale = computed(() => extra.value.log === "1");
export const outliers = computed(() => extra.value.outliers === "1"); // leave them out of the range
export const bands = computed(() => extra.value.band === "1");
export const set = (key: string, value: string): void => go({ extra: { [key]: value } });

/** Whether a text has the words of a filter; written as /.../ a regular expression. */
export function matches(text: string, filter: string): boolean {
  if (!filter) return true;
  if (filter.length > 2 && filter.startsWith("/") && filter.endsWith("/")) { try { return new RegExp(filter.slice(1, -1), "i").test(text); } catch { return true; } }
  const low = text.toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((w) => low.includes(w));
}

/** A run's name among several logs; train and validation of one run belong together. */
export const nameOf = (r: api.Run): string => {
  const l = log.value!, folder = l.logs[r.log].replace(/\/+$/, "").split("/").pop() || "/";
  return l.logs.length < 2 ? (r.name === "." ? folder : r.name) : r.name === "." ? folder : `${folder}/${r.name}`;
};
const part = /(^|\/)(train|training|validation|val|valid|test|eval)$/i;
export const groupOf = (r: api.Run): string => `${r.log} ${r.name.replace(part, "") || "."}`;
export const isTest = (r: api.Run): boolean => /(^|\/)(validation|val|valid|test|eval)$/i.test(r.name);

const light = ["#1f62b4", "#d0611b", "#1b7f4d", "#a8327f", "#6a51c7", "#8a6d00", "#0b7f8c", "#c23b3b", "#5b6b7a", "#7a4a1f"];
const night = ["#6fb0ff", "#ffa05f", "#5fd39a", "#f07fc4", "#b3a1ff", "#e0c04a", "#56cfdd", "#ff8b84", "#a9b8c8", "#d8a071"];
const colorAt = (i: number): string => { const list = dark.value ? night : light; return i < list.length ? list[i] : `hsl(${(i * 137.5) % 360} ${dark.value ? "70% 68%" : "62% 42%"})`; };

interface Style { color: string; dash: boolean }
export const styles = computed(() => {
  const out = new Map<number, Style>(), groups = new Map<string, number>(), runs = log.value?.runs ?? [];
  for (const r of runs) if (!groups.has(groupOf(r))) groups.set(groupOf(r), groups.size);
  const single = groups.size === 1;
  runs.forEach((r, i) => out.set(r.id, { color: colorAt(single ? i : groups.get(groupOf(r))!), dash: !single && isTest(r) }));
  void dark.value;
  return out;
});
export const runsById = computed(() => new Map((log.value?.runs ?? []).map((r) => [r.id, r])));
export const visible = computed(() => new Set((log.value?.runs ?? []).filter((r) => shown.value[r.id] ?? matches(nameOf(r), runFilter.value)).map((r) => r.id)));

let asks = 0, told = 0;
/** How the runs stand; an answer that a later question has overtaken is not taken: a run that was just paused does not go on again on the page. */
export async function lookAtControls(): Promise<void> {
  const mine = ++asks, got = await api.getControls();
  if (mine > told) { told = mine; controls.value = got; }
}

/** Follows the logs as long as the page is open: every second while a run goes on, else every three. */
export function follow(): () => void {
  let over = false, last = { shape: -1, data: -1 }, spoken = "", checked = 0, timer = 0;
  const wanted = (): boolean => !over && !frozen.value;
  const turn = async (): Promise<void> => {
    if (wanted() && !document.hidden) {
      try {
        const now = await api.getNew(), words = lang.value, anew = now.shape !== last.shape || spoken !== words || !log.value;
        if (anew && wanted()) {
          const got = await api.getLog();
          if (wanted()) { log.value = got; stamp.value++; }
        } else if (now.data !== last.data && wanted()) stamp.value++;
        if (wanted() && (anew || (now.data !== last.data && Date.now() - checked > 4000))) {
          const got = await api.getFindings();
          if (wanted()) { checked = Date.now(); findings.value = got; }
        }
        if (wanted()) { live.value = now.live; last = now; spoken = words; await lookAtControls(); }
      } catch { /* the server is gone or busy: the next turn asks again */ }
    }
    if (!over) timer = window.setTimeout(() => { void turn(); }, live.value ? 1000 : 3000);
  };
  void turn();
  return () => { over = true; clearTimeout(timer); };
}
