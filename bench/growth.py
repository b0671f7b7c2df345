# SPDX-License-Identifier: MIT
"""How time and memory grow with the picture's side, the batch and the depth: ours and ONNX Runtime's, answer only."""
import csv
import os
import re

import drive
import table

COLUMNS = ["what", "of", "ours_ms", "peer_ms", "ours_mib", "peer_mib", "ratio"]


def cases(env):
    for net in ("squeezenet1_1", "resnet50"):
        for side in (112, 224, 448, 896):
            yield "side, %s" % net, side, "%s_%d.onnx" % (net, side), "side_%d.npy" % side
    for batch in (1, 2, 4, 8, 16, 32, 64):
        yield "batch, squeezenet1_1", batch, "squeezenet1_1.onnx", "batch_%d.npy" % batch
    for depth in (4, 8, 16, 32, 64):
        yield "depth, 64 channels 56x56", depth, "depth_%d.onnx" % depth, "depth.npy"


def measure(env, path, run, only=()):
    """All cases, or those whose "growth: what of" holds one of the patterns, merged into what is there, one by one."""
    order = [(what, str(of)) for what, of, _, _ in cases(env)]
    rows = table.read(path)
    for what, of, model, x in cases(env):
        if only and not any(re.search(p, "growth: %s %s" % (what, of), re.I) for p in only):
            continue
        common = dict(task="forward", model=env.model(model), input=env.model(x))
        drivers = []
        try:
            ours = run.open_driver(env, "ours", "Convscope")
            drivers.append(ours)
            ours.prepare(**common, keep="answer", threads=2)
            peer = run.open_driver(env, "ort", "ONNX Runtime")
            drivers.append(peer)
            ours.pause()
            peer.prepare(**common, config="python, io binding")
            sides = [drive.Side(ours), drive.Side(peer)]
            drive.in_turns(sides, 0.6, turns=3, least=3)
            memory = [int(d.ask("memory")[0]) / 2**20 for d in drivers]
            new = {"what": what, "of": str(of), "ours_ms": "%.3f" % sides[0].best(), "peer_ms": "%.3f" % sides[1].best(),
                   "ours_mib": "%.0f" % memory[0], "peer_mib": "%.0f" % memory[1],
                   "ratio": "%.2f" % (sides[1].best() / sides[0].best())}
            rows = [r for r in rows if (r["what"], r["of"]) in order and (r["what"], r["of"]) != (what, str(of))] + [new]
            rows.sort(key=lambda r: order.index((r["what"], r["of"])))
            write(path, rows)
            print("growth: %s %s: ours %s ms %s MiB, peer %s ms %s MiB" % (what, of, *[new[k] for k in (
                "ours_ms", "ours_mib", "peer_ms", "peer_mib")]), flush=True)
        except drive.Failed as e:
            print("growth: %s %s FAILED: %s" % (what, of, e), flush=True)
        finally:
            for d in drivers:
                d.close()


def write(path, rows):
    with open(path + ".part", "w", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, COLUMNS, lineterminator="\n")
        w.writeheader()
        w.writerows(rows)
    os.replace(path + ".part", path)


def markdown(rows):
    lines = ["| what grows | value | ours ms | ONNX Runtime ms | ratio | ours MiB | ONNX Runtime MiB |", "|---|---|---|---|---|---|---|"]
    lines += ["| %s | %s | %s | %s | %s | %s | %s |" % tuple(r[k] for k in ("what", "of", "ours_ms", "peer_ms", "ratio", "ours_mib",
                                                                            "peer_mib")) for r in rows]
    return "\n".join(lines) + "\n"
