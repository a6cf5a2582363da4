"""Policy files while their rollouts run (rule 14).

The hash of a file's content says whether it has changed; the watcher only wakes the controller.
A clean text with safe changes takes over at the next tick. One that changes more waits for a
person (`rollout apply`), a broken one for its author; both change nothing, and people are told
once per text. A file that no rollout knows becomes a `pending` one.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread

from controller.core.effect import Severity
from controller.core.event import PolicyEdit
from controller.core.state import PENDING, ROLLED_BACK
from controller.policy.change import classify
from controller.policy.document import MAX_BYTES
from controller.policy.files import is_policy
from controller.policy.load import LoadedPolicy
from controller.run.alarms import Alarms
from controller.run.calendars import CalendarError
from controller.run.commands import register
from controller.run.plans import Plans, PolicyBroken, errors
from controller.run.unit import handle
from controller.store.base import Rollout, Store

log = logging.getLogger(__name__)

READ_ANYWAY = 60
"""Every so many looks, files are read even if nothing but their content could have changed."""
MOST_LINES = 20
"""Findings told in one alert."""
_FREE = frozenset({PENDING, ROLLED_BACK})
"""Where no work goes to the candidate, so that any clean text may take over."""

Signature = tuple[int, int, int, int]


@dataclass(slots=True)
class Watched:
    """One file: what it looked like when it was read, and the text that waits for a person."""

    signature: Signature
    digest: str
    waiting: LoadedPolicy | None = None


class Reloader:
    """Keeps the rollouts' policies in step with the files of one directory."""

    def __init__(self, store: Store, plans: Plans, alarms: Alarms, directory: Path) -> None:
        self._store = store
        self._plans = plans
        self._alarms = alarms
        self._directory = directory.absolute()
        self._files: dict[Path, Watched] = {}
        self._looks = 0
        self._by_path: dict[str, list[Rollout]] | None = None

    def look(self, now: datetime) -> list[str]:
        """Read what has changed, and let it take over where it may. Returns the rollouts that
        are new or go on under another text. Raises StoreError; the next look finds the same."""
        found = self._list(now)
        read_anyway = self._looks % READ_ANYWAY == 0
        self._looks += 1
        self._by_path = None
        changed = []
        for path, signature in sorted(found.items()):
            watched = self._files.get(path)
            if watched is None or watched.signature != signature or read_anyway:
                changed += self._read(path, signature, now)
            elif watched.waiting is not None:
                changed += self._take(watched, watched.waiting, now)
        for path in sorted(self._files.keys() - found.keys()):
            self._gone(path, now)
        return changed

    # Files --------------------------------------------------------------------------------

    def _list(self, now: datetime) -> dict[Path, Signature]:
        found = {}
        try:
            for path in self._directory.iterdir():
                if is_policy(path):
                    stat = path.stat()
                    found[path] = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
        except FileNotFoundError:
            if not self._directory.is_dir():
                self._unreadable(self._directory, "there is no such directory", now)
        except OSError as error:
            self._unreadable(self._directory, str(error.strerror), now)
        return found

    def _read(self, path: Path, signature: Signature, now: datetime) -> list[str]:
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except OSError as error:
            self._unreadable(path, str(error.strerror), now)
            return []
        digest = sha256(raw).hexdigest()
        watched = self._files.get(path)
        if watched is not None and watched.digest == digest:
            watched.signature = signature
            return []
        watched = Watched(signature, digest)
        changed: list[str] = []
        if any(row.state.policy == digest for row in self._rows_of(path)):
            self._alarms.forget(f"policy/{path}/")
        else:
            changed = self._take(watched, self._plans.read_file(path), now)
        self._files[path] = watched
        return changed

    def _rows_of(self, path: Path) -> list[Rollout]:
        """The rollouts that a file declares, as of the beginning of this look."""
        if self._by_path is None:
            self._by_path = {}
            for row in self._store.rollouts():
                self._by_path.setdefault(row.policy_path, []).append(row)
        return self._by_path.get(str(path), [])

    def _gone(self, path: Path, now: datetime) -> None:
        """The rollout goes on under the text that the store has."""
        del self._files[path]
        elsewhere = {watched.digest for watched in self._files.values()}
        for row in self._rows_of(path):
            if row.state.policy not in elsewhere:
                title = f"{row.state.rollout} goes on; its policy file is gone"
                self._tell(path, "gone", Severity.MEDIUM, title, (), now)

    # Texts --------------------------------------------------------------------------------

    def _take(self, watched: Watched, loaded: LoadedPolicy, now: datetime) -> list[str]:
        """Let a text take over where it may; otherwise say once why it does not."""
        path, digest = loaded.path, loaded.digest
        watched.waiting = None
        if loaded.policy is None or not loaded.ok:
            self._refuse(path, digest, errors(loaded), now)
            return []
        name = loaded.policy.rollout
        row = self._store.rollout(name)
        try:
            if row is None:
                register(self._store, self._plans, loaded, now)
                self._alarms.forget(f"policy/{path}/")
                log.info("%s: new, %s", name, path)
                return [name]
            if row.state.policy == digest:
                self._alarms.forget(f"policy/{path}/")
                return []
            return self._edit(watched, loaded, row, now)
        except (CalendarError, PolicyBroken) as error:
            self._refuse(path, digest, [str(error)], now)
            return []

    def _edit(
        self, watched: Watched, loaded: LoadedPolicy, row: Rollout, now: datetime
    ) -> list[str]:
        path, digest, name = loaded.path, loaded.digest, row.state.rollout
        assert loaded.policy is not None, "only clean texts come here"
        other = Path(row.policy_path)
        if other != path and other.is_file():
            words = (f"{other} declares it already: give one of them another name",)
            self._tell(path, f"{digest}/twice", Severity.HIGH, f"{name} is there twice", words, now)
            return []
        change = classify(self._plans.known(row.state.policy, now).policy, loaded.policy)
        if change.safe or row.state.name in _FREE:
            self._plans.save(loaded, now)
            edit = PolicyEdit(digest, change.words, change.published)
            handle(self._store, self._plans.plan, name, edit, now)
            self._alarms.forget(f"policy/{path}/")
            log.info("%s: goes on under an edited policy: %s", name, "; ".join(change.words))
            return [name]
        watched.waiting = loaded
        self._tell(
            path, f"{digest}/unsafe", Severity.MEDIUM,
            f"{name}: the edited policy waits for `rollout apply {name}`", change.words, now,
        )  # fmt: skip
        return []

    # Telling ------------------------------------------------------------------------------

    def _refuse(self, path: Path, digest: str, lines: list[str], now: datetime) -> None:
        names = ", ".join(row.state.rollout for row in self._rows_of(path))
        title = f"{path} is broken and changes nothing"
        if names:
            title += f"; {names} goes on under the policy before"
        if len(lines) > MOST_LINES:
            lines = [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more"]
        self._tell(path, f"{digest}/broken", Severity.HIGH, title, tuple(lines), now)

    def _unreadable(self, path: Path, words: str, now: datetime) -> None:
        self._tell(path, words, Severity.HIGH, f"{path} cannot be read", (words,), now)

    def _tell(
        self,
        path: Path,
        what: str,
        severity: Severity,
        title: str,
        words: tuple[str, ...],
        now: datetime,
    ) -> None:
        self._alarms.tell(f"policy/{path}/{what}", severity, "policy", title, words, now)


class PolicyWatch:
    """Calls `wake` when something in the directory changes, so that nobody waits for the next
    look. Without it (or where the file system does not tell) edits are found all the same."""

    def __init__(self, directory: Path, wake: Callable[[], None]) -> None:
        self._directory = directory
        self._wake = wake
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="policy-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        from watchfiles import watch

        try:
            for _ in watch(self._directory, stop_event=self._stop, raise_interrupt=False):
                self._wake()
        except OSError as error:
            log.warning(
                "%s is not watched (%s): edits are found at each tick", self._directory, error
            )
