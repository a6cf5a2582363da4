"""What only the whole policy can tell: every check, in one list."""

from collections.abc import Callable, Iterator

from controller.policy.checks import metrics, references, rules, stages, traffic, wayback
from controller.policy.checks.context import Context
from controller.policy.findings import Finding

CHECKS: tuple[Callable[[Context], Iterator[Finding]], ...] = (
    references.unknown_names,
    references.names_used_twice,
    references.files_written_once,
    references.names_taken,
    references.same_version,
    metrics.fits_its_source,
    metrics.tells_versions_apart,
    metrics.aggregations,
    metrics.units,
    metrics.capitals,
    metrics.bars,
    metrics.windows_outlast_ticks,
    metrics.ranges_of_values,
    stages.one_kind_of_weight,
    stages.weights_rise,
    stages.ends_whole,
    stages.holds_cover_windows,
    stages.stages_end,
    rules.thresholds_on_ratios,
    rules.gates_say_something,
    rules.triggers_say_something,
    rules.baseline_has_work,
    rules.both_have_work,
    rules.candidate_has_work,
    traffic.samples_can_be_reached,
    wayback.way_back,
    wayback.holds_end,
    wayback.samples_are_counted,
    wayback.confirmations,
    wayback.durations_can_pass,
    wayback.freeze_windows,
    wayback.calendar,
    wayback.configurations,
    wayback.durations,
)
"""In no order that matters; findings are sorted by place."""


def check_policy(context: Context) -> tuple[Finding, ...]:
    """Everything wrong that shape and conditions alone did not show."""
    return tuple(finding for check in CHECKS for finding in check(context))
