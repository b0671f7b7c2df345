# SPDX-License-Identifier: MIT
# Makes the small pictures of this folder and, beside each, what Pillow reads from it (NAME.npy, uint8 [H,W,3]).
# Run in this folder: python3 make.py (needs pillow and numpy). test_image.c compares every pair.
import glob
import os
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

for name in sorted(glob.glob("*.jpg") + glob.glob("*.png") + glob.glob("*.webp") + glob.glob("*.bmp")):
    image = ImageOps.exif_transpose(Image.open(name))
    if image.mode in ("RGBA", "LA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    np.save(name + ".npy", np.asarray(image.convert("RGB")))
for h, w in [(5, 6), (3, 14), (11, 3), (23, 31), (11, 40), (1, 1), (7, 29)]:
    np.save(f"resized-{h}x{w}.npy", np.asarray(color.resize((w, h), Image.BILINEAR)))
