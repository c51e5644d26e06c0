"""The base of all layers."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.calls import check_flags, check_nodes
from graphnn.context import Layer, context, declared_at, layer
from graphnn.errors import DataError, GraphError
from graphnn.hints import OF_MODULE, check_keywords, lacking, teaches
from graphnn.interop import is_valued
from graphnn.nn.torch_state import from_torch, other_names, to_torch
from graphnn.node import Node, Parameter
from graphnn.values import array_for


class Module:
    """A part of a network: parameters, other modules, and a ``forward`` that declares nodes.

    Parameters and modules are found among the attributes, also inside lists, tuples and dicts, and
    named after them, as in torch: ``blocks.0.weight``. They are looked up whenever the module is
    called or asked, so that a list may grow. Calling the module declares its nodes in the scope of
    its name; calling it twice shares its parameters.

    A module can be copied and pickled; the copy has parameters of its own.

    It is called with nodes, one at least: a call with arrays alone, which torch would compute at
    once, raises and says how. Functions such as ``gn.relu`` take arrays anywhere, as constants, and
    their result is a node in any case.

    Parameters
    ----------
    name
        Scope of its nodes; by default the attribute under which another module keeps it. Networks
        that no module keeps, and that one model is composed of, need one each: parameters that
        share a name are numbered (``0.weight``, ``0.weight_2``).

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> class Block(nn.Module):
    ...     def __init__(self, width):
    ...         super().__init__()
    ...         self.inner = nn.Linear(width, width)
    ...
    ...     def forward(self, x):
    ...         return x + gn.relu(self.inner(x))
    >>> block = Block(8)
    >>> block(gn.Input((None, 8))).shape
    (None, 8)
    >>> [name for name, _ in block.named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    def __new__(cls, *settings: Any, **options: Any) -> Self:
        """Say which setting was meant, where there is none of that name."""
        called = f"nn.{cls.__name__}" if _is_own(cls) else cls.__name__
        if options:
            check_keywords(called, cls.__init__, options)
        if _is_own(cls):
            check_flags(called, cls.__init__, (None, *settings), options)
        given = [v for v in settings if isinstance(v, Node) and not isinstance(v, Parameter)]
        if given and _is_own(cls):
            raise GraphError(
                f"{called} is made with settings first, and called with nodes then; got "
                f"{given[0].name} at {declared_at()}. Write {called}(...)({given[0].name})."
            )
        return super().__new__(cls)

    _owner: weakref.ref[Module] | None = None  # the first module that keeps it,
    _place: str | None = None  # and under which name

    def __init__(self, name: str | None = None) -> None:
        self._name = name
        self._layer = Layer(type(self).__name__)

    def forward(self, *inputs: Any) -> Any:
        """Declare the nodes that the module computes; subclasses write this."""
        fix = ": name its method call forward" if hasattr(type(self), "call") else ""
        raise NotImplementedError(f"{type(self).__name__} has no forward{fix}")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Declare the module's nodes in its scope."""
        if "_name" not in self.__dict__:
            raise GraphError(f"{type(self).__name__}.__init__ must call super().__init__() first")
        self._check_inputs((*inputs, *options.values()))
        own = type(self)
        if options:
            check_keywords(f"{own.__name__}.forward", self.forward, options)
        if _is_own(own):
            check_flags(f"nn.{own.__name__}", own.forward, (None, *inputs), options)
            check_nodes(f"nn.{own.__name__}", own.forward, (None, *inputs), options)
        self._name_members()
        with layer(self._layer, self._scope()):
            for key, value in self._members():
                if isinstance(value, Parameter):
                    value.name_once(key)
            result = self.forward(*inputs, **options)
        if result is None:
            raise GraphError(
                f"{type(self).__name__}.forward returned None at {declared_at()}: a `return` is "
                "missing."
            )
        return result

    def _scope(self) -> str:
        """Its name in the module that is being called, or in its owner of all owners."""
        active = context.get().layer
        path = list(itertools.takewhile(lambda m: m._layer is not active, self._owners()))
        names = [name for module in path if (name := module._name or module._place)]
        met = active is None or len(path) < len(list(self._owners()))
        return ".".join(reversed(names) if met else names[:1])

    def _owners(self) -> Iterator[Module]:
        """The module itself, the first that keeps it, the first that keeps that one, ..."""
        module: Module | None = self
        while module is not None:
            yield module
            module = None if module._owner is None else module._owner()

    def _check_inputs(self, inputs: Iterable[Any]) -> None:
        arrays = [value for value in inputs if _is_data(value)]
        if not arrays or any(isinstance(value, Node) for value in inputs):
            return
        shape = np.shape(arrays[0])
        declared = (None, *shape[1:]) if shape else (None,)
        raise GraphError(
            f"{type(self).__name__} declares a graph from nodes; got a {type(arrays[0]).__name__} "
            f"of shape {shape} at {declared_at()}. Declare x = gn.Input({declared}), y = net(x), "
            "and compute with gn.function(x, y)(array) or gn.Model(x, y).predict(array)."
        )

    # What it is made of.

    def _members(self) -> Iterator[tuple[str, Module | Parameter]]:
        """Modules and parameters among the attributes, with dotted names."""
        for key, value in vars(self).items():
            yield from members_of(key, value)

    def _name_members(self) -> None:
        for key, value in self._members():
            if isinstance(value, Module):
                value._settle(self, key)

    def _settle(self, owner: Module, place: str) -> None:
        """The first owner gives a module its place."""
        if self._place is None and self not in owner._owners():
            self._owner, self._place = weakref.ref(owner), place

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that this one keeps, each once, with their names."""
        self._name_members()
        seen: set[Module] = set()
        for key, value in self._members():
            if isinstance(value, Module) and value not in seen:
                seen.add(value)
                yield key, value

    def children(self) -> Iterator[Module]:
        """The modules that this one keeps, each once."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, prefix: str = "", seen: set[Module] | None = None
    ) -> Iterator[tuple[str, Module]]:
        """The module itself, named by nothing, and all inside it, each once, with dotted names."""
        seen = set() if seen is None else seen
        if self in seen:
            return
        seen.add(self)
        yield prefix, self
        for key, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{key}" if prefix else key, seen)

    def modules(self) -> Iterator[Module]:
        """The module itself and all inside it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its dotted name."""
        seen: set[Parameter] = set()
        for path, module in self.named_modules():
            for key, value in module._members():
                if isinstance(value, Parameter) and value not in seen:
                    seen.add(value)
                    yield f"{prefix}{path}{'.' * bool(path)}{key}", value

    def _everywhere(
        self, prefix: str = "", inside: tuple[Module, ...] = ()
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter under each name that leads to it, as torch's states list them."""
        members = list(self._members())
        yield from ((prefix + key, value) for key, value in members if isinstance(value, Parameter))
        path = (*inside, self)
        for key, value in members:
            if isinstance(value, Module) and value not in path:
                yield from value._everywhere(f"{prefix}{key}.", path)

    def parameters(self) -> list[Parameter]:
        """Every parameter once."""
        return [parameter for _, parameter in self.named_parameters()]

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of all parameters by name."""
        return {name: parameter.value.copy() for name, parameter in self.named_parameters()}

    @teaches
    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Set all parameters by name; nothing is changed if anything does not fit.

        Raises
        ------
        DataError
            For names that are missing or unknown, for other shapes, and for dtypes that would lose
            digits.
        """
        load_parameters(dict(self.named_parameters()), state)

    def load_torch_state_dict(
        self, state: Mapping[str, Any], strict: bool = True
    ) -> tuple[list[str], list[str]]:
        """Set parameters from a torch module's ``state_dict()``: tensors or arrays by name.

        Parameters
        ----------
        state
            Of the same names, shapes and dtypes; nothing is cast, and nothing is changed if
            anything does not fit. What is shared may stand under all of its names, as torch lists
            it, or under some.
        strict
            Whether every name must be in both.

        Returns
        -------
        tuple of list
            Names that the state lacks, and names that the module lacks.

        Raises
        ------
        DataError, ShapeError, DTypeError
            For names, shapes or dtypes that do not fit.
        """
        return from_torch(dict(self._everywhere()), state, strict=strict)

    def to_torch_state_dict(self) -> dict[str, Any]:
        """Copies of all parameters as torch tensors by name, for torch's ``load_state_dict``.

        What is shared stands under each of its names, as in torch.
        """
        return to_torch(dict(self._everywhere()))

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or release what is learned here, for optimizers declared from now on.

        A frozen parameter still has a gradient for whoever asks; optimizers leave it alone. With
        False, running averages move on in training, as in torch: :meth:`freeze` keeps them too.
        True releases both. A model that is compiled keeps its updates: compile it again.
        """
        for parameter in self.parameters():
            if parameter.learned:
                parameter.requires_grad_(requires_grad)
            elif requires_grad:
                parameter.hold(False)
        return self

    def freeze(self) -> Self:
        """Keep this part as it is, whatever is trained: ``requires_grad_(False)`` and more.

        Batch normalisation in it works in training as in inference, by its running averages, which
        stay: what Keras does, and torch after ``eval()``. Dropout goes on. Freeze before compile,
        or compile again; ``requires_grad_(True)`` releases.

        Examples
        --------
        >>> from graphnn import nn
        >>> net = nn.Sequential(nn.Linear(4, 3).freeze(), nn.Linear(3, 2))
        >>> [name for name, p in net.named_parameters() if p.trainable]
        ['1.weight', '1.bias']
        """
        for parameter in self.parameters():
            parameter.hold()
        return self.requires_grad_(False)

    def __setattr__(self, key: str, value: object) -> None:
        super().__setattr__(key, value)
        for place, member in members_of(key, value):
            if isinstance(member, Module):
                member._settle(self, place)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise lacking(self, name, OF_MODULE)

    def __getstate__(self) -> dict[str, Any]:
        # A copy finds a place and an identity of its own.
        fresh = {"_owner": None, "_place": None, "_layer": Layer(type(self).__name__)}
        return {**self.__dict__, **fresh}

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={child!r}" for key, child in self.named_children())
        return f"{type(self).__name__}({inside})"


def _is_own(cls: type) -> bool:
    return cls.__module__.startswith("graphnn.")


def _is_data(value: object) -> bool:
    """Whether something is a number, an array, or a list of such."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return is_valued(value)


def members_of(
    key: str, value: object, inside: tuple[object, ...] = ()
) -> Iterator[tuple[str, Module | Parameter]]:
    """Modules and parameters in an attribute, also in lists, tuples and dicts, with dotted names.

    Raises
    ------
    GraphError
        For modules and parameters in a set, which has no order to name them by.
    """
    if isinstance(value, Module | Parameter):
        yield key, value
    elif isinstance(value, set | frozenset):
        if any(isinstance(item, Module | Parameter) for item in value):
            raise GraphError(
                f"{key} keeps modules in a set, which has no order to name them by; use a list"
            )
    elif isinstance(value, list | tuple | Mapping) and not any(value is other for other in inside):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for place, item in items:
            yield from members_of(f"{key}.{place}", item, (*inside, value))


def load_parameters(parameters: Mapping[str, Parameter], state: Mapping[str, ArrayLike]) -> None:
    """Set parameters by name: all of them, or none.

    Raises
    ------
    DataError
        For names that are missing or unknown, and for other shapes or dtypes.
    """
    if not isinstance(state, Mapping):
        raise DataError(f"a state is a dict of arrays by name, as of state_dict(); got {state!r}")
    missing = [name for name in parameters if name not in state]
    unknown = [name for name in state if name not in parameters]
    if missing or unknown:
        raise DataError(
            f"the state does not fit: missing {missing or 'nothing'}, "
            f"unknown {unknown or 'nothing'}.{other_names(missing, unknown)}"
        )
    arrays: dict[str, NDArray[Any]] = {}
    for name, parameter in parameters.items():
        own, given = parameter.value, np.asarray(state[name])
        array = array_for(state[name], parameter.dtype)
        if given.shape != own.shape or array is None:
            fix = "" if array is not None else f". Convert it: array.astype('{own.dtype}')"
            raise DataError(
                f"the state does not fit: {name} is {own.dtype} {own.shape}, "
                f"the state has {given.dtype} {given.shape}{fix}"
            )
        arrays[name] = array
    for name, parameter in parameters.items():
        parameter.value = arrays[name]
