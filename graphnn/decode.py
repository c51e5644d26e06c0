"""Sequences made one element at a time: a compiled step, its state, greedy and sampled choice.

The state is what a step hands on to the next: the keys and values of attention, the hidden values
of a recurrent network. It lives in parameters that the step updates in place, so that every step is
one call of one compiled function, whatever the position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.calls import check_whole, no_node, shown
from graphnn.context import declared_at
from graphnn.errors import DataError, DTypeError, GraphError, ShapeError
from graphnn.function import function
from graphnn.graph import Graph
from graphnn.hints import teaches
from graphnn.nn.init import generator
from graphnn.node import Input, Node, NodeLike, Parameter, as_node
from graphnn.spec import FLOATS, format_shape
from graphnn.values import is_number

Step: TypeAlias = Callable[[Node, Node, list[Node]], tuple[Node, Sequence[Node]]]
Tokens: TypeAlias = NDArray[np.int64]


class Decoder:
    """Makes sequences with a step: ``step(token, position, state) -> (logits, new state)``.

    Parameters
    ----------
    step
        Declares one step, in inference: ``token`` (batch,) int64, ``position`` () int64, counted
        from 0, ``state`` as many nodes as ``state`` has; it returns logits (batch, words) and the
        new state, of the same shapes.
    state
        The state before the first element: arrays and nodes of known shapes. Nodes may depend on
        inputs, such as the source of a translation, which :meth:`start` then takes.
    batch
        How many sequences are made at once.
    max_len
        Longest sequence, where the state has room for so many elements; None: no limit.

    Attributes
    ----------
    inputs
        What :meth:`start` takes.
    position
        How many elements the state has seen.

    Raises
    ------
    GraphError, ShapeError
        If the step returns other logits or another state.

    Examples
    --------
    A recurrent network and a transformer are decoded alike:

    >>> import numpy as np
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> embed, head = nn.Embedding(10, 8), nn.Linear(8, 10)
    >>> net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)
    >>> def step(token, position, state):
    ...     y, state = net.extend(gn.expand_dims(embed(token), 1), state, position)
    ...     return head(y[:, 0]), state
    >>> decoder = gn.Decoder(step, net.empty(1, longest=20), batch=1, max_len=20)
    >>> decoder.greedy([[1, 2, 3]], 5).shape
    (1, 8)
    >>> decoder.sample([[1, 2, 3]], 5, temperature=0.8, top_k=3, seed=0).shape
    (1, 8)
    >>> w = nn.Linear(16, 8)
    >>> def recur(token, position, state):
    ...     hidden = gn.tanh(w(gn.concat([embed(token), state[0]], -1)))
    ...     return head(hidden), [hidden]
    >>> gn.Decoder(recur, [np.zeros((2, 8), np.float32)], batch=2).greedy([[1], [2]], 4).shape
    (2, 5)
    """

    @teaches
    def __init__(
        self, step: Step, state: Sequence[NodeLike], batch: int = 1, max_len: int | None = None
    ) -> None:
        if not callable(step):
            raise GraphError(
                f"a Decoder takes a function step(token, position, state) first; got {step!r}. "
                f"Declared at {declared_at()}."
            )
        check_whole("batch", batch, 1)
        if max_len is not None:
            check_whole("max_len", max_len, 1)
        if not isinstance(state, list | tuple):
            raise GraphError(
                f"the state of a Decoder is a list of nodes and arrays; got {shown(state)}. "
                f"Declared at {declared_at()}. Write [state]."
            )
        self.batch, self.max_len, self.position = batch, max_len, 0
        first = [as_node(value) for value in state]
        self._state = [_kept(node) for node in first]
        self.inputs = tuple(Graph(first).inputs) if first else ()
        self._start = function(
            self.inputs, [], updates=list(zip(self._state, first, strict=True)), training=False
        )
        token, place = Input((batch,), "int64", name="token"), Input((), "int64", name="position")
        try:
            found = step(token, place, list(self._state))
        except ShapeError as error:
            raise ShapeError(f"{error}{self._of_another_batch()}") from None
        logits, new = self._checked(found)
        updates = list(zip(self._state, new, strict=True))
        updates = [(old, made) for old, made in updates if old is not made]
        self._step = function([token, place], logits, updates=updates, training=False)
        self._fresh = False

    def _of_another_batch(self) -> str:
        """What may have gone wrong where a step does not fit its own state."""
        shapes = [node.spec.shape for node in self._state]
        if all(shape[:1] == (self.batch,) for shape in shapes):
            return ""
        given = ", ".join(map(format_shape, shapes))
        return f" The Decoder was made for batch={self.batch}, and its state is {given}."

    def _checked(self, found: Any) -> tuple[Node, Sequence[Node]]:
        """The logits and the new state that a step returned."""
        where = f"Declared at {declared_at()}."
        pair = isinstance(found, tuple | list) and len(found) == 2
        if not pair or not isinstance(found[1], tuple | list):
            raise GraphError(
                f"the step of a Decoder returns (logits, new state), the state in a list; it "
                f"returned {shown(found)}. {where} Return (logits, []) where there is no state."
            )
        logits, new = found
        for node in (logits, *new):
            if not isinstance(node, Node):
                raise no_node("the step of a Decoder returns nodes", node)
        shape = logits.spec.shape
        fits = len(shape) == 2 and shape[0] == self.batch and shape[1] != 0
        if not fits or logits.dtype not in FLOATS:
            raise ShapeError(
                f"the step of a Decoder returns logits ({self.batch}, words), floats; got "
                f"{logits.spec} for {logits.name!r}. {where}{self._of_another_batch()}"
            )
        wanted, got = [s.spec for s in self._state], [s.spec for s in new]
        if wanted != got:
            raise ShapeError(
                "the step of a Decoder returns a state like the one it takes, "
                f"{', '.join(map(str, wanted)) or 'none'}; got "
                f"{', '.join(map(str, got)) or 'none'}. {where}"
            )
        return logits, new

    def start(self, *values: ArrayLike) -> None:
        """Begin anew: the state before the first element, made of what it depends on."""
        self._start(*values)
        self.position, self._fresh = 0, True

    def step(self, token: ArrayLike) -> NDArray[np.floating]:
        """Take one element of each sequence, (batch,); the logits of the next, (batch, words).

        Raises
        ------
        GraphError
            If the state has no room left.
        """
        if not self._fresh:
            self.start()
        if self.max_len is not None and self.position >= self.max_len:
            raise GraphError(
                f"the Decoder has room for {self.max_len} elements, and has seen them all: "
                f"start() anew, or give it a larger max_len and state. Called at {declared_at()}."
            )
        logits: NDArray[np.floating] = self._step(_tokens("a token", token), self.position)
        self.position += 1
        return logits

    @teaches
    def greedy(
        self, prompt: ArrayLike, steps: int, *values: ArrayLike, stop: int | None = None
    ) -> Tokens:
        """The prompt, and behind it the likeliest element again and again.

        Parameters
        ----------
        prompt
            (batch, length), at least one element.
        steps
            How many elements are made.
        values
            What :meth:`start` takes.
        stop
            An element after which a sequence consists of it alone; all ended, nothing more is
            made.

        Returns
        -------
        array, int64
            (batch, length + steps), or less where all have ended.
        """
        return self._made(prompt, steps, values, stop, lambda logits: logits.argmax(-1))

    @teaches
    def sample(
        self,
        prompt: ArrayLike,
        steps: int,
        *values: ArrayLike,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: int | None = None,
        seed: int | None = None,
    ) -> Tokens:
        """The prompt, and behind it elements drawn from what the step says is likely.

        Parameters
        ----------
        prompt, steps, values, stop
            As of :meth:`greedy`.
        temperature
            By which logits are divided, > 0: less than 1 favours the likely.
        top_k
            Draw from the k likeliest (Fan, Lewis, Dauphin, 2018).
        top_p
            Draw from the fewest that together have at least this probability, in (0, 1]
            (Holtzman et al., *The curious case of neural text degeneration*, 2020).
        seed
            Of the draws; None: they follow from ``gn.set_seed``.

        Returns
        -------
        array, int64
            As of :meth:`greedy`.

        Raises
        ------
        GraphError
            For other numbers.
        """
        _check_choice(temperature, top_k, top_p)
        if seed is not None:
            check_whole("seed", seed, 0)
        draws = generator(seed)

        def choose(logits: NDArray[np.floating]) -> Tokens:
            chances = probabilities(logits, temperature, top_k, top_p)
            reached = chances.cumsum(-1)
            reached = reached / reached[:, -1:] > draws.random((len(chances), 1))
            return np.asarray(reached.argmax(-1), np.int64)

        return self._made(prompt, steps, values, stop, choose)

    def _made(
        self,
        prompt: ArrayLike,
        steps: int,
        values: Sequence[ArrayLike],
        stop: int | None,
        choose: Callable[[NDArray[np.floating]], Tokens],
    ) -> Tokens:
        check_whole("steps", steps, 0)
        if stop is not None:
            check_whole("stop", stop, 0)
        given = _tokens("a prompt", prompt)
        if given.ndim != 2 or given.shape[0] != self.batch or given.shape[1] < 1:
            raise DataError(
                f"a prompt is ({self.batch}, length), at least one element; got {given.shape}. "
                f"Called at {declared_at()}."
            )
        self.start(*values)
        columns = list(given.T)
        for column in columns:
            logits = self.step(column)
        ended = np.zeros(self.batch, bool)
        for i in range(steps):
            self._check_likely(logits)
            column = np.asarray(choose(logits), np.int64)
            if stop is not None:
                column = np.where(ended, stop, column)
                ended |= column == stop
            columns.append(column)
            if ended.all() or i == steps - 1:
                break
            logits = self.step(column)
        return np.stack(columns, axis=1)

    def _check_likely(self, logits: NDArray[np.floating]) -> None:
        """Among NaN, infinities, or -inf alone there is nothing to choose."""
        wrong = ~np.isfinite(logits.max(-1))
        if wrong.any():
            raise DataError(
                f"after {self.position} elements the logits of sequence {int(wrong.argmax())} hold "
                f"NaN or inf, or -inf alone: nothing can be chosen. Called at {declared_at()}. "
                "Look at decoder.step(token), and at the weights."
            )


def _tokens(what: str, given: ArrayLike) -> Tokens:
    """Whole numbers as int64; floats would be cut off, and bools count nothing."""
    try:
        array = np.asarray(given)
    except ValueError:
        raise DataError(
            f"{what} is an array: rows of one length; got rows of several. Called at "
            f"{declared_at()}. Make sequences of another length by another call."
        ) from None
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(
            f"{what} is of whole numbers; got an array of {array.dtype}. Called at "
            f"{declared_at()}. Convert it: array.astype('int64')."
        )
    return array.astype(np.int64)


def _kept(node: Node) -> Parameter:
    """A parameter for a state of a known shape."""
    shape = node.spec.shape
    sizes = [dim for dim in shape if isinstance(dim, int)]
    if len(sizes) < len(shape):
        raise ShapeError(
            f"the state of a Decoder has known shapes; got {format_shape(shape)} for "
            f"{node.name!r}. Declared at {declared_at()}. Give its inputs the size of the batch."
        )
    return Parameter(np.zeros(sizes, node.dtype), name="state", trainable=False)


def _check_choice(temperature: float, top_k: int | None, top_p: float | None) -> None:
    where = f"Called at {declared_at()}."
    if not is_number(temperature) or not 0 < temperature < np.inf:
        raise GraphError(f"temperature is a finite number > 0; got {temperature!r}. {where}")
    if top_k is not None:
        check_whole("top_k", top_k, 1)
    if top_p is not None and (not is_number(top_p) or not 0 < top_p <= 1):
        raise GraphError(f"top_p is a number in (0, 1]; got {top_p!r}. {where}")


def probabilities(
    logits: NDArray[np.floating],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> NDArray[np.float64]:
    """What a choice among (batch, words) draws from: softmax, then only the likely ones.

    Of equally likely words at the edge the first ones stay.
    """
    below = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    with np.errstate(over="ignore"):  # a tiny temperature leaves the likeliest alone
        powers = np.exp(below / temperature)
    chances = powers / powers.sum(-1, keepdims=True)
    order = np.argsort(-chances, axis=-1, kind="stable")
    ranked = np.take_along_axis(chances, order, -1)
    if top_k is not None:
        ranked[:, top_k:] = 0
        ranked /= ranked.sum(-1, keepdims=True)
    if top_p is not None:
        before = ranked.cumsum(-1) - ranked
        ranked[before >= top_p] = 0
    kept = np.zeros_like(chances)
    np.put_along_axis(kept, order, ranked, -1)
    return np.asarray(kept / kept.sum(-1, keepdims=True))
