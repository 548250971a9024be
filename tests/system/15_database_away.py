# SPDX-License-Identifier: Apache-2.0
"""The database goes away at bad moments: between claim and start, in the midst of a run, connection by connection.

11 restarts it under load; here each moment is chosen. Nothing is stuck afterwards: a worker that lives finds
again what it holds by the database's word, and callers are told 503 and no more than that."""

import signal

from support import wait
from support.load import Load
from support.world import ACCEPTED, FINISHED, STARTED

OWN_CLUSTER = True
LEASE_MS = 60000  # longer than any outage here: nobody is lost, and nobody waits for a lease to run out
SOON = 45


def setup(world):
    world.start("ledger")
    world.start("api", request_threads=1)  # so that one call finds the one connection broken
    world.start("worker", lease_ms=LEASE_MS, slots=2)
    world.tool()
    world.signer()
    for caller in ("viewer", "submitter"):
        world.caller(caller)


def all_ready(world):
    """Ready, and past the calls that find the broken connections: one each at the most (storage/pg.h)."""
    for daemon in world.daemons.values():
        daemon.ready(60)
    viewer = world.caller("viewer")
    wait.until(60, "the connection is there again", lambda: viewer.get("/v1/executions", limit=1).expect(200, 503).status == 200)


def accepted(world, *args):
    """As a caller does it: the same token again until the answer is no 503."""
    token = world.token(*args)
    return wait.until(60, "a job is accepted", lambda: accept(world, token))


def accept(world, token):
    answer = world.submit(token).expect(200, 202, 503)
    return answer.json["id"] if answer.status != 503 else None


def ran_once(world, execution_id):
    execution = world.ended(execution_id, seconds=SOON)
    assert execution["state"] == "succeeded", execution
    assert world.event_counts(execution_id) == {ACCEPTED: 1, STARTED: 1, FINISHED: 1}
    world.ended_once(execution_id)


def stuck_claim(world, session, *args):
    """A job that the worker has claimed and cannot start: the table it reads next is locked by the session."""
    worker = world.daemons["worker"]
    worker.pause()
    execution_id = accepted(world, *args)
    session.sql("BEGIN; LOCK TABLE artifact IN ACCESS EXCLUSIVE MODE;")
    worker.resume()
    claimed = f"SELECT worker_id IS NOT NULL FROM execution_queue WHERE execution_id = '{execution_id}'"
    wait.until(SOON, "it is claimed", lambda: world.db.value(claimed) == "t")
    return execution_id


def test_between_claim_and_start(world):
    """The claim is the worker's by the database, and it has no answer to go on with: it must not stay so."""
    cluster = world.db.cluster
    for how in (signal.SIGINT, signal.SIGQUIT):
        with world.db.session() as session:
            execution_id = stuck_claim(world, session, "print", "claimed")
            cluster.stop(how)
        wait.until(SOON, "the worker notices", lambda: world.daemons["worker"].ops("/livez")[0] == 200)
        cluster.start()
        all_ready(world)
        ran_once(world, execution_id)
        assert world.stdout(execution_id) == b"claimed\n"


def test_a_slot_loses_its_connection_while_it_checks(world):
    with world.db.session() as session:
        execution_id = stuck_claim(world, session, "print", "checked")
        cut = world.db.count("(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                             " AND application_name LIKE '%worker slot%') s")
        assert cut == 2, cut
        session.sql("ROLLBACK;")
    all_ready(world)
    ran_once(world, execution_id)


def test_a_run_goes_on_without_a_database(world):
    """The sandbox does not notice; its end waits until it can be stored, with all of its output."""
    cluster, worker = world.db.cluster, world.daemons["worker"]
    execution_id = accepted(world, "print", "through it all", "sleep", "2", "flood", "2")
    world.in_state(execution_id, "running")
    cluster.stop(signal.SIGQUIT)
    wait.until(60, "the end waits", lambda: worker.said("an end waits for the database"))
    cluster.start()
    all_ready(world)
    ran_once(world, execution_id)
    assert world.stdout(execution_id) == b"through it all\n" + b"x" * 2 * 1024 * 1024


def test_meanwhile_it_says_so(world):
    """Problem documents, not silence and not lies; alive, but not ready; and not where the database would be."""
    cluster = world.db.cluster
    token = world.token("print", "later")
    execution_id = accepted(world, "print", "before")
    ran_once(world, execution_id)
    viewer, submitter, admin = (world.caller(name) for name in ("viewer", "submitter", "admin"))
    cluster.stop()
    try:
        wait.until(60, "the api is not ready", lambda: world.daemons["api"].ops("/readyz")[0] == 503)
        for daemon in world.daemons.values():
            assert daemon.ops("/livez")[0] == 200, f"{daemon.name} is not alive"
        for answer in (viewer.get(f"/v1/executions/{execution_id}"), viewer.get("/v1/executions"), submitter.submit(token),
                       admin.get("/v1/keys"), world.caller("submitter").put("/v1/inputs/" + "0" * 64, b"x")):
            problem = answer.refused(503, "unavailable")
            assert answer.headers["Retry-After"].isdigit()
            assert cluster.folder not in problem["detail"], f"it tells where the database is: {problem['detail']}"
        for path in ("/livez", "/version"):
            world.stranger.get(path).expect(200)
    finally:
        cluster.start()
    all_ready(world)
    ran_once(world, wait.until(60, "it is accepted", lambda: accept(world, token)))


def test_all_connections_are_cut_again_and_again(world):
    """Each in the midst of whatever it was doing: opened again, and callers are told 503 at the worst."""
    cut = ("(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
           " AND usename LIKE 'sallyport%') s")
    with Load(world, lambda number: world.token("print", f"cut {number}"), threads=4) as load:
        for outage in range(1, 6):
            load.allow(outage * 3 + 4)
            load.reaches(outage * 3)
            wait.until(30, "connections are there to be cut", lambda: world.db.count(cut) > 0)
        load.reaches(5 * 3 + 4)
    all_ready(world)
    assert "lost" not in load.answers, f"a connection was cut instead of answered: {load.answers}"
    for execution_id in load.accepted.values():
        ran_once(world, execution_id)
    world.queue_is_empty()
    world.ledger_is_complete()
