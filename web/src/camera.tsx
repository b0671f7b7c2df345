// camera.tsx - a picture from the camera, where the browser and the person allow it. Nothing leaves this machine.
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, go, refresh, t } from "./store";

export const hasCamera = (): boolean => !!navigator.mediaDevices?.getUserMedia;

export function Camera(q: { close: () => void }) {
  const ref = useRef<HTMLVideoElement>(null), [wrong, setWrong] = useState("");
  useEffect(() => {
    let stream: MediaStream | null = null, alive = true;
    navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } }).then((s) => {
      stream = s;
      if (!alive || !ref.current) { s.getTracks().forEach((x) => x.stop()); return; }
      ref.current.srcObject = s;
      void ref.current.play();
    }).catch(() => setWrong(t("The camera was not allowed, or there is none.", "未获准使用摄像头，或没有摄像头。")));
    return () => { alive = false; stream?.getTracks().forEach((x) => x.stop()); };
  }, []);
  const take = (): void => {
    const v = ref.current!, c = document.createElement("canvas"), side = Math.min(v.videoWidth, v.videoHeight);
    if (!side) return;
    c.width = c.height = Math.min(side, 480);
    c.getContext("2d")!.drawImage(v, (v.videoWidth - side) / 2, (v.videoHeight - side) / 2, side, side, 0, 0, c.width, c.height);
    c.toBlob((blob) => { if (blob) void attempt(() => api.uploadPicture(blob, "camera.png")).then(async (got) => { if (got) { await refresh(); go({ p: got.id }); q.close(); } }); }, "image/png");
  };
  return (
    <div class="pad" role="dialog" aria-label={t("Camera", "摄像头")} onKeyDown={(e) => { if (e.key === "Escape") q.close(); }}>
      {wrong ? <p class="wrong">{wrong}</p> : <video ref={ref} muted playsInline />}
      <div class="row"><button class="primary" disabled={!!wrong} onClick={take}>{t("Take", "拍摄")}</button><button onClick={q.close}>{t("Close", "关闭")}</button></div>
    </div>
  );
}
