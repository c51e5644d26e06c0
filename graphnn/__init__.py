"""graphnn: declare a graph, see its reverse pass, train it in one jitted loop.

The functions of ops come from the rooms of ``graphnn/ops``, each of which lists its own. What is
imported as itself is public too, as type checkers read it.
"""

from graphnn import _loading

# isort: split

import importlib
from typing import TYPE_CHECKING, Any

from graphnn import callbacks as callbacks
from graphnn import datasets as datasets
from graphnn import debug as debug
from graphnn import metrics as metrics
from graphnn import nn as nn
from graphnn import ops
from graphnn import optim as optim
from graphnn.autodiff import grad as grad
from graphnn.autodiff import jvp as jvp
from graphnn.autodiff import vjp as vjp
from graphnn.backends.cpu.executor import get_num_threads as get_num_threads
from graphnn.backends.cpu.executor import set_num_threads as set_num_threads
from graphnn.checkpoint import checkpoint as checkpoint
from graphnn.context import scope as scope
from graphnn.decode import Decoder as Decoder
from graphnn.errors import DataError as DataError
from graphnn.errors import DTypeError as DTypeError
from graphnn.errors import GraphError as GraphError
from graphnn.errors import GraphnnError as GraphnnError
from graphnn.errors import KernelError as KernelError
from graphnn.errors import LargePageWarning as LargePageWarning
from graphnn.errors import NotFiniteError as NotFiniteError
from graphnn.errors import NotFiniteWarning as NotFiniteWarning
from graphnn.errors import PlanError as PlanError
from graphnn.errors import ShapeError as ShapeError
from graphnn.function import Function as Function
from graphnn.function import function as function
from graphnn.graph import Graph as Graph
from graphnn.hints import teach
from graphnn.jacobian import hessian as hessian
from graphnn.jacobian import hvp as hvp
from graphnn.jacobian import jacobian as jacobian
from graphnn.missing import missing_name
from graphnn.model import Model as Model
from graphnn.node import Constant as Constant
from graphnn.node import Input as Input
from graphnn.node import Node as Node
from graphnn.node import Parameter as Parameter
from graphnn.op import Op as Op
from graphnn.ops import *
from graphnn.ops.declare.elementwise import elementwise as elementwise
from graphnn.ops.declare.structured import op as op
from graphnn.render import Capture as Capture
from graphnn.render import Captured as Captured
from graphnn.render import capture as capture
from graphnn.render import render as render
from graphnn.render import to_json as to_json
from graphnn.scan import scan as scan
from graphnn.train.arrow import Columns as Columns
from graphnn.train.history import History as History

__version__ = "0.1.0"

if TYPE_CHECKING:
    from graphnn import sklearn as sklearn
    from graphnn import testing as testing
else:
    __all__ = sorted(
        [
            "Capture",
            "Captured",
            "Columns",
            "Constant",
            "DTypeError",
            "DataError",
            "Decoder",
            "Function",
            "Graph",
            "GraphError",
            "GraphnnError",
            "History",
            "Input",
            "KernelError",
            "LargePageWarning",
            "Model",
            "Node",
            "NotFiniteError",
            "NotFiniteWarning",
            "Op",
            "Parameter",
            "PlanError",
            "ShapeError",
            "capture",
            "callbacks",
            "checkpoint",
            "datasets",
            "debug",
            "elementwise",
            "function",
            "get_num_threads",
            "grad",
            "hessian",
            "hvp",
            "jacobian",
            "jvp",
            "metrics",
            "nn",
            "op",
            "optim",
            "render",
            "scan",
            "scope",
            "set_num_threads",
            "to_json",
            "vjp",
            *ops.__all__,
        ]
    )
    teach(globals(), __all__)

    def __getattr__(name: str) -> Any:
        if name in ("sklearn", "testing"):  # what few need is imported when it is asked for
            return importlib.import_module(f"graphnn.{name}")
        known = {own: f"gn.{own}" for own in __all__}
        known |= {layer: f"nn.{layer}" for layer in nn.__all__}
        known |= {one: f"optim.schedule.{one}" for one in optim.schedule.__all__}
        known |= {one: f"gn.callbacks.{one}" for one in callbacks.__all__}
        known |= {rule: f"optim.{rule}" for rule in optim.__all__}
        raise missing_name(__name__, name, known)


_loading.done()
