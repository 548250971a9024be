# SPDX-License-Identifier: Apache-2.0
"""Attack: a superuser edits what happened. Privileges and triggers resist; the ledger proves.

Rows are changed with the triggers off, files of an export are changed by hand: `ledger verify` ends with 6 and
names the entry. Edits behind the signer's back make it refuse to sign on, and then nothing is admitted."""

import base64
import contextlib
import json
import os
import pathlib
import shutil

from cryptography.hazmat.primitives import serialization

from support import ledger, tokens, wait
from support.world import TENANT

JOBS = 3
NOT_VERIFIED = 6


def setup(world):
    world.start_all()
    world.caller("auditor")
    for number in range(JOBS):
        world.ended(world.accept("print", f"job {number}"))
    world.ledger_is_complete()


def export(world, name="export"):
    folder = os.path.join(world.folder, name)
    shutil.rmtree(folder, ignore_errors=True)
    world.cli("ledger", "export", folder, caller="auditor")
    return folder


def verify(world, folder, expect=0):
    done = world.cli("ledger", "verify", folder, "--vkey", world.vkey, caller=None, expect=expect)
    return done.stdout + done.stderr


def fails_and_names(world, folder, index):
    said = verify(world, folder, NOT_VERIFIED)
    assert f"entry {index})" in said or f"entry {index}:" in said or f"entry {index} " in said, f"entry {index} is not named: {said}"


@contextlib.contextmanager
def edited(world, table, edit, undo):
    """The table with its guard off for one edit, undone afterwards."""
    guard = "; ".join(f"ALTER TABLE {table} {what} TRIGGER append_only" for what in ("DISABLE", "ENABLE ALWAYS"))
    off, on = guard.split("; ")
    world.db.sql(f"{off}; {edit}; {on}")
    try:
        yield
    finally:
        world.db.sql(f"{off}; {undo}; {on}")


def entry(world, where):
    """(index, event id, hash) of an entry."""
    rows = world.db.sql(f"SELECT l.idx, l.event_id, encode(l.hash, 'hex') FROM ledger_entry l JOIN event e USING (event_id)"
                        f" WHERE {where} ORDER BY l.idx DESC LIMIT 1")
    return int(rows[0][0]), rows[0][1], rows[0][2]


def finished_entry(world):
    return entry(world, "e.type = 'io.sallyport.execution.finished.v1'")


def change_event(event_id, old, new):
    body = f"convert_to(replace(convert_from(body, 'UTF8'), '{old}', '{new}'), 'UTF8')"
    return f"UPDATE event SET body = {body}, hash = sha256({body}) WHERE event_id = '{event_id}'"


def test_untouched_it_verifies(world):
    said = json.loads(world.cli("ledger", "verify", export(world), "--vkey", world.vkey, "-o", "json", caller=None).stdout)
    count = world.db.count("event")
    assert said["verified"] is True and said["entries"] == said["events"] == count, said


def test_an_events_body_was_changed(world):
    """Every kind of event, not only the last one."""
    for kind in ("execution.finished.v1", "execution.accepted.v1", "artifact.approved.v1", "apikey.created.v1"):
        index, event_id, _ = entry(world, f"e.type = 'io.sallyport.{kind}' AND e.tenant_id = '{TENANT}'")
        with edited(world, "event", change_event(event_id, "1.0", "1.1"), change_event(event_id, "1.1", "1.0")):
            fails_and_names(world, export(world), index)
    verify(world, export(world))


def test_an_entrys_hash_was_changed(world):
    index, _, old = finished_entry(world)
    new = ("0" if old[0] != "0" else "1") + old[1:]
    change = "UPDATE ledger_entry SET hash = '\\x{}' WHERE idx = " + str(index)
    with edited(world, "ledger_entry", change.format(new), change.format(old)):
        # The partition has a guard of its own: an edit past the parent meets it.
        world.db.refuses(f"UPDATE ledger_entry_0 SET hash = hash WHERE idx = {index}", "42501")
        fails_and_names(world, export(world), index)
    verify(world, export(world))


def test_event_and_entry_were_changed_to_fit(world):
    """No single row tells on itself any more; the signed root still does."""
    index, event_id, old = finished_entry(world)
    with edited(world, "event", change_event(event_id, "alice", "mally"), change_event(event_id, "mally", "alice")):
        new = world.db.value(f"SELECT encode(hash, 'hex') FROM event WHERE event_id = '{event_id}'")
        assert new != old
        change = "UPDATE ledger_entry SET hash = '\\x{}' WHERE idx = " + str(index)
        with edited(world, "ledger_entry", change.format(new), change.format(old)):
            assert "mally" in pathlib.Path(export(world), "events.ndjson").read_text(encoding="utf-8")
            said = verify(world, os.path.join(world.folder, "export"), NOT_VERIFIED)
            assert "root" in said or "checkpoint" in said, said
    verify(world, export(world))


def test_two_entries_changed_places(world):
    last, event_id, old = finished_entry(world)
    other = last - 1
    row = world.db.sql(f"SELECT event_id, encode(hash, 'hex') FROM ledger_entry WHERE idx = {other}")[0]
    place = "UPDATE ledger_entry SET event_id = '{}', hash = '\\x{}' WHERE idx = {}"
    swap = place.format(*row, last) + ";" + place.format(event_id, old, other)
    back = place.format(event_id, old, last) + ";" + place.format(*row, other)
    with edited(world, "ledger_entry", swap, back):
        verify(world, export(world), NOT_VERIFIED)
    verify(world, export(world))


def test_a_checkpoint_was_forged(world):
    """Signed by another key, or with another root under the old signature."""
    folder = export(world)
    path = pathlib.Path(folder, "checkpoint")
    note = path.read_text(encoding="utf-8")
    lines = note.split("\n")
    forgeries = ["\n".join([lines[0], str(int(lines[1]) - 1), *lines[2:]]),
                 "\n".join([*lines[:2], base64.b64encode(bytes(32)).decode(), *lines[3:]]),
                 "\n".join(["sallyport.test/other", *lines[1:]]), note[:-9] + note[-8:], note.split("\n\n")[0] + "\n\n", note.replace("\n", "\r\n"), ""]
    for forged in forgeries:
        path.write_text(forged, encoding="utf-8")
        done = world.run_program("sallyport", "ledger", "verify", folder, "--vkey", world.vkey)
        assert done.returncode in (2, NOT_VERIFIED), f"{done.returncode}: {forged!r}"
    path.write_text(note, encoding="utf-8")
    verify(world, folder)
    other_key = world.write("other.vkey", other_verifier())
    world.cli("ledger", "verify", folder, "--vkey", other_key, caller=None, expect=NOT_VERIFIED)


def other_verifier():
    key = tokens.EdDsaKey("x").private.public_key()
    raw = b"\x01" + key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key_id = ledger.hash_of(b"sallyport.test/log\n" + raw)[:4].hex()
    return f"sallyport.test/log+{key_id}+{base64.b64encode(raw).decode()}\n"


def test_an_exported_file_was_changed(world):
    folder = export(world)
    path = pathlib.Path(folder, "events.ndjson")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    middle = len(lines) // 2
    changed = lines[middle].replace(b'"specversion":"1.0"', b'"specversion":"1.O"')
    assert changed != lines[middle]

    def with_lines(*new):
        path.write_bytes(b"".join(new))
    with_lines(*lines[:middle], changed, *lines[middle + 1:])
    fails_and_names(world, folder, middle)
    with_lines(*lines[:middle], f"sha256:{64 * '0'}\n".encode(), *lines[middle + 1:])
    fails_and_names(world, folder, middle)
    with_lines(*lines[:middle], *lines[middle + 1:])
    fails_and_names(world, folder, middle)
    with_lines(*lines[:middle], lines[middle + 1], lines[middle], *lines[middle + 2:])
    fails_and_names(world, folder, middle)
    with_lines(*lines[:middle], lines[middle], *lines[middle:])
    fails_and_names(world, folder, middle + 1)
    with_lines(*lines, lines[0])
    fails_and_names(world, folder, len(lines))
    for cut in (*lines[:-1],), (), (*lines[:-1], lines[-1][:-1]):
        with_lines(*cut)
        assert world.run_program("sallyport", "ledger", "verify", folder, "--vkey", world.vkey).returncode in (2, NOT_VERIFIED)
    # An event withheld, its hash in its place, proves as well: that is how bodies expire.
    with_lines(*lines[:middle], tokens.sha256(lines[middle].rstrip(b"\n")).encode() + b"\n", *lines[middle + 1:])
    verify(world, folder)
    path.write_bytes(whole)
    verify(world, folder)


def test_an_entry_was_taken_away(world):
    index, event_id, old = finished_entry(world)
    world.daemons["ledger"].stop()
    undo = f"INSERT INTO ledger_entry (idx, event_id, tenant_id, hash) VALUES ({index}, '{event_id}', '{TENANT}', '\\x{old}')"
    with edited(world, "ledger_entry", f"DELETE FROM ledger_entry WHERE idx = {index}", undo):
        folder = os.path.join(world.folder, "cut")
        exported = world.run_program("sallyport", "ledger", "export", folder, env={
            "SALLYPORT_URL": f"http://127.0.0.1:{world.daemons['api'].port}", "SALLYPORT_API_KEY": world.caller("auditor").key})
        if exported.returncode == 0:
            verify(world, folder, NOT_VERIFIED)
    world.daemons["ledger"].start().ready()
    verify(world, export(world))


def nothing_is_admitted(world):
    """The api says unavailable, the ledger says why."""
    token = world.token("print", "never")

    def probe():
        answer = world.submit(token)
        return answer.status == 503
    wait.until(30, "submissions are refused", probe)
    world.submit(token).refused(503, "unavailable")
    assert world.daemons["ledger"].ops("/readyz")[0] == 503
    assert world.caller("viewer").get("/v1/executions").expect(200).json["items"], "reading must go on"


def test_a_batch_was_changed_and_the_signer_stops(world):
    """It has a memory of its own: what it signed is not what is there now."""
    size = world.db.value("SELECT max(size) FROM ledger_batch")
    world.db.sql("ALTER TABLE ledger_batch DISABLE TRIGGER append_only;"
                 f"UPDATE ledger_batch SET root = sha256('forged') WHERE size = {size};"
                 "ALTER TABLE ledger_batch ENABLE ALWAYS TRIGGER append_only")
    before = world.db.value("SELECT max(size) FROM ledger_checkpoint")
    world.submit(world.token("print", "one more"))  # news for the ledger to sign
    nothing_is_admitted(world)
    assert world.db.value("SELECT max(size) FROM ledger_checkpoint") == before, "it signed over the edit"
    # An attacker who mends his edit does not get the signer back: it has seen it.
    ledger_daemon = world.daemons["ledger"]
    ledger_daemon.kill()
    ledger_daemon.start()
    wait.until(30, "it is up, or has refused to be", lambda: not ledger_daemon.alive() or ledger_daemon.ops("/livez")[0] == 200)
    assert not ledger_daemon.alive() or ledger_daemon.ops("/readyz")[0] == 503
    ledger_daemon.dead = ledger_daemon.dead or not ledger_daemon.alive()


def test_an_old_backup_was_restored_and_the_signer_stops(world):
    """Everything fits together, only it is less than was signed."""
    size = int(world.db.value("SELECT max(size) FROM ledger_batch"))
    world.daemons["ledger"].stop()
    keep = int(world.db.value(f"SELECT max(size) FROM ledger_batch WHERE size < {size}"))
    tables = {"ledger_batch": "size", "ledger_checkpoint": "size", "ledger_entry": "idx + 1"}
    for table, column in tables.items():
        world.db.sql(f"ALTER TABLE {table} DISABLE TRIGGER append_only; DELETE FROM {table} WHERE {column} > {keep};"
                     f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only")
    ledger_daemon = world.daemons["ledger"].start()
    wait.until(30, "it is up, or has refused to be", lambda: not ledger_daemon.alive() or ledger_daemon.ops("/livez")[0] == 200)
    if ledger_daemon.alive():
        nothing_is_admitted(world)
    ledger_daemon.dead = not ledger_daemon.alive()
