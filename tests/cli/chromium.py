#!/usr/bin/env python3
# A real Chromium without a window, driven over its debugging pipe (NUL-separated JSON on descriptors 3 and 4): no package is needed.
# Keeps every console error, exception and remote request, for tests to refuse.
import base64, json, os, re, select, shutil, subprocess, tempfile, time

LOOKS = re.compile(r"/api/(log/(new|control)|visdom)\b")  # what a page asks again and again
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find():
    return next((shutil.which(n) for n in NAMES if shutil.which(n)), None)


class Browser:
    def __init__(self, width=1600, height=1000):
        self.folder = tempfile.mkdtemp(prefix="cvs-chromium-")
        to_read, self.write_fd = os.pipe()
        self.read_fd, to_write = os.pipe()

        def descriptors():
            a, b = os.dup(to_read), os.dup(to_write)
            os.dup2(a, 3), os.dup2(b, 4)
            os.set_inheritable(3, True), os.set_inheritable(4, True)

        self.process = subprocess.Popen(
            [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--force-color-profile=srgb",
             "--remote-debugging-pipe", "--user-data-dir=" + self.folder, "--window-size=%d,%d" % (width, height), "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=descriptors)
        os.close(to_read), os.close(to_write)
        self.buffer, self.number, self.errors, self.requests = b"", 0, [], []
        self.asked, self.flying = 0, {}  # requests that a page makes for what it shows
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.size(width, height)

    def size(self, width, height, dark=False, reduced=True):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                                                          {"name": "prefers-reduced-motion", "value": "reduce" if reduced else ""}])

    def receive(self, seconds):
        """One message, or None."""
        end = time.time() + seconds
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_fd], [], [], max(0, end - time.time()))
            data = os.read(self.read_fd, 1 << 20) if ready else b""
            if not data:
                return None
            self.buffer += data
        one, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(one)

    def note(self, event):
        method, q = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            d = q["exceptionDetails"]
            self.errors.append("exception: " + (d.get("exception", {}).get("description") or d.get("text", "")))
        elif method == "Runtime.consoleAPICalled" and q["type"] in ("error", "assert"):
            self.errors.append("console: " + " ".join(str(a.get("value", a.get("description", ""))) for a in q["args"]))
        elif method == "Log.entryAdded" and q["entry"]["level"] == "error":
            self.errors.append("log: %s %s" % (q["entry"]["text"], q["entry"].get("url", "")))
        elif method == "Network.requestWillBeSent":
            url = q["request"]["url"]
            self.requests.append(url)
            if url.startswith("http") and not LOOKS.search(url):
                self.asked += 1
                self.flying[q["requestId"]] = url
        elif method == "Page.frameNavigated" and "parentId" not in q["frame"]:
            self.flying.clear()  # the last page's are nobody's
        elif method in ("Network.loadingFinished", "Network.loadingFailed"):
            self.flying.pop(q["requestId"], None)

    def call(self, name, **params):
        self.number += 1
        message = {"id": self.number, "method": name, "params": params}
        if getattr(self, "session", None) and not name.startswith("Target."):
            message["sessionId"] = self.session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        end = time.time() + 180
        while time.time() < end:
            got = self.receive(end - time.time())
            if got is None:
                break
            if got.get("id") == message["id"]:
                if "error" in got:
                    raise RuntimeError("%s: %s" % (name, got["error"].get("message")))
                return got["result"]
            self.note(got)
        raise RuntimeError("%s: no answer" % name)

    def pump(self, seconds=0.0):
        end = time.time() + seconds
        while True:
            got = self.receive(max(0, min(0.05, end - time.time())))
            if got:
                self.note(got)
            if not got and time.time() >= end:
                return

    def open(self, url):
        self.call("Page.navigate", url=url)

    def js(self, code):
        got = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise RuntimeError(got["exceptionDetails"].get("exception", {}).get("description", code))
        return got["result"].get("value")

    def settle(self, ms=0):
        """Until the page has drawn what it was told, and its own timers of up to so many ms have run: they run in the order they are due."""
        try:
            self.js("new Promise(r => setTimeout(() => { const f = window.realFrame ?? requestAnimationFrame; f(() => f(() => setTimeout(r, 0))); }, %d))" % ms)
        except RuntimeError:  # another page has come
            pass

    def wait(self, code, seconds=120):
        end = time.time() + seconds
        while time.time() < end:
            try:
                if self.js(code):
                    return True
            except RuntimeError:
                pass
            self.pump(0.05)
        raise AssertionError("never true: %s; errors: %s; page: %s" % (code, self.errors, self.js("document.body.innerText.slice(0,400)")))

    def quiet(self, seconds=600):
        """Until nothing is asked of the server any more, and no timer that would ask is under way: not a matter of how fast anything is."""
        idle, end = "!document.querySelector('.busy.on') && !document.querySelector('.progress')", time.time() + seconds
        self.settle()
        while True:
            self.wait(idle, seconds)
            before = self.asked
            self.settle(400)  # the longest that the page lets things rest is 350 ms
            self.pump()
            if self.asked == before and not self.flying and self.js(idle):
                return
            if time.time() > end:
                raise AssertionError("never quiet: %s; on their way: %s" % (self.requests[-5:], sorted(self.flying.values())))

    def hold(self, what):
        """Answers from addresses that match come only when they are let go: `release`, which also ends the holding of those that are asked for and not there yet."""
        self.js("window.held = []; window.holds = new RegExp(%s); window.realFetch ??= window.fetch; window.fetch = (a, i) => window.realFetch(a, i).then(r => "
                "window.holds?.test(String(a)) ? new Promise(ok => window.held.push({ address: String(a), go: () => ok(r) })) : r); 0" % json.dumps(what))

    def held(self, n, which=".*"):
        """Until so many answers are held."""
        self.wait("window.held.filter(x => new RegExp(%s).test(x.address)).length >= %d" % (json.dumps(which), n))

    def release(self, which=None):
        """Lets one answer go: the newest (-1), the oldest (0), the first whose address matches; without a word all of them, the newest first, and
        those that are still to come."""
        if which is None:
            self.held(1)
            self.js("(async () => { window.holds = null; window.fetch = window.realFetch; for (const x of window.held.splice(0).reverse()) { x.go(); await new Promise(r => setTimeout(r, 0)); } })()")
        else:
            self.held(1, which if isinstance(which, str) else ".*")
            at = "window.held.findIndex(x => new RegExp(%s).test(x.address))" % json.dumps(which) if isinstance(which, str) else str(which)
            self.js("window.held.splice(%s, 1)[0].go()" % at)
        self.settle()

    def clock(self):
        """From here on the page's animations run by `tick` alone."""
        self.js("(() => { let now = performance.now(), n = 0, list = new Map(); window.realFrame = requestAnimationFrame.bind(window); performance.now = () => now; "
                "window.requestAnimationFrame = f => { list.set(++n, f); return n; }; window.cancelAnimationFrame = i => { list.delete(i); }; "
                "window.tick = ms => { now += ms; const all = [...list.values()]; list = new Map(); for (const f of all) f(now); }; })()")

    def tick(self, ms):
        self.js("window.tick(%d)" % ms)
        self.settle()

    def key(self, key):
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Escape": 27, "Tab": 9}
        more = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes.get(key, 0), **(more if kind == "keyDown" else {}))

    def mouse(self, kind, x, y, buttons=0):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if kind != "mouseMoved" or buttons else "none",
                  buttons=buttons, clickCount=1)

    def click(self, x, y):
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)

    def screenshot(self, path, whole=False):
        """PNG, or, where the name says so, WebP: a picture full of maps is a quarter as large."""
        kind = {"format": "webp", "quality": 82} if path.endswith(".webp") else {"format": "png"}
        if whole:
            h = self.js("document.documentElement.scrollHeight")
            w = self.js("document.documentElement.clientWidth")
            data = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={"x": 0, "y": 0, "width": w, "height": h, "scale": 1}, **kind)
        else:
            data = self.call("Page.captureScreenshot", **kind)
        with open(path, "wb") as f:
            f.write(base64.b64decode(data["data"]))

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (RuntimeError, OSError):
            pass
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.write_fd), os.close(self.read_fd)
        shutil.rmtree(self.folder, ignore_errors=True)
