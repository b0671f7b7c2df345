# SPDX-License-Identifier: MIT
# Makes the small pictures of this folder and, beside each, what Pillow reads from it (NAME.npy, uint8 [H,W,3]).
# Run in this folder: python3 make.py (needs pillow and numpy). test_image.c compares every pair.
import glob
import os
import struct
import zlib
import numpy as np
from PIL import Image, ImageOps

for old in glob.glob("*.npy") + glob.glob("*.jpg") + glob.glob("*.png") + glob.glob("*.webp") + glob.glob("*.bmp"):
    os.remove(old)
H, W = 11, 14
y, x = np.mgrid[0:H, 0:W]
rgb = np.stack([x * 18 + y, 255 - y * 20, (x * y * 7) % 256], -1).astype(np.uint8)
alpha = ((x * 37 + y * 11) % 256).astype(np.uint8)
color, gray = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
rgba = Image.fromarray(np.dstack([rgb, alpha]))
palette = color.quantize(13)

color.save("rgb.jpg", quality=90)
color.save("rgb444.jpg", quality=90, subsampling=0)
color.save("progressive.jpg", quality=75, progressive=True)
gray.save("gray.jpg")
color.convert("CMYK").save("cmyk.jpg", quality=95)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    color.save(f"orientation{orientation}.jpg", exif=exif, quality=95)
color.save("rgb.png")
rgba.save("rgba.png")
gray.save("gray.png")
Image.merge("LA", (gray, Image.fromarray(alpha))).save("gray-alpha.png")
palette.save("palette.png")
palette.save("palette-transparent.png", transparency=3)
color.save("rgb-transparent.png", transparency=tuple(int(v) for v in rgb[2, 3]))
gray.point(lambda v: 255 * (v > 99)).convert("1").save("one-bit.png")
exif = Image.Exif()
exif[0x0112] = 6
color.save("orientation6.png", exif=exif)
color.save("lossless.webp", lossless=True)
color.save("lossy.webp", quality=80)
rgba.save("alpha.webp", lossless=True, exact=True)
color.save("orientation6.webp", lossless=True, exif=exif)
color.save("rgb.bmp")
gray.save("gray.bmp")
rgba.convert("RGB").convert("RGBA").save("bits32.bmp")
palette.save("palette.bmp")
gray.point(lambda v: 255 * (v > 99)).convert("1").save("one-bit.bmp")



def raw_png(name, depth, color_type, pixels, interlaced=False, extra=b""):
    """A PNG that Pillow cannot write: pixels [H,W,channels] of values below 2^depth."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def rows(part):
        out = b""
        for row in part:
            bits = "".join(format(int(v), f"0{depth}b") for v in row.ravel())
            bits += "0" * (-len(bits) % 8)
            out += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
        return out

    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[a::c, b::d] for a, b, c, d in passes] if interlaced else [pixels]
    body = b"".join(rows(part) for part in parts if part.size)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, color_type, 0, 0, int(interlaced))
    with open(name, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b""))


wide = rgb.astype(np.int64) * 256 + (255 - rgb)
raw_png("rgb16.png", 16, 2, wide)
raw_png("rgba16-interlaced.png", 16, 6, np.dstack([wide, alpha.astype(np.int64) * 257]), True)
raw_png("rgb-interlaced.png", 8, 2, rgb, True)
raw_png("gray2-interlaced.png", 2, 0, rgb[..., :1] >> 6, True)
raw_png("gray4.png", 4, 0, rgb[..., :1] >> 4)

for name in sorted(glob.glob("*.jpg") + glob.glob("*.png") + glob.glob("*.webp") + glob.glob("*.bmp")):
    image = ImageOps.exif_transpose(Image.open(name))
    if image.mode in ("RGBA", "LA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    np.save(name + ".npy", np.asarray(image.convert("RGB")))
for h, w in [(5, 6), (3, 14), (11, 3), (23, 31), (11, 40), (1, 1), (7, 29)]:
    np.save(f"resized-{h}x{w}.npy", np.asarray(color.resize((w, h), Image.BILINEAR)))
