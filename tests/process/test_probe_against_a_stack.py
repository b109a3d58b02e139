"""The bench against the six systems, really started: what must be refused is, and it can tell."""

from __future__ import annotations

import json

import pytest
from stack_bench import Bench
from typer.testing import CliRunner

from cli.app import app
from cli.layout import save_stack
from probe.catalogue import catalogue, chosen
from probe.matrix import without
from probe.model import Attack, Result, Stop
from probe.runner import run
from probe.world import World

pytestmark = pytest.mark.xdist_group("stack")

ATTACKS = {a.id: a for a in catalogue()}
SAMPLE = (
    "link.ecos.honest.now",
    "link.ecos.unsigned.both",
    "link.ecos.replay.same-process",
    "link.tcos.identity.meant-for-other",
    "link.ecos.covered.without.cos-recipient",
    "xml.acb.form.comment-in-value",
    "xml.ecos.signature.mpxn",
    "process.ecos.not-incoming",
    "process.tcos.by-broker.certificates-of-other",
    "process.acb.duplicate",
    "gbcs.changed.mac-stripped",
    "gbcs.replay.same",
    "gbcs.certificate.unknown-issuer",
    "old-keys.cos-rotated",
)


def try_all(bench: Bench, attacks: list[Attack]) -> list[Result]:
    results = run(World(bench.connection, bench.data), attacks, lambda _: None)
    assert len(results) == len(attacks)
    return results


def wrong(results: list[Result]) -> list[str]:
    return [f"{r.attack.id}: {r.outcome} {r.stopped_by} {r.changed} {r.note}" for r in results
            if not r.ok]  # fmt: skip


def test_one_of_each_kind_ends_as_it_must(bench: Bench) -> None:
    assert wrong(try_all(bench, [ATTACKS[name] for name in SAMPLE])) == []


@pytest.mark.parametrize("cos", ["tcos", "ecos"])
def test_with_all_keys_of_one_side_no_meter_changes_supplier(bench: Bench, cos: str) -> None:
    """The separation claim: every mode by the broker alone, every way by the CoS Party alone."""
    alone = chosen(
        list(ATTACKS.values()),
        [f"separation.{cos}.broker-alone", f"separation.{cos}.cos-alone"],
    )
    results = try_all(bench, alone)
    assert wrong(results) == []
    moved = {r.attack.id.rpartition(".")[2] for r in results if r.outcome == "succeeded"}
    # The broker's own cell by mode 4, and the CoS Party's own signature, mirrored.
    assert moved == {"mode-4", "n-minus-s"}


def test_both_together_succeed(bench: Bench) -> None:
    together = [ATTACKS[f"separation.{cos}.both.any-supplier"] for cos in ("tcos", "ecos")]
    assert [r.outcome for r in try_all(bench, together)] == ["succeeded", "succeeded"]


def test_a_missing_check_is_noticed(bench: Bench) -> None:
    """The bench can fail: with the check off, the replay is acted on or stopped elsewhere."""
    attack = ATTACKS["link.ecos.replay.nonce"]
    check = Stop("ecos_party", "link.request.nonce")
    (result,) = try_all(bench, [without(attack, check)])
    assert not result.ok
    assert result.stopped_by != check


def test_the_command_exits_by_what_it_found(bench: Bench) -> None:
    save_stack(bench.connection.stack)
    runner = CliRunner()
    arguments = ["probe", "--data", str(bench.data), "--json", "--only"]
    done = runner.invoke(app, [*arguments, "gbcs.frame.empty"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["totals"] | {"attacks": 1, "ok": 1, "refused": 1} == told["totals"]
    assert told["attacks"][0]["stopped_by"] == {"party": "meter_sim", "check": "meter.frame"}
    assert runner.invoke(app, [*arguments, "no.such.attack"]).exit_code == 2


@pytest.mark.check
def test_the_bench_stands_between_and_leaves_no_trace(bench: Bench) -> None:
    """A CoS Party that lies, with and without the check that finds it out; then all is as it was.

    One test, because standing between the systems starts three of them anew.
    """
    attack = ATTACKS["lying.ecos.other-meter"]
    check = Stop("acb", "acb.return.recipient")
    lied, believed = try_all(bench, [attack, without(attack, Stop("meter_sim", "meter.recipient"))])
    assert wrong([lied, believed]) == []
    assert (lied.stopped_by, lied.state_unchanged) == (check, True)
    assert bench.switch(bench.meter("ecos_party"), "B").ok
    assert bench.connection.stack.data is not None
    told = (bench.connection.stack.data / "acb" / "config.toml").read_text()
    assert bench.connection.stack.services["ecos_party"].interface in told


@pytest.mark.check
@pytest.mark.timeout(1800)
def test_every_attack_ends_as_it_must(bench: Bench) -> None:
    results = try_all(bench, list(ATTACKS.values()))
    assert wrong(results) == []
