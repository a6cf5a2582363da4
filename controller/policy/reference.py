"""The reference of the policy language, made of the models, aggregations and codes themselves.

`python -m controller.policy.reference > docs/language.md` writes it anew; a test says when that is
due.
"""

import re
import sys
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from msgspec import UNSET, Struct
from msgspec.structs import FieldInfo, fields

from controller.policy.aggregation import DEFAULT_SAMPLES
from controller.policy.findings import CODES
from controller.policy.formulas import AGGREGATIONS, Formula, Gives, signature
from controller.policy.models import Policy
from controller.policy.quality import MEASURES
from controller.policy.schema import default_of, described
from controller.policy.shape import unwrap
from controller.policy.units import COUNT, RATIO, UNITS
from controller.policy.values import AggregationText, ConditionText, Name, Path, UnitText
from controller.policy.variables import ALLOWED

_BARE = {str: "text", int: "a whole number", float: "a number", bool: "`true` or `false`"}
_LINKED = (
    (ConditionText, "[a condition](#conditions)"),
    (AggregationText, "[an aggregation](#aggregations)"),
    (UnitText, "[a unit](#values)"),
    (Name, "[a name](#values)"),
    (Path, "a path"),
)

EXAMPLE = """\
rollout: fills
description: Order fills, version 1.4 to 2.0
owner: execution-desk
traffic: 6000/h
false_alarm: 0.05
correction: bonferroni

baseline: {version: fills-1.4, config: configs/fills-1.4.json}
candidate: {version: fills-2.0, config: configs/fills-2.0.json}

schedule:
  tick: 15s
  calendar: XNYS
  freeze:
    - {name: fomc, from: 2026-03-18T17:30Z, to: 2026-03-18T20:00Z}

sources:
  orders:
    type: push
    directory: inbox
    quality:
      required: [latency, pnl]
      types: {symbol: text, latency: number}
      nulls: 5%
      stale: 2m
      range: {latency: [0, 60_000]}
      window: 5m
      min_samples: 30
      weights: {empty: 0.5, nulls: 0.3, types: 0.2, stale: 0.2, time: 0.1, missing: 0.2}
  books: {type: sql, database: data/books.duckdb, tables: {fills: fills.parquet}, timeout: 5s}
  ops:
    type: prometheus
    url: "${PROMETHEUS_URL:-http://127.0.0.1:9090}"
    auth: {env: PROMETHEUS_TOKEN}
    version_label: version
    timeout: 10s
    retries: 2
    concurrency: 4
  broker:
    type: http
    url: https://broker.example/stats
    body: '{"algorithm": "$version", "since": "$since"}'
    headers: {X-Desk: execution}
    auth: {user: desk, file: secrets/broker}
  engine: {type: openmetrics, url: "http://127.0.0.1:8000/metrics",
           auth: {file: secrets/engine, header: X-Api-Key}}
  venue: {type: plugin, name: desk-venue, options: {depth: 5}}

metrics:
  filled: {source: orders, value: ratio(filled), window: 30m, min_samples: 100, better: higher}
  sharpe: {source: orders, value: sharpe(pnl), bar: 1d, window: 60 bars, capital: 1_000_000}
  slip: {source: orders, value: mean(slip), unit: bps, better: lower, dependence: 5m, sd: 4}
  latency: {source: orders, value: 'quantile(latency, 95%)', unit: ms, window: 30m, better: lower}
  loss: {source: orders, value: max_drawdown(pnl), window: rollout, max_age: 2h, capital: 1_000_000}
  spent: {source: orders, value: sum(cost), window: day, shared: by_signals, unit: USD}
  slippage:
    source: books
    query: &fills >-
      select version, avg(slippage) as value, quantile_cont(slippage, 0.99) as worst,
      count(*) as samples, max(time) as as_of
      from fills where time > $since and time <= $now group by version
    unit: bps
    dry_run: true
    description: What a fill costs against the middle of the book
  worst_slippage: {source: books, query: *fills, column: worst, unit: bps}
  errors:
    source: ops
    query: >-
      sum(rate(errors_total{version="$version"}[$window]))
      / sum(rate(requests_total{version="$version"}[$window]))
    samples: sum(increase(requests_total{version="$version"}[$window]))
    unit: ratio
    window: 10m
    better: lower
  queue: {source: ops, query: 'depth{version="$version"}', value: max(value), step: 30s}
  rejected: {source: broker, query: orders.rejected, as_of: orders.time, unit: count}
  restarts: {source: engine, query: 'restarts_total{version="$version"}', window: 10m}
  spread: {source: venue, query: spread, unit: bps}

publish:
  share: {type: file, path: live/share.json}
  config: {type: config, path: live/fills.json}
  flags: {type: flagd, path: live/flags.json}
  balancer:
    type: haproxy
    socket: /run/haproxy/admin.sock
    backend: fills
    baseline: [old-1, old-2]
    candidate: [new-1]
    timeout: 2s
  mesh:
    type: webhook
    url: https://mesh.example/rollouts
    secret: {file: secrets/mesh}
    read: {url: "https://mesh.example/rollouts/fills", share: weights.candidate, whole: 100,
           within: 0.5%, mirror: mirrored}

routing:
  layer: fills
  max_age: 5m
  pin:
    baseline: {account: [PENSION-1, PENSION-2]}
    candidate: {key: [book-007], account: [PAPER]}

stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 2h}
  - name: ramp
    weights: [5%, 25%, 50%]
    hold: 2h
    advance:
      - candidate.filled >= 85%
      - candidate.latency <= 1.2 * baseline.latency or candidate.latency <= 200ms
      - 'not_worse(slip, margin: 10% of baseline)'
      - check: 'not_worse(filled, margin: 2%)'
        confirm: 3 in a row
        unknown: {error: ignore}
    deadline: {after: 2d, then: rollback}
    approval: {by: risk, within: 8h, else: rollback}
  - name: full
    weight: 100%
    hold: 4h
    against: frozen_baseline
    advance: [candidate.filled >= 85%]
  - {name: watch, weight: 100%, hold: 5d}

triggers:
  - {name: loss, when: candidate.loss > 1%, severity: critical}
  - {name: unfilled, when: candidate.filled < 70%, severity: high, confirm: 3 of 5, min_samples: 50}
  - {name: slow, when: candidate.latency > 800ms, severity: high, for: 2m, stages: [ramp, full]}
  - name: dear
    when: candidate.slippage > 5bps
    severity: high
    confirm: 3 in a row
    labels: {team: execution}
  - name: behind
    when: candidate.latency > 500ms
    clear: candidate.latency < 300ms
    severity: medium
    escalate_after: 1h
    unknown: {no_data: {meanwhile: hold, fail_after: 10m}, error: ignore, inconclusive: reset}
  - {name: harm, when: 'worse(filled, by: 5%)', severity: high, stages: [ramp]}
  - {name: quality, when: orders.quality < 95%, severity: medium, then: alert, confirm: 3 in a row}
  - {name: split, when: not split_as_asked(orders), severity: medium, escalate_after: 10m}
  - {name: silent, when: orders.silent > 2m, severity: medium, then: hold, escalate_after: 10m}

transition:
  blend:
    mode: performance
    conflict: max_confidence
    deadband: 0.02
    band: 0.05
    hysteresis: {enter: 0.2, leave: 0.1}
    min_hold: 5m
    max_age: 30s
    missing: {baseline: hold, candidate: baseline_full, hold_for: 2m}
    limits: {baseline: 1.0, candidate: 0.5, account: 1.0}
    performance: {learning_rate: 0.15, sharing: 1%, scale: 1%, cost: 0.02%, least: 0%, most: 50%,
                  step: 5%, every: 1d}
    calibration: {worst: 0.25, samples: 200}
  parameters:
    over: 2h
    stages: [shadow]
    changes: 20
    rules:
      - {path: entry.threshold, curve: log}
      - {path: entry.offset, curve: logistic, steepness: 6, tick: 0.25}
      - {path: entry.slices, curve: steps, steps: 4}
      - {path: entry.style, switch_at: 50%}
    rest: {switch_at: 100%}
    constraints: [entry.offset < entry.limit]
    acknowledge: {directory: live/acknowledged, by: [engine, risk], within: 1m, else: rollback}
    back: {over: 10m, at_once_from: high}
  handover:
    stage: full
    processes: {directory: live/handover, baseline: engine-1, candidate: engine-3, within: 1m}
    ready: {bars: 200, decisions: 50}
    reproduce: {position: 0, risk: 0.1%}
    when: targets_agree
    band: 0.02
    within: 20 ticks
    else: ramp
    ramp: 20 ticks
    position: {mode: transfer}

budgets:
  data:
    cost: spent
    day: 8 USD
    month: 150 USD
    zone: America/New_York
    warn: 80%
    hold: 100%
    stop: 120%
    rollback: 200%
  month-end: {cost: {metric: spent}, month: 120 USD, warn: 100%}
  research: {cost: {source: orders, value: sum(gpu), shared: equally, max_age: 2h}, week: 500 USD,
             hold: 100%}

rollback:
  plan: [baseline_traffic, restore, verify]
  deadline: 30s
  verify_after: 5m
  cooldown: 1h
  restart: shadow
  lock: {after: 3, per: 1h}

alerts:
  channels:
    desk: {type: apprise, url: {file: secrets/desk}}
    phone: {type: pagerduty, key: {file: secrets/pagerduty}}
    metrics: {type: alertmanager, url: "https://alertmanager.example"}
    record: {type: webhook, url: "https://records.example/alerts", secret: {file: secrets/records}}
    head-of-risk: {type: apprise, url: {file: secrets/head-of-risk}}
  routes:
    - severity: critical
      to: [desk, phone]
      else: record
      repeat: 5m
      resolved: true
      escalate: {after: 5m, to: head-of-risk}
    - {severity: [medium, high], labels: {team: execution}, to: desk, wait: 30s, repeat: 1h}
    - {to: metrics}
  quiet: {from: "22:00", to: "07:00", zone: America/New_York, days: [mon, tue, wed, thu, fri]}
  labels: {service: fills}
"""
"""A policy in which every key of the language stands. Its parts are shown where they belong."""


_BEGIN = """# The policy language

One YAML file (YAML 1.2) is one rollout. Every key below works; one that is not here is an error,
and so is a key written twice. `rollout validate FILE` says what is wrong, where, and what to do;
[policies/policy.schema.json](../policies/policy.schema.json) lets editors complete and underline.

This page is made of the program's own definitions, and its examples are one whole policy that is
checked like any other.
"""

_VALUES = f"""## Values

| what | is written |
|---|---|
| a duration | `250ms`, `15s`, `1h30m`, `5d`: in ms, s, m, h, d, w; at most ten years |
| a window | `30m`: the last 30 minutes; `30m open`: the last 30 minutes of the calendar's open \
time, so that at 09:40 it reaches back into the session before; `last 100`: the newest 100 \
observations of a push source that carry the field, or the first of its fields; `60 bars`: the \
newest 60 of the metric's bars that are over, and what has come since; `day`, `week`, `month`: \
since it began, in UTC or, `day in America/New_York`, elsewhere; `session`, `stage`, `rollout`: \
since it began |
| a share | `5%`, `0.5%`: 0% to 100%, to a thousandth of a per cent |
| a rate | `2000/h`, `5 per s`: for each s, m, h or d of open time |
| a time | `2026-03-18T17:30Z`: date, time and zone |
| a name | `ramp-25`: a small letter, then small letters, digits, `_` and `-`; at most 64 |
| a number | `100`, `0.05`, `1_000_000` |
| a unit | {", ".join(f"`{name}`" for name in UNITS)}; a currency such as `USD`; \
`{RATIO}` is 0 to 1, `{COUNT}` a number of things |
| a variable | `${{NAME}}`, `${{NAME:-default}}`: of the environment; an unset one is an error |

Variables say where things are, never what is decided: they may stand in \
{", ".join(f"`{name}`" for name in ALLOWED)}.

What other readers of YAML take for something else is an error: a bare `no`, `12:30`, `0100`, and a
bare number where text is wanted (`version: "1.10"`). An alias (`*gate`) repeats a whole value.
"""

_MEASURES = "\n".join(f"- `SOURCE.{name}`: {words}" for name, words in MEASURES.items())

_CONDITIONS = f"""## Conditions

Lines of `advance` must all pass to go on; a trigger's `when` must not come true.

| write | for |
|---|---|
| `candidate.METRIC`, `baseline.METRIC` | the metric, measured for that version |
| `BUDGET.PERIOD.spent`, `.share`, `.elapsed`, `.burn`, `.forecast` | what is spent of it: see \
[budgets](budgets.md) |
| `SOURCE.silent` | open time since the source last said anything |
| `SOURCE.quality` and its parts | how good its data is, of a source with a [quality](#quality) |
| `85%`, `0.85`, `15bps`, `2000ms`, `2m`, `100 USD`, `1_000` | a number with its unit |
| `<` `<=` `>` `>=` `==` `!=` | one comparison; `a < b < c` is an error |
| `+` `-` `*` `/` and parentheses | reckoning with measurements and numbers |
| `and`, `or`, `not` | several conditions in one |
| `not_worse(METRIC, margin: 2%)` | the candidate is at most the margin worse than the baseline |
| `better(METRIC, by: 1%)` | the candidate is better; `by` says by how much and may be left out |
| `worse(METRIC, by: 5%)` | the candidate is worse, by more than `by`: for triggers |
| `not_worse(METRIC, margin: 10% of baseline)` | the margin is a part of the baseline |
| `better(METRIC, than: 85%)` | compared with a number; a margin may follow |
| `mann_whitney(METRIC)` | Kayenta's judge: no shift for the worse; also \
`mann_whitney(METRIC, tolerance: 25%, allowed: 10%, direction: either)` |
| `split_as_asked(SOURCE)` | the candidate gets the share of the work that was asked for |

Units must compare: time with time, money with the same currency, and plain numbers, `%` and `bps`
with each other. `not_worse`, `better` and `worse` are judged on everything since the step was
entered (since the start, where the metric's window is `rollout`), by bounds that hold at every
look, in pairs where observations of both versions share a key. They pass when the whole interval is
on the good side of the margin and fail when it is on the bad side. What each judge promises, and
how `false_alarm` is shared, is in [statistics](statistics.md). In a list in brackets, write them as
they are or in quotes: editors that know only YAML want the quotes.

A source that declares its `quality` says of its own data, as shares of what came in within the
quality's window (to a sixtieth of it):

{_MEASURES}

Usual limits are 95% for a warning and 70% for data that cannot be used. An observation that is
refused has the score 0.

What is not measured is never a pass: no data, an error, fewer than `min_samples` observations and
bounds that are still too wide leave a gate shut, and neither confirm nor clear a trigger. A rule
can say otherwise with `unknown`.
"""

_COUNTING = """## Outcomes and counting

Each check and trigger has one of five outcomes at each look. From the gravest:

| outcome | a check of a gate | a trigger |
|---|---|---|
| `fail` | its condition does not hold | its condition holds: pending, or firing |
| `error` | the source failed | the source failed |
| `no_data` | nothing was measured, or it is empty, late, NaN or infinite | the same |
| `inconclusive` | too few samples, bounds too wide, or not confirmed yet | too few samples, \
bounds too wide |
| `pass` | its condition holds, and is confirmed | its condition does not hold: quiet |

What is counted are looks at which the condition holds: they make a trigger fire and a check pass.

| what happens | `3 in a row` | `3 of 5` | `3 in total` | `for: 5m` |
|---|---|---|---|---|
| it holds | one more | one more | one more | the clock runs |
| it does not hold | from the start | one of the five | stays | from the start |
| nobody can say, and `unknown` says nothing, `hold` or `ignore` | stays | stays | stays | \
the clock stands still |
| nobody can say, and `unknown` says `reset` | from the start | from the start | from the start | \
from the start |
| nobody looked (the controller was down) | stays | stays | stays | one tick |

`for` is Prometheus's: it fires at the first look at which the condition has held at every look for
that long since it first did, and begins again when it does not hold. Where a series is absent
Prometheus begins again as well; here a look that measured nothing is as if it had not been, because
silence is no good news. `reset` is what Prometheus does. Time is open time of the calendar.

A trigger that fires goes on while its condition is confirmed; with `clear` it goes on until that
holds, whatever `when` says in between, and is then counted from the start. Where both hold, which
is an error wherever it can be proven, `when` is right. Where nobody can say, it goes on.

`unknown` says for each outcome that is no measurement what it means meanwhile, and after how long
without a measurement it is a failure: a trigger then fires, a check fails. A gate of which every
check ignores no data, or errors, is an error itself.

What reads a metric with `dry_run: true` is judged, counted and shown, marked so; it does not act,
alert or stand in the way. `rollout status` and `rollout explain` say what a trigger would have done
and when, and the journal has a line of each time it began to fire.
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_BEGIN, *_models(), _VALUES, _CONDITIONS, _COUNTING, *_tables()]
    return "\n".join(parts)


def _models() -> Iterator[str]:
    """Every model in the order in which a policy comes to them."""
    waiting, seen = [Policy], {Policy}
    while waiting:
        model = waiting.pop(0)
        yield _section(model)
        inner = [part for field in fields(model) for part in _structs(field.type)]
        fresh = [part for part in inner if part not in seen]
        seen.update(fresh)
        waiting = [*dict.fromkeys(fresh), *waiting]


def _structs(wanted: Any) -> Iterator[Any]:
    bare, _ = unwrap(wanted)
    if isinstance(bare, type) and issubclass(bare, Struct):
        yield bare
    elif get_origin(bare) is not Literal:
        for part in get_args(bare):
            yield from _structs(part)


def _section(model: type[Struct]) -> str:
    lines = [f"## {title(model)}", "", described(model), "", "| key | value | default | |"]
    lines.append("|---|---|---|---|")
    config = model.__struct_config__
    if config.tag_field:
        lines.append(f"| `{config.tag_field}` | `{config.tag}` | required | |")
    for field in fields(model):
        words = next((p.description for p in unwrap(field.type)[1] if p.description), "")
        cells = [f"`{field.encode_name}`", kind(field.type), _default(field), words]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, "", *_example(model)])


def _example(model: type[Struct]) -> Iterator[str]:
    """The part of `EXAMPLE` under the keys that hold the model; of several, the first has it."""
    head, *parts = EXAMPLE.split("\n\n")
    keys = {f.encode_name for f in fields(Policy) if model in [*_structs(f.type)][:1]}
    shown = [part for part in parts if keys & set(re.findall(r"^(\w+):", part, re.M))]
    for part in [head] if model is Policy else shown:
        yield f"```yaml\n{part.strip()}\n```\n"


def title(model: type[Struct]) -> str:
    """`PushSource` -> `Push source`."""
    name = model.__name__
    return name[0] + "".join(f" {c.lower()}" if c.isupper() else c for c in name[1:])


def kind(wanted: Any) -> str:
    """What may be written, in words."""
    bare, meta = unwrap(wanted)
    for known, words in _LINKED:
        if get_args(known)[1] in meta:
            return words
    for part in meta:
        if part.extra is not None and "kind" in part.extra:
            return str(part.extra["kind"])
    origin, arguments = get_origin(bare), get_args(bare)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        each = kind(arguments[0])
        single = any((part.extra or {}).get("single") for part in meta)
        return f"{each}; or a list of such" if single else f"a list, each {each}"
    if origin is dict:
        return f"names, each with {kind(arguments[1])}"
    if origin in (Union, UnionType):
        return " or ".join(kind(part) for part in arguments)
    if issubclass(bare, Struct):
        name = title(bare)
        link = f"[{name.lower()}](#{name.lower().replace(' ', '-')})"
        alone = getattr(bare, "shorthand", None)
        types = {field.name: field.type for field in fields(bare)}
        return f"{kind(types[alone])}, or {link}" if alone is not None else link
    return _BARE[bare]


def _default(field: FieldInfo) -> str:
    value = default_of(field)
    if field.required:
        return "required"
    if value is UNSET:
        return ""
    return f"`[{', '.join(value)}]`" if isinstance(value, tuple) else f"`{str(value).lower()}`"


def _tables() -> Iterator[str]:
    rows = "\n".join(_aggregation(name, known) for name, known in AGGREGATIONS.items())
    folding = ", ".join(f"`{name}`" for name, known in AGGREGATIONS.items() if known.folds)
    yield f"""## Aggregations

The `value` of a metric of a push source. Of a prometheus or openmetrics source it stands beside
`query`, takes one field, `value`, that of each point, and is not of both versions.

A parameter with a name may be left out, or be given by its place alone. `n` is the number of
values in the window, `x` one of them, `E` their running sum (from the capital, if there is one);
`r` is the return of a bar and `P` the number of bars in a year, as the calendar of the schedule has
them (around the clock: 365 days). What is not in the unit of its field has the unit shown. An
aggregation of several fields is of the observations that have all of them. Those with an asterisk
want {DEFAULT_SAMPLES} observations (of returns: bars, of both versions: pairs) unless `min_samples`
says else, and so does a query that tells its samples; the others are judged at the first, as a hard
limit must be.

| write | gives | formula | unit | no data |
|---|---|---|---|---|
{rows}

A return of profit and loss is what a bar brought for the equity before it, which begins at
`capital`; with `take: last` the field is a level (equity, a price), and a return is how its last
value of each bar changed. Bars that are not over, or that the window cuts, are left out; a bar
without an observation, between two that have one, brings nothing.

Of both versions, `last 20` are the newest twenty keys that both have. Of a version 100,000
observations are held one by one. Past them {folding} go on, \
[approximately](decisions/windows.md); the others need each observation of their window, and are an
error where some are no longer held.

A cost that both versions share has no version of its own: report each version's part of it, or
leave it to a budget. A ratio of two metrics is reckoned in the condition:
`candidate.cost / candidate.signals <= 5 USD`. What a source's answers mean is in
[sources.md](sources.md).
"""
    codes = "\n".join(f"| {code} | {words} |" for code, words in CODES.items())
    yield f"""## Findings

Each is told as `file:line:column: CODE message`, with a hint. A code keeps its meaning.

| code | what |
|---|---|
{codes}
"""


def _aggregation(name: str, known: Formula) -> str:
    star = "*" if known.statistical else ""
    unit = "" if known.gives is Gives.FIELD else known.gives.value
    source = f" ({known.source})" if known.source else ""
    cells = [f"`{signature(name)}`{star}", known.says, known.formula + source, unit]
    escaped = [cell.replace("|", "\\|") for cell in (*cells, known.undefined)]
    return f"| {' | '.join(escaped)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
