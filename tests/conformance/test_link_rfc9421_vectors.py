"""The published examples of RFC 9421 that are within this profile's reach.

Test data: RFC 9421 Appendix B.1.3 and B.1.4 (public keys), B.2 (test-request, test-response),
B.2.3 to B.2.6, and section 2.4 (a response bound to its request). ECDSA signatures are made with
a random number each time, so those examples are verified, not reproduced.
"""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.link.errors import BaseError, SignatureError
from services.link.wire.base import signature_base
from services.link.wire.fields import InnerList, Item, read_dictionary, write_dictionary
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import verify_signature

ECC_P256 = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----
"""
ED25519 = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""

REQUEST_DIGEST = (
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYll"
    "u7BNNyealdVLvRwEmTHWXvJwew==:"
)
RESPONSE_DIGEST = (
    "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX6"
    "9wWdXymyU0rjJuahq4l5aGgfLQ==:"
)
BUSY_DIGEST = (
    "sha-512=:0Y6iCBzGg5rZtoXS95Ijz03mslf6KAMCloESHObfwnHJDbkkWWQz6PhhU9kx"
    "sTbARtY2PTBOzq24uJFpHsMuAg==:"
)

TEST_REQUEST = HttpRequest(
    "POST",
    "/foo",
    "param=Value&Pet=dog",
    (
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-digest", REQUEST_DIGEST),
        ("content-length", "18"),
    ),
    b'{"hello": "world"}',
)
TEST_RESPONSE = HttpResponse(
    200,
    (
        ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("content-type", "application/json"),
        ("content-digest", RESPONSE_DIGEST),
        ("content-length", "23"),
    ),
    b'{"message": "good dog"}',
)
BUSY_RESPONSE = HttpResponse(
    503,
    (
        ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("content-type", "application/json"),
        ("content-length", "62"),
        ("content-digest", BUSY_DIGEST),
    ),
)

B24_INPUT = (
    'sig-b24=("@status" "content-type" "content-digest" "content-length")'
    ';created=1618884473;keyid="test-key-ecc-p256"'
)
B24_SIGNATURE = (
    "sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnz"
    "DnDAUy5eCdlYUEkLIj+32oiasw==:"
)
REQRES_INPUT = (
    'reqres=("@status" "content-digest" "content-type" "@authority";req "@method";req "@path";req'
    ' "content-digest";req);created=1618884479;keyid="test-key-ecc-p256"'
)
REQRES_SIGNATURE = (
    "reqres=:dMT/A/76ehrdBTD/2Xx8QuKV6FoyzEP/I9hdzKN8LQJLNgzU4W767HK05rx1"
    "i8meNQQgQPgQp8wq2ive3tV5Ag==:"
)


def covered(field: str) -> InnerList:
    members = read_dictionary(field)
    assert write_dictionary(members) == field
    member = members[0][1]
    assert isinstance(member, InnerList)
    return member


def octets(field: str) -> bytes:
    member = read_dictionary(field)[0][1]
    assert isinstance(member, Item)
    assert isinstance(member.value, bytes)
    return member.value


def p256() -> ec.EllipticCurvePublicKey:
    key = load_pem_public_key(ECC_P256)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def test_b_2_3_full_coverage_signature_base():
    field = (
        'sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest"'
        ' "content-length");created=1618884473;keyid="test-key-rsa-pss"'
    )
    assert signature_base(covered(field), TEST_REQUEST, None).decode() == "\n".join(
        [
            '"date": Tue, 20 Apr 2021 02:07:55 GMT',
            '"@method": POST',
            '"@path": /foo',
            '"@query": ?param=Value&Pet=dog',
            '"@authority": example.com',
            '"content-type": application/json',
            f'"content-digest": {REQUEST_DIGEST}',
            '"content-length": 18',
            '"@signature-params": ' + field.removeprefix("sig-b23="),
        ]
    )


def test_b_2_4_response_signed_with_ecdsa_p256():
    base = signature_base(covered(B24_INPUT), TEST_RESPONSE, None)
    assert base.decode() == "\n".join(
        [
            '"@status": 200',
            '"content-type": application/json',
            f'"content-digest": {RESPONSE_DIGEST}',
            '"content-length": 23',
            '"@signature-params": ' + B24_INPUT.removeprefix("sig-b24="),
        ]
    )
    verify_signature(p256(), octets(B24_SIGNATURE), base)


def test_b_2_5_signature_base_of_the_symmetric_example():
    field = (
        'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    )
    assert signature_base(covered(field), TEST_REQUEST, None).decode() == "\n".join(
        [
            '"date": Tue, 20 Apr 2021 02:07:55 GMT',
            '"@authority": example.com',
            '"content-type": application/json',
            '"@signature-params": ' + field.removeprefix("sig-b25="),
        ]
    )


def test_b_2_6_signature_base_verifies_under_the_published_ed25519_signature():
    """Our base, another algorithm: the signature is the RFC's own and deterministic."""
    field = (
        'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    signature = base64.b64decode(
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )
    key = load_pem_public_key(ED25519)
    assert isinstance(key, ed25519.Ed25519PublicKey)
    key.verify(signature, signature_base(covered(field), TEST_REQUEST, None))


def test_2_4_response_bound_to_its_request():
    base = signature_base(covered(REQRES_INPUT), BUSY_RESPONSE, TEST_REQUEST)
    assert base.decode().split("\n")[3:7] == [
        '"@authority";req: example.com',
        '"@method";req: POST',
        '"@path";req: /foo',
        f'"content-digest";req: {REQUEST_DIGEST}',
    ]
    verify_signature(p256(), octets(REQRES_SIGNATURE), base)


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("PUT", "/foo", headers=TEST_REQUEST.headers),
        HttpRequest("POST", "/fop", headers=TEST_REQUEST.headers),
        HttpRequest(
            "POST",
            "/foo",
            headers=tuple(
                (n, RESPONSE_DIGEST if n == "content-digest" else v)
                for n, v in TEST_REQUEST.headers
            ),
        ),
    ],
    ids=["method", "path", "digest"],
)
def test_2_4_response_moved_to_another_request(request_: HttpRequest):
    base = signature_base(covered(REQRES_INPUT), BUSY_RESPONSE, request_)
    with pytest.raises(SignatureError):
        verify_signature(p256(), octets(REQRES_SIGNATURE), base)


def test_2_4_request_components_need_the_request():
    with pytest.raises(BaseError, match="not known"):
        signature_base(covered(REQRES_INPUT), BUSY_RESPONSE, None)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Item("@method", (("req", 1),)), "other than req"),
        (Item("@method", (("req", True), ("sf", True))), "other than req"),
        (Item("content-digest", (("key", "sha-512"),)), "other than req"),
        (Item("@method"), "not a component of a response"),
        (Item("@target-uri", (("req", True),)), "that this profile knows"),
        (Item("x-none"), "no such header"),
        (Item(1), "not a string"),
    ],
)
def test_components_that_this_profile_does_not_know(item: Item, reason: str):
    with pytest.raises(BaseError, match=reason):
        signature_base(InnerList((item,)), BUSY_RESPONSE, TEST_REQUEST)


@pytest.mark.parametrize("value", ["a\nb", "a\x00", "\xe9"])
def test_a_value_that_could_forge_a_line_is_not_signed(value: str):
    message = HttpResponse(200, (("x", value),))
    with pytest.raises(BaseError, match="printable"):
        signature_base(InnerList((Item("x"),)), message, None)


@pytest.mark.parametrize("position", range(0, 64, 7))
def test_b_2_4_with_an_octet_of_the_signature_changed(position: int):
    changed = bytearray(octets(B24_SIGNATURE))
    changed[position] ^= 1
    with pytest.raises(SignatureError):
        verify_signature(
            p256(), bytes(changed), signature_base(covered(B24_INPUT), TEST_RESPONSE, None)
        )


@pytest.mark.parametrize("length", [0, 63, 65, 70, 72])
def test_a_signature_that_is_not_two_numbers_of_32_octets(length: int):
    with pytest.raises(SignatureError, match="64"):
        verify_signature(p256(), b"\x01" * length, b"x")


def test_a_signature_of_zeros():
    with pytest.raises(SignatureError):
        verify_signature(p256(), b"\x00" * 64, b"x")


def test_a_key_on_another_curve():
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(SignatureError, match="P-256"):
        verify_signature(other, b"\x01" * 64, b"x")
