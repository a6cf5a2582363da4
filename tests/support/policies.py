"""Random policies, as YAML text that the loader finds clean."""

from hypothesis import strategies as st


@st.composite
def policy_texts(draw: st.DrawFn) -> str:
    """Two to five stages with rising weights; random gates, approvals, triggers and ways back."""
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
        "stages:",
    ]
    for number, weight in enumerate(weights):
        approval = draw(st.booleans())
        mirror = "true" if draw(st.booleans()) else "false"
        lines += [
            f"  - name: stage{number}",
            f"    weight: {weight}%",
            f"    mirror: {mirror}",
            f"    hold: {draw(st.integers(4, 20))}m",
            "    advance: [candidate.accuracy >= 80%]",
            "    deadline: {after: 2h, then: " + draw(st.sampled_from(["rollback", "pause"])) + "}",
        ]
        if approval:
            lines.append("    approval: {by: risk, within: 30m}")
    lines.append("  - {name: full, weight: 100%, hold: 5m}")
    lines += [
        "triggers:",
        "  - {name: loss, when: candidate.loss > 10%, severity: critical}",
        "  - {name: errors, when: candidate.errors > 30%, severity: high, confirm: "
        + draw(st.sampled_from(["2 in a row", "2 of 4", "3 in total"]))
        + "}",
        "  - {name: silent, when: signals.silent > 1m, severity: medium, then: hold,"
        " escalate_after: 10m}",
        "  - {name: slow, when: candidate.errors > 25%, severity: low, for: 2m}",
        f"rollback: {{verify_after: {draw(st.sampled_from(['0s', '1m', '5m']))}, cooldown: 10m,"
        f" lock: {{after: {draw(st.integers(1, 3))}, per: 6h}}}}",
    ]
    return "\n".join(lines) + "\n"
