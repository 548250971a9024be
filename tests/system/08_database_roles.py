# SPDX-License-Identifier: Apache-2.0
"""Attack: each daemon's database role in an intruder's hand can do no more than its daemon's work.

The ledger is append-only for all of them, what is said is said by whom it falls to, and tenants are apart
in SQL as they are in the API."""

import uuid

from support import tokens
from support.postgres import ROLES
from support.world import ACCEPTED, FINISHED, REFUSED, STARTED, TENANT

OTHER = "globex"
LEDGER = ("event", "ledger_entry", "ledger_entry_0", "ledger_tile", "ledger_batch", "ledger_checkpoint")
KEPT = ("execution", "execution_nonce", "artifact_approval")
COLUMN = {"event": "subject", "ledger_entry": "hash", "ledger_entry_0": "hash", "ledger_tile": "hashes", "ledger_batch": "root",
          "ledger_checkpoint": "note", "execution": "state", "execution_nonce": "nonce", "artifact_approval": "comment"}
DENIED = "42501"
JOBS = {}


def setup(world):
    world.start_all()
    for tenant in (TENANT, OTHER):
        world.caller("admin", tenant)
        execution_id = world.accept("print", f"secret of {tenant}", tenant=tenant,
                                    inputs=[{"name": "x", "sha256": world.input(f"input of {tenant}".encode(), tenant=tenant)}])
        world.ended(execution_id, tenant=tenant)
        JOBS[tenant] = execution_id
    world.ledger_is_complete()


def edits(table):
    column = COLUMN[table]
    return (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table}")


def rows(world, table):
    return world.db.count(table)


def test_the_ledger_is_append_only_for_every_role(world):
    before = {table: rows(world, table) for table in LEDGER + KEPT}
    assert all(before[table] > 0 for table in LEDGER if table != "ledger_tile"), before
    for role in ROLES:
        world.db.refuses_all([statement for table in LEDGER + KEPT for statement in edits(table)], DENIED, role=role, tenants=[TENANT])
    assert {table: rows(world, table) for table in LEDGER + KEPT} == before


def test_not_even_the_owner_or_a_replica_edits_it(world):
    """Triggers that are always on: for the schema's owner, for a superuser, for what claims to replicate."""
    statements = [statement for table in LEDGER + KEPT for statement in edits(table)]
    world.db.refuses_all(statements, DENIED)
    world.db.refuses_all(statements, DENIED, options="-c role=sallyport_owner")
    world.db.refuses_all(statements, DENIED, options="-c session_replication_role=replica")


def test_no_role_can_make_itself_more(world):
    statements = ("SET ROLE sallyport_owner", "SET ROLE postgres", "SET session_replication_role = replica",
                  "ALTER TABLE event DISABLE TRIGGER ALL", "ALTER TABLE event NO FORCE ROW LEVEL SECURITY", "DROP TABLE event",
                  "CREATE TABLE sallyport.x (y int)", "CREATE FUNCTION sallyport.x() RETURNS int LANGUAGE sql RETURN 1",
                  "CREATE ROLE x SUPERUSER", "CREATE POLICY x ON event USING (true)", "GRANT sallyport_owner TO CURRENT_USER",
                  "ALTER ROLE CURRENT_USER SUPERUSER", "COPY (SELECT 1) TO PROGRAM 'true'")
    for role in ROLES:
        world.db.refuses_all(statements, DENIED, role=role)
        flags = world.db.sql("SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, rolinherit"
                             f" FROM pg_roles WHERE rolname = '{role}'")
        assert flags == [["f"] * 6], f"{role}: {flags}"


def event_insert(kind, tenant=TENANT, execution_id=None):
    body = f"forged {uuid.uuid4()}"
    execution = f"'{execution_id}'" if execution_id else "NULL"
    return ("INSERT INTO event (event_id, tenant_id, type, subject, execution_id, hash, body) VALUES"
            f" ('{uuid.uuid4()}', '{tenant}', '{kind}', 'forged', {execution}, sha256('{body}'), '{body}')")


def test_who_may_say_what(world):
    """Events are inserted by whom they fall to; the worker never says `accepted`, the api never `started`."""
    before = rows(world, "event")
    others = (REFUSED, *(f"io.sallyport.{name}.v1" for name in ("artifact.approved", "key.added", "tenant.created", "apikey.created", "x.y")))
    world.db.refuses_all([event_insert(kind) for kind in (ACCEPTED, *others)], DENIED, role="sallyport_worker")
    world.db.refuses(event_insert(STARTED), DENIED, role="sallyport_api", tenants=[TENANT])
    for role in ("sallyport_ledger", "sallyport_read"):
        world.db.refuses_all([event_insert(kind) for kind in (ACCEPTED, STARTED, FINISHED, *others)], DENIED, role=role, tenants=[TENANT])
    world.db.refuses(event_insert(ACCEPTED, OTHER), DENIED, role="sallyport_api", tenants=[TENANT])
    world.db.refuses(event_insert(ACCEPTED), DENIED, role="sallyport_api")
    world.db.refuses(event_insert("org.example.x"), "23514")
    assert rows(world, "event") == before


def test_the_api_ends_only_what_is_queued(world):
    """A finished event of a job that has run is the worker's to tell (DESIGN.md section 10)."""
    world.db.refuses(event_insert(FINISHED, execution_id=JOBS[TENANT]), DENIED, role="sallyport_api", tenants=[TENANT])
    execution_id = world.accept("sleep", "4")
    world.in_state(execution_id, "running")
    world.db.refuses(event_insert(FINISHED, execution_id=execution_id), DENIED, role="sallyport_api", tenants=[TENANT])
    world.db.refuses(event_insert(FINISHED), DENIED, role="sallyport_api", tenants=[TENANT])
    world.ended(execution_id)


def test_an_event_is_its_hash_and_always_pending(world):
    """Neither can be left out by who inserts."""
    bad = event_insert(ACCEPTED).replace("sha256('forged", "sha256('other")
    world.db.refuses(bad, "23514", role="sallyport_api", tenants=[TENANT])
    edits_of_pending = ["INSERT INTO event_pending (event_id, tenant_id, hash) VALUES (gen_random_uuid(), 'acme', '\\x00')",
                        "UPDATE event_pending SET hash = '\\x00'"]
    for role in ("sallyport_api", "sallyport_worker", "sallyport_read"):
        world.db.refuses_all([*edits_of_pending, "DELETE FROM event_pending"], DENIED, role=role, tenants=[TENANT])
    world.db.refuses_all(edits_of_pending, DENIED, role="sallyport_ledger")
    assert world.db.value("SELECT has_table_privilege('sallyport_ledger', 'sallyport.event', 'SELECT')") == "f"
    for role in ("sallyport_api", "sallyport_worker", "sallyport_read"):
        for table in ("ledger_entry", "ledger_batch", "ledger_tile", "ledger_checkpoint"):
            granted = world.db.value(f"SELECT has_table_privilege('{role}', 'sallyport.{table}', 'INSERT')")
            assert granted == "f", f"{role} may insert into {table}"


def test_what_a_role_does_not_need_it_does_not_have(world):
    cases = {
        "sallyport_api": (
            "UPDATE execution_queue SET worker_id = NULL",
            "UPDATE execution_active SET state = 'running'",
            "INSERT INTO execution_output SELECT * FROM execution_output",
            "UPDATE worker SET node = 'x'",
            "UPDATE tenant SET allow_hmac = true",
            "SELECT tenant_id FROM event_pending",
            "UPDATE ledger_lease SET epoch = 99",
        ),
        "sallyport_worker": (
            "INSERT INTO execution_queue SELECT * FROM execution_queue",
            "INSERT INTO execution_active SELECT * FROM execution_active",
            "SELECT body FROM event",
            "UPDATE execution_active SET token = 'x'",
            "INSERT INTO verification_key SELECT * FROM verification_key",
            "UPDATE artifact SET descriptor = ''",
            "INSERT INTO artifact_approval SELECT * FROM artifact_approval",
            "UPDATE blob_chunk SET data = data",
            "INSERT INTO blob_chunk SELECT * FROM blob_chunk",
        ),
        "sallyport_ledger": (
            "SELECT body FROM event",
            "SELECT secret_hash FROM api_key",
            "SELECT token FROM execution",
            "SELECT data FROM blob_chunk",
        ),
        "sallyport_read": (
            "SELECT secret_hash FROM api_key",
            "SELECT wrapped_secret FROM verification_key",
            "SELECT data FROM blob_chunk",
            "INSERT INTO execution SELECT * FROM execution",
        ),
    }
    for role, statements in cases.items():
        world.db.refuses_all(statements, DENIED, role=role, tenants=[TENANT])


def tables_of_tenants(world):
    """Every table that says whose its rows are."""
    found = world.db.sql("SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
                         " WHERE c.relnamespace = 'sallyport'::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant_id'"
                         " AND c.relname NOT LIKE 'ledger_entry%' AND c.relname <> 'event_pending'")
    return [row[0] for row in found]


def test_tenants_are_apart_in_sql(world):
    """Row-level security, forced; unset means nobody. An entry of the ledger is a hash that everyone may see, and what the
    log says of itself is nobody's."""
    tables = tables_of_tenants(world)
    assert set(tables) >= {"tenant", "api_key", "verification_key", "artifact", "artifact_approval", "blob", "blob_chunk", "input",
                           "execution", "execution_active", "execution_queue", "execution_nonce", "execution_output", "event"}, tables
    for role in ("sallyport_api", "sallyport_read"):
        readable = [table for table in tables if world.db.value(
            f"SELECT has_column_privilege('{role}', 'sallyport.{table}', 'tenant_id', 'SELECT')") == "t"]
        assert "execution" in readable, readable
        every = " UNION ".join(f"SELECT '{table}', tenant_id FROM {table}" for table in readable)
        for acts_for in ([TENANT], [OTHER]):
            seen = world.db.sql(every, role=role, tenants=acts_for)
            assert {tenant for _, tenant in seen} == {*acts_for, ""}, f"{role} for {acts_for} sees {seen}"
            assert [table for table, tenant in seen if tenant == ""] == ["event"], f"{role} for {acts_for} sees {seen}"
        assert world.db.sql(every, role=role) == [["event", ""]], f"{role} for nobody sees rows"
        types = world.db.sql("SELECT DISTINCT type FROM event WHERE tenant_id = ''", role=role)
        assert types == [["io.sallyport.ledger.key_added.v1"]], f"{role} for nobody sees {types}"
        seen = world.db.sql("SELECT DISTINCT tenant_id FROM execution_all", role=role, tenants=[TENANT])
        assert seen == [[TENANT]], f"{role} through the view: {seen}"
    forced = world.db.sql("SELECT relname FROM pg_class WHERE relnamespace = 'sallyport'::regnamespace AND relkind = 'r'"
                          " AND NOT (relrowsecurity AND relforcerowsecurity)")
    assert not {row[0] for row in forced} & set(tables), forced


def test_a_row_for_another_tenant_cannot_be_written(world):
    as_acme = {"role": "sallyport_api", "tenants": [TENANT]}
    world.db.refuses(f"INSERT INTO blob (blob_id, tenant_id) VALUES (gen_random_uuid(), '{OTHER}')", DENIED, **as_acme)
    world.db.refuses(f"INSERT INTO execution_queue (execution_id, tenant_id) VALUES (gen_random_uuid(), '{OTHER}')", DENIED, **as_acme)
    world.db.refuses("INSERT INTO verification_key (tenant_id, kid, alg, public_pem, created_by) VALUES"
                     f" ('{OTHER}', 'evil', 'ES256', 'x', 'evil')", DENIED, **as_acme)
    world.db.refuses("INSERT INTO api_key (api_key_id, tenant_id, principal, roles, secret_hash, created_by) VALUES"
                     " ('0123456789abcdef', NULL, 'evil', '{admin}', sha256('x'), 'evil')", DENIED, **as_acme)
    assert world.db.sql("UPDATE api_key SET revoked_at = now() WHERE tenant_id <> 'acme' RETURNING 1", **as_acme) == []


def test_tenants_are_apart_in_the_api(world):
    """What is another's is not there: the same answer as for what never was."""
    theirs = JOBS[OTHER]
    everything = world.caller("admin")
    nowhere = str(uuid.uuid4())
    for part in ("", "/manifest", "/stdout", "/stderr"):
        answers = [everything.get(f"/v1/executions/{execution_id}{part}").refused(404, "not_found") for execution_id in (theirs, nowhere)]
        assert answers[0]["detail"] == answers[1]["detail"]
    assert theirs not in [item["id"] for item in everything.get("/v1/executions", limit=500).expect(200).json["items"]]
    event = world.finished(theirs, OTHER)["id"]
    everything.get(f"/v1/events/{event}").refused(404, "not_found")
    listed = everything.get("/v1/events", limit=500).expect(200).json
    assert listed and {entry.get("tenantid", "") for entry in listed} == {TENANT, ""}  # the log's own are everybody's
    digest = world.tool("theirs", tenant=OTHER)
    everything.get(f"/v1/armory/artifacts/{digest}").refused(404, "not_found")
    assert digest not in [item["sha256"] for item in everything.get("/v1/armory/artifacts").expect(200).json["items"]]
    input_digest = tokens.sha256(f"input of {OTHER}".encode())
    assert everything.request("HEAD", f"/v1/inputs/{input_digest}").status == 404
    assert world.caller("admin", OTHER).request("HEAD", f"/v1/inputs/{input_digest}").status == 200
    for path in ("/v1/keys", "/v1/api-keys"):
        mine, others = (str(world.caller("admin", tenant).get(path).expect(200).json) for tenant in (TENANT, OTHER))
        assert mine != others
    their_key = world.caller("submitter", OTHER).key.split("_")[1]
    everything.delete(f"/v1/api-keys/{their_key}").refused(404, "not_found")
    world.caller("submitter", OTHER).get("/v1/whoami").expect(200)


def test_the_export_shows_only_hashes_of_others(world):
    world.ledger_is_complete()
    exports = {tenant: world.caller("admin", tenant).get("/v1/ledger/export", limit=5000).expect(200).body.splitlines()
               for tenant in (TENANT, OTHER)}
    assert len(exports[TENANT]) == len(exports[OTHER]) == rows(world, "event")
    for mine, others in zip(exports[TENANT], exports[OTHER]):
        if b'"tenantid":' not in mine + others and mine.startswith(b"{"):
            assert mine == others and b'"type":"io.sallyport.ledger.' in mine, (mine[:200], others[:200])
            continue
        assert mine.startswith(b"{") != others.startswith(b"{"), (mine[:80], others[:80])
        shown, hidden = (mine, others) if mine.startswith(b"{") else (others, mine)
        assert hidden.decode() == tokens.sha256(shown)
    assert f"secret of {OTHER}".encode() not in b"".join(exports[TENANT])
