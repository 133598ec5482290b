"""D. Strangers: whoever can reach the port, without being anybody."""
import os
import re
import select
import signal
import socket
import statistics
import subprocess
import threading
import time

from common import (FAIL, Honest, Place, Server, Skip, anybody, attack, end, grant,
                    options, program, start, stranger, verdict)
from wire import Gone, Tcp, Udp, wide

EASY = {"bits": 0, "encoding": 1, "layout": 1, "solutions": 1, "string_length": 6,
        "digits": "ABCDEF"}
HARD = dict(EASY, bits=100)
SUM = {"first": wide(1), "last": wide(1000)}


def open_flag():
    """The option with which strangers may submit, where there is one."""
    return ["--open"] if "--open" in options("seedrush-server") else []


def submit(link, kind="md5_search", priority=1, **job):
    reply = link.call("submit", {"key": os.urandom(16), kind: job, "priority": priority})
    return reply.submitted.job if reply.submitted else None


def admin(server, source=None):
    return Tcp(server.address, source)


@attack("strangers.rights", "who is not on loopback may not submit, cancel or take a priority, "
        "over TCP or UDP, unless --open; loopback may", quick=True)
def rights():
    done = []
    for kind in (Tcp, Udp):
        with Server("--serve", tcp_only=False) as server:
            own = admin(server)
            number = submit(own, **HARD)
            for what in ("submit", "priority 100", "cancel"):
                try:
                    link = kind(server.address, stranger(1), 3)
                    link.hello("stranger")
                    if what == "cancel":
                        link.call("cancel", {"job": number})
                    elif submit(link, priority=100 if "100" in what else 1, **HARD):
                        done.append(kind.__name__ + " " + what)
                except Gone:
                    pass
            if server.job(number).state == 5:
                done.append(kind.__name__ + " cancel")
            own = admin(server)
            if not submit(own, **HARD):
                done.append("loopback was refused")
            own.close()
    text = "a stranger could: " + ", ".join(done) if done else "a stranger could do nothing"
    if open_flag():
        with Server("--serve", "--open") as server:
            link = admin(server, stranger(1))
            if not submit(link, **HARD):
                done.append("--open")
                text += "; --open does not open"
            said = any("open" in line.lower() for line in server.lines)
            text += "; --open is %s" % ("said at start" if said else "NOT said at start")
            if not said:
                done.append("said")
    return verdict(not done, text)


@attack("strangers.main-job", "a stranger cannot cancel the job that the server was started with",
        quick=True)
def main_job():
    with Server("--min-clients", "1", "--bits", "100", "ABCDEF") as server:
        link = admin(server, stranger(1))
        try:
            reply = link.call("cancel", {"job": 1})
            said = "answered " + ", ".join(k for k in reply if k not in ("number", "notice"))
        except Gone as error:
            said = str(error)
        code = server.code(3)
        return verdict(code is None, "%s; the server %s" % (
            said, "goes on" if code is None else "ended with exit code %d" % code))


@attack("strangers.slots", "a stranger cannot use up the places for jobs (with --open, too)",
        quick=True)
def slots():
    with Server("--serve", *open_flag()) as server:
        link, taken, began = admin(server, stranger(1)), 0, time.monotonic()
        try:
            for _ in range(1200):
                if submit(link, **HARD):
                    taken += 1
                else:
                    break
        except Gone:
            pass
        took = time.monotonic() - began
        own = admin(server)
        mine = submit(own, **HARD)
        other = None
        if open_flag():
            other = submit(admin(server, stranger(2)), **HARD)
        return verdict(bool(mine) and (other is not None or not open_flag()),
                       "a stranger took %d places in %.2f s; then loopback's job was %s%s" % (
                           taken, took, "taken" if mine else "REFUSED",
                           "" if not open_flag() else ", another stranger's %s" % (
                               "taken" if other else "REFUSED")))


@attack("strangers.evict", "a stranger cannot push out a finished result (with --open, too)",
        quick=True)
def evict():
    with Server("--serve", *open_flag()) as server:
        own = admin(server)
        number = submit(own, "sum_of_squares", **SUM)
        with Honest(server):
            until = time.monotonic() + 15
            while server.job(number).state != 3 and time.monotonic() < until:
                time.sleep(0.1)
        before, count = server.job(number), 0
        link = admin(server, stranger(1))
        try:
            for _ in range(600):
                job = submit(link, **HARD)
                if not job:
                    break
                link.call("cancel", {"job": job})
                count += 1
        except Gone:
            pass
        # The same under false numbers and with jobs that end by themselves.
        try:
            after = server.job(number)
        except Gone:
            after = None
        return verdict(bool(before.result and after and after.result == before.result),
                       "after %d submitted and cancelled, the result is %s" % (
                           count, "there" if after and after.result else "GONE"))


def hits(link, count):
    """Sends so many hits of a job without difficulty, all beyond what is done; how many were new."""
    lease, given, told = grant(link, 2), 0, 0
    while lease and not lease.over and told < count:
        reply = link.progress(lease, 0, False, range(told, told + 60))
        given += reply.verdict.solutions or 0 if reply.verdict else 0
        told += 60
    if lease and not lease.over:
        link.progress(lease, 0, True)
    return given


def easy_jobs(server, jobs, each, wanted, digits="ABCDEF"):
    """Jobs without difficulty, and a stranger that sends hits for them."""
    own = admin(server)
    link = Tcp(server.address, anybody(1))
    link.hello("hits")
    given = 0
    for _ in range(jobs):
        try:
            number = submit(own, **dict(EASY, solutions=wanted, digits=digits,
                                        string_length=len(digits)))
            given += hits(link, each)
            own.call("cancel", {"job": number})
        except Gone:
            own = admin(server)
            link = Tcp(server.address, anybody(1))
            link.hello("hits")
    link.call("goodbye", {})
    return given


@attack("strangers.memory", "60 jobs of difficulty 0 with 5,000 hits each: memory grows by at most "
        "64 KiB a job", quick=True)
def memory():
    texts, worst = [], 0
    for wanted, name in ((1, "1 wanted"), (1000, "1,000 wanted")):
        with Server("--serve") as server:
            easy_jobs(server, 2, 500, wanted)
            before = server.rss()
            given = easy_jobs(server, 60, 5000, wanted)
            time.sleep(0.5)
            grown = (server.rss() - before) / 60
            worst = max(worst, grown)
            texts.append("%s: %.1f KiB a job (%d hits taken)" % (name, grown / 1024, given))
    return verdict(worst <= 64 * 1024, "; ".join(texts))


def median_latency(server, seconds, source):
    """Of a client that asks for a heartbeat over and over."""
    link, times = Tcp(server.address, source, 20), []
    link.hello("prober")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        at = time.monotonic()
        try:
            link.call("heartbeat", {})
        except Gone:
            times.append(20.0)
            break
        times.append(time.monotonic() - at)
        time.sleep(0.02)
    return 1000 * statistics.median(times), 1000 * max(times)


def storm(server, body, stop, fields=None, source=None, read=True):
    """Fifty requests at once on one connection, again and again."""
    count = 0
    while not stop.is_set():
        try:
            link = Tcp(server.address, source)
            for _ in range(1000):
                for _ in range(50):
                    link.send(body, fields or {})
                    count += 1
                got = 0
                while read and got < 50 and not stop.is_set():
                    link.receive(5)
                    got += 1
                if stop.is_set():
                    break
            link.close()
        except (Gone, OSError):
            time.sleep(0.01)
    stop.count = count


@attack("strangers.listings", "50 pipelined listings of 60 jobs with many solutions: another "
        "client's median latency stays below 20 ms", quick=True)
def listings():
    with Server("--serve") as server:
        easy_jobs(server, 60, 5000, 1000)
        quiet = median_latency(server, 2, anybody(2))
        texts, worst = ["quiet %.1f ms" % quiet[0]], 0
        for body, fields, read in (("jobs", {}, True), ("jobs", {}, False),
                                   ("job", {"job": 1}, True), ("clients", {}, True)):
            stop = threading.Event()
            thread = threading.Thread(target=storm, daemon=True,
                                      args=(server, body, stop, fields, anybody(3), read))
            thread.start()
            time.sleep(0.3)
            median, most = median_latency(server, 3, anybody(2))
            stop.set()
            thread.join(5)
            worst = max(worst, median)
            texts.append("%s%s %.1f ms (at most %.0f)" % (body, "" if read else " unread", median,
                                                          most))
    return verdict(worst < 20, "median: " + "; ".join(texts))


class Squatters(threading.Thread):
    """Opens connections from one address as quickly as it can and says nothing on them, or half a
    frame, or listings without hello."""

    def __init__(self, server, source, how, most=120):
        super().__init__(daemon=True)
        self.server, self.source, self.how, self.most = server, source, how, most
        self.stop, self.open, self.opened = False, [], 0

    def run(self):
        beat = 0.0
        while not self.stop:
            for link in list(self.open):
                try:
                    readable = select.select([link], [], [], 0)[0]
                    if readable and not link.recv(65536):
                        raise OSError
                except OSError:
                    self.open.remove(link)
                    link.close()
            while len(self.open) < self.most and not self.stop:
                try:
                    link = socket.socket()
                    link.bind((self.source, 0))
                    link.setblocking(False)
                    link.connect_ex(self.server.address)
                    self.open.append(link)
                    self.opened += 1
                except OSError:
                    break
            if time.monotonic() - beat > 1:
                beat = time.monotonic()
                for link in self.open:
                    try:
                        if self.how == "half a frame":
                            link.send(b"\0")
                        elif self.how == "listings":
                            link.send(Tcp.frame({"number": 1, "jobs": {}}))
                        elif self.how == "no frame":
                            link.send(b"\0\0\xff\xff")
                    except OSError:
                        pass
            time.sleep(0.02)
        for link in self.open:
            link.close()


def get_in(server, source, seconds):
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            link = Tcp(server.address, source, timeout=3)
            if link.hello("newcomer").welcome is not None:
                took = time.monotonic() - began
                link.close()
                return took
            link.close()
        except (Gone, OSError):
            pass
        time.sleep(0.05)
    return None


@attack("strangers.unspoken", "with 64 descriptors, one address that fills all connections keeps "
        "a new client out for at most 15 s", quick=True)
def unspoken():
    texts, good = [], True
    hows = ("silent", "listings") if Place.quick else ("silent", "half a frame", "listings")
    for how in hows:
        with Server("--serve", descriptors=64) as server:
            squatters = Squatters(server, anybody(1), how)
            squatters.start()
            time.sleep(2)
            took = get_in(server, anybody(2), 25)
            squatters.stop = True
            squatters.join(5)
            good &= took is not None and took <= 15
            texts.append("%s: %s" % (how, "in after %.1f s" % took if took is not None
                                     else "not in after 25 s"))
    return verdict(good, "; ".join(texts))


@attack("strangers.neighbour", "after a liar, an honest client at the same address is still let in "
        "(and served)", quick=True)
def neighbour():
    texts, good = [], True
    for how in ("false hits", "no shares"):
        with Server("--min-clients", "1", "--bits", "60", "--seeds", "counting", "ABCDEF") as server:
            for number in range(3):
                try:
                    link = Tcp(server.address, anybody(1))
                    if link.hello("liar").refused is not None:
                        break
                    for _ in range(60):
                        lease = grant(link, 0.3)
                        if lease is None:
                            break
                        if how == "false hits":
                            link.progress(lease, min(60, lease.length), True,
                                          range(min(60, lease.length)))
                        else:
                            link.progress(lease, lease.length, True)
                except (Gone, OSError):
                    pass
            try:
                link = Tcp(server.address, anybody(1))
                reply = link.hello("honest neighbour")
                if reply.welcome is None:
                    raise Gone("refused: " + (reply.refused.text if reply.refused else "?"))
                fine = grant(link, 10) is not None
                text = "served" if fine else "let in, no work in 10 s"
            except (Gone, OSError) as error:
                fine, text = False, str(error)
            good &= fine
            texts.append("after %s: %s" % (how, text))
    return verdict(good, "; ".join(texts))


@attack("strangers.ban", "`seedrush ban` keeps an address out, `unban` lets it in again, both only "
        "from loopback; and it is listed", quick=True)
def ban():
    if "ban" not in re.findall(r"^\s+(\w+)\s", options("seedrush"), re.M):
        return FAIL, "there is no `seedrush ban`"
    with Server("--serve") as server:
        where = ["--to", "127.0.0.1:%d" % server.port, "--retry-for", "3"]

        def run(*arguments):
            return subprocess.run([program("seedrush"), *arguments, *where], timeout=20,
                                  capture_output=True, text=True)

        def let_in(source):
            try:
                link = Tcp(server.address, source, 4)
                return link.hello("x").welcome is not None
            except (Gone, OSError):
                return False
        before = let_in(stranger(1))
        banned = run("ban", "10.77.1.2")
        during, other = let_in(stranger(1)), let_in(stranger(2))
        listed = "10.77.1.2" in run("clients").stdout
        freed = run("unban", "10.77.1.2")
        after = let_in(stranger(1))
        return verdict(before and not during and other and after and listed
                       and banned.returncode == 0 and freed.returncode == 0,
                       "before %s, banned %s (another address %s), listed %s, unbanned %s" % (
                           before, during, other, listed, after))


CLASSIC = ["--classic", "--min-clients", "2", "3"]


def received(victim):
    """Bytes that have arrived at a socket."""
    victim.setblocking(False)
    got = 0
    try:
        while True:
            got += len(victim.recv(65536))
    except OSError:
        return got


@attack("strangers.amplification", "--classic over UDP: unproven addresses get no more bytes than they "
        "sent, but for a small loan that all share; without it never more", quick=True)
def amplification():
    texts, worst = [], 0.0
    long_string = "0123456789abcdef" * 60
    with Server("--classic", "--min-clients", "1", "8", long_string, tcp_only=False) as server:
        # One honest client of the old kind, so that the search is on.
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.connect(server.address)
        first.send(b"Computed 0 hashes\n")
        time.sleep(0.5)
        cases = [b"x", b"\n", b"ok", b"Computed 0 hashes\n", b"ok,0,0", b"ok,1,%032x" % 0,
                 b"hello", b"stop", b"Computed 99999999999999999999 hashes\n", b"\0", b"{}",
                 b"x" * 40] * 25
        victims, sent, began = [], 0, time.monotonic()
        for index, text in enumerate(cases):
            victim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            victim.bind((anybody(20 + index), 0))
            victim.sendto(text, server.address)
            sent += len(text)
            victims.append(victim)
        time.sleep(3)
        # The end of the search is told too: to whom, and how often?
        server.process.send_signal(signal.SIGINT)
        time.sleep(3)
        got = sum(received(victim) for victim in victims)
        # README: a loan of 12 kB at once and 1.2 kB a second, which all addresses share.
        allowed = sent + 12_000 + 1_200 * (time.monotonic() - began)
        texts.append("%d addresses sent %d bytes and were sent %d of %d allowed"
                     % (len(cases), sent, got, allowed))
        worst = max(worst, got / allowed)
    # Every request of the protocol with cookies, without one.
    with Server("--serve", tcp_only=False) as server:
        for body in ("hello", "jobs", "clients", "heartbeat", "ask", "job", "goodbye"):
            for pad in (0, 64, 1200):
                link = Udp(server.address, anybody(70), pad=pad)
                data = link.datagram(link.request(body, {}))
                link.socket.sendto(data, server.address)
                time.sleep(0.1)
                got = received(link.socket)
                worst = max(worst, got / len(data))
                if got > len(data):
                    texts.append("%s: %d bytes for %d" % (body, got, len(data)))
                link.close()
    return verdict(worst <= 1.0, "at most %.2f x what is allowed%s" % (
        worst, " (" + "; ".join(texts[:4]) + ")" if texts else ""))


@attack("strangers.forged-sources", "--classic over UDP: 16,000 sources that never answer do not "
        "begin the search, and cost at most 16 MiB", quick=True)
def forged_sources():
    if not Place.private:
        raise Skip("no private network namespace here")
    with Server(*CLASSIC, "ABCDEF", tcp_only=False) as server:
        before, sent, began = server.rss(), 0, time.monotonic()
        for index in range(16000):
            forged = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            forged.bind((stranger(index), 0))
            forged.sendto(b"Computed 0 hashes\n", server.address)
            forged.close()
            sent += 1
            if index % 400 == 399:
                time.sleep(0.01)
            if time.monotonic() - began > 15:
                break
        time.sleep(1)
        grown = server.rss() - before
        begun = any("begins" in line for line in server.lines)
        joined = sum("joined" in line for line in server.lines)
        rows = len(server.clients())
        return verdict(grown <= 16 << 20 and not begun and not rows,
                       "%d sources: %d joined, %d listed, the search %s, memory + %.1f MiB" % (
                           sent, joined, rows, "BEGAN" if begun else "waits", grown / (1 << 20)))


class Old:
    """A client of the old protocol, over TCP or UDP. Its datagrams go to no fixed peer: the
    answer may come from another address of this machine."""

    def __init__(self, server, kind, source):
        self.server, self.tcp = server, kind == "tcp"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM if self.tcp else
                                    socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.settimeout(0.3)
        if self.tcp:
            self.socket.connect(server.address)

    def say(self, text):
        try:
            if self.tcp:
                self.socket.send(text.encode())
            else:
                self.socket.sendto(text.encode(), self.server.address)
        except OSError:
            pass

    def until_problem(self, seconds):
        """Says that it is there, and again, until it is told the problem: 'ID,N,STRING'."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            self.say("Computed 0 hashes\n")
            try:
                text = self.socket.recv(65536)
                if re.match(rb"\d+,\d+,", text):
                    return text.decode()
            except OSError:
                pass
        return None


@attack("strangers.false-ok", "--classic: after false solutions a true one still counts, also where "
        "forged ones came in its name", quick=True)
def false_ok():
    from hashlib import md5
    texts, good = [], True
    string, seed = "ABCDEF", 0
    while md5(("0x%x" % seed + string).encode()).digest()[0:2] != b"\0\0":
        seed += 1
    digest = md5(("0x%x" % seed + string).encode()).hexdigest()
    for kind in ("tcp", "udp"):
        # Over TCP the sender is proven: whoever goes on with false claims is banned.
        for count in (0, 1, 2) if kind == "tcp" else (0, 1, 20):
            with Server("--classic", "--min-clients", "1", "2", string, tcp_only=False) as server:
                old = Old(server, kind, anybody(1))
                told = old.until_problem(4)
                for _ in range(count):
                    old.say("ok,0x12345,%032x\n" % 0)
                    time.sleep(0.02)
                code = None
                for _ in range(6):
                    old.say("ok,0x%x,%s\n" % (seed, digest))
                    code = server.code(0.5)
                    if code is not None:
                        break
                fine = code == 0
                good &= fine
                texts.append("%s, %d false: %s" % (
                    kind, count, "heard" if fine else "SILENCED" if told else
                    "never told the problem"))
                old.socket.close()
    return verdict(good, "; ".join(texts))


@attack("strangers.stopped-reader", "a server whose output nobody reads goes on, and ends on SIGINT "
        "and when its job ends", quick=True)
def stopped_reader():
    texts, good = [], True
    for how in ("SIGINT", "job"):
        arguments = ["--min-clients", "1", "--bits", "100" if how == "SIGINT" else "24",
                     "--seeds", "counting", "ABCDEF"]
        with Server(*arguments, read=False) as server:
            joined = 0
            for number in range(3000):
                try:
                    link = Tcp(server.address, anybody(number % 200), timeout=3)
                    link.hello("n" * 64, backend="b" * 64)
                    if number % 3 == 0:
                        link.call("goodbye", {})
                    link.close()
                    joined += 1
                except (Gone, OSError):
                    break
            alive = get_in(server, anybody(500), 4) is not None
            if how == "SIGINT":
                server.process.send_signal(signal.SIGINT)
                code = server.code(8)
            else:
                with Honest(server):
                    code = server.code(25)
            fine = alive and code == (130 if how == "SIGINT" else 0)
            good &= fine
            texts.append("%s: %d joined, then %s, %s" % (
                how, joined, "a client still gets in" if alive else "NOBODY gets in",
                "exit code %d" % code if code is not None else "does NOT end"))
    return verdict(good, "; ".join(texts))


EVIL = "a\u202eb\u2066c\u200fd\ufeffe\u2028f\u0085g\u009b31mh\x1b[31mi\rj\nk\u200bl\u00adm\U000e0041"


@attack("strangers.names", "control, bidirectional and other format characters of a name reach no "
        "screen", quick=True)
def names():
    import unicodedata
    with Server("--min-clients", "1", "--bits", "100", "ABCDEF") as server:
        links, refused = [], 0
        for index in range(0, len(EVIL), 6):
            part = "x" + EVIL[index:index + 6]
            try:
                link = Tcp(server.address, anybody(1))
                if link.hello(part, backend=part).welcome is None:
                    refused += 1
                links.append(link)
            except Gone:
                refused += 1
        time.sleep(0.5)
        text = subprocess.run([program("seedrush"), "clients", "--to", "127.0.0.1:%d" % server.port],
                              capture_output=True, timeout=20).stdout.decode("utf-8", "replace")
        seen = "".join(server.lines) + text.replace("\n", "")
        rows = "".join(r.name or "" for r in server.clients())
        bad = sorted({"U+%04X" % ord(c) for c in seen
                      if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\t"})
        wire = sorted({"U+%04X" % ord(c) for c in rows
                       if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")})
        return verdict(not bad, "on screens: %s; in listings over the wire: %s; %d names refused" % (
            " ".join(bad) or "none", " ".join(wire) or "none", refused))


@attack("strangers.false-shares", "a false share sent 400 times counts 400 times: the liar is found "
        "after some", quick=True)
def false_shares():
    # The same made-up share in one lease, over and over, with one unit of progress each.
    with Server("--min-clients", "1", "--bits", "100", "--seeds", "counting", "ABCDEF") as server:
        link, sent, said = Tcp(server.address, anybody(1)), 0, "was never accused"
        link.hello("false shares")
        try:
            lease = grant(link)
            start_at = lease.at
            for _ in range(400):
                lease.at = start_at
                reply = link.progress(lease, 1, False, (), [0])
                sent += 1
                if reply.refused is not None or lease.over:
                    said = "lease ended"
                    break
            for _ in range(2):
                grant(link, 0.5)
        except (Gone, OSError) as error:
            said = str(error)
        rows = [r for r in server.clients() if r.name == "false shares"]
        standing = rows[0].standing if rows else "gone"
        counted = (rows[0].false_hits or 0) if rows else 0
        return verdict(standing != "good" or counted >= 400,
                       "%d sent: %s; standing: %s; counted: %d" % (sent, said, standing, counted))


@attack("strangers.false-hits", "a false solution sent 400 times: the liar is found, and others do "
        "not wait", quick=True)
def false_hits():
    with Server("--min-clients", "1", "--bits", "100", "--seeds", "counting", "ABCDEF") as server:
        link, sent, said = Tcp(server.address, anybody(1)), 0, "was never accused"
        link.hello("false hits")
        try:
            lease = grant(link)
            start_at = lease.at
            for _ in range(400):
                lease.at = start_at
                reply = link.progress(lease, 1, False, [0])
                sent += 1
                if reply.refused is not None:
                    said = "refused: %s" % reply.refused.text
                    break
        except (Gone, OSError) as error:
            said = str(error)
        rows = [r for r in server.clients() if r.name == "false hits"]
        standing = rows[0].standing if rows else "gone"
        counted = (rows[0].false_hits or 0) if rows else 0
        return verdict(standing != "good" or counted >= 400,
                       "%d sent: %s; standing: %s; counted: %d" % (sent, said, standing, counted))


@attack("strangers.known-hits", "solutions of a 10,000-digit string that are sent again are not "
        "hashed again: less than 5 us of the server's time each", quick=True)
def known_hits():
    text = "0123456789abcdef" * 625
    with Server("--serve") as server:
        own = admin(server)
        submit(own, **dict(EASY, solutions=1000, digits=text, string_length=len(text)))
        link, count = Tcp(server.address, anybody(1)), 0
        link.hello("again")
        lease = grant(link)
        link.progress(lease, 0, False, range(60))
        before, until = server.cpu(), time.monotonic() + 3
        try:
            while time.monotonic() < until:
                for _ in range(30):
                    link.send("progress", {
                        "lease": lease.id, "epoch": lease.epoch, "job": lease.job,
                        "start": wide(lease.start), "done": 0, "hits": list(range(60))})
                for _ in range(30):
                    link.receive(5)
                    count += 60
        except (Gone, OSError):
            pass
        each = 1e6 * (server.cpu() - before) / count if count else 0.0
        return verdict(each < 5, "%.1f us of the server's time for each of %d" % (each, count))


@attack("strangers.mute-server", "admin commands against a listener that accepts and says nothing "
        "end with exit code 3 (--retry-for 2: within 20 s)", quick=True)
def mute_server():
    mute = socket.socket()
    mute.bind(("127.0.0.1", 0))
    mute.listen(64)
    port = mute.getsockname()[1]
    commands = {"jobs": ["jobs"], "status": ["status", "1"], "cancel": ["cancel", "1"],
                "clients": ["clients"], "submit": ["submit", "md5", "1", "ABCDEF"]}
    running = {name: start([program("seedrush"), *line[:1], "--to", "127.0.0.1:%d" % port,
                            "--retry-for", "2", "--transport", "tcp", *line[1:]],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           stdin=subprocess.DEVNULL) for name, line in commands.items()}
    began, ended = time.monotonic(), {}
    while len(ended) < len(running) and time.monotonic() - began < 20:
        for name, process in running.items():
            if name not in ended and process.poll() is not None:
                ended[name] = (process.returncode, time.monotonic() - began)
        time.sleep(0.05)
    for process in running.values():
        end(process)
    mute.close()
    texts = ["%s %s" % (n, "exit %d after %.1f s" % ended[n] if n in ended else "HANGS")
             for n in running]
    return verdict(all(n in ended and ended[n][0] == 3 for n in running), "; ".join(texts))
