# SPDX-License-Identifier: MIT
"""results.csv and results.md: rows merge by (work, peer), so that a part of the benchmark can be run again."""
import csv
import os

COLUMNS = ["work", "peer", "peer_version", "config", "peer_best_ms", "ours_best_ms", "peer_median_ms", "ours_median_ms", "ratio", "must",
           "goal", "foreign"]


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def merge(old, new, order=None):
    """New rows replace old ones of the same work and peer. `order` gives the places of (work, peer); unknown ones go last."""
    rows = {(r["work"], r["peer"]): r for r in old}
    rows.update({(r["work"], r["peer"]): r for r in new})
    place = {key: i for i, key in enumerate(order or [])}
    return sorted(rows.values(), key=lambda r: place.get((r["work"], r["peer"]), len(place)))


def write(path, rows):
    whole = path + ".part"
    with open(whole, "w", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, COLUMNS, lineterminator="\n", extrasaction="ignore")
        w.writeheader()
        w.writerows({c: r.get(c, "") for c in COLUMNS} for r in rows)
    os.replace(whole, path)


def number(text, digits=2):
    try:
        v = float(text)
    except (TypeError, ValueError):
        return ""
    return "%.*f" % (digits if v < 100 else 0, v) if v >= 1 else "%.3g" % v


def verdict(row):
    try:
        ratio = float(row["ratio"])
    except ValueError:
        return ""
    if row["must"] and ratio < float(row["must"]):
        return "**below must**"
    if row["goal"] and ratio < float(row["goal"]):
        return "below goal"
    return "goal" if row["goal"] else "must" if row["must"] else ""


def markdown(rows):
    lines = ["| work | peer, its fastest configuration | peer ms best / median | ours ms best / median | ratio of bests | must | goal | |",
             "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        lines.append("| %s | %s %s, %s | %s / %s | %s / %s | **%s** | %s | %s | %s |" % (
            r["work"], r["peer"], r["peer_version"], r["config"], number(r["peer_best_ms"]), number(r["peer_median_ms"]),
            number(r["ours_best_ms"]), number(r["ours_median_ms"]), number(r["ratio"]), r["must"], r["goal"], verdict(r)))
    return "\n".join(lines) + "\n"


def summary(rows):
    bad = [r for r in rows if verdict(r) == "**below must**"]
    short = [r for r in rows if verdict(r) in ("**below must**", "below goal")]
    return "%d rows, %d below must, %d below goal" % (len(rows), len(bad), len(short))
