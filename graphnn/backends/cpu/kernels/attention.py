"""Attention tile by tile: products by BLAS, and between them the softmax of a tile's rows.

The tiles are those of Dao, *FlashAttention-2* (2023). Every lane has a scratch of its own: a tile
of scores, in reverse also one of their gradients, two numbers a row, and a tile's dropout mask.
Blocks of queries and of keys are the same whatever number of lanes shares them, and each sum is
added up by one lane in one order.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from graphnn.backends.cpu.kernels import attention_text as texts
from graphnn.backends.cpu.kernels.source import Kernel
from graphnn.node import Node
from graphnn.op import Attention
from graphnn.ops.attention.formula import threshold
from graphnn.ops.attention.tiles import FORWARD, INPUTS, is_small, kind_of, tile_of, way_of
from graphnn.ops.random.generator import MASK_BODY
from graphnn.schedule import Step
from graphnn.source import SUFFIX
from graphnn.spec import DimLike

SHORT = {"query": "q", "key": "k", "value": "v"}


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
        kernel = _filled(texts.FORWARD if self.forward else texts.BACKWARD, self._blocks())
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
        masked = "" if self.mask is None else texts.MASKED
        shared = {
            "head": texts.HEAD,
            "place": texts.PLACE,
            "operands": "\n".join(self._operands()),
            "keep": texts.KEEP if self.dropout else "",
            "masked": masked,
        }
        if self.forward:
            made = "output" in self.kinds
            finish = [texts.FINISH_OUTPUT] if made else []
            return {
                **shared,
                "pieces": texts.PIECES["query"],
                "fade": texts.FADE if made else "",
                "drop": texts.DROP if made and self.dropout else "",
                "mean": texts.MEAN if made else "",
                "finish": "\n".join([*finish, *[texts.FINISH_SUM] * ("logsumexp" in self.kinds)]),
            }
        way, sloped = way_of(self.node), self.kinds != ["value"]
        return {
            **shared,
            "pieces": texts.PIECES[way],
            "bounds": texts.BOUNDS[way],
            "slope": texts.SLOPE if sloped else "",
            "value": texts.VALUE if sloped else "",
            "turned value": texts.TURNED_VALUE if sloped else "",
            "mean of row": "delta[here + i * line]" if sloped else "real(0)",
            "kept": "kept + i * m, boost, " if self.dropout else "",
            "make": "\n".join(texts.MAKE[kind] for kind in self.kinds),
            "clear queries": texts.CLEAR["query"] if "query" in self.kinds else "",
            "clear keys": "\n".join(texts.CLEAR[k] for k in self.kinds if k != "query") or "pass",
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
        lines += (texts.FORWARD_SCRATCH if self.forward else texts.BACKWARD_SCRATCH).split("\n")
        if self.dropout:
            lines.append("boost = real(float_of_bits_f64(meta[18]))")
        return lines

    def _helpers(self) -> list[str]:
        store = texts.STORE_KEPT if self.dropout else texts.STORE
        loop = _filled(texts.SLOPES_LOOP, {"store": store})
        blocks = {
            "masked": "" if self.mask is None else "mask, step, ",
            "kept": "kept, boost, " if self.dropout else "",
            "loop": self._row_loop(texts.SCORES_LOOP if self.forward else loop),
        }
        rows = [texts.SCORES, texts.POWERS] if self.forward else [texts.SLOPES]
        helpers = [_filled(text, blocks) for text in (*rows, texts.ROWS)]
        if self.dropout:
            helpers += [texts.DROPPED, texts.KEEP_TILE, *_draw_kept()]
        return helpers

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
            threshold(self.dropout), attrs.get("stream", 0), 1 / keep,
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
