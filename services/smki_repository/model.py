"""What the SMKI repository publishes, and the questions it answers.

The bodies that go over the link are this project's own: the repository's real interface is not
public (docs/sources.md#certificates).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from services.link.bodies import Strict, Version

LISTS: Final = ("organisation", "device", "infrastructure")
"""The revocation lists, one per hierarchy."""

ListName = Literal["organisation", "device", "infrastructure"]
Base64 = Annotated[str, Field(max_length=8 * 1024 * 1024)]


class CertificatesQuestion(Strict):
    """Body of `smki-certificates`: by which of the three, and that one's value.

    Attributes:
        by: ``eui``, ``issuer_serial`` or ``key_identifier``.
        eui: 16 lower-case hex digits.
        issuer: As DUIS writes it, for example ``CN=SIM-Z1,OU=07``.
        serial: Decimal digits.
        key_identifier: 16 lower-case hex digits.
    """

    version: Version
    by: Literal["eui", "issuer_serial", "key_identifier"]
    eui: str | None = Field(default=None, pattern=r"^[0-9a-f]{16}$")
    issuer: str | None = Field(default=None, min_length=1, max_length=256)
    serial: str | None = Field(default=None, pattern=r"^(0|[1-9][0-9]{0,47})$")
    key_identifier: str | None = Field(default=None, pattern=r"^[0-9a-f]{16}$")

    def given(self) -> frozenset[str]:
        """Which of the values are there."""
        values = {
            "eui": self.eui,
            "issuer": self.issuer,
            "serial": self.serial,
            "key_identifier": self.key_identifier,
        }
        return frozenset(name for name, value in values.items() if value is not None)


class RevocationQuestion(Strict):
    """Body of `smki-revocation`: the number of each list that the caller holds, if any.

    `lease`: whether the caller wants to know for how long the answer holds.
    """

    version: Version
    known: dict[str, Annotated[int, Field(ge=0)] | None]
    lease: bool = False


class NewCertificate(Strict):
    """Body of ``POST /lab/certificates``: DER in base64, or PEM. Exactly one of them."""

    certificate: Base64 | None = None
    pem: Base64 | None = None


class NewList(Strict):
    """Body of ``PUT /lab/crl/{name}``: DER in base64, or PEM. Exactly one of them."""

    crl: Base64 | None = None
    pem: Base64 | None = None
