# SPDX-License-Identifier: Apache-2.0
"""A reader of server-sent events (WHATWG HTML, section 9.2), as strict as our own may be held to."""

import base64
import http.client
import json

from support import client


class Event:
    def __init__(self, name, identity, data):
        self.name, self.id, self.data = name, identity, data

    @property
    def bytes(self):
        return self.data["text"].encode() if "text" in self.data else base64.b64decode(self.data["base64"], validate=True)


class Stream:
    """One answer, read while it comes. Its offsets have to go on without a gap."""

    def __init__(self, caller, path, headers=None, **query):
        self.path = client.target(path, follow="true", **query)
        self.contract = caller.contract
        self.connection = http.client.HTTPConnection(*caller.address, timeout=caller.timeout)
        sent = {"Authorization": f"Bearer {caller.key}", "Accept": "text/event-stream", **(headers or {})}
        self.connection.request("GET", self.path, headers=sent)
        self.answer = self.connection.getresponse()
        self.raw, self.output, self.end, self.comments = b"", b"", None, []
        self.at = None  # the offset behind the last event
        if self.answer.status != 200:
            self.raw = self.answer.read()
            self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def whole(self):
        """What came, as an answer, held to the contract."""
        answer = client.Answer(self.answer.status, self.answer.headers, self.raw)
        self.contract.check("GET", self.path, answer)
        return answer

    def close(self):
        self.connection.close()
        return self.whole()

    def next(self):
        """The next event, None at the end of the answer. http.client.HTTPException, OSError: it was cut."""
        fields = {}
        while True:
            line = self.answer.readline()
            if not line:
                return None
            self.raw += line
            text = line.decode().removesuffix("\n")
            assert line.endswith(b"\n") and "\r" not in text, line
            if text.startswith(":"):
                self.comments.append(text)
            elif text:
                name, _, value = text.partition(": ")
                assert name in ("id", "event", "data", "retry") and name not in fields, text
                fields[name] = value
            elif "event" in fields:
                return self.take(fields)
            else:
                fields = {}

    def take(self, fields):
        event = Event(fields["event"], fields.get("id"), json.loads(fields["data"]))
        if event.name == "end":
            self.end = event.data
            return event
        assert event.name == "output" and ("text" in event.data) != ("base64" in event.data), fields
        assert self.at in (None, event.data["offset"]), (self.at, fields)
        assert event.bytes and int(event.id) == event.data["offset"] + len(event.bytes), fields
        self.at = int(event.id)
        self.output += event.bytes
        return event

    def until(self, text):
        """Reads until that was put out."""
        while text not in self.output:
            assert self.next() is not None, f"{self.path} ended after {self.output[-300:]!r}"
        return self

    def rest(self):
        """Reads to the end of the answer; the output that came on it."""
        while self.next() is not None:
            pass
        return self.output
