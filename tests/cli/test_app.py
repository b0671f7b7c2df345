#!/usr/bin/env python3
# The app's server from outside: docs/http.md held against live replies, its manners, and that heavy work holds up nothing.
import http.client, json, math, os, re, shutil, signal, socket, struct, subprocess, tempfile, threading, time, unittest, urllib.parse

from program import EXE, ROOT, UNKNOWN


class Server:
    def __init__(self, *args):
        self.process = subprocess.Popen([EXE, "open", *args, "--no-browser", "--port", "0"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = urllib.parse.urlparse(self.process.stdout.readline().strip())
        self.host, self.cookie = self.url.netloc, None
        _, headers, _ = self.send("/?" + self.url.query)
        self.cookie = headers["Set-Cookie"].split(";")[0]

    def send(self, path, body=None, **headers):
        c = http.client.HTTPConnection(self.host, timeout=300)
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        c.request("GET" if body is None else "POST", path, body, headers)
        r = c.getresponse()
        got = r.status, r.headers, r.read()
        c.close()
        return got

    def get(self, path, **args):
        return self.send("/api/" + path + "?" + urllib.parse.urlencode(args))

    def json(self, path, **args):
        status, _, body = self.get(path, **args)
        assert status == 200, (path, args, status, body)
        return json.loads(body)

    def packet(self, path, kind="f", **args):
        status, headers, body = self.get(path, **args)
        assert status == 200 and headers["Content-Type"] == "application/vnd.convscope.packet", (path, args, status, body[:200])
        n, = struct.unpack("<I", body[:4])
        assert (4 + n) % 8 == 0
        size = struct.calcsize(kind)
        return json.loads(body[4:4 + n]), struct.unpack("<%d%s" % ((len(body) - 4 - n) // size, kind), body[4 + n:])

    def post(self, path, ask, **args):
        status, _, body = self.send("/api/" + path + "?" + urllib.parse.urlencode(args), json.dumps(ask),
                                    **{"Content-Type": "application/json", "X-Convscope": "1"})
        return status, json.loads(body)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(120)
        self.process.stdout.close()
        return code


class App(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Server()
        cls.model = cls.s.json("model", m=0)

    @classmethod
    def tearDownClass(cls):
        assert cls.s.stop() == 0

    def test_state_lists_what_is_open(self):
        st = self.s.json("state")
        self.assertEqual([x["name"] for x in st["models"]][:2], ["things", "digits"])
        self.assertGreaterEqual(len(st["pictures"]), 20)
        self.assertGreaterEqual(len(st["methods"]), 20)
        zh = self.s.json("state", lang="zh")
        self.assertNotEqual(zh["methods"][0]["title"], st["methods"][0]["title"])

    def test_who_may_ask(self):
        s, own = self.s, "http://" + self.s.host
        self.assertEqual(s.send("/", Cookie="x=1")[0], 403)
        self.assertEqual(s.send("/?token=" + "0" * 32, Cookie="x=1")[0], 403)
        self.assertEqual(s.send("/", Host="evil.example")[0], 403)
        self.assertEqual(s.send("/api/state", Origin="http://evil.example")[0], 403)
        self.assertEqual(s.send("/api/state", Origin="null")[0], 403)
        self.assertEqual(s.send("/api/state", **{"Sec-Fetch-Site": "cross-site"})[0], 403)
        self.assertEqual(s.send("/api/state", Origin=own)[0], 200)
        self.assertEqual(s.send("/api/cancel?job=1", "{}", Origin=own)[0], 403)  # no header of our own
        self.assertEqual(s.send("/api/cancel?job=99", "{}", Origin=own, **{"X-Convscope": "1"})[0], 404)
        status, headers, _ = s.send("/")
        self.assertEqual(status, 200)
        policy = headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual((headers["X-Content-Type-Options"], headers["Referrer-Policy"]), ("nosniff", "no-referrer"))

    def test_limits(self):
        s, mine = self.s, {"X-Convscope": "1", "Content-Type": "application/json"}
        self.assertEqual(s.send("/api/explain", "x" * 70000, **mine)[0], 413)
        self.assertEqual(s.send("/api/explain", "[1]", **mine)[0], 400)
        self.assertEqual(s.send("/api/explain", '{"m":0,"m":1}', **mine)[0], 400)
        self.assertEqual(s.send("/api/models", "no model at all", **{"X-Convscope": "1", "Content-Type": "application/octet-stream"})[0], 422)
        self.assertEqual(s.send("/api/nothing")[0], 404)
        for place in ("", "x", "-1", "999", "in9", "v1", "1e9"):
            self.assertIn(s.get("maps", m=0, p=0, layer=place)[0], (400, 404, 422), place)
        for at in (-1, 10 ** 12):
            self.assertEqual(s.get("unit", m=0, p=0, layer=0, at=at)[0], 422)
        self.assertEqual(s.get("predict", m=7, p=0)[0], 404)
        self.assertEqual(s.get("predict", m=0, p=999)[0], 404)

    def test_broken_requests_leave_it_standing(self):
        port = int(self.s.host.split(":")[1])
        for raw in (b"", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"POST /api/models HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                    b"GET /" + b"a" * 30000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/9.9\r\nHost:\r\n\r\n", b"BREW /pot HTTP/1.1\r\n" * 50):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as c:
                try:
                    c.sendall(raw)
                    c.shutdown(socket.SHUT_WR)
                    while c.recv(4096):
                        pass
                except OSError:
                    pass
        self.assertEqual(self.s.send("/api/state")[0], 200)

    def test_every_number_adds_up(self):
        """Any element of any layer: its terms make the number that the run has."""
        kinds, exact = set(), 0
        for model, picture in ((0, 0), (1, self.s.json("state")["pictures"][-1]["id"])):
            for layer in self.s.json("model", m=model)["layers"]:
                count = math.prod(layer["dim"])
                maps = self.s.packet("maps", m=model, p=picture, layer=layer["index"])[1]
                for at in {0, count // 3, count // 2, count - 1}:
                    head, numbers = self.s.packet("unit", "d", m=model, p=picture, layer=layer["index"], at=at)
                    n = head["terms"]
                    self.assertEqual(len(numbers), 5 * n)
                    self.assertAlmostEqual(head["result"], maps[at], delta=1e-6 * max(1, abs(maps[at])))
                    value, weight = numbers[3 * n:4 * n], numbers[4 * n:]
                    made = {"sum": lambda: head["bias"] + sum(v * w for v, w in zip(value, weight)), "max": lambda: max(value), "copy": lambda: value[0],
                            "softmax": lambda: weight[head["own"]] / sum(weight), "function": lambda: max(0, value[0])}[head["kind"]]()
                    self.assertAlmostEqual(made, head["result"], delta=1e-4 * max(1, abs(made)), msg=(layer["name"], at, head))
                    kinds.add(head["kind"])
                    exact += n
        self.assertTrue({"sum", "max", "function", "softmax"} <= kinds, kinds)
        self.assertGreater(exact, 5000)

    def test_terms_are_the_neighbours_numbers(self):
        """The values of a convolution's terms stand where they say, in the layer that they say."""
        layer = next(l for l in self.model["layers"][3:] if l["conv"])
        head, numbers = self.s.packet("unit", "d", m=0, p=0, layer=layer["index"], at=math.prod(layer["dim"]) // 2)
        n, source = head["terms"], head["sources"][0]
        self.assertEqual([source["place"]], layer["from"])
        maps = self.s.packet("maps", m=0, p=0, layer=source["place"])[1]
        for at, value in zip(numbers[n:2 * n], numbers[3 * n:4 * n]):
            self.assertAlmostEqual(value, maps[int(at)] if at >= 0 else 0, places=6)
        kernel, weights = self.s.packet("filters", m=0, layer=layer["index"], count=1 << 20)
        for tap, weight in zip(numbers[2 * n:3 * n], numbers[4 * n:]):
            self.assertAlmostEqual(weight, weights[int(tap)], places=6)
        self.assertEqual(kernel["dim"][0], layer["dim"][1])

    def test_maps_are_averaged_and_chosen(self):
        whole, all_numbers = self.s.packet("maps", m=0, p=0, layer="in0")
        part, numbers = self.s.packet("maps", m=0, p=0, layer="in0", list="2,0", side=16)
        self.assertEqual((whole["dim"], part["sent"], part["factor"]), ([3, 64, 64], [2, 16, 16], 4))
        block = [all_numbers[2 * 4096 + y * 64 + x] for y in range(4) for x in range(4)]
        self.assertAlmostEqual(numbers[0], sum(block) / 16, places=5)
        stats, s = self.s.packet("stats", m=0, p=0, layer="in0")
        self.assertAlmostEqual(s[2], sum(all_numbers[:4096]) / 4096, places=4)
        self.assertAlmostEqual(stats["largest"], max(all_numbers), places=5)
        self.assertEqual(sum(s[18:]), 3 * 4096)

    def test_what_if_changes_and_comes_back(self):
        before = self.s.post("whatif", {"edits": []}, m=0, p=0)[1]["output"]
        status, after = self.s.post("whatif", {"edits": [{"place": "in0", "y": 16, "x": 16, "h": 32, "w": 32, "fill": [0, 0, 0]}]}, m=0, p=0)
        self.assertEqual(status, 200)
        self.assertGreater(max(abs(a - b) for a, b in zip(before, after["output"])), 1e-4)
        edited = self.s.packet("maps", m=0, p=0, layer="in0", edited=1)[1]
        self.assertEqual(edited[20 * 64 + 20], 0)
        off = self.s.post("whatif", {"edits": [{"place": "2", "channel": 3, "channels": 1, "fill": 0}]}, m=0, p=0)[1]["output"]
        self.assertNotEqual(off, before)
        layer = next(l for l in self.model["layers"][3:] if l["conv"])
        index, plane = layer["index"], layer["dim"][2] * layer["dim"][3]
        at = 2 * plane + plane // 2 + 5
        head, numbers = self.s.packet("unit", "d", m=0, p=0, layer=index, at=at)
        n = head["terms"]
        k = max(range(n), key=lambda i: numbers[3 * n + i])
        status, _ = self.s.post("whatif", {"edits": [{"place": str(index), "channel": 2, "tap": numbers[2 * n + k], "weight": 2.5}]}, m=0, p=0)
        self.assertEqual(status, 200)
        made = self.s.packet("maps", m=0, p=0, layer=index, edited=1)[1]
        self.assertAlmostEqual(made[at], head["result"] + (2.5 - numbers[4 * n + k]) * numbers[3 * n + k], places=4)
        other = self.s.packet("maps", m=0, p=0, layer=index)[1][:2 * plane]
        self.assertLess(max(abs(x - y) for x, y in zip(made, other)), 1e-4)  # another channel: the same up to rounding
        self.assertEqual(self.s.post("whatif", {"edits": [{"place": str(index), "channel": 2, "tap": 10 ** 9, "weight": 1}]}, m=0, p=0)[0], 400)
        again = self.s.post("whatif", {"edits": []}, m=0, p=0)[1]["output"]
        self.assertEqual(again, before)
        for bad in ({"place": "in7"}, {"place": "0", "channel": 99}, {}):
            self.assertEqual(self.s.post("whatif", {"edits": [bad]}, m=0, p=0)[0], 400)

    def wait(self, job, seconds=300):
        end = time.time() + seconds
        while time.time() < end:
            state = self.s.json("job", job=job)
            if state["done"]:
                return state
            time.sleep(0.02)
        self.fail("the job never ended")

    def test_explanations(self):
        status, got = self.s.post("explain", {"m": 0, "p": 0, "method": "gradcam"})
        self.assertEqual(status, 200)
        self.assertEqual(self.wait(got["job"])["error"], "")
        head, numbers = self.s.packet("map", job=got["job"])
        self.assertEqual(len(numbers), math.prod(head["dim"]))
        self.assertEqual(head["target"], self.s.json("predict", m=0, p=0)["scores"][0]["name"])
        self.assertEqual(self.s.post("explain", {"m": 0, "p": 0, "method": "tea-leaves"})[0], 404)

    def test_strength_of_layers(self):
        head, numbers = self.s.packet("strength", m=0, p=0)
        self.assertEqual(head["layers"], len(self.model["layers"]))
        for layer in (0, 5, head["layers"] - 1):
            maps = self.s.packet("maps", m=0, p=0, layer=layer)[1]
            rms, most, zeros = numbers[3 * layer:3 * layer + 3]
            self.assertAlmostEqual(rms, math.sqrt(sum(v * v for v in maps) / len(maps)), delta=1e-5 * rms)
            self.assertAlmostEqual(most, max(abs(v) for v in maps), places=6)
            self.assertAlmostEqual(zeros, sum(v == 0 for v in maps) / len(maps), places=6)

    def test_gradients_reach_every_layer(self):
        """Where a global mean follows, the gradient is one number a channel: that which Grad-CAM weighs its maps with."""
        head, sizes = self.s.packet("gradients", "d", m=0, p=0)
        layers = self.model["layers"]
        pool = next(l for l in layers if l["pool"] and l["dim"][2:] == [1, 1] or l["op"].startswith("GlobalAverage"))
        before = int(pool["from"][0])
        _, got = self.s.post("explain", {"m": 0, "p": 0, "method": "gradcam", "layer": str(before), "signed": True})
        self.wait(got["job"])
        weights = [w for _, _, w in self.s.packet("map", job=got["job"])[0]["votes"]]
        logits = next(i for i in range(len(sizes) - 1, -1, -1) if not math.isnan(sizes[i]))
        self.assertAlmostEqual(sizes[logits], 1 / math.sqrt(layers[logits]["dim"][1]), places=6)  # one of them is the target
        self.assertEqual(len(weights), layers[before]["dim"][1])
        self.assertAlmostEqual(sizes[before], math.sqrt(sum(w * w for w in weights) / len(weights)), delta=1e-5 * sizes[before])
        self.assertTrue(all(v > 0 for v in sizes[:logits]))
        other = self.s.packet("gradients", "d", m=0, p=0, target=1)
        self.assertEqual(other[0]["index"], 1)
        self.assertNotEqual(other[1][:3], sizes[:3])
        self.assertEqual(self.s.get("gradients", m=0, p=0, target=10 ** 6)[0], 404)

    def test_small_maps_of_many_layers(self):
        head, numbers = self.s.packet("thumbs", m=0, p=0, layers="in0,0,2,18,99,x", count=2, side=16)
        self.assertEqual([x["place"] for x in head["maps"]], ["in0", "0", "2"])  # a vector is no picture, and there is no 99
        at = 0
        for one in head["maps"]:
            each = one["h"] * one["w"]
            whole = self.s.packet("maps", m=0, p=0, layer=one["place"], list=",".join(map(str, one["channels"])), side=16)[1]
            self.assertEqual(numbers[at:at + 2 * each], whole)
            at += 2 * each
        stats = self.s.packet("stats", m=0, p=0, layer=0)[1]
        strength = stats[3:6 * 16:6]
        self.assertEqual(head["maps"][1]["channels"][0], max(range(16), key=lambda c: strength[c]))
        self.assertEqual(at, len(numbers))

    def glance(self, ask, **args):
        mine = {"Content-Type": "application/json", "X-Convscope": "1"}
        status, _, body = self.s.send("/api/glance?" + urllib.parse.urlencode(args), json.dumps(ask), **mine)
        if status != 200:
            return status, None
        n, = struct.unpack("<I", body[:4])
        return json.loads(body[4:4 + n]), struct.unpack("<%df" % ((len(body) - 4 - n) // 4), body[4 + n:])

    def test_a_glance_is_what_the_other_routes_say(self):
        layers = self.model["layers"]
        conv = next(l for l in layers[3:] if l["conv"])
        follows = next(l for l in layers if l["from"] == [str(conv["index"])])  # a normalisation or rectifier: the same channels
        ask = {"rows": 4, "side": 24, "columns": [
            {"place": "in0", "kind": "maps", "first": True, "like": []}, {"place": str(conv["index"]), "kind": "maps", "like": [2]},
            {"place": str(follows["index"]), "kind": "maps"}, {"place": str(layers[-1]["index"]), "kind": "strip"}, {"place": str(layers[-1]["index"]), "kind": "classes"}]}
        head, numbers = self.glance(ask, m=0, p=1)
        answer, before = head["answer"], self.s.json("predict", m=0, p=1, top=4)
        self.assertEqual(answer, before)
        at, chosen = 0, []
        for column, asked in zip(head["columns"], ask["columns"]):
            stats, s = self.s.packet("stats", m=0, p=1, layer=asked["place"])
            c = column["dim"][0]
            mine, told = list(numbers[at:at + 6 * c]), list(s[:6 * c])
            mine[5::6] = told[5::6]  # twins are looked for by the other route only
            self.assertEqual((column["dim"], column["least"], column["largest"], mine), (stats["dim"], stats["least"], stats["largest"], told))
            strength = s[3:6 * c:6]
            best = sorted(sorted(range(c), key=lambda k: -strength[k])[:4])
            chosen.append({"in0": [0, 1, 2], str(follows["index"]): best, str(conv["index"]): None}.get(asked["place"]))
            at += 6 * c
        chosen[1] = chosen[2]  # the later one decides
        chosen[3], chosen[4] = list(range(head["columns"][3]["dim"][0])), [x["index"] for x in answer["scores"]]
        for column, asked, channels in zip(head["columns"], ask["columns"], chosen):
            self.assertEqual(column["channels"], [] if asked["kind"] == "strip" else channels)
            maps, m = self.s.packet("maps", m=0, p=1, layer=asked["place"], list=",".join(map(str, channels)), side=24)
            self.assertEqual((column["sent"], column["factor"], numbers[at:at + len(m)]), (maps["sent"], maps["factor"], m))
            at += len(m)
        self.assertEqual(at, len(numbers))
        one = {"place": "0", "kind": "maps"}
        for bad in ({}, dict(ask, columns=[]), dict(ask, columns=[one] * 65), dict(ask, rows=0), dict(ask, rows=65), dict(ask, side=0), dict(ask, side=257),
                    dict(ask, columns=[{"place": "0"}]), dict(ask, columns=[dict(one, like=[0])]), dict(ask, columns=[dict(one, like=[1])]), dict(ask, columns=[dict(one, like=[-1])]),
                    dict(ask, columns=[{"kind": "maps"}]), dict(ask, columns=[dict(one, like=[1] * 65), one]), dict(ask, columns=7)):
            self.assertEqual(self.glance(bad, m=0, p=1)[0], 400, bad)
        self.assertIn(self.glance(dict(ask, columns=[dict(one, place="99")]), m=0, p=1)[0], (404, 422))
        self.assertEqual(self.glance(ask, m=9, p=1)[0], 404)

    def test_views_keep_their_edits_apart(self):
        """Two tabs on one model: neither sees the other's edits, nor loses its own to other pictures or to a third and fourth tab."""
        def edit(view, p, fill):
            status, got = self.s.post("whatif", {"edits": [{"place": "in0", "y": 8, "x": 8, "h": 8, "w": 8, "fill": fill}]}, m=0, p=p, v=view)
            self.assertEqual(status, 200)
            return got["output"]

        def seen(view, p):
            return self.s.packet("maps", m=0, p=p, layer="in0", edited=1, v=view)[1][8 * 64 + 8]
        plain = self.s.packet("maps", m=0, p=0, layer="in0")[1][8 * 64 + 8]
        a, b = edit("a", 0, 0.25), edit("b", 0, 0.75)
        self.assertNotEqual(a, b)
        self.assertEqual((seen("a", 0), seen("b", 0), seen("stranger", 0)), (0.25, 0.75, plain))
        for i in range(5):
            edit("tab%d" % i, i % 3, i / 8)  # two slots of two views each: all were given up meanwhile
        self.assertEqual((seen("a", 0), seen("b", 0), seen("stranger", 0)), (0.25, 0.75, plain))
        self.assertEqual([seen("tab%d" % i, i % 3) for i in range(5)], [i / 8 for i in range(5)])
        self.assertEqual(edit("a", 0, 0.25), a)
        reach = self.s.json("reach", m=0, p=0, layer="in0", at=0, v="c")
        self.assertAlmostEqual(self.s.packet("maps", m=0, p=0, layer="in0", edited=1, v="c")[1][0], reach["set"], places=6)
        self.assertEqual(seen("a", 0), 0.25)
        self.assertEqual(self.s.post("whatif", {"edits": [{"place": "in0", "channel": 99}]}, m=0, p=0, v="a")[0], 400)
        self.assertEqual(seen("a", 0), 0.25)  # what failed changed nothing
        self.s.post("whatif", {"edits": []}, m=0, p=0, v="a")
        self.assertEqual((seen("a", 0), seen("b", 0)), (plain, 0.75))

    def test_a_node_says_what_it_is(self):
        node = self.s.json("node", m=0, layer=0)
        kernel, weights = self.s.packet("filters", m=0, layer=0, count=1 << 20)
        self.assertEqual(node["op"], "Conv")
        parts = {x["name"]: x for x in node["parts"]}
        self.assertEqual(parts["kernel_shape"]["text"], ", ".join(map(str, kernel["dim"][2:])))
        weight = next(x for x in node["parts"] if x["constant"] and len(x["text"].split("x")) == 4)
        least, largest, mean, _, _ = weight["numbers"]
        count = math.prod(kernel["dim"])
        self.assertAlmostEqual(least, min(weights[:count]), places=6)
        self.assertAlmostEqual(largest, max(weights[:count]), places=6)
        self.assertAlmostEqual(mean, sum(weights[:count]) / count, places=6)
        self.assertEqual(self.s.get("node", m=0, layer=999)[0], 404)

    def features(self, model, pictures, layer, grid):
        """What a layer holds in the cells of a grid, picture after picture: [examples][channels]."""
        rows = []
        for p in pictures:
            head, v = self.s.packet("maps", m=model, p=p, layer=layer)
            c, h, w = head["dim"]
            for y in range(grid):
                for x in range(grid):
                    ys, xs = range(y * h // grid, -(-(y + 1) * h // grid)), range(x * w // grid, -(-(x + 1) * w // grid))
                    rows.append([sum(v[k * h * w + i * w + j] for i in ys for j in xs) / (len(ys) * len(xs)) for k in range(c)])
        return rows

    @staticmethod
    def hsic(k, l):
        """Song et al. 2012, equation 5, by its definition."""
        n = len(k)
        product = sum(k[i][j] * l[j][i] for i in range(n) for j in range(n))
        sums = sum(map(sum, k)) * sum(map(sum, l)) / ((n - 1) * (n - 2))
        mixed = sum(sum(k[i][j] for i in range(n)) * sum(l[j]) for j in range(n))
        return (product + sums - 2 * mixed / (n - 2)) / (n * (n - 3))

    def test_likeness_of_layers(self):
        """Linear CKA between two models of unlike depth, beside its definition."""
        head, cka = self.s.packet("similar", "d", m=0, m2=1, pictures="0,3")
        self.assertEqual((head["grid"], head["examples"]), (8, 128))
        for i, j in ((0, 1), (5, 3)):
            grams = []
            for model, layer in ((0, head["a"][i]), (1, head["b"][j])):
                rows = self.features(model, (0, 3), layer, 8)
                grams.append([[0 if a is b else sum(x * y for x, y in zip(a, b)) for b in rows] for a in rows])
            k, l = grams
            want = self.hsic(k, l) / math.sqrt(self.hsic(k, k) * self.hsic(l, l))
            self.assertAlmostEqual(cka[i * len(head["b"]) + j], want, places=4)
        itself = self.s.packet("similar", "d", m=0, m2=0, pictures="0,3")
        n = len(itself[0]["a"])
        for i in range(n):
            self.assertAlmostEqual(itself[1][i * n + i], 1, places=9)
        self.assertEqual(self.s.get("similar", m=0, m2=1)[0], 422)  # no picture

    def test_heavy_work_holds_up_nothing_and_can_be_stopped(self):
        """By the order of what ends, not by the clock: the heavy lane is full before, during and after a hundred quick questions and two runs."""
        jobs = [self.s.post("explain", {"m": 0, "p": 0, "method": "rise", "samples": 400000, "seed": k})[1]["job"] for k in range(6)]
        self.assertEqual(len(set(jobs)), 6)
        end = time.time() + 300
        while self.s.json("job", job=jobs[0])["fraction"] == 0 and time.time() < end:
            time.sleep(0.02)
        begun = self.s.json("job", job=jobs[0])["fraction"]
        self.assertGreater(begun, 0)  # it is at work
        for i in range(100):
            self.s.packet("unit", "d", m=0, p=0, layer=3, at=100 + i)
            if i % 10 == 0:
                self.s.packet("thumbs", m=0, p=0, layers="0,3")
                self.s.packet("maps", m=0, p=0, layer=3)
        for p in (5, 6):  # forward passes of other pictures, and an edit
            self.assertEqual(self.s.get("predict", m=0, p=p)[0], 200)
            self.assertEqual(self.s.post("whatif", {"edits": [{"place": "2", "channel": 3, "channels": 1, "fill": 0}]}, m=0, p=p)[0], 200)
        states = [self.s.json("job", job=j) for j in jobs]
        self.assertEqual([x["done"] for x in states], [False] * 6)
        while self.s.json("job", job=jobs[0])["fraction"] <= begun and time.time() < end:
            time.sleep(0.02)
        self.assertGreater(self.s.json("job", job=jobs[0])["fraction"], begun)  # nor did the others starve it
        for j in jobs:
            self.s.post("cancel", {}, job=j)
        for j in jobs:
            self.assertTrue(self.wait(j)["cancelled"])
        self.assertEqual(self.s.get("map", job=jobs[0])[0], 409)

    def test_what_is_sent_before_anything_is_opened_is_small(self):
        import gzip
        status, _, page = self.s.send("/")
        self.assertEqual(status, 200)
        named = sorted(set(re.findall(r'(?:src|href)="(/[^"]+)"', page.decode())))
        self.assertGreaterEqual(len(named), 1)
        size = len(gzip.compress(page))
        for path in named:
            status, headers, body = self.s.send(path)
            self.assertEqual(status, 200, path)
            size += len(body) if headers["Content-Encoding"] else len(gzip.compress(body))
        self.assertLessEqual(size, 300000)

    def raw(self, data, seconds=120):
        """What comes back for exactly these bytes; b"" where the connection is closed without a word."""
        got = b""
        with socket.create_connection(("127.0.0.1", int(self.s.host.split(":")[1])), timeout=seconds) as c:
            try:
                c.sendall(data)
                while True:
                    more = c.recv(65536)
                    got += more
                    if not more:
                        break
            except OSError:
                pass
        return got

    def test_paths_reach_no_file(self):
        head = "Host: %s\r\nCookie: %s\r\nConnection: close\r\n\r\n" % (self.s.host, self.s.cookie)
        for path in ("/../../../../etc/passwd", "/assets/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2fetc/passwd", "//etc/passwd", "/etc/passwd",
                     "/assets/%00app.js", "/assets/app.js%00.png", "/assets/..%c0%af..%c0%afetc/passwd", "file:///etc/passwd", "http://evil.example/etc/passwd",
                     "/api/picture?p=../../etc/passwd", "/api/plot?m=0&p=0&what=maps&layer=../../../etc/passwd", "/api/evolution/picture?run=../../../etc/passwd"):
            got = self.raw(("GET %s HTTP/1.1\r\n" % path + head).encode())
            self.assertNotIn(b"root:", got, path)
            if got:
                self.assertRegex(got.split(b"\r\n")[0], rb"^HTTP/1\.[01] 4\d\d|^HTTP/1\.1 30[13]", path)
        self.assertRegex(self.raw(("GET / HTTP/1.1\r\n" + head).encode()), rb"^HTTP/1\.1 200")

    def test_doubtful_requests_are_refused(self):
        """Nothing that two readers could understand in two ways is answered as if it were plain."""
        mine = "Cookie: %s\r\nX-Convscope: 1\r\nContent-Type: application/json\r\n" % self.s.cookie
        host = "Host: %s\r\n" % self.s.host
        body = "Content-Length: 2\r\n\r\n{}"
        post = "POST /api/cancel?job=99999 HTTP/1.1\r\n"
        self.assertRegex(self.raw((post + host + mine + "Connection: close\r\n" + body).encode()), rb"^HTTP/1\.1 404")  # the plain one
        for name, text in (("no host", post + mine + body), ("another host", post + "Host: evil.example\r\n" + mine + body), ("host with a user", post + "Host: me@%s\r\n" % self.s.host + mine + body),
                           ("another port", post + "Host: 127.0.0.1:1\r\n" + mine + body), ("chunked", post + host + mine + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
                           ("no cookie", post + host + "X-Convscope: 1\r\n" + body), ("half a cookie", post + host + "X-Convscope: 1\r\nCookie: %s\r\n" % self.s.cookie[:-3] + body),
                           ("too long", post + host + mine + "Content-Length: 99999999999999999999\r\n\r\n{}"), ("negative", post + host + mine + "Content-Length: -1\r\n\r\n{}"),
                           ("OPTIONS", "OPTIONS /api/state HTTP/1.1\r\n" + host + mine + "\r\n"), ("PUT", "PUT /api/cancel?job=1 HTTP/1.1\r\n" + host + mine + body),
                           ("upgrade", "GET / HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")):
            got = self.raw(text.encode(), 5)
            self.assertNotRegex(got, rb"^HTTP/1\.1 (2\d\d|404|101)", name)
        self.assertEqual(self.s.send("/api/state")[0], 200)

    def test_many_idle_and_dripping_sockets(self):
        """Two hundred connections that say nothing, or one letter after the other, hold up nobody; nor do readers that never read."""
        port, open_ones = int(self.s.host.split(":")[1]), []
        try:
            for k in range(200):
                c = socket.create_connection(("127.0.0.1", port), timeout=60)
                c.sendall([b"", b"GET / HTTP/1.1\r\nHost: ", b"POST /api/models HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nX-Convscope: 1\r\nContent-Length: 1000000\r\n\r\nabc"
                           % (self.s.host.encode(), self.s.cookie.encode()), b"GET /api/maps?m=0&p=0&layer=0 HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n" % (self.s.host.encode(), self.s.cookie.encode())][k % 4])
                open_ones.append(c)
            for k in range(20):
                for c in open_ones[1::4]:
                    try:
                        c.sendall(b"x")
                    except OSError:
                        pass
                self.assertEqual(self.s.send("/api/state")[0], 200)
                self.s.packet("unit", "d", m=0, p=0, layer=3, at=k)
        finally:
            for c in open_ones:
                c.close()
        self.assertEqual(self.s.send("/api/state")[0], 200)

    def task(self, **ask):
        status, got = self.s.post("explain", dict({"m": 0, "p": 0}, **ask))
        self.assertEqual(status, 200, got)
        self.assertEqual(self.wait(got["job"], 60)["error"], "")
        return got["job"]

    def test_what_excites_a_channel(self):
        layer = next(l["index"] for l in self.model["layers"][3:] if l["conv"])
        job = self.task(task="feature", layer=layer, channel=2, steps=24)
        head, pixels = self.s.packet("map", "B", job=job)
        self.assertEqual((head["dim"], len(pixels), len(head["values"])), ([1, 64, 64, 3], 64 * 64 * 3, 25))
        self.assertGreater(head["values"][-1], head["values"][0])
        self.assertGreater(len(set(pixels)), 50)
        self.assertEqual(self.task(task="feature", layer=layer, channel=2, steps=24), job)  # kept, not made again
        self.assertNotEqual(self.task(task="feature", layer=layer, channel=3, steps=24), job)
        job = self.task(task="top", layer=layer, channel=2, source="open", limit=100, top=5)
        status, _, body = self.s.get("map", job=job)
        n, = struct.unpack("<I", body[:4])
        head = json.loads(body[4:4 + n])
        best = [x["value"] for x in head["items"]]
        self.assertEqual((best, len(best)), (sorted(best, reverse=True), 5))
        size = sum(4 * math.prod(x["projection"]) + math.prod(x["patch"]) for x in head["items"])
        self.assertEqual(len(body) - 4 - n, size)
        values = []  # the largest number of the channel over the open pictures is the first patch's
        for picture in self.s.json("state")["pictures"]:
            if picture["group"] in ("", "things"):
                values += self.s.packet("maps", m=0, p=picture["id"], layer=layer, list="2")[1]
        self.assertAlmostEqual(best[0], max(values), places=4)
        job = self.task(task="deconv", layer=layer, channel=2)
        head, numbers = self.s.packet("map", job=job)
        y, x = head["at"]
        maps, one = self.s.packet("maps", m=0, p=0, layer=layer, list="2")
        self.assertAlmostEqual(head["value"], max(one), places=4)
        self.assertAlmostEqual(one[y * maps["dim"][2] + x], max(one), places=4)
        top, left, rows, columns = head["box"]
        self.assertEqual((head["dim"], len(numbers)), ([1, 3, 64, 64], 3 * 64 * 64))
        inside = [abs(v) for i, v in enumerate(numbers) if top <= i // 64 % 64 < top + rows and left <= i % 64 < left + columns]
        self.assertGreater(sum(inside), 0.999 * sum(map(abs, numbers)))
        for bad in ({"task": "tea"}, {"task": "feature", "layer": 999, "channel": 0}, {"task": "top", "layer": layer, "channel": -1},
                    {"task": "top", "layer": layer, "channel": 0, "source": "folder:/etc"}, {"task": "feature", "layer": layer, "channel": 0, "steps": 10 ** 9}):
            self.assertIn(self.s.post("explain", dict({"m": 0, "p": 0}, **bad))[0], (404, 422), bad)

    def test_a_neuron_is_explained_and_followed(self):
        layer = next(l for l in self.model["layers"][3:] if l["conv"])
        index, (_, _, h, w) = layer["index"], layer["dim"]
        at = 2 * h * w + (h // 2) * w + w // 2
        job = self.task(method="gradient", target="neuron:%d:2,%d,%d" % (index, h // 2, w // 2))
        head, numbers = self.s.packet("map", job=job)
        self.assertAlmostEqual(head["value"], self.s.packet("maps", m=0, p=0, layer=index)[1][at], places=4)
        f = layer["field"]
        seen = {(i // 64 % 64, i % 64) for i, v in enumerate(numbers) if abs(v) > 1e-6 * max(map(abs, numbers))}
        self.assertLessEqual(max(y for y, _ in seen) - min(y for y, _ in seen) + 1, f["size"][0])
        self.assertEqual(self.s.post("explain", {"m": 0, "p": 0, "method": "gradient", "target": "neuron:99999:0"})[0], 404)
        reach = self.s.json("reach", m=0, p=0, layer=index, at=at)
        by = {x["layer"]: x for x in reach["layers"]}
        self.assertEqual(min(by), index)  # nothing before it moves
        own = by[index]
        self.assertEqual((own["changed"], own["channels"], own["at"], own["box"]), (1, 1, at, [h // 2, w // 2, h // 2 + 1, w // 2 + 1]))
        self.assertAlmostEqual(own["is"], reach["set"], places=5)
        after = self.s.packet("maps", m=0, p=0, layer=index, edited=1)[1]
        self.assertAlmostEqual(after[at], reach["set"], places=5)
        follows = next(l for l in self.model["layers"][index + 1:] if str(index) in l["from"])
        self.assertEqual(by[follows["index"]]["channels"], 1)  # a normalisation or rectifier: the same channel only
        for where, k in ((index, -1), (index, 10 ** 9), ("x", 0)):
            self.assertIn(self.s.get("reach", m=0, p=0, layer=where, at=k)[0], (400, 404, 422))
        self.s.post("whatif", {"edits": []}, m=0, p=0)

    def test_every_panel_is_a_file(self):
        layer = next(l["index"] for l in self.model["layers"] if l["conv"])
        pool = next(l["index"] for l in self.model["layers"] if l["pool"])
        starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "tex": b"%"}
        for what, args in (("maps", {"layer": layer}), ("filters", {"layer": layer}), ("pooling", {"layer": pool}), ("unit", {"layer": layer, "at": 700, "name": "conv_1"})):
            for ext, start in starts.items():
                status, headers, body = self.s.get("plot", m=0, p=0, what=what, ext=ext, command="convscope see", theme="dark", lang="zh", **args)
                self.assertEqual((status, body[:len(start)]), (200, start), (what, ext))
                self.assertIn(what + "." + ext, headers["Content-Disposition"])
        for ask in ({"method": "gradcam"}, {"task": "feature", "layer": layer, "channel": 1, "steps": 4}, {"task": "top", "layer": layer, "channel": 1, "source": "open"},
                    {"task": "deconv", "layer": layer, "channel": 1}):
            job = self.task(**ask)
            for ext, start in starts.items():
                status, _, body = self.s.get("plot", job=job, ext=ext)
                self.assertEqual((status, body[:len(start)]), (200, start), (ask, ext))
            status, _, body = self.s.get("map", job=job, ext="npy")
            self.assertEqual((status, body[:6]), (404, b'{"erro') if ask.get("task") == "top" else (200, b"\x93NUMPY"), ask)
        self.assertIn(b"convscope see", self.s.get("plot", m=0, p=0, what="maps", layer=layer, ext="svg", command="convscope see")[2])
        for bad in ({"what": "tea"}, {"what": "maps", "ext": "exe"}, {"job": 99999}, {"what": "maps", "layer": 999}):
            self.assertIn(self.s.get("plot", **dict({"m": 0, "p": 0, "layer": layer}, **bad))[0], (400, 404, 422), bad)

    def test_uploads_are_read_apart(self):
        """A picture's reader that dies takes nothing with it."""
        import zlib
        side, mine = 9000, {"X-Convscope": "1", "Content-Type": "application/octet-stream"}
        raw = zlib.compress(bytes(side * (1 + 3 * side)), 1)
        chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", raw) + chunk(b"IEND", b"")
        got, pid = [], self.s.process.pid
        sender = threading.Thread(target=lambda: got.append(self.s.send("/api/pictures?name=big.png", png, **mine)))
        sender.start()
        killed, end = 0, time.time() + 300
        while not killed and time.time() < end and sender.is_alive():
            for task in os.listdir("/proc/%d/task" % pid):
                try:
                    with open("/proc/%d/task/%s/children" % (pid, task)) as f:
                        for child in f.read().split():
                            os.kill(int(child), signal.SIGSEGV)
                            killed = int(child)
                except OSError:
                    pass
        sender.join(300)
        self.assertTrue(killed)
        self.assertEqual(got[0][0], 422, got[0][2])
        self.assertIn(b"crashed its reader", got[0][2])
        self.assertEqual(self.s.get("state")[0], 200)
        for data in (b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, png[:200], b"GIF89a", b"\xff\xd8\xff\xe0" * 9):
            self.assertIn(self.s.send("/api/pictures?name=x.png", data, **mine)[0], (400, 422), data[:9])

    def test_a_run_that_stops_on_its_way(self):
        """What was computed before an operator that is unknown can be read; what was not is said."""
        with tempfile.TemporaryDirectory(prefix="cvs-test-") as folder:
            net = os.path.join(folder, "odd.net")
            with open(net, "w") as f:
                f.write(UNKNOWN)
            s = Server(net, "--init", "1", os.path.join(ROOT, "models", "things_car.png"))
            self.addCleanup(s.stop)
            names = [x["name"] for x in s.json("model", m=0)["layers"]]
            got = s.json("predict", m=0, p=0)
            self.assertEqual((got["scores"], got["classes"], got["picture"], [names[i] for i in got["reached"]]), ([], False, True, ["conv_1", "relu_1", "last"]))
            self.assertIn("strange (com.example::Odd)", got["stopped"])
            self.assertIn("未知算子", s.json("predict", m=0, p=0, lang="zh")["stopped"])
            head, numbers = s.packet("maps", m=0, p=0, layer=2)
            self.assertEqual(head["dim"], [8, 32, 32])
            self.assertGreater(max(numbers) - min(numbers), 0.1)
            self.assertEqual(s.get("shown", m=0, p=0)[0], 200)
            at = len(names) - 1
            for path, more in (("maps", {"layer": at}), ("stats", {"layer": at}), ("unit", {"layer": at, "at": 0}), ("npy", {"layer": at})):
                self.assertEqual(s.get(path, m=0, p=0, **more)[0], 404, path)
            self.assertEqual(s.post("whatif", {"edits": []}, m=0, p=0)[0], 422)
            self.assertEqual(s.get("reach", m=0, p=0, layer=0, at=0)[0], 422)
            self.assertEqual(s.get("compare", m=0, p=0, m2=0, p2=0)[0], 200)
            job = s.post("explain", {"m": 0, "p": 0, "method": "gradient"})[1]["job"]
            while not s.json("job", job=job)["done"]:
                time.sleep(0.02)
            self.assertIn("com.example::Odd", s.json("job", job=job)["error"])

    def test_classes_without_names(self):
        text, net = os.path.join(ROOT, "zoo", "squeezenet1_1.net"), os.path.join(tempfile.mkdtemp(prefix="cvs-test-"), "net.onnx")
        self.addCleanup(shutil.rmtree, os.path.dirname(net))
        self.assertEqual(subprocess.run([EXE, "convert", text, "--init", "1", "-o", net], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode, 0)
        one = Server(net, text, "--size", "64x64", os.path.join(ROOT, "models", "things_car.png"))
        try:
            bare = one.json("model", m=1)  # the text has no weights: random ones, said so, and no names for what nobody learned
            self.assertTrue(bare["random"] and not bare["classes_guessed"] and any("random" in n for n in bare["notes"]), bare["notes"])
            self.assertFalse(one.json("predict", m=1, p=0)["guessed"])
            a, m = one.json("predict", m=0, p=0), one.json("model", m=0)
            self.assertFalse(m["random"])
            self.assertTrue(a["guessed"] and m["classes_guessed"])
            self.assertEqual((len(m["classes"]), m["classes"][669], m["classes"][0]), (1000, "mosquito net", "tench, Tinca tinca"))
            self.assertEqual(a["scores"][0]["name"], m["classes"][a["scores"][0]["index"]])
        finally:
            one.stop()
        self.assertFalse(self.s.json("predict", m=0, p=0)["guessed"] or self.model["classes_guessed"])

    def test_files(self):
        for ext, start in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("tex", b"%")):
            status, headers, body = self.s.get("figure", m=0, ext=ext)
            self.assertEqual((status, body[:len(start)]), (200, start), ext)
            self.assertIn("attachment", headers["Content-Disposition"])
        self.assertEqual(self.s.get("figure", m=0, ext="exe")[0], 400)
        body = self.s.get("npy", m=0, p=0, layer=0)[2]
        self.assertEqual(body[:6], b"\x93NUMPY")
        self.assertTrue(self.s.get("report", m=0, p=0)[2].startswith(b"<!doctype html>"))
        graph = self.s.json("graph", m=0, view="all")
        self.assertGreaterEqual(len(graph["boxes"]), self.model["layers"].__len__())
        a = self.s.json("compare", m=0, p=0, p2=0)["layers"]
        self.assertTrue(all(x[0] == 0 for x in a if x))
        self.assertTrue(any(x[0] > 0.1 for x in self.s.json("compare", m=0, p=0, p2=1)["layers"] if x))

    def test_pictures_and_models_over_the_wire(self):
        with open(os.path.join(ROOT, "models", "things_car.png"), "rb") as f:
            picture = f.read()
        mine = {"X-Convscope": "1", "Content-Type": "application/octet-stream"}
        status, _, body = self.s.send("/api/pictures?name=a/../%3Cb%3E.png", picture, **mine)
        self.assertEqual(status, 200)
        number = json.loads(body)["id"]
        self.assertEqual(self.s.json("predict", m=0, p=number)["scores"][0]["name"], "car")
        with open(os.path.join(ROOT, "models", "digits.onnx"), "rb") as f:
            status, _, body = self.s.send("/api/models?name=mine.onnx", f.read(), **mine)
        self.assertEqual(status, 200)
        self.assertGreaterEqual(len(self.s.json("model", m=json.loads(body)["id"])["layers"]), 5)
        self.assertEqual(self.s.send("/api/pictures?name=x", b"nothing", **mine)[0], 422)

    def test_many_at_once(self):
        failed = []

        def look(k):
            for i in range(15):
                p, layer = (k + i) % 5, (k * 7 + i) % 10
                if self.s.get("maps", m=0, p=p, layer=layer, side=16)[0] != 200 or self.s.get("predict", m=k % 2, p=p)[0] != 200:
                    failed.append((k, i))
        threads = [threading.Thread(target=look, args=(k,)) for k in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertEqual(failed, [])

    def test_every_route_is_written_down(self):
        with open(os.path.join(ROOT, "src", "serve", "routes.def"), encoding="utf-8") as f:
            routes = re.findall(r'ROUTE\("([^"]+)", (true|false)', f.read())
        with open(os.path.join(ROOT, "docs", "http.md"), encoding="utf-8") as f:
            text = f.read()
        for path, post in routes:
            self.assertIn("| %s %s |" % ("POST" if post == "true" else "GET", path), text)


if __name__ == "__main__":
    unittest.main(verbosity=0)
