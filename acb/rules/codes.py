"""The codes the user interface answers with, all in one place.

DUIS 5.4 lists the response codes and the DCC alert codes but not their meanings; the prose is in
documents that are not public. Every meaning here is therefore a reconstruction: see
docs/sources.md#codes. A tester should read a code as "this family of reason" and the named check
as the reason itself.
"""

from __future__ import annotations

from typing import Final

# Response codes (DUIS 5.4 XSD, ResponseCode). Verified: I0 and I99 in sample messages.
SUCCESS: Final = "I0"
ACKNOWLEDGED: Final = "I99"

# Reconstructions from here on.
USER_ROLE_NOT_ELIGIBLE: Final = "E2"
USER_NOT_KNOWN: Final = "E3"
NOT_ACCEPTED_BY_COS_PARTY: Final = "E4"
DEVICE_NOT_ELIGIBLE: Final = "E5"
NO_ANSWER_FROM_DEVICE: Final = "E11"
COMMAND_VARIANT: Final = "E12"
DUPLICATE: Final = "E13"
SEQUENCE: Final = "E17"
EXECUTION_DATE: Final = "E19"
NOT_DELIVERABLE: Final = "E20"
INCOMPATIBLE_DEVICE: Final = "E21"
DEVICE_ANSWER_UNACCEPTABLE: Final = "E30"
ANOMALY: Final = "E31"
INTERNAL_TO_DCC: Final = "E100"
CREDENTIALS_ROLE: Final = "E061501"
CREDENTIALS_FORM: Final = "E061504"
CREDENTIALS_CERTIFICATE: Final = "E061505"
CREDENTIALS_SIGNATURE: Final = "E061506"
DETAILS_ROLE: Final = "E062401"
INVENTORY_NOTHING: Final = "E080201"
INVENTORY_KEY: Final = "E080202"

# DCC alert codes (DUIS 5.4 XSD; which body goes with which number is a reconstruction).
ALERT_QUARANTINED: Final = "AD1"
ALERT_COS_REJECTED: Final = "N26"
ALERT_DEVICE_CHANGED_SUPPLIER: Final = "N27"
ALERT_CREDENTIALS_UPDATED: Final = "N42"
ALERT_COS_CERTIFICATE: Final = "N63"

# An ECoSErrorCode is exactly three characters (DUIS 5.4 XSD); the list of values is not public.
ECOS_ERROR_UNSPECIFIED: Final = "E00"
