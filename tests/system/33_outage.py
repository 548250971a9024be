# SPDX-License-Identifier: Apache-2.0
"""No result is lost for an outage: what ends without a database is kept on the worker's disk, and told afterwards.

By the same worker, or by the next one on that host, killed or stopped in the midst of it; an outage longer than the lease
kills no run and calls nobody lost. What really was called lost and then had a result after all stays lost, and the result
is an event of its own."""

import os
import signal

from support import host, wait
from support.world import ACCEPTED, EVENT, FINISHED, STARTED

OWN_CLUSTER = True
LEASE_MS = 30000
SOON = 90
LATE = f"{EVENT}execution.result_late.v1"


def setup(world):
    world.start("ledger")
    world.start("api", request_threads=1)
    start_worker(world, "first", slots=3, lease_ms=LEASE_MS)
    world.tool()
    world.signer()
    for caller in ("viewer", "submitter"):
        world.caller(caller)


def start_worker(world, name, **settings):
    flags = {"cgroup_parent": f"{world.cgroup}/{name}", **settings}
    daemon = world.daemons.get(name)
    if daemon is None:
        return world.start("worker", name, **flags)
    daemon.flags.update({key.replace("_", "-"): value for key, value in flags.items()})
    return daemon.start().ready()


def all_ready(world):
    for daemon in world.daemons.values():
        if not daemon.dead:
            daemon.ready(60)
    viewer = world.caller("viewer")
    wait.until(60, "the connection is there again", lambda: viewer.get("/v1/executions", limit=1).expect(200, 503).status == 200)


def kept(world, name):
    """The executions whose ends that worker keeps."""
    folder = os.path.join(world.state_dir(name), "ends")
    return sorted(entry for entry in os.listdir(folder) if len(entry) == 36)


def running(world, *args, **parameters):
    execution_id = world.accept(*args, **parameters)
    world.in_state(execution_id, "running", seconds=SOON)
    return execution_id


def ended_truly(world, execution_id, stdout, worker):
    execution = world.ended(execution_id, seconds=SOON)
    assert execution["state"] == "succeeded" and execution["exit_code"] == 0, execution
    assert execution["worker"].startswith(worker + "/"), execution["worker"]
    assert world.event_counts(execution_id) == {ACCEPTED: 1, STARTED: 1, FINISHED: 1}
    assert world.finished(execution_id)["data"]["state"] == "succeeded"
    assert world.stdout(execution_id) == stdout
    world.ended_once(execution_id)


def ends_in_an_outage(world, how):
    """Three runs, one with much output, that end while PostgreSQL is away; the outage goes on."""
    ids = [running(world, "print", "one", "sleep", "3"), running(world, "print", "two", "sleep", "4"),
           running(world, "print", "three", "sleep", "3", "flood", "2")]
    world.db.cluster.stop(how)
    wait.until(SOON, "all three ends are kept", lambda: kept(world, "first") == sorted(ids))
    folder = os.path.join(world.state_dir("first"), "ends")
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert all(os.stat(os.path.join(folder, entry)).st_mode & 0o777 == 0o600 for entry in kept(world, "first"))
    return ids


def told_afterwards(world, ids):
    wait.until(SOON, "nothing is kept any more", lambda: kept(world, "first") == [])
    for execution_id, stdout in zip(ids, (b"one\n", b"two\n", b"three\n" + b"x" * 2 * 1024 * 1024)):
        ended_truly(world, execution_id, stdout, "first")
    world.queue_is_empty()


def test_kept_and_stored_by_the_same_worker(world):
    ids = ends_in_an_outage(world, signal.SIGINT)
    worker = world.daemons["first"]
    assert worker.alive() and worker.ops("/livez")[0] == 200
    world.db.cluster.start()
    all_ready(world)
    told_afterwards(world, ids)
    assert worker.starts == 1


def test_killed_in_the_outage(world):
    """The next process on that host finds them, also after one that found no database."""
    ids = ends_in_an_outage(world, signal.SIGQUIT)
    worker = world.daemons["first"]
    worker.kill()
    worker.start()
    assert worker.process.wait(SOON) != 0, "it started without a database"
    worker.dead = True
    assert kept(world, "first") == sorted(ids)
    world.db.cluster.start()
    start_worker(world, "first")
    all_ready(world)
    told_afterwards(world, ids)


def test_stopped_in_the_outage(world):
    """SIGTERM waits for the runs and not for the database."""
    ids = ends_in_an_outage(world, signal.SIGQUIT)
    worker = world.daemons["first"]
    worker.stop(SOON)
    assert kept(world, "first") == sorted(ids)
    world.db.cluster.start()
    start_worker(world, "first")
    all_ready(world)
    told_afterwards(world, ids)


def test_longer_than_the_lease(world):
    """With another worker that would tell: a run goes on through it, one ends in it, and neither is lost."""
    lease = {"lease_ms": 1000, "slots": 2}
    world.daemons["first"].stop(SOON)
    start_worker(world, "first", **lease)
    through = running(world, "print", "through", "sleep", "12")
    within = running(world, "print", "within", "sleep", "3")
    start_worker(world, "second", **lease)
    world.db.cluster.stop(signal.SIGQUIT)
    wait.until(SOON, "the end is kept", lambda: kept(world, "first") == [within])
    world.db.cluster.start()
    all_ready(world)
    ended_truly(world, within, b"within\n", "first")
    ended_truly(world, through, b"through\n", "first")


def test_late(world):
    """The worker stalls, its run is called lost, and then the result is there: an event, and the state stays."""
    stalled = world.daemons["first"]
    world.daemons["second"].stop(SOON)
    execution_id = running(world, "print", "too late", "sleep", "3")
    start_worker(world, "second", lease_ms=1000, slots=1)
    stalled.pause()
    assert world.ended(execution_id, seconds=SOON)["state"] == "lost"
    wait.until(SOON, "the tool has ended", lambda: not tool_runs(world))
    stalled.resume()
    wait.until(SOON, "its result is an event", lambda: world.event_counts(execution_id).get(LATE) == 1)
    execution = world.execution(execution_id)
    assert execution["state"] == "lost" and execution["exit_code"] is None, execution
    assert world.event_counts(execution_id) == {ACCEPTED: 1, STARTED: 1, FINISHED: 1, LATE: 1}
    found = {event["type"]: event for event in world.events(execution_id)}
    late, lost = found[LATE], found[FINISHED]["data"]
    assert lost["state"] == "lost" and lost["stdout"] is None, lost
    assert late["data"]["state"] == "succeeded" and late["data"]["stdout"] == "too late\n", late["data"]
    assert late["source"] == "urn:sallyport:first" and late["subject"] == lost["task_id"], late
    assert kept(world, "first") == []
    world.ended_once(execution_id)
    world.ledger_is_complete(60)


def tool_runs(world):
    """What of the stalled worker's sandbox is alive; the dead wait for it to reap them."""
    return (host.cgroup_members(f"{world.cgroup}/first")
            + [pid for pid, line in host.processes_naming(world.state_dir("first") + "/run") if "sallyportd" not in line])
