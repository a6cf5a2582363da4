"""Measurements in: one file each, one interface (`base.Source`)."""

from collections.abc import Collection
from pathlib import Path
from typing import assert_never

from controller.policy.models import PushSource as PushModel
from controller.policy.models import Source as Model
from controller.policy.models import SqlSource as SqlModel
from controller.sources.base import Source
from controller.store.base import Store


def open_source(
    name: str,
    model: Model,
    *,
    store: Store,
    base_dir: Path,
    rollout: str,
    versions: Collection[str] = (),
) -> Source:
    """The source that a policy names. `base_dir` is where the policy lies; observations are
    stored under `ROLLOUT/NAME`, so that rollouts never share them, and only those of `versions`
    are taken. Raises StoreError."""
    match model:
        case PushModel():
            stored = stored_name(rollout, name)
            if model.directory is None:
                from controller.sources.push import PushSource

                return PushSource(name, store, stored, versions=versions)
            from controller.sources.directory import DirectorySource

            directory = base_dir / model.directory
            return DirectorySource(name, store, directory, stored, versions=versions)
        case SqlModel():
            from controller.sources.sql import SqlSource

            return SqlSource(name, model, base_dir)
        case _:
            assert_never(model)


def stored_name(rollout: str, source: str) -> str:
    """Name in the store of a rollout's source."""
    return f"{rollout}/{source}"
