"""What a person sees while a network trains."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from graphnn.train.epochs import Run
from graphnn.train.measures import Value, figures


class Reporter(Protocol):
    """Shows the state of a run; used as a context."""

    def __enter__(self) -> Reporter:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, whatever happened."""

    def watch(self, run: Run, first_epoch: int) -> None:
        """Show where the run is."""

    def begin(self, kernels: int, seconds: float) -> None:
        """Say that training begins, and how many kernels were compiled for it, how long."""

    def epoch_done(
        self, epoch: int, names: Sequence[str], values: Sequence[Value], seconds: float
    ) -> None:
        """Say what an epoch brought."""


def reporter(verbose: int, epochs: int, names: Sequence[str]) -> Reporter:
    """Silence (0), a bar on a terminal and lines elsewhere (1), a line an epoch (2)."""
    if verbose == 0:
        return Silent()
    console = Console(file=sys.stdout)
    if verbose == 1 and console.is_terminal and not console.is_dumb_terminal:
        return Bar(console, epochs, names)
    return Lines(epochs, Rarely(epochs) if verbose == 1 else None)


def figure(value: float) -> str:
    """Four decimals, or four digits of what is very small or large: 0.3021, 3.181e-05."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


class Rarely:
    """Which epochs are worth a line: a hundred of all, one a second, and the last."""

    def __init__(self, epochs: int, seconds: float = 1.0) -> None:
        self.epochs, self.seconds = epochs, seconds
        self.every = -(-epochs // 100)
        self.last = time.perf_counter()

    def now(self, epoch: int) -> bool:
        """Whether this epoch gets a line."""
        late = time.perf_counter() - self.last >= self.seconds
        if not late and (epoch + 1) % self.every and epoch + 1 < self.epochs:
            return False
        self.last = time.perf_counter()
        return True


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def watch(self, run: Run, first_epoch: int) -> None:
        """Nothing."""

    def begin(self, kernels: int, seconds: float) -> None:
        """Nothing."""

    def epoch_done(
        self, epoch: int, names: Sequence[str], values: Sequence[Value], seconds: float
    ) -> None:
        """Nothing."""


class Lines:
    """Plain lines, one an epoch or fewer: for log files and pipes."""

    def __init__(self, epochs: int, chosen: Rarely | None = None) -> None:
        self.epochs, self.chosen = epochs, chosen

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def watch(self, run: Run, first_epoch: int) -> None:
        """Nothing: a line is not moved."""

    def begin(self, kernels: int, seconds: float) -> None:
        """Say what was compiled, if anything."""
        if kernels:
            print(f"compiled {kernels} kernels in {seconds:.1f} s", flush=True)

    def epoch_done(
        self, epoch: int, names: Sequence[str], values: Sequence[Value], seconds: float
    ) -> None:
        """Print the line."""
        if self.chosen is None or self.chosen.now(epoch):
            shown = figures(dict(zip(names, values, strict=True)))
            facts = "  ".join(f"{name}={figure(value)}" for name, value in shown.items())
            print(f"epoch {epoch + 1}/{self.epochs}  {seconds:.2f} s  {facts}", flush=True)


class _Speed(ProgressColumn):
    """Samples a second."""

    def render(self, task: Task) -> Text:
        speed = task.fields["speed"]
        return Text(f"{speed / 1000:.0f}k samples/s" if speed >= 1e4 else f"{speed:.0f} samples/s")


class _Remaining(ProgressColumn):
    """Time to the end of the last epoch."""

    def render(self, task: Task) -> Text:
        left = task.fields["left"]
        if left is None:
            return Text("ETA -:--", style="dim")
        return Text(f"ETA {int(left) // 60}:{int(left) % 60:02d}", style="cyan")


def _one() -> Column:
    """A column that never breaks its line: what is drawn is one line, and can be erased."""
    return Column(no_wrap=True)


class Bar:
    """A progress bar of the present epoch; finished epochs stay above it as lines."""

    def __init__(self, console: Console, epochs: int, names: Sequence[str]) -> None:
        self.epochs, self.names = epochs, list(names)
        self.started = time.perf_counter()
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}", table_column=_one()),
            BarColumn(bar_width=None, table_column=Column(max_width=24)),  # gives way first
            TextColumn("{task.fields[place]}", table_column=_one()),
            TextColumn("[bold]{task.fields[facts]}", table_column=_one()),
            _Speed(Column(no_wrap=True)),
            _Remaining(Column(no_wrap=True)),
            console=console,
            transient=True,
            refresh_per_second=10,
        )
        self.task = self.bar.add_task(
            "",
            total=None,
            epoch=1,
            epochs=epochs,
            place="compiling",
            facts="",
            speed=0.0,
            left=None,
        )
        self.width = len(str(epochs))
        self.chosen = Rarely(epochs)

    def __enter__(self) -> Bar:
        try:
            self.bar.start()
        except BaseException:  # Ctrl-C in the middle of the first drawing: show the cursor again
            self.bar.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.bar.stop()

    def begin(self, kernels: int, seconds: float) -> None:
        """Count the speed from here on; compiling is over."""
        self.started = time.perf_counter()

    def watch(self, run: Run, first_epoch: int) -> None:
        """Move the bar."""
        done, batch = run.progress
        seen = run.part(done)[1] if done < run.epochs else 0
        if not batch and done:  # an epoch that has ended is shown until the next has a batch
            done, batch, seen = done - 1, run.batches, run.samples
        epoch = first_epoch + done
        total = epoch * run.samples + seen
        seconds = time.perf_counter() - self.started
        speed = (total - first_epoch * run.samples) / seconds if seconds else 0.0
        rest = self.epochs * run.samples - total
        self.bar.update(
            self.task,
            completed=batch,
            total=run.batches or None,  # of a stream whose end nobody knows
            place=f"{batch}/{run.batches or '?'}",
            epoch=epoch + 1,
            facts=self._facts(run, epoch - first_epoch, seen),
            speed=speed,
            left=rest / speed if speed and run.samples else None,
        )
        self.bar.tasks[0].finished_time = None  # an epoch is: the spinner turns for the next one

    def _facts(self, run: Run, row: int, seen: int) -> str:
        if not seen:
            return ""
        values = run.measures.values(run.sums[row], seen)
        shown = figures(dict(zip(self.names, values, strict=False)))
        return "  ".join(f"{name} {figure(value)}" for name, value in shown.items())

    def epoch_done(
        self, epoch: int, names: Sequence[str], values: Sequence[Value], seconds: float
    ) -> None:
        """Leave a line for the epoch, each validation value beside that of training."""
        if not self.chosen.now(epoch):
            return
        shown = figures(dict(zip(names, values, strict=True)))
        found = {name: figure(value) for name, value in shown.items()}
        facts = "  ".join(
            f"[dim]{name}[/] {found[name]}"
            + (f" [dim]val[/] {found[f'val_{name}']}" if f"val_{name}" in found else "")
            for name in self.names
            if name in found
        )
        number = f"{epoch + 1:>{self.width}}/{self.epochs}"
        self.bar.console.print(f"epoch {number}  {seconds:6.2f} s  {facts}", highlight=False)
