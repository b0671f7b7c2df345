#!/usr/bin/env python3
# The program from outside: help, exit codes, one sentence on bad input, stdout as data, both languages, same bits for any threads.
import glob, json, os, subprocess, tempfile, unittest

from program import Case, EXE, read, ROOT, run, UNKNOWN

MODEL = os.path.join(ROOT, "models", "digits.onnx")
DIGIT = os.path.join(ROOT, "models", "digit.png")


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


class Program(Case):
    def said(self, p, code, *words):
        """Exactly one line on stderr (and, of a text, the line with a caret), that exit code, nothing on stdout."""
        self.assertEqual(p.returncode, code, p.stderr)
        lines = [l for l in p.stderr.split("\n") if l and not l.startswith("    ")]
        self.assertEqual(len(lines), 1, p.stderr)
        self.assertEqual(p.stdout, "")
        for w in words:
            self.assertIn(w, lines[0])

    def test_help_lists_every_command_and_each_has_its_own(self):
        whole = run("--help")
        self.assertEqual(whole.returncode, 0)
        for line in whole.stdout.split("\n"):
            if line.startswith("  convscope "):
                name = line.split()[1]
                for lang in ("en", "zh"):
                    p = run(name, "--help", "--lang", lang)
                    self.assertEqual((p.returncode, p.stderr), (0, ""))
                    self.assertIn("--lang", p.stdout)

    def test_usage_errors_exit_2(self):
        self.said(run("nonsense"), 2, "nonsense")
        self.said(run("--lang", "fr", "info", MODEL), 2, "--lang is en or zh")
        self.said(run("info", MODEL, "--lang", "fr"), 2, "--lang is en or zh")
        self.said(run("info"), 2, "MODEL")
        self.said(run("info", MODEL, "--nonsense"), 2, "--nonsense")
        self.said(run("predict", MODEL, DIGIT, "--top", "many"), 2, "--top", "many")
        self.said(run("run", MODEL, DIGIT), 2, "-o")
        self.said(run("run", MODEL, DIGIT, "--device", "gpu", "-o", self.path("x")), 2, "cpu")

    def test_chinese(self):
        p = run("info", self.path("none.onnx"), env={"LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8"})
        self.assertRegex(p.stderr, "[\u4e00-\u9fff]")
        self.assertRegex(run("info", MODEL, "--lang", "zh").stdout, "参数量")

    def test_missing_and_wrong_files(self):
        self.said(run("info", self.path("none.onnx")), 3, "none.onnx")
        text = self.path("poem.onnx")
        write(text, "roses are red, violets are blue\n")
        self.said(run("info", text), 4, "poem.onnx")
        empty = self.path("empty.h5")
        write(empty, "")
        self.said(run("info", empty), 4, "empty.h5")
        picture = self.path("picture.png")
        write(picture, "not a picture")
        p = run("predict", MODEL, picture)
        self.said(p, 4, "picture.png")
        self.said(run("predict", MODEL, self.dir), 3, self.dir)

    def test_a_bare_name_means_what_is_built_in_unless_a_file_is_called_so(self):
        self.assertIn("mug", run("predict", "things", "things_mug.png").stdout)
        self.assertIn("ResNet-50", run("info", "resnet50").stdout)
        self.assertEqual(run("predict", "./things", "things_mug.png").returncode, 3)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "things"), "w", encoding="utf-8") as f:
                f.write("not a model")
            self.assertEqual(run("info", "things", cwd=folder).returncode, 4)

    def test_output_place_is_checked_first(self):
        self.said(run("run", MODEL, DIGIT, "-o", "/proc/nowhere/x"), 3, "/proc/nowhere/x")
        self.said(run("report", MODEL, DIGIT, "-o", self.path("no/such/folder/r.html")), 3, "r.html")
        self.said(run("filters", MODEL, "--layer", "0", "-o", self.path("f.gif")), 2, "f.gif")

    def test_unknown_layer_names_near_ones(self):
        self.said(run("activations", MODEL, DIGIT, "--layer", "conv_9", "-o", self.path("a.png")), 9, "conv_1")

    def test_figures_of_a_layer_begin_with_the_first_of_its_kind(self):
        for command, first in ((["filters", MODEL], "conv_1"), (["activations", MODEL, DIGIT], "conv_1"), (["pooling", MODEL, DIGIT], "pool_1")):
            figure = self.path("usual.svg")
            self.assertEqual(run(*command, "-o", figure).returncode, 0)
            self.assertRegex(read(figure), (">[A-Z][a-z]+ (of|in) %s<" % first).encode())
        net = self.path("dense.net")
        write(net, "name dense\ninput 1x4x4\nfc 3\n")
        self.said(run("pooling", net, DIGIT, "-o", self.path("p.svg")), 9, "first-pool")
        self.said(run("filters", net, "-o", self.path("p.svg")), 9, "first-conv")

    def test_run_writes_every_layer_and_an_index(self):
        out = self.path("run")
        p = run("run", MODEL, DIGIT, "-o", out)
        self.assertEqual(p.returncode, 0, p.stderr)
        index = json.loads(read(os.path.join(out, "index.json")))
        self.assertEqual(index["inputs"], ["input"])
        for layer in index["layers"]:
            self.assertTrue(os.path.getsize(os.path.join(out, layer["file"])) > 64)
        self.assertEqual(sorted(os.listdir(out)), sorted([l["file"] for l in index["layers"]] + ["index.json"]))

    def test_layers_option_and_threads_keep_the_bits(self):
        bits = []
        for threads in (1, 2, 3):
            out = self.path("t%d" % threads)
            p = run("run", MODEL, DIGIT, "--layers", "last-conv,0", "--threads", threads, "-o", out)
            self.assertEqual(p.returncode, 0, p.stderr)
            bits.append([read(f) for f in sorted(glob.glob(out + "/*.npy"))])
        self.assertEqual(len(bits[0]), 2)
        self.assertEqual(bits[0], bits[1])
        self.assertEqual(bits[0], bits[2])

    def test_predict_json_is_data(self):
        p = run("predict", MODEL, DIGIT, DIGIT, "--top", "3", "--json")
        self.assertEqual(p.returncode, 0, p.stderr)
        answer = json.loads(p.stdout)
        self.assertEqual([len(a["top"]) for a in answer], [3, 3])
        self.assertAlmostEqual(sum(t["probability"] for t in json.loads(run("predict", MODEL, DIGIT, "--top", "10", "--json").stdout)[0]["top"]), 1, places=5)

    def test_full_disk_leaves_nothing(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        p = run("report", MODEL, DIGIT, "-o", "/dev/full")
        self.assertEqual(p.returncode, 3, p.stderr)
        with open("/dev/full", "w") as full:
            p = subprocess.run([EXE, "info", MODEL], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(p.returncode, 3)

    def test_zoo_opens_with_the_known_numbers(self):
        # parameters as torchvision 0.14 counts them (Inception-v3 without its auxiliary head)
        known = {"vgg16": 138357544, "resnet50": 25557032, "resnet152": 60192808, "squeezenet1_1": 1235496, "mobilenet_v2": 3504872,
                 "densenet121": 7978856, "inception_v3": 23834568, "keras_cifar": 122570}
        for name, params in known.items():
            p = run("info", os.path.join(ROOT, "zoo", name + ".net"), "--json")
            self.assertEqual(p.returncode, 0, name + ": " + p.stderr)
            info = json.loads(p.stdout)
            self.assertEqual(info["totals"]["params_trainable"], params, name)
            if name == "vgg16":
                pool5 = [l for l in info["layers"] if l["name"] == "pool5"][0]
                self.assertEqual(pool5["receptive_field"], [212, 212])
                self.assertEqual(info["totals"]["params"], params)

    def test_a_failed_run_leaves_no_folder(self):
        out = self.path("never")
        self.assertNotEqual(run("run", MODEL, self.path("none.png"), "-o", out).returncode, 0)
        self.assertFalse(os.path.exists(out))

    def test_open_serves_on_loopback_behind_a_token(self):
        import http.client, urllib.parse
        p = subprocess.Popen([EXE, "open", "--no-browser", "--port", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
        try:
            url = urllib.parse.urlparse(p.stdout.readline().strip())
            self.assertEqual(url.hostname, "127.0.0.1")

            def get(path, cookie=None, host=None):
                c = http.client.HTTPConnection("127.0.0.1", url.port, timeout=120)
                c.request("GET", path, headers={k: v for k, v in (("Cookie", cookie), ("Host", host)) if v})
                r = c.getresponse()
                answer = r.status, r.getheader("Set-Cookie"), r.getheader("Content-Security-Policy"), r.read()
                c.close()
                return answer

            self.assertEqual(get("/")[0], 403)
            self.assertEqual(get("/?token=" + "0" * 32)[0], 403)
            status, cookie, _, _ = get(url.path + "?" + url.query)
            self.assertEqual(status, 303)
            self.assertIn("HttpOnly", cookie)
            cookie = cookie.split(";")[0]
            status, _, policy, page = get("/", cookie)
            self.assertEqual(status, 200)
            self.assertIn("default-src 'none'", policy)
            self.assertIn(b"Convscope", page)
            self.assertEqual(get("/", cookie, "evil.test")[0], 403)
            self.assertEqual(get("/etc/passwd", cookie)[0], 404)
        finally:
            p.terminate()
            p.stdout.close()
            self.assertEqual(p.wait(timeout=120), 0)

    def test_the_operator_page_is_printed_from_the_table(self):
        page = read(os.path.join(ROOT, "docs", "ops.md")).decode()
        self.assertEqual(run("ops", "--markdown", "--lang", "en").stdout, page, "run: convscope ops --markdown --lang en > docs/ops.md")

    def test_model_without_weights_says_what_to_do(self):
        p = run("predict", os.path.join(ROOT, "zoo", "lenet5.net"), DIGIT)
        self.said(p, 2, "--init", "lenet5.net")
        p = run("predict", os.path.join(ROOT, "zoo", "lenet5.net"), DIGIT, "--init", "7", "--json")
        self.assertEqual(p.returncode, 0, p.stderr)

    def test_arithmetic_adds_up(self):
        for layer, at in (("0", "3"), ("0", "3,5,7"), ("last-conv", "1,2,2")):
            p = run("arithmetic", MODEL, DIGIT, "--layer", layer, "--at", at, "--csv", self.path("t.csv"), "-o", self.path("t.svg"))
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            head, result = p.stdout.split("\n")[0].split(" = ")
            rows = [l.split() for l in p.stdout.split("\n")[2:-2]]
            self.assertAlmostEqual(sum(float(r[-2]) for r in rows), float(result), delta=6e-6, msg=head)  # as printed, rounding has its row
            self.assertAlmostEqual(float(rows[-1][-1]), float(result), delta=6e-6)
            with open(self.path("t.csv")) as f:
                terms = [line.rsplit(",", 5) for line in f.read().split("\n")[1:-1]]
            self.assertAlmostEqual(sum(float(t[-1]) for t in terms), float(result), delta=2e-5)
            self.assertIn(b"</svg>", read(self.path("t.svg")))
        self.assertIn("累计和", run("arithmetic", "--help", "--lang", "zh").stdout)

    def test_help_says_what_data_are(self):
        for name, said in (("evaluate", True), ("generate", True), ("train", True), ("predict", False), ("draw", False)):
            for lang in ("en", "zh"):
                self.assertEqual("cifar10:DIR - " in run(name, "--help", "--lang", lang).stdout, said, name)
        for bad in ("99", "1,2", "1,2,99", "x", "0,0,0,0", "-1"):
            self.said(run("arithmetic", MODEL, DIGIT, "--layer", "0", "--at", bad), 2, "--at")

    def test_imagenets_names_are_a_guess_that_says_so(self):
        text, picture, size = os.path.join(ROOT, "zoo", "squeezenet1_1.net"), os.path.join(ROOT, "models", "things_car.png"), ("--size", "64x64")
        self.assertEqual(run("convert", text, "--init", "1", "-o", self.path("net.onnx")).returncode, 0)
        net = [self.path("net.onnx"), picture, *size]
        top = json.loads(run("predict", *net, "--json").stdout)[0]["top"]
        self.assertEqual([t["name"] for t in top], [""] * 5)
        self.assertTrue(all(len(t["guess"]) > 1 for t in top))
        p = run("predict", *net)
        self.assertIn(top[0]["guess"][:20], p.stdout)
        self.assertIn("--classes imagenet", p.stderr)
        named = json.loads(run("predict", *net, "--json", "--classes", "imagenet").stdout)[0]["top"]
        self.assertEqual([(t["name"], "guess" in t) for t in named], [(t["guess"], False) for t in top])
        p = run("predict", text, picture, "--init", "1", *size, "--json")  # nothing was learned: no name is guessed
        self.assertIn("random", p.stderr)
        self.assertFalse(any("guess" in t for t in json.loads(p.stdout)[0]["top"]))
        own = json.loads(run("predict", MODEL, DIGIT, "--json").stdout)[0]["top"]
        self.assertFalse(any("guess" in t for t in own))

    def test_convert_round_trip(self):
        onnx = self.path("lenet.onnx")
        lenet = os.path.join(ROOT, "zoo", "lenet5.net")
        p = run("convert", lenet, "--init", "7", "-o", onnx)
        self.assertEqual(p.returncode, 0)
        self.assertIn("outputs are equal", p.stderr)
        p = run("convert", lenet, "--init", "7", "-o", self.path("lenet.safetensors"))
        self.assertIn("outputs are equal", p.stderr)
        p = run("convert", lenet, "--init", "7", "-o", self.path("again.onnx"), "--no-check")
        self.assertNotIn("outputs", p.stderr)
        a = json.loads(run("predict", os.path.join(ROOT, "zoo", "lenet5.net"), DIGIT, "--init", "7", "--json").stdout)
        b = json.loads(run("predict", onnx, DIGIT, "--json").stdout)
        for x, y in zip(a[0]["top"], b[0]["top"]):
            self.assertEqual(x["index"], y["index"])
            self.assertAlmostEqual(x["logit"], y["logit"], places=5)

    def test_layers_before_an_unknown_operator(self):
        net, photo = self.path("odd.net"), os.path.join(ROOT, "models", "things_car.png")
        with open(net, "w") as f:
            f.write(UNKNOWN)
        p = run("activations", net, photo, "--init", "1", "--layer", "last", "-o", self.path("a.png"))
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("com.example::Odd is unknown", p.stderr)
        p = run("run", net, photo, "--init", "1", "--layers", "conv_1,last", "-o", self.path("npy"))
        self.assertEqual((p.returncode, sorted(os.listdir(self.path("npy")))), (0, ["000_conv_1.npy", "002_last.npy", "index.json"]), p.stderr)
        for args in (("activations", net, photo, "--layer", "v", "-o", self.path("b.png")), ("run", net, photo, "-o", self.path("all"))):
            p = run(*args, "--init", "1")
            self.assertEqual(p.returncode, 5, p.stderr)
            self.assertIn("com.example::Odd is unknown", p.stderr)
        self.assertFalse(os.path.exists(self.path("b.png")) or os.path.exists(self.path("all")))
        p = run("features", net, "--init", "1", "--layer", "v", "-o", self.path("f.png"))
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("strange, whose operator com.example::Odd is unknown", p.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=1)
