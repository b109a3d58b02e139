"""Whatever is read, only the room's own error comes out; whatever is streamed, it is counted."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.checks import CheckBook
from services.chassis.data.audit import AuditBrokenError, verify_chain
from services.chassis.settings import Settings, SettingsError, read_settings
from services.chassis.web.authority import Authority, AuthorityError
from services.chassis.web.edge import BodyGate, edge_checks

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
LEAVES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT | st.datetimes() | st.dates()
TABLES = st.dictionaries(
    TEXT
    | st.sampled_from(
        ["party", "data", "interface", "lab", "eui", "tls", "port", "host", "accepts", "GET /a"]
    ),
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=6,
)
FILES = st.binary(max_size=60) | TABLES.map(lambda table: tomli_w.dumps(table).encode())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["seq", "at", "kind", "subject", "record", "body", "body_digest", "previous", "hash"]
        ),
        JSON,
    ),
    max_size=3,
)


@given(FILES)
def test_settings_raise_settings_errors_only(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "config.toml"
        path.write_bytes(data)
        with contextlib.suppress(SettingsError):
            read_settings(Settings, path)


@given(FILES)
def test_authority_tables_raise_authority_errors_only(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "authority.toml"
        path.write_bytes(data)
        with contextlib.suppress(AuthorityError):
            Authority.read(path)


@given(ROWS)
def test_exports_raise_audit_errors_only(rows: list[dict[str, Any]]) -> None:
    with contextlib.suppress(AuditBrokenError):
        last, _ = verify_chain(rows)
        assert last == len(rows) == 0  # nothing made up here has a hash that fits


async def sent_through(
    chunks: list[bytes], limit: int, declared: int | None, *, size_off: bool
) -> tuple[int, bytes | None]:
    """Status, and the body that reached the application."""
    reached: list[bytes] = []
    sent: list[dict[str, Any]] = []
    coming = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks)}
        for index, chunk in enumerate(chunks, start=1)
    ]

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        assert message["more_body"] is False
        reached.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    book = CheckBook("p", edge_checks("p"))
    if size_off:
        book.turn_off("p.request.size")
    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    scope = {"type": "http", "path": "/", "method": "POST", "headers": headers}
    await BodyGate(application, book=book, limit=limit)(scope, receive, send)
    return sent[0]["status"], reached[0] if reached else None


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=8), min_size=1, max_size=6),
    st.integers(0, 30),
    st.none() | st.integers(0, 40),
    st.booleans(),
)
def test_a_body_is_let_in_whole_or_not_at_all(
    chunks: list[bytes], limit: int, declared: int | None, size_off: bool
) -> None:
    whole = b"".join(chunks)
    status, reached = asyncio.run(sent_through(chunks, limit, declared, size_off=size_off))
    if size_off or max(len(whole), declared or 0) <= limit:
        assert (status, reached) == (200, whole)
    else:
        assert (status, reached) == (413, None)
