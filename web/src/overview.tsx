// overview.tsx - the whole net at a glance: a column of maps for every layer, for this picture. Hovering shows what a map is made of
// and what is made of it; a click unfolds it: what it reads, its kernels, the sum.
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { attempt, classOf, dark, extra, go, m, model, p, palette, pictures, t } from "./store";
import { columnsOf, load, type Column } from "./columns";
import { Canvas, Command, Legend, Segmented, useWidth } from "./canvas";
import { em, glyph, glyphColor, ink, rangeOf, colorOf, type Range } from "./color";
import { stack } from "./paint";
import { commandWithPicture } from "./commands";
import { grid, num, percent } from "./format";
import { Save } from "./save";
import { openedOf, Unfold, type Stage } from "./unfoldview";
import * as api from "./api";

type Scale = "map" | "layer" | "block" | "net";
interface Spot { column: number; row: number }
interface Place { x: number; y: number; w: number; h: number }

const topOf = (): number => 74 * em();

function place(columns: Column[], pitch: number, tile: number, height: number, i: number, row: number): Place {
  const top = topOf();
  const c = columns[i], n = c.kind === "strip" ? 1 : Math.max(1, c.channels.length), x = 8 + i * pitch;
  if (c.kind === "strip") return { x: x + tile / 2 - 8, y: top, w: 16, h: height - top - 12 };
  const room = (height - top - 12) / Math.max(n, 1), size = Math.min(tile, room - 4), h = c.kind === "classes" ? Math.min(22 * em(), room - 2) : size;
  const used = n * Math.min(room, h + 18 * em()), y0 = top + (height - top - 12 - used) / 2;
  const wide = c.kind === "classes" && i === columns.length - 1, m = em();
  return { x: c.kind === "classes" ? x : x + (tile - size) / 2, y: y0 + (row + 0.5) * (used / n) - h / 2, w: c.kind === "classes" ? (wide ? 150 * m : tile) : size, h };
}

/** The colour range of every tile. */
function ranges(columns: Column[], scale: Scale): ((i: number, row: number) => Range) {
  const span = (list: Column[]): Range => {
    let low = Infinity, high = -Infinity;
    for (const c of list) if (c.layer && c.stats && c.kind !== "classes") { low = Math.min(low, c.stats.least); high = Math.max(high, c.stats.largest); }
    return rangeOf(low, high);
  };
  const net = span(columns), blocks = new Map<number, Range>();
  for (const c of columns) if (!blocks.has(c.block)) blocks.set(c.block, span(columns.filter((d) => d.block === c.block)));
  return (i, row) => {
    const c = columns[i], s = c.stats!;
    if (!c.layer) { const o = s.channels[c.channels[row]] ?? s; return { low: Math.min(0, o.least), high: Math.max(o.largest, 1e-9), grey: true }; } // colours of the picture, not activations
    if (scale === "map" && c.kind === "maps") { const o = s.channels[c.channels[row]]; return rangeOf(o.least, o.largest); }
    return scale === "net" ? net : scale === "block" ? blocks.get(c.block)! : rangeOf(s.least, s.largest);
  };
}

function curve(g: CanvasRenderingContext2D, a: Place, b: Place): void {
  const x0 = a.x + a.w, y0 = a.y + a.h / 2, x1 = b.x, y1 = b.y + b.h / 2, mid = (x0 + x1) / 2;
  g.moveTo(x0, y0);
  g.bezierCurveTo(mid, y0, mid, y1, x1, y1);
}

/* Which rows of two columns hang together, exactly: through everything that lies between them. */
function rowsJoined(columns: Column[], from: number, to: number, visit: (a: number, b: number) => void): void {
  const A = columns[from], B = columns[to], reach = B.from.find((s) => s.column === from)?.reach ?? [], n = A.kind === "strip" ? 1 : A.channels.length, k = B.kind === "strip" ? 1 : B.channels.length;
  for (let b = 0; b < k; b++) {
    const runs = A.kind === "strip" || B.kind === "strip" ? null : reach.map((r) => r(B.channels[b], B.channels[b] + 1));
    for (let a = 0; a < n; a++) if (!runs || runs.some(([from, end]) => A.channels[a] >= from && A.channels[a] < end)) visit(a, b);
  }
}

export function Overview() {
  const [ref, width] = useWidth<HTMLDivElement>();
  const scale = (extra.value.scale as Scale) || "layer", order = extra.value.order === "first" ? "first" : "strongest";
  const [hover, setHover] = useState<Spot | null>(null), [value, setValue] = useState<number | null>(null), wanted = useRef(0);
  const most = Math.max(6, Math.min(20, Math.floor((width - 150) / (74 * em()))));
  const plan = useMemo(() => columnsOf(model.value!, most), [model.value, most]);
  const [{ columns, answer }, show] = useState<{ columns: Column[]; answer: api.Prediction | null }>({ columns: [], answer: null });
  const rows = 10;
  useLayoutEffect(() => { // asked before the page is painted: the answer comes while it is
    const turn = ++wanted.current;
    if (width <= 0 || !pictures.value.some((x) => x.id === p.value)) return;
    void attempt(() => load(m.value, p.value, plan, rows, order)).then((got) => { if (got && turn === wanted.current) show(got); });
  }, [plan, p.value, order, width > 0, pictures.value.length]);
  const pitch = columns.length ? Math.max(64 * em(), Math.min(104 * em(), (width - 170 * em()) / Math.max(columns.length - 1, 1))) : 80, tile = Math.min(56 * em(), pitch - 20);
  const height = Math.max(440, Math.min(780, innerHeight - 250)), W = Math.max(width, 8 + (columns.length - 1) * pitch + 170 * em());
  const range = useMemo(() => ranges(columns, scale), [columns, scale]);
  const sheets = useMemo(() => columns.map((c, i) => (c.maps && c.kind !== "classes" ? c.kind === "strip" ? stack(c.maps.data, 1, 1, c.maps.c, () => range(i, 0)) : stack(c.maps.data, c.channels.length, c.maps.w, c.maps.h, (row) => range(i, row)) : null)),
    [columns, range, dark.value, palette.value]);
  const at = (i: number, row: number): Place => place(columns, pitch, tile, height, i, row);
  const draw = useMemo(() => (g: CanvasRenderingContext2D): void => drawAll(g, columns, sheets, at, hover, model.value!.classes, pitch, tile, answer), [columns, sheets, hover, W, height, answer]);

  const find = (x: number, y: number): Spot | null => {
    for (let i = 0; i < columns.length; i++) {
      const n = columns[i].kind === "strip" ? 1 : columns[i].channels.length;
      for (let row = 0; row < n; row++) { const q = at(i, row); if (x >= q.x - 2 && x <= q.x + q.w + 2 && y >= q.y - 2 && y <= q.y + q.h + 2) return { column: i, row }; }
    }
    return null;
  };
  const move = (x: number, y: number): void => {
    const s = find(x, y);
    if (s?.column !== hover?.column || s?.row !== hover?.row) setHover(s);
    if (!s) { setValue(null); return; }
    const c = columns[s.column], q = at(s.column, s.row), d = c.maps!;
    if (c.kind === "strip") { const k = Math.min(d.c - 1, Math.max(0, Math.floor(((y - q.y) / q.h) * d.c))); setValue(d.data[k]); return; }
    const px = Math.min(d.w - 1, Math.max(0, Math.floor(((x - q.x) / q.w) * d.w))), py = Math.min(d.h - 1, Math.max(0, Math.floor(((y - q.y) / q.h) * d.h)));
    setValue(c.kind === "classes" ? d.data[s.row] : d.data[s.row * d.w * d.h + py * d.w + px]);
  };
  const open = (s: Spot | null): void => {
    const c = s && columns[s.column];
    if (!c?.layer) return;
    const ch = c.kind === "strip" ? 0 : c.channels[s!.row];
    if (c.kind === "maps") go({ layer: c.layer.index, channel: ch, extra: { unfold: `${c.layer.index}.${ch}` } });
    else go({ page: "arithmetic", layer: c.layer.index, channel: ch, at: ch });
  };
  const key = (e: KeyboardEvent): boolean => {
    const s = hover ?? { column: 1, row: 0 }, rowsOf = (i: number): number => (columns[i].kind === "strip" ? 1 : columns[i].channels.length);
    if (e.key === "Enter") { open(s); return true; }
    const d = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (!d || !columns.length) return false;
    const column = Math.max(0, Math.min(columns.length - 1, s.column + d[0]));
    setHover({ column, row: Math.max(0, Math.min(rowsOf(column) - 1, s.row + d[1])) });
    return true;
  };
  const down = (x: number, y: number): void => {
    if (y < topOf() - 8) { const i = Math.round((x - 8 - tile / 2) / pitch), l = columns[i]?.layer; if (l) go({ page: "layer", layer: l.index }); return; }
    open(find(x, y));
  };
  const h = hover && columns[hover.column];
  const scales = useMemo(() => { // one of each kind that is on the page: signed, and from zero
    const at = h?.maps && h.kind !== "classes" && h.layer ? [range(hover!.column, hover!.row)] : columns.flatMap((c, i) => (c.layer && c.maps && c.kind !== "classes" ? [range(i, 0)] : []));
    return [at.find((r) => r.low < 0), at.find((r) => r.low >= 0)].filter((r): r is Range => !!r);
  }, [columns, range, hover]);
  const opened = openedOf(), unfold = opened && model.value!.layers[opened[0]];
  const stage = useMemo((): Stage => ({ columns, pitch, tile, w: W, h: height, top: topOf(), at, paint: (g) => drawAll(g, columns, sheets, at, null, model.value!.classes, pitch, tile, answer) }), [columns, sheets, W, height, answer]);
  if (unfold && columns.length) return (
    <div class="page overview" ref={ref}><Unfold stage={stage} l={unfold} channel={opened[1]} close={() => go({ extra: { unfold: "" } })} /><Command text={commandWithPicture("report", "-o", "report.html")} /></div>
  );
  return (
    <div class="page overview" ref={ref}>
      <div class="toolbar">
        <label>{t("Colour range per", "颜色范围按")}<Segmented value={scale} set={(v) => go({ extra: { scale: v } })} label={t("Colour range", "颜色范围")}
          options={[["map", t("map", "单图")], ["layer", t("layer", "层")], ["block", t("block", "块")], ["net", t("net", "全网")]]} /></label>
        <label>{t("Channels", "通道")}<Segmented value={order} set={(v) => go({ extra: { order: v } })} label={t("Which channels", "显示哪些通道")}
          options={[["strongest", t("strongest", "最强")], ["first", t("first", "靠前")]]} /></label>
        {scales.map((r) => <Legend key={String(r.low < 0)} range={r} what={t("activation", "激活值")} w={120 * em()} />)}
        <span class="grow" /><Save items={[]} name="overview" of=".overview .scroller" label={t("the overview", "总览图")} />
      </div>
      <div class="scroller"><Canvas w={W} h={height} draw={draw} class="stage" role="application" onMove={move} onLeave={() => { setHover(null); setValue(null); }} onDown={down} onKey={key}
        label={t("The layers as columns of maps. Arrow keys move, Enter shows how a map is made.", "各层以特征图列展示。方向键移动，回车查看特征图如何得来。")} /></div>
      <p class="readout" aria-live="polite">{h ? <Readout c={h} row={hover!.row} value={value} /> : t("Point at a map: what it is made of, and what is made of it. Click: see it made. Click a column's name: all of its channels.", "指向一张特征图，查看它由什么得来、又流向哪里。单击：看它如何得来。单击列名：查看全部通道。")}
        {!h && <> <button class="link" onClick={() => go({ page: "tour" })}>{t("New here? Take the tour.", "第一次使用？从导览开始。")}</button></>}</p>
      <Command text={commandWithPicture("report", "-o", "report.html")} />
    </div>
  );
}

function Readout(q: { c: Column; row: number; value: number | null }) {
  const { c } = q, k = c.channels[q.row], s = c.stats!, one = c.kind === "maps" ? s.channels[k] : null;
  return (<>
    <b>{c.name}</b>{c.layer ? ` · ${c.layer.title}${c.layer.settings ? ` ${c.layer.settings}` : ""}` : ` · ${t("the picture, as numbers", "图片的数值")}`}
    {c.kind === "maps" && ` · ${t("channel", "通道")} ${k} / ${c.dim[0]} · ${c.dim[1]}×${c.dim[2]}`}
    {one && ` · ${num(one.least, 3)} … ${num(one.largest, 3)}`}{one && one.zeros > 0.01 && ` · ${percent(one.zeros)} ${t("zeros", "为零")}`}
    {q.value !== null && <> · <b class="value">{num(q.value)}</b></>}
  </>);
}

function drawAll(g: CanvasRenderingContext2D, columns: Column[], sheets: (HTMLCanvasElement | null)[], at: (i: number, row: number) => Place,
  hover: Spot | null, classes: string[], pitch: number, tile: number, answer: api.Prediction | null): void {
  const line = ink("line"), text = ink("text"), quiet = ink("quiet"), accent = ink("accent");
  g.lineWidth = 1; g.strokeStyle = line;
  let stage = 0;
  columns.forEach((c, i) => { // a band for every run of one size of maps
    const size = (d: Column | undefined): string => (d?.kind === "maps" ? d.dim.slice(1).join() : "-");
    if (i > 0 && size(c) !== size(columns[i - 1])) stage++;
    if (stage % 2 === 1 && c.kind === "maps") { g.fillStyle = ink("frame"); g.fillRect(8 + i * pitch - (pitch - tile) / 2, 0, pitch, 4000); }
  });
  columns.forEach((c, i) => c.from.forEach((s) => { // neighbours only, and paler where everything is joined with everything
    if (i - s.column > 3) return;
    g.globalAlpha = (s.same ? 1 : 0.5) * (hover ? 0.35 : 0.8);
    g.beginPath();
    rowsJoined(columns, s.column, i, (a, b) => curve(g, at(s.column, a), at(i, b)));
    g.stroke();
  }));
  g.globalAlpha = 1;
  const lit = new Set<string>();
  if (hover) {
    g.lineWidth = 1.5; g.strokeStyle = accent; g.beginPath();
    columns.forEach((c, i) => c.from.forEach((s) => {
      if (i !== hover.column && s.column !== hover.column) return;
      rowsJoined(columns, s.column, i, (a, b) => {
        if ((i === hover.column && b !== hover.row) || (s.column === hover.column && a !== hover.row)) return;
        curve(g, at(s.column, a), at(i, b));
        lit.add(`${s.column} ${a}`); lit.add(`${i} ${b}`);
      });
    }));
    g.stroke();
    lit.add(`${hover.column} ${hover.row}`);
  }
  columns.forEach((c, i) => {
    heading(g, c, at(i, 0), 8 + i * pitch, pitch, text, quiet);
    const d = c.maps, sheet = sheets[i];
    if (!d || (c.kind !== "classes" && !sheet)) return;
    if (c.kind === "strip") {
      const q = at(i, 0);
      g.imageSmoothingEnabled = false;
      g.drawImage(sheet!, q.x, q.y, q.w, q.h);
      g.strokeStyle = lit.has(`${i} 0`) ? accent : line; g.strokeRect(q.x - 0.5, q.y - 0.5, q.w + 1, q.h + 1);
    } else if (c.kind === "classes") {
      drawClasses(g, c, (row) => at(i, row), classes, answer, (row) => lit.has(`${i} ${row}`), { text, quiet, accent, line: ink("line"), bar: ink("bar") });
    } else {
      const names = channelNames(c);
      c.channels.forEach((k, row) => {
        const q = at(i, row);
        g.imageSmoothingEnabled = d.w > q.w * 1.5;
        g.drawImage(sheet!, 0, row * d.h, d.w, d.h, q.x, q.y, q.w, q.h);
        g.strokeStyle = lit.has(`${i} ${row}`) ? accent : line; g.lineWidth = lit.has(`${i} ${row}`) ? 2 : 1;
        g.strokeRect(q.x - 0.5, q.y - 0.5, q.w + 1, q.h + 1);
        if (names[k]) { g.fillStyle = quiet; g.font = `${11 * em()}px ${ink("font")}`; g.textAlign = "center"; g.fillText(names[k], q.x + q.w / 2, q.y + q.h + 11 * em()); }
      });
    }
  });
}

/* What does not fit loses its middle: the beginning says what it is, the end which. */
function fitted(g: CanvasRenderingContext2D, text: string, room: number): string {
  let s = text;
  for (let keep = text.length - 1; keep > 3 && g.measureText(s).width > room; keep--) s = text.slice(0, Math.ceil(keep / 2) - 1) + "…" + text.slice(text.length - Math.floor(keep / 2));
  return s;
}

/** What a layer is, in a word or two that stand above a column. */
function kindOf(l: api.Layer): string {
  const kernel = /\d+[x×]\d+/.exec(l.settings)?.[0].replace("x", "×") ?? "";
  if (l.glyph === glyph.depthwise || (l.conv && grid(l.dim)[0] > 1 && Number(/(?:groups|分组|组) ?(\d+)/.exec(l.settings)?.[1] ?? 1) === grid(l.dim)[0])) return t(`depthwise ${kernel}`, `逐通道 ${kernel}`);
  if (l.conv) return t(`conv ${kernel}`, `卷积 ${kernel}`);
  if (l.glyph === glyph.norm) return /batch/i.test(l.op) ? t("batch norm", "批归一化") : t("norm", "归一化");
  if (l.pool) return /max/i.test(l.op) ? t("max pool", "最大池化") : t("avg pool", "平均池化");
  if (l.dense) return t("dense", "全连接");
  if (l.glyph === glyph.add) return t("add", "相加");
  if (l.glyph === glyph.concat) return t("concat", "拼接");
  return l.title;
}

function heading(g: CanvasRenderingContext2D, c: Column, q: Place, x: number, pitch: number, text: string, quiet: string): void {
  const middle = c.kind === "classes" ? x : q.x + q.w / 2, m = em(), [, h, w] = c.dim;
  g.textAlign = c.kind === "classes" ? "left" : "center";
  g.fillStyle = c.layer ? glyphColor(c.layer.glyph).edge : quiet;
  g.fillRect(c.kind === "classes" ? x : middle - 12, 6, 24, 3);
  const room = c.layer ? pitch - 5 : Math.min(pitch - 5, 2 * (q.x + q.w / 2) - 8);
  g.fillStyle = text; g.font = `600 ${12 * m}px ${ink("font")}`;
  g.fillText(fitted(g, c.layer ? kindOf(c.layer) : t("picture", "图片"), room), middle, 23 * m);
  g.fillStyle = quiet; g.font = `${11 * m}px ${ink("font")}`;
  g.fillText(fitted(g, c.name, room), middle, 38 * m);
  g.fillText(c.kind !== "maps" ? String(c.dim[0]) : h === w ? `${c.dim[0]} × ${h}²` : `${c.dim[0]} × ${h}×${w}`, middle, 52 * m);
}

/* A text on ground of its own: lines end before it. */
function over(g: CanvasRenderingContext2D, text: string, x: number, y: number): void {
  const w = g.measureText(text).width, color = g.fillStyle, left = g.textAlign === "right" ? x - w : x;
  g.fillStyle = ink("panel"); g.fillRect(left - 3, y - 11 * em(), w + 6, 14 * em());
  g.fillStyle = color; g.fillText(text, x, y);
}

/* The three numbers of a pixel by name. */
function channelNames(c: Column): string[] {
  if (c.layer || c.dim[0] !== 3) return [];
  const names = [t("red", "红"), t("green", "绿"), t("blue", "蓝")];
  return /bgr/i.test(model.value?.preprocess ?? "") ? names.reverse() : names;
}

function drawClasses(g: CanvasRenderingContext2D, c: Column, at: (row: number) => Place, classes: string[], answer: api.Prediction | null, lit: (row: number) => boolean,
  col: { text: string; quiet: string; accent: string; line: string; bar: string }): void {
  const d = c.maps!, squashed = c.stats!.least >= 0 && c.stats!.largest <= 1.0001, most = squashed ? 1 : Math.max(Math.abs(c.stats!.least), Math.abs(c.stats!.largest), 1e-9);
  const best = answer?.scores[0]?.index;
  c.channels.forEach((k, row) => {
    const q = at(row), v = d.data[row], isLast = c.layer!.output, w = q.w - 4;
    if (q.w < 100 * em()) { // not the last column: the number alone
      g.textAlign = "left"; g.fillStyle = lit(row) ? col.accent : col.quiet; g.font = `${11 * em()}px ${ink("font")}`;
      over(g, num(v, 3), q.x, q.y + q.h / 2 - 1);
      g.fillStyle = col.line; g.fillRect(q.x, q.y + q.h / 2 + 3, w, 3);
      g.fillStyle = colorOf(v, { low: -most, high: most }); g.fillRect(q.x, q.y + q.h / 2 + 3, (w * Math.abs(v)) / most, 3);
      return;
    }
    g.textAlign = "left"; g.fillStyle = lit(row) ? col.accent : col.text; g.font = `${k === best ? "600 " : ""}${12 * em()}px ${ink("font")}`;
    let name = isLast || c.dim[0] === classes.length ? classOf(k) : String(k);
    while (name.length > 3 && g.measureText(name).width > 92 * em()) name = name.slice(0, -2) + "…";
    over(g, name, q.x, q.y + q.h / 2 - 1);
    g.textAlign = "right"; g.fillStyle = col.quiet; g.font = `${11 * em()}px ${ink("font")}`;
    over(g, squashed ? percent(v) : num(v, 3), q.x + w, q.y + q.h / 2 - 1);
    g.fillStyle = col.line; g.fillRect(q.x, q.y + q.h / 2 + 3, w, 3);
    g.fillStyle = squashed ? (k === best ? col.accent : col.bar) : colorOf(v, { low: -most, high: most });
    g.fillRect(q.x, q.y + q.h / 2 + 3, w * Math.min(1, Math.abs(v) / most), 3);
  });
}
