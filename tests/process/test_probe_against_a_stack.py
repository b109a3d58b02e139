"""The bench against the six systems, really started: what must be refused is, and it can tell."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from stack_bench import Bench
from typer.testing import CliRunner

from cli.app import app
from probe.catalogue import catalogue, chosen, sample
from probe.matrix import without
from probe.model import Attack, Result
from probe.result import Refusal
from probe.runner import run
from probe.world import World
from stack.layout import save_stack

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
    return [f"{r.attack.id}: {r.outcome} {r.refused_by} {r.changed} {r.note}" for r in results
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
    check = Refusal("ecos_party", "link.request.nonce")
    (result,) = try_all(bench, [without(attack, check)])
    assert not result.ok
    assert result.refused_by != check


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


EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)
README = Path(__file__).resolve().parents[2] / "probe" / "README.md"


def test_the_documented_attacks_of_ones_own_run(bench: Bench, tmp_path: Path) -> None:
    save_stack(bench.connection.stack)
    (example,) = EXAMPLE.findall(README.read_text())
    mine = tmp_path / "mine.py"
    mine.write_text(example)
    arguments = ["probe", "--data", str(bench.data), "--json", "--file", str(mine)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["attacks"]
    assert [one["id"] for one in told] == ["mine.another-document", "mine.certificates"]
    assert all(one["ok"] and one["state_unchanged"] for one in told)


CHECK = "acb.request.schema"
WEAK = (
    f"{CHECK} of acb is off", "quirk non-minimal-lengths of meter_sim is on",
    "the clock of ecos_party is offset",
)  # fmt: skip


def test_a_weakened_stack_is_left_alone_unless_one_says_otherwise(bench: Bench) -> None:
    save_stack(bench.connection.stack)
    lab = bench.connection.lab

    def weaken() -> None:
        lab("acb", "PUT", f"/lab/checks/{CHECK}", {"enabled": False})
        lab("meter_sim", "PUT", "/lab/quirks/non-minimal-lengths", {"on": True})
        lab("ecos_party", "PUT", "/lab/clock", {"mode": "offset", "seconds": 5.0})

    def state() -> list[object]:
        weak = [lab(party, "GET", "/lab/party")["weakened"] for party in ("acb", "meter_sim")]
        return [*weak, lab("ecos_party", "GET", "/lab/clock")["offset_seconds"]]

    def probe(*more: str) -> tuple[int, str, str]:
        attack = ("--only", "xml.acb.form.comment-in-value", "--only", "gbcs.frame.empty")
        done = CliRunner().invoke(app, ["probe", "--data", str(bench.data), *attack, *more])
        return done.exit_code, done.stdout, done.stderr

    weaken()
    weakened = state()
    assert bench.switch(bench.meter("ecos_party"), "B").ok
    held = lab("meter_sim", "GET", f"/lab/devices/{bench.meter('ecos_party')}")["cells"]
    code, _, said = probe()
    assert code == 2
    assert all(one in said for one in WEAK), said
    assert "--reset" in said
    assert "--as-is" in said
    assert state() == weakened
    assert lab("meter_sim", "GET", f"/lab/devices/{bench.meter('ecos_party')}")["cells"] == held
    code, _, said = probe("--as-is")
    assert "homes of this stack are put back" in said
    assert f"stays: {CHECK} of acb is off" in said
    assert state() == weakened
    code, _, said = probe("--reset")
    assert (code, said.count("undone: ")) == (0, 3), said
    assert state() == [[], [], 0.0]
    lab("acb", "POST", "/lab/faults",
        {"kind": "drop", "direction": "outbound", "part": "request", "match": {}})  # fmt: skip
    assert probe()[0] == 2
    code, _, said = probe("--as-is")
    assert code == 2
    assert "cos faults clear" in said
    assert len(lab("acb", "GET", "/lab/faults")["faults"]) == 1


def test_the_check_that_a_tester_switched_off_stays_off_for_the_attack(bench: Bench) -> None:
    """The report is of the stack as it is: the attack that the check would stop is not refused."""
    save_stack(bench.connection.stack)
    check = "link.request.nonce"
    bench.connection.lab("ecos_party", "PUT", f"/lab/checks/{check}", {"enabled": False})
    arguments = ["probe", "--data", str(bench.data), "--json", "--only", "link.ecos.replay.nonce"]
    done = CliRunner().invoke(app, [*arguments, "--as-is"])
    assert done.exit_code == 1
    (told,) = json.loads(done.stdout)["attacks"]
    assert told["stopped_by"] != {"party": "ecos_party", "check": check}
    assert bench.connection.lab("ecos_party", "GET", "/lab/party")["weakened"] == [check]


@pytest.mark.check
def test_the_bench_stands_between_and_leaves_no_trace(bench: Bench) -> None:
    """A CoS Party that lies, with and without the check that finds it out; then all is as it was.

    One test, because standing between the systems starts three of them anew.
    """
    attack = ATTACKS["lying.ecos.other-meter"]
    check = Refusal("acb", "acb.return.recipient")
    lied, believed = try_all(
        bench, [attack, without(attack, Refusal("meter_sim", "meter.recipient"))]
    )
    assert wrong([lied, believed]) == []
    assert (lied.refused_by, lied.state_unchanged) == (check, True)
    assert bench.switch(bench.meter("ecos_party"), "B").ok
    assert bench.connection.stack.data is not None
    told = (bench.connection.stack.data / "acb" / "config.toml").read_text()
    assert bench.connection.stack.services["ecos_party"].interface in told


@pytest.mark.check
@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_every_attack_ends_as_it_must(bench: Bench) -> None:
    """All of ECoS and the sample of TCoS, as `cos probe` does; the matrix repeats all of both."""
    results = try_all(bench, sample(list(ATTACKS.values())))
    assert wrong(results) == []
