"""What tests of the broker's other services have in common, on a running stack."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from stack_bench import Bench

from keys.issuing.authorities import Authorities, years_from
from keys.roles import OrganisationRole, Usage
from services.chassis.time.clock import SystemClock
from stack.service_requests import NewCertificates
from stack.switching import Outcome

SUPPLIER = (
    "supplier/digitalSignature/management",
    "supplier/keyAgreement/management",
    "supplier/keyAgreement/prePaymentTopUp",
)


def renewed(bench: Bench, name: str) -> NewCertificates:
    """A supplier's next key agreement certificate, of a new key, honestly issued."""
    certificate = Authorities.open(bench.data).organisation(
        bench.supplier(name).eui,
        OrganisationRole.SUPPLIER,
        Usage.KEY_AGREEMENT,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        validity=years_from(SystemClock().now(), 1),
    )
    return NewCertificates(key_agreement=certificate)


def ask(bench: Bench, made: tuple[object, bytes]) -> Outcome:
    request_id, document = made
    return bench.submit(document, request_id)


def refused(outcome: Outcome) -> str | None:
    return None if outcome.refused is None else str(outcome.refused["check"])
