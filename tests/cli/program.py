# What the tests of the program from outside share: where it and the data are, running it, .npy files, a folder that goes away.
import array, ast, os, struct, subprocess, tempfile, unittest

ROOT = os.environ.get("CVS_SOURCE_ROOT", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("CVS_BUILD_ROOT", os.path.join(ROOT, "build"))
EXE = os.path.join(BUILD, "convscope")
SHARED = os.environ.get("CVS_SHARED", os.path.join(ROOT, "..", "shared"))
MODELS = os.path.join(ROOT, "models")
ENV = dict(os.environ, LC_ALL="C.UTF-8", LANG="C.UTF-8")  # English, whoever runs the tests
KINDS = {"f4": "f", "f8": "d", "u1": "B", "i8": "q"}
# An operator that nobody knows, between layers that are known.
UNKNOWN = ("input 3x32x32\nconv 8 k3 relu\nlast: conv 8 k3\nw: param f32[4x8x3x3]\nstrange: from last op \"com.example::Odd\" mode=\"two words\"\n"
           "v: from strange,w op Conv kernel_shape=[3;3] pads=[1;1;1;1]\nr: from v op Relu\ng: from r op GlobalAveragePool\nf: from g op Flatten axis=1\nsoftmax\n")


def start(*args, **more):
    return subprocess.Popen([EXE, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV, **more)


def run(*args, env=None, exe=EXE, **more):
    """What subprocess.run answers; env: changes to ENV."""
    more = {"text": True, "timeout": 300, **more}
    return subprocess.run([exe, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, env={**ENV, **(env or {})}, **more)


def answer(*args, **more):
    """(exit code, standard output, standard error)."""
    p = run(*args, **more)
    return p.returncode, p.stdout, p.stderr


def read(path):
    with open(path, "rb") as f:
        return f.read()


def load(path):
    """(shape, values) of a .npy file."""
    with open(path, "rb") as f:
        magic = f.read(8)
        assert magic[:6] == b"\x93NUMPY", path
        n = struct.unpack("<H", f.read(2))[0] if magic[6] == 1 else struct.unpack("<I", f.read(4))[0]
        head = ast.literal_eval(f.read(n).decode())
        values = array.array(KINDS[head["descr"][1:]])
        values.frombytes(f.read())
        return head["shape"], values


def npy(data, shape, kind="|u1"):
    """The bytes of a .npy file."""
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" % (kind, ", ".join(map(str, shape)))).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def floats(shape, values):
    """A .npy file of float32."""
    return npy(array.array("f", values).tobytes(), shape, "<f4")


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cvs-test-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def path(self, *names):
        return os.path.join(self.dir, *names)
