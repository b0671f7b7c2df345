// flow.tsx - soft lines from the window that is read, through the products, to the number that is made; they flow unless motion is unwelcome.
import { useLayoutEffect, useRef, useState } from "preact/hooks";

interface Line { d: string }

export function Flow(q: { on: string }) {
  const ref = useRef<SVGSVGElement>(null), [lines, set] = useState<Line[]>([]), [size, setSize] = useState<[number, number]>([0, 0]);
  useLayoutEffect(() => {
    const svg = ref.current!, root = svg.parentElement!;
    const measure = (): void => {
      const r = root.getBoundingClientRect(), at = (e: Element | null | undefined): DOMRect | undefined => e?.getBoundingClientRect();
      const read = at(root.querySelector(".glide.box")), mid = at(root.querySelector(".products canvas")), made = at(root.querySelector(".panel:last-of-type .glide.cursor"));
      const out: Line[] = [];
      const join = (a: DOMRect, b: DOMRect, y1: number, y2: number): void => {
        const x0 = a.right - r.left, x1 = b.left - r.left, u = y1 - r.top, v = y2 - r.top, k = Math.max(12, (x1 - x0) / 2);
        if (x1 - x0 > 8) out.push({ d: `M${x0} ${u}C${x0 + k} ${u} ${x1 - k} ${v} ${x1} ${v}` });
      };
      const wrapped = !!read && !!mid && mid.top > at(root.querySelector(".panel"))!.bottom; // one below the other: no lines across
      if (read && mid && !wrapped) { join(read, mid, read.top, mid.top + 2); join(read, mid, read.bottom, mid.bottom - 2); }
      if (mid && made && !wrapped) join(mid, made, (mid.top + mid.bottom) / 2, (made.top + made.bottom) / 2);
      set(out); setSize([r.width, r.height]);
    };
    const later = setTimeout(measure, 210), watch = new ResizeObserver(measure); // after the marks have glided
    measure();
    watch.observe(root);
    return () => { clearTimeout(later); watch.disconnect(); };
  }, [q.on]);
  return <svg ref={ref} class="flow" width={size[0]} height={size[1]} aria-hidden="true">{lines.map((l, i) => <path key={i} d={l.d} />)}</svg>;
}
