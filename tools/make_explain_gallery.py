#!/usr/bin/env python3
# Draws docs/gallery/explain: every method of `convscope explain --method list` on one photograph, the pictures cut out of its figures.
#   tools/make_explain_gallery.py MODEL PHOTO OUT.jpg [explain options]      (needs Pillow)
import io, os, subprocess, sys, tempfile
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXE = os.path.join(os.environ.get("CVS_BUILD_ROOT", os.path.join(ROOT, "build")), "convscope")
TILE, GAP, LABEL, COLUMNS = 150, 10, 18, 8
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"


def main():
    model, photo, out = sys.argv[1:4]
    extra = sys.argv[4:]
    names = [l.split()[0] for l in subprocess.run([EXE, "explain", "--method", "list"], capture_output=True, text=True, check=True).stdout.splitlines()]
    tiles, picture = [], None
    with tempfile.TemporaryDirectory() as tmp:
        for name in names:
            png = os.path.join(tmp, "f.png")
            p = subprocess.run([EXE, "explain", model, photo, "--method", name, "-o", png] + extra, capture_output=True, text=True)
            if p.returncode != 0:
                print("%s: %s" % (name, p.stderr.strip()[-160:]))
                continue
            figure = Image.open(png).convert("RGB")
            picture = picture or figure.crop((36, 100, 336, 400))
            # a remark above the pictures moves them down: look for the first one
            top = min(range(100, 200), key=lambda y: sum(ImageStat.Stat(ImageChops.difference(
                figure.crop((40, y + 4, 332, y + 60)), picture.crop((4, 4, 296, 60)))).mean))
            if not tiles:
                tiles.append(("the picture", picture.resize((TILE, TILE), Image.LANCZOS)))
            tiles.append((name, figure.crop((364, top, 664, top + 300)).resize((TILE, TILE), Image.LANCZOS)))
            print(name, p.stderr.strip()[:200], flush=True)
    rows = (len(tiles) + COLUMNS - 1) // COLUMNS
    sheet = Image.new("RGB", (COLUMNS * (TILE + GAP) + GAP, rows * (TILE + LABEL + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 11)
    for i, (name, tile) in enumerate(tiles):
        x, y = GAP + i % COLUMNS * (TILE + GAP), GAP + i // COLUMNS * (TILE + LABEL + GAP)
        sheet.paste(tile, (x, y))
        draw.text((x, y + TILE + 3), name, fill=(40, 40, 40), font=font)
    sheet.save(out, quality=88, optimize=True)


main()
