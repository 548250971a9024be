# SPDX-License-Identifier: Apache-2.0
"""Attack: well signed orders that try to get more than was approved, and a database that lies to the worker.

First what a manifest may ask for (environment, arguments, inputs, entrypoint), then the second door: with the
database in hand an attacker edits what was accepted, and the worker, which believes nobody, refuses it."""

import json
import os

from support import tokens, tools
from support.world import STARTED, TENANT

OTHER = "globex"
FORBIDDEN = ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH", "PATH")


def setup(world):
    world.start_all()
    world.tool()
    world.tool("env", env_allowed=["MODE", "HOME", "DEPTH"])
    world.signer()
    world.caller("admin", OTHER)


def refused_at_a_door(world, token, code):
    """By the api with that code, or by the worker with that reason before anything started."""
    answer = world.submit(token)
    if answer.status != 202:
        assert answer.json["code"] == code, answer
    else:
        refused_by_worker(world, answer.json["id"], code)
    world.queue_is_empty()


def refused_by_worker(world, execution_id, *reasons):
    execution = world.ended(execution_id)
    assert execution["state"] == "refused" and execution["reason"] in reasons, execution
    assert execution["started_at"] is None and execution["exit_code"] is None, execution
    data = world.finished(execution_id)["data"]
    assert data["status"] == "failed" and data["state"] == "refused" and data["reason"] in reasons, data
    assert data["started_at"] is None and data["stdout"] is None and data["argv"] is None, data
    assert data["policy_decision"]["verdict"] != "permit", data["policy_decision"]
    assert STARTED not in world.event_counts(execution_id)
    return data


# ---- what an order may ask for ----

def test_the_environment_is_what_was_allowed(world):
    _, data = world.run("env", "MODE", "env", "HOME", "env", "DEPTH", "env", "PATH", "env", "LD_PRELOAD", "env", "SALLYPORT_API_KEY",
                        tool=world.tool("env"), env={"MODE": "quick = \"fine\" ☂", "HOME": "/in"})
    assert data["stdout"] == ("MODE=quick = \"fine\" ☂\nHOME=/in\nDEPTH=(none)\nPATH=/usr/bin:/bin\nLD_PRELOAD=(none)\n"
                              "SALLYPORT_API_KEY=(none)\n"), data["stdout"]


def test_attack_a_variable_that_was_not_allowed(world):
    for tool, env in ((world.tool(), {"MODE": "x"}), (world.tool("env"), {"MODES": "x"}), (world.tool("env"), {"MODE": "x", "OTHER": "y"})):
        refused_at_a_door(world, world.token("print", "never", tool=tool, env=env), "manifest_invalid")


def test_attack_the_loaders_variables(world):
    """Neither an order nor a descriptor can have them."""
    for name in FORBIDDEN:
        token = world.token("print", "never", tool=world.tool("env"), env={name: "/in/evil.so"})
        world.submit(token).refused(422, "manifest_invalid")
        world.push(tools.variant(world.ground.tool, name), env_allowed=[name]).refused(422, "artifact_invalid")
    for env in ({"mode": "x"}, {"MODE=x;LD_PRELOAD": "x"}, {"": "x"}, {"MODE": 7}, {"MODE": None}, ["MODE=x"], {"MODE": "nul\0"}):
        world.submit(world.token("print", "never", tool=world.tool("env"), env=env)).refused(422, "manifest_invalid")
    for names in (["A B"], ["mode"], [""], ["1X"], ["X" * 65], ["MODE", "MODE"], [f"N{number}" for number in range(33)]):
        world.push(tools.variant(world.ground.tool, str(names)), env_allowed=names).refused(422, "artifact_invalid")


def test_attack_entrypoints(world):
    data = tools.variant(world.ground.tool, "entrypoints")
    for entrypoint in (["tool"], ["./tool"], [""], ["/"], ["/bin/x\n/bin/y"], ["/x"] * 17):
        world.push(data, entrypoint=entrypoint).expect(400, 422)
    world.push(data, kind="rootfs").refused(422, "artifact_invalid")
    world.push(data, kind="script").expect(400, 422)
    world.push(data, name="../x").refused(422, "artifact_invalid")
    assert world.db.count("artifact WHERE name IN ('../x')") == 0


def test_the_entrypoint_is_fixed_and_arguments_come_behind(world):
    digest = world.tool("entry", entrypoint=["/bin/tool", "args", "print"])
    execution, data = world.run("hello; rm -rf /", "args", "$(id)", "", "--help", "print", "exit", "exit", "0", tool=digest)
    assert execution["state"] == "failed" and execution["exit_code"] == 99, execution  # "$(id)" is no step, and no shell is there
    argv = ["/bin/tool", "args", "print", "hello; rm -rf /", "args", "$(id)", "", "--help", "print", "exit", "exit", "0"]
    assert data["argv"] == argv, data["argv"]
    assert data["stdout"].startswith("\n".join(argv) + "\nhello; rm -rf /\n"), data["stdout"]


def test_attack_arguments_that_are_none(world):
    for args in ("print", ["print", 7], [None], {"0": "print"}, ["nul\0"], ["x"] * 257):
        world.submit(tokens.sign(tokens.manifest(world.tool(), TENANT, {"args": args}), world.signer())).refused(422, "manifest_invalid")


def test_attack_limits_that_are_none(world):
    for parameters in ({"timeout_seconds": 0}, {"timeout_seconds": -1}, {"timeout_seconds": 1.5}, {"timeout_seconds": "60"},
                       {"timeout_seconds": 10 ** 20}, {"limits": {"memory_mib": 0}}, {"limits": {"pids": -1}}, {"limits": []},
                       {"limits": {"memory": 5}}, {"limits": {"cpu_percent": True}}, {"stdin": 5}, {"stdin": "x" * 65537}):
        world.submit(world.token("print", "never", **parameters)).refused(422, "manifest_invalid")


def test_what_is_left_to_the_tool_is_left(world):
    """Other parameters and unknown members are kept: the tool reads the very bytes that were signed."""
    order = {**world.order("cat", "/run/sallyport/manifest.json"), "x-note": {"kept": [1, 2.5, None, "☂"]}}
    order["parameters"].update({"depth": 3, "Args": ["not ours"]})
    token = tokens.sign(order, world.signer())
    execution = world.ended(world.submit(token).expect(202).json["id"])
    assert world.stdout(execution["id"]) == tokens.payload_of(token)


def test_attack_inputs(world):
    digest = world.input(b"some bytes")
    theirs = world.input(b"their bytes", tenant=OTHER)
    world.caller("submitter").put(f"/v1/inputs/{digest}", b"other bytes").refused(422, "content_mismatch")
    for unknown in ("sha256:" + 64 * "0", theirs):
        token = world.token("cat", "/in/x", inputs=[{"name": "x", "sha256": unknown}])
        world.submit(token).refused(422, "input_unknown")
    for name in ("../x", "a/b", ".", "..", "", "/etc/passwd", "x\0y", "x" * 129, "ü", " "):
        token = world.token("cat", "/in/x", inputs=[{"name": name, "sha256": digest}])
        world.submit(token).refused(422, "manifest_invalid")
    for inputs in ([{"name": "x", "sha256": digest}] * 2, [{"name": "x"}], [{"name": "x", "sha256": digest, "mode": "0777"}],
                   {"x": digest}, [{"name": "x", "sha256": digest[7:]}], [{"name": f"x{n}", "sha256": digest} for n in range(65)]):
        world.submit(world.token("cat", "/in/x", inputs=inputs)).refused(422, "manifest_invalid")


def test_attack_running_an_input(world):
    """An input is data: it can be read, not run, and nothing can be put beside it."""
    program = world.input(world.ground.tool)
    _, data = world.run("write", "/in/tool", "write", "/in/new", "write", "/bin/new", "write", "/new", "write", "/run/sallyport/manifest.json",
                        "write", "/tmp/fine", "exec", "/in/tool", inputs=[{"name": "tool", "sha256": program}])
    said = dict(line.split(": ") for line in data["stdout"].splitlines())
    assert said.pop("/tmp/fine") == "done", said
    assert set(said) == {"/in/tool", "/in/new", "/bin/new", "/new", "/run/sallyport/manifest.json"}, said
    assert set(said.values()) <= {"EROFS", "EACCES"}, said


# ---- the second door ----

class Held:
    """No worker runs: what is accepted meanwhile waits, and can be tampered with."""

    def __init__(self, world):
        self.world = world

    def __enter__(self):
        self.world.daemons["worker"].stop()

    def __exit__(self, kind, *_):
        if kind is None:
            self.world.daemons["worker"].start().ready()


def test_attack_another_job_under_an_accepted_id(world):
    """The token in the row is another's, well signed too: but not what the row says was accepted."""
    other = world.token("print", "smuggled")
    with Held(world):
        execution_id = world.accept("print", "accepted")
        world.db.sql(f"UPDATE execution_active SET token = '{other}' WHERE execution_id = '{execution_id}'")
    refused_by_worker(world, execution_id, "manifest_invalid")


def test_attack_a_job_nobody_signed(world):
    """A row of an attacker's own making: the digests fit, only the signature does not."""
    with Held(world):
        execution_id = world.accept("print", "accepted")
        token = world.db.value(f"SELECT token FROM execution_active WHERE execution_id = '{execution_id}'")
        order = json.loads(tokens.payload_of(token))
        order["parameters"]["args"] = ["print", "forged"]
        forged = tokens.sign(order, tokens.Es256Key("signer-1"))
        digest = tokens.sha256(tokens.payload_of(forged))
        world.db.sql(f"UPDATE execution_active SET token = '{forged}', manifest_sha256 = '\\x{digest[7:]}'"
                     f" WHERE execution_id = '{execution_id}'")
    data = refused_by_worker(world, execution_id, "signature_invalid")
    assert "forged" not in (data["stdout"] or "")


def test_attack_a_row_that_names_another_tool(world):
    with Held(world):
        execution_id = world.accept("print", "accepted")
        world.db.sql(f"UPDATE execution_active SET tool_sha256 = '\\x{world.tool('env')[7:]}' WHERE execution_id = '{execution_id}'")
    refused_by_worker(world, execution_id, "manifest_invalid")


def test_attack_approvals_taken_back_behind_the_api(world):
    """Revoked after it was accepted and before it started: it does not start."""
    digest = world.tool("taken-back")
    with Held(world):
        execution_id = world.accept("print", "accepted", tool=digest)
        world.db.sql("UPDATE artifact SET state = 'revoked', revoked_by = 'admin', revoked_at = now(), reason = 'found bad'"
                     f" WHERE sha256 = '\\x{digest[7:]}'")
    refused_by_worker(world, execution_id, "artifact_revoked")


def test_attack_an_api_key_that_was_revoked_meanwhile(world):
    leaving = world.new_key("leaving", TENANT, "submitter").json
    with Held(world):
        execution_id = world.stranger.with_key(leaving["key"]).submit(world.token("print", "parting shot")).expect(202).json["id"]
        world.caller("admin").delete(f"/v1/api-keys/{leaving['id']}").expect(204)
    refused_by_worker(world, execution_id, "not_authenticated", "forbidden")


def test_attack_a_signing_key_that_was_revoked_meanwhile(world):
    key = world.trust(tokens.Es256Key("leaving-key"))
    with Held(world):
        execution_id = world.submit(tokens.sign(world.order("print", "parting shot"), key)).expect(202).json["id"]
        world.caller("admin").request("POST", "/v1/keys/leaving-key/revocation").expect(204)
    refused_by_worker(world, execution_id, "signature_invalid")
    world.submit(tokens.sign(world.order("print", "never"), key)).refused(403, "signature_invalid")


def test_attack_bytes_that_were_exchanged(world):
    """The artifact's chunks are another program: its digest says so before anything is unpacked."""
    digest = world.tool("exchanged", approved=False)
    for approver in ("approver-1", "approver-2"):
        world.approve(digest, approver).expect(201)
    with Held(world):
        execution_id = world.accept("print", "exchanged", tool=digest)
        world.db.sql("UPDATE blob_chunk SET data = overlay(data placing '\\x65'::bytea from octet_length(data)) WHERE n = 0 AND blob_id ="
                     f" (SELECT blob_id FROM artifact WHERE sha256 = '\\x{digest[7:]}')")
        cache_forgets(world)
    refused_by_worker(world, execution_id, "content_mismatch", "artifact_invalid")


def cache_forgets(world):
    """The worker fetches from the database again, as one on a new host would."""
    worker = world.daemons["worker"]
    worker.flags["state-dir"] = world.state_dir("worker-anew-" + tokens.time_text().replace(":", "-"))


def test_attack_a_descriptor_that_was_exchanged(world):
    """A trigger stands before it; without the trigger the worker still does."""
    digest = world.tool("descriptor")
    wider = world.artifact(digest)["descriptor"]
    wider["env_allowed"] = ["ANYTHING"]
    change = f"UPDATE artifact SET descriptor = convert_to('{json.dumps(wider, separators=(',', ':'))}', 'UTF8') WHERE sha256 = '\\x{digest[7:]}'"
    world.db.refuses(change, "23514")
    with Held(world):
        execution_id = world.accept("print", "accepted", tool=digest)
        world.db.sql(change, options="-c session_replication_role=replica")
    refused_by_worker(world, execution_id, "artifact_invalid")


def test_attack_an_input_that_was_exchanged(world):
    digest = world.input(b"what was signed for")
    with Held(world):
        execution_id = world.accept("cat", "/in/x", inputs=[{"name": "x", "sha256": digest}])
        world.db.sql("UPDATE blob_chunk SET data = 'what was not' WHERE blob_id ="
                     f" (SELECT blob_id FROM input WHERE sha256 = '\\x{digest[7:]}')")
    refused_by_worker(world, execution_id, "content_mismatch")


def test_attack_the_unpacked_program_was_changed_on_disk(world):
    """What the worker keeps unpacked is looked at before each run."""
    digest = world.tool("on-disk")
    execution, _ = world.run("print", "as approved", tool=digest)
    assert execution["state"] == "succeeded"
    change_cached_program(world, digest)
    refused_or_right = world.ended(world.accept("print", "as approved", tool=digest))
    if refused_or_right["state"] == "succeeded":  # it may fetch the right bytes anew
        assert world.stdout(refused_or_right["id"]) == b"as approved\n"
    else:
        assert refused_or_right["state"] == "refused", refused_or_right


def change_cached_program(world, digest):
    state = world.daemons["worker"].flags["state-dir"]
    found = [os.path.join(folder, name) for folder, _, names in os.walk(state) for name in names
             if digest[7:] in folder + name and os.path.getsize(os.path.join(folder, name)) > 100000]
    assert found, f"the cache below {state} has nothing of {digest}"
    for path in found:
        with open(path, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"!")
