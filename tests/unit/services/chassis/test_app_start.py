"""Starting and stopping: one clear line when it cannot; TLS 1.3 with both certificates."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from services.chassis import app
from services.chassis.app import Service, StartError, run, server_tls
from services.chassis.data.store import StoreError
from services.chassis.settings import Listen, Settings, TlsSettings
from services.chassis.web import http

NAME = "party.example"


class Ca:
    """A throw-away authority that writes certificates and encrypted keys as PEM files."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = self._write(
            f"{name}.pem", self._make(self._name, self._key.public_key(), authority=True)
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._make(subject, key.public_key(), authority=False)
        sealed = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")
        )
        return self._write(f"{name}.pem", certificate), self._write(f"{name}.key", sealed)

    def _make(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, *, authority: bool
    ) -> bytes:
        now = datetime.now(UTC)  # noqa: TID251 - OpenSSL compares with the machine's clock
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("open sesame\n")
    return path


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return Ca(tmp_path, "ca")


@pytest.fixture
def server(ca: Ca, password: Path) -> ssl.SSLContext:
    certificate, key = ca.issue("server")
    return server_tls(
        TlsSettings(certificate=certificate, key=key, password_file=password, client_ca=ca.file)
    )


def client_of(ca: Ca, trusts: Ca) -> ssl.SSLContext:
    certificate, key = ca.issue("client")
    return http.mutual_tls(
        certificate=str(certificate),
        key=str(key),
        password="open sesame",
        authority=str(trusts.file),
    )


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """A whole TLS handshake in memory, and one octet each way; the version agreed on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=NAME)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (one, other):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    one.write(b"?")
    assert other.read(1) == b"?"
    other.write(b"!")
    assert one.read(1) == b"!"
    return other.version()


def test_both_ends_show_a_certificate_over_tls_1_3(server: ssl.SSLContext, ca: Ca) -> None:
    assert shake_hands(server, client_of(ca, ca)) == "TLSv1.3"


def test_a_client_without_a_certificate_is_refused(server: ssl.SSLContext, ca: Ca) -> None:
    bare = ssl.create_default_context(cafile=str(ca.file))
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(server, bare)


def test_a_client_of_another_authority_is_refused(
    server: ssl.SSLContext, ca: Ca, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Ca(tmp_path / "other", "ca")
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake_hands(server, client_of(stranger, ca))


def test_a_server_of_another_authority_is_refused(
    server: ssl.SSLContext, ca: Ca, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Ca(tmp_path / "other", "ca")
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake_hands(server, client_of(ca, stranger))


def test_an_older_tls_is_refused(server: ssl.SSLContext, ca: Ca) -> None:
    old = client_of(ca, ca)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"):
        shake_hands(server, old)


def test_tls_material_that_does_not_fit_stops_the_start(ca: Ca, tmp_path: Path) -> None:
    certificate, key = ca.issue("server")
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2")
    for password_file in (wrong, None, tmp_path / "absent"):
        settings = TlsSettings(
            certificate=certificate, key=key, password_file=password_file, client_ca=ca.file
        )
        with pytest.raises(StartError, match="TLS of the interface") as caught:
            server_tls(settings)
        assert "hunter2" not in str(caught.value)


def quiet(settings: Settings) -> Settings:
    return settings.model_copy(update={"log_json": True, "log_level": "error"})


@pytest.mark.parametrize("error", [StartError, StoreError])
def test_what_cannot_start_says_why_in_one_line(
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    error: type[Exception],
    restore_logging: None,
) -> None:
    async def build() -> Service:
        raise error("the first reason\nand the second")

    with pytest.raises(SystemExit) as caught:
        run(build, quiet(settings))
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said == "not started: test_party: the first reason and the second\n"


def test_a_bug_in_starting_is_not_dressed_up(settings: Settings, restore_logging: None) -> None:
    async def build() -> Service:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(build, quiet(settings))


def test_a_taken_port_stops_the_start(
    settings: Settings, capsys: pytest.CaptureFixture[str], restore_logging: None
) -> None:
    built: list[Callable[[], None]] = []

    async def build() -> Service:
        built.append(lambda: None)
        raise StartError("it was built although it cannot listen")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = quiet(settings).model_copy(update={"lab": Listen(port=port)})
        with pytest.raises(SystemExit) as caught:
            run(build, busy)
    assert caught.value.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert built == []


async def test_a_server_that_is_asked_to_stop_does_not_wait_for_its_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(*_: object) -> None:
        return

    monkeypatch.setattr(app, "DATE_SECONDS", 10_000.0)
    server = app._Server(uvicorn.Config(nothing))
    loop = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0)
    assert not loop.done()
    server.ask_to_stop()
    async with asyncio.timeout(60):
        await loop
    assert not server.force_exit
    server.ask_to_stop()
    assert server.force_exit
