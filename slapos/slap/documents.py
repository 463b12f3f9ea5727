"""Documents of the master that a node and its recipes keep on disk, under the names that ``slapos.wire`` gives them."""

from slapos.wire.codec import instance_from_data as instance_from_data
from slapos.wire.codec import instance_to_data as instance_to_data
from slapos.wire.codec import node_state_from_data as node_state_from_data
from slapos.wire.codec import node_state_to_data as node_state_to_data
