"""Attention tile by tile: products by BLAS, and between them the softmax of a tile's rows.

The tiles are those of Dao, *FlashAttention-2* (2023). Every lane has a scratch of its own: a tile
of scores, in reverse also one of their gradients, two numbers a row, and a tile's dropout mask.
Blocks of queries and of keys are the same whatever number of lanes shares them, and each sum is
added up by one lane in one order.

In the texts below ``real`` and a name's ending ``_T`` stand for the dtype, and ``<<...>>`` for what
differs from one kernel to another: masks, dropout, results.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from graphnn.backends.cpu.kernels.source import Kernel
from graphnn.node import Node
from graphnn.op import Attention
from graphnn.ops.attention_formula import threshold
from graphnn.ops.attention_tiles import FORWARD, INPUTS, is_small, kind_of, tile_of, way_of
from graphnn.ops.random import MASK_BODY
from graphnn.schedule import Step
from graphnn.source import SUFFIX
from graphnn.spec import DimLike

SHORT = {"query": "q", "key": "k", "value": "v"}

_HEAD = """\
data = pointer_i64(data)
meta = pointer_i64(meta)
whole, batch, heads, queries, keys = meta[0], meta[1], meta[2], meta[3], meta[4]
width, depth, rows, columns = meta[5], meta[6], meta[7], meta[8]
scale, causal, inside = real(float_of_bits_f64(meta[9])), meta[10], meta[11]
<<operands>>
# A row lies line rows behind the one before, and hop rows behind that of the head before.
line, query_hop, key_hop = 1, queries, keys
if inside:
    line, query_hop, key_hop = heads, 1, 1
pieces = <<pieces>>
each = heads * pieces
first, last, jump = lane, batch * each, lanes
if not whole:
    first, last, jump = share(batch, lane, lanes) * each, share(batch, lane + 1, lanes) * each, 1"""

# What a lane has for itself, one behind the other: see attention_tiles.scratch.
_FORWARD_SCRATCH = """\
greatest = pointer_T(tile + rows * columns * SIZE)
total = pointer_T(tile + rows * columns * SIZE + rows * SIZE)
turned_key = tile + (rows * columns + 2 * rows) * SIZE
kept = turned_key + (columns * width * SIZE if small else 0)"""
_BACKWARD_SCRATCH = """\
slope = tile + rows * columns * SIZE
turned_key = slope + rows * columns * SIZE
turned_value = turned_key + (columns * width * SIZE if small else 0)
kept = turned_value + (columns * depth * SIZE if small else 0)"""

_PLACE = """\
piece, head, sample = unit % pieces, unit // pieces % heads, unit // each
query_row = sample * heads * queries + head * query_hop
key_row = sample * heads * keys + head * key_hop"""

_FORWARD = '''\
def NAME(data, meta, lane, lanes):
    """For each block of queries: tile by tile the powers of the scores, their sum, their mean."""
    <<head>>
    for unit in range(first, last, jump):
        <<place>>
        top = piece * rows
        n = min(rows, queries - top)
        query_row += top * line
        seen_keys = min(keys, top + n) if causal else keys
        for i in range(n):
            greatest[i], total[i] = -INF, 0
        for left in range(0, seen_keys, columns):
            m = min(columns, seen_keys - left)
            there = key_row + left * line
            key, apart, turn = k + there * width * SIZE, line * width, 1
            if small:
                turned_T(key, apart, m, width, turned_key)
                key, apart, turn = turned_key, m, 0
            product_T(
                gemm, 0, turn, n, m, width, q + query_row * width * SIZE, line * width,
                key, apart, tile, m, 0,
            )
            <<keep>>
            for i in range(n):
                row = tile + i * m * SIZE
                seen = min(max(top + i + 1 - left, 0), m) if causal else m
                best = scores_T(row, seen, <<masked>>scale)
                best = greatest_T(greatest[i], best)
                shift = real(0) if best == -INF else best
                more = powers_T(row, seen, m, shift)
                if left > 0:
                    fade = exp_T(greatest[i] - shift)
                    more += total[i] * fade
                    <<fade>>
                greatest[i], total[i] = best, more
                <<drop>>
            <<mean>>
        for i in range(n):
            place = query_row + i * line
            <<finish>>
'''

_FADE = "scaled_T(y + (query_row + i * line) * depth * SIZE, depth, fade)"
_DROP = "dropped_T(row, kept + i * m, seen, boost)"
_MEAN = """\
product_T(
    gemm, 0, 0, n, depth, m, tile, m, v + there * depth * SIZE, line * depth,
    y + query_row * depth * SIZE, line * depth, 1 if left > 0 else 0,
)"""
_FINISH_OUTPUT = """\
if total[i] == 0:  # nothing to attend to
    clear_T(y, place, 1, line, depth)
else:
    scaled_T(y + place * depth * SIZE, depth, real(1) / total[i])"""
_FINISH_SUM = "sums[place] = real(-INF) if total[i] == 0 else greatest[i] + log_T(total[i])"

_BACKWARD = '''\
def NAME(data, meta, lane, lanes):
    """Tile by tile the weights again, the gradient of their scores, and what these make."""
    <<head>>
    for unit in range(first, last, jump):
        <<place>>
        <<bounds>>
        <<clear queries>>
        for left in range(begin, end, columns):
            m = min(columns, end - left)
            there = key_row + left * line
            key = k + there * width * SIZE
            tall_key, apart, turn = key, line * width, 1
            <<value>>
            if small:
                turned_T(key, line * width, m, width, turned_key)
                tall_key, apart, turn = turned_key, m, 0
                <<turned value>>
            done = 0
            for top in range(low, high, rows):
                n = min(rows, high - top)
                if causal and left >= top + n:
                    continue
                here = query_row + top * line
                query, cotangent = q + here * width * SIZE, dy + here * depth * SIZE
                product_T(
                    gemm, 0, turn, n, m, width, query, line * width, tall_key, apart, tile, m, 0
                )
                <<slope>>
                <<keep>>
                for i in range(n):
                    seen = min(max(top + i + 1 - left, 0), m) if causal else m
                    shift = lse[here + i * line]
                    shift = real(INF) if shift == -INF else shift  # nothing to attend to
                    slopes_T(
                        tile + i * m * SIZE, slope + i * m * SIZE, seen, m, <<masked>><<kept>>
                        scale, shift, <<mean of row>>,
                    )
                <<make>>
                done = 1
            if not done:
                <<clear keys>>
'''

_BOUNDS = {
    "both": "low, high, begin, end = 0, queries, 0, keys",
    "query": """\
low, begin, end = piece * rows, 0, keys
high = min(low + rows, queries)""",
    "key": """\
low, high, begin = 0, queries, piece * columns
end = min(begin + columns, keys)""",
}
_PIECES = {
    "both": "1",
    "query": "(queries + rows - 1) // rows",
    "key": "(keys + columns - 1) // columns",
}
_VALUE = "value, value_apart = v + there * depth * SIZE, line * depth"
_TURNED_VALUE = """\
turned_T(value, line * depth, m, depth, turned_value)
value, value_apart = turned_value, m"""
_SLOPE = """\
product_T(
    gemm, 0, turn, n, m, depth, cotangent, line * depth, value, value_apart, slope, m, 0
)"""
_MAKE = {
    "query": """\
product_T(
    gemm, 0, 0, n, width, m, slope, m, key, line * width, d_query + here * width * SIZE,
    line * width, 1,
)""",
    "key": """\
product_T(
    gemm, 1, 0, m, width, n, slope, m, query, line * width, d_key + there * width * SIZE,
    line * width, done,
)""",
    "value": """\
product_T(
    gemm, 1, 0, m, depth, n, tile, m, cotangent, line * depth, d_value + there * depth * SIZE,
    line * depth, done,
)""",
}
_CLEAR = {
    "query": "clear_T(d_query, query_row + low * line, high - low, line, width)",
    "key": "clear_T(d_key, there, m, line, width)",
    "value": "clear_T(d_value, there, m, line, depth)",
}

_KEEP = """\
keep_tile(
    kept, rng, sample * heads + head, queries, keys, top, left, n, m, meta[16], meta[17]
)"""
_MASKED = (
    "mask + (sample * meta[12] + head * meta[13] + (top + i) * meta[14] + left * meta[15])"
    " * MASK_SIZE, meta[15], "
)

# One row of a tile; SCORE is what the query has for key j, masked.
_SCORES = '''\
@helper
def scores_T(row, seen, <<masked>>scale):
    """Scale and mask the scores of a row; the greatest of them."""
    s = pointer_T(row)
    best = real(-INF)
    <<loop>>
    return best
'''
_SCORES_LOOP = """\
for j in range(seen):
    score = SCORE
    s[j] = score
    best = greatest_T(best, score)"""

_POWERS = '''\
@helper
def powers_T(row, seen, wide, shift):
    """Exponentials of a row's scores, 0 behind what is seen; their sum."""
    s = pointer_T(row)
    total = real(0)
    for j in range(seen):
        score = s[j] - shift
        # Below LEAST a power is nothing beside the greatest, which is 1; none is a subnormal.
        power = exp_T(LEAST if score < LEAST else score)
        power = real(0) if score < LEAST else power
        s[j] = power
        total = fast_add(total, power)
    for j in range(seen, wide):
        s[j] = 0
    return total
'''

_SLOPES = '''\
@helper
def slopes_T(row, into, seen, wide, <<masked>><<kept>>scale, shift, mean):
    """A row's weights in place of its scores, their scores' gradient in place of their own."""
    s, g = pointer_T(row), pointer_T(into)
    <<loop>>
    for j in range(seen, wide):
        s[j] = 0
        g[j] = 0
'''
_SLOPES_LOOP = """\
for j in range(seen):
    score = SCORE - shift
    weight = exp_T(LEAST if score < LEAST else score)
    weight = real(0) if score < LEAST else weight
    <<store>>"""
_STORE = """\
s[j] = weight
g[j] = weight * (g[j] - mean) * scale"""
_STORE_KEPT = """\
more = boost if kept[j] else real(0)
s[j] = weight * more
g[j] = weight * (g[j] * more - mean) * scale"""

_ROWS = '''\
@helper
def scaled_T(row, count, by):
    """Multiply a row by a number."""
    s = pointer_T(row)
    for j in range(count):
        s[j] *= by


@helper
def clear_T(address, first, count, line, wide):
    """Zeros in so many rows."""
    for i in range(count):
        row = pointer_T(address + (first + i * line) * wide * SIZE)
        for j in range(wide):
            row[j] = 0


@helper
def turned_T(matrix, apart, rows, columns, into):
    """A matrix of rows that lie apart, transposed."""
    t = pointer_T(into)
    for i in range(rows):
        row = pointer_T(matrix + i * apart * SIZE)
        for j in range(columns):
            t[j * rows + i] = row[j]


@helper
def product_T(gemm, turn_a, turn_b, rows, columns, inner, a, lda, b, ldb, c, ldc, beta):
    """C = op(A) op(B) + beta C, row-major: the column-major product with the factors exchanged."""
    if rows > 0 and columns > 0:
        gemm_T(
            gemm, turn_b, turn_a, columns, rows, inner,
            b, max(ldb, 1), a, max(lda, 1), c, max(ldc, 1), beta,
        )
'''

_DROPPED = '''\
@helper
def dropped_T(row, kept, count, boost):
    """The weights that dropout leaves, scaled."""
    s, kept = pointer_T(row), pointer_u8(kept)
    for j in range(count):
        s[j] = s[j] * boost if kept[j] else real(0)
'''

_KEEP_TILE = '''\
@helper
def keep_tile(kept, rng, pair, queries, keys, top, left, n, m, threshold, stream):
    """A tile of the dropout mask (batch, heads, queries, keys), drawn again."""
    if m == keys:
        start = (pair * queries + top) * keys
        draw_kept(start, start + n * m, rng, pointer_u8(kept - start), threshold, stream)
    else:
        for i in range(n):
            start = (pair * queries + top + i) * keys + left
            draw_kept(
                start, start + m, rng, pointer_u8(kept + i * m - start), threshold, stream
            )
'''


def _filled(text: str, blocks: Mapping[str, str]) -> str:
    """The text with blocks in the place of their names, indented alike."""
    lines = []
    for line in text.split("\n"):
        name = line.strip()
        if name.startswith("<<") and name.endswith(">>") and name.count("<<") == 1:
            indent = line[: len(line) - len(name)]
            block = blocks[name[2:-2]]
            lines += textwrap.indent(_filled(block, blocks), indent).split("\n") if block else []
            continue
        for key, block in blocks.items():
            line = line.replace(f"<<{key}>>", block)
        lines.append(line)
    return "\n".join(lines)


class _Writer:
    """What a step's results, mask and dropout make of the texts."""

    def __init__(self, step: Step) -> None:
        self.kinds = [kind_of(node) for node in step.group.outputs]
        # Of all results the one that reads most: the others read some of the same.
        self.node = max(step.group.outputs, key=lambda node: len(node.inputs))
        self.forward = self.kinds[0] in FORWARD
        self.dropout = float(self.node.attrs["dropout"])
        self.named = [SHORT.get(name, name) for name in INPUTS[kind_of(self.node)]]
        rest = self.node.inputs[len(self.named) :]
        self.mask = rest[0] if len(rest) > bool(self.dropout) else None
        self.suffix = SUFFIX[self.node.dtype]

    @property
    def name(self) -> str:
        """Of the kernel."""
        masked = "" if self.mask is None else f"_{'bool' if self.mask.dtype == 'bool' else 'float'}"
        dropped = "_dropout" if self.dropout else ""
        made = "" if self.forward and len(self.kinds) == 2 else "_" + "_".join(self.kinds)
        return f"attention{made}{masked}{dropped}_{self.suffix}"

    def source(self) -> str:
        """The whole text."""
        kernel = _filled(_FORWARD if self.forward else _BACKWARD, self._blocks())
        text = "\n\n".join([kernel, *self._helpers()])
        mask_size = 0 if self.mask is None else self.mask.spec.itemsize
        for word, stands in {
            "NAME": self.name,
            "_T(": f"_{self.suffix}(",
            "real(": f"{self.node.dtype}(",
            "LEAST": f"{self.node.dtype}({'-87.0' if self.suffix == 'f32' else '-708.0'})",
            "MASK_SIZE": str(mask_size),
            "SIZE": str(self.node.spec.itemsize),
        }.items():
            text = text.replace(word, stands)
        return text

    def _blocks(self) -> dict[str, str]:
        masked = "" if self.mask is None else _MASKED
        shared = {
            "head": _HEAD,
            "place": _PLACE,
            "operands": "\n".join(self._operands()),
            "keep": _KEEP if self.dropout else "",
            "masked": masked,
        }
        if self.forward:
            made = "output" in self.kinds
            finish = [_FINISH_OUTPUT] if made else []
            return {
                **shared,
                "pieces": _PIECES["query"],
                "fade": _FADE if made else "",
                "drop": _DROP if made and self.dropout else "",
                "mean": _MEAN if made else "",
                "finish": "\n".join([*finish, *[_FINISH_SUM] * ("logsumexp" in self.kinds)]),
            }
        way, sloped = way_of(self.node), self.kinds != ["value"]
        return {
            **shared,
            "pieces": _PIECES[way],
            "bounds": _BOUNDS[way],
            "slope": _SLOPE if sloped else "",
            "value": _VALUE if sloped else "",
            "turned value": _TURNED_VALUE if sloped else "",
            "mean of row": "delta[here + i * line]" if sloped else "real(0)",
            "kept": "kept + i * m, boost, " if self.dropout else "",
            "make": "\n".join(_MAKE[kind] for kind in self.kinds),
            "clear queries": _CLEAR["query"] if "query" in self.kinds else "",
            "clear keys": "\n".join(_CLEAR[k] for k in self.kinds if k != "query") or "pass",
        }

    def _operands(self) -> list[str]:
        """The lines that name addresses, in the order of the table."""
        names = list(self.named)
        names += [] if self.mask is None else ["mask"]
        names += ["rng"] if self.dropout else []
        results = {"output": "y", "logsumexp": "sums"}
        names += [results.get(kind, f"d_{kind}") for kind in self.kinds]
        typed = {"lse": "pointer_T({})", "delta": "pointer_T({})", "sums": "pointer_T({})"}
        typed["rng"] = "pointer_i64({})"
        lines = [
            f"{name} = {typed.get(name, '{}').format(f'data[{i}]')}" for i, name in enumerate(names)
        ]
        place = f"data[{len(names)}], data[{len(names) + 1}] + lane * meta[20]"
        lines.append(f"gemm, tile, small = {place}, meta[19]")
        lines += (_FORWARD_SCRATCH if self.forward else _BACKWARD_SCRATCH).split("\n")
        if self.dropout:
            lines.append("boost = real(float_of_bits_f64(meta[18]))")
        return lines

    def _helpers(self) -> list[str]:
        loop = _filled(_SLOPES_LOOP, {"store": _STORE_KEPT if self.dropout else _STORE})
        blocks = {
            "masked": "" if self.mask is None else "mask, step, ",
            "kept": "kept, boost, " if self.dropout else "",
            "loop": self._row_loop(_SCORES_LOOP if self.forward else loop),
        }
        rows = [_SCORES, _POWERS] if self.forward else [_SLOPES]
        texts = [_filled(text, blocks) for text in (*rows, _ROWS)]
        if self.dropout:
            texts += [_DROPPED, _KEEP_TILE, *_draw_kept()]
        return texts

    def _row_loop(self, loop: str) -> str:
        """The loop over a row; a mask with one number for all keys has a loop of its own."""
        lines = ["kept = pointer_u8(kept)"] if self.dropout and not self.forward else []
        if self.mask is None:
            return "\n".join([*lines, loop.replace("SCORE", "s[j] * scale")])
        boolean = self.mask.dtype == "bool"
        lines.append(f"mask = {'pointer_u8' if boolean else 'pointer_T'}(mask)")
        score = (
            "(s[j] * scale if mask[{}] else real(-INF))" if boolean else "(s[j] * scale + mask[{}])"
        )
        lines.append("if step:")
        lines.append(textwrap.indent(loop.replace("SCORE", score.format("j")), "    "))
        lines.append("else:")
        lines.append(textwrap.indent(loop.replace("SCORE", score.format("0")), "    "))
        return "\n".join(lines)

    def meta(self) -> tuple[DimLike | float, ...]:
        """Sizes, strides of the mask, and what dropout needs."""
        node, attrs = self.node, self.node.attrs
        q, k = (value.spec for value in node.inputs[:2])
        deep = {"output": 2, "logsumexp": 0, "value": 3}.get(kind_of(node), 2)
        depth = node.inputs[deep].spec.shape[3]
        heads = attrs["heads"]
        form = node.op.kernel
        assert isinstance(form, Attention)
        keep = 1 - self.dropout
        return (
            int(form.whole(node)), q.shape[0], q.shape[heads], q.shape[3 - heads],
            k.shape[3 - heads], q.shape[3], depth, *tile_of(q, k, heads, attrs["tile"]),
            float(attrs["scale"]), int(attrs["causal"]), int(heads == 2), *_strides(self.mask),
            threshold(self.dropout), attrs["stream"], 1 / keep,
            int(is_small(q, k, heads, attrs["tile"])),
        )  # fmt: skip


def _strides(mask: Node | None) -> list[DimLike]:
    """How far the mask moves with sample, head, query and key: 0 where it is the same for all."""
    strides: list[DimLike] = []
    step: DimLike = 1
    for dim in reversed(mask.spec.shape if mask is not None else (1, 1, 1, 1)):
        strides.insert(0, 0 if dim == 1 else step)
        step = step * dim
    return strides


def _draw_kept() -> list[str]:
    """The kernel that draws dropout masks, as a function of this one."""
    callees = [
        f"@helper\n{callee.definition(callee.symbol(name, 'float32'), 'float32', 'float')}"
        for name, callee in MASK_BODY.all_callees()
    ]
    text = MASK_BODY.definition("draw_kept", "float32", "float").replace(", *, ", ", ", 1)
    return [*callees, f"@helper\n{text}"]


def attention(step: Step) -> Kernel:
    """The kernel; behind the operands stand the addresses of BLAS and of the scratch."""
    written = _Writer(step)
    operands = (*written.node.inputs, *step.targets)
    return Kernel(written.name, written.source(), operands, written.meta())
