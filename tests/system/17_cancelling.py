# SPDX-License-Identifier: Apache-2.0
"""An execution that is to end early: asked for once and for good, and made by a worker.

Where it waits it never starts; where it runs its sandbox is killed; where it has ended nothing changes. Only who
may submit for the tenant may ask."""

import time

from support import host, wait
from support.world import ACCEPTED, EVENT, FINISHED, STARTED, TENANT

OTHER = "globex"
SOON = 60  # a busy machine; what is waited for takes a second on an idle one
ASKED = f"{EVENT}execution.cancel_requested.v1"


def setup(world):
    world.start_all(worker={"slots": 1})
    world.tool()
    world.signer()
    for caller in ("submitter", "viewer", "auditor"):
        world.caller(caller)


def cancel(world, execution_id, caller="submitter", tenant=TENANT):
    answer = world.caller(caller, tenant).request("POST", f"/v1/executions/{execution_id}/cancel")
    if answer.status in (200, 202):
        assert answer.json["id"] == execution_id and answer.headers["Location"] == f"/v1/executions/{execution_id}"
    return answer


def running(world, *args):
    execution_id = world.accept(*args)
    world.in_state(execution_id, "running", seconds=SOON)
    return execution_id


def was_cancelled(world, execution_id, *types):
    """With exactly these events, in their order."""
    execution = world.ended(execution_id, seconds=SOON)
    assert (execution["state"], execution["reason"], execution["exit_code"]) == ("cancelled", "cancel_requested", None), execution
    data = world.finished(execution_id)["data"]
    assert (data["state"], data["reason"], data["status"]) == ("cancelled", "cancel_requested", "failed"), data
    assert [event["type"] for event in world.events(execution_id)] == list(types)
    assert (execution["started_at"] is not None) == (STARTED in types)
    return execution


def test_what_waits_without_a_worker(world):
    """Nobody but a worker ends it: it stays queued, is asked for once, and never starts."""
    worker = world.daemons["worker"]
    worker.stop()
    execution_id = world.accept("print", "never")
    for _ in range(3):
        assert cancel(world, execution_id).expect(202).json["state"] == "queued"
    asked = [event for event in world.events(execution_id) if event["type"] == ASKED]
    assert len(asked) == 1 and asked[0]["data"]["principal"] == "submitter" and asked[0]["executionid"] == execution_id, asked
    worker.start().ready()
    was_cancelled(world, execution_id, ACCEPTED, ASKED, FINISHED)
    assert world.event_counts(execution_id) == {ACCEPTED: 1, ASKED: 1, FINISHED: 1}


def test_what_waits_for_a_busy_worker(world):
    """Behind others, too; they keep their places."""
    busy = running(world, "sleep", "600")
    first, last = world.accept("print", "first"), world.accept("print", "never")
    started = time.monotonic()
    cancel(world, last).expect(202)
    was_cancelled(world, last, ACCEPTED, ASKED, FINISHED)
    print(f"       what waited behind a busy slot had ended {time.monotonic() - started:.2f} s after it was asked", flush=True)
    assert [world.execution(execution_id)["state"] for execution_id in (busy, first)] == ["running", "queued"]
    cancel(world, busy).expect(202)
    was_cancelled(world, busy, ACCEPTED, STARTED, ASKED, FINISHED)
    assert world.ended(first)["state"] == "succeeded"


def test_what_runs(world):
    """Killed with all it has started."""
    execution_id = running(world, "sleep", "600")
    started = time.monotonic()
    done = world.cli("-o", "json", "exec", "cancel", execution_id, caller="submitter")
    assert execution_id in done.stdout
    was_cancelled(world, execution_id, ACCEPTED, STARTED, ASKED, FINISHED)
    print(f"       what ran had ended {time.monotonic() - started:.2f} s after the client was asked to", flush=True)
    wait.until(SOON, "its sandbox is gone", lambda: not host.cgroup_members(world.cgroup))
    world.cli("exec", "wait", execution_id, caller="submitter", expect=1)
    execution, _ = world.run("print", "the slot is free")
    assert execution["state"] == "succeeded"


def test_what_a_worker_has_claimed(world):
    """Between its claim and its start: held up while it looks for its input, and cancelled then."""
    data = world.input(b"held up")
    busy = running(world, "sleep", "600")
    execution_id = world.accept("print", "never", inputs=[{"name": "x", "sha256": data}])
    with world.db.session() as session:
        session.sql("BEGIN; LOCK TABLE input IN ACCESS EXCLUSIVE MODE;")
        cancel(world, busy).expect(202)
        wait.until(SOON, "the worker asks for the input",
                   lambda: world.db.count("pg_locks WHERE NOT granted AND relation = 'input'::regclass") > 0)
        assert cancel(world, execution_id).expect(202).json["state"] == "queued"
    was_cancelled(world, execution_id, ACCEPTED, ASKED, FINISHED)
    was_cancelled(world, busy, ACCEPTED, STARTED, ASKED, FINISHED)


def test_what_has_ended(world):
    execution, _ = world.run("print", "done", "exit", "3")
    assert execution["state"] == "failed"
    for _ in range(2):
        answer = cancel(world, execution["id"]).expect(200).json
        assert {**answer, "ledger": None} == {**execution, "ledger": None}, answer
    world.cli("exec", "cancel", execution["id"], caller="submitter")
    assert world.event_counts(execution["id"]) == {ACCEPTED: 1, STARTED: 1, FINISHED: 1}


def test_who_may_ask(world):
    execution_id = running(world, "sleep", "600")
    for caller in ("viewer", "publisher", "approver-1", "auditor"):
        cancel(world, execution_id, caller).refused(403, "forbidden")
    cancel(world, execution_id, tenant=OTHER).refused(404, "not_found")
    cancel(world, "0190a000-0000-7000-8000-000000000000").refused(404, "not_found")
    cancel(world, "nothing").refused(404, "not_found")
    submitter = world.caller("submitter")
    submitter.request("POST", f"/v1/executions/{execution_id}/cancel?force=1").refused(400, "unknown_parameter")
    submitter.request("GET", f"/v1/executions/{execution_id}/cancel").refused(405, "method_not_allowed")
    world.stranger.request("POST", f"/v1/executions/{execution_id}/cancel").refused(401, "not_authenticated")
    world.cli("exec", "cancel", "0190a000-0000-7000-8000-000000000000", caller="submitter", expect=3)
    assert world.execution(execution_id)["state"] == "running"
    assert world.event_counts(execution_id) == {ACCEPTED: 1, STARTED: 1}
    cancel(world, execution_id).expect(202)
    was_cancelled(world, execution_id, ACCEPTED, STARTED, ASKED, FINISHED)


def test_the_ledger_tells_it_all(world):
    world.queue_is_empty()
    world.ledger_is_complete()
    page = world.caller("auditor").get("/v1/events", type=ASKED, limit=500).expect(200).json
    assert page and len(page) == world.db.count("execution WHERE cancel_event_id IS NOT NULL")
    assert world.db.count("execution WHERE state = 'cancelled' AND cancel_event_id IS NULL") == 0
