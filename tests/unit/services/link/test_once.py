"""Nothing is taken twice: replays, restarts, races, repeated messages, crashes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.chassis.checks import CheckBook
from services.link.checks import link_checks
from services.link.errors import LinkSetupError
from services.link.opened import Opened
from services.link.server import LinkServer
from services.link.store.nonces import LEASE, NonceWindow
from services.link.wire import profile
from tests.unit.services.link.estate import Estate, HeldClock, Party, open_party
from tests.unit.services.link.forge import Forge, problem_of


class Died(BaseException):
    """What a killed process looks like from inside: nothing after it runs."""


async def test_a_replay_after_a_restart_is_refused(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    first = await open_party(tmp_path, estate, clock=clock)
    request = forge.request()
    assert (await first.send(request)).status == 200
    await first.database.close()
    second = await open_party(tmp_path, estate, clock=clock)
    assert problem_of(await second.send(request))["check"] == "link.request.nonce"
    assert second.handled == []
    await second.database.close()


async def test_a_nonce_is_kept_until_its_request_is_stale_and_then_forgotten(
    party: Party, forge: Forge, clock: HeldClock
):
    request = forge.request()
    await party.send(request)
    for seconds, check in ((64, "nonce"), (1, "nonce"), (1, "stale"), (58, "stale")):
        clock.step(seconds)
        problem = problem_of(await party.send(request))
        assert problem["check"] == f"link.request.{check}"
    assert len((await party.state())[1]) == 1
    clock.step(2)
    later = forge.but(created=int(clock.at.timestamp()), nonce="B" * 22, message_id="m-2")
    assert (await party.send(later.request())).status == 200
    assert [row[1] for row in (await party.state())[1]] == ["B" * 22]


async def test_of_many_replays_at_once_one_is_taken(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    party = await open_party(tmp_path, estate, clock=clock)
    request = forge.request()
    answers = await asyncio.gather(*(party.send(request) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert len(party.handled) == 1
    await party.database.close()


async def test_of_replays_to_two_processes_on_one_store_one_is_taken(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    one = await open_party(tmp_path, estate, clock=clock)
    two = await open_party(tmp_path, estate, clock=clock)
    request = forge.request()
    answers = await asyncio.gather(*(party.send(request) for party in (one, two) * 3))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 5
    assert len(one.handled) + len(two.handled) == 1
    for party in (one, two):
        await party.database.close()


async def test_the_same_nonce_of_another_key_is_another_nonce(
    party: Party, estate: Estate, forge: Forge
):
    await party.send(forge.request())
    other = Forge(
        estate.holders["registration"],
        sender="registration",
        purpose="registration-notice",
        path="/link/registration-notice",
    )
    assert (await party.send(other.request())).status == 200


async def test_a_message_repeated_with_a_new_nonce_gets_the_stored_answer(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    first = await open_party(tmp_path, estate, clock=clock)
    answer = await first.send(forge.request())
    await first.database.close()
    second = await open_party(tmp_path, estate, clock=clock)
    clock.step(10)
    again = await second.send(forge.but(nonce="B" * 22).request())
    assert again.status == 200
    assert again.body == answer.body
    assert second.handled == []
    # signed anew, for this very request
    assert again.first("signature") != answer.first("signature")
    await second.database.close()


async def test_a_message_identifier_is_the_senders_own_and_for_one_purpose(
    party: Party, estate: Estate, forge: Forge
):
    await party.send(forge.request())
    other_purpose = forge.but(
        purpose="device-alert", path="/link/device-alert", nonce="B" * 22, body=b'{"other":1}'
    )
    assert (await party.send(other_purpose.request())).status == 200
    assert len(party.handled) == 2
    assert {opened.purpose for opened in party.handled} == {"cos-command", "device-alert"}


async def test_a_message_under_way_is_not_begun_again(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_opened: Opened) -> dict[str, int]:
        going.set()
        await go_on.wait()
        return {"done": 1}

    party = await open_party(tmp_path, estate, clock=clock, answer=slow)
    first = asyncio.create_task(party.send(forge.request()))
    await going.wait()
    busy = await party.send(forge.but(nonce="B" * 22).request())
    assert busy.status == 503
    assert len(party.handled) == 1
    go_on.set()
    assert (await first).status == 200
    again = await party.send(forge.but(nonce="C" * 22).request())
    assert (again.status, again.body) == (200, b'{"done":1}')
    assert len(party.handled) == 1
    await party.database.close()


async def test_a_crash_in_the_handler_leaves_the_message_to_the_next_process(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    def die(_opened: Opened) -> None:
        raise Died

    first = await open_party(tmp_path, estate, clock=clock, answer=die)
    with pytest.raises(Died):
        await first.send(forge.request())
    # this process is thought to be still at it
    assert (await first.send(forge.but(nonce="B" * 22).request())).status == 503
    await first.database.close()
    second = await open_party(tmp_path, estate, clock=clock)
    assert (await second.send(forge.but(nonce="C" * 22).request())).status == 200
    assert len(second.handled) == 1
    await second.database.close()


async def test_an_attempt_that_never_ended_is_taken_over_after_its_lease(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    acts: list[int] = []

    def die_once(_opened: Opened) -> dict[str, int]:
        acts.append(1)
        if len(acts) == 1:
            raise Died
        return {"acts": len(acts)}

    party = await open_party(tmp_path, estate, clock=clock, answer=die_once)
    with pytest.raises(Died):
        await party.send(forge.request())
    clock.step(LEASE.total_seconds() + 1)
    later = forge.but(created=int(clock.at.timestamp()), nonce="B" * 22)
    assert (await party.send(later.request())).status == 200
    assert len(acts) == 2
    await party.database.close()


async def test_an_answer_kept_with_its_effect_survives_a_crash_right_after(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    """`remember` is in the transaction of the effect: after it the handler never runs again."""

    async def act_then_die(opened: Opened) -> None:
        async with parties[0].database.begin() as conn:
            conn.driver.execute("create table effect (n integer)")
            await opened.remember(conn, {"effect": 1})
        raise Died

    parties: list[Party] = []
    parties.append(await open_party(tmp_path, estate, clock=clock, answer=act_then_die))
    with pytest.raises(Died):
        await parties[0].send(forge.request())
    await parties[0].database.close()
    second = await open_party(tmp_path, estate, clock=clock)
    again = await second.send(forge.but(nonce="B" * 22).request())
    assert (again.status, again.body) == (200, b'{"effect":1}')
    assert second.handled == []
    await second.database.close()


async def test_an_attempt_that_outlived_its_lease_cannot_commit_its_effect(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    going, go_on = asyncio.Event(), asyncio.Event()

    async def act(opened: Opened) -> dict[str, int]:
        number = len(parties[0].handled)
        if number == 1:
            going.set()
            await go_on.wait()
        async with parties[0].database.begin() as conn:
            conn.driver.execute("create table if not exists effect (n integer)")
            conn.driver.execute("insert into effect values (?)", (number,))
            await opened.remember(conn, {"effect": number})
        return {"effect": number}

    parties: list[Party] = []
    parties.append(await open_party(tmp_path, estate, clock=clock, answer=act))
    party = parties[0]
    slow = asyncio.create_task(party.send(forge.request()))
    await going.wait()
    clock.step(LEASE.total_seconds() + 1)
    later = forge.but(created=int(clock.at.timestamp()), nonce="B" * 22)
    assert problem_of(await party.send(later.request())) == {"effect": 2}
    go_on.set()
    assert (await slow).status == 503
    async with party.database.connect() as conn:
        effects = [n for (n,) in conn.driver.execute("select n from effect")]
    assert effects == [2]
    again = forge.but(created=int(clock.at.timestamp()), nonce="C" * 22)
    assert problem_of(await party.send(again.request())) == {"effect": 2}
    await party.database.close()


async def test_a_remembered_answer_is_the_one_that_leaves(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    async def two_answers(opened: Opened) -> dict[str, int]:
        async with parties[0].database.begin() as conn:
            await opened.remember(conn, {"answer": 1})
        return {"answer": 2}

    parties: list[Party] = []
    parties.append(await open_party(tmp_path, estate, clock=clock, answer=two_answers))
    assert (await parties[0].send(forge.request())).body == b'{"answer":1}'
    await parties[0].database.close()


async def test_an_effect_rolled_back_takes_its_remembered_answer_with_it(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    async def fail_late(opened: Opened) -> dict[str, int]:
        async with parties[0].database.begin() as conn:
            await opened.remember(conn, {"effect": 1})
            if len(parties[0].handled) == 1:
                raise RuntimeError("the effect could not be written")
        return {"effect": 1}

    parties: list[Party] = []
    parties.append(await open_party(tmp_path, estate, clock=clock, answer=fail_late))
    party = parties[0]
    assert (await party.send(forge.request())).status == 500
    assert (await party.send(forge.but(nonce="B" * 22).request())).status == 200
    assert len(party.handled) == 2
    await party.database.close()


async def test_another_message_let_through_does_not_answer_for_the_first(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    """With the check off, a contradiction is handled; the message first meant stays open."""

    def fail_once(opened: Opened) -> dict[str, str]:
        if len(parties[0].handled) == 1:
            raise RuntimeError("not yet")
        return {"answers": opened.body.decode()}

    parties: list[Party] = []
    parties.append(await open_party(tmp_path, estate, clock=clock, answer=fail_once))
    party = parties[0]
    assert (await party.send(forge.request())).status == 500
    party.book.turn_off("link.request.message_id")
    other = forge.but(body=b'{"other":1}', nonce="B" * 22)
    assert problem_of(await party.send(other.request())) == {"answers": '{"other":1}'}
    again = await party.send(forge.but(nonce="C" * 22).request())
    assert problem_of(again) == {"answers": forge.body.decode()}
    assert len(party.handled) == 3
    await party.database.close()


async def test_the_link_is_put_together_completely_or_not_at_all(
    tmp_path: Path, party: Party, estate: Estate
):
    def server(**changed: object) -> LinkServer:
        given = {
            "identity": estate.identity("ecos_party"),
            "trust": estate.trust(),
            "allowed": {"cos-command": {"acb"}},
            "nonces": party.nonces,
            "evidence": party.evidence,
            "clock": party.clock,
            "book": party.book,
        }
        return LinkServer(**(given | changed))

    assert server()
    with pytest.raises(LinkSetupError, match="lacks link"):
        server(book=CheckBook("ecos_party", []))
    with pytest.raises(LinkSetupError, match="pinned for"):
        server(allowed={"cos-command": {"nobody"}})
    with pytest.raises(LinkSetupError, match="no such line"):
        server().route("device-alert")
    other = await open_party(tmp_path, estate, system="tcos_party")
    with pytest.raises(LinkSetupError, match="one database"):
        server(nonces=await NonceWindow.open(other.database))
    await other.database.close()


def test_nobody_but_an_approved_run_makes_an_opened():
    given = {"evidence": 1, "remember": None}
    with pytest.raises(TypeError, match="approved run"):
        Opened(object(), **given)
    book = CheckBook("x", link_checks())
    run = book.start("m-1", section="link.response")
    for check in book.section("link.response"):
        run.skip(check, "a test")
    with pytest.raises(TypeError, match="approved run"):
        Opened(run.approve(), **given)


async def test_an_opened_is_what_was_signed_and_cannot_be_changed(party: Party, forge: Forge):
    await party.send(forge.request())
    opened = party.handled[0]
    assert opened.body == forge.body
    assert (opened.sender, opened.purpose, opened.message_id) == ("acb", "cos-command", "m-1")
    assert opened.received_at == party.clock.at
    with pytest.raises(AttributeError):
        opened.sender = "tcos_party"
    with pytest.raises(TypeError):
        type("Other", (Opened,), {})
    assert profile.REQUEST_TAG not in repr(opened)
