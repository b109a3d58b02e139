"""The `cos` command: the table of its commands, each imported when it is used, and its exit."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Annotated, Final

import typer

from cli.console import errors, fail, sentence
from cli.lazy import Entry, lazy_group
from keys.errors import KeysError
from stack.errors import USAGE

COMMANDS: Final = (
    Entry("up", "cli.lifecycle:up", "Start the six systems, each a process of its own."),
    Entry("down", "cli.lifecycle:down", "Stop the systems of a data folder."),
    Entry("status", "cli.lifecycle:status", "Say where each system listens and if it is ready."),
    Entry("provision", "cli.lifecycle:provision_stack", "Make meters and suppliers known to it."),
    Entry("reset", "cli.stack_commands:reset", "Every check on, no faults, real time again."),
    Entry("logs", "cli.stack_commands:logs", "Show what the systems log, in order of time."),
    Entry("devices", "cli.stack_commands:devices", "List the meters and whose they are."),
    Entry("switch", "cli.switch_commands:switch", "Let a supplier take over a meter."),
    Entry("load", "cli.load_commands:load", "Have many homes change supplier at once."),
    Entry("submit", "cli.switch_commands:submit", "Send a signed document to the broker."),
    Entry("requests", "cli.switch_commands:requests", "List the service requests of the broker."),
    Entry("trace", "cli.switch_commands:trace", "Show what every system did with one request."),
    Entry("callback", "cli.callback_commands:callback", "Say where a supplier is sent responses."),
    Entry("listen", "cli.callback_commands:listen", "Receive what the broker sends a supplier."),
    Entry("request", "cli.own_key_commands:app", "Ask the broker other services, as a supplier."),
    Entry("duis", "cli.duis_commands:app", "Write, sign, verify and read DUIS documents."),
    Entry("gbcs", "cli.gbcs_commands:app", "Read and make GBCS messages."),
    Entry("keys", "cli.keys_commands:app", "The simulated key infrastructure (SMKI)."),
    Entry("clock", "cli.clock_commands:app", "The domain time of all systems, turned together."),
    Entry("probe", "probe.command:app", "Attack a running stack."),
    Entry("tamper", "cli.tamper_commands:tamper", "Stand between two systems and change messages."),
    Entry("faults", "cli.fault_commands:app", "Force exactly this failure, the next n times."),
    Entry("quirks", "cli.fault_commands:quirks_app", "Have a system behave like an odd peer."),
    Entry("evidence", "cli.evidence_commands:app", "What each side provably said; verify it."),
    Entry("export", "cli.stack_commands:export", "Write messages, keys and a Wireshark capture."),
    Entry("demo", "cli.stack_commands:demo", "Two homes change supplier, a third may not."),
)

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "A change of energy supplier on simulated smart meters: start the systems, drive them, "
        "see which check said what.\n\n"
        "Exit codes: 0 fine; 1 refused, invalid or not as it must be; 2 wrong input or usage; "
        "3 a key or data folder is missing; 4 a service cannot be reached; 5 it is still under "
        "way, and the command gave up waiting."
    ),
)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        try:
            version = version_of("cos-stack")
        except PackageNotFoundError:  # run from its folder, as in a container
            version = "(not installed)"
        sentence(f"cos {version}")
        raise typer.Exit


@app.callback()
def cos(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="And end.")
    ] = False,
) -> None:
    """Nothing is done for all commands alike."""
    del version


def end_in_order() -> None:
    """Have a signal that ends us end what we started too, as Ctrl-C does (128 + its number)."""

    def end(number: int, frame: object) -> None:
        del frame
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup's SIG_IGN stays
            signal.signal(number, end)


def main() -> None:
    """Entry point of the `cos` command."""
    end_in_order()
    try:
        app()
    except KeyboardInterrupt:
        errors.print("stopped")
        raise SystemExit(130) from None
    except (OSError, KeysError) as error:
        try:
            fail(str(error), USAGE, as_json="--json" in sys.argv)
        except typer.Exit as ended:
            raise SystemExit(ended.exit_code) from None
