"""A handover has two processes, a stage, the time for it, and no key that says nothing."""

from collections.abc import Iterator
from datetime import timedelta
from posixpath import normpath

from controller.policy.checks.context import WATCH, Context, deadline, duration_text, weights
from controller.policy.findings import Finding, did_you_mean
from controller.policy.handover import Handover, agrees, closes, may_ramp, span_of

HERE = ("transition", "handover")
ORDERS = "writer"
"""Name of the file in which processes read who writes."""


def has_two_processes(context: Context) -> Iterator[Finding]:
    """Each of its own name, and files of their own."""
    said, places = context.policy.transition.handover, context.places
    if said is None:
        return
    seats, where = said.processes, (*HERE, "processes")
    if seats.baseline == seats.candidate:
        message = f"{seats.candidate} cannot hand over to itself: the versions need a process each"
        hint = "name the process that runs the candidate"
        yield places.at((*where, "candidate"), "P411", message, hint)
    for side in ("baseline", "candidate"):
        if getattr(seats, side) == ORDERS:
            message = f"{ORDERS!r} is taken: {ORDERS}.json says who writes"
            yield places.at((*where, side), "P303", message, "choose another name")
    for what, place in _others(context):
        if normpath(place) == normpath(seats.directory):
            message = f"{seats.directory} is also {what}"
            hint = f"give the handover a directory of its own, such as {seats.directory}/handover"
            yield places.at((*where, "directory"), "P412", message, hint)


def _others(context: Context) -> Iterator[tuple[str, str]]:
    """What else is written to directories."""
    parameters = context.policy.transition.parameters
    if parameters is not None and parameters.acknowledge is not None:
        yield "where parameters are acknowledged", parameters.acknowledge.directory
    for name, publisher in context.policy.publish.items():
        path = getattr(publisher, "path", None)
        if isinstance(path, str):
            yield f"a file that {name} publishes", path
    for name, source in context.policy.sources.items():
        directory = getattr(source, "directory", None)
        if isinstance(directory, str):
            yield f"where {name} takes observations from", directory


def comes_to_an_end(context: Context) -> Iterator[Finding]:
    """It is in a stage before promotion, which lasts long enough, and which every start passes."""
    said, policy, places = context.policy.transition.handover, context.policy, context.places
    if said is None:
        return
    names = [stage.name for stage in policy.stages]
    number = handover_stage(context, said)
    if number is None:
        where = (*HERE, "stage")
        if said.stage is not None and said.stage not in names:
            hint = did_you_mean(said.stage, names)
            yield places.at(where, "P301", f"unknown stage {said.stage!r}", hint)
        else:
            told = "already" if said.stage is not None else "from the start"
            message = f"in {WATCH} the candidate is in charge {told}"
            hint = "name a stage before promotion"
            at = places.at if said.stage is not None else places.at_key
            yield at(where if said.stage is not None else HERE, "P413", message, hint)
        return
    stage = policy.stages[number]
    needs, has = _longest(context, said), len(weights(stage)) * deadline(stage)
    if needs > has:
        message = (
            f"the handover may take {duration_text(needs)}, and {stage.name} must be left within "
            f"{duration_text(has)}"
        )
        hint = "write a later deadline of the stage, or shorter limits of the handover"
        yield places.at_key(HERE, "P414", message, hint)
    restart = policy.rollback.restart
    if restart in names and names.index(restart) > number:
        message = f"started again from {restart}, the rollout would not come through {stage.name}"
        hint = f"write `restart: {stage.name}`, an earlier stage, or leave it out"
        yield places.at(("rollback", "restart"), "P415", message, hint)


def handover_stage(context: Context, said: Handover) -> int | None:
    """Number of the stage of the handover; None where there is none, or it cannot be there."""
    names = [stage.name for stage in context.policy.stages if stage.name != WATCH]
    if said.stage is None:
        return len(names) - 1 if names else None
    return names.index(said.stage) if said.stage in names else None


def _longest(context: Context, said: Handover) -> timedelta:
    """All its limits, one after another; the warm-up has none."""
    tick = context.policy.schedule.tick
    longest = 3 * said.processes.within
    if agrees(said):
        longest += span_of(said.within, tick)
    if closes(said):
        again = 2 if said.position.otherwise == "flatten" else 1
        longest += again * span_of(said.position.within, tick)
    return longest


def keys_are_read(context: Context) -> Iterator[Finding]:
    """Each key belongs to what is done."""
    said, places = context.policy.transition.handover, context.places
    if said is None:
        return
    if said.when == "targets_agree" and closes(said):
        message = f"with `mode: {said.position.mode}` there is no position left to agree on"
        hint = "write `when: ready`, or leave it out"
        yield places.at((*HERE, "when"), "P416", message, hint)
        return
    for name, value in (("band", said.band), ("within", said.within), ("else", said.otherwise)):
        if value is not None and not agrees(said):
            message = f"no agreement of targets is waited for, and {name} is unused"
            yield places.at_key((*HERE, name), "P344", message, "leave it out")
    if said.ramp is not None and not may_ramp(said):
        message = "nothing goes by a ramp"
        yield places.at_key((*HERE, "ramp"), "P344", message, "leave it out")
    position = said.position
    unread = []
    if position.within is not None and not closes(said):
        unread.append("within")
    if position.otherwise is not None and position.mode != "drain":
        unread.append("else")
    for name in unread:
        message = f"`mode: {position.mode}` does not read {name}"
        yield places.at_key((*HERE, "position", name), "P344", message, "leave it out")


def must_last(said: Handover | None) -> Iterator[tuple[tuple[str, ...], timedelta]]:
    """What must take some time, and where it stands."""
    if said is None:
        return
    yield (*HERE, "processes", "within"), said.processes.within
    spans = (
        (("within",), said.within), (("ramp",), said.ramp),
        (("position", "within"), said.position.within),
    )  # fmt: skip
    for where, patience in spans:
        if isinstance(patience, timedelta):
            yield (*HERE, *where), patience
