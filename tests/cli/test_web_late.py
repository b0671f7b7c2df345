#!/usr/bin/env python3
# Answers that come late, in the app in a real Chromium: what was asked for an older model, picture, layer, language or environment must not stand
# for what is shown now, nor lead the reader away. Answers are held back and let go one by one (chromium.py: hold, release), so that no step
# depends on how fast anything is. Beside test_web.py, whose server, browser and manners it takes.
import base64, json, os, re, socket, sys, tempfile, unittest, urllib.request

import chromium
import test_web
from test_app import ROOT, Server


class Late(unittest.TestCase):
    setUpClass = classmethod(test_web.Web.setUpClass.__func__)
    tearDownClass = classmethod(test_web.Web.tearDownClass.__func__)
    setUp, tearDown, show, shot = test_web.Web.setUp, test_web.Web.tearDown, test_web.Web.show, test_web.Web.shot

    def text(self, selector):
        return self.browser.js("document.querySelector(%s)?.innerText ?? ''" % json.dumps(selector))

    def to(self, hash_):
        self.browser.js("location.hash = %s" % json.dumps(hash_))

    def asked(self, pattern):
        self.browser.pump()
        return [x for x in self.browser.requests if re.search(pattern, x)]

    def choose(self, selector, value):
        self.browser.js("(() => { const e = document.querySelector('%s'); e.value = '%s'; e.dispatchEvent(new Event('change', { bubbles: true })); })()" % (selector, value))

    def drop(self, name):
        with open(os.path.join(ROOT, "models", name), "rb") as f:
            data = base64.b64encode(f.read()).decode()
        self.browser.js("(() => { const raw = atob(%r), d = new Uint8Array(raw.length); for (let i = 0; i < raw.length; i++) d[i] = raw.charCodeAt(i); const t = new DataTransfer(); "
                        "t.items.add(new File([d], %r)); dispatchEvent(new DragEvent('drop', { dataTransfer: t, bubbles: true, cancelable: true })); })()" % (data, name))

    def test_the_language_that_was_left(self):
        b = self.show("why", **{"x-methods": "gradient"})
        b.hold("api/(model|state)\\?")
        for _ in range(2):  # to Chinese and back
            b.js("[...document.querySelectorAll('.top .icon')].find(x => /^(中|EN)$/.test(x.innerText)).click()")
            b.settle()
        b.held(2, "model")
        b.held(2, "state")
        b.release()  # the English ones first: those in Chinese are late
        b.quiet()
        self.assertFalse(b.js("/[\\u4e00-\\u9fff]/.test(document.querySelector('main').innerText)"))
        self.to("#/layer?layer=3")
        b.quiet()
        self.assertFalse(b.js("/[\\u4e00-\\u9fff]/.test(document.querySelector('main').innerText)"))

    def test_a_layer_that_was_left(self):
        b = self.show("layer", layer=7)
        name, last = self.text(".facts"), b.js("document.querySelector('.toolbar select').options.length") - 1
        b.hold("api/stats")
        self.choose(".toolbar select", str(last))  # ten numbers after many maps
        b.held(1)
        b.settle()
        self.assertEqual(self.asked("api/maps.*layer=%d\\b.*list=\\d+%%2C" % last), [])  # not its channels by the other one's numbers
        self.assertEqual(self.text(".facts"), name)
        b.release()
        b.quiet()
        self.assertNotEqual(self.text(".facts"), name)
        self.assertIn("10 channels", self.text(".wall h2"))
        b.hold("api/stats")
        self.choose(".toolbar select", "3")
        b.held(1)
        self.choose(".toolbar select", "7")
        b.held(2)
        b.release()  # that of layer 3 last
        b.quiet()
        self.assertEqual(self.text(".facts"), name)

    def test_a_number_that_was_left(self):
        b = self.show("arithmetic", layer=3, at=100)
        b.hold("api/unit")
        for at in (200, 300):
            self.to("#/arithmetic?layer=3&at=%d" % at)
            b.settle()
        b.held(2)
        self.assertTrue(b.js("document.querySelector('.headline').classList.contains('stale')"))  # the old number is not told for the new one's
        b.release()
        b.quiet()
        late = self.text(".headline .big")
        b = self.show("arithmetic", layer=3, at=300)
        self.assertEqual(self.text(".headline .big"), late)

    def test_who_went_on_is_not_led_back(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            net = os.path.join(folder, "folded.net")
            with open(net, "w") as f:
                f.write("input 3x16x16\ngap\nv: fc 64\nsizes: const i64[4][1;4;4;4]\nm: from v,sizes op Reshape\nconv 4 k3\nfc 3\nsoftmax\n")
            server = Server(net, "--init", "1", os.path.join(ROOT, "models", "things_car.png"))
            self.addCleanup(server.stop)
            self.addCleanup(self.browser.open, "about:blank")
            b = self.show("overview", server=server)
            folded = b.js("fetch('/api/model?m=0').then(r => r.json()).then(x => x.layers.find(l => l.name === 'm').index)")
            for stays in (False, True):
                self.to("#/overview?x-unfold=")
                b.wait("!!document.querySelector('.page.overview') && !document.querySelector('.crumbs')")
                b.quiet()
                b.hold("api/maps")
                self.to("#/overview?x-unfold=%d.0" % folded)  # a map made of single numbers has no such picture: its arithmetic is shown instead
                b.wait("!!document.querySelector('.crumbs')")
                b.held(1)
                if not stays:
                    self.to("#/layer?layer=0")
                    b.wait("!!document.querySelector('.page.layer')")
                b.release()
                b.quiet()
                self.assertTrue(b.js("location.hash.startsWith('%s')" % ("#/arithmetic" if stays else "#/layer")), b.js("location.hash"))

    def test_a_step_back_that_was_given_up(self):
        b = self.show("arithmetic", layer=18, at=6)
        inner = None
        for layer in range(b.js("document.querySelector('.toolbar select').options.length")):
            status, _, body = self.server.get("unit", m=0, p=0, layer=layer, at=0)
            head = json.loads(body[4:4 + int.from_bytes(body[:4], "little")])
            if status == 200 and any(s["place"].startswith("v") for s in head["sources"]):
                inner = layer
                break
        if inner is None:
            self.skipTest("no value inside a layer")
        self.to("#/arithmetic?layer=%d&at=0" % inner)
        b.quiet()
        b.hold("api/unit")
        b.js("(document.querySelector('.sum-box .act button') ?? { click() {} }).click()")
        b.js("(() => { const c = document.querySelector('.products canvas'); if (c && !window.held.length) { const r = c.getBoundingClientRect(); "
             "c.dispatchEvent(new PointerEvent('pointerdown', { clientX: r.left + r.width / 2, clientY: r.top + 10, bubbles: true })); } })()")
        b.held(1)
        self.to("#/compare?")
        b.wait("!!document.querySelector('.page.compare')")
        b.release()
        b.quiet()
        self.assertTrue(b.js("location.hash.startsWith('#/compare')"), b.js("location.hash"))

    def test_an_explanation_that_was_left(self):
        b = self.show("why", **{"x-methods": "gradient", "x-target": "1"})
        b.hold("api/job")
        self.to("#/why?x-methods=gradient&x-target=2")
        b.held(1)
        self.to("#/why?x-methods=gradient&x-target=3")
        b.held(2)
        b.release(0)  # the older one is done: it does not say so of the newer
        b.settle(400)
        self.assertTrue(b.js("!!document.querySelector('.card .progress')"))
        b.release()
        b.quiet()
        names = b.js("fetch('/api/model?m=0').then(r => r.json()).then(x => x.classes)")
        self.assertTrue(self.text(".card .caption").startswith(names[3]), self.text(".card .caption"))

    def test_stopped_before_it_began(self):
        b = self.show("why", **{"x-methods": "gradient"})
        b.hold("api/explain")
        self.to("#/why?x-methods=rise")
        b.held(1)
        b.wait("!!document.querySelector('.card .progress button')")
        b.js("document.querySelector('.card .progress button').click()")
        b.release()
        b.quiet()
        self.assertEqual(len(self.asked("api/cancel")), 1)
        b.errors[:] = [x for x in b.errors if "404" not in x]  # it may have ended by itself meanwhile

    def test_a_pair_that_was_left(self):
        b = self.show("compare")
        b.wait("/They part first at/.test(document.querySelector('main').innerText)")
        b.quiet()
        b.requests.clear()
        b.hold("api/compare")
        self.choose(".toolbar label:nth-child(2) select", "1")  # of another depth
        b.held(1)
        b.settle()
        self.assertNotIn("They part first at", self.text("main"))  # that was said of other two
        self.assertEqual(self.asked("api/maps.*m=1\\b"), [])
        b.release()
        b.quiet()

    def test_drawn_strokes_come_in_order(self):
        b = self.show("overview", m=1)
        b.wait("document.querySelectorAll('.thumbs button').length >= 10")
        n = b.js("document.querySelectorAll('.thumbs button').length")
        b.js("[...document.querySelectorAll('.rail .row button')].find(x => x.innerText === 'Draw').click()")
        b.wait("!!document.querySelector('.pad canvas')")
        b.quiet()
        r = b.js("(() => { const r = document.querySelector('.pad canvas').getBoundingClientRect(); return [r.left, r.top]; })()")
        b.hold("api/pictures\\?")
        for x in (60, 120):
            b.mouse("mousePressed", r[0] + x, r[1] + 40, 1)
            b.mouse("mouseMoved", r[0] + x, r[1] + 150, 1)
            b.mouse("mouseReleased", r[0] + x, r[1] + 150)
        b.held(1)
        b.settle(100)
        b.release()  # all that are held, the newest first
        b.wait("document.querySelectorAll('.thumbs button').length === %d" % (n + 2))
        b.quiet()
        self.assertTrue(b.js("[...document.querySelectorAll('.thumbs button')].pop().classList.contains('on')"))  # both strokes

    def test_what_was_chosen_while_a_file_came_stays(self):
        b = self.show("overview")
        b.hold("api/models")
        self.drop("digits.onnx")
        b.held(1)
        b.js("document.querySelectorAll('.thumbs button')[3].click()")
        b.settle()
        b.release()
        b.wait("[...document.querySelectorAll('.models option')].some(x => x.innerText.includes('digits.onnx'))")
        b.quiet()
        self.assertEqual(b.js("document.querySelector('.models').selectedOptions[0].innerText"), "Things (colour pictures)")
        self.assertEqual(b.js("[...document.querySelectorAll('.thumbs button')].findIndex(x => x.classList.contains('on'))"), 3)

    def test_an_environment_that_was_left(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        server = Server("--visdom-port", str(port))
        self.addCleanup(server.stop)
        self.addCleanup(self.browser.open, "about:blank")

        def draw(end, env, **more):
            ask = dict({"eid": env, "win": "w", "layout": {}, "opts": {"title": "of " + env}}, **more)
            with urllib.request.urlopen(urllib.request.Request("http://localhost:%d/%s" % (port, end), json.dumps(ask).encode())) as f:
                f.read()
        for env in ("one", "two"):
            draw("events", env, data=[{"x": [0, 1], "y": [3.0, 2.0], "name": "train", "type": "scatter", "mode": "lines"}])
        b = self.show_visdom(server)
        b.wait("/of one/.test(document.querySelector('main').innerText)")
        label = "document.querySelector('.vpane canvas').getAttribute('aria-label')"
        self.assertIn("train 2", b.js(label))
        b.hold("api/visdom\\?")
        b.held(1)
        draw("update", "one", data=[{"x": [2], "y": [1.0], "name": "train", "type": "scatter", "mode": "lines"}], name="train", append=True)
        b.release(0)
        b.held(1)  # the new point is on its way
        self.to("#/overview?")
        b.wait("!!document.querySelector('.page.overview')")
        self.to("#/visdom?x-env=one")
        b.held(2)  # and once more
        b.release(0)
        b.release(0)
        b.wait("/train/.test(%s) && !/train 2/.test(%s)" % (label, label))
        self.assertIn("train 3", b.js(label))  # not twice
        b.held(1)
        self.to("#/visdom?x-env=two")
        b.held(2)
        b.release(-1)
        b.wait("/of two/.test(document.querySelector('main').innerText)")
        b.release(0)  # that of the environment that was left
        self.assertIn("of two", self.text("main"))
        self.assertNotIn("of one", self.text("main"))

    def show_visdom(self, server):
        b = self.browser
        self.hosts.add("http://" + server.host)
        b.open(server.url.geturl())
        b.wait("location.search === '' && !!document.querySelector('.top nav')")
        b.js("location.hash = '#/visdom?x-env=one&lang=en&theme=light'")
        b.wait("!!document.querySelector('.vpane')")
        return b


if __name__ == "__main__":
    if not chromium.find():
        print("skipped: no chromium")
        sys.exit(77)
    unittest.main(verbosity=0)
