"""docs/attacks.md says what a running stack does: `cos probe matrix --check`.

`test_probe_against_a_stack` runs the catalogue against ECoS and its sample of TCoS with every check
on and looks at the state; the matrix has each check of both off in turn and looks only at who says
no instead: between them nothing is done twice. It has a stack of its own, so that the two can run
side by side.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from stack_bench import Bench
from typer.testing import CliRunner

from cli.app import app
from stack.layout import save_stack

pytestmark = [
    pytest.mark.check,
    pytest.mark.xdist_group("matrix"),
    pytest.mark.timeout(3600),
]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "attacks.md"


def test_every_check_off_in_turn_gets_through_what_the_document_says(bench: Bench) -> None:
    save_stack(bench.connection.stack)
    arguments = ["probe", "matrix", "--check", "--data", str(bench.data), "--out", str(DOCUMENT)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
