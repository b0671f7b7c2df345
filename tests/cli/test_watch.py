#!/usr/bin/env python3
# convscope watch as a page: what the server says of logs, anybody's and broken ones; the page in a real Chromium, in both languages, light and
# dark, wide and narrow; a run that is paused, stepped and given another learning rate, and repeated to the same bits; evolution.
import base64, hashlib, json, os, re, signal, struct, subprocess, tempfile, time, unittest, urllib.parse, zlib

import chromium
import event_files as ev
from test_app import EXE, ROOT, Server

DIGITS = os.path.join(ROOT, "models", "digits.net")


class Watching(Server):
    def __init__(self, *logs):
        self.process = subprocess.Popen([EXE, "watch", *logs, "--no-browser", "--port", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = urllib.parse.urlparse(self.process.stdout.readline().strip())
        self.host, self.cookie = self.url.netloc, None
        _, headers, _ = self.send("/?" + self.url.query)
        self.cookie = headers["Set-Cookie"].split(";")[0]

    def curves(self, **ask):
        status, headers, body = self.send("/api/log/curves", json.dumps(ask), **{"Content-Type": "application/json", "X-Convscope": "1"})
        assert status == 200, (status, body[:200])
        n, = struct.unpack("<I", body[:4])
        return json.loads(body[4:4 + n]), struct.unpack("<%dd" % ((len(body) - 4 - n) // 8), body[4 + n:])


def png(w, h, rgb=(200, 30, 90)):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(rgb) * w for _ in range(h))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def train(folder, *args, **more):
    return subprocess.Popen([EXE, "train", DIGITS, "--data", "generated:digits", "--epochs", "3", "--limit", "600", *args, "-o", folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def mark(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def until(what, seconds=180):
    end = time.time() + seconds
    while time.time() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("never true")


class Server_(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="cvs-test-")
        cls.dir = cls.temp.name
        cls.spikes = ev.million(os.path.join(cls.dir, "long"), 40000)
        ev.many(os.path.join(cls.dir, "many"), 12, 30)
        cls.s = Watching(os.path.join(cls.dir, "long"), os.path.join(cls.dir, "many"))
        cls.log = cls.s.json("log")

    @classmethod
    def tearDownClass(cls):
        assert cls.s.stop() == 0
        cls.temp.cleanup()

    def series(self, tag, run=None):
        return [s for x in self.log["tags"] if x["tag"] == tag for s in x["series"] if run is None or s[0] == run]

    def test_lists_runs_and_settings(self):
        self.assertEqual(len(self.log["runs"]), 13)
        self.assertEqual(set(self.log["runs"][3]["settings"]), {"learning_rate", "batch", "optimizer"})
        self.assertEqual(self.series("loss")[0][2], 40000)
        self.assertEqual(len(self.series("epoch_loss")), 12)

    def test_no_spike_is_lost_at_any_width(self):
        one = self.series("loss")[0][1]
        for columns in (50, 333, 1600):
            head, v = self.s.curves(series=[one], axis="step", columns=columns, smooth=0.6)
            n = head["lines"][0][1]
            self.assertLessEqual(n, 5 * columns + 2)
            points = dict(zip(v[:n], v[n:2 * n]))
            for step, value in self.spikes.items():
                self.assertEqual(points[step], value, columns)
            self.assertEqual((v[0], v[n - 1]), (0, 39999))
            self.assertEqual(len(v), 3 * n)

    def test_zoomed(self):
        one = self.series("loss")[0][1]
        head, v = self.s.curves(series=[one], axis="step", columns=1000, **{"from": 20000, "to": 20010})
        self.assertEqual(list(v[:head["lines"][0][1]]), list(range(19999, 20012)))

    def test_mean_and_band(self):
        ids = [s[1] for s in self.series("epoch_loss")]
        head, v = self.s.curves(series=ids, axis="step", columns=30, band=True)
        n = head["n"]
        self.assertEqual((head["runs"], len(v)), (12, 5 * n))
        lines, w = self.s.curves(series=ids, axis="step", columns=600)
        ends, at = [], 0
        for _, k, _, _ in lines["lines"]:
            ends.append(w[at + k + k - 1])
            at += 2 * k
        self.assertAlmostEqual(v[2 * n - 1], sum(ends) / 12, places=5)
        self.assertAlmostEqual(v[4 * n - 1], min(ends), places=5)

    def test_refusals(self):
        s, mine = self.s, {"Content-Type": "application/json", "X-Convscope": "1"}
        self.assertEqual(s.send("/api/log/curves", "{}", **mine)[0], 400)
        self.assertEqual(s.send("/api/log/curves", "{}", **{"Content-Type": "application/json"})[0], 403)
        for ask in ({"series": [-1, 5, 10 ** 12, 1.5, None, "x"]}, {"series": [], "columns": -1}, {"series": [0], "columns": 1e9, "smooth": 7, "from": 1e300, "to": -1e300, "axis": 3}):
            s.curves(**ask)
        for path in ("bins", "picture", "csv"):
            for series in (-1, 3, 10 ** 15):
                self.assertIn(s.get("log/" + path, series=series)[0], (200 if path == "csv" and series == 3 else 404, 404))
        self.assertEqual(s.get("log/text", series=-5)[0], 404)
        status, _, _ = s.send("/api/log/control", json.dumps({"run": os.path.join(self.dir, "long"), "pause": True}), **mine)
        self.assertEqual(status, 404)
        self.assertEqual(s.json("evolution")["runs"], [])
        self.assertEqual(s.get("evolution/layer", run="/etc", layer=0)[0], 404)

    def test_every_point_as_csv(self):
        _, headers, body = self.s.get("log/csv", series=self.series("loss")[0][1])
        lines = body.decode().split("\n")
        self.assertEqual((lines[0], len(lines)), ("step,wall_time,value", 40002))
        self.assertTrue(lines[40000 // 7 + 1].endswith(",9"))

    def test_says_when_something_came(self):
        before = self.s.json("log/new")
        with open(os.path.join(self.dir, "many", "run_0000", "events.out.tfevents.1700000000.test.1.0"), "ab") as f:
            f.write(ev.event(1.8e9, 500, [ev.scalar(b"epoch_loss", 1.0)]))
        now = until(lambda: (lambda x: x if x["data"] > before["data"] else None)(self.s.json("log/new")))
        self.assertEqual(now["shape"], before["shape"])
        self.assertTrue(now["live"])

    def test_a_log_that_is_not_there(self):
        p = subprocess.run([EXE, "watch", "/nowhere/at/all", "--no-browser"], capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stdout), (3, ""))


class Steering(unittest.TestCase):
    def test_paused_stepped_changed_and_repeated(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            run = os.path.join(folder, "run")
            p = train(run, "--control")
            until(lambda: os.path.exists(os.path.join(run, "steering.json")))
            p.send_signal(signal.SIGSTOP)  # it would be over before a slow machine has the page
            s = Watching(run)
            self.addCleanup(s.stop)

            def stand():
                return until(lambda: s.json("log/control")["runs"])[0]

            def ask(**what):
                self.assertEqual(s.post("log/control", dict(run=run, **what))[0], 200)

            ask(pause=True)
            p.send_signal(signal.SIGCONT)
            first = until(lambda: (lambda x: x if x["paused"] else None)(stand()))
            ask(pause=True, step=3)
            until(lambda: stand()["step"] == first["step"] + 3)
            time.sleep(0.3)
            self.assertEqual(stand()["step"], first["step"] + 3)
            status, got = s.post("log/control", {"run": run, "rate": 1e9})
            self.assertEqual(status, 422, got)
            ask(rate=0.01)
            until(lambda: stand()["rate"] == 0.01)
            self.assertTrue(stand()["paused"])
            ask(pause=False)
            self.assertEqual(p.wait(400), 0)
            with open(os.path.join(run, "history.json")) as f:
                self.assertEqual(json.load(f)["changes"], [[first["step"] + 4, 0.01]])
            self.assertTrue(stand()["ended"])
            self.assertEqual(s.post("log/control", {"run": run, "pause": True})[0], 404)
            again = os.path.join(folder, "again")
            self.assertEqual(train(again, "--changes", os.path.join(run, "history.json")).wait(400), 0)
            killed = os.path.join(folder, "killed")
            p = train(killed, "--changes", os.path.join(run, "history.json"), "--save-every", "0.01")
            until(lambda: os.path.exists(os.path.join(killed, "state.safetensors")))
            p.kill()
            p.wait()
            self.assertEqual(train(killed, "--resume", "--changes", os.path.join(run, "history.json")).wait(400), 0)
            for name in ("model.onnx", "state.safetensors"):
                marks = {mark(os.path.join(x, name)) for x in (run, again, killed)}
                self.assertEqual(len(marks), 1, name)

    def test_not_asked_for_is_not_listened_to(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            os.makedirs(os.path.join(folder, "run"))
            with open(os.path.join(folder, "run", "control.json"), "w") as f:
                f.write('{"id": 1, "pause": true}')
            self.assertEqual(train(os.path.join(folder, "run")).wait(400), 0)

    def test_broken_requests_are_passed_over(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            run = os.path.join(folder, "run")
            p = train(run, "--control")
            until(lambda: os.path.exists(os.path.join(run, "steering.json")))
            for text in ("", "[1]", '{"id": 4, "id": 5}', '{"id": "x", "learning_rate": -3}', "{" * 5000, '{"id": 7, "learning_rate": 1e999}'):
                with open(os.path.join(run, "next"), "w") as f:
                    f.write(text)
                os.replace(os.path.join(run, "next"), os.path.join(run, "control.json"))
                time.sleep(0.05)
            self.assertEqual(p.wait(400), 0)
            with open(os.path.join(run, "history.json")) as f:
                self.assertNotIn("changes", json.load(f))

    def test_bad_changes_are_refused(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            path = os.path.join(folder, "c.json")
            for text in ('{"changes": [[3, 0.1], [2, 0.1]]}', '{"changes": [[0, 0.1]]}', '{"changes": [[1, -1]]}', '{"changes": [1]}', "[]"):
                with open(path, "w") as f:
                    f.write(text)
                p = subprocess.run([EXE, "train", DIGITS, "--data", "generated:digits", "--limit", "64", "--epochs", "1", "--changes", path, "-o", os.path.join(folder, "run")], capture_output=True, text=True)
                self.assertEqual(p.returncode, 4, (text, p.stderr))
                self.assertIn("c.json", p.stderr)


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not chromium.find():
            raise unittest.SkipTest("no chromium")
        cls.temp = tempfile.TemporaryDirectory(prefix="cvs-test-")
        cls.run_folder = os.path.join(cls.temp.name, "run")
        assert train(cls.run_folder, "--snapshots").wait(400) == 0
        cls.s = Watching(cls.run_folder)
        if cls.s.send("/assets/app.js")[0] != 200:
            cls.s.stop()
            raise unittest.SkipTest("built without the web app")
        cls.browser = chromium.Browser()
        cls.shots = os.environ.get("CVS_SHOTS")

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.s.stop()
        cls.temp.cleanup()

    def setUp(self):
        self.browser.errors.clear()
        self.browser.requests.clear()
        self.here = "http://" + self.s.host

    def tearDown(self):
        b = self.browser
        b.settle()
        b.pump()
        b.open("about:blank")
        self.assertEqual(b.errors, [])
        self.assertEqual([r for r in b.requests if not r.startswith((self.here, "data:", "blob:", "about:"))], [])

    def show(self, page="watch", server=None, lang="en", dark=False, width=1600, **more):
        b, s = self.browser, server or self.s
        self.here = "http://" + s.host
        b.size(width, 1000, dark)
        b.open(s.url._replace(fragment="").geturl())
        b.wait("location.search === '' && !!document.querySelector('.top nav')")
        b.js("location.hash = '#/%s?%s'" % (page, "&".join("%s=%s" % x for x in dict(more, lang=lang, theme="dark" if dark else "light").items())))
        b.wait("!!document.querySelector('.page') && document.documentElement.lang.startsWith('%s')" % lang)
        b.wait("!document.querySelector('main .empty')")
        b.quiet()
        return b

    def shot(self, name):
        if self.shots:
            os.makedirs(self.shots, exist_ok=True)
            self.browser.screenshot(os.path.join(self.shots, name + ".png"), True)

    def check(self, lang, width, name):
        b = self.browser
        self.assertIsNone(b.js("document.querySelector('.trouble')?.innerText ?? null"), name)
        self.assertLessEqual(b.js("document.documentElement.scrollWidth"), width, name)
        self.assertEqual(b.js("/[\\u4e00-\\u9fff]/.test(document.querySelector('main').innerText)"), lang == "zh", name)
        unnamed = b.js("[...document.querySelectorAll('canvas,button,select,input:not([hidden])')].filter(e => !(e.getAttribute('aria-label') || "
                       "e.innerText?.trim() || e.closest('label') || e.querySelector('img[alt]') || e.placeholder || e.title)).map(e => e.outerHTML.slice(0, 80))")
        self.assertEqual(unnamed, [], name)

    def test_every_tab(self):
        for n, tab in enumerate(("curves", "layers", "histograms", "pictures", "texts", "runs")):
            for lang in ("en", "zh"):
                dark, width = (n + (lang == "zh")) % 2 == 1, 900 if lang == "zh" else 1600
                self.show(lang=lang, dark=dark, width=width, **{"x-tab": tab})
                if tab in ("curves", "layers", "histograms"):
                    self.drawn()
                self.check(lang, width, tab)
                self.shot("watch-%s-%s" % (tab, lang))

    def test_confusion_of_every_epoch(self):
        log = self.s.json("log")
        kinds = {x["tag"]: x for x in log["tags"]}
        self.assertEqual(kinds["confusion_matrix"]["kind"], "picture")
        table = kinds["confusion_table"]["series"][0]
        self.assertEqual(kinds["confusion_matrix"]["series"][0][2], 3)
        with open(os.path.join(self.run_folder, "history.json")) as f:
            history = json.load(f)
        for k, accuracy in enumerate(history["val_accuracy"]):
            lines = self.s.json("log/text", series=table[1], k=k)["lines"]
            rows = [[y.strip() for y in x.split("|")[1:-1]] for x in lines if x.startswith("|")]
            cells = [[int(v) for v in r[1:]] for r in rows[2:]]
            self.assertEqual((len(cells), [r[0] for r in rows[2:]]), (10, rows[0][1:]))
            right, every = sum(cells[i][i] for i in range(10)), sum(map(sum, cells))
            self.assertAlmostEqual(right / every, accuracy, places=6)
        done = subprocess.run([EXE, "evaluate", os.path.join(self.run_folder, "model.onnx"), "generated:digits", "--json"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["confusion"], cells)  # another path through the program
        for lang in ("en", "zh"):
            b = self.show(lang=lang, dark=lang == "zh", width=900 if lang == "zh" else 1600, **{"x-tab": "pictures"})
            b.wait("document.querySelectorAll('.confusion tbody td').length === 110")
            self.assertEqual(b.js("[...document.querySelectorAll('.confusion tbody tr')].map(r => [...r.querySelectorAll('td')].slice(0, 10).map(c => Number(c.innerText)))"), cells)
            self.check(lang, 900 if lang == "zh" else 1600, "confusion")
            b.js("document.querySelector('.confusion').scrollIntoView()")
            self.shot("watch-confusion-" + lang)

    def test_labels_of_a_very_narrow_axis(self):
        folder = os.path.join(self.temp.name, "narrow")
        os.makedirs(folder)
        with open(os.path.join(folder, "events.out.tfevents.1700000000.test.1.0"), "wb") as f:
            for i in range(60):
                f.write(ev.event(1.7e9 + i, i, [ev.scalar(b"near", 0.99998 + i * 1.6e-7), ev.scalar(b"far", 123456000.0 + i * 8), ev.scalar(b"plain", i / 60)]))
        s = Watching(folder)
        try:
            b = self.show(server=s)
            tags, chart = ("near", "far", "plain"), "[...document.querySelectorAll('.chartcard')].find(e => e.id === 'tag %s')?.querySelector('canvas').dataset.y ?? ''"
            got = until(lambda: (lambda all: all if all and min(map(len, all.values())) > 2 else None)({tag: b.js(chart % tag).split("|") for tag in tags}))
            self.shot("watch-narrow")
            for tag in ("near", "far", "plain"):
                self.assertEqual(len(set(got[tag][1:])), len(got[tag][1:]), got)
                self.assertLessEqual(max(len(x) for x in got[tag][1:]), 8, got)
            self.assertEqual(got["plain"][0], "")
            self.assertTrue(got["near"][0].startswith("0.9999"), got)
            self.assertTrue(got["far"][0].startswith("12345"), got)
        finally:
            s.stop()

    def drawn(self):
        """Waits until the first canvas of the page has lines or colours on it."""
        self.browser.wait("(() => { const c = document.querySelector('main canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, s = new Set(); for (let i = 0; i < d.length; i += 4) if (d[i + 3]) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size > 8; })()")

    def test_axes_smoothing_bands_and_logarithms(self):
        for more in ({"x-axis": "epoch"}, {"x-axis": "time"}, {"x-log": 1}, {"x-outliers": 1}, {"x-band": 1}, {"x-smooth": 0.9}, {"x-smooth": 0}):
            self.show(**more)
            self.drawn()

    def test_zooming_moving_and_back(self):
        b = self.show(**{"x-smooth": 0})
        chart = "[...document.querySelectorAll('.chartcard')].find(e => e.id === 'tag batch_loss').querySelector('canvas')"
        self.drawn()
        r = b.js("(() => { const r = %s.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()" % chart)

        def step(x):
            """The step that is told for a place, once the pointer's table follows."""
            b.mouse("mouseMoved", r[0] + x - 1, r[1] + 80)
            b.mouse("mouseMoved", r[0] + x, r[1] + 80)
            b.wait("!!document.querySelector('.tip b')")
            b.settle()
            return int(b.js("document.querySelector('.tip b').innerText").split()[1])

        def settled(x, good):
            until(lambda: good(step(x)), 120)

        middle = r[2] / 2
        settled(middle, lambda v: 10 <= v <= 20)
        self.assertIn("train", b.js("document.querySelector('.tip').innerText"))
        b.mouse("mousePressed", r[0] + middle, r[1] + 80, 1)
        for i in range(6):
            b.mouse("mouseMoved", r[0] + middle + 20 * i, r[1] + 80, 1)
        b.mouse("mouseReleased", r[0] + middle + 100, r[1] + 80)
        settled(70, lambda v: v >= 12)  # the left end is now what was the middle
        b.js("%s.focus()" % chart)
        b.key("Escape")
        settled(70, lambda v: v <= 4)

    def test_runs_are_switched(self):
        b = self.show()
        b.js("document.querySelector('.runs input').click()")
        b.wait("/\\b[36] points/.test(document.querySelector('.chartcard').innerText)")
        b.js("[...document.querySelectorAll('.watchrail .link')].find(x => x.innerText === 'all again').click()")

    def test_findings_are_shown_with_what_to_do(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            run = os.path.join(folder, "run")
            subprocess.run([EXE, "train", DIGITS, "--data", "generated:digits", "--epochs", "3", "--limit", "600", "--lr", "3", "--optimizer", "adam", "-o", run], capture_output=True)
            s = Watching(run)
            self.addCleanup(s.stop)
            for lang in ("en", "zh"):
                b = self.show(server=s, lang=lang, width=1600)
                b.wait("!!document.querySelector('.finding')")
                self.shot("watch-findings-" + lang)
                text = b.js("document.querySelector('.finding').innerText")
                self.assertIn({"en": "What to do", "zh": "建议"}[lang], text)
            b.js("document.querySelector('.finding .row button')?.click()")
            b.quiet()

    def test_a_run_that_goes_on_is_seen_and_steered(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            run = os.path.join(folder, "run")
            p = train(run, "--control", "--epochs", "100000")  # it is ended when all is seen
            try:
                until(lambda: os.path.exists(os.path.join(run, "steering.json")))
                s = Watching(run)
                self.addCleanup(s.stop)
                b = self.show(server=s)
                b.wait("!!document.querySelector('.steer')")
                b.js("document.querySelector('.steer button').click()")
                b.wait("document.querySelector('.steer button').innerText === 'Go on'")
                step = b.js("document.querySelector('.steer .n').innerText")
                self.shot("watch-steered")
                b.js("[...document.querySelectorAll('.steer button')].find(x => x.innerText === 'One step').click()")
                b.wait("document.querySelector('.steer .n').innerText !== %s" % json.dumps(step))
                b.js("[...document.querySelectorAll('.steer .vote')].find(x => x.innerText === '×0.5').click()")
                b.wait("/0\\.001/.test(document.querySelector('.steer label b').innerText)")
                before = b.js("[...document.querySelectorAll('.chartcard')].find(e => e.id === 'tag batch_loss').querySelector('.side').innerText")
                b.js("document.querySelector('.steer button').click()")
                b.wait("document.querySelector('.steer button').innerText === 'Pause'")
                b.wait("[...document.querySelectorAll('.chartcard')].find(e => e.id === 'tag batch_loss').querySelector('.side').innerText !== %s || document.querySelector('.dot.on')" % json.dumps(before))
            finally:
                p.kill()
                p.wait()

    def test_evolution(self):
        for lang in ("en", "zh"):
            b = self.show("evolution", lang=lang, dark=lang == "zh", width=900 if lang == "zh" else 1600, **{"x-top": 100})
            b.wait("document.querySelectorAll('.evolved canvas').length >= 6 && /100/.test(document.querySelector('.evolution').innerText)", 180)
            b.quiet()
            self.shot("evolution-" + lang)
            self.check(lang, 900 if lang == "zh" else 1600, "evolution")
            self.assertEqual(b.js("document.querySelector('.timeline input').value"), "3")
            before = b.js("document.querySelector('.evolved canvas').toDataURL()")
            b.js("(() => { const e = document.querySelector('.timeline input'); e.focus(); })()")
            b.key("ArrowLeft")
            b.key("ArrowLeft")
            b.wait("document.querySelector('.timeline input').value === '1'")
            b.wait("document.querySelector('.evolved canvas').toDataURL() !== %s" % json.dumps(before))

    def test_animation_log_and_figure_4(self):
        picture, folder = os.path.join(ROOT, "models", "digits_3.png"), self.temp.name
        gif, strip, log = os.path.join(folder, "e.gif"), os.path.join(folder, "e.svg"), os.path.join(folder, "log")
        for args in (["-o", gif], ["-o", strip, "--layer", "last-conv"], ["--events", log, "--layer", "0"]):
            p = subprocess.run([EXE, "evolution", self.run_folder, picture, "--strongest", "80", "--rows", "4", *args], capture_output=True, text=True)
            self.assertEqual((p.returncode, p.stdout), (0, ""), p.stderr)
        with open(gif, "rb") as f:
            data = base64.b64encode(f.read()).decode()
        b = self.show()
        frames = b.js("(async () => { const d = new ImageDecoder({ type: 'image/gif', data: Uint8Array.from(atob('%s'), c => c.charCodeAt(0)) }); await d.tracks.ready; "
                      "const out = []; for (let i = 0; i < d.tracks.selectedTrack.frameCount; i++) { const f = (await d.decode({ frameIndex: i })).image; const c = new OffscreenCanvas(f.displayWidth, f.displayHeight), g = c.getContext('2d'); "
                      "g.drawImage(f, 0, 0); const p = g.getImageData(0, 0, c.width, c.height).data; let h = 0; for (let k = 0; k < p.length; k += 4) h = (h * 31 + p[k] + p[k + 1] * 256 + p[k + 2] * 65536) | 0; out.push([f.displayWidth, f.displayHeight, h]); } return out; })()" % data)
        self.assertEqual(len(frames), 4)  # epochs 0, 1, 2, 3
        self.assertEqual(len({tuple(f[:2]) for f in frames}), 1)
        self.assertEqual(len({f[2] for f in frames}), 4)
        with open(strip, encoding="utf-8") as f:
            self.assertIn("80 training pictures", " ".join(re.sub("<[^>]*>", " ", f.read()).split()))
        seen = json.loads(subprocess.run([EXE, "watch", log, "--json"], capture_output=True, text=True, check=True).stdout)["series"]
        self.assertEqual([(s["kind"], s["tag"], s["step"]) for s in seen], [("picture", "conv_1/evolution", [0, 1, 2, 3])])
        for args, code in ((["--layer", "nothing", "-o", gif], 9), (["-o", os.path.join(folder, "no", "e.gif")], 3), ([], 2), (["--strongest", "0", "-o", gif], 2), (["--data", "mnist:/nowhere", "--strongest", "5", "-o", gif], 3)):
            p = subprocess.run([EXE, "evolution", self.run_folder, *args], capture_output=True, text=True)
            self.assertEqual(p.returncode, code, (args, p.stderr))

    def hostile(self, folder):
        html = b"<img src=x onerror=alert(1)><script>alert(2)</script>"
        with ev.open_run(folder, "<b>run' onload=1") as f:
            f.write(ev.event(1.7e9, 0, [ev.scalar(html, 1), ev.scalar(b"x" * 4000, 2), ev.scalar("\u202egnp.exe \u2066/\u0007".encode(), 3), ev.scalar(b"", 5)]))
            f.write(ev.event(1.7e9, 0, [ev.settings([(html, 3.0), (b"__proto__", b"polluted"), (b"x" * 3000, b"y" * 9000)])]))
            for i, v in enumerate((float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-45)):
                f.write(ev.event(float("nan") if i == 2 else -1e300, i, [ev.scalar(b"odd", v)]))
            f.write(ev.event(1.7e9, 2 ** 62, [ev.scalar(b"odd", 1)]))
            f.write(ev.event(1.7e9, 1, [ev.histogram(b"h/odd", [float("nan"), 0, float("inf"), 1e300], [1, -5, float("nan")]), ev.histogram(b"h/none", [0], []), ev.histogram(b"h/flat", [2, 2, 2], [0, 7])]))
            f.write(ev.event(1.7e9, 1, [ev.picture(b"p/good", png(9, 5)), ev.picture(b"p/svg", b"<svg onload='alert(3)'/>"), ev.picture(b"p/cut", png(9, 5)[:40]), ev.picture(b"p/none", b"")]))
            f.write(ev.event(1.7e9, 1, [ev.text(b"t/html", html + b"\n[x](javascript:alert(4))"), ev.text(b"t/long", b"z" * 200000)]))
        with ev.open_run(folder, "broken") as f:
            f.write(ev.event(1.7e9, 1, [ev.scalar(b"loss", 1)]))
            f.write(struct.pack("<Q", 1 << 60) + b"\0" * 40)
        with ev.open_run(folder, "no text") as f:
            f.write(ev.event(1.7e9, 1, [ev.scalar(b"loss", 1)]) + ev.event(1.7e9, 2, [ev.scalar(b"\xff\xfe\x80", 4)]))
        with ev.open_run(folder, "cut") as f:
            f.write(ev.event(1.7e9, 1, [ev.scalar(b"loss", 1)])[:-7])
        with ev.open_run(folder, "wrong") as f:
            good = ev.event(1.7e9, 1, [ev.scalar(b"loss", 1)])
            f.write(good[:-6] + b"\x55" + good[-5:])
        os.makedirs(os.path.join(folder, "snapshots"))
        for i in range(2):
            with open(os.path.join(folder, "snapshots", "epoch_%d.onnx" % i), "wb") as f:
                f.write(b"no model")

    def test_hostile_logs(self):
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            self.hostile(folder)
            s = Watching(folder)
            self.addCleanup(s.stop)
            pictures = {x["tag"]: x["series"][0][1] for x in s.json("log")["tags"] if x["kind"] == "picture"}
            self.assertEqual(s.get("log/picture", series=pictures["p/good"])[0], 200)
            for name in ("p/svg", "p/none"):
                self.assertEqual(s.get("log/picture", series=pictures[name])[0], 422, name)
            for tab in ("curves", "histograms", "texts", "runs"):
                for width in (1600, 900):
                    b = self.show(server=s, width=width, **{"x-tab": tab})
                    if tab == "curves":
                        self.drawn()
                    self.assertEqual(b.js("document.querySelectorAll('main img[src=\"x\"], main script, .rail img[src=\"x\"]').length"), 0)
                    self.assertLessEqual(b.js("document.documentElement.scrollWidth"), width, tab)
                    self.assertIn("Damaged files", b.js("document.querySelector('main').innerText"))
                    self.assertIsNone(b.js("({}).polluted ?? null"))
                    self.shot("watch-hostile-%s-%d" % (tab, width))
            self.assertIn("<img src=x", b.js("document.body.innerText") + self.show(server=s, **{"x-tab": "texts"}).js("document.body.innerText"))


if __name__ == "__main__":
    unittest.main(verbosity=0)
