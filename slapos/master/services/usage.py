"""Usage reports of nodes, each kept once.

Bounds: :data:`DOCUMENT_LIMIT` characters a document, :data:`KEPT` documents of a project; the oldest go first.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from slapos.master.authorization import Action, Subject, check
from slapos.master.services import access
from slapos.master.storage import tables
from slapos.master.storage.identities import node_reference
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError
from slapos.model.principal import Principal
from slapos.model.text import check_text

DOCUMENT_LIMIT = 1024 * 1024
KEPT = 100_000
TRIM_EVERY = 256
PAGE_LIMIT = 1_000


@dataclass(frozen=True)
class UsageReport:
    """One delivered document.  ``received`` is UTC epoch seconds; ``number`` grows with each delivery."""

    number: int
    node: str
    identifier: str
    project: str
    document: str
    received: int


def deliver(tx: Transaction, principal: Principal, node: str, identifier: str, document: str, now: float) -> bool:
    """Keeps a document of a node; False when that identifier was delivered already."""
    number = access.find_node_number(tx, principal, node, Action.NODE_REPORT)
    for field, value, limit in (("identifier", identifier, 200), ("document", document, DOCUMENT_LIMIT)):
        check_text(field, value)
        if not 0 < len(value) <= limit:
            raise InputError(
                f"{field}: {len(value)} characters; 1 to {limit} are expected.",
                reference="invalid-usage",
                context={"field": field, "size": len(value), "limit": limit},
                hint="Split the report.",
            )
    table = tables.usage
    same = select(table.c.number).where(table.c.node == number, table.c.identifier == identifier)
    if tx.execute(same).first() is not None:
        return False
    project = access.project_of_node(tx, number)
    values = {"node": number, "identifier": identifier, "project": project, "document": document}
    row = insert(table).values(**values, received=int(now)).returning(table.c.number)
    if tx.execute(row).scalar_one() % TRIM_EVERY == 0:
        _trim(tx, project)
    return True


def _trim(tx: Transaction, project: str) -> None:
    table = tables.usage
    of_project = select(table.c.number).where(table.c.project == project).order_by(table.c.number.desc())
    last_kept = tx.execute(of_project.offset(KEPT - 1).limit(1)).scalar_one_or_none()
    if last_kept is not None:
        tx.execute(delete(table).where(table.c.project == project, table.c.number < last_kept))


def list_usage(
    tx: Transaction, principal: Principal, project: str, since: int = 0, limit: int = 100
) -> list[UsageReport]:
    """Those of a project numbered above ``since``, in order."""
    check(principal, Action.PROJECT_READ, Subject(project=project))
    table = tables.usage
    found = (
        select(table)
        .where(table.c.project == project, table.c.number > since)
        .order_by(table.c.number)
        .limit(max(1, min(limit, PAGE_LIMIT)))
    )
    return [
        UsageReport(
            number=row["number"],
            node=node_reference(row["node"]),
            identifier=row["identifier"],
            project=row["project"],
            document=row["document"],
            received=row["received"],
        )
        for row in tx.execute(found).mappings()
    ]
