# SPDX-License-Identifier: MIT
"""The peers' end of the pipe, in Python: answers prepare, run N, dump FILE, memory and quit (bench_ours.c has the list)."""
import os
import resource
import sys
import time

THREADS = "2"
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, THREADS)
_out = os.fdopen(os.dup(1), "w")  # what libraries print must not mix with the answers
os.dup2(2, 1)


def say(*words):
    _out.write("\t".join(map(str, words)) + "\n")
    _out.flush()


def serve(prepare):
    """prepare(settings) -> (once, result): `once()` does the work one time, `result()` gives it as a numpy array."""
    once = result = None
    for line in sys.stdin:
        words = line.rstrip("\n").split("\t")
        try:
            if words[0] == "quit":
                break
            if words[0] == "prepare":
                settings = dict(w.split("=", 1) for w in words[1:])
                once, result = prepare(settings)
                for _ in range(int(settings.get("warm", 2))):
                    once()
                say("ok")
            elif words[0] == "run":
                times = []
                for _ in range(int(words[1])):
                    t = time.perf_counter()
                    once()
                    times.append("%.6f" % ((time.perf_counter() - t) * 1e3))
                say("ok", *times)
            elif words[0] == "dump":
                import numpy
                numpy.save(words[1], numpy.ascontiguousarray(result(), dtype=numpy.float32))
                say("ok")
            elif words[0] == "memory":
                say("ok", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
            else:
                say("error", "unknown request")
        except Exception as e:  # the other side decides what a failure means
            say("error", "%s: %s" % (type(e).__name__, str(e).replace("\n", " ").replace("\t", " ")[:300]))
