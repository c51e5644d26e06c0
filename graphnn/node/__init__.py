"""Nodes: they know their op, their inputs, their shape, and the line that declared them."""

from graphnn.node.applying import apply, as_node, as_nodes, call, rebuilt
from graphnn.node.leaves import (
    CONSTANT,
    INPUT,
    PARAMETER,
    SIZE,
    Constant,
    Input,
    Parameter,
    Size,
    size_of,
)
from graphnn.node.node import Node, NodeLike

__all__ = [
    "CONSTANT",
    "INPUT",
    "PARAMETER",
    "SIZE",
    "Constant",
    "Input",
    "Node",
    "NodeLike",
    "Parameter",
    "Size",
    "apply",
    "as_node",
    "as_nodes",
    "call",
    "rebuilt",
    "size_of",
]
