"""A short run of `make fuzz`: the harness finds what it is for, and finds nothing in a device."""

from __future__ import annotations

import importlib.util
import subprocess
from typing import Any

import pytest
from effort import SEED, examples

from fuzz import coverage, devices, openapi
from fuzz.noise import Noise, mutated
from gbcs.errors import ParseError, SignatureInvalid
from gbcs.message import decode
from gbcs.protect import verify_mac, verify_signature
from meter_sim.device.device_types import TRANS_COS_DS

RUN = examples(80_000)


def test_a_seed_repeats_its_choices_and_another_does_not() -> None:
    honest = bytes(range(200))
    runs = []
    for seed in (7, 7, 8):
        noise = Noise(seed)
        runs.append([mutated(honest, noise) for _ in range(50)])
    assert runs[0] == runs[1] != runs[2]
    assert honest not in runs[0]


@pytest.mark.parametrize("honest", [b"", b"\x00", b"ab"])
def test_even_of_little_it_makes_something_else(honest: bytes) -> None:
    noise = Noise(3)
    assert all(mutated(honest, noise) != honest for _ in range(500))


def test_a_device_that_obeys_or_falls_over_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = devices.hear
    calls = iter(range(1000))

    def careless(*args: Any) -> Any:
        number = next(calls)
        if number < 20:  # the honest messages first
            return heard(*args)
        if number % 2:
            raise ParseError("an error of a lower room", 0)
        return None

    monkeypatch.setattr(devices, "hear", careless)
    tally = devices.in_process(60, 1)
    assert tally.tried == 60
    assert sum("obeyed: " in finding for finding in tally.findings) >= 20
    assert sum("ParseError" in finding for finding in tally.findings) >= 20


@pytest.mark.parametrize("tool", ["atheris", "schemathesis"])
def test_a_missing_tool_is_said_not_failed(monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tallies = [coverage.run("gbcs", 1, 1)] if tool == "atheris" else list(openapi.run(1, 1))
    (line,) = tallies[0].lines()
    assert f"{tool} is not installed" in line
    assert not tallies[0].findings


@pytest.mark.parametrize(
    ("returncode", "said", "tried", "found"),
    [
        (0, "#7 INITED\nDone 500 runs in 1 second(s)\n", 500, 0),
        (77, "ValueError: not the reader's own error\n", 0, 1),
        (1, "Done 500 runs in 1 second(s)\nDirect leak\n", 500, 1),
        (0, "nothing was run\n", 0, 1),
    ],
)
def test_how_a_coverage_guided_run_ended(
    monkeypatch: pytest.MonkeyPatch, returncode: int, said: str, tried: int, found: int
) -> None:
    done = subprocess.CompletedProcess([], returncode, "", said)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(subprocess, "run", lambda *args, **more: done)
    tally = coverage.run("gbcs", 500, 1)
    assert (tally.tried, len(tally.findings)) == (tried, found)
    assert all(said.strip().splitlines()[0] in finding for finding in tally.findings)


@pytest.mark.parametrize("target", coverage.TARGETS)
def test_a_readers_seeds_are_good(target: str) -> None:
    """What coverage-guided runs begin with is read; noise is refused, and neither raises."""
    read, seeds = getattr(coverage, f"{target}_target")()
    assert seeds
    for octets in (*seeds, b"", b"\x00" * 40):
        read(octets)


@pytest.mark.check
def test_no_mutation_is_obeyed() -> None:
    tally = devices.in_process(RUN, seed=SEED)
    assert tally.findings == []
    assert tally.tried == RUN
    # Not all at the first door: the MAC and the signature had their share of the work.
    assert tally.refused_by["meter.mac"] > RUN // 100
    assert tally.refused_by["meter.signature"] > RUN // 5


@pytest.mark.check
def test_no_payload_that_is_signed_makes_a_device_fall_over() -> None:
    tally = devices.signed_by_their_own(RUN // 4, seed=SEED)
    assert tally.findings == []
    assert sum(tally.refused_by.values()) == tally.tried == RUN // 4
    # Some were read and judged certificate by certificate, not only refused as no payload.
    assert tally.refused_by[devices.OBEYED] > RUN // 100


def test_what_is_mended_fits_but_for_its_signature() -> None:
    estate, noise = devices.Estate(), Noise(5)
    honest = decode(estate.command().data)
    secret = estate.broker_secret(devices.DEVICE)
    for _ in range(200):
        message = decode(devices.mended(honest, secret, noise))
        verify_mac(message, secret)
        with pytest.raises(SignatureInvalid):
            verify_signature(message, estate.holder(TRANS_COS_DS).certificate.public_key)
