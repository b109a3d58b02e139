"""Standing between two systems: only where it can be undone, and nothing changed but addresses."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli_w

from probe.between import FILE, PAIRS, Between
from stack.errors import CommandError
from stack.layout import Addresses, Stack
from stack.systems import SYSTEMS
from tamper.exchange import Exchange, Request

CALLERS = {caller for caller, _ in PAIRS}


def stack(data: Path | None, **pids: int) -> Any:
    urls = {name: Addresses(f"http://127.0.0.1:{n}", "http://x") for n, name in enumerate(SYSTEMS)}
    return SimpleNamespace(stack=Stack(data, urls, pids=pids))


@pytest.fixture
def between(tmp_path: Path) -> Iterator[Between]:
    between = Between(stack(tmp_path, **dict.fromkeys(CALLERS, 1)))
    yield between
    for proxy in between._proxies.values():
        proxy._server.server_close()
        proxy._client.close()


@pytest.mark.parametrize("started", [{}, {"acb": 1}])
def test_a_stack_that_was_not_started_here_is_left_alone(
    tmp_path: Path, started: dict[str, int]
) -> None:
    with pytest.raises(CommandError, match="start them anew"):
        Between(stack(tmp_path, **started))
    with pytest.raises(CommandError):
        Between(stack(None, **dict.fromkeys(CALLERS, 1)))


def test_the_second_configuration_differs_in_addresses_alone(
    tmp_path: Path, between: Between
) -> None:
    peers = {name: f"http://127.0.0.1:{n}" for n, name in enumerate(SYSTEMS)}
    own = {"party": "acb", "eui": "0253494d00000002", "peers": peers, "lab": {"port": 7}}
    (tmp_path / "acb").mkdir()
    (tmp_path / "acb" / "config.toml").write_text(tomli_w.dumps(own))

    between._write("acb")

    told = tomllib.loads((tmp_path / "acb" / FILE).read_text())
    changed = {name for name in peers if told["peers"][name] != peers[name]}
    assert changed == {callee for caller, callee in PAIRS if caller == "acb"}
    assert {**told, "peers": peers} == own
    assert tomllib.loads((tmp_path / "acb" / "config.toml").read_text()) == own


def test_a_lie_that_breaks_off_proves_nothing(between: Between) -> None:
    proxy = between._proxies["acb", "ecos_party"]

    def broken(exchange: Exchange) -> None:
        raise KeyError("transaction")

    with (
        pytest.raises(ValueError, match="the script failed: KeyError"),
        between.script("acb", "ecos_party", request=broken),
    ):
        proxy.pass_on(Request(body=b"{}"))
    with between.script("acb", "ecos_party", request=lambda exchange: exchange.drop()):
        assert proxy.pass_on(Request(body=b"{}")) is None
