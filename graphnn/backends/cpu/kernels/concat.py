"""Several values behind each other along an axis: one kernel for any number of them."""

from __future__ import annotations

from graphnn.backends.cpu.kernels.source import POINTERS, Kernel, in_each_part
from graphnn.schedule import Step
from graphnn.source import SUFFIX
from graphnn.spec import product

_CONCAT = '''\
def NAME(data, meta, lane, lanes):
    """Each row of the output is a run of every input; a lane writes from ``first`` to ``end``."""
    data = pointer_i64(data)
    meta = pointer_i64(meta)
    parts, each, count, width = meta[0], meta[1], meta[2], meta[3]
    first, end = share(parts, lane, lanes) * each, share(parts, lane + 1, lanes) * each
    y = POINTER(data[count])
    if first < end:
        for row in range(first // width, (end - 1) // width + 1):
            place = row * width
            for k in range(count):
                x, run = POINTER(data[k]), meta[4 + k]
                origin = row * run - place
                for i in range(max(place, first), min(place + run, end)):
                    y[i] = x[origin + i]
                place += run
'''


def concat(step: Step) -> Kernel:
    """The inputs' runs, one after the other."""
    last = step.group.last
    axis, out = last.attrs["axis"], last.spec.shape
    runs = [product(value.spec.shape[axis:]) for value in last.inputs]
    each = in_each_part(product(out), step.parts)
    name = f"concat_{SUFFIX[last.dtype]}"
    text = _CONCAT.replace("NAME", name).replace("POINTER", POINTERS[last.dtype])
    meta = (step.parts, each, len(runs), product(out[axis:]), *runs)
    return Kernel(name, text, (*last.inputs, *step.targets), meta)
