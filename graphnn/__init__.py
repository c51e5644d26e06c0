"""graphnn: declare a graph, see its reverse pass, train it in one jitted loop."""

from graphnn import ops
from graphnn.autodiff import grad, vjp
from graphnn.graph import Constant, Graph, Input, Node, Parameter, scope
from graphnn.ops.elementwise import elementwise, relu
from graphnn.ops.loss import cross_entropy
from graphnn.ops.reduce import sum
from graphnn.function import function
from graphnn.ops.reduce import mean
