"""One file per resource, one function per method: parse, one service call, serialise."""

from slapos.master.calls import Routes
from slapos.master.endpoints import certificates, field_instances, field_nodes, instances, nodes, usage

ROUTES: Routes = {
    **instances.ROUTES,
    **nodes.ROUTES,
    **usage.ROUTES,
    **certificates.ROUTES,
    **field_instances.ROUTES,
    **field_nodes.ROUTES,
}
