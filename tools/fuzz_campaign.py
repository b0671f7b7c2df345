#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fuzzing that goes on where it stopped. usage: tools/fuzz_campaign.py BUILD SECONDS | allocations | ledger | totals

SECONDS: runs the targets of BUILD (tools/fuzz.sh makes it) one after the other, always the one with the fewest executions so far, each on
its kept corpus with a new random sequence, until the seconds are over or every target has GOAL executions. Each slot is a line of
BUILD/slots.csv, so that a stop at any moment loses one slot.
allocations: gives each target its seeds with every single allocation failing in turn (tests/fuzz/alloc_failures.c).
ledger: adds BUILD's slots to docs/campaign.csv, one row for each target, day and commit. totals: prints what stands there.
Environment: TARGETS="net onnx" for those only, SLOT=90 seconds a slot, GOAL=10000000.
"""
import csv
import fcntl
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEDGER = os.path.join(ROOT, "docs", "campaign.csv")
FIELDS = ["target", "date", "commit", "executions", "seconds", "sanitizers", "findings"]
SANITIZERS = "address+undefined+leak"
# Inputs are small: what a reader can do wrong, it does wrong in two thousand bytes. Larger only where the smallest whole file is.
MAX_LEN = {"tflite": 4096, "hdf5": 4096, "keras": 6144, "tfjs": 4864}


def rows(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as f:
        return [dict(r, executions=int(r["executions"]), seconds=float(r["seconds"]), findings=int(r["findings"]))
                for r in csv.DictReader(f)]


def add(path, row):
    new = not os.path.exists(path)
    with open(path, "a", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, FIELDS, lineterminator="\n")
        if new:
            w.writeheader()
        w.writerow(row)


def merged(all_rows):
    out = {}
    for r in all_rows:
        key = (r["target"], r["date"], r["commit"], r["sanitizers"])
        if key in out:
            for field in ("executions", "seconds", "findings"):
                out[key][field] += r[field]
        else:
            out[key] = dict(r)
    for r in out.values():
        r["seconds"] = round(r["seconds"])
    return [out[k] for k in sorted(out)]


def targets_of(build):
    if os.environ.get("TARGETS"):
        return os.environ["TARGETS"].split()
    names = os.listdir(os.path.join(build, "tests"))
    return sorted(n[5:] for n in names if re.fullmatch(r"fuzz_[a-z0-9_]+", n))


def totals(names, *lists):
    total = {n: 0 for n in names}
    for r in (r for rows_ in lists for r in rows_):
        if r["target"] in total:
            total[r["target"]] += r["executions"]
    return total


def slot(build, name, seconds, commit):
    corpus = os.path.join(build, "corpus-" + name)
    finds = os.path.join(build, "finds")
    seeds = os.path.join(ROOT, "tests", "fuzz", "seeds", name)
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(finds, exist_ok=True)
    # Without the entropic schedule (it took four fifths of the time), and with a quarantine that fits the cache.
    command = [os.path.join(build, "tests", "fuzz_" + name), "-entropic=0", "-reload=0", "-print_funcs=0", "-verbosity=0",
               "-print_final_stats=1", f"-max_total_time={seconds}", f"-max_len={MAX_LEN.get(name, 2048)}", "-timeout=10",
               "-rss_limit_mb=2048", "-malloc_limit_mb=1024", f"-artifact_prefix={finds}/{name}-", corpus]
    if os.path.isdir(seeds):
        command.append(seeds)
    env = dict(os.environ, UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
               ASAN_OPTIONS="allocator_may_return_null=1:detect_leaks=1:quarantine_size_mb=8:malloc_context_size=8")
    began = time.time()
    log = os.path.join(build, f"fuzz-{name}.log")
    with open(log, "wb") as f:
        failed = subprocess.run(command, env=env, stdout=f, stderr=subprocess.STDOUT, check=False).returncode != 0
    took = time.time() - began
    with open(log, errors="replace", encoding="utf-8") as f:
        counted = re.findall(r"number_of_executed_units: *(\d+)", f.read())
    runs = int(counted[-1]) if counted else 0
    add(os.path.join(build, "slots.csv"),
        {"target": name, "date": time.strftime("%Y-%m-%d", time.gmtime()), "commit": commit, "executions": runs,
         "seconds": round(took, 1), "sanitizers": SANITIZERS, "findings": int(failed)})
    print(f"fuzz {name}: {runs} executions, {runs / max(took, 1e-3):.0f} a second"
          + (f", SOMETHING FOUND: {log}, input in {finds}" if failed else ""), flush=True)
    return failed


def built_from(build):
    with open(os.path.join(build, "commit"), encoding="utf-8") as f:
        return f.read().strip()


def allocations(build):
    """Every allocation of every seed fails once alone and once with all after it; counted as a target of its own."""
    bad = 0
    for name in targets_of(build):
        seeds = os.path.join(ROOT, "tests", "fuzz", "seeds", name)
        if not os.path.isdir(seeds):
            continue
        began = time.time()
        env = dict(os.environ, ALLOC_FAILURES=seeds, UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
                   ASAN_OPTIONS="allocator_may_return_null=1:detect_leaks=1:quarantine_size_mb=8:malloc_context_size=12")
        p = subprocess.run([os.path.join(build, "tests", "fuzz_" + name)], env=env, capture_output=True, text=True, errors="replace",
                           check=False)
        said = re.search(r"(\d+) failures injected", p.stdout)
        failed = p.returncode != 0 or not said
        print(f"allocations {name}: {p.stdout.strip()}" + (f", SOMETHING FOUND\n{p.stderr[-6000:]}" if failed else ""), flush=True)
        add(os.path.join(build, "slots.csv"),
            {"target": name + " (allocation failures)", "date": time.strftime("%Y-%m-%d", time.gmtime()), "commit": built_from(build),
             "executions": int(said.group(1)) if said else 0, "seconds": round(time.time() - began, 1), "sanitizers": SANITIZERS,
             "findings": int(failed)})
        bad |= failed
    return int(bad)


def campaign(build, seconds):
    end = time.time() + seconds
    each = int(os.environ.get("SLOT", "90"))
    goal = int(os.environ.get("GOAL", "10000000"))
    commit = built_from(build)
    names = targets_of(build)
    found = set()
    while time.time() + 1 < end:
        total = totals(names, rows(LEDGER), rows(os.path.join(build, "slots.csv")))
        left = [n for n in names if n not in found and total[n] < goal]
        if not left:
            break
        name = min(left, key=lambda n: total[n])
        if slot(build, name, max(1, int(min(each, end - time.time()))), commit):
            found.add(name)
    return 1 if found else 0


def into_ledger(build):
    slots = os.path.join(build, "slots.csv")
    all_rows = merged(rows(LEDGER) + rows(slots))
    with open(LEDGER + ".tmp", "w", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, FIELDS, lineterminator="\n")
        w.writeheader()
        w.writerows(all_rows)
    os.replace(LEDGER + ".tmp", LEDGER)
    if os.path.exists(slots):
        os.remove(slots)


def show(build):
    all_rows = rows(LEDGER) + rows(os.path.join(build, "slots.csv"))
    names = sorted({r["target"] for r in all_rows})
    for name, n in totals(names, all_rows).items():
        seconds = sum(r["seconds"] for r in all_rows if r["target"] == name)
        print(f"{name:12} {n:12} executions {n / max(seconds, 1):8.0f} a second")


def main():
    build, what = os.path.abspath(sys.argv[1]), sys.argv[2]
    os.makedirs(build, exist_ok=True)
    with open(os.path.join(build, "slots.lock"), "w", encoding="utf-8") as lock:
        if what == "ledger":
            fcntl.flock(lock, fcntl.LOCK_EX)
            into_ledger(build)
        elif what == "totals":
            show(build)
        elif what == "allocations":
            return allocations(build)
        else:
            return campaign(build, float(what))
    return 0


if __name__ == "__main__":
    sys.exit(main())
