"""What all optimizers share: gradients in, pairs (parameter, new value) out."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, Unpack

import numpy as np

from graphnn.autodiff import grad
from graphnn.calls import check_flags
from graphnn.context import role
from graphnn.errors import GraphError
from graphnn.hints import OF_OPTIMIZER, did_you_mean, lacking
from graphnn.node import Node, Parameter
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.rounding import sign
from graphnn.ops.training.update import decayed
from graphnn.optim.accumulation import Accumulation
from graphnn.optim.averages import Averages, swapped_in
from graphnn.optim.checks import check_at_least_0, check_positive, check_rate
from graphnn.optim.clip import get_total_norm
from graphnn.optim.groups import Group, as_groups, flattened, group_of, settings_of
from graphnn.optim.options import Common, Options
from graphnn.optim.schedule.base import EpochClock, Schedule

Pairs = list[tuple[Parameter, Node]]
# Short names of what is a setting of an optimizer.
PRESETS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "momentum": ("sgd", {"momentum": 0.9}),
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}),
}
Parameters = Sequence[Parameter] | Sequence[Mapping[str, Any]]


class Optimizer(ABC):
    """Declares update nodes for parameters; an optimizer of one's own writes ``step``.

    Parameters
    ----------
    lr
        Learning rate, > 0; or a schedule of it, such as ``optim.schedule.StepLR(0.1, 30)``.
    weight_decay
        λ of an L2 penalty λ/2 ‖p‖², added to the gradient as in torch; >= 0.
    l1
        Of an L1 penalty l1 ‖p‖₁: l1 sign(p) is added to the gradient; >= 0.
    clipnorm, global_clipnorm, clipvalue
        Clip gradients, as Keras names it: the norm of each, the norm of all together (as torch's
        ``clip_grad_norm_``), or each element. At most one of them.
    groups
        Settings for some of the parameters, as a list of dicts. ``"params"`` is a module, a list of
        parameters, or a function that says yes or no to one; the rest are settings, and
        ``"lr_scale"`` multiplies the learning rate; a ``"lr"`` of a group's own stays as it is.
        The first group that fits counts.
    ema_momentum
        Keep running averages of the weights, a ← β a + (1 - β) p; see :meth:`averaged`.
    gradient_accumulation_steps
        Change the weights at every k-th call only, by the mean of k gradients.
    loss_scale_factor
        The loss is multiplied by it before it is differentiated, the gradients divided by it.
    maximize
        Whether the loss is climbed.

    Attributes
    ----------
    rate
        The learning rate as a node. Where ``lr`` is a number it is a parameter, and setting
        ``optimizer.lr`` changes compiled functions too; a schedule's is there after
        :meth:`updates`.
    state
        Parameters that the optimizer keeps: momenta, counters.

    Raises
    ------
    GraphError
        For settings out of range.
    TypeError
        For settings that it does not have.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> w = gn.Parameter(np.float32([1, 2]), name="w")
    >>> loss = gn.sum(w * w)
    >>> optimizer = gn.optim.SGD(lr=0.25)
    >>> step = gn.function([], loss, updates=optimizer.updates(loss, [w]))
    >>> optimizer.lr = 0.5  # the compiled step follows
    >>> float(step()), w.value
    (5.0, array([0., 0.], dtype=float32))

    No decay of biases, and twice the rate for them:

    >>> free = {"params": gn.optim.biases_and_norms, "weight_decay": 0.0, "lr_scale": 2.0}
    >>> gn.optim.AdamW(weight_decay=0.1, groups=[free]).weight_decay
    0.1
    """

    names: ClassVar[dict[str, type[Optimizer]]] = {}
    # Whether ``step`` shrinks the weights itself, so that no L2 penalty joins the gradient.
    decay_is_decoupled: bool = False
    rate: Node
    weight_decay: float
    state: list[Parameter]

    def __new__(cls, *settings: Any, **options: Any) -> Self:
        """Say which setting was meant, where there is none of that name."""
        known = inspect.signature(cls.__init__).parameters
        own = [name for name in known if name not in ("self", "common")]
        if "common" in known:
            own += Common.__annotations__
        elif any(p.kind is p.VAR_KEYWORD for p in known.values()):
            own += options
        for name in options:
            if name not in own:
                raise TypeError(
                    f"{cls.__name__} has no setting {name!r}; it has {', '.join(own)}."
                    f"{did_you_mean(name, own, '{}=')}"
                )
        check_flags(cls.__name__, cls.__init__, (None, *settings), options)
        check_flags(cls.__name__, Options.__init__, (), options)
        # Parameters at first, as in torch: said before Python complains of a second lr.
        if settings and "lr" in options and own[0] == "lr":
            check_rate(cls.__name__, settings[0])
        return super().__new__(cls)

    def __init__(
        self, lr: float | Schedule, weight_decay: float = 0.0, **common: Unpack[Common]
    ) -> None:
        check_at_least_0("weight_decay", weight_decay)
        self.schedule = lr if isinstance(lr, Schedule) else None
        if not isinstance(lr, Schedule):
            check_rate(type(self).__name__, lr)
            self.rate = Parameter(np.float64(lr), name="lr", trainable=False)
        self.weight_decay = weight_decay
        self.options = Options(**common)
        self.groups = as_groups(self.options.groups, settings_of(type(self)))
        self.state = []
        self.averages: dict[Parameter, Parameter] = {}
        self._clock = EpochClock()
        self._counter: Parameter | None = None
        self._owner: Optimizer = self
        self._gradients: tuple[Node, ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        Optimizer.names[cls.__name__.lower()] = cls

    @classmethod
    def named(cls, name: str, **settings: Any) -> Optimizer:
        """An optimizer with default settings but those, by its class's name in lower case."""
        kind, preset = PRESETS.get(name, (name, {}))
        if kind not in cls.names:
            known = sorted([*cls.names, *PRESETS])
            raise GraphError(
                f"optimizer is one of {known}; got {name!r}.{did_you_mean(name, known)}"
            )
        return cls.names[kind](**{**preset, **settings})

    @property
    def lr(self) -> float | Schedule:
        """The learning rate, or its schedule."""
        if self.schedule is not None:
            return self.schedule
        assert isinstance(self.rate, Parameter)
        return float(self.rate.value)

    @lr.setter
    def lr(self, value: float) -> None:
        if isinstance(value, Schedule) or self.schedule is not None:
            raise GraphError(
                "a schedule is part of the compiled step: make a new optimizer, such as "
                f"{type(self).__name__}(lr={value!r}), and compile with it"
            )
        check_positive("lr", value)
        assert isinstance(self.rate, Parameter)
        self.rate.value = np.float64(value)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of its own, those that all optimizers share left out."""
        names = settings_of(type(self))
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def with_lr(self, lr: float | Schedule) -> Self:
        """A new optimizer of the same settings and another learning rate."""
        return type(self)(**{**self._all_settings(), **self.options.changed(), "lr": lr})

    def __repr__(self) -> str:
        shown = {**self.settings, **self.options.changed()}
        settings = [f"{name}={value!r}" for name, value in shown.items()]
        return f"{type(self).__name__}({', '.join(settings)})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise lacking(self, name, OF_OPTIMIZER)

    # Declaring updates.

    def updates(self, loss: Node, parameters: Parameters) -> Pairs:
        """Pairs (parameter, node of its new value), for ``gn.function``.

        Parameters
        ----------
        loss
            Float scalar.
        parameters
            What is changed; ones that are not trainable are left alone. Or torch's list of dicts,
            ``[{"params": parameters, "lr": 0.1}, ...]``.
        """
        given, groups = flattened(parameters, settings_of(type(self)))
        chosen = [parameter for parameter in given if parameter.trainable]
        if not chosen:
            frozen = any(parameter.learned for parameter in given)
            fix = " All are frozen: net.requires_grad_(True) releases them." if frozen else ""
            raise GraphError(f"there is no trainable parameter to update.{fix}")
        factor = self.options.loss_scale_factor
        if factor is None:
            return self._declared(grad(loss, chosen), chosen, groups)
        gradients = grad(loss * factor, chosen)
        with role("update"):
            gradients = [gradient / factor for gradient in gradients]
        return self._declared(gradients, chosen, groups)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Node, Parameter]]) -> Pairs:
        """Updates by gradients of one's own: pairs (gradient, parameter), as Keras has it.

        Raises
        ------
        GraphError
            If there is none.

        Examples
        --------
        >>> import numpy as np
        >>> import graphnn as gn
        >>> w = gn.Parameter(np.float32([3, 4]), name="w")
        >>> loss = gn.sum(w * w) / 2.0
        >>> clipped, norm = gn.optim.clip_grad_norm([gn.grad(loss, w)], max_norm=1.0)
        >>> pairs = gn.optim.SGD(lr=1.0).apply_gradients(zip(clipped, [w]))
        >>> float(gn.function([], norm, updates=pairs)()), w.value.round(3)
        (5.0, array([2.4, 3.2], dtype=float32))
        """
        pairs = list(grads_and_vars)
        if not pairs:
            raise GraphError("there is no gradient to apply: give pairs (gradient, parameter)")
        gradients, parameters = zip(*pairs, strict=True)
        return self._declared(gradients, parameters, [])

    def _declared(
        self, gradients: Sequence[Node], parameters: Sequence[Parameter], groups: Sequence[Group]
    ) -> Pairs:
        options = self.options
        self._counter, self.averages = None, {}
        with role("update"):
            if self.schedule is not None:
                self.rate = self.schedule.node(self.steps_done, self._clock)
            if options.maximize:
                gradients = [-gradient for gradient in gradients]
        held = Accumulation(self, options.gradient_accumulation_steps)
        gradients = held.added(gradients, parameters)
        self._gradients = tuple(gradients)
        with role("update"):
            gradients = options.clipped(gradients)
        pairs = self._stepped(gradients, parameters, [*groups, *self.groups])
        if options.ema_momentum is not None:
            averages = Averages(self, options.ema_momentum, pairs)
            pairs, self.averages = pairs + averages.pairs(parameters), averages.kept
        counter = self._owner._counter
        if counter is not None:
            with role("update"):
                pairs = [(counter, counter + 1.0), *pairs]
        return held.held(pairs)

    def _stepped(
        self, gradients: Sequence[Node], parameters: Sequence[Parameter], groups: Sequence[Group]
    ) -> Pairs:
        """The updates by the rule of each parameter's group."""
        places = group_of(parameters, groups)
        rules = {place: self._rule(groups[place] if place >= 0 else None) for place in places}
        with role("update"):
            pairs = [pair for rule in rules.values() for pair in rule.shared_nodes()]
        for parameter, gradient, place in zip(parameters, gradients, places, strict=True):
            rule = rules[place]
            with role("update", forward_of=parameter):
                pairs += rule.step(parameter, rule.penalized(gradient, parameter))
        return pairs

    def _rule(self, group: Group | None) -> Optimizer:
        """The optimizer itself, or one with the settings of a group, which shares its state."""
        if group is None:
            return self
        made = type(self)(**{**self._all_settings(), **group.settings})
        made._owner, made.state, made._clock = self, self.state, self._clock
        with role("update"):
            if "lr" not in group.settings:
                made.rate = self.rate
            elif made.schedule is not None:
                made.rate = made.schedule.node(made.steps_done, made._clock)
            if group.lr_scale != 1.0:
                made.rate = made.rate * group.lr_scale
        return made

    def _all_settings(self) -> dict[str, Any]:
        known, own = settings_of(type(self)), self.settings
        for name in known:
            if name not in own:
                raise GraphError(
                    f"this needs a {type(self).__name__} that remembers its settings: say "
                    f"self.{name} = {name} in its __init__"
                )
        return own | ({"l1": self.options.l1} if self.options.l1 else {})

    def penalized(self, gradient: Node, parameter: Parameter) -> Node:
        """The gradient with that of the L1 and the L2 penalty."""
        if self.options.l1:
            gradient = decayed(gradient, sign(parameter), self.options.l1)
        if self.weight_decay and not self.decay_is_decoupled:
            gradient = decayed(gradient, parameter, self.weight_decay)
        return gradient

    # What a rule is made of.

    @property
    def steps_done(self) -> Parameter:
        """The counter of steps, float64; it is kept only if it is asked for."""
        owner = self._owner
        if owner._counter is None:
            owner._counter = Parameter(np.float64(0), name="step", trainable=False)
            owner.state.append(owner._counter)
        return owner._counter

    def rate_for(self, parameter: Parameter) -> Node:
        """The learning rate in the dtype of a parameter."""
        return cast(self.rate, parameter.dtype)

    def shrunk(self, parameter: Parameter) -> Node:
        """The parameter after decoupled weight decay, ``p (1 - lr λ)``."""
        if not self.weight_decay or not self.decay_is_decoupled:
            return parameter
        return parameter * cast(1.0 - self.rate * self.weight_decay, parameter.dtype)

    def keep(self, parameter: Parameter, name: str, value: float = 0.0) -> Parameter:
        """A new state of the shape of ``parameter``, everywhere ``value`` at first."""
        made = Parameter(
            np.full_like(parameter.value, value), name=f"{parameter.label}.{name}", trainable=False
        )
        self.state.append(made)
        return made

    def shared_nodes(self) -> Pairs:
        """Updates that all parameters share, and what follows from the step counter."""
        return []

    @abstractmethod
    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its state."""

    # Beside the steps.

    @property
    def grad_norm(self) -> Node:
        """The 2-norm of all gradients together, before they are clipped; after :meth:`updates`.

        Raises
        ------
        GraphError
            Before that.
        """
        if not self._gradients:
            raise GraphError("the norm of the gradients is there after updates(loss, parameters)")
        return get_total_norm(self._gradients)

    def begin_epochs(self, steps: int, done: int) -> None:
        """Tell schedules in epochs how many steps an epoch has, and how many epochs are done.

        ``Model.fit`` does so; a loop of one's own over a ``gn.function`` does it once.
        """
        count = 0.0 if self._counter is None else float(self._counter.value)
        length = steps / self.options.gradient_accumulation_steps
        self._clock.set(length, done * length - count)

    @property
    def counts_epochs(self) -> bool:
        """Whether the declared updates need :meth:`begin_epochs` to know the length of an epoch."""
        return self._clock.used

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the parameters have their running averages as values: evaluate, predict, save.

        Do not train inside: what that changes is dropped at the end.

        Raises
        ------
        GraphError
            Without ``ema_momentum``, and before the first step.

        Examples
        --------
        >>> import numpy as np
        >>> import graphnn as gn
        >>> w = gn.Parameter(np.float32([8]), name="w")
        >>> optimizer = gn.optim.SGD(lr=0.25, ema_momentum=0.5)
        >>> step = gn.function([], [], updates=optimizer.updates(gn.sum(w * w), [w]))
        >>> for _ in range(2):
        ...     _ = step()
        >>> with optimizer.averaged():
        ...     print(w.value)  # the mean of 4 and 2
        [3.]
        >>> w.value
        array([2.], dtype=float32)
        """
        if not self.averages:
            raise GraphError(
                "there are no averages: make the optimizer with ema_momentum=0.999, and take them "
                "after updates or model.compile"
            )
        if not self.steps_done.value:
            raise GraphError("there is nothing to average before the first step")
        return swapped_in(self.averages)
