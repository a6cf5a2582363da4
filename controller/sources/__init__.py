"""Measurements in: one file each, one interface (`base.Source`)."""

from pathlib import Path
from typing import assert_never

from controller.policy.models import PushSource as PushModel
from controller.policy.models import Source as Model
from controller.policy.models import SqlSource as SqlModel
from controller.sources.base import Source
from controller.store.base import Store


def open_source(name: str, model: Model, *, store: Store, base_dir: Path, rollout: str) -> Source:
    """The source that a policy names. `base_dir` is where the policy lies; observations are
    stored under `ROLLOUT/NAME`, so that rollouts never share them. Raises StoreError."""
    match model:
        case PushModel():
            return _open_push(name, model, store, base_dir, stored_name(rollout, name))
        case SqlModel():
            from controller.sources.sql import SqlSource

            return SqlSource(name, model, base_dir)
        case _:
            assert_never(model)


def stored_name(rollout: str, source: str) -> str:
    """Name in the store of a rollout's source."""
    return f"{rollout}/{source}"


def _open_push(name: str, model: PushModel, store: Store, base_dir: Path, stored: str) -> Source:
    if model.directory is None:
        from controller.sources.push import PushSource

        return PushSource(name, store, stored, quality=model.quality)
    from controller.sources.directory import DirectorySource

    return DirectorySource(name, store, base_dir / model.directory, stored, quality=model.quality)
