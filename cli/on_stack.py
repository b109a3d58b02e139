"""What commands on a stack share: the options that say which, a connection, and a refusal's end."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, Final, get_type_hints

from cli.console import fail
from cli.options import DEFAULT_DATA, AsJson, Data, Services, Tokens
from stack.connection import Connection
from stack.errors import CommandError
from stack.finding import find_stack

_SHARED: Final = [
    Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
    for name, default, kind in (
        ("data", DEFAULT_DATA, Data),
        ("service", None, Services),
        ("lab_token", None, Tokens),
        ("as_json", False, AsJson),
    )
]
_GIVEN: Final = ("connection", "as_json")


def on_stack(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function of (connection, its own arguments, as_json).

    The command has the function's own arguments and the options that say which stack it is about.
    A CommandError ends it with the sentence and the exit code.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        one.replace(annotation=hints[one.name], kind=Parameter.KEYWORD_ONLY)
        for one in signature(command).parameters.values()
        if one.name not in _GIVEN
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        as_json = given["as_json"]
        data, services, tokens = (given.pop(name) for name in ("data", "service", "lab_token"))
        try:
            with Connection(find_stack(data, services, tokens)) as connection:
                command(connection, **given)
        except CommandError as error:
            fail(str(error), error.code, as_json=as_json)

    made = Signature([*own, *_SHARED])
    run.__signature__ = made  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in made.parameters.values()}
    return run
