#!/usr/bin/env python3
# The web app in a real Chromium: every page, both languages, light and dark; no console error, no request elsewhere; what is clicked, typed
# and dragged does what it says. Skipped, visibly, without Chromium or where the program was built without the app.
# CVS_SHOTS=FOLDER keeps the screenshots.
import json, os, re, shutil, sys, tempfile, unittest, xml.dom.minidom

import chromium
from program import SHARED, UNKNOWN
from test_app import ROOT, Server

PAGES = ["overview", "network", "layer", "arithmetic", "why", "compare", "tour"]


class Web(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not chromium.find():
            raise unittest.SkipTest("no chromium")
        cls.server = Server()
        if cls.server.send("/assets/app.js")[0] != 200:
            cls.server.stop()
            raise unittest.SkipTest("built without the web app")
        cls.browser = chromium.Browser()
        cls.shots = os.environ.get("CVS_SHOTS")

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.server.stop()

    def setUp(self):
        self.browser.open("about:blank")  # what the last page still asked for is not this test's
        self.browser.wait("location.href === 'about:blank'")
        self.browser.settle()
        self.browser.errors.clear()
        self.browser.requests.clear()
        self.hosts = {"http://" + self.server.host}

    def tearDown(self):
        b = self.browser
        b.settle()
        b.pump()
        self.assertEqual(b.errors, [])
        self.assertEqual([r for r in b.requests if not r.startswith((*self.hosts, "data:", "blob:", "about:"))], [])

    def show(self, page, lang="en", dark=False, width=1600, server=None, **more):
        b, s = self.browser, server or self.server
        self.hosts.add("http://" + s.host)
        b.size(width, 1000, dark)
        args = "&".join("%s=%s" % x for x in dict(more, lang=lang, theme="dark" if dark else "light").items())
        b.open(s.url.geturl())
        b.wait("location.search === '' && !!document.querySelector('.top nav')")
        b.js("location.hash = '#/%s?%s'" % (page, args))
        b.wait("!!document.querySelector('main .page.%s')" % page)
        b.quiet()
        return b

    def shot(self, name):
        if self.shots:
            os.makedirs(self.shots, exist_ok=True)
            self.browser.screenshot(os.path.join(self.shots, name + ".png"), True)

    def test_every_page(self):
        for lang in ("en", "zh"):
            for page in PAGES:
                dark = (PAGES.index(page) + (lang == "zh")) % 2 == 1
                width = 900 if lang == "zh" else 1600
                b = self.show(page, lang, dark, width)
                self.shot("%s-%s-%d-%s" % (page, lang, width, "dark" if dark else "light"))
                self.assertIsNone(b.js("document.querySelector('.trouble')?.innerText ?? null"), page)
                self.assertLessEqual(b.js("document.documentElement.scrollWidth"), width, page)
                chinese = b.js("/[\\u4e00-\\u9fff]/.test(document.querySelector('main').innerText)")
                self.assertEqual(chinese, lang == "zh", page)
                unnamed = b.js("[...document.querySelectorAll('canvas,button,select,input:not([hidden])')].filter(e => !(e.getAttribute('aria-label') || "
                               "e.innerText?.trim() || e.closest('label') || e.querySelector('img[alt]') || e.placeholder || e.title)).map(e => e.outerHTML.slice(0, 80))")
                self.assertEqual(unnamed, [], page)

    def test_the_sum_adds_up_and_goes_back_to_the_pixels(self):
        b = self.show("arithmetic", layer=18, at=6)
        for _ in range(30):
            shown = b.js("[...document.querySelectorAll('.sum-box tbody tr')].map(r => r.children[1].innerText)")
            if shown:
                total = b.js("document.querySelector('.sum-box tfoot b').innerText")
                number = [float(x.replace("−", "-").replace("+", "")) for x in shown]
                self.assertAlmostEqual(sum(number), float(total.replace("−", "-")), places=5)
                b.js("document.querySelector('.sum-box .act button').click()")
            else:
                spot = b.js("(() => { const r = document.querySelector('.products canvas').getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })()")
                b.click(*spot)
            b.quiet()
            if b.js("/place=in0/.test(location.hash)"):
                break
        self.assertTrue(b.js("/place=in0/.test(location.hash)"), b.js("location.hash"))
        self.assertGreater(b.js("document.querySelectorAll('.trail button').length"), 5)
        b.key("Escape")
        b.wait("!/place=in0/.test(location.hash)")

    def test_arrow_keys_move_the_number(self):
        b = self.show("arithmetic", layer=3, at=100)
        b.js("document.querySelectorAll('.three canvas[role=application]')[1].focus()")
        b.key("ArrowRight")
        b.key("ArrowDown")
        b.wait("/at=133/.test(location.hash)")

    def test_hovering_shows_what_a_map_is_made_of(self):
        b = self.show("overview")
        r = b.js("(() => { const r = document.querySelector('.stage').getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()")
        for y in range(100, int(r[3]), 25):
            b.mouse("mouseMoved", r[0] + 110, r[1] + y)
            b.settle()
            if "conv_1" in b.js("document.querySelector('.readout').innerText"):
                break
        self.assertIn("conv_1", b.js("document.querySelector('.readout').innerText"))
        b.click(r[0] + 110, r[1] + y)
        b.wait("!!document.querySelector('.crumbs') && /conv_1.*=/.test(document.querySelector('.readout').innerText)")
        b.quiet()
        self.assertRegex(b.js("location.hash"), r"x-unfold=0\.\d+")
        before = b.js("document.querySelector('.readout').innerText")
        b.key("ArrowUp")
        b.wait("document.querySelector('.readout').innerText !== %s" % json.dumps(before))
        self.shot("unfolded")
        b.key("Escape")
        b.wait("!document.querySelector('.crumbs') && !/x-unfold/.test(location.hash)")

    def test_the_way_into_a_layer_is_soft_and_short(self):
        b = self.show("overview")
        b.size(1600, 1000, reduced=False)
        drawn = ("(() => { const c = document.querySelector('.overview canvas.stage'), d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer); let h = 0; "
                 "for (let i = 0; i < d.length; i += 7) h = (h * 31 + d[i]) | 0; return h; })()")
        before = b.js(drawn)
        b.clock()  # not this machine's time: the page's
        b.js("location.hash = '#/overview?x-unfold=3.5'")
        b.wait("!!document.querySelector('.crumbs') && [...document.querySelectorAll('.crumbs button')].some(x => /Skip/.test(x.innerText))")
        seen = set()
        for _ in range(6):
            b.tick(100)
            seen.add(b.js(drawn))
        self.assertGreater(len(seen | {before}), 5)  # it moves: 450 ms of the way, and the window after it
        b.js("[...document.querySelectorAll('.crumbs button')].find(x => /Skip/.test(x.innerText)).click()")
        b.wait("![...document.querySelectorAll('.crumbs button')].some(x => /Skip/.test(x.innerText))")
        text = b.js("document.querySelector('.readout').innerText")
        shown = float(re.search(r"= (\S+)", text).group(1).replace("\u2212", "-"))
        b.key("Enter")
        b.wait("!!document.querySelector('.page.arithmetic .sum-box tfoot b')")
        b.quiet()
        self.assertAlmostEqual(shown, float(b.js("document.querySelector('.headline .big').innerText").replace("\u2212", "-")), places=4)

    def test_dragging_the_square_changes_the_answer(self):
        b = self.show("why", **{"x-methods": "gradient"})
        r = b.js("(() => { const e = document.querySelector('.whatif canvas'); e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()")
        b.mouse("mousePressed", r[0] + 150, r[1] + 130, 1)
        for i in range(10):
            b.mouse("mouseMoved", r[0] + 150 + i * 5, r[1] + 130 + i * 2, 1)
        b.mouse("mouseReleased", r[0] + 200, r[1] + 150)
        b.wait("[...document.querySelectorAll('.delta')].some(e => e.innerText !== '±0')")
        b.quiet()
        self.shot("whatif")
        b.js("[...document.querySelectorAll('.whatif button')].find(x => x.innerText === 'Uncover').click()")
        b.wait("[...document.querySelectorAll('.delta')].every(e => e.innerText === '±0')")

    def test_drawing_a_digit(self):
        b = self.show("overview", m=1)
        b.wait("document.querySelectorAll('.thumbs button').length >= 10")
        b.js("[...document.querySelectorAll('.rail .row button')].find(x => x.innerText === 'Draw').click()")
        b.wait("!!document.querySelector('.pad canvas')")
        r = b.js("(() => { const r = document.querySelector('.pad canvas').getBoundingClientRect(); return [r.left, r.top, r.width]; })()")
        b.mouse("mousePressed", r[0] + r[2] / 2, r[1] + 35, 1)
        for i in range(14):
            b.mouse("mouseMoved", r[0] + r[2] / 2, r[1] + 35 + i * 9, 1)
        b.mouse("mouseReleased", r[0] + r[2] / 2, r[1] + 160)
        b.wait("document.querySelector('.answer .name')?.innerText === '1'")
        b.quiet()

    def test_the_tour_moves_the_view(self):
        b = self.show("tour")
        b.js("document.querySelector('.tours .primary').click()")
        seen = []
        for _ in range(24):
            b.quiet()
            if not b.js("!!document.querySelector('.tourcard')"):
                break
            seen.append(b.js("location.hash.split('?')[0]"))
            self.assertIsNone(b.js("document.querySelector('.trouble')?.innerText ?? null"), seen)
            b.js("document.querySelector('.tourcard .primary').click()")
        self.assertEqual(seen[0], "#/overview")
        self.assertIn("#/arithmetic", seen)
        self.assertEqual(seen[-1], "#/why")

    def test_questions_are_checked_and_pictures_find_their_text(self):
        b = self.show("tour", step=3, tour="first")
        b.js("document.querySelector('.tourcard h2 button').click()")
        b.wait("!!document.querySelector('.page.arithmetic')")
        b.quiet()
        self.assertEqual(b.js("[...document.querySelectorAll('.quiz button')].map(x => x.innerText)").count("75"), 1)  # 5 x 5 x 3 products
        self.assertFalse(b.js("!!document.querySelector('.quiz [role=status]')"))
        b.js("[...document.querySelectorAll('.quiz button')].find(x => x.innerText !== '75').click()")
        b.wait("/Not quite/.test(document.querySelector('.quiz [role=status]').innerText)")
        b.js("[...document.querySelectorAll('.quiz button')].find(x => x.innerText.startsWith('75')).click()")
        b.wait("/Right/.test(document.querySelector('.quiz [role=status]').innerText)")
        self.shot("quiz")
        b.js("document.querySelector('.tourcard .icon').click()")
        b.js("location.hash = '#/layer?layer=6'")  # a pooling layer asks for its text
        b.wait("!!document.querySelector('.facts .about')")
        b.js("document.querySelector('.facts .about').click()")
        b.wait("/Pooling/.test(document.querySelector('.tourcard h2').innerText)")
        self.assertIn("#/layer", b.js("location.hash"))

    def test_the_view_is_one_page_that_opens_without_the_program(self):
        b = self.show("layer", "zh", True, layer=3)
        b.wait("document.querySelectorAll('.wall canvas').length > 0")
        catch = ("new Promise(done => { const make = URL.createObjectURL; URL.createObjectURL = (x) => { x.text().then(done); URL.createObjectURL = make; return 'data:,'; }; "
                 "HTMLAnchorElement.prototype.click = function () {}; %s.click(); })")
        page = b.js(catch % "document.querySelector('.keep button')")
        words = b.js("document.querySelector('main').innerText.slice(0, 200)").split()[:6]
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            path = os.path.join(folder, "view.html")
            with open(path, "w", encoding="utf-8") as f:
                f.write(page)
            self.assertNotIn("/api/", page)
            b.requests.clear()
            b.open("file://" + path)
            b.wait("document.querySelectorAll('img').length > 5 && [...document.images].every(i => i.complete && i.naturalWidth > 0)")
            text = b.js("document.body.innerText")
            self.assertEqual(b.js("document.querySelectorAll('script, canvas').length"), 0)
            self.assertEqual(b.js("document.documentElement.dataset.theme"), "dark")
            for word in words:
                self.assertIn(word, text)
            self.assertEqual([r for r in b.requests if not r.startswith(("file://" + path, "data:"))], [])
            b.requests.clear()
        b.open("about:blank")

    def test_panels_are_drawings(self):
        b = self.show("layer", layer=3)
        b.wait("document.querySelectorAll('.saveable .save').length > 0")
        catch = ("new Promise(done => { const make = URL.createObjectURL; URL.createObjectURL = (x) => { const r = new FileReader(); r.onload = () => done(r.result); r.readAsText(x, 'latin1'); "
                 "URL.createObjectURL = make; return 'data:,'; }; HTMLAnchorElement.prototype.click = function () {}; [...document.querySelectorAll('%s .menu button')].find(x => x.textContent === '%s').click(); })")
        svg = b.js(catch % (".saveable", "SVG as seen"))
        self.assertEqual(svg[:4], "<svg")
        self.assertGreater(svg.count("<path"), 40)  # a bar is a path
        self.assertIn("All numbers of the layer</text>", svg)
        self.assertEqual(xml.dom.minidom.parseString(svg.encode()).documentElement.tagName, "svg")
        pdf = b.js(catch % (".saveable", "PDF as seen"))
        self.assertEqual(pdf[:5], "%PDF-")
        self.assertIn("%%EOF", pdf[-10:])
        self.assertIn("/Helvetica", pdf)
        b = self.show("overview")
        b.wait("document.querySelectorAll('.toolbar .save').length > 0")
        self.assertGreater(b.js(catch % (".toolbar", "SVG as seen")).count("<image"), 60)  # every map

    def test_the_sandbox_counts(self):
        b = self.show("tour", **{"x-box5": "7,3,1,2,1"})
        self.assertIn("= 4", b.js("document.querySelector('.sandbox .formula').innerText"))
        r = b.js("(() => { const e = document.querySelectorAll('.sandbox canvas')[1]; e.focus(); return [e.clientWidth, e.clientHeight]; })()")
        self.assertEqual(r, [4 * 34, 4 * 34])
        before = b.js("document.querySelector('.tour .equation').innerText")
        b.key("ArrowRight")
        b.wait("document.querySelector('.tour .equation').innerText !== %s" % json.dumps(before))
        after = b.js("document.querySelector('.tour .equation').innerText")
        left, right = after.replace("−", "-").replace("·", "*").replace("\u00b7", "*").split("=")
        self.assertEqual(eval(left), int(right))
        self.shot("sandbox")

    def test_a_changed_weight_changes_the_answer(self):
        b = self.show("arithmetic", layer=3, at=460)
        b.js("(() => { const e = document.querySelector('.weight input'); e.value = '4'; e.dispatchEvent(new Event('change', { bubbles: true })); })()")
        b.wait("!!document.querySelector('.weight .primary')")
        b.js("document.querySelector('.weight .primary').click()")
        b.wait("!!document.querySelector('.page.why')")
        b.quiet()
        b.wait("[...document.querySelectorAll('.delta')].some(e => e.innerText !== '±0')")
        b.js("document.querySelector('.whatif .chip.on').click()")
        b.wait("[...document.querySelectorAll('.delta')].every(e => e.innerText === '±0')")

    def other(self, *args):
        server = Server(*args)
        self.addCleanup(server.stop)
        self.addCleanup(self.browser.open, "about:blank")
        for page in PAGES:
            b = self.show(page, server=server)
            self.assertIsNone(b.js("document.querySelector('.trouble')?.innerText ?? null"), page)
            self.shot("%s-%s" % (os.path.basename(args[0]), page))
        return server

    def test_tiny_vgg(self):
        folder = os.path.join(SHARED, "data", "tiny-vgg")
        if not os.path.isdir(folder):
            self.skipTest("no ../shared/data/tiny-vgg")
        self.other(folder, os.path.join(SHARED, "data", "photos", "kitten.jpg"))

    def test_residual_net(self):
        self.other(os.path.join(ROOT, "zoo", "resnet50.net"), "--init", "1", os.path.join(ROOT, "models", "things_car.png"))

    def test_why_a_run_stops_is_said_in_the_language_of_the_page(self):
        """The answer was asked for in English and comes when the page speaks Chinese."""
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            net = os.path.join(folder, "odd.net")
            with open(net, "w") as f:
                f.write(UNKNOWN)
            server = Server(net, "--init", "1", *(os.path.join(ROOT, "models", "things_%s.png" % x) for x in ("car", "mug")))
            try:
                b = self.show("overview", "en", server=server)
                b.hold("api/predict")
                b.js("location.hash = '#/overview?lang=en&p=1'")
                b.held(1)
                b.js("location.hash = '#/overview?lang=zh&p=1'")
                b.wait("document.documentElement.lang.startsWith('zh') || /添加/.test(document.querySelector('.rail').innerText)")
                b.release()
                b.quiet()
                self.assertIn("未知算子 com.example::Odd", b.js("document.querySelector('.rail').innerText"))
            finally:
                server.stop()

    def test_a_run_that_stops_on_its_way(self):
        """An operator that nobody knows: every page says so, and shows what came before it."""
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            net = os.path.join(folder, "odd.net")
            with open(net, "w") as f:
                f.write(UNKNOWN)
            server = self.other(net, "--init", "1", os.path.join(ROOT, "models", "things_car.png"))
            for lang, word in (("en", "com.example::Odd is unknown"), ("zh", "未知算子 com.example::Odd")):
                b = self.show("overview", lang, server=server)
                self.assertIn(word, b.js("document.querySelector('.rail').innerText"))
                self.assertGreater(b.js("new Set(new Uint32Array(document.querySelector('.stage').getContext('2d').getImageData(0, 0, 800, 400).data.buffer)).size"), 200)
                b = self.show("layer", lang, server=server, layer=2)
                b.wait("!!document.querySelector('.wall canvas')")
                for page in ("layer", "arithmetic"):
                    b = self.show(page, lang, server=server, layer=4)
                    b.wait("document.querySelector('main').innerText.includes(%s)" % json.dumps(word))
                    self.assertIsNone(b.js("document.querySelector('.trouble')?.innerText ?? null"), page)

    def test_hostile_names_are_text(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            classes = os.path.join(folder, "classes.txt")
            with open(classes, "w", encoding="utf-8") as f:
                f.write("".join("<img src=x onerror=alert(%d)> \u202e'\"&\n" % i for i in range(10)))
            model = os.path.join(folder, "<b>x' onload=1.onnx")
            shutil.copy(os.path.join(ROOT, "models", "things.onnx"), model)
            server = Server(model, "--classes", classes, os.path.join(ROOT, "models", "things_car.png"))
            self.addCleanup(server.stop)
            self.addCleanup(self.browser.open, "about:blank")
            for page in PAGES:
                b = self.show(page, server=server)
                self.assertEqual(b.js("document.querySelectorAll('main img[src=\"x\"], .rail img[src=\"x\"]').length"), 0)
                self.assertIn("<img src=x", b.js("document.querySelector('.rail').innerText"))


if __name__ == "__main__":
    if not chromium.find():
        print("skipped: no chromium")
        sys.exit(77)
    unittest.main(verbosity=0)
