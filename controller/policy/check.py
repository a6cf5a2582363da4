"""What only the whole policy can tell: every check, in one list."""

from collections.abc import Callable, Iterator

from controller.policy.checks import (
    asked,
    counting,
    databases,
    metrics,
    references,
    routing,
    rules,
    sampled,
    stages,
    traffic,
    wayback,
)
from controller.policy.checks.context import Context
from controller.policy.findings import Finding

CHECKS: tuple[Callable[[Context], Iterator[Finding]], ...] = (
    references.unknown_names,
    references.names_used_twice,
    references.files_written_once,
    references.names_taken,
    references.same_version,
    databases.can_be_asked,
    metrics.parameters_are_bound,
    asked.keys_fit_the_source,
    asked.versions_are_told_apart,
    asked.questions_can_be_read,
    asked.urls_can_be_asked,
    asked.credentials,
    asked.plugins_are_installed,
    asked.silence_is_of_a_source_that_is_asked,
    sampled.samples_are_known,
    sampled.points_are_enough,
    sampled.age_can_be_seen,
    sampled.differences_have_bounds,
    metrics.aggregations,
    metrics.units,
    metrics.capitals,
    metrics.bars,
    metrics.windows_outlast_ticks,
    metrics.dependence_is_measured,
    metrics.newest_are_enough,
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
    rules.work_is_split,
    rules.both_have_work,
    rules.candidate_has_work,
    routing.pinned_one_way,
    routing.outlasts_ticks,
    traffic.samples_can_be_reached,
    counting.samples_are_counted,
    counting.confirmations,
    counting.durations_can_pass,
    counting.unknowns_mean_something,
    counting.gates_ask_something,
    counting.clears_fit,
    wayback.way_back,
    wayback.holds_end,
    wayback.freeze_windows,
    wayback.calendar,
    wayback.configurations,
    wayback.durations,
)
"""In no order that matters; findings are sorted by place."""


def check_policy(context: Context) -> tuple[Finding, ...]:
    """Everything wrong that shape and conditions alone did not show."""
    return tuple(finding for check in CHECKS for finding in check(context))
