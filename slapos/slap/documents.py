"""Documents of the master that a node and its recipes keep on disk, under the names that ``slapos.wire`` gives them."""

from slapos.wire.codec import (
    instance_from_data,
    instance_to_data,
    node_state_from_data,
    node_state_to_data,
)

__all__ = ["instance_from_data", "instance_to_data", "node_state_from_data", "node_state_to_data"]
