#!/usr/bin/env python3
# Draws docs/gallery/explain*: every method of `convscope explain --method list`, the pictures cut out of its own figures.
#   tools/make_explain_gallery.py MODEL OUT.jpg PHOTO [-- explain options]              one photograph, one tile a method
#   tools/make_explain_gallery.py MODEL OUT.jpg PHOTO PHOTO ... [-- explain options]    a row a method, a column a photograph
# Needs Pillow; METHODS=a,b,c in the environment: those only. What a method refuses is printed, and its tile stays empty with a cross.
import json, os, subprocess, sys, tempfile
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXE = os.path.join(os.environ.get("CVS_BUILD_ROOT", os.path.join(ROOT, "build")), "convscope")
TILE, GAP, LABEL, COLUMNS = 150, 10, 18, 8
SMALL, SPACE, NAMES, HEAD = 76, 4, 168, 44  # of the sheet of many photographs
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
INK = (40, 40, 40)
# Many photographs: settings that take a few seconds each, under which the maps look as they do by default.
QUICK = {"rise": ["--samples", "320"], "lime": ["--samples", "320"], "kernelshap": ["--samples", "320"], "xrai": ["--steps", "8"],
         "integrated-gradients": ["--steps", "16"], "guided-ig": ["--steps", "16"], "blur-ig": ["--steps", "16"],
         "occlusion": ["--patch", "32", "--stride", "16"], "smoothgrad": ["--samples", "8"], "smoothgrad-squared": ["--samples", "8"],
         "vargrad": ["--samples", "8"], "gradientshap": ["--samples", "16"]}


def tell(*args):
    return subprocess.run([EXE, *args], capture_output=True, text=True, env=dict(os.environ, LC_ALL="C.UTF-8"))


def methods():
    if "METHODS" in os.environ:  # some only
        return os.environ["METHODS"].split(",")
    return [l.split()[0] for l in tell("explain", "--method", "list").stdout.splitlines()]


class Photo:
    """The picture as the figures show it, and the tiles of one photograph."""

    def __init__(self, model, path, options, tmp):
        self.model, self.path, self.options, self.tmp, self.picture = model, path, options, tmp, None

    def tile(self, method, side, more=()):
        png = os.path.join(self.tmp, "f.png")
        p = tell("explain", self.model, self.path, "--method", method, "-o", png, *self.options, *more)
        if p.returncode != 0:
            print("%s, %s: %s" % (os.path.basename(self.path), method, p.stderr.strip()[-250:]), flush=True)
            return None
        figure = Image.open(png).convert("RGB")
        if not self.picture:
            self.picture = figure.crop((36, 100, 336, 400))
        # a remark above the pictures moves them down: look for the first one
        top = min(range(100, 200), key=lambda y: sum(ImageStat.Stat(ImageChops.difference(
            figure.crop((40, y + 4, 332, y + 60)), self.picture.crop((4, 4, 296, 60)))).mean))
        note = [l for l in p.stderr.splitlines() if l.startswith(("Blank", "Nothing"))]
        if note:
            print("%s, %s: %s" % (os.path.basename(self.path), method, note[0]), flush=True)
        return figure.crop((364, top, 664, top + 300)).resize((side, side), Image.LANCZOS)

    def answer(self):
        names = self.options[self.options.index("--classes"):][:2] if "--classes" in self.options else []
        way = self.options[self.options.index("--preprocess"):][:2] if "--preprocess" in self.options else []
        p = tell("predict", self.model, self.path, "--json", *names, *way)
        try:
            top = json.loads(p.stdout)[0]["top"][0]
        except (ValueError, LookupError):
            return ""
        return "%s %.0f %%" % (top["name"].split(",")[0], 100 * top["probability"])


def one(model, out, photo, options, tmp):
    p, tiles = Photo(model, photo, options, tmp), []
    for name in methods():
        tile = p.tile(name, TILE)
        if tile:
            tiles.append((name, tile))
    tiles.insert(0, ("the picture", p.picture.resize((TILE, TILE), Image.LANCZOS)))
    rows = (len(tiles) + COLUMNS - 1) // COLUMNS
    sheet = Image.new("RGB", (COLUMNS * (TILE + GAP) + GAP, rows * (TILE + LABEL + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 11)
    for i, (name, tile) in enumerate(tiles):
        x, y = GAP + i % COLUMNS * (TILE + GAP), GAP + i // COLUMNS * (TILE + LABEL + GAP)
        sheet.paste(tile, (x, y))
        draw.text((x, y + TILE + 3), name, fill=INK, font=font)
    sheet.save(out, quality=88, optimize=True)


def shorten(draw, text, font, width):
    while text and draw.textlength(text, font=font) > width:
        text = text[:-1]
    return text


def many(model, out, photos, options, tmp):
    names = methods()
    step = SMALL + SPACE
    sheet = Image.new("RGB", (NAMES + len(photos) * step + SPACE, HEAD + (len(names) + 1) * step), "white")
    draw, font, small = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 11), ImageFont.truetype(FONT, 9)
    draw.text((8, HEAD + SMALL // 2 - 6), "the picture", fill=INK, font=font)
    for r, name in enumerate(names):
        draw.text((8, HEAD + (r + 1) * step + SMALL // 2 - 6), name, fill=INK, font=font)
    those = [Photo(model, photo, options, tmp) for photo in photos]
    for name in sorted(names, key=lambda n: n == "scorecam"):  # a run of the network for every feature map: last
        for c, p in enumerate(those):
            x, y, tile = NAMES + c * step, HEAD + (names.index(name) + 1) * step, p.tile(name, SMALL, QUICK.get(name, ()))
            if tile:
                sheet.paste(tile, (x, y))
            else:
                draw.line((x, y, x + SMALL, y + SMALL), fill=(200, 200, 200))
                draw.line((x, y + SMALL, x + SMALL, y), fill=(200, 200, 200))
            if name == names[0]:
                if p.picture:
                    sheet.paste(p.picture.resize((SMALL, SMALL), Image.LANCZOS), (x, HEAD))
                for line, text in enumerate((os.path.basename(p.path).split(".")[0], p.answer())):
                    draw.text((x, 14 + 13 * line), shorten(draw, text, small, step - 2), fill=INK, font=small)
            sheet.save(out, quality=80, optimize=True)  # what there is so far
        print("done:", name, flush=True)


def main():
    args, options = sys.argv[1:], []
    if "--" in args:
        args, options = args[:args.index("--")], args[args.index("--") + 1:]
    model, out, photos = args[0], args[1], args[2:]
    with tempfile.TemporaryDirectory() as tmp:
        (one if len(photos) == 1 else many)(model, out, photos[0] if len(photos) == 1 else photos, options, tmp)


main()
