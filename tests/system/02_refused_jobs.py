# SPDX-License-Identifier: Apache-2.0
"""Attack: jobs that must not run are refused at the first door, each for its own reason.

Every refusal has its own code, leaves nothing in the queue, and is one `manifest.refused` event where the
caller is known, none where it is a stranger. A forger learns nothing: wrong signature, unknown key and
another tenant's key are one answer."""

import json

from support import tokens
from support.world import REFUSED, TENANT

OTHER = "globex"


def setup(world):
    world.start_all(worker={"accept_hmac": "on"})
    world.tool()
    world.signer()
    world.caller("admin", OTHER)


def refused(world, token, status, code, caller="submitter", events=1, send=None):
    """Submits; the refusal must be this one, with so many events and nothing queued."""
    before = world.db.count(f"event WHERE type = '{REFUSED}'") if not hasattr(world, "told") else world.told
    answer = send() if send is not None else world.submit(token, caller)
    problem = answer.refused(status, code)
    told = world.refusals()
    world.told = len(told)
    new = told[before:]
    assert len(new) == events, f"{code}: {len(new)} manifest.refused events, expected {events}: {new}"
    for event in new:
        assert event["tenantid"] == TENANT and event["data"]["code"] == code, event
        assert event["data"]["principal"] == caller, event
        if token is not None and token.count(".") == 2 and status != 400:
            assert event["data"]["token_sha256"] == tokens.signing_hash(token), event
    world.queue_is_empty()
    return problem


def test_one_byte_of_the_signature_changed(world):
    token = world.token("print", "never")
    for byte in (0, 31, 63):
        refused(world, tokens.flip(token, 2, byte), 403, "signature_invalid")


def test_one_byte_of_the_body_changed(world):
    token = world.token("print", "never")
    refused(world, tokens.flip(token, 1, len(tokens.payload_of(token)) - 4), 403, "signature_invalid")
    changed = {**json.loads(tokens.payload_of(token)), "target_urn": "urn:sallyport:elsewhere"}
    refused(world, tokens.swap_payload(token, changed), 403, "signature_invalid")


def test_a_signature_cut_or_grown(world):
    token = world.token("print", "never")
    head, _, signature = token.rpartition(".")
    raw = tokens.unb64(signature)
    for other in (raw[:63], raw + b"\0", bytes(64), raw[32:] + raw[:32]):
        refused(world, f"{head}.{tokens.b64(other)}", 403, "signature_invalid")


def test_another_key_says_the_same_as_a_wrong_signature(world):
    """Nobody can find out by asking which keys a tenant has."""
    forger = tokens.Es256Key("signer-1")
    world.signer(OTHER)
    order = world.order("print", "never")
    wrong = refused(world, tokens.sign(order, forger), 403, "signature_invalid")
    unknown = refused(world, tokens.sign(order, tokens.Es256Key("nobody")), 403, "signature_invalid")
    other = world.trust(tokens.Es256Key("globex-only"), OTHER)
    foreign = refused(world, tokens.sign(order, other), 403, "signature_invalid")
    same_name = refused(world, tokens.sign(order, world.signer(OTHER)), 403, "signature_invalid")
    for problem in (unknown, foreign, same_name):
        assert {**problem, "request_id": ""} == {**wrong, "request_id": ""}, "the answers can be told apart"


def test_the_token_does_not_choose_its_algorithm(world):
    """RFC 8725 2.1: a public key used as an HMAC secret, `none`, and another algorithm of the same family."""
    key, order = world.signer(), world.order("print", "never")
    for secret in (key.public_pem().encode(), key.public_pem().strip().encode()):
        refused(world, tokens.sign(order, tokens.Hs256Key(key.kid, secret)), 403, "signature_invalid")
    refused(world, tokens.sign(order, key, header={"alg": "ES384"}), 403, "signature_invalid")
    refused(world, tokens.sign(order, key, header={"alg": "EdDSA"}), 403, "signature_invalid")
    for none in ("none", "None", "NONE"):
        refused(world, tokens.sign(order, key, header={"alg": none}), 400, "malformed_token")
    refused(world, tokens.unsigned(order) + ".", 400, "malformed_token")
    refused(world, tokens.unsigned(order), 400, "malformed_token")


def test_a_header_that_would_change_the_meaning(world):
    key, order = world.signer(), world.order("print", "never")
    for name, value in (("crit", ["exp"]), ("b64", False), ("zip", "DEF"), ("enc", "A128GCM"), ("jwk", {"kty": "EC"}),
                        ("jku", "http://127.0.0.1/keys"), ("x5u", "http://127.0.0.1/x"), ("x5c", ["MIIB"]),
                        ("typ", "at+jwt"), ("kid", 7), ("kid", ""), ("alg", None)):
        refused(world, tokens.sign(order, key, header={name: value}), 400, "malformed_token")
    for raw in (b'{"alg":"ES256","alg":"none","kid":"signer-1"}', b"[]", b'{"alg":"ES256","kid":"signer-1"', b"\xff"):
        refused(world, tokens.sign(order, key, raw_header=raw), 400, "malformed_token")


def test_what_is_no_token(world):
    token = world.token("print", "never")
    for text in ("x", "..", "a.b", f"{token}.x", token.replace(".", "..", 1), f" {token}", f"{token}\n", token + "=",
                 token.replace("_", "/").replace("-", "+") if "_" in token or "-" in token else token + "+"):
        refused(world, text, 400, "malformed_token")


def test_what_is_no_manifest(world):
    """Signed by the right key, and still not an order."""
    key, order = world.signer(), world.order("print", "never")

    def without(name):
        return {member: value for member, value in order.items() if member != name}

    def within(**changes):
        return {**order, "task_context": {**order["task_context"], **changes}}

    bodies = [b"not json", b"[]", b'"text"', tokens.payload(order)[:-1] + b',"nonce":"n-twice-the-same"}', *map(without, order),
              {**order, "manifest_version": "2.0.0"}, {**order, "issued_at": "yesterday"},
              {**order, "issued_at": "2026-01-02T03:04:05"}, {**order, "nonce": "short"}, {**order, "nonce": "spaces in it"},
              {**order, "target_urn": "http://x"}, {**order, "tool_sha256": order["tool_sha256"].upper()},
              {**order, "parameters": []}, within(task_id="x"), within(task_id="-first"), within(operator_id=""),
              within(operator_id=None), within(requested_at="now"), within(tenant_id=7)]
    for body in bodies:
        refused(world, tokens.sign(body, key), 422, "manifest_invalid")


def test_an_artifact_nobody_approved(world):
    digest = world.tool("unapproved", approved=False)
    refused(world, world.token("print", "never", tool=digest), 403, "artifact_not_approved")
    world.approve(digest, "approver-1").expect(201)
    problem = refused(world, world.token("print", "never", tool=digest), 403, "artifact_not_approved")
    assert "1" in problem["detail"] and "2" in problem["detail"], problem


def test_an_artifact_that_is_not_there(world):
    refused(world, world.token("print", "never", tool="sha256:" + 64 * "0"), 403, "artifact_unknown")
    theirs = world.tool("globex", tenant=OTHER)
    refused(world, world.token("print", "never", tool=theirs), 403, "artifact_unknown")


def test_an_artifact_that_was_revoked(world):
    digest = world.tool("revoked")
    world.revoke(digest).expect(200)
    refused(world, world.token("print", "never", tool=digest), 403, "artifact_revoked")


def test_outside_its_window(world):
    key = world.signer()
    for changes in ({"issued_at": tokens.time_text(-16 * 60)}, {"issued_at": tokens.time_text(90)},
                    {"issued_at": "1990-01-01T00:00:00Z"}, {"issued_at": "9999-12-31T23:59:59+00:00"},
                    {"expires_at": tokens.time_text(-1)}, {"not_before": tokens.time_text(3600)}):
        refused(world, tokens.sign({**world.order("print", "never"), **changes}, key), 403, "manifest_stale")


def test_a_nonce_that_is_spent(world):
    key = world.signer()
    first = world.order("print", "once")
    world.ended(world.submit(tokens.sign(first, key)).expect(202).json["id"])
    again = {**world.order("print", "twice"), "nonce": first["nonce"]}
    refused(world, tokens.sign(again, key), 409, "nonce_reused")
    same_body = tokens.sign(first, key, header={"typ": "JWT"})  # another token, for its header differs
    refused(world, same_body, 409, "nonce_reused")


def test_a_refused_nonce_is_not_spent(world):
    order = world.order("print", "after all")
    forged = tokens.flip(tokens.sign(order, world.signer()), 2, 5)
    refused(world, forged, 403, "signature_invalid")
    world.ended(world.submit(tokens.sign(order, world.signer())).expect(202).json["id"])


def test_another_tenants_name(world):
    order = {**world.order("print", "never")}
    order["task_context"] = {**order["task_context"], "tenant_id": OTHER}
    refused(world, tokens.sign(order, world.signer()), 403, "tenant_mismatch")


def test_the_order_of_judgement(world):
    """Form, signature, window, tenant, nonce, digest: of two faults the first is told."""
    key = world.signer()
    order = {**world.order("print", "never", tool="sha256:" + 64 * "1"), "issued_at": tokens.time_text(-3600)}
    foreign = {**order, "task_context": {**order["task_context"], "tenant_id": OTHER}}
    refused(world, tokens.flip(tokens.sign(foreign, key), 2, 1), 403, "signature_invalid")
    refused(world, tokens.sign({**foreign, "nonce": "x"}, key), 422, "manifest_invalid")
    refused(world, tokens.sign(foreign, key), 403, "manifest_stale")
    refused(world, tokens.sign({**foreign, "issued_at": tokens.time_text()}, key), 403, "tenant_mismatch")
    spent = world.order("print", "once")
    world.ended(world.submit(tokens.sign(spent, key)).expect(202).json["id"])
    both = {**order, "issued_at": tokens.time_text(), "nonce": spent["nonce"]}
    refused(world, tokens.sign(both, key), 409, "nonce_reused")
    refused(world, tokens.sign({**both, "issued_at": order["issued_at"]}, key), 403, "manifest_stale")


def test_a_caller_without_the_role(world):
    """Known, and refused: that is an event too (DESIGN.md section 10)."""
    for caller in ("viewer", "publisher", "approver-1", "auditor"):
        refused(world, world.token("print", "never"), 403, "forbidden", caller=caller)


def test_strangers_leave_no_events(world):
    token = world.token("print", "never")
    revoked = world.new_key("gone", TENANT, "submitter").json
    world.caller("admin").delete(f"/v1/api-keys/{revoked['id']}").expect(204)
    _, unknown, _ = tokens.api_key_text()
    known = world.caller("submitter").key
    wrong = known[:-2] + ("A" if known[-2] != "A" else "B") + known[-1]
    events = world.db.count("event")
    for key in (None, revoked["key"], unknown, wrong, "sp_x_y", "", known.upper()):
        refused(world, None, 401, "not_authenticated", events=0, send=lambda key=key: world.stranger.with_key(key).submit(token))
    for header in (f"Basic {known}", known, f"Bearer  {known}", f"Bearer {known} {known}"):
        refused(world, None, 401, "not_authenticated", events=0,
                send=lambda header=header: world.stranger.submit(token, headers={"Authorization": header}))
    assert world.db.count("event") == events, "a stranger made events"


def test_the_keys_that_are_trusted_do_sign(world):
    """The refusals above are no accident: each kind of key, well used, is accepted."""
    for key in (world.trust(tokens.Hs256Key("hmac-1")), world.trust(tokens.EdDsaKey("ed-1"))):
        for header in ({}, {"typ": None}, {"typ": "JWT"}):
            order = world.order("print", key.alg)
            execution = world.ended(world.submit(tokens.sign(order, key, header=header)).expect(202).json["id"])
            assert execution["state"] == "succeeded", execution
        refused(world, tokens.flip(tokens.sign(world.order("print", "never"), key), 2, 3), 403, "signature_invalid")


def test_a_flood_of_forgeries_is_summed_up(world):
    """A token bucket for each caller: events for some, the rest counted in the next, none forgotten."""
    flooder = world.stranger.with_key(world.new_key("flooder", TENANT, "submitter").json["key"])
    token = world.token("print", "never")
    count = 150
    before = len(world.refusals())
    for number in range(count):
        flooder.submit(tokens.flip(token, 2, number % 60)).refused(403, "signature_invalid")
    told = world.refusals()
    world.told = len(told)
    new = [event["data"] for event in told[before:] if event["data"]["principal"] == "flooder"]
    assert len(new) < count, "every forgery made an event"
    counted = len(new) + sum(data["unreported"] for data in new)
    assert count - 60 <= counted <= count, f"{counted} of {count} are told of"
    world.queue_is_empty()
