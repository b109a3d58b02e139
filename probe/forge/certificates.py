"""What the simulated authorities do for whoever asks: certificates, publication, revocation.

The data folder holds the authorities' keys. An attack that uses them says in `holds` what its
attacker really has: a key that was certified once and is withdrawn, say. What is published stays
published; the certificates are new each time, and nobody else's.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric import ec

from keys.certificate import Certificate
from keys.issuing.authorities import Authorities, years_from
from keys.issuing.issue import Flaw, flawed_certificate
from keys.roles import OrganisationRole, Usage
from keys.stores.software import SoftwareSigner
from probe.world import World
from services.chassis.time.clock import SystemClock

LIST = "organisation"


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key of the attacker's own."""
    return ec.generate_private_key(ec.SECP256R1())


def issued(
    world: World, eui: str, role: OrganisationRole, usage: Usage = Usage.DIGITAL_SIGNATURE
) -> SoftwareSigner:
    """A key with an honestly issued certificate."""
    key = new_key()
    made = Authorities.open(world.data).organisation(
        eui, role, usage, key.public_key(), validity=years_from(SystemClock().now(), 1)
    )
    return SoftwareSigner(key, made)


def flawed(world: World, flaw: Flaw, eui: str, role: OrganisationRole) -> SoftwareSigner:
    """A signing key with a certificate that has one flaw; revoked ones are on the new list."""
    key = new_key()
    made = flawed_certificate(
        world.data, flaw, eui=eui, role=role, usage=Usage.DIGITAL_SIGNATURE,
        public_key=key.public_key(), now=SystemClock().now(),
    )  # fmt: skip
    if flaw is Flaw.REVOKED:
        path = world.data / "smki_repository" / "repository" / "crl" / f"{LIST}.crl"
        publish_list(world, path.read_text())
    return SoftwareSigner(key, made)


def publish(world: World, certificate: Certificate) -> None:
    """Have the SMKI repository publish a certificate."""
    world.lab("smki_repository", "POST", "/lab/certificates",
              {"certificate": base64.b64encode(certificate.der).decode()})  # fmt: skip


def publish_list(world: World, crl: bytes | str, name: str = LIST) -> None:
    """Have the SMKI repository publish a revocation list: DER, or PEM."""
    told = {"pem": crl} if isinstance(crl, str) else {"crl": base64.b64encode(crl).decode()}
    world.lab("smki_repository", "PUT", f"/lab/crl/{name}", told)
