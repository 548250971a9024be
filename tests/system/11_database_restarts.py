# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL is restarted under load, in order and as by a crash: the daemons come back by themselves.

They are the same processes before and after; what was answered 202 is neither lost nor run twice; a run that
went on through the outage is told to its end; a caller is told 503 meanwhile, and to try again."""

import os
import signal

from support import wait
from support.load import Load
from support.world import ACCEPTED, FINISHED, STARTED

OWN_CLUSTER = True
FULL = os.environ.get("SALLYPORT_TEST_FULL") == "1"
OUTAGES = (signal.SIGINT, signal.SIGQUIT) * (4 if FULL else 1)
JOBS_BETWEEN = 12 if FULL else 6
LEASE_MS = 60000  # longer than any of the outages: nobody is lost


def setup(world):
    world.start("ledger")
    world.start("api")
    world.start("worker", lease_ms=LEASE_MS, slots=2)
    world.tool()
    world.signer()
    world.caller("viewer"), world.caller("submitter")


def all_ready(world):
    for daemon in world.daemons.values():
        daemon.ready(60)


def is_down(world):
    return all(daemon.ops("/readyz")[0] == 503 for daemon in world.daemons.values() if daemon.role != "worker")


def all_succeeded(world, ids):
    wanted = ",".join(f"'{execution_id}'::uuid" for execution_id in ids)
    wait.until(300, "all are over", lambda: world.db.count(f"execution WHERE execution_id IN ({wanted})") == len(ids))
    rows = world.db.sql(f"SELECT state, count(*) FROM execution WHERE execution_id IN ({wanted}) GROUP BY state")
    assert rows == [["succeeded", str(len(ids))]], rows
    rows = world.db.sql("SELECT type, n, count(*) FROM (SELECT execution_id, type, count(*) n FROM event"
                        f" WHERE execution_id IN ({wanted}) GROUP BY 1, 2) s GROUP BY 1, 2 ORDER BY 1")
    assert rows == [[name, "1", str(len(ids))] for name in sorted((ACCEPTED, STARTED, FINISHED))], rows


def test_restarted_under_load(world):
    cluster = world.ground.own_cluster
    pids = {name: daemon.pid for name, daemon in world.daemons.items()}
    with Load(world, lambda number: world.token("print", f"job {number}"), threads=4) as load:
        for outage, how in enumerate(OUTAGES, 1):
            load.allow(outage * JOBS_BETWEEN + 4)
            load.reaches(outage * JOBS_BETWEEN)
            cluster.stop(how)
            before = load.answers.get(503, 0)
            load.allow(outage * JOBS_BETWEEN + 8)
            wait.until(60, "a caller is told to try again", lambda: load.answers.get(503, 0) > before)
            cluster.start()
            all_ready(world)
        load.reaches(len(OUTAGES) * JOBS_BETWEEN + 8, seconds=120)
    assert {name: daemon.pid for name, daemon in world.daemons.items()} == pids
    assert world.complaints() == []
    assert "lost" not in load.answers, "a connection was cut instead of answered"
    all_succeeded(world, set(load.accepted.values()))
    assert world.db.count("execution") == len(load.accepted), "something ran that nobody was told of"
    world.queue_is_empty()
    world.ledger_is_complete()


def test_a_run_goes_on_without_a_database(world):
    """The sandbox does not notice; its end waits until it can be stored."""
    cluster = world.ground.own_cluster
    execution_id = world.accept("print", "through it all", "sleep", "3")
    world.in_state(execution_id, "running")
    cluster.stop(signal.SIGQUIT)
    worker = world.daemons["worker"]
    wait.until(60, "the end waits", lambda: worker.said("an end waits for the database"))
    cluster.start()
    all_ready(world)
    execution = world.ended(execution_id)
    assert execution["state"] == "succeeded" and world.stdout(execution_id) == b"through it all\n", execution
    world.ended_once(execution_id)


def test_meanwhile_it_says_so(world):
    """Problem documents, not silence and not lies; without the address of what is missing."""
    cluster = world.ground.own_cluster
    token = world.token("print", "later")
    execution_id = world.accept("print", "before")
    world.ended(execution_id)
    cluster.stop()
    try:
        wait.until(60, "they say that they are not ready", lambda: is_down(world))
        for daemon in world.daemons.values():
            assert daemon.ops("/livez")[0] == 200, f"{daemon.name} is not alive"
        viewer, submitter = world.caller("viewer"), world.caller("submitter")
        for answer in (viewer.get(f"/v1/executions/{execution_id}"), viewer.get("/v1/executions"), submitter.submit(token),
                       world.caller("admin").get("/v1/keys")):
            problem = answer.refused(503, "unavailable")
            assert answer.headers["Retry-After"].isdigit()
            assert cluster.folder not in problem["detail"], f"it tells a stranger where the database is: {problem['detail']}"
        assert world.stranger.get("/livez").status == 200 and world.stranger.get("/version").status == 200
    finally:
        cluster.start()
    all_ready(world)
    assert world.submit(token).expect(202)
    assert viewer.get(f"/v1/executions/{execution_id}").expect(200).json["state"] == "succeeded"


def test_connections_cut_one_by_one(world):
    """Each in the midst of whatever it was doing: it is opened again, and nothing is told to callers but 503."""
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'sallyport%'"
    with Load(world, lambda number: world.token("print", f"cut {number}"), threads=4) as load:
        for outage in range(1, 4):
            load.allow(outage * 3 + 4)
            load.reaches(outage * 3)
            assert int(world.db.value(cut)) > 5
        load.reaches(3 * 3 + 4)
    all_ready(world)
    all_succeeded(world, set(load.accepted.values()))
    world.queue_is_empty()
    world.ledger_is_complete()
