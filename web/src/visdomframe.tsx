// visdomframe.tsx - a figure that Plotly draws (3D, contours, boxes, pies, ...), in a frame of its own with rules of its own: Plotly writes styles
// into its document, which this page allows nobody. Loaded when such a pane opens, and only then.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Plot } from "./visdomapi";
import { dark, t } from "./store";

export function PlotlyFrame(q: { plot: Plot; number: number; h: number; title: string }) {
  const frame = useRef<HTMLIFrameElement>(null), [ready, setReady] = useState(0), isDark = dark.value;
  useEffect(() => {
    const hear = (e: MessageEvent): void => { if (e.origin === location.origin && e.source === frame.current?.contentWindow && e.data === "ready") setReady((n) => n + 1); };
    addEventListener("message", hear);
    return () => removeEventListener("message", hear);
  }, []);
  useEffect(() => {
    if (!ready) return;
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--text");
    const layout = { ...q.plot.layout, title: undefined, width: undefined, height: undefined, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink.trim() || undefined } };
    frame.current?.contentWindow?.postMessage({ data: q.plot.data, layout }, location.origin);
  }, [ready, q.number, isDark]);
  return <iframe class="vplotly" ref={frame} src="/plotly" title={q.title || t("Plot", "图")} style={{ height: q.h + 40, colorScheme: isDark ? "dark" : "light" }} />;
}
