"""What `rollout doctor` looks at, each with its state and a remedy."""

import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from controller.run.presence import Seen
    from controller.run.settings import Settings

SEEN_LATELY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Found:
    """One line."""

    what: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""


def examine(flags: Mapping[str, Any], *, tell: bool = False) -> list[Found]:
    """Everything, in the order in which it is needed. `tell`: every channel is told something."""
    from controller.run.settings import SettingsError, describe, read_settings, strays

    found = list(_program())
    try:
        settings = read_settings(flags)
        found += [
            Found(f"setting {o.name}", "ok", f"{o.value} ({o.origin})") for o in describe(flags)
        ]
        found += _strays(strays(os.environ))
    except SettingsError as error:
        found.append(Found("settings", "fail", str(error), "correct the place that it names"))
        return found
    found += _clock()
    found += _store(settings)
    found += _policies(settings, tell=tell)
    return found


def _program() -> Iterator[Found]:
    from controller import __version__

    version = platform.python_version()
    yield Found("rollout", "ok", f"{__version__} on Python {version}, {sys.platform}")
    try:
        import duckdb

        yield Found("extra sql", "ok", f"DuckDB {duckdb.__version__}")
    except ImportError:
        yield Found("extra sql", "warn", "DuckDB is not installed: no sql sources",
                    "pip install 'rollout-controller[sql]'")  # fmt: skip


def _strays(names: list[str]) -> Iterator[Found]:
    from controller.policy.findings import did_you_mean
    from controller.run.settings import PREFIX, Settings

    known = [f"{PREFIX}{field.upper()}" for field in Settings.model_fields]
    for name in names:
        yield Found(f"variable {name}", "warn", "no setting has this name, it does nothing",
                    did_you_mean(name, known, f"settings: {', '.join(known)}"))  # fmt: skip


def _clock() -> Iterator[Found]:
    wall, steady = time.time(), time.monotonic()
    drift = (time.time() - wall) - (time.monotonic() - steady)
    state: Literal["ok", "warn"] = "ok" if abs(drift) < 0.5 else "warn"
    at = datetime.now(UTC)
    yield Found("clock", state, f"{at:%Y-%m-%d %H:%M:%S} UTC, local {at.astimezone():%H:%M %Z}")


def _store(settings: "Settings") -> Iterator[Found]:
    from controller.run.presence import controllers, note
    from controller.run.settings import without_password
    from controller.store import open_store
    from controller.store.base import StoreError

    shown = without_password(settings.store)
    if not settings.store_is_there:
        place = Path(settings.store).absolute().parent
        nearest = next(p for p in (place, *place.parents) if p.exists())
        if not os.access(nearest, os.W_OK):
            yield Found("store", "fail", f"{shown}: {nearest} cannot be written",
                        "name another place: --state-dir DIR")  # fmt: skip
        else:
            yield Found("store", "ok", f"{shown}: not there yet, made at the first start")
        return
    try:
        store = open_store(settings.store, create=False)
    except StoreError as error:
        yield Found("store", "fail", str(error), "see the words above")
        return
    try:
        rows, seen = store.rollouts(), controllers(store)
        store.beat("doctor", datetime.now(UTC), note("looking"))
        yield Found("store", "ok", f"{shown}: can be written, {_rollouts(len(rows))} in it")
        yield _controller(seen)
        yield from _refusals(seen)
    except StoreError as error:
        yield Found("store", "fail", str(error), "see the words above")
    finally:
        store.close()


def _rollouts(count: int) -> str:
    return "1 rollout" if count == 1 else f"{count:,} rollouts"


def _controller(seen: "list[Seen]") -> Found:
    if not seen:
        return Found("controller", "warn", "none has been seen", "start one: rollout run")
    now, last = datetime.now(UTC), seen[0]
    at_work = [other for other in seen if other.is_at_work(now, SEEN_LATELY)]
    if not at_work:
        word = "was last seen" if last.running else "stopped"
        detail = f"{last.owner} {word} {last.at:%Y-%m-%d %H:%M:%S} UTC"
        return Found("controller", "warn", detail, "start one: rollout run")
    words = (f"{one.owner} was seen {(now - one.at).total_seconds():.0f}s ago" for one in at_work)
    return Found("controller", "ok", "; ".join(words))


def _refusals(seen: "list[Seen]") -> Iterator[Found]:
    """What running controllers could not take."""
    from controller.run.presence import refusals

    for source, told in refusals(seen).items():
        detail = f"{told.count} observations refused; the last: {told.last}"
        yield Found(f"pushed {source}", "warn", detail,
                    "correct what is sent; docs/pushing.md says what is taken")  # fmt: skip


def _policies(settings: "Settings", *, tell: bool) -> Iterator[Found]:
    from controller.policy.files import is_policy
    from controller.policy.load import load_policy

    directory = settings.policies
    if not directory.is_dir():
        yield Found("policies", "warn", f"there is no directory {directory}", "rollout init")
        return
    for path in filter(is_policy, sorted(directory.iterdir())):
        loaded = load_policy(path, os.environ)
        if loaded.policy is None or not loaded.ok:
            count = len(loaded.findings)
            yield Found(f"policy {path.name}", "fail", f"{count} findings",
                        f"rollout validate {path}")  # fmt: skip
            continue
        yield Found(f"policy {path.name}", "ok", f"rollout {loaded.policy.rollout}")
        yield from _sources(loaded.policy, path)
        yield from _targets(loaded.policy, path, settings.state_dir)
        yield from _channels(loaded.policy, path, tell=tell)


def _sources(policy: Any, path: Path) -> Iterator[Found]:
    from controller.policy.source import PushSource

    for name, model in policy.sources.items():
        what = f"source {name}"
        if not isinstance(model, PushSource):
            yield _asked(what, name, model, path)
        elif model.directory is None:
            yield Found(what, "ok", "observations come in over HTTP, or by call")
        elif (place := path.parent / model.directory).is_dir():
            yield Found(what, "ok", f"watches {place}, which is there")
        else:
            yield Found(what, "warn", f"there is no directory {place}",
                        "make it, and drop *.jsonl files into it")  # fmt: skip


def _asked(what: str, name: str, model: Any, path: Path) -> Found:
    """A source asked once."""
    from controller.sources import open_asked
    from controller.sources.base import SourceError

    try:
        source = open_asked(name, model, path.parent)
    except SourceError as error:
        return Found(what, "warn", str(error), "its metrics would all be errors")
    try:
        return Found(what, "ok", source.check())
    except SourceError as error:
        return Found(what, "warn", str(error), "the rollout would see no data")
    finally:
        source.close()


def _channels(policy: Any, path: Path, *, tell: bool) -> Iterator[Found]:
    """Every channel of the policy's alerts, asked; told something only where a person wants it."""
    from controller.core.effect import News, Notify, Severity
    from controller.effects.base import EffectError
    from controller.effects.channels import open_channels

    now = datetime.now(UTC)
    title = f"{policy.rollout}: a test by `rollout doctor --tell`; nothing has happened"
    news = News("test", "happened", Severity.LOW, "test", title, now, over=now)
    for name, channel in open_channels(policy, path.parent, "doctor").items():
        message = Notify(f"{policy.rollout}/doctor/{now:%Y%m%dT%H%M%S}", name, policy.rollout,
                         now, (news,))  # fmt: skip
        try:
            words = channel.deliver(message) if tell else channel.check()
            yield Found(f"channel {name}", "ok", words)
        except EffectError as error:
            yield Found(f"channel {name}", "fail", str(error), "alerts would not reach anybody")


def _live(name: str, policy: Any, path: Path) -> Found:
    """A target that is asked once what it serves."""
    from controller.effects import open_live, origin_of
    from controller.effects.base import EffectError

    target = open_live(name, policy.publish[name], path.parent, origin_of(policy, ""))
    try:
        return Found(f"target {name}", "ok", target.check())
    except EffectError as error:
        return Found(f"target {name}", "fail", str(error), "no share would be acknowledged")


def _targets(policy: Any, path: Path, state_dir: Path) -> Iterator[Found]:
    from controller.policy.publisher import FILE_PUBLISHERS, SHARE_PUBLISHERS

    places = {
        name: path.parent / target.path
        for name, target in policy.publish.items()
        if isinstance(target, FILE_PUBLISHERS)
    }
    for name in policy.publish.keys() - places.keys():
        yield _live(name, policy, path)
    if not any(isinstance(target, SHARE_PUBLISHERS) for target in policy.publish.values()):
        places["share"] = state_dir / "shares" / f"{policy.rollout}.json"
    for name, place in places.items():
        nearest = next(p for p in place.absolute().parents if p.exists())
        if os.access(nearest, os.W_OK):
            yield Found(f"target {name}", "ok", f"{place} can be written")
        else:
            yield Found(f"target {name}", "fail", f"{nearest} cannot be written",
                        "give the controller the right to, or publish elsewhere")  # fmt: skip
