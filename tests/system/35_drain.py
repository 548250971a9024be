# SPDX-License-Identifier: Apache-2.0
"""A long queue of two tenants drains on this host: without an error, without starvation, without a leak.

What the worker holds (descriptors, threads, connections, memory) and what lies about on the host (processes, cgroups,
mounts, files) is the same after the last job as it was after the first few."""

import itertools
import os

from support import daemons, host, wait
from support.world import ACCEPTED, FINISHED, STARTED, TENANT

FULL = os.environ.get("SALLYPORT_TEST_FULL") == "1"
JOBS = 2000 if FULL else 40
WARM = JOBS // 5
SLOTS = 3
SCENARIO_SECONDS = 3600 if FULL else 900
OTHER = "globex"
LEASE_MS = 60000  # the longest there is: it is stopped while a queue is filled
SECONDS_A_JOB = 2  # far more than any machine takes
APART = 4 * SLOTS  # jobs in a row: a worker may claim some at once; a tenant that starves waits for more
GROWTH_MIB = 24  # what an allocator may keep; with 1,600 jobs it would be 15 KiB each
QUARANTINE = "quarantine_size_mb=1:thread_local_quarantine_size_kb=16"  # else freed memory looks like a leak


def setup(world):
    world.start_all(worker={"slots": SLOTS, "lease_ms": LEASE_MS})
    for tenant in (TENANT, OTHER):
        world.tool(tenant=tenant)
        world.signer(tenant)
    worker = world.daemons["worker"]
    worker.stop()
    worker.env["ASAN_OPTIONS"] = f"{daemons.environment()['ASAN_OPTIONS']}:{QUARANTINE}"


def queue(world, count):
    """So many jobs, one tenant's before the other's, while no worker looks."""
    worker = world.daemons["worker"]
    if not worker.dead:
        worker.pause()
    data = world.input(b"an input of this round\n")
    world.input(b"an input of this round\n", OTHER)
    ids = [world.accept("print", "done", "cat", "/in/data", tenant=tenant, inputs=[{"name": "data", "sha256": data}])
           for tenant in (TENANT, OTHER) for _ in range(count // 2)]
    if worker.dead:
        worker.start().ready()
    else:
        worker.resume()
    return ids


def drained(world, ids):
    """Each has succeeded, with all it has to show, once."""
    wait.until(30 + SECONDS_A_JOB * len(ids), "the queue is empty", world.queue_is_empty)
    among = "execution_id IN (" + ",".join(f"'{execution_id}'" for execution_id in ids) + ")"
    rows = world.db.sql(f"SELECT state, stdout_bytes, count(*) FROM execution WHERE {among} GROUP BY 1, 2")
    assert rows == [["succeeded", str(len("done\nan input of this round\n")), str(len(ids))]], rows
    rows = world.db.sql(f"SELECT type, count(*), count(DISTINCT execution_id) FROM event WHERE {among} GROUP BY 1 ORDER BY 1")
    assert rows == [[name, str(len(ids)), str(len(ids))] for name in sorted((ACCEPTED, STARTED, FINISHED))], rows


def took_turns(world, ids):
    """While both have jobs waiting, neither waits for a row of the other's, and neither gets much more than its half.

    Slots that claim at the same moment may take the same tenant's: so the difference wanders a little, and is no more bound
    than that."""
    among = ",".join(f"'{execution_id}'" for execution_id in ids)
    rows = world.db.sql(f"SELECT tenant_id FROM execution WHERE execution_id IN ({among}) ORDER BY started_at, execution_id")
    order = [row[0] for row in rows]
    both = order[:min(len(order) - order[::-1].index(tenant) for tenant in (TENANT, OTHER))]
    longest = max(len(list(row)) for _, row in itertools.groupby(both))
    alone = len(order) - len(both)
    print(f"       at most {longest} in a row of one tenant, {alone} left when the other had none", flush=True)
    assert longest <= APART < len(ids) // 2, f"{longest} in a row were one tenant's"
    assert alone <= max(APART, len(ids) // 10), f"{alone} were left when the other tenant had none"


def held(world):
    """What an idle worker holds and has on the host."""
    worker = world.daemons["worker"]
    assert not host.cgroup_runs(world.cgroup), "a group of a run is left"
    assert not host.files_below(world.state_dir("worker") + "/run"), "files of a run are left"
    return {
        "descriptors": host.open_files(worker.pid),
        "threads": len(os.listdir(f"/proc/{worker.pid}/task")),
        "connections": world.db.count("pg_stat_activity WHERE usename = 'sallyport_worker' AND datname = current_database()"),
        "processes": sorted(pid for pid, _ in host.processes_naming(world.folder)),
        "children": host.children(worker.pid),
        "cgroups": host.cgroup_folders(world.cgroup),
        "mounts": host.mounts_below(world.folder),
        "files": host.files_below(world.state_dir("worker")),
    }


def test_a_long_queue_drains(world):
    ids = queue(world, WARM)
    drained(world, ids)
    worker = world.daemons["worker"]
    before, memory = wait.until(30, "the worker is idle", lambda: (held(world), host.resident_mib(worker.pid)))
    ids = queue(world, JOBS - WARM)
    drained(world, ids)
    took_turns(world, ids)

    def as_before():
        now = held(world)
        changed = {name: (before[name], now[name]) for name in before if now[name] != before[name]}
        assert not changed, f"before and after: {changed}"
        return True
    wait.until(30, "the worker holds what it held", as_before)
    growth = host.resident_mib(worker.pid) - memory
    assert growth <= GROWTH_MIB, f"{growth:.1f} MiB more after {JOBS - WARM} jobs"
    said = [line for line in worker.log().splitlines() if '"level":"error"' in line or '"level":"warn"' in line]
    print(f"       {len(ids)} jobs, resident {memory:.1f} MiB and {growth:+.1f}", flush=True)
    assert not said, said[:3]
    world.ledger_is_complete(60)
