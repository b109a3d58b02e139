"""Homes that no test has seen before, for tests in which a meter's past would matter.

The shared homes are put back between tests; a meter that is put back forgets its alert counter,
and the CoS Party, which does not forget, then rightly refuses its alerts as old ones.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta

from stack_bench import Bench

from keys.issuing.issue import add_devices
from keys.issuing.plan import DevicesPlan
from services.chassis.time.clock import SystemClock
from stack.provision import record_of

_numbers = itertools.count(
    1
)  # none twice: a test's homes leave the files after it, not the systems


@dataclass(frozen=True)
class Home:
    """A meter, its meter point, and the CoS Party whose certificate it holds."""

    meter: str
    mpxn: str
    cos_party: str


def new_home(bench: Bench, cos_party: str) -> Home:
    """A home of supplier A's that supplier B has just been registered for."""
    number = next(_numbers)
    (device,) = add_devices(
        bench.data,
        DevicesPlan(
            first_eui=f"0253494dd1{number:06x}",
            device_type="ESME",
            first_mpxn=f"13{number:011d}",
            supplier="A",
            cos_party=cos_party,
        ),
        SystemClock().now(),
    )
    home, lab = Home(device["eui"], device["mpxn"], cos_party), bench.connection.lab
    for certificate in device["certificates"].values():
        lab("smki_repository", "POST", "/lab/certificates", {"certificate": certificate})
    lab("registration", "PUT", f"/lab/meter-points/{home.mpxn}", {"devices": [home.meter]})
    now = datetime.fromisoformat(lab("registration", "GET", "/lab/clock")["now"])
    for supplier, since in (("A", timedelta(days=1)), ("B", timedelta(seconds=1))):
        lab(
            "registration",
            "POST",
            "/lab/registrations",
            {
                "mpxn": home.mpxn,
                "participant": bench.supplier(supplier).participant,
                "effective_from": (now - since).isoformat(),
            },
        )
    wanted = ("eui", "device_type", "cells", "certificates")
    lab("meter_sim", "POST", "/lab/devices", {key: device[key] for key in wanted})
    lab("acb", "POST", "/lab/devices", record_of(device))
    return home
