# SPDX-License-Identifier: Apache-2.0
"""A tool that must not run any more: after the answer to its revocation nothing of it is accepted or started.

What waits is refused at once, wherever it stands and however busy the workers are; what runs goes on, or is
ended where that was asked for. Each step is an event, and the ledger's order is that of what happened."""

import concurrent.futures
import threading
import time

from support import host, tools, wait
from support.world import ACCEPTED, EVENT, FINISHED, STARTED, TENANT

OTHER = "globex"
SOON = 60  # a busy machine; what is waited for takes a second on an idle one
AT_ONCE = 16
ROUNDS = 3
REVOKED = f"{EVENT}artifact.revoked.v1"


def setup(world):
    world.start_all(worker={"slots": 1})
    world.start("api", "api-2")
    world.tool()
    for caller in ("submitter", "viewer", "auditor"):
        world.caller(caller)


def events_of(world, digest):
    """The short types of what people did to an artifact, in the ledger's order."""
    world.ledger_is_complete()
    rows = world.db.sql(f"SELECT e.type FROM event e JOIN ledger_entry l USING (event_id) WHERE e.subject = '{digest}'"
                        " AND e.type <> 'io.sallyport.artifact.inspected.v1' ORDER BY l.idx")
    return [row[0].removeprefix(f"{EVENT}artifact.").removesuffix(".v1") for row in rows]


def said(world, digest):
    """The data of its one artifact.revoked event, as an auditor reads it."""
    world.ledger_is_complete()
    page = world.caller("auditor").get("/v1/events", type=REVOKED, limit=500).expect(200).json
    found = [event for event in page if event["subject"] == digest]
    assert len(found) == 1, f"{len(found)} revocations of {digest} are told"
    return found[0]["data"]


def never_ran(world, execution_id):
    """Refused before its start, because its tool was revoked."""
    execution = world.ended(execution_id, seconds=SOON)
    assert (execution["state"], execution["reason"], execution["started_at"]) == ("refused", "artifact_revoked", None), execution
    data = world.finished(execution_id)["data"]
    assert (data["state"], data["reason"], data["status"]) == ("refused", "artifact_revoked", "failed"), data
    assert data["policy_decision"]["verdict"] == "refused" and data["policy_decision"]["code"] == "artifact_revoked", data["policy_decision"]
    assert world.event_counts(execution_id) == {ACCEPTED: 1, FINISHED: 1}


def running(world, *args, **order):
    execution_id = world.accept(*args, **order)
    world.in_state(execution_id, "running", seconds=SOON)
    return execution_id


def end(world, execution_id):
    """Cancels what was only there to keep a slot busy."""
    world.caller("submitter").request("POST", f"/v1/executions/{execution_id}/cancel").expect(202)
    assert world.ended(execution_id, seconds=SOON)["state"] == "cancelled"


def test_the_life_of_a_tool(world):
    digest = world.tool("life", approved=False)
    world.approve(digest, "approver-1").expect(201)
    world.submit(world.token("print", "too early", tool=digest)).refused(403, "artifact_not_approved")
    world.approve(digest, "approver-2").expect(201)
    execution, _ = world.run("print", "alive", tool=digest)
    assert execution["state"] == "succeeded", execution
    shown = world.artifact(digest)
    assert shown["state"] == "approved" and shown["revoked_by"] is None and shown["revoked_at"] is None, shown
    done = world.cli("-o", "json", "armory", "revoke", digest, "--reason", "CVE-2026-0001, \N{GREEK SMALL LETTER ALPHA}")
    shown = world.artifact(digest)
    assert shown["state"] == "revoked" and shown["revoked_by"] == "admin" and shown["revoked_at"], shown
    assert shown["reason"] == "CVE-2026-0001, \N{GREEK SMALL LETTER ALPHA}" and '"revoked"' in done.stdout, shown
    world.submit(world.token("print", "too late", tool=digest)).refused(403, "artifact_revoked")
    assert events_of(world, digest) == ["ingested", "approved", "approved", "revoked"], events_of(world, digest)
    data = said(world, digest)
    assert data == {"sha256": digest, "descriptor_sha256": shown["descriptor_sha256"], "principal": "admin", "reason": shown["reason"],
                    "cancel_running": False, "queued": 0, "running": 0}, data
    # For ever: neither the same bytes nor another approval bring it back.
    world.cli("armory", "revoke", digest, "--reason", "again", expect=1)
    world.revoke(digest, cancel_running=True).refused(409, "state_conflict")
    world.approve(digest, "approver-3").refused(409, "state_conflict")
    assert world.push(tools.variant(world.ground.tool, "life")).expect(200).json["state"] == "revoked"
    world.submit(world.token("print", "never", tool=digest)).refused(403, "artifact_revoked")
    assert events_of(world, digest) == ["ingested", "approved", "approved", "revoked"], events_of(world, digest)


def test_who_may_revoke_what(world):
    digest = world.tool("whose")
    for caller in ("submitter", "publisher", "approver-1", "auditor", "viewer"):
        world.revoke(digest, caller).refused(403, "forbidden")
    world.revoke(digest, tenant=OTHER).refused(404, "not_found")
    world.revoke("sha256:" + 64 * "0").refused(404, "not_found")
    path = f"/v1/armory/artifacts/{digest}/revocation"
    admin = world.caller("admin")
    for body in ({}, {"reason": ""}, {"reason": 7}, {"reason": "x" * 4097}, {"reason": "x", "cancel_running": 1},
                 {"reason": "x", "cancel": True}, {"reason": None}):
        admin.post(path, body).refused(400, "malformed_request")
    admin.request("POST", path, b'{"reason":"x"}', "text/plain").refused(415, "unsupported_media_type")
    admin.request("POST", path).expect(400, 415)
    admin.post(path, {"reason": "x"}, why="not").refused(400, "unknown_parameter")
    execution, _ = world.run("print", "still", tool=digest)
    assert execution["state"] == "succeeded" and "revoked" not in events_of(world, digest)
    world.revoke(digest, reason="y" * 4096).expect(200)
    assert world.artifact(digest)["reason"] == "y" * 4096


def test_before_its_inspection_and_after_a_rejection(world):
    worker = world.daemons["worker"]
    rejected = world.push(b"#!/bin/sh\n", name="no-program").expect(201).json["sha256"]
    assert world.inspected(rejected)["state"] == "rejected"
    world.revoke(rejected).refused(409, "state_conflict")
    worker.stop()
    digest = world.push(tools.variant(world.ground.tool, "unseen")).expect(201).json["sha256"]
    assert world.revoke(digest).expect(200).json["state"] == "revoked"
    worker.start().ready()
    execution, _ = world.run("print", "the worker works")
    assert execution["state"] == "succeeded"
    assert world.artifact(digest)["state"] == "revoked" and events_of(world, digest) == ["ingested", "revoked"]


def test_what_waits_without_a_worker(world):
    """Only a worker ends executions: they wait for one, and it refuses them."""
    digest, worker = world.tool("no-worker"), world.daemons["worker"]
    worker.stop()
    ids = [world.accept("print", "never", tool=digest) for _ in range(3)]
    assert world.revoke(digest).expect(200).json["state"] == "revoked"
    assert {world.execution(execution_id)["state"] for execution_id in ids} == {"queued"}
    worker.start().ready()
    for execution_id in ids:
        never_ran(world, execution_id)
    assert said(world, digest)["queued"] == 3


def test_what_waits_behind_others_for_a_busy_worker(world):
    """One slot, taken for long: the end comes all the same, also to more than a batch of them, and to nobody else."""
    digest = world.tool("behind")
    busy = running(world, "sleep", "600")
    first = world.accept("print", "first in the queue")
    token = world.token("print", "never", tool=digest)
    waits = concurrent.futures.ThreadPoolExecutor(1)
    awaited = waits.submit(world.submit, token, wait=60)
    wait.until(SOON, "it is accepted", lambda: world.db.count(f"execution_active WHERE tool_sha256 = '\\x{digest[7:]}'") == 1)
    ids = [world.accept("print", "never", tool=digest) for _ in range(70)]
    last = world.accept("print", "last in the queue")
    started = time.monotonic()
    world.revoke(digest).expect(200)
    wait.until(SOON, "all of them have ended", lambda: world.db.count(f"execution WHERE tool_sha256 = '\\x{digest[7:]}'") == 71)
    print(f"       71 behind a busy slot were refused {time.monotonic() - started:.2f} s after the revocation was asked for", flush=True)
    counts = f"execution WHERE tool_sha256 = '\\x{digest[7:]}' AND state = 'refused' AND reason = 'artifact_revoked' AND started_at IS NULL"
    assert world.db.count(counts) == 71
    never_ran(world, ids[0])
    never_ran(world, ids[-1])
    finished = f"event WHERE type = '{FINISHED}' AND execution_id IN (SELECT execution_id FROM {counts})"
    assert world.db.count(finished) == 71
    answer = awaited.result().expect(200).json  # who waits for an end learns of this one
    assert (answer["state"], answer["reason"]) == ("refused", "artifact_revoked"), answer
    assert said(world, digest)["queued"] == 71 and said(world, digest)["running"] == 0
    assert [world.execution(execution_id)["state"] for execution_id in (busy, first, last)] == ["running", "queued", "queued"]
    end(world, busy)
    for execution_id in (first, last):
        assert world.ended(execution_id)["state"] == "succeeded"
    world.queue_is_empty()


def test_what_a_worker_has_claimed(world):
    """Between its claim and its start: held up while it looks for its input, and revoked then."""
    digest, data = world.tool("claimed"), world.input(b"held up")
    busy = running(world, "sleep", "600")
    execution_id = world.accept("print", "never", tool=digest, inputs=[{"name": "x", "sha256": data}])
    waits = "pg_locks WHERE NOT granted AND relation = 'input'::regclass"
    with world.db.session() as session:
        session.sql("BEGIN; LOCK TABLE input IN ACCESS EXCLUSIVE MODE;")
        end(world, busy)
        wait.until(SOON, "the worker asks for the input", lambda: world.db.count(waits) > 0)
        assert world.execution(execution_id)["state"] == "queued"
        world.revoke(digest).expect(200)
    never_ran(world, execution_id)


def test_what_runs_goes_on(world):
    digest = world.tool("goes-on")
    execution_id = running(world, "print", "begun", "cat", "-", "sleep", "2", "print", "to its end", tool=digest)
    waiting = world.accept("print", "never", tool=digest)
    world.revoke(digest).expect(200)
    never_ran(world, waiting)
    execution = world.ended(execution_id)
    assert (execution["state"], execution["reason"]) == ("succeeded", None), execution
    assert world.stdout(execution_id) == b"begun\nto its end\n"
    assert world.event_counts(execution_id) == {ACCEPTED: 1, STARTED: 1, FINISHED: 1}
    data = said(world, digest)
    assert (data["cancel_running"], data["queued"], data["running"]) == (False, 1, 0), data


def test_what_runs_is_ended_where_that_is_asked(world):
    digest = world.tool("ended")
    execution_id = running(world, "sleep", "600", tool=digest)
    waiting = world.accept("print", "never", tool=digest)
    other = world.accept("print", "another tool")
    started = time.monotonic()
    world.revoke(digest, cancel_running=True).expect(200)
    execution = world.ended(execution_id, seconds=SOON)
    print(f"       a running tool had ended {time.monotonic() - started:.2f} s after its revocation was asked for", flush=True)
    assert (execution["state"], execution["reason"], execution["exit_code"]) == ("cancelled", "artifact_revoked", None), execution
    data = world.finished(execution_id)["data"]
    assert (data["state"], data["reason"]) == ("cancelled", "artifact_revoked"), data
    never_ran(world, waiting)
    assert world.ended(other)["state"] == "succeeded"
    data = said(world, digest)
    assert (data["cancel_running"], data["queued"], data["running"]) == (True, 1, 1), data
    wait.until(SOON, "its sandbox is gone", lambda: not host.cgroup_members(world.cgroup))


class Submitters:
    """AT_ONCE connections to two apis that submit one job of the tool after the other."""

    def __init__(self, world, digest):
        known = world.caller("submitter")
        self.apis = [known, type(known)(("127.0.0.1", world.daemons["api-2"].port), known.contract, known.key)]
        self.world, self.digest = world, digest
        self.answers = []  # (when it was sent, status, code, id)
        self.stopping = threading.Event()

    def work(self, number):
        while not self.stopping.is_set():
            token = self.world.token("print", "race", tool=self.digest)
            sent = time.monotonic()
            answer = self.apis[number % 2].submit(token)
            self.answers.append((sent, answer.status, answer.json.get("code"), answer.json.get("id")))

    def after(self, moment):
        return [answer for answer in self.answers if answer[0] > moment]


def revoke_under_load(world, digest):
    load = Submitters(world, digest)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        works = [pool.submit(load.work, number) for number in range(AT_ONCE)]
        try:
            wait.until(SOON, "many are accepted", lambda: sum(answer[1] == 202 for answer in load.answers) >= 4 * AT_ONCE)
            world.revoke(digest).expect(200)
            revoked = time.monotonic()
            wait.until(SOON, "many were refused", lambda: len(load.after(revoked)) >= 4 * AT_ONCE)
        finally:
            load.stopping.set()
        for work in works:
            work.result()
    late = [answer for answer in load.after(revoked) if answer[1:3] != (403, "artifact_revoked")]
    assert not late, f"sent {late[0][0] - revoked:.4f} s after the revocation was answered, and: {late[:3]}"
    odd = [answer for answer in load.answers if answer[1] != 202 and answer[1:3] != (403, "artifact_revoked")]
    assert not odd, odd[:3]
    return {answer[3] for answer in load.answers if answer[1] == 202}


def test_nothing_is_accepted_after_the_commit(world):
    """Sixteen connections to two apis submit while the tool is revoked: the ledger's order and the answers agree."""
    world.signer()
    for number in range(ROUNDS):
        digest = world.tool(f"race-{number}")
        accepted = revoke_under_load(world, digest)
        wait.until(SOON, "all have ended", world.queue_is_empty)
        world.ledger_is_complete()
        of_tool = f"execution x WHERE x.tool_sha256 = '\\x{digest[7:]}'"
        assert world.db.count(of_tool) == len(accepted), "what was answered is not what was accepted"
        revocation = (f"(SELECT l.idx FROM event e JOIN ledger_entry l USING (event_id) WHERE e.type = '{REVOKED}' AND e.subject = '{digest}')")
        for event in ("accepted", "started"):
            behind = world.db.value(f"SELECT count(*) FROM ledger_entry l JOIN execution x ON l.event_id = x.{event}_event_id"
                                    f" WHERE x.tool_sha256 = '\\x{digest[7:]}' AND l.idx > {revocation}")
            assert behind == "0", f"{behind} were {event} behind the revocation, by the ledger"
        ends = dict(world.db.sql(f"SELECT state, count(*) FROM {of_tool} GROUP BY state"))
        assert set(ends) <= {"succeeded", "refused"}, ends
        waited = world.db.count(f"{of_tool} AND x.state = 'refused' AND x.reason = 'artifact_revoked'")
        assert waited == int(ends.get("refused", 0)) == said(world, digest)["queued"], (ends, said(world, digest))
        finished = world.db.value(f"SELECT count(*) FROM event WHERE type = '{FINISHED}' AND execution_id IN (SELECT x.execution_id FROM {of_tool})")
        assert int(finished) == len(accepted), f"{finished} finished events of {len(accepted)} executions"
        print(f"       {len(accepted)} accepted before the revocation: {ends}", flush=True)
