"""Pointers that LLVM knows to be apart: what is stored through one is never loaded through another.

The addresses of a kernel's operands come at run time. Without a word about them LLVM compares each
that is written with all others before every loop of vectors, for every row anew.
"""

# mypy: disable-error-code="no-untyped-call,misc,untyped-decorator"
from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, lower_builtin, register_model


class ApartPointer(types.CPointer):
    """A pointer to memory number ``place`` of ``count``, no two of which share an element."""

    def __init__(self, dtype: types.Type, place: int, count: int) -> None:
        super().__init__(dtype)
        self.place, self.count = place, count
        self.name = f"{self.name}[{place} of {count}]"

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others."""
        return self.dtype, self.place, self.count

    def mark(self, instruction: Any) -> None:
        """Say of a load or a store that it touches this memory, and none of the others."""
        module = instruction.module
        domain = module.add_metadata([ir.MetaDataString(module, "graphnn")])
        scopes = [
            module.add_metadata([ir.MetaDataString(module, f"memory {i}"), domain])
            for i in range(self.count)
        ]
        own = scopes.pop(self.place)
        instruction.set_metadata("alias.scope", module.add_metadata([own]))
        if scopes:
            instruction.set_metadata("noalias", module.add_metadata(scopes))


register_model(ApartPointer)(models.PointerModel)


@lower_builtin(operator.getitem, ApartPointer, types.Integer)
def _load(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    loaded = builder.load(builder.gep(args[0], [args[1]]))
    signature.args[0].mark(loaded)
    return loaded


@lower_builtin(operator.setitem, ApartPointer, types.Integer, types.Any)
def _store(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    signature.args[0].mark(builder.store(args[2], builder.gep(args[0], [args[1]])))
    return context.get_dummy_value()


def _apart_pointer(scalar: types.Type, name: str) -> Any:
    def address_as(typingctx: Any, address: Any, place: Any, count: Any) -> Any:
        if not isinstance(place, types.IntegerLiteral) or not isinstance(
            count, types.IntegerLiteral
        ):
            return None
        pointer = ApartPointer(scalar, place.literal_value, count.literal_value)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(pointer))

        return pointer(types.int64, place, count), generate

    address_as.__name__ = name
    return intrinsic(prefer_literal=True)(address_as)


apart_f32 = _apart_pointer(types.float32, "apart_f32")
apart_f64 = _apart_pointer(types.float64, "apart_f64")
apart_i64 = _apart_pointer(types.int64, "apart_i64")
apart_i32 = _apart_pointer(types.int32, "apart_i32")
apart_u8 = _apart_pointer(types.uint8, "apart_u8")
