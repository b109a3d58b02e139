"""Response codes and DCC alert codes, with the meaning this simulation gives them.

The published schema lists the codes and says nothing of their meaning. Every meaning below is
therefore a placeholder, marked as reconstruction: see docs/sources.md#codes. Only codes that any
service may answer, and those of the services spoken here, are listed; what acts on a code must
compare the code, never the text.
"""

from __future__ import annotations

from typing import Final

SUCCESS: Final = "I0"
ACKNOWLEDGED: Final = "I99"

_RESPONSE_CODES: Final = """
    I0 I99 E1 E2 E3 E4 E5 E11 E12 E13 E17 E19 E20 E21 E30 E31 E40 E41 E42 E43 E44 E45 E46 E47 E48
    E49 E50 E51 E52 E53 E54 E55 E56 E57 E58 E59 E60 E61 E62 E63 E64 E65 E66 E67 E68 E69 E70 E71
    E100 E1000 E1001 E1003 E1004 E1006 E1007 E1008 E1010 E1011 E061501 E061504 E061505 E061506
    E061507 E061508 E061509 E062101 E062102 E062103 E062105 E062301 E062302 E062303 E062304
    E062305 E062306 E062401 E062402 E062403 E080201 E080202
"""
RESPONSE_CODES: Final = frozenset(_RESPONSE_CODES.split())
"""Codes of a Response's header."""

RESPONSE_MEANINGS: Final = {
    "I0": "success; the answer is in the body",
    "I99": "taken; the answer follows",
    "E1": "reconstruction: failed authentication",
    "E2": "reconstruction: the user's role may not ask for this",
    "E3": "reconstruction: the user may not ask this of this device",
    "E4": "reconstruction: the user is not the registered supplier",
    "E5": "reconstruction: the device's status does not allow it",
    "E11": "reconstruction: no answer from the device",
    "E12": "reconstruction: malformed request",
    "E13": "reconstruction: request seen before",
    "E17": "reconstruction: out of sequence",
    "E19": "reconstruction: execution date not possible",
    "E20": "reconstruction: could not be delivered",
    "E21": "reconstruction: the device answered something that does not fit",
    "E30": "reconstruction: timed out before delivery",
    "E31": "reconstruction: timed out after delivery",
    "E49": "reconstruction: access not allowed",
    "E50": "reconstruction: validation failed",
    "E65": "reconstruction: not possible for this device (seen in a published refusal of 11.2)",
    "E100": "reconstruction: internal failure",
    "E062301": "reconstruction: a replacement certificate is not one",
    "E062302": "reconstruction: a replacement certificate has the wrong role",
    "E062303": "reconstruction: a replacement certificate is of another party",
    "E062304": "reconstruction: a replacement certificate has no path to the root",
    "E062305": "reconstruction: a replacement certificate has the wrong key usage",
    "E062306": "reconstruction: a replacement certificate is revoked",
}

ALERT_MEANINGS: Final = {
    "AD1": "reconstruction: threshold anomaly detection held a request back",
    "N17": "reconstruction: schedules removed on change of supplier",
    "N26": "reconstruction: the CoS Party refused the change of supplier",
    "N27": "reconstruction: notice to the old supplier: the device has another supplier now",
    "N42": "reconstruction: security credentials of a device were updated",
    "N63": "reconstruction: which CoS certificate a device holds",
    "N64": "reconstruction: alert of the Enduring CoS Party",
}
"""The DCC alert codes sent here; which code goes with which body is a reconstruction."""


def response_meaning(code: str) -> str:
    """The placeholder meaning of any response code, listed or not."""
    return RESPONSE_MEANINGS.get(code, "reconstruction: no meaning known")


def alert_meaning(code: str) -> str:
    """The placeholder meaning of any DCC alert code, listed or not."""
    return ALERT_MEANINGS.get(code, "reconstruction: no meaning known")
