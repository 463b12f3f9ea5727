"""The table of problem types: reference → title, and the class that both sides raise (which has the status).

Closed: what is raised behind the API has its line here; a test reads the source and says which is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slapos.model import errors
from slapos.model.errors import HyperopenxError


@dataclass(frozen=True)
class Problem:
    """One type of problem: its title for people, and the class that both sides raise (which has the status)."""

    title: str
    kind: type[HyperopenxError]
    field_code: str = ""  # the upper-case code of the field's masters in the ``slapos.*`` dialect

    @property
    def status(self) -> int:
        """HTTP status in our own dialect."""
        return self.kind.status


_INPUT, _MISSING, _CONFLICT = errors.InputError, errors.NotFound, errors.Conflict
_REFUSED, _UNPROVEN, _DOWN, _MACHINE = errors.Refused, errors.Unauthenticated, errors.Unavailable, errors.MachineError

PROBLEMS: Mapping[str, Problem] = {
    # one per class of slapos.model.errors
    "invalid-input": Problem("The request is wrong", _INPUT),
    "invalid-profile": Problem("The profile is wrong", errors.ProfileError),
    "not-found": Problem("There is no such thing", _MISSING),
    "refused": Problem("You may not do this", _REFUSED),
    "unauthenticated": Problem("Nobody proved who asks", _UNPROVEN),
    "conflict": Problem("The state forbids it", _CONFLICT),
    "not-ready": Problem("Accepted, not served yet", errors.NotReady),
    "unavailable": Problem("The server cannot answer now", _DOWN),
    "build-failed": Problem("A part failed", errors.BuildFailed),
    "machine": Problem("The machine lacks something", _MACHINE),
    "internal-error": Problem("A defect of the master", errors.InternalError),
    # what was sent
    "invalid-json": Problem("The body is not one JSON object", _INPUT),
    "invalid-xml": Problem("It is not acceptable as XML", _INPUT),
    "invalid-message": Problem("A member of the message is wrong", _INPUT),
    "invalid-text": Problem("A character cannot travel", _INPUT),
    "invalid-title": Problem("The title is not acceptable", _INPUT),
    "schema-violation": Problem("The parameters break the schema of the release", _INPUT),
    "invalid-form": Problem("The arguments cannot be read", _INPUT),
    "invalid-node-name": Problem("A node cannot have this name", _INPUT),
    "not-served-here": Problem("The shared instance is served by another", _INPUT),
    "invalid-field": Problem("A field is wrong", _INPUT),
    "invalid-state": Problem("There is no such state", _INPUT),
    "invalid-subject": Problem("The subject names nothing that exists", _INPUT),
    "invalid-partition": Problem("A partition cannot have this name", _INPUT),
    "invalid-usage": Problem("The usage document is not acceptable", _INPUT, "INVALIDATE_TIOXML"),
    "invalid-enrolment": Problem("Nobody can enrol like this", _INPUT),
    "project-needed": Problem("It is not clear in which project", _INPUT),
    "no-such-project": Problem("There is no such project", _INPUT),
    "invalid-idempotency-key": Problem("The idempotency key is not acceptable", _INPUT),
    "idempotency-key-reused": Problem("The idempotency key was used for something else", _CONFLICT),
    "unknown-query": Problem("The search is not known", _INPUT),
    "too-large": Problem("The message is too large", _INPUT),
    "unsupported-content-type": Problem("The body is not declared as JSON", _INPUT),
    "not-acceptable": Problem("The answer would be JSON", _INPUT),
    "unknown-method": Problem("There is no such method", _MISSING),
    "too-slow": Problem("The message did not arrive in time", _INPUT),
    "wrong-http-method": Problem("Methods are called by POST", _INPUT),
    # certificates
    "invalid-key": Problem("The private key cannot be read", _INPUT),
    "weak-key": Problem("The key is too weak", _INPUT),
    "invalid-csr": Problem("The signing request cannot be read", _INPUT),
    "invalid-certificate": Problem("The certificate cannot be read", _INPUT),
    "invalid-signature": Problem("The signature cannot be read", _INPUT),
    "invalid-holder": Problem("No certificate can be made for this holder", _INPUT),
    "name-not-allowed": Problem("A certificate for this name is not signed", _REFUSED),
    "wrong-signature": Problem("The signature does not match", _UNPROVEN),
    "certificate-too-old": Problem("The certificate expired too long ago", _UNPROVEN),
    "certificate-revoked": Problem("The certificate was revoked", _UNPROVEN),
    "certificate-expired": Problem("The certificate expired", _UNPROVEN),
    "certificate-unknown": Problem("The certificate is not one of this master", _UNPROVEN),
    "invalid-claim": Problem("The Authorization header cannot be read", _INPUT),
    "unknown-claim": Problem("The Authorization header names nothing that exists", _INPUT),
    "claim-refused": Problem("The Authorization header contradicts the certificate", _REFUSED),
    "certificate-refused": Problem("The server refused the certificate", _UNPROVEN),
    "server-not-trusted": Problem("The server's certificate is not trusted", _REFUSED),
    "authority-mismatch": Problem("The master is not the one that made the token", _REFUSED),
    "principal-gone": Problem("Who it names exists no longer", _UNPROVEN),
    "instance-gone": Problem("The instance that asks exists no longer", _REFUSED),
    "not-renewable": Problem("It is asked for anew, not renewed", _REFUSED),
    "token-without-key": Problem("The token does not let the master make a key", _REFUSED),
    "key-in-the-clear": Problem("A private key is not sent in the clear", _REFUSED),
    "invalid-token": Problem("The enrolment token is of no use", _REFUSED),
    "no-such-certificate": Problem("There is no such certificate", _MISSING),
    "file-unreadable": Problem("A file cannot be read", _MACHINE),
    "disk-full": Problem("The disk is full", _MACHINE),
    "operating-system": Problem("The operating system refused", _MACHINE),
    "authority-unreadable": Problem("The authority cannot be read", _MACHINE),
    # things that do not exist, with the codes that the field's full master uses
    "no-such-instance": Problem("There is no such instance", _MISSING, "SOFTWARE-INSTANCE-NOT-FOUND"),
    "tree-not-found": Problem("There is no such instance tree", _MISSING, "INSTANCE-TREE-NOT-FOUND"),
    "no-such-host": Problem("There is no such host of shared instances", _MISSING, "HOST-INSTANCE-NOT-FOUND"),
    "partition-free": Problem("No instance lives there", _MISSING, "SOFTWARE-INSTANCE-NOT-FOUND"),
    "no-such-node": Problem("There is no such node", _MISSING, "COMPUTE-NODE-NOT-FOUND"),
    "supply-not-found": Problem("The release is not supplied there", _MISSING, "SOFTWARE-INSTALLATION-NOT-FOUND"),
    "no-such-document": Problem("There is no such document", _MISSING),
    # states that forbid it
    "destroy-not-requested": Problem(
        "Its destruction was not requested", _CONFLICT, "SOFTWARE-INSTANCE-WRONG-REPORTED-STATE"
    ),
    "destruction-not-wished": Problem(
        "Its destruction was not requested", _CONFLICT, "SOFTWARE-INSTALLATION-DESTROY-NOT-REQUESTED"
    ),
    "not-on-this-node": Problem("It does not live on this node", _REFUSED),
    "title-taken": Problem("The title is taken", _CONFLICT),
    "being-destroyed": Problem("It is being destroyed", _CONFLICT),
    "requester-destroyed": Problem("Who asks is being destroyed", _CONFLICT),
    "circular-request": Problem("It would request itself", _CONFLICT),
    "title-of-requester": Problem("An instance cannot request itself", _CONFLICT),
    "kind-is-fixed": Problem("Shared or not cannot change", _CONFLICT),
    "release-in-use": Problem("Instances use the release", _CONFLICT, "SUPPLY-FAILED"),
    # other masters
    "no-such-master": Problem("No such other master is known", _MISSING),
    "other-master-unavailable": Problem("The master that serves it does not answer", _DOWN),
    "served-elsewhere": Problem("Another master serves it already", _CONFLICT),
    "invalid-answer": Problem("What answers is no master of the protocol", _DOWN),
    "not-in-dialect": Problem("That master has no such thing", _INPUT),
    "no-place": Problem("It has no place at that master", _MISSING),
    "no-hateoas": Problem("That master has no listings", _MISSING),
    "forwarding-loop": Problem("Masters send it to each other in a circle", _CONFLICT),
    # releases and their schemas
    "invalid-url": Problem("The URL is not usable", _INPUT),
    "invalid-schema": Problem("The release's schema is wrong", _INPUT),
    "reference-outside-release": Problem("A schema refers to something outside its release", _INPUT),
    "release-not-found": Problem("The release does not exist", _MISSING),
    "release-refused": Problem("The release may not be read", _REFUSED),
    "release-location-refused": Problem("Releases are not read from there", _REFUSED),
    "redirect-refused": Problem("The redirection is not followed", _REFUSED),
    "private-address": Problem("The address is private", _REFUSED),
    "too-many-redirects": Problem("The URL redirects too often", _DOWN),
    "unreachable": Problem("The document cannot be fetched now", _DOWN),
    # the master and the client themselves
    "database-unavailable": Problem("The database does not answer", _DOWN),
    "database-busy": Problem("The database is busy", _DOWN),
    "master-stopping": Problem("The master is stopping", _DOWN),
    "nested-write": Problem("A write inside a write", errors.InternalError),
    "database-too-new": Problem("The database is of a newer version", _CONFLICT),
    "invalid-database-url": Problem("The database's URL is not usable", _INPUT),
    "no-such-backup": Problem("There is no such backup", _MISSING),
    "invalid-backup": Problem("The backup is not usable", _INPUT),
    "no-database-directory": Problem("The database has no directory to live in", _MACHINE),
    "no-postgresql-tools": Problem("PostgreSQL's tools are missing", _MACHINE),
    "invalid-master-configuration": Problem("The master's configuration is wrong", _INPUT),
    "no-client-configuration": Problem("No client configuration was found", _INPUT),
    "invalid-client-configuration": Problem("The client configuration is wrong", _INPUT),
}
