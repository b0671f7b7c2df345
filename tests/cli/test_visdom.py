#!/usr/bin/env python3
# The port for the Visdom client, spoken to as visdom 0.2.4 does (its requests were recorded): panes made, appended to, changed, saved; bare NaN;
# the socket and what the page does, heard there; who may ask; what a hostile client sends. make peers does it with the real client.
import base64, http.client, json, os, shutil, signal, socket, struct, subprocess, tempfile, threading, unittest, urllib.parse

from program import EXE

OPTS = {"markers": False, "fillarea": False, "mode": "lines", "markersymbol": "dot", "markersize": 10, "markerborderwidth": 0.5}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Visdom(unittest.TestCase):
    def setUp(self):
        self.dir, self.port = tempfile.mkdtemp(prefix="cvs-test-"), free_port()
        self.start()

    def start(self):
        self.server = subprocess.Popen([EXE, "open", "--no-browser", "--visdom-port", str(self.port), "--visdom-dir", self.dir + "/envs"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = urllib.parse.urlparse(self.server.stdout.readline().strip())
        c = http.client.HTTPConnection(self.url.netloc, timeout=300)
        c.request("GET", "/?" + self.url.query)
        self.cookie = c.getresponse().headers["Set-Cookie"].split(";")[0]
        c.close()

    def stop(self):
        self.server.send_signal(signal.SIGINT)
        self.assertEqual(self.server.wait(120), 0)
        self.server.stdout.close()

    def tearDown(self):
        self.stop()
        shutil.rmtree(self.dir)

    def send(self, endpoint, body, **headers):
        c = http.client.HTTPConnection("localhost:%d" % self.port, timeout=300)
        c.request("POST", "/" + endpoint, body if isinstance(body, (str, bytes)) else json.dumps(body), headers)
        r = c.getresponse()
        got = r.status, r.read().decode()
        c.close()
        return got

    def ok(self, endpoint, **body):
        status, text = self.send(endpoint, dict({"eid": "main"}, **body))
        self.assertEqual(status, 200, text)
        return text

    def page(self, path, ask=None, **args):
        c = http.client.HTTPConnection(self.url.netloc, timeout=300)
        headers = {"Cookie": self.cookie, "X-Convscope": "1", "Content-Type": "application/json"}
        c.request("GET" if ask is None else "POST", "/api/" + path + "?" + urllib.parse.urlencode(args), ask and json.dumps(ask), headers)
        r = c.getresponse()
        got = r.status, r.headers, r.read()
        c.close()
        return got

    def panes(self, **ask):
        status, _, body = self.page("visdom", dict({"env": "main"}, **ask))
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def line(self, win="loss", **more):
        trace = {"x": [0, 1], "y": [3.0, 2.0], "name": "train", "type": "scatter", "mode": "lines"}
        return self.ok("events", data=[trace], win=win, layout={"showlegend": True, "title": "t"}, opts=dict(OPTS, title="t"), **more)

    def test_a_line_grows(self):
        self.assertEqual(self.ok("env/main"), "")
        self.assertEqual(self.ok("win_exists", win="loss"), "false")
        self.assertEqual(self.line(), "loss")
        self.assertEqual(self.ok("win_exists", win="loss"), "true")
        first = self.panes()
        pane = first["panes"][0]
        self.assertEqual((pane["type"], pane["title"], pane["content"]["data"][0]["y"]), ("plot", "t", [3.0, 2.0]))
        point = {"x": [2.0], "y": [1.0], "name": "train", "type": "scatter", "mode": "lines"}
        more = dict(win="loss", layout={}, opts=OPTS, append=True)
        self.assertEqual(self.ok("update", data=[point], name="train", **more), "loss")
        ends = self.panes(since=first["number"], have={"loss": [pane["base"], 2]})["panes"][0]
        self.assertEqual((ends["ends"], "content" in ends), ([[[2.0], [1.0], []]], False))  # only what is new travels
        self.assertEqual(self.ok("update", data=[dict(point, name="val")], name="val", **more), "loss")  # a trace more
        status, text = self.send("update", '{"data": [{"x": [NaN], "y": [-Infinity], "name": "val"}], "win": "loss", "eid": "main", '
                                 '"name": "val", "append": true, "layout": {}, "opts": {}}')
        self.assertEqual((status, text), (200, "loss"))
        data = json.loads(self.ok("win_data", win="loss"))["content"]["data"]
        self.assertEqual([(x["name"], x["x"], x["y"]) for x in data], [("train", [0, 1, 2.0], [3.0, 2.0, 1.0]), ("val", [2.0], [1.0])])
        self.assertEqual(self.panes(since=10 ** 9)["panes"], [])
        self.ok("update", win="loss", layout={"xaxis": {"title": "steps"}}, opts={"title": "new"})
        self.assertEqual(self.panes()["panes"][0]["title"], "new")
        self.ok("update", data=[], name="val", delete=True, win="loss")
        self.assertEqual(len(json.loads(self.ok("win_data", win="loss"))["content"]["data"]), 1)
        self.assertEqual(self.ok("update", data=[point], win="none"), "win does not exist")
        self.assertEqual(self.ok("update", data=[point], win="none", append=True), "none")
        self.ok("close", win="none")
        self.assertEqual(self.panes()["order"], ["loss"])

    def test_other_panes(self):
        png = "data:image/png;base64,iVBORw0KGgo="
        self.ok("events", data=[{"content": {"src": png, "caption": "c"}, "type": "image"}], win="i", opts={})
        self.ok("events", data=[{"content": {"src": png, "caption": "0"}, "type": "image_history"}], win="h", opts={})
        self.ok("update", data=[{"content": {"src": png, "caption": "1"}, "type": "image_history"}], win="h", opts={})
        self.ok("events", data=[{"z": [[1, 2]], "x": None, "y": None, "type": "heatmap"}], win="z", layout={}, opts={})
        self.ok("update", data=[{"z": [[3, 4]], "type": "heatmap"}], win="z", updateDir="appendRow", append=True, layout={}, opts={})
        made = self.ok("events", data=[{"x": [1], "y": [2], "type": "bar"}], win=None, layout={}, opts={})
        self.assertTrue(made.startswith("window_"))
        self.assertIn("is not scatter", self.ok("update", data=[{"x": [1], "y": [2]}], win=made))
        got = {p["id"]: p for p in self.panes()["panes"]}
        self.assertEqual([x["caption"] for x in got["h"]["content"]], ["0", "1"])
        self.assertEqual(got["z"]["content"]["data"][0]["z"], [[1, 2], [3, 4]])
        self.ok("events", data=[{"content": "<b>a</b><script>1</script>", "type": "text"}], win="t", opts={})
        self.ok("update", data=[{"content": "more", "type": "text"}], win="t", opts={})
        status, headers, body = self.page("visdom/html", env="main", win="t")
        self.assertEqual(status, 200)
        self.assertIn(b"<b>a</b><script>1</script><br>more", body)
        policy = headers["Content-Security-Policy"]
        self.assertTrue(policy.startswith("sandbox; default-src 'none'"), policy)
        self.assertNotIn("script-src", policy)
        self.assertNotIn("content", {p["id"]: p for p in self.panes()["panes"]}["t"])
        self.assertEqual(self.page("visdom/html", env="main", win="i")[0], 404)

    def test_environments_and_files(self):
        self.line(eid="a/b")
        self.assertEqual(sorted(json.loads(self.ok("env_state"))), ["a_b", "main"])
        self.ok("fork_env", prev_eid="a_b", eid="copy")
        self.assertEqual(json.loads(self.ok("save", data=["a_b", "copy", "none"])), ["a_b", "copy"])
        self.ok("delete_env", eid="copy")
        with open(self.dir + "/envs/a_b.json") as f:
            saved = json.load(f)
        self.assertEqual((list(saved["jsons"]), saved["reload"]), (["loss"], {}))
        self.assertFalse(os.path.exists(self.dir + "/envs/copy.json"))
        self.ok("save", data=["../../x"])
        self.assertEqual(os.listdir(self.dir), ["envs"])
        self.stop()
        self.start()
        self.assertEqual(self.ok("win_exists", win="loss", eid="a/b"), "true")

    def socket(self, origin):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        s.sendall(("GET /vis_socket HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                   "Sec-WebSocket-Version: 13\r\n%s\r\n" % (self.port, base64.b64encode(os.urandom(16)).decode(), origin)).encode())
        return s

    def frame(self, s):
        while len(self.held) < 2 or len(self.held) < 2 + (self.held[1] & 127 if self.held[1] < 126 else 2 + struct.unpack(">H", self.held[2:4])[0]):
            data = s.recv(65536)
            self.assertTrue(data, "the socket was closed")
            self.held += data
        n, at = (self.held[1], 2) if self.held[1] < 126 else (struct.unpack(">H", self.held[2:4])[0], 4)
        text, self.held = self.held[at:at + n], self.held[at + n:]
        return json.loads(text)

    def test_what_the_page_does_is_heard(self):
        s = self.socket("Origin: http://localhost:%d\r\n" % self.port)
        self.held = b""
        while b"\r\n\r\n" not in self.held:
            self.held += s.recv(4096)
        self.assertIn(b" 101 ", self.held)
        self.held = self.held.split(b"\r\n\r\n", 1)[1]
        self.assertEqual(self.frame(s), {"command": "alive", "data": "vis_alive"})
        self.ok("events", data=[{"content": [{"type": "number", "name": "lr", "value": "0.1"}], "type": "properties"}], win="p", opts={})
        self.assertEqual(self.page("visdom/event", {"env": "main", "win": "p", "what": "property", "property": 0, "value": "0.2"})[0], 200)
        heard = self.frame(s)
        self.assertEqual((heard["event_type"], heard["propertyId"], heard["value"], heard["target"]), ("PropertyUpdate", 0, "0.2", "p"))
        self.assertEqual(heard["pane_data"]["content"][0]["value"], "0.2")
        self.assertEqual(self.page("visdom/event", {"env": "main", "win": "p", "what": "close"})[0], 200)
        self.assertEqual(self.frame(s)["event_type"], "Close")
        self.assertEqual(self.ok("win_exists", win="p"), "false")
        self.assertEqual(self.page("visdom/event", {"env": "main", "win": "p", "what": "close"})[0], 404)
        s.close()

    def test_embeddings_are_explored_together(self):
        s = self.socket("Origin: http://localhost:%d\r\n" % self.port)
        self.held = b""
        while b"\r\n\r\n" not in self.held:
            self.held += s.recv(4096)
        self.held = self.held.split(b"\r\n\r\n", 1)[1]
        self.frame(s)
        points = [{"group": i % 2, "name": "Entity %d" % i, "label": "ab"[i % 2], "position": [i, -i], "idx": i} for i in range(5)]
        self.ok("events", data=[{"content": {"isLoading": True}, "type": "embeddings"}], win="e", opts={})
        self.ok("events", data=[{"content": {"data": points}, "type": "embeddings"}], win="e", opts={"title": "E"})
        self.assertEqual(self.page("visdom/event", {"env": "main", "win": "e", "what": "entity", "index": 3, "name": "Entity 3"})[0], 200)
        heard = self.frame(s)
        self.assertEqual((heard["event_type"], heard["entityId"], heard["idx"], heard["target"], heard["pane_data"]), ("EntitySelected", "Entity 3", 3, "e", False))
        self.ok("update", data={"update_type": "EntitySelected", "selected": {"html": "<b>three</b>", "entityId": "Entity 3"}}, win="e", opts={})
        self.assertIn(b"<b>three</b>", self.page("visdom/html", env="main", win="e")[2])
        self.assertEqual(self.page("visdom/event", {"env": "main", "win": "e", "what": "region", "index": [1, 2]})[0], 200)
        self.assertEqual(self.frame(s)["selectedIdxs"], [1, 2])
        self.ok("update", data={"update_type": "RegionSelected", "points": points[1:3]}, win="e", opts={})
        content = json.loads(self.ok("win_data", win="e"))["content"]
        self.assertEqual((len(content["data"]), content["has_previous"], content["selected"]), (2, True, None))
        self.assertEqual(self.page("visdom/event", {"env": "main", "win": "e", "what": "back"})[0], 200)
        content = json.loads(self.ok("win_data", win="e"))["content"]
        self.assertEqual((len(content["data"]), content["has_previous"]), (5, False))
        for wrong in ({"what": "back"}, {"what": "entity"}, {"what": "entity", "index": "x"}, {"what": "region", "index": []}):
            self.assertEqual(self.page("visdom/event", dict({"env": "main", "win": "e"}, **wrong))[0], 404)
        s.close()

    def test_networks_keep_how_they_are_drawn(self):
        content = {"nodes": [{"name": 0, "label": "a"}, {"name": 1, "label": "b"}], "edges": [{"source": 0, "target": 1, "label": "0-1"}]}
        self.ok("events", data=[{"content": content, "type": "network"}], win="g", opts={"directed": True, "showVertexLabels": True})
        pane = json.loads(self.page("visdom", {"env": "main", "since": 0, "have": {}})[2])["panes"][-1]
        self.assertEqual((pane["type"], pane["directed"], pane["showVertexLabels"], pane["showEdgeLabels"], pane["content"]), ("network", True, True, "hover", content))

    def test_who_may_ask(self):
        self.assertEqual(self.send("env_state", "{}", Origin="http://evil.example")[0], 403)
        self.assertEqual(self.send("env_state", "{}", Host="evil.example:%d" % self.port)[0], 403)
        self.assertEqual(self.send("env_state", "{}", **{"Sec-Fetch-Site": "cross-site"})[0], 403)
        s = self.socket("Origin: http://evil.example\r\n")
        self.assertNotIn(b" 101 ", s.recv(4096))
        s.close()
        self.assertEqual(self.page("state")[0], 200)
        c = http.client.HTTPConnection("localhost:%d" % self.port, timeout=300)
        c.request("GET", "/api/state", headers={"Cookie": self.cookie})
        self.assertNotIn(b"models", c.getresponse().read())  # the app is not on this port
        c.close()

    def test_hostile(self):
        for body in ("", "[]", "{", '{"eid": 3}', '{"data": [1]}', '{"data": 1, "win": {}}', '{"data": [{"type": []}]}', "NaN", '{"win": "' + "x" * 5000 + '"}',
                     '{"data": [{"type": "image"}]}', '{"data": [{"type": "text", "content": 7}], "win": "w"}', "[" * 100000, '{"opts": [], "layout": 3, "data": [{"type": "scatter"}], "win": "s"}'):
            for endpoint in ("events", "update", "win_data", "close", "save", "fork_env", "env/x", "win_exists", "nothing"):
                self.assertIn(self.send(endpoint, body)[0], (200, 400, 404, 507), (endpoint, body[:40]))
        self.panes()
        self.line("alive")
        for i in range(300):
            self.send("env/e%d" % i, {"eid": "e%d" % i})
        self.assertLessEqual(len(json.loads(self.ok("env_state"))), 200)
        self.assertEqual(self.ok("win_exists", win="alive"), "true")

    def test_clients_side_by_side(self):
        def draw(k):
            for i in range(40):
                self.send("update", {"eid": "main", "win": "w%d" % (k % 2), "append": True, "name": "n%d" % k, "layout": {}, "opts": {},
                                     "data": [{"x": [i], "y": [i], "name": "n%d" % k, "type": "scatter"}]})
        threads = [threading.Thread(target=draw, args=(k,)) for k in range(4)]
        for x in threads:
            x.start()
        for x in threads:
            x.join()
        for w in ("w0", "w1"):
            self.assertEqual([len(x["x"]) for x in json.loads(self.ok("win_data", win=w))["content"]["data"]], [40, 40])


if __name__ == "__main__":
    unittest.main()
