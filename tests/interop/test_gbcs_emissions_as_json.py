"""Every kind of message that devices hear and say, as the JSON of `cos gbcs decode` and back."""

from __future__ import annotations

import json

from gbcs.text.describe import build, describe
from tests.interop import emissions
from tests.unit.meter_sim.estate import Estate


def test_every_kind_is_shown_as_json_and_built_again_to_the_same_octets():
    said = emissions.of_devices(Estate())
    for name, octets in said:
        found = json.loads(json.dumps(describe(octets)))
        assert found["reencoded_identical"] is True, name
        assert "octets" not in found["payload"], f"{name}: its payload is shown, not copied"
        assert build(found) == octets, name
    assert len({emissions.kind_of(octets) for _, octets in said}) > 25
