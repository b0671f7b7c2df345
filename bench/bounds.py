#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What arithmetic alone costs: the convolutions of each net at the FMA peak measured in the same process, beside what they take and what
the bounds of results.csv ask for. A Markdown table on standard output; needs no peer.

    python3 bench/bounds.py [--build DIR]

Direct: every multiplication. Least: stride-1 3x3 layers by F(4x4,3x3), 36 multiplications for each 4x4 outputs and pair of channels,
whole tiles, the transforms counted as free. Nothing counts moving data, dense layers, pools or starting a layer."""
import argparse
import os
import types

import peers
import special
import table


def least_gflop(l):
    """A layer's multiplications and additions where Winograd may save some."""
    side, winograd = int(l["side"]), l["kernel"] == "3" and l["stride"] == "1" and l["groups"] == "1" and int(l["channels"]) > 3
    if not winograd:
        return special.gflop(l)
    return 2e-9 * 36 * ((side + 3) // 4) ** 2 * float(l["channels"]) * float(l["filters"])


def asked(rows, net):
    """(work, peer, milliseconds) that each forward bound of a net asks of us."""
    for r in rows:
        if r["work"].startswith("forward b1, ") and r["work"].endswith(": " + net) and r["must"]:
            kind = r["work"][len("forward b1, "):].split(":")[0]
            yield kind, r["peer"], float(r["peer_best_ms"]) / float(r["must"]), float(r["ours_best_ms"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(peers.ROOT, "build"))
    env = types.SimpleNamespace(build=parser.parse_args().build)
    rows = table.read(os.path.join(peers.HERE, "results.csv"))
    print("| net | GFLOP direct / least | peak | least at the peak | our layers | a bound asks for | we take |\n|---|---|---|---|---|---|---|")
    for net in special.SHORT:
        layers, peak = special.kernels(env, net, "auto")
        sums = [sum(f(l) * int(l["count"]) for l in layers) for f in (special.gflop, least_gflop)]
        ours = sum(float(l["best_ms"]) * int(l["count"]) for l in layers)
        for i, (kind, peer, ms, mine) in enumerate(asked(rows, net)):
            first = ["%s" % net, "%.2f / %.2f" % tuple(sums), "%.0f" % peak, "%.2f ms" % (1e3 * sums[1] / peak), "%.2f ms" % ours]
            print("| %s | %.2f ms (%s, %s) | %.2f ms |" % (" | ".join(first if i == 0 else [""] * 5), ms, kind, peer, mine))


if __name__ == "__main__":
    main()
