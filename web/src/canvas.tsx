// canvas.tsx - a canvas that draws itself sharply at any pixel ratio, and the small parts that many pages share.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { dark, palette, t } from "./store";
import { remember } from "./vector";
import { colorOf, ink, isSigned, type Range } from "./color";
import { num } from "./format";

interface CanvasProps {
  w: number; h: number; draw: (g: CanvasRenderingContext2D) => void; label: string;
  onMove?: (x: number, y: number, e: PointerEvent) => void; onLeave?: () => void; onDown?: (x: number, y: number, e: PointerEvent) => void;
  onUp?: () => void; onKey?: (e: KeyboardEvent) => boolean; onWheel?: (x: number, y: number, e: WheelEvent) => void; class?: string; role?: JSX.AriaRole;
}

export function Canvas(q: CanvasProps) {
  const ref = useRef<HTMLCanvasElement>(null);
  const isDark = dark.value, colours = palette.value;
  useLayoutEffect(() => {
    const c = ref.current!, ratio = Math.min(devicePixelRatio || 1, 3), W = Math.max(1, Math.round(q.w * ratio)), H = Math.max(1, Math.round(q.h * ratio));
    if (c.width !== W || c.height !== H) { c.width = W; c.height = H; }
    remember(c, { w: q.w, h: q.h, draw: q.draw });
    const g = c.getContext("2d")!;
    g.setTransform(W / Math.max(q.w, 1), 0, 0, H / Math.max(q.h, 1), 0, 0);
    g.clearRect(0, 0, q.w, q.h);
    q.draw(g);
  }, [q.w, q.h, q.draw, isDark, colours]);
  useEffect(() => { // a wheel that zooms must be able to keep the page still
    const c = ref.current!, wheel = q.onWheel;
    if (!wheel) return;
    const on = (e: WheelEvent): void => { e.preventDefault(); const [x, y] = where(e); wheel(x, y, e); };
    c.addEventListener("wheel", on, { passive: false });
    return () => c.removeEventListener("wheel", on);
  }, [q.onWheel]);
  const where = (e: MouseEvent): [number, number] => {
    const r = ref.current!.getBoundingClientRect();
    return [((e.clientX - r.left) * q.w) / Math.max(r.width, 1), ((e.clientY - r.top) * q.h) / Math.max(r.height, 1)];
  };
  return (
    <canvas ref={ref} class={q.class} role={q.role ?? "img"} aria-label={q.label} tabIndex={q.onKey || q.onDown ? 0 : undefined}
      style={{ width: `${q.w}px`, height: `${q.h}px` }}
      onPointerMove={q.onMove && ((e) => q.onMove!(...where(e), e))} onPointerLeave={q.onLeave}
      onPointerDown={q.onDown && ((e) => { ref.current!.focus({ preventScroll: true }); q.onDown!(...where(e), e); })} onPointerUp={q.onUp}
      onKeyDown={q.onKey && ((e) => { if (q.onKey!(e)) e.preventDefault(); })} />
  );
}

/** The width of an element, followed. */
export function useWidth<T extends HTMLElement>(): [preact.RefObject<T>, number] {
  const ref = useRef<T>(null), [w, setW] = useState(0);
  useLayoutEffect(() => {
    const e = ref.current!;
    const o = new ResizeObserver(() => setW(e.clientWidth));
    o.observe(e);
    setW(e.clientWidth);
    return () => o.disconnect();
  }, []);
  return [ref, w];
}

/** What a load says where nothing is to be changed. */
export const keep = Symbol("keep");

/** Loads something whenever what it depends on changes; the last one stays while the next is on its way, and goes where there is no next one.
 * The work is told whether it still is the newest: only that one may change anything else. */
export function useLoad<T>(work: (newest: () => boolean) => Promise<T | undefined | typeof keep>, on: unknown[]): T | undefined {
  const [got, set] = useState<T | undefined>(undefined);
  useEffect(() => {
    let alive = true;
    void work(() => alive).then((v) => { if (alive && v !== keep) set(v as T | undefined); });
    return () => { alive = false; };
  }, on);
  return got;
}

/** A colour scale with its numbers. */
export function Legend(q: { range: Range; what: string; w?: number }) {
  const w = q.w ?? 150, signed = isSigned(q.range);
  const draw = (g: CanvasRenderingContext2D): void => {
    for (let i = 0; i < w; i++) { g.fillStyle = colorOf(q.range.low + ((i + 0.5) / w) * (q.range.high - q.range.low), q.range); g.fillRect(i, 0, 1.5, 8); }
    g.strokeStyle = ink("line"); g.strokeRect(0.5, 0.5, w - 1, 7);
  };
  return (
    <div class="legend" style={{ width: `${w}px` }}>
      <Canvas w={w} h={8} draw={draw} label={`${q.what}: ${num(q.range.low, 3)} – ${num(q.range.high, 3)}`} />
      <div class="legend-numbers"><span>{num(q.range.low, 3)}</span>{signed && <span>0</span>}<span>{num(q.range.high, 3)}</span></div>
    </div>
  );
}

export function Segmented<T extends string>(q: { value: T; set: (v: T) => void; options: [T, string][]; label: string }) {
  return (
    <div class="segmented" role="radiogroup" aria-label={q.label}>
      {q.options.map(([v, text]) => <button key={v} role="radio" aria-checked={q.value === v} class={q.value === v ? "on" : ""} onClick={() => q.set(v)}>{text}</button>)}
    </div>
  );
}

/** The command that makes the same thing without a browser; a click copies it. */
export function Command(q: { text: string }) {
  const [done, set] = useState(false);
  const copy = (): void => { void navigator.clipboard?.writeText(q.text).then(() => { set(true); setTimeout(() => set(false), 1500); }); };
  return (
    <div class="command"><code title={q.text}>{q.text}</code>
      <button onClick={copy} title={t("Copy the command", "复制命令")}>{done ? t("copied", "已复制") : t("copy", "复制")}</button></div>
  );
}

export function Panel(q: { title?: ComponentChildren; side?: ComponentChildren; class?: string; children: ComponentChildren }) {
  return (
    <section class={`panel ${q.class ?? ""}`}>
      {(q.title || q.side) && <header><h2>{q.title}</h2><div class="side">{q.side}</div></header>}
      {q.children}
    </section>
  );
}
