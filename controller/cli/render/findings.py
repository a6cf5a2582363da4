"""Findings as text, with the line and a caret, and as SARIF."""

from collections.abc import Iterable
from typing import Any

from controller import __version__
from controller.policy.findings import CODES, Finding


def finding_text(finding: Finding, lines: list[str]) -> str:
    """`file:line:column: CODE message`, the line with a caret, the hint."""
    parts = [f"{finding.path}:{finding.line}:{finding.column}: {finding.head}"]
    if 0 < finding.line <= len(lines) and lines[finding.line - 1].strip():
        source = lines[finding.line - 1].replace("\t", " ")
        start = max(0, finding.column - 80)
        parts.append(f"    {source[start : start + 110]}")
        parts.append(f"    {' ' * (finding.column - 1 - start)}^")
    if finding.hint:
        parts.append(f"  hint: {finding.hint}")
    return "\n".join(parts)


def finding_data(finding: Finding) -> dict[str, Any]:
    """One finding for programs."""
    return {
        "path": str(finding.path),
        "line": finding.line,
        "column": finding.column,
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "hint": finding.hint,
    }


def sarif(findings: Iterable[Finding]) -> dict[str, Any]:
    """SARIF 2.1.0 (OASIS), as code-scanning pages read it."""
    listed = list(findings)
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "rollout",
                        "version": __version__,
                        "rules": [
                            {"id": code, "shortDescription": {"text": CODES[code]}}
                            for code in sorted({finding.code for finding in listed})
                        ],
                    }
                },
                "results": [_sarif_result(finding) for finding in listed],
            }
        ],
    }


def _sarif_result(finding: Finding) -> dict[str, Any]:
    text = finding.message + (f" ({finding.hint})" if finding.hint else "")
    place = {
        "artifactLocation": {"uri": finding.path.as_posix()},
        "region": {"startLine": finding.line, "startColumn": finding.column},
    }
    return {
        "ruleId": finding.code,
        "level": finding.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }
