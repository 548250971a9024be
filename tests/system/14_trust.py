# SPDX-License-Identifier: Apache-2.0
"""Whose signature counts, from when, and until when.

Keys of tenants are apart; they overlap when they are changed, and end at their time or by revocation, in
every api within a second and for jobs that wait already. A worker with keys of its own believes no other.
A shared secret counts only where a worker was told to take it.
Attack: another tenant's key, a key put into the database by hand, one token on many connections and after
restarts, hostile names, tokens made to hurt the reader. A forger learns nothing. Tests called row_NN are those
of the list of known JWS attacks that only the whole gateway can show; tests/unit/trust has the others."""

import concurrent.futures
import json
import os
import signal
import subprocess
import time

from support import tokens, wait
from support.world import FINISHED, STARTED, TENANT

OWN_CLUSTER = True
OTHER = "globex"
AT_ONCE = 32
THREADS = 2  # few, so that a volley of AT_ONCE meets each of them
REVOKED_SECONDS = 1.0
QUICK_SECONDS = 5  # far more than the few milliseconds that such an answer takes


def setup(world):
    world.start_all(api={"request_threads": THREADS})
    world.start("api", "api-2", request_threads=THREADS)
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


def jwk(key, **more):
    """A key of ours as a JWK that says all of itself."""
    if isinstance(key, tokens.EdDsaKey):
        return {**key.offer()["jwk"], "kid": key.kid, **more}
    point = key.private.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": tokens.b64(point.x.to_bytes(32, "big")),
            "y": tokens.b64(point.y.to_bytes(32, "big")), "kid": key.kid, "alg": key.alg, **more}


def offer_set(world, *keys, tenant=TENANT, **more):
    return world.caller("admin", tenant).post("/v1/keys", {"jwks": {"keys": list(keys)}, **more})


def kids(world, tenant=TENANT):
    return {key["kid"]: key for key in world.caller("admin", tenant).get("/v1/keys").expect(200).json["items"]}


def restart_worker(world, **settings):
    """With these settings; None takes one away."""
    worker = world.daemons["worker"]
    worker.stop()
    for name, value in settings.items():
        worker.flags.pop(name.replace("_", "-"), None)
        if value is not None:
            worker.flags[name.replace("_", "-")] = value
    return worker.start().ready()


def revoke(world, key, tenant=TENANT):
    world.caller("admin", tenant).request("POST", f"/v1/keys/{key.kid}/revocation").expect(204)


def test_row_23_a_key_of_another_tenant(world):
    """Row 23: a kid never reaches another tenant's key, whoever signs and whoever's API key brings it."""
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
    assert "apart" in kids(world) and "theirs" not in kids(world), kids(world)


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


def test_row_25_keys_overlap_when_they_are_changed(world):
    """Row 25: old and new both sign; then the old one's time is over, and only that of the old one."""
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


def test_row_25_a_revocation_holds_in_every_api_within_a_second(world):
    """Row 25: and at once inside the accepting statement: what is accepted after it was answered is a failure."""
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
    assert kids(world)[key.kid]["revoked_at"] is not None, kids(world)[key.kid]
    # For ever: not taken back by the same key, or another of its name.
    offer(world, key).refused(409, "state_conflict")
    offer(world, tokens.Es256Key(key.kid)).refused(409, "state_conflict")
    world.caller("admin").request("POST", f"/v1/keys/{key.kid}/revocation").expect(204, 409)
    world.caller("admin").request("POST", "/v1/keys/never-was/revocation").refused(404, "not_found")


def test_row_25_a_revocation_reaches_what_waits(world):
    """Row 25: accepted, not started: the worker asks again at the start, and says no."""
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


def test_a_shared_secret_needs_a_worker_that_takes_it(world):
    """Unless told otherwise a worker runs nothing that a secret signed, master key or not, pins or not: whoever
    has the api has the master key, can add a secret of his own, and sign."""
    pins = world.write("no-pins.json", json.dumps({"keys": []}))
    for number, settings in enumerate(({"pinned_keys": None}, {"pinned_keys": pins})):
        worker = restart_worker(world, accept_hmac=None, **settings)
        key = world.trust(tokens.Hs256Key(f"not-taken-{number}"))
        execution = world.ended(world.submit(by(world, key, "print", "never")).expect(202).json["id"])
        assert (execution["state"], execution["reason"], execution["started_at"]) == ("refused", "signature_invalid", None), execution
        assert STARTED not in world.event_counts(execution["id"])
        world.ended_once(execution["id"])
        told = [line for line in worker.said("execution refused") if line["execution_id"] == execution["id"]]
        assert len(told) == 1 and "accept-hmac" in told[0]["detail"], told
    restart_worker(world, pinned_keys=None)
    accepted(world, by(world, world.signer()))
    # Without the master key there is nothing to take it with: no worker that only seems to.
    flags = {**world.daemons["worker"].flags, "state-dir": os.path.join(world.folder, "state-no-key"), "accept-hmac": "on", "master-key": ""}
    done = world.run_program("sallyportd", "worker", *(f"--{name}={value}" for name, value in flags.items()), "--ops-listen=127.0.0.1:0", timeout=60)
    assert done.returncode == 1 and "accept-hmac: needs master-key" in done.stderr, f"{done.returncode} {done.stderr[-500:]}"


def test_a_shared_secret_end_to_end(world):
    """Never shown, never stored as it is; it signs until the tenant forbids it."""
    tenant = "hmac-house"
    tool = world.tool("hmac", tenant=tenant)
    key = world.trust(tokens.Hs256Key("shared"), tenant)
    restart_worker(world, accept_hmac="on")
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
    restart_worker(world, accept_hmac=None)


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


def test_attack_an_order_run_before_its_time(world):
    """A signed order that says from when: whoever has the database queues it at once, and the worker waits for no api
    to look at the clock."""
    worker, order = world.daemons["worker"], world.order("print", "too soon")
    worker.stop()
    execution_id = world.submit(tokens.sign(order, world.signer())).expect(202).json["id"]
    early = tokens.sign({**order, "not_before": tokens.time_text(3600)}, world.signer())
    digest = tokens.sha256(tokens.payload_of(early))
    world.db.sql(f"UPDATE execution_active SET token = '{early}', manifest_sha256 = '\\x{digest[7:]}' WHERE execution_id = '{execution_id}'")
    worker.start().ready()
    execution = world.ended(execution_id)
    assert (execution["state"], execution["reason"], execution["started_at"]) == ("refused", "manifest_stale", None), execution
    world.ended_once(execution_id)


def test_row_24_one_token_on_many_connections(world):
    """Row 24: to two apis at once: one execution."""
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


def all_answer(send):
    """A volley, many times what an api has threads for: did all of it come back with 200?"""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return all(answer.status == 200 for answer in pool.map(lambda _: send().expect(200, 503), range(AT_ONCE)))


def in_the_end(send):
    """What it answers once it is not 503 any more: a caller asks again."""
    return wait.until(60, "an answer", lambda: next((answer for answer in [send()] if answer.status != 503), None))


def known_again(world, token, execution_id, rival):
    """The token is its execution still, and its nonce nobody else's. Each of an api's connections (a thread's, the
    writer's) fails the one call that finds it broken (storage/pg.h), so volleys go out until one comes back whole."""
    for caller, viewer in ((world.caller("submitter"), world.caller("viewer")), (second(world), second(world, "viewer"))):
        wait.until(60, "every thread has a connection", lambda viewer=viewer: all_answer(lambda: viewer.get("/v1/executions", limit=1)))
        for known in (token, tokens.twin(token)):
            answer = in_the_end(lambda known=known, caller=caller: caller.submit(known))
            assert answer.expect(200).json["id"] == execution_id
        in_the_end(lambda caller=caller: caller.submit(rival)).refused(409, "nonce_reused")
    world.ended_once(execution_id)


def test_row_24_a_replay_after_restarts(world):
    """Row 24: exactly one execution, before and after a restart of the apis and of PostgreSQL, in order or not. A
    forgery spends no nonce."""
    order = world.order("print", "once more")
    token = tokens.sign(order, world.signer())
    rival = tokens.sign({**order, "target_urn": "urn:sallyport:test:other"}, world.signer())
    for part, byte in ((0, 3), (1, 40), (2, 7)):
        answer = world.submit(tokens.flip(token, part, byte))
        assert answer.status in (400, 403), answer
    assert world.db.count(f"execution_nonce WHERE nonce = '{order['nonce']}'") == 0, "a forgery has spent the nonce"
    execution_id = accepted(world, token)["id"]
    known_again(world, token, execution_id, rival)
    for name in ("api", "api-2"):
        api = world.daemons[name]
        if name == "api":
            api.stop()
        else:
            api.kill()
        api.start().ready()
    known_again(world, token, execution_id, rival)
    for how in (signal.SIGINT, signal.SIGQUIT):
        world.db.cluster.stop(how)
        world.db.cluster.start()
        for daemon in world.daemons.values():
            daemon.ready()
        known_again(world, token, execution_id, rival)
    assert world.db.count(f"execution_nonce WHERE nonce = '{order['nonce']}'") == 1


def test_row_14_hostile_names(world):
    """Row 14: a name is looked up and nothing else: not opened, not run, not echoed; twice there, it is no name."""
    caller = world.caller("submitter")
    printable = ("../../../../etc/passwd", "/etc/passwd", "a'||(SELECT/**/1)||'", "';DROP/**/TABLE/**/verification_key;--", "%00", "${jndi:x}",
                 "<script>", "signer-1%", "SIGNER-1", "k" * 128, '"}', "\\", "$(id)", "`id`")
    for kid in printable:
        answer = caller.submit(by(world, world.signer(), header={"kid": kid}))
        problem = answer.refused(403, "signature_invalid")
        assert kid not in problem["detail"], problem
    order = tokens.payload(world.order("print", "never"))
    for kid in ("", "a b", "a\nb", "a\0b", "\x1b[2J", "k" * 129, "k" * 10000, "\u00e9", "\u202e", 7, None, ["signer-1"], {"a": "b"}, True):
        header = tokens.payload({"alg": "ES256", "kid": kid})
        answer = caller.submit(tokens.sign(order, world.signer(), raw_header=header))
        problem = answer.refused(400, "malformed_token")
        assert "kkkk" not in problem["detail"] and "\x1b" not in problem["detail"], problem
    twice = b'{"alg":"ES256","kid":"signer-1","kid":"signer-1"}'
    caller.submit(tokens.sign(order, world.signer(), raw_header=twice)).refused(400, "malformed_token")
    escaped = b'{"alg":"ES256","kid":"other","\\u006bid":"signer-1"}'
    caller.submit(tokens.sign(order, world.signer(), raw_header=escaped)).refused(400, "malformed_token")
    before = kids(world)
    same = tokens.Es256Key("twice")
    assert offer_set(world, jwk(same), jwk(tokens.EdDsaKey("twice"))).refused(422, "key_invalid")["detail"].startswith("jwks.keys[1].kid")
    offer_set(world, jwk(same), jwk(same)).refused(422, "key_invalid")
    for kid in ("", "a b", "k" * 129, 7, None):
        world.caller("admin").post("/v1/keys", {**same.offer(), "kid": kid}).expect(400, 422)
        offer_set(world, jwk(same, kid=kid)).refused(422, "key_invalid")
    assert kids(world) == before
    for daemon in world.daemons.values():
        for line in daemon.log().splitlines():
            json.loads(line)  # no name has begun a line of its own
    world.queue_is_empty()


def test_a_set_of_keys(world):
    """All of it in one step, each with its event; or none, and the answer says which key is to blame."""
    one, two = tokens.Es256Key("set-one"), tokens.EdDsaKey("set-two")
    until = tokens.time_text(3600)
    for key in (one, two):
        forged(world, by(world, key))  # and not remembered as unknown once they are there
    added = offer_set(world, jwk(one), jwk(two), not_after=until).expect(201).json["items"]
    assert [(item["kid"], item["alg"], item["not_after"]) for item in added] == [("set-one", "ES256", until), ("set-two", "EdDSA", until)], added
    for key in (one, two):
        accepted(world, by(world, key))
        events = world.db.sql(f"SELECT convert_from(body, 'UTF8') FROM event WHERE type = 'io.sallyport.key.added.v1' AND subject = '{key.kid}'")
        assert len(events) == 1 and "PUBLIC KEY" in events[0][0] and json.loads(events[0][0])["data"]["kid"] == key.kid, events
    before, count = kids(world), world.db.count("event")
    good, other = tokens.Es256Key("set-good"), tokens.Es256Key("set-other")
    odd = {
        "jwks.keys[1].kid": jwk(other, kid=None),
        "jwks.keys[1].crv": jwk(other, crv="P-384"),
        "jwks.keys[1].x": jwk(other, x=tokens.b64(b"x" * 31)),
        "jwks.keys[1].d": jwk(other, d=tokens.b64(b"d" * 32)),
        "jwks.keys[1].use": jwk(other, use="enc"),
        "jwks.keys[1].kty": {"kty": "oct", "kid": "shared", "alg": "HS256", "k": tokens.b64(os.urandom(32))},
        "jwks.keys[1]: ": jwk(other, y=tokens.b64(b"y" * 32)),
    }
    for place, key in odd.items():
        problem = offer_set(world, jwk(good), key).refused(422, "key_invalid")
        assert problem["detail"].startswith(place), f"{place}: {problem}"
    problem = offer_set(world, jwk(good), jwk(one), jwk(other)).refused(409, "state_conflict")
    assert "set-one" in problem["detail"], problem
    offer_set(world).refused(422, "key_invalid")
    offer_set(world, *(jwk(tokens.Es256Key(f"set-{number}")) for number in range(17))).refused(422, "key_invalid")
    for more in ({"kid": "x"}, {"alg": "ES256"}, {"public_pem": good.public_pem()}, {"secret": tokens.b64(b"s" * 32)}, {"jwk": jwk(good)},
                 {"more": 1}, {"not_before": "tomorrow"}):
        offer_set(world, jwk(good), **more).refused(400, "malformed_request")
    world.caller("admin").post("/v1/keys", {"jwks": [jwk(good)]}).refused(400, "malformed_request")
    world.caller("submitter").post("/v1/keys", {"jwks": {"keys": [jwk(good)]}}).refused(403, "forbidden")
    assert kids(world) == before and world.db.count("event") == count, "something was added"
    # By the client, a set and a key that says all of itself.
    three, four = tokens.Es256Key("set-three"), tokens.EdDsaKey("set-four")
    told = json.loads(world.cli("key", "add", "--jwks", world.write("jwks.json", json.dumps({"keys": [jwk(three)]})), "-o", "json").stdout)
    assert [item["kid"] for item in told["items"]] == ["set-three"], told
    world.cli("key", "add", world.write("jwk.json", json.dumps(jwk(four))))
    for key in (three, four):
        accepted(world, by(world, key))
    world.cli("key", "add", "--jwks", world.write("jwks.json", json.dumps({"keys": [jwk(good), jwk(good)]})), expect=2)


def test_attack_tokens_made_to_hurt_the_reader(world):
    """Each is a 4xx, quickly, and the api is as it was."""
    key = world.signer()
    order = tokens.payload(world.order("print", "never"))
    deep = b'{"a":' * 3000 + b"1" + b"}" * 3000
    large_header = tokens.payload({"alg": "ES256", "kid": key.kid, "x": "y" * 65536})
    caller, starts = world.caller("submitter"), world.daemons["api"].starts
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
    assert world.daemons["api"].alive() and world.daemons["api"].starts == starts


def test_row_28_a_forger_learns_nothing(world):
    """Row 28: unknown kid, wrong signature, revoked key, a record that holds no key, the wrong algorithm: one answer,
    word for word. How alike they are in time ./dev bench refusals tells."""
    key, gone, spoilt = world.signer(), world.trust(tokens.Es256Key("gone")), world.trust(tokens.Es256Key("spoilt"))
    shared = world.trust(tokens.Hs256Key("spoilt-secret"))
    revoke(world, gone)
    set_key(world, spoilt.kid, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    world.db.sql(f"UPDATE verification_key SET wrapped_secret = '\\x01' WHERE kid = '{shared.kid}'", options="-c session_replication_role=replica")
    kinds = {
        "bad signature": lambda: tokens.flip(by(world, key), 2, 9),
        "unknown kid": lambda: by(world, tokens.Es256Key("no-such-kid")),
        "revoked kid": lambda: by(world, gone),
        "no key in the record": lambda: by(world, spoilt),
        "no secret in the record": lambda: by(world, shared),
        "other algorithm": lambda: by(world, key, header={"alg": "ES384"}),
        "unknown kid, other algorithm": lambda: by(world, tokens.Es256Key("no-such-kid"), header={"alg": "ES384"}),
    }
    answers = {}
    for name, make in kinds.items():
        answer = world.submit(make())
        problem = answer.refused(403, "signature_invalid")
        headers = {header: value for header, value in answer.headers.items() if header not in ("X-Request-Id", "Date")}
        answers[name] = ({**problem, "request_id": ""}, headers)
    for name, answer in answers.items():
        assert answer == answers["bad signature"], f"{name}: {answer} is not {answers['bad signature']}"
    told = world.daemons["api"].said("a stored key cannot be used")
    assert sorted(line["kid"] for line in told) == [spoilt.kid, shared.kid], told
    world.queue_is_empty()


def test_all_of_this_is_in_the_ledger(world):
    """Every key that came and went is an event, and none of them a key's own words."""
    world.ledger_is_complete()
    revoke(world, world.trust(tokens.Es256Key("told")))
    rows = world.db.sql("SELECT type, convert_from(body, 'UTF8') FROM event WHERE subject = 'told' ORDER BY event_id")
    assert [row[0].removeprefix("io.sallyport.") for row in rows] == ["key.added.v1", "key.revoked.v1"], rows
    assert all("PRIVATE" not in row[1] for row in rows)
    assert world.db.count(f"event WHERE type = '{FINISHED}'") == world.db.count("execution")
