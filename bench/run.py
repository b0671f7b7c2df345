#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make bench: our times and the peers', on this machine, in one run; writes results.csv and results.md.

    python3 bench/run.py [--only PATTERN]... [--build DIR] [--env DIR] [--out DIR] [--seconds S] [--list] [--no-growth]

--only keeps the rows whose "work | peer" holds the pattern (a regular expression, case ignored) and merges them into what is
there; patterns with "growth" are of the rows of growth.csv ("growth: side, resnet50 448"). Rules: docs/performance.md. A peer
whose output differs from ours fails its row, loudly."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import drive
import growth
import methods
import peers
import rows as table_of_work
import special
import table

TRIES = 3  # of a row that others disturbed


def distance(mine, theirs):
    """Relative distance in the second norm, over what both have, and whether both have as many numbers."""
    import numpy as np
    a, b = mine.astype(np.float64).ravel(), theirs.astype(np.float64).ravel()
    n = min(len(a), len(b))
    if n == 0 or not np.isfinite(a).all():
        raise drive.Failed("an output is empty or not finite")
    return np.linalg.norm(a[:n] - b[:n]) / max(np.linalg.norm(b[:n]), 1e-30), len(a) == len(b)


def compare(row, ours, driver, folder):
    """Fails unless both sides computed the same. Returns the relative distance, or None where outputs are of another kind."""
    if row.tolerance is None:
        return None
    import numpy as np
    if row.tolerance == "losses":  # of the first steps, the same weights and pictures
        mine, theirs = float(ours.ask("dump", "-")[0]), os.path.join(folder, "theirs.npy")
        driver.ask("dump", theirs)
        losses = np.load(theirs)
        expected = losses[:row.extra.get("steps", 5)].mean()
        if abs(mine - expected) > 0.02 * abs(expected):
            raise drive.Failed("mean loss of the first steps is %.5g, %s has %.5g" % (mine, driver.name, expected))
        return abs(mine - expected) / abs(expected)
    paths = [os.path.join(folder, n) for n in ("ours.npy", "theirs.npy")]
    ours.ask("dump", paths[0])
    driver.ask("dump", paths[1])
    mine, theirs = np.load(paths[0]), np.load(paths[1])
    if row.tolerance == "map":  # scaled to the picture there: the place of the evidence must agree
        a = mine.reshape(mine.shape[-2:])
        b = theirs.reshape(theirs.shape[-2:])
        step = b.shape[0] // a.shape[0]
        b = b[step // 2::step, step // 2::step][:a.shape[0], :a.shape[1]]
        if a.std() == 0 or b.std() == 0:
            return None  # no evidence at all: random weights may give that
        r = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        if r < 0.8:
            raise drive.Failed("maps do not agree: correlation %.3f with %s" % (r, driver.name))
        return 1 - r
    tolerance = 0.01 if row.tolerance == "prob" else row.tolerance
    d, whole = distance(mine, theirs)
    if d > tolerance or not (whole or row.slow):
        raise drive.Failed("outputs differ by %.3g of their size (shapes %s and %s of %s)" % (d, mine.shape, theirs.shape, driver.name))
    return d


def open_driver(env, kind, name):
    command, more = env.command(kind)
    return drive.Driver(name, command, more)


def warm_steps(row):
    """Times of the work before outputs are compared: both sides must have made the same number of steps where steps add up."""
    return 5 if row.tolerance == "losses" else row.extra.get("warm", 1 if row.slow else 2)


def scout(env, row, ours, folder, seconds):
    """Tries every configuration of the peer shortly, compares its output, and leaves the fastest one open: (form, driver)."""
    best, tried, faults = None, [], []
    for form in row.forms:
        driver = None
        try:
            driver = open_driver(env, form.kind, "%s (%s)" % (form.name, form.config))
            ours.pause()
            driver.prepare(**dict(form.settings, warm=warm_steps(row)))
            compare(row, ours, driver, folder)
            ours.pause()
            side = drive.Side(driver, form.scale)
            watch = drive.Watch()
            side.settle(watch, min(1.0, seconds / 3))
            if not row.slow:
                side.turn(watch)
        except drive.Failed as e:
            faults.append(str(e))
            if driver:
                driver.close()
            continue
        tried.append("%s %.4g ms" % (form.config, side.best()))
        if best and best[2].best() <= side.best():
            driver.close()
        else:
            if best:
                best[1].close()
            best = (form, driver, side)
            driver.pause()
    for fault in faults:
        print("    left out: %s" % fault, flush=True)
    if not best:
        raise drive.Failed("no configuration of %s worked" % row.peer)
    return best[0], best[1], tried


def record(env, row, form, config, mine, theirs, ratio, foreign):
    versions = env.known_versions
    return {"work": row.work, "peer": row.peer, "peer_version": ("%s %s" % (form.name, versions.get(form.version, ""))).strip()
            if row.peer.lower() not in form.name.lower() else versions.get(form.version, ""),
            "config": config + (" (%s)" % row.note if row.note else ""),
            "peer_best_ms": "%.4f" % theirs.best(), "ours_best_ms": "%.4f" % mine.best(), "peer_median_ms": "%.4f" % theirs.median(),
            "ours_median_ms": "%.4f" % mine.median(), "ratio": "%.3f" % ratio, "must": row.must, "goal": row.goal,
            "foreign": "%.2f" % foreign}


def measure(env, row, seconds):
    """One row: both sides warm, in turns; again where others used the machine, with the best of all tries kept."""
    with tempfile.TemporaryDirectory() as folder:
        ours = open_driver(env, "ours", "Convscope")
        theirs = None
        try:
            ours.prepare(**dict(row.ours, warm=warm_steps(row)))
            form, theirs, tried = scout(env, row, ours, folder, seconds)
            sides = [drive.Side(ours), drive.Side(theirs, form.scale)]
            for attempt in range(env.tries):
                if row.slow:
                    foreign, stolen = drive.in_turns(sides, seconds, turns=2, least=2)
                else:
                    foreign, stolen = drive.in_turns(sides, seconds)
                if foreign <= drive.FOREIGN:
                    break
                print("    others used %.0f %% of a core, %.0f %% stolen%s" % (100 * foreign, 100 * stolen,
                      ", again" if attempt + 1 < env.tries else ""), flush=True)
            config = form.config + (" (of: %s)" % ", ".join(tried) if len(tried) > 1 else "")
            return record(env, row, form, config, sides[0], sides[1], sides[1].best() / sides[0].best(), foreign)
        finally:
            ours.close()
            if theirs:
                theirs.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--build", default=os.path.join(peers.ROOT, "build"))
    parser.add_argument("--env", default=os.path.join(peers.ROOT, "build-bench"))
    parser.add_argument("--out", default=peers.HERE)
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, per side and row, about")
    parser.add_argument("--tries", type=int, default=TRIES, help="of a row that other processes disturbed")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--no-growth", action="store_true")
    options = parser.parse_args()
    env = peers.Env(options.env, options.build)
    env.tries = options.tries
    if options.list:
        for r in table_of_work.all_rows(env):
            print("%s | %s" % (r.work, r.peer))
        return 0
    env.install()
    try:
        import numpy  # noqa: F401
    except ImportError:  # the environment's own Python has it
        os.execv(env.at("venv", "bin", "python"), [env.at("venv", "bin", "python"), os.path.abspath(__file__), *sys.argv[1:]])
    env.known_versions = env.versions()
    every = table_of_work.all_rows(env)
    wanted = [r for r in every if not options.only or any(re.search(p, "%s | %s" % (r.work, r.peer), re.I) for p in options.only)]
    path = os.path.join(options.out, "results.csv")
    order = [(r.work, r.peer) for r in every]
    done, failed = [], []
    for i, row in enumerate(wanted):
        print("[%d/%d] %s, against %s" % (i + 1, len(wanted), row.work, row.peer), flush=True)
        try:
            new = special.measure(env, row, options.seconds, sys.modules[__name__]) if row.special else measure(env, row, options.seconds)
        except (drive.Failed, OSError, ValueError, subprocess.SubprocessError) as e:
            failed.append("%s, against %s: %s" % (row.work, row.peer, e))
            print("    FAILED: %s" % e, flush=True)
            continue
        done.append({k: str(v) for k, v in new.items()})
        print("    ours %s ms, peer %s ms (%s): ratio %s, must %s, goal %s" % (
            table.number(new["ours_best_ms"]), table.number(new["peer_best_ms"]), new["config"], new["ratio"], row.must or "-",
            row.goal or "-"), flush=True)
        kept = [r for r in table.read(path) if (r["work"], r["peer"]) in set(order)]
        table.write(path, table.merge(kept, done, order))
    if env.torch:
        failed += methods.run(env, options.out, options.only, options.seconds)
    if not options.no_growth and (not options.only or any("growth" in p.lower() for p in options.only)):
        growth.measure(env, os.path.join(options.out, "growth.csv"), sys.modules[__name__],
                       [p for p in options.only if "growth" in p.lower()])
    all_now = table.read(path)
    special.write_markdown(env, options.out, all_now, table.read(os.path.join(options.out, "growth.csv")), failed)
    print(table.summary(all_now))
    for f in failed:
        print("FAILED: " + f)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
