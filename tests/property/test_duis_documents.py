"""Any value survives the way to a document and back; any octets are read or refused, no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duis.alerts import (
    AnomalyBreach,
    ChangeOfSupplier,
    CosCertificateAlert,
    DccAlert,
    DeviceChangeOfSupplier,
    EcosAlert,
    QuarantinedRequest,
    ScheduleRemoval,
    SecurityCredentialsUpdated,
    UpdatedCertificate,
)
from duis.codes import RESPONSE_CODES
from duis.errors import DuisError
from duis.gate import parse, validate
from duis.model import (
    Acknowledgement,
    CredentialType,
    DeviceAlert,
    FutureDatedAlert,
    Header,
    IssueSecurityCredentials,
    PreCommand,
    ReadInventory,
    RemotePartyRole,
    RequestHandoverOfDCCControlledDevice,
    Response,
    ResponseMessage,
    RetrieveDeviceSecurityCredentialsKRP,
    ServiceRequest,
    SignedPreCommand,
    UpdateSecurityCredentialsCoS,
    UpdateSecurityCredentialsDevice,
    UpdateSecurityCredentialsKRP,
)
from duis.request_id import RequestId
from duis.services import SERVICES
from duis.show import show
from duis.signature import signature_reference, verify_document
from duis.xml import request_from_xml, request_to_xml, response_from_xml, response_to_xml
from tests.unit.duis.documents import signed, signer, unsigned

euis = st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")
identifiers = st.builds(RequestId, euis, euis, st.integers(0, 2**64 - 1))
floors = st.integers(0, 2**63 - 1)
octets = st.binary(min_size=1, max_size=60)
paths = st.lists(octets, min_size=1, max_size=3).map(tuple)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
meter_points = st.integers(0, 10**13 - 1).map(str)
mpans = st.integers(0, 10**13 - 1).map(lambda number: f"{number:013d}")
roles = st.sampled_from(RemotePartyRole)
maybe = st.none

credentials = {
    "path_certificates": paths,
    "execution_date_time": maybe() | moments,
    "prepayment_top_up_floor": maybe() | floors,
    "key_agreement": maybe() | octets,
    "key_agreement_top_up": maybe() | octets,
    "apply_time_checks": st.booleans(),
}
bodies = st.one_of(
    st.tuples(
        st.just(("6.23", 1)),
        st.builds(
            UpdateSecurityCredentialsCoS,
            supplier_floor=floors,
            digital_signing=octets,
            import_mpxn=meter_points,
            **credentials,
        ),
    ),
    st.tuples(
        st.just(("6.15.1", 4)),
        st.builds(
            UpdateSecurityCredentialsKRP,
            remote_party_role=roles,
            floor=maybe() | floors,
            digital_signing=maybe() | octets,
            **credentials,
        ),
    ),
    st.tuples(
        st.just(("6.21", 1)),
        st.builds(
            RequestHandoverOfDCCControlledDevice,
            remote_party_role=roles,
            floor=maybe() | floors,
            digital_signing=octets,
            **credentials,
        ),
    ),
    st.tuples(
        st.sampled_from([("6.15.1", 5), ("6.15.2", 5), ("6.17", 5), ("6.24.2", 5)]),
        st.builds(SignedPreCommand, octets, maybe() | moments),
    ),
    st.tuples(st.just(("6.15.2", 4)), st.builds(UpdateSecurityCredentialsDevice, octets)),
    st.tuples(
        st.just(("6.17", 4)), st.builds(IssueSecurityCredentials, st.sampled_from(CredentialType))
    ),
    st.tuples(
        st.just(("6.24.1", 1)),
        st.builds(
            RetrieveDeviceSecurityCredentialsKRP,
            st.lists(roles, min_size=1, max_size=7).map(tuple),
        ),
    ),
    st.tuples(
        st.just(("8.2", 8)),
        st.builds(ReadInventory, device=euis)
        | st.builds(ReadInventory, mpxn=meter_points)
        | st.builds(ReadInventory, uprn=st.integers(1, 10**12 - 1)),
    ),
)


@st.composite
def requests(draw):
    (variant, command_variant), body = draw(bodies)
    header = Header(
        draw(identifiers),
        command_variant,
        SERVICES[variant].reference,
        variant,
        draw(maybe() | st.booleans()),
        draw(maybe() | identifiers),
    )
    return ServiceRequest(header, body)


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=30
).filter(lambda text: text == text.strip(" \t\r\n"))
breaches = st.builds(AnomalyBreach, identifiers, st.integers(0, 10**20 - 1))
notices = st.builds(
    DeviceChangeOfSupplier,
    euis,
    st.sampled_from(["ESME", "GSME", "GPF", "CHF"]),
    meter_points,
    maybe() | mpans,
    maybe() | mpans,
)
certificates = st.builds(
    UpdatedCertificate,
    st.sampled_from(["DigitalSigning", "KeyAgreement", "KeyAgreementTopUp"]),
    st.binary(min_size=20, max_size=20),
)
updates = st.builds(
    SecurityCredentialsUpdated,
    euis,
    roles,
    st.lists(certificates, min_size=1, max_size=3).map(tuple),
    floors,
    maybe() | floors,
)
contents = st.one_of(
    st.builds(
        ChangeOfSupplier,
        request_id=identifiers,
        ecos_error_code=maybe() | st.from_regex(r"\A[A-Z0-9]{3}\Z"),
    ),
    st.builds(ChangeOfSupplier, device=notices),
    updates,
    st.builds(EcosAlert, identifiers, texts, euis, maybe() | identifiers, maybe() | texts),
    st.builds(CosCertificateAlert, euis, maybe() | st.integers(0, 2**160 - 1)),
    st.builds(QuarantinedRequest, user_threshold=breaches)
    | st.builds(QuarantinedRequest, dcc_threshold=breaches)
    | st.builds(QuarantinedRequest, attribute_limits=breaches),
    st.builds(ScheduleRemoval, euis, st.integers(0, 10**12)),
)
services = st.sampled_from([(each.reference, each.variant) for each in SERVICES.values()])


@st.composite
def responses(draw):
    reference, variant = draw(services)
    body = draw(
        st.one_of(
            st.just(Acknowledgement(reference, variant)),
            octets.map(lambda payload: ResponseMessage(reference, variant, payload)),
            st.builds(PreCommand, texts, octets).map(
                lambda content: ResponseMessage(reference, variant, content=content)
            ),
            st.builds(
                FutureDatedAlert,
                st.integers(0, 0xFFFF),
                octets,
                st.integers(0, 0xFFFF),
                st.integers(0, 0xFFFF),
            ).map(lambda content: ResponseMessage(reference, variant, content=content)),
            st.builds(DeviceAlert, st.integers(0, 0xFFFF), octets),
            st.builds(
                DccAlert,
                st.sampled_from(["AD1", "N1", "N26", "N31", "N33", "N65", "N999"]),
                contents,
            ),
        )
    )
    answered = None if isinstance(body, Acknowledgement) else draw(identifiers)
    code = draw(st.sampled_from(sorted(RESPONSE_CODES)))
    return Response(draw(maybe() | identifiers), answered, code, draw(moments), body)


@given(requests())
def test_any_request_both_ways(request):
    document = request_to_xml(request)
    assert request_from_xml(document) == request
    assert request_to_xml(request_from_xml(document)) == document


@given(responses())
def test_any_response_both_ways(response):
    document = response_to_xml(response)
    assert response_from_xml(document) == response


@given(st.one_of(requests().map(request_to_xml), responses().map(response_to_xml)))
@settings(max_examples=examples(50))
def test_whatever_is_written_can_be_signed_verified_and_shown(document):
    sealed = signer().sign_xml(document)
    verified = verify_document(sealed, signer().certificate)
    # Canonical form of what was written; the declaration and empty-element tags are not part of it.
    again = parse(verified.signed_xml)
    validate(again)
    assert (
        signer().sign_xml(verified.signed_xml).partition(b"<ds:Signature")[0]
        == (sealed.partition(b"<ds:Signature")[0])
    )
    assert show(sealed)["signature"]["serial"] == str(signer().serial)


READERS = (
    parse,
    lambda data: parse(data, template=True),
    lambda data: validate(parse(data)),
    request_from_xml,
    response_from_xml,
    signature_reference,
    lambda data: verify_document(data, signer().certificate),
    lambda data: signer().sign_xml(data),
    show,
)


def refused_by(act: Callable[[], object]) -> DuisError | None:
    """The refusal, if there is one; anything else that is raised is the failure looked for."""
    try:
        act()
    except DuisError as error:
        return error
    return None


def only_refused(data: bytes) -> None:
    for reader in READERS:
        refusal = refused_by(lambda read=reader: read(data))
        assert refusal is None or (refusal.reason and len(str(refusal)) < 1000)


@given(st.binary(max_size=400))
def test_any_octets_are_read_or_refused(data):
    only_refused(data)


@given(st.text(max_size=200).map(lambda text: f"<a>{text}</a>".encode(errors="replace")))
def test_any_text_is_read_or_refused(data):
    only_refused(data)


FRAGMENTS = [
    *(b"<", b">", b"/>", b"&", b";", b"&#", b"&#0;", b"&#xFFFF;", b"&amp;", b'"', b"="),
    *(b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<!DOCTYPE a>", b"<?x?>", b"xml:space='default'"),
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b" ", b"\n", b"xmlns=", b"xmlns:a='b'", b"Id='a'"),
    *(b"ds:Signature", b"<ds:Object/>", b"sr:Body", b"5.4", b"-1", b"9" * 30),
]


@st.composite
def mutated(draw):
    data = bytearray(draw(st.sampled_from([signed(), unsigned()])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "copy"]))
        if kind == "flip":
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 80))]
        elif kind == "insert":
            data[at:at] = draw(st.sampled_from(FRAGMENTS))
        else:
            piece = bytes(data[at : at + draw(st.integers(1, 200))])
            to = draw(st.integers(0, len(data)))
            data[to:to] = piece
        if not data:
            data = bytearray(b"<")
    return bytes(data)


@given(mutated())
@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_document_is_read_or_refused(data):
    only_refused(data)


ORIGINAL = verify_document(signed(), signer().certificate).signed_xml


@given(mutated())
@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow])
def test_whatever_verifies_says_what_was_signed(data):
    try:
        verified = verify_document(data, signer().certificate)
    except DuisError:
        return
    assert verified.signed_xml == ORIGINAL


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(1, 255))
def test_any_octets_for_a_certificate_are_refused_or_verify(junk, at, flip):
    damaged = bytearray(signer().certificate)
    damaged[at % len(damaged)] ^= flip
    for certificate in (junk, bytes(damaged)):
        refusal = refused_by(lambda der=certificate: verify_document(signed(), der))
        assert refusal is None or refusal.reason


@given(st.text(max_size=80))
def test_any_text_is_a_request_identifier_or_refused(text):
    try:
        value = RequestId.from_text(text)
    except DuisError:
        return
    assert RequestId.from_text(value.text) == value
    assert replace(value, counter=value.counter) == value
