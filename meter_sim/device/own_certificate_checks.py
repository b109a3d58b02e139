"""A device's checks on a new certificate of its own (CS02d), and the result each refusal gives.

The results are those of docs/sources.md#device-credentials, of which RTDS vectors show success
only. What leads to which, and their order, is a reconstruction: the order of the numbers. A
device holds no root of the authority that certifies devices, so it cannot build a path from its own
certificate; what it can judge is the form, whom it names, and whether the key is its own.
"""

from __future__ import annotations

from gbcs.codes import CertificateUpdateResult
from keys.certificate import Certificate
from keys.profile_rules import Profile, ProfileRule, broken_rules
from meter_sim.device.evidence import OwnCandidate
from services.chassis.checks import Check, CheckFailed

SECTION = "own_certificate"
_SOURCE = "docs/sources.md#device-credentials (reconstruction)"


def _readable(candidate: OwnCandidate) -> Certificate:
    if candidate.certificate is None:
        raise CheckFailed("not a certificate that can be read", "an X.509 certificate on P-256")
    return candidate.certificate


def _profile(candidate: OwnCandidate) -> None:
    for broken in broken_rules(_readable(candidate), Profile.DEVICE):
        if broken.rule is not ProfileRule.USAGE:  # which has a result of its own
            raise CheckFailed(broken.detail, f"profile rule {broken.rule.value}")


def _identity(candidate: OwnCandidate) -> None:
    found = _readable(candidate).subject_eui
    if found != candidate.eui:
        raise CheckFailed("it names another device", candidate.eui, found)


def _key_usage(candidate: OwnCandidate) -> None:
    usage = _readable(candidate).usage
    found = None if usage is None else usage.value
    if found != candidate.usage.label:
        raise CheckFailed(
            "not for exactly one of the keys a device has", candidate.usage.label, found
        )


def _awaited(candidate: OwnCandidate) -> None:
    if not candidate.awaited:
        raise CheckFailed(f"no key pair for {candidate.usage.label} waits for a certificate")


def _public_key(candidate: OwnCandidate) -> None:
    if _readable(candidate).public_key != candidate.public_key:
        raise CheckFailed("the certificate of another key than the one that was generated")


PROFILE = Check(
    "meter.own_certificate.profile",
    "It obeys the profile of device certificates",
    "GBCS 0.8.1 p145; docs/sources.md#certificates",
    _profile,
    section=SECTION,
)
IDENTITY = Check(
    "meter.own_certificate.identity",
    "It names this device",
    _SOURCE,
    _identity,
    section=SECTION,
)
KEY_USAGE = Check(
    "meter.own_certificate.key_usage",
    "It is for exactly one of the two keys a device has",
    _SOURCE,
    _key_usage,
    section=SECTION,
)
AWAITED = Check(
    "meter.own_certificate.awaited",
    "A key pair was generated for it (CS02c)",
    _SOURCE,
    _awaited,
    section=SECTION,
)
PUBLIC_KEY = Check(
    "meter.own_certificate.public_key",
    "It certifies the key pair that was generated",
    _SOURCE,
    _public_key,
    section=SECTION,
)

OWN_CERTIFICATE_CHECKS: tuple[Check[OwnCandidate], ...] = (
    PROFILE,
    IDENTITY,
    KEY_USAGE,
    AWAITED,
    PUBLIC_KEY,
)

RESULT_OF_CHECK: dict[str, CertificateUpdateResult] = {
    PROFILE.id: CertificateUpdateResult.INVALID_CERTIFICATE,
    IDENTITY.id: CertificateUpdateResult.WRONG_DEVICE_IDENTITY,
    KEY_USAGE.id: CertificateUpdateResult.INVALID_KEY_USAGE,
    AWAITED.id: CertificateUpdateResult.NO_CORRESPONDING_KEY_PAIR_GENERATED,
    PUBLIC_KEY.id: CertificateUpdateResult.WRONG_PUBLIC_KEY,
}
"""What the response says when this check refused the certificate."""
