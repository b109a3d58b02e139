"""What somebody without any key can make of an evidence bundle: whole logs written anew.

A forger changes what it likes; then every number, hash, body digest, head and seal is made to fit.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

from services.chassis.data.audit import row_hash
from stack.evidence.collect import seal
from stack.evidence.report import Report
from stack.evidence.verify import judge, write_bundle

Bundle = dict[str, Any]
Row = dict[str, Any]
Path = tuple[str | int, ...]
COVERED = ("seq", "at", "kind", "subject", "record", "body_digest", "previous")


def forged(
    whole: bytes, change: Callable[[Bundle], None], roots: dict[str, bytes] | None = None
) -> Report:
    """What is said of a bundle after a change, with everything unsigned made to fit."""
    bundle = json.loads(whole)
    change(bundle)
    fit(bundle)
    return judge(write_bundle(bundle), roots)


def fit(bundle: Bundle) -> None:
    """Make numbers, digests, hash links, heads and seal fit, wherever there still are rows."""
    for log in bundle["logs"].values():
        rows = log["rows"]
        if not rows:
            continue
        seq, previous = rows[0]["seq"], rows[0]["previous"]
        for row in rows:
            row["seq"], row["previous"] = seq, previous
            if row["body"] is not None:
                row["body_digest"] = sha256(base64.b64decode(row["body"]))
            previous = row["hash"] = row_hash(**{name: row[name] for name in COVERED})
            seq += 1
        log["head"] = {"seq": seq - 1, "hash": previous}
    bundle["seal"] = seal(bundle)


def sha256(octets: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(octets).hexdigest()


def link_row(bundle: Bundle, party: str, kind: str, purpose: str = "cos-command") -> Row:
    """The first row of that kind and purpose."""
    return next(
        row
        for row in bundle["logs"][party]["rows"]
        if row["kind"] == kind
        and dict(row["record"].get("headers", [])).get("cos-purpose") == purpose
    )


def write_body(row: Row, body: bytes) -> None:
    """Put other octets in a row."""
    row["body"] = base64.b64encode(body).decode()


def paths(value: Any, path: Path = ()) -> list[Path]:
    """Where anything stands in a JSON value, containers included."""
    if isinstance(value, dict):
        return [path, *(found for key in value for found in paths(value[key], (*path, key)))]
    if isinstance(value, list):
        return [path, *(p for key in range(len(value)) for p in paths(value[key], (*path, key)))]
    return [path]


def holder(bundle: Bundle, path: Path) -> Any:
    """The container of what stands at a path."""
    inner: Any = bundle
    for step in path[:-1]:
        inner = inner[step]
    return inner


def mutate(bundle: Bundle, path: Path, act: str, value: Any) -> None:
    """One change at one place: gone, another value, twice, or in the place of what follows."""
    inner, last = holder(bundle, path), path[-1]
    if act == "remove":
        del inner[last]
    elif act == "replace":
        inner[last] = value
    elif isinstance(inner, list) and isinstance(last, int):
        if act == "double":
            inner.insert(last, copy.deepcopy(inner[last]))
        else:
            inner.append(inner.pop(last))
    else:
        others = [key for key in inner if key != last]
        if others:
            inner[last] = copy.deepcopy(inner[others[0]])


def story(report: Report) -> set[tuple[str, str, str]]:
    """What a report says is proven, without the numbers of rows, which nobody signed."""

    def plain(text: str) -> str:
        return " ".join(word for word in text.split() if not word.isdigit())

    return {(one.party, plain(one.part), plain(one.detail)) for one in report.verified}
