// store.ts - what the page shows, as signals, and the same in the address, so that every state is a link.
import { signal, computed, effect, batch } from "@preact/signals";
import * as api from "./api";

export const pages = ["overview", "network", "layer", "arithmetic", "why", "compare", "tour", "watch", "evolution", "visdom"] as const;
export type Page = (typeof pages)[number];
export type Theme = "auto" | "light" | "dark";

const stored = (key: string): string | null => { try { return localStorage.getItem(key); } catch { return null; } };
const keep = (key: string, value: string): void => { try { localStorage.setItem(key, value); } catch { /* private window */ } };

export const lang = signal<"en" | "zh">((stored("lang") ?? (navigator.language.startsWith("zh") ? "zh" : "en")) === "zh" ? "zh" : "en");
export const theme = signal<Theme>((stored("theme") as Theme | null) ?? "auto");
export const palette = signal<"usual" | "warm" | "grey">((stored("palette") as "warm" | null) ?? "usual"); // of maps; all are told apart by every kind of colour vision
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(systemDark.matches);
systemDark.addEventListener("change", () => { systemIsDark.value = systemDark.matches; });
export const dark = computed(() => (theme.value === "auto" ? systemIsDark.value : theme.value === "dark"));
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** The text in the page's language: both stand side by side where they are used. */
export const t = (en: string, zh: string): string => (lang.value === "zh" ? zh : en);

export const state = signal<api.State | null>(null);
export const model = signal<api.Model | null>(null);
export const prediction = signal<api.Prediction | null>(null);
export const unanswered = signal(""); // why there is no prediction
export const page = signal<Page>("overview");
export const m = signal(0);
export const p = signal(0);
export const layer = signal(-1); // of the pages layer and arithmetic; -1: the first
export const at = signal(-1); // element of the layer on the page arithmetic; -1: the strongest
export const place = signal<string>(""); // an inner value on the page arithmetic, else ""
export const channel = signal(0);
export const extra = signal<Record<string, string>>({}); // what a single page keeps in the address
export const step = signal(-1); // of the tour; -1: none is under way
export const tourName = signal("first");
export const trouble = signal("");
export const busy = signal(0);
export const weights = signal<{ layer: number; channel: number; tap: number; value: number; was: number }[]>([]); // weights that were changed
export const off = signal<{ layer: number; channel: number }[]>([]); // channels switched off on the page why

export const pictures = computed(() => {
  const line = state.value?.models.find((x) => x.id === m.value);
  return (state.value?.pictures ?? []).filter((x) => x.group === "" || x.group === (line?.builtin ?? ""));
});
/** The pages that there is something for: of models, of watched logs. */
export const pagesNow = computed(() => pages.filter((x) => (x === "watch" || x === "evolution" ? (state.value?.watching ?? 0) > 0 : x === "visdom" ? (state.value?.visdom ?? 0) > 0 : !state.value || state.value.models.length > 0 || !state.value.watching)));
export const layers = computed(() => model.value?.layers ?? []);
/** Whether a place has numbers that can be asked for: where a run stopped on its way, not every layer has; with an operator that is unknown the answer
 * says which have. */
export const reached = (where: api.Place): boolean => {
  if (!pictures.value.length) return false;
  const a = prediction.value, odd = !a && layers.value.some((l) => l.title === "Unknown operator" || l.title === "未知算子");
  return !/^\d+$/.test(where) || (a?.reached ? a.reached.includes(Number(where)) : !odd);
};
/** Whether what the network sees can be had as a picture: of an array of numbers only the answer knows. */
export const seeable = (): boolean => !!pictures.value.find((x) => x.id === p.value)?.width || (prediction.value?.picture ?? false);
export const noPicture = (): string => (pictures.value.length ? "" : t("There are no numbers without a picture: drop one anywhere on this page.", "没有图片就没有数值：将一张图片拖放到页面任意位置即可。"));
/** What a class is called; one without a name has a number. */
export const classOf = (i: number): string => model.value?.classes[i] || prediction.value?.scores.find((s) => s.index === i)?.name || `${t("class", "类别")} ${i}`;
export const watches = computed(() => page.value === "watch" || page.value === "evolution" || page.value === "visdom");
export const current = computed<api.Layer | undefined>(() => layers.value[layer.value] ?? layers.value[0]);

/** Runs something that talks to the server; what goes wrong is said at the foot of the page, or to who wants to say it. */
export async function attempt<T>(work: () => Promise<T>, failed = (wrong: string): void => { trouble.value = wrong; }): Promise<T | undefined> {
  busy.value++;
  try {
    return await work();
  } catch (e) {
    if (!(e instanceof DOMException && e.name === "AbortError")) failed(e instanceof Error ? e.message : String(e));
    return undefined;
  } finally {
    busy.value--;
  }
}

/* ---- the address ---- */

const numbers = { m, p, layer, at, channel, step };
let reading = false, lastPage = "";

function readAddress(): void {
  const [name, query] = location.hash.replace(/^#\/?/, "").split("?");
  const q = new URLSearchParams(query ?? "");
  reading = true;
  batch(() => {
    page.value = (pages as readonly string[]).includes(name) ? (name as Page) : "overview";
    for (const [key, s] of Object.entries(numbers)) {
      const v = Number(q.get(key) ?? NaN);
      if (Number.isInteger(v)) s.value = v;
      else if (key !== "m" && key !== "p") s.value = key === "channel" ? 0 : -1;
    }
    place.value = q.get("place") ?? "";
    tourName.value = q.get("tour") ?? tourName.value;
    if (q.get("lang") === "zh" || q.get("lang") === "en") lang.value = q.get("lang") as "en" | "zh";
    if (q.get("theme") === "dark" || q.get("theme") === "light") theme.value = q.get("theme") as Theme;
    if (["usual", "warm", "grey"].includes(q.get("colours") ?? "")) palette.value = q.get("colours") as "usual";
    const rest: Record<string, string> = {};
    for (const [k, v] of q) if (k.startsWith("x-")) rest[k.slice(2)] = v;
    extra.value = rest;
  });
  lastPage = page.value;
  reading = false;
}

function address(): string {
  const q = new URLSearchParams();
  for (const [key, s] of Object.entries(numbers)) {
    const usual = key === "m" || key === "p" ? NaN : key === "channel" ? 0 : -1;
    if (s.value !== usual) q.set(key, String(s.value));
  }
  if (place.value) q.set("place", place.value);
  if (step.value >= 0) q.set("tour", tourName.value);
  for (const [k, v] of Object.entries(extra.value)) if (v !== "") q.set(`x-${k}`, v);
  return `#/${page.value}?${q}`;
}

function writeAddress(): void {
  const next = address();
  if (reading || next === location.hash) return;
  if (page.value !== lastPage) history.pushState(null, "", next);
  else history.replaceState(null, "", next);
  lastPage = page.value;
}

/** Changes what is shown, in one go. */
export function go(to: { page?: Page; layer?: number; at?: number; channel?: number; place?: string; m?: number; p?: number; extra?: Record<string, string> }): void {
  batch(() => {
    if (to.page !== undefined) page.value = to.page;
    if (to.layer !== undefined) layer.value = to.layer;
    if (to.at !== undefined) at.value = to.at;
    if (to.channel !== undefined) channel.value = to.channel;
    place.value = to.place ?? "";
    if (to.m !== undefined && to.m !== m.value) { m.value = to.m; layer.value = -1; at.value = -1; channel.value = 0; off.value = []; weights.value = []; extra.value = { ...extra.value, unfold: "", from: "" }; }
    if (to.p !== undefined) p.value = to.p;
    if (to.layer !== undefined && extra.value.from) extra.value = { ...extra.value, from: "" }; // the input that was looked at belonged to another layer
    if (to.extra !== undefined) extra.value = { ...extra.value, ...to.extra };
  });
}

let asks = 0, told = 0;
/** Asks for the state anew; an answer that is overtaken by the one to a later question is not taken. */
export async function refresh(): Promise<void> {
  const mine = ++asks, got = await attempt(api.getState);
  if (got && mine > told) { told = mine; state.value = got; }
}

/** For what takes long and then shows something new: a test whether the reader has chosen no other model or picture meanwhile. */
export function chosenNow(): () => boolean {
  const mm = m.value, pp = p.value;
  return () => mm === m.value && pp === p.value;
}

/** For what takes long and then shows something: a test whether the reader still is where it was asked for. */
export function stillHere(): () => boolean {
  const where = [page.value, m.value, p.value, layer.value, at.value, channel.value, place.value, extra.value.unfold ?? ""].join("|");
  return () => where === [page.value, m.value, p.value, layer.value, at.value, channel.value, place.value, extra.value.unfold ?? ""].join("|");
}

/* What the network says. Why a run stopped is said in the language that was asked for: where that has changed on the way, it is asked again. */
async function answerOf(mm: number, pp: number): Promise<api.Prediction> {
  const spoken = lang.peek(), got = await api.getPrediction(mm, pp);
  return got.stopped && lang.peek() !== spoken ? answerOf(mm, pp) : got;
}

/** Starts: reads the address, the server's state, and follows both. */
export async function start(): Promise<void> {
  readAddress();
  addEventListener("hashchange", readAddress);
  addEventListener("popstate", readAddress);
  effect(() => { api.setApiLanguage(lang.value); keep("lang", lang.value); document.documentElement.lang = lang.value === "zh" ? "zh-CN" : "en"; });
  effect(() => { keep("palette", palette.value); });
  effect(() => { keep("theme", theme.value); document.documentElement.dataset.theme = dark.value ? "dark" : "light"; });
  await refresh();
  if (!pagesNow.value.includes(page.value)) page.value = pagesNow.value[0];
  if (state.value && !state.value.models.some((x) => x.id === m.value)) m.value = state.value.models[0]?.id ?? 0;
  let loaded = "", answered = "", spoken = lang.value;
  effect(() => { // the methods' words are the server's, and why a run stopped
    if (lang.value === spoken) return;
    spoken = lang.value;
    void refresh();
    const a = prediction.peek();
    if (a?.stopped) void attempt(() => answerOf(m.peek(), p.peek())).then((got) => { if (got && prediction.peek() === a) prediction.value = got; });
  });
  effect(() => {
    const want = `${m.value} ${lang.value}`, number = m.value;
    if (want === loaded || !state.value?.models.length) return;
    if (!loaded.startsWith(`${number} `)) model.value = null;
    loaded = want;
    void attempt(() => api.getModel(number)).then((got) => { if (got && want === loaded) model.value = got; });
  });
  effect(() => {
    const list = pictures.value;
    if (list.length && !list.some((x) => x.id === p.value)) p.value = list[0].id;
  });
  effect(() => {
    const want = `${m.value} ${p.value}`, mm = m.value, pp = p.value;
    if (want === answered || !pictures.value.some((x) => x.id === pp)) return;
    answered = want;
    prediction.value = null; unanswered.value = "";
    void attempt(() => answerOf(mm, pp), (wrong) => { if (m.value === mm && p.value === pp) unanswered.value = wrong; }).then((got) => { if (got && m.value === mm && p.value === pp) prediction.value = got; });
  });
  let first = true;
  effect(() => { void address(); void page.value; if (!first) writeAddress(); first = false; });
  lastPage = page.value;
}
