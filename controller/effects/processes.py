"""The processes that must say with which parameters they run: a file each, in one directory."""

from collections.abc import Sequence
from pathlib import Path

from controller.effects.base import NotYet
from controller.traffic.running import LARGEST, decode


class Processes:
    """All of `names` have to acknowledge; each in `directory`/NAME.json."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        self.directory, self.names = directory, tuple(names)

    def must_run_with(self, sha256: str) -> str:
        """Words for who does. Raises NotYet, with what each of the others says."""
        late = [f"{name} {said}" for name in self.names if (said := self._says(name, sha256))]
        if late:
            raise NotYet(f"{sha256[:12]} is published, not acknowledged: {'; '.join(late)}")
        return f"{', '.join(self.names)} run{'' if len(self.names) > 1 else 's'} with it"

    def _says(self, name: str, wanted: str) -> str:
        """What a process says instead; empty where it runs with what is wanted."""
        path = self.directory / f"{name}.json"
        try:
            with path.open("rb") as file:
                said = decode(file.read(LARGEST))
        except FileNotFoundError:
            return f"says nothing in {path}"
        except OSError as error:
            return f"cannot be heard: {path}: {error.strerror or error}"
        except ValueError as error:
            return f"{error} ({path})"
        if said.process != name:
            return f"is spoken for by {said.process[:64]!r} in {path}"
        return "" if said.sha256 == wanted else f"runs with {said.sha256[:12]!r}"
