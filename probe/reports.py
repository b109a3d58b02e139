"""What a run found, for machines: JSON, JUnit XML, SARIF 2.1.0."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lxml import etree

from probe.model import Attack, Result


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
    by = f" by {result.refused_by.check} of {result.refused_by.party}" if result.refused_by else ""
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
        time=_seconds(sum(r.seconds for r in results)),
    )
    for result in results:
        case = etree.SubElement(
            suite,
            "testcase",
            classname=f"rung-{int(result.attack.rung)}",
            name=result.attack.id,
            time=_seconds(result.seconds),
        )
        if not result.ok:
            kind = "error" if result.outcome == "error" else "failure"
            fault = etree.SubElement(case, kind, message=_printable(complaint(result)))
            fault.text = f"{result.attack.title} ({result.attack.requirement})"
    return etree.tostring(suite, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def as_sarif(results: Sequence[Result]) -> str:
    """One rule per attack and one result per attack that was not refused as it must be.

    SARIF 2.1.0 with what GitHub asks for besides: a `fullDescription` and `help` for each rule, and
    a file and line for each result, which is where the attack is written down. The fingerprint is
    the attack's identifier, so that an alert stays the same one when lines move.
    """
    driver = {
        "name": "cos probe",
        "semanticVersion": _version(),
        "rules": [_rule(r.attack) for r in results],
    }
    found = [_finding(index, r) for index, r in enumerate(results) if not r.ok]
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": found}],
    }
    return json.dumps(document, indent=2)


def _rule(attack: Attack) -> dict[str, Any]:
    expected = attack.expected
    must = f"{expected.party} must refuse it by {expected.check}" if expected else "it must succeed"
    text = f"{attack.title}. The attacker holds: {attack.holds}. With every check on, {must}."
    return {
        "id": attack.id,
        "shortDescription": {"text": attack.title},
        "fullDescription": {"text": text},
        "help": {"text": f"{text} Requirement: {attack.requirement}."},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["security", *attack.tags], "rung": int(attack.rung)},
    }


def _finding(index: int, result: Result) -> dict[str, Any]:
    attack = result.attack
    party = attack.expected.party if attack.expected else "stack"
    file, line = attack.written_at
    return {
        "ruleId": attack.id,
        "ruleIndex": index,
        "level": "warning" if result.outcome == "error" else "error",
        "message": {"text": _printable(complaint(result))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _relative(file), "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": line},
                },
                "logicalLocations": [{"name": party, "kind": "module"}],
            }
        ],
        "partialFingerprints": {
            "primaryLocationLineHash": hashlib.sha256(attack.id.encode()).hexdigest()[:16] + ":1"
        },
    }


def _relative(file: str) -> str:
    """A file as a URI relative to the folder of the run, or to ours; else its name."""
    path = Path(file).resolve()
    for root in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if path.is_relative_to(root):
            return quote(path.relative_to(root).as_posix())
    return quote(path.name)


def _version() -> str:
    try:
        return version("cos-stack")
    except PackageNotFoundError:
        return "0.0.0"


def _seconds(number: float) -> str:
    return f"{number:.3f}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
