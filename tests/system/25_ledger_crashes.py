# SPDX-License-Identifier: Apache-2.0
"""Crash matrix: the ledger process or PostgreSQL is killed between every two steps, and the log stays one log.

A step is one question of the ledger process to the database: from its start over a batch to the published
checkpoint. At each step in turn the process gets SIGKILL, or its backend does, at which the whole server recovers
as from a crash; before the server has seen the question, or when it has done what was asked and nobody knows.
The scrub, whose questions come in between as they like, is off until the end. Afterwards no index has changed, no
event is lost or doubled, and the log goes on from a checkpoint of before. The long form kills at each step."""

import os
import signal
import tempfile

from support import postgres, wait
from support.proxy import Proxy

OWN_CLUSTER = True
FULL = os.environ.get("SALLYPORT_TEST_FULL") == "1"
KILLS = None if FULL else 12
SCENARIO_SECONDS = 7200 if FULL else 900
EVENTS = 300  # more than a tile, so that some batches fill one
LEASE_MS = 1000
STATE = {}


def setup(world):
    folder = tempfile.mkdtemp(prefix="proxy-", dir=world.db.cluster.folder)
    STATE.clear()
    STATE["proxy"] = Proxy(folder, os.path.join(world.db.cluster.folder, f".s.PGSQL.{postgres.PORT}"))
    STATE["places"] = []
    conninfo = world.db.conninfo("sallyport_ledger")
    world.start("ledger", database=f"{conninfo} host={folder}", lease_ms=LEASE_MS, scrub_rate=0)
    insert(world)
    complete(world)
    STATE["then"] = world.write("checkpoint.then", value(world, "SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1") + "\n")
    world.daemons["ledger"].stop()


def value(world, text):
    """One value; None while the server recovers."""
    try:
        return world.db.value(text)
    except postgres.SqlError as error:
        if error.state in ("", "57P03", "57P02", "57P01", "08006"):
            return None
        raise


def insert(world):
    world.db.sql("INSERT INTO event (event_id, tenant_id, type, subject, hash, body) SELECT gen_random_uuid(), 'acme',"
                 " 'io.sallyport.execution.accepted.v1', 'crash', sha256(body), body FROM (SELECT"
                 " convert_to('{\"n\":' || n || ',\"salt\":\"' || gen_random_uuid() || '\"}', 'UTF8') AS body"
                 f" FROM generate_series(1, {EVENTS}) n) events")


def is_complete(world):
    """Everything has its place and is signed."""
    return value(world, "SELECT NOT EXISTS (SELECT FROM event_pending) AND (SELECT max(size) FROM ledger_checkpoint) ="
                        " (SELECT count(*) FROM event)") == "t"


def complete(world):
    wait.until(60, "all is ordered and signed", lambda: is_complete(world))


def nothing_moved(world):
    """Each place that was seen is as it was; each event has exactly one."""
    rows = world.db.sql("SELECT idx, event_id, encode(hash, 'hex') FROM ledger_entry ORDER BY idx")
    known = STATE["places"]
    assert rows[:len(known)] == known, "an entry that had its place is another now"
    assert [int(row[0]) for row in rows] == list(range(len(rows))), "the indexes have a gap"
    assert len({row[1] for row in rows}) == len(rows) == world.db.count("event"), "an event is lost or doubled"
    assert world.db.count("event e JOIN ledger_entry l USING (event_id) WHERE e.hash = l.hash") == len(rows)
    assert world.db.value("SELECT coalesce(max(problem), 'none') FROM ledger_lease") == "none"
    STATE["places"] = rows


def life(world, at, late, act):
    """One life of the ledger process with new events before it; True if its end came at that step."""
    proxy, daemon = STATE["proxy"], world.daemons["ledger"]
    insert(world)
    proxy.arm(at, late, act)
    daemon.start()
    if at == 0:
        complete(world)
        return proxy.steps
    wait.until(60, f"step {at} comes", proxy.fired.is_set)
    return True


def steps_of_a_life(world):
    steps = life(world, 0, False, None)
    world.daemons["ledger"].stop()
    nothing_moved(world)
    return steps


def kill_ledger(world):
    world.daemons["ledger"].signal(signal.SIGKILL)


def kill_server(world):
    """One backend killed makes the postmaster throw all others out and recover from the log."""
    pids = [row[0] for row in world.db.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'sallyport_ledger'")]
    assert pids, "the ledger process has no backend"
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)


def goes_on(world, act, served):
    """After its own end the process is started again, as by its supervisor; the database's end it must survive, unless
    that came while it was still starting."""
    daemon = world.daemons["ledger"]
    if act is kill_ledger:
        daemon.process.wait(30)

    def complete_or_ended():
        if daemon.alive():
            return is_complete(world)
        assert act is kill_ledger or len(daemon.said("ordering")) == served, f"it ended: {daemon.log()[-2000:]}"
        daemon.dead = True
        daemon.start()
        return False
    wait.until(60, "all is ordered and signed", complete_or_ended)


def matrix(world, act, kills):
    """`kills` of all (step, before or after) evenly, or all of them."""
    steps = steps_of_a_life(world)
    assert 4 * steps >= 60, f"a life of {steps} steps: too few kills by both tests, before and after each step"
    cases = [(at, late) for at in range(1, steps + 1) for late in (False, True)]
    if kills is not None:
        cases = [cases[i * len(cases) // kills] for i in range(kills)]
    daemon = world.daemons["ledger"]
    for at, late in cases:
        served = len(daemon.said("ordering"))
        life(world, at, late, lambda: act(world))
        goes_on(world, act, served)
        daemon.stop()
        nothing_moved(world)


def test_the_ledger_process_is_killed_at_every_step(world):
    matrix(world, kill_ledger, KILLS and KILLS // 2)


def test_the_database_is_killed_at_every_step(world):
    matrix(world, kill_server, KILLS and KILLS // 2)


def whole_log_verifies(world):
    if "api" not in world.daemons:
        world.start("api")
    world.caller("auditor")
    complete(world)
    now = world.write("checkpoint.now", world.cli("ledger", "checkpoint").stdout)
    world.cli("ledger", "verify", "--old", STATE["then"], "--new", now, "--vkey", world.vkey)
    folder = tempfile.mkdtemp(dir=world.folder)
    world.cli("ledger", "export", folder + "/export")
    world.cli("ledger", "verify", folder + "/export", "--vkey", world.vkey, caller=None)


def test_the_log_goes_on_from_a_checkpoint_of_before(world):
    daemon = world.daemons["ledger"]
    daemon.flags["scrub-rate"] = 100000
    daemon.start().ready()
    whole_log_verifies(world)
    wait.until(60, "the scrub has been over it", lambda: "sallyport_ledger_scrub_last_pass_timestamp_seconds 0" not in
               daemon.ops("/metrics")[1].splitlines())
    assert "sallyport_ledger_scrub_differences_total 0" in daemon.ops("/metrics")[1].splitlines()


def leads(daemon):
    return "sallyport_ledger_leading 1" in daemon.ops("/metrics")[1].splitlines()


def test_a_leader_that_was_stopped_and_goes_on(world):
    """SIGSTOP, a take-over by the standby, SIGCONT: two that both think they lead, and one log."""
    first = world.daemons["ledger"]
    if first.dead:
        first.start().ready()
    second = world.start("ledger", "ledger-2", lease_ms=LEASE_MS, ledger_init="on")
    for _ in range(4 if FULL else 2):
        leader, other = wait.until(30, "one leads", lambda: next(
            (pair for pair in ((first, second), (second, first)) if leads(pair[0])), None))
        insert(world)
        leader.pause()
        insert(world)
        wait.until(60, "the other leads", lambda other=other: leads(other))
        complete(world)
        leader.resume()
        insert(world)
        complete(world)
        wait.until(30, "the first stands by", lambda leader=leader: not leads(leader))
        nothing_moved(world)
    first.ready()
    second.ready()
    whole_log_verifies(world)
