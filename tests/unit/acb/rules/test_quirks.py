"""A Pre-Command as DCC Boxed wrote it before 1.4.1, and what the broker takes back."""

from __future__ import annotations

import pytest

from acb.rules.quirks import PRE_COMMAND_TRAILING_ZERO
from duis.model import PreCommand, ResponseMessage
from gbcs.errors import ParseError
from gbcs.message import decode, encode
from gbcs.protect import sign
from tests.unit.acb.estate import SUPPLIER_A
from tests.unit.acb.meters import Meters
from tests.unit.acb.services.test_credentials import asking, sending, signing
from tests.unit.acb.world import World


async def written(world: World, counter: int) -> bytes:
    answer = await world.submit(world.estate.signed(asking(world.estate, counter=counter)))
    response = world.read(answer.content)
    assert isinstance(response.body, ResponseMessage)
    assert isinstance(response.body.content, PreCommand)
    return response.body.content.gbcs_payload


async def test_a_trailing_zero_is_written_and_not_taken_back(world: World, meters: Meters) -> None:
    quirks = world.service.base.quirks
    quirks.put(PRE_COMMAND_TRAILING_ZERO, on=True)
    odd = await written(world, 1)
    assert world.service.base.book.weakened == ["quirk:pre-command-trailing-zero"]
    assert odd.endswith(b"\x00")
    message = decode(odd[:-1])
    assert message.is_pre_command
    assert encode(message) == odd[:-1]

    # The signature after the zero: a tool that appends without looking.
    key = world.estate.suppliers[SUPPLIER_A].signer("digital-signing")
    signed = encode(sign(message, key.sign))
    appended = odd + signed[len(odd) - 1 :]
    with pytest.raises(ParseError):
        decode(appended)
    refused = await world.submit(world.estate.signed(sending(appended, counter=2)))
    assert refused.headers["cos-check"] == "acb.signed_pre_command.decode"
    assert meters.heard == []

    # In place of the zero: what the octets without it are signed as.
    told = await world.run(signing(world.estate, message, counter=3))
    assert told["state"] == "completed"
    assert len(meters.heard) == 1

    # The twin: without the quirk the octet is not there.
    quirks.reset()
    assert encode(decode(plain := await written(world, 4))) == plain
