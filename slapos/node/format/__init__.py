"""Prepare a machine for partitions: users, directories, addresses."""

from slapos.node.format.operation import deformat_node, describe_node, format_node, make_format_plan, restore_addresses

__all__ = ["deformat_node", "describe_node", "format_node", "make_format_plan", "restore_addresses"]
