"""The broker's process dies in the midst of blocks; the command is obeyed once all the same."""

from __future__ import annotations

import pytest

from tests.unit.acb.estate import CELLS, DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.test_crashes import dying, remember_answers
from tests.unit.acb.world import World

pytestmark = pytest.mark.check

COMMITS = 50
"""More than a change of supplier in blocks needs: each block that is sent or heard is traced."""


async def in_blocks(world: World) -> None:
    answer = await world.lab.put(f"/lab/devices/{DEVICE}/blocks", json={"size": 200})
    assert answer.is_success, answer.text


@pytest.mark.parametrize("commit", range(2, COMMITS, 3))
async def test_a_crash_at_any_block_loses_nothing_and_does_nothing_twice(
    world: World, meters: Meters, monkeypatch: pytest.MonkeyPatch, commit: int
) -> None:
    request = world.estate.request()
    remember_answers(world)
    await in_blocks(world)
    await world.accept(request)
    dying(world.parts.base.database, monkeypatch, commit, "after" if commit % 2 else "before")
    died = False
    try:
        await world.parts.base.outbox.run_due()
    except BaseException as error:  # noqa: BLE001 - whatever the dying tasks leave behind
        died = "Died" in repr(error)
    monkeypatch.undo()
    again = await world.restarted()
    try:
        await again.parts.base.outbox.start()
        await again.parts.base.outbox.idle(deferred=True)

        told = await again.told(request)
        assert (told["state"], told["response_code"]) == ("completed", "I0"), (died, told)
        assert await recorded(again) == await meters.cells()
        assert (await again.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_B
        assert [item.body.alert_code for item in await again.documents(SUPPLIER_A)] == ["N27"]
        entries = (await meters.lab.get(f"/lab/devices/{DEVICE}/trace")).json()["entries"]
        changes = [e for e in entries if e["kind"] == "answered" and e["cells"]]
        assert len(changes) == 1
    finally:
        await again.stop()


async def test_a_change_in_blocks_takes_fewer_commits_than_are_tried(
    world: World, meters: Meters, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_blocks(world)
    await world.accept(world.estate.request())
    dying(world.parts.base.database, monkeypatch, COMMITS, "before")
    await world.parts.base.outbox.run_due()
    assert (await world.told(world.estate.request()))["state"] == "completed"
