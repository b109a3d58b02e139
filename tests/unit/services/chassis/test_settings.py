"""A setting that cannot be used stops the start, in one line, with code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.chassis.settings import (
    MAX_BODY,
    Settings,
    SettingsError,
    load_settings,
    read_settings,
)

GOOD = """
party = "tcos_party"
eui = "0253494d00000004"
data = "data/tcos"
interface = { port = 8101 }
lab = { host = "127.0.0.1", port = 8102 }
peers = { registration = "http://127.0.0.1:8201" }

[tls]
certificate = "tls/own.pem"
key = "/elsewhere/own.key"
client_ca = "tls/ca.pem"
"""


class Wider(Settings):
    files: dict[str, Path]
    tries: int


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    settings = read_settings(Settings, write(tmp_path, GOOD))
    assert settings.party == "tcos_party"
    assert settings.check_prefix == "tcos"
    assert settings.data == tmp_path / "data/tcos"
    assert settings.store == tmp_path / "data/tcos/store.sqlite3"
    assert settings.body_limit == MAX_BODY
    assert settings.tls is not None
    assert settings.tls.certificate == tmp_path / "tls/own.pem"
    assert settings.tls.key == Path("/elsewhere/own.key")


def test_a_party_may_want_more(tmp_path: Path) -> None:
    text = 'tries = 5\nfiles = { a = "x" }\ndatabase = "postgresql://db/acb"\n' + GOOD
    settings = read_settings(Wider, write(tmp_path, text))
    assert settings.tries == 5
    assert settings.files == {"a": tmp_path / "x"}
    assert settings.store == "postgresql://db/acb"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (("party", "partie"), "partie"),
        (("8101", '"8101"'), "interface.port"),
        (("8101", "81010"), "interface.port"),
        (("0253494d00000004", "0253494D00000004"), "eui"),
        (('host = "127.0.0.1"', "host = 1"), "lab.host"),
        (("peers = {", "peers = { x = 1, "), "peers.x"),
        (('certificate = "tls/own.pem"', ""), "tls.certificate"),
        (('data = "data/tcos"', ""), "data"),
        (("party =", "party"), "not TOML"),
    ],
)
def test_a_bad_file_stops_the_start(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    names: str,
) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(SystemExit) as caught:
        load_settings(Settings, ["--config", str(path)])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("not started: ")
    assert said.count("\n") == 1
    assert names in said


def test_the_values_of_a_bad_file_are_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GOOD + 'password = "hunter2"\n')
    with pytest.raises(SystemExit):
        load_settings(Settings, ["--config", str(path)])
    said = capsys.readouterr().err
    assert "tls.password" in said
    assert "hunter2" not in said


def test_the_file_is_named_by_argument_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GOOD)
    monkeypatch.setenv("COS_CONFIG", str(path))
    assert load_settings(Settings, []).party == "tcos_party"
    monkeypatch.delenv("COS_CONFIG")
    with pytest.raises(SystemExit) as caught:
        load_settings(Settings, [])
    assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        load_settings(Settings, ["--config", str(tmp_path / "absent.toml")])
    assert caught.value.code == 2
    assert "absent.toml" in capsys.readouterr().err


def test_a_file_nested_beyond_sense_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "party = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(SettingsError, match="not TOML"):
        read_settings(Settings, path)
