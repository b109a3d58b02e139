"""CS02c, CS02d and CS02e: a device's own keys and certificates. Pure, as processing is.

CS02c makes the next key pair and answers with its certification request; the key in use stays in
use. CS02d gives the certificate for it; from the next message on the device signs and agrees with
that key, and the older one is gone. CS02e shows the certificate of the key in use.

docs/sources.md#device-credentials; forms confirmed by RTDS vectors (no date-time, signed, no MAC).
reconstructions:

- a key pair generated before a second CS02c is given up for the newer one;
- the Response to CS02d is still signed with the key that was in use when the Command came, which is
  the one its reader knows;
- a device whose key store is at fault answers with the result for that, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gbcs.codes import (
    CertificateReadFailure,
    CertificateUpdateResult,
    CertificationRequestFailure,
    KeyUsage,
)
from gbcs.message import Message
from gbcs.payloads.device_certificates import (
    CertificateReadResponse,
    CertificateUpdateResponse,
    IssueResponse,
    decode_certificate_update,
    decode_key_usage_request,
    encode_certificate_read_response,
    encode_certificate_update_response,
    encode_issue_response,
)
from keys.certificate import Certificate
from keys.errors import CertificateError
from keys.roles import Usage
from meter_sim.device.model import DeviceContext, DeviceState, OwnKey, OwnKeyFault
from meter_sim.device.rules.evidence import OwnCandidate
from meter_sim.device.rules.own_certificate import RESULT_OF_CHECK, SECTION
from meter_sim.device.use_cases import ISSUE_CREDENTIALS, UPDATE_CERTIFICATE
from services.chassis.checks import Refused, Verdict

OWN_USAGES: dict[KeyUsage, Usage] = {
    KeyUsage.DIGITAL_SIGNATURE: Usage.DIGITAL_SIGNATURE,
    KeyUsage.KEY_AGREEMENT: Usage.KEY_AGREEMENT,
}
"""The two keys a device has."""


@dataclass(frozen=True, slots=True)
class Done:
    """What one of these Commands did: the state after it, the answer's payload, the verdicts."""

    state: DeviceState
    payload: bytes
    verdicts: tuple[Verdict, ...] = ()


def execute_own_keys(message: Message, state: DeviceState, context: DeviceContext) -> Done:
    """Do what an approved CS02c, CS02d or CS02e Command asks.

    Raises:
        ParseError: the payload is not what its message code says.
    """
    if message.message_code == UPDATE_CERTIFICATE:
        return _update(decode_certificate_update(message.payload).certificate, state, context)
    usage = decode_key_usage_request(message.payload).key_usage
    if message.message_code == ISSUE_CREDENTIALS:
        return _issue(usage, state, context)
    return Done(state, encode_certificate_read_response(_provide(usage, state, context)))


def _issue(usage: KeyUsage, state: DeviceState, context: DeviceContext) -> Done:
    failure: CertificationRequestFailure | None = None
    if usage not in OWN_USAGES:
        failure = CertificationRequestFailure.INVALID_KEY_USAGE
    elif OwnKeyFault.KEY_PAIR_GENERATION in context.faults:
        failure = CertificationRequestFailure.KEY_PAIR_GENERATION_FAILED
    elif OwnKeyFault.REQUEST_PRODUCTION in context.faults:
        failure = CertificationRequestFailure.CR_PRODUCTION_FAILED
    if failure is not None:
        return Done(state, encode_issue_response(IssueResponse(failure)))
    own = state.own_key(usage)
    request = context.keys.certification_request(OWN_USAGES[usage], own.next)
    after = _with(state, usage, replace(own, generated=own.next))
    return Done(after, encode_issue_response(IssueResponse(request)))


def _update(der: bytes, state: DeviceState, context: DeviceContext) -> Done:
    run = context.book.start(f"{state.eui} own certificate", section=SECTION)
    candidate: OwnCandidate | None = None
    try:
        candidate = run.judge(_candidate(der, state, context)).evidence
        result = _kept(candidate, context)
    except Refused as refused:
        result = RESULT_OF_CHECK[refused.check]
    if candidate is not None and result is CertificateUpdateResult.SUCCESS:
        own = state.own_key(candidate.usage)
        generation = own.generation if own.generated is None else own.generated
        changed = OwnKey(generation, None, candidate.certificate)
        state = _with(state, candidate.usage, changed)
    payload = encode_certificate_update_response(CertificateUpdateResponse(result))
    return Done(state, payload, tuple(run.verdicts()))


def _kept(candidate: OwnCandidate, context: DeviceContext) -> CertificateUpdateResult:
    if candidate.certificate is None:  # whatever is turned off, nothing unreadable is kept
        return CertificateUpdateResult.INVALID_CERTIFICATE
    if OwnKeyFault.CERTIFICATE_STORAGE in context.faults:
        return CertificateUpdateResult.CERTIFICATE_STORAGE_FAILED
    if OwnKeyFault.PRIVATE_KEY_CHANGE in context.faults:
        return CertificateUpdateResult.PRIVATE_KEY_CHANGE_FAILED
    return CertificateUpdateResult.SUCCESS


def _candidate(der: bytes, state: DeviceState, context: DeviceContext) -> OwnCandidate:
    try:
        certificate = Certificate.from_der(der)
    except CertificateError:
        certificate = None
    usage = _usage_of(certificate)
    own = state.own_key(usage)
    generation = own.generation if own.generated is None else own.generated
    public_key = context.keys.public_key(OWN_USAGES[usage], generation)
    return OwnCandidate(state.eui, certificate, usage, own.generated is not None, public_key)


def _usage_of(certificate: Certificate | None) -> KeyUsage:
    """The key it is for; the signing key where it does not say (which the checks refuse)."""
    if certificate is not None and certificate.usage is Usage.KEY_AGREEMENT:
        return KeyUsage.KEY_AGREEMENT
    return KeyUsage.DIGITAL_SIGNATURE


def _provide(
    usage: KeyUsage, state: DeviceState, context: DeviceContext
) -> CertificateReadResponse:
    if usage not in OWN_USAGES:
        return CertificateReadResponse(CertificateReadFailure.INVALID_KEY_USAGE)
    held = state.own_key(usage).certificate
    if held is None:
        return CertificateReadResponse(CertificateReadFailure.NO_CERTIFICATE_HELD)
    if OwnKeyFault.CERTIFICATE_RETRIEVAL in context.faults:
        return CertificateReadResponse(CertificateReadFailure.RETRIEVAL_FAILURE)
    return CertificateReadResponse(held.der)


def _with(state: DeviceState, usage: KeyUsage, own: OwnKey) -> DeviceState:
    return replace(state, own={**state.own, usage: own})
