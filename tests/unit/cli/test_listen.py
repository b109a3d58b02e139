"""What comes to `cos listen` is shown as it comes, and who did not sign it is not the broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import httpx
import pytest

from cli.callback_commands import take
from duis.errors import SignatureInvalid
from stack.receiver import Receiver
from stack.supplier import Supplier


class NobodysReader:
    """A supplier that holds no document to be its broker's."""

    def read(self, document: bytes) -> None:
        raise SignatureInvalid("signature_mismatch", "Response", f"{len(document)} octets")


READER = cast("Supplier", NobodysReader())


def test_documents_are_kept_and_a_foreign_signature_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Receiver("127.0.0.1") as receiver:
        for document in (b"<one/>", b"<two/>"):
            assert httpx.post(receiver.url("B"), content=document).status_code == 204
        assert take(receiver, READER, 2, None, tmp_path, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["verified"] for line in lines] == [False, False]
    assert all("signature_mismatch" in line["says"] for line in lines)
    assert (tmp_path / "001.xml").read_bytes() == b"<one/>"
    assert (tmp_path / "002.xml").read_bytes() == b"<two/>"


@pytest.mark.parametrize(("count", "enough"), [(None, True), (1, False)])
def test_when_time_is_over_it_is_told_apart_from_enough(count: int | None, enough: bool) -> None:
    with Receiver("127.0.0.1") as receiver:
        assert take(receiver, READER, count, 0, None, as_json=True) is enough
