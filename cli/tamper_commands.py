"""`cos tamper`: a proxy between two systems, for those who want to see what is refused."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import Part, console, errors, fail, sentence, write_json
from cli.gbcs_commands import tree_branch
from services.link.wire.profile import PURPOSE
from stack.errors import USAGE
from tamper.errors import TamperError
from tamper.exchange import Exchange, refusing_check
from tamper.proxy import Proxy
from tamper.script import Act, Script, load_script

_TURN = threading.RLock()
"""One exchange at a time on the terminal."""


def tamper(
    listen: Annotated[
        int, typer.Option(help="Port on 127.0.0.1; 0: any free one.", min=0, max=65_535)
    ],
    to: Annotated[str, typer.Option(metavar="URL", help="Origin of the service behind.")],
    script: Annotated[
        Path | None,
        typer.Option(help="Python file with request(exchange), response(exchange) or both."),
    ] = None,
    hold: Annotated[
        bool,
        typer.Option("--hold", help="Ask before each message passes; its body can be changed."),
    ] = False,
    decoded: Annotated[
        bool, typer.Option("--decoded", help="Show each message decoded, not a line an exchange.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line and message.")
    ] = False,
) -> None:
    """Stand between two systems: show what passes; change, drop, replay or re-sign it.

    Point a caller at it with `cos up --peer acb:ecos_party=http://127.0.0.1:PORT`. Ctrl-C ends it.
    """

    def watch(stage: str, exchange: Exchange) -> None:
        with _TURN:
            if stage == "end":
                if not as_json and not decoded:
                    sentence(*line_of(exchange))
            elif as_json:
                write_json(told(stage, exchange), indent=None)
            elif decoded:
                show(stage, exchange)

    try:
        acts = load_script(script) if script else Script()
        proxy = Proxy(to, held(acts) if hold else acts, watch, port=listen)
    except TamperError as error:
        fail(str(error), USAGE, as_json=as_json)
    except OSError as error:
        fail(f"cannot listen on 127.0.0.1:{listen}: {error.strerror}", USAGE, as_json=as_json)
    if as_json:
        write_json({"listening": proxy.url, "to": to}, indent=None)
    else:
        sentence((proxy.url, "bold"), f" ──▶ {to}; Ctrl-C ends it.")
    proxy.serve()


def told(stage: str, exchange: Exchange) -> dict[str, Any]:
    """One message for `--json`: as it is now, with what was done to it."""
    request, response = exchange.request, exchange.response
    shown: dict[str, Any] = {
        "exchange": exchange.number,
        "stage": stage,
        "method": request.method,
        "path": request.path,
        "acts": list(exchange.acts),
    }
    if stage == "response" and response is not None:
        shown |= {"status": response.status, **response.decoded()}
    else:
        shown |= request.decoded()
    return shown


def line_of(exchange: Exchange) -> list[Part]:
    """An exchange for people: what was asked, what the caller got, what was done in between."""
    request, answer = exchange.request, exchange.given_back
    purpose = request.header(PURPOSE) or ""
    asked = f"{exchange.number} {request.method} {request.path} {purpose}".rstrip()
    told: list[Part] = [f"{asked}, {len(request.body):,} octets ──▶ "]
    if answer is None:
        told.append(("closed", "bold red"))
    else:
        told.append((str(answer.status), "green" if answer.status < 400 else "red"))
        check = refusing_check(answer)
        told.append(f"{f' {check}' if check else ''}, {len(answer.body):,} octets")
    return [*told, *((f"; {act}", "bold red") for act in exchange.acts)]


def show(stage: str, exchange: Exchange) -> None:
    """One message for people."""
    message = told(stage, exchange)
    arrow = "──▶" if stage == "request" else "◀──"
    status = f" {message['status']}" if "status" in message else ""
    title = f"{exchange.number} {arrow} {message['method']} {message['path']}{status}"
    shown = {name: message[name] for name in message if name not in _IN_TITLE}
    console.print(tree_branch(title, shown))
    for act in exchange.acts:
        sentence((f"    {act}", "bold red"))


_IN_TITLE = frozenset({"exchange", "stage", "method", "path", "status", "acts"})


def held(script: Script) -> Script:
    """The same script, with a person asked after it."""

    def then_ask(stage: str, act: Act) -> Act:
        def acting(exchange: Exchange) -> None:
            act(exchange)
            with _TURN:
                ask(stage, exchange)

        return acting

    return Script(then_ask("request", script.request), then_ask("response", script.response))


def ask(stage: str, exchange: Exchange) -> None:
    """Hold a message until a person says what becomes of it."""
    show(stage, exchange)
    part = exchange.response if stage == "response" else exchange.request
    if part is None or exchange.dropped:
        return
    while True:
        line = typer.prompt("send, drop, save FILE or load FILE", default="send", err=True)
        word, _, file = line.strip().partition(" ")
        if word == "send":
            return
        if word == "drop":
            exchange.drop()
            return
        if word in {"save", "load"} and file:
            try:
                if word == "save":
                    Path(file).write_bytes(part.body)
                else:
                    part.body = Path(file).read_bytes()
            except OSError as error:
                errors.print(str(error))
