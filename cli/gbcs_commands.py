"""`cos gbcs`: reading and making the messages of a meter."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.tree import Tree

from cli.console import console, escaped, fail, line, sentence, write_json
from cli.options import AsJson, entity
from gbcs.block_transfer import cut, is_block, split
from gbcs.errors import EncodeError, GbcsError
from gbcs.text.blocks import put_together
from gbcs.text.describe import build, describe
from keys.errors import KeysError
from keys.stores.folder import KeyFolder
from stack.errors import MISSING, REFUSED, USAGE, CommandError
from stack.octets import NotOctets, octets_of

app = typer.Typer(no_args_is_help=True, help="Read and make GBCS messages.")

Keystore = Annotated[
    Path | None,
    typer.Option(
        "--keystore",
        help="Folder with <eui>-ds.pem, <eui>-ka.pem, <eui>-pp-ka.pem and private .key files.",
        exists=True,
        file_okay=False,
    ),
]


def read_frames(sources: list[str]) -> list[bytes]:
    """The messages, or the blocks of one, that the files hold; blocks may follow each other.

    Raises:
        CommandError: as `read_octets`.
        ParseError: octets that begin as a block are not just whole blocks.
    """
    found: list[bytes] = []
    for source in sources:
        octets = read_octets(source)
        found += cut(octets) if is_block(octets) else [octets]
    if len(found) > 1 and not all(is_block(one) for one in found):
        raise CommandError("several messages: give one, or the blocks of one", USAGE)
    return found


def read_octets(source: str) -> bytes:
    """The octets of a file or of standard input ("-"), in any form that `octets_of` reads.

    Raises:
        CommandError: the file cannot be read, or is none (exit code 2, with the offset).
    """
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}", USAGE) from error
    try:
        return octets_of(data)
    except NotOctets as error:
        raise CommandError(str(error), USAGE) from None


@app.command()
def decode(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|-...",
            help="Binary, hex, base64 or xxd output; - is stdin. Of blocks, all, in any order.",
        ),
    ],
    keystore: Keystore = None,
    acb: Annotated[
        str | None,
        typer.Option(help="Entity identifier of the Access Control Broker whose key makes MACs."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a message is, and whether its signature and MAC hold.

    A block (General Block Transfer) is shown as one; several are put together and the message that
    they make is shown. If some are missing, the blocks are shown, and which are missing.

    Payloads of use cases that are not spoken here are named and not read.

    Exit code 0: fine. 1: a signature or MAC is invalid, a payload is not what its message code
    says, or the message does not re-encode to the same octets. 2: it cannot be parsed (the offset
    and the reason are named).
    """
    try:
        keys = KeyFolder(keystore) if keystore else None
        broker = entity("--acb", acb) if acb else None
        told = described(read_frames(sources), keys, broker)
    except GbcsError as error:
        where = f"offset {error.offset}: " if error.offset is not None else ""
        fail(f"{where}{error.reason}", USAGE, as_json=as_json, offset=error.offset)
    except KeysError as error:
        fail(str(error), MISSING, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json(told)
    else:
        console.print(tree_of(told))
    invalid = "invalid" in (told.get("signature"), told.get("mac"))
    broken = "unreadable" in told.get("payload", {})
    raise typer.Exit(REFUSED if invalid or broken or not told["reencoded_identical"] else 0)


@app.command("build")
def build_message(
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="JSON as `decode --json` prints.")
    ],
    keystore: Keystore = None,
    acb: Annotated[str | None, typer.Option(help="Whose key makes the MAC.")] = None,
    binary: Annotated[bool, typer.Option("--binary", help="Write octets instead of hex.")] = False,
    blocks: Annotated[
        int | None, typer.Option(help="Write it in blocks of at most so many octets.", min=1)
    ] = None,
) -> None:
    """Make a message from its JSON description: the inverse of decode.

    With --keystore it is signed and its MAC is made anew, by the keys of whom it names; without,
    it keeps the signature and MAC of the description.

    Nothing is checked for sense: what a tester describes is what is written. With a member
    `"blocks": SIZE` (or --blocks) the message is written in blocks of at most SIZE octets, one
    line each.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
        loaded: Any = json.loads(text)
        keys = KeyFolder(keystore) if keystore else None
        size = loaded.pop("blocks", None) if isinstance(loaded, dict) else None
        if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
            raise EncodeError("blocks: a whole number of octets is needed")
        size = size if blocks is None else blocks
        message = build(loaded, keys, entity("--acb", acb) if acb else None)
        frames = (message,) if size is None else split(message, size)
    except CommandError as error:
        fail(str(error), error.code)
    except OSError as error:
        fail(f"{source}: {error.strerror}", USAGE)
    except json.JSONDecodeError as error:
        fail(f"not JSON: {error}", USAGE)
    except GbcsError as error:
        fail(error.reason, USAGE)
    except KeysError as error:
        fail(str(error), MISSING)
    if binary:
        sys.stdout.buffer.write(b"".join(frames))
    else:
        for frame in frames:
            sentence(frame.hex())


def described(frames: list[bytes], keys: KeyFolder | None, acb: str | None) -> dict[str, Any]:
    """A message, the message that blocks make, a block, or what there is of several.

    Raises:
        ParseError: they are none of these.
    """
    if not all(is_block(frame) for frame in frames):
        (message,) = frames
        return describe(message, keys, acb)
    made = put_together(frames)
    if made.message is not None:
        return {**describe(made.message, keys, acb), "came_in_blocks": len(frames)}
    parts = [describe(frame, keys, acb) for frame in frames]
    if len(parts) == 1:
        return parts[0]
    return {
        "blocks": parts,
        "missing": list(made.missing),
        "reencoded_identical": all(part["reencoded_identical"] for part in parts),
    }


def tree_of(told: dict[str, Any]) -> Tree:
    """The description as a tree: header first, protection in colour, then the payload."""
    if "blocks" in told:
        tree = Tree(escaped("blocks of a message that is not complete", "bold"))
        for part in told["blocks"]:
            tree.add(tree_of(part))
        missing = ", ".join(map(str, told["missing"])) or "the last, and whatever comes before it"
        tree.add(escaped(f"missing: {missing}", "bold red"))
        return tree
    tree = Tree(line((str(told["use_case"]), "bold"), f" {told['message_code']} {told['cra']}"))
    for key in ("originator", "recipient", "originator_counter"):
        tree.add(line(f"{key.replace('_', ' ')}: ", (str(told[key]), "cyan")))
    if "block" in told:
        grow(tree.add("block"), told["block"])
        return tree
    if "came_in_blocks" in told:
        tree.add(line("came in ", (str(told["came_in_blocks"]), "cyan"), " blocks"))
    colours = {"valid": "green", "invalid": "bold red"}
    for key in ("signature", "mac"):
        tree.add(line(f"{key}: ", (str(told[key]), colours.get(told[key], "yellow"))))
    if told["payload_read"]:
        grow(tree.add("payload"), told["payload"])
    else:
        why = told["payload"].get("unreadable")
        said = "not read: this use case is not spoken here" if why is None else f"not read: {why}"
        shown = tree.add(line("payload ", (said, "yellow" if why is None else "bold red")))
        grow(shown, {"octets": told["payload"]["octets"]})
    if not told["reencoded_identical"]:
        tree.add(escaped("does not re-encode to the same octets", "bold red"))
    return tree


def tree_branch(title: str, told: dict[str, Any]) -> Tree:
    """Any JSON object as a tree under a title."""
    tree = Tree(escaped(title, "bold"))
    grow(tree, told)
    return tree


def grow(tree: Tree, value: Any) -> None:
    """Hang a JSON value on a branch; long strings (certificates) are shortened for the eye."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list) and inner:
                grow(tree.add(str(key)), inner)
            else:
                tree.add(line(f"{key}: ", (shorten(inner), "cyan")))
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            grow(tree.add(f"{number}"), inner)
    else:
        tree.add(escaped(shorten(value), "cyan"))


def shorten(value: Any) -> str:
    """One line of at most 64 characters; the JSON form has the whole value."""
    text = str(value)
    return text if len(text) <= 64 else f"{text[:48]}… ({len(text)} characters)"
