#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes src/draw/width_table.def: the advances of DejaVu Sans (regular, bold) per code point, in 1/2048 em.
# The table is committed so that a layout never depends on the fonts of the machine that draws it. Run again only to
# add a block:  python3 -m venv env && env/bin/pip install fonttools && env/bin/python tools/make_widths.py
# usage: make_widths.py [FOLDER WITH DejaVuSans*.ttf]  >  src/draw/width_table.def
import sys
from fontTools.ttLib import TTFont

FOLDER = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype/dejavu"
BLOCKS = [  # first, last, what
    (0x0020, 0x007E, "ASCII"),
    (0x00A0, 0x024F, "Latin-1, Latin Extended-A and B"),
    (0x02B0, 0x036F, "modifier letters, combining marks"),
    (0x0370, 0x052F, "Greek, Cyrillic"),
    (0x1E00, 0x1EFF, "Latin Extended Additional"),
    (0x2000, 0x23FF, "punctuation, super- and subscripts, letterlike, arrows, mathematics, technical"),
    (0x2500, 0x27BF, "box drawing, blocks, geometric shapes, symbols, dingbats"),
    (0xFB00, 0xFB06, "ligatures"),
    (0xFFFD, 0xFFFD, "replacement character"),
]
fonts = [TTFont(f"{FOLDER}/DejaVuSans{style}.ttf") for style in ("", "-Bold", "Mono")]
cmaps = [f.getBestCmap() for f in fonts]
assert all(f["head"].unitsPerEm == 2048 for f in fonts)

def advance(which, code):
    name = cmaps[which].get(code)
    return fonts[which]["hmtx"][name][0] if name else None

print("/* SPDX-License-Identifier: MIT")
print(" * width_table.def - advances in 1/2048 em of DejaVu Sans 2.37, regular and bold; made by tools/make_widths.py.")
print(" * CVI_WIDTH_BLOCK(first, last), its regular row, then its bold row; 0xFFFF = not in the font. */")
print(f"CVI_WIDTH_MONO({advance(2, 0x78)})")
for first, last, what in BLOCKS:
    print(f"/* U+{first:04X}..U+{last:04X} {what} */")
    print(f"CVI_WIDTH_BLOCK(0x{first:04X}, 0x{last:04X},")
    for which in (0, 1):
        row = [advance(which, c) for c in range(first, last + 1)]
        row = ["65535" if a is None else str(a) for a in row]
        print("    CVI_WIDTH_ROW(")
        for i in range(0, len(row), 20):
            print("        " + ", ".join(row[i:i + 20]) + ("," if i + 20 < len(row) else ")" + ("," if which == 0 else ")")))
