# SPDX-License-Identifier: Apache-2.0
"""Attack: the ledger edited by somebody who has the whole database in hand.

A superuser who takes the triggers away can change every row; what he cannot do is sign. Whatever he edits,
the export does not verify (exit 6), the entry is named where the checkpoint still tells which it is, and
the same row put back verifies again. Where he edits what the signer built on, the signer signs no more and
nothing is accepted."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import secrets

from cryptography.hazmat.primitives import serialization

from support import ledger, tokens, wait
from support.world import FINISHED, TENANT

JOB = {}
ENTRY, EVENT, BATCH = "sallyport.ledger_entry", "sallyport.event", "sallyport.ledger_batch"


def setup(world):
    world.start_all(ledger={"scrub_rate": 0})  # which would stop the log at the first of these (27)
    JOB.clear()
    world.caller("auditor")  # now, for each new caller is an event
    execution, _ = world.run("print", "evidence")
    world.ledger_is_complete()
    JOB.update(world.execution(execution["id"]))
    JOB["index"] = JOB["ledger"]["index"]
    body = world.db.value(f"SELECT encode(body, 'hex') FROM event WHERE event_id = '{JOB['event_id']}'")
    JOB["body"] = bytes.fromhex(body)
    JOB["sum"] = hashlib.sha256(JOB["body"]).hexdigest()
    JOB["forged"] = JOB["body"].replace(b'"state":"succeeded"', b'"state":"cancelled"')
    assert JOB["forged"] != JOB["body"], JOB["body"]


def change(world, *statements):
    """What a superuser can do: the triggers off, the rows changed, the triggers on again."""
    triggers = [(table, how) for table in (EVENT, ENTRY, BATCH) for how in ("DISABLE", "ENABLE ALWAYS")]
    before = [f"ALTER TABLE {table} {how} TRIGGER append_only" for table, how in triggers if how == "DISABLE"]
    after = [f"ALTER TABLE {table} {how} TRIGGER append_only" for table, how in triggers if how != "DISABLE"]
    world.db.sql(";\n".join([*before, *statements, *after]))


@contextlib.contextmanager
def changed(world, there, back):
    """Both are lists of statements."""
    change(world, *there)
    try:
        yield
    finally:
        change(world, *back)


def body_set(body):
    return f"UPDATE event SET body = '\\x{body.hex()}', hash = sha256('\\x{body.hex()}') WHERE event_id = '{JOB['event_id']}'"


def entry_set(index, digest):
    return f"UPDATE ledger_entry SET hash = '\\x{digest}' WHERE idx = {index}"


def verify(world, expect):
    """Exports and verifies offline; what the client says of it."""
    folder = os.path.join(world.folder, "export-" + secrets.token_hex(4))
    world.cli("ledger", "export", folder)
    done = world.cli("ledger", "verify", folder, "--vkey", world.vkey, "-o", "json", caller=None, expect=expect)
    return done.stderr if expect else json.loads(done.stdout)


def names(complaint, index):
    assert f"line {index + 1} (entry {index})" in complaint, complaint


def verifies_again(world):
    proof = verify(world, 0)
    assert proof["verified"] is True and proof["recorded"] is True, proof
    return proof


def test_the_untouched_ledger_verifies(world):
    proof = verifies_again(world)
    assert proof["entries"] > JOB["index"]


def test_triggers_hold_even_for_a_superuser(world):
    """One who forgets to take them away gets nowhere, as a replica neither."""
    for options in ("", "-c session_replication_role=replica"):
        for statement in (body_set(JOB["forged"]), entry_set(JOB["index"], 64 * "0"), "DELETE FROM event", "TRUNCATE ledger_batch",
                          "UPDATE ledger_checkpoint SET root = sha256('x')", "DELETE FROM ledger_tile"):
            world.db.refuses(statement, "42501", options=options)
    verifies_again(world)


def test_the_hash_beside_a_body_cannot_lie(world):
    """CHECK (hash = sha256(body)) is not a trigger."""
    world.db.refuses(f"ALTER TABLE {EVENT} DISABLE TRIGGER append_only;"
                     f" UPDATE event SET body = '\\x{JOB['forged'].hex()}' WHERE event_id = '{JOB['event_id']}'", "23514")


def test_an_event_that_was_rewritten_is_named(world):
    with changed(world, [body_set(JOB["forged"])], [body_set(JOB["body"])]):
        complaint = verify(world, 6)
        names(complaint, JOB["index"])
        assert "the event was changed" in complaint, complaint
    verifies_again(world)


def test_one_byte_of_an_event_is_enough(world):
    """A space before the last brace: the same document to any reader, not the same evidence."""
    with changed(world, [body_set(JOB["body"][:-1] + b" }")], [body_set(JOB["body"])]):
        names(verify(world, 6), JOB["index"])
    verifies_again(world)


def test_an_entry_that_was_rewritten_is_named(world):
    with changed(world, [entry_set(JOB["index"], 64 * "0")], [entry_set(JOB["index"], JOB["sum"])]):
        complaint = verify(world, 6)
        names(complaint, JOB["index"])
        assert "the recorded entry was changed" in complaint, complaint
    verifies_again(world)


def test_event_and_entry_that_agree_do_not_help(world):
    """Nobody can be named any more, for all rows agree; the signed root does not."""
    digest = hashlib.sha256(JOB["forged"]).hexdigest()
    with changed(world, [body_set(JOB["forged"]), entry_set(JOB["index"], digest)],
                 [body_set(JOB["body"]), entry_set(JOB["index"], JOB["sum"])]):
        complaint = verify(world, 6)
        assert "root" in complaint, complaint
    verifies_again(world)


def test_two_entries_that_changed_places(world):
    """Each event is as it was, and where its entry is; only their order is another than was signed."""
    columns = "event_id = o.event_id, tenant_id = o.tenant_id, hash = o.hash"
    swap = (f"UPDATE ledger_entry e SET {columns} FROM ledger_entry o"
            " WHERE (e.idx, o.idx) IN ((0, 1), (1, 0))")
    with changed(world, [swap], [swap]):
        complaint = verify(world, 6)
        assert "root" in complaint, complaint
    verifies_again(world)


def test_an_event_that_was_taken_away_leaves_its_hash(world):
    """No lie, but no secret either: the export says that something was there, and proves the rest."""
    events = verifies_again(world)["events"]
    row = f"event_id = '{JOB['event_id']}'"
    gone = [f"CREATE TABLE public.kept AS SELECT * FROM event WHERE {row}", f"DELETE FROM event WHERE {row}"]
    # Putting it back is no new event: the trigger that gives places is away as well.
    back = [f"ALTER TABLE {EVENT} DISABLE TRIGGER event_queue", "INSERT INTO event SELECT * FROM public.kept", "DROP TABLE public.kept",
            f"ALTER TABLE {EVENT} ENABLE ALWAYS TRIGGER event_queue"]
    with changed(world, gone, back):
        assert verify(world, 0)["events"] == events - 1
        line = world.caller("auditor").get("/v1/ledger/export", **{"from": JOB["index"], "limit": 1}).expect(200).text
        assert line == f"sha256:{JOB['sum']}\n", line
    assert verifies_again(world)["events"] == events


def test_another_checkpoint_is_not_the_ledgers(world):
    """A checkpoint of the forger's own, for a tree that fits his rows: it is not signed by the key."""
    folder = os.path.join(world.folder, "export-own")
    world.cli("ledger", "export", folder)
    path = os.path.join(folder, "checkpoint")
    with open(path, encoding="utf-8") as file:
        note = file.read()
    text, _, signatures = note.partition("\n\n")
    lines = text.splitlines()
    for forged in ("\n".join([lines[0], str(int(lines[1]) - 1), *lines[2:]]) + "\n\n" + signatures, text + "\n\n",
                   note.replace("sallyport.test/log", "sallyport.test/gol"), text + "\n\n" + signatures[:-6] + "AAAA=\n"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(forged)
        done = world.run_program("sallyport", "ledger", "verify", folder, "--vkey", world.vkey)
        assert done.returncode in (2, 6), f"exit {done.returncode} for\n{forged}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(note)
    world.cli("ledger", "verify", folder, "--vkey", world.vkey, caller=None)
    other_key = world.write("other.vkey", other_verifier())
    world.cli("ledger", "verify", folder, "--vkey", other_key, caller=None, expect=6)


def other_verifier():
    key = tokens.EdDsaKey("x").private.public_key()
    raw = b"\x01" + key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key_id = ledger.hash_of(b"sallyport.test/log\n" + raw)[:4].hex()
    return f"sallyport.test/log+{key_id}+{base64.b64encode(raw).decode()}\n"


def export(world):
    folder = os.path.join(world.folder, "export-" + secrets.token_hex(4))
    world.cli("ledger", "export", folder)
    return folder


def test_an_exported_file_that_was_changed(world):
    """By hand, on somebody's disk: the line is named, wherever the two files part."""
    folder = export(world)
    path = pathlib.Path(folder, "events.ndjson")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    middle = len(lines) // 2
    changed_line = lines[middle].replace(b'"specversion":"1.0"', b'"specversion":"1.O"')
    assert changed_line != lines[middle]

    def says(expect, *new):
        path.write_bytes(b"".join(new))
        return world.cli("ledger", "verify", folder, "--vkey", world.vkey, caller=None, expect=expect).stderr

    names(says(6, *lines[:middle], changed_line, *lines[middle + 1:]), middle)
    names(says(6, *lines[:middle], f"sha256:{64 * '0'}\n".encode(), *lines[middle + 1:]), middle)
    names(says(6, *lines[:middle], *lines[middle + 1:]), middle)
    names(says(6, *lines[:middle], lines[middle + 1], lines[middle], *lines[middle + 2:]), middle)
    names(says(6, *lines[:middle + 1], *lines[middle:]), middle + 1)
    names(says(6, *lines, lines[0]), len(lines))
    says(6, *lines[:-1])
    says(6)
    says(2, *lines[:-1], lines[-1][:-1])  # cut within its last line: no file of ours at all
    # An event withheld, its hash in its place, proves as well: that is how bodies expire.
    says(0, *lines[:middle], tokens.sha256(lines[middle].rstrip(b"\n")).encode() + b"\n", *lines[middle + 1:])
    says(0, whole)


def test_an_entry_that_was_taken_away(world):
    """A hole is no export, or none that verifies."""
    world.daemons["ledger"].stop()
    index, event = JOB["index"], JOB["event_id"]
    gone = [f"DELETE FROM ledger_entry WHERE idx = {index}"]
    back = [f"INSERT INTO ledger_entry (idx, event_id, tenant_id, hash) VALUES ({index}, '{event}', '{TENANT}', '\\x{JOB['sum']}')"]
    with changed(world, gone, back):
        folder = os.path.join(world.folder, "export-hole")
        env = {"SALLYPORT_URL": f"http://127.0.0.1:{world.daemons['api'].port}", "SALLYPORT_API_KEY": world.caller("auditor").key}
        if world.run_program("sallyport", "ledger", "export", folder, env=env).returncode == 0:
            world.cli("ledger", "verify", folder, "--vkey", world.vkey, caller=None, expect=6)
    world.daemons["ledger"].start().ready()
    verifies_again(world)


def frontier_of(entries):
    """The roots of the full trees that the entries fall into, the largest first: what an append needs."""
    parts, rest = [], entries
    while rest:
        width = 1 << (len(rest).bit_length() - 1)
        parts.append(ledger.root([ledger.leaf(entry) for entry in rest[:width]]))
        rest = rest[width:]
    return b"".join(parts).hex()


def test_rows_that_all_agree_stop_the_signer(world):
    """Event, entry and the batch row with its root rewritten to fit: the tables are consistent. The signer
    remembers what it signed; it stops, says why, signs nothing, and no job is accepted any more."""
    world.ledger_is_complete()
    size, root, frontier = world.db.sql("SELECT size, encode(root, 'hex'), encode(frontier, 'hex') FROM ledger_batch"
                                        " ORDER BY size DESC LIMIT 1")[0]
    rows = world.db.sql("SELECT encode(hash, 'hex') FROM ledger_entry ORDER BY idx")
    entries = [bytes.fromhex(row[0]) for row in rows]
    assert ledger.root([ledger.leaf(entry) for entry in entries]).hex() == root, "the root is not that of the entries"
    assert frontier_of(entries) == frontier, "the frontier is not that of the entries"
    entries[JOB["index"]] = hashlib.sha256(JOB["forged"]).digest()
    lie = ledger.root([ledger.leaf(entry) for entry in entries]).hex()
    signed, ordered = world.db.count("ledger_checkpoint"), world.db.count("ledger_entry")
    back = [body_set(JOB["body"]), entry_set(JOB["index"], JOB["sum"]),
            f"UPDATE ledger_batch SET root = '\\x{root}', frontier = '\\x{frontier}' WHERE size = {size}"]
    with changed(world, [body_set(JOB["forged"]), entry_set(JOB["index"], entries[JOB["index"]].hex()),
                         f"UPDATE ledger_batch SET root = '\\x{lie}', frontier = '\\x{frontier_of(entries)}' WHERE size = {size}"],
                 back):
        assert "root" in verify(world, 6)
        world.new_key("somebody", "acme", "viewer")  # an event, so that there is something to sign
        problem = wait.until(20, "the signer has stopped", lambda: world.db.value(
            "SELECT coalesce(problem, '') FROM ledger_lease"))
        assert lie[:16] in problem or root[:16] in problem, problem
        assert world.db.count("ledger_checkpoint") == signed, "it signed after all"
        assert world.db.count("ledger_entry") == ordered, "an event was ordered behind the lie"
        assert world.daemons["ledger"].ops("/readyz")[0] == 503
        token = world.token("print", "never")
        bad = tokens.flip(token, 2, 7)  # to ask with until the api has noticed, for the good one would be taken
        wait.until(20, "the api knows that nothing is accepted", lambda: world.submit(bad).refused(503, "unavailable"))
        world.submit(token).refused(503, "unavailable")
        world.queue_is_empty()
        assert os.path.exists(os.path.join(world.state_dir("ledger"), evidence(world)))


def evidence(world):
    """The name of the one file of evidence in the ledger's state folder."""
    found = [name for name in os.listdir(world.state_dir("ledger")) if name.endswith(".evidence")]
    assert len(found) == 1, found
    return found[0]


def test_it_goes_on_when_an_operator_says_so(world):
    """The rows are put back, the
    evidence is taken away, the problem cleared: only then it signs again."""
    state = world.state_dir("ledger")
    if not any(name.endswith(".evidence") for name in os.listdir(state)):
        return  # asked for alone: nothing has stopped
    daemon = world.daemons["ledger"]
    daemon.stop()
    entries = [bytes.fromhex(row[0]) for row in world.db.sql("SELECT encode(hash, 'hex') FROM ledger_entry ORDER BY idx")]
    sizes = [int(row[0]) for row in world.db.sql("SELECT size FROM ledger_batch")]
    change(world, *(f"UPDATE ledger_batch SET root = '\\x{ledger.root([ledger.leaf(entry) for entry in entries[:size]]).hex()}',"
                    f" frontier = '\\x{frontier_of(entries[:size])}' WHERE size = {size}" for size in sizes))
    os.rename(os.path.join(state, evidence(world)), os.path.join(world.folder, "evidence"))
    world.db.sql("UPDATE ledger_lease SET problem = NULL")
    daemon.start().ready()
    world.ledger_is_complete()
    verifies_again(world)
    wait.until(20, "jobs are accepted again", lambda: world.submit(world.token("print", "again"), wait=30).status == 200)
    finished = [event for event in world.events(JOB["id"]) if event["type"] == FINISHED]
    assert finished == [json.loads(JOB["body"])] and tokens.sha256(JOB["body"]) == "sha256:" + JOB["sum"]


def test_an_old_backup_stops_the_signer(world):
    """All tables fit together, only it is less than was signed: nothing is signed or accepted on top of it."""
    world.ledger_is_complete()
    size = int(world.db.value("SELECT max(size) FROM ledger_batch"))
    daemon = world.daemons["ledger"]
    daemon.stop()
    keep = int(world.db.value(f"SELECT max(size) FROM ledger_batch WHERE size < {size}"))
    world.db.sql("ALTER TABLE ledger_checkpoint DISABLE TRIGGER append_only;"
                 f"DELETE FROM ledger_checkpoint WHERE size > {keep}; ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER append_only")
    change(world, f"DELETE FROM ledger_batch WHERE size > {keep}", f"DELETE FROM ledger_entry WHERE idx >= {keep}")
    daemon.start()
    wait.until(30, "it is up, or has refused to be", lambda: not daemon.alive() or daemon.ops("/livez")[0] == 200)
    token = world.token("print", "never")
    bad = tokens.flip(token, 2, 7)
    if daemon.alive():
        wait.until(20, "the signer has stopped", lambda: world.db.value("SELECT problem IS NOT NULL FROM ledger_lease") == "t")
        assert "rolled back" in world.db.value("SELECT problem FROM ledger_lease")
    daemon.dead = not daemon.alive()
    wait.until(30, "the api knows that nothing is accepted", lambda: world.submit(bad).refused(503, "unavailable"))
    world.submit(token).refused(503, "unavailable")
    assert int(world.db.value("SELECT coalesce(max(size), 0) FROM ledger_checkpoint")) <= keep
    assert world.caller("viewer").get("/v1/executions").expect(200).json["items"], "reading goes on"
