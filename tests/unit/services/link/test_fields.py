"""The structured field reader: what it takes, what it refuses and where."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from services.link.errors import DigestError, FieldError
from services.link.wire.digest import content_digest, read_content_digest, same_digest
from services.link.wire.fields import (
    MAX_FIELD,
    Dictionary,
    InnerList,
    Item,
    read_dictionary,
    write_dictionary,
)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("a=1", (("a", Item(1)),)),
        ("a=-1", (("a", Item(-1)),)),
        ('a="x"', (("a", Item("x")),)),
        (r'a="\"\\"', (("a", Item('"\\')),)),
        ("a=::", (("a", Item(b"")),)),
        ("a=:AQI=:", (("a", Item(b"\x01\x02")),)),
        ("a=()", (("a", InnerList(())),)),
        (
            'a=("x" "y";req);b=1',
            (("a", InnerList((Item("x"), Item("y", (("req", True),))), (("b", 1),))),),
        ),
        ("a=1, b=2", (("a", Item(1)), ("b", Item(2)))),
        ("a=1;*x;y.z-_=2", (("a", Item(1, (("*x", True), ("y.z-_", 2)))),)),
        ("a=999999999999999", (("a", Item(999_999_999_999_999)),)),
    ],
)
def test_what_is_read(text: str, members: Dictionary):
    assert read_dictionary(text) == members
    assert write_dictionary(members) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('a=(  "x"   "y" )', 'a=("x" "y")'),
        ("a=1 ,\tb=2", "a=1, b=2"),
        ("a=1;  x", "a=1;x"),
        ("  a=1  ", "a=1"),
        ("a=0123", "a=123"),
        ("a=-0", "a=0"),
    ],
)
def test_what_is_read_but_not_canonical(text: str, canonical: str):
    assert write_dictionary(read_dictionary(text)) == canonical


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("A=1", 0),
        ("a", 1),
        ("a=", 2),
        ("a=1,", 4),
        ("a=1 b=2", 4),
        ("a=1, a=2", 6),
        ("a=1;x=1;x=2", 9),
        ("a=token", 2),
        ("a=?1", 2),
        ("a=1.5", 3),
        ("a=@1", 2),
        ("a=1000000000000000", 17),
        ("a=-", 2),
        ('a="x', 4),
        ('a="\\x"', 3),
        ('a="é"', 3),
        ('a="\n"', 3),
        ("a=:AQI:", 2),
        ("a=:AQJ=:", 2),
        ("a=:A Q=:", 2),
        ("a=:é:", 2),
        ("a=:AQI=", 2),
        ('a=("x""y")', 6),
        ('a=("x"', 6),
        ('a=("x" ("y"))', 7),
        ("a=1;=2", 4),
        ("a=1;X", 4),
    ],
)
def test_what_is_refused_and_where(text: str, offset: int):
    with pytest.raises(FieldError) as refused:
        read_dictionary(text)
    assert refused.value.offset == offset


def test_a_field_without_end_is_not_read():
    with pytest.raises(FieldError, match="longer"):
        read_dictionary("a=:" + "A" * MAX_FIELD + ":")


@pytest.mark.parametrize("value", ["é", "\n", "\x7f"])
def test_what_cannot_be_written(value: Any):
    with pytest.raises(FieldError):
        write_dictionary((("a", Item(value)),))
    with pytest.raises(FieldError):
        write_dictionary((("a", Item(False)),))


def test_a_digest():
    # printf '' | openssl dgst -sha256 -binary | base64
    assert content_digest(b"") == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    assert same_digest(read_content_digest(content_digest(b"x")), sha256(b"x").digest())
    assert not same_digest(read_content_digest(content_digest(b"x")), sha256(b"y").digest())


@pytest.mark.parametrize(
    "text", ["", "sha-512=:AAAA:", "sha-256=1", "sha-256=:AAAA:", "sha-256=()"]
)
def test_a_digest_that_is_none(text: str):
    with pytest.raises(DigestError):
        read_content_digest(text)
