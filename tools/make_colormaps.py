#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes src/draw/colormap.def: the colour maps, 256 colours each, interpolated in OKLab (Ottosson 2020) so that equal
# steps of the value look equal. Sequential: lightness rises strictly and evenly, readable in greyscale and for colour-
# blind eyes (blue to yellow through magenta-free hues). Diverging: blue - neutral - orange-red, entry 128 = zero.
# usage: make_colormaps.py > src/draw/colormap.def        (standard library only)
from math import cos, sin, radians

def to_srgb(L, a, b):
    l, m, s = (L + .3963377774 * a + .2158037573 * b) ** 3, (L - .1055613458 * a - .0638541728 * b) ** 3, (L - .0894841775 * a - 1.2914855480 * b) ** 3
    lin = (4.0767416621 * l - 3.3077115913 * m + .2309699292 * s,
           -1.2684380046 * l + 2.6097574011 * m - .3413193965 * s,
           -.0041960863 * l - .7034186147 * m + 1.7076147010 * s)
    return [12.92 * c if c <= .0031308 else 1.055 * max(c, 0) ** (1 / 2.4) - .055 for c in lin]

def fits(L, C, h):
    return all(-1e-6 <= c <= 1 + 1e-6 for c in to_srgb(L, C * cos(radians(h)), C * sin(radians(h))))

def colour(L, C, h):
    """The colour of lightness L, hue h and chroma C, less chroma where sRGB has not so much."""
    lo, hi = 0.0, C
    if fits(L, C, h):
        lo = C
    else:
        for _ in range(40):
            mid = (lo + hi) / 2
            lo, hi = (mid, hi) if fits(L, mid, h) else (lo, mid)
    rgb = to_srgb(L, lo * cos(radians(h)), lo * sin(radians(h)))
    return "".join("%02X" % round(min(max(c, 0), 1) * 255) for c in rgb)

def mix(stops, t):
    """Piecewise smooth interpolation of (position, values...) stops."""
    for (p, *a), (q, *b) in zip(stops, stops[1:]):
        if t <= q:
            u = (t - p) / (q - p)
            return [x + (y - x) * u for x, y in zip(a, b)]
    return list(stops[-1][1:])

def sequential():
    # lightness .12 -> .96, hue from deep blue over teal and green to pale yellow
    hue = [(0, 285), (.25, 262), (.5, 205), (.75, 150), (1, 102)]
    chroma = [(0, .06), (.2, .13), (.5, .12), (.8, .17), (1, .13)]
    for i in range(256):
        t = i / 255
        yield colour(.13 + .83 * t, mix(chroma, t)[0], mix(hue, t)[0])

def diverging(centre, end, neutral_chroma=0.0):
    # two arms of equal lightness steps that meet in the neutral colour at entry 128
    for i in range(256):
        t = (i - 128) / 128 if i < 128 else (i - 128) / 127
        u = abs(t)
        L = centre + (end - centre) * u
        C = min(1, u * 1.6) * (.165 if t > 0 else .145)
        yield colour(L, C, 40 - 12 * u if t > 0 else 248 + 12 * u)

print("/* SPDX-License-Identifier: MIT")
print(" * colormap.def - colour maps, 256 RRGGBB each; made by tools/make_colormaps.py. */")
for name, table in (("SEQUENTIAL", sequential()), ("DIVERGING_LIGHT", diverging(.965, .40)), ("DIVERGING_DARK", diverging(.22, .80))):
    table = list(table)
    print(f"CVI_COLORMAP({name},")
    for i in range(0, 256, 12):
        print("    " + " ".join(f"CVI_RGB({c})" for c in table[i:i + 12]) + (")" if i + 12 >= 256 else ""))
