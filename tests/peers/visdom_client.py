#!/usr/bin/env python3
# usage: visdom_client.py CONVSCOPE FOLDER. Not part of make test: it installs the visdom package into FOLDER/visdom. The real client draws every
# kind of pane, appends, changes, saves, forks and closes, and hears what the page does.
import json, os, shutil, signal, socket, subprocess, sys, time, urllib.parse, urllib.request

exe, place = os.path.abspath(sys.argv[1]), os.path.join(os.path.abspath(sys.argv[2]), "visdom")
python = os.path.join(place, "venv", "bin", "python")
if os.path.abspath(sys.prefix) != os.path.join(place, "venv"):
    if not os.path.exists(os.path.join(place, "ready")):
        os.makedirs(place, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", os.path.join(place, "venv")], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", "setuptools<81", "wheel"], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", "--no-build-isolation", "visdom==0.2.4", "networkx"], check=True)
        open(os.path.join(place, "ready"), "w").close()
    sys.exit(subprocess.run([python, os.path.abspath(__file__), exe, sys.argv[2]]).returncode)

import numpy as np
import visdom

faults = []


def check(what, good):
    print("%-72s %s" % (what, "ok" if good else "WRONG"))
    if not good:
        faults.append(what)


with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
envs = os.path.join(place, "envs")
shutil.rmtree(envs, ignore_errors=True)
server = subprocess.Popen([exe, "open", "--no-browser", "--visdom-port", str(port), "--visdom-dir", envs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
url = urllib.parse.urlparse(server.stdout.readline().strip().split("#")[0])
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
opener.open("http://%s/?%s" % (url.netloc, url.query)).read()


def page(path, ask):
    q = urllib.request.Request("http://%s/api/%s" % (url.netloc, path), json.dumps(ask).encode(), {"X-Convscope": "1", "Content-Type": "application/json"})
    return json.loads(opener.open(q).read())


r, begun = np.random.RandomState(0), time.time()
v = visdom.Visdom(server="http://localhost", port=port, raise_exceptions=True)
check("the constructor does not wait for its socket, check_connection", time.time() - begun < 5 and v.check_connection())
v.line(Y=np.array([3., 2, 1.5]), X=np.arange(3.), win="loss", opts=dict(title="loss", legend=["train"]))
for i in range(3, 40):
    v.line(Y=np.array([1 / i]), X=np.array([float(i)]), win="loss", name="train", update="append")
v.line(Y=np.array([2., np.nan]), X=np.array([1., 2]), win="loss", name="val", update="append")
data = json.loads(v.get_window_data("loss"))["content"]["data"]
check("line: appended, a trace more, NaN is null", [len(x["x"]) for x in data] == [40, 2] and data[1]["y"] == [2.0, None])
v.line(None, None, win="loss", name="val", update="remove")
v.line(Y=np.array([9., 8]), X=np.array([0., 1]), win="loss", name="train", update="replace")
data = json.loads(v.get_window_data("loss"))["content"]["data"]
check("line: trace removed, trace replaced", len(data) == 1 and data[0]["y"] == [9, 8])
kinds = {"scatter": v.scatter(r.randn(50, 2), r.randint(1, 3, 50)), "scatter3d": v.scatter(r.randn(50, 3)), "bar": v.bar(r.rand(5, 2)),
         "histogram": v.histogram(r.randn(200)), "heatmap": v.heatmap(r.rand(4, 5)), "boxplot": v.boxplot(r.randn(20, 3)), "surf": v.surf(r.rand(6, 6)),
         "contour": v.contour(r.rand(6, 6)), "pie": v.pie(np.array([1, 2, 3])), "quiver": v.quiver(np.ones((3, 3)), np.ones((3, 3))),
         "stem": v.stem(r.rand(5)), "image": v.image(r.rand(3, 8, 8)), "images": v.images(r.rand(4, 1, 8, 8)), "text": v.text("<b>a</b>"),
         "svg": v.svg(svgstr='<svg width="9" height="9"><rect width="9" height="9"/></svg>'), "mesh": v.mesh(r.rand(5, 2))}
seen = {p["id"]: p for p in page("visdom", {"env": "main"})["panes"]}
for kind, win in kinds.items():
    check("the page has the %s" % kind, win in seen)
v.heatmap(np.ones((1, 5)), win=kinds["heatmap"], update="appendRow")
check("heatmap: a row more", len(json.loads(v.get_window_data(kinds["heatmap"]))["content"]["data"][0]["z"]) == 5)
for k in range(3):
    v.image(np.full((3, 4, 4), k / 3), win="history", opts=dict(store_history=True, caption=str(k)))
check("a picture's history", len(json.loads(v.get_window_data("history"))["content"]) >= 3)
heard = []
win = v.properties([dict(type="number", name="lr", value="0.1")])
v.register_event_handler(heard.append, win)
page("visdom/event", {"env": "main", "win": win, "what": "property", "property": 0, "value": "0.2"})
for _ in range(100):
    time.sleep(0 if heard else 0.05)
check("a changed property is heard", bool(heard) and (heard[0]["event_type"], heard[0]["value"]) == ("PropertyUpdate", "0.2"))
net = v.graph([(0, 1), (1, 2), (0, 2)], nodeLabels=["a", "b", "c"], opts=dict(directed=True, showVertexLabels=True))
pane = {p["id"]: p for p in page("visdom", {"env": "main"})["panes"]}[net]
check("a network, directed, with its labels", pane["directed"] is True and [n["label"] for n in pane["content"]["nodes"]] == ["a", "b", "c"] and len(pane["content"]["edges"]) == 3)
visdom.do_tsne = lambda features: [[float(x) for x in row[:2]] for row in features]  # the client's own needs a compiler
win = v.embeddings(r.randn(20, 4), [i % 3 for i in range(20)], data_getter=lambda i: "<b>%d</b>" % i, data_type="html")


def content_when(good):
    for _ in range(100):
        content = json.loads(v.get_window_data(win))["content"]
        if good(content):
            return content
        time.sleep(0.05)
    return content


page("visdom/event", {"env": "main", "win": win, "what": "entity", "index": 7, "name": "Entity 7"})
check("embeddings: the program shows a chosen point", (content_when(lambda c: c.get("selected")).get("selected") or {}).get("html") == "<b>7</b>")
page("visdom/event", {"env": "main", "win": win, "what": "region", "index": [1, 4, 9]})
check("embeddings: a region is laid out anew", [p["idx"] for p in content_when(lambda c: len(c["data"]) == 3)["data"]] == [1, 4, 9])
page("visdom/event", {"env": "main", "win": win, "what": "back"})
check("embeddings: and back", len(content_when(lambda c: len(c["data"]) == 20)["data"]) == 20)
v.save(["main"])
v.fork_env("main", "copy")
check("saved, forked", os.listdir(envs) == ["main.json"] and "copy" in v.get_env_list())
v.delete_env("copy")
v.close("loss")
check("deleted, closed", "copy" not in v.get_env_list() and not v.win_exists("loss"))
server.send_signal(signal.SIGINT)
check("the server ends", server.wait(20) == 0)
print("%d faults" % len(faults))
os._exit(1 if faults else 0)  # the client's thread tries to reach its server again
