"""What is counted of a process's cryptography."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import gbcs.tally
import keys.tally
from gbcs.codes import Cra
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.protect import sign, verify_signature
from keys.stores.private import HeldSigner


def counted(act: Callable[[], object]) -> dict[str, int]:
    """What an act adds to the counts, without what it adds nothing to."""
    before = keys.tally.counts()
    act()
    return {name: n - before[name] for name, n in keys.tally.counts().items() if n != before[name]}


def message() -> Message:
    header = GroupingHeader(Cra.COMMAND, 1, "0" * 16, "1" * 16, OtherInformation(0x0107))
    return Message(header, b"\x05\x00", None)


def test_a_signature_made_is_one() -> None:
    signer = HeldSigner(ec.generate_private_key(ec.SECP256R1()))
    assert counted(lambda: signer.sign(b"x")) == {"sign": 1}


def test_a_message_read_and_verified_is_one_of_each() -> None:
    private_key = ec.generate_private_key(ec.SECP256R1())
    octets = encode(sign(message(), HeldSigner(private_key).sign))

    def read() -> None:
        verify_signature(decode(octets), private_key.public_key())

    assert counted(read) == {"gbcs.decode": 1, "verify": 1}


def test_an_unknown_name_is_an_error_not_a_new_count() -> None:
    with pytest.raises(KeyError):
        keys.tally.count("no such thing")


def test_every_room_counts_under_a_name_of_the_table() -> None:
    assert set(gbcs.tally.COUNTS) <= set(keys.tally.COUNTS)


def test_rooms_that_a_process_has_not_loaded_are_not_loaded_for_their_counts() -> None:
    code = (
        "import sys, keys.tally; assert set(keys.tally.counts().values()) == {0};"
        "assert 'gbcs' not in sys.modules and 'duis' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
