# SPDX-License-Identifier: Apache-2.0
"""Attack: the one who leads is not to be trusted. Standbys prove each checkpoint to themselves, from their own files.

A standby with an old state file catches up by proof; one without its file does not start over a log that exists; a
checkpoint that is not of its own row stops it, and with it the log."""

import os
import shutil

from support import wait

SECOND = "ledger-2"


def setup(world):
    world.start("ledger", lease_ms=60000, scrub_rate=0)  # what a standby's signer sees is asked for, not what a scrub finds
    world.start("api")
    world.caller("auditor")
    world.ledger_is_complete()
    world.start("ledger", SECOND, ledger_init="on", lease_ms=60000, scrub_rate=0)


def metric(daemon, name):
    lines = [line for line in daemon.ops("/metrics")[1].splitlines() if line.startswith(name + " ")]
    return int(lines[0].split()[1]) if lines else None


def more(world, count=3):
    """New keys are new events."""
    for number in range(count):
        world.new_key(f"somebody-{number}", "acme", "viewer")
    world.ledger_is_complete()
    return world.db.count("ledger_entry")


def proven(world, size):
    daemon = world.daemons[SECOND]
    wait.until(30, "the standby has proven it", lambda: metric(daemon, "sallyport_ledger_signed_size") == size)
    assert metric(daemon, "sallyport_ledger_leading") == 0 and daemon.ops("/readyz")[0] == 200


def state_file(world):
    return os.path.join(world.state_dir(SECOND), "signed")


def test_a_standby_proves_what_the_leader_signs(world):
    proven(world, more(world))
    assert metric(world.daemons[SECOND], "sallyport_ledger_checkpoints_proven_total") >= 1


def test_a_standby_with_an_old_state_file(world):
    old = os.path.join(world.folder, "signed.old")
    shutil.copy(state_file(world), old)
    proven(world, more(world))
    daemon = world.daemons[SECOND]
    daemon.stop()
    shutil.copy(old, state_file(world))
    checkpoints = world.db.count("ledger_checkpoint")
    daemon.start().ready()
    proven(world, world.db.count("ledger_entry"))
    assert world.db.count("ledger_checkpoint") == checkpoints, "a standby has signed"


def test_a_standby_without_its_state_file(world):
    daemon = world.daemons[SECOND]
    daemon.stop()
    kept = os.path.join(world.folder, "signed.kept")
    os.rename(state_file(world), kept)
    daemon.start()
    wait.until(30, "it has refused", lambda: not daemon.alive())
    assert daemon.process.returncode != 0 and "is missing" in daemon.log(), daemon.log()[-500:]
    daemon.dead = True
    os.rename(kept, state_file(world))
    daemon.start().ready()


def test_a_stale_checkpoint_in_a_new_one_s_place_stops_all(world):
    """An old note under a new row, while the standby is away: signed by the right key, of another tree."""
    second = world.daemons[SECOND]
    size = more(world)
    proven(world, size)
    second.stop()
    newest = more(world)
    change = ("ALTER TABLE ledger_checkpoint DISABLE TRIGGER append_only; UPDATE ledger_checkpoint SET note ="
              f" (SELECT note FROM ledger_checkpoint WHERE size = {size}) WHERE size = {newest};"
              " ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER append_only")
    world.db.sql(change)
    second.start()
    wait.until(30, "the standby stops", lambda: metric(second, "sallyport_ledger_stopped") == 1)
    status, body = second.ops("/readyz")
    assert status == 503 and f"what was signed has size {size}" in body, body
    assert os.path.exists(state_file(world) + ".evidence")
    assert second.said("the ledger has stopped")
    wait.until(30, "the leader stops", lambda: world.daemons["ledger"].ops("/readyz")[0] == 503)
