# SPDX-License-Identifier: Apache-2.0
"""What a tool writes can be read while it runs: at once, from any place on, by whoever may, and at no cost to others.

The tool goes on where the test lets it: by a signal through the runtime."""

import hashlib
import http.client
import os
import subprocess
import threading
import time

from support import host, sse, wait
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
        subprocess.run(["nsenter", "-t", str(found[0][0]), "-m", "-n", "-i", "-u", "-p", "/usr/bin/runsc", root,
                        "kill", self.id, "USR1"], check=True, timeout=60, capture_output=True)

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
