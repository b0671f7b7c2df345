// likeness.tsx - two models of any depths: a matrix of how alike their layers are (linear CKA, Kornblith et al. 2019) over the pictures here,
// the best match of every layer marked, and the maps of the chosen pair.
import { useEffect, useMemo, useState } from "preact/hooks";
import * as api from "./api";
import { attempt, extra, go, layers, m, model, p, pictures, t } from "./store";
import { Canvas, Legend, Panel, useLoad, useWidth } from "./canvas";
import { drawMap, extent } from "./paint";
import { colorOf, ink, rangeOf } from "./color";
import { num, shape } from "./format";

const unit = { low: 0, high: 1 };

export function Likeness(q: { m2: number }) {
  const list = useMemo(() => { const all = pictures.value.map((x) => x.id).filter((x) => x !== p.value), most = (model.value?.params ?? 0) > 5e6 ? 3 : 7; return [p.value, ...all.slice(0, most)]; }, [p.value, pictures.value]);
  const [d, setD] = useState<api.Likeness | null>(null), named = useLoad(() => attempt(async () => ({ m: q.m2, model: await api.getModel(q.m2) })), [q.m2]), other = named?.m === q.m2 ? named.model : undefined;
  useEffect(() => {
    const stop = new AbortController();
    setD(null);
    void attempt(() => api.getLikeness(m.value, q.m2, list, stop.signal)).then((got) => { if (got && !stop.signal.aborted) setD(got); });
    return () => stop.abort();
  }, [m.value, q.m2, list.join()]);
  if (!d || !other) return <Panel title={t("How alike their layers are", "各层有多相似")}><p class="quiet">{t(`Running both models on ${list.length} pictures…`, `正在用 ${list.length} 张图片运行两个模型…`)}</p></Panel>;
  return <Matrix d={d} other={other} m2={q.m2} n={list.length} />;
}

function Matrix(q: { d: api.Likeness; other: api.Model; m2: number; n: number }) {
  const { d } = q, A = d.a.length, B = d.b.length, [ref, width] = useWidth<HTMLDivElement>();
  const room = Math.min(Math.max(260, width - 380), 760), cell = Math.max(2, Math.min(26, Math.floor(room / B), Math.floor(620 / A))), w = cell * B, h = cell * A;
  const [hover, setHover] = useState<[number, number] | null>(null), value = (i: number, j: number): number => d.cka[i * B + j];
  const strongest = useMemo(() => { // the deepest layer whose match is mutual: a good place to begin
    for (let i = A - 1; i > 0; i--) if (d.best[i] >= 0 && d.best2[d.best[i]] === i && (layers.value[d.a[i]]?.dim[2] ?? 1) > 1) return i;
    return 0;
  }, [d]);
  const at = extra.value.pair?.split(",").map(Number) ?? [], pair: [number, number] = at.length === 2 && d.a.includes(at[0]) && d.b.includes(at[1]) ? [d.a.indexOf(at[0]), d.b.indexOf(at[1])] : [strongest, Math.max(0, d.best[strongest])];
  const [i, j] = hover ?? pair, choose = (a: number, b: number): void => go({ extra: { pair: `${d.a[Math.max(0, Math.min(A - 1, a))]},${d.b[Math.max(0, Math.min(B - 1, b))]}` } });
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => {
    for (let a = 0; a < A; a++) for (let b = 0; b < B; b++) { const v = value(a, b); g.fillStyle = Number.isFinite(v) ? colorOf(Math.max(0, v), unit) : ink("line"); g.fillRect(b * cell, a * cell, cell, cell); }
    g.strokeStyle = "#fff"; g.lineWidth = cell > 6 ? 1.5 : 1;
    for (let a = 0; a < A; a++) if (d.best[a] >= 0) { const x = (d.best[a] + 0.5) * cell, y = (a + 0.5) * cell, r = Math.max(1.2, cell * 0.18), both = d.best2[d.best[a]] === a; g.beginPath(); g.arc(x, y, r, 0, 7); g.fillStyle = both ? "#fff" : "transparent"; if (both) g.fill(); if (cell >= 5) { g.strokeStyle = both ? "#0008" : "#fff"; g.stroke(); } }
    g.strokeStyle = ink("mark"); g.lineWidth = 2; g.strokeRect(j * cell, i * cell, cell, cell);
    g.globalAlpha = 0.4; g.fillStyle = ink("mark"); g.fillRect(0, (i + 0.5) * cell - 0.5, w, 1); g.fillRect((j + 0.5) * cell - 0.5, 0, 1, h); g.globalAlpha = 1;
  }, [d, cell, i, j]);
  const find = (x: number, y: number): [number, number] => [Math.max(0, Math.min(A - 1, Math.floor(y / cell))), Math.max(0, Math.min(B - 1, Math.floor(x / cell)))];
  const key = (e: KeyboardEvent): boolean => { const s = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key]; if (s) choose(pair[0] + s[0], pair[1] + s[1]); return !!s; };
  const la = layers.value[d.a[i]], lb = q.other.layers[d.b[j]], best = d.best[i] >= 0 ? q.other.layers[d.b[d.best[i]]] : undefined;
  return (
    <div ref={ref}><Panel title={t("How alike their layers are", "各层有多相似")} side={t(`linear CKA over ${d.examples} places of ${q.n} pictures`, `线性 CKA，取自 ${q.n} 张图片的 ${d.examples} 个位置`)}>
      <div class="two likeness">
        <div>
          <p class="quiet small">{t(`Down: the layers of ${model.value?.name} (A). Across: those of ${q.other.name} (B).`, `纵向：${model.value?.name}（A）的层；横向：${q.other.name}（B）的层。`)}</p>
          <Canvas w={w} h={h} draw={draw} role="application" label={t("How alike every layer of A is to every layer of B; arrow keys choose a pair", "A 的每一层与 B 的每一层的相似度；方向键选择一对")} onMove={(x, y) => setHover(find(x, y))} onLeave={() => setHover(null)} onDown={(x, y) => choose(...find(x, y))} onKey={key} />
          <Legend range={unit} what="CKA" w={Math.min(150, w)} />
          <p class="quiet small">● {t("the best match both ways", "双向最佳匹配")} &nbsp; ○ {t("the best for the layer of A", "A 中该层的最佳匹配")}</p>
        </div>
        <div class="wall">
          <p class="readout" aria-live="polite"><b>{la?.name}</b> ({shape(la?.dim ?? [])}) · <b>{lb?.name}</b> ({shape(lb?.dim ?? [])}) · CKA <b class="value">{Number.isFinite(value(i, j)) ? num(value(i, j), 3) : "–"}</b></p>
          {best && <p class="quiet">{t("Most like it in B:", "B 中与它最相似的层：")} <button class="link" onClick={() => choose(i, d.best[i])}>{best.name}</button> ({num(value(i, d.best[i]), 3)})</p>}
          <Pair key={`A${d.a[pair[0]]}`} layer={d.a[pair[0]]} name="A" m={m.value} title={layers.value[d.a[pair[0]]]?.name ?? ""} dim={layers.value[d.a[pair[0]]]?.dim ?? []} />
          <Pair key={`B${d.b[pair[1]]}`} layer={d.b[pair[1]]} name="B" m={q.m2} title={q.other.layers[d.b[pair[1]]]?.name ?? ""} dim={q.other.layers[d.b[pair[1]]]?.dim ?? []} />
          <p class="quiet small">{t("1: the same up to rotation and scale; about 0: nothing in common. Channels need not stand in the same order. Kornblith et al. 2019, unbiased as in Nguyen et al. 2021.", "1 表示除旋转与缩放外相同，约 0 表示毫无共同之处；通道顺序可以不同。Kornblith 等（2019），无偏估计见 Nguyen 等（2021）。")}</p>
        </div>
      </div>
    </Panel></div>
  );
}

/* The strongest maps of one of the two. */
function Pair(q: { layer: number; m: number; name: string; title: string; dim: number[] }) {
  const got = useLoad(() => attempt(() => api.getThumbs(q.m, p.value, [String(q.layer)], 8, 64)), [q.layer, q.m, p.value]), x = got?.maps[0], tile = 62;
  if (!x || q.dim.length < 3) return <p><b>{q.name}</b> {q.title}</p>;
  const each = x.h * x.w, draw = (g: CanvasRenderingContext2D): void => x.channels.forEach((_, i) => { drawMap(g, got.data, i * each, x.w, x.h, rangeOf(...extent(got.data, i * each, each)), i * (tile + 5), 0, tile, tile); g.strokeStyle = ink("line"); g.strokeRect(i * (tile + 5) - 0.5, -0.5, tile + 1, tile + 1); });
  return <div class="pairmaps"><p><b>{q.name}</b> {q.title} <span class="quiet">{t("strongest channels", "最强的通道")} {x.channels.join(", ")}</span></p><Canvas w={8 * (tile + 5)} h={tile} draw={draw} label={`${q.name} ${q.title}`} /></div>;
}
