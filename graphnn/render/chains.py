"""Equal layers that follow each other, drawn once: twelve layers of an encoder are one, ``×12``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphnn.render.document.records import Node
from graphnn.render.sketch import Link, Piece, Sketch, merged

LEAST = 3  # layers that make a chain
_LONGEST = 24  # characters of a frame's name
_Scope: TypeAlias = tuple[str, ...]
_Members: TypeAlias = Mapping[_Scope, Sequence[Piece]]
_Form: TypeAlias = tuple[object, ...]


def folded(sketch: Sketch) -> Sketch:
    """The sketch with each chain of equal layers as one of them, outer ones first.

    Layers are equal if their forward passes are: the same ops on the same shapes, linked alike.
    Reverse passes may differ where nobody asks for the gradient of the first input.
    """
    deepest = max((len(piece.scope) for piece in sketch.pieces.values()), default=0)
    for depth in range(1, deepest + 1):
        for chain in _chains(sketch, depth):
            found = _once(sketch, chain)
            if is_acyclic(found):
                sketch = found
    return sketch


@dataclass(frozen=True)
class _Chain:
    """The pieces of each of some equal layers, in the order of the data."""

    scopes: tuple[_Scope, ...]
    members: _Members

    @property
    def shown(self) -> _Scope:
        """The layer that is drawn: one whose reverse pass lacks nothing, and an early one."""
        return max(self.scopes, key=lambda scope: len(self.members[scope]))

    @property
    def name(self) -> str:
        """What is written at its frame."""
        first, last, count = self.scopes[0][-1], self.scopes[-1][-1], len(self.scopes)
        name = f"{first} … {last} ×{count}"
        return name if len(name) <= _LONGEST else f"{first[: _LONGEST - 8]}… ×{count}"


def _chains(sketch: Sketch, depth: int) -> Iterator[_Chain]:
    """Runs of equal layers at a depth, each of which reads the one before."""
    members: dict[_Scope, list[Piece]] = {}
    for piece in sketch.pieces.values():
        if len(piece.scope) >= depth:
            members.setdefault(piece.scope[:depth], []).append(piece)
    inside = {piece.id: scope for scope, found in members.items() for piece in found}
    inner: dict[_Scope, list[Link]] = {scope: [] for scope in members}
    follows: set[tuple[_Scope, _Scope]] = set()
    for link in sketch.links_of("data"):
        source, target = inside.get(link.source), inside.get(link.target)
        if source is not None and target is not None:
            if source == target:
                inner[source].append(link)
            else:
                follows.add((source, target))
    numbers: dict[_Form, int] = {}
    ordered = {
        scope: _alike(sketch, found, inner[scope], numbers) for scope, found in members.items()
    }
    forms = {scope: form for scope, (_, form) in ordered.items()}
    run: list[_Scope] = []
    for scope in [*members, ()]:
        if run and (run[-1], scope) in follows and forms[run[-1]] == forms[scope]:
            run.append(scope)
            continue
        if len(run) >= LEAST and len({one[:-1] for one in run}) == 1:
            yield _Chain(tuple(run), {one: ordered[one][0] for one in run})
        run = [scope]


def _alike(
    sketch: Sketch, pieces: Sequence[Piece], links: Sequence[Link], numbers: dict[_Form, int]
) -> tuple[list[Piece], _Form]:
    """The pieces of a layer, forward ones in an order that equal layers share, and its form.

    Ops are numbered by what they are and by the numbers of what they read within the layer; the
    order in which branches were declared or rewritten means nothing.
    """
    forward = [piece for piece in pieces if piece.lane == "forward"]
    depth = min((len(piece.scope) for piece in forward), default=0)
    reads: dict[str, list[str]] = {piece.id: [] for piece in forward}
    for link in links:
        reads[link.target].append(link.source)
    number: dict[str, int] = {}
    for piece in forward:
        before = tuple(number.get(one, -1) for one in reads[piece.id])
        key = piece.kind, piece.scope[depth:], _ops(sketch, piece), before
        number[piece.id] = numbers.setdefault(key, len(numbers))
    forward.sort(key=lambda piece: number[piece.id])
    index = {piece.id: i for i, piece in enumerate(forward)}
    edges = sorted((index[link.source], index[link.target]) for link in links)
    rest = [piece for piece in pieces if piece.lane != "forward"]
    return [*forward, *rest], (tuple(number[piece.id] for piece in forward), tuple(edges))


def _ops(sketch: Sketch, piece: Piece) -> _Form:
    nodes = (sketch.flat.nodes[node] for node in piece.nodes)
    return tuple((n.op, n.dims, n.dtype, _settings(n)) for n in nodes)


def _settings(node: Node) -> _Form:
    """Settings of an op, but for the stream of random numbers that it draws from."""
    return tuple((key, value) for key, value in sorted(node.attrs.items()) if key != "stream")


def _once(sketch: Sketch, chain: _Chain) -> Sketch:
    """The sketch with the chain's pieces replaced by those of one of its layers."""
    owner = {piece: piece for piece in sketch.pieces}
    home = {piece.id: scope for scope in chain.scopes for piece in chain.members[scope]}
    kept = {piece.id for piece in chain.members[chain.shown]}
    for scope in chain.scopes:
        if scope != chain.shown:
            owner |= _counterparts(sketch, chain.members[scope], chain.members[chain.shown])
    links = [
        replace(link, source=owner[link.source], target=owner[link.target])
        for link in sketch.links
        if _is_kept(home.get(link.source), home.get(link.target), chain.shown)
    ]
    depth = len(chain.shown)
    scope = (*chain.shown[:-1], chain.name)
    pieces = {
        piece.id: replace(piece, scope=(*scope, *piece.scope[depth:]))
        if piece.id in kept
        else replace(
            piece,
            of=None if piece.of is None else owner[piece.of],
            home=None if piece.home is None else owner[piece.home],
        )
        for piece in sketch.pieces.values()
        if owner[piece.id] == piece.id
    }
    hidden = len(sketch.pieces) - len(pieces)
    return replace(
        sketch,
        pieces=pieces,
        links=tuple(merged(link for link in links if link.source != link.target)),
        started={owner[piece]: loss for piece, loss in sketch.started.items()},
        repeated=(*sketch.repeated, (".".join(scope), hidden)),
    )


def _is_kept(source: _Scope | None, target: _Scope | None, shown: _Scope) -> bool:
    """Whether a link is one of the layer that is drawn, or leads into or out of the chain."""
    if source is None or target is None:
        return True
    return source == target == shown


def _counterparts(
    sketch: Sketch, pieces: Sequence[Piece], shown: Sequence[Piece]
) -> dict[str, str]:
    """For each piece of a layer the piece of another that stands for it."""
    found: dict[str, str] = {}
    forward = [[p.id for p in side if p.lane == "forward"] for side in (pieces, shown)]
    found.update(zip(*forward, strict=True))
    waiting: dict[_Form, list[str]] = {}
    alike: dict[str | None, str] = {}
    for piece in shown:
        if piece.lane != "forward":
            key = piece.lane, piece.kind, piece.of, piece.home, _titles(sketch, piece)
            waiting.setdefault(key, []).append(piece.id)
            alike.setdefault(piece.of or piece.home, piece.id)
    for piece in pieces:
        if piece.lane != "forward":
            of, home = found.get(piece.of or ""), found.get(piece.home or "")
            key = piece.lane, piece.kind, of, home, _titles(sketch, piece)
            same = waiting.get(key)
            other = alike.get(of or home, piece.id)
            found[piece.id] = same.pop(0) if same else other
    return found


def _titles(sketch: Sketch, piece: Piece) -> _Form:
    return tuple(sketch.flat.nodes[node].op for node in piece.nodes)


def is_acyclic(sketch: Sketch) -> bool:
    """Whether the boxes still have an order: none waits for itself."""
    readers: dict[str, list[str]] = {piece: [] for piece in sketch.pieces}
    waits = dict.fromkeys(sketch.pieces, 0)
    for link in sketch.links_of("data", "saved", "gradient", "turn"):
        readers[link.source].append(link.target)
        waits[link.target] += 1
    ready = [piece for piece, count in waits.items() if not count]
    done = 0
    while ready:
        done += 1
        for reader in readers[ready.pop()]:
            waits[reader] -= 1
            if not waits[reader]:
                ready.append(reader)
    return done == len(sketch.pieces)
