# SPDX-License-Identifier: Apache-2.0
"""The contract is what is served: every operation of it, and nothing beside it.

support/contract.py holds every answer of every scenario to openapi/sallyport.yaml: status, media type, headers,
schema, and problem documents to the registry. Here each operation is called, so that none goes unseen, and
what the contract says in words is looked at."""

import re

from support import contract, tokens
from support.world import FINISHED, TENANT, TOP


def setup(world):
    world.start_all()
    world.tool()
    world.signer()


def test_the_document_that_is_served_is_the_contract(world):
    answer = world.stranger.get("/openapi.yaml").expect(200)
    assert answer.body == (TOP / "openapi" / "sallyport.yaml").read_bytes()


def test_every_operation_succeeds_and_answers_as_it_says(world):
    """By the ids of operations that were seen to succeed, in this very test."""
    world.contract.succeeded.clear()
    admin, viewer, submitter, auditor = (world.caller(name) for name in ("admin", "viewer", "submitter", "auditor"))
    digest = world.tool("contract", entrypoint=["/bin/tool"], env_allowed=["MODE"])
    data = world.input(b"contract")
    execution, _ = world.run("cat", "/in/x", inputs=[{"name": "x", "sha256": data}])
    world.ledger_is_complete()
    size = int(viewer.get("/v1/ledger/checkpoint").expect(200).text.splitlines()[1])
    assert size < 256, "a partial bundle was meant"
    calls = [(viewer, "GET", "/v1/executions"), (viewer, "GET", "/v1/armory/artifacts"), (viewer, "GET", "/v1/whoami"),
             (viewer, "GET", f"/v1/armory/artifacts/{digest[7:]}"),
             (viewer, "GET", f"/v1/armory/artifacts/{digest}/content"), (viewer, "GET", f"/v1/ledger/tile/entries/000.p/{size}"),
             (submitter, "HEAD", f"/v1/inputs/{data}"), (admin, "GET", "/v1/keys"), (admin, "GET", "/v1/api-keys"),
             (admin, "GET", "/v1/workers"), (auditor, "GET", "/v1/events"), (auditor, "GET", f"/v1/events/{execution['event_id']}"),
             (auditor, "GET", "/v1/ledger/export"), (world.stranger, "GET", "/livez"), (world.stranger, "GET", "/version"),
             (world.stranger, "GET", "/openapi.yaml")]
    calls += [(viewer, "GET", f"/v1/executions/{execution['id']}{part}") for part in ("", "/manifest", "/stdout", "/stderr")]
    calls += [(viewer, "GET", path) for path in (f"/v1/executions/{execution['id']}/receipt", f"/v1/events/{execution['event_id']}/receipt",
                                                 f"/v1/ledger/tile/0/000.p/{size}", f"/v1/ledger/proof?event_id={execution['event_id']}",
                                                 "/v1/ledger/proof?from=1")]
    for caller, method, path in calls:
        caller.request(method, path).expect(200)
    documents(world, digest)
    world.trust(tokens.Es256Key("contract"))
    if any(operation.id == "revokeKey" for operation in world.contract.operations):
        admin.request("POST", "/v1/keys/contract/revocation").expect(204)
    made = world.new_key("contract", TENANT, "viewer").json
    admin.delete(f"/v1/api-keys/{made['id']}").expect(204)
    ended = world.submit(world.token("print", "x")).expect(202).json["id"]
    submitter.request("POST", f"/v1/executions/{ended}/cancel").expect(200, 202)
    admin.post(f"/v1/armory/artifacts/{digest}/revocation", {"reason": "the contract was seen"}).expect(200)
    operations(world)
    unseen = {operation.id for operation in world.contract.operations} - world.contract.succeeded
    # What is full (256 entries) and what lies past 256,000 entries is the ledger's own tests' matter.
    assert unseen <= {f"get{kind}{segments}" for kind in ("Tile", "EntryBundle") for segments in (1, 3, 4)}, unseen


def documents(world, digest):
    """Each kind attached, then given back."""
    for kind, name in (("sbom", "spdx-2.3.json"), ("report", "sarif.json")):
        data = (TOP / "tests" / "data" / "documents" / name).read_bytes()
        path = f"/v1/armory/artifacts/{digest}/{kind}"
        world.caller("publisher").request("PUT", path, data, "application/json").expect(201)
        assert world.caller("viewer").get(path).expect(200).body == data


def operations(world):
    """The operations listeners: each role's own."""
    for daemon in world.daemons.values():
        listener = type(world.stranger)(("127.0.0.1", daemon.ops_port), world.contract)
        for path in ("/livez", "/readyz", "/metrics"):
            listener.get(path).expect(200)
        version = listener.get("/version").expect(200).json
        assert version["name"] == "sallyport" and version["role"] == daemon.role, version
        listener.get("/v1/nowhere").refused(404, "not_found")


def test_the_registry_of_codes_is_one(world):
    """In the contract, in the design, with their statuses."""
    listed = world.contract.document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert sorted(listed) == sorted(contract.STATUS_OF)
    for operation in world.contract.operations:
        for status, response in operation.item["responses"].items():
            response = world.contract.resolve(response)
            named = set(re.findall(r"`([a-z_]+)`", response["description"])) & set(contract.STATUS_OF)
            if int(status) >= 400 and operation.method != "head":
                assert all(contract.STATUS_OF[code] == int(status) for code in named), f"{operation.id} {status}: {named}"


def test_each_answer_has_an_id_of_its_own(world):
    seen = {world.stranger.get("/livez").headers["X-Request-Id"] for _ in range(20)}
    assert len(seen) == 20
    answer = world.caller("viewer").request("GET", "/v1/whoami", headers={"X-Request-Id": "case-77_A.b"}).expect(200)
    assert answer.headers["X-Request-Id"] == "case-77_A.b"
    for odd in ("", "x" * 65, "a b", "a\tb", "ü".encode().decode("latin-1")):
        answer = world.caller("viewer").request("GET", "/v1/whoami", headers={"X-Request-Id": odd})
        assert answer.expect(200).headers["X-Request-Id"] != odd


def follow(caller, path, query):
    """All pages from the first one on, by their Link headers, resolved as RFC 3986 does."""
    pages, target = [], f"{path}?{query}"
    while target is not None:
        pages.append(caller.request("GET", target).expect(200))
        assert len(pages) < 100, "it never ends"
        link = pages[-1].headers.get("Link")
        found = None if link is None else re.fullmatch(r'<([^>]*)>; rel="next"', link)
        assert link is None or found, link
        target = None if link is None else path + found[1] if found[1].startswith("?") else found[1]
    return pages


def paged(world):
    """Five jobs alike in their action, others between them; the five, newest first."""
    ids = []
    for number in range(10):
        ids.append(world.accept("print", "page", context={"action": "paged" if number % 2 == 0 else "other"}))
        world.ended(ids[-1])
    return sorted(ids[::2], reverse=True)


def test_pages_follow_each_other(world):
    """`next` leads through all of it, newest first, each once."""
    ids, seen, after, viewer = paged(world), [], None, world.caller("viewer")
    while len(seen) < 100:
        answer = viewer.get("/v1/executions", action="paged", limit=2, after=after).expect(200)
        seen += [item["id"] for item in answer.json["items"]]
        after = answer.json["next"]
        assert (after is None) == ("Link" not in answer.headers)
        if after is None:
            break
    assert seen == ids


def test_a_link_leads_to_the_next_page_of_the_same(world):
    """RFC 8288: whoever follows Link gets on with what was asked for, its filters and its limit."""
    ids = paged(world)
    pages = follow(world.caller("viewer"), "/v1/executions", "action=paged&limit=2")
    seen = [item["id"] for page in pages for item in page.json["items"]]
    assert seen[:len(ids)] == ids and {item["action"] for page in pages for item in page.json["items"]} == {"paged"}, "the link lost its filter"
    world.ledger_is_complete()
    pages = follow(world.caller("auditor"), "/v1/events", f"type={FINISHED}&limit=2")
    seen = [event for page in pages for event in page.json]
    assert {event["type"] for event in seen} == {FINISHED}, "the link lost its filter"
    assert len(seen) == len({event["id"] for event in seen}) == world.db.count(f"event WHERE type = '{FINISHED}'")
    assert all(len(page.json) <= 2 for page in pages), "the link lost its limit"


def test_events_as_lines(world):
    """application/x-ndjson: the same bytes, one event a line."""
    world.ledger_is_complete()
    auditor = world.caller("auditor")
    batch = auditor.get("/v1/events", limit=500).expect(200)
    lines = auditor.request("GET", "/v1/events?limit=500", headers={"Accept": "application/x-ndjson"}).expect(200)
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert b"[" + b",".join(lines.body.splitlines()) + b"]" == batch.body
    assert batch.headers["Sallyport-Cursor"] == lines.headers["Sallyport-Cursor"]
    later = auditor.get("/v1/events", after=batch.headers["Sallyport-Cursor"]).expect(200)
    assert later.json == [] and "Link" not in later.headers
    viewer = world.caller("viewer")
    viewer.get("/v1/events").refused(403, "forbidden")
    execution_id = world.accept("print", "mine")
    world.ended(execution_id)
    assert len(viewer.get("/v1/events", executionid=execution_id).expect(200).json) == 3
    only = viewer.get("/v1/events", executionid=execution_id, type=FINISHED).expect(200).json
    assert [event["type"] for event in only] == [FINISHED]


def test_what_is_not_there_is_told_as_the_contract_tells(world):
    """Each operation's own 404 and 400, where an id is well formed and unknown, and where it is not."""
    viewer, auditor, admin = (world.caller(name) for name in ("viewer", "auditor", "admin"))
    nowhere = "01985f2e-5c10-7b11-9d6e-2f3a44d0c001"
    for caller, path in ((viewer, f"/v1/executions/{nowhere}"), (viewer, f"/v1/events/{nowhere}"), (viewer, "/v1/armory/artifacts/" + 64 * "0"),
                         (viewer, "/v1/ledger/tile/entries/999"), (viewer, "/v1/ledger/tile/entries/000.p/255"),
                         (viewer, "/v1/ledger/tile/0/999"), (viewer, "/v1/ledger/tile/63/000"), (viewer, f"/v1/executions/{nowhere}/receipt"),
                         (viewer, f"/v1/events/{nowhere}/receipt"), (viewer, f"/v1/ledger/proof?event_id={nowhere}"),
                         (viewer, "/v1/ledger/proof?from=1000000")):
        caller.get(path).refused(404, "not_found")
    admin.delete("/v1/api-keys/0123456789abcdef").refused(404, "not_found")
    for path, query in (("/v1/events", {"type": "x"}), ("/v1/events", {"executionid": "x"}), ("/v1/events", {"after": "x"}),
                        ("/v1/ledger/export", {"from": "-1"}), ("/v1/ledger/export", {"limit": 5001}), ("/v1/ledger/proof", {}),
                        ("/v1/ledger/proof", {"event_id": "x"}), ("/v1/ledger/proof", {"event_id": nowhere, "from": 1}),
                        ("/v1/ledger/proof", {"to": 1}), ("/v1/ledger/proof", {"from": 2, "to": 1}), ("/v1/ledger/proof", {"from": "x"})):
        auditor.get(path, **query).refused(400, "malformed_request")
    big = 2 ** 63 - 1
    assert auditor.get("/v1/events", after=big).expect(200).json == []
    assert auditor.get("/v1/ledger/export", **{"from": big}).expect(200).body == b""


def test_events_of_an_execution_that_is_not_there(world):
    """Whichever it is, the contract has it."""
    world.caller("viewer").get("/v1/events", executionid="01985f2e-5c10-7b11-9d6e-2f3a44d0c001").expect(200, 404)


def test_a_key_that_is_never_valid(world):
    """Its end before its beginning: that is the caller's mistake, not ours."""
    window = {"not_before": "2027-01-02T00:00:00Z", "not_after": "2027-01-01T00:00:00Z"}
    world.caller("admin").post("/v1/keys", {**tokens.Es256Key("never").offer(), **window}).refused(422, "key_invalid")


def test_a_trace_goes_through(world):
    """W3C trace context: kept in every event of the job, and what is no trace is replaced."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    token = world.token("print", "traced")
    execution = world.submit(token, wait=30, headers={"traceparent": trace}).expect(200).json
    assert {event["traceparent"] for event in world.events(execution["id"])} == {trace}
    for odd in (trace.upper(), "00-" + 32 * "0" + trace[35:], "x", trace + "," + trace, "ff" + trace[2:]):
        answer = world.submit(world.token("print", "odd"), headers={"traceparent": odd}).expect(202)
        kept = {event["traceparent"] for event in world.events(answer.json["id"])}
        assert len(kept) == 1 and re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", kept.pop()), odd


def test_a_trace_of_a_later_version(world):
    """To be read as version 00, or replaced by one of our own (W3C trace context 3.2.2): a job either way."""
    for later in ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"):
        answer = world.submit(world.token("print", "later"), headers={"traceparent": later}).expect(202)
        kept = {event["traceparent"] for event in world.events(answer.json["id"])}
        assert len(kept) == 1 and re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", kept.pop()), later


def test_json_around_the_token_is_the_same_job(world):
    token = world.token("print", "wrapped")
    submitter = world.caller("submitter")
    first = submitter.post("/v1/executions", {"manifest_jws": token}).expect(202).json
    assert world.submit(token).expect(200).json["id"] == first["id"]
    assert submitter.post("/v1/executions", {"manifest_jws": token}).expect(200).json["id"] == first["id"]


def test_keys_that_are_none(world):
    """POST /v1/keys: 422 with its code for what cannot be trusted, 409 for a kid that was ever used; no material ever comes out."""
    admin = world.caller("admin")
    good = tokens.Es256Key("kept").offer()
    admin.post("/v1/keys", good).expect(201)
    admin.post("/v1/keys", good).refused(409, "state_conflict")
    admin.post("/v1/keys", {**tokens.Es256Key("kept").offer()}).refused(409, "state_conflict")
    fresh = {**good, "kid": "odd"}
    for odd in ({"alg": "RS256"}, {"alg": "ES384"}, {"alg": "EdDSA"}, {"public_pem": "nonsense"}, {"alg": "none"}, {"kid": "a b"}):
        admin.post("/v1/keys", {**fresh, **odd}).refused(422, "key_invalid")
    admin.post("/v1/keys", {**fresh, "public_pem": tokens.Es256Key("x").private_pem()}).refused(422, "key_invalid")
    admin.post("/v1/keys", {"kid": "odd", "alg": "HS256", "secret": tokens.b64(b"short")}).refused(422, "key_invalid")
    both = {"kid": "odd", "alg": "HS256", "secret": tokens.b64(b"x" * 32), "public_pem": good["public_pem"]}
    admin.post("/v1/keys", both).refused(400, "malformed_request")
    admin.post("/v1/keys", {"kid": "odd", "alg": "ES256"}).refused(400, "malformed_request")
    admin.post("/v1/keys", {**fresh, "not_before": "tomorrow"}).refused(400, "malformed_request")
    secret = tokens.Hs256Key("secret-1")
    admin.post("/v1/keys", secret.offer()).expect(201)
    listed = admin.get("/v1/keys").expect(200)
    assert tokens.b64(secret.secret) not in listed.text and "BEGIN" not in listed.text
    assert "odd" not in [key["kid"] for key in listed.json["items"]]
