# SPDX-License-Identifier: Apache-2.0
"""Whose signature counts, from when, and until when.

Keys of tenants are apart; they overlap when they are changed, and end at their time or by revocation, in
every api within a second and for jobs that wait already. A worker with keys of its own believes no other.
Attack: another tenant's key, a key put into the database by hand, one token on many connections, tokens
made to hurt the reader. A forger learns nothing, by words or by time."""

import concurrent.futures
import json
import os
import statistics
import subprocess
import time

from support import tokens, wait
from support.world import FINISHED, STARTED, TENANT

OTHER = "globex"
AT_ONCE = 32
FULL = os.environ.get("SALLYPORT_TEST_FULL") == "1"
SAMPLES = 200
REVOKED_SECONDS = 1.0
QUICK_SECONDS = 5  # far more than the few milliseconds that such an answer takes


def setup(world):
    world.start_all()
    world.start("api", "api-2")
    world.tool()
    for caller in ("submitter", "viewer", "auditor"):
        world.caller(caller)


def second(world, caller="submitter"):
    """The same caller at the other api."""
    known = world.caller(caller)
    return type(known)(("127.0.0.1", world.daemons["api-2"].port), known.contract, known.key)


def set_key(world, kid, pem):
    """Another key under a kid, as somebody does it who has the database and wants no trigger's opinion."""
    world.db.sql(f"UPDATE verification_key SET public_pem = '{pem}' WHERE tenant_id = '{TENANT}' AND kid = '{kid}'",
                 options="-c session_replication_role=replica")


def by(world, key, *args, header=None, **order):
    """A fresh token of that key."""
    return tokens.sign(world.order(*(args or ("print", "so")), **order), key, header=header)


def accepted(world, token, tenant=TENANT):
    execution = world.ended(world.submit(token, tenant=tenant).expect(202).json["id"], tenant=tenant)
    assert execution["state"] == "succeeded", execution
    return execution


def forged(world, token, tenant=TENANT):
    return world.submit(token, tenant=tenant).refused(403, "signature_invalid")


def offer(world, key, tenant=TENANT, **times):
    return world.caller("admin", tenant).post("/v1/keys", {**key.offer(), **times})


def revoke(world, key, tenant=TENANT):
    world.caller("admin", tenant).request("POST", f"/v1/keys/{key.kid}/revocation").expect(204)


def test_attack_a_key_of_another_tenant(world):
    """A kid never reaches another tenant's key, whoever signs and whoever's API key brings it."""
    mine, theirs = world.trust(tokens.Es256Key("apart")), world.trust(tokens.Es256Key("apart"), OTHER)
    theirs_alone = world.trust(tokens.Es256Key("theirs"), OTHER)
    theirs_tool = world.tool("globex", tenant=OTHER)
    accepted(world, by(world, mine))
    accepted(world, by(world, theirs, tenant=OTHER, tool=theirs_tool), OTHER)
    for key in (theirs, theirs_alone):
        forged(world, by(world, key))
    forged(world, by(world, mine, tenant=OTHER, tool=theirs_tool), OTHER)
    # Their key and their name, brought by our caller; ours, brought by theirs.
    forged(world, by(world, theirs, tenant=OTHER, tool=theirs_tool))
    world.submit(by(world, mine, tenant=OTHER, tool=theirs_tool)).refused(403, "tenant_mismatch")
    world.queue_is_empty()
    mine_listed = {key["kid"] for key in world.caller("admin").get("/v1/keys").expect(200).json["items"]}
    assert "apart" in mine_listed and "theirs" not in mine_listed, mine_listed


def test_without_a_kid_where_there_is_one_key(world):
    """The one active key of a tenant needs no name; of two, none is guessed."""
    tenant = "lone"
    tool = world.tool("lone", tenant=tenant)
    first = world.trust(tokens.Es256Key("first"), tenant)

    def nameless(key):
        return by(world, key, tenant=tenant, tool=tool, header={"kid": None})
    execution = accepted(world, nameless(first), tenant)
    decision = world.finished(execution["id"], tenant)["data"]["policy_decision"]
    assert decision["kid"] == "first", decision
    later = tokens.Es256Key("second")
    world.trust(later, tenant)
    wait.until(10, "two keys: a token without a name is refused", lambda: forged(world, nameless(first), tenant))
    forged(world, nameless(later), tenant)
    accepted(world, by(world, later, tenant=tenant, tool=tool), tenant)
    revoke(world, first, tenant)
    wait.until(10, "one key again", lambda: world.submit(nameless(later), tenant=tenant).status == 202)
    forged(world, nameless(first), tenant)
    assert wait.until(60, "all have ended", lambda: world.queue_is_empty())


def test_keys_overlap_when_they_are_changed(world):
    """Old and new both sign; then the old one's time is over, and only that of the old one."""
    old, new = tokens.Es256Key("rotate-2025"), tokens.EdDsaKey("rotate-2026")
    offer(world, old, not_after=tokens.time_text(6)).expect(201)
    offer(world, new, not_before=tokens.time_text(-60)).expect(201)
    started = time.monotonic()
    accepted(world, by(world, new))
    ids = [world.submit(by(world, old)).expect(202).json["id"]]
    assert time.monotonic() - started < 6, "too slow a machine for six seconds"
    wait.until(20, "the old key's time is over", lambda: forged(world, by(world, old, "print", "too late")))
    assert time.monotonic() - started > 5
    accepted(world, by(world, new))
    for execution_id in ids:
        world.ended(execution_id)
        world.ended_once(execution_id)
    future = tokens.Es256Key("rotate-2027")
    offer(world, future, not_before=tokens.time_text(3600)).expect(201)
    forged(world, by(world, future))
    for times in ({"not_before": tokens.time_text(60), "not_after": tokens.time_text(30)}, {"not_after": "tomorrow"},
                  {"not_after": "2027-01-01T00:00:00"}):
        answer = offer(world, tokens.Es256Key("rotate-odd"), **times)
        assert answer.status in (400, 422), f"{times}: {answer}"
    world.queue_is_empty()


def test_a_revocation_holds_in_every_api_within_a_second(world):
    """And at once inside the accepting statement: what is accepted after it was answered is a failure."""
    key = world.trust(tokens.Es256Key("to-be-revoked"))
    apis = (world.caller("submitter"), second(world))
    for api in apis:  # both know the key, and keep it for a while
        world.ended(api.submit(by(world, key)).expect(202).json["id"])
    batch = [by(world, key, "print", str(number)) for number in range(40)]
    revoke(world, key)
    revoked = time.monotonic()
    last = revoked
    for number, token in enumerate(batch):
        answer = apis[number % 2].submit(token)
        assert answer.status != 202, f"accepted {time.monotonic() - revoked:.3f} s after the revocation was answered"
        answer.refused(403, "signature_invalid")
        last = time.monotonic()
        if last - revoked > 2 * REVOKED_SECONDS:
            break
    assert world.db.count(f"execution_nonce WHERE execution_id IN (SELECT execution_id FROM execution_active WHERE kid = '{key.kid}')") == 0
    listed = {item["kid"]: item for item in world.caller("admin").get("/v1/keys").expect(200).json["items"]}
    assert listed[key.kid]["revoked_at"] is not None, listed[key.kid]
    # For ever: not taken back by the same key, or another of its name.
    offer(world, key).refused(409, "state_conflict")
    offer(world, tokens.Es256Key(key.kid)).refused(409, "state_conflict")
    world.caller("admin").request("POST", f"/v1/keys/{key.kid}/revocation").expect(204, 409)
    world.caller("admin").request("POST", "/v1/keys/never-was/revocation").refused(404, "not_found")


def test_a_revocation_reaches_what_waits(world):
    """Accepted, not started: the worker asks again at the start, and says no."""
    key, worker = world.trust(tokens.Es256Key("revoked-while-waiting")), world.daemons["worker"]
    worker.stop()
    token = by(world, key, "print", "never")
    execution_id = world.submit(token).expect(202).json["id"]
    revoke(world, key)
    assert world.execution(execution_id)["state"] == "queued"
    worker.start().ready()
    execution = world.ended(execution_id)
    assert (execution["state"], execution["started_at"]) == ("refused", None), execution
    data = world.finished(execution_id)["data"]
    assert data["reason"] == "signature_invalid" and data["status"] == "failed", data
    assert STARTED not in world.event_counts(execution_id) and world.stdout(execution_id) == b""
    wait.until(5, "the api has forgotten the key", lambda: forged(world, token))
    world.queue_is_empty()


def test_a_shared_secret_end_to_end(world):
    """Never shown, never stored as it is; it signs until the tenant forbids it."""
    tenant = "hmac-house"
    tool = world.tool("hmac", tenant=tenant)
    key = world.trust(tokens.Hs256Key("shared"), tenant)
    execution = accepted(world, by(world, key, tenant=tenant, tool=tool), tenant)
    assert world.finished(execution["id"], tenant)["data"]["policy_decision"]["alg"] == "HS256"
    listed = world.caller("admin", tenant).get("/v1/keys").expect(200)
    assert tokens.b64(key.secret) not in listed.text and '"secret"' not in listed.text
    stored = world.db.value("SELECT encode(wrapped_secret, 'hex') || coalesce(public_pem, '') FROM verification_key"
                            f" WHERE tenant_id = '{tenant}' AND kid = 'shared'")
    assert key.secret.hex() not in stored
    bodies = world.db.value("SELECT string_agg(encode(body, 'hex'), '') FROM event")
    assert key.secret.hex() not in bodies and tokens.b64(key.secret).encode().hex() not in bodies
    for daemon in world.daemons.values():
        assert tokens.b64(key.secret) not in daemon.log(), f"{daemon.name} wrote the secret to its log"
    forged(world, by(world, tokens.Hs256Key("shared"), tenant=tenant, tool=tool), tenant)
    waiting = by(world, key, tenant=tenant, tool=tool)
    world.daemons["worker"].stop()
    execution_id = world.submit(waiting, tenant=tenant).expect(202).json["id"]
    world.sallyportd("tenant", "--database", world.db.conninfo(), "--tenant", tenant, "--allow-hmac", "off")
    refused = time.monotonic()
    forged(world, by(world, key, tenant=tenant, tool=tool), tenant)
    assert time.monotonic() - refused < QUICK_SECONDS
    world.daemons["worker"].start().ready()
    execution = world.ended(execution_id, tenant=tenant)
    assert (execution["state"], execution["reason"]) == ("refused", "signature_invalid"), execution
    own = world.trust(tokens.Es256Key("own"), tenant)
    accepted(world, by(world, own, tenant=tenant, tool=tool), tenant)
    world.sallyportd("tenant", "--database", world.db.conninfo(), "--tenant", tenant, "--allow-hmac", "on")
    wait.until(10, "it is allowed again", lambda: world.submit(by(world, key, tenant=tenant, tool=tool), tenant=tenant).status == 202)
    wait.until(60, "it has ended", world.queue_is_empty)


def test_attack_a_key_that_only_the_database_has(world):
    """Somebody with the database in hand adds a key and signs with it. The api believes the database; a worker
    with keys of its own does not."""
    pinned, inserted = world.trust(tokens.Es256Key("pinned")), tokens.Es256Key("inserted")
    path = world.write("pins.json", json.dumps({"keys": [
        {"tenant_id": TENANT, "kid": pinned.kid, "alg": pinned.alg, "public_pem": pinned.public_pem()}]}))
    worker = world.daemons["worker"]
    worker.stop()
    worker.flags["pinned-keys"] = path
    try:
        worker.start().ready()
        accepted(world, by(world, pinned))
        world.db.sql("INSERT INTO verification_key (tenant_id, kid, alg, public_pem, created_by) VALUES"
                     f" ('{TENANT}', '{inserted.kid}', '{inserted.alg}', '{inserted.public_pem()}', 'nobody')")
        # The other way: the pinned kid with the forger's key in the database.
        replaced = tokens.Es256Key(pinned.kid)
        for key in (inserted, replaced):
            if key is replaced:
                set_key(world, key.kid, key.public_pem())
            token = by(world, key, "print", "never")
            wait.until(10, "the api believes the database", lambda: world.submit(token).status in (200, 202))
            execution = world.ended(world.submit(token).expect(200).json["id"])
            assert (execution["state"], execution["reason"], execution["started_at"]) == ("refused", "signature_invalid", None), execution
            assert STARTED not in world.event_counts(execution["id"])
            world.ended_once(execution["id"])
        # What the database can do is take away: the pinned key revoked is a key no more.
        set_key(world, pinned.kid, pinned.public_pem())
        wait.until(10, "the right key is back", lambda: world.submit(by(world, pinned)).status == 202)
        revoke(world, pinned)
        forged(world, by(world, pinned))
        wait.until(60, "all have ended", world.queue_is_empty)
    finally:
        worker.stop()
        worker.flags.pop("pinned-keys")
        worker.start().ready()


def test_pins_that_are_not_understood_start_no_worker(world):
    """Whatever cannot be checked is refused: no worker with half of its pins."""
    pin = {"tenant_id": TENANT, "kid": "k", "alg": "ES256", "public_pem": tokens.Es256Key("k").public_pem()}
    for text in ("", "[]", "{}", '{"keys":[{}]}', json.dumps({"keys": [{**pin, "alg": "HS256"}]}), json.dumps({"keys": [pin, pin]}),
                 json.dumps({"keys": [{**pin, "alg": "RS256"}]}), json.dumps({"keys": [pin], "more": 1}), json.dumps({"keys": [{**pin, "x": 1}]}),
                 json.dumps({"keys": [{**pin, "public_pem": tokens.Es256Key("k").private_pem()}]})):
        path = world.write("odd-pins.json", text)
        flags = {**world.daemons["worker"].flags, "state-dir": os.path.join(world.folder, "state-odd"), "node": "odd", "pinned-keys": path}
        try:
            done = world.run_program("sallyportd", "worker", *(f"--{name}={value}" for name, value in flags.items()),
                                     "--ops-listen=127.0.0.1:0", timeout=30)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"a worker started with pins {text[:200]}") from None
        assert done.returncode not in (0, -9) and "PRIVATE" not in done.stderr, f"{text[:80]}: {done.returncode} {done.stderr[-500:]}"


def test_attack_one_token_on_many_connections(world):
    """To two apis at once: one execution."""
    world.signer()
    for _ in range(2):
        order = world.order("print", "once")
        token = tokens.sign(order, world.signer())
        callers = (world.caller("submitter"), second(world))
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda number: callers[number % 2].submit(token), range(AT_ONCE)))
        assert sorted(answer.status for answer in answers) == [200] * (AT_ONCE - 1) + [202], [answer.status for answer in answers]
        ids = {answer.json["id"] for answer in answers}
        assert len(ids) == 1, ids
        execution_id = ids.pop()
        assert world.ended(execution_id)["state"] == "succeeded" and world.stdout(execution_id) == b"once\n"
        world.ended_once(execution_id)
        assert world.db.count(f"execution_nonce WHERE tenant_id = '{TENANT}' AND nonce = '{order['nonce']}'") == 1


def test_attack_tokens_made_to_hurt_the_reader(world):
    """Each is a 4xx, quickly, and the api is as it was."""
    key = world.signer()
    order = tokens.payload(world.order("print", "never"))
    deep = b'{"a":' * 3000 + b"1" + b"}" * 3000
    large_header = tokens.payload({"alg": "ES256", "kid": key.kid, "x": "y" * 65536})
    caller = world.caller("submitter")
    sends = {
        "9 MB of token": (lambda: caller.submit("a" * (9 * 1024 * 1024 // 3) + "." + "b" * (9 * 1024 * 1024 // 3) + "." + "c" * (9 * 1024 * 1024 // 3)), 413),
        "a header of 64 KiB": (lambda: caller.submit(tokens.sign(order, key, raw_header=large_header)), 400),
        "a header 3,000 deep": (lambda: caller.submit(tokens.sign(order, key, raw_header=deep)), 400),
        "a payload 3,000 deep": (lambda: caller.submit(tokens.sign(deep, key)), 422),
        "arrays 3,000 deep": (lambda: caller.submit(tokens.sign(b"[" * 3000 + b"]" * 3000, key)), 422),
        "a NUL in a payload": (lambda: caller.submit(tokens.sign(order[:-1] + b',"x":"\0"}', key)), 422),
        "a NUL written out": (lambda: caller.submit(tokens.sign(order[:-1] + b',"target_urn\\u0000":"x"}', key)), 422),
        "a NUL behind a payload": (lambda: caller.submit(tokens.sign(order + b"\0", key)), 422),
        "a NUL in the token": (lambda: caller.submit(by(world, key) + "\0"), 400),
        "ten thousand dots": (lambda: caller.submit("." * 10000), 400),
        "a number too long": (lambda: caller.submit(tokens.sign(order[:-1] + b',"x":1' + b"0" * 5000 + b"}", key)), 422),
    }
    for name, (send, status) in sends.items():
        started = time.monotonic()
        try:
            answer = send()
        except (BrokenPipeError, ConnectionResetError):
            assert status == 413, f"{name}: the connection was reset"
            continue
        seconds = time.monotonic() - started
        print(f"       {name}: {answer.status} {answer.json['code']} after {seconds * 1000:.1f} ms", flush=True)
        assert answer.status == status, f"{name}: {answer}"
        assert seconds < QUICK_SECONDS, f"{name}: {seconds:.1f} s"
    world.queue_is_empty()
    assert world.daemons["api"].starts == 1


def test_a_forger_learns_nothing(world):
    """Unknown kid, wrong signature, revoked key, another's key, the wrong algorithm: one answer, word for word.
    And alike in time: the medians are printed, for a time is no verdict on a machine that others use."""
    key, gone = world.signer(), world.trust(tokens.Es256Key("gone"))
    revoke(world, gone)
    count = 5 * SAMPLES if FULL else SAMPLES
    kinds = {
        "bad signature": lambda: tokens.flip(by(world, key), 2, 9),
        "unknown kid": lambda: by(world, tokens.Es256Key("no-such-kid")),
        "revoked kid": lambda: by(world, gone),
        "other algorithm": lambda: by(world, key, header={"alg": "ES384"}),
        "unknown kid, other algorithm": lambda: by(world, tokens.Es256Key("no-such-kid"), header={"alg": "ES384"}),
    }
    answers, times = {}, {name: [] for name in kinds}
    for number in range(count):
        for name, make in kinds.items():
            token = make()
            started = time.monotonic()
            answer = world.submit(token)
            times[name].append(time.monotonic() - started)
            problem = answer.refused(403, "signature_invalid")
            if number == 0:
                headers = {header: value for header, value in answer.headers.items() if header not in ("X-Request-Id", "Date")}
                answers[name] = ({**problem, "request_id": ""}, headers)
    for name, answer in answers.items():
        assert answer == answers["bad signature"], f"{name}: {answer} is not {answers['bad signature']}"
    medians = {name: statistics.median(values) for name, values in times.items()}
    words = ", ".join(f"{name} {seconds * 1000:.2f} ms" for name, seconds in medians.items())
    print(f"       medians of {count}: {words}; the slowest is {max(medians.values()) / min(medians.values()):.2f} x the fastest", flush=True)
    world.queue_is_empty()


def test_all_of_this_is_in_the_ledger(world):
    """Every key that came and went is an event, and none of them a key's own words."""
    world.ledger_is_complete()
    revoke(world, world.trust(tokens.Es256Key("told")))
    rows = world.db.sql("SELECT type, convert_from(body, 'UTF8') FROM event WHERE subject = 'told' ORDER BY event_id")
    assert [row[0].removeprefix("io.sallyport.") for row in rows] == ["key.added.v1", "key.revoked.v1"], rows
    assert all("PRIVATE" not in row[1] for row in rows)
    assert world.db.count(f"event WHERE type = '{FINISHED}'") == world.db.count("execution")
