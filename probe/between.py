"""Standing between two systems: the callers are told that their peers are at the bench's proxies.

Who calls whom is configuration. The bench gives the broker and both CoS Parties, as they are, a
second configuration that differs in `peers` alone, and starts them anew with it; when the run ends
they get their own again. From then on whatever passes between them can be read, changed, held back
or answered in the other's place. What that is worth, the keys decide that an attack holds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import tomli_w

from stack.connection import Connection
from stack.errors import MISSING, CommandError
from stack.layout import read_token, save_stack
from stack.processes import launch, stop, wait_until_ready
from stack.systems import PEERS, SYSTEMS
from tamper.exchange import Exchange
from tamper.proxy import Proxy
from tamper.script import Script

PAIRS: Final = tuple((caller, peer) for caller in SYSTEMS for peer in PEERS[caller])
"""Caller and callee, where the bench can stand."""

FILE: Final = "config.between.toml"


class Between:
    """The bench's proxies in a running stack.

    Raises:
        CommandError: the systems were not started as processes here, or do not come up again.
    """

    def __init__(self, connection: Connection) -> None:
        stack = connection.stack
        if stack.data is None or any(caller not in stack.pids for caller, _ in PAIRS):
            raise CommandError(
                "to stand between two systems the bench must be able to start them anew: this "
                "stack was not started by `cos up` here",
                MISSING,
            )
        self._connection = connection
        self._callers: Sequence[str] = tuple(dict.fromkeys(caller for caller, _ in PAIRS))
        self._proxies = {
            pair: Proxy(stack.services[pair[1]].interface, watch=self._watch) for pair in PAIRS
        }
        self._failed: list[str] = []

    def open(self) -> None:
        """Listen, and start the callers anew with the proxies as their peers."""
        for proxy in self._proxies.values():
            proxy.__enter__()
        try:
            for caller in self._callers:
                self._write(caller)
            self._start_anew(FILE)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the callers their own configuration again, and stop listening."""
        try:
            self._start_anew("config.toml")
        finally:
            for proxy in self._proxies.values():
                proxy.__exit__(None, None, None)

    @contextmanager
    def script(
        self,
        caller: str,
        callee: str,
        *,
        request: Callable[[Exchange], None] | None = None,
        response: Callable[[Exchange], None] | None = None,
    ) -> Iterator[None]:
        """Do this to what passes between two systems.

        Raises:
            ValueError: what was to be done failed itself: nothing is shown by that.
        """
        proxy = self._proxies[caller, callee]
        given = {"request": request, "response": response}
        proxy.script = replace(Script(), **{k: v for k, v in given.items() if v is not None})
        self._failed.clear()
        try:
            yield
        finally:
            proxy.script = Script()
        if self._failed:
            raise ValueError(self._failed[0])

    def _watch(self, stage: str, exchange: Exchange) -> None:
        del stage
        self._failed += [act for act in exchange.acts if act.startswith("the script failed")]

    def _write(self, caller: str) -> None:
        """The caller's own configuration, but with other addresses."""
        folder = self._folder(caller)
        told = tomllib.loads((folder / "config.toml").read_text())
        told["peers"] |= {
            callee: proxy.url for (who, callee), proxy in self._proxies.items() if who == caller
        }
        (folder / FILE).write_text(tomli_w.dumps(told))

    def _start_anew(self, config: str) -> None:
        stack, data = self._connection.stack, self._connection.stack.data
        assert data is not None
        stop(replace(stack, pids={caller: stack.pids[caller] for caller in self._callers}))
        for caller in self._callers:
            stack.pids[caller] = launch(data, caller, self._folder(caller) / config)
        save_stack(stack)
        for caller in self._callers:
            wait_until_ready(stack, caller)
            if token := read_token(data, caller):
                stack.lab_tokens[caller] = token

    def _folder(self, caller: str) -> Path:
        assert self._connection.stack.data is not None
        return self._connection.stack.data / caller
