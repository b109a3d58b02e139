"""The marks that make this material useless for anything real, and the rule that demands them.

Every certificate this project issues is issued by an authority whose common name starts with
`SIM-` and carries one certificate policy under 2.999, the arc that ITU-T X.660 reserves for
examples. Simulated entity identifiers start with the octets of "SIM" in a locally administered
EUI-64. Whatever lacks the first two marks is refused where keys are opened.
"""

from __future__ import annotations

ISSUER_PREFIX = "SIM-"
ORGANISATION_POLICY = "2.999.1.1"
DEVICE_POLICY = "2.999.1.2"
INFRASTRUCTURE_POLICY = "2.999.1.3"
POLICIES = frozenset({ORGANISATION_POLICY, DEVICE_POLICY, INFRASTRUCTURE_POLICY})
EUI_PREFIX = "0253494d"


def is_simulated(issuer_common_name: str | None, policies: tuple[str, ...]) -> bool:
    """Say whether an issuer name and certificate policies carry both marks."""
    marked_issuer = issuer_common_name is not None and issuer_common_name.startswith(ISSUER_PREFIX)
    return marked_issuer and len(policies) == 1 and policies[0] in POLICIES
