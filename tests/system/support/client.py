# SPDX-License-Identifier: Apache-2.0
"""An HTTP client of the REST API that holds every answer to the contract."""

import http.client
import json
import socket
import urllib.parse

TIMEOUT = 90


class Answer:
    """Status, headers and body; `json` parses the body when first asked for."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.parsed = None

    @property
    def media_type(self):
        return self.headers.get("Content-Type", "").split(";")[0].strip()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        if self.parsed is None:
            self.parsed = json.loads(self.body, object_pairs_hook=unique_members)
        return self.parsed

    def __str__(self):
        return f"{self.status} {self.body[:600].decode(errors='replace')}"

    def expect(self, *statuses):
        """The answer, which must have one of these statuses."""
        assert self.status in statuses, f"expected {statuses}, got {self}"
        return self

    def refused(self, status, code):
        """The problem document, which must be this one."""
        assert self.status == status and self.json["code"] == code, f"expected {status} {code}, got {self}"
        return self.json


def unique_members(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a member is there twice: {names}")
    return dict(pairs)


def target(path, **query):
    """A path with its query; a list repeats its parameter."""
    text = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)
    return f"{path}?{text}" if text else path


class Client:
    """One caller at one address. Each request has a connection of its own, so threads may share it."""

    def __init__(self, address, contract, key=None, timeout=TIMEOUT, source=None):
        self.address, self.contract, self.key, self.timeout, self.source = address, contract, key, timeout, source

    def with_key(self, key):
        return Client(self.address, self.contract, key, self.timeout, self.source)

    def coming_from(self, source):
        """The same caller at another address of this host."""
        return Client(self.address, self.contract, self.key, self.timeout, (source, 0))

    def request(self, method, path, body=None, content_type=None, headers=None):
        """Sends and checks. OSError and http.client.HTTPException: there was no whole answer."""
        sent = {"Host": f"{self.address[0]}:{self.address[1]}"}
        if self.key is not None:
            sent["Authorization"] = f"Bearer {self.key}"
        if content_type is not None:
            sent["Content-Type"] = content_type
        sent.update(headers or {})
        connection = http.client.HTTPConnection(*self.address, timeout=self.timeout, source_address=self.source)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            answer = Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()
        self.contract.check(method, path, answer)
        return answer

    def get(self, path, **query):
        return self.request("GET", target(path, **query))

    def post(self, path, document, **query):
        return self.request("POST", target(path, **query), json.dumps(document).encode(), "application/json")

    def put(self, path, data):
        return self.request("PUT", path, data, "application/octet-stream")

    def delete(self, path):
        return self.request("DELETE", path)

    def submit(self, token, wait=None, headers=None):
        """POST /v1/executions with a JWS as it is."""
        head = dict(headers or {})
        if wait is not None:
            head["Prefer"] = f"wait={wait}"
        return self.request("POST", "/v1/executions", token.encode(), "application/jose", head)

    def raw(self, data, method="GET", path="/"):
        """What the server says to these very bytes; `method` and `path` say what they ask, for the contract."""
        with socket.create_connection(self.address, timeout=self.timeout) as connection:
            connection.sendall(data)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            answer = Answer(answer.status, answer.headers, answer.read())
        self.contract.check(method, path, answer)
        return answer
