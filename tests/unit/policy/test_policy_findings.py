"""Every error of a policy: its code, its exact place (the mark ») and its hint."""

import pytest
from support.marked import GOOD, edited, load, only_finding

from controller.policy.findings import CODES

CASES: dict[str, tuple[str, str, str, str]] = {
    # name: (text in the good policy, what it becomes, code, words of the hint)
    "a second colon in a plain value": ("owner: desk", "owner: a»: b", "P004", "quotes"),
    "a tag": ("owner: desk", "owner: »!!str desk", "P006", "without a tag"),
    "a tag of one's own": ("owner: desk", "owner: »!python/name:os desk", "P006", "without a tag"),
    "an alias in itself": ("owner: desk", "owner: &a [»*a]", "P007", "write it out"),
    "an alias without anchor": ("owner: desk", "owner: »*desk", "P004", "anchor"),
    "a key twice": ("owner: desk", "owner: desk\n»owner: other", "P008", "keep one"),
    "a key twice in a flow": ("{tick: 30s}", "{tick: 30s, »tick: 1m}", "P008", "keep one"),
    "a second document": ("owner: desk", "owner: desk\n»---\nowner: desk", "P005", "one policy"),
    "a directive": ("rollout: signal", "%YAML 1.1\n»---\nrollout: signal", "P006", "YAML 1.2"),
    # traps
    "bare no for text": ("owner: desk", "owner: »no", "P009", '"no"'),
    "bare yes for a flag": ("mirror: true", "mirror: »yes", "P009", "true or false"),
    "bare off in capitals": ("owner: desk", "owner: »Off", "P009", '"Off"'),
    "a sexagesimal": ("tick: 30s", "tick: »12:30", "P009", "duration"),
    "a number for a version": ("candidate: v3", "candidate: »1.10", "P009", '"1.10"'),
    "an octal": ("min_samples: 100", "min_samples: »0100", "P009", "decimal"),
    "a number without end": ("capital: 1_000_000", "capital: ».inf", "P009", "finite"),
    "a key without value": ("owner: desk", "»owner:", "P010", "leave the key out"),
    "null": ("owner: desk", "»owner: null", "P010", "leave the key out"),
    # variables
    "an unset variable": ("owner: desk", "owner: »${DESK}", "P011", "${DESK:-...}"),
    "a misspelt variable": ("owner: desk", "owner: »${DESC}", "P011", "'DESK'"),
    "a variable that decides": ("hold: 2h", "hold: »'${HOLD:-2h}'", "P011", "may stand in"),
    "a broken variable": ("owner: desk", "owner: »${1}", "P011", "${NAME}"),
    # shape
    "an unknown key": ("rollback: {plan", "rollback: {»plann: 1, plan", "P101", "'plan'"),
    "a key of another place": ("tick: 30s", "tick: 30s, »weight: 5%", "P101", "keys are: tick"),
    "a merge key": ("{tick: 30s}", "{»<<: {a: b}, tick: 30s}", "P101", "merge"),
    "a missing key of a list entry": ("name: loss, when", "when", "P102", "add `name:`"),
    "a missing type": ("{type: push}", "{directory: inbox}", "P102", "push, sql"),
    "a wrong type": ("{type: push}", "{type: »pusch}", "P104", "'push'"),
    "a wrong choice": ("severity: critical", "severity: »critcal", "P104", "'critical'"),
    "a duration without unit": ("tick: 30s", "tick: »30", "P103", "15s"),
    "a duration too long": ("tick: 30s", "tick: »9999999w", "P103", "shorter"),
    "a weight without per cent": ("weight: 5%", "weight: »5", "P103", "5%"),
    "a weight above the whole": ("weight: 5%", "weight: »105%", "P103", "0% to 100%"),
    "text for a number": ("min_samples: 100", "min_samples: »many", "P103", "quotes"),
    "a broken number": ("min_samples: 100", "min_samples: »1e3", "P103", ""),
    "a negative number": ("min_samples: 100", "min_samples: »-1", "P103", "at least 0"),
    "a list for text": ("owner: desk", "owner: »[desk]", "P103", "quotes"),
    "text for a list": ("restart: canary}", "restart: canary, »lock: 3}", "P103", ""),
    "a name in capitals": ("name: loss,", "name: »Loss,", "P103", "small letter"),
    "a metric's name in capitals": ("  pnl:", "  »PnL:", "P103", ""),
    "an empty list": ("weights: [25%, 50%]", "weights: »[]", "P103", ""),
    "a confirmation in other words": ("3 of 5", "»3/5", "P103", "3 of 5"),
    # conditions
    "a broken condition": (
        "when: candidate.drawdown > 1%", "when: candidate.drawdown >»", "P201", "candidate.METRIC",
    ),
    "an unknown metric": ("when: candidate.drawdown", "when: candidate.»drawdwn", "P202",
                          "'drawdown'"),
    "an unknown version": ("when: candidate.drawdown", "when: »candidat.drawdown", "P202",
                           "'candidate'"),
    "an unknown source": ("when: signals.silent", "when: »signal.silent", "P202", "'signals'"),
    "milliseconds and per cent": ("candidate.latency <= 2000ms", "candidate.latency »<= 5%",
                                  "P203", "200ms"),
    "an unknown unit": ("<= 2000ms", "<= »2000msec", "P203", "'ms'"),
    "a condition deep in a quoted text": (
        "- candidate.latency <= 2000ms", '- "candidate.latency <= 1s and »latency > 1"', "P202",
        "candidate.latency",
    ),
    "a condition in a block": (
        "- candidate.latency <= 2000ms", "- >-\n          candidate.latency <= 1s\n"
        "          and »latency > 1", "P202", "candidate.latency",
    ),
    "two numbers": ("when: candidate.drawdown > 1%", "when: »2 > 1", "P204", "one side"),
    "a chain": ("when: candidate.drawdown > 1%", "when: 0 < candidate.drawdown »< 1", "P205",
                "and candidate.drawdown < ..."),
    # routing
    "a key pinned both ways": (
        "owner: desk", "owner: desk\nrouting: {pin: {baseline: {account: [A1, A2]}, "
        "candidate: {account: [A3, »A2]}}}", "P381", "one of them",
    ),
    "a share too old before the next ticks": (
        "owner: desk", "owner: desk\nrouting: {max_age: »1m}", "P382", "1m30s",
    ),
    "an age of nothing": ("owner: desk", "owner: desk\nrouting: {max_age: »0s}", "P345", "30s"),
    "a pin of a number": (
        "owner: desk", "owner: desk\nrouting: {pin: {baseline: {account: [»17]}}}", "P009", '"17"',
    ),
    "an attribute that is no name": (
        "owner: desk", "owner: desk\nrouting: {pin: {baseline: {»a-b: [A1]}}}", "P103", "a letter",
    ),
    "a pin to a third version": ("owner: desk", "owner: desk\nrouting: {pin: {»other: {key: [a]}}}",
                                 "P101", "baseline"),
    "a layer in capitals": ("owner: desk", "owner: desk\nrouting: {layer: »NQ}", "P103", "small"),
    "two publishers of one flag file": (
        "owner: desk", "owner: desk\npublish: {a: {type: flagd, path: f.json}, "
        "b: {type: file, path: »./f.json}}", "P302", "place of its own",
    ),
    # names
    "a metric of no source": ("accuracy: {source: signals", "accuracy: {source: »signal", "P301",
                              "'signals'"),
    "a trigger of no stage": ("severity: high,", "severity: high, stages: [»canari],", "P301",
                              "'canary'"),
    "a restart at no stage": ("restart: canary", "restart: »canry", "P301", "'canary'"),
    "a restart at watch": ("restart: canary", "restart: »watch", "P314", "before promotion"),
    "a stage twice": ("name: ramp", "name: »canary-1, description: x", "P101", ""),
    "a trigger twice": ("name: silent", "name: »errors", "P302", "rename"),
    "a step twice": ("name: shadow", "name: ramp-25", "P302", "rename"),
    "a stage with a taken name": ("name: shadow", "name: »locked", "P303", "another name"),
    "the same version": ("candidate: v3", "candidate: »v1", "P304", "rolled out"),
    # stages
    "weight and weights": ("weights: [25%", "weight: 25%, »weights: [25%", "P311", "keep one"),
    "no weight": ("ramp, weights: [25%, 50%], ", "ramp, ", "P311", "weight: 5%"),
    "a weight off the grid": ("weight: 5%", "weight: »5.0001%", "P311", "5%"),
    "a weight that falls": ("weights: [25%", "weights: [»4%", "P312", "rise"),
    "a weight that falls in a ramp": ("[25%, 50%]", "[25%, »20%]", "P312", "rise"),
    "a weight twice in a ramp": ("[25%, 50%]", "[25%, »25%]", "P312", "rise"),
    "an end below the whole": ("name: watch, weight: 100%", "name: last, weight: »90%", "P313",
                               "100%"),
    "watch not at the end": (
        "{name: watch, weight: 100%, hold: 2h, against: frozen_baseline}",
        "{name: »watch, weight: 100%, hold: 2h}\n  - {name: full, weight: 100%, hold: 2h}",
        "P314",
        "last",
    ),
    "a hold shorter than its window": ("hold: 30m", "hold: »4m", "P315", "hold: 5m"),
    "no hold for a window": ("hold: 1h, advance", "deadline: {after: 1h}, advance", "P315",
                             "hold: 5m"),
    "a deadline before the hold is over": ("after: 6h", "after: »20m", "P317", "after: 1h30m"),
    "a deadline as long as the hold": ("after: 6h", "after: »30m", "P317", "after: 1h30m"),
    # metrics
    "a push metric without value": ("value: mean(ms), ", "", "P321", "value: mean"),
    "a push metric with a query": ("value: mean(ms),", "value: mean(ms), »query: x,", "P321",
                                   "leave it out"),
    "a push metric with a column": ("value: mean(ms),", "value: mean(ms), »column: p95,", "P321",
                                    "leave it out"),
    "a column in capitals": ("where v = $version\"", "where v = $version\", column: »P95", "P103",
                             "small letters"),
    "a parameter in quotes": ("query: \"select pnl as value from t where v = $version\"",
                              "query: »\"select pnl as value from t where v = '$version'\"", "P321",
                              "without quotes"),
    "a database of another kind": ("tables: {t: t.csv}", "database: »mysql://host/ops", "P358",
                                   "postgresql://"),
    "a password in the text": ("tables: {t: t.csv}",
                               "database: »postgresql://kim:secret@host/ops", "P358", "variable"),
    "a password among the options": ("tables: {t: t.csv}",
                                     "database: »postgresql://host/ops?password=x", "P358",
                                     "variable"),
    "files beside a server": ("tables: {t: t.csv}",
                              "database: postgresql://host/ops, »tables: {t: t.csv}", "P358",
                              "source of its own"),
    "an unknown aggregation": ("value: mean(ms)", "value: »meen(ms)", "P322", "'mean'"),
    "a quantile by its nickname": ("value: mean(ms)", "value: »p95(ms)", "P322",
                                   "quantile(ms, 95%)"),
    "a quantile beyond": ("value: mean(ms)", "value: »quantile(ms, 200%)", "P322",
                          "quantile(ms, 95%)"),
    "an unknown unit of a metric": ("unit: USD", "unit: »usd", "P323", "USD"),
    "a unit of a ratio": ("value: ratio(correct),", "value: ratio(correct), unit: »s,", "P323",
                          "leave the unit out"),
    "a capital without drawdown": ("value: mean(ms),", "value: mean(ms), »capital: 5,", "P323",
                                   "max_drawdown"),
    "two fields too few": ("mean(ms)", "»'hit_rate(ms)'", "P322", "hit_rate(SIGNAL, OUTCOME"),
    "an unknown parameter": ("mean(ms)", "»'ewma(ms, half: 5m)'", "P322", "half_life"),
    "a half-life of nothing": ("mean(ms)", "»'ewma(ms, 0s)'", "P322", "ewma(ms, 5m)"),
    "a range upside down": ("mean(ms)", "»'out_of_range(ms, 9, 1)'", "P322", "exchange"),
    "a unit of a plain number": (
        "value: mean(ms), unit: ms", "value: profit_factor(ms), unit: »ms", "P323", "leave",
    ),
    "an age in money": (
        "value: mean(ms), unit: ms", "value: staleness(ms), unit: »USD", "P323", "leave",
    ),
    "profit and loss without a capital": (
        "max_drawdown(pnl), window: rollout, capital: 1_000_000",
        "»sharpe(pnl), window: 60 bars, bar: 1d", "P323", "take: last",
    ),
    "a capital for a level": (
        "max_drawdown(pnl), window: rollout, capital", "'sharpe(pnl, last)', window: 60 bars, "
        "bar: 1d, »capital", "P323", "take: last",
    ),
    "returns without a bar": (
        "max_drawdown(pnl), window: rollout", "»sharpe(pnl), window: rollout", "P324", "bar: 1d",
    ),
    "a window of bars without a bar": (
        "max_drawdown(pnl), window: rollout", "max_drawdown(pnl), window: »60 bars", "P324",
        "bar: 1d",
    ),
    "a bar for nothing": (
        "max_drawdown(pnl), window: rollout", "max_drawdown(pnl), window: rollout, »bar: 1d",
        "P324", "60 bars",
    ),
    "a bar of two days": (
        "max_drawdown(pnl), window: rollout", "sharpe(pnl), window: rollout, bar: »2d", "P324",
        "1d",
    ),
    "a bar shorter than the tick": (
        "max_drawdown(pnl), window: rollout", "sharpe(pnl), window: rollout, bar: »10s", "P349",
        "30s",
    ),
    "fewer bars than samples": (
        "max_drawdown(pnl), window: rollout", "sharpe(pnl), window: »20 bars, bar: 1d", "P338",
        "`min_samples: 20`",
    ),
    "a number of bars in other words": (
        "max_drawdown(pnl), window: rollout", "max_drawdown(pnl), window: »60bars", "P103",
        "60 bars",
    ),
    "both versions where one has no work": (
        "hold: 2h, against: frozen_baseline", "hold: 2h, against: frozen_baseline, "
        "advance: [»candidate.accord > 70%]", "P336", "leave the line out",
    ),
    "a guard of both versions at 100%": (
        "when: signals.silent > 2m", "when: »candidate.accord < 70%", "P336", "stages",
    ),
    "a range from high to low": (
        "signals: {type: push}", "signals: {type: push, quality: {range: {price: »[9, 1]}}}",
        "P325", "[low, high]",
    ),
    "a range of one number": (
        "signals: {type: push}", "signals: {type: push, quality: {range: {price: »[9]}}}",
        "P103", "",
    ),
    "a weight above the whole score": (
        "signals: {type: push}", "signals: {type: push, quality: {weights: {nulls: »2}}}",
        "P103", "",
    ),
    "a field that no field is called": (
        "signals: {type: push}", "signals: {type: push, quality: {required: [»vol-oi]}}",
        "P103", "letter",
    ),
    "quality of no time": (
        "signals: {type: push}", "signals: {type: push, quality: {window: »0s}}", "P345", "30s",
    ),
    "quality between two looks": (
        "signals: {type: push}", "signals: {type: push, quality: {window: »10s}}", "P349", "30s",
    ),
    "a quality that nobody declared": (
        "when: signals.silent > 2m", "when: »signals.quality < 95%", "P202", "quality: {required",
    ),
    "a measure that no source has": (
        "when: signals.silent > 2m", "when: »signals.qualty < 95%", "P202", "'quality'",
    ),
    "a capital with a unit": ("capital: 1_000_000", "capital: 1_000_000, unit: »USD", "P323",
                              "leave the unit out"),
    # rules
    "a line that never fails": ("- candidate.latency <= 2000ms", "- »candidate.accuracy >= 0",
                                "P331", "0 to 1"),
    "a line that never passes": ("- candidate.latency <= 2000ms", "- »candidate.accuracy > 1",
                                 "P332", "0 to 1"),
    "a difference that never passes": (
        "- candidate.latency <= 2000ms",
        "- »candidate.accuracy - baseline.accuracy > 1.5", "P332", "0 to 1",
    ),
    "a margin that never fails": ("- candidate.latency <= 2000ms",
                                  "- »not_worse(accuracy, margin: 100%)", "P331", "-1 to 1"),
    "a number that is always passed": ("- candidate.latency <= 2000ms",
                                       "- »not_worse(accuracy, than: 5%, margin: 10%)", "P331",
                                       "0 to 1"),
    "a number above one": ("- candidate.latency <= 2000ms",
                           "- better(accuracy, than: »85)", "P333", "85%"),
    "a split of mirrored work": ("hold: 10m", "hold: 10m\n    advance: [»split_as_asked(signals)]",
                                 "P339", "below 100%"),
    "a split of all the work": (
        "hold: 2h, against: frozen_baseline}",
        "hold: 2h, against: frozen_baseline, advance: [»split_as_asked(signals)]}",
        "P339", "below 100%",
    ),
    "a trigger on a split that is not there": (
        "severity: critical}",
        "severity: critical}\n  - {name: s, when: not split_as_asked(signals), severity: high,"
        " stages: [canary, »watch]}",
        "P339", "below 100%",
    ),
    "a dependence of a query": ("unit: USD}", "unit: USD, »dependence: 5m}", "P344", "leave"),
    "a dependence of nothing compared": (
        "unit: ms, window: 5m", "unit: ms, »dependence: independent, window: 5m", "P344",
        "not_worse(latency",
    ),
    "a dependence in other words": ("unit: ms, window: 5m", "unit: ms, dependence: »some", "P103",
                                    "hac"),
    "a correction in other words": ("owner: desk", "owner: desk\ncorrection: »holm", "P104",
                                    "bonferroni"),
    "a trigger that never comes": ("when: candidate.drawdown > 1%",
                                   "when: »candidate.drawdown < 0", "P331", "not below 0"),
    "a trigger that is always there": ("when: signals.silent > 2m", "when: »signals.silent >= 0s",
                                       "P332", "not below 0"),
    "a threshold above one": (
        "candidate.accuracy < 50%", "candidate.accuracy < »85", "P333", "85%",
    ),
    "lines that exclude each other": ("- candidate.latency <= 2000ms",
                                      "- »candidate.accuracy < 80%", "P334", "move"),
    "a trigger that its gate sets off": ("when: candidate.accuracy < 50%",
                                         "when: »candidate.accuracy > 80%", "P335", "beyond"),
    "a live baseline at the whole": (
        "weight: 100%, hold: 2h, against: frozen_baseline",
        "weight: 100%, hold: 2h, advance: [»candidate.accuracy >= baseline.accuracy]",
        "P336", "frozen_baseline",
    ),
    "a trigger on a baseline without work": (
        "{name: watch, weight: 100%, hold: 2h, against: frozen_baseline}\ntriggers:\n",
        "{name: watch, weight: 100%, hold: 2h}\ntriggers:\n"
        "  - {name: worse, when: »candidate.accuracy < baseline.accuracy, severity: low}\n",
        "P336", "`stages:`",
    ),
    "an idle candidate": ("mirror: true\n    hold: 10m",
                          "hold: 10m\n    advance: [»candidate.accuracy > 80%]", "P337", "mirror"),
    "a baseline that froze at the whole": (
        "  - {name: watch, weight: 100%, hold: 2h, against: frozen_baseline}",
        "  - {name: full, weight: 100%, hold: 1h}\n  - {name: watch, weight: 100%, hold: 2h, "
        "against: frozen_baseline, advance: [»candidate.accuracy >= baseline.accuracy]}",
        "P336", "frozen_baseline",
    ),
    "a duration that no stage lasts": (
        "confirm: 3 of 5", "stages: [canary], for: »6h", "P343", "shorter",
    ),
    # the way back
    "a way back that does not begin with traffic": (
        "[baseline_traffic, restore, verify]", "[»restore, baseline_traffic, verify]", "P341",
        "baseline_traffic",
    ),
    "a way back that nobody verifies": (
        "[baseline_traffic, restore, verify]", "[baseline_traffic, »restore]", "P341", "verify",
    ),
    "a way back with a step twice": (
        "[baseline_traffic, restore, verify]", "[baseline_traffic, »baseline_traffic, verify]",
        "P341", "keep one",
    ),
    "a hold without end": ("then: hold, escalate_after: 10m", "then: »hold", "P342",
                           "escalate_after"),
    "a hold by severity without end": ("severity: medium, then: hold, escalate_after: 10m",
                                       "severity: »medium", "P342", "escalate_after"),
    "a confirmation that cannot come": ("3 of 5", "»5 of 3", "P343", "3 of 5"),
    "a confirmation by nothing": ("3 of 5", "»0 in a row", "P343", "at least 1"),
    "a confirmation of too many": ("3 of 5", "»3 of 5000", "P343", "1000"),
    "an escalation without hold": ("confirm: 3 of 5", "»escalate_after: 5m", "P344", "then: hold"),
    "samples of silence": ("then: hold, ", "then: hold, »min_samples: 5, ", "P344", "leave"),
    "a tick of nothing": ("tick: 30s", "tick: »0s", "P345", "30s"),
    "a freeze that ends first": (
        "{tick: 30s}",
        "{tick: 30s, freeze: [{name: fomc, from: 2026-03-18T20:00Z, to: »2026-03-18T17:30Z}]}",
        "P346", "exchange",
    ),
    "a freeze without zone": (
        "{tick: 30s}",
        "{tick: 30s, freeze: [{name: f, from: »2026-03-18T20:00, to: 2026-03-18T21:30Z}]}",
        "P103", "zone",
    ),
    "an unknown calendar": ("tick: 30s", "tick: 30s, calendar: »XNYX", "P347", "'XNYS'"),
    "a window of open time shorter than the tick": (
        "unit: ms, window: 5m", "unit: ms, window: »10s open", "P349", "window: 30s open",
    ),
    "a hold shorter than a window of open time": (
        "hold: 30m\n    advance:\n      - candidate.accuracy >= 85%",
        "hold: »30m\n    advance:\n      - candidate.slow <= 9s", "P315", "hold: 1h",
    ),
    "no window": ("unit: ms, window: 5m", "unit: ms, window: »5m opened", "P103", "30m open"),
    "a window of nothing": ("unit: ms, window: 5m", "unit: ms, window: »last 0", "P103",
                            "last 100"),
    "a window of open time of nothing": ("unit: ms, window: 5m", "unit: ms, window: »0s open",
                                         "P345", ""),
    "a window of too many": ("unit: ms, window: 5m", "unit: ms, window: »last 100_001", "P103",
                             "last 100000"),
    "more samples than the window looks at": (
        "window: 5m, min_samples: 100", "window: »last 50, min_samples: 100", "P326", "last 100",
    ),
    "more samples of a trigger than the window looks at": (
        "severity: high, confirm: 3 of 5}",
        "severity: high, confirm: 3 of 5}\n"
        "  - {name: recent, when: candidate.recent < 1, severity: high, min_samples: »60}",
        "P326", "min_samples: 50",
    ),
    "a query over the newest so many": ("unit: USD}", "unit: USD, window: »last 50}", "P321",
                                        "limit"),
    "more samples by default than the window looks at": (
        "unit: ms, window: 5m", "unit: ms, window: »last 20", "P326", "min_samples: 20",
    ),
    "a window shorter than the tick": ("unit: ms, window: 5m", "unit: ms, window: »10s", "P349",
                                       "window: 30s"),
    # counting
    "a check confirmed by nothing": (
        "      - candidate.latency <= 2000ms",
        "      - {check: candidate.latency <= 2000ms, confirm: »0 in a row}", "P343", "at least 1",
    ),
    "a check confirmed too late": (
        "      - candidate.latency <= 2000ms",
        "      - {check: candidate.latency <= 2000ms, confirm: »721 in a row}", "P343", "deadline",
    ),
    "a broken condition in keys": (
        "      - candidate.latency <= 2000ms", "      - {check: »candidat.latency <= 2000ms}",
        "P202", "'candidate'",
    ),
    "a threshold in keys": (
        "[candidate.accuracy >= 85%]", "[{check: candidate.accuracy >= »85}]", "P333", "85%?",
    ),
    "a line of a gate without condition": (
        "      - candidate.latency <= 2000ms", "      - »{confirm: 3 in a row}", "P102", "check",
    ),
    "an outcome that means nothing": (
        "confirm: 3 of 5", "confirm: 3 of 5, unknown: {no_data: »hodl}", "P104", "'hold'",
    ),
    "an outcome of another name": (
        "confirm: 3 of 5", "confirm: 3 of 5, unknown: {»nodata: hold}", "P101", "'no_data'",
    ),
    "nothing said of the unknown": (
        "confirm: 3 of 5", "confirm: 3 of 5, »unknown: {}", "P344", "no_data",
    ),
    "a failure at once": (
        "confirm: 3 of 5", "confirm: 3 of 5, unknown: {error: {fail_after: »0s}}", "P345", "30s",
    ),
    "a failure that no stage lasts": (
        "confirm: 3 of 5", "stages: [canary], unknown: {error: {fail_after: »6h}}", "P343",
        "shorter",
    ),
    "a failure of a check that its stage does not last": (
        "      - candidate.latency <= 2000ms",
        "      - {check: candidate.latency <= 2000ms, unknown: {error: {fail_after: »6h}}}",
        "P343", "shorter",
    ),
    "an alert that is ignored": (
        "severity: high, confirm: 3 of 5", "severity: low, unknown: {error: »ignore}", "P344",
        "leave",
    ),
    "nothing to forget": ("confirm: 3 of 5", "unknown: {error: »reset}", "P344", "leave"),
    "nothing to forget of a check": (
        "      - candidate.latency <= 2000ms",
        "      - {check: candidate.latency <= 2000ms, unknown: {error: »reset}}", "P344",
        "3 in a row",
    ),
    "a gate that no data passes": (
        "advance: [candidate.accuracy >= 85%]",
        "»advance: [{check: candidate.accuracy >= 85%, unknown: {no_data: ignore}}]", "P362",
        "no_data: ignore",
    ),
    "a gate that errors pass": (
        "advance: [candidate.accuracy >= 85%]",
        "»advance: [{check: candidate.accuracy >= 85%, unknown: {error: ignore}}]", "P362",
        "error: ignore",
    ),
    "a gate on a dry run": (
        "value: agreement(signal), window: 5m}\nstages:",
        "value: agreement(signal), window: 5m}\n  trial: {source: signals, value: mean(x), "
        "window: 5m, dry_run: true}\nstages:", "P363", "dry_run",
    ),
    "a level to leave of another metric": (
        "when: signals.silent > 2m", "when: signals.silent > 2m, clear: »candidate.latency < 1s",
        "P361", "`when` reads",
    ),
    "a level to leave above the one to enter": (
        "when: signals.silent > 2m", "when: signals.silent > 2m, clear: »signals.silent < 121s",
        "P361", "a gap between this and signals.silent > 2m",
    ),
    "a level that is never left": (
        "when: signals.silent > 2m", "when: signals.silent > 2m, clear: »signals.silent < 0s",
        "P361", "can be crossed",
    ),
    "a level that says no more": (
        "when: signals.silent > 2m", "when: signals.silent > 2m, »clear: signals.silent <= 2m",
        "P344", "further away",
    ),
    "a level to leave what has rolled back": (
        "when: candidate.drawdown > 1%",
        "when: candidate.drawdown > 1%, »clear: candidate.drawdown < 0.5%", "P344", "then: hold",
    ),
    "a level to leave that cannot be read": (
        "when: signals.silent > 2m", "when: signals.silent > 2m, clear: »signal.silent < 1m",
        "P202", "'signals'",
    ),
    "a configuration nobody has": (
        "candidate: v3", "candidate: »v3\npublish: {c: {type: config, path: x.json}}", "P348",
        "config: FILE",
    ),
}  # fmt: skip
UNMARKED = {
    # The place is the key or entry above: where the mark goes is said here.
    "a missing key of a list entry": ("  - {when: candidate", "  - »{when: candidate"),
    "a missing type": ("  signals: {directory", "  »signals: {directory"),
    "a step twice": ("name: ramp, ", "name: »ramp, "),
    "no weight": ("- {name: ramp", "- »{name: ramp"),
    "no hold for a window": ("- {name: ramp", "- »{name: ramp"),
    "a push metric without value": ("  latency: {", "  »latency: {"),
    "a stage twice": ("name: »canary-1, description", "name: canary-1, »description"),
    "text for a list": ("»lock: 3", "lock: »3"),
    "a gate on a dry run": (
        "advance: [candidate.accuracy >= 85%]",
        "»advance: [candidate.trial >= 5]",
    ),
}
BASELINE_CONFIG = ("baseline: v1", "baseline: {version: v1, config: a.json}")


@pytest.mark.parametrize("name", CASES)
def test_each_error_has_its_code_its_place_and_a_hint(name: str) -> None:
    old, new, code, hint = CASES[name]
    text = edited(old, new)
    if name in UNMARKED:
        text = text.replace(*UNMARKED[name])
    if code == "P348":
        text = text.replace(*BASELINE_CONFIG)

    finding, place = only_finding(text, **({"DESK": "x"} if "misspelt" in name else {}))

    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert hint in finding.hint
    assert str(finding).startswith(f"policy.yaml:{place.line}:{place.column}: {code} ")


def test_the_policy_that_the_cases_change_is_clean() -> None:
    loaded = load(GOOD)

    assert loaded.ok and not loaded.findings, [str(finding) for finding in loaded.findings]


@pytest.mark.parametrize(
    ("condition", "code", "hint"),
    [
        ("»candidate.accuracy >= 0." + "0" * 480 + "1", "P206", "at most 500"),
        ("(" * 20 + "»(candidate.accuracy > 0.9" + ")" * 21, "P206", "split"),
        ("not_worse(accuracy»)", "P207", "margin: 2%"),
        ("not_worse(»drawdown, margin: 1%)", "P207", "better: higher"),
        ("not_worse(»candidate.accuracy, margin: 1%)", "P207", "only the metric"),
        ("not_worse(accuracy, margin: »-1%)", "P207", "without minus"),
        ("not_worse(latency, margin: »2%)", "P203", "200ms"),
        ("»wors(accuracy, margin: 2%)", "P202", "'worse'"),
        ("worse(accuracy, »margin: 2%)", "P201", "by: 2%"),
        ("better(accuracy, by: 2%, »by: 1%)", "P201", "twice"),
        ("better(accuracy, by: 5% of »candidate)", "P201", "10% of baseline"),
        ("better(latency, by: »5ms of baseline)", "P203", "like"),
        ("better(latency, by: »100% of baseline)", "P207", "less than 100%"),
        ("better(latency, by: »0% of baseline)", "P207", "leave it out"),
        ("better(accuracy, by: 5% »of baseline, than: 85%)", "P207", "in the metric's unit"),
        ("better(latency, than: »85%)", "P203", "200ms"),
        ("mann_whitney(»drawdown)", "P207", "push source"),
        ("mann_whitney(latency, direction: »up)", "P207", "increase"),
        ("mann_whitney(latency, tolerance: »-5%)", "P207", "without minus"),
        ("mann_whitney(latency, tolerance: »5ms)", "P203", "25%"),
        ("mann_whitney(latency, allowed: »5ms)", "P203", "25%"),
        ("mann_whitney(latency, allowed: 5%, »allowed: 6%)", "P201", "mann_whitney("),
        ("split_as_asked(»files)", "P207", "type: push"),
        ("»accuracy >= 85%", "P202", "candidate.accuracy"),
        ("»signals > 2m", "P202", "signals.silent"),
        ("»signals.accuracy > 2m", "P202", "signals.silent"),
        ("candidate.»accuracy-0 >= 85%", "P202", "spaces around"),
        ("candidate.accuracy »= 85%", "P201", "=="),
        ("candidate.accuracy > 85% »&& candidate.accuracy < 1", "P201", "and"),
        ("candidate.accuracy > 85% »AND candidate.accuracy < 1", "P201", "'and'"),
        ("»candidate.accuracy", "P201", "compare it"),
        ("candidate.pnl »> 5", "P203", "100 USD"),
        ("candidate.pnl »> 5 EUR", "P203", "100 USD"),
        ("candidate.latency »* candidate.latency > 1s", "P203", "plain"),
        ("candidate.accuracy / »0 > 1", "P204", ""),
        ("»candidate.accuracy > candidate.accuracy", "P204", "limit"),
        ("candidate.accuracy > »0.9min", "P203", "'m'"),
        ("(»candidate.accuracy > 0.9) > 1", "P201", "and"),
    ],
)
def test_an_error_in_a_condition_points_into_it(condition: str, code: str, hint: str) -> None:
    text = edited("      - candidate.latency <= 2000ms\n", f'      - "{condition}"\n')

    finding, place = only_finding(text)

    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert hint in finding.hint
    line, caret = finding.excerpt.split("\n")
    assert line[len(caret) - 1 :][:10] == condition.partition("»")[2][:10]


def test_a_gate_that_could_wait_for_ever_is_an_error() -> None:
    text = GOOD.replace("value: ratio(correct), window: 5m", "value: ratio(correct), window: stage")
    text = text.replace("hold: 1h, advance:", "»advance:")

    finding, place = only_finding(text)

    assert (finding.code, finding.line, finding.column) == ("P316", place.line, place.column)
    assert "deadline" in finding.hint


CONFIGS = {
    "baseline: v1": "baseline: {version: v1, config: live/a.json}",
    "candidate: v3": "candidate: {version: v3, config: b.json}",
}


@pytest.mark.parametrize(
    ("changes", "code", "hint"),
    [
        pytest.param(
            CONFIGS
            | {
                "plan: [baseline_traffic, restore": "plan: »[baseline_traffic",
                "triggers:\n": "publish: {c: {type: config, path: x.json}}\ntriggers:\n",
            },
            "P341", "restore", id="a way back that leaves the configuration",
        ),
        pytest.param(
            CONFIGS
            | {"triggers:\n": "publish: {c: {type: config, path: »./live/a.json}}\ntriggers:\n"},
            "P302", "place of its own", id="a publisher over its own source",
        ),
        pytest.param(
            {
                "triggers:\n": "publish: {a: {type: file, path: live/s.json}, "
                "b: {type: file, path: »live//./s.json}}\ntriggers:\n"
            },
            "P302", "place of its own", id="one file in two spellings",
        ),
        pytest.param(
            {
                "weight: 5%": "weights: [0%, 5%]",
                "      - candidate.latency <= 2000ms\n": "",
                "      - candidate.accuracy": "      - »candidate.accuracy",
            },
            "P337", "mirror", id="a candidate that is idle at first",
        ),
        pytest.param(
            {
                "advance: [candidate.accuracy >= 85%]}":
                "against: frozen_baseline, advance: [candidate.accuracy >= baseline.accuracy]}",
                "restart: canary": "restart: »ramp",
            },
            "P336", "restart from shadow", id="a restart that no baseline was measured for",
        ),
        pytest.param(
            {"name: shadow": "»name: shadow", "    mirror: true\n    hold: 10m\n": ""},
            "P316", "hold: 1h", id="a stage that waits for nothing",
        ),
    ],
)  # fmt: skip
def test_what_takes_several_changes_to_be_wrong(
    changes: dict[str, str], code: str, hint: str
) -> None:
    text = GOOD
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)

    finding, place = only_finding(text)

    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert hint in finding.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("confirm: 3 of 5", "stages: [canary], for: 5h"),
        ("after: 6h", "after: 31m"),
        ("when: signals.silent > 2m", "when: signals.silent > 2m, clear: signals.silent < 2m"),
        ("when: candidate.accuracy < 50%, severity: high, confirm: 3 of 5",
         "when: candidate.accuracy < 50%, severity: low, confirm: 3 of 5, "
         "clear: candidate.accuracy >= 50%"),
        ("when: candidate.accuracy < 50%, severity: high, confirm: 3 of 5",
         "when: candidate.accuracy < 0.8 * baseline.accuracy, severity: low, "
         "clear: candidate.accuracy > 0.9 * baseline.accuracy, stages: [canary]"),
        ("      - candidate.latency <= 2000ms",
         "      - {check: candidate.latency <= 2000ms, confirm: 720 in a row, "
         "unknown: {no_data: {meanwhile: ignore, fail_after: 5h}, error: reset}}"),
        ("advance: [candidate.accuracy >= 85%]",
         "advance: [{check: candidate.accuracy >= 85%, unknown: {no_data: "
         "{meanwhile: ignore, fail_after: 5m}, inconclusive: ignore}}]"),
        ("unit: ms, window: 5m", "unit: ms, window: 30s"),
        ("{name: watch, weight: 100%, hold: 2h, against: frozen_baseline}",
         "{name: full, weight: 100%}"),
        ("hold: 1h, advance: [candidate.accuracy >= 85%]}",
         "hold: 1h, against: frozen_baseline, advance: [candidate.accuracy >= baseline.accuracy]}"),
        ("hold: 2h, against: frozen_baseline",
         "hold: 2h, against: shadow_baseline, advance: [candidate.accord > 70%]"),
    ],
)  # fmt: skip
def test_what_is_just_right_is_no_error(old: str, new: str) -> None:
    assert load(edited(old, new)).ok


@pytest.mark.parametrize(
    ("traffic", "stage", "expected"),
    [
        ("2000/h", "- »candidate.accuracy >= 85%", "`min_samples: 8`"),
        ("2000/h", "- »candidate.accuracy >= 85%", "a window and hold of 1h"),
        ("4000/h", "- »candidate.accuracy >= 85%", "a weight of 30%"),
    ],
)
def test_samples_that_the_traffic_cannot_bring_are_said_with_what_would_do(
    traffic: str, stage: str, expected: str
) -> None:
    text = edited("  - {name: ramp, weights: [25%, 50%], hold: 1h, advance: "
                  "[candidate.accuracy >= 85%]}\n", "")  # fmt: skip
    text = text.replace("      - candidate.accuracy >= 85%", f"      {stage}")
    text = text.replace("  - {name: errors, when: candidate.accuracy < 50%, severity: high,"
                        " confirm: 3 of 5}\n", "")  # fmt: skip
    text = text.replace("owner: desk", f"traffic: {traffic}")
    text = text.replace("value: mean(ms)", "min_samples: 0, value: mean(ms)")

    finding, place = only_finding(text)

    assert (finding.code, finding.line, finding.column) == ("P338", place.line, place.column)
    assert f"needs 100 samples in 5m, and {traffic} brings" in finding.message
    assert expected in finding.hint


def test_a_trigger_that_is_blind_for_want_of_traffic_is_an_error() -> None:
    text = GOOD.replace("min_samples: 100,", "min_samples: 0,")
    text = text.replace("when: candidate.accuracy < 50%", "when: »candidate.accuracy < 50%")
    text = text.replace("severity: high, confirm", "severity: high, min_samples: 20, confirm")
    text = text.replace("value: mean(ms)", "min_samples: 0, value: mean(ms)")

    finding, place = only_finding(text.replace("owner: desk", "traffic: 1000/h"))

    assert (finding.code, finding.line, finding.column) == ("P338", place.line, place.column)
    assert "at 5% in canary" in finding.message
    assert "stages:" in finding.hint
    assert load(place.text.replace("1000/h", "6000/h")).ok


def test_a_database_url_from_a_variable_is_fine_and_its_password_is_never_shown() -> None:
    text = edited("tables: {t: t.csv}", "database: '${OPS}'")

    assert load(text, OPS="postgresql://kim:secret@host/ops").ok
    for broken in ("postgres:secret", "mysql://kim:secret@host/ops", "secret"):
        said = "".join(str(found) for found in load(text, OPS=broken).findings)
        assert "secret" not in said


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("select version, avg(x) as value from t group by version", 0),
        ("select avg(x) as value from t where v = $version", 0),
        ("select avg(x) as value from t", 1),
    ],
)
def test_a_compared_query_tells_the_versions_apart(query: str, found: int) -> None:
    text = edited("select pnl as value from t where v = $version", query).replace(
        "- candidate.latency <= 2000ms", "- candidate.pnl >= baseline.pnl"
    )

    codes = [finding.code for finding in load(text).findings]

    assert codes == ["P321"] * found


def test_every_code_is_held_by_a_test() -> None:
    elsewhere = {"P001", "P002", "P003", "P206", "P207", "P316", "P338"}
    elsewhere |= {"P371", "P372", "P373", "P374"}  # test_source_findings
    elsewhere |= {f"P38{last}" for last in range(3, 9)}  # test_target_findings
    elsewhere |= {"P351", "P352", "P353"}  # test_traffic_findings
    elsewhere |= {"P391", "P392", "P393", "P394"}  # test_blend_findings
    elsewhere |= {f"P42{last}" for last in range(1, 8)}  # test_alert_findings
    elsewhere |= {"P395", "P396", "P397", "P398", "P399"}  # test_parameter_findings
    elsewhere |= {"P401", "P402", "P403", "P404", "P405", "P406"}  # test_budget_findings
    elsewhere |= {f"P41{last}" for last in range(1, 7)}  # test_handover_findings

    assert {case[2] for case in CASES.values()} | elsewhere == set(CODES)


@pytest.mark.parametrize(
    ("value", "fits", "does_not"),
    [
        ("staleness()", "> 2m", "> 5%"),
        ("drawdown_duration(pnl)", "> 2h", "> 100 USD"),
        ("'slippage(q, fill, mid)'", "> 15bps", "> 2s"),
        ("'hit_rate(signal, pnl)'", "< 45%", "< 1s"),
        ("'cost_per(cost, signal)', unit: USD", "> 5 USD", "> 5%"),
        ("sharpe(pnl), bar: 1d, window: 60 bars, capital: 5", "< -1", "< 1 USD"),
        ("gaps(), bar: 5m", "> 3", "> 3m"),
        ("expectancy(pnl), unit: USD", "< -20 USD", "< -20 EUR"),
    ],
)
def test_a_number_compares_with_the_unit_that_its_formula_gives(
    value: str, fits: str, does_not: str
) -> None:
    text = edited("rollback: {plan", "  - {name: t, when: candidate.m LIMIT, severity: high}\n"
                  "rollback: {plan")  # fmt: skip
    text = text.replace("stages:\n", f"  m: {{source: signals, value: {value}}}\nstages:\n", 1)
    assert [str(f) for f in load(text.replace("LIMIT", fits)).findings] == []
    assert [f.code for f in load(text.replace("LIMIT", does_not)).findings] == ["P203"]
