// pad.tsx - a drawing pad: what is drawn becomes a picture, looked at by the model after every stroke.
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, go, refresh, t } from "./store";

const side = 224;

export function Pad(q: { close: () => void }) {
  const ref = useRef<HTMLCanvasElement>(null), last = useRef<[number, number] | null>(null), [white, setWhite] = useState(true);
  const clear = (): void => {
    const g = ref.current!.getContext("2d")!;
    g.fillStyle = white ? "#000" : "#fff";
    g.fillRect(0, 0, side, side);
  };
  useEffect(clear, [white]);
  useEffect(() => { ref.current!.focus(); }, []);
  const where = (e: PointerEvent): [number, number] => {
    const r = ref.current!.getBoundingClientRect();
    return [((e.clientX - r.left) * side) / r.width, ((e.clientY - r.top) * side) / r.height];
  };
  const line = (to: [number, number]): void => {
    const g = ref.current!.getContext("2d")!, from = last.current ?? to;
    g.strokeStyle = white ? "#fff" : "#000"; g.lineWidth = 20; g.lineCap = g.lineJoin = "round";
    g.beginPath(); g.moveTo(...from); g.lineTo(to[0] + 0.01, to[1]); g.stroke();
    last.current = to;
  };
  const strokes = useRef(0), sent = useRef(0), flying = useRef(false);
  const use = async (): Promise<void> => { // one picture at a time; what is drawn meanwhile is the next one
    strokes.current++;
    if (flying.current) return;
    flying.current = true;
    while (sent.current !== strokes.current && ref.current) {
      sent.current = strokes.current;
      const canvas: HTMLCanvasElement = ref.current, blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
      const got = blob && (await attempt(() => api.uploadPicture(blob, t("drawing", "手绘") + ".png")));
      if (got) { await refresh(); go({ p: got.id }); }
    }
    flying.current = false;
  };
  return (
    <div class="pad" role="dialog" aria-label={t("Drawing pad", "画板")} onKeyDown={(e) => { if (e.key === "Escape") q.close(); }}>
      <canvas ref={ref} width={side} height={side} tabIndex={0} aria-label={t("Draw here with the mouse, a pen or a finger", "用鼠标、笔或手指在此绘画")}
        onPointerDown={(e) => { (e.target as HTMLElement).setPointerCapture(e.pointerId); last.current = null; line(where(e)); }}
        onPointerMove={(e) => { if (e.buttons) line(where(e)); }} onPointerUp={() => { last.current = null; void use(); }} />
      <div class="row">
        <button onClick={clear}>{t("Clear", "清空")}</button>
        <button onClick={() => setWhite(!white)}>{white ? t("Dark on light", "白底黑字") : t("Light on dark", "黑底白字")}</button>
        <button class="primary" onClick={q.close}>{t("Done", "完成")}</button>
      </div>
    </div>
  );
}
