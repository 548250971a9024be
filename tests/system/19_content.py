# SPDX-License-Identifier: Apache-2.0
"""What is stored comes back byte for byte or not at all, and is bounded in size and time.

Artifacts are pulled and proven, inputs expire and are renewed, quotas hold before the bytes are sent, and an
upload that breaks leaves nothing behind."""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import socket
import threading

from support import client, tokens, wait
from support.world import TENANT

OTHER = "other"
MIB = 1024 * 1024
INPUT_MAX = 4 * MIB


def setup(world):
    world.start_all(api={"input_max_mib": 4, "artifact_max_mib": 8})
    for caller in ("admin", "publisher", "submitter", "viewer"):
        world.caller(caller)
    world.caller("submitter", OTHER)


def rows_of_uploads(world):
    """Uploads that nobody has completed, and the chunks of such."""
    rows = world.db.sql("SELECT (SELECT count(*) FROM blob WHERE completed_at IS NULL),"
                        " (SELECT count(*) FROM blob_chunk c JOIN blob b USING (blob_id) WHERE b.completed_at IS NULL)")
    return [int(value) for value in rows[0]]


def nothing_is_left(world):
    wait.until(30, "no upload is left", lambda: rows_of_uploads(world) == [0, 0])


def usage(world, tenant=TENANT):
    return world.caller("admin", tenant).get("/v1/whoami").expect(200).json["usage"]


def pushed(world, data, **more):
    """An artifact nobody has to understand: the worker rejects it, its bytes are kept."""
    return world.push(data, **more).expect(201).json["sha256"]


def begin(world, method, path, length, caller, sent=b""):
    """A request whose body is said to be so long, and of which only `sent` comes."""
    connection = socket.create_connection(world.address, timeout=60)
    framing = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.caller(caller).key}\r\n"
                       f"Content-Type: application/octet-stream\r\n{framing}\r\n\r\n".encode() + sent)
    return connection


def answer_to(world, connection, method, path):
    """Its answer, held to the contract; the connection is closed."""
    with connection:
        said = http.client.HTTPResponse(connection, method=method)
        said.begin()
        answer = client.Answer(said.status, said.headers, said.read())
    world.contract.check(method, path, answer)
    return answer


PUSH = "/v1/armory/artifacts?kind=binary&name=x&version=1"


def test_bytes_come_back(world):
    """Of all sizes around the pieces they are sent in, by anybody of the tenant, and of nobody else's."""
    for size in (1, 256 * 1024, 256 * 1024 + 1, MIB, 3 * MIB + 17):
        data = os.urandom(size)
        path = f"/v1/armory/artifacts/{pushed(world, data)}/content"
        for name in ("viewer", "publisher"):
            answer = world.caller(name).get(path).expect(200)
            assert answer.body == data, f"{size} bytes for {name}"
        digest = hashlib.sha256(data).digest()
        assert answer.headers["Content-Length"] == str(size)
        assert answer.headers["ETag"] == f'"sha256:{digest.hex()}"'
        assert answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    head = world.caller("viewer").request("HEAD", path).expect(200)
    assert head.headers["Content-Length"] == str(size) and head.headers["ETag"] == answer.headers["ETag"]
    for tags in (answer.headers["ETag"], "*", f'"x", W/{answer.headers["ETag"]}'):
        kept = world.caller("viewer").request("GET", path, headers={"If-None-Match": tags})
        assert kept.expect(304).body == b"" and kept.headers["ETag"] == answer.headers["ETag"]
    world.caller("viewer").request("GET", path, headers={"If-None-Match": '"x"'}).expect(200)
    world.caller("submitter", OTHER).get(path).refused(404, "not_found")
    world.stranger.get(path).refused(401, "not_authenticated")
    world.caller("viewer").get(f"/v1/armory/artifacts/sha256:{64 * '0'}/content").refused(404, "not_found")
    world.caller("viewer").get(path, range="1-2").refused(400, "unknown_parameter")


def test_the_client_proves_what_it_pulls(world):
    data = os.urandom(2 * MIB + 5)
    digest = pushed(world, data)
    file = pathlib.Path(world.folder, "pulled")
    said = json.loads(world.cli("armory", "pull", digest, "--out", str(file), "--output", "json").stdout)
    assert file.read_bytes() == data and said["sha256"] == digest and said["size"] == len(data), said
    world.cli("armory", "pull", "sha256:" + 64 * "0", "--out", str(file), expect=3)
    assert file.read_bytes() == data


def test_attack_a_chunk_that_was_exchanged(world):
    """The gateway does not hash what it sends; whoever asks by digest can, and the client does."""
    data = os.urandom(2 * MIB)
    digest = pushed(world, data)
    file = pathlib.Path(world.folder, "kept")
    file.write_bytes(b"what was there")
    which = f"WHERE n = 1 AND blob_id = (SELECT blob_id FROM artifact WHERE sha256 = '\\x{digest[7:]}')"
    world.db.sql(f"UPDATE blob_chunk SET data = overlay(data placing sha256(data) from 1000) {which}")
    world.cli("armory", "pull", digest, "--out", str(file), expect=6)
    assert file.read_bytes() == b"what was there"
    assert [name for name in os.listdir(world.folder) if name.startswith("kept.")] == [], "a draft is left"
    # One that is gone: the answer breaks off, and is not taken for a short one.
    world.db.sql(f"DELETE FROM blob_chunk {which}")
    world.cli("armory", "pull", digest, "--out", str(file), expect=1)
    try:
        answer = world.caller("viewer").get(f"/v1/armory/artifacts/{digest}/content")
        raise AssertionError(f"{answer.status}, {len(answer.body)} bytes")
    except (http.client.IncompleteRead, ConnectionResetError):
        pass


def test_limits_of_an_artifact(world):
    """They are part of the descriptor, and what a job gets that asks for none."""
    limits = {"timeout_seconds": 7, "memory_mib": 96, "pids": 33, "cpu_percent": 50, "tmp_mib": 3}
    digest = world.tool("limits", **limits)
    assert world.artifact(digest)["descriptor"]["limits"] == limits
    _, data = world.run("print", "x", tool=digest)
    held = data["execution_metadata"]["limits"]
    assert {name: held[name] for name in limits} == limits, held
    _, data = world.run("print", "x", tool=digest, limits={"pids": 40})
    held = data["execution_metadata"]["limits"]
    assert held["pids"] == 40 and held["memory_mib"] == 96, held
    for wrong, status, code in ((("memory_mib", "0"), 400, "malformed_request"), (("pids", "x"), 400, "malformed_request"),
                                (("pids", "65537"), 422, "artifact_invalid"), (("cpu_percent", "-1"), 400, "malformed_request"),
                                (("timeout_seconds", "86401"), 422, "artifact_invalid")):
        world.push(b"x", **dict([wrong])).refused(status, code)
    world.push(b"x", memory="5").refused(400, "unknown_parameter")
    tool = pathlib.Path(world.folder, "tool")
    tool.write_bytes(world.ground.tool + b"\0by the client")
    said = json.loads(world.cli("armory", "push", str(tool), "--kind", "binary", "--name", "t", "--version", "1",
                                "--timeout-seconds", "9", "--memory-mib", "64", "--output", "json").stdout)
    assert said["descriptor"]["limits"] == {"timeout_seconds": 9, "memory_mib": 64}, said


def test_inputs_expire_and_are_renewed(world):
    submitter = world.caller("submitter")
    data = b"for a while"
    digest = world.input(data)
    which = f"WHERE sha256 = '\\x{digest[7:]}'"
    row = f"input {which}"
    path = f"/v1/inputs/{digest}"
    first = submitter.request("HEAD", path).expect(200).headers["Sallyport-Expires-At"]
    hours = float(world.db.value(f"SELECT extract(epoch FROM expires_at - now()) / 3600 FROM {row}"))
    assert 167 < hours <= 168, hours
    again = submitter.put(path, data).expect(200).json
    assert again["expires_at"] >= first and again["size"] == len(data), again
    submitter.put(path, b"other").refused(422, "content_mismatch")

    def expire(ago):
        world.db.sql(f"UPDATE input SET expires_at = now() - interval '{ago}' {which}")
    # Expired: no job can name it; a job that waits with it is refused; a push brings it back.
    named = {"inputs": [{"name": "x", "sha256": digest}]}
    world.tool()
    world.daemons["worker"].stop()
    waiting = world.accept("cat", "/in/x", **named)
    expire("1 second")
    assert submitter.request("HEAD", path).status == 404
    world.submit(world.token("cat", "/in/x", **named)).refused(422, "input_unknown")
    world.daemons["worker"].start().ready()
    assert world.ended(waiting)["state"] == "refused"
    assert world.finished(waiting)["data"]["reason"] == "input_unknown"
    assert submitter.put(path, data).expect(200).json["expires_at"] >= first
    _, event = world.run("cat", "/in/x", **named)
    assert event["stdout"] == data.decode()
    # A day later it goes, with its bytes, and its room in the quota.
    before = usage(world)["input_bytes"]
    blob = world.db.value(f"SELECT blob_id FROM {row}")
    expire("25 hours")
    world.db.sql("SELECT inputs_sweep()", role="sallyport_api")
    world.db.sql("SELECT blobs_sweep()", role="sallyport_api")
    assert world.db.count(row) == 0 and world.db.count(f"blob_chunk WHERE blob_id = '{blob}'") == 0
    assert usage(world)["input_bytes"] == before - len(data)
    submitter.put(path, data).expect(201)


def test_the_client_renews(world):
    file = pathlib.Path(world.folder, "file")
    file.write_bytes(b"pushed by the client")
    digest = tokens.sha256(file.read_bytes())

    def push():
        said = world.cli("input", "push", str(file), "--output", "json", caller="submitter").stdout
        return json.loads(said)["items"][0]
    first = push()
    assert first["sha256"] == digest and first["expires_at"], first
    assert push()["expires_at"] == first["expires_at"], "it has a week to live: it is not sent again"
    world.db.sql(f"UPDATE input SET expires_at = now() + interval '23 hours' WHERE sha256 = '\\x{digest[7:]}'")
    assert push()["expires_at"] > first["expires_at"]


def quota(world, tenant=TENANT, **mib):
    words = [word for name, value in mib.items() for word in (f"--{name}-quota-mib", str(value))]
    world.sallyportd("tenant", "--database", world.db.conninfo(), "--tenant", tenant, *words)


def test_quotas(world):
    submitter, publisher = world.caller("submitter", OTHER), world.caller("publisher", OTHER)
    world.caller("admin", OTHER)
    quota(world, OTHER, input=2, artifact=1)
    used = usage(world, OTHER)
    assert used["input_quota_bytes"] == 2 * MIB and used["artifact_quota_bytes"] == MIB, used
    assert used["input_bytes"] == 0 and used["artifact_bytes"] == 0, used
    data = os.urandom(MIB + 1)
    world.input(data, tenant=OTHER)
    more = os.urandom(MIB)
    path = f"/v1/inputs/{tokens.sha256(more)}"
    problem = submitter.put(path, more).refused(429, "quota_exceeded")
    assert f"{2 * MIB} bytes of inputs" in problem["detail"], problem
    # What is there can be renewed however full it is; what fits exactly fits.
    submitter.put(f"/v1/inputs/{tokens.sha256(data)}", data).expect(200)
    world.input(more[:-1], tenant=OTHER)
    assert usage(world, OTHER)["input_bytes"] == 2 * MIB
    submitter.put(f"/v1/inputs/{tokens.sha256(b'x')}", b"x").refused(429, "quota_exceeded")
    problem = world.push(os.urandom(MIB + 1), tenant=OTHER).refused(429, "quota_exceeded")
    assert f"{MIB} bytes of artifacts" in problem["detail"], problem
    exact = os.urandom(MIB)
    world.push(exact, tenant=OTHER).expect(201)
    assert usage(world, OTHER)["artifact_bytes"] == MIB
    # Told before a byte is sent, and without a length as soon as it is passed.
    unsent = begin(world, "PUT", path, MIB, "submitter")
    unsent.close()
    quota(world, TENANT, input=1)
    answer = answer_to(world, begin(world, "PUT", path, 2 * MIB, "submitter"), "PUT", path)
    answer.refused(429, "quota_exceeded")
    chunk = b"%x\r\n" % MIB + os.urandom(MIB) + b"\r\n"
    answer = answer_to(world, begin(world, "PUT", path, None, "submitter", 2 * chunk), "PUT", path)
    answer.refused(429, "quota_exceeded")
    quota(world, TENANT, input=100)
    nothing_is_left(world)
    assert publisher.get("/v1/armory/artifacts").expect(200).json["items"][0]["size"] == MIB


def test_too_large_is_told_before_it_is_sent(world):
    path = f"/v1/inputs/sha256:{64 * '0'}"
    answer = answer_to(world, begin(world, "PUT", path, INPUT_MAX + 1, "submitter"), "PUT", path)
    answer.refused(413, "too_large")
    answer = answer_to(world, begin(world, "POST", PUSH, 8 * MIB + 1, "publisher"), "POST", PUSH)
    answer.refused(413, "too_large")
    # Without a length: it stops at the limit, whatever still comes.
    chunk = b"%x\r\n" % MIB + os.urandom(MIB) + b"\r\n"
    answer = answer_to(world, begin(world, "PUT", path, None, "submitter", 5 * chunk), "PUT", path)
    answer.refused(413, "too_large")
    nothing_is_left(world)


def test_uploads_that_break_leave_nothing(world):
    data = os.urandom(3 * MIB)
    path = f"/v1/inputs/{tokens.sha256(data)}"
    before = usage(world)
    world.caller("submitter").put(path, data[:-1] + b"x" if data[-1:] != b"x" else data[:-1] + b"y").refused(422, "content_mismatch")
    for method, target, caller in (("PUT", path, "submitter"), ("POST", PUSH, "publisher")):
        connection = begin(world, method, target, len(data), caller, data[:2 * MIB + 1])
        wait.until(60, "two chunks are there", lambda: rows_of_uploads(world) == [1, 2])
        connection.close()
        nothing_is_left(world)
    assert world.caller("submitter").request("HEAD", path).status == 404
    # The api is killed: nobody is left to clean up but the sweep, an hour later.
    connection = begin(world, "PUT", path, len(data), "submitter", data[:2 * MIB + 1])
    wait.until(60, "two chunks are there", lambda: rows_of_uploads(world) == [1, 2])
    world.daemons["api"].kill()
    connection.close()
    world.daemons["api"].start().ready()
    world.db.sql("UPDATE blob SET touched_at = now() - interval '61 minutes' WHERE completed_at IS NULL")
    world.db.sql("SELECT blobs_sweep()", role="sallyport_api")
    assert rows_of_uploads(world) == [0, 0]
    assert usage(world) == before
    world.caller("submitter").put(path, data).expect(201)


def test_the_same_bytes_at_once(world):
    """One artifact, one input, each stored once; everybody is told of it."""
    data = os.urandom(3 * MIB)
    digest = tokens.sha256(data)
    answers, lock = [], threading.Lock()

    def send(ask):
        answer = ask()
        with lock:
            answers.append(answer)
    asks = [lambda: world.push(data)] * 2 + [lambda: world.caller("submitter").put(f"/v1/inputs/{digest}", data)] * 2
    threads = [threading.Thread(target=send, args=(ask,)) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200, 200, 201, 201], [str(answer) for answer in answers]
    assert {answer.json["sha256"] for answer in answers} == {digest}
    for table in ("artifact", "input"):
        assert world.db.count(f"{table} WHERE sha256 = '\\x{digest[7:]}'") == 1
    nothing_is_left(world)
    assert world.caller("viewer").get(f"/v1/armory/artifacts/{digest}/content").expect(200).body == data
