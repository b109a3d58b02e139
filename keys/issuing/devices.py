"""What the devices of an estate hold when they are installed, and the record that lists them.

Trust anchor cells by device type: docs/sources.md#trust-anchor-cells. The ESME's nine cells are
confirmed by RTDS vectors; that a GSME has the same is an assumption. The two load controller
cells are on devices that support CS02f and CS02g.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from keys.certificate import Certificate
from keys.errors import CeremonyError
from keys.issuing.authorities import ORGANISATION_ROOT, Authorities
from keys.issuing.plan import DevicesPlan
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys

_ESME_CELLS = {
    "root/keyCertSign/management": ORGANISATION_ROOT,
    "recovery/digitalSignature/management": "recovery-digital-signing",
    "supplier/digitalSignature/management": "{supplier}-digital-signing",
    "supplier/keyAgreement/management": "{supplier}-key-agreement",
    "supplier/keyAgreement/prePaymentTopUp": "{supplier}-prepayment-key-agreement",
    "networkOperator/digitalSignature/management": "network-operator-digital-signing",
    "networkOperator/keyAgreement/management": "network-operator-key-agreement",
    "accessControlBroker/keyAgreement/management": "acb-key-agreement",
    "transitionalCoS/digitalSignature/management": "{cos_party}-digital-signing",
}
"""Cell name to the name under which its certificate is published."""
CELLS = {"ESME": _ESME_CELLS, "GSME": _ESME_CELLS}
LOAD_CONTROLLER_CELLS = {
    "loadController/digitalSignature/management": "load-controller-digital-signing",
    "loadController/keyAgreement/management": "load-controller-key-agreement",
}
DEVICE_CERTIFICATES = {
    "digital-signing": Usage.DIGITAL_SIGNATURE,
    "key-agreement": Usage.KEY_AGREEMENT,
}


def cell_contents(run: DevicesPlan, held: Mapping[str, Certificate]) -> dict[str, Certificate]:
    """The certificate in each trust anchor cell of a run of devices at installation.

    Args:
        run: the devices' type, supplier and CoS Party.
        held: published certificates by name.

    Raises:
        CeremonyError: a cell needs a certificate that nobody in the plan has.
    """
    wanted = CELLS[run.device_type] | (LOAD_CONTROLLER_CELLS if run.load_controller else {})
    cells = {}
    for cell, pattern in wanted.items():
        name = pattern.format(supplier=run.supplier, cos_party=run.cos_party)
        if name not in held:
            raise CeremonyError(f"cell {cell} needs {name}, which is not in the plan")
        cells[cell] = held[name]
    return cells


def certify_device(
    authorities: Authorities, keys: DeviceKeys, eui: str, now: datetime
) -> dict[str, Certificate]:
    """Issue a device's two certificates, by the names its record uses."""
    return {
        name: authorities.device(keys, eui, usage, now)
        for name, usage in DEVICE_CERTIFICATES.items()
    }


def published_name(eui: str, certificate_name: str) -> str:
    """The name under which a device's certificate is published."""
    return f"device-{eui}-{certificate_name}"


def device_record(
    run: DevicesPlan,
    offset: int,
    certificates: Mapping[str, Certificate],
    cells: Mapping[str, Certificate],
) -> dict[str, Any]:
    """One entry of `devices.json`: certificates as base64 DER."""
    return {
        "eui": run.eui(offset),
        "device_type": run.device_type,
        "mpxn": run.mpxn(offset),
        "supplier": run.supplier,
        "cos_party": run.cos_party,
        "certificates": {name: _text(c) for name, c in certificates.items()},
        "cells": {name: _text(c) for name, c in cells.items()},
    }


def _text(certificate: Certificate) -> str:
    return base64.b64encode(certificate.der).decode()
