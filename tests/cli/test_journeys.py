#!/usr/bin/env python3
# What a person can do in the app, one thing after the other, in a real Chromium: Tiny VGG, a functional Keras model, a ResNet-50 and a model
# whose every name is hostile. Fails on console errors and remote requests. Skipped, visibly, without Chromium or the app.
# CVS_SHOTS=FOLDER keeps screenshots; --pictures FOLDER makes those of the readme and of docs/ instead.
import json, os, re, shutil, subprocess, sys, tempfile, time, unittest, xml.dom.minidom

import chromium
from test_app import EXE, ROOT, Server

SHARED = os.path.realpath(os.environ.get("CVS_SHARED", os.path.join(ROOT, "..", "shared")))
PHOTO = os.path.join(SHARED, "data", "photos", "chelsea.png")
COLOURS = """(() => { const c = document.querySelector('%s'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, s = new Set();
  for (let i = 0; i < d.length; i += 52) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size; })()"""
HOSTILE = "<img src=x onerror=alert(1)> \u202e'\"&</script> "


class Journey(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not chromium.find():
            raise unittest.SkipTest("no chromium")
        cls.browser, cls.shots = chromium.Browser(1600, 1000), os.environ.get("CVS_SHOTS")

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def start(self, name, *args):
        self.name, self.server = name, Server(*args)
        self.addCleanup(self.end)
        if self.server.send("/assets/app.js")[0] != 200:
            self.skipTest("built without the web app")
        b = self.browser
        b.errors.clear(), b.requests.clear()
        b.size(1600, 1000)
        b.open(self.server.url.geturl())
        b.wait("location.search === '' && !!document.querySelector('main .page')")
        b.js("localStorage.clear()")
        self.to("overview", lang="en", theme="light")

    def end(self):
        b, here = self.browser, "http://" + self.server.host
        b.settle()
        b.pump()
        errors, remote = list(b.errors), [r for r in b.requests if not r.startswith((here, "data:", "blob:", "about:"))]
        b.open("about:blank")
        b.settle()
        self.server.stop()
        self.assertEqual((errors, remote), ([], []))

    def to(self, page, **more):
        b = self.browser
        b.js("location.hash = '#/%s?%s'" % (page, "&".join("%s=%s" % x for x in more.items())))
        b.wait("!!document.querySelector('main .page.%s')" % page)
        b.quiet()
        self.assertIsNone(b.js("document.querySelector('.trouble')?.innerText ?? null"), page)

    def shot(self, what):
        if self.shots:
            os.makedirs(self.shots, exist_ok=True)
            self.browser.screenshot(os.path.join(self.shots, "%s-%s.png" % (self.name, what)), True)

    def text(self, selector):
        return self.browser.js("document.querySelector('%s')?.innerText ?? ''" % selector)

    def press(self, words, within="main"):
        """Clicks the button with these words."""
        self.browser.wait("(() => { const e = [...document.querySelectorAll('%s button')].find(x => x.innerText.trim() === '%s'); e?.click(); return !!e; })()" % (within, words))
        self.browser.quiet()

    def choose(self, selector, value):
        self.browser.js("(() => { const e = document.querySelector('%s'); e.value = '%s'; e.dispatchEvent(new Event('change', { bubbles: true })); })()" % (selector, value))
        self.browser.quiet()

    # ---- the nine points -------------------------------------------------------------------------------------------

    def arrive(self, picture):
        """1: more pictures are taken in; the answer follows."""
        b, before = self.browser, self.browser.js("document.querySelectorAll('.thumbs button').length")
        node = b.call("DOM.querySelector", nodeId=b.call("DOM.getDocument")["root"]["nodeId"], selector=".rail input[type=file]")["nodeId"]
        b.call("DOM.setFileInputFiles", files=[picture], nodeId=node)
        b.wait("document.querySelectorAll('.thumbs button').length === %d" % (before + 1))
        b.quiet()
        self.assertEqual(b.js("document.querySelectorAll('.thumbs button.on').length"), 1)

    def network(self, word):
        """2: the graph with its maps; detail, colour, search, trace, attributes."""
        b = self.browser
        self.to("network")
        b.wait(COLOURS % ".graph canvas.stage" + " > 60")  # maps stand on the arrows
        self.shot("network")
        with_maps = b.js(COLOURS % ".graph canvas.stage")
        self.press("Maps")
        b.wait(COLOURS % ".graph canvas.stage" + " < %d" % with_maps)
        self.press("Maps")
        for by in ("macs", "activation", "gradient"):
            self.choose(".network .toolbar select", by)
            b.wait("!!document.querySelector('.network .legend')")
        self.shot("network-gradient")
        self.choose(".network .toolbar select", "kind")
        b.js("(() => { const e = document.querySelector('.search input'); e.focus(); e.value = '%s'; e.dispatchEvent(new Event('input', { bubbles: true })); })()" % word)
        b.wait("document.querySelectorAll('.search li').length > 0")
        b.settle()
        b.key("Enter")
        b.wait("/x-box=/.test(location.hash)")
        b.quiet()
        self.press("both")
        self.assertIn("x-trace=both", b.js("location.hash"))
        b.js("document.querySelector('.nodes summary')?.click()")
        b.quiet()
        b.wait("document.querySelectorAll('.nodes dt').length > 3")
        self.shot("network-traced")
        for level in ("operators", "blocks", "layers"):
            self.press(level)
            b.wait(COLOURS % ".graph canvas.stage" + " > 4")

    def overview(self):
        """3: maps, what hangs together, ranges."""
        b = self.browser
        self.to("overview")
        b.wait(COLOURS % ".overview canvas.stage" + " > 40")
        b.js("document.querySelector('.overview canvas.stage').focus()")
        for _ in range(2):
            b.key("ArrowRight")
        b.wait("/channel/.test(document.querySelector('.overview .readout').innerText)")
        first = self.text(".overview .readout")
        b.key("ArrowDown")
        b.wait("document.querySelector('.overview .readout').innerText !== %s" % json.dumps(first))
        for scale in ("map", "block", "net", "layer"):
            self.press(scale)
            self.assertIn("x-scale=" + scale, b.js("location.hash"))
        self.shot("overview")

    def unfold(self, conv):
        """3 and 5: a map unfolds into what it is made of; arrow keys lead the window; Enter: the same number in full; Esc: back, step by step."""
        b = self.browser
        self.to("overview", **{"x-unfold": "%d.0" % conv})
        b.wait("/ = /.test(document.querySelector('.crumbs ~ .readout')?.innerText ?? '')")
        b.quiet()
        before = self.text(".readout")
        b.key("ArrowLeft")
        b.key("ArrowUp")
        b.wait("document.querySelector('.readout').innerText !== %s" % json.dumps(before))
        self.assertGreater(b.js(COLOURS % ".overview canvas.stage"), 30)
        self.shot("unfolded")
        value = re.search(r"\] = (\S+)", self.text(".readout")).group(1)
        b.key("Enter")
        b.wait("!!document.querySelector('.page.arithmetic .headline .big')")
        b.quiet()
        self.assertAlmostEqual(*[float(x.replace("\u2212", "-")) for x in (value, self.text(".headline .big"))], delta=2e-4 * max(1, abs(float(value.replace("\u2212", "-")))))
        b.key("Escape")
        b.wait("!!document.querySelector('.page.overview .crumbs')")
        self.assertEqual(b.js("document.querySelector('.crumbs [aria-current]').innerText"), "channel 0")
        b.quiet()
        b.key("Escape")
        b.wait("!!document.querySelector('.page.overview') && !document.querySelector('.crumbs')")

    def layer(self, index):
        """4: every channel of a layer."""
        self.to("layer", layer=index)
        self.browser.wait(COLOURS % ".page.layer canvas" + " > 20")
        self.shot("layer")

    def arithmetic(self, index):
        """5: one number: what is shown adds up; arrow keys; one step back."""
        b = self.browser
        self.to("arithmetic", layer=index)
        b.wait("!!document.querySelector('.sum-box tfoot b')")
        shown = b.js("[...document.querySelectorAll('.sum-box tbody tr')].map(r => r.children[1].innerText)")
        total = self.text(".sum-box tfoot b")
        self.assertAlmostEqual(sum(float(x.replace("\u2212", "-").replace("+", "")) for x in shown), float(total.replace("\u2212", "-")), places=5)
        before = b.js("location.hash")
        b.js("[...document.querySelectorAll('.three canvas[role=application]')].pop().focus()")
        b.key("ArrowLeft")
        b.key("ArrowUp")
        b.wait("location.hash !== '%s'" % before)
        b.quiet()
        self.shot("arithmetic")
        b.js("document.querySelector('.sum-box .act button').click()")
        b.wait("!!document.querySelector('.trail')")
        b.quiet()
        b.key("Escape")
        b.quiet()

    def why(self, method, sure=False):
        """6: an explanation, and what happens when part of the picture is covered (to one that is sure whatever it sees: nothing)."""
        b = self.browser
        self.to("why", **{"x-methods": method})
        b.wait(COLOURS % ".cards canvas" + " > 20", 180)
        b.quiet()
        r = b.js("(() => { const e = document.querySelector('.whatif canvas'); e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.left, r.top]; })()")
        b.mouse("mousePressed", r[0] + 150, r[1] + 130, 1)
        b.mouse("mouseMoved", r[0] + 160, r[1] + 140, 1)
        b.mouse("mouseReleased", r[0] + 160, r[1] + 140)
        b.wait("document.querySelectorAll('.delta').length > 0")
        b.quiet()
        if not sure:
            b.wait("[...document.querySelectorAll('.delta')].some(e => e.innerText !== '\u00b10')")
        self.shot("why")

    def compare(self):
        """7: two pictures, layer by layer."""
        b = self.browser
        self.to("compare")
        b.wait("/They part first at/.test(document.querySelector('main').innerText)")
        self.shot("compare")

    def tour(self):
        """8: a tour moves the view; the language, the theme, the colours of maps; larger text."""
        b = self.browser
        self.to("tour")
        b.js("document.querySelector('.tours .primary').click()")
        seen = set()
        for _ in range(3):
            b.quiet()
            seen.add(b.js("location.hash.split('?')[0]"))
            b.js("document.querySelector('.tourcard .primary').click()")
        self.assertGreater(len(seen), 1)
        b.quiet()
        b.wait("document.querySelectorAll('.quiz button').length > 1")
        b.js("document.querySelector('.quiz button').click()")
        b.wait("document.querySelectorAll('.quiz button.good').length === 1")
        b.js("document.querySelector('.tourcard .icon').click()")
        self.to("overview", lang="zh", theme="dark", colours="warm")
        self.assertTrue(b.js("/[\\u4e00-\\u9fff]/.test(document.querySelector('.toolbar').innerText) && document.documentElement.dataset.theme === 'dark'"))
        b.js("document.documentElement.style.fontSize = '28px'")
        b.size(1600, 1000, True)
        b.quiet()
        self.assertLessEqual(b.js("document.documentElement.scrollWidth"), 1600)
        self.shot("zh-dark-large")
        b.js("document.documentElement.style.fontSize = ''")
        self.to("overview", lang="en", theme="light", colours="usual")

    def link(self):
        """9: every state is a link; the figure is a file; what is shown is a command that works."""
        b = self.browser
        self.to("network", **{"x-by": "macs", "x-dir": "lr"})
        hash_ = b.js("location.hash")
        b.open("http://%s/%s" % (self.server.host, hash_))
        b.wait("!!document.querySelector('main .page.network')")
        b.quiet()
        self.assertEqual(b.js("document.querySelector('.network .toolbar select').value"), "macs")
        self.assertEqual(b.js("location.hash"), hash_)
        figure = b.js("fetch([...document.querySelectorAll('.inspector a.button')][0].href).then(r => r.text())")
        self.assertIn("<svg", figure[:300])
        self.files()
        command = self.text(".command code")
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            run = subprocess.run(["bash", "-c", command.replace("convscope", "'%s'" % EXE, 1)], cwd=folder, capture_output=True, text=True, timeout=300)
            self.assertEqual(run.returncode, 0, (command, run.stderr))
            self.assertTrue(os.path.getsize(os.path.join(folder, "network.svg")) > 500)

    def files(self):
        """9, on: the panel as a drawing and the view as a page; neither holds anything but text and pictures."""
        b, here = self.browser, self.browser.js("location.href")
        catch = ("new Promise(done => { const make = URL.createObjectURL, click = HTMLAnchorElement.prototype.click; URL.createObjectURL = (x) => { URL.createObjectURL = make; "
                 "x.text().then(t => { HTMLAnchorElement.prototype.click = click; done(t); }); return 'data:,'; }; HTMLAnchorElement.prototype.click = function () {}; %s.click(); })")
        drawing = xml.dom.minidom.parseString(b.js(catch % "[...document.querySelectorAll('.toolbar .menu button')].find(x => x.textContent.startsWith('SVG'))").encode())
        self.assertGreater(len(drawing.getElementsByTagName("text")), 4)
        for bad in ("script", "img", "foreignObject"):
            self.assertEqual(len(drawing.getElementsByTagName(bad)), 0)
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            path = os.path.join(folder, "view.html")
            with open(path, "w", encoding="utf-8") as f:
                f.write(b.js(catch % "document.querySelector('.keep button')"))
            b.requests.clear()
            b.open("file://" + path)
            b.wait("document.readyState === 'complete' && document.images.length > 1 && [...document.images].every(i => i.complete && i.naturalWidth > 0)")
            self.assertEqual(b.js("document.querySelectorAll('script, canvas, img[src=\"x\"], main b > i').length"), 0)
            self.assertEqual([r for r in b.requests if not r.startswith(("file://" + path, "data:"))], [])
            b.requests.clear()
        b.open(here)
        b.wait("!!document.querySelector('main .page.network')")
        b.quiet()

    def walk(self, conv, word="conv", method="gradcam", sure=False):
        started = time.time()
        self.overview()
        self.unfold(conv)
        self.network(word)
        self.layer(conv)
        self.arithmetic(conv)
        self.why(method, sure)
        self.compare()
        self.tour()
        self.link()
        if self.shots:
            print("%s: %.1f s" % (self.name, time.time() - started), file=sys.stderr)

    # ---- the models -----------------------------------------------------------------------------------------------

    def shared(self, *path):
        full = os.path.join(SHARED, "data", *path)
        if not os.path.exists(full):
            self.skipTest("no ../shared/data/" + "/".join(path))
        return full

    def test_tiny_vgg(self):
        folder = self.shared("tiny-vgg")
        pictures = sorted(os.listdir(os.path.join(folder, "img")))
        self.start("tiny-vgg", folder, *[os.path.join(folder, "img", x) for x in pictures[:3]])
        self.arrive(os.path.join(folder, "img", pictures[3]))
        self.walk(5, "conv_2")
        self.pinch()
        self.tap()

    def tap(self):
        """A finger on a map does what a click does."""
        b = self.browser
        self.to("overview", **{"x-unfold": ""})
        x, y = b.js("(() => { const r = document.querySelector('.stage').getBoundingClientRect(); return [r.left + 130, r.top + 110]; })()")
        for dy in range(0, 120, 12):
            for kind, points in (("touchStart", [{"x": x, "y": y + dy}]), ("touchEnd", [])):
                self.browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
            b.settle()
            if b.js("!!document.querySelector('.crumbs')"):
                break
        b.wait("!!document.querySelector('.crumbs') && / = /.test(document.querySelector('.readout').innerText)")
        b.key("Escape")
        b.wait("!document.querySelector('.crumbs')")

    def pinch(self):
        """Two fingers zoom the graph: what was in view as a whole no longer is."""
        b = self.browser
        self.to("network", **{"x-by": "", "x-dir": ""})
        self.assertFalse(b.js("!!document.querySelector('.minimap')"))
        x, y = b.js("(() => { const r = document.querySelector('.graph').getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })()")

        def touch(kind, away):
            points = [] if away is None else [{"x": x - away, "y": y, "id": 1}, {"x": x + away, "y": y, "id": 2}]
            b.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        touch("touchStart", 40)
        for away in range(50, 170, 10):
            touch("touchMove", away)
        touch("touchEnd", None)
        b.wait("!!document.querySelector('.minimap')")

    def test_functional_keras(self):
        model = self.shared("models", "keras-h5", "emotion-mini-xception", "fer2013_mini_XCEPTION.102-0.66.hdf5")
        self.start("keras", model, self.shared("photos", "astronaut.png"))
        self.arrive(self.shared("photos", "kitten.jpg"))
        self.walk(3)

    def test_resnet(self):
        pictures = [PHOTO] if os.path.exists(PHOTO) else [os.path.join(ROOT, "models", "things_car.png")]
        self.start("resnet50", os.path.join(ROOT, "zoo", "resnet50.net"), "--init", "1", *pictures, os.path.join(ROOT, "models", "things_fish.png"))
        self.walk(4, "add", "gradient", sure=True)  # random weights

    def test_hostile_names(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            with open(os.path.join(folder, "classes.txt"), "w", encoding="utf-8") as f:
                f.write("".join(HOSTILE + "%d\n" % i for i in range(10)))
            model = os.path.join(folder, "<b>x' onload=1 $(touch no) `no`.onnx")
            with open(os.path.join(ROOT, "models", "things.onnx"), "rb") as f:
                data = f.read()
            for name, evil in ((b"conv_2", b"<b>'\"&"), (b"relu_3", b"\xe2\x80\xae<i>"), (b"pool_2", b"../../")):
                self.assertEqual(len(name), len(evil))
                data = data.replace(name, evil)
            with open(model, "wb") as f:
                f.write(data)
            picture = os.path.join(folder, "<img src=x>.png")
            shutil.copy(os.path.join(ROOT, "models", "things_car.png"), picture)
            self.start("hostile", model, "--classes", os.path.join(folder, "classes.txt"), picture, os.path.join(ROOT, "models", "things_fish.png"))
            self.walk(3)
            b = self.browser
            for page in ("overview", "network", "layer", "why", "compare", "tour"):
                self.to(page)
                self.assertEqual(b.js("document.querySelectorAll('main b > i, img[src=\"x\"], main script').length"), 0)
            self.assertIn("<img src=x", self.text(".rail"))
            self.assertNotIn("\u202e", b.js("document.body.innerText"))
            self.assertFalse(os.path.exists(os.path.join(folder, "no")))
            os.chdir(ROOT)

    def test_models_of_unlike_depth(self):
        """7, on: which layers of two models hold the same."""
        self.start("unlike")
        b = self.browser
        self.to("compare", **{"x-model": "1"})
        b.wait("/linear CKA/.test(document.querySelector('main').innerText) && !!document.querySelector('.likeness canvas')")
        self.assertGreater(b.js(COLOURS % ".likeness canvas"), 20)
        b.js("document.querySelector('.likeness canvas').focus()")
        b.key("ArrowDown")
        b.key("ArrowRight")
        b.wait("/x-pair=/.test(location.hash)")
        b.quiet()
        self.assertRegex(self.text(".likeness .readout"), r"CKA \u2212?[01]")
        self.shot("compare")


def pictures(folder):
    """The pictures of the readme and of docs/, as the app looks now."""
    vgg = os.path.join(SHARED, "data", "tiny-vgg")
    images = os.path.join(vgg, "img")
    server = Server(vgg, *[os.path.join(images, x) for x in sorted(os.listdir(images))])
    b = chromium.Browser(1160, 760)
    cup = next(i for i, x in enumerate(sorted(os.listdir(images))) if "espresso" in x or "coffee" in x)
    try:
        for lang in ("en", "zh"):
            for name, page, shown in (("overview", "overview?", "overview"), ("unfolded", "overview?x-unfold=2.4", "overview"), ("network", "network?x-by=kind", "network"), ("arithmetic", "arithmetic?layer=0&channel=2", "arithmetic")):
                b.size(1160, 760)
                b.open(server.url.geturl())
                b.wait("location.search === '' && !!document.querySelector('.top nav')")
                b.js("location.hash = '#/%s&m=0&p=%d&lang=%s&theme=light'" % (page, cup, lang))
                b.wait("!!document.querySelector('main .page.%s')" % shown)
                b.quiet()
                b.js("document.querySelectorAll('.command').forEach(e => e.remove())")  # it names this machine's folders
                b.settle()
                b.screenshot(os.path.join(folder, "app-%s-%s.webp" % (name, lang)))
    finally:
        b.close()
        server.stop()


if __name__ == "__main__":
    if not chromium.find():
        print("skipped: no chromium")
        sys.exit(77)
    if sys.argv[1:2] == ["--pictures"]:
        pictures(sys.argv[2])
    else:
        unittest.main(verbosity=0)
