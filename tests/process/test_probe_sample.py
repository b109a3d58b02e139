"""A seeded sample of the bench in CI: of each family of attacks a few, with every check on.

The whole catalogue runs every night (`test_probe_against_a_stack`). Each attack without its check
is the matrix, which runs as a whole (`test_attacks_document`): who refuses then may depend on what
other attacks left in the broker's history, so a part of it says nothing.
"""

from __future__ import annotations

import itertools
import json

import pytest
from effort import SEED, drawn
from stack_bench import Bench
from typer.testing import CliRunner

from cli.app import app
from probe.catalogue import catalogue
from stack.layout import save_stack

pytestmark = [pytest.mark.check, pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

OF_EACH = 1


def family(name: str) -> str:
    """`link.ecos.digest` and `link.tcos.digest` are of one: both CoS Parties run the same code."""
    return ".".join(name.replace(".tcos", ".ecos").split(".")[:2])


def sample() -> list[str]:
    names = sorted((attack.id for attack in catalogue()), key=family)
    families = itertools.groupby(names, key=family)
    return [name for _, members in families for name in drawn(members, OF_EACH)]


def test_some_of_every_family_end_as_they_must(bench: Bench) -> None:
    save_stack(bench.connection.stack)
    only = [word for name in sample() for word in ("--only", name)]
    arguments = ["probe", "--data", str(bench.data), "--json", *only]
    done = CliRunner().invoke(app, arguments)
    told = json.loads(done.stdout)["attacks"]
    assert told, done.output
    assert [one for one in told if not one["ok"]] == [], f"COS_SEED={SEED}"
    assert done.exit_code == 0, done.output
