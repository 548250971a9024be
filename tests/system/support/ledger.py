# SPDX-License-Identifier: Apache-2.0
"""The ledger's mathematics, written anew from RFC 6962, RFC 8785 and C2SP's signed-note and tlog-checkpoint."""

import base64
import hashlib
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"


def hash_of(data):
    return hashlib.sha256(data).digest()


def leaf(entry):
    return hash_of(b"\0" + entry)


def root(leaves):
    """RFC 6962 section 2.1: MTH."""
    if not leaves:
        return hash_of(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hash_of(b"\1" + root(leaves[:split]) + root(leaves[split:]))


def node(left, right):
    return hash_of(b"\1" + left + right)


def follow(start, index, size, path):
    """RFC 9162 section 2.1.3.2: the root that an inclusion path leads to."""
    assert 0 <= index < size, f"no leaf {index} in a tree of {size}"
    here, fn, sn = start, index, size - 1
    for sibling in path:
        assert sn > 0, "a hash too many"
        if fn & 1 or fn == sn:
            here = node(sibling, here)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            here = node(here, sibling)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0, "a hash too few"
    return here


def consistent(old_size, old_root, new_size, new_root, path):
    """RFC 9162 section 2.1.4.2, for 0 < old_size < new_size: does the newer tree begin with the older?"""
    path = list(path) if old_size & (old_size - 1) else [old_root, *path]
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        assert sn > 0, "a hash too many"
        if fn & 1 or fn == sn:
            older, newer = node(sibling, older), node(sibling, newer)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            newer = node(newer, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and older == old_root and newer == new_root


def receipt(text):
    """(index, path, checkpoint) of a C2SP tlog-proof."""
    head, _, checkpoint = text.partition("\n\n")
    first, index, *path = head.split("\n")
    assert first == "c2sp.org/tlog-proof@v1" and index.startswith("index "), head
    return int(index[6:]), [base64.b64decode(line, validate=True) for line in path], checkpoint


def entry_of_line(line):
    """The 32 bytes an export's line stands for: an event's hash, or the hash it says."""
    if line.startswith(b"sha256:"):
        return bytes.fromhex(line[7:].decode())
    return hash_of(line)


class Verifier:
    """A verifier key of C2SP signed-note: <name>+<id>+<base64 of type and key>."""

    def __init__(self, text):
        self.name, key_id, encoded = text.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        assert raw[:1] == ED25519 and len(raw) == 33, f"not an Ed25519 key: {text}"
        self.id = bytes.fromhex(key_id)
        assert self.id == hash_of(self.name.encode() + b"\n" + raw)[:4], "the key id is not the key's"
        self.key = Ed25519PublicKey.from_public_bytes(raw[1:])

    def checkpoint(self, note):
        """(size, root) of a signed note; an AssertionError where this key did not sign it."""
        text, _, signatures = note.partition("\n\n")
        text += "\n"
        for line in signatures.splitlines():
            dash, name, encoded = line.split(" ")
            raw = base64.b64decode(encoded, validate=True)
            if dash != "\N{EM DASH}" or name != self.name or raw[:4] != self.id:
                continue
            try:
                self.key.verify(raw[4:], text.encode())
            except InvalidSignature:
                raise AssertionError("the checkpoint's signature is not the ledger's") from None
            origin, size, root_text = text.splitlines()[:3]
            assert origin == self.name, f"origin {origin}"
            return int(size), base64.b64decode(root_text, validate=True)
        raise AssertionError(f"the ledger's key did not sign:\n{note}")


def compact(document):
    """JSON without spaces, members as they stand."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def fingerprint(data):
    """execution_fingerprint of a `finished` event's data (DESIGN.md section 10), from its other members."""
    members = {
        "attestation_measurement_hash": hash_of(compact(data["execution_metadata"]["isolation_checks"])).hex(),
        "manifest_hash": data["manifest_sha256"].removeprefix("sha256:"),
        "operator_id": data["operator_id"],
        "policy_decision_hash": hash_of(compact(data["policy_decision"])).hex(),
        "tenant_id": data["tenant_id"],
        "timestamp": data["finished_at"],
        "tool_hash": data["tool_sha256"].removeprefix("sha256:"),
    }
    # RFC 8785 of an object of ASCII-named strings: members sorted, no spaces, JSON's short escapes.
    return hash_of(json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hex()
