"""The command says what the request said, nothing more and nothing less, for any request."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from cos_party.model import ChangeRequest
from cos_party.rules.build import pre_command
from duis.model import CANCEL_DATE, Header, UpdateSecurityCredentialsCoS
from duis.request_id import RequestId
from gbcs.codes import Cra, CredentialsReplacementMode
from gbcs.message import Message, decode, encode
from gbcs.payloads.credentials import UpdateCredentials, decode_update

euis = st.binary(min_size=8, max_size=8).map(bytes.hex)
floors = st.integers(0, 2**63 - 1)
counters = st.integers(0, 2**63 - 1)


@st.composite
def certificates(draw: st.DrawFn) -> bytes:
    """Any one DER SEQUENCE: the builder carries certificates and does not read them."""
    content = draw(st.binary(max_size=300))
    inner = b"\x04" + length(len(content)) + content
    return b"\x30" + length(len(inner)) + inner


def length(octets: int) -> bytes:
    if octets < 0x80:
        return bytes([octets])
    digits = octets.to_bytes((octets.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits


dates = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2999, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda at: at.replace(microsecond=0))

bodies = st.builds(
    UpdateSecurityCredentialsCoS,
    supplier_floor=floors,
    digital_signing=certificates(),
    path_certificates=st.lists(certificates(), min_size=1, max_size=3).map(tuple),
    import_mpxn=st.text("0123456789", min_size=1, max_size=13),
    execution_date_time=st.one_of(st.none(), st.just(CANCEL_DATE), dates),
    prepayment_top_up_floor=st.none() | floors,
    key_agreement=st.none() | certificates(),
    key_agreement_top_up=st.none() | certificates(),
    apply_time_checks=st.booleans(),
)
requests = st.builds(
    ChangeRequest,
    header=st.builds(
        Header,
        request_id=st.builds(RequestId, euis, euis, st.integers(0, 2**64 - 1)),
        command_variant=st.just(1),
        service_reference=st.just("6.23"),
        service_reference_variant=st.just("6.23"),
    ),
    body=bodies,
)


def said_by(update: UpdateCredentials, mpxn: str) -> UpdateSecurityCredentialsCoS:
    """The request a command stands for, read back from the command alone.

    The MPxN is not in a command, and a cancellation carries no floors.
    """
    held = {replacement.cell.name: replacement.certificate for replacement in update.replacements}
    when = update.execution_date_time
    if when is None:
        execution = None
    elif when == "99991231235959Z":
        execution = CANCEL_DATE
    else:
        execution = datetime.strptime(when, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    floor, top_up = 0, None
    if update.other_changes is not None:
        (change,) = update.other_changes
        assert change.role.label == "supplier"
        floor = change.floor
        if change.specialist is not None:
            (special,) = change.specialist
            top_up = special.number
    return UpdateSecurityCredentialsCoS(
        supplier_floor=floor,
        digital_signing=held.pop("supplier/digitalSignature/management"),
        key_agreement=held.pop("supplier/keyAgreement/management", None),
        key_agreement_top_up=held.pop("supplier/keyAgreement/prePaymentTopUp", None),
        path_certificates=update.path_certificates,
        import_mpxn=mpxn,
        execution_date_time=execution,
        prepayment_top_up_floor=top_up,
        apply_time_checks=update.apply_time_checks,
    )


def expected_of(body: UpdateSecurityCredentialsCoS) -> UpdateSecurityCredentialsCoS:
    if body.execution_date_time != CANCEL_DATE:
        return body
    return UpdateSecurityCredentialsCoS(
        supplier_floor=0,
        digital_signing=body.digital_signing,
        key_agreement=body.key_agreement,
        key_agreement_top_up=body.key_agreement_top_up,
        path_certificates=body.path_certificates,
        import_mpxn=body.import_mpxn,
        execution_date_time=CANCEL_DATE,
        prepayment_top_up_floor=None,
        apply_time_checks=body.apply_time_checks,
    )


@given(request=requests, cos_party=euis, counter=counters)
def test_the_request_can_be_read_back_from_the_command(
    request: ChangeRequest, cos_party: str, counter: int
) -> None:
    command: Message = decode(encode(pre_command(request, cos_party, counter)))
    update = decode_update(command.payload)
    assert said_by(update, request.body.import_mpxn) == expected_of(request.body)
    assert update.mode == CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS
    assert update.authorising_counter == command.header.counter == counter
    assert command.header.cra == Cra.COMMAND
    assert command.header.originator == cos_party
    assert command.header.recipient == request.header.request_id.target
    assert (update.new_floor, update.new_specialist_floors) == (None, None)
    assert update.plaintext_symmetric_key is None
    assert command.is_pre_command
