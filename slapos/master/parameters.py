"""Parameters against the schema of their release, before the order is written.

Only releases that some node holds or shall hold are fetched.  What cannot be reached now is accepted with a warning
in the history of the instance; the node validates again.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Select, bindparam, select

from slapos.master.calls import Preparation, Tools
from slapos.master.storage import tables
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import HyperopenxError, MachineError, Unavailable
from slapos.model.objects import InstanceRequest
from slapos.model.states import InstanceState, SupplyState
from slapos.schema.fetch import Fetch
from slapos.schema.parameters import check_structure
from slapos.schema.release import check_exists


def check_order(preparation: Preparation, request: InstanceRequest) -> tuple[str, ...]:
    """Warnings; :class:`InputError` names the field and the rule that the parameters break."""
    if request.state is InstanceState.DESTROYED:
        return ()
    check_structure(request.parameters)
    if preparation.tools.schemas.allows_all(request.release):
        return ()
    supplied = preparation.read(lambda tx, principal: _is_supplied(tx, request.release))
    if supplied:
        return check_parameters(request, preparation.tools)
    if request.state is not InstanceState.STOPPED and request.release.startswith(("/", "file:")):
        check_release(request.release, preparation.tools.fetch)  # nothing is asked of other machines for it
    return ()


def check_parameters(request: InstanceRequest, tools: Tools) -> tuple[str, ...]:
    """As :func:`check_order`, for a release that may be fetched."""
    parameters: Mapping[str, str] = request.parameters
    try:
        schema = tools.schemas.of(request.release, tools.fetch)
        if schema.types:  # without a descriptor everything is allowed
            schema.validate(request.software_type, parameters, request.shared)
    except (Unavailable, MachineError) as error:
        return (f"The parameters were not checked against the schema of {request.release}: {error.message}",)
    return ()


def check_release(release: str, fetch: Fetch) -> tuple[str, ...]:
    """Warnings for a release that shall be supplied; an error when it does not exist or may not be read."""
    try:
        check_exists(release, fetch)
    except (Unavailable, MachineError) as error:
        return (f"The master could not look at the release: {error.message}",)
    except HyperopenxError as error:
        error.context |= {"field": "release", "release": release}
        raise
    return ()


def _is_supplied(tx: Transaction, release: str) -> bool:
    return _supplied.row(tx, of_release=release) is not None


@prepared
def _supplied() -> Select[tuple[int]]:
    table = tables.supplies
    available = (table.c.release == bindparam("of_release"), table.c.state == SupplyState.AVAILABLE.value)
    return select(table.c.node).where(*available).limit(1)
