# SPDX-License-Identifier: Apache-2.0
"""What a tool may use, and what it is given: limits end it or answer it, and each is told.

Time and memory end a run; output is hashed to its end and stored up to its limit; exit codes and signals
are told apart; what the manifest gives (arguments, stdin, inputs, environment) arrives as it was signed,
and nothing else does."""

import base64
import concurrent.futures
import hashlib
import json
import time

from support import tokens

MIB = 1024 * 1024
INLINE = 32 * 1024
STORED = 4 * MIB


def setup(world):
    world.start_all(worker={"memory_max_mib": 128, "timeout_max": 5, "tmp_max_mib": 16})
    world.tool()
    world.tool("env", env_allowed=["CASE", "LEVEL"])
    world.signer()


def run_all(world, orders):
    """The (execution, data) of jobs run beside each other, by the names they have."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ran = {name: pool.submit(world.run, *args, **more) for name, (args, more) in orders.items()}
        return {name: job.result() for name, job in ran.items()}


def ended(job, state, exit_code=None, signal=None, hits=()):
    """How it ended, said alike by the execution and by its event."""
    execution, data = job
    for said in job:
        assert (said["state"], said["exit_code"], said["signal"]) == (state, exit_code, signal), said
    assert data["status"] == ("success" if state == "succeeded" else "failed"), data
    assert data["limits_hit"] == list(hits), data
    assert data["reason"] == execution["reason"], data
    return execution, data


def streams(world, job, **expected):
    """Each stream's numbers and hashes, against its bytes."""
    execution, data = job
    for stream, whole in expected.items():
        stored = world.stdout(execution["id"], stream)
        assert stored == whole[:STORED], f"{stream}: {len(stored)} bytes of {len(whole)}"
        assert data[f"{stream}_bytes"] == len(whole) == execution[f"{stream}_bytes"], data[f"{stream}_bytes"]
        assert data[f"{stream}_sha256"] == tokens.sha256(whole)
        assert data[f"{stream}_stored_bytes"] == len(stored)
        assert data[f"{stream}_stored_sha256"] == tokens.sha256(stored)


def test_exit_codes_are_told(world):
    codes = (0, 1, 2, 126, 137, 255)
    jobs = run_all(world, {code: (("print", "so", "exit", str(code)), {}) for code in codes})
    for code, job in jobs.items():
        ended(job, "succeeded" if code == 0 else "failed", exit_code=code)
        streams(world, job, stdout=b"so\n", stderr=b"")


def test_signals_are_no_exit_codes(world):
    """128 + N is what a shell says; here a signal is a signal."""
    jobs = run_all(world, {number: (("error", "so", "raise", str(number)), {}) for number in (6, 9, 11, 15)})
    for number, job in jobs.items():
        ended(job, "failed", signal=number)
        streams(world, job, stdout=b"", stderr=b"so\n")


def test_time_ends_a_run(world):
    jobs = run_all(world, {"asleep": (("print", "before", "sleep", "60"), {"timeout_seconds": 1}),
                           "busy": (("print", "before", "spin", "60"), {"timeout_seconds": 2})})
    for (_, job), seconds in zip(sorted(jobs.items()), (1, 2)):
        _, data = ended(job, "timed_out", hits=["timeout_seconds"])
        assert data["execution_metadata"]["limits"]["timeout_seconds"] == seconds
        assert 1000 * seconds <= data["execution_metadata"]["usage"]["wall_ms"] < 1000 * seconds + 15000, data
        streams(world, job, stdout=b"before\n", stderr=b"")


def test_the_host_caps_what_is_asked(world):
    """timeout_seconds 3600 is asked, 5 is the most here."""
    started = time.monotonic()
    job = world.run("sleep", "600", timeout_seconds=3600, limits={"memory_mib": 100000, "tmp_mib": 5000})
    assert time.monotonic() - started < 60
    _, data = ended(job, "timed_out", hits=["timeout_seconds"])
    limits = data["execution_metadata"]["limits"]
    assert (limits["timeout_seconds"], limits["memory_mib"], limits["tmp_mib"]) == (5, 128, 16), limits


def test_a_memory_bomb_ends_alone(world):
    """Its neighbour in the other slot does not feel it."""
    jobs = run_all(world, {"bomb": (("touch", "4096"), {"limits": {"memory_mib": 32}}),
                           "quiet": (("touch", "8", "sleep", "1"), {"limits": {"memory_mib": 64}})})
    ended(jobs["bomb"], "out_of_memory", hits=["memory"])
    ended(jobs["quiet"], "succeeded", exit_code=0)
    streams(world, jobs["quiet"], stdout=b"touch: done\n", stderr=b"")


def test_output_is_hashed_to_its_end_and_stored_to_its_limit(world):
    whole = b"x" * (9 * MIB)
    job = world.run("flood", "9", "error", "done")
    _, data = ended(job, "succeeded", exit_code=0, hits=["stdout"])
    assert data["stdout_truncated"] is True and data["stderr_truncated"] is False
    streams(world, job, stdout=whole, stderr=b"done\n")
    assert len(data["stdout"]) <= INLINE and whole.decode().startswith(data["stdout"])
    assert data["execution_metadata"]["usage"]["output_bytes"] == len(whole) + 5


def test_an_endless_flood_ends_with_its_time(world):
    job = world.run("flood", "1000000", timeout_seconds=2)
    _, data = ended(job, "timed_out", hits=["timeout_seconds", "stdout"])
    assert data["stdout_stored_bytes"] == STORED and data["stdout_bytes"] > STORED
    assert data["stdout_stored_sha256"] == tokens.sha256(b"x" * STORED)


def test_files_are_bounded(world):
    """/tmp answers ENOSPC, the root EROFS; neither ends the run."""
    execution, _ = world.run("fill", "/tmp/full", "64", "write", "/tmp2", "write", "/run/x", limits={"tmp_mib": 4})
    assert (execution["state"], execution["exit_code"]) == ("succeeded", 0), execution
    said = world.stdout(execution["id"]).decode().splitlines()
    assert said[0] == "fill: ENOSPC" and [line.split(": ")[0] for line in said[1:]] == ["/tmp2", "/run/x"], said
    assert all(line.split(": ")[1] in ("EROFS", "EACCES") for line in said[1:]), said


def test_there_is_no_network(world):
    """Not even to what listens on this host's loopback."""
    job = world.run("connect", str(world.daemons["api"].port), "connect", str(world.daemons["worker"].ops_port))
    ended(job, "succeeded", exit_code=0)
    streams(world, job, stdout=b"connect: ECONNREFUSED\n" * 2, stderr=b"")


def test_output_that_is_no_text(world):
    """Every byte value once: base64 in the event, the very bytes by the API."""
    job = world.run("bytes")
    whole = bytes(range(256))
    _, data = ended(job, "succeeded", exit_code=0)
    assert "stdout" not in data and base64.b64decode(data["stdout_base64"], validate=True) == whole
    assert data["stderr"] == ""
    streams(world, job, stdout=whole, stderr=b"")


def test_text_is_cut_at_a_character(world):
    """Inline at most 32 KiB; a character of two bytes that would be cut is left out."""
    text = "a" + "é" * INLINE
    digest = world.input(text.encode())
    job = world.run("cat", "/in/text", inputs=[{"name": "text", "sha256": digest}])
    _, data = ended(job, "succeeded", exit_code=0)
    inline = data["stdout"]
    assert text.startswith(inline) and INLINE - 2 < len(inline.encode()) <= INLINE, len(inline.encode())
    assert data["stdout_truncated"] is False  # it is stored whole
    streams(world, job, stdout=text.encode(), stderr=b"")


def test_stdin_arrives_as_it_was_signed(world):
    for text in ("", "one line\n", "\x01 \U0001f600 é\n" * 1000):
        job = world.run("cat", "-", stdin=text)
        ended(job, "succeeded", exit_code=0)
        streams(world, job, stdout=text.encode(), stderr=b"")
    ended(world.run("cat", "-"), "succeeded", exit_code=0)


def test_arguments_are_words_not_a_command(world):
    """Nothing expands, splits or interprets them."""
    odd = ["args", "print", "$(id); `id` | x > y \"'\\ *", "print", "", "print", "--", "print", "two\nlines\té"]
    job = world.run(*odd)
    _, data = ended(job, "succeeded", exit_code=0)
    assert data["argv"][1:] == odd, data["argv"]
    printed = [odd[2], "", "--", odd[8]]
    streams(world, job, stdout="".join(word + "\n" for word in [*data["argv"], *printed]).encode(), stderr=b"")


def test_inputs_are_there_and_nothing_else(world):
    """Several, one of them empty, one large; read-only, and not to be executed."""
    data = {"small.txt": b"small", "empty": b"", "large.bin": hashlib.shake_256(b"seed").digest(3 * MIB)}
    inputs = [{"name": name, "sha256": world.input(value)} for name, value in data.items()]
    program = world.input(world.ground.tool)
    job = world.run("cat", "/in/small.txt", "cat", "/in/empty", "cat", "/in/large.bin", inputs=inputs)
    ended(job, "succeeded", exit_code=0)
    streams(world, job, stdout=b"".join(data.values()), stderr=b"")
    job = world.run("write", "/in/small.txt", "write", "/in/new", "cat", "/in/other", "exec", "/in/program",
                    inputs=[inputs[0], {"name": "program", "sha256": program}])
    ended(job, "succeeded", exit_code=0)
    said = world.stdout(job[0]["id"]).decode().splitlines()
    assert [line.split(": ")[0] for line in said] == ["/in/small.txt", "/in/new", "/in/other", "/in/program"]
    assert said[2].endswith("ENOENT") and said[3].endswith("EACCES"), said
    assert all(line.split(": ")[1] in ("EROFS", "EACCES") for line in said[:2]), said


def test_an_input_that_is_not_stored_is_refused(world):
    missing = [{"name": "x", "sha256": tokens.sha256(b"never stored")}]
    world.submit(world.token("cat", "/in/x", inputs=missing)).refused(422, "input_unknown")
    for name in ("..", ".", "", "a/b", "/etc/passwd", "a\0b", "x" * 129):
        given = [{"name": name, "sha256": world.input(b"small")}]
        world.submit(world.token("print", "never", inputs=given)).refused(422, "manifest_invalid")
    twice = [{"name": "x", "sha256": world.input(b"small")}] * 2
    world.submit(world.token("print", "never", inputs=twice)).refused(422, "manifest_invalid")
    world.queue_is_empty()


def test_the_environment_is_what_the_descriptor_allows(world):
    tool = world.tool("env")
    job = world.run("env", "CASE", "env", "LEVEL", "env", "SALLYPORT_DATABASE", "env", "PATH", tool=tool,
                    env={"CASE": "a=b c\té", "LEVEL": ""})
    ended(job, "succeeded", exit_code=0)
    said = world.stdout(job[0]["id"]).decode().splitlines()
    assert said[:3] == ["CASE=a=b c\té", "LEVEL=", "SALLYPORT_DATABASE=(none)"], said
    assert said[3] == "PATH=/usr/bin:/bin", said


def test_the_whole_manifest_is_there_to_read(world):
    """Names in `parameters` that are not ours are the tool's, who finds the very bytes that were signed."""
    order = world.order("cat", "/run/sallyport/manifest.json", depth=3, rules=["a", "b"])
    order["note"] = "a member nobody knows"
    body = json.dumps(order, indent=1).encode()  # not as we would write it
    execution = world.ended(world.submit(tokens.sign(body, world.signer())).expect(202).json["id"])
    assert execution["state"] == "succeeded" and world.stdout(execution["id"]) == body
    assert execution["manifest_sha256"] == tokens.sha256(body)


def test_limits_that_make_no_sense_are_refused(world):
    for parameters in ({"timeout_seconds": 0}, {"timeout_seconds": -1}, {"timeout_seconds": "5"}, {"timeout_seconds": 1.5},
                       {"limits": {"memory_mib": 0}}, {"limits": {"memory": 5}}, {"limits": []}, {"args": "print"},
                       {"args": ["print", 7]}, {"stdin": 7}, {"env": []}, {"env": {"CASE": 7}}, {"inputs": {}},
                       {"args": ["print", "a\0b"]}, {"timeout_seconds": 10 ** 30}):
        world.submit(tokens.sign(tokens.manifest(world.tool(), "acme", parameters), world.signer())).refused(422, "manifest_invalid")
    world.queue_is_empty()


def test_nothing_runs_as_root(world):
    job = world.run("whoami")
    ended(job, "succeeded", exit_code=0)
    said = world.stdout(job[0]["id"]).decode()
    assert said.startswith("uid 65534 gid 65534\n"), said
    for line in said.splitlines()[1:]:
        name, value = line.split(":")
        assert int(value.strip(), 16) == 0 or name in ("CapBnd", "NoNewPrivs"), said


def test_a_full_tmp_is_listed(world):
    """DESIGN.md section 9: what is answered, not ended, is listed in `limits_hit` all the same."""
    job = world.run("fill", "/tmp/full", "64", limits={"tmp_mib": 4})
    ended(job, "succeeded", exit_code=0, hits=["tmp"])
