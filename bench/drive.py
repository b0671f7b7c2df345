# SPDX-License-Identifier: MIT
"""Two processes measured in turns: A B A B ... in one run, each kept warm and driven over its stdin and stdout; while one works the
other is stopped (SIGSTOP), so that threads which spin for a while after their work disturb nobody. A request is a line of words
separated by tabs, an answer a line that begins with "ok" or "error" (bench_ours.c has the list)."""
import ctypes
import os
import select
import signal
import statistics
import subprocess
import tempfile
import time

FOREIGN = 0.10  # share of one core that other processes may use during a row


class Failed(Exception):
    """A driver could not do its work; the text says which and why."""


def ends_with_parent():
    """For preexec_fn: the child ends when its parent does, whatever ends that. Its priority stays the ordinary one: two threads of a process
    at realtime priority now and then share one core from start to end while the other is idle, and nobody runs programs that way."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        pass


class Driver:
    """One side of a row: a command that answers requests."""

    def __init__(self, name, command, env=None, timeout=170):
        self.name, self.timeout = name, timeout
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr,
                                        env={**os.environ, **(env or {})}, preexec_fn=ends_with_parent)
        self.buffer = b""
        self.stopped = False

    def ask(self, *words):
        self.resume()
        try:
            self.process.stdin.write("\t".join(map(str, words)).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.answer()

    def answer(self):
        """The words after "ok"; lines that are no answer (a library's greeting) are passed over."""
        end = time.monotonic() + self.timeout
        while True:
            while b"\n" in self.buffer:
                line, self.buffer = self.buffer.split(b"\n", 1)
                answer = line.decode(errors="replace").split("\t")
                if answer[0] == "ok":
                    return answer[1:]
                if answer[0] == "error":
                    raise Failed("%s: %s" % (self.name, " ".join(answer[1:])))
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not part:
                raise Failed("%s: %s" % (self.name, self.last_words() if ready else "no answer in %d s" % self.timeout))
            self.buffer += part

    def last_words(self):
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").strip().split("\n")
        return "ended: " + " / ".join(lines[-3:])

    def prepare(self, **settings):
        return self.ask("prepare", *("%s=%s" % (k, v) for k, v in settings.items() if v is not None))

    def run(self, n):
        return [float(x) for x in self.ask("run", n)]

    def pause(self):
        if not self.stopped and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            self.stopped = True

    def resume(self):
        if self.stopped and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        self.stopped = False

    def close(self):
        self.resume()
        try:
            self.process.stdin.write(b"quit\n")
            self.process.stdin.close()
            self.process.wait(5)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.stderr.close()


# ---- who else uses the machine --------------------------------------------------------------------------


def machine_ticks():
    """(busy, stolen) ticks of all processors so far; None where /proc is absent."""
    try:
        with open("/proc/stat") as f:
            t = [int(x) for x in f.readline().split()[1:]]
    except OSError:
        return None
    return t[0] + t[1] + t[2] + t[5] + t[6], t[7] if len(t) > 7 else 0


def process_ticks(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            t = f.read().rsplit(")", 1)[1].split()
        return int(t[11]) + int(t[12])
    except (OSError, IndexError):
        return 0


class Watch:
    """Shares of one core that others and the hypervisor took, over all measured turns of a row."""

    def __init__(self):
        self.wall = self.foreign = self.stolen = 0.0

    def over(self, pid, work):
        begun, before, own = time.monotonic(), machine_ticks(), process_ticks(pid)
        result = work()
        after, own = machine_ticks(), process_ticks(pid) - own
        hertz = os.sysconf("SC_CLK_TCK")
        self.wall += time.monotonic() - begun
        if before and after:
            self.foreign += max(0.0, (after[0] - before[0] - own) / hertz)
            self.stolen += (after[1] - before[1]) / hertz
        return result

    def shares(self):
        return (self.foreign / self.wall, self.stolen / self.wall) if self.wall else (0.0, 0.0)


# ---- in turns ---------------------------------------------------------------------------------------------


class Side:
    """Times of one side of a row, in milliseconds."""

    def __init__(self, driver, scale=1.0):
        self.driver, self.scale, self.ms, self.each = driver, scale, [], 1

    def settle(self, watch, seconds):
        """A first turn says how many repetitions make a turn of about `seconds`."""
        first = min(watch.over(self.driver.process.pid, lambda: self.driver.run(2 if seconds > 0.05 else 1)))
        self.each = max(1, min(2000, int(seconds * 1e3 / max(first, 1e-3))))
        self.ms.append(first * self.scale)

    def turn(self, watch):
        self.ms += [t * self.scale for t in watch.over(self.driver.process.pid, lambda: self.driver.run(self.each))]

    def best(self):
        return min(self.ms)

    def median(self):
        return statistics.median(self.ms)


def in_turns(sides, seconds=4.0, turns=6, least=5):
    """Fills the sides' times in turns. `seconds`: of each side, about; `least` times of each side at least, unless that takes long."""
    watch = Watch()
    for side in sides:
        for other in sides:
            if other is not side:
                other.driver.pause()
        side.settle(watch, seconds / turns)
    begun = time.monotonic()
    for turn in range(200):
        for side in sides:
            for other in sides:
                if other is not side:
                    other.driver.pause()
            side.turn(watch)
        spent = time.monotonic() - begun
        enough = turn + 1 >= turns and all(len(s.ms) >= least for s in sides)
        if enough or (spent > 4 * seconds * len(sides) and all(len(s.ms) >= min(3, least) for s in sides)):
            break
    for side in sides:
        side.driver.resume()
    return watch.shares()
