"""Each system holds its own keys, knows its permitted peers, and shares no network with others.

Who may talk to whom is written down once, in `stack.systems`; configurations, authority
tables, the networks of the containers and their images must all say the same.
"""

from __future__ import annotations

import copy
import hashlib
import tomllib
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from cli.keys_commands import hold_ceremony
from keys.errors import KeyStoreError
from keys.stores.software import SoftwareKeyStore
from services.chassis.web.authority import ANYONE, Authority
from stack.containers import lay_out
from stack.layout import Stack, write_config
from stack.systems import COS_PARTIES, PEERS, SYSTEM, SYSTEMS, TABLE

ROOT = Path(__file__).resolve().parents[2]
OWN_ROOMS = {
    # What lives in services/ stands on the link and holds its own folder, nothing else.
    **{
        row.name: {row.module.removesuffix(".main").replace(".", "/"), "services/link"}
        for row in TABLE
        if row.module.startswith("services.")
    },
    "acb": {"gbcs", "duis", "acb", "services/link"},
    "tcos_party": {"gbcs", "duis", "cos_party", "tcos_party", "services/link"},
    "ecos_party": {"gbcs", "duis", "cos_party", "ecos_party", "services/link"},
    "meter_sim": {"gbcs", "meter_sim"},
}
BASE_ROOMS = {"services/chassis", "keys"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("separation") / "data"
    hold_ceremony(folder)
    return folder


# ---- keys -----------------------------------------------------------------------------------


def holders(data: Path) -> dict[bytes, set[str]]:
    """Every private key of a ceremony, by its public half, and the folders that hold it."""
    found: dict[bytes, set[str]] = {}
    for path in data.rglob("*"):
        if not path.is_file() or b"PRIVATE KEY" not in path.read_bytes():
            continue
        home = path.parent.parent
        assert path.parent.name == "keys", f"{path} lies outside a key folder"
        passphrase = (home / "passphrase").read_text().strip().encode()
        private = load_pem_private_key(path.read_bytes(), passphrase)
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        found.setdefault(public, set()).add(str(home.relative_to(data)))
    return found


def test_no_private_key_is_held_twice(data: Path) -> None:
    found = holders(data)
    shared = [homes for homes in found.values() if len(homes) > 1]
    assert shared == []
    homes = {home for one in found.values() for home in one}
    assert {"smki", *(s for s in SYSTEMS if s != "meter_sim")} <= homes
    assert len([home for home in homes if home.startswith("suppliers/")]) == 3


def test_a_key_that_is_held_twice_is_found(data: Path, tmp_path: Path) -> None:
    """The search above finds what it is for, under another name and another passphrase's folder."""
    for system in ("acb", "ecos_party"):
        (tmp_path / system / "keys").mkdir(parents=True)
        (tmp_path / system / "passphrase").write_bytes((data / "acb" / "passphrase").read_bytes())
    stolen = (data / "acb" / "keys" / "key-agreement.key").read_bytes()
    (tmp_path / "acb" / "keys" / "key-agreement.key").write_bytes(stolen)
    (tmp_path / "ecos_party" / "keys" / "other.key").write_bytes(stolen)
    assert list(holders(tmp_path).values()) == [{"acb", "ecos_party"}]


def test_no_secret_file_is_the_same_in_two_folders(data: Path) -> None:
    secrets = [p for p in data.rglob("*") if p.name in {"passphrase", "lab.token"} or
               p.suffix == ".key"]  # fmt: skip
    assert len(secrets) > 20
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in secrets]
    assert len(set(digests)) == len(digests)
    assert {oct(path.stat().st_mode & 0o777) for path in secrets} == {"0o600"}


def test_no_systems_passphrase_opens_anothers_keys(data: Path) -> None:
    homes = [data / name for name in SYSTEMS if (data / name / "keys").is_dir()]
    tried = 0
    for mine, theirs in ((m, t) for m in homes for t in homes if m != t):
        passphrase = (mine / "passphrase").read_bytes().strip()
        with pytest.raises(KeyStoreError, match=r"^the passphrase does not open "):
            SoftwareKeyStore.open(theirs / "keys", passphrase)
        for key in sorted((theirs / "keys").glob("*.key")):
            # Without a word about why: for one wrong passphrase in 256 the padding happens to be
            # well formed and the plaintext is noise, which no parser calls a wrong passphrase.
            with pytest.raises(ValueError):
                load_pem_private_key(key.read_bytes(), passphrase)
            tried += 1
    assert tried > 20


@pytest.mark.parametrize("cos_party", COS_PARTIES)
def test_a_cos_party_cannot_make_a_mac_nor_the_broker_a_cos_signature(
    data: Path, cos_party: str
) -> None:
    def names(system: str) -> set[str]:
        return {path.stem for path in (data / system / "keys").glob("*.key")}

    assert names(cos_party) == {"digital-signing", "link"}
    assert "key-agreement" in names("acb")
    assert names("registration") == names("smki_repository") == {"link"}
    assert names("meter_sim") == {"device-seed"}


def test_only_the_meters_hold_the_seed_of_their_keys(data: Path) -> None:
    assert [str(p.relative_to(data)) for p in data.rglob("device-seed*")] == [
        "meter_sim/keys/device-seed.key"
    ]


# ---- who is told of whom --------------------------------------------------------------------


def configs(data: Path) -> dict[str, dict[str, Any]]:
    return {s: tomllib.loads((data / s / "config.toml").read_text()) for s in SYSTEMS}


def foreign_names(system: str, config: dict[str, Any]) -> set[str]:
    """Systems that a configuration mentions by name or address although it is not told of them."""
    told = {system, *PEERS[system]}
    if system == "meter_sim":
        told.add("acb")  # where alerts go: octets over the WAN, in that direction only
    text = str({k: v for k, v in config.items() if k not in {"data", "party"}})
    return {other for other in SYSTEMS if other not in told and other in text}


def test_a_configuration_names_its_permitted_peers_only(data: Path) -> None:
    lay_out(data)
    for system, config in configs(data).items():
        assert set(config.get("peers", {})) == set(PEERS[system])
        assert foreign_names(system, config) == set()
        assert config["party"] == system


def test_a_configuration_that_names_another_is_found(data: Path, tmp_path: Path) -> None:
    listen = {"interface": ("127.0.0.1", 1), "lab": ("127.0.0.1", 2)}
    more = {"peers": {"meter_sim": "http://meter_sim:1"}}
    written = write_config(tmp_path, "ecos_party", listen, lambda peer: f"http://{peer}:1", more)
    assert foreign_names("ecos_party", tomllib.loads(written.read_text())) == {"meter_sim"}
    assert Stack(None, {}).pids == {}


def authority(system: str) -> set[str]:
    """Everybody an authority table lets in."""
    table = ROOT / Path(*SYSTEM[system].module.split(".")[:-1]) / "authority.toml"
    Authority.read(table)
    lines = tomllib.loads(table.read_text())["accepts"]
    return {caller for callers in lines.values() for caller in callers}


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_authority_table_lets_in_exactly_who_calls(system: str) -> None:
    callers = {caller for caller, called in PEERS.items() if system in called}
    if system in {"acb", "meter_sim"}:
        # Users sign documents and devices sign messages; a meter believes no network.
        assert authority(system) == {ANYONE}
    else:
        assert authority(system) == callers


# ---- containers -----------------------------------------------------------------------------

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


OPERATOR = {"cli", "provision"}
"""The containers of the operator's: the one that is run by hand, and the one that runs once."""


def volumes_of(service: dict[str, Any]) -> set[str]:
    return {str(mount).split(":")[0] for mount in service.get("volumes", [])}


def networks_of(service: dict[str, Any]) -> set[str]:
    return set(service.get("networks", []))


def faults(compose: dict[str, Any]) -> set[str]:
    """Everything in a compose file that breaks the separation, by a name for each kind."""
    found = set()
    services = compose["services"]
    mounting = {name: one for name, one in services.items() if name != "ceremony"}
    running = {name: one for name, one in mounting.items() if name in {*SYSTEMS, *OPERATOR}}
    for (name, one), (another, other) in combinations(mounting.items(), 2):
        if volumes_of(one) & volumes_of(other) and {name, another} != OPERATOR:
            found.add("a volume in two services")
    reached = set().union(*(volumes_of(running[name]) for name in OPERATOR))
    if reached - {"cli"} or networks_of(services["ceremony"]):
        found.add("the tools or the ceremony reach too far")
    if services["ceremony"].get("network_mode") != "none":
        found.add("the ceremony has a network")
    edges = {
        frozenset(pair)
        for pair in combinations(SYSTEMS, 2)
        if networks_of(services[pair[0]]) & networks_of(services[pair[1]])
    }
    if edges != {frozenset((caller, peer)) for caller in SYSTEMS for peer in PEERS[caller]}:
        found.add("networks are not the permitted edges")
    if any(networks_of(services[p]) & networks_of(services["meter_sim"]) for p in COS_PARTIES):
        found.add("a CoS Party shares a network with the meters")
    for network in {n for one in running.values() for n in networks_of(one)}:
        members = {name for name, one in running.items() if network in networks_of(one)}
        if network.startswith("lab-") and not (members > OPERATOR and len(members) == 3):
            found.add("a lab network of more than one system")
        if network == "users" and members != {"acb", *OPERATOR}:
            found.add("users reach more than the broker")
        if network != "users" and not network.startswith("lab-") and len(members) != 2:
            found.add("a network of more than a pair")
        if compose["networks"].get(network, {}).get("internal") is not True:
            found.add("a network that leads outside")
    for name, one in services.items():
        if one.get("read_only") is not True:
            found.add("a file system that can be written")
        if one.get("cap_drop") != ["ALL"] or one.get("cap_add") or one.get("privileged"):
            found.add("capabilities")
        if "no-new-privileges:true" not in (one.get("security_opt") or []):
            found.add("new privileges")
        if str(one.get("user", "cos")) in {"0", "root"}:
            found.add("root")
        if one.get("ports") and name != "published":
            found.add("a port on the host")
        if name not in {*running, "ceremony", "published"}:
            found.add("a service that nobody knows")
        target, holds = one["build"]["target"], one["build"].get("args", {}).get("SYSTEM")
        if (holds if target == "service" else target) != (name if name in SYSTEMS else "cli"):
            found.add("another system's image")
    published = services["published"]
    if not all(port.startswith("127.0.0.1:") for port in published["ports"]):
        found.add("a port that others reach")
    if networks_of(published) != {"users", "outside"} or volumes_of(published):
        found.add("what is published is more than the users' interface")
    if published.get("profiles") != ["published"]:
        found.add("published unasked")
    return found


def test_the_containers_keep_what_the_systems_must_not_share() -> None:
    always = {name for name, one in COMPOSE["services"].items() if "profiles" not in one}
    assert always == {*SYSTEMS, "ceremony", "provision"}
    assert faults(COMPOSE) == set()


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(compose: dict[str, Any]) -> None:
        *way, last = path.split("/")
        place = compose
        for step in way:
            place = place[step]
        if isinstance(place.get(last), list) and isinstance(value, list):
            place[last] = [*place[last], *value]
        elif isinstance(place.get(last), dict) and isinstance(value, dict):
            place[last] = {**place[last], **value}
        else:
            place[last] = value

    return apply


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        (change("services/acb/volumes", ["ecos_party:/x"]), "a volume in two services"),
        (change("services/cli/volumes", ["smki:/x"]), "the tools or the ceremony reach too far"),
        (change("services/ceremony/network_mode", "bridge"), "the ceremony has a network"),
        (
            change("services/ecos_party/networks", {"wan": {}}),
            "a CoS Party shares a network with the meters",
        ),
        (
            change("services/tcos_party/networks", {"acb-ecos": {}}),
            "networks are not the permitted edges",
        ),
        (
            change("services/acb/networks", {"lab-ecos": {}}),
            "a lab network of more than one system",
        ),
        (
            change("services/registration/networks", {"users": {}}),
            "users reach more than the broker",
        ),
        (change("services/cli/networks", ["wan"]), "a network of more than a pair"),
        (change("networks/wan", {"internal": False}), "a network that leads outside"),
        (change("services/acb/read_only", False), "a file system that can be written"),
        (change("services/acb/cap_add", ["NET_ADMIN"]), "capabilities"),
        (change("services/acb/cap_drop", None), "capabilities"),
        (change("services/acb/security_opt", None), "new privileges"),
        (change("services/acb/user", "root"), "root"),
        (change("services/acb/ports", ["8000:8000"]), "a port on the host"),
        (change("services/acb/build", {"target": "cli"}), "another system's image"),
        (change("services/provision/volumes", ["acb:/x"]), "a volume in two services"),
        (change("services/published/ports", ["8000:8000"]), "a port that others reach"),
        (
            change("services/published/networks", ["lab-acb"]),
            "what is published is more than the users' interface",
        ),
        (change("services/published/profiles", ["tools"]), "published unasked"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_fault_in_the_containers_is_found(
    act: Callable[[dict[str, Any]], None], fault: str
) -> None:
    changed = copy.deepcopy(COMPOSE)
    for service in changed["services"].values():  # no lists shared through the anchors
        service.update(copy.deepcopy(dict(service)))
    act(changed)
    assert fault in faults(changed)


def stages() -> dict[str, dict[str, Any]]:
    """The Dockerfile's stages: what each stands on, the rooms it copies, who it runs as."""
    found: dict[str, dict[str, Any]] = {}
    stage: dict[str, Any] = {}
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        words = line.split()
        match words[:1]:
            case ["FROM"]:
                stage = found[words[3]] = {"on": words[1], "rooms": set(), "user": None}
            case ["COPY"] if not words[1].startswith("--") and words[2].startswith("/app/"):
                if words[1] != "services/__init__.py":
                    stage["rooms"].add(words[1])
            case ["USER"]:
                stage["user"] = words[1]
            case _:
                pass
    return found


def image_of(name: str) -> tuple[str, str]:
    """The stage that a container is built from, and which of the services it is to hold."""
    build = COMPOSE["services"][name]["build"]
    return build["target"], build.get("args", {}).get("SYSTEM", "")


def rooms_in(container: str) -> set[str]:
    built, rooms, (name, service) = stages(), set[str](), image_of(container)
    while name in built:
        rooms |= {room.replace("${SYSTEM}", service) for room in built[name]["rooms"]}
        name = built[name]["on"]
    return rooms


def test_the_check_of_a_containers_health_is_the_file_that_imports_nothing() -> None:
    path = "/app/services/chassis/web/healthcheck.py"
    for system in SYSTEMS:
        test = COMPOSE["services"][system]["healthcheck"]["test"]
        assert test[:5] == ["CMD", "python", "-I", "-S", path]


def test_whoever_drives_the_containers_finds_the_meters_known() -> None:
    """On fresh volumes: `cli` and the published interface wait for what provisions."""
    services = COMPOSE["services"]
    done = {"condition": "service_completed_successfully"}
    assert services["provision"]["command"] == ["provision"]
    assert services["cli"]["depends_on"]["provision"] == done
    assert services["published"]["depends_on"]["provision"] == done


@pytest.mark.parametrize("target", SYSTEMS)
def test_an_image_holds_its_own_rooms_only(target: str) -> None:
    assert rooms_in(target) == OWN_ROOMS[target] | BASE_ROOMS


def test_the_tools_image_holds_no_partys_rooms() -> None:
    parties = set().union(*OWN_ROOMS.values()) - {"gbcs", "duis", "services/link"}
    assert rooms_in("cli") & parties == set()
    assert {"gbcs", "duis", "cli"} <= rooms_in("cli")


@pytest.mark.parametrize("target", [*SYSTEMS, "cli"])
def test_an_image_runs_as_nobody_special(target: str) -> None:
    assert stages()[image_of(target)[0]]["user"] == "cos"
