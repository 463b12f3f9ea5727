"""``hyperopenx.*`` methods of tokens and certificates.  A private key never comes here."""

from __future__ import annotations

from slapos.master.authorization import Action
from slapos.master.calls import Answer, Call, Route, Routes
from slapos.master.services import access, identities
from slapos.master.services.identities import Enrolment
from slapos.master.services.records import to_addresses
from slapos.model.errors import InputError, Refused, Unauthenticated
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind
from slapos.pki.certificates import CertificateInfo, describe, issued_by
from slapos.pki.policy import NOTHING, Allowed, decide
from slapos.pki.renewal import check_possession, check_renewable
from slapos.pki.requests import read_csr
from slapos.pki.tokens import secret_of, token_text


def post_token(call: Call) -> Answer:
    """A text that enrols once and names our authority.  Not remembered for repetitions: a token is stored nowhere."""
    kind = PrincipalKind(call.text("kind"))
    legacy_keys = bool(call.message.get("legacy_keys", False))
    wanted = Enrolment(kind, call.text("reference"), call.text("name"), legacy_keys=legacy_keys)
    secret = identities.create_token(call.tx, call.principal, wanted, call.now)
    return Answer({"token": token_text(secret, call.tools.authority.ca_pem)})


def post_enrolment(call: Call) -> Answer:
    """Redeem a token with a signing request; a request that is refused does not use the token up."""
    principal = identities.redeem_token(call.tx, secret_of(call.text("token")), call.now)
    return _sign(call, principal, NOTHING)


def post_certificate(call: Call) -> Answer:
    """For an instance, or for a server in its partition: its addresses, and the names that the operator allows."""
    guid = call.text("instance_guid")
    if not guid and call.principal.kind is PrincipalKind.INSTANCE:
        guid = call.principal.reference
    if not guid:
        raise InputError("instance_guid: missing.", reference="invalid-message", context={"field": "instance_guid"})
    row = access.find_row(call.tx, call.principal, guid, Action.INSTANCE_CERTIFY)
    if row["gone"] is not None:
        raise access.no_instance(guid)
    addresses = tuple(address.ip for address in to_addresses(row["addresses"]))
    allowed = Allowed(addresses, call.tools.config.certificate_names)
    return _sign(call, Principal(PrincipalKind(call.text("kind")), guid), allowed)


def post_renewal(call: Call) -> Answer:
    """Replace a certificate, expired for at most a year, by proof of possession of its key."""
    certificate, csr = call.text("certificate"), call.text("csr")
    info = describe(certificate)
    if not issued_by(certificate, call.tools.authority.ca_pem):
        raise Unauthenticated("This master did not issue the certificate.", reference="certificate-unknown")
    check_possession(certificate, csr, call.text("signature"))
    check_renewable(info, call.now)
    # Expiry was judged by the line above; everything else as at any request.
    then = min(call.now, info.not_after - 1)
    principal = identities.principal_of_certificate(
        call.tx, info.serial, PrincipalKind(info.kind), info.reference, then
    )
    if principal.kind is PrincipalKind.SERVICE:
        raise Refused(
            "A server's certificate is not renewed but asked for anew: its addresses may have changed.",
            reference="not-renewable",
            hint="Call certificate as the instance.",
        )
    return _sign(call, principal, NOTHING)


def post_revocation(call: Call) -> Answer:
    """By serial, or by the certificate itself; acts at the next request."""
    serial = call.text("serial").lower() or describe(call.text("certificate")).serial
    identities.revoke_certificate(call.tx, call.principal, serial, call.now)
    return Answer({"serial": serial})


def _sign(call: Call, principal: Principal, allowed: Allowed) -> Answer:
    csr = call.text("csr")
    grant = decide(read_csr(csr), principal.kind, principal.reference, allowed)
    authority = call.tools.authority
    certificate = authority.sign(csr, grant, call.now)
    info: CertificateInfo = describe(certificate)
    identities.record_certificate(call.tx, principal, info, call.now)
    return Answer({"certificate": certificate, "ca": authority.ca_pem, "reference": principal.reference})


ROUTES: Routes = {
    "hyperopenx.post.v0.enrolment_token": Route(post_token, remembered=False),
    "hyperopenx.post.v0.enrolment": Route(post_enrolment, anonymous=True),
    "hyperopenx.post.v0.certificate": Route(post_certificate),
    "hyperopenx.post.v0.certificate_renewal": Route(post_renewal, anonymous=True),
    "hyperopenx.post.v0.certificate_revocation": Route(post_revocation, fences=True),
}
