# SPDX-License-Identifier: Apache-2.0
"""Holds every answer to openapi/sallyport.yaml: status, media type, headers, schema; and every problem
document to the registry of codes."""

import datetime
import re
import threading

import jsonschema
import yaml

# DESIGN.md section 11: the codes and the status each has.
CODES = {
    400: ("malformed_request", "malformed_token", "unknown_parameter"),
    401: ("not_authenticated",),
    403: ("forbidden", "signature_invalid", "tenant_mismatch", "artifact_unknown", "artifact_not_approved",
          "artifact_revoked", "manifest_stale"),
    404: ("not_found",),
    405: ("method_not_allowed",),
    408: ("request_timeout",),
    409: ("nonce_reused", "state_conflict"),
    410: ("expired",),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    422: ("manifest_invalid", "input_unknown", "artifact_invalid", "content_mismatch", "key_invalid"),
    429: ("rate_limited", "queue_full", "quota_exceeded"),
    500: ("internal",),
    503: ("unavailable", "shutting_down"),
}
STATUS_OF = {code: status for status, codes in CODES.items() for code in codes}
PROBLEM = "application/problem+json"
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
METHODS = ("get", "put", "post", "delete", "head", "patch", "options")


class ContractError(AssertionError):
    """An answer that the contract does not allow."""


def is_time(text):
    """RFC 3339 in UTC with milliseconds, and a time that there is."""
    if not isinstance(text, str):
        return True
    if TIME.match(text) is None:
        return False
    datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return True


class Operation:
    """One method of one path."""

    def __init__(self, method, path, item, shared):
        self.method, self.path, self.item = method, path, item
        self.id = item["operationId"]
        self.parameters = shared + item.get("parameters", [])
        segments = path.strip("/").split("/")
        self.literal = [0 if segment.startswith("{") else 1 for segment in segments]
        pattern = "/".join("[^/]+" if segment.startswith("{") else re.escape(segment) for segment in segments)
        self.pattern = re.compile(f"^/{pattern}$")


class Contract:
    """The document, its operations, and which of them have been seen to succeed."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.document = yaml.safe_load(self.text)
        self.resolver = jsonschema.RefResolver("", self.document)
        self.formats = jsonschema.FormatChecker(formats=())
        self.formats.checks("date-time", raises=ValueError)(is_time)
        self.operations = []
        for template, methods in self.document["paths"].items():
            shared = methods.get("parameters", [])
            self.operations += [Operation(method, template, item, shared)
                                for method, item in methods.items() if method in METHODS]
        self.lock = threading.Lock()
        self.succeeded = set()
        self.answers = 0

    def resolve(self, thing):
        while "$ref" in thing:
            thing = self.resolver.resolve(thing["$ref"])[1]
        return thing

    def operation(self, method, target):
        """The operation a request meets, None where there is none."""
        path = target.split("?", 1)[0]
        found = [operation for operation in self.operations
                 if operation.method == method.lower() and operation.pattern.match(path)]
        return max(found, key=lambda operation: operation.literal, default=None)

    def known_path(self, target):
        path = target.split("?", 1)[0]
        return any(operation.pattern.match(path) for operation in self.operations)

    def check(self, method, target, answer):
        """Raises ContractError unless the contract has this answer to this request."""
        where = f"{method} {target} -> {answer.status}"
        try:
            operation = self.operation(method, target)
            self.check_common(answer, bodiless=method == "HEAD")
            if operation is not None:
                self.check_operation(operation, answer, method)
            elif method == "HEAD" and self.operation("GET", target) is not None:
                self.check_documented(self.operation("GET", target), answer)
            else:
                self.check_stray(target, answer, method)
        except ContractError as error:
            raise ContractError(f"{where}: {error}\n{answer.body[:2000]!r}") from None
        with self.lock:
            self.answers += 1
            if operation is not None and answer.status < 300:
                self.succeeded.add(operation.id)

    def check_common(self, answer, bodiless):
        if REQUEST_ID.match(answer.headers.get("X-Request-Id", "")) is None:
            raise ContractError("no valid X-Request-Id")
        if bodiless and answer.body:
            raise ContractError("a body where there must be none")
        if answer.status >= 400 and not bodiless:
            self.check_problem(answer)
        if answer.status == 401 and "Bearer" not in answer.headers.get("WWW-Authenticate", ""):
            raise ContractError("401 without WWW-Authenticate: Bearer")
        if answer.status == 405 and not answer.headers.get("Allow"):
            raise ContractError("405 without Allow")

    def check_problem(self, answer):
        if answer.media_type != PROBLEM:
            raise ContractError(f"an error is {answer.media_type!r}, not a problem document")
        problem = answer.json
        self.check_schema({"$ref": "#/components/schemas/Problem"}, problem)
        code = problem["code"]
        if STATUS_OF.get(code) != answer.status or problem["status"] != answer.status:
            raise ContractError(f"code {code} and status {problem['status']} with HTTP {answer.status}")
        if problem["type"] != f"urn:sallyport:problem:{code}":
            raise ContractError(f"type {problem['type']} with code {code}")
        if problem["request_id"] != answer.headers["X-Request-Id"]:
            raise ContractError("request_id is not that of the header")

    def check_documented(self, operation, answer):
        responses = operation.item["responses"]
        if str(answer.status) not in responses:
            raise ContractError(f"{operation.id} does not have this status: {sorted(responses)}")
        return self.resolve(responses[str(answer.status)])

    def check_operation(self, operation, answer, method):
        response = self.check_documented(operation, answer)
        self.check_headers(response.get("headers", {}), answer)
        if method == "HEAD":
            return
        content = {name.replace(" ", ""): media for name, media in response.get("content", {}).items()}
        if not content:
            if answer.body:
                raise ContractError("a body where there must be none")
            return
        media_type = answer.headers.get("Content-Type", "").replace(" ", "")
        if media_type not in content:
            raise ContractError(f"media type {media_type!r}, not one of {sorted(content)}")
        schema = content[media_type].get("schema")
        if schema is not None:
            self.check_schema(schema, answer.json if media_type.endswith("json") else answer.text)
        if answer.status >= 400:
            self.check_listed(response, answer)

    def check_listed(self, response, answer):
        """The description of an error names the codes that it may have."""
        listed = {code for code in re.findall(r"`([a-z_]+)`", response["description"]) if code in STATUS_OF}
        if listed and answer.json["code"] not in listed:
            raise ContractError(f"code {answer.json['code']}, documented are {sorted(listed)}")

    def check_headers(self, headers, answer):
        for name, header in headers.items():
            value = answer.headers.get(name)
            schema = self.resolve(header).get("schema", {})
            if value is None:
                continue
            if schema.get("type") == "integer":
                if not value.isdigit():
                    raise ContractError(f"{name}: {value!r} is no integer")
                value = int(value)
            self.check_schema(schema, value)

    def check_stray(self, target, answer, method):
        """A path or method that is not there: nothing else can come of it."""
        allowed = (405, 400) if self.known_path(target) else (404, 400)
        if answer.status not in allowed + (413, 503):
            raise ContractError(f"{method} is not in the contract, so only {allowed} can be the answer")

    def check_schema(self, schema, value):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver, format_checker=self.formats)
        errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
                  for error in validator.iter_errors(value)]
        if errors:
            raise ContractError("; ".join(errors))
