"""What can be asked over HTTP, and how it is answered."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Protocol

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, Header, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from controller import __version__
from controller.api.flags import FlagsDesk, add_flags
from controller.api.intake import Intake, Limits, ProblemError
from controller.api.shares import add_shares
from controller.run.calendars import CalendarError
from controller.run.plans import PolicyBroken
from controller.run.service import Pushed
from controller.run.unit import UnknownRollout
from controller.sources.base import SourceError, TooManyError, UnknownSource
from controller.sources.observation import ObservationError, decode
from controller.sources.push import BATCH
from controller.store.base import StoreError

WORKERS = 2
"""Pushes that are stored at the same time: one slow target does not hold up all of them, and the
rounds keep their share of the interpreter."""
STORE_RETRY_SECONDS = 5
LINES = "application/x-ndjson"
ARRAY = "application/json"
MEDIA = (
    ARRAY, LINES, "application/ndjson", "application/jsonl", "application/x-jsonlines",
    "application/jsonlines", "application/json-lines",
)  # fmt: skip
"""A web page of a stranger cannot send these without being allowed to; nobody allows it."""
OURS = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names under which this machine calls itself: a stranger's name that leads here is not ours."""
_EXAMPLE = '{"version": "v3", "ts": "2026-03-02T14:30:00Z", "id": "a17", "pnl": -150.0}\n'


class Desk(FlagsDesk, Protocol):
    """The controller behind it (`run.service.Service`)."""

    def push(
        self,
        rollout: str,
        source: str,
        observations: Sequence[Mapping[str, Any]] | bytes,
        keys: Sequence[str] = (),
    ) -> Pushed:
        """Take in observations, durably."""
        ...

    def not_ready(self) -> str:
        """Why nobody is guarded at the moment; empty while all is well."""
        ...


class Answer(BaseModel):
    """What became of a push. Everything counted here is durable."""

    accepted: int = Field(description="Observations taken")
    refused: int = Field(description="Observations left out; the others are taken all the same")
    repeated: bool = Field(description="The Idempotency-Key was known: nothing was taken twice")
    reasons: list[str] = Field(description="Why, of the first refused, each with its line")
    contradicted: int = Field(
        description="Fields of a known id that said otherwise than before; the first value stays"
    )
    ahead: int = Field(
        description="Stamped ahead of the controller's clock by up to a minute: counted as seen now"
    )
    moved_to: str | None = Field(
        description="State that the rollout was moved to at once, if a hard limit was broken"
    )


class Problem(BaseModel):
    """Why a request was not done."""

    error: str
    hint: str = ""


class Health(BaseModel):
    """How the controller does."""

    status: str


def make_app(desk: Desk, limits: Limits, is_stopping: Callable[[], bool]) -> FastAPI:
    """The application over one controller. Streams end once `is_stopping`."""
    app = FastAPI(
        title="rollout",
        version=__version__,
        description="Observations in, shares out, and how the controller does.",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
        dependencies=[Depends(_addressed_to_us)],
    )
    _add_health(app, desk)
    _add_push(app, desk, Intake(limits))
    add_shares(app, desk, limits, is_stopping)
    add_flags(app, desk, limits)
    app.exception_handler(ProblemError)(_problem)
    app.exception_handler(HTTPException)(_http_problem)
    app.exception_handler(RequestValidationError)(_wrong_request)
    return app


def _add_health(app: FastAPI, desk: Desk) -> None:
    @app.get("/healthz", summary="Whether the program answers")
    async def healthz() -> Health:
        return Health(status="ok")

    @app.get("/readyz", summary="Whether rollouts are looked at", responses=_problems(503))
    async def readyz() -> Health:
        trouble = desk.not_ready()
        if trouble:
            raise ProblemError(503, trouble, retry_after=STORE_RETRY_SECONDS)
        return Health(status="ok")


def _add_push(app: FastAPI, desk: Desk, intake: Intake) -> None:
    workers: list[CapacityLimiter] = []  # made in the loop that it belongs to

    @app.post(
        "/v1/rollouts/{rollout}/sources/{source}/observations",
        summary="Push observations",
        description="JSON Lines, or a JSON array, of at most "
        f"{BATCH} observations. Answered with 200 when they are durable (some may be refused one "
        "by one), with 422 when every one of them was refused.",
        openapi_extra={"requestBody": _request_body()},
        responses={422: {"model": Answer, "description": "Every one was refused"},
                   **_problems(400, 404, 408, 413, 415, 421, 503)},
    )  # fmt: skip
    async def push(
        request: Request,
        rollout: Annotated[str, Path(max_length=64, description="Name of the rollout")],
        source: Annotated[str, Path(max_length=64, description="Name of its push source")],
        idempotency_key: Annotated[
            str | None,
            Header(min_length=1, max_length=200,
                   description="Of this batch: sent again with the same one, it is taken once"),
        ] = None,
    ) -> Answer:  # fmt: skip
        _check_media(request)
        if not workers:
            workers.append(CapacityLimiter(WORKERS))
        async with intake.body(request) as body:
            keys = [idempotency_key] if idempotency_key else []
            work = partial(_push, desk, rollout, source, body, keys)
            pushed = await to_thread.run_sync(work, limiter=workers[0])
        answer = _answer(pushed)
        if answer.refused and not answer.accepted:
            raise _NoneAcceptedError(answer)
        return answer

    app.exception_handler(_NoneAcceptedError)(_none_accepted)


class _NoneAcceptedError(Exception):
    """Every observation of a push was refused."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("every observation was refused")
        self.answer = answer


def _push(desk: Desk, rollout: str, source: str, body: bytes, keys: list[str]) -> Pushed:
    try:
        return desk.push(rollout, source, _observations(body), keys)
    except (UnknownRollout, UnknownSource) as error:
        raise ProblemError(404, str(error)) from None
    except TooManyError as error:
        raise ProblemError(413, str(error)) from None
    except (StoreError, SourceError, PolicyBroken, CalendarError) as error:
        hint = "nothing was taken; send it again with the same Idempotency-Key"
        raise ProblemError(503, str(error), hint, retry_after=STORE_RETRY_SECONDS) from error


def _observations(body: bytes) -> list[Any] | bytes:
    """The parts of an array; lines are read one by one further on."""
    if body.lstrip()[:1] != b"[":
        return body
    try:
        found = decode(body)
    except ObservationError as error:
        hint = "send one object a line, or an array of objects"
        raise ProblemError(400, f"the body is {error}", hint) from None
    assert isinstance(found, list)
    return found


def _answer(pushed: Pushed) -> Answer:
    received, decision = pushed.received, pushed.decision
    moved = decision is not None and decision.move
    return Answer(
        accepted=received.accepted,
        refused=received.refused,
        repeated=received.repeated,
        reasons=list(received.reasons),
        contradicted=received.contradicted,
        ahead=received.ahead,
        moved_to=decision.state.name if decision is not None and moved else None,
    )


def _addressed_to_us(request: Request) -> None:
    """A page of a stranger may let its own name lead to this machine; it is not let in by it."""
    try:
        host = request.url.hostname or ""
    except ValueError:
        host = ""
    if host not in OURS:
        raise ProblemError(
            421, f"{host[:100]!r} in Host is not a name of this machine", "use 127.0.0.1"
        )


def _check_media(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in MEDIA:
        said = f"{kind[:100]!r} is not taken" if kind else "the request has no Content-Type"
        raise ProblemError(415, said, f"send `Content-Type: {LINES}`, or {ARRAY}", hang_up=True)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(415, "compressed bodies are not taken", "send it as it is", hang_up=True)


def _request_body() -> dict[str, Any]:
    observation = {
        "type": "object",
        "description": "`version`, and optionally `ts`, `id`, `key`; all else is a field",
        "properties": {
            "version": {"type": "string"},
            "ts": {"type": "string", "format": "date-time"},
            "id": {"type": "string"},
            "key": {"type": "string"},
        },
        "additionalProperties": {"type": ["number", "boolean", "string", "null"]},
    }
    return {
        "required": True,
        "content": {
            LINES: {"schema": {"type": "string"}, "example": _EXAMPLE},
            ARRAY: {"schema": {"type": "array", "items": observation, "maxItems": BATCH}},
        },
    }


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in statuses}


async def _problem(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, ProblemError)
    headers = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.hang_up:
        headers["Connection"] = "close"
    return _said(problem.status, problem.error, problem.hint, headers)


async def _http_problem(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    hint = "see /v1/openapi.json for what there is" if problem.status_code in (404, 405) else ""
    headers = dict(problem.headers or {})
    return _said(problem.status_code, str(problem.detail), hint, headers)


async def _wrong_request(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return _said(400, f"{place}: {first['msg']}", "", {"Connection": "close"})


async def _none_accepted(_request: Request, refused: Exception) -> JSONResponse:
    assert isinstance(refused, _NoneAcceptedError)
    return JSONResponse(refused.answer.model_dump(), 422)


def _said(status: int, error: str, hint: str, headers: Mapping[str, str]) -> JSONResponse:
    return JSONResponse(Problem(error=error, hint=hint).model_dump(), status, dict(headers))
