"""What the attacks share: servers, honest clients, an oracle of shares, strangers' addresses."""
import bisect
import ctypes
import fcntl
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from hashlib import md5

from wire import Gone, Lease, Tcp

# Of a stranger: addresses that are not loopback, in the private network namespace.
STRANGER = "10.77.%d.%d"
PASS, FAIL, SKIP, INFO = "PASS", "FAIL", "SKIP", "INFO"


class Skip(Exception):
    """The attack cannot be tried here, and why."""


def stranger(index=1):
    """An address that is not loopback; another one for each index."""
    if not Place.private:
        raise Skip("no private network namespace here (needs root or user namespaces)")
    return STRANGER % (1 + index // 250, 1 + index % 250)


def anybody(index=1):
    """A stranger's address where there is one, else one of loopback."""
    return stranger(index) if Place.private else "127.0.%d.%d" % (1 + index // 250, 1 + index % 250)


ATTACKS = []


def attack(name, holds, quick=False):
    """Registers an attack: a function that returns (status, figure). `holds` says what must."""
    def register(function):
        ATTACKS.append((name, holds, quick, function))
        return function
    return register


def verdict(good, figure):
    return (PASS if good else FAIL), figure


class Place:
    """Where the programs are, and what this machine allows."""
    bin = None
    quick = False
    private = False
    verbose = False
    cache = None

    @staticmethod
    def isolate():
        """Into a network namespace of our own, in which 10.77.0.0/16 is on the loopback device:
        no packet leaves it, and yet these addresses are not loopback to a server."""
        libc = ctypes.CDLL(None, use_errno=True)
        newuser, newnet = 0x10000000, 0x40000000
        uid, gid = os.getuid(), os.getgid()
        if libc.unshare(newnet) != 0:
            if libc.unshare(newuser | newnet) != 0:
                return
            for name, line in (("setgroups", "deny"), ("uid_map", "0 %d 1" % uid),
                               ("gid_map", "0 %d 1" % gid)):
                with open("/proc/self/" + name, "w") as file:
                    file.write(line)

        def address(dotted):
            return struct.pack("<HH4s8x", socket.AF_INET, 0, socket.inet_aton(dotted))

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            def ioctl(code, device, data):
                fcntl.ioctl(any_socket, code, struct.pack("16s24s", device, data))
            set_flags, set_address, set_mask = 0x8914, 0x8916, 0x891C
            ioctl(set_flags, b"lo", struct.pack("<h22x", 0x49))
            ioctl(set_address, b"lo:1", address("10.77.0.1"))
            ioctl(set_mask, b"lo:1", address("255.255.0.0"))
        Place.private = True


def program(name):
    return os.path.join(Place.bin, name)


def options(name, *command):
    """The help of a program: which options it has."""
    done = subprocess.run([program(name), *command, "--help"], capture_output=True, text=True,
                          timeout=20)
    return done.stdout + done.stderr


_ours = set()


def _die_with_us():
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start(arguments, **more):
    process = subprocess.Popen(arguments, preexec_fn=_die_with_us, **more)
    _ours.add(process)
    return process


def end(process):
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    _ours.discard(process)


def end_all():
    for process in list(_ours):
        end(process)


class Server:
    """A server on a free port of this machine; its lines are kept unless `read` is false."""

    def __init__(self, *arguments, read=True, descriptors=None, tcp_only=True):
        # Descriptors of the program itself must not be what we cut short.
        command = [program("seedrush-server"), "--port", "0", *arguments]
        if tcp_only:
            command.append("--tcp-only")
        else:
            command[2] = str(free_port())
        if descriptors:
            command = ["sh", "-c", 'ulimit -n %d; exec "$0" "$@"' % descriptors] + command
        self.lines = []
        self.process = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, bufsize=0)
        self.started = time.monotonic()
        self.port = None
        if read:
            threading.Thread(target=self._read, daemon=True).start()
        else:
            text = b""
            while b"listening on" not in text or not text.endswith(b"\n"):
                text += os.read(self.process.stdout.fileno(), 1)
            self._line(text.decode())
        until = time.monotonic() + 15
        while not self.port and time.monotonic() < until and self.process.poll() is None:
            time.sleep(0.01)
        if not self.port:
            end(self.process)
            raise RuntimeError("the server did not start: " + " / ".join(self.lines[-3:]))
        self.address = ("127.0.0.1", self.port)

    def _line(self, line):
        found = re.search(r"listening on \S*:(\d+)", line)
        if found and not self.port:
            self.port = int(found.group(1))
        self.lines.append(line.rstrip("\n"))
        if Place.verbose:
            print("      server:", line.rstrip())

    def _read(self):
        for line in iter(self.process.stdout.readline, b""):
            self._line(line.decode("utf-8", "replace"))

    def code(self, seconds=0.0):
        """The exit code, or None while it runs."""
        try:
            return self.process.wait(seconds) if seconds else self.process.poll()
        except subprocess.TimeoutExpired:
            return None

    def rss(self):
        """Resident memory in bytes."""
        with open("/proc/%d/status" % self.process.pid) as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def cpu(self):
        """Processor time that it has taken, in seconds."""
        with open("/proc/%d/stat" % self.process.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, what, *arguments, seconds=20):
        """What `seedrush jobs|status|clients --json` say: a list of objects."""
        done = subprocess.run(
            [program("seedrush"), what, *arguments, "--json", "--retry-for", "5", "--to",
             "127.0.0.1:%d" % self.port], capture_output=True, text=True, timeout=seconds)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def job(self, number=1, link=None):
        """The state of a job over our own connection: quicker than a program."""
        own = link or Tcp(self.address)
        reply = own.call("job", {"job": number})
        if link is None:
            own.close()
        return reply.jobs.jobs[0] if reply.jobs and reply.jobs.jobs else None

    def clients(self):
        own, rows, offset = Tcp(self.address), [], 0
        while True:
            page = own.call("clients", {"offset": offset}).clients
            rows += page.clients or []
            offset = page.next or 0
            if not offset:
                own.close()
                return rows

    def close(self):
        end(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def free_port():
    """A port free for TCP and UDP, below those that connections take."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("0.0.0.0", port))
                udp.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue


class Honest:
    """An honest seedrush-client with one thread."""

    def __init__(self, server, *arguments, threads=1, name="honest"):
        self.process = start(
            [program("seedrush-client"), "127.0.0.1:%d" % server.port, "-q", "--backend", "cpu",
             "--threads", str(threads), "--name", name, *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def close(self):
        end(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Puzzle:
    """A finite search in the trailing layout: seeds are the unit's number in a fixed number of
    digits, before the string. Shares are looked up in a table that `seedrush mine` made once, so
    that an attacker with any processor can be played: one that searches all, some or nothing."""

    def __init__(self, bits, string, encoding="text"):
        self.bits, self.string, self.encoding = bits, string, encoding
        if encoding == "text":
            self.digits = {51: 4, 50: 4, 49: 4, 48: 4, 47: 8, 46: 8, 45: 8, 44: 8}[len(string)]
        else:
            self.digits = {103: 7, 102: 8, 101: 7, 100: 8}[len(string)]
        self.space = 1 << 4 * self.digits
        self.known = []     # units with at least `floor` zero bits, sorted
        self.zeros = []     # and how many they have
        self.floor = None

    def arguments(self, *more):
        return ["--bits", str(self.bits), "--encoding", self.encoding, "--seeds", "trailing",
                "--min-clients", "1", *more, self.string]

    def submit(self):
        return {"bits": self.bits, "encoding": {"text": 1, "bytes": 2}[self.encoding],
                "layout": 2, "solutions": 1, "string_length": len(self.string),
                "digits": self.string}

    def digest(self, unit):
        text = "%0*x" % (self.digits, unit) + self.string
        return md5(text.encode() if self.encoding == "text" else bytes.fromhex(text)).digest()

    def zero_bits(self, unit):
        return 128 - int.from_bytes(self.digest(unit), "big").bit_length()

    def mine(self, bits, start_at, count):
        done = subprocess.run(
            [program("seedrush"), "mine", "--bits", str(bits), "--encoding", self.encoding,
             "--seeds", "trailing", "--backend", "cpu", "--solutions", str(1 << 30), "--json",
             "-q", "--start", str(start_at), "--count", str(count), self.string],
            capture_output=True, text=True, timeout=120)
        return sorted(int(n) for n in re.findall(r'"event":"solution".*"nonce":"(\d+)"',
                                                 done.stdout))

    def prepare(self, floor):
        """Makes the table, or takes it from an earlier run."""
        folder = os.path.join(tempfile.gettempdir(), "seedrush-attacks-%d" % os.getuid())
        os.makedirs(folder, exist_ok=True)
        name = md5(repr((self.string, self.encoding, floor)).encode()).hexdigest()
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path) as file:
                self.known = [int(line) for line in file]
        else:
            self.known = self.mine(floor, 0, self.space)
            with open(path + ".new", "w") as file:
                file.writelines("%d\n" % unit for unit in self.known)
            os.replace(path + ".new", path)
        self.zeros = [self.zero_bits(unit) for unit in self.known]
        self.floor = floor
        return self

    def shares(self, bits, start_at, end_at):
        """Units in [start, end) with at least `bits` zero bits."""
        if bits is None or end_at <= start_at:
            return []
        if self.floor is not None and bits >= self.floor:
            low = bisect.bisect_left(self.known, start_at)
            high = bisect.bisect_left(self.known, end_at)
            return [u for u, z in zip(self.known[low:high], self.zeros[low:high]) if z >= bits]
        if end_at - start_at <= 1 << 15:
            return [u for u in range(start_at, end_at) if self.zero_bits(u) >= bits]
        return self.mine(bits, start_at, end_at - start_at)

    def solutions(self):
        return self.shares(self.bits, 0, self.space)


def report_span(link, lease, until, shares, hits=(), finished=False, chunk=50):
    """Claims a lease up to `until`, with these shares (units), in as many messages as needed.
    Returns how many units the server took, and how many hits it called false."""
    shares, hits = sorted(shares), sorted(hits)
    taken, false = 0, 0
    while lease.at < until and not lease.over:
        until = min(until, lease.end)
        here = [u for u in shares if lease.at <= u < until]
        stop = here[chunk] if len(here) > chunk else until
        stop = max(stop, lease.at + 1)
        now = [u for u in here if u < stop]
        good = [u for u in hits if lease.at <= u < stop]
        before = lease.at
        reply = link.progress(lease, stop - before, finished and stop == until,
                              [u - before for u in good],
                              [u - before for u in now if u not in good])
        if reply.refused is not None:
            lease.over = True
            raise Gone("refused: %s" % (reply.refused.text,))
        false += reply.verdict.false_hits or 0 if reply.verdict else 0
        moved = (stop if lease.over else lease.at) - before
        if moved <= 0:
            break
        taken += moved
    return taken, false


def grant(link, patience=2.0):
    """The next lease, or None where there is none within that time."""
    until = time.monotonic() + patience
    while True:
        reply = link.ask()
        if reply.grant is not None:
            return Lease(reply.grant)
        if reply.refused is not None:
            raise Gone("refused: %s" % (reply.refused.text,))
        left = until - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(left, max(0.01, (reply.wait.millis or 0) / 1000 if reply.wait else 0.1), 0.5))


def machine():
    model = "?"
    with open("/proc/cpuinfo") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
        if found:
            model = found.group(1)
    return "%s, %d cpus, load %.2f" % (model, os.cpu_count(), os.getloadavg()[0])
