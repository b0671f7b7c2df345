// visdomframe.tsx - a figure that Plotly draws (3D, contours, boxes, pies, ...), in a frame of its own with rules of its own: Plotly writes styles
// into its document, which this page allows nobody. Loaded when such a pane opens, and only then.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Plot } from "./visdomapi";
import { dark, t } from "./store";

export function PlotlyFrame(q: { plot: Plot; number: number; h: number; title: string }) {
  const frame = useRef<HTMLIFrameElement>(null), [ready, setReady] = useState(0), [missing, setMissing] = useState(false), isDark = dark.value;
  useEffect(() => {
    const hear = (e: MessageEvent): void => {
      if (e.origin !== location.origin || e.source !== frame.current?.contentWindow) return;
      if (e.data === "ready") setReady((n) => n + 1);
      if (e.data === "missing") setMissing(true);
    };
    addEventListener("message", hear);
    return () => removeEventListener("message", hear);
  }, []);
  useEffect(() => {
    if (!ready) return;
    const look = getComputedStyle(document.documentElement), color = (name: string): string => look.getPropertyValue(name).trim();
    const axis = { gridcolor: color("--line"), zerolinecolor: color("--line"), linecolor: color("--line") };
    const template = { layout: { xaxis: axis, yaxis: axis, scene: { xaxis: axis, yaxis: axis, zaxis: axis } } };
    const bar = { bgcolor: "rgba(0,0,0,0)", color: color("--quiet"), activecolor: color("--text") };
    const layout = { template, modebar: bar, margin: { l: 48, r: 24, t: 40, b: 44 }, ...q.plot.layout, title: undefined, width: undefined, height: undefined, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: color("--text") || undefined } };
    frame.current?.contentWindow?.postMessage({ data: q.plot.data, layout }, location.origin);
  }, [ready, q.number, isDark]);
  if (missing) return <p class="quiet">{t("Plotly draws figures of this kind, and this build has none: it could not be fetched when the program was built.", "此类图形由 Plotly 绘制，而本程序构建时未能获取 Plotly。")}</p>;
  return <iframe class="vplotly" ref={frame} src="/plotly" title={q.title || t("Plot", "图")} style={{ height: q.h + 40, colorScheme: isDark ? "dark" : "light" }} />;
}
