"""The OpenFeature Remote Evaluation Protocol (OFREP): one flag for each rollout, whose key is the
rollout's name and whose value is the version that acts on the targeting key.

It is the client's own `assign` over the rollout's share file: the same answer as in any process.
"""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path as FilePath
from threading import Lock
from typing import Annotated, Any, Protocol

import msgspec
from anyio import to_thread
from fastapi import FastAPI, Header, Path, Request
from fastapi.responses import JSONResponse, Response

from controller.api.intake import Intake, Limits, ProblemError
from controller.api.shares import SharesDesk, find
from controller.client.client import Client
from controller.client.feed import FeedError, FileFeed
from controller.core.share import NONE, WHOLE
from controller.traffic.published import decode
from controller.traffic.route import Assignment, Reason

TARGETING_KEY = "targetingKey"
BODY = 512 * 1024
"""Bytes of a request, at most: the longest key, every character of it escaped, and attributes."""
FLAGS = "/ofrep/v1/evaluate/flags"
_FAILURE = {
    "type": "object",
    "properties": {"key": {"type": "string"}, "errorCode": {"type": "string"},
                   "errorDetails": {"type": "string"}},
}  # fmt: skip
_SUCCESS = {
    "type": "object",
    "properties": {"key": {"type": "string"}, "value": {"type": "string"},
                   "variant": {"enum": ["baseline", "candidate"]}, "reason": {"type": "string"},
                   "metadata": {"type": "object"}},
}  # fmt: skip
_EITHER = {"anyOf": [_SUCCESS, _FAILURE]}
_CONTEXT = {
    "required": True,
    "content": {"application/json": {"schema": {
        "type": "object",
        "properties": {"context": {
            "type": "object",
            "properties": {TARGETING_KEY: {"type": "string"}},
            "additionalProperties": True,
        }},
    }}},
}  # fmt: skip


class FlagsDesk(SharesDesk, Protocol):
    """The controller behind it (`run.service.Service`)."""

    def rollouts(self) -> list[str]:
        """Names of all rollouts, in order."""
        ...


class FlagError(Exception):
    """No evaluation, in the protocol's words."""

    def __init__(self, status: int, code: str, details: str, key: str | None = None) -> None:
        super().__init__(details)
        self.status = status
        self.said = {"errorCode": code, "errorDetails": details} | ({"key": key} if key else {})


class Flags:
    """Evaluates. One client for each share file, which is looked at before each answer."""

    def __init__(self, desk: FlagsDesk) -> None:
        self._desk = desk
        self._clients: dict[FilePath, Client] = {}
        self._lock = Lock()

    def evaluate(self, name: str, key: str, attributes: dict[str, Any]) -> dict[str, Any]:
        """The flag of one rollout. Raises FlagError, ProblemError."""
        try:
            path = find(self._desk, name)
        except ProblemError as problem:
            if problem.status != 404:
                raise
            raise FlagError(404, "FLAG_NOT_FOUND", problem.error, name) from None
        client = self._client(path, name)
        return _flag(name, client, client.assign(key, attributes))

    def evaluate_all(self, key: str, attributes: dict[str, Any]) -> list[dict[str, Any]]:
        """The flags of all rollouts; of one without a share, why there is none."""
        found = []
        for name in self._desk.rollouts():
            try:
                found.append(self.evaluate(name, key, attributes))
            except FlagError as error:
                found.append(error.said)
        return found

    def _client(self, path: FilePath, name: str) -> Client:
        with self._lock:
            client = self._clients.get(path)
            if client is None or client.published is None:
                client = self._clients[path] = _opened(path, name)
            client.refresh()
        return client


def _opened(path: FilePath, name: str) -> Client:
    try:
        sight = FileFeed(path).look()
        assert sight is not None
        baseline = decode(sight.content).baseline
    except (FeedError, ValueError) as error:
        raise FlagError(404, "FLAG_NOT_FOUND", f"nothing is published: {error}", name) from None
    return Client.from_file(path, baseline=baseline, watch=None)


def _flag(name: str, client: Client, answer: Assignment) -> dict[str, Any]:
    if answer.reason is Reason.BAD_KEY:
        raise FlagError(400, "INVALID_CONTEXT", f"{TARGETING_KEY} is no key", name)
    published = client.published
    share = published.share if published is not None else NONE
    match answer.reason:
        case Reason.SHARE:
            reason = "SPLIT" if NONE < share < WHOLE else "STATIC"
        case Reason.PIN:
            reason = "TARGETING_MATCH"
        case Reason.TOO_OLD:
            reason = "STALE"
        case _:
            reason = "DEFAULT"
    metadata: dict[str, Any] = {
        "epoch": answer.epoch, "token": answer.token, "because": str(answer.reason)
    }  # fmt: skip
    if answer.mirror is not None:
        metadata["mirror"] = answer.mirror
    return {
        "key": name,
        "value": answer.version,
        "variant": str(answer.side),
        "reason": reason,
        "metadata": metadata,
    }


def add_flags(app: FastAPI, desk: FlagsDesk, limits: Limits) -> None:
    """The two requests of the protocol."""
    flags = Flags(desk)
    intake = Intake(replace(limits, body=min(BODY, limits.body)))

    @app.post(
        FLAGS + "/{key}",
        summary="OFREP: who acts on a targeting key, of one rollout",
        openapi_extra={"requestBody": _CONTEXT},
        responses={
            200: {"content": {"application/json": {"schema": _SUCCESS}}},
            **_failures(400, 404, 413, 415, 421, 503),
        },
    )
    async def evaluate(
        request: Request,
        key: Annotated[str, Path(max_length=64, description="Name of the rollout")],
    ) -> Response:
        who, attributes = await _context(request, intake)
        found = await to_thread.run_sync(flags.evaluate, key, who, attributes)
        return JSONResponse(found)

    @app.post(
        FLAGS,
        summary="OFREP: who acts on a targeting key, of every rollout",
        openapi_extra={"requestBody": _CONTEXT},
        responses={
            200: {"content": {"application/json": {"schema": {
                "type": "object",
                "properties": {"flags": {"type": "array", "items": _EITHER}},
            }}}},
            304: {"description": "As If-None-Match has it"},
            **_failures(400, 413, 415, 421, 503),
        },
    )  # fmt: skip
    async def evaluate_all(
        request: Request, if_none_match: Annotated[str | None, Header(max_length=200)] = None
    ) -> Response:
        who, attributes = await _context(request, intake)
        found = await to_thread.run_sync(flags.evaluate_all, who, attributes)
        content = msgspec.json.encode({"flags": found})
        tag = f'"{sha256(content).hexdigest()[:32]}"'
        if if_none_match == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return Response(content, media_type="application/json", headers={"ETag": tag})

    @app.exception_handler(FlagError)
    async def not_evaluated(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, FlagError)
        return JSONResponse(error.said, error.status)


async def _context(request: Request, intake: Intake) -> tuple[str, dict[str, Any]]:
    """Targeting key and attributes of a request. Raises FlagError, ProblemError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # a stranger's web page cannot send it without being allowed to
        raise ProblemError(
            415, f"{kind[:100]!r} is not taken", "send application/json", hang_up=True
        )
    async with intake.body(request) as body:
        try:
            found = msgspec.json.decode(body)
            context = dict(found.get("context") or {})
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError,
                TypeError, ValueError) as error:  # fmt: skip
            raise FlagError(400, "PARSE_ERROR", f"the body is no evaluation: {error}") from None
    key = context.pop(TARGETING_KEY, None)
    if key is None or key == "":
        raise FlagError(400, "TARGETING_KEY_MISSING", f"the context has no {TARGETING_KEY}")
    if not isinstance(key, str):
        raise FlagError(400, "INVALID_CONTEXT", f"{TARGETING_KEY} is no text")
    return key, context


def _failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {
            "description": "Not evaluated",
            "content": {"application/json": {"schema": _FAILURE}},
        }
        for status in statuses
    }
