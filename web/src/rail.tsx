// rail.tsx - what stands beside every page: the picture as the network sees it, with what is looked at marked, and its answer.
import { useRef, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, chosenNow, current, go, m, model, p, page, pictures, prediction, refresh, state, t, at, layers, place, unanswered } from "./store";
import { grid, num, percent } from "./format";
import { Pad } from "./pad";
import { Camera, hasCamera } from "./camera";
import { saveView } from "./snapshot";

let line: Promise<unknown> = Promise.resolve();
/** Takes files in, one after the other, and shows each, unless the reader has chosen something else meanwhile; tells the numbers of the pictures. */
export function takeFiles(files: FileList | File[]): Promise<number[]> {
  const all = Array.from(files); // a list of the page's own is emptied with its field
  const mine = line.then(async () => {
    const pictures: number[] = [];
    for (const f of all) {
      const isPicture = f.type.startsWith("image/") || /\.(png|jpe?g|jfif|webp|bmp)$/i.test(f.name), here = chosenNow();
      const got = await attempt(() => (isPicture ? api.uploadPicture(f, f.name) : api.uploadModel(f)));
      if (!got) continue;
      await refresh();
      if (isPicture) pictures.push(got.id);
      if (here()) go(isPicture ? { p: got.id } : { m: got.id });
    }
    return pictures;
  });
  line = mine;
  return mine;
}

/** What the unit that is looked at sees of the picture, in parts of the picture; null: everything, or unknown. */
function fieldBox(): { left: number; top: number; width: number; height: number } | null {
  const l = current.value, side = prediction.value?.side;
  if (page.value !== "arithmetic" || at.value < 0 || !side || place.value) return null;
  if (!l?.field) return null;
  const [, h, w] = grid(l.dim), y = Math.floor(at.value / w) % h, x = at.value % w, f = l.field;
  const top = f.start[0] + y * f.jump[0] - (f.size[0] - 1) / 2, left = f.start[1] + x * f.jump[1] - (f.size[1] - 1) / 2;
  const clip = (v: number, n: number): number => Math.max(0, Math.min(n, v));
  const t0 = clip(top, side[0]), l0 = clip(left, side[1]), t1 = clip(top + f.size[0], side[0]), l1 = clip(left + f.size[1], side[1]);
  return { left: l0 / side[1], top: t0 / side[0], width: (l1 - l0) / side[1], height: (t1 - t0) / side[0] };
}

function Answer() {
  const a = prediction.value;
  if (a?.stopped || (!a && unanswered.value)) return <p class="wrong" role="alert">{t("No answer:", "没有回答：")} {a?.stopped ?? unanswered.value}</p>;
  if (!a) return <p class="quiet">{pictures.value.length ? t("computing…", "计算中…") : ""}</p>;
  if (!a.classes) return <p class="quiet">{t("This model does not answer with classes.", "该模型的输出不是类别。")}</p>;
  return (
    <ol class="answer" aria-label={t("The model's answer", "模型的回答")}>
      {a.scores.slice(0, 5).map((s) => (
        <li key={s.index} title={`${t("logit", "logit")} ${num(s.logit)}`}>
          <span class="name">{s.name || `${t("class", "类别")} ${s.index}`}</span><span class="value">{percent(s.probability)}</span>
          <span class="bar"><i style={{ width: `${Math.max(0, Math.min(1, s.probability)) * 100}%` }} /></span>
        </li>
      ))}
    </ol>
  );
}

export function Rail() {
  const [pad, setPad] = useState<"" | "pad" | "camera">(""), file = useRef<HTMLInputElement>(null);
  const box = fieldBox(), a = prediction.value, list = pictures.value, known = list.some((x) => x.id === p.value);
  const percentBox = box && { left: `${box.left * 100}%`, top: `${box.top * 100}%`, width: `${box.width * 100}%`, height: `${box.height * 100}%` };
  void layers.value;
  return (
    <aside class="rail" aria-label={t("Picture and answer", "图片与回答")}>
      {pad === "pad" ? <Pad close={() => setPad("")} /> : pad === "camera" ? <Camera close={() => setPad("")} /> : (
        <div class="seen">
          {known && (a ? a.picture : list.some((x) => x.id === p.value && x.width)) ? <img src={a ? api.shownAddress(m.value, p.value) : api.pictureAddress(p.value, 256)} alt={t("The picture as the network sees it", "网络看到的图片")} />
            : <div class="no-picture">{known ? t("numbers, not a picture", "输入为数值而非图片") : t("no picture yet: drop one here", "还没有图片：拖放到此处")}</div>}
          {percentBox && <i class="field" style={percentBox} />}
        </div>
      )}
      {box && <p class="quiet small">{t("The box: all that this number can see.", "方框：这个数能看到的全部区域。")}</p>}
      <Answer />
      {model.value?.random && <p class="quiet small warn">{t("This file has no weights: they are random here, so maps and answers mean nothing yet.", "该文件没有权重：此处为随机权重，特征图与回答都还没有意义。")}</p>}
      {a?.guessed && <p class="quiet small">{t("The model names no classes. These are ImageNet's, a guess; other names: ", "模型未提供类别名称，此处为 ImageNet 的名称，仅为猜测；另行指定：")}<code class="whole">--classes</code></p>}
      {a && <p class="quiet small">{t("computed in", "计算用时")} {a.ms.toFixed(a.ms < 10 ? 1 : 0)} ms</p>}
      <div class="thumbs" role="listbox" aria-label={t("Pictures", "图片")}>
        {list.map((x) => (
          <button key={x.id} role="option" aria-selected={x.id === p.value} class={x.id === p.value ? "on" : ""} title={x.name} onClick={() => go({ p: x.id, place: place.value })}>
            {x.width ? <img src={api.pictureAddress(x.id, 96)} alt={x.name} loading="lazy" /> : <span>npy</span>}
          </button>
        ))}
      </div>
      <div class="row">
        <button onClick={() => file.current!.click()}>{t("Add…", "添加…")}</button>
        <button onClick={() => setPad(pad === "pad" ? "" : "pad")} aria-pressed={pad === "pad"}>{t("Draw", "画一个")}</button>
        {hasCamera() && <button onClick={() => setPad(pad === "camera" ? "" : "camera")} aria-pressed={pad === "camera"}>{t("Camera", "拍照")}</button>}
        <input ref={file} type="file" multiple hidden onChange={(e) => { void takeFiles((e.target as HTMLInputElement).files!); }} />
      </div>
      {known && a && <p class="small keep">{t("Keep as one page:", "存为单个网页：")} <button class="link" onClick={saveView}>{t("this view", "当前画面")}</button> · <a href={api.fileAddress("report", { m: m.value, p: p.value })} download>{t("the whole report", "完整报告")}</a></p>}
      {!state.value?.pictures.length && <p class="quiet small">{t("Drop pictures and model files anywhere.", "可将图片与模型文件拖放到页面任意处。")}</p>}
    </aside>
  );
}
