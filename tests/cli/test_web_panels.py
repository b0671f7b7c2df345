#!/usr/bin/env python3
# The app's panels in a real Chromium: what excites a channel, what a number sees and reaches, any target, painting and undoing, every panel as
# a file, uploads, names that are a guess. Beside test_web.py, whose server, browser and manners it takes.
import base64, json, os, shutil, subprocess, sys, tempfile, unittest

import chromium
import test_web
from test_app import EXE, ROOT, Server

CATCH = ("window.given = []; if (!window.caught) { window.caught = true; const make = URL.createObjectURL; URL.createObjectURL = (b) => "
         "{ window.given.push(b); return make.call(URL, b); }; HTMLAnchorElement.prototype.click = function () {}; } true")


class Panels(unittest.TestCase):
    setUpClass = classmethod(test_web.Web.setUpClass.__func__)
    tearDownClass = classmethod(test_web.Web.tearDownClass.__func__)
    setUp, tearDown, show, shot = test_web.Web.setUp, test_web.Web.tearDown, test_web.Web.show, test_web.Web.shot

    def colours(self, selector):
        """How many different colours a canvas holds."""
        return self.browser.js("(() => { const c = document.querySelector(%r), d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height)"
                               ".data.buffer); return new Set(d).size; })()" % selector)

    def press(self, text, where="main"):
        self.browser.wait("(() => { const x = [...document.querySelectorAll(%r)].find(x => x.innerText.trim().startsWith(%r) && !x.disabled); x?.click(); "
                          "return !!x; })()" % (where + " button", text))

    def test_what_excites_a_channel(self):
        b = self.show("layer", layer=7, channel=3)
        b.wait("document.querySelectorAll('.excite').length === 3 && document.querySelectorAll('.excite .save').length === 3", 180)
        b.quiet()
        self.assertGreater(self.colours(".excite:nth-child(1) canvas"), 200)
        self.assertGreater(self.colours(".excite:nth-child(2) canvas"), 200)
        self.assertGreater(self.colours(".excite:nth-child(3) canvas"), 50)
        self.assertIn("300", b.js("document.querySelectorAll('.excite')[1].innerText"))
        values = b.js("document.querySelectorAll('.excite')[0].querySelector('.caption').innerText").replace("−", "-").split(":")[1].split("→")
        self.assertGreater(float(values[1]), float(values[0]))
        before = b.js("document.querySelectorAll('.excite')[2].querySelector('canvas').toDataURL()")
        self.press("guided", ".excite")
        b.wait("document.querySelectorAll('.excite')[2].querySelector('canvas').toDataURL() !== %s" % json.dumps(before))
        b.quiet()
        self.assertIn("--rule guided", b.js("document.querySelectorAll('.excite')[2].querySelector('code').innerText"))
        b.js("(() => { const e = document.querySelectorAll('.excite')[1].querySelector('select'); e.value = 'open'; e.dispatchEvent(new Event('change', { bubbles: true })); })()")
        b.wait("/best of 1\\d pictures/.test(document.querySelectorAll('.excite')[1].innerText)")
        self.shot("excites")

    def test_a_model_without_a_picture_and_one_with_numbers(self):
        data = os.path.join(ROOT, "tests", "data")
        for args, hints in (((os.path.join(data, "torch", "state.pth"),), 1), ((os.path.join(data, "torch", "video_traced.pt"), os.path.join(data, "torch", "video.in.npy")), 0)):
            server = Server(*args)
            try:
                for page, lang in (("layer", "en"), ("arithmetic", "zh"), ("why", "en")):
                    b = self.show(page, lang, server=server)
                    self.assertIsNone(b.js("document.querySelector('.trouble')?.innerText ?? null"), page)
                    self.assertEqual(b.js("document.querySelectorAll('main .hint-box').length"), hints, page)
                    self.assertEqual(b.errors, [], page)
                b.open("about:blank")
            finally:
                server.stop()

    def test_every_file_of_every_panel(self):
        wrong = []
        for page, more in (("layer", {"layer": 7}), ("arithmetic", {"layer": 7, "at": 700}), ("why", {"x-methods": "gradcam,gradient"})):
            b = self.show(page, **more)
            links = b.js("Promise.all([...document.querySelectorAll('.save .menu a')].map(async (a) => { const r = await fetch(a.href); return [a.innerText || a.textContent, r.status, "
                         "r.headers.get('Content-Type'), (await r.arrayBuffer()).byteLength, !!r.headers.get('Content-Disposition')]; }))")
            self.assertGreater(len(links), 3, page)
            types = {"SVG": "image/svg+xml", "PNG": "image/png", "PDF": "application/pdf", ".npy": "application/octet-stream"}
            wrong += [(page, x) for x in links if x[1] != 200 or x[2] != types[x[0]] or x[3] < 200 or not x[4]]
            b.js(CATCH)
            given = []
            for k in range(b.js("document.querySelectorAll('.save .menu button').length")):
                n = b.js("(() => { const n = window.given.length; document.querySelectorAll('.save .menu button')[%d].click(); return n; })()" % k)
                b.wait("window.given.length > %d" % n)
                given.append(b.js("(async () => { const g = window.given[%d]; return [document.querySelectorAll('.save .menu button')[%d].textContent, g.type, g.size, "
                                  "g.type.startsWith('text') ? await g.text() : '']; })()" % (n, k)))
            self.assertTrue(given, page)
            for name, kind, size, text in given:
                if not size or (name.startswith("PNG") and kind != "image/png") or (name.startswith("CSV") and text.count("\n") < 2):
                    wrong.append((page, name, kind, size))
                if name == "CSV: every term":
                    sums = sum(float(line.split(",")[5]) for line in text.strip().split("\n")[1:])
                    shown = b.js("document.querySelector('.sum-box tfoot b').innerText").replace("−", "-")
                    self.assertAlmostEqual(sums, float(shown), places=4)
        self.assertEqual(wrong, [])

    def test_what_a_number_sees_and_reaches(self):
        b = self.show("arithmetic", layer=7, channel=3)  # its strongest number
        b.wait("/half of all influence/.test(document.querySelector('.excites')?.innerText ?? '')")
        self.assertGreater(self.colours(".excite canvas"), 30)
        self.press("Follow it forwards")
        b.wait("document.querySelectorAll('.reach tr').length > 3")
        rows = b.js("[...document.querySelectorAll('.reach tr')].map(r => r.children[0].innerText)")
        self.assertEqual(rows[0], "bn_3")
        self.assertEqual(rows[-1], "probability")
        b.js("document.querySelector('.excites .link').click()")
        b.wait("!/layer=7&/.test(location.hash)")
        b.quiet()
        self.assertIn("convscope arithmetic", b.js("[...document.querySelectorAll('.page > .command code')].map(x => x.innerText).join(' ')"))
        self.shot("influence")

    def test_marks_glide_and_rest_where_motion_is_unwelcome(self):
        b = self.show("arithmetic", layer=3, at=100)
        b.wait("!!document.querySelector('.glide.cursor')")
        self.assertEqual(b.js("getComputedStyle(document.querySelector('.glide.cursor')).transitionDuration"), "0s")
        self.assertEqual(b.js("getComputedStyle(document.querySelector('.three')).animationName"), "none")
        b.size(1600, 1000, False, reduced=False)
        b.wait("getComputedStyle(document.querySelector('.glide.cursor')).transitionDuration.includes('0.17s')")
        before = b.js("document.querySelector('.glide.cursor').style.left")
        b.js("document.querySelectorAll('.three canvas[role=application]')[1].focus()")
        b.key("ArrowRight")
        b.wait("document.querySelector('.glide.cursor').style.left !== %s" % json.dumps(before))
        b.wait("document.querySelectorAll('.flow path').length >= 2")
        self.shot("motion")

    def test_any_target(self):
        b = self.show("why", **{"x-methods": "gradcam,gradient"})
        self.press("a class", ".target")
        b.wait("!!document.querySelector('.combo input')")
        b.js("document.querySelector('.combo input').focus()")
        b.js("(() => { const e = document.querySelector('.combo input'); e.value = 'umbr'; e.dispatchEvent(new Event('input', { bubbles: true })); })()")
        b.wait("[...document.querySelectorAll('.combo li')].map(x => x.children[0].innerText).join() === 'umbrella'")
        b.key("Enter")
        b.wait("[...document.querySelectorAll('.card .caption')].filter(x => x.innerText.startsWith('umbrella')).length === 2")
        self.press("a neuron", ".target")
        b.quiet()
        b.wait("/x-target=neuron/.test(location.hash) && document.querySelectorAll('.card .wrong').length === 0")
        self.assertIn("--target", b.js("document.querySelector('.card .command code').innerText"))
        self.press("a region", ".target")
        b.wait("/x-target=region/.test(location.hash)")
        b.quiet()
        self.assertEqual(b.js("[...document.querySelectorAll('.card .wrong')].map(x => x.innerText)"), [])
        self.shot("target")

    def test_votes_switch_filters_off_and_everything_is_undone(self):
        b = self.show("why", **{"x-methods": "gradcam"})
        b.wait("document.querySelectorAll('.ballot').length >= 5")
        still = "[...document.querySelectorAll('.delta')].every(e => e.innerText === '±0')"
        b.js("document.querySelector('.ballot .link').click()")
        b.wait("!(%s)" % still)
        self.press("paint", ".whatif")
        b.wait("/x-brush=paint/.test(location.hash)")
        b.quiet()
        r = b.js("(() => { const e = document.querySelector('.whatif canvas'); e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.left, r.top]; })()")
        one = b.js("document.querySelector('.whatif .change').innerText")
        b.mouse("mousePressed", r[0] + 150, r[1] + 120, 1)
        for i in range(8):
            b.mouse("mouseMoved", r[0] + 150 + i * 6, r[1] + 120 + i * 3, 1)
        b.mouse("mouseReleased", r[0] + 192, r[1] + 141)
        b.wait("document.querySelector('.whatif .change').innerText !== %s" % json.dumps(one))
        b.quiet()
        self.shot("paint")
        self.press("Undo", ".whatif")
        b.wait("document.querySelector('.whatif .change').innerText === %s" % json.dumps(one))
        self.press("Undo", ".whatif")
        b.wait(still)
        answered = "document.querySelector('.whatif').innerText.includes('computed again')"
        b.quiet()
        self.assertFalse(b.js(answered))
        # undone while the answer to the change is still on its way: the late answer must not stay
        b.hold("api/whatif")
        self.press("Switch off", ".whatif")
        b.wait("document.querySelectorAll('.whatif .chip.on').length === 1")
        self.press("Everything as it was", ".whatif")
        b.wait(still + " && document.querySelectorAll('.whatif .chip.on').length === 0")
        b.release()
        b.quiet()
        self.assertFalse(b.js(answered))
        self.assertTrue(b.js(still))
        self.press("Switch off", ".whatif")
        b.wait(answered)

    def test_files_dropped_on_the_page(self):
        b = self.show("overview")
        for name in ("digits.onnx", "things_car.png", "broken.onnx"):
            with open(os.path.join(ROOT, "models", name if name != "broken.onnx" else "things_car.png"), "rb") as f:
                data = base64.b64encode(f.read()).decode()
            b.js("(() => { const raw = atob(%r), d = new Uint8Array(raw.length); for (let i = 0; i < raw.length; i++) d[i] = raw.charCodeAt(i); const t = new DataTransfer(); "
                 "t.items.add(new File([d], %r, { type: %r })); dispatchEvent(new DragEvent('drop', { dataTransfer: t, bubbles: true, cancelable: true })); })()"
                 % (data, name, "image/png" if name.endswith("png") else ""))
            if name != "broken.onnx":
                what = "models option" if name.endswith("onnx") else "thumbs button"
                b.wait("[...document.querySelectorAll('.%s')].some(x => (x.innerText || x.title).includes(%r))" % (what, name))
                b.quiet()
        b.wait("!!document.querySelector('.trouble')")  # a picture is no model: one clear sentence
        self.assertIn("broken.onnx", b.js("document.querySelector('.trouble').innerText"))
        b.errors[:] = [x for x in b.errors if "422" not in x]  # the browser's own line about the refusal

    def test_names_that_are_a_guess(self):
        text, net = os.path.join(ROOT, "zoo", "squeezenet1_1.net"), os.path.join(tempfile.mkdtemp(prefix="cvs-test-"), "net.onnx")
        self.addCleanup(shutil.rmtree, os.path.dirname(net))
        self.assertEqual(subprocess.run([EXE, "convert", text, "--init", "1", "-o", net], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode, 0)
        server = Server(net, text, "--size", "96x96", os.path.join(ROOT, "models", "things_car.png"))
        self.addCleanup(server.stop)
        self.addCleanup(self.browser.open, "about:blank")
        b = self.show("why", server=server, **{"x-methods": "gradient", "x-target": "669"})
        self.assertIn("ImageNet", b.js("document.querySelector('.rail').innerText"))
        self.assertIn("mosquito net", b.js("document.querySelector('.card').innerText"))
        b = self.show("overview", server=server, m="1")
        b.wait("document.querySelector('.rail').innerText.includes('random')")


if __name__ == "__main__":
    if not chromium.find():
        print("skipped: no chromium")
        sys.exit(77)
    unittest.main(verbosity=0)
