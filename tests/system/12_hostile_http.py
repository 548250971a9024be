# SPDX-License-Identifier: Apache-2.0
"""Attack: HTTP that is wrong, too much, or meant to confuse.

Whatever comes, the answer is a problem document of the registry (client.py holds each to the contract), it
comes at once, and the api goes on. Nothing of it reaches the queue."""

import http.client
import json
import socket
import time

from support import client, tokens, wait
from support.world import TENANT

BIG = 9 * 1024 * 1024
UUID = "00000000-0000-7000-8000-000000000000"
DIGEST = "sha256:" + 64 * "0"
SECONDS = 20  # more than any of this may take on a slow machine


def setup(world):
    world.start_all()
    for caller in ("admin", "submitter", "viewer", "auditor", "publisher"):
        world.caller(caller)


def head(world, method, path, *lines, host=True, caller="admin"):
    """A request's head as bytes, lines as they are given."""
    known = [f"{method} {path} HTTP/1.1"]
    if host:
        known.append("Host: sallyport.test")
    if caller is not None:
        known.append(f"Authorization: Bearer {world.caller(caller).key}")
    return "\r\n".join([*known, *lines, "", ""]).encode("latin-1")


def raw(world, data, status, code, method="GET", path="/v1/whoami"):
    """Those very bytes: the problem document that comes back."""
    started = time.monotonic()
    answer = world.stranger.raw(data, method, path)
    assert time.monotonic() - started < SECONDS, f"{code} took {time.monotonic() - started:.1f} s"
    return answer.refused(status, code)


def unrouted(world, data):
    """The answer to what has no endpoint yet; None where the connection is closed without one."""
    with socket.create_connection(world.address, timeout=SECONDS) as connection:
        connection.sendall(data)
        answer = http.client.HTTPResponse(connection, method="GET")
        try:
            answer.begin()
        except (http.client.RemoteDisconnected, ConnectionResetError):
            return None
        answer = client.Answer(answer.status, answer.headers, answer.read())
    world.contract.check_common(answer, bodiless=False)
    return answer


def test_parameters_nobody_knows(world):
    viewer, admin = world.caller("viewer"), world.caller("admin")
    for path in ("/v1/executions", f"/v1/executions/{UUID}", "/v1/events", "/v1/whoami", "/v1/ledger/checkpoint",
                 f"/v1/executions/{UUID}/stdout", "/v1/armory/artifacts"):
        problem = viewer.get(path, colour="red").refused(400, "unknown_parameter")
        assert "colour" in problem["detail"] and "red" not in problem["detail"], problem
    for path in ("/v1/keys", "/v1/api-keys", "/v1/workers"):
        admin.get(path, limit_="1").refused(400, "unknown_parameter")
    viewer.get("/v1/executions", LIMIT="1").refused(400, "unknown_parameter")
    viewer.request("GET", "/v1/executions?limit=1&limit=2").expect(400)


def test_values_that_make_no_sense(world):
    viewer = world.caller("viewer")
    for name, values in {"limit": ("0", "-1", "501", "x", "", "1.5", "1e2", "+5", " 5", "9" * 40, "0x10"),
                         "state": ("done", "", "QUEUED", "queued "), "tool_sha256": ("abc", "sha256:" + 64 * "G", DIGEST + "0"),
                         "from": ("yesterday", "2026-01-02", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05"),
                         "after": ("x", UUID.upper() + "0", "-1")}.items():
        for value in values:
            problem = viewer.get("/v1/executions", **{name: value}).refused(400, "malformed_request")
            assert problem["detail"].startswith(name), problem
    for path in ("/v1/executions?limit=%", "/v1/executions?limit=%zz", "/v1/executions?task_id=%00", "/v1/executions?task_id=%0a",
                 "/v1/executions?task_id=%ff", "/v1/executions?=1", "/v1/executions?&"):
        viewer.request("GET", path).expect(400)
    # What looks like SQL is text like any other.
    for name in ("task_id", "operator_id", "source"):
        page = viewer.get("/v1/executions", **{name: "' OR 1=1 --"}).expect(200).json
        assert page == {"items": [], "next": None}


def test_paths_that_are_not_there(world):
    viewer = world.caller("viewer")
    for path in ("/", "/v1", "/v1/", "/v2/executions", "/v1/executions/", "/v1//executions", f"/v1/executions/{UUID}/", "/v1/executions/x/y/z",
                 "/v1/./executions", "/v1/../v1/executions", "/v1/%2e%2e/executions", "/etc/passwd", "/v1/executions%2f" + UUID,
                 "/V1/EXECUTIONS", "/v1/executions;x=1"):
        viewer.request("GET", path).refused(404, "not_found")
    for path in (f"/v1/executions/{UUID}", f"/v1/executions/{UUID.upper()[:-1]}F", "/v1/executions/x", f"/v1/events/{UUID}",
                 f"/v1/executions/{UUID}/stdout", f"/v1/executions/{UUID}/manifest", f"/v1/armory/artifacts/{DIGEST}"):
        viewer.request("GET", path).refused(404, "not_found")
    viewer.request("GET", "/v1/armory/artifacts/nodigest").refused(400, "malformed_request")


def test_methods_that_a_path_does_not_take(world):
    """405, and Allow says what it does take."""
    admin = world.caller("admin")
    for method, path, allowed in (("PUT", "/v1/executions", {"GET", "HEAD", "POST"}), ("DELETE", f"/v1/executions/{UUID}", {"GET", "HEAD"}),
                                  ("POST", "/v1/whoami", {"GET", "HEAD"}), ("GET", f"/v1/inputs/{DIGEST}", {"HEAD", "PUT"}),
                                  ("PATCH", "/v1/keys", {"GET", "HEAD", "POST"}), ("OPTIONS", "/v1/events", {"GET", "HEAD"}),
                                  ("TRACE", "/v1/whoami", {"GET", "HEAD"}),
                                  ("PROPFIND", "/v1/executions", {"GET", "HEAD", "POST"})):
        answer = admin.request(method, path)
        answer.refused(405, "method_not_allowed")
        assert {word.strip() for word in answer.headers["Allow"].split(",")} == allowed, (method, path, answer.headers["Allow"])
    admin.request("PUT", "/v1/nowhere").refused(404, "not_found")


def test_head_is_get_without_its_body(world):
    viewer = world.caller("viewer")
    world.ledger_is_complete()
    for path in ("/v1/whoami", "/v1/executions", "/v1/armory/artifacts", "/v1/ledger/checkpoint"):
        get, answer = viewer.request("GET", path), viewer.request("HEAD", path)
        assert (answer.status, answer.body) == (200, b""), answer
        for name in ("Content-Type", "Content-Length"):
            assert answer.headers[name] == get.headers[name], f"{path}: {name}"
    for path, status in (("/v1/executions?x=1", 400), (f"/v1/executions/{UUID}", 404)):
        assert viewer.request("HEAD", path).status == status
    assert world.stranger.request("HEAD", "/v1/whoami").status == 401
    assert world.caller("submitter").request("HEAD", f"/v1/inputs/{DIGEST}").status == 404


def test_bodies_of_another_type(world):
    submitter, admin = world.caller("submitter"), world.caller("admin")
    for content_type in (None, "", "text/plain", "application/x-www-form-urlencoded", "application/josex", "application", "*/*",
                         "application/json+x", "multipart/form-data; boundary=x"):
        submitter.request("POST", "/v1/executions", b"x", content_type).refused(415, "unsupported_media_type")
        if content_type != "application/jose":
            admin.request("POST", "/v1/keys", b"{}", content_type).refused(415, "unsupported_media_type")
    for content_type in ("application/jose", "Application/JOSE", "application/jose; charset=utf-8"):
        submitter.request("POST", "/v1/executions", b"x", content_type).refused(400, "malformed_token")


def test_json_that_is_none(world):
    submitter, admin = world.caller("submitter"), world.caller("admin")
    bodies = [b"", b"{", b"[]", b'"x"', b"null", b"{}x", b'{"a":1,}', b"\xff\xfe", b'{"\xc3\x28":1}', b"{'a':1}", b"\xef\xbb\xbf{}",
              b'{"a":NaN}', b'{"manifest_jws":"a","manifest_jws":"b"}', b'{"kid":"a","kid":"b"}', b'{"a":' * 3000 + b"1" + b"}" * 3000,
              b"[" * 60000, b'{"a":"\\ud800"}', b'{"a":"\\u0000"}', b'{"a":1e999}']
    for body in bodies:
        submitter.request("POST", "/v1/executions", body, "application/json").refused(400, "malformed_request")
        admin.request("POST", "/v1/api-keys", body, "application/json").refused(400, "malformed_request")
    for document in ({}, {"manifest_jws": 7}, {"manifest_jws": None}, {"manifest_jws": ""}, {"manifest_jws": "a.b.c", "more": 1}, {"jws": "a.b.c"}):
        submitter.post("/v1/executions", document).refused(400, "malformed_request")
    for document in ({"principal": "x"}, {"principal": "x", "roles": []}, {"principal": "x", "roles": ["root"]},
                     {"principal": "", "roles": ["viewer"]}, {"principal": "x y", "roles": ["viewer"]}, {"principal": "x", "roles": "viewer"},
                     {"principal": "x", "roles": ["viewer"], "tenant_id": "globex"}, {"principal": "x" * 129, "roles": ["viewer"]}):
        admin.post("/v1/api-keys", document).refused(400, "malformed_request")
    submitter.post("/v1/executions", {"manifest_jws": "a.b.c"}).refused(400, "malformed_token")


def large(world, path, length, send, expect_continue=False, chunked=False):
    """Says a body of that length and sends so much of it; the answer, which must not wait for the rest."""
    lines = ["Content-Type: application/jose", "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"]
    if expect_continue:
        lines.append("Expect: 100-continue")
    with socket.create_connection(world.address, timeout=SECONDS) as connection:
        connection.sendall(head(world, "POST", path, *lines))
        piece, sent = b"x" * 65536, 0
        try:
            while sent < send:
                connection.sendall((b"10000\r\n" + piece + b"\r\n") if chunked else piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has had enough
        answer = http.client.HTTPResponse(connection, method="POST")
        answer.begin()
        answer = client.Answer(answer.status, answer.headers, answer.read())
    world.contract.check("POST", path, answer)
    return answer


def test_bodies_that_are_too_large(world):
    """9 MB where 128 KiB are the most: told at once, whether the client waits, sends, or does not say how much."""
    for path in ("/v1/executions", "/v1/keys"):
        large(world, path, BIG, 0).refused(413, "too_large")
        large(world, path, BIG, 0, expect_continue=True).refused(413, "too_large")
        large(world, path, BIG, BIG).refused(413, "too_large")
        large(world, path, None, BIG, chunked=True).refused(413, "too_large")
    large(world, "/v1/executions", 10 ** 17, 0).refused(413, "too_large")
    large(world, "/v1/executions", 10 ** 40, 0).refused(413, "too_large")
    # The largest that may be is read, and found to be no token.
    world.caller("submitter").request("POST", "/v1/executions", b"x" * 131072, "application/jose").refused(400, "malformed_token")


def test_a_body_where_none_is_taken(world):
    answer = world.caller("admin").request("POST", "/v1/keys/x/revocation", b"x" * 10, "application/json")
    answer.refused(413, "too_large")


def test_headers_given_twice(world):
    key = world.caller("admin").key
    submit = ("POST", "/v1/executions")
    raw(world, head(world, *submit, "Content-Length: 1", "Content-Length: 1") + b"x", 400, "malformed_request", *submit)
    raw(world, head(world, *submit, "Content-Length: 1", "Content-Length: 2") + b"xx", 400, "malformed_request", *submit)
    raw(world, head(world, *submit, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, "malformed_request", *submit)
    raw(world, head(world, *submit, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, "malformed_request", *submit)
    raw(world, head(world, *submit, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 400, "malformed_request", *submit)
    raw(world, head(world, "GET", "/v1/whoami", f"Authorization: Bearer {key}"), 400, "malformed_request")
    raw(world, head(world, "GET", "/v1/whoami", "Host: other"), 400, "malformed_request")
    raw(world, head(world, "GET", "/v1/whoami", host=False), 400, "malformed_request")


def test_heads_that_are_none(world):
    """Also what the HTTP library refuses by itself: never its own page."""
    # What has no request line at all is closed at once, or told so; it must not wait for more.
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET\r\n\r\n"):
        answer = unrouted(world, data)
        assert answer is None or answer.status == 400, f"{data!r}: {answer}"
    for data in (b"GET /v1/whoami\r\n\r\n", b"GET /v1/whoami HTTP/9.9\r\nHost: x\r\n\r\n",
                 b"GET  /v1/whoami  HTTP/1.1\r\nHost: x\r\n\r\n", b"GET v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"GET /v1/\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /v1/<x> HTTP/1.1\r\nHost: x\r\n\r\n"):
        answer = unrouted(world, data)
        assert answer is not None, f"closed without a word: {data!r}"
        assert answer.status in (400, 401, 404), f"{data!r}: {answer}"
    for line in ("X Y: 1", "X\x01Y: 1", "X-Y: a\x01b", "Content-Length: -1", "Content-Length: 0x10", "Content-Length: 1 1", "Content-Length: +1"):
        method = ("POST", "/v1/executions") if line.startswith("Content") else ("GET", "/v1/whoami")
        answer = world.stranger.raw(head(world, *method, line), *method)
        assert answer.status == 400, f"{line!r}: {answer}"


def test_heads_that_are_too_large(world):
    """Answered before it is known which endpoint was meant."""
    for data in (head(world, "GET", "/v1/whoami", "X-Large: " + "x" * 65536),
                 head(world, "GET", "/v1/whoami", *(f"X-{number}: y" for number in range(3000))),
                 head(world, "GET", "/v1/executions?task_id=" + "x" * 65536)):
        unrouted(world, data).refused(413, "too_large")


def test_authorization_that_is_none(world):
    known = world.caller("viewer").key
    for value in ("", "Bearer", "Bearer ", "Bearer x", "Bearer sp_", "Bearer sp_0123456789abcdef_", "Basic dXNlcjpwdw==", f"Bearer {known}x",
                  f"Bearer {known[:-1]}", f"Token {known}", f"Bearer {known.replace('_', '-')}", "Bearer " + "x" * 4000):
        answer = world.stranger.request("GET", "/v1/whoami", headers={"Authorization": value})
        problem = answer.refused(401, "not_authenticated")
        assert known not in answer.text and (len(value) < 12 or value[7:] not in problem["detail"]), problem
    mine = world.caller("viewer").request("GET", "/v1/whoami", headers={"X-Sallyport-Tenant": TENANT}).expect(200).json
    assert mine["tenant_id"] == TENANT and mine["roles"] == ["viewer"], mine


def test_another_tenants_name_in_a_header(world):
    for path in ("/v1/executions", "/v1/whoami"):
        world.caller("viewer").request("GET", path, headers={"X-Sallyport-Tenant": "globex"}).refused(403, "forbidden")


def test_request_ids_are_kept_or_made(world):
    viewer = world.caller("viewer")
    answer = viewer.request("GET", "/v1/nowhere", headers={"X-Request-Id": "ticket-4711"})
    assert answer.headers["X-Request-Id"] == "ticket-4711" == answer.refused(404, "not_found")["request_id"]
    for odd in ("a b", "<script>", "x" * 300, "\x7f", '"'):
        assert viewer.request("GET", "/v1/whoami", headers={"X-Request-Id": odd}).headers["X-Request-Id"] != odd


def test_slow_clients_hold_nobody_up(world):
    """Many that never finish, in the middle of a head and of a body: others are answered meanwhile."""
    connections = []
    try:
        for number in range(150):
            connection = socket.create_connection(world.address, timeout=SECONDS)
            connections.append(connection)
            if number % 2 == 0:
                connection.sendall(b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            else:
                connection.sendall(head(world, "POST", "/v1/executions", "Content-Type: application/jose", "Content-Length: 1000") + b"abc")
        for _ in range(20):
            started = time.monotonic()
            world.caller("viewer").get("/v1/whoami").expect(200)
            assert time.monotonic() - started < 5
        # One that goes on after all is answered like anybody.
        connections[1].sendall(b"d" * 997)
        answer = http.client.HTTPResponse(connections[1], method="POST")
        answer.begin()
        assert answer.status == 400 and json.loads(answer.read())["code"] == "malformed_token"
    finally:
        for connection in connections:
            connection.close()

    def gone():
        world.caller("viewer").get("/v1/whoami").expect(200)
        return world.daemons["api"].alive()
    assert wait.until(10, "the api goes on", gone)


def test_one_that_never_ends_its_head_is_let_go(world):
    """30 seconds from its first byte, however often it sends a little."""
    with socket.create_connection(world.address, timeout=60) as connection:
        connection.sendall(b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        answer = http.client.HTTPResponse(connection, method="GET")
        answer.begin()
        answer = client.Answer(answer.status, answer.headers, answer.read())
    world.contract.check_common(answer, bodiless=False)
    answer.refused(408, "request_timeout")


def test_nothing_of_this_was_a_job(world):
    """And the api is as well as before."""
    world.queue_is_empty()
    assert world.daemons["api"].ops("/readyz")[0] == 200 and world.daemons["api"].starts == 1
    answer = world.submit(tokens.sign(tokens.manifest(DIGEST, TENANT), world.signer()))
    answer.refused(403, "artifact_unknown")
