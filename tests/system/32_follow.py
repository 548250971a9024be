# SPDX-License-Identifier: Apache-2.0
"""What a tool writes can be read while it runs: at once, from any place on, by whoever may, and at no cost to others.

The tool goes on where the test lets it: by a signal through the runtime."""

import hashlib
import http.client
import subprocess
import time

from support import daemons, host, sse, wait
from support.world import TENANT

OTHER = "globex"
SOON = 60  # a busy machine; what is waited for takes a fraction of a second on an idle one
LEASE_MS = 2000
STORED_MAX = 4 * 1024 * 1024


def setup(world):
    world.start_all(worker={"slots": 4, "lease_ms": LEASE_MS})
    world.tool()
    world.signer()
    for caller in ("submitter", "viewer"):
        world.caller(caller)


class Run:
    """A job of these steps; at each `await` it waits for go_on(), which is for one that has said something."""

    def __init__(self, world, *steps, started=True, **how):
        self.world = world
        self.id = world.accept(*steps, **how)
        self.path = f"/v1/executions/{self.id}/stdout"
        if started:
            world.in_state(self.id, "running", seconds=SOON)

    def go_on(self, worker="worker"):
        found = [(pid, line) for pid, line in host.processes_naming(self.world.state_dir(worker) + "/run")
                 if self.id in line and " run " in line]
        assert len(found) == 1, found
        root = next(word for word in found[0][1].split() if word.startswith("--root="))
        done = subprocess.run(["nsenter", "-t", str(found[0][0]), "-m", "-n", "-i", "-u", "-p", "/usr/bin/runsc", root,
                        "kill", self.id, "USR1"], timeout=60, capture_output=True, check=False)
        assert done.returncode in (0, -9), done  # killed: the run has ended, and with it all in its PID namespace

    def follow(self, caller="viewer", stream="stdout", tenant=TENANT, **how):
        return sse.Stream(self.world.caller(caller, tenant), f"/v1/executions/{self.id}/{stream}", **how)


def stored(world, execution_id, stream="stdout"):
    """What the database has, chunk by chunk, as readers put it together."""
    rows = world.db.sql("SELECT n, octet_length(data) FROM execution_output"
                        f" WHERE execution_id = '{execution_id}' AND stream = '{stream}' ORDER BY n")
    end = 0
    for at, size in rows:
        assert int(at) == end, rows
        end += int(size)
    return end


def agrees(world, run, stream):
    """What was followed is what is stored, and what the finished event says."""
    data = world.finished(run.id)["data"]
    name = "stderr" if "stderr" in stream.path else "stdout"
    assert stream.end["state"] == data["state"], (stream.end, data["state"])
    assert stream.end[f"{name}_bytes"] == data[f"{name}_bytes"] and stream.end["stored_bytes"] == data[f"{name}_stored_bytes"]
    assert stream.end["truncated"] == data[f"{name}_truncated"]
    kept = world.stdout(run.id, name)
    assert len(kept) == stored(world, run.id, name) == data[f"{name}_stored_bytes"]
    assert "sha256:" + hashlib.sha256(kept).hexdigest() == data[f"{name}_stored_sha256"], "the stored bytes are not those of the event"
    stream.whole()


def test_step_by_step(world):
    run = Run(world, "print", "one", "await", "print", "two", "error", "oops", "await", "print", "three")
    with run.follow() as out, run.follow(stream="stderr") as err:
        out.until(b"one\n")
        assert out.output == b"one\n" and out.end is None
        run.go_on()
        out.until(b"two\n")
        err.until(b"oops\n")
        assert world.execution(run.id)["state"] == "running" and stored(world, run.id) == 8
        run.go_on()
        assert out.rest() == b"one\ntwo\nthree\n" and err.rest() == b"oops\n"
        assert out.end == {"state": "succeeded", "stdout_bytes": 14, "stored_bytes": 14, "truncated": False}, out.end
        agrees(world, run, out)
        agrees(world, run, err)
        assert out.answer.headers["Cache-Control"] == "no-store"


def test_how_soon(world):
    """Printed, and asserted generously: the machine may be busy."""
    count = 20
    run = Run(world, "print", "ready", *["await", "clock"] * count)
    times = []
    with run.follow() as out:
        out.until(b"ready\n")
        for _ in range(count):
            run.go_on()
            written = int(out.next().bytes)
            times.append(1000 * time.time() - written)
        out.rest()
    times.sort()
    run = Run(world, "clock", "await")
    asked = 1000 * time.time()
    with run.follow() as out:
        written = int(out.next().bytes)
        first = 1000 * time.time() - max(asked, written)
        run.go_on()
        out.rest()
    print(f"       written to read: median {times[count // 2]:.0f} ms, worst {times[-1]:.0f} ms; asked to first byte: {first:.0f} ms",
          flush=True)
    assert times[count // 2] < 5000 and first < 10000


def test_resumed_from_any_place(world):
    """By `offset`, or as an event source does; what comes is exactly the rest."""
    run = Run(world, "bytes", "print", "märchen", "await", "print", "end")
    with run.follow() as out:
        out.until("märchen\n".encode())
        run.go_on()
        whole = out.rest()
    assert whole == bytes(range(256)) + "märchen\nend\n".encode()
    for at in (0, 1, 255, 256, 258, len(whole) - 1, len(whole)):
        for how in ({"offset": at}, {"headers": {"Last-Event-ID": str(at)}}, {"offset": 0, "headers": {"Last-Event-ID": str(at)}}):
            with run.follow(**how) as again:
                assert again.rest() == whole[at:] and again.end["stored_bytes"] == len(whole), (at, how)
                again.whole()
    with run.follow(offset=2147483647) as beyond:
        assert beyond.rest() == b"" and beyond.end["state"] == "succeeded"
    agrees(world, run, again)


def test_what_is_asked_wrongly(world):
    run = Run(world, "print", "x", started=False)
    world.ended(run.id)
    viewer = world.caller("viewer")
    for query in ("follow=yes", "follow=", "offset=1", "follow=false&offset=1", "follow=true&offset=-1", "follow=true&offset=1x",
                  "follow=true&offset=00", "follow=true&offset=2147483648", "follow=true&offset=", "follow=true&follow=true"):
        viewer.request("GET", f"{run.path}?{query}").refused(400, "malformed_request")
    viewer.request("GET", f"{run.path}?follow=true&from=1").refused(400, "unknown_parameter")
    for last in ("-1", "abc", "1 ", "9" * 400, "2147483648", "0x10", "+1", ""):
        answer = viewer.request("GET", f"{run.path}?follow=true", headers={"Last-Event-ID": last})
        assert last == "" and answer.status in (200, 400) or last == "1 " and answer.status == 200 or \
            answer.refused(400, "malformed_request"), (last, answer)
    assert viewer.request("GET", f"{run.path}?follow=false").expect(200).body == b"x\n"
    head = viewer.request("HEAD", f"{run.path}?follow=true").expect(200)
    assert head.headers["Content-Type"] == "text/event-stream"


def test_who_may(world):
    """As without `follow`; and a stream ends when its caller's key does."""
    run = Run(world, "print", "secret", "await")
    world.caller("viewer", OTHER)
    foreign = run.follow(tenant=OTHER)
    foreign.whole().refused(404, "not_found")
    world.caller("approver-1")
    run.follow("approver-1").whole().refused(403, "forbidden")
    world.stranger.request("GET", f"{run.path}?follow=true").refused(401, "not_authenticated")
    world.caller("viewer").request("GET", "/v1/executions/0190a000-0000-7000-8000-000000000000/stdout?follow=true").refused(404, "not_found")
    made = world.new_key("leaver", TENANT, "viewer").json
    leaver = world.stranger.with_key(made["key"])
    with sse.Stream(leaver, run.path) as out, run.follow() as other:
        out.until(b"secret\n")
        other.until(b"secret\n")
        world.caller("admin").delete(f"/v1/api-keys/{made['id']}").expect(204)
        started = time.monotonic()
        assert out.rest() == b"secret\n" and out.end is None and any("API key" in comment for comment in out.comments), out.raw
        print(f"       a stream ended {time.monotonic() - started:.1f} s after its key", flush=True)
        out.whole()
        run.go_on()
        assert other.rest() == b"secret\n" and other.end["state"] == "succeeded"


def test_what_waits_first(world):
    """Queued, without a worker; then it runs, and one that is cancelled ends the stream."""
    worker = world.daemons["worker"]
    worker.stop()
    run, never = Run(world, "print", "at last", started=False), Run(world, "print", "never", started=False)
    with run.follow() as out, never.follow() as none:
        world.caller("submitter").request("POST", f"/v1/executions/{never.id}/cancel").expect(202)
        worker.start().ready()
        assert out.rest() == b"at last\n" and none.rest() == b""
        assert none.end == {"state": "cancelled", "stdout_bytes": 0, "stored_bytes": 0, "truncated": False}, none.end
    agrees(world, run, out)


def resident(daemon):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))


def test_a_flood(world):
    """1 GiB: the stored part arrives, whole; nothing grows, and others are served meanwhile."""
    before = {name: resident(world.daemons[name]) for name in ("api", "worker")}
    run = Run(world, "print", "first", "flood", "1024", timeout_seconds=600)
    with run.follow() as out:
        out.until(b"first\n")
        other = Run(world, "print", "beside it", "await")
        with other.follow() as beside:
            beside.until(b"beside it\n")
            other.go_on()
            beside.rest()
        whole = out.rest()
    assert whole == b"first\n" + b"x" * (STORED_MAX - 6) and out.end["truncated"], (len(whole), out.end)
    assert out.end["stdout_bytes"] == 6 + 1024 * 1024 * 1024, out.end
    agrees(world, run, out)
    after = {name: resident(world.daemons[name]) for name in before}
    print(f"       resident before and after, MiB: {before}, {after}", flush=True)
    assert all(after[name] < before[name] + 200 for name in before), (before, after)  # with a sanitizer's shadow


def test_a_reader_that_does_not_read(world):
    """Holds up neither the tool nor others; it gets what it missed when it goes on."""
    run = Run(world, "print", "first", "await", "flood", "8", "print", "last")
    with run.follow() as slow:
        slow.until(b"first\n")
        with run.follow() as fast:
            fast.until(b"first\n")
            run.go_on()
            started = time.monotonic()
            whole = fast.rest()
            print(f"       4 MiB were followed in {time.monotonic() - started:.1f} s", flush=True)
        world.ended(run.id)
        try:
            got = slow.rest()
        except (OSError, http.client.HTTPException):  # on a busy machine it took nothing for 30 s
            got = slow.output
        if slow.end is None:
            with run.follow(headers={"Last-Event-ID": str(slow.at)}) as slow:
                got += slow.rest()
        assert got == whole and slow.end == fast.end
    with run.follow() as again:
        started = time.monotonic()
        assert again.rest() == whole
        print(f"       and read again in {time.monotonic() - started:.1f} s", flush=True)
    agrees(world, run, again)


def followers(world):
    return world.db.count("pg_stat_activity WHERE application_name = 'sallyport api followers'")


def test_many_followers(world):
    """A principal has 16 streams and no more; those that leave make room."""
    run = Run(world, "print", "here", "await")
    streams = [run.follow() for _ in range(16)]
    try:
        for stream in streams:
            stream.until(b"here\n")
        run.follow().whole().refused(429, "rate_limited")
        other = run.follow("submitter")
        other.until(b"here\n")
        for stream in streams[:8]:
            stream.connection.close()

        def room():
            with run.follow() as again:
                return again.answer.status == 200
        wait.until(SOON, "those that left are forgotten", room)
        run.go_on()
        for stream in [*streams[8:], other]:
            assert stream.rest() == b"here\n" and stream.end["state"] == "succeeded"
    finally:
        for stream in streams:
            stream.connection.close()


def test_an_api_that_is_stopped(world):
    """It tells its readers and goes; they go on at another, where they were."""
    run = Run(world, "print", "before", "await", "print", "after")
    api = world.daemons["api"]
    with run.follow() as out:
        out.until(b"before\n")
        api.stop()
        assert out.rest() == b"before\n" and out.end is None
        assert any("shutting down" in comment for comment in out.comments), out.raw
    api.start().ready()
    with run.follow(headers={"Last-Event-ID": str(out.at)}) as again:
        run.go_on()
        assert again.rest() == b"after\n"
    agrees(world, run, again)


def test_an_api_that_is_killed(world):
    """The client of ours goes on by itself."""
    run = Run(world, "print", "before", "await", "print", "after")
    program = world.ground.program("sallyport")
    env = {**daemons.environment(), "SALLYPORT_URL": f"http://127.0.0.1:{world.daemons['api'].port}",
           "SALLYPORT_API_KEY": world.caller("viewer").key}
    with subprocess.Popen([program, "exec", "logs", run.id, "--follow"], env=env, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout.readline() == "before\n"
        with run.follow() as out:
            out.until(b"before\n")
            world.daemons["api"].kill()
            try:
                out.rest()
                assert out.end is None
            except (OSError, http.client.HTTPException):
                pass
        world.daemons["api"].start().ready()
        run.go_on()
        assert client.stdout.read() == "after\n" and client.wait(SOON) == 0
    with run.follow() as out:
        out.rest()
    agrees(world, run, out)


def test_the_client(world):
    """Writes it as it is, and says by its exit code how it ended."""
    run = Run(world, "print", "out", "error", "err", "exit", "3", started=False)
    assert world.cli("exec", "logs", run.id, "--follow", caller="viewer", expect=1).stdout == "out\n"
    assert world.cli("exec", "logs", "--stderr", "--follow", run.id, caller="viewer", expect=1).stdout == "err\n"
    good = Run(world, "print", "fine", started=False)
    assert world.cli("exec", "logs", good.id, "--follow", caller="viewer").stdout == "fine\n"
    world.cli("exec", "logs", "0190a000-0000-7000-8000-000000000000", "--follow", caller="viewer", expect=3)
    assert world.stdout(run.id) == b"out\n"


def test_nobody_follows(world):
    """Then nothing is stored before the end."""
    run = Run(world, "print", "alone", "await")
    with run.follow(stream="stderr"):
        wait.until(SOON, "one stream's follower has both stored", lambda: stored(world, run.id) == 6)
    run.go_on()
    world.ended(run.id)
    quiet = Run(world, "print", "nobody asks", "await")
    other = Run(world, "print", "somebody asks", "await")
    with other.follow() as out:
        out.until(b"somebody asks\n")
        assert stored(world, quiet.id) == 0
        assert world.stdout(quiet.id) == b"" and world.stdout(other.id) == b"somebody asks\n"
        for run in (quiet, other):
            run.go_on()
        out.rest()
    world.ended(quiet.id)
    assert world.stdout(quiet.id) == b"nobody asks\n"
    agrees(world, other, out)


def test_a_worker_that_dies(world):
    """What was stored stays to be read; nobody says how it went on."""
    run = Run(world, "print", "last words", "await", "print", "never")
    with run.follow() as out:
        out.until(b"last words\n")
        world.daemons["worker"].kill()
        world.daemons["worker"].start().ready()
        assert out.rest() == b"last words\n"
    assert out.end == {"state": "lost", "stdout_bytes": None, "stored_bytes": 11, "truncated": True}, out.end
    assert world.stdout(run.id) == b"last words\n"
    execution = world.execution(run.id)
    assert execution["state"] == "lost" and execution["stdout_bytes"] == 0
    data = world.finished(run.id)["data"]
    assert data["stdout"] is None and data["stdout_stored_sha256"] is None, data
    with run.follow(offset=5) as again:
        assert again.rest() == b"words\n" and again.end == out.end


def test_the_queue_is_empty(world):
    world.queue_is_empty()
    world.ledger_is_complete()
    assert followers(world) == 1
