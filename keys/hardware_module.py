"""The hardwareModuleName of a device certificate (RFC 4108 5), read and written by hand.

```
SAN otherName id-on-hardwareModuleName (1.3.6.1.5.5.7.8.4), value:
30 len
   06 len hwType      OBJECT IDENTIFIER
   04 08  hwSerialNum OCTET STRING: the device's EUI-64
```
Layout confirmed by the RTDS device certificates; hwType there is
1.2.826.0.1.8641679.1.2.2.1.4. Simulated devices use one of the example arc.
"""

from __future__ import annotations

from cryptography.x509 import ObjectIdentifier, OtherName

from keys.errors import CertificateError

HARDWARE_MODULE_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.4")
SIMULATED_HARDWARE_TYPE = bytes.fromhex("06048837022a")
"""OBJECT IDENTIFIER 2.999.2.42 in DER: a hardware type nobody makes."""


def hardware_module_name(serial: bytes) -> OtherName:
    """The name of a device (an 8-octet EUI-64) as its certificate has it."""
    return OtherName(HARDWARE_MODULE_NAME, write_hardware_module_name(serial))


def write_hardware_module_name(serial: bytes) -> bytes:
    """Write the otherName value for an 8-octet EUI-64."""
    body = SIMULATED_HARDWARE_TYPE + b"\x04" + bytes([len(serial)]) + serial
    return b"\x30" + bytes([len(body)]) + body


def read_hardware_module_name(value: bytes) -> bytes:
    """Read hwSerialNum (8 octets) from the otherName value.

    Raises:
        CertificateError: the value is not exactly the layout above.
    """

    def refuse(what: str) -> CertificateError:
        return CertificateError(f"hardwareModuleName: {what}", "subjectAltName")

    if len(value) < 2 or value[0] != 0x30 or value[1] != len(value) - 2 or value[1] >= 0x80:
        raise refuse("not one SEQUENCE")
    body = value[2:]
    if len(body) < 2 or body[0] != 0x06 or not 0 < body[1] < 0x80:
        raise refuse("hwType is not an OBJECT IDENTIFIER")
    serial = body[2 + body[1] :]
    if len(serial) != 10 or serial[:2] != b"\x04\x08":
        raise refuse("hwSerialNum is not 8 octets")
    return serial[2:]
