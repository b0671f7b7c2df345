#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fuzzing that goes on where it stopped. usage: tools/fuzz_campaign.py BUILD SECONDS | allocations | ledger | totals

SECONDS: runs the targets of BUILD (tools/fuzz.sh makes it) in slots, always the one with the fewest executions so far, each on its kept
corpus with a new random sequence, until the seconds are over or every target has GOAL executions. Each slot is a line of BUILD/slots.csv,
so that a stop at any moment loses one slot. Leaks are looked for once, at the end of a slot: memory that nothing points to stays lost.
allocations: gives each target its seeds with every single allocation failing in turn (tests/fuzz/alloc_failures.c).
ledger: adds BUILD's slots to docs/campaign.csv, one row for each target, day and commit. A row says up to when slots are in it, so that the
slots may stay, a campaign may go on meanwhile, and a second time adds nothing. totals: prints what stands there. Seconds are of the
processor, so that a busy machine does not change what a row says.
Environment: TARGETS="net onnx" for those only, SLOT=90 seconds a slot, GOAL=10000000, JOBS=1 slots at once (more than one only while the
machine has processors to spare), PROGRAMS=FOLDER: the targets are of that build, all else stays in BUILD (tools/fuzz.sh, TRACE=no).
"""
import csv
import os
import re
import resource
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEDGER = os.path.join(ROOT, "docs", "campaign.csv")
FIELDS = ["target", "date", "commit", "executions", "seconds", "sanitizers", "findings", "until"]
SANITIZERS = "address+undefined+leak"
# Inputs are small: what a reader can do wrong, it does wrong in two thousand bytes. Larger only where the smallest whole file is.
MAX_LEN = {"tflite": 4096, "hdf5": 4096, "keras": 6144, "tfjs": 4864, "cifar": 4096, "keras_zip": 4096, "runs": 6144,
           "saved": 10240}


def rows(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as f:
        return [dict(r, executions=int(r["executions"]), seconds=float(r["seconds"]), findings=int(r["findings"]), until=r.get("until") or "")
                for r in csv.DictReader(f)]


def add(build, target, executions, seconds, failed):
    path = os.path.join(build, "slots.csv")
    new = not os.path.exists(path)
    now = time.gmtime()
    with open(path, "a", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, FIELDS, lineterminator="\n")
        if new:
            w.writeheader()
        w.writerow({"target": target, "date": time.strftime("%Y-%m-%d", now), "commit": built_from(build), "executions": executions,
                    "seconds": round(seconds, 1), "sanitizers": SANITIZERS, "findings": int(failed),
                    "until": time.strftime("%Y-%m-%dT%H:%M:%SZ", now)})


def merged(ledger, slots):
    """The ledger with the slots that are not in it yet: those that ended after the row of their target, day and commit was last written.
    A target has one slot at a time, so none ends before one that is counted."""
    out = {}
    key = lambda r: (r["target"], r["date"], r["commit"], r["sanitizers"])
    for r in ledger:
        out[key(r)] = dict(r)
    counted = {k: r["until"] for k, r in out.items()}
    for r in slots:
        k = key(r)
        if k not in out:
            out[k] = dict(r)
        elif r["until"] > counted.get(k, ""):
            for field in ("executions", "seconds", "findings"):
                out[k][field] += r[field]
            out[k]["until"] = max(out[k]["until"], r["until"])
    return [out[k] for k in sorted(out)]


def programs(build):
    return os.environ.get("PROGRAMS", build)


def targets_of(build):
    if os.environ.get("TARGETS"):
        return os.environ["TARGETS"].split()
    names = os.listdir(os.path.join(programs(build), "tests"))
    return sorted(n[5:] for n in names if re.fullmatch(r"fuzz_[a-z0-9_]+", n))


def totals(names, build):
    total = {n: 0 for n in names}
    for r in merged(rows(LEDGER), rows(os.path.join(build, "slots.csv"))):
        if r["target"] in total:
            total[r["target"]] += r["executions"]
    return total


def sanitizer_options(frames):
    """LeakSanitizer looks once, when the process ends. Few frames and a quarantine that fits the cache: a finding is run again anyway."""
    return dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1",
                ASAN_OPTIONS=f"allocator_may_return_null=1:detect_leaks=1:quarantine_size_mb=8:malloc_context_size={frames}")


def start_slot(build, name, seconds):
    corpus = os.path.join(build, "corpus-" + name)
    finds = os.path.join(build, "finds")
    seeds = os.path.join(ROOT, "tests", "fuzz", "seeds", name)
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(finds, exist_ok=True)
    # Without the entropic schedule (it took four fifths of the time) and without a stop of the world after inputs that look like leaks.
    command = [os.path.join(programs(build), "tests", "fuzz_" + name), "-entropic=0", "-reload=0", "-print_funcs=0", "-verbosity=0", "-detect_leaks=0",
               "-print_final_stats=1", f"-max_total_time={seconds}", f"-max_len={MAX_LEN.get(name, 2048)}", "-timeout=25",
               "-rss_limit_mb=2048", "-malloc_limit_mb=1024", f"-artifact_prefix={finds}/{name}-", corpus]
    if os.path.isdir(seeds):
        command.append(seeds)
    with open(os.path.join(build, f"fuzz-{name}.log"), "wb") as log:
        return subprocess.Popen(command, env=sanitizer_options(2), stdout=log, stderr=subprocess.STDOUT)


def end_slot(build, name, status, usage):
    log = os.path.join(build, f"fuzz-{name}.log")
    with open(log, errors="replace", encoding="utf-8") as f:
        counted = re.findall(r"number_of_executed_units: *(\d+)", f.read())
    runs = int(counted[-1]) if counted else 0
    took = usage.ru_utime + usage.ru_stime
    add(build, name, runs, took, status != 0)
    print(f"fuzz {name}: {runs} executions, {runs / max(took, 1e-3):.0f} a processor's second"
          + (f", SOMETHING FOUND: {log}, input in {build}/finds" if status else ""), flush=True)


def built_from(build):
    with open(os.path.join(programs(build), "commit"), encoding="utf-8") as f:
        return f.read().strip()


def allocations(build):
    """Every allocation of every seed fails once alone and once with all after it; counted as a target of its own."""
    bad = 0
    for name in targets_of(build):
        seeds = os.path.join(ROOT, "tests", "fuzz", "seeds", name)
        if not os.path.isdir(seeds):
            continue
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        env = dict(sanitizer_options(12), ALLOC_FAILURES=seeds)
        p = subprocess.run([os.path.join(programs(build), "tests", "fuzz_" + name)], env=env, capture_output=True, text=True, errors="replace",
                           check=False)
        said = re.search(r"(\d+) failures injected", p.stdout)
        failed = p.returncode != 0 or not said
        print(f"allocations {name}: {p.stdout.strip()}" + (f", SOMETHING FOUND\n{p.stderr[-6000:]}" if failed else ""), flush=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        add(build, name + " (allocation failures)", int(said.group(1)) if said else 0,
            after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, failed)
        bad |= failed
    return int(bad)


def campaign(build, seconds):
    end = time.time() + seconds
    each, goal = int(os.environ.get("SLOT", "90")), int(os.environ.get("GOAL", "10000000"))
    jobs, names = int(os.environ.get("JOBS", "1")), targets_of(build)
    found, running = set(), {}
    while True:
        total = totals(names, build)
        busy = [name for name, _ in running.values()]
        left = [n for n in names if n not in found and n not in busy and total[n] < goal]
        room = not running or (len(running) < jobs and os.getloadavg()[0] < (os.cpu_count() or 1) + 1)
        if left and room and time.time() + 1 < end:
            name = min(left, key=lambda n: total[n])
            slot = start_slot(build, name, max(1, int(min(each, end - time.time()))))
            running[slot.pid] = name, slot # kept: a Popen that is forgotten is waited for by the next one, and its time is lost
        elif running:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                time.sleep(1)
                continue
            name, _ = running.pop(pid)
            end_slot(build, name, status, usage)
            if status:
                found.add(name)
        else:
            return 1 if found else 0


def into_ledger(build):
    all_rows = merged(rows(LEDGER), rows(os.path.join(build, "slots.csv")))
    with open(LEDGER + ".tmp", "w", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, FIELDS, lineterminator="\n")
        w.writeheader()
        w.writerows(dict(r, seconds=round(r["seconds"])) for r in all_rows)
    os.replace(LEDGER + ".tmp", LEDGER)


def show(build):
    all_rows = merged(rows(LEDGER), rows(os.path.join(build, "slots.csv")))
    for name in sorted({r["target"] for r in all_rows}):
        of = [r for r in all_rows if r["target"] == name]
        n, seconds = sum(r["executions"] for r in of), sum(r["seconds"] for r in of)
        print(f"{name:32} {n:12} executions {n / max(seconds, 1):8.0f} a second {sum(r['findings'] for r in of):4} findings")


def main():
    build, what = os.path.abspath(sys.argv[1]), sys.argv[2]
    os.makedirs(build, exist_ok=True)
    if what == "ledger":
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
