"""What kernels need and Python cannot say: typed addresses, bit patterns, atomics, calls.

Addresses are data here, never constants of the code: a kernel's object code can then be cached and
loaded by another process.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

I32 = ir.IntType(32)
I64 = ir.IntType(64)


def _pointer_to(scalar: types.Type, name: str) -> Any:
    pointer = types.CPointer(scalar)

    def address_as(typingctx: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    address_as.__name__ = name
    return intrinsic(address_as)


pointer_f32 = _pointer_to(types.float32, "pointer_f32")
pointer_f64 = _pointer_to(types.float64, "pointer_f64")
pointer_i64 = _pointer_to(types.int64, "pointer_i64")
pointer_i32 = _pointer_to(types.int32, "pointer_i32")
pointer_u8 = _pointer_to(types.uint8, "pointer_u8")


def _bitcast(source: types.Type, target: types.Type, name: str) -> Any:
    def same_bits(typingctx: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), generate

    same_bits.__name__ = name
    return intrinsic(same_bits)


bits_f32 = _bitcast(types.float32, types.int32, "bits_f32")
bits_f64 = _bitcast(types.float64, types.int64, "bits_f64")
float_of_bits_f32 = _bitcast(types.int32, types.float32, "float_of_bits_f32")
float_of_bits_f64 = _bitcast(types.int64, types.float64, "float_of_bits_f64")


def _rounding(scalar: types.Type, kind: str, name: str) -> Any:
    """A rounded float that stays a float: Python's ``math.floor`` would make it a whole number."""

    def rounded(typingctx: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            function = builder.module.declare_intrinsic(f"llvm.{kind}", [args[0].type])
            return builder.call(function, args)

        return scalar(scalar), generate

    rounded.__name__ = name
    return intrinsic(rounded)


floor_f32 = _rounding(types.float32, "floor", "floor_f32")
floor_f64 = _rounding(types.float64, "floor", "floor_f64")
ceil_f32 = _rounding(types.float32, "ceil", "ceil_f32")
ceil_f64 = _rounding(types.float64, "ceil", "ceil_f64")
trunc_f32 = _rounding(types.float32, "trunc", "trunc_f32")
trunc_f64 = _rounding(types.float64, "trunc", "trunc_f64")
rint_f32 = _rounding(types.float32, "rint", "rint_f32")
rint_f64 = _rounding(types.float64, "rint", "rint_f64")


def _greatest(scalar: types.Type, name: str) -> Any:
    """The larger of two floats, nan if one is: LLVM turns a loop of it into vectors."""

    def greatest(typingctx: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = args[0].type
            taken = ir.FunctionType(kind, [kind, kind])
            function = builder.module.declare_intrinsic("llvm.maximum", [kind], taken)
            return builder.call(function, args, fastmath=("nsz",))

        return scalar(scalar, scalar), generate

    greatest.__name__ = name
    return intrinsic(greatest)


greatest_f32 = _greatest(types.float32, "greatest_f32")
greatest_f64 = _greatest(types.float64, "greatest_f64")


@intrinsic
def fast_add(typingctx: Any, a: Any, b: Any) -> Any:
    """A + b that may be reassociated: the only sum that LLVM turns into a vector reduction."""
    result = typingctx.unify_types(a, b)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(result, types.Float):
            return builder.fadd(*args, flags=("reassoc", "nsz", "contract"))
        return builder.add(*args)

    return result(result, result), generate


ACCUMULATORS = 256


@intrinsic
def accumulators_f64(typingctx: Any) -> Any:
    """Room on the stack for ``ACCUMULATORS`` sums: it is gone when the kernel returns."""
    pointer = types.CPointer(types.float64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.alloca_once(builder, ir.DoubleType(), size=ACCUMULATORS)

    return pointer(), generate


@intrinsic
def array_at(typingctx: Any, pointer: Any, shape: Any) -> Any:
    """A C-ordered array over memory that numba does not own: no reference is counted."""
    array_type = types.Array(pointer.dtype, len(shape), "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = make_array(array_type)(context, builder)
        sizes = cgutils.unpack_tuple(builder, args[1])
        itemsize = I64(context.get_abi_sizeof(context.get_data_type(pointer.dtype)))
        strides: list[Any] = []
        step = itemsize
        for size in reversed(sizes):
            strides.insert(0, step)
            step = builder.mul(step, size)
        populate_array(
            array, data=args[0], shape=sizes, strides=strides, itemsize=itemsize, meminfo=None
        )
        return array._getvalue()

    return array_type(pointer, shape), generate


@intrinsic
def copy_bytes(typingctx: Any, target: Any, source: Any, count: Any) -> Any:
    """Memcpy between two addresses."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte_pointer = ir.IntType(8).as_pointer()
        to, of = (builder.inttoptr(a, byte_pointer) for a in args[:2])
        cgutils.raw_memcpy(builder, to, of, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def atomic_add(typingctx: Any, address: Any, value: Any) -> Any:
    """Add to a 32-bit word in memory, and return what it was before (sequentially consistent)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.inttoptr(args[0], I32.as_pointer())
        return builder.atomic_rmw("add", word, args[1], "seq_cst")

    return types.int32(types.int64, types.int32), generate


@intrinsic
def atomic_load(typingctx: Any, address: Any) -> Any:
    """A 32-bit word from memory (acquire)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.inttoptr(args[0], I32.as_pointer())
        return builder.load_atomic(word, "seq_cst", 4)

    return types.int32(types.int64), generate


@intrinsic
def atomic_store(typingctx: Any, address: Any, value: Any) -> Any:
    """Write a 32-bit word to memory (release)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.inttoptr(args[0], I32.as_pointer())
        builder.store_atomic(args[1], word, "seq_cst", 4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int32), generate


def _call(argument_types: list[Any], returns: Any, name: str) -> Any:
    """An intrinsic that calls the C function at an address."""
    names = {types.int64: I64, types.int32: I32, types.void: ir.VoidType()}

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(names[returns], [names[a] for a in argument_types])
        result = builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value() if returns is types.void else result

    typed = returns(types.int64, *argument_types)
    count = len(argument_types)
    if count == 0:

        def call0(typingctx: Any, address: Any) -> Any:
            return typed, generate

        chosen: Any = call0
    elif count == 2:

        def call2(typingctx: Any, address: Any, a: Any, b: Any) -> Any:
            return typed, generate

        chosen = call2
    elif count == 4:

        def call4(typingctx: Any, address: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
            return typed, generate

        chosen = call4
    else:

        def call6(
            typingctx: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any
        ) -> Any:
            return typed, generate

        chosen = call6
    chosen.__name__ = name
    return intrinsic(chosen)


call_kernel = _call([types.int64] * 4, types.void, "call_kernel")
call_clock = _call([types.int64, types.int64], types.int32, "call_clock")
call_yield = _call([], types.int32, "call_yield")
call_syscall = _call([types.int64] * 6, types.int64, "call_syscall")


def _gemm(scalar: types.Type, width: ir.Type, name: str) -> Any:
    """BLAS gemm by address: Fortran calling convention, every argument by reference.

    Column-major ``C = op(A) op(B) + beta C``; the transposes and beta are 0 or 1; integers are
    32-bit, as in ``scipy.linalg.cython_blas``.
    """

    def gemm(
        typingctx: Any, address: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any,
        a: Any, lda: Any, b: Any, ldb: Any, c: Any, ldc: Any, beta: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            where, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, beta = args
            char = ir.IntType(8)

            def by_reference(value: Any) -> Any:
                slot = cgutils.alloca_once(builder, value.type)
                builder.store(value, slot)
                return slot

            def letter(flag: Any) -> Any:
                on = builder.icmp_signed("!=", flag, flag.type(0))
                return by_reference(builder.select(on, char(ord("T")), char(ord("N"))))

            def number(value: Any) -> Any:
                return by_reference(builder.trunc(value, I32))

            def matrix(address: Any) -> Any:
                return builder.inttoptr(address, width.as_pointer())

            arguments = [
                letter(ta), letter(tb), number(m), number(n), number(k), by_reference(width(1.0)),
                matrix(a), number(lda), matrix(b), number(ldb),
                by_reference(builder.sitofp(beta, width)), matrix(c), number(ldc),
            ]  # fmt: skip
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in arguments])
            builder.call(builder.inttoptr(where, kind.as_pointer()), arguments)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 13), generate

    gemm.__name__ = name
    return intrinsic(gemm)


gemm_f32 = _gemm(types.float32, ir.FloatType(), "gemm_f32")
gemm_f64 = _gemm(types.float64, ir.DoubleType(), "gemm_f64")


@intrinsic
def share(typingctx: Any, parts: Any, lane: Any, lanes: Any) -> Any:
    """The first of ``parts`` that belongs to ``lane``: a single part is lane 0's."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts, lane, lanes = args
        rounded = builder.sub(builder.add(builder.mul(parts, lane), lanes), I64(1))
        return builder.sdiv(rounded, lanes)

    return types.int64(types.int64, types.int64, types.int64), generate
