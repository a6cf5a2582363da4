"""Measurements in: one file each, one interface (`base.Source`)."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import assert_never

from controller.core.plan import MetricPlan
from controller.policy.models import Metric
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
    reach: timedelta | None = None,
) -> Source:
    """The source that a policy names. `base_dir` is where the policy lies; observations are
    stored under `ROLLOUT/NAME`, so that rollouts never share them; `reach` is how far back its
    metrics look, see `longest_window`. Raises StoreError."""
    match model:
        case PushModel():
            return _open_push(name, model, store, base_dir, stored_name(rollout, name), reach)
        case SqlModel():
            from controller.sources.sql import SqlSource

            return SqlSource(name, model, base_dir)
        case _:
            assert_never(model)


def stored_name(rollout: str, source: str) -> str:
    """Name in the store of a rollout's source."""
    return f"{rollout}/{source}"


def longest_window(metrics: Iterable[Metric | MetricPlan], source: str) -> timedelta | None:
    """How far back the metrics of a source look, by the clock; None where that cannot be told."""
    longest = timedelta(0)
    for metric in metrics:
        if metric.source == source:
            if not isinstance(metric.window, timedelta):
                return None
            longest = max(longest, metric.window)
    return longest


def _open_push(
    name: str,
    model: PushModel,
    store: Store,
    base_dir: Path,
    stored: str,
    reach: timedelta | None,
) -> Source:
    if model.directory is None:
        from controller.sources.push import PushSource

        return PushSource(name, store, stored, reach=reach)
    from controller.sources.directory import DirectorySource

    return DirectorySource(name, store, base_dir / model.directory, stored, reach=reach)
