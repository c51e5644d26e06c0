"""Scopes as single boxes, so that a large graph fits on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from graphnn.errors import GraphError
from graphnn.render.chains import folded
from graphnn.render.sketch import Piece, Sketch, merged

Level: TypeAlias = Literal["op", "layer", "block"]
LEVELS: tuple[Level, ...] = ("op", "layer", "block")
MOST = 150  # boxes of a picture that is still read
_NORM = "Norm"  # BatchNorm2d, GroupNorm, ...
_LEGIBLE = 12  # boxes of a normalisation layer whose ops are drawn: more are no longer read
_Key: TypeAlias = tuple[str, ...]
_KeyOf: TypeAlias = Callable[[Piece], _Key]


def at_level(sketch: Sketch, level: Level) -> Sketch:
    """Each module as one box (``"layer"``), or each module that lies in no other (``"block"``)."""
    if level == "op":
        return sketch
    depth = 1 if level == "block" else None
    return collapsed(sketch, lambda piece: piece.scope[:depth])


def fitted(sketch: Sketch, most: int = MOST, *, rolled: bool = True) -> Sketch:
    """The finest sketch of at most so many boxes.

    Equal layers are drawn once (where loops are ``rolled``), then inner
    scopes become boxes, then runs of ops.
    """
    if len(sketch.pieces) <= most:
        return sketch
    sketch = in_order(folded(sketch)) if rolled else sketch
    if len(sketch.pieces) <= most:
        return sketch
    deepest = max((len(piece.scope) for piece in sketch.pieces.values()), default=0)
    for depth in range(deepest, 0, -1):
        found = collapsed(sketch, lambda piece, d=depth: piece.scope[:d] * (len(piece.scope) >= d))  # type: ignore[misc]
        if len(found.pieces) <= most:
            return found
    runs = most // 4
    while True:
        found = collapsed(sketch, _by_runs(sketch, runs))
        if len(found.pieces) <= most or runs == 1:
            return found
        runs //= 2


def without_norms(sketch: Sketch) -> Sketch:
    """Normalisation layers of many ops as single boxes: what they compute is in their name."""
    layers = {scope.path: scope.layer or "" for scope in sketch.flat.document.scopes}
    parts = [tuple(path.split(".")) for path, layer in layers.items() if _NORM in layer]
    sizes = {
        part: sum(piece.scope[: len(part)] == part for piece in sketch.pieces.values())
        for part in parts
    }
    many = [part for part in parts if sizes[part] > _LEGIBLE]
    if not many:
        return sketch

    def key(piece: Piece) -> _Key:
        return next((part for part in many if piece.scope[: len(part)] == part), ())

    return replace(collapsed(sketch, key), norms=len(many))


def closed(sketch: Sketch, scopes: tuple[str, ...]) -> Sketch:
    """Some scopes as single boxes.

    Raises
    ------
    GraphError
        If there is no such scope.
    """
    known = {
        ".".join(piece.scope[:depth])
        for piece in sketch.pieces.values()
        for depth in range(1, len(piece.scope) + 1)
    }
    for scope in scopes:
        if scope not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "this graph has none"
            raise GraphError(f"there is no scope {scope!r} to collapse; {there}")
    parts = [tuple(scope.split(".")) for scope in scopes]

    def key(piece: Piece) -> _Key:
        return next((part for part in parts if piece.scope[: len(part)] == part), ())

    return collapsed(sketch, key)


def _by_runs(sketch: Sketch, count: int) -> _KeyOf:
    """Forward ops in so many runs of their order; what else there is belongs to one of those."""
    forward = [piece.id for piece in sketch.pieces.values() if _is_op(piece, "forward")]
    each = -(-len(forward) // count)
    run = {
        one: (f"ops {i // each * each + 1} to {i // each * each + each}",)
        for i, one in enumerate(forward)
    }
    readers: dict[str, str] = {}
    for link in sketch.links_of("data"):
        readers.setdefault(link.source, link.target)

    def key(piece: Piece) -> _Key:
        if piece.kind == "loss" or piece.kind == "input":
            return ()
        home = piece.home if piece.home is not None else piece.id
        own = piece.of if piece.lane == "backward" else readers.get(home, home)
        return run.get(piece.id, run.get(own or "", ()))

    return key


def _is_op(piece: Piece, lane: str) -> bool:
    return piece.lane == lane and not piece.given


def collapsed(sketch: Sketch, key_of: _KeyOf) -> Sketch:
    """One box for all of a lane that share a key, unless a path leaves them and comes back."""
    joined = _Joined(sketch, key_of)
    groups = joined.groups
    pieces = {group: joined.piece(group, members) for group, members in groups.items()}
    owner = joined.owner
    links = [
        replace(link, source=owner[link.source], target=owner[link.target])
        for link in sketch.links
        if owner[link.source] != owner[link.target]
    ]
    started = {owner[piece]: loss for piece, loss in sketch.started.items()}
    made = replace(sketch, pieces=pieces, links=tuple(merged(links)), started=started)
    return in_order(made)


class _Joined:
    """Which pieces share a box."""

    def __init__(self, sketch: Sketch, key_of: _KeyOf) -> None:
        self.sketch, self.key_of = sketch, key_of
        self.owner: dict[str, str] = {}
        self.groups: dict[str, list[Piece]] = {}
        self.before: dict[str, set[str]] = {}  # of each group, the groups that it reads
        self.reads: dict[str, list[str]] = {piece: [] for piece in sketch.pieces}
        readers: dict[str, list[str]] = {piece: [] for piece in sketch.pieces}
        for link in sketch.links_of("data", "saved", "gradient", "turn"):
            self.reads[link.target].append(link.source)
            readers[link.source].append(link.target)
        latest: dict[tuple[str, _Key], str] = {}
        held = [p for p in sketch.pieces.values() if not p.given and p.kind != "update"]
        for piece in held:
            self._place(piece, latest)
        for piece in sketch.pieces.values():
            if piece.given:
                self._place_given(piece, readers[piece.id], latest)
        for piece in sketch.pieces.values():
            if piece.kind == "update":
                self._place_update(piece)

    def _add(self, piece: Piece, group: str) -> None:
        self.groups.setdefault(group, []).append(piece)
        self.owner[piece.id] = group
        found = {self.owner[one] for one in self.reads[piece.id] if one in self.owner}
        self.before.setdefault(group, set()).update(found - {group})

    def _place(self, piece: Piece, latest: dict[tuple[str, _Key], str]) -> None:
        key = self.key_of(piece)
        if not key or piece.kind == "loss":
            self._add(piece, piece.id)
            return
        group = latest.get((piece.lane, key))
        if group is None or self._comes_back(piece, group):
            group = f"{piece.id}_and_more"
            latest[piece.lane, key] = group
        self._add(piece, group)

    def _comes_back(self, piece: Piece, group: str) -> bool:
        """Whether a piece needs the group through others: both would wait for each other."""
        waiting = [self.owner[one] for one in self.reads[piece.id] if one in self.owner]
        seen = {group}
        waiting = [one for one in waiting if one != group]
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            if group in self.before[one]:
                return True
            waiting += self.before[one]
        return False

    def _place_given(
        self, piece: Piece, readers: list[str], latest: Mapping[tuple[str, _Key], str]
    ) -> None:
        """A parameter that one box alone reads in the forward pass belongs to it.

        One that only updates read, as running averages, belongs to the box of its layer.
        """
        forward = {self.owner[one] for one in readers if self._lane(one) == "forward"}
        group = next(iter(forward)) if len(forward) == 1 else None
        if not forward and piece.kind == "state":
            group = latest.get((piece.lane, self.key_of(piece)))
        inside = group is not None and group.endswith("_and_more") and piece.kind != "input"
        self._add(piece, group if inside and group is not None else piece.id)

    def _lane(self, piece: str) -> str:
        return self.sketch.pieces[piece].lane

    def _place_update(self, piece: Piece) -> None:
        home = self.owner[piece.home] if piece.home is not None else None
        merged_home = home is not None and home.endswith("_and_more")
        self._add(piece, f"{home}_update" if merged_home else piece.id)

    def piece(self, group: str, members: list[Piece]) -> Piece:
        """The box of some pieces."""
        first = next((piece for piece in members if not piece.given), members[0])
        of = self.owner.get(first.of) if first.of is not None else None
        home = self.owner.get(first.home) if first.home is not None else None
        if len(members) == 1 and first.id == group:
            return replace(first, of=of, home=home if home in self.groups else None)
        key = self.key_of(first) or first.scope
        gradients = [piece for piece in members if piece.of is not None]
        ofs = [self.owner[piece.of] for piece in gradients if piece.of is not None]
        kind = first.kind if first.kind == "update" else "layer"
        own = max(set(ofs), key=lambda one: (ofs.count(one), one)) if ofs else None
        return Piece(
            group,
            kind,
            first.lane,
            tuple(node for piece in members for node in piece.nodes),
            key[:-1],
            of=own,
            home=home if kind == "update" else None,
            update=first.update,
            merged=len(members),
            path=key,
        )


def in_order(sketch: Sketch) -> Sketch:
    """The boxes in an order in which each comes after those that it reads."""
    reads: dict[str, set[str]] = {piece: set() for piece in sketch.pieces}
    for link in sketch.links_of("data", "saved", "gradient", "turn"):
        reads[link.target].add(link.source)
    order: dict[str, Piece] = {}
    for first in sketch.pieces:
        stack = [(first, False)]
        begun: set[str] = set()
        while stack:
            piece, ready = stack.pop()
            if piece in order:
                continue
            if ready:
                order[piece] = sketch.pieces[piece]
                continue
            if piece in begun:
                raise GraphError(f"the boxes around {piece} wait for each other")
            begun.add(piece)
            stack.append((piece, True))
            stack += [
                (one, False) for one in sorted(reads[piece], reverse=True) if one not in order
            ]
    return replace(sketch, pieces=order)
