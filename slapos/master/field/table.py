"""The one table of the endpoints of the XML dialect: name → how it is served."""

from __future__ import annotations

from collections.abc import Mapping

from slapos.master.field.instances import INSTANCES
from slapos.master.field.nodes import NODES
from slapos.master.field.orders import REQUEST
from slapos.master.field.routes import FieldRoute
from slapos.master.field.run_id import RUN_ID
from slapos.master.field.statuses import STATUSES
from slapos.master.field.supplies import SUPPLIES

ENDPOINTS: Mapping[str, FieldRoute] = {
    "requestComputerPartition": REQUEST,
    **INSTANCES,
    **NODES,
    **SUPPLIES,
    **STATUSES,
    **RUN_ID,
}
