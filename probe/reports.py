"""What a run found, for machines: JSON, JUnit XML, SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lxml import etree

from probe.model import Result


def totals(results: Sequence[Result]) -> dict[str, int]:
    """How many there were of each kind."""
    return {
        "attacks": len(results),
        "ok": sum(r.ok for r in results),
        "not_ok": sum(not r.ok for r in results),
        "refused": sum(r.outcome == "refused" for r in results),
        "succeeded": sum(r.outcome == "succeeded" for r in results),
        "error": sum(r.outcome == "error" for r in results),
    }


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The document of `--json`."""
    return {"attacks": [r.as_dict() for r in results], "totals": totals(results)}


def complaint(result: Result) -> str:
    """Why a result is not right, in one sentence; empty where it is."""
    if result.ok:
        return ""
    expected = result.attack.expected
    wanted = f"refusal by {expected.check} of {expected.party}" if expected else "success"
    by = f" by {result.stopped_by.check} of {result.stopped_by.party}" if result.stopped_by else ""
    left = f"; changed: {', '.join(result.changed)}" if result.changed else ""
    return f"wanted {wanted}, found: {result.outcome}{by}{left}. {result.note}".strip()


def as_junit(results: Sequence[Result]) -> bytes:
    """One test case per attack, as CI servers read them."""
    count = totals(results)
    suite = etree.Element(
        "testsuite",
        name="cos probe",
        tests=str(count["attacks"]),
        failures=str(count["not_ok"] - count["error"]),
        errors=str(count["error"]),
    )
    for result in results:
        case = etree.SubElement(
            suite, "testcase", classname=f"rung-{int(result.attack.rung)}", name=result.attack.id
        )
        if not result.ok:
            kind = "error" if result.outcome == "error" else "failure"
            fault = etree.SubElement(case, kind, message=_printable(complaint(result)))
            fault.text = f"{result.attack.title} ({result.attack.requirement})"
    return etree.tostring(suite, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def as_sarif(results: Sequence[Result]) -> str:
    """One rule per attack and one result per attack that was not refused as it must be."""
    rules = [
        {
            "id": r.attack.id,
            "shortDescription": {"text": r.attack.title},
            "help": {"text": f"Requirement: {r.attack.requirement}. Holds: {r.attack.holds}."},
            "properties": {"tags": list(r.attack.tags), "rung": int(r.attack.rung)},
        }
        for r in results
    ]
    found = [
        {
            "ruleId": r.attack.id,
            "level": "warning" if r.outcome == "error" else "error",
            "message": {"text": complaint(r)},
            "locations": [
                {
                    "logicalLocations": [
                        {"name": r.attack.expected.party, "kind": "module"}
                        if r.attack.expected
                        else {"name": "stack", "kind": "module"}
                    ]
                }
            ],
        }
        for r in results
        if not r.ok
    ]
    run = {
        "tool": {"driver": {"name": "cos probe", "rules": rules}},
        "results": found,
    }
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [run],
        },
        indent=2,
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
