"""A share as whole weights of servers, for balancers that divide the work by weight."""

from collections.abc import Sequence

from controller.core.share import NONE, WHOLE, Share

Weights = tuple[int, ...]


def split(
    share: Share, baseline: Sequence[int], candidate: Sequence[int], most: int
) -> tuple[Weights, Weights]:
    """Weights of 0 to `most` for the servers of both versions, whose sums come as near to `share`
    as any can; of those that come as near the largest, so that each version's own proportions
    (`baseline`, `candidate`) are kept as well as can be. 0% and 100% are exact. Raises ValueError
    when a version that is to have work has no server."""
    if share < WHOLE and not any(baseline):
        raise ValueError("the baseline has no server")
    if share > NONE and not any(candidate):
        raise ValueError("the candidate has no server")
    if share == NONE:
        return tuple(baseline), (0,) * len(candidate)
    if share == WHOLE:
        return (0,) * len(baseline), tuple(candidate)
    most_candidate = _largest_sum(candidate, most)
    best, error = (0, 0), 1.0
    for ours in range(_largest_sum(baseline, most), 0, -1):
        wanted = round(ours * share / (WHOLE - share))
        theirs = min(max(wanted, 1), most_candidate)
        off = abs(theirs / (ours + theirs) - share / WHOLE)
        if off < error:
            best, error = (ours, theirs), off
    return _dealt(best[0], baseline), _dealt(best[1], candidate)


def share_of(baseline: int, candidate: int) -> float:
    """The candidate's part of all weight, 0 to 1; nan where there is none."""
    whole = baseline + candidate
    return candidate / whole if whole else float("nan")


def _largest_sum(proportions: Sequence[int], most: int) -> int:
    return most * sum(proportions) // max(proportions)


def _dealt(total: int, proportions: Sequence[int]) -> Weights:
    """`total` in these proportions, by largest remainder; of equal ones the first."""
    whole = sum(proportions)
    weights = [total * each // whole for each in proportions]
    left = total - sum(weights)
    by_rest = sorted(range(len(weights)), key=lambda at: -(total * proportions[at] % whole))
    for at in by_rest[:left]:
        weights[at] += 1
    return tuple(weights)
