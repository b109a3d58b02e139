"""Whatever is brought, reading raises nothing; no changed request passes for the signed one."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from cos_party.rules.reading import (
    read_path_certificates,
    read_replacements,
    read_request,
    read_return,
)
from duis.errors import DuisError
from duis.signature import verify_document
from tests.unit.cos_party.estate import SUPPLIER_B, Estate


@cache
def estate() -> Estate:
    return Estate()


@cache
def signed() -> bytes:
    return estate().ask().signed


@given(content=st.binary(max_size=400))
def test_any_octets_are_read_without_raising(content: bytes) -> None:
    assert read_request(content).request is None
    reading = read_return(content)
    assert reading.message is None or reading.message.header.originator


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """The signed request with a few octets replaced, left out or put in."""
    content = bytearray(signed())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content) - 1))
        match draw(st.sampled_from(["replace", "leave out", "put in"])):
            case "replace":
                content[at] = draw(st.integers(0, 255))
            case "leave out":
                del content[at]
            case _:
                content.insert(at, draw(st.integers(0, 255)))
    return bytes(content)


@given(content=changed())
def test_no_changed_request_passes_for_the_signed_one(content: bytes) -> None:
    """It is refused by its form or its signature, or it says exactly what was signed."""
    reading = read_request(content)
    read_replacements(reading.request)
    read_path_certificates(reading.request)
    if reading.request is None or reading.reference is None:
        assert any(
            (
                reading.malformed,
                reading.schema,
                reading.unsupported,
                reading.variant,
                reading.signature_form,
            )
        )
        return
    certificate = estate().xml_signer(SUPPLIER_B).certificate
    if reading.reference.serial != certificate.serial:
        return
    try:
        verify_document(content, certificate.der)
    except DuisError:
        return
    assert reading.request == read_request(signed()).request


@given(der=st.binary(max_size=200))
def test_any_octets_for_a_certificate_are_noted_and_not_raised(der: bytes) -> None:
    asked = estate().ask(key_agreement=der or b"\x30", path_certificates=(der or b"\x30",))
    reading = read_request(asked.signed)
    assert reading.request is not None
    evidence = read_replacements(reading.request)[1]
    assert (evidence.certificate is None) == (evidence.failure is not None)
    (above,) = read_path_certificates(reading.request)
    assert (above.certificate is None) == (above.failure is not None)
