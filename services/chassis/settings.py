"""Settings of a party, read once from one TOML file, strictly.

An unknown setting or one that cannot be read stops the start: one that silently falls back to its
default is worse than none. Relative paths are relative to the file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

EXIT_USAGE: Final = 2

MAX_BODY: Final = 256 * 1024  # octets of a request body, unless the settings say otherwise
SOURCE_SECONDS: Final = 10.0
"""Seconds that a decision waits for a source, unless the settings say otherwise."""
SOURCE_LEASE: Final = 1.0
"""Seconds that a source's word holds, unless the settings say otherwise."""
LONGEST_LEASE: Final = 60.0
"""Seconds; a publication may have to wait for as long."""


class SettingsError(Exception):
    """The settings cannot be used. The message is one line that names the setting."""


class Strict(BaseModel):
    """What every settings table is made of: exact types, nothing unknown, frozen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Listen(Strict):
    """Where a listener stands.

    Attributes:
        host: Address to bind.
        port: TCP port; 0 lets the system choose one.
    """

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)


class TlsSettings(Strict):
    """Mutual TLS 1.3 on the interface.

    Attributes:
        certificate: Our certificate chain, PEM.
        key: Our private key, PEM.
        password_file: File holding the passphrase of `key`, if it has one.
        client_ca: The authority whose clients are let in, PEM. Required: a client always shows one.
    """

    certificate: Path
    key: Path
    password_file: Path | None = None
    client_ca: Path


class Settings(Strict):
    """What every party needs. A party adds its own by subclassing.

    Attributes:
        party: Name of the party, for example ``acb``.
        eui: Its EUI-64, 16 lower-case hex digits, if it has one.
        data: Folder of this party (keys, passphrase, trust, lab token, store).
        interface: Where the party's interface listens.
        lab: Where its lab port listens: loopback or the lab network only.
        peers: Base URL of each other system this one speaks to.
        tls: Mutual TLS on the interface; None for plain HTTP.
        link_tls: What we show as a client to peers whose base URL is https; None where none is.
        database: Store URL; None for SQLite at ``<data>/store.sqlite3``.
        body_limit: Largest request body on the interface, octets.
        source_seconds: The longest that one decision waits for registration or the SMKI repository,
            seconds; then it is taken on the copy held, if that is within its permitted age.
        source_lease_seconds: For how long the word of registration or the SMKI repository holds
            without asking again, seconds; of these two themselves, how long a lease they grant.
            0: every decision asks (docs/decisions/0013-a-sources-word-holds-for-a-second.md).
        log_json: JSON lines (True), console (False), or by whether stdout is a terminal (None).
        log_level: Least level that is written.
        log_file: Also append every record, tracebacks at debug included, to this file.
    """

    party: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    eui: str | None = Field(default=None, pattern=r"^[0-9a-f]{16}$")
    data: Path
    interface: Listen
    lab: Listen
    peers: dict[str, str] = {}
    tls: TlsSettings | None = None
    link_tls: TlsSettings | None = None
    database: str | None = None
    body_limit: int = Field(default=MAX_BODY, gt=0)
    source_seconds: float = Field(default=SOURCE_SECONDS, gt=0)
    source_lease_seconds: float = Field(default=SOURCE_LEASE, ge=0, le=LONGEST_LEASE)
    log_json: bool | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: Path | None = None

    @property
    def check_prefix(self) -> str:
        """First part of the identifiers of this party's checks (``tcos_party`` -> ``tcos``)."""
        return self.party.split("_", maxsplit=1)[0]

    @property
    def store(self) -> str | Path:
        """Where the party's store is, as `Database.open` takes it."""
        return self.database or self.data / "store.sqlite3"


S = TypeVar("S", bound=Settings)
M = TypeVar("M", bound=BaseModel)


def read_settings(cls: type[S], path: Path) -> S:
    """Read and check one settings file.

    Raises:
        SettingsError: The file cannot be read, or any setting in it is unknown or wrong.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: not TOML ({error})") from None
    try:
        # Through JSON, because strict mode then still takes text for a path or a time.
        settings = cls.model_validate_json(json.dumps(table, default=_text))
    except ValidationError as error:
        said = [
            f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError(f"{path}: {'; '.join(said)}") from None
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from None
    return _anchored(settings, path.resolve().parent)


def load_settings(cls: type[S], argv: Sequence[str] | None = None) -> S:
    """Settings for a process: ``--config PATH``, else the file named in ``COS_CONFIG``.

    Raises:
        SystemExit: With code 2 and one line on stderr, when they cannot be used.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--config", type=Path, help="settings file (TOML); or COS_CONFIG")
    named = parser.parse_args(argv).config or os.environ.get("COS_CONFIG")
    if not named:
        refuse_to_start("no settings: give --config PATH or set COS_CONFIG")
    try:
        return read_settings(cls, Path(named))
    except SettingsError as error:
        refuse_to_start(str(error))


def refuse_to_start(reason: str) -> NoReturn:
    """Say in one line why this process does not start, and end it with code 2."""
    sys.stderr.write(f"not started: {' '.join(reason.split())}\n")
    raise SystemExit(EXIT_USAGE)


def _text(value: object) -> str:
    """TOML's dates and times as JSON text."""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError(f"a setting cannot be a {type(value).__name__}")


def _anchored(model: M, base: Path) -> M:
    """The same settings with every relative path made relative to `base`."""
    changed: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path):
            changed[name] = value if value.is_absolute() else base / value
        elif isinstance(value, BaseModel):
            changed[name] = _anchored(value, base)
        elif isinstance(value, dict) and any(isinstance(v, Path) for v in value.values()):
            changed[name] = {k: base / v if isinstance(v, Path) else v for k, v in value.items()}
    return model.model_copy(update=changed) if changed else model
