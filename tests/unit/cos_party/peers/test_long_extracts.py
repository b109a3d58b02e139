"""Reading a register of many homes: in slices, and the same as if it had been read whole."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from pydantic import ValidationError

from cos_party.peers import outbound, wire
from cos_party.peers.outbound import RegistrationClient
from cos_party.peers.wire import RegistrationExtract, read_extract
from services.registration.model import Register
from tests.unit.cos_party.estate import extract

HOMES = 2 * wire.SLICE + 7


def told(homes: int = HOMES) -> dict[str, Any]:
    """An answer as it comes from the link."""
    said: dict[str, Any] = extract().model_dump(mode="json")
    one = said["meter_points"][0]
    said["meter_points"] += [
        {**one, "mpxn": f"{13_000_000_000 + home}", "devices": [f"{home:016x}"]}
        for home in range(homes)
    ]
    return said


def test_in_slices_it_says_the_same() -> None:
    said = told()
    whole = RegistrationExtract.model_validate_json(json.dumps(said))
    read = read_extract(said)
    assert read.digest == whole.digest
    assert (read.people, read.homes) == (whole.people, whole.homes)
    assert len(read.homes) == HOMES + 2


def test_registration_works_out_the_same_digest() -> None:
    said = told()
    both = {name: said[name] for name in ("participants", "meter_points")}
    assert Register.model_validate_json(json.dumps(both)).digest == read_extract(said).digest


@pytest.mark.parametrize("at", [0, wire.SLICE, HOMES])
def test_one_home_that_does_not_fit_spoils_all(at: int) -> None:
    said = told()
    said["meter_points"][at]["more"] = 1
    with pytest.raises(ValidationError):
        read_extract(said)


@pytest.mark.parametrize("points", [None, {}, "x", 1])
def test_meter_points_that_are_no_list_do_not_fit(points: object) -> None:
    with pytest.raises(ValidationError):
        read_extract({**told(0), "meter_points": points})


async def test_it_is_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    class Registration:
        body = told()

        async def call(self, *_: object) -> Registration:
            return self

    def watched(body: Any) -> RegistrationExtract:
        threads.append(threading.current_thread() is threading.main_thread())
        return read_extract(body)

    monkeypatch.setattr(outbound, "read_extract", watched)
    assert (await RegistrationClient(Registration()).registration_extract(None)).number == 1
    assert threads == [False]
