#!/usr/bin/env python3
# Runs one of the checks beside the project: ../shared/checks/NAME. Exit 77, a visible skip, where that folder is absent.
# The checks read their data through CVS_DATA: here that is ../shared/data by links, except that goldens kept one sample a file
# (input_0.npy, input_1.npy, ...) also stand stacked as the input.npy and output.npy that the checks ask for.
import os, shutil, struct, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")


def read(path):
    b = open(path, "rb").read()
    n = struct.unpack("<H", b[8:10])[0]
    header = eval(b[10:10 + n].decode(), {"__builtins__": {}}, {"True": True, "False": False})
    return header, b[10 + n:]


def stack(folder, stem, out):
    """Joins stem_0.npy, stem_1.npy, ... along the first axis into stem.npy."""
    parts = []
    while os.path.exists(os.path.join(folder, "%s_%d.npy" % (stem, len(parts)))):
        parts.append(read(os.path.join(folder, "%s_%d.npy" % (stem, len(parts)))))
    header = dict(parts[0][0], shape=(sum(p[0]["shape"][0] for p in parts),) + parts[0][0]["shape"][1:])
    text = repr(header)
    text += " " * (-(len(text) + 11) % 64) + "\n"
    with open(os.path.join(out, stem + ".npy"), "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + b"".join(p[1] for p in parts))


def data_view(to):
    data = os.path.join(SHARED, "data")
    for name in os.listdir(data):
        if name != "goldens":
            os.symlink(os.path.join(data, name), os.path.join(to, name))
    os.mkdir(os.path.join(to, "goldens"))
    for name in os.listdir(os.path.join(data, "goldens")):
        source, target = os.path.join(data, "goldens", name), os.path.join(to, "goldens", name)
        samples = os.path.exists(os.path.join(source, "input_0.npy")) and not os.path.exists(os.path.join(source, "input.npy"))
        if not samples:
            os.symlink(source, target)
            continue
        os.mkdir(target)
        stack(source, "input", target)
        stack(source, "output", target)


check = os.path.join(SHARED, "checks", sys.argv[1])
if not os.access(check, os.X_OK):
    print("skipped: ../shared/checks/%s is not there" % sys.argv[1])
    sys.exit(77)
view = tempfile.mkdtemp(prefix="cvs-shared-")
try:
    data_view(view)
    # with the whole collection, as many backend tests as the check asks of it
    env = dict(os.environ, CVS_DATA=view, CVS_BACKEND=os.environ.get("CVS_BACKEND", "335"))
    sys.exit(subprocess.run([check], cwd=ROOT, env=env).returncode)
finally:
    shutil.rmtree(view)
