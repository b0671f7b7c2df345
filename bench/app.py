#!/usr/bin/env python3
# How quick the app is, in a real Chromium on this machine: bench/app.py [--netron PATH-TO-PYTHON-WITH-NETRON] [--explainer ADDRESS] [PART ...]
# Parts: assets first switch cursor layout frames wall busy none. Writes a table of the least of several measurements; ../shared has the pictures and Tiny VGG.
# Netron, where its Python package is at hand, opens the same files in the same browser. CNN Explainer, where somebody serves its built page
# (github.com/poloclub/cnn-explainer, `rollup -c`; its remote scripts from local copies), is asked for the same at that address.
import argparse, gzip, http.client, os, re, subprocess, sys, tempfile, time, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "cli"))
import chromium  # noqa: E402
from test_app import EXE, Server  # noqa: E402

SHARED = os.path.realpath(os.environ.get("CVS_SHARED", os.path.join(ROOT, "..", "shared")))
rows = []


def row(what, value, unit, goal, note=""):
    rows.append((what, value, unit, goal, note))
    print("%-62s %10s %-4s goal %-6s %s" % (what, value, unit, goal, note), flush=True)


def dense(layers):
    """Layers that read all earlier ones of their block of eight: concatenation and convolution."""
    out, last = ['name "dense"', "input 4x16x16"], None
    for i in range(layers):
        k = i % 8
        first = [] if last is None else [last]
        names = first + ["c%d" % j for j in range(i - k, i)]
        if len(names) > 1:
            out.append("j%d: from %s concat" % (i, ",".join(names)))
        out.append("c%d: conv 4 k1" % i)
        last = "c%d" % i if k == 7 else last
    return "\n".join(out) + "\ngap: gap\nfc: fc 10\n"


def deep(nodes):
    """A residual chain of that many operators."""
    out = ['name "deep"', "input 4x8x8", "c0: conv 4 k1"]
    for i in range(1, nodes // 5):
        out += ["c%d: conv 4 k3" % i, "b%d: bn" % i, "r%d: relu" % i, "d%d: conv 4 k1" % i, "a%d: from d%d,%s add" % (i, i, "a%d" % (i - 1) if i > 1 else "c0")]
    return "\n".join(out) + "\ngap: gap\nfc: fc 10\n"


class Page:
    def __init__(self, *args):
        self.server, self.b = Server(*args), chromium.Browser(1600, 1000)
        self.b.size(1600, 1000, reduced=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.b.close()
        self.server.stop()

    def open(self, page, args=""):
        self.b.open(self.server.url.geturl())
        self.b.wait("location.search === '' && !!document.querySelector('.top nav')")
        self.b.js("location.hash = '#/%s?%s'" % (page, args))
        self.b.wait("!!document.querySelector('main .page.%s')" % page)
        self.b.quiet()


def median(list_):
    return sorted(list_)[len(list_) // 2]


def assets():
    with Page() as p:
        size = 0
        for path in ("/", "/assets/app.js", "/assets/app.css", "/favicon.svg"):
            size += len(gzip.compress(p.server.send(path)[2]))
        row("assets before anything is opened, compressed", "%.1f" % (size / 1000), "kB", "300", "CNN Explainer 1400 (recorded)")


PAINTED = """new Promise(done => { const look = () => { const c = document.querySelector('.overview canvas.stage'); if (c) { const d = c.getContext('2d').getImageData(0, 90, c.width, 200).data,
  s = new Set(); for (let i = 0; i < d.length; i += 404) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); if (s.size > 30) { done(performance.now()); return; } } requestAnimationFrame(look); }; look(); })"""


def first(folder):
    """From the address being printed to the overview's maps of a ResNet-50 being on the screen."""
    model = os.path.join(folder, "resnet50.onnx")
    subprocess.run([EXE, "convert", os.path.join(ROOT, "zoo", "resnet50.net"), "--init", "1", "-o", model], check=True, stdout=subprocess.DEVNULL)
    picture, best = os.path.join(SHARED, "data", "photos", "chelsea.png"), []
    b = chromium.Browser(1600, 1000)
    try:
        for _ in range(3):
            b.open("about:blank")
            started = time.time()
            server = Server(model, picture)  # returns once the address is printed and the cookie is there
            opened = time.time()
            b.open(server.url.geturl())
            b.wait("location.search === '' && !!document.querySelector('.overview canvas.stage')")
            inside = b.js(PAINTED)
            best.append((time.time() - opened, opened - started, inside / 1000))
            b.open("about:blank")
            server.stop()
    finally:
        b.close()
    at = min(best)
    row("ResNet-50 (102 MB .onnx): first maps after open returned", "%.2f" % at[0], "s", "0.5", "open itself %.2f s; page alone %.2f s" % (at[1], at[2]))
    return model


SWITCH = """new Promise(done => { const c = document.querySelector('.overview canvas.stage'), g = c.getContext('2d'), sum = () => { const d = g.getImageData(c.width >> 1, 90, 140, 300).data; let s = 0;
  for (let i = 0; i < d.length; i++) s = (s * 31 + d[i]) | 0; return s; }, before = sum(), t = performance.now();
  const look = () => { if (sum() !== before) done(performance.now() - t); else if (performance.now() - t > 5000) done(-1); else requestAnimationFrame(look); };
  document.querySelectorAll('.thumbs button')[%d].click(); look(); })"""


def switch():
    vgg = os.path.join(SHARED, "data", "tiny-vgg")
    images = os.path.join(vgg, "img")
    with Page(vgg, *[os.path.join(images, x) for x in sorted(os.listdir(images))]) as p:
        p.open("overview")
        times = []
        for i in list(range(1, 10)) + list(range(9)):
            times.append(p.b.js(SWITCH % i))
            p.b.pump(0.15)
        row("Tiny VGG: another picture, click to painted maps", "%.0f" % min(times), "ms", "50", "median %.0f; CNN Explainer 1200 (recorded)" % median(times))


CURSOR = """new Promise(done => { const c = [...document.querySelectorAll('.three canvas[role=application]')].pop(), big = document.querySelector('.headline .big'), before = document.querySelector('.headline').innerText, t = performance.now();
  c.focus(); c.dispatchEvent(new KeyboardEvent('keydown', { key: '%s', bubbles: true }));
  const look = () => { if (document.querySelector('.headline')?.innerText !== before) done(performance.now() - t); else if (performance.now() - t > 3000) done(-1); else requestAnimationFrame(look); }; look(); })"""


def cursor(folder):
    big = os.path.join(folder, "big.net")
    with open(big, "w") as f:
        f.write("name \"big\"\ninput 3x224x224\nc: conv 64 k3\nr: relu\nd: conv 64 k3\ngap: gap\nfc: fc 10\n")
    vgg = os.path.join(SHARED, "data", "tiny-vgg")
    for name, args, layer in (("Tiny VGG, 60x60", [vgg, os.path.join(vgg, "img", sorted(os.listdir(os.path.join(vgg, "img")))[0])], 2),
                              ("224x224, 64 channels", [big, "--init", "1", os.path.join(SHARED, "data", "photos", "chelsea.png")], 2)):
        with Page(*args) as p:
            p.open("arithmetic", "layer=%d" % layer)
            times = []
            for i in range(24):
                times.append(p.b.js(CURSOR % ("ArrowLeft" if i % 2 else "ArrowUp")))
                p.b.pump(0.03)
            row("arithmetic cursor, %s: key to painted sum" % name, "%.0f" % min(times), "ms", "16", "median %.0f; CNN Explainer 366 (recorded)" % median(times))


def graphs(folder):
    made = {}
    for name, text in (("304 nodes, dense", dense(152)), ("706 nodes, dense", dense(353)), ("10,000 nodes", deep(10000))):
        path = os.path.join(folder, name.split()[0].replace(",", "") + ".net")
        with open(path, "w") as f:
            f.write(text)
        made[name] = path
    made["DenseNet-121"] = os.path.join(ROOT, "zoo", "densenet121.net")
    made["ResNet-152"] = os.path.join(ROOT, "zoo", "resnet152.net")
    return made


def layout(folder):
    goals = {"304 nodes, dense": "0.2", "706 nodes, dense": "0.2", "10,000 nodes": "1"}
    for name, path in graphs(folder).items():
        s = Server(path, "--init", "1")
        times, g = [], None
        for _ in range(3):
            t = time.time()
            g = s.json("graph", m=0, view="all")
            times.append(time.time() - t)
        row("layout of %s (%d boxes, %d arrows)" % (name, len(g["boxes"]), len(g["links"])), "%.3f" % min(times), "s", goals.get(name, "-"), "sent and read as JSON too")
        s.stop()


FRAMES = """new Promise(done => { const c = document.querySelector('.graph canvas.stage'), r = c.getBoundingClientRect(), x = r.left + r.width / 2, y = r.top + r.height / 2, gaps = [];
  const pointer = (type, px, py) => c.dispatchEvent(new PointerEvent(type, { clientX: px, clientY: py, pointerId: 1, buttons: 1, bubbles: true, isPrimary: true }));
  c.setPointerCapture = () => {};
  let i = 0, last = performance.now();
  const step = now => { if (i > 2) gaps.push(now - last); last = now; if (i === 70) { pointer('pointerup', x, y); done(gaps); return; }
    if (i < 35) { if (i === 0) pointer('pointerdown', x, y); pointer('pointermove', x + i * 6, y + i * 8); }
    else { if (i === 35) pointer('pointerup', x + 204, y + 272); c.dispatchEvent(new WheelEvent('wheel', { clientX: x, clientY: y, deltaY: i %% 24 < 12 ? -60 : 60, bubbles: true, cancelable: true })); }
    i++; requestAnimationFrame(step); };
  requestAnimationFrame(step); })"""


def frames(folder):
    for name, path in graphs(folder).items():
        if name.startswith("304"):
            continue
        with Page(path, "--init", "1") as p:
            p.open("network", "x-graph=all")
            p.b.wait("!!document.querySelector('.graph canvas.stage')")
            whole = p.b.js(FRAMES.replace("%%", "%"))
            for _ in range(6):
                p.b.js("(() => { const c = document.querySelector('.graph canvas.stage'); c.focus(); c.dispatchEvent(new KeyboardEvent('keydown', { key: '+', bubbles: true })); })()")
                p.b.pump(0.05)
            near = p.b.js(FRAMES.replace("%%", "%"))
            row("%s: frames while dragging and zooming, all in view" % name, "%.0f" % median(whole), "ms", "-", "longest %.0f; zoomed in: median %.0f, longest %.0f" % (max(whole), median(near), max(near)))


SCROLLED = """new Promise(done => { const e = document.querySelector('.wallscroll'), gaps = []; let i = 0, last = performance.now();
  const step = now => { if (i > 2) gaps.push(now - last); last = now; if (i++ === 90) { done(gaps); return; } e.scrollTop = i < 45 ? i * 40 : 1800 + (i - 45) * 90; requestAnimationFrame(step); };
  requestAnimationFrame(step); })"""


def wall(folder):
    """The 2,048 channels of a ResNet-50's last layers, on one canvas, scrolled from end to end."""
    with Page(os.path.join(ROOT, "zoo", "resnet50.net"), "--init", "1", os.path.join(SHARED, "data", "photos", "chelsea.png")) as p:
        layer = next(x["index"] for x in reversed(p.server.json("model", m=0)["layers"]) if len(x["dim"]) == 4 and x["dim"][1] == 2048 and x["dim"][2] > 1)
        p.open("layer", "layer=%d" % layer)
        p.b.wait("!!document.querySelector('.wallscroll canvas')")
        p.b.pump(1)
        cold, warm = p.b.js(SCROLLED), p.b.js(SCROLLED)
        row("2,048 channels: frames while scrolling", "%.0f" % median(cold), "ms", "33", "longest %.0f; once more: median %.0f, longest %.0f" % (max(cold), median(warm), max(warm)))


def busy(folder):
    """The arithmetic's request while an explanation takes all threads it can get, beside the same on an idle server."""
    with_what = [os.path.join(ROOT, "zoo", "resnet50.net"), "--init", "1", os.path.join(SHARED, "data", "photos", "chelsea.png")]
    s = Server(*with_what)
    s.json("predict", m=0, p=0)
    c = http.client.HTTPConnection(s.host)

    def unit():
        times = []
        for i in range(100):
            t = time.time()
            c.request("GET", "/api/unit?m=0&p=0&layer=3&at=%d" % (100 + i), headers={"Cookie": s.cookie})
            c.getresponse().read()
            times.append((time.time() - t) * 1000)
            time.sleep(0.02)
        return sorted(times)
    idle = unit()
    job = s.post("explain", {"m": 0, "p": 0, "method": "rise", "samples": 400000})[1]["job"]
    time.sleep(0.5)
    full = unit()
    done = s.json("job", job=job)["done"]
    s.post("cancel", {}, job=job)
    s.stop()
    row("cursor's request while RISE explains a ResNet-50", "%.1f" % median(full), "ms", "50", "95 %% %.0f; idle %.1f%s" % (full[94], median(idle), "; RISE HAD ENDED" if done else ""))


def netron(python, folder):
    """The same graphs in Netron: from the page being asked for to the drawn graph."""
    for name, path in reversed(graphs(folder).items()):
        if name.startswith("10,000") or name.startswith("706"):
            continue  # minutes
        model = path.replace(".net", ".onnx") if path.startswith(folder) else os.path.join(folder, os.path.basename(path).replace(".net", ".onnx"))
        subprocess.run([EXE, "convert", path, "--init", "1", "-o", model], check=True, stdout=subprocess.DEVNULL)
        code = "import netron, sys, time; a = netron.start(sys.argv[1], browse=False); print('http://%s:%d' % a, flush=True); time.sleep(300)"
        server = subprocess.Popen([python, "-c", code, model], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        b = chromium.Browser(1600, 1000)
        try:
            url = ""
            while not url.startswith("http"):
                url = server.stdout.readline().strip()
                url = (re.search(r"http://\S+", url) or [""])[0].strip("'")
            t = time.time()
            b.open(url)
            try:
                b.wait("document.querySelectorAll('#canvas .node, #target .node, svg .node').length > 20", 50)
                row("Netron draws %s" % name, "%.1f" % (time.time() - t), "s", "-", "%d elements" % b.js("document.querySelectorAll('svg *').length"))
            except AssertionError:
                row("Netron draws %s" % name, ">50", "s", "-", "given up")
        finally:
            b.close()
            server.kill()
            server.wait()
            server.stdout.close()


EXPLAINED = """new Promise(done => { const drawn = () => [...document.querySelectorAll('image.node-image')].filter(x => (x.getAttribute('href') || x.getAttribute('xlink:href') || '').length > 100),
  print = () => drawn().slice(-30).map(x => (x.getAttribute('href') || x.getAttribute('xlink:href')).slice(-60)).join(), before = print(), t = performance.now(), go = %s;
  if (go) go();
  const look = () => { const now = print(); if (drawn().length > 60 && (!go || now !== before)) done(performance.now() - (go ? t : 0)); else if (performance.now() - t > 20000) done(-1); else requestAnimationFrame(look); };
  look(); })"""


def explainer(address):
    """The page of CNN Explainer itself, on this machine: what it loads, its first picture, another picture."""
    b = chromium.Browser(1600, 1000)
    try:
        firsts, switches = [], []
        for _ in range(2):
            b.open("about:blank")
            b.pump(0.2)
            b.open(address)
            b.wait("document.readyState !== 'loading' && location.href !== 'about:blank'")
            firsts.append(b.js(EXPLAINED % "null"))
            b.pump(0.5)
        names = b.js("performance.getEntriesByType('resource').map(x => x.name)")
        texts = [x for x in names if not re.search(r"\.(png|jpe?g|gif|ttf)(\?|$)", x)] + [address]
        size = sum(len(gzip.compress(urllib.request.urlopen(x).read())) for x in texts if x.startswith(address))
        row("CNN Explainer: scripts, styles and model, compressed", "%.0f" % (size / 1000), "kB", "-", "%d files" % len(texts))
        row("CNN Explainer: page asked for to first maps", "%.2f" % (min(firsts) / 1000), "s", "-", "")
        thumbs = b.js("document.querySelectorAll('.image-container').length - 1")  # the last one asks for a file
        for i in range(min(thumbs, 5)):
            t = b.js(EXPLAINED % ("(() => document.querySelectorAll('.image-container')[%d].querySelector('img').click())" % i))
            if t > 0:
                switches.append(t)
            b.pump(0.3)
        row("CNN Explainer: another picture, click to painted maps", "%.0f" % min(switches), "ms", "-", "median %.0f of %d" % (median(switches), len(switches)))
    finally:
        b.close()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--netron", help="a Python that has the package netron")
    args.add_argument("--explainer", help="the address of a page of CNN Explainer, such as http://127.0.0.1:5000/")
    args.add_argument("parts", nargs="*", default=[])
    args = args.parse_args()
    parts = args.parts or ["assets", "first", "switch", "cursor", "layout", "frames", "wall", "busy"]
    with tempfile.TemporaryDirectory(prefix="cvs-bench-") as folder:
        for part in (x for x in parts if x != "none"):
            f = globals()[part]
            f(folder) if part in ("first", "cursor", "layout", "frames", "wall", "busy") else f()
        if args.netron:
            netron(args.netron, folder)
        if args.explainer:
            explainer(args.explainer)


if __name__ == "__main__":
    if not chromium.find():
        sys.exit("no chromium")
    main()
