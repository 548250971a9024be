#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""How long the api takes to refuse what was made to hurt it, and what that costs it in memory.

    refusals.py [requests a case]

Each case is a 4xx of its own code. Its time runs from the last byte the api needs to decide until the whole
answer is there, one request at a time; then all cases come at once on many connections, for the memory. Two
medians that should be alike close it: of a token under an unknown kid and of one with a bad signature.
Wrong answers end the bench; times are printed and judged by nobody."""

import os
import pathlib
import re
import socket
import statistics
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "system"))

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: E402
from support import host, tokens  # noqa: E402
from support.world import TENANT, Ground, World  # noqa: E402

BODY_MAX = 128 * 1024 + 1024  # what the api takes for a submission
NINE_MB = 9 * 1024 * 1024
CONNECTIONS = 16
TOOL = "sha256:" + "0" * 64  # none of these comes so far as to have it looked up
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.I)
CODE = re.compile(rb'"code":"(\w+)"')


class Rs256Key:
    """RSA with PKCS#1 v1.5, as a client might sign."""
    alg = "RS256"

    def __init__(self, kid):
        self.kid = kid
        self.private = rsa.generate_private_key(65537, 2048)

    def sign(self, data):
        return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())

    def offer(self):
        public = self.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return {"kid": self.kid, "alg": self.alg, "public_pem": public.decode()}


class Connection:
    """One kept connection, opened anew where the api has closed it."""

    def __init__(self, address, key):
        self.address, self.key, self.socket = address, key, None

    def head(self, *lines):
        return "\r\n".join(("POST /v1/executions HTTP/1.1", f"Host: {self.address[0]}:{self.address[1]}",
                            f"Authorization: Bearer {self.key}", *lines, "", "")).encode()

    def open(self):
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def ask(self, data):
        """(seconds, status, code): sends these bytes, after which the api can decide."""
        self.open()
        self.socket.sendall(data)
        sent = time.perf_counter()
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer) < answer.index(b"\r\n\r\n") + 4 + int(LENGTH.search(answer)[1]):
            piece = self.socket.recv(65536)
            assert piece, f"the connection ended after {answer[:300]!r}"
            answer += piece
        seconds = time.perf_counter() - sent
        if b"\r\nConnection: close\r\n" in answer:
            self.close()
        code = CODE.search(answer)
        return seconds, int(STATUS.match(answer)[1]), code[1].decode() if code else None

    def token(self, text, content_type="application/jose"):
        """A whole request with that body."""
        body = text if isinstance(text, bytes) else text.encode()
        return self.head(f"Content-Type: {content_type}", f"Content-Length: {len(body)}") + body


def chunked(connection, length):
    """A body of unknown length, up to the byte that is one too many."""
    return connection.head("Content-Type: application/jose", "Transfer-Encoding: chunked") + f"{NINE_MB:x}\r\n".encode() + b"a" * length


def announced(connection):
    """Nothing but the head: its Content-Length is enough."""
    return connection.head("Content-Type: application/jose", f"Content-Length: {NINE_MB}")


def cases(key):
    """name -> (what makes the bytes on a connection, status, code)."""
    order = tokens.payload(tokens.manifest(TOOL, TENANT))
    deep = b'{"a":' * 3000 + b"1" + b"}" * 3000

    def job(payload, raw_header=None):
        token = tokens.sign(payload, key, raw_header=raw_header)
        return lambda connection: connection.token(token)
    wide = tokens.payload({"alg": key.alg, "kid": key.kid, "x": "y" * 65536})
    junk = tokens.sign(order, key)
    junk += "!" * (128 * 1024 - len(junk))
    return {
        "9 MB, announced": (announced, 413, "too_large"),
        "9 MB, in chunks": (lambda connection: chunked(connection, BODY_MAX + 1), 413, "too_large"),
        "a header of 64 KiB": (job(order, wide), 400, "malformed_token"),
        "a header 3,000 deep": (job(order, deep), 400, "malformed_token"),
        "a payload 3,000 deep": (job(deep), 422, "manifest_invalid"),
        "a payload with a NUL": (job(order[:-1] + b',"x":"\0"}'), 422, "manifest_invalid"),
        "a payload with \\u0000": (job(order[:-1] + b',"x":"\\u0000"}'), 422, "manifest_invalid"),
        "a NUL behind a payload": (job(order + b"\0"), 422, "manifest_invalid"),
        "128 KiB that end in junk": (lambda connection: connection.token(junk), 400, "malformed_token"),
        "JSON 3,000 deep": (lambda connection: connection.token(deep, "application/json"), 400, "malformed_request"),
    }


def send(connection, name, case):
    make, status, code = case
    seconds, *told = connection.ask(make(connection))
    assert told == [status, code], f"{name}: expected {status} {code}, got {told}"
    return seconds


def memory(daemon):
    """(resident, most ever resident) in KiB."""
    text = pathlib.Path("/proc", str(daemon.pid), "status").read_text(encoding="utf-8")
    return tuple(int(re.search(rf"{name}:\s+(\d+)", text)[1]) for name in ("VmRSS", "VmHWM"))


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def bench_cases(world, count):
    caller, all_cases = world.caller("submitter"), cases(world.signer())
    connection = Connection(world.address, caller.key)
    print(f"{'refused':<26} {'code':<18} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}   ({count} each)")
    for name, case in all_cases.items():
        for _ in range(10):
            send(connection, name, case)
        times = [1000 * send(connection, name, case) for _ in range(count)]
        print(f"{name:<26} {case[1]} {case[2]:<14} {statistics.median(times):8.2f} {percentile(times, 0.99):8.2f} {max(times):8.2f}", flush=True)
    connection.close()


def flood(world, count):
    """All cases at once, on many connections."""
    caller, all_cases, failures = world.caller("submitter"), cases(world.signer()), []

    def work():
        try:
            connection = Connection(world.address, caller.key)
            for _ in range(count):
                for name, case in all_cases.items():
                    send(connection, name, case)
            connection.close()
        except (AssertionError, OSError) as error:
            failures.append(error)
    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def bench_alike(world, count):
    """The two in turns, so that both meet the same weather."""
    caller = world.caller("submitter")
    connection = Connection(world.address, caller.key)
    print(f"{'alike in time':<26} {'unknown kid p50':>16} {'bad signature p50':>18} {'ratio':>6}   ms, {count} each")
    for make in (tokens.Es256Key, tokens.EdDsaKey, Rs256Key, tokens.Hs256Key):
        key = world.trust(make(f"alike-{make.alg}"))
        unknown, bad = [], []
        for number in range(count + 10):
            order = tokens.manifest(TOOL, TENANT)
            strange = tokens.sign(order, key, header={"kid": f"nobody-{number}"})
            wrong = tokens.flip(tokens.sign(order, key), 2, 20)
            for token, times in ((strange, unknown), (wrong, bad)):
                case = (lambda connection, token=token: connection.token(token), 403, "signature_invalid")
                times.append(1000 * send(connection, key.alg, case))
        one, two = statistics.median(unknown[10:]), statistics.median(bad[10:])
        print(f"{key.alg:<26} {one:16.3f} {two:18.3f} {one / two:6.2f}", flush=True)
    connection.close()


def main():
    if os.geteuid() != 0:
        host.become_root()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    ground = Ground(os.environ.get("SALLYPORT_BUILD") or TOP / "build" / "release")
    world = None
    try:
        world = World(ground, "refusals")
        world.start("ledger")
        api = world.start("api", access_log="off")
        world.signer()
        world.caller("submitter")
        bench_cases(world, count)
        before = memory(api)
        flood(world, max(1, count // 20))
        after = memory(api)
        print(f"the api's memory: {before[0]} KiB before, {after[0]} KiB after {CONNECTIONS} connections, {after[1]} KiB at most", flush=True)
        bench_alike(world, count)
        complaints = world.close()
        world = None
        assert not complaints, complaints
    finally:
        if world is not None:
            world.abandon()
        ground.close()


if __name__ == "__main__":
    main()
