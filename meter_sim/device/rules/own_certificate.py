"""A device's checks on a new certificate of its own (CS02d), and the result each refusal gives.

The results are those of docs/sources.md#device-credentials, of which RTDS vectors show success
only. What leads to which, and their order, is a reconstruction: the order of the numbers. A
device holds no root of the authority that certifies devices, so it cannot build a path from its own
certificate; what it can judge is the form, whom it names, and whether the key is its own.
"""

from __future__ import annotations

from typing import Final

from gbcs.codes import CertificateUpdateResult
from keys.certificate import Certificate
from keys.profile_rules import Profile, ProfileRule, broken_rules
from meter_sim.device.rules.evidence import OwnCandidate
from services.chassis.checks import CheckFailed, check

SECTION: Final = "own_certificate"
_SOURCE = "docs/sources.md#device-credentials (reconstruction)"


def _readable(candidate: OwnCandidate) -> Certificate:
    if candidate.certificate is None:
        raise CheckFailed("not a certificate that can be read", "an X.509 certificate on P-256")
    return candidate.certificate


@check("meter.own_certificate.profile", source="GBCS 0.8.1 p145; docs/sources.md#certificates")
def profile(candidate: OwnCandidate) -> None:
    """It obeys the profile of device certificates."""
    for broken in broken_rules(_readable(candidate), Profile.DEVICE):
        if broken.rule is not ProfileRule.USAGE:  # which has a result of its own
            raise CheckFailed(broken.detail, f"profile rule {broken.rule.value}")


@check("meter.own_certificate.identity", source=_SOURCE)
def identity(candidate: OwnCandidate) -> None:
    """It names this device."""
    found = _readable(candidate).subject_eui
    if found != candidate.eui:
        raise CheckFailed("it names another device", candidate.eui, found)


@check("meter.own_certificate.key_usage", source=_SOURCE)
def key_usage(candidate: OwnCandidate) -> None:
    """It is for exactly one of the two keys a device has."""
    usage = _readable(candidate).usage
    found = None if usage is None else usage.value
    if found != candidate.usage.label:
        raise CheckFailed(
            "not for exactly one of the keys a device has", candidate.usage.label, found
        )


@check("meter.own_certificate.awaited", source=_SOURCE)
def awaited(candidate: OwnCandidate) -> None:
    """A key pair was generated for it (CS02c)."""
    if not candidate.awaited:
        raise CheckFailed(f"no key pair for {candidate.usage.label} waits for a certificate")


@check("meter.own_certificate.public_key", source=_SOURCE)
def public_key(candidate: OwnCandidate) -> None:
    """It certifies the key pair that was generated."""
    if _readable(candidate).public_key != candidate.public_key:
        raise CheckFailed("the certificate of another key than the one that was generated")


RESULT_OF_CHECK: dict[str, CertificateUpdateResult] = {
    profile.id: CertificateUpdateResult.INVALID_CERTIFICATE,
    identity.id: CertificateUpdateResult.WRONG_DEVICE_IDENTITY,
    key_usage.id: CertificateUpdateResult.INVALID_KEY_USAGE,
    awaited.id: CertificateUpdateResult.NO_CORRESPONDING_KEY_PAIR_GENERATED,
    public_key.id: CertificateUpdateResult.WRONG_PUBLIC_KEY,
}
"""What the response says when this check refused the certificate."""
