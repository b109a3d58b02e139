"""OpenSSL reads, verifies and refuses what the ceremony makes, as we do."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keys.certificate import Certificate
from keys.certification_request import read_certification_request
from keys.issuing.authorities import revoke
from keys.issuing.ceremony import load_plan, run_ceremony
from keys.issuing.issue import Flaw, flawed_certificate
from keys.roles import OrganisationRole, Usage
from keys.stores.device_keys import DeviceKeys
from keys.stores.software import SoftwareKeyStore, read_secret

pytestmark = [
    pytest.mark.check,
    pytest.mark.skipif(
        shutil.which("openssl") is None, reason="needs the openssl command: apt install openssl"
    ),
]
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
REPOSITORY = Path("smki_repository/repository")
ORGANISATION = ("organisation-root", "organisation-issuing", "organisation")
DEVICE = ("device-root", "device-issuing", "device")


def openssl(*arguments: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        input=data,
        capture_output=True,
        check=False,
        timeout=30,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("openssl") / "data"
    run_ceremony(load_plan(), data, now=NOW)
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def verify(
    data: Path, certificate: Path, hierarchy: tuple[str, str, str], *, at: int = EPOCH
) -> subprocess.CompletedProcess[str]:
    root, issuing, name = hierarchy
    keys = data / "smki" / "keys"
    between = ["-untrusted", keys / f"{issuing}.pem"] if issuing else []
    return openssl(
        "verify", "-attime", str(at), "-x509_strict", "-policy_check", "-crl_check",
        "-CAfile", keys / f"{root}.pem",
        "-CRLfile", data / REPOSITORY / "crl" / f"{name}.crl",
        *between,
        certificate,
    )  # fmt: skip


def text(path: Path) -> str:
    done = openssl("x509", "-in", path, "-noout", "-text", "-nameopt", "RFC2253")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_openssl_verifies_every_end_entity(made: Path):
    published = made / REPOSITORY / "certificates"
    checked = 0
    for path in sorted(published.glob("*.pem")):
        if path.stem.endswith(("-root", "-issuing")):
            continue
        hierarchy = DEVICE if path.stem.startswith("device-") else ORGANISATION
        done = verify(made, path, hierarchy)
        assert done.returncode == 0, (path.name, done.stderr)
        checked += 1
    assert checked == 27
    for system in ("acb", "tcos_party", "ecos_party", "registration", "smki_repository"):
        link = made / system / "keys" / "link.pem"
        done = verify(made, link, ("infrastructure-root", "", "infrastructure"))
        assert done.returncode == 0, done.stderr


def test_every_certificate_shows_its_marks_to_openssl(made: Path):
    links = made.glob("*/keys/link.pem")
    for path in [*(made / REPOSITORY / "certificates").iterdir(), *links]:
        shown = text(path)
        assert re.search(r"Issuer: CN=SIM-", shown), path
        assert re.search(r"Policies: critical\s+Policy: 2\.999\.1\.[123]\n", shown), path
        assert "ecdsa-with-SHA256" in shown
        assert "prime256v1" in shown


def test_openssl_reads_an_organisations_certificate_as_we_do(made: Path):
    path = made / REPOSITORY / "certificates" / "A-prepayment-key-agreement.pem"
    ours, shown = Certificate.from_pem(path.read_bytes()), text(path)
    assert "Issuer: CN=SIM-Z1,OU=07" in shown
    assert "x500UniqueIdentifier=#0309000253494D10000000,OU=02" in shown
    assert re.search(r"Key Usage: critical\s+Key Agreement\n", shown)
    assert ours.key_identifier.hex(":").upper() in shown
    assert ours.authority_key_identifier is not None
    assert ours.authority_key_identifier.hex(":").upper() in shown
    serial = openssl("x509", "-in", path, "-noout", "-serial").stdout.strip()
    assert serial == f"serial={ours.serial:032X}"


def test_openssl_reads_a_devices_certificate_as_we_do(made: Path):
    path = made / REPOSITORY / "certificates" / "device-0253494dd0000001-digital-signing.pem"
    shown = text(path)
    assert "Not After : Dec 31 23:59:59 9999 GMT" in shown
    assert re.search(r"Subject: *\n", shown)
    assert re.search(r"Alternative Name: critical\s+othername: 1\.3\.6\.1\.5\.5\.7\.8\.4", shown)
    tree = openssl("asn1parse", "-in", path).stdout
    assert "GENERALIZEDTIME   :99991231235959Z" in tree
    assert "PRINTABLESTRING   :SIM-E1" in tree


def test_openssl_refuses_what_we_refuse(data: Path, tmp_path: Path):
    key = Certificate.from_pem((data / "acb" / "keys" / "link.pem").read_bytes()).public_key
    for flaw, reason in (
        (Flaw.EXPIRED, "certificate has expired"),
        (Flaw.NOT_YET_VALID, "certificate is not yet valid"),
        (Flaw.UNKNOWN_ISSUER, "unable to get local issuer certificate"),
        (Flaw.FORGED_ISSUER, "certificate signature failure"),
        (Flaw.REVOKED, "certificate revoked"),
    ):
        certificate = flawed_certificate(
            data,
            flaw,
            eui="0253494d30000000",
            role=OrganisationRole.SUPPLIER,
            usage=Usage.DIGITAL_SIGNATURE,
            public_key=key,
            now=NOW,
        )
        path = tmp_path / f"{flaw}.pem"
        path.write_bytes(certificate.to_pem())
        done = verify(data, path, ORGANISATION)
        assert done.returncode != 0
        assert reason in done.stderr


def test_openssl_reads_and_verifies_the_revocation_list(data: Path):
    path = data / "suppliers" / "C" / "keys" / "xml-signing.pem"
    assert verify(data, path, ORGANISATION).returncode == 0
    certificate = Certificate.from_pem(path.read_bytes())
    revoke(data, certificate, NOW)
    crl = data / REPOSITORY / "crl" / "organisation.crl"
    issuer = data / "smki" / "keys" / "organisation-issuing.pem"
    shown = openssl("crl", "-in", crl, "-noout", "-text", "-CAfile", issuer)
    assert "verify OK" in shown.stderr
    assert re.search(r"X509v3 CRL Number:\s+2\n", shown.stdout)
    assert f"Serial Number: {certificate.serial:032X}" in shown.stdout
    assert "certificate revoked" in verify(data, path, ORGANISATION).stderr


def test_the_lists_go_stale_for_openssl_too(made: Path):
    path = made / REPOSITORY / "certificates" / "A-digital-signing.pem"
    late = EPOCH + int(timedelta(days=3651).total_seconds())
    assert "CRL has expired" in verify(made, path, ORGANISATION, at=late).stderr


def test_openssl_opens_a_key_only_with_its_passphrase(made: Path):
    folder = made / "ecos_party"
    path = folder / "keys" / "digital-signing.key"
    shown = openssl("pkey", "-in", path, "-passin", f"file:{folder / 'passphrase'}", "-pubout")
    certificate = openssl("x509", "-in", path.with_suffix(".pem"), "-noout", "-pubkey")
    assert shown.stdout == certificate.stdout != ""
    wrong = openssl("pkey", "-in", path, "-passin", "pass:wrong", "-noout")
    assert wrong.returncode != 0


def test_openssl_verifies_what_a_store_signs(made: Path, tmp_path: Path):
    folder = made / "ecos_party"
    store = SoftwareKeyStore.open(folder / "keys", read_secret(folder / "passphrase"))
    raw = store.signer("digital-signing").sign(b"a payload")
    sequence = b"".join(_integer(half) for half in (raw[:32], raw[32:]))
    (tmp_path / "signature").write_bytes(b"\x30" + bytes([len(sequence)]) + sequence)
    public = openssl(
        "x509", "-in", folder / "keys" / "digital-signing.pem", "-noout", "-pubkey"
    ).stdout
    (tmp_path / "public.pem").write_text(public)
    arguments = ["dgst", "-sha256", "-verify", tmp_path / "public.pem", "-signature"]
    good = openssl(*arguments, tmp_path / "signature", data=b"a payload")
    assert good.stdout.strip() == "Verified OK"
    bad = openssl(*arguments, tmp_path / "signature", data=b"another payload")
    assert bad.returncode != 0


def _integer(octets: bytes) -> bytes:
    body = octets.lstrip(b"\x00")
    body = b"\x00" + body if body[0] & 0x80 else body
    return b"\x02" + bytes([len(body)]) + body


def test_a_request_made_by_openssl_is_read(tmp_path: Path):
    config = tmp_path / "request.cnf"
    config.write_text(
        "[req]\ndistinguished_name=dn\nreq_extensions=ext\nprompt=no\n[dn]\n"
        "[ext]\nkeyUsage=critical,digitalSignature\n"
        "subjectAltName=critical,otherName:1.3.6.1.5.5.7.8.4;SEQ:module\n"
        "[module]\ntype=OID:2.999.2.42\nserial=FORMAT:HEX,OCTETSTRING:0253494dd0000001\n"
    )
    key = tmp_path / "device.key"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    der = tmp_path / "request.der"
    done = openssl(
        "req", "-new", "-key", key, "-config", config, "-subj", "/", "-outform", "DER", "-out", der
    )
    assert done.returncode == 0, done.stderr
    request = read_certification_request(der.read_bytes())
    assert (request.eui, request.usage) == ("0253494dd0000001", Usage.DIGITAL_SIGNATURE)


def test_openssl_verifies_a_devices_request(tmp_path: Path):
    path = tmp_path / "request.der"
    path.write_bytes(
        DeviceKeys(bytes(32)).certification_request("0253494dd0000001", Usage.KEY_AGREEMENT)
    )
    done = openssl("req", "-inform", "DER", "-in", path, "-noout", "-verify", "-text")
    assert done.returncode == 0, done.stderr
    assert "Key Agreement" in done.stdout
