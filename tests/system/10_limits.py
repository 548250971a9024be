# SPDX-License-Identifier: Apache-2.0
"""Each way a run can end, and each limit it can meet, is told as what it was.

Exit codes and signals, time and memory, floods, bytes that are no text, standard input, arguments, inputs;
and what the sandbox keeps from the tool."""

import base64
import concurrent.futures
import hashlib
import os
import pathlib
import socket

from support import ledger, tokens

FULL = os.environ.get("SALLYPORT_TEST_FULL") == "1"
MIB = 1024 * 1024
INLINE = 32 * 1024


def setup(world):
    world.start_all(worker={"slots": 2, "timeout_max": 20})
    world.tool()
    world.signer()


def ends(world, state, *args, reason=None, exit_code=None, signal=None, hits=(), **parameters):
    """Runs it; execution and event must say this, and nothing else."""
    execution, data = world.run(*args, **parameters)
    seen = {name: execution[name] for name in ("state", "reason", "exit_code", "signal")}
    assert seen == {"state": state, "reason": reason, "exit_code": exit_code, "signal": signal}, seen
    for name, value in seen.items():
        assert data[name] == value, f"{name}: {data[name]!r} in the event"
    assert data["status"] == ("success" if state == "succeeded" else "failed"), data["status"]
    if hits is not None:
        assert sorted(data["limits_hit"]) == sorted(hits), data["limits_hit"]
    assert data["execution_fingerprint"] == ledger.fingerprint(data)
    check_streams(world, execution, data)
    return execution, data


def check_streams(world, execution, data):
    """What is stored, counted and hashed fits together."""
    for name in ("stdout", "stderr"):
        stored = world.stdout(execution["id"], name)
        assert len(stored) == data[f"{name}_stored_bytes"] and tokens.sha256(stored) == data[f"{name}_stored_sha256"], name
        assert execution[f"{name}_bytes"] == data[f"{name}_bytes"], name
        assert data[f"{name}_truncated"] == (len(stored) < data[f"{name}_bytes"]), name
        if not data[f"{name}_truncated"]:
            assert data[f"{name}_sha256"] == tokens.sha256(stored), name
        inline = data[name].encode() if name in data else base64.b64decode(data[f"{name}_base64"], validate=True)
        assert stored[:INLINE].startswith(inline) and len(inline) > min(len(stored), INLINE) - 4, name
        assert (name in data) != (f"{name}_base64" in data), name


def test_exit_codes(world):
    for code in (1, 2, 127, 255):
        ends(world, "failed", "print", "before", "exit", str(code), exit_code=code)
    ends(world, "succeeded", "exit", "0", exit_code=0)


def test_signals(world):
    for number in (6, 9, 11, 15):
        ends(world, "failed", "print", "before", "raise", str(number), signal=number)


def test_time(world):
    execution, data = ends(world, "timed_out", "print", "begun", "sleep", "600", timeout_seconds=1, hits=["timeout_seconds"])
    assert data["stdout"] == "begun\n" and 1000 <= execution["usage"]["wall_ms"] < 15000, execution["usage"]
    ends(world, "timed_out", "spin", "600", timeout_seconds=1, hits=["timeout_seconds"])
    assert data["execution_metadata"]["limits"]["timeout_seconds"] == 1


def test_the_hosts_word_is_the_last(world):
    """A manifest may ask for more than the worker gives; what was given is told."""
    _, data = ends(world, "succeeded", "print", "x", timeout_seconds=86400, exit_code=0,
                   limits={"memory_mib": 1048576, "pids": 65536, "cpu_percent": 10000, "tmp_mib": 1048576})
    limits = data["execution_metadata"]["limits"]
    assert limits["timeout_seconds"] == 20 and limits["memory_mib"] == 2048 and limits["pids"] == 512, limits
    assert limits["cpu_percent"] == 400 and limits["tmp_mib"] == 1024, limits
    _, data = ends(world, "succeeded", "print", "x", exit_code=0, limits={"memory_mib": 64})
    assert data["execution_metadata"]["limits"]["memory_mib"] == 64


def test_a_memory_bomb_ends_alone(world):
    """Its neighbour in the other slot does not feel it."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        bomb = pool.submit(ends, world, "out_of_memory", "touch", "4096", limits={"memory_mib": 64}, hits=["memory"])
        quiet = pool.submit(ends, world, "succeeded", "touch", "8", "sleep", "1", limits={"memory_mib": 64}, exit_code=0)
        bomb.result()
        assert quiet.result()[1]["stdout"] == "touch: done\n"


def test_memory(world):
    _, data = ends(world, "out_of_memory", "print", "begun", "touch", "400", limits={"memory_mib": 64}, hits=["memory"])
    assert data["stdout"] == "begun\n"
    ends(world, "succeeded", "touch", "40", limits={"memory_mib": 128}, exit_code=0)


BOUNDED = {
    "tmp": (("fill", "/tmp/x", "40", "fill", "/tmp/y", "1"), {"tmp_mib": 8}, "fill: ENOSPC\nfill: ENOSPC\n"),
    "pids": (("fork",), {"pids": 10}, "fork: EAGAIN\n9 born\n"),
    "open_files": (("open",), {}, "open: EMFILE\n"),
    "file_size": (("grow", "/tmp/x", "1100"), {"tmp_mib": 1024}, "grow: EFBIG\n"),
}


def test_what_is_bounded_is_answered(world):
    """As a system that is full; it does not end the run, and the event names the limit."""
    for name, (steps, limits, said) in BOUNDED.items():
        _, data = ends(world, "succeeded", *steps, limits=limits, exit_code=0, hits=[name])
        assert data["stdout"].startswith(said), f"{name}: {data['stdout']!r}"


def test_a_flood(world):
    """Counted and hashed to its end, stored to the limit, never held back."""
    mib = 300 if FULL else 9
    _, data = ends(world, "succeeded", "flood", str(mib), exit_code=0, hits=["stdout"], timeout_seconds=20)
    assert data["stdout_bytes"] == mib * MIB and data["stdout_truncated"] is True
    assert data["stdout_stored_bytes"] == 4 * MIB
    whole = hashlib.sha256()
    for _ in range(mib):
        whole.update(b"x" * MIB)
    assert data["stdout_sha256"] == "sha256:" + whole.hexdigest()
    assert data["stdout"] == "x" * INLINE


def test_a_flood_that_never_ends(world):
    execution, data = ends(world, "timed_out", "flood", "100000", timeout_seconds=2, hits=["stdout", "timeout_seconds"])
    assert data["stdout_bytes"] > 4 * MIB and data["stdout_stored_bytes"] == 4 * MIB
    assert execution["usage"]["output_bytes"] == data["stdout_bytes"] + data["stderr_bytes"]


def test_bytes_that_are_no_text(world):
    _, data = ends(world, "succeeded", "bytes", exit_code=0)
    assert base64.b64decode(data["stdout_base64"]) == bytes(range(256))
    _, data = ends(world, "succeeded", "print", "☂ ünïcode \t ends", "error", "to stderr", exit_code=0)
    assert data["stdout"] == "☂ ünïcode \t ends\n" and data["stderr"] == "to stderr\n"


def test_a_character_is_never_cut(world):
    """Three bytes a character, so that 32 KiB end within one."""
    text = ("☂" * 12000).encode()
    _, data = ends(world, "succeeded", "cat", "/in/x", exit_code=0, inputs=[{"name": "x", "sha256": world.input(text)}])
    assert data["stdout"] == "☂" * (INLINE // 3) and data["stdout_truncated"] is False and data["stdout_bytes"] == len(text)


def test_standard_input(world):
    text = "line one\nline ☂ two, no newline"
    _, data = ends(world, "succeeded", "cat", "-", "print", "|end", stdin=text, exit_code=0)
    assert data["stdout"] == text + "|end\n"
    _, data = ends(world, "succeeded", "cat", "-", "print", "empty", exit_code=0)
    assert data["stdout"] == "empty\n"
    _, data = ends(world, "succeeded", "cat", "-", stdin="x" * 65536, exit_code=0)
    assert data["stdout_bytes"] == 65536


def test_arguments(world):
    args = ["args", "print", "", "print", " spaced  out ", "print", "☂", "print", "'\"$`\\*?~;&|", "print", "-n", "print", "a\nb\tc"]
    _, data = ends(world, "succeeded", *args, exit_code=0)
    assert data["argv"][1:] == args and len(data["argv"][0]) > 1, data["argv"]
    printed = "\n".join(args[index + 1] for index in range(1, len(args), 2)) + "\n"
    assert data["stdout"] == "\n".join(data["argv"]) + "\n" + printed


def test_inputs(world):
    files = {"a.txt": b"first\n", "empty": b"", "b-2_.bin": hashlib.shake_256(b"seed").digest(3 * MIB)}
    inputs = [{"name": name, "sha256": world.input(data)} for name, data in files.items()]
    steps = [word for name in files for word in ("cat", f"/in/{name}")]
    execution, data = ends(world, "succeeded", *steps, inputs=inputs, exit_code=0)
    assert world.stdout(execution["id"]) == b"".join(files.values())
    assert data["stdout_sha256"] == tokens.sha256(b"".join(files.values()))
    same = world.input(b"first\n")
    _, data = ends(world, "succeeded", "cat", "/in/x", "cat", "/in/y", exit_code=0,
                   inputs=[{"name": "x", "sha256": same}, {"name": "y", "sha256": same}])
    assert data["stdout"] == "first\nfirst\n"


def test_what_the_sandbox_keeps_from_it(world):
    """Not root, no capabilities, no network but its own loopback, no file of the host."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        execution, _ = ends(world, "succeeded", "whoami", "connect", str(port), "cat", "/etc/passwd", "cat", world.master_key,
                       "cat", "/proc/1/environ", exit_code=0)
        listener.setblocking(False)
        try:
            listener.accept()
            raise AssertionError("the sandbox reached the host")
        except BlockingIOError:
            pass
    said = world.stdout(execution["id"]).replace(b"\0", b"\n").decode()
    uid = int(said.split()[1])
    assert uid != 0, said
    for line in said.splitlines():
        if line.startswith("Cap"):
            assert int(line.split()[1], 16) == 0, line
    assert "connect: ECONNREFUSED" in said and "/etc/passwd: ENOENT" in said, said
    assert f"{world.master_key}: ENOENT" in said and "SALLYPORT" not in said and "root:" not in said, said


def test_a_program_that_is_not_there(world):
    """The entrypoint was approved, and the archive has no such file."""
    data = pathlib.Path(world.ground.packed("/usr/bin/yara")).read_bytes()
    digest = world.push(data, kind="rootfs", name="nothing", entrypoint=["/usr/bin/nothing"]).expect(201).json["sha256"]
    assert world.inspected(digest)["state"] in ("pending", "rejected")
    if world.artifact(digest)["state"] == "rejected":
        return
    for approver in ("approver-1", "approver-2"):
        world.approve(digest, approver).expect(201)
    execution, data = world.run("print", "never", tool=digest)
    assert execution["state"] in ("failed", "refused") and execution["reason"], execution
    assert execution["exit_code"] is None and not data.get("stdout"), data


def test_usage_is_what_it_was(world):
    execution, data = ends(world, "succeeded", "spin", "1", "touch", "30", "print", "x", exit_code=0)
    usage = execution["usage"]
    assert usage == data["execution_metadata"]["usage"]
    assert 1000 <= usage["wall_ms"] < 20000 and usage["cpu_ms"] >= 500, usage
    assert usage["memory_peak_bytes"] >= 30 * MIB and usage["pids_peak"] >= 1 and usage["output_bytes"] == data["stdout_bytes"], usage
