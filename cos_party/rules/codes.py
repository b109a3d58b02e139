"""The three-character code a refusal carries back to the supplier, check by check.

RECONSTRUCTION: the schema of the user interface fixes only the form of ``ECoSErrorCode`` (exactly
three characters, DUIS 5.4 ``ChangeOfSupplier``); no list of its values has been published
(docs/sources.md#codes, #our-own). The values below are this project's own. This table is the one
place that knows them.
"""

from __future__ import annotations

ECOS_ERROR_CODES: dict[str, str] = {
    "request.wellformed": "C01",
    "request.schema": "C02",
    "request.supported": "C03",
    "request.signature_form": "C04",
    "request.certificate_known": "C05",
    "request.certificate_path": "C06",
    "request.certificate_revoked": "C07",
    "request.signing_role": "C08",
    "request.originator": "C09",
    "request.signature": "C10",
    "request.command_variant": "C11",
    "request.execution_date": "C12",
    "request.duplicate": "C13",
    "request.order": "C14",
    "registration.fresh": "R01",
    "registration.mpxn_known": "R02",
    "registration.incoming_supplier": "R03",
    "registration.device_mpxn": "R04",
    "registration.pending_change": "R05",
    "certificates.profile": "K01",
    "certificates.role": "K02",
    "certificates.owner": "K03",
    "certificates.usage": "K04",
    "certificates.path": "K05",
    "certificates.revoked": "K06",
    "certificates.path_unused": "K07",
    "certificates.distinct": "K08",
    "floors.headroom": "F01",
    "floors.top_up": "F02",
    "anomaly.threshold": "A01",
    "response.known_command": "D01",
    "response.decode": "D02",
    "response.originator": "D03",
    "response.recipient": "D04",
    "response.message_code": "D05",
    "response.counter": "D06",
    "response.signature": "D07",
    "response.outcome": "D08",
    "read_back.known_command": "B01",
    "read_back.decode": "B02",
    "read_back.originator": "B03",
    "read_back.answer": "B04",
    "read_back.role": "B05",
}
