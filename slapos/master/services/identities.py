"""Who exists: users, nodes, their certificates, and the tokens with which they enrol.

The identity of a principal is its certificate; whether it still counts is read here at every request, so that a
revocation, a lost role or a destroyed instance acts at once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import RowMapping, Select, bindparam, insert, select, update

from slapos.master.authorization import Action, Subject, check
from slapos.master.services import access, history
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_number, node_number, node_reference
from slapos.master.storage.prepared import Row, prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, NotFound, Refused, Unauthenticated
from slapos.model.objects import DEFAULT_PROJECT
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind, Role
from slapos.model.text import check_text, is_file_name

TOKEN_SECONDS = 86_400
ENROLLED_KINDS = (PrincipalKind.NODE, PrincipalKind.USER, PrincipalKind.OPERATOR)


class Certificate(Protocol):
    """What is kept of a certificate; ``slapos.pki.certificates.CertificateInfo`` has it."""

    @property
    def serial(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def not_after(self) -> float: ...


@dataclass(frozen=True)
class Enrolment:
    """What a token allows.  ``reference``: a login, or an existing ``COMP-<n>`` that enrols again; empty: a new node.

    ``role`` is that of a user in the project.  ``legacy_keys``: the master may make the key, for tools of the field
    that cannot make a signing request; a node's instances get theirs so, too.
    """

    kind: PrincipalKind
    reference: str = ""
    name: str = ""
    project: str = DEFAULT_PROJECT
    role: Role = Role.MEMBER
    legacy_keys: bool = False


def create_token(tx: Transaction, principal: Principal, enrolment: Enrolment, now: float) -> str:
    """A text that enrols once, within a day.  Only its digest is stored."""
    check(principal, Action.TOKEN_CREATE, Subject(project=enrolment.project))
    _check_enrolment(tx, enrolment)
    ensure_project(tx, enrolment.project, now)
    token = secrets.token_hex(32)  # with a dash at its front, tools would take it for an option
    values = {
        "digest": _digest(token),
        "project": enrolment.project,
        "kind": enrolment.kind.value,
        "reference": enrolment.reference,
        "name": enrolment.name,
        "role": enrolment.role.value,
        "legacy_keys": enrolment.legacy_keys,
        "created": int(now),
        "expires": int(now) + TOKEN_SECONDS,
    }
    tx.execute(insert(tables.tokens).values(**values))
    return token


def _check_enrolment(tx: Transaction, enrolment: Enrolment) -> None:
    check_text("name", enrolment.name)
    if enrolment.kind not in ENROLLED_KINDS:
        raise _invalid("kind", enrolment.kind.value, "Only nodes, users and operators enrol with a token.")
    if not is_file_name(enrolment.project):
        raise _invalid("project", enrolment.project, "Use letters, digits, dot, dash and underscore.")
    if enrolment.legacy_keys and enrolment.kind is PrincipalKind.OPERATOR:
        raise _invalid("legacy_keys", "true", "The key of an operator is made where it is used, always.")
    if enrolment.kind is PrincipalKind.NODE:
        if enrolment.reference and _node_row(tx, enrolment.reference) is None:
            raise access.no_node(enrolment.reference)
    elif not is_file_name(enrolment.reference):
        raise _invalid("reference", enrolment.reference, "A login has letters, digits, dot, dash and underscore.")


def _invalid(field: str, value: str, hint: str) -> InputError:
    return InputError(
        f"{field}: {value[:100]!r} cannot be used here.",
        reference="invalid-enrolment",
        context={"field": field, "value": value[:100]},
        hint=hint,
    )


def redeem_token(tx: Transaction, token: str, now: float, *, name: str = "") -> Principal:
    """Who enrols with it: a new ``COMP-<n>``, or the user, who exists from now on.  A second time is refused.

    ``name`` is that of a new node whose token has none.
    """
    table = tables.tokens
    mine = table.c.digest == _digest(token)
    row = tx.execute(select(table).where(mine).with_for_update()).mappings().one_or_none()
    if row is None or row["used"] is not None or row["expires"] < now:
        raise Refused(
            "This enrolment token is unknown, used or expired.",
            reference="invalid-token",
            hint="Ask the operator for another one: a token enrols once, within a day.",
        )
    tx.execute(update(table).where(mine).values(used=int(now)))
    principal = _enrol_node(tx, row, name, now) if row["kind"] == PrincipalKind.NODE else _enrol_person(tx, row, now)
    sentence = f"{history.actor(principal)} enrolled."
    history.record(
        tx, (row["project"], principal.reference), "enrolled", sentence, by=history.actor(principal), now=now
    )
    return principal


def _enrol_node(tx: Transaction, row: RowMapping, name: str, now: float) -> Principal:
    reference = row["reference"]
    if not reference:
        nodes = tables.nodes
        values = {"project": row["project"], "name": row["name"] or name, "created": int(now)}
        values["legacy_keys"] = row["legacy_keys"]
        number = tx.execute(insert(nodes).values(**values).returning(nodes.c.number)).scalar_one()
        reference = node_reference(number)
        tx.node_changed(number, reset=True)
    else:
        _keep_how_keys_are_made(tx, reference, made_here=row["legacy_keys"])
    return Principal(PrincipalKind.NODE, reference)


def _keep_how_keys_are_made(tx: Transaction, reference: str, *, made_here: bool) -> None:
    """The last enrolment of a node decides."""
    nodes = tables.nodes
    tx.execute(update(nodes).where(nodes.c.number == node_number(reference)).values(legacy_keys=made_here))


def may_make_key(tx: Transaction, token: str) -> bool:
    """Whether the master may make the key of who enrols with this token."""
    tokens = tables.tokens
    found = select(tokens.c.legacy_keys).where(tokens.c.digest == _digest(token))
    return bool(tx.execute(found).scalar_one_or_none())


def makes_keys_for(tx: Transaction, node: int | None) -> bool:
    """Whether the master makes the keys of this node and of its instances."""
    nodes = tables.nodes
    return bool(tx.execute(select(nodes.c.legacy_keys).where(nodes.c.number == node)).scalar_one_or_none())


def _enrol_person(tx: Transaction, row: RowMapping, now: float) -> Principal:
    if row["kind"] == PrincipalKind.OPERATOR:
        return ensure_operator(tx, row["reference"], now, name=row["name"])
    _ensure_user(tx, row["reference"], row["name"], now)
    set_role(tx, row["project"], row["reference"], Role(row["role"]))
    return Principal(PrincipalKind.USER, row["reference"], _roles(tx, row["reference"]))


def ensure_operator(tx: Transaction, login: str, now: float, *, name: str = "") -> Principal:
    """The operator, made when new.  For the first start of a master, where nobody can be asked."""
    if not is_file_name(login):
        raise _invalid("reference", login, "A login has letters, digits, dot, dash and underscore.")
    _ensure_user(tx, login, name, now)
    tx.execute(update(tables.users).where(tables.users.c.login == login).values(operator=True))
    return Principal(PrincipalKind.OPERATOR, login)


def _ensure_user(tx: Transaction, login: str, name: str, now: float) -> None:
    users = tables.users
    if tx.execute(select(users.c.login).where(users.c.login == login)).first() is None:
        tx.execute(insert(users).values(login=login, name=name, created=int(now)))


def ensure_project(tx: Transaction, reference: str, now: float) -> None:
    projects = tables.projects
    if tx.execute(select(projects.c.reference).where(projects.c.reference == reference)).first() is None:
        tx.execute(insert(projects).values(reference=reference, created=int(now)))


def set_role(tx: Transaction, project: str, login: str, role: Role | None) -> None:
    """The role of a user in a project; None takes it away.  The caller has the right to do so."""
    members = tables.members
    mine = (members.c.project == project, members.c.login == login)
    tx.execute(members.delete().where(*mine))
    if role is not None:
        tx.execute(insert(members).values(project=project, login=login, role=role.value))


def _roles(tx: Transaction, login: str) -> Mapping[str, Role]:
    return {row["project"]: Role(row["role"]) for row in _roles_of.rows(tx, of_login=login)}


@prepared
def _roles_of() -> Select[tuple[str, str]]:
    members = tables.members
    return select(members.c.project, members.c.role).where(members.c.login == bindparam("of_login"))


def record_certificate(tx: Transaction, principal: Principal, certificate: Certificate, now: float) -> None:
    """Keeps what is needed to recognise and to revoke it.  Whoever signs calls this in the same transaction."""
    kind = PrincipalKind(certificate.kind)
    tx.execute(
        insert(tables.certificates).values(
            serial=certificate.serial,
            project=project_of(tx, kind, certificate.reference),
            kind=kind.value,
            reference=certificate.reference,
            issued=int(now),
            not_after=int(certificate.not_after),
        )
    )


def project_of(tx: Transaction, kind: PrincipalKind, reference: str) -> str:
    """The project of a node or an instance; people's certificates belong to the default one."""
    if kind is PrincipalKind.NODE:
        row = _node_row(tx, reference)
        return DEFAULT_PROJECT if row is None else str(row["project"])
    number = instance_number(reference) if kind in (PrincipalKind.INSTANCE, PrincipalKind.SERVICE) else None
    instances = tables.instances
    found = tx.execute(select(instances.c.project).where(instances.c.number == number)).scalar_one_or_none()
    return str(found) if found is not None else DEFAULT_PROJECT


def _node_row(tx: Transaction, reference: str) -> Row | None:
    return _node_by_number.row(tx, of_number=node_number(reference))


@prepared
def _node_by_number() -> Select[tuple[object, ...]]:
    return select(tables.nodes).where(tables.nodes.c.number == bindparam("of_number"))


def principal_of_certificate(
    tx: Transaction, serial: str, kind: PrincipalKind, reference: str, now: float
) -> Principal:
    """Who the holder is today.  Raises :class:`Unauthenticated` when the certificate, or its subject, counts no more.

    The expiry inside the certificate is TLS's to check; the one recorded at issue is checked here too.
    """
    row = find_certificate(tx, serial)
    if row is None or (row["kind"], row["reference"]) != (PrincipalKind(kind).value, reference):
        raise _not_accepted("This master did not issue the certificate.", "certificate-unknown", serial)
    if row["revoked"] is not None:
        raise _not_accepted("The certificate was revoked.", "certificate-revoked", serial)
    if row["not_after"] < now:
        raise _not_accepted("The certificate expired.", "certificate-expired", serial)
    principal = _living(tx, PrincipalKind(kind), reference)
    if principal is None:
        raise _not_accepted(f"{reference} exists no longer.", "principal-gone", serial)
    return principal


def _living(tx: Transaction, kind: PrincipalKind, reference: str) -> Principal | None:
    if kind is PrincipalKind.NODE:
        return Principal(kind, reference) if _node_row(tx, reference) is not None else None
    if kind is PrincipalKind.INSTANCE:
        row = _gone.row(tx, of_number=instance_number(reference))
        return Principal(kind, reference) if row is not None and row["gone"] is None else None
    if kind in (PrincipalKind.USER, PrincipalKind.OPERATOR):
        row = _is_operator.row(tx, of_login=reference)
        if row is None or (kind is PrincipalKind.OPERATOR and not row["operator"]):
            return None
        return Principal(kind, reference, _roles(tx, reference))
    return Principal(kind, reference)


@prepared
def _gone() -> Select[tuple[int | None]]:
    instances = tables.instances
    return select(instances.c.gone).where(instances.c.number == bindparam("of_number"))


@prepared
def _is_operator() -> Select[tuple[bool]]:
    users = tables.users
    return select(users.c.operator).where(users.c.login == bindparam("of_login"))


def _not_accepted(sentence: str, reference: str, serial: str) -> Unauthenticated:
    return Unauthenticated(
        sentence, reference=reference, context={"serial": serial}, hint="Enrol again with a token of the operator."
    )


def find_certificate(tx: Transaction, serial: str) -> Row | None:
    """serial, project, kind, reference, issued, not_after, revoked, reason; None when we did not issue it."""
    return _by_serial.row(tx, of_serial=serial)


@prepared
def _by_serial() -> Select[tuple[object, ...]]:
    return select(tables.certificates).where(tables.certificates.c.serial == bindparam("of_serial"))


def revoke_certificate(tx: Transaction, principal: Principal, serial: str, now: float, reason: str = "") -> None:
    """Acts at the next request.  The operator's right, and everyone's for the certificates of their own."""
    row = find_certificate(tx, serial)
    if row is None:
        raise NotFound(
            f"There is no certificate with the serial number {serial}.",
            reference="no-such-certificate",
            context={"serial": serial},
            hint="The serial number is lower-case hexadecimal.",
        )
    if (principal.kind.value, principal.reference) != (row["kind"], row["reference"]):
        check(principal, Action.CERTIFICATE_REVOKE, Subject(project=row["project"]))
    if row["revoked"] is not None:
        return
    table = tables.certificates
    tx.execute(update(table).where(table.c.serial == serial).values(revoked=int(now), reason=reason[:2_000]))
    sentence = f"The certificate {serial} was revoked."
    about = (row["project"], row["reference"])
    history.record(tx, about, "revoked", sentence, by=history.actor(principal), now=now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
