// confusion.tsx - which class the test pictures of an epoch were taken for: the table that a run writes (confusion_table), as a heat map with names.
import * as api from "./logapi";
import { nameOf, runsById, stamp } from "./watchstate";
import { t } from "./store";
import { keep, useLoad } from "./canvas";

export interface Matrix { names: string[]; cells: number[][] }
/** The Markdown table of a run; null: it is something else. */
function matrixOf(lines: string[]): Matrix | null {
  const rows = lines.filter((x) => x.startsWith("|")).map((x) => x.split("|").slice(1, -1).map((y) => y.trim())), names = rows[0]?.slice(1) ?? [], cells = rows.slice(2).map((r) => r.slice(1).map(Number));
  return names.length > 1 && names.length <= 100 && cells.length === names.length && cells.every((r) => r.length === names.length && r.every((v) => v >= 0)) ? { names, cells } : null;
}

const MOST_NUMBERS = 20;

function Heat(q: { m: Matrix }) {
  const { names, cells } = q.m, n = names.length, dense = n > MOST_NUMBERS;
  return (
    <div class="tablebox"><table class={dense ? "confusion dense" : "confusion"}>
      <thead><tr><th scope="col" class="corner">{dense ? "" : t("label \\ answer", "标签 \\ 回答")}</th>{!dense && names.map((x, k) => <th key={k} scope="col" class={n > 6 && names.some((y) => y.length > 3) ? "up" : ""} title={x}><span>{x}</span></th>)}{!dense && <th scope="col" class="n">{t("right", "正确")}</th>}</tr></thead>
      <tbody>{cells.map((r, i) => {
        const all = r.reduce((x, y) => x + y, 0);
        return <tr key={i}><th scope="row" title={names[i]}>{dense ? "" : names[i]}</th>{r.map((v, k) => {
          const share = all > 0 && v > 0 ? 0.12 + 0.88 * (v / all) : 0;
          return <td key={k} class={share > 0.55 ? "strong" : ""} style={{ background: share ? `color-mix(in srgb, ${i === k ? "#1f56a0" : "#d65e14"} ${Math.round(share * 100)}%, transparent)` : undefined }} title={`${names[i]} → ${names[k]}: ${v}`}>{dense ? "" : v || ""}</td>;
        })}{!dense && <td class="n quiet">{all ? `${((r[i] / all) * 100).toFixed(all < 1000 ? 0 : 1)} %` : "–"}</td>}</tr>;
      })}</tbody></table></div>
  );
}

/** The most frequent mistakes in words: what a heat map of many classes cannot say. */
function worst(m: Matrix): string {
  const list = m.cells.flatMap((r, i) => r.map((v, k) => ({ v: i === k ? 0 : v, i, k }))).filter((x) => x.v > 0).sort((a, b) => b.v - a.v).slice(0, 3);
  return list.map((x) => `${m.names[x.i]} → ${m.names[x.k]} (${x.v})`).join(t(", ", "，"));
}

export function ConfusionCard(q: { series: api.Series; share: number }) {
  const steps = useLoad(async () => { try { return (await api.getText(q.series.id, 0)).steps; } catch { return keep; } }, [q.series.id, stamp.value]), r = runsById.value.get(q.series.run);
  const target = steps?.length ? steps[0] + (steps[steps.length - 1] - steps[0]) * q.share : 0, k = (steps ?? []).reduce((best, s, i, all) => (Math.abs(s - target) < Math.abs(all[best] - target) ? i : best), 0);
  const m = useLoad(async () => { try { return steps?.length ? matrixOf((await api.getText(q.series.id, k)).lines) : null; } catch { return keep; } }, [q.series.id, k, steps?.length ?? 0]);
  if (!steps?.length || !m) return null;
  return (
    <section class="panel" aria-label={t("Confusion matrix", "混淆矩阵")}><header><h2>{t("Confusion matrix", "混淆矩阵")}</h2><div class="side">{t("after epoch", "第")} {steps[k] + 1}{t("", " 轮之后")} · {k + 1}/{steps.length}</div></header>
      <Heat m={m} />
      <p class="caption quiet">{r ? `${nameOf(r)} · ` : ""}{t("rows: labels of the validation pictures, columns: answers", "行：验证图片的标签；列：网络的回答")}{worst(m) && <> · {t("most frequent mistakes:", "最常见的错误：")} {worst(m)}</>}</p></section>
  );
}
