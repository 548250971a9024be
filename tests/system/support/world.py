# SPDX-License-Identifier: Apache-2.0
"""A whole Sallyport for one scenario: a database, daemons, callers, keys, tools. What it leaves behind
on the host when it is closed is a failure."""

import json
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import threading

from support import client, contract, daemons, host, postgres, tokens, tools, wait

TOP = pathlib.Path(__file__).resolve().parents[3]
TENANT = "acme"
ALL_ROLES = "viewer,submitter,publisher,approver,auditor,admin"
ENDS = ("succeeded", "failed", "timed_out", "out_of_memory", "cancelled", "lost", "refused")
EVENT = "io.sallyport."
FINISHED, STARTED, ACCEPTED = (f"{EVENT}execution.{name}.v1" for name in ("finished", "started", "accepted"))
REFUSED = f"{EVENT}manifest.refused.v1"
ROLES_OF = {"admin": ALL_ROLES, "submitter": "submitter", "publisher": "publisher", "approver-1": "approver",
            "approver-2": "approver", "approver-3": "approver", "auditor": "auditor", "viewer": "viewer"}


class Ground:
    """What all worlds of a run share."""

    def __init__(self, build):
        self.build = pathlib.Path(build)
        self.folder = tempfile.mkdtemp(prefix="sp-", dir="/tmp")
        self.contract = contract.Contract(TOP / "openapi" / "sallyport.yaml")
        given = os.environ.get("SALLYPORT_TEST_PG_SUPERUSER")
        self.own_cluster = None
        try:
            self.cluster = postgres.Cluster(given) if given else self.private_cluster()
            self.tool = tools.compile_tool(self.folder)
        except BaseException:
            self.close()
            raise
        self.archives = {}

    def private_cluster(self):
        """One of our own, that a scenario may also stop and start."""
        if self.own_cluster is None:
            self.own_cluster = postgres.PrivateCluster()
        return self.own_cluster

    def program(self, name):
        path = self.build / "bin" / name
        assert path.exists(), f"{path} is not built"
        return str(path)

    def packed(self, path):
        """A program of this machine as a rootfs archive, packed once a run."""
        if path not in self.archives:
            self.archives[path] = tools.pack(self.program("sallyport"), path, self.folder, daemons.environment())
        return self.archives[path]

    def close(self):
        if self.own_cluster is not None:
            self.own_cluster.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class World:
    """Daemons are started by the scenario; callers, keys and tools come into being when first asked for."""

    def __init__(self, ground, name, cluster=None):
        self.ground = ground
        self.contract = ground.contract
        self.folder = os.path.join(ground.folder, f"{name}-{secrets.token_hex(3)}")
        self.cgroup = f"sp-test-{secrets.token_hex(4)}"
        self.daemons = {}
        self.callers = {}
        self.keys = {}
        self.digests = {}
        self.lock = threading.RLock()
        os.mkdir(self.folder)
        self.db = postgres.Database(cluster or ground.cluster)
        self.sallyportd("migrate", "--database", self.db.conninfo(), "--migrations", str(TOP / "migrations"))
        self.master_key = self.write("master.key", secrets.token_hex(32) + "\n")

    def write(self, name, text):
        """A secret file of this world."""
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # ---- processes ----

    def run_program(self, name, *words, env=None, stdin=None, timeout=120):
        """A program of ours to its end; its leaks and overflows are failures whatever it answers."""
        done = subprocess.run([self.ground.program(name), *words], input=stdin, capture_output=True, text=True,
                              timeout=timeout, cwd=self.folder, env={**daemons.environment(), **(env or {})},
                              check=False)
        report = daemons.sanitizer_report(done.stderr)
        assert report is None, f"{name} {' '.join(words[:2])}: a sanitizer reports\n{report}"
        return done

    def sallyportd(self, *words):
        done = self.run_program("sallyportd", *words)
        assert done.returncode == 0, f"sallyportd {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout.strip()

    def cli(self, *words, caller="admin", expect=0, stdin=None):
        """The client as that caller (None: nobody), which must end with that exit code."""
        env = {}
        if caller is not None:
            env = {"SALLYPORT_URL": f"http://127.0.0.1:{self.daemons['api'].port}",
                   "SALLYPORT_API_KEY": self.caller(caller).key}
        done = self.run_program("sallyport", *words, env=env, stdin=stdin)
        assert done.returncode == expect, (f"sallyport {' '.join(words)}: expected exit {expect}, got "
                                           f"{done.returncode}: {done.stdout[-1000:]} {done.stderr[-2000:]}")
        return done

    def state_dir(self, name):
        return os.path.join(self.folder, f"state-{name}")

    def start(self, role, name=None, **settings):
        """Starts a daemon and waits until it is ready. The name defaults to the role."""
        name = name or role
        flags = {"database": self.db.conninfo(f"sallyport_{role}"), "node": name}
        if role in ("api", "worker"):
            flags["master-key"] = self.master_key
        if role in ("worker", "ledger"):
            flags["state-dir"] = self.state_dir(name)
        if role == "api":
            flags["openapi"] = str(TOP / "openapi" / "sallyport.yaml")
        elif role == "worker":
            flags.update({"apparmor": "if_available", "cgroup-parent": self.cgroup})
        elif role == "ledger":
            flags.update({"ledger-origin": "sallyport.test/log", "ledger-key": os.path.join(self.folder, "ledger.key"),
                          "ledger-vkey": self.vkey})
        flags.update({setting.replace("_", "-"): value for setting, value in settings.items()})
        daemon = daemons.Daemon(self.ground.program("sallyportd"), role, name, self.folder, flags)
        self.daemons[name] = daemon
        if role == "ledger" and not os.path.exists(self.vkey):
            daemon.flags["ledger-init"] = "on"
        daemon.start().ready()
        daemon.flags.pop("ledger-init", None)
        return daemon

    @property
    def vkey(self):
        return os.path.join(self.folder, "ledger.vkey")

    def start_all(self, api=None, worker=None, ledger=None):
        """One of each, with these settings."""
        self.start("ledger", **(ledger or {}))
        self.start("api", **(api or {}))
        self.start("worker", **(worker or {}))

    # ---- callers and keys ----

    @property
    def address(self):
        return ("127.0.0.1", self.daemons["api"].port)

    @property
    def stranger(self):
        """A client without an API key."""
        return client.Client(self.address, self.contract)

    def caller(self, name, tenant=TENANT, roles=None):
        """A client with that principal's API key; the tenant's first one is made beside the API."""
        with self.lock:
            if (tenant, name) not in self.callers:
                roles = roles or ROLES_OF[name]
                if name == "admin":
                    key = self.sallyportd("apikey", "--database", self.db.conninfo(), "--tenant", tenant,
                                          "--create-tenant", "--principal", name, "--roles", roles)
                else:
                    key = self.new_key(name, tenant, roles).json["key"]
                self.callers[(tenant, name)] = self.stranger.with_key(key)
            return self.callers[(tenant, name)]

    def new_key(self, principal, tenant, roles):
        return self.caller("admin", tenant).post("/v1/api-keys", {"principal": principal,
                                                                  "roles": roles.split(",")}).expect(201)

    def trust(self, key, tenant=TENANT):
        """Has the tenant trust a verification key."""
        self.caller("admin", tenant).post("/v1/keys", key.offer()).expect(201)
        return key

    def signer(self, tenant=TENANT):
        """The tenant's own ES256 key."""
        with self.lock:
            if tenant not in self.keys:
                self.keys[tenant] = self.trust(tokens.Es256Key("signer-1"), tenant)
            return self.keys[tenant]

    # ---- the Armory ----

    def push(self, data, caller="publisher", tenant=TENANT, kind="binary", name="tool", version="1", **descriptor):
        """POST /v1/armory/artifacts."""
        path = client.target("/v1/armory/artifacts", kind=kind, name=name, version=version, **descriptor)
        return self.caller(caller, tenant).request("POST", path, data, "application/octet-stream")

    def artifact(self, digest, tenant=TENANT):
        return self.caller("viewer", tenant).get(f"/v1/armory/artifacts/{digest}").expect(200).json

    def inspected(self, digest, tenant=TENANT, seconds=60):
        """The artifact once a worker has looked at it."""
        def probe():
            artifact = self.artifact(digest, tenant)
            return artifact if artifact["state"] != "inspecting" else None
        return wait.until(seconds, f"{digest} is inspected", probe)

    def approve(self, digest, caller, tenant=TENANT, descriptor_sha256=None, **more):
        """POST .../approvals, of the descriptor it has unless another is named."""
        named = descriptor_sha256 or self.artifact(digest, tenant)["descriptor_sha256"]
        return self.caller(caller, tenant).post(f"/v1/armory/artifacts/{digest}/approvals",
                                                {"descriptor_sha256": named, "comment": "looked at it", **more})

    def revoke(self, digest, caller="admin", tenant=TENANT, **more):
        """POST .../revocation."""
        return self.caller(caller, tenant).post(f"/v1/armory/artifacts/{digest}/revocation", {"reason": "found bad", **more})

    def tool(self, salt="", tenant=TENANT, approved=True, **descriptor):
        """The digest of our program, inspected and (unless told otherwise) approved by two."""
        with self.lock:
            if (tenant, salt) not in self.digests:
                data = tools.variant(self.ground.tool, salt)
                digest = self.push(data, tenant=tenant, **descriptor).expect(201).json["sha256"]
                assert digest == tokens.sha256(data), f"the Armory calls it {digest}"
                state = self.inspected(digest, tenant)
                assert state["state"] == "pending", f"inspected: {state}"
                if approved:
                    for approver in ("approver-1", "approver-2"):
                        self.approve(digest, approver, tenant).expect(201)
                self.digests[(tenant, salt)] = digest
            return self.digests[(tenant, salt)]

    def input(self, data, tenant=TENANT, caller="submitter"):
        """Stores an input; its digest."""
        digest = tokens.sha256(data)
        self.caller(caller, tenant).put(f"/v1/inputs/{digest}", data).expect(200, 201)
        return digest

    # ---- jobs ----

    def order(self, *args, tool=None, tenant=TENANT, context=None, **parameters):
        """A manifest that runs our program with these arguments."""
        if args:
            parameters["args"] = list(args)
        return tokens.manifest(tool or self.tool(tenant=tenant), tenant, parameters, **(context or {}))

    def token(self, *args, tenant=TENANT, **order):
        """The same, signed by the tenant's key."""
        return tokens.sign(self.order(*args, tenant=tenant, **order), self.signer(tenant))

    def submit(self, token, caller="submitter", tenant=TENANT, **how):
        return self.caller(caller, tenant).submit(token, **how)

    def accept(self, *args, tenant=TENANT, **order):
        """Submits such a job; the id of its execution."""
        return self.submit(self.token(*args, tenant=tenant, **order), tenant=tenant).expect(202).json["id"]

    def execution(self, execution_id, tenant=TENANT):
        return self.caller("viewer", tenant).get(f"/v1/executions/{execution_id}").expect(200).json

    def in_state(self, execution_id, *states, seconds=60, tenant=TENANT):
        """The execution once it is in one of the states; it must not end in another meanwhile."""
        seen = {}

        def probe():
            seen.update(self.execution(execution_id, tenant))
            return seen["state"] in states or seen["state"] in ENDS
        wait.until(seconds, f"{execution_id} is {' or '.join(states)}", probe)
        assert seen["state"] in states, f"{execution_id} is {seen['state']} ({seen['reason']}), not {states}"
        return seen

    def ended(self, execution_id, seconds=90, tenant=TENANT):
        return self.in_state(execution_id, *ENDS, seconds=seconds, tenant=tenant)

    def run(self, *args, tenant=TENANT, **order):
        """One job to its end: (execution, data of its finished event)."""
        execution_id = self.accept(*args, tenant=tenant, **order)
        execution = self.ended(execution_id, tenant=tenant)
        return execution, self.finished(execution_id, tenant)["data"]

    def events(self, execution_id, tenant=TENANT):
        """The events of an execution, in their order."""
        return self.caller("viewer", tenant).get("/v1/events", executionid=execution_id).expect(200).json

    def finished(self, execution_id, tenant=TENANT):
        """Its one `finished` event, by the API and by the database."""
        found = [event for event in self.events(execution_id, tenant) if event["type"] == FINISHED]
        assert len(found) == 1, f"{execution_id} has {len(found)} finished events"
        self.ended_once(execution_id)
        return found[0]

    def stdout(self, execution_id, stream="stdout", tenant=TENANT):
        return self.caller("viewer", tenant).get(f"/v1/executions/{execution_id}/{stream}").expect(200).body

    # ---- what the database says ----

    def event_counts(self, execution_id):
        """How many events of each type an execution has, whatever the API shows."""
        rows = self.db.sql(f"SELECT type, count(*) FROM event WHERE execution_id = '{execution_id}' GROUP BY type")
        return {name: int(count) for name, count in rows}

    def ended_once(self, execution_id):
        """One history row, one accepted event, one finished event, at most one start, nothing left to do."""
        counts = self.event_counts(execution_id)
        assert counts.get(ACCEPTED) == 1 and counts.get(FINISHED) == 1 and counts.get(STARTED, 0) <= 1, counts
        rows = self.db.sql("SELECT (SELECT count(*) FROM execution WHERE execution_id = x),"
                           " (SELECT count(*) FROM execution_active WHERE execution_id = x),"
                           f" (SELECT count(*) FROM execution_queue WHERE execution_id = x) FROM (SELECT '{execution_id}'::uuid) s(x)")
        assert rows == [["1", "0", "0"]], f"{execution_id}: rows of history, active, queue are {rows[0]}"

    def refusals(self, tenant=TENANT):
        """The data of the tenant's manifest.refused events, oldest first, as they were committed."""
        rows = self.db.sql("SELECT convert_from(body, 'UTF8') FROM event"
                           f" WHERE type = '{REFUSED}' AND tenant_id = '{tenant}' ORDER BY event_id")
        return [json.loads(row[0]) for row in rows]

    def queue_is_empty(self):
        left = self.db.sql("SELECT (SELECT count(*) FROM execution_queue), (SELECT count(*) FROM execution_active)")
        assert left == [["0", "0"]], f"rows left in queue and active: {left[0]}"
        return True

    def ledger_is_complete(self, seconds=30):
        """Every event has its place, and the last checkpoint covers them all."""
        def probe():
            rows = self.db.sql("SELECT (SELECT count(*) FROM event_pending), (SELECT count(*) FROM event),"
                               " (SELECT count(*) FROM ledger_entry), (SELECT coalesce(max(size), 0) FROM ledger_checkpoint)")
            pending, events, entries, signed = map(int, rows[0])
            assert pending == 0 and events == entries == signed, f"pending {pending}, events {events}, entries {entries}, signed {signed}"
            return True
        return wait.until(seconds, "the ledger has signed every event", probe)

    # ---- its end ----

    def complaints(self):
        """What is wrong now: sanitizers' reports, daemons that died by themselves."""
        return [said for said in (daemon.complaint() for daemon in self.daemons.values()) if said]

    def stop_daemons(self):
        """In the order of an orderly shutdown; what they complain of."""
        found = []
        order = {"api": 0, "worker": 1, "ledger": 2}
        for daemon in sorted(self.daemons.values(), key=lambda daemon: order[daemon.role]):
            try:
                daemon.stop()
            except AssertionError as error:
                found.append(str(error))
            said = daemon.complaint()
            if said:
                found.append(said)
        return found

    def leftovers(self):
        """What is still on the host of a world whose daemons are stopped."""
        found = [f"a process is left: {pid} {command}" for pid, command in host.processes_naming(self.folder)]
        found += [f"a process is left in a cgroup: {pid}" for pid in host.cgroup_members(self.cgroup)]
        found += [f"a mount is left: {mount}" for mount in host.mounts_below(self.folder)]
        found += [f"a cgroup is left: {folder}" for folder in host.cgroup_folders(self.cgroup)]
        for daemon in self.daemons.values():
            if daemon.role != "worker":
                continue
            for name in ("run", "inputs", "ends"):
                folder = os.path.join(daemon.flags["state-dir"], name)
                left = os.listdir(folder) if os.path.isdir(folder) else []
                found += [f"a file is left: {folder}/{entry}" for entry in left]
        return found

    def abandon(self):
        """After a failure: everything ends now, nothing is asked."""
        for daemon in self.daemons.values():
            if daemon.alive():
                daemon.kill()
        for pid, _ in host.processes_naming(self.folder):
            host.kill(pid)
        self.remove()

    def empty_cgroups(self):
        """Kills what is in them; true once they are gone."""
        for pid in host.cgroup_members(self.cgroup):
            host.kill(pid)
        host.cgroup_remove(self.cgroup)
        return not host.cgroup_folders(self.cgroup)

    def remove(self):
        try:
            wait.until(10, "its cgroups are gone", self.empty_cgroups)
        except AssertionError:
            pass  # told as a leftover, where anybody still listens
        try:
            self.db.close()
        except (postgres.SqlError, subprocess.SubprocessError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self):
        """Stops everything in order and looks at what is left; all complaints."""
        found = self.stop_daemons()
        try:
            wait.until(10, "nothing is left on the host", lambda: not self.leftovers())
        except AssertionError:
            found += self.leftovers()
        self.remove()
        return found
