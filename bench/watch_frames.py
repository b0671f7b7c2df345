#!/usr/bin/env python3
# How fluid the page of `convscope watch` is with a series of 1,000,000 points and with 1,000 runs: times of opening and of answers, and of the
# browser's frames while a chart is moved and zoomed with the mouse.
#   bench/watch_frames.py [FOLDER]     (logs are made in FOLDER, or a temporary one, and kept where it was named)
import os, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "cli"))
import chromium  # noqa: E402
import event_files as ev  # noqa: E402
from test_watch import Watching  # noqa: E402


def logs(folder):
    big, many = os.path.join(folder, "million"), os.path.join(folder, "runs")
    if not os.path.isdir(big):
        ev.million(big)
    if not os.path.isdir(many):
        ev.many(many, 1000, 1000)
    return big, many


def memory(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


FRAMES = """(() => { const t = window.frameTimes = []; let last = performance.now(); window.stopFrames = false;
  const turn = now => { t.push(now - last); last = now; if (!window.stopFrames) requestAnimationFrame(turn); }; requestAnimationFrame(turn); })()"""


def gesture(b, work):
    b.js(FRAMES)
    work()
    times = sorted(b.js("(window.stopFrames = true, window.frameTimes.slice(2))"))
    pick = lambda share: times[min(len(times) - 1, int(share * len(times)))]  # noqa: E731
    return "frames %d, median %.1f ms, 95 %% %.1f ms, longest %.1f ms" % (len(times), pick(0.5), pick(0.95), times[-1])


def mouse(b, kind, x, y, **more):
    b.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def measure(name, log, series_tag, columns=1600):
    begun = time.time()
    s = Watching(log)
    print("%s: opened in %.2f s, %.0f MiB in memory" % (name, time.time() - begun, memory(s.process.pid)))
    series = [x[1] for t in s.json("log")["tags"] if t["tag"] == series_tag for x in t["series"]]
    for what, ask in (("all of it, smoothed", {}), ("a hundredth of it, smoothed", {"from": 500, "to": 510} if len(series) > 1 else {"from": 500000, "to": 510000}), ("mean and band", {"band": True})):
        best = 1e9
        for _ in range(5):
            begun = time.time()
            head, v = s.curves(series=series, axis="step", columns=columns, smooth=0.6, **ask)
            best = min(best, time.time() - begun)
        print("%s: %s: %.0f ms, %d numbers" % (name, what, best * 1000, len(v)))
    b = chromium.Browser(1600, 1000)
    try:
        b.open(s.url._replace(fragment="").geturl())
        b.wait("!!document.querySelector('.chartcard canvas')")
        b.pump(1)
        b.js("document.querySelector('.chartcard button.icon').click()")
        b.pump(3)
        r = b.js("(() => { const e = document.querySelector('.chartcard canvas'); e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()")
        x, y = r[0] + r[2] / 2, r[1] + r[3] / 2

        def zoom():
            for i in range(60):
                mouse(b, "mouseWheel", x, y, deltaX=0, deltaY=-40 if i < 40 else 30, modifiers=2)

        def move():
            mouse(b, "mousePressed", x, y, button="left", buttons=1, clickCount=1, modifiers=8)
            for i in range(90):
                mouse(b, "mouseMoved", x + 200 * (1 if i // 30 % 2 else -1) * (i % 30) / 30, y, button="left", buttons=1, modifiers=8)
            mouse(b, "mouseReleased", x, y, button="left", clickCount=1, modifiers=8)

        def look():
            for i in range(90):
                mouse(b, "mouseMoved", r[0] + 60 + (r[2] - 80) * i / 90, y)
        print("%s: zooming: %s" % (name, gesture(b, zoom)))
        b.pump(1)
        print("%s: moving: %s" % (name, gesture(b, move)))
        b.pump(1)
        print("%s: reading values: %s" % (name, gesture(b, look)))
        if b.errors:
            print("%s: ERRORS %s" % (name, b.errors))
    finally:
        b.close()
        s.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cvs-bench-") as temp:
        folder = sys.argv[1] if len(sys.argv) > 1 else temp
        big, many = logs(folder)
        which = sys.argv[2] if len(sys.argv) > 2 else "both"
        if which != "runs":
            measure("1,000,000 points", big, "loss")
        if which != "points":
            measure("1,000 runs", many, "epoch_loss")
