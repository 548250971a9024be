# SPDX-License-Identifier: Apache-2.0
"""A log that anybody may read, and nothing else: the setting ledger-public opens checkpoint, tiles and entries.

Attacks: what a stranger may not ask, a flood from one address, one from many, and a lie about where it comes from."""

import itertools
import pathlib
import time

from support import client, ledger, wait

RATE = 1  # a second from one address; its burst is five times that, all together have ten times both
BURST, ALL = 5 * RATE, 10
OPEN = "/v1/ledger/checkpoint"
UUID = "00000000-0000-7000-8000-000000000000"
VALUES = {"id": UUID, "sha256": "0" * 64, "kid": "k", "level": "0", "a": "000", "b": "000", "c": "000", "d": "000"}
HOSTS = (f"127.0.{a}.{b}" for a, b in itertools.product(range(7, 250), range(1, 250)))


def setup(world):
    world.start("ledger")
    world.start("api", ledger_public="on", ledger_public_rate=str(RATE))
    world.caller("viewer")
    world.ledger_is_complete()


def stranger(world):
    """Nobody, at an address that has asked nothing yet. All together are held too: it waits until one is answered."""
    host = world.stranger.coming_from(next(HOSTS))
    wait.until(60, "strangers are answered", lambda: host.get(OPEN).status == 200)
    return host


def test_a_stranger_rebuilds_the_root(world):
    """Checkpoint, leaves and entries: what it takes to check the log is there, and may be kept on the way."""
    host = stranger(world)
    answer = host.get(OPEN).expect(200)
    assert answer.headers["Cache-Control"] == "public, max-age=1"
    size, root = ledger.Verifier(pathlib.Path(world.vkey).read_text(encoding="utf-8")).checkpoint(answer.text)
    assert 0 < size < 256
    tile = host.get(f"/v1/ledger/tile/0/000.p/{size}").expect(200)
    bundle = host.get(f"/v1/ledger/tile/entries/000.p/{size}").expect(200)
    for kept in (tile, bundle):
        assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    leaves = [tile.body[at:at + 32] for at in range(0, len(tile.body), 32)]
    assert ledger.root(leaves) == root
    assert [ledger.leaf(bundle.body[at + 2:at + 34]) for at in range(0, len(bundle.body), 34)] == leaves
    other = stranger(world)
    assert other.request("HEAD", OPEN).status == 200
    answer = other.get(f"/v1/ledger/tile/0/000.p/{size + 1}").expect(404)
    assert answer.headers["Cache-Control"] == "no-store"


def test_attack_all_else_stays_closed(world):
    """Every operation of the contract, asked by nobody: 401 unless the contract says that it is open."""
    asked = set()
    for operation in world.contract.operations:
        if operation.item.get("security") is not None:
            continue
        path = operation.path.format(**VALUES)
        answer = world.stranger.request(operation.method.upper(), path)
        assert answer.status == 401, f"{operation.method} {path}: {answer}"
        asked.add(operation.id)
    assert {"getLedgerProof", "exportLedger", "getEventReceipt", "getExecutionReceipt", "listEvents", "whoami"} <= asked, asked
    world.stranger.get("/v1/ledger/proof", **{"from": 1}).refused(401, "not_authenticated")
    world.stranger.get("/v1/ledger/nothing").refused(404, "not_found")


def test_attack_a_false_key_is_no_stranger(world):
    """Who shows a key is judged by it: a false one is not answered as nobody would be."""
    host = stranger(world)
    false = "sp_0123456789abcdef_" + "A" * 43
    host.with_key(false).get(OPEN).refused(401, "not_authenticated")
    host.request("GET", OPEN, headers={"Authorization": "Basic Og=="}).refused(401, "not_authenticated")
    made = world.new_key("leaver", "acme", "viewer").json
    world.stranger.with_key(made["key"]).get(OPEN).expect(200)
    world.caller("admin").delete(f"/v1/api-keys/{made['id']}").expect(204)
    wait.until(20, "the revoked key is refused", lambda: host.with_key(made["key"]).get(OPEN).status == 401)


def test_attack_a_flood_from_one_address(world):
    """It is held at its rate, whatever it says of itself; its neighbour is not, and nobody who has a key."""
    host, began, answered, refused = stranger(world), time.monotonic(), 1, 0
    lies = ("X-Forwarded-For", "Forwarded", "X-Real-IP")
    while refused < 20:
        answer = host.request("GET", OPEN, headers={lies[refused % 3]: f"203.0.113.{refused}"})
        if answer.status == 200:
            answered += 1
        else:
            answer.refused(429, "rate_limited")
            assert int(answer.headers["Retry-After"]) >= 1
            refused += 1
    most = BURST + RATE * (time.monotonic() - began + 1)
    assert BURST <= answered <= most, f"{answered} answers, at most {most:.1f} were right"
    stranger(world)
    keyed = world.caller("viewer").coming_from(host.source[0])
    for _ in range(3 * BURST):
        keyed.get(OPEN).expect(200)
    wait.until(20, "its bucket fills again", lambda: host.get(OPEN).status == 200)


def test_attack_a_flood_from_many_addresses(world):
    """None of them asks too often: together they do. Who has a key does not notice."""
    began, answered, refused = time.monotonic(), 0, 0
    while refused < 20:
        answer = world.stranger.coming_from(next(HOSTS)).get(OPEN)
        answered, refused = answered + (answer.status == 200), refused + (answer.status == 429)
        assert answer.status in (200, 429), str(answer)
        world.caller("viewer").get(OPEN).expect(200)
    most = ALL * (BURST + RATE * (time.monotonic() - began + 1))
    assert answered <= most, f"{answered} answers, at most {most:.1f} were right"
    stranger(world)


def test_it_is_off_unless_it_is_asked_for(world):
    api = world.start("api", "closed")
    nobody = client.Client(("127.0.0.1", api.port), world.contract)
    for path in (OPEN, "/v1/ledger/tile/0/000", "/v1/ledger/tile/entries/000.p/1"):
        nobody.get(path).refused(401, "not_authenticated")
    viewer = nobody.with_key(world.caller("viewer").key)
    assert viewer.get(OPEN).expect(200).headers["Cache-Control"] == "no-store"
    kept = viewer.get("/v1/ledger/tile/0/000.p/1").expect(200).headers["Cache-Control"]
    assert kept == "max-age=31536000, immutable", kept
