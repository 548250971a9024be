# SPDX-License-Identifier: Apache-2.0
"""A worker that dies, stalls or is stopped: no job runs twice, none is forgotten, none is told wrongly.

Killed during a run: `lost`, exactly once, and its sandbox dies with it. Killed or stalled before the start:
the job runs on another worker. Stopped: what runs is let to its end, nothing new begins."""

import os
import time

from support import host, wait
from support.world import ACCEPTED, FINISHED, STARTED

LEASE_MS = 2000
LEASE = LEASE_MS / 1000
SOON = 60  # a busy machine; what is waited for takes a few seconds on an idle one


def setup(world):
    world.start("ledger")
    world.start("api")
    start_worker(world, "first")
    world.tool()
    world.signer()


def start_worker(world, name, **settings):
    """A worker that comes to our attention quickly when it is gone; started anew if it was there before."""
    flags = {"lease_ms": LEASE_MS, "slots": 1, "drain_seconds": 20, "cgroup_parent": f"{world.cgroup}/{name}", **settings}
    daemon = world.daemons.get(name)
    if daemon is None:
        return world.start("worker", name, **flags)
    daemon.flags.update({key.replace("_", "-"): value for key, value in flags.items()})
    return daemon.start().ready()


def only(world, name, **settings):
    """That worker alone runs; the others are stopped in order."""
    for daemon in list(world.daemons.values()):
        if daemon.role == "worker" and daemon.name != name:
            daemon.stop()
    daemon = world.daemons.get(name)
    if daemon is not None and not daemon.dead:
        daemon.stop()
    return start_worker(world, name, **settings)


def sandboxes(world, name):
    """Processes of that worker's sandboxes: by their cgroup and by runsc's command lines."""
    return sorted(set(host.cgroup_members(f"{world.cgroup}/{name}"))
                  | {pid for pid, line in host.processes_naming(world.state_dir(name) + "/run") if "sallyportd" not in line})


def running(world, *args, **parameters):
    """A job that has started: its id."""
    execution_id = world.accept(*args, **parameters)
    world.in_state(execution_id, "running", seconds=SOON)
    return execution_id


def is_lost(world, execution_id):
    execution = world.ended(execution_id, seconds=SOON)
    assert execution["state"] == "lost" and execution["reason"], execution
    assert execution["exit_code"] is None and execution["signal"] is None and execution["started_at"], execution
    data = world.finished(execution_id)["data"]
    assert data["status"] == "failed" and data["state"] == "lost" and data["exit_code"] is None, data
    assert data["started_at"] == execution["started_at"] and data["stdout"] is None, data
    return data


def ran_once(world, execution_id, worker=None):
    execution = world.ended(execution_id, seconds=SOON)
    assert execution["state"] == "succeeded", execution
    if worker is not None:
        assert execution["worker"].startswith(worker + "/"), execution["worker"]
    assert world.event_counts(execution_id) == {ACCEPTED: 1, STARTED: 1, FINISHED: 1}
    world.ended_once(execution_id)


def claimed(world, execution_id):
    return world.db.value(f"SELECT worker_id IS NOT NULL FROM execution_queue WHERE execution_id = '{execution_id}'") == "t"


class Stuck:
    """A job that the worker has claimed, and gets no further with: the table it reads next is locked."""

    def __init__(self, world, worker, *args):
        self.session = world.db.session()
        worker.pause()
        self.execution_id = world.accept(*args)
        self.session.sql("BEGIN; LOCK TABLE artifact IN ACCESS EXCLUSIVE MODE;")
        worker.resume()
        wait.until(SOON, "it is claimed", lambda: claimed(world, self.execution_id))

    def __enter__(self):
        return self.execution_id

    def __exit__(self, *_):
        self.session.close()


def test_killed_during_a_run(world):
    only(world, "first")
    start_worker(world, "second")
    victims = [running(world, "print", "begun", "sleep", "600") for _ in range(2)]
    names = [world.execution(victim)["worker"].split("/")[0] for victim in victims]
    assert sorted(names) == ["first", "second"], names
    victim, survivor = (victims if names[0] == "first" else reversed(victims))
    for name in names:
        wait.until(10, f"the sandbox of {name} is to be seen", lambda name=name: sandboxes(world, name))
    world.daemons["first"].kill()
    wait.until(10, "the sandbox dies with its worker", lambda: not sandboxes(world, "first"))
    killed = time.monotonic()
    is_lost(world, victim)
    assert time.monotonic() - killed > 0.2 * LEASE, "lost before its lease can have run out"
    assert world.execution(survivor)["state"] == "running", "the other worker's run was taken for lost, too"
    assert sandboxes(world, "second")
    # The other one goes on; the first, started again, sweeps what it left and works.
    start_worker(world, "first")
    assert host.cgroup_runs(f"{world.cgroup}/first") == []
    assert os.listdir(os.path.join(world.state_dir("first"), "run")) == []
    ran_once(world, world.accept("print", "again"), "first")
    is_lost_with(world, survivor, "second")


def is_lost_with(world, execution_id, worker):
    """Ends the long run left over: its worker is killed, the other tells."""
    world.daemons[worker].kill()
    is_lost(world, execution_id)
    wait.until(10, "its sandbox is gone", lambda: not sandboxes(world, worker))
    start_worker(world, worker)


def test_killed_before_the_start(world):
    only(world, "first")
    with Stuck(world, world.daemons["first"], "print", "at last") as execution_id:
        world.daemons["first"].kill()
    assert world.event_counts(execution_id) == {ACCEPTED: 1}
    start_worker(world, "second")
    ran_once(world, execution_id, "second")


def test_stalled_before_the_start(world):
    """It wakes up with a claim that another has taken over, and must not start it."""
    only(world, "first")
    stalled = world.daemons["first"]
    with Stuck(world, stalled, "print", "once") as execution_id:
        stalled.pause()
    start_worker(world, "second")
    ran_once(world, execution_id, "second")
    stalled.resume()
    wait.until(SOON, "the stalled worker has a lease again", stalled.is_ready)
    ran_once(world, execution_id, "second")
    assert not sandboxes(world, "first")
    world.daemons["second"].stop()
    ran_once(world, world.accept("print", "again"), "first")


def test_stalled_during_a_run(world):
    """Told lost while it slept: when it wakes, its sandbox is killed and nothing is told twice."""
    only(world, "first")
    stalled = world.daemons["first"]
    execution_id = running(world, "sleep", "600")
    stalled.pause()
    start_worker(world, "second")
    is_lost(world, execution_id)
    stalled.resume()
    wait.until(SOON, "its sandbox is killed", lambda: not sandboxes(world, "first"))
    wait.until(SOON, "it has a lease again", stalled.is_ready)
    is_lost(world, execution_id)
    world.daemons["second"].stop()
    ran_once(world, world.accept("print", "again"), "first")


def test_stopped_it_lets_runs_end_and_begins_none(world):
    only(world, "first")
    first = running(world, "print", "to its end", "sleep", "3")
    waiting = world.accept("print", "later")
    world.daemons["first"].stop(SOON)
    ran_once(world, first, "first")
    assert world.stdout(first) == b"to its end\n"
    assert world.execution(waiting)["state"] == "queued"
    assert world.event_counts(waiting) == {ACCEPTED: 1}
    start_worker(world, "second")
    ran_once(world, waiting, "second")


def test_stopped_it_does_not_wait_for_ever(world):
    only(world, "first", drain_seconds=1)
    execution_id = running(world, "sleep", "600")
    world.daemons["first"].stop(SOON)
    execution = world.ended(execution_id)
    assert execution["state"] == "cancelled" and execution["reason"], execution
    data = world.finished(execution_id)["data"]
    assert data["state"] == "cancelled" and data["exit_code"] is None, data
    assert not sandboxes(world, "first")


def test_stopped_in_the_midst_of_a_claim(world):
    """The claim succeeds after the stop was heard: the run is given back, or cancelled in time like any other."""
    only(world, "first", drain_seconds=1, lease_ms=30000)
    worker = world.daemons["first"]
    waits = ("pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND l.relation = 'worker'::regclass"
             " AND a.query LIKE '%execution_queue%'")
    with world.db.session() as session:
        session.sql("BEGIN; LOCK TABLE worker IN ACCESS EXCLUSIVE MODE;")
        execution_id = world.accept("sleep", "600")
        wait.until(SOON, "a claim is under way", lambda: world.db.count(waits) > 0)
        worker.terminate()
        wait.until(SOON, "the worker is stopping", lambda: worker.ops("/livez")[0] == 0)
    worker.ended(20)
    execution = world.execution(execution_id)
    assert execution["state"] in ("queued", "cancelled"), execution
    if execution["state"] == "queued":
        start_worker(world, "second", drain_seconds=1)
        world.in_state(execution_id, "running", seconds=SOON)
        world.daemons["second"].stop()
    world.finished(execution_id)


def test_its_own_host_tells_who_it_was(world):
    """/v1/workers lists incarnations: each start is another."""
    only(world, "first")
    before = {worker["id"] for worker in world.caller("admin").get("/v1/workers").expect(200).json["items"]}
    only(world, "first")
    workers = world.caller("admin").get("/v1/workers").expect(200).json["items"]
    new = [worker for worker in workers if worker["id"] not in before]
    assert len(new) == 1 and new[0]["node"] == "first" and new[0]["slots"] == 1, new
    assert new[0]["checks"]["network"] == "none", new[0]["checks"]
    world.caller("viewer").get("/v1/workers").refused(403, "forbidden")
