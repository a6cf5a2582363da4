"""What a source that declares `quality` says of its own data, in conditions: SOURCE.NAME."""

from collections.abc import Iterator, Mapping

from controller.policy.models import Policy
from controller.policy.source import PushSource, Quality

MEASURES: Mapping[str, str] = {
    "quality": "mean score of what came in: 1 less the weight of each rule that it breaks",
    "bad": "share of observations that break a rule, or were refused",
    "refused": "share of observations that could not be taken in, or contradicted what was known",
    "nulls": "share of values that were null, NaN or infinite",
    "missing": "share of observations without one of the required fields or more",
    "out_of_range": "share of observations with a value outside of its range",
    "mistyped": "share of observations with a value of another type than the field's",
    "stale": "share of observations that came in later than `stale` after their event",
    "out_of_order": "share of observations with an event time before one that came in earlier",
    "duplicates": "share of observations that came in again under a known `id`, with nothing new",
}
"""Every measure: all are from 0 to 1, of the observations that came in within the window."""


def judged_sources(policy: Policy) -> Iterator[tuple[str, Quality]]:
    """The sources that declare what good data is."""
    for name, source in policy.sources.items():
        if isinstance(source, PushSource) and source.quality is not None:
            yield name, source.quality
