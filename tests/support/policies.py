"""Random policies, as YAML text that the loader finds clean."""

from hypothesis import strategies as st

flags = st.sampled_from(["true", "false"])
often = st.sampled_from(["2 in a row", "2 of 4", "3 in total"])


@st.composite
def unknowns(draw: st.DrawFn, *words: str) -> str:
    """What some outcomes mean that are no measurement; nothing at times."""
    said = []
    for outcome in ("no_data", "error", "inconclusive"):
        word = draw(st.sampled_from(["", *words]))
        if word and draw(st.booleans()):
            word = f"{{meanwhile: {word}, fail_after: {draw(st.integers(1, 4))}m}}"
        said += [f"{outcome}: {word}"] if word else []
    return f", unknown: {{{', '.join(said)}}}" if said else ""


@st.composite
def checks(draw: st.DrawFn) -> str:
    """A line of a gate: its condition alone, or with how it counts."""
    condition = "candidate.accuracy >= 80%"
    confirm = draw(st.sampled_from(["", ", confirm: "]))
    words = ("hold", "ignore", "reset") if confirm else ("hold", "ignore")
    more = (confirm and confirm + draw(often)) + draw(unknowns(*words))
    return f"{{check: {condition}{more}}}" if more else condition


@st.composite
def policy_texts(draw: st.DrawFn) -> str:
    """Two to five stages with rising weights; random gates, approvals, triggers and ways back.
    What a rule counts, and what its unknowns mean, is random too."""
    weights = sorted(
        draw(st.lists(st.sampled_from([1, 5, 10, 25, 50, 75]), min_size=1, max_size=4))
    )
    lines = [
        "rollout: drawn",
        "baseline: v1",
        "candidate: v2",
        "schedule: {tick: 30s}",
        "sources: {signals: {type: push}}",
        "metrics:",
        "  accuracy: {source: signals, value: ratio(ok), window: 2m, min_samples: 50}",
        "  errors: {source: signals, value: ratio(bad), window: 2m, min_samples: 50}",
        "  loss: {source: signals, value: max_drawdown(pnl), window: rollout, capital: 1000}",
        "  trial: {source: signals, value: ratio(odd), window: 2m, min_samples: 50,"
        f" dry_run: {draw(flags)}}}",
        "stages:",
    ]
    for number, weight in enumerate(weights):
        approval = draw(st.booleans())
        mirror = draw(flags)
        lines += [
            f"  - name: stage{number}",
            f"    weight: {weight}%",
            f"    mirror: {mirror}",
            f"    hold: {draw(st.integers(4, 20))}m",
            f"    advance: [{draw(checks())}, candidate.loss <= 50%, candidate.trial <= 90%]",
            "    deadline: {after: 2h, then: " + draw(st.sampled_from(["rollback", "pause"])) + "}",
        ]
        if approval:
            lines.append("    approval: {by: risk, within: 30m}")
    lines.append("  - {name: full, weight: 100%, hold: 5m}")
    lines += [
        "triggers:",
        "  - {name: loss, when: candidate.loss > 10%, severity: critical}",
        f"  - {{name: errors, when: candidate.errors > 30%, severity: high, confirm: {draw(often)}"
        f"{draw(unknowns('hold', 'ignore', 'reset'))}}}",
        "  - {name: silent, when: signals.silent > 1m, severity: medium, then: hold,"
        f" escalate_after: 10m{draw(st.sampled_from(['', ', clear: signals.silent < 30s']))}}}",
        "  - {name: slow, when: candidate.errors > 25%, severity: low, for: 2m"
        f"{draw(st.sampled_from(['', ', clear: candidate.errors < 20%']))}"
        f"{draw(unknowns('hold', 'reset'))}}}",
        f"  - {{name: odd, when: candidate.trial > 95%, severity: high, confirm: {draw(often)}}}",
        f"rollback: {{verify_after: {draw(st.sampled_from(['0s', '1m', '5m']))}, cooldown: 10m,"
        f" lock: {{after: {draw(st.integers(1, 3))}, per: 6h}}}}",
    ]
    return "\n".join(lines) + "\n"
