"""B. "Nothing found" must be proved: clients that claim what they did not search."""
import re
import subprocess
import time

from common import (FAIL, INFO, Honest, Place, Puzzle, Server, anybody, attack, grant, program,
                    report_span, start, verdict)
from wire import Gone, Tcp

# 2^28 seeds, two solutions; 2^32 seeds, twelve solutions; and the same without any.
SMALL = Puzzle(27, "b" * 101, "bytes")
SMALL_SOLUTIONS = [15562213, 128740559]
LARGE = Puzzle(29, "abcdef0123456789" * 2 + "000000000002")
EMPTY = Puzzle(100, "b" * 101, "bytes")
EMPTY_LARGE = Puzzle(100, "abcdef0123456789" * 2 + "000000000002")
EMPTY_FLOOR = 16    # zero bits of the shares in the table of a search of 2^32
SUSPECTED = 36      # expected shares without any, at which the first programs accused


def outcome(server, puzzle, seconds):
    """Lets one honest client work; then how the server ended."""
    with Honest(server):
        code = server.code(seconds)
    if code is None:
        return False, "not ended %d s after an honest client came" % seconds
    if code == 0:
        found = [re.match(r"seed +(\w+)", line) for line in server.lines]
        seeds = [f.group(1) for f in found if f]
        if seeds and puzzle.zero_bits(int(seeds[0], 16)) >= puzzle.bits:
            return True, "found in the end"
        return False, "exit 0 without a true seed"
    return False, "ended as NOTHING FOUND (exit %d)" % code


def still_done(server, wait=1.5):
    """Units that count when everybody has left, or None where the server has ended."""
    time.sleep(wait)
    if server.code() is not None:
        return None
    job = server.job()
    return job.done or 0.0 if job else None


def claim_only(server, fraction, limit, seconds, stay=False, vanish=False, index=0):
    """Sessions that each claim that part of the threshold, without a share."""
    began, claimed, sessions, kept = time.monotonic(), 0, 0, []
    idle = 0
    while (claimed < limit and len(kept) < 1000 and sessions < 3000
           and time.monotonic() - began < seconds and server.code() is None):
        try:
            link = Tcp(server.address, anybody(index + sessions % 5000), timeout=5)
            link.hello("hit-%d" % sessions)
            lease = grant(link, 0.5)
            sessions += 1
            if lease is None:
                link.close()
                idle += 1
                if idle > 3:
                    break
                continue
            idle = 0
            units = lease.length
            if lease.share_bits is not None:
                units = min(units, int(fraction * SUSPECTED * 2 ** lease.share_bits))
            units = max(1, units)
            link.progress(lease, units, True)
            claimed += units
            if stay:
                kept.append(link)
                continue
            if not vanish:
                link.call("goodbye", {})
            link.close()
        except Gone:
            idle += 1
            if idle > 20:
                break
        except OSError:
            idle += 1
            time.sleep(0.05)
            if idle > 20:
                break
    return claimed, sessions, time.monotonic() - began, kept


def hit_and_run(puzzle, fraction, honest_seconds, **how):
    with Server(*puzzle.arguments()) as server:
        claimed, sessions, took, kept = claim_only(server, fraction, 1.5 * puzzle.space, 6, **how)
        if how.get("stay"):
            time.sleep(0.5)
        code = server.code(0.5)
        if code is not None:
            for link in kept:
                link.close()
            return False, "%3.0f%%: %d sessions in %.2f s ended it as NOTHING FOUND (exit %d)" % (
                100 * fraction, sessions, took, code)
        done = still_done(server, 0.5) or 0
        good, text = outcome(server, puzzle, honest_seconds)
        for link in kept:
            link.close()
        return good, "%3.0f%%: %d sessions, %.1f x space claimed, %.0f%% of it counted, %s" % (
            100 * fraction, sessions, claimed / puzzle.space, 100 * done / puzzle.space, text)


def sweep(fractions, **how):
    results = [hit_and_run(SMALL, f, 45, **how) for f in fractions]
    return verdict(all(good for good, _ in results), "; ".join(text for _, text in results))


@attack("evidence.hit-and-run", "never ends as 'nothing found' while solutions exist", quick=True)
def hit_and_run_quick():
    return sweep((0.94,))


@attack("evidence.hit-and-run-fractions", "the same at every fraction of the threshold")
def hit_and_run_fractions():
    return sweep((0.1, 0.25, 0.5, 0.75, 0.9, 0.95))


@attack("evidence.hit-and-vanish", "the same for clients that hang up without goodbye")
def hit_and_vanish():
    return sweep((0.25, 0.94), vanish=True)


@attack("evidence.hit-and-run-2^32", "the issue's case: 2^32 seeds that hold 12 solutions")
def hit_and_run_large():
    good, text = hit_and_run(LARGE, 0.944, 60)
    return verdict(good, text)


@attack("evidence.stay", "claims without shares, and the clients stay", quick=True)
def stay():
    return sweep((0.94,), stay=True)


@attack("evidence.stay-fractions", "the same at other fractions")
def stay_fractions():
    return sweep((0.1, 0.5), stay=True)


@attack("evidence.first-lease", "a first lease does not grow with the rate a client names: "
        "at most 4 x, and at most 2^28 units", quick=True)
def first_lease():
    sizes = []
    for hint in (0, 10 ** 6, 10 ** 9, 10 ** 15):
        with Server("--min-clients", "1", "--bits", "100", "--seeds", "counting", "ABCDEF") as server:
            link = Tcp(server.address, anybody())
            link.hello("hint", hint)
            sizes.append(grant(link).length)
            link.close()
    return verdict(max(sizes) <= 4 * sizes[0] and max(sizes) <= 1 << 28,
                   "units for hints 0, 1e6, 1e9, 1e15: " + ", ".join("%.3g" % s for s in sizes))


def withhold(server, honest_seconds, hostile):
    """A liar that shows no shares, beside so many hostile ones; seconds until it was found."""
    links = []
    for index in range(hostile):
        link = Tcp(server.address, anybody(10 + index))
        link.hello("hostile-%d" % index, 10 ** 15)
        lease = grant(link, 0.5)
        if lease:
            bits = lease.share_bits if lease.share_bits is not None else 20
            link.progress(lease, min(lease.length, int(0.8 * SUSPECTED * 2 ** bits)), True)
        links.append(link)
    liar = Tcp(server.address, anybody(5))
    liar.hello("liar")
    lease = grant(liar, 0.5)
    liar.progress(lease, min(lease.length, int(0.8 * SUSPECTED * 2 ** lease.share_bits)), True)
    began, found = time.monotonic(), None
    while time.monotonic() - began < honest_seconds and found is None:
        time.sleep(0.25)
        try:
            liar.call("heartbeat", {})
            for index, link in enumerate(links):
                try:
                    if index % 8 == int(time.monotonic()) % 8:
                        link.call("heartbeat", {})
                except Gone:
                    pass
        except Gone:
            found = time.monotonic() - began
            break
        row = [r for r in server.clients() if r.name == "liar"]
        if not row or row[0].standing != "good" or not row[0].done:
            found = time.monotonic() - began
    for link in links + [liar]:
        link.close()
    return found


@attack("evidence.audit-places", "64 hostile clients do not keep a liar that shows no shares "
        "from being found within 30 s")
def audit_places():
    figures = []
    for hostile in (0, 64):
        with Server("--min-clients", "1", "--bits", "100", "--seeds", "counting", "ABCDEF") as server:
            with Honest(server):
                time.sleep(1)
                figures.append(withhold(server, 30, hostile))
    texts = ["found after %.1f s" % f if f is not None else "not found in 30 s" for f in figures]
    return verdict(figures[1] is not None, "alone %s, beside 64 hostile ones %s" % tuple(texts))


def partial(puzzle, server, lie, sessions, leases, evade=(), most=None):
    """Sessions that search the first part of each lease and claim all of it, at most `most` units
    a lease. A lease with units of `evade` in it is searched from its end instead, so that the lie
    covers them if it can. Returns the spans searched, the spans lied, and how many were refused."""
    true, false, refused = [], [], 0
    for number in range(sessions):
        if server.code() is not None:
            break
        try:
            link = Tcp(server.address, anybody(number), timeout=5)
            link.hello("partial-%d" % number)
            for _ in range(leases):
                lease = grant(link, 0.5)
                if lease is None:
                    break
                end_at = min(lease.end, lease.start + (most or lease.length))
                size = int(round((1 - lie) * (end_at - lease.start)))
                first, last = lease.start, lease.start + size
                if lie > 0 and any(first <= u < last for u in evade):
                    first, last = end_at - size, end_at
                    if any(first <= u < last for u in evade):
                        last = first
                shares = puzzle.shares(lease.share_bits, first, last)
                hits = puzzle.shares(puzzle.bits, first, last)
                report_span(link, lease, end_at, shares, hits, True)
                true.append((first, last))
                false += [(lease.start, first), (last, end_at)]
            link.call("goodbye", {})
            link.close()
        except (Gone, OSError):
            refused += 1
    return true, [(a, b) for a, b in false if b > a], refused


def length(spans):
    return sum(b - a for a, b in merged(spans))


def merged(spans):
    out = []
    for a, b in sorted(spans):
        if out and a <= out[-1][1]:
            out[-1][1] = max(b, out[-1][1])
        else:
            out.append([a, b])
    return out


def without(spans, others):
    """What of the spans is in none of the others."""
    others, out, at = merged(others), [], 0
    for a, b in merged(spans):
        while at < len(others) and others[at][1] <= a:
            at += 1
        i = at
        while a < b and i < len(others) and others[i][0] < b:
            if others[i][0] > a:
                out.append((a, others[i][0]))
            a = max(a, others[i][1])
            i += 1
        if a < b:
            out.append((a, b))
    return out


def search_the_rest(server, puzzle, seconds):
    """Two honest clients of boundless speed, turn about, until the search ends. Returns the spans
    that they searched: all others counted on the word of those who were here before."""
    links, searched, began = [], [], time.monotonic()
    idle = 0
    try:
        for number in range(2):
            links.append(Tcp(server.address, anybody(4000 + number), timeout=5))
            links[-1].hello("rest-%d" % number)
        while server.code() is None and time.monotonic() - began < seconds and idle < seconds * 2:
            for link in links:
                lease = grant(link, 0.1)
                if lease is None:
                    idle += 1
                    continue
                idle = 0
                shares = puzzle.shares(lease.share_bits, lease.start, lease.end)
                report_span(link, lease, lease.end, shares, (), True)
                searched.append((lease.start, lease.end))
    except (Gone, OSError):
        pass
    for link in links:
        link.close()
    ended = server.code(8) is not None
    return searched, ended


def kept_part(lie, sessions=200, leases=1):
    """The part of the falsely claimed units that nobody searched before the search ended."""
    puzzle = (EMPTY if Place.quick else EMPTY_LARGE).prepare(12 if Place.quick else EMPTY_FLOOR)
    with Server(*puzzle.arguments()) as server:
        true, false, refused = partial(puzzle, server, lie, sessions, leases, (),
                                       puzzle.space // (sessions * leases * 3 // 2))
        done = still_done(server, 0.5)
        searched, ended = ([], True) if done is None else search_the_rest(server, puzzle, 25)
        # What one client lied about another may have searched in truth.
        lies = without(false, true)
        kept = length(without(lies, searched)) / length(lies) if lies else 0.0
        return kept, "%.0f%%: %.3g units falsely claimed in %d sessions (%d refused), %.0f%% of " \
            "them counted for ever%s" % (100 * lie, length(lies), sessions, refused, 100 * kept,
                                         "" if ended else " (not yet ended: an upper bound)")


@attack("evidence.sybils-half-and-more", "200 sessions that claim twice what they searched, or "
        "more: at most 5 % of the false units are never searched", quick=True)
def sybils_large():
    results = [kept_part(lie) for lie in ((0.5, 1.0) if Place.quick else (0.5, 0.8, 1.0))]
    return verdict(max(k for k, _ in results) <= 0.05, "; ".join(t for _, t in results))


@attack("evidence.sybils-a-little", "200 sessions that lie a little: less than half of the false "
        "units are never searched (20 %); 5 % and 10 % are reported")
def sybils_small():
    results = [kept_part(lie) for lie in (0.05, 0.1, 0.2)]
    return verdict(results[2][0] < 0.5, "; ".join(t for _, t in results))


@attack("evidence.sybils-long", "50 sessions of 4 leases, half of it false: at most 5 % counts")
def sybils_long():
    kept, text = kept_part(0.5, 50, 4)
    return verdict(kept <= 0.05, text)


@attack("evidence.sybils-solution", "200 sessions that skip just the solutions, half or more of "
        "each lease; then an honest client: found in the end")
def sybils_solution():
    SMALL.prepare(14)
    texts, good = [], True
    for lie in (0.5, 0.8, 1.0):
        with Server(*SMALL.arguments()) as server:
            _, _, refused = partial(SMALL, server, lie, 200, 1, SMALL_SOLUTIONS)
            code = server.code(0.5)
            if code is not None:
                fine, text = False, "ended as NOTHING FOUND (exit %d)" % code
            else:
                fine, text = outcome(server, SMALL, 45)
            good &= fine
            texts.append("%.0f%%: %s" % (100 * lie, text))
    return verdict(good, "; ".join(texts))


@attack("evidence.honest-sessions", "100 short honest sessions and one in small steps: nobody "
        "accused, nothing lost", quick=True)
def honest_sessions():
    puzzle = (EMPTY if Place.quick else EMPTY_LARGE).prepare(12 if Place.quick else EMPTY_FLOOR)
    with Server(*puzzle.arguments()) as server:
        true, _, refused = partial(puzzle, server, 0.0, 100, 1, (), puzzle.space // 200)
        true = length(true)
        done = still_done(server)
        link = Tcp(server.address, anybody(3000))
        link.hello("small steps")
        lease, steps = grant(link), 0
        try:
            while lease.at < lease.end and not lease.over and steps < 60:
                stop = min(lease.end, lease.at + max(1, lease.length // 50))
                report_span(link, lease, stop,
                            puzzle.shares(lease.share_bits, lease.at, stop))
                steps += 1
        except Gone:
            refused += 1
        accused = [r for r in server.clients() if r.standing != "good"]
        return verdict(refused == 0 and not accused,
                       "%d refused, %d accused%s; %.0f%% of the work of clients that left counts"
                       % (refused, len(accused),
                          " (%s)" % accused[0].standing if accused else "",
                          100 * done / true if true else 0))


def tricks(puzzle, lease, foreign):
    """Ways to show shares that are not one's own: (name, distances from the start)."""
    own = [u - lease.start for u in puzzle.shares(lease.share_bits, lease.start, lease.end)]
    one = (own or [0])[:1]
    beyond = [u - lease.start for u in foreign if u >= lease.end]
    before = [(u - lease.start) % (1 << 64) for u in foreign if u < lease.start]
    return {"one share 60 times": one * 60,
            "two shares, turn about": (own[:2] or [0]) * 30,
            "another's, beyond the end": beyond[:60],
            "another's, before the start": before[:60],
            "no shares at all": list(range(0, lease.length, max(1, lease.length // 60)))[:60]}


@attack("evidence.shares-of-others", "shares sent twice, taken from elsewhere or made up prove "
        "nothing: at most 1 % of such claims counts", quick=True)
def shares_of_others():
    EMPTY.prepare(12)
    texts, worst = [], 0.0
    for name in ("one share 60 times", "two shares, turn about", "another's, beyond the end",
                 "another's, before the start", "no shares at all", "resent"):
        with Server(*EMPTY.arguments()) as server:
            # Spans whose shares are there to be taken.
            claimed = 0
            for number in range(12):
                try:
                    link = Tcp(server.address, anybody(number))
                    link.hello("trick-%d" % number)
                    lease = grant(link)
                    if name == "resent":
                        # The same bit of work again and again, then a large claim.
                        shares = [u - lease.start for u in EMPTY.shares(
                            lease.share_bits, lease.start, lease.start + lease.length // 8)]
                        began = lease.at
                        for _ in range(8):
                            lease.at = began
                            link.progress(lease, lease.length // 8, False, (), shares[:60])
                        left = lease.end - lease.at
                        link.progress(lease, left, True)
                        claimed += left
                    else:
                        foreign = EMPTY.shares(lease.share_bits, 0, EMPTY.space) \
                            if lease.share_bits >= 12 else EMPTY.known
                        shares = tricks(EMPTY, lease, foreign)[name]
                        link.progress(lease, lease.length, True, (), shares)
                        claimed += lease.length
                    link.call("goodbye", {})
                    link.close()
                except (Gone, OSError):
                    pass
            done = still_done(server, 1.0)
            true = 0
            part = min(1.0, (done - true) / claimed) if claimed and done is not None else \
                1.0 if done is None else 0.0
            if name == "resent":
                # An eighth of each lease was searched in truth.
                part = max(0.0, (done - claimed / 7) / claimed) if claimed else 0.0
            worst = max(worst, part)
            texts.append("%s %.0f%%" % (name, 100 * part))
    return verdict(worst <= 0.01, "; ".join(texts))


@attack("evidence.share-is-hit", "a solution sent as a mere share is not lost", quick=True)
def share_is_hit():
    SMALL.prepare(14)
    with Server(*SMALL.arguments()) as server:
        link = Tcp(server.address, anybody())
        link.hello("shy")
        try:
            while server.code() is None:
                lease = grant(link, 1)
                if lease is None:
                    break
                report_span(link, lease, lease.end,
                            SMALL.shares(lease.share_bits, lease.start, lease.end), (), True)
        except (Gone, OSError):
            pass
        link.close()
        code = server.code(1)
        if code is None:
            good, text = outcome(server, SMALL, 45)
            return verdict(good, "not seen at once; then " + text)
        return verdict(code == 0, "exit code %d" % code)


@attack("evidence.withheld-hits", "(reported only: who searches everything and keeps the "
        "solutions back can be found by audits alone)")
def withheld_hits():
    SMALL.prepare(14)
    texts = []
    for stays in (False, True):
        with Server(*SMALL.arguments()) as server:
            link = Tcp(server.address, anybody())
            link.hello("withholds")
            try:
                while server.code() is None:
                    lease = grant(link, 1)
                    if lease is None:
                        break
                    shares = [u for u in SMALL.shares(lease.share_bits, lease.start, lease.end)
                              if u not in SMALL_SOLUTIONS]
                    report_span(link, lease, lease.end, shares, (), True)
                if not stays:
                    link.call("goodbye", {})
            except (Gone, OSError):
                pass
            code = server.code(1)
            text = "exit code %d" % code if code is not None else outcome(server, SMALL, 45)[1]
            link.close()
            texts.append(("stays: " if stays else "leaves: ") + text)
    return INFO, "; ".join(texts)


@attack("evidence.false-sums", "false sums of squares do not change a result", quick=True)
def false_sums():
    last = 3 * 10 ** 9
    truth = last * (last + 1) * (2 * last + 1) // 6
    with Server("--serve") as server:
        job = start([program("seedrush"), "submit", "--to", "127.0.0.1:%d" % server.port, "--json",
                     "sum-of-squares", "1", str(last)], stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, text=True)
        time.sleep(0.7)
        claimed = 0
        for number in range(40):
            try:
                link = Tcp(server.address, anybody(number))
                link.hello("sum-%d" % number)
                lease = grant(link, 0.5)
                if lease is None:
                    break
                units = min(lease.length, last // 20)
                link.progress(lease, units, True, (), (), (12345).to_bytes(32, "big"))
                claimed += units
                link.call("goodbye", {})
                link.close()
            except (Gone, OSError):
                pass
        with Honest(server):
            try:
                text = job.communicate(timeout=45)[0]
            except subprocess.TimeoutExpired:
                return FAIL, "no result 45 s after an honest client came"
        return verdict(str(truth) in text, "%.0f%% claimed falsely; the result is %s" % (
            100 * claimed / last, "right" if str(truth) in text else "WRONG: " + text.strip()[-160:]))
