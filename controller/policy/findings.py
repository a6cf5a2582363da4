"""What is wrong with a policy: a code, a place, and what to do about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CODES: Mapping[str, str] = {
    # The text and its YAML
    "P001": "the file cannot be read",
    "P002": "too large, too deep or too many values",
    "P003": "not UTF-8, or a character that text cannot have",
    "P004": "not YAML",
    "P005": "empty, or more than one document",
    "P006": "a YAML tag or directive",
    "P007": "an alias that contains itself",
    "P008": "a key that is written twice",
    "P009": "a YAML trap: what is written is not what is read",
    "P010": "a key without a value",
    "P011": "an environment variable that is not set, or has no place here",
    # The shape
    "P101": "an unknown key",
    "P102": "a key that is missing",
    "P103": "a value of the wrong kind",
    "P104": "a value that is not one of the choices",
    # Conditions
    "P201": "a condition that cannot be read",
    "P202": "an unknown name in a condition",
    "P203": "units that do not go together",
    "P204": "a comparison that measures nothing",
    "P205": "a chained comparison",
    "P206": "a condition that is too long or too deep",
    "P207": "a comparison with the baseline that cannot be made",
    # Names
    "P301": "a name that does not exist",
    "P302": "a name that is used twice",
    "P303": "a name that is taken",
    "P304": "baseline and candidate are the same version",
    # Stages
    "P311": "not exactly one of `weight` and `weights`, or a weight off the grid",
    "P312": "a weight that falls",
    "P313": "a last stage below 100%",
    "P314": "a `watch` stage that is not last or not at 100%",
    "P315": "a hold shorter than the window it judges",
    "P316": "a stage that waits for ever, or for nothing",
    "P317": "a deadline that does not outlast the hold",
    # Metrics
    "P321": "a metric that does not fit its source",
    "P322": "an aggregation that cannot be read",
    "P323": "a unit or capital that does not fit its metric",
    "P326": "more samples than the window looks at",
    "P324": "a bar that does not fit its metric",
    "P325": "a range that holds no value",
    # Rules that say nothing
    "P331": "a rule that can never fail",
    "P332": "a rule that can never pass",
    "P333": "a threshold above 1 on a ratio",
    "P334": "lines of a gate that exclude each other",
    "P335": "a trigger that holds on everything its gate accepts",
    "P336": "a comparison with a baseline that has no work",
    "P337": "a measurement of a candidate that has no work",
    "P338": "a sample size that the traffic cannot reach",
    "P339": "a split of the work that is not there",
    # The way back and the rest
    "P341": "a live state with no way back",
    "P342": "a hold with no way out",
    "P343": "a confirmation that cannot come",
    "P344": "a key that changes nothing",
    "P345": "a duration that must not be zero",
    "P346": "a freeze window that ends before it begins",
    "P347": "an unknown trading calendar",
    "P348": "configurations to publish that are not there",
    "P349": "a window shorter than the tick",
    # What the traffic can decide
    "P351": "a comparison that the traffic cannot decide in time",
    "P352": "a rate for each day of a calendar that is not open all day",
    "P353": "a Sharpe ratio that would take years",
    # Databases
    "P358": "a database that cannot be asked as it is written",
    # Counting
    "P361": "a `clear` that does not fit its `when`",
    "P362": "a gate that no measurement would pass",
    "P363": "a gate that is on a dry run",
    # Sources that are asked
    "P371": "a url that cannot be asked",
    "P372": "a question that cannot be read",
    "P373": "credentials that are incomplete or in the wrong place",
    "P374": "the silence of a source that nobody asks",
    # Routing
    "P381": "a key that is pinned to both versions",
    "P382": "a share that is too old before it can be renewed",
    # Targets of the share
    "P383": "a share that is finer than a target's weights",
    "P384": "a mirror that no target makes",
    "P385": "keys that no target knows",
    "P386": "a server that is named twice",
    "P387": "a socket that cannot be reached as it is written",
    "P388": "a target that may answer after its deadline",
    # Blending
    "P391": "thresholds of a blend that exclude each other",
    "P392": "a key of a blend that its mode does not read",
    "P393": "a blend that no client can read",
    "P394": "a blend that never comes",
    # Parameters
    "P395": "configurations that nothing can lead between, or nowhere to publish what is between",
    "P396": "a parameter that is not there, that is named twice, or that differs and is not named",
    "P397": "a way that a parameter's values cannot take",
    "P398": "a constraint that breaks on the way",
    "P399": "parameters that do not arrive",
    # Budgets
    "P401": "a cost that nobody adds up",
    "P402": "currencies that do not go together",
    "P403": "levels of a budget that do not rise",
    "P404": "a budget that does nothing",
    "P405": "a level of a budget that is never reached",
    "P406": "a name that a budget needs",
    # Handover
    "P411": "a handover from a process to itself",
    "P412": "a directory of the handover that something else writes to",
    "P413": "a handover where the candidate is in charge already",
    "P414": "a handover that its stage does not last for",
    "P415": "a start that does not come through the handover",
    "P416": "an agreement on a position that is closed",
    # Alerts
    "P421": "a route to an unknown channel",
    "P422": "alerts that nobody is told of",
    "P423": "a route that no alert takes",
    "P424": "an escalation, or an `else`, that reaches nobody",
    "P425": "a channel that no route uses",
    "P426": "times of a route that do not go together",
    "P427": "quiet hours that cannot be",
}
"""Every code and its title. A code keeps its meaning for good."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `line` and `column` count from 1; `excerpt`, where it helps, is
    the text around the place with a caret under it, one line each."""

    code: str
    message: str
    path: Path
    line: int
    column: int
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    excerpt: str = ""

    @property
    def title(self) -> str:
        """What the code stands for."""
        return CODES[self.code]

    @property
    def head(self) -> str:
        """Code and message; one that stops nothing says so."""
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.code} {warning}{self.message}"

    def __str__(self) -> str:
        lines = [f"{self.path}:{self.line}:{self.column}: {self.head}"]
        lines += [f"    {line}" for line in self.excerpt.splitlines()]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """`did you mean 'accuracy'?` for the closest of `known`; else `otherwise`, or all of them
    where they are few."""
    # Not needed until something is wrong.
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(word[:100], names, n=1, cutoff=0.6)
    if not close:
        lower = {name.lower(): name for name in names}
        close = [lower[word.lower()]] if word.lower() in lower else []
    if close:
        return f"did you mean {close[0]!r}?"
    if otherwise:
        return otherwise
    return f"there are: {', '.join(names[:12])}" if names else "there are none yet"
