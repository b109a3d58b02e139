"""The check of a data folder finds what is wrong, and only that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509 import CertificatePolicies

from keys.certificate import Certificate
from keys.issuing.authorities import revoke
from keys.verify import verify_folder
from tests.unit.keys.workshop import NOW, Workshop

Change = Callable[[Path], None]


def copy(source: str, target: str) -> Change:
    def change(data: Path) -> None:
        (data / target).write_bytes((data / source).read_bytes())

    return change


def mode(name: str, bits: int) -> Change:
    return lambda data: (data / name).chmod(bits)


def remove(name: str) -> Change:
    return lambda data: (data / name).unlink()


def write(name: str, text: str) -> Change:
    def change(data: Path) -> None:
        (data / name).write_text(text)

    return change


def swap_cells(data: Path) -> None:
    devices = json.loads((data / "devices.json").read_text())
    cells = devices[0]["cells"]
    one, two = "supplier/keyAgreement/management", "networkOperator/digitalSignature/management"
    cells[one], cells[two] = cells[two], cells[one]
    (data / "devices.json").write_text(json.dumps(devices))


def swap_devices(data: Path) -> None:
    devices = json.loads((data / "devices.json").read_text())
    devices[0]["certificates"], devices[1]["certificates"] = (
        devices[1]["certificates"],
        devices[0]["certificates"],
    )
    (data / "devices.json").write_text(json.dumps(devices))


def share_a_key(data: Path) -> None:
    """The TCoS Party's whole store in the ECoS Party's place."""
    for part in ("keys", "passphrase"):
        target = data / "ecos_party" / part
        if part == "keys":
            shutil.rmtree(target)
            shutil.copytree(data / "tcos_party" / part, target)
        else:
            target.write_bytes((data / "tcos_party" / part).read_bytes())


def revoke_supplier_c(data: Path) -> None:
    pem = data / "suppliers" / "C" / "keys" / "xml-signing.pem"
    revoke(data, Certificate.from_pem(pem.read_bytes()), NOW)


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        (mode("acb/keys", 0o755), "acb/keys", "mode 0755"),
        (mode("acb/keys/link.key", 0o644), "acb/keys", "link.key has mode 0644"),
        (mode("acb/passphrase", 0o644), "acb/keys", "passphrase has mode 0644"),
        (mode("acb/lab.token", 0o644), "acb/lab.token", "mode 0644"),
        (write("acb/passphrase", "wrong"), "acb/keys", "does not open"),
        (remove("acb/keys/link.pem"), "acb/keys", "no certificate beside it"),
        (copy("acb/keys/xml-signing.pem", "acb/keys/digital-signing.pem"), "acb/keys", "another"),
        (write("acb/trust/device-root.pem", "x"), "acb/trust/device-root.pem", "not readable"),
        (
            copy("acb/trust/device-root.pem", "acb/trust/organisation-root.pem"),
            "acb/trust/organisation-root.pem",
            "not the certificate of this folder's authority",
        ),
        (
            copy("tcos_party/keys/link.pem", "acb/trust/link/ecos_party.pem"),
            "acb/trust/link/ecos_party.pem",
            "not the certificate of that system",
        ),
        (share_a_key, "tcos_party/keys/digital-signing.pem", "the same key as ecos_party"),
        (revoke_supplier_c, "suppliers/C/keys/xml-signing.pem", "revoked"),
        (
            remove("smki_repository/repository/crl/device.crl"),
            "smki_repository/repository/crl/device.crl",
            "No such file",
        ),
        (remove("smki/keys/organisation-root.pem"), "smki/keys", "no certificate beside it"),
        (swap_cells, "devices.json, 0253494dd0000001, supplier/keyAgreement", "is for digital"),
        (swap_cells, "devices.json, 0253494dd0000001, networkOperator/digital", "has OU 02"),
        (swap_devices, "devices.json, 0253494dd0000001, key-agreement", "another device's"),
        (write("devices.json", "[{}]"), "devices.json", "cannot be read"),
        (remove("devices.json"), "devices.json", "cannot be read"),
    ],
)
def test_each_disorder_is_found(change: Change, where: str, what: str, data: Path):
    assert verify_folder(data, now=NOW) == []
    change(data)
    found = verify_folder(data, now=NOW)
    assert any(f.where.startswith(where) and what in f.what for f in found), found


def test_an_unmarked_certificate_is_found(data: Path, workshop: Workshop):
    unmarked = workshop.leaf(skip=[CertificatePolicies])
    (data / "suppliers" / "A" / "keys" / "extra.pem").write_bytes(unmarked.to_pem())
    found = verify_folder(data, now=NOW)
    assert any("only material issued by" in f.what for f in found)


def test_a_certificate_of_another_ceremony_is_found(data: Path, workshop: Workshop):
    name = "smki_repository/repository/certificates/stranger.pem"
    (data / name).write_bytes(workshop.leaf().to_pem())
    assert [f.where for f in verify_folder(data, now=NOW)] == [name]


def test_time_tells(data: Path):
    found = {f.what.split(":")[0] for f in verify_folder(data, now=NOW + timedelta(days=3_700))}
    assert found == {"expired", "crl_stale"}
    early = {f.what.split(":")[0] for f in verify_folder(data, now=NOW - timedelta(days=2))}
    assert early == {"not_yet_valid"}


def test_a_folder_without_keys_is_no_data_folder(tmp_path: Path):
    assert any(str(f) == ".: there are no key stores" for f in verify_folder(tmp_path, now=NOW))
