# SPDX-License-Identifier: Apache-2.0
"""Crash matrix: workers, the api and PostgreSQL are killed at random moments under load.

Whoever is killed is started again at once, as by a supervisor, while others fall. Each job that was accepted reaches
exactly one end with exactly one `finished` event, none was begun twice (the runtime itself keeps count), and nothing
is left behind. SALLYPORT_TEST_SEED repeats a run's choices, though not its moments."""

import os
import random
import signal
import threading

from support import host, tools, wait
from support.load import Load
from support.world import ACCEPTED, ENDS, FINISHED, STARTED

OWN_CLUSTER = True
FULL = os.environ.get("SALLYPORT_TEST_FULL") == "1"
SCENARIO_SECONDS = 3600 if FULL else 900
ROUNDS = 12 if FULL else 1  # of nine kills each
ROUND = ["worker"] * 5 + ["api"] * 2 + ["backend", "server"]
WORKERS = ("one", "two", "three")
SLOTS = 2
LEASE_MS = 4000
JOBS_A_KILL = 4
SOON = 120  # a busy machine, and PostgreSQL recovering
STEPS = (["print", "short"], ["print", "waits", "sleep", "0.3"], ["flood", "1"], ["print", "no", "exit", "3"],
         ["cat", "/in/data"])
BEGUN = {"worker": "working", "api": "serving", "ledger": "ordering"}  # what each says once it has started
STATE = {}


def setup(world):
    STATE["runtime"] = tools.CountedRuntime(world.folder)
    STATE["up"] = {}
    world.start("ledger")
    world.start("api")
    for name in WORKERS:
        world.start("worker", name, slots=SLOTS, lease_ms=LEASE_MS, runsc=STATE["runtime"].program,
                    cgroup_parent=f"{world.cgroup}/{name}")
    world.tool()
    world.signer()
    STATE["input"] = world.input(b"read and thrown away\n")


def has_begun(daemon):
    """Since it was started last."""
    return len(daemon.said(BEGUN[daemon.role])) > STATE["up"].get(daemon.name, 0)


def restart(daemon):
    STATE["up"][daemon.name] = len(daemon.said(BEGUN[daemon.role]))
    daemon.start()


def supervise(world):
    """Starts again what ended while it was starting, for want of a database; later that would be a failure."""
    for daemon in world.daemons.values():
        if not daemon.dead and not daemon.alive() and not has_begun(daemon):
            assert daemon.process.returncode == 1, f"{daemon.name} ended with {daemon.process.returncode}"
            daemon.dead = True
            restart(daemon)
    complaints = world.complaints()
    if complaints:
        raise wait.Hopeless("\n".join(complaints))


def all_ready(world):
    supervise(world)
    return all(daemon.alive() and daemon.ops("/readyz")[0] == 200 for daemon in world.daemons.values())


class Killer:
    """What can be killed, and how; counts what it did."""

    def __init__(self, world, rng):
        self.world, self.rng, self.done = world, rng, {}

    def kill(self, what):
        getattr(self, what)()
        self.done[what] = self.done.get(what, 0) + 1

    def daemon(self, name):
        """Also one that has hardly been started again."""
        daemon = self.world.daemons[name]
        wait.until(SOON, f"there is a {name} to kill", lambda: supervise(self.world) or daemon.alive())
        daemon.kill()
        restart(daemon)

    def worker(self):
        self.daemon(self.rng.choice(WORKERS))

    def api(self):
        self.daemon("api")

    def backend(self):
        """One process of the server, at which it throws out all others and recovers."""
        cluster = self.world.db.cluster
        rows = self.world.db.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'sallyport_worker' OR usename = 'sallyport_api'"
                                 " ORDER BY pid")
        assert rows, "no backend serves api or workers"
        host.kill(int(self.rng.choice(rows)[0]))
        wait.until(SOON, "PostgreSQL answers again", cluster.answers)

    def server(self):
        """All of it, or its own way of ending at once."""
        cluster = self.world.db.cluster
        if self.rng.random() < 0.5:
            cluster.crash()
        else:
            cluster.stop(signal.SIGQUIT)
        cluster.start()


def job(world, rng, number):
    args = list(rng.choice(STEPS))
    inputs = {"inputs": [{"name": "data", "sha256": STATE["input"]}]} if args[0] == "cat" else {}
    return world.token(*args, context={"task_id": f"crash-{number}"}, **inputs)


def reaches(world, load, count):
    """Waits until so many jobs are accepted, with somebody to start again what could not start."""
    wait.until(SOON, f"{count} jobs are accepted", lambda: supervise(world) or load.failures or len(load.accepted) >= count)
    assert not load.failures, load.failures[:3]


def kill_under_load(world, seed):
    """The tokens, and the killer."""
    rng, orders = random.Random(seed), random.Random(seed + 1)
    killer, pause = Killer(world, rng), threading.Event()
    plan = [what for _ in range(ROUNDS) for what in rng.sample(ROUND, len(ROUND))]
    with Load(world, lambda number: job(world, orders, number)) as load:
        for number, what in enumerate(plan, 1):
            load.allow(number * JOBS_A_KILL + 4)
            reaches(world, load, number * JOBS_A_KILL - rng.randrange(JOBS_A_KILL))
            pause.wait(rng.uniform(0, 0.7))  # the moment is the point: any will do
            killer.kill(what)
        wait.until(SOON, "everybody is back", lambda: all_ready(world))
        reaches(world, load, len(plan) * JOBS_A_KILL + 4)
    return load.accepted, killer.done


def everything_has_ended(world):
    supervise(world)
    return world.db.sql("SELECT (SELECT count(*) FROM execution_queue), (SELECT count(*) FROM execution_active)") == [["0", "0"]]


def each_ended_once(world, ids, kills):
    """By the database: every accepted job and no other; what its end may be after such a life."""
    rows = world.db.sql("SELECT execution_id, state, coalesce(exit_code, -1), worker FROM execution")
    assert sorted(row[0] for row in rows) == sorted(ids), "what has ended is not what was accepted"
    assert world.db.count("execution_nonce") == len(ids), "a nonce was spent by nobody"
    odd = [row for row in rows if row[1] not in ENDS or row[1:3] not in (["succeeded", "0"], ["failed", "3"], ["lost", "-1"])]
    assert not odd, f"ends that nothing here explains: {odd}"
    counts = {}
    for execution_id, name, count in world.db.sql("SELECT execution_id, type, count(*) FROM event"
                                                  " WHERE execution_id IS NOT NULL GROUP BY 1, 2"):
        counts.setdefault(execution_id, {})[name] = int(count)
    wrong = {execution_id: counts[execution_id] for execution_id in ids
             if [counts[execution_id].get(name) for name in (ACCEPTED, STARTED, FINISHED)] != [1, 1, 1]}
    assert not wrong, f"events: {wrong}"
    lost = {row[0] for row in rows if row[1] == "lost"}
    assert len(lost) <= kills.get("worker", 0) * SLOTS, f"{len(lost)} are lost after {kills}"
    assert len(lost) < len(ids), "every job was lost: this showed nothing"
    return lost


def none_ran_twice(ids, lost):
    runs = STATE["runtime"].runs()
    twice = {execution_id: runs[execution_id] for execution_id in ids if runs.get(execution_id, 0) > 1}
    assert not twice, f"begun more than once: {twice}"
    never = [execution_id for execution_id in ids if execution_id not in lost and runs.get(execution_id) != 1]
    assert not never, f"ended without a run: {never}"


def leftovers(world):
    """What idle workers must not have."""
    found = [f"cgroup {name}" for name in host.cgroup_runs(world.cgroup)]
    for name in WORKERS:
        state = world.state_dir(name)
        found += [f"process {pid} {line}" for pid, line in host.processes_naming(state + "/run")]
        found += host.files_below(state + "/run") + host.files_below(state + "/inputs")
    return found + [f"mount {mount}" for mount in host.mounts_below(world.folder)]


def test_killed_at_random_moments_under_load(world):
    seed = int(os.environ.get("SALLYPORT_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"       SALLYPORT_TEST_SEED={seed}", flush=True)
    accepted, kills = kill_under_load(world, seed)
    assert sum(kills.values()) == ROUNDS * len(ROUND), kills
    ids = list(accepted.values())
    assert len(set(ids)) == len(ids), "two tokens are one job"
    wait.until(SOON, "everything has ended", lambda: everything_has_ended(world))
    lost = each_ended_once(world, ids, kills)
    none_ran_twice(ids, lost)
    wait.until(30, "nothing is left of them", lambda: not leftovers(world))
    print(f"       {sum(kills.values())} kills {kills}, {len(ids)} jobs, {len(lost)} lost", flush=True)
    for token, execution_id in random.Random(seed).sample(sorted(accepted.items()), 5):
        assert world.submit(token).expect(200).json["id"] == execution_id
    world.ledger_is_complete(60)


def test_they_work_as_before(world):
    """A job of each worker at least, and the whole log verifies."""
    jobs = [world.accept("print", "again", "sleep", "1") for _ in range(len(WORKERS) * SLOTS)]
    workers = {world.ended(execution_id)["worker"].split("/")[0] for execution_id in jobs}
    assert workers == set(WORKERS), workers
    for execution_id in jobs:
        assert world.execution(execution_id)["state"] == "succeeded"
        world.ended_once(execution_id)
    wait.until(10, "nothing is left", lambda: not leftovers(world))
    world.ledger_is_complete(60)
    world.caller("auditor")
    folder = os.path.join(world.folder, "export")
    world.cli("ledger", "export", folder)
    world.cli("ledger", "verify", folder, "--vkey", world.vkey, caller=None)
