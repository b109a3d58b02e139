"""Each way a path can fail, by itself, beside the path that passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from keys.certificate import Certificate
from keys.errors import PathError, PathFailure
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.issuing.profiles import Issuer, Validity
from keys.path import MAX_INTERMEDIATES, validate_path
from keys.roles import Usage
from tests.unit.keys.workshop import (
    NOW,
    Workshop,
    constraints,
    issuing,
    make,
    new_key,
    organisation_subject,
    policies,
    policy,
    role,
    root,
    usage,
)

YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Question:
    """One call of validate_path."""

    leaf: Certificate
    intermediates: Sequence[Certificate]
    anchor: Certificate
    at: datetime | None = NOW
    crls: Sequence[bytes] | None = None

    def ask(self) -> tuple[Certificate, ...]:
        return validate_path(self.leaf, self.intermediates, self.anchor, at=self.at, crls=self.crls)


def right(shop: Workshop) -> Question:
    return Question(
        shop.leaf(), [shop.issuing.certificate], shop.root.certificate, crls=[shop.crl()]
    )


def leaf(shop: Workshop, certificate: Certificate) -> Question:
    return replace(right(shop), leaf=certificate)


def below(shop: Workshop, name: str, *extensions: tuple[x509.ExtensionType, bool]) -> Question:
    """A leaf below an authority of its own, made with these extensions."""
    own = issuing(shop.root, name, extensions=extensions)
    return replace(
        right(shop), leaf=shop.leaf(issuer=own), intermediates=[own.certificate], crls=None
    )


def anchor_that_is_no_authority(shop: Workshop) -> Question:
    return replace(right(shop), anchor=shop.leaf())


def anchor_for_signing_only(shop: Workshop) -> Question:
    extensions = [usage(Usage.DIGITAL_SIGNATURE), constraints(0), policy()]
    return replace(right(shop), anchor=issuing(shop.root, extensions=extensions).certificate)


def p384_anchor(shop: Workshop) -> Question:
    own = issuing(shop.root, "SIM-Z384", key=new_key(ec.SECP384R1()))
    question = replace(right(shop), leaf=shop.leaf(issuer=own), anchor=own.certificate)
    return replace(question, intermediates=[], crls=None)


def too_many(shop: Workshop) -> Question:
    return replace(right(shop), intermediates=[shop.issuing.certificate] * (MAX_INTERMEDIATES + 1))


def unknown_issuer(shop: Workshop) -> Question:
    return replace(right(shop), intermediates=[issuing(shop.root, "SIM-Z2").certificate])


def forged_signature(shop: Workshop) -> Question:
    return leaf(shop, shop.leaf(signing_key=new_key()))


def sha384(shop: Workshop) -> Question:
    return leaf(shop, shop.leaf(digest=hashes.SHA384()))


def p384(shop: Workshop) -> Question:
    return leaf(shop, shop.leaf(key=new_key(ec.SECP384R1()).public_key()))


def p384_authority(shop: Workshop) -> Question:
    own = issuing(shop.root, "SIM-Z384", key=new_key(ec.SECP384R1()))
    return replace(right(shop), leaf=shop.leaf(issuer=own), intermediates=[own.certificate])


def odd(form: OddForm) -> Callable[[Workshop], Question]:
    """The right certificate in another form, signed so by the authority."""

    def case(shop: Workshop) -> Question:
        der = in_odd_form(shop.leaf().der, form, shop.issuing.issuer.sign)
        return leaf(shop, Certificate.from_der(der))

    return case


def compressed(shop: Workshop) -> tuple[Certificate, Certificate]:
    """A leaf below an authority whose own key is a compressed point."""
    own = issuing(shop.root, "SIM-Z02")
    der = in_odd_form(own.certificate.der, OddForm.COMPRESSED_POINT, shop.root.issuer.sign)
    return shop.leaf(issuer=own), Certificate.from_der(der)


def compressed_authority(shop: Workshop) -> Question:
    below, own = compressed(shop)
    return replace(right(shop), leaf=below, intermediates=[own])


def compressed_anchor(shop: Workshop) -> Question:
    below, own = compressed(shop)
    return replace(right(shop), leaf=below, anchor=own, intermediates=[], crls=None)


def early(shop: Workshop) -> Question:
    return leaf(shop, shop.leaf(validity=Validity(NOW + YEAR, NOW + 2 * YEAR)))


def late(shop: Workshop) -> Question:
    return leaf(shop, shop.leaf(validity=Validity(NOW - 2 * YEAR, NOW - YEAR)))


def late_authority(shop: Workshop) -> Question:
    own = issuing(shop.root, "SIM-Z9", validity=Validity(NOW - 2 * YEAR, NOW - YEAR))
    return replace(right(shop), leaf=shop.leaf(issuer=own), intermediates=[own.certificate])


def issued_by_a_supplier(shop: Workshop) -> Question:
    return below(shop, "SIM-Z5", usage(Usage.KEY_CERT_SIGN), policy())


def leaf_with_constraints(shop: Workshop) -> Question:
    extensions = [usage(Usage.DIGITAL_SIGNATURE), policy(), constraints(None, ca=False)]
    return leaf(shop, shop.leaf(extensions=extensions))


def too_deep(shop: Workshop) -> Question:
    second = issuing(shop.issuing, "SIM-Z2")
    between = [second.certificate, shop.issuing.certificate]
    return replace(right(shop), leaf=shop.leaf(issuer=second), intermediates=between)


def issuer_for_signing_only(shop: Workshop) -> Question:
    return below(shop, "SIM-Z6", usage(Usage.DIGITAL_SIGNATURE), constraints(0), policy())


def leaf_for_everything(shop: Workshop) -> Question:
    both = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=True,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return leaf(shop, shop.leaf(extensions=[(both, True), policy()]))


def another_policy(shop: Workshop) -> Question:
    return leaf(shop, shop.leaf(replace=[policy("2.999.1.2")]))


def two_policies(shop: Workshop) -> Question:
    return leaf(shop, shop.leaf(replace=[(policies("2.999.1.1", "2.999.1.2"), True)]))


def unknown_critical(shop: Workshop) -> Question:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.7"), b"\x05\x00")
    extensions = [usage(Usage.DIGITAL_SIGNATURE), policy(), (unknown, True)]
    return leaf(shop, shop.leaf(extensions=extensions))


def no_authority_key_identifier(shop: Workshop) -> Question:
    return leaf(shop, shop.leaf(skip=[x509.AuthorityKeyIdentifier]))


def revoked(shop: Workshop) -> Question:
    question = right(shop)
    return replace(question, crls=[shop.crl(question.leaf)])


def list_of_another(shop: Workshop) -> Question:
    other = issuing(shop.root, "SIM-Z2")
    return replace(right(shop), crls=[shop.crl(issuer=other.issuer)])


def no_list(shop: Workshop) -> Question:
    return replace(right(shop), crls=[])


def unreadable_list(shop: Workshop) -> Question:
    return replace(right(shop), crls=[shop.crl() + b"\x00"])


def forged_list(shop: Workshop) -> Question:
    honest = shop.issuing.issuer
    forger = Issuer(honest.certificate, issuing(shop.root).issuer.sign)
    return replace(right(shop), crls=[shop.crl(issuer=forger)])


def list_of_tomorrow(shop: Workshop) -> Question:
    return replace(right(shop), crls=[shop.crl(this_update=NOW + timedelta(hours=1))])


def stale_list(shop: Workshop) -> Question:
    return replace(right(shop), crls=[shop.crl(next_update=NOW - timedelta(seconds=1))])


CASES: dict[PathFailure, list[Callable[[Workshop], Question]]] = {
    PathFailure.ANCHOR: [
        anchor_that_is_no_authority,
        anchor_for_signing_only,
        lambda shop: leaf(shop, shop.root.certificate),
    ],
    PathFailure.TOO_MANY_CERTIFICATES: [too_many],
    PathFailure.UNKNOWN_ISSUER: [
        unknown_issuer,
        lambda shop: replace(right(shop), intermediates=[]),
        lambda shop: replace(right(shop), anchor=root().certificate),
    ],
    PathFailure.SIGNATURE: [forged_signature],
    PathFailure.SIGNATURE_ALGORITHM: [sha384],
    PathFailure.CURVE: [p384, p384_authority, p384_anchor],
    PathFailure.PUBLIC_KEY_FORM: [
        *map(
            odd,
            (
                OddForm.COMPRESSED_POINT,
                OddForm.EXPLICIT_CURVE,
                OddForm.EXPLICIT_CURVE_SEED,
                OddForm.EXPLICIT_CURVE_COMPRESSED,
            ),
        ),
        compressed_authority,
        compressed_anchor,
    ],
    PathFailure.ENCODING: [odd(OddForm.GENERALIZED_TIME), odd(OddForm.NAMED_BITS)],
    PathFailure.NOT_YET_VALID: [early],
    PathFailure.EXPIRED: [late, late_authority],
    PathFailure.BASIC_CONSTRAINTS: [issued_by_a_supplier, leaf_with_constraints],
    PathFailure.PATH_LENGTH: [too_deep],
    PathFailure.KEY_USAGE: [issuer_for_signing_only, leaf_for_everything],
    PathFailure.POLICY: [another_policy, two_policies],
    PathFailure.CRITICAL_EXTENSION: [unknown_critical],
    PathFailure.WRONG_PROFILE: [
        no_authority_key_identifier,
        lambda shop: leaf(shop, shop.leaf(subject=role("137"))),
    ],
    PathFailure.REVOKED: [revoked],
    PathFailure.CRL_MISSING: [no_list, list_of_another],
    PathFailure.CRL_MALFORMED: [unreadable_list],
    PathFailure.CRL_SIGNATURE: [forged_list],
    PathFailure.CRL_NOT_YET_VALID: [list_of_tomorrow],
    PathFailure.CRL_STALE: [stale_list],
}


def test_every_failure_has_its_case():
    assert set(CASES) == set(PathFailure)


def test_the_right_path_passes(workshop: Workshop):
    question = right(workshop)
    assert question.ask() == (
        question.leaf,
        workshop.issuing.certificate,
        workshop.root.certificate,
    )


@pytest.mark.parametrize(
    ("failure", "case"), [(failure, case) for failure, cases in CASES.items() for case in cases]
)
def test_each_failure_is_told_from_every_other(
    failure: PathFailure, case: Callable[[Workshop], Question], workshop: Workshop
):
    with pytest.raises(PathError) as refused:
        case(workshop).ask()
    assert refused.value.failure is failure
    assert str(refused.value).startswith(f"{failure.value}: ")


@pytest.mark.parametrize("case", [early, late, late_authority, list_of_tomorrow, stale_list])
def test_without_a_time_nothing_is_too_early_or_too_late(
    case: Callable[[Workshop], Question], workshop: Workshop
):
    question = replace(case(workshop), at=None)
    if case is late_authority:  # whose issuer has no list here
        question = replace(question, crls=None)
    assert question.ask()[0] == question.leaf


@pytest.mark.parametrize(
    "case", [revoked, no_list, unreadable_list, forged_list, list_of_tomorrow, stale_list]
)
def test_a_device_that_asks_for_no_revocation_gets_none(
    case: Callable[[Workshop], Question], workshop: Workshop
):
    question = replace(case(workshop), crls=None)
    assert question.ask()[0] == question.leaf


def test_the_list_with_the_highest_number_counts(workshop: Workshop):
    question = right(workshop)
    old, new = workshop.crl(question.leaf, number=1), workshop.crl(number=2)
    assert replace(question, crls=[old, new]).ask()
    with pytest.raises(PathError, match="revoked"):
        replace(question, crls=[old, workshop.crl(question.leaf, number=3), new]).ask()


def test_a_revoked_authority_takes_all_below_with_it(workshop: Workshop):
    question = right(workshop)
    of_authorities = workshop.crl(workshop.issuing.certificate, issuer=workshop.root.issuer)
    with pytest.raises(PathError) as refused:
        replace(question, crls=[workshop.crl(), of_authorities]).ask()
    assert refused.value.failure is PathFailure.REVOKED
    assert replace(question, crls=[workshop.crl()]).ask()


def test_both_ends_of_validity_are_inside_it(workshop: Workshop):
    question = right(workshop)
    for at in (question.leaf.not_before, question.leaf.not_after):
        assert replace(question, at=at, crls=None).ask()
    for at in (question.leaf.not_before, question.leaf.not_after):
        outside = at + timedelta(seconds=1 if at == question.leaf.not_after else -1)
        with pytest.raises(PathError):
            replace(question, at=outside, crls=None).ask()


def test_certificates_not_needed_are_ignored_in_any_order(workshop: Workshop):
    needed, other = workshop.issuing.certificate, issuing(workshop.root, "SIM-Z2").certificate
    for between in ([needed, other], [other, needed], [other, needed, needed]):
        assert len(replace(right(workshop), intermediates=between).ask()) == 3


def test_as_many_as_may_be_supplied_may_be_supplied(workshop: Workshop):
    between = [workshop.issuing.certificate] * MAX_INTERMEDIATES
    assert len(replace(right(workshop), intermediates=between).ask()) == 3


def test_both_ends_of_a_lists_time_are_inside_it(workshop: Workshop):
    for times in ({"this_update": NOW}, {"next_update": NOW}):
        assert replace(right(workshop), crls=[workshop.crl(**times)]).ask()


def test_of_two_namesakes_the_true_issuer_is_found(workshop: Workshop):
    namesake = issuing(workshop.root)  # same name, another key
    between = [namesake.certificate, workshop.issuing.certificate]
    path = replace(right(workshop), intermediates=between).ask()
    assert path[1] == workshop.issuing.certificate


def test_a_reissued_authority_is_used_where_the_old_one_has_another_fault(workshop: Workshop):
    key = workshop.issuing.key
    unfit = issuing(
        workshop.root,
        key=key,
        extensions=[usage(Usage.DIGITAL_SIGNATURE), constraints(0), policy()],
    )
    path = replace(
        right(workshop), intermediates=[unfit.certificate, workshop.issuing.certificate]
    ).ask()
    assert path[1] == workshop.issuing.certificate


def test_authorities_that_certify_each_other_do_not_go_round_forever(workshop: Workshop):
    one, two = issuing(workshop.root, "SIM-X1"), issuing(workshop.root, "SIM-X2")
    ca = [usage(Usage.KEY_CERT_SIGN), constraints(0), policy()]
    first = make(subject=one.name, issuer=two, key=one.key.public_key(), extensions=ca)
    second = make(subject=two.name, issuer=one, key=two.key.public_key(), extensions=ca)
    with pytest.raises(PathError) as refused:
        validate_path(
            workshop.leaf(issuer=one), [first, second], root("SIM-ZB").certificate, at=NOW
        )
    assert refused.value.failure is PathFailure.UNKNOWN_ISSUER


def test_a_forged_list_beside_a_genuine_one_says_nothing(workshop: Workshop):
    """Neither of the genuine one, nor of the certificate."""
    forged, genuine = forged_list(workshop).crls, workshop.crl()
    assert forged is not None
    for crls in ([genuine, *forged], [*forged, genuine]):
        assert len(replace(right(workshop), crls=crls).ask()) == 3
    question = revoked(workshop)
    assert question.crls is not None
    with pytest.raises(PathError) as refused:
        replace(question, crls=[*question.crls, *forged]).ask()
    assert refused.value.failure is PathFailure.REVOKED


def test_an_authority_may_be_what_is_asked_about(workshop: Workshop):
    path = validate_path(workshop.issuing.certificate, [], workshop.root.certificate, at=NOW)
    assert path == (workshop.issuing.certificate, workshop.root.certificate)


def test_an_issuing_authority_may_be_the_anchor(workshop: Workshop):
    assert len(validate_path(workshop.leaf(), [], workshop.issuing.certificate, at=NOW)) == 2


def test_the_verdict_says_whose_certificate_failed(workshop: Workshop):
    with pytest.raises(PathError) as refused:
        late(workshop).ask()
    assert organisation_subject()[1][1].hex()[2:] in refused.value.detail
    assert "CN=SIM-Z1,OU=07" in refused.value.detail
