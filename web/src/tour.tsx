// tour.tsx - tours that move the view: made for the model that is open, from its own layers and numbers.
import { extra, go, layers, model, prediction, step, t, tourName } from "./store";
import { glyph } from "./color";
import { Panel } from "./canvas";
import { Sandbox } from "./sandbox";
import { percent } from "./format";

interface Stop { title: string; text: string; show: () => void }

function first(): Stop[] {
  const all = layers.value, conv = all.find((l) => l.conv && l.dim.length === 4), act = all.find((l) => l.glyph === glyph.activation), pool = all.find((l) => l.pool && l.dim.length === 4 && l.dim[2] > 1);
  const dense = [...all].reverse().find((l) => l.dense), soft = [...all].reverse().find((l) => l.glyph === glyph.softmax), a = prediction.value?.scores[0], best = a?.index ?? 0;
  const stops: (Stop | undefined)[] = [
    { title: t("A network is a row of steps", "网络由一连串步骤组成"), text: t("On the left, the picture as numbers. Every column is a layer: it makes new pictures, called feature maps, from those before it. On the right, the answer.", "左边是图片的数值；每一列是一层，它由前面的图得到新的图，称为特征图；右边是答案。"), show: () => go({ page: "overview" }) },
    conv && { title: t("Convolution: one number at a time", "卷积：一次算一个数"), text: t(`The layer ${conv.name} lays a small window over the picture, multiplies what lies beneath by its weights, and adds it all up. That is one number of the map. Hold an arrow key, or press play: the window moves, the sum follows.`, `层 ${conv.name} 把一个小窗口放在图上，将窗口内的数与权重相乘后全部相加，就得到特征图上的一个数。按住方向键或点播放：窗口移动，求和随之变化。`), show: () => go({ page: "arithmetic", layer: conv.index, channel: 0, at: -1 }) },
    conv && { title: t("Many kernels, many maps", "多个卷积核，多张特征图"), text: t(`${conv.name} has ${conv.dim[1]} kernels. Each looks for something else: an edge, a colour, a texture. Red: the kernel fits; blue: its opposite fits.`, `${conv.name} 有 ${conv.dim[1]} 个卷积核，各自寻找不同的东西：边缘、颜色、纹理。红色表示吻合，蓝色表示与之相反。`), show: () => go({ page: "layer", layer: conv.index, channel: 0 }) },
    act && { title: t("An activation throws away", "激活函数：舍弃一部分"), text: t(`${act.title} decides for every number by itself what goes on. Look at the formula, then at the map before and after.`, `${act.title} 对每个数单独决定保留什么。先看公式，再看前后的图。`), show: () => go({ page: "arithmetic", layer: act.index, channel: 0, at: -1 }) },
    pool && { title: t("Pooling makes it smaller", "池化：变小"), text: t("Of every window only one number goes on. Where exactly it stood is forgotten: a small shift no longer matters.", "每个窗口只留下一个数，具体位置被忘掉：微小的平移不再重要。"), show: () => go({ page: "arithmetic", layer: pool.index, channel: 0, at: -1 }) },
    dense && { title: t("Everything votes", "所有特征投票"), text: t("For every class, all features are multiplied by weights and added: their votes. The largest sums decide. Click a row to go back to where its number came from, down to the pixels.", "对每个类别，所有特征乘以权重后相加，就是它们的投票；和最大的类别胜出。单击某行的“回溯”，可一路回到像素。"), show: () => go({ page: "arithmetic", layer: dense.index, channel: best, at: best < dense.dim[dense.dim.length - 1] ? best : 0 }) },
    soft && a && { title: t("From sums to shares", "从和到概率"), text: t(`Softmax turns the sums into shares that add up to one: ${a.name || a.index} gets ${percent(a.probability)}.`, `Softmax 把这些和变成总和为 1 的占比：${a.name || a.index} 得到 ${percent(a.probability)}。`), show: () => go({ page: "arithmetic", layer: soft.index, channel: best, at: best }) },
    { title: t("Why this answer?", "为什么是这个答案？"), text: t("These maps show what spoke for it. Now drag the square over the picture below: does the answer change where they say it should?", "这些图显示支持答案的区域。再拖动下方图片上的方块：遮住那里，答案会变吗？"), show: () => go({ page: "why" }) },
  ];
  return stops.filter((x): x is Stop => !!x);
}

function wrong(): Stop[] {
  const convs = layers.value.filter((l) => l.conv && l.dim.length === 4), last = convs[convs.length - 1];
  const stops: (Stop | undefined)[] = [
    { title: t("What does it really look at?", "它究竟在看什么？"), text: t("Several methods side by side. Where they agree, believe them more; where they differ, cover that place below and see.", "多种方法并排。一致之处更可信；不一致之处，用下方的方块遮住试试。"), show: () => go({ page: "why", extra: { methods: "gradcam,occlusion,integrated_gradients" } }) },
    last && { title: t("Which features spoke?", "哪些特征起了作用？"), text: t(`The channels of ${last.name}, those first that spoke for the answer. Choose one and switch it off.`, `${last.name} 的通道，按对答案的贡献排序。选一个，把它关掉。`), show: () => go({ page: "layer", layer: last.index, extra: { sort: "vote" } }) },
    { title: t("Compare with one that it gets right", "与答对的图片比较"), text: t("Take a picture of the same kind. The bars show layer by layer where the two part: early means the pictures differ, late means that the decision does.", "选一张同类图片。柱形图逐层显示两者的差异：早期差异来自图片本身，后期差异来自判断。"), show: () => go({ page: "compare" }) },
    { title: t("Is anything dead?", "有没有失效的部分？"), text: t("Colour by MACs or memory to see where the work goes; the page Layer marks channels that say nothing here, or twice the same.", "按乘加或内存着色，看计算花在哪里；“层”页面会标出无响应或重复的通道。"), show: () => go({ page: "network", extra: { by: "macs" } }) },
  ];
  return stops.filter((x): x is Stop => !!x);
}

const tours = (): Record<string, { title: string; text: string; stops: Stop[] }> => ({
  first: { title: t("What is a convolutional network?", "什么是卷积神经网络？"), text: t("From the picture to the answer, one multiplication at a time. No knowledge needed.", "从图片到答案，一次乘法一次乘法地看。无需任何基础。"), stops: first() },
  wrong: { title: t("Why is my model wrong?", "我的模型为什么错了？"), text: t("For your own model and a picture that it gets wrong.", "适用于你自己的模型和它答错的图片。"), stops: wrong() },
});

function to(name: string, i: number): void {
  const stop = tours()[name]?.stops[i];
  tourName.value = name;
  step.value = stop ? i : -1;
  stop?.show();
}

export function Tour() {
  const all = tours();
  return (
    <div class="page tour">
      <h1>{t("Look inside", "看看里面")}</h1>
      <p class="lead">{t(`Two walks through ${model.value?.name}: the view moves by itself, and everything stays live.`, `在 ${model.value?.name} 中的两条路线：画面自动切换，一切都可操作。`)}</p>
      <div class="tours">{Object.entries(all).map(([name, x]) => (
        <Panel key={name} title={x.title} side={t(`${x.stops.length} stops`, `${x.stops.length} 站`)}>
          <p>{x.text}</p><ol>{x.stops.map((s, i) => <li key={i}><button class="link" onClick={() => to(name, i)}>{s.title}</button></li>)}</ol>
          <button class="primary" onClick={() => to(name, 0)}>{t("Begin", "开始")}</button>
        </Panel>))}</div>
      <Sandbox />
      <p class="quiet">{t("Keyboard: Tab reaches everything; arrow keys move in pictures; Enter opens; Esc goes one step back.", "键盘：Tab 可到达所有控件；图中用方向键移动；回车打开；Esc 返回一步。")}</p>
    </div>
  );
}

/** The text of the stop that the view is at; it stays while one looks around. */
export function TourCard() {
  const x = tours()[tourName.value], s = x?.stops[step.value];
  void extra.value;
  if (!s) return null;
  return (
    <section class="tourcard" aria-label={x.title} aria-live="polite">
      <header><span class="quiet">{x.title} · {step.value + 1} / {x.stops.length}</span><button class="icon" aria-label={t("End the tour", "结束导览")} onClick={() => { step.value = -1; }}>×</button></header>
      <h2><button class="link" onClick={() => s.show()}>{s.title}</button></h2><p>{s.text}</p>
      <div class="row"><button disabled={step.value === 0} onClick={() => to(tourName.value, step.value - 1)}>{t("Back", "上一站")}</button><span class="grow" />
        <button class="primary" onClick={() => to(tourName.value, step.value + 1)}>{step.value + 1 < x.stops.length ? t("Next", "下一站") : t("Finish", "完成")}</button></div>
    </section>
  );
}
