// pdf.ts - a drawing as a PDF of one page: paths, text and maps. Latin text in Helvetica, other text in the reader's own font for Chinese; both
// are named, not embedded, as PDF allows for these. Pixels are packed by the browser's own deflate.
import type { Drawing, TextItem } from "./vector";

const widths = "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584".split(" ").map(Number);
const windows: Record<string, number> = { "−": 0x96, "–": 0x96, "—": 0x97, "…": 0x85, "•": 0x95, "‘": 0x91, "’": 0x92, "“": 0x93, "”": 0x94 };
const f = (v: number): string => String(Math.round(v * 1000) / 1000);

/** Bytes of a text in Windows' Latin code, or null where it has letters of another script. */
function latin(text: string): number[] | null {
  const out = [...text].map((c) => { const n = c.codePointAt(0)!; return n >= 32 && n < 127 ? n : n >= 160 && n < 256 ? n : windows[c] ?? -1; });
  return out.includes(-1) ? null : out;
}
const hex = (list: number[], digits: number): string => `<${list.map((n) => n.toString(16).padStart(digits, "0")).join("")}>`;

async function pack(bytes: Uint8Array): Promise<{ data: Uint8Array; filter: string }> {
  if (typeof CompressionStream === "undefined") return { data: bytes, filter: "" };
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new CompressionStream("deflate"));
  return { data: new Uint8Array(await new Response(stream).arrayBuffer()), filter: "/Filter /FlateDecode" };
}

function color(text: string, operator: string): string {
  const m = /^#(..)(..)(..)$/.exec(text), n = m ? m.slice(1).map((x) => parseInt(x, 16)) : (text.match(/[\d.]+/g) ?? ["0", "0", "0"]).slice(0, 3).map(Number);
  return `${n.map((v) => f(v / 255)).join(" ")} ${operator}\n`;
}

/* Paths are written with absolute M, L, C and Z only. */
function path(d: string): string {
  let out = "";
  for (const [, letter, rest] of d.matchAll(/([MLCZ])([^MLCZ]*)/g)) {
    const n = (rest.match(/-?[\d.]+/g) ?? []).join(" ");
    out += letter === "Z" ? "h\n" : `${n} ${letter === "M" ? "m" : letter === "L" ? "l" : "c"}\n`;
  }
  return out;
}

function text(x: TextItem): string {
  const bytes = latin(x.text), size = x.size;
  const wide = bytes ? bytes.reduce((a, n) => a + (widths[n - 32] ?? 556), 0) / 1000 : [...x.text].reduce((a, c) => a + (c.codePointAt(0)! < 0x2000 ? 0.5 : 1), 0), own = wide * size, stretch = own > 0 ? Math.max(70, Math.min(130, (100 * x.width) / own)) : 100;
  const a = (x.turn * Math.PI) / 180, [c, s] = [Math.cos(a), Math.sin(a)], shift = x.anchor === "start" ? 0 : ((x.anchor === "middle" ? -0.5 : -1) * own * stretch) / 100, letters: number[] = [];
  if (!bytes) for (let i = 0; i < x.text.length; i++) letters.push(x.text.charCodeAt(i));
  return `BT ${color(x.fill, "rg")}/${bytes ? (x.mono ? "F4" : x.bold ? "F2" : "F1") : "F3"} ${f(size)} Tf ${f(bytes && x.mono ? 100 : stretch)} Tz ${f(c)} ${f(s)} ${f(s)} ${f(-c)} ${f(x.x + shift * c)} ${f(x.y + shift * s)} Tm ${bytes ? hex(bytes, 2) : hex(letters, 4)} Tj ET\n`;
}

export async function pdfOf(d: Drawing, title: string): Promise<Blob> {
  const encoder = new TextEncoder(), chunks: Uint8Array[] = [], at: number[] = [];
  let size = 0;
  const put = (b: Uint8Array | string): void => { const bytes = typeof b === "string" ? encoder.encode(b) : b; chunks.push(bytes); size += bytes.length; };
  const object = (n: number, head: string, data?: Uint8Array): void => {
    at[n] = size;
    put(`${n} 0 obj\n${data ? head.replace(/>>$/, ` /Length ${data.length} >>`) : head}\n`);
    if (data) { put("stream\n"); put(data); put("\nendstream\n"); }
    put("endobj\n");
  };
  put("%PDF-1.5\n%\u00e2\u00e3\n");
  const images: { rgb: Uint8Array; alpha: Uint8Array; w: number; h: number; crisp: boolean }[] = [], alphas = [...new Set(d.items.map((x) => f(x.alpha)))];
  let page = `${f(0.75)} 0 0 ${f(-0.75)} 0 ${f(d.h * 0.75)} cm\n${color(d.background, "rg")}0 0 ${f(d.w)} ${f(d.h)} re f\n`;
  for (const x of d.items) {
    page += `/A${alphas.indexOf(f(x.alpha))} gs\n`;
    if (x.kind === "path") page += (x.fill ? color(x.fill, "rg") : "") + (x.stroke ? `${color(x.stroke, "RG")}${f(x.width)} w [${x.dash.map(f).join(" ")}] 0 d\n` : "") + path(x.d) + (x.fill ? (x.stroke ? "B\n" : "f\n") : "S\n");
    else if (x.kind === "text") page += text(x);
    else {
      const { width: w, height: h } = x.canvas, px = x.canvas.getContext("2d")!.getImageData(0, 0, w, h).data, rgb = new Uint8Array(w * h * 3), alpha = new Uint8Array(w * h);
      for (let i = 0; i < w * h; i++) { rgb[3 * i] = px[4 * i]; rgb[3 * i + 1] = px[4 * i + 1]; rgb[3 * i + 2] = px[4 * i + 2]; alpha[i] = px[4 * i + 3]; }
      page += `q ${f(x.w)} 0 0 ${f(-x.h)} ${f(x.x)} ${f(x.y + x.h)} cm /I${images.length} Do Q\n`;
      images.push({ rgb, alpha, w, h, crisp: x.crisp });
    }
  }
  const first = 12, body = await pack(encoder.encode(page)), name = hex([0xfeff, ...Array.from({ length: title.length }, (_, i) => title.charCodeAt(i))], 4);
  object(1, "<< /Type /Catalog /Pages 2 0 R >>");
  object(2, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
  object(3, `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${f(d.w * 0.75)} ${f(d.h * 0.75)}] /Contents 4 0 R /Resources << /Font << /F1 5 0 R /F2 6 0 R /F3 7 0 R /F4 10 0 R >> /ExtGState << ${alphas.map((v, i) => `/A${i} << /ca ${v} /CA ${v} >>`).join(" ")} >> /XObject << ${images.map((_, i) => `/I${i} ${first + 2 * i} 0 R`).join(" ")} >> >> >>`);
  object(4, `<< ${body.filter} >>`, body.data);
  object(5, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>");
  object(6, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>");
  object(7, "<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [8 0 R] >>");
  object(8, "<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /FontDescriptor 9 0 R /DW 1000 /W [1 95 500 814 939 500] >>");
  object(9, "<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>");
  object(10, "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>");
  object(11, `<< /Title ${name} /Producer (Convscope) >>`);
  for (const [i, x] of images.entries()) {
    const [rgb, alpha] = [await pack(x.rgb), await pack(x.alpha)], dim = `/Type /XObject /Subtype /Image /Width ${x.w} /Height ${x.h} /BitsPerComponent 8`;
    object(first + 2 * i, `<< ${dim} /ColorSpace /DeviceRGB /SMask ${first + 2 * i + 1} 0 R ${x.crisp ? "" : "/Interpolate true"} ${rgb.filter} >>`, rgb.data);
    object(first + 2 * i + 1, `<< ${dim} /ColorSpace /DeviceGray ${alpha.filter} >>`, alpha.data);
  }
  const n = first + 2 * images.length, start = size;
  put(`xref\n0 ${n}\n0000000000 65535 f \n${Array.from({ length: n - 1 }, (_, i) => `${String(at[i + 1]).padStart(10, "0")} 00000 n \n`).join("")}trailer\n<< /Size ${n} /Root 1 0 R /Info 11 0 R >>\nstartxref\n${start}\n%%EOF\n`);
  return new Blob(chunks as BlobPart[], { type: "application/pdf" });
}
