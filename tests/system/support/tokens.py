# SPDX-License-Identifier: Apache-2.0
"""Signing manifests, and forging what only looks signed. Written anew against the RFCs, so that the
product is never measured by its own code."""

import base64
import datetime
import hashlib
import hmac
import json
import os
import secrets

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha256(data):
    """As digests go over the wire."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def time_text(offset=0.0):
    """Now and so many seconds, RFC 3339 in UTC with milliseconds."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


class Es256Key:
    """ECDSA on P-256 (RFC 7518 section 3.4): the signature is r and s, 32 bytes each."""
    alg = "ES256"

    def __init__(self, kid):
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    def public_pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def private_pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()).decode()

    def sign(self, data):
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def verify(self, signature, data):
        """Raises where it is not this key's."""
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        self.private.public_key().verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))

    def offer(self):
        """The body of POST /v1/keys."""
        return {"kid": self.kid, "alg": self.alg, "public_pem": self.public_pem()}


class EdDsaKey:
    """Ed25519 (RFC 8037)."""
    alg = "EdDSA"

    def __init__(self, kid):
        self.kid = kid
        self.private = ed25519.Ed25519PrivateKey.generate()

    def sign(self, data):
        return self.private.sign(data)

    def offer(self):
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kid": self.kid, "alg": self.alg, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}}


class Hs256Key:
    """HMAC with SHA-256; `secret` may be chosen by a forger."""
    alg = "HS256"

    def __init__(self, kid, secret=None):
        self.kid = kid
        self.secret = secrets.token_bytes(32) if secret is None else secret

    def sign(self, data):
        return hmac.new(self.secret, data, hashlib.sha256).digest()

    def offer(self):
        return {"kid": self.kid, "alg": self.alg, "secret": b64(self.secret)}


def manifest(tool, tenant, parameters=None, **context):
    """A whole Execution Manifest, fresh and with a nonce of its own."""
    return {
        "manifest_version": "1.0.0",
        "issued_at": time_text(),
        "nonce": "n-" + secrets.token_hex(12),
        "target_urn": "urn:sallyport:test:target",
        "tool_sha256": tool,
        "task_context": {
            "task_id": "task-" + secrets.token_hex(8),
            "tenant_id": tenant,
            "operator_id": "alice",
            "source": "scenario",
            "action": "scan",
            "requested_at": time_text(),
            "correlation_id": "case-" + secrets.token_hex(4),
            **context,
        },
        "parameters": {} if parameters is None else parameters,
    }


def payload(what):
    """Exact bytes: those given, or a document's compact JSON."""
    return what if isinstance(what, bytes) else json.dumps(what, separators=(",", ":"), ensure_ascii=False).encode()


def sign(what, key, header=None, raw_header=None):
    """A compact JWS (RFC 7515). `header` adds to or (None) takes from the usual one; `raw_header` is its very bytes."""
    head = {"alg": key.alg, "kid": key.kid, "typ": "execution-manifest+jws"}
    for name, value in (header or {}).items():
        head.pop(name, None)
        if value is not None:
            head[name] = value
    head_bytes = payload(head) if raw_header is None else raw_header
    signed = f"{b64(head_bytes)}.{b64(payload(what))}"
    return f"{signed}.{b64(key.sign(signed.encode()))}"


def signing_hash(token):
    """What a token is known by: SHA-256 of its signing input."""
    return sha256(token.rpartition(".")[0].encode())


def payload_of(token):
    return unb64(token.split(".")[1])


# ---- forgery ----

def flip(token, part, byte):
    """One byte of the header (0), payload (1) or signature (2) changed in its lowest bit."""
    parts = token.split(".")
    raw = bytearray(unb64(parts[part]))
    raw[byte] ^= 1
    parts[part] = b64(bytes(raw))
    return ".".join(parts)


def swap_payload(token, what):
    """Another body under the old signature."""
    head, _, signature = token.split(".")
    return f"{head}.{b64(payload(what))}.{signature}"


def unsigned(what):
    """`alg` none, with and without an empty signature part to be appended by the caller."""
    return f"{b64(payload({'alg': 'none', 'typ': 'JWT'}))}.{b64(payload(what))}"


def twin(token):
    """The other valid ECDSA signature (r, n - s) of the same signing input."""
    signed, _, signature = token.rpartition(".")
    raw = unb64(signature)
    s = P256_ORDER - int.from_bytes(raw[32:], "big")
    return f"{signed}.{b64(raw[:32] + s.to_bytes(32, 'big'))}"


def api_key_text():
    """(id, text, hash of the secret) of an API key that exists nowhere yet."""
    key_id, secret = os.urandom(8).hex(), os.urandom(32)
    return key_id, f"sp_{key_id}_{b64(secret)}", hashlib.sha256(secret).hexdigest()
