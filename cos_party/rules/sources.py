"""Where the checks of a CoS Party come from, for those that share a source.

The three-character code that each check carries goes back to the supplier with its refusal.
RECONSTRUCTION: the schema of the user interface fixes only the form of ``ECoSErrorCode`` (exactly
three characters, DUIS 5.4 ``ChangeOfSupplier``); no list of its values has been published
(docs/sources.md#codes, #our-own). The values are this project's own.
"""

from __future__ import annotations

from typing import Final

OBLIGATIONS: Final = (
    "reconstruction: docs/sources.md#party-checks (SEC Appendix AB was not to be had)"
)
FORM: Final = "DUIS 5.4 schema; docs/sources.md#service-requests"
WARRANT: Final = "ECoS separation consultation, paragraph 2; docs/sources.md#party-checks"
PROFILES: Final = "docs/sources.md#certificates (published certificates; GBCS 0.8.1 p141)"
DEVICE: Final = "docs/sources.md#outcomes (confirmed by RTDS vectors)"
