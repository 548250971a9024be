# SPDX-License-Identifier: Apache-2.0
"""Fair sharing: what one tenant queues is no other tenant's waiting.

Tenants take turns, however many jobs one of them has; none has more running than its ceiling, or more waiting than
its bound, and both are the operator's to set and to lift."""

import json

from support import wait
from support.world import TENANT

OTHER = "globex"
MANY = 200
SOON = 60  # a busy machine; what is waited for takes a second on an idle one
CHANGED = "io.sallyport.tenant.changed.v1"


def setup(world):
    world.start_all(worker={"slots": 1})
    for tenant in (TENANT, OTHER):
        world.tool(tenant=tenant)
        world.signer(tenant)


def set_share(world, tenant=TENANT, **flags):
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    world.sallyportd("tenant", "--database", world.db.conninfo(), "--tenant", tenant, *words)


def changes(world, tenant=TENANT):
    """What the tenant's tenant.changed events say, the oldest first."""
    rows = world.db.sql(f"SELECT convert_from(body, 'UTF8') FROM event WHERE type = '{CHANGED}' AND tenant_id = '{tenant}'"
                        " ORDER BY event_id")
    return [json.loads(row[0])["data"] for row in rows]


def with_slots(world, slots):
    """The worker, started anew with so many slots."""
    worker = world.daemons["worker"]
    worker.stop()
    worker.flags["slots"] = slots
    worker.start().ready()


def cancel(world, execution_id, tenant=TENANT):
    world.caller("submitter", tenant).request("POST", f"/v1/executions/{execution_id}/cancel").expect(200, 202)


def test_two_hundred_do_not_stand_before_one(world):
    """One slot, and slow jobs before it: another tenant's job waits for one of them at most, and so does its next."""
    slow = world.tool("slow")
    queued = [world.accept("sleep", "1", tool=slow) for _ in range(MANY)]
    for _ in range(2):
        execution = world.ended(world.accept("print", "mine", tenant=OTHER), seconds=SOON, tenant=OTHER)
        assert execution["state"] == "succeeded", execution
        between = world.db.value("SELECT count(*) FROM execution_all"
                                 f" WHERE tenant_id = '{TENANT}' AND started_at > '{execution['submitted_at']}'"
                                 f" AND started_at < '{execution['started_at']}'")
        assert int(between) <= 1, f"{between} jobs of the other tenant started in between"
    waiting = world.db.value(f"SELECT count(*) FROM execution_queue WHERE tenant_id = '{TENANT}' AND worker_id IS NULL")
    assert int(waiting) > MANY / 2, f"only {waiting} were still waiting: this showed nothing"
    world.revoke(slow, cancel_running=True).expect(200)
    for execution_id in queued:
        world.ended(execution_id, seconds=SOON)
    world.queue_is_empty()


def test_no_more_run_than_the_ceiling(world):
    """One after the other, though there are slots for all; others do not mind."""
    set_share(world, max_running=1)
    with_slots(world, 3)
    jobs = [world.accept("sleep", "0.3") for _ in range(4)]
    world.ended(world.accept("print", "mine", tenant=OTHER), seconds=SOON, tenant=OTHER)
    runs = sorted((execution["started_at"], execution["finished_at"])
                  for execution in (world.ended(job, seconds=SOON) for job in jobs))
    for (_, finished), (started, _) in zip(runs, runs[1:]):
        assert finished <= started, f"two ran at once: {runs}"


def test_a_ceiling_is_lifted(world):
    set_share(world, max_running=-1)
    jobs = [world.accept("sleep", "600") for _ in range(2)]
    for job in jobs:
        world.in_state(job, "running", seconds=SOON)
    for job in jobs:
        cancel(world, job)
    for job in jobs:
        assert world.ended(job, seconds=SOON)["state"] == "cancelled"
    assert [change["max_running"] for change in changes(world)] == [1, None], changes(world)


def test_a_full_queue_is_its_tenants_alone(world):
    """Refused, with an event and nothing spent; a known job is still answered, another tenant's still accepted."""
    worker, api = world.daemons["worker"], world.daemons["api"]
    worker.stop()
    set_share(world, tenant_queue_max=3)
    api.stop()
    api.start().ready()  # no count from before the bound is left
    before = len(world.refusals())
    first = world.token("print", "waits")
    accepted = world.submit(first).expect(202).json["id"]
    for _ in range(2):
        world.accept("print", "waits")
    token = world.token("print", "late")
    problem = world.submit(token).expect(429)
    assert problem.json["code"] == "queue_full" and "of this tenant" in problem.json["detail"], problem.json
    assert int(problem.headers["Retry-After"]) > 0
    told = world.refusals()[before:]
    assert [refusal["data"]["code"] for refusal in told] == ["queue_full"], told
    assert world.submit(first).expect(200).json["id"] == accepted
    theirs = world.accept("print", "theirs", tenant=OTHER)
    worker.start().ready()
    assert world.ended(theirs, seconds=SOON, tenant=OTHER)["state"] == "succeeded"
    wait.until(SOON, "the queue is empty", lambda: world.db.value("SELECT count(*) FROM execution_queue") == "0")
    accepted = wait.until(SOON, "there is room again", lambda: accepted_id(world, token))
    assert world.ended(accepted, seconds=SOON)["state"] == "succeeded"
    assert world.submit(token).expect(200).json["id"] == accepted


def accepted_id(world, token):
    """The execution of a token that may still be refused."""
    answer = world.submit(token)
    return answer.json["id"] if answer.status == 202 else None


def test_what_is_no_share_is_refused(world):
    before = changes(world)
    for flag, value in (("--max-running", "-2"), ("--max-running", "1000001"), ("--max-running", "many"),
                        ("--tenant-queue-max", "-2"), ("--tenant-queue-max", "10000001")):
        done = world.run_program("sallyportd", "tenant", "--database", world.db.conninfo(), "--tenant", TENANT, flag, value)
        assert done.returncode != 0 and flag[2:] in done.stderr, (flag, value, done.returncode, done.stderr)
    assert changes(world) == before
