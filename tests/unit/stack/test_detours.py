"""A detour is taken only between systems that talk, and only to an origin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from stack.errors import USAGE, CommandError
from stack.processes import read_detours


def test_each_is_read() -> None:
    assert read_detours(
        ["acb:ecos_party=http://127.0.0.1:9000/", "tcos_party:registration=https://proxy.lab"]
    ) == {
        ("acb", "ecos_party"): "http://127.0.0.1:9000",
        ("tcos_party", "registration"): "https://proxy.lab",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acb",
        "acb:ecos_party",
        "acb=http://127.0.0.1:9000",
        "acb:registration=http://127.0.0.1:9000",
        "nobody:acb=http://127.0.0.1:9000",
        "acb:ecos_party=127.0.0.1:9000",
        "acb:ecos_party=http://",
        "acb:ecos_party=http://[",
        "acb:ecos_party=http://127.0.0.1:9000/path",
        "acb:ecos_party=http://user@127.0.0.1:9000",
        "acb:ecos_party=file:///etc",
    ],
)
def test_what_is_no_detour_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_detours([text])
    assert caught.value.code == USAGE


def test_cos_up_refuses_before_it_makes_anything(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["up", "--data", str(tmp_path / "stack"), "--peer", "acb:nobody=http://x", "--json"]
    )
    assert done.exit_code == USAGE
    assert "expected CALLER:CALLEE=URL" in json.loads(done.stdout)["error"]
    assert not (tmp_path / "stack").exists()
