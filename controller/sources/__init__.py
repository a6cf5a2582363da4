"""Measurements in: one file each, one interface (`base.Source`)."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import assert_never

from controller.core.measurement import DIFFERENCE, ESTIMATE, SPLIT, reference
from controller.core.plan import Plan
from controller.policy.source import HttpSource, OpenMetricsSource, PluginSource, PrometheusSource
from controller.policy.source import PushSource as PushModel
from controller.policy.source import Source as Model
from controller.policy.source import SqlSource as SqlModel
from controller.sources.base import Source
from controller.store.base import Store

UNDER_WAY = timedelta(minutes=1)
"""What comes in while a look is under way does not push out what it looks at."""


def open_source(
    name: str,
    model: Model,
    *,
    store: Store,
    base_dir: Path,
    rollout: str,
    versions: Collection[str] = (),
    reach: timedelta | None = None,
) -> Source:
    """The source that a policy names. `base_dir` is where the policy lies; observations are
    stored under `ROLLOUT/NAME`, so that rollouts never share them, and only those of `versions`
    are taken; `reach` is how far back its plan looks, see `longest_window`. Raises StoreError."""
    if not isinstance(model, PushModel):
        return open_asked(name, model, base_dir)
    stored = stored_name(rollout, name)
    if model.directory is None:
        from controller.sources.push import PushSource

        return PushSource(
            name, store, stored, versions=versions, reach=reach, quality=model.quality
        )
    from controller.sources.directory import DirectorySource

    directory = base_dir / model.directory
    return DirectorySource(
        name, store, directory, stored, versions=versions, reach=reach, quality=model.quality
    )


def open_asked(
    name: str,
    model: SqlModel | PrometheusSource | HttpSource | OpenMetricsSource | PluginSource,
    base_dir: Path,
) -> Source:
    """A source that is asked, and so needs no store."""
    match model:
        case SqlModel():
            from controller.sources.sql import SqlSource

            return SqlSource(name, model, base_dir)
        case PrometheusSource():
            from controller.sources import prometheus

            return prometheus.PrometheusSource(name, model, base_dir)
        case HttpSource():
            from controller.sources import http

            return http.HttpSource(name, model, base_dir)
        case OpenMetricsSource():
            from controller.sources import openmetrics

            return openmetrics.OpenMetricsSource(name, model, base_dir)
        case PluginSource():
            from controller.sources import plugin

            return plugin.PluginSource(name, model, base_dir)
        case _:
            assert_never(model)


def stored_name(rollout: str, source: str) -> str:
    """Name in the store of a rollout's source."""
    return f"{rollout}/{source}"


def longest_window(plan: Plan, source: str) -> timedelta | None:
    """How far back by the clock a plan looks at what a source holds one by one; None where that
    cannot be told. What is compared since a stage began is begun anew after a restart, of what is
    held then; outliers are judged by what was before the window."""
    if reference(SPLIT, source) in plan.references:
        return None
    longest = timedelta(0)
    for key, metric in plan.metrics.items():
        if metric.source != source or key != metric.name:
            continue
        grows = {reference(DIFFERENCE, key), reference(ESTIMATE, key)} & set(plan.references)
        outliers = metric.expression.lstrip().startswith("outliers")
        if not isinstance(metric.window, timedelta) or grows or outliers:
            return None
        longest = max(longest, metric.window)
    return longest + UNDER_WAY
