# SPDX-License-Identifier: Apache-2.0
"""Attack, and accident: an old backup brought back. The log signs no second tree of a size it has signed: it is reopened
under another name as docs/ledger.md says it, keeps what is left, and says what was lost."""

import json
import os
import pathlib
import shutil

from support import ledger, manual, wait
from support.world import FINISHED

SECOND = "ledger-2"
OLD, NEW = "sallyport.test/log", "sallyport.test/log-2"
DOC = {}


def setup(world):
    world.start_all()
    world.start("ledger", SECOND, ledger_init="on")
    world.caller("auditor")
    for name in ("submitter", "viewer"):  # the restored database knows them, too
        world.caller(name)
    world.signer()
    world.tool()
    world.ledger_is_complete()
    DOC.clear()
    DOC["folder"] = os.path.join(world.folder, "manual")
    os.mkdir(DOC["folder"])
    shutil.copy(world.vkey, path("ledger.vkey"))


def path(name):
    return os.path.join(DOC["folder"], name)


def proof(world, name):
    """A job, and what its owner keeps of it."""
    execution, _ = world.run("print", name)
    world.ledger_is_complete()
    world.cli("ledger", "prove", "--execution", execution["id"], "--out", path(f"{name}.tlog-proof"))
    return execution["id"]


def newest(world):
    return world.caller("viewer").get("/v1/ledger/checkpoint").expect(200).text


def all_stopped(world):
    for daemon in world.daemons.values():
        daemon.stop()


def backup(world):
    world.db.cluster.command(f"CREATE DATABASE {world.db.name}_then TEMPLATE {world.db.name}")


def restore(world):
    """The backup becomes the database."""
    world.db.cluster.command(f"DROP DATABASE {world.db.name} WITH (FORCE)")
    world.db.cluster.command(f"CREATE DATABASE {world.db.name} TEMPLATE {world.db.name}_then")


def reopen(world, name="ledger", expect=0, origin=NEW, key=None, previous=None):
    """The command as it stands in the manual, for one host."""
    words = ["ledger", "reopen", "--database", world.db.conninfo("sallyport_ledger"), "--state-dir", world.state_dir(name),
             "--ledger-origin", origin, "--ledger-key", key or path("new.key"), "--ledger-previous-vkey", previous or path("ledger.vkey"),
             "--reason", "a test", "--node", name]
    done = world.run_program("sallyportd", *words)
    assert done.returncode == expect, done.stderr[-2000:]
    return done.stderr


def test_an_old_backup_is_refused_and_the_log_reopened(world):
    proof(world, "kept")
    pathlib.Path(path("checkpoint.kept")).write_text(newest(world), encoding="utf-8")
    all_stopped(world)
    backup(world)
    for name in ("ledger", SECOND, "api", "worker"):
        world.daemons[name].start().ready()
    lost = proof(world, "lost")
    DOC["signed"] = ledger.Verifier(pathlib.Path(world.vkey).read_text(encoding="utf-8")).checkpoint(newest(world))
    wait.until(30, "the standby has proven it", lambda: f"sallyport_ledger_signed_size {DOC['signed'][0]}\n"
               in world.daemons[SECOND].ops("/metrics")[1])
    all_stopped(world)
    restore(world)

    # The signer remembers.
    world.daemons["ledger"].start()
    problem = wait.until(30, "the signer refuses", lambda: world.db.value("SELECT coalesce(problem, '') FROM ledger_lease"))
    assert f"rolled back: a tree of size {DOC['signed'][0]}" in problem, problem
    checkpoints = world.db.count("ledger_checkpoint")
    state = os.path.join(world.state_dir("ledger"), "signed")
    assert os.path.exists(state + ".evidence")
    # While it runs, it has the lease; and under the same name nothing goes on.
    world.sallyportd("ledger", "key", "--ledger-origin", OLD, "--ledger-key", path("same.key"))
    assert "two logs would be signed" in reopen(world, expect=1, origin=OLD, key=path("same.key"))
    world.daemons["ledger"].stop()
    kept = world.db.count("ledger_entry")

    first, after = (text for _, text in manual.blocks("After a restore"))
    manual.run(world, first, DOC["folder"], NEW_ORIGIN=NEW, DATABASE=world.db.conninfo("sallyport_ledger"), STATE=world.state_dir("ledger"))
    aside = [name for name in os.listdir(world.state_dir("ledger")) if name.startswith("signed.")]
    assert len(aside) == 2 and any(name.endswith(".evidence") for name in aside), aside
    assert world.db.value("SELECT problem IS NULL FROM ledger_lease") == "t"
    assert world.db.count("ledger_checkpoint") == checkpoints

    # The standby's host: its own state only, and no second event.
    assert "the state here is turned" in reopen(world, SECOND)
    assert world.db.count("ledger_reopening") == 1 and world.db.count("event WHERE type LIKE '%.ledger.reopened.v1'") == 1
    for name in ("ledger", SECOND):
        world.daemons[name].flags.update({"ledger-origin": NEW, "ledger-key": path("new.key")})
        world.daemons[name].start().ready()
    for name in ("api", "worker"):
        world.daemons[name].start().ready()
    world.ledger_is_complete()
    DOC["kept"] = kept
    goes_on(world, after, lost)


def goes_on(world, after, lost):
    """The auditor's part, and the next job."""
    new = ledger.Verifier(pathlib.Path(path("new.vkey")).read_text(encoding="utf-8"))
    assert new.checkpoint(newest(world))[0] == world.db.count("ledger_entry") > DOC["kept"]
    manual.run(world, after, DOC["folder"])
    data = json.loads(pathlib.Path(path("reopened.ndjson")).read_text(encoding="utf-8"))["data"]
    old = ledger.Verifier(pathlib.Path(path("ledger.vkey")).read_text(encoding="utf-8"))
    assert (data["origin"], data["previous_origin"], data["kept"]["size"]) == (NEW, OLD, DOC["kept"]), data
    assert data["signed"] == {"size": DOC["signed"][0], "root": "sha256:" + DOC["signed"][1].hex()}, data
    assert old.checkpoint(data["previous_checkpoint"])[0] <= DOC["kept"], data
    assert "rolled back" in data["problem"] and data["previous_vkeys"] == [pathlib.Path(path("ledger.vkey")).read_text("utf-8").strip()]
    # What was lost, was there: its index is past what was kept, and not past what was signed.
    index = ledger.receipt(pathlib.Path(path("lost.tlog-proof")).read_text(encoding="utf-8"))[0]
    assert data["kept"]["size"] <= index < data["signed"]["size"]
    world.caller("viewer").get(f"/v1/executions/{lost}").refused(404, "not_found")
    # The new log's receipts are by its own key.
    proof(world, "next")
    world.cli("ledger", "verify", path("next.tlog-proof"), "--vkey", path("new.vkey"), caller=None)
    world.cli("ledger", "verify", path("next.tlog-proof"), "--vkey", path("ledger.vkey"), caller=None, expect=6)
    event = json.loads(pathlib.Path(path("next.tlog-proof.json")).read_text(encoding="utf-8"))
    assert event["type"] == FINISHED
    wait.until(30, "the standby follows", lambda: world.daemons[SECOND].ops("/readyz")[0] == 200
               and f"sallyport_ledger_signed_size {world.db.count('ledger_entry')}\n" in world.daemons[SECOND].ops("/metrics")[1])


def test_the_old_name_does_not_start(world):
    """Neither with its old state, put back, nor with none."""
    if "kept" not in DOC:
        return  # asked for alone: nothing was reopened
    daemon = world.daemons[SECOND]
    daemon.stop()
    before, state = dict(daemon.flags), os.path.join(world.state_dir(SECOND), "signed")
    shutil.copy(state, state + ".new")
    aside = [name for name in os.listdir(world.state_dir(SECOND)) if name.startswith("signed.2") and "evidence" not in name]
    daemon.flags.update({"ledger-origin": OLD, "ledger-key": os.path.join(world.folder, "ledger.key")})
    shutil.copy(os.path.join(world.state_dir(SECOND), aside[0]), state)
    refuses(daemon, f"was reopened as {NEW}")
    os.unlink(state)
    daemon.flags["ledger-init"] = "on"
    refuses(daemon, f"was reopened as {NEW}")
    daemon.flags = before
    shutil.move(state + ".new", state)
    daemon.start().ready()


def refuses(daemon, words):
    said = len(daemon.log())
    daemon.start()
    wait.until(30, "it has refused", lambda: not daemon.alive())
    daemon.dead = True
    assert daemon.process.returncode == 1 and words in daemon.log()[said:], daemon.log()[said:]


def test_a_name_is_used_once(world):
    """The same backup once more, after the new name has signed: neither of the two names goes on."""
    if "kept" not in DOC:
        return
    world.ledger_is_complete()
    all_stopped(world)
    restore(world)
    assert "the log is or was " + NEW in reopen(world, expect=1)
    assert "two logs would be signed" in reopen(world, expect=1, previous=path("new.vkey"))
    assert "the log is or was " + OLD in reopen(world, expect=1, origin=OLD, key=path("same.key"), previous=path("new.vkey"))
    third = "sallyport.test/log-3"
    world.sallyportd("ledger", "key", "--ledger-origin", third, "--ledger-key", path("third.key"))
    # The backup is of before the first reopening: its newest checkpoint is of a name that this state knows it had.
    reopen(world, origin=third, key=path("third.key"), previous=path("new.vkey"))
    daemon = world.daemons["ledger"]
    daemon.flags.update({"ledger-origin": third, "ledger-key": path("third.key")})
    daemon.start().ready()
    world.ledger_is_complete()
    assert world.db.value("SELECT note LIKE 'sallyport.test/log-3%' FROM ledger_checkpoint ORDER BY size DESC LIMIT 1") == "t"


def test_nothing_is_reopened_that_is_whole(world):
    """The log as it is has all that was signed; and what does not begin like it, is not its backup."""
    daemon = world.daemons["ledger"]
    origin = daemon.flags["ledger-origin"]
    vkey = os.path.join(world.folder, "now.vkey")
    shutil.copy(world.vkey, vkey)
    fourth = "sallyport.test/log-4"
    key = os.path.join(world.folder, "fourth.key")
    world.sallyportd("ledger", "key", "--ledger-origin", fourth, "--ledger-key", key)
    assert "a ledger process leads" in reopen(world, expect=1, origin=fourth, key=key, previous=vkey)
    daemon.stop()
    if not world.daemons[SECOND].dead:
        world.daemons[SECOND].stop()
    assert "there is nothing to reopen" in reopen(world, expect=1, origin=fourth, key=key, previous=vkey), origin
    daemon.start().ready()
