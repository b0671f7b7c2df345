// graphmaps.ts - the maps that stand on the arrows of the network: asked for only where they are in view, kept while the picture stays.
import * as api from "./api";
import { signal } from "@preact/signals";
import { dark, palette } from "./store";
import { rangeOf } from "./color";
import { extent, fill } from "./paint";

const kept = new Map<string, HTMLCanvasElement | null>(); // place -> its strongest maps side by side; null: asked for, or no picture
let of = "", waiting: string[] = [], timer = 0;
/** Counts up whenever more maps have come. */
export const mapsCome = signal(0);

function strip(d: { h: number; w: number; n: number }, data: Float32Array, from: number, grey: boolean): HTMLCanvasElement {
  const side = Math.max(d.h, d.w), c = document.createElement("canvas");
  c.width = side * d.n; c.height = side;
  const g = c.getContext("2d")!, each = d.h * d.w;
  for (let i = 0; i < d.n; i++) {
    const image = g.createImageData(d.w, d.h);
    fill(new Uint32Array(image.data.buffer), data, from + i * each, each, { ...rangeOf(...extent(data, from + i * each, each)), grey });
    g.putImageData(image, i * side + ((side - d.w) >> 1), (side - d.h) >> 1);
  }
  return c;
}

async function send(m: number, p: number, places: string[], key: string): Promise<void> {
  const got = await api.getThumbs(m, p, places, 3, 28);
  if (key !== of) return;
  let at = 0;
  for (const x of got.maps) { const n = x.channels.length; kept.set(x.place, strip({ h: x.h, w: x.w, n }, got.data, at, x.place.startsWith("in"))); at += n * x.h * x.w; }
  mapsCome.value++;
}

/** The maps of a place, or undefined while they are on their way; what is missing is asked for together, a moment later. */
export function mapsOf(m: number, p: number, place: string): HTMLCanvasElement | undefined {
  const key = `${m} ${p} ${dark.value} ${palette.value}`;
  if (key !== of) { of = key; kept.clear(); waiting = []; clearTimeout(timer); timer = 0; }
  const got = kept.get(place);
  if (got === undefined) {
    kept.set(place, null);
    waiting.push(place);
    timer ||= window.setTimeout(() => {
      timer = 0;
      const all = waiting;
      waiting = [];
      for (let i = 0; i < all.length; i += 60) void send(m, p, all.slice(i, i + 60), key).catch(() => { for (const x of all.slice(i, i + 60)) if (key === of) kept.delete(x); });
    }, 60);
  }
  return got ?? undefined;
}
