"""One table of systems: what must be written in another format says the same as `stack.systems`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from keys.issuing.plan import load_plan
from pytest_cos_stack import stack as plugin
from pytest_cos_stack import story
from stack.systems import (
    COS_PARTIES,
    DEVICES_LAST,
    SYSTEMS,
    TABLE,
    System,
    with_link_keys,
)

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(params=TABLE, ids=SYSTEMS)
def row(request: pytest.FixtureRequest) -> System:
    assert isinstance(request.param, System)
    return request.param


def test_a_system_starts_after_those_it_asks(row: System) -> None:
    assert all(SYSTEMS.index(peer) < SYSTEMS.index(row.name) for peer in row.peers)


def test_a_system_is_where_the_table_says(row: System) -> None:
    folder = ROOT / Path(*row.module.split(".")[:-1])
    assert (folder / "main.py").is_file()
    assert (folder / "authority.toml").is_file()
    assert (folder / "README.md").is_file()


def test_the_ceremony_makes_the_keys_of_the_table(row: System) -> None:
    party = with_link_keys(load_plan()).party(row.name)
    made = [*(["link"] if party.link else []), *(["device-seed"] if party.device_seed else [])]
    assert (*made, *(key.name for key in party.keys)) == row.keys


def test_a_system_with_nothing_but_a_link_key_need_not_stand_in_the_plan() -> None:
    plan = load_plan()
    parties = tuple(party for party in plan.parties if party.system != "registration")
    completed = with_link_keys(plan.model_copy(update={"parties": parties}))
    assert {party.system for party in completed.parties} == set(SYSTEMS)


def test_the_walls_name_every_system(row: System) -> None:
    package = row.module.removesuffix(".main")
    contracts = {one["name"]: one for one in PROJECT["tool"]["importlinter"]["contracts"]}

    def of(words: str) -> str:
        return str(next(one for name, one in contracts.items() if words in name))

    for words in ("Code flows one way", "two CoS Parties", "drives the parties over HTTP only"):
        assert f"{package}" in re.split(r"[^a-z_.0-9]+", of(words)), words
    assert row.module in of("Private keys are opened only")


def test_the_containers_are_the_systems(row: System) -> None:
    compose, services = COMPOSE, COMPOSE["services"]
    own = services[row.name]
    assert own["volumes"] == [f"{row.name}:/data"]
    assert own["healthcheck"]["test"][-1] == "/data/config.toml"
    assert row.name in compose["volumes"]
    assert f"{row.name}:/data/{row.name}" in services["ceremony"]["volumes"]
    assert services["provision"]["depends_on"][row.name] == {"condition": "service_healthy"}
    (lab,) = [name for name in own["networks"] if name.startswith("lab-")]
    assert own["networks"][lab] == {"aliases": [f"lab.{row.name}"]}
    assert lab in services["provision"]["networks"]
    target = own["build"]["target"]
    (image,) = re.findall(rf"FROM (\w+) AS {target}\n((?:.+\n)+)", DOCKERFILE)
    assert image[0] == ("linked" if "link" in row.keys else "base")
    module = image[1].replace("$SYSTEM", own["build"].get("args", {}).get("SYSTEM", "?"))
    assert row.module in module


def test_the_plugin_knows_the_systems() -> None:
    assert plugin.SYSTEMS == DEVICES_LAST
    assert ("acb", *COS_PARTIES) == story.TELLERS
