"""The errors of the key infrastructure, so that every refusal can be told from every other."""

from __future__ import annotations

from enum import StrEnum


class KeysError(Exception):
    """Anything the key infrastructure refuses. Never carries secret material."""


class CertificateError(KeysError):
    """A certificate cannot be read, written or used as asked.

    Attributes:
        reason: what is wrong, in words.
        field: the part of the certificate it was found in (RFC 5280's own identifier), or "".
    """

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.reason = reason
        self.field = field


class NotSimulated(CertificateError):  # noqa: N818 - named for what it says about the material
    """Material that does not carry this project's simulation marks; see `keys.simulated`."""


class ProfileError(CertificateError):
    """A certificate breaks a rule of the profile it was measured against.

    Attributes:
        rule: the profile rule broken (a `keys.profile_rules.ProfileRule`, as text).
    """

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason, rule)
        self.rule = rule


class RevocationListError(KeysError):
    """A certificate revocation list cannot be read or written."""


class KeyStoreError(KeysError):
    """A key store refuses to open, or refuses a use of one of its keys."""


class CeremonyError(KeysError):
    """A key ceremony cannot be run as planned (nothing is overwritten, ever)."""


class PathFailure(StrEnum):
    """Why a certification path was refused: one value for each distinguishable failure."""

    ANCHOR = "anchor"
    """The certificate given as trust anchor is not an authority, or is itself the leaf."""
    TOO_MANY_CERTIFICATES = "too_many_certificates"
    """More intermediate certificates were supplied than any published path has."""
    UNKNOWN_ISSUER = "unknown_issuer"
    """No supplied certificate or trust anchor has the issuer's name and key identifier."""
    SIGNATURE = "signature"
    """The issuer's key did not make the signature."""
    SIGNATURE_ALGORITHM = "signature_algorithm"
    """The signature algorithm is not ecdsa-with-SHA256."""
    CURVE = "curve"
    """A public key is not on P-256."""
    PUBLIC_KEY_FORM = "public_key_form"
    """A P-256 key is not written as GBCS writes it: curve by name, point uncompressed."""
    ENCODING = "encoding"
    """A bit string or a time is not written as DER and RFC 5280 demand."""
    NOT_YET_VALID = "not_yet_valid"
    """The time asked about is before notBefore."""
    EXPIRED = "expired"
    """The time asked about is after notAfter."""
    BASIC_CONSTRAINTS = "basic_constraints"
    """An issuer is not marked as an authority, or a leaf's constraints are contradictory."""
    PATH_LENGTH = "path_length"
    """More authorities stand below an authority than its pathLenConstraint allows."""
    KEY_USAGE = "key_usage"
    """An issuer may not sign certificates, or a leaf has not exactly one critical usage."""
    POLICY = "policy"
    """Not exactly one critical certificate policy, or not its issuer's."""
    CRITICAL_EXTENSION = "critical_extension"
    """A critical extension that these profiles do not know."""
    WRONG_PROFILE = "wrong_profile"
    """Any other rule of the certificate's own profile is broken (the detail names the rule)."""
    REVOKED = "revoked"
    """The issuer's revocation list names the certificate."""
    CRL_MISSING = "crl_missing"
    """No revocation list of the leaf's issuer was supplied."""
    CRL_MALFORMED = "crl_malformed"
    """A supplied revocation list cannot be read."""
    CRL_SIGNATURE = "crl_signature"
    """A revocation list in the issuer's name was not signed by the issuer."""
    CRL_NOT_YET_VALID = "crl_not_yet_valid"
    """The time asked about is before the revocation list's thisUpdate."""
    CRL_STALE = "crl_stale"
    """The time asked about is after the revocation list's nextUpdate."""


class PathError(KeysError):
    """A certification path was refused.

    Attributes:
        failure: which check refused it.
        detail: what was expected and found, in words (public facts only).
    """

    def __init__(self, failure: PathFailure, detail: str) -> None:
        super().__init__(f"{failure.value}: {detail}")
        self.failure = failure
        self.detail = detail
