// motion.ts - soft changes, short enough not to wait for, and none where the reader asked for less motion.
import { useEffect, useRef, useState } from "preact/hooks";
import { calm } from "./store";

export const ease = (x: number): number => (x <= 0 ? 0 : x >= 1 ? 1 : 1 - (1 - x) ** 3);

/** From 0 to 1 in ms whenever the key changes (while on); 1 at once where there is to be no motion. */
export function useReveal(key: string, on: boolean, ms: number): number {
  const still = !on || calm.matches, [x, set] = useState(1), last = useRef("");
  useEffect(() => {
    if (last.current === key) return;
    last.current = key;
    if (still) { set(1); return; }
    let frame = 0;
    const start = performance.now(), step = (now: number): void => { const at = Math.min(1, (now - start) / ms); set(at); if (at < 1) frame = requestAnimationFrame(step); };
    set(0);
    frame = requestAnimationFrame(step);
    return () => { cancelAnimationFrame(frame); set(1); };
  }, [key, still]);
  return still ? 1 : x;
}

/** Numbers that move to where they should be. */
export function useGlide(to: number[], ms: number): number[] {
  const [now, set] = useState(to), at = useRef(to), key = to.join();
  useEffect(() => {
    const from = at.current;
    if (calm.matches || from.length !== to.length) { at.current = to; set(to); return; }
    let frame = 0;
    const start = performance.now(), step = (time: number): void => {
      const x = ease((time - start) / ms);
      at.current = to.map((v, i) => from[i] + (v - from[i]) * x);
      set(at.current);
      if (x < 1) frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
    return () => cancelAnimationFrame(frame);
  }, [key]);
  return now.length === to.length ? now : to;
}
