"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from graphnn.context import declared_at
from graphnn.errors import GraphError, GraphnnError
from graphnn.nn.module import Module
from graphnn.node import Parameter

M = TypeVar("M", bound="Listed")


class Listed(Module):
    """Modules in order: indexed, iterated and appended to like a list; named ``0``, ``1``, ..."""

    _items: list[Module]

    def __init__(self, modules: Iterable[Module] = (), name: str | None = None) -> None:
        super().__init__(name)
        self.__dict__["_items"] = []  # no attribute: items are named by their numbers alone
        self.extend(modules)

    def _members(self) -> Iterator[tuple[str, Module | Parameter]]:
        return ((str(i), module) for i, module in enumerate(self._items))

    def append(self: M, module: Module) -> M:
        """Add a module at the end."""
        self._items.append(self._checked(len(self._items), module))
        self._name_members()
        return self

    def extend(self: M, modules: Iterable[Module]) -> M:
        """Add modules at the end, in their order."""
        for module in modules:
            self.append(module)
        return self

    def _checked(self, place: object, module: object) -> Module:
        if not isinstance(module, Module):
            fix = "A function? Wrap it: nn.Lambda(function)."
            if isinstance(module, Mapping):
                fix = "Modules by name? Their order says it: nn.Sequential(*modules.values())."
            elif isinstance(module, type):
                fix = f"A class? Make one of it: nn.{module.__name__}(...)."
            raise GraphError(
                f"nn.{type(self).__name__} takes modules; item {place} is {type(module).__name__}. "
                f"Declared at {declared_at()}. {fix}"
            )
        return module

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self: M, index: slice) -> M: ...

    def __getitem__(self: M, index: int | slice) -> Module | M:
        if isinstance(index, slice):
            made = type(self)()
            made.__dict__["_items"] = self._items[index]
            return made
        return self._items[index]

    def __setitem__(self, index: int, module: Module) -> None:
        self._items[index] = self._checked(index, module)
        self._name_members()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self))})"


class Sequential(Listed):
    """Modules applied one after the other; their scopes are ``0``, ``1``, ...

    Takes the modules one by one, or in one list.

    Examples
    --------
    >>> from graphnn import nn
    >>> net = nn.Sequential(nn.Linear(784, 10), nn.ReLU())
    >>> len(net), net[0]
    (2, Linear(784, 10))
    """

    def __init__(self, *modules: Module | Iterable[Module], name: str | None = None) -> None:
        only = modules[0] if len(modules) == 1 else None
        given = only if isinstance(only, list | tuple | ModuleList) else modules
        super().__init__(given, name)  # type: ignore[arg-type]

    def forward(self, x: Any) -> Any:
        """Declare all modules in order."""
        for place, module in enumerate(self):
            try:
                x = module(x)
            except (AttributeError, GraphnnError) as error:
                if not isinstance(x, tuple):
                    raise
                raise GraphError(
                    f"item {place} of nn.Sequential, {module}, cannot take all {len(x)} values of "
                    f"{self[place - 1] if place else 'the input'}. Declared at {declared_at()}. "
                    "Choose one before it: nn.Lambda(lambda values: values[0])."
                ) from error
        return x


class Group(Module):
    """Modules kept for the module that calls them; a group itself is never called."""

    def forward(self, *_inputs: Any) -> Any:
        """A group computes nothing itself."""
        raise GraphError(
            f"nn.{type(self).__name__} only keeps modules: call each of them in the forward of the "
            f"module that owns it. Declared at {declared_at()}. One after the other? Use "
            "nn.Sequential."
        )


class ModuleList(Group, Listed):
    """Modules in a list, for a module that calls them itself.

    A plain Python list as an attribute does the same.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> class Deep(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    ...
    ...     def forward(self, x):
    ...         for block in self.blocks:
    ...             x = x + gn.tanh(block(x))
    ...         return x
    >>> [name for name, _ in Deep().named_parameters()][:2]
    ['blocks.0.weight', 'blocks.0.bias']
    """


class ModuleDict(Group):
    """Modules by name, for a module that calls them itself.

    A plain dict as an attribute does the same.

    Examples
    --------
    >>> from graphnn import nn
    >>> heads = nn.ModuleDict({"mean": nn.Linear(8, 2), "scale": nn.Linear(8, 2)})
    >>> [name for name, _ in heads.named_parameters()][:2]
    ['mean.weight', 'mean.bias']
    """

    _items: dict[str, Module]

    def __init__(self, modules: Mapping[str, Module] | None = None, name: str | None = None):
        super().__init__(name)
        self.__dict__["_items"] = {}
        self.update(modules or {})

    def _members(self) -> Iterator[tuple[str, Module | Parameter]]:
        return iter(self._items.items())

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add modules by name."""
        for key, module in modules.items():
            self[key] = module

    def __setitem__(self, key: str, module: Module) -> None:
        if not isinstance(key, str) or not key or "." in key:
            raise GraphError(
                f"nn.ModuleDict takes names without a point; got {key!r}. "
                f"Declared at {declared_at()}."
            )
        if not isinstance(module, Module):
            raise GraphError(
                f"nn.ModuleDict takes modules; item {key!r} is {type(module).__name__}. "
                f"Declared at {declared_at()}. A function? Wrap it: nn.Lambda(function)."
            )
        self._items[key] = module
        self._name_members()

    def __getitem__(self, key: str) -> Module:
        return self._items[key]

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def keys(self) -> Iterable[str]:
        """The names, in the order in which they were added."""
        return self._items.keys()

    def values(self) -> Iterable[Module]:
        """The modules, in the order in which they were added."""
        return self._items.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Names and modules, in the order in which they were added."""
        return self._items.items()
