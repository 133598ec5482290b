"""The wire protocol of seedrush, as an outsider speaks it.

Nothing here comes from seedrush's sources: the messages are read from the published schema
(src/proto/seedrush.proto) when the module is loaded, the framing from the schema's header.
Messages are dicts from field names to values; fields that are absent read as their defaults.
"""
import os
import re
import socket
import struct
import time

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/proto/seedrush.proto")
LIMIT_UDP = 1200


def _parse(path):
    """Messages {name: {field: (number, type, repeated)}} and enums {constant: value}."""
    with open(path) as file:
        text = re.sub(r"//[^\n]*", "", file.read())
    messages, enums, stack = {}, {}, []
    token = re.compile(
        r"(message|enum|oneof)\s+(\w+)\s*\{"
        r"|(\})"
        r"|(repeated\s+|optional\s+)?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*;"
        r"|(\w+)\s*=\s*(\d+)\s*;"
    )
    for found in token.finditer(text):
        what, name, close, label, kind, field, number, constant, value = found.groups()
        if what:
            stack.append((what, name))
            if what == "message":
                messages[name] = {}
        elif close:
            stack.pop()
        elif field:
            if not stack:
                continue
            owner = [n for w, n in stack if w == "message"][-1]
            messages[owner][field] = (int(number), kind, (label or "").strip() == "repeated")
        elif constant and stack:
            enums[constant] = int(value)
    return messages, enums


MESSAGES, ENUMS = _parse(SCHEMA)
_BY_NUMBER = {m: {f[0]: (n, f[1], f[2]) for n, f in fs.items()} for m, fs in MESSAGES.items()}
_NUMBERS = ("uint32", "uint64", "bool")


class Message(dict):
    """A decoded message: absent fields read as None, false to every test."""

    def __getattr__(self, name):
        return self.get(name)


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(kind, message):
    out = []
    for field, value in message.items():
        if value is None:
            continue
        number, of, repeated = MESSAGES[kind][field]
        if repeated and of in _NUMBERS or repeated and of not in MESSAGES and of != "string":
            packed = b"".join(varint(v) for v in value)
            if packed:
                out += [varint(number << 3 | 2), varint(len(packed)), packed]
            continue
        for item in value if repeated else [value]:
            if of == "double":
                out += [varint(number << 3 | 1), struct.pack("<d", item)]
            elif of in MESSAGES or of in ("bytes", "string"):
                if of in MESSAGES:
                    item = encode(of, item)
                elif of == "string" and not isinstance(item, bytes):
                    item = item.encode()
                out += [varint(number << 3 | 2), varint(len(item)), item]
            else:  # a number, or an enum
                out += [varint(number << 3), varint(int(item))]
    return b"".join(out)


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def decode(kind, data):
    message, at = Message(), 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
        elif key & 7 == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        elif key & 7 == 2:
            length, at = _varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            raise ValueError("wire type %d" % (key & 7))
        known = _BY_NUMBER[kind].get(key >> 3)
        if not known:
            continue
        field, of, repeated = known
        if of in MESSAGES:
            value = decode(of, value)
        elif of == "string":
            value = value.decode("utf-8", "replace")
        if repeated:
            message.setdefault(field, [])
            if of in _NUMBERS and isinstance(value, bytes):
                inner = 0
                while inner < len(value):
                    one, inner = _varint(value, inner)
                    message[field].append(one)
            else:
                message[field].append(value)
        else:
            message[field] = value
    return message


def wide(value):
    return {"high": value >> 64, "low": value & (1 << 64) - 1}


def unwide(message):
    return 0 if not message else (message.high or 0) << 64 | (message.low or 0)


class Gone(Exception):
    """The server closed the connection, or did not answer in time."""


class Link:
    """What TCP and UDP have in common: requests with numbers, replies, notices."""

    def __init__(self):
        self.number = 0
        self.session = 0
        self.seen = 0
        self.notices = []

    def request(self, body, fields):
        self.number += 1
        return {"number": self.number, "session": self.session or None,
                "notices_seen": self.seen or None, body: fields}

    def take(self, reply):
        notice = reply.notice
        if notice:
            self.notices.append(notice)
            if (notice.number or 0) > self.seen:
                self.seen = notice.number
        return reply

    def over(self):
        """The jobs whose end was told, and whether the server closes."""
        jobs = {n.over.job: n.over for n in self.notices if n.over is not None}
        closing = any(n.closing is not None for n in self.notices)
        return jobs, closing

    # The requests, by name. Each returns the Reply.
    def hello(self, name="", hint=0, key=None, kinds=(1, 2), backend="test", threads=1):
        self.key = key or os.urandom(16)
        reply = self.call("hello", {
            "oldest_version": 1, "newest_version": 1, "key": self.key, "name": name,
            "backend": backend, "threads": threads, "rate_hint": hint, "kinds": list(kinds)})
        if reply.welcome is not None:
            self.session = reply.welcome.session or 0
            self.client = reply.welcome.client or 0
        return reply

    def ask(self):
        return self.call("ask", {})

    def progress(self, lease, done, finished=False, hits=(), shares=(), sum=None):
        """`lease` is a Lease: it goes on where the verdict says."""
        reply = self.call("progress", {
            "lease": lease.id, "epoch": lease.epoch, "job": lease.job, "start": wide(lease.at),
            "done": done, "finished": finished or None, "hits": list(hits),
            "shares": list(shares), "sum": sum})
        if reply.verdict is not None:
            held = reply.verdict.lease
            if held is None:
                lease.over = True
            else:
                lease.at, lease.end = unwide(held.done), unwide(held.end)
        return reply


class Lease:
    def __init__(self, grant):
        self.id, self.epoch, self.job = grant.lease or 0, grant.epoch or 0, grant.job
        self.start = self.at = unwide(grant.start)
        self.length = grant.length or 0
        self.end = self.start + self.length
        self.share_bits = grant.share_bits
        self.patience = (grant.patience_millis or 0) / 1000
        self.over = False


class Tcp(Link):
    def __init__(self, server, source=None, timeout=10.0):
        super().__init__()
        self.timeout = timeout
        self.socket = socket.create_connection(
            server, timeout, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    @staticmethod
    def frame(message):
        data = encode("Request", message)
        return struct.pack(">I", len(data)) + data

    def send(self, body, fields):
        message = self.request(body, fields)
        self.socket.settimeout(self.timeout)
        self.socket.sendall(self.frame(message))
        return message["number"]

    def receive(self, timeout=None):
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            if len(self.buffer) >= 4:
                length = struct.unpack(">I", self.buffer[:4])[0]
                if len(self.buffer) >= 4 + length:
                    data, self.buffer = self.buffer[4:4 + length], self.buffer[4 + length:]
                    return self.take(decode("Reply", data))
            self.socket.settimeout(max(0.0, until - time.monotonic()))
            try:
                more = self.socket.recv(1 << 16)
            except BlockingIOError:
                raise Gone("no answer in time")
            except socket.timeout:
                raise Gone("no answer in time")
            except OSError as error:
                raise Gone(str(error))
            if not more:
                raise Gone("closed")
            self.buffer += more

    def call(self, body, fields, timeout=None):
        try:
            number = self.send(body, fields)
        except OSError as error:
            raise Gone(str(error))
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            reply = self.receive(max(0.0, until - time.monotonic()))
            if reply.number == number:
                return reply

    def poll(self, seconds=0.0):
        """Takes what was pushed meanwhile."""
        try:
            while True:
                self.receive(seconds)
        except Gone:
            pass

    def close(self):
        self.socket.close()


class Udp(Link):
    def __init__(self, server, source=None, timeout=10.0, pad=256):
        super().__init__()
        self.timeout, self.pad, self.cookie = timeout, pad, None
        self.sent = self.got = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if source:
            self.socket.bind((source, 0))
        self.server = server    # not connected: the answer may come from another of its addresses

    def datagram(self, message):
        if self.cookie:
            message = dict(message, cookie=self.cookie)
        data = encode("Request", message)
        if len(data) + 4 < self.pad:
            data += encode("Request", {"padding": bytes(self.pad - len(data) - 3)})
        return data

    def call(self, body, fields, timeout=None):
        message = self.request(body, fields)
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        again = 0.0
        while time.monotonic() < until:
            if time.monotonic() >= again:
                data = self.datagram(message)
                self.sent += len(data)
                self.socket.sendto(data, self.server)
                again = time.monotonic() + 0.5
            self.socket.settimeout(max(0.01, again - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                continue
            except OSError as error:
                raise Gone(str(error))
            self.got += len(data)
            reply = self.take(decode("Reply", data))
            if reply.challenge is not None:
                self.cookie, again = reply.challenge.cookie, 0.0
            elif reply.number == message["number"]:
                return reply
        raise Gone("no answer in time")

    def close(self):
        self.socket.close()
