// tour.tsx - tours that move the view: made for the model that is open, from its own layers and numbers, with questions that can be checked. The
// text finds the picture (stops.ts says where each stop goes), and the picture its text (the button About).
import { signal } from "@preact/signals";
import * as api from "./api";
import { current, extra, model, page, step, t, tourName } from "./store";
import { Panel } from "./canvas";
import { Sandbox } from "./sandbox";
import { keyOf, tours, type Quiz, type Stop } from "./stops";

/** What was answered, by tour and stop: the option that was chosen. */
const answers = signal<Record<string, number>>({});
const idOf = (name: string, i: number): string => `${model.value?.name} ${name} ${i}`;
const score = (name: string, stops: Stop[]): [number, number, number] => {
  const asked = stops.map((s, i) => [s.quiz, answers.value[idOf(name, i)]] as const).filter((x) => x[0]);
  return [asked.filter((x) => x[1] === x[0]!.right).length, asked.filter((x) => x[1] !== undefined).length, asked.length];
};

function to(name: string, i: number): void {
  const stop = tours()[name]?.stops[i];
  tourName.value = name;
  step.value = stop ? i : -1;
  stop?.show();
}

/** Opens the text about what is looked at, and leaves the view where it is. */
export function About(q: { l?: api.Layer }) {
  const key = keyOf(q.l), stops = tours().first.stops, i = stops.findIndex((s) => s.key === key);
  if (!key || i < 0) return null;
  const open = (): void => { tourName.value = "first"; step.value = i; };
  return <button class="about" onClick={open} title={stops[i].title} aria-label={t(`What is this? ${stops[i].title}`, `这是什么？${stops[i].title}`)}>?</button>;
}

export function Tour() {
  const all = tours();
  return (
    <div class="page tour">
      <h1>{t("Look inside", "看看里面")}</h1>
      <p class="lead">{t(`Two walks through ${model.value?.name}: the view moves by itself, everything stays live, and questions let you check what you learned.`, `在 ${model.value?.name} 中的两条路线：画面自动切换，一切都可操作，并有小测验检验所学。`)}</p>
      <div class="tours">{Object.entries(all).map(([name, x]) => { const [right, done, n] = score(name, x.stops); return (
        <Panel key={name} title={x.title} side={done ? t(`${right} of ${n} questions right`, `${n} 题答对 ${right} 题`) : t(`${x.stops.length} stops, ${n} questions`, `${x.stops.length} 站，${n} 题`)}>
          <p>{x.text}</p><ol>{x.stops.map((s, i) => <li key={i}><button class="link" onClick={() => to(name, i)}>{s.title}</button>{s.quiz && <Mark q={s.quiz} chosen={answers.value[idOf(name, i)]} />}</li>)}</ol>
          <button class="primary" onClick={() => to(name, 0)}>{t("Begin", "开始")}</button>
        </Panel>); })}</div>
      <Sandbox />
      <p class="quiet">{t("Keyboard: Tab reaches everything; arrow keys move in pictures; Enter opens; Space plays; Esc goes one step back.", "键盘：Tab 可到达所有控件；图中用方向键移动；回车打开；空格播放；Esc 返回一步。")}</p>
    </div>
  );
}

const Mark = (q: { q: Quiz; chosen?: number }) => q.chosen === undefined ? <span class="quiet small" title={t("with a question", "含小测验")}> ?</span> : q.chosen === q.q.right ? <span class="good" aria-label={t("right", "正确")}> ✓</span> : <span class="bad" aria-label={t("wrong", "错误")}> ✗</span>;

function Question(q: { quiz: Quiz; id: string }) {
  const { quiz, id } = q, chosen = answers.value[id], done = chosen !== undefined;
  return (
    <fieldset class="quiz"><legend>{quiz.ask}</legend>
      <div class="row">{quiz.options.map((o, i) => <button key={i} aria-pressed={chosen === i} class={done && i === quiz.right ? "good" : chosen === i ? "bad" : ""} onClick={() => { answers.value = { ...answers.value, [id]: i }; }}>{o}{done && i === quiz.right ? " ✓" : chosen === i ? " ✗" : ""}</button>)}</div>
      {done && <p class="small" role="status">{chosen === quiz.right ? t("Right:", "正确：") : t("Not quite:", "不对：")} {quiz.why}</p>}
    </fieldset>
  );
}

/** The text of the stop that the view is at; it stays while one looks around, and offers the text of what one looks at instead. */
export function TourCard() {
  const x = tours()[tourName.value], s = x?.stops[step.value];
  void extra.value;
  if (!s) return null;
  const key = page.value === "arithmetic" || page.value === "layer" || (page.value === "overview" && extra.value.unfold) ? keyOf(current.value) : "", other = key && key !== s.key && key !== "input" ? tours().first.stops.findIndex((k) => k.key === key) : -1;
  return (
    <section class="tourcard" aria-label={x.title} aria-live="polite">
      <header><span class="quiet">{x.title} · {step.value + 1} / {x.stops.length}</span><button class="icon" aria-label={t("End the tour", "结束导览")} onClick={() => { step.value = -1; }}>×</button></header>
      <h2><button class="link" title={t("Show it again", "再次显示")} onClick={() => s.show()}>{s.title}</button></h2><p>{s.text}</p>
      {s.quiz && <Question key={`${tourName.value} ${step.value}`} quiz={s.quiz} id={idOf(tourName.value, step.value)} />}
      {other >= 0 && tourName.value === "first" && <p class="small"><button class="link" onClick={() => { step.value = other; }}>{t(`What you look at: ${tours().first.stops[other].title}`, `正在看的是：${tours().first.stops[other].title}`)}</button></p>}
      <div class="row"><button disabled={step.value === 0} onClick={() => to(tourName.value, step.value - 1)}>{t("Back", "上一站")}</button><span class="grow" />
        <button class="primary" onClick={() => to(tourName.value, step.value + 1)}>{step.value + 1 < x.stops.length ? t("Next", "下一站") : t("Finish", "完成")}</button></div>
    </section>
  );
}
