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

from graphnn.train.epochs import EpochRun


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

    def watch(self, run: EpochRun, first_epoch: int) -> None:
        """Show where the run is."""

    def epoch_done(self, epoch: int, names: Sequence[str], values: Sequence[float]) -> None:
        """Say what an epoch brought."""


def reporter(verbose: int, epochs: int, names: Sequence[str]) -> Reporter:
    """Silence (0), a bar on a terminal and lines elsewhere (1), a line an epoch (2)."""
    if verbose == 0:
        return Silent()
    console = Console(file=sys.stdout)
    if verbose == 1 and console.is_terminal and not console.is_dumb_terminal:
        return Bar(console, epochs, names)
    return Lines(epochs)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def watch(self, run: EpochRun, first_epoch: int) -> None:
        """Nothing."""

    def epoch_done(self, epoch: int, names: Sequence[str], values: Sequence[float]) -> None:
        """Nothing."""


class Lines(Silent):
    """One plain line an epoch: for log files and pipes."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.started = time.perf_counter()

    def epoch_done(self, epoch: int, names: Sequence[str], values: Sequence[float]) -> None:
        """Print the line."""
        seconds = time.perf_counter() - self.started
        self.started = time.perf_counter()
        facts = "  ".join(f"{n}={v:.4f}" for n, v in zip(names, values, strict=True))
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


class Bar:
    """A progress bar of the present epoch; finished epochs stay above it as lines."""

    def __init__(self, console: Console, epochs: int, names: Sequence[str]) -> None:
        self.epochs, self.names = epochs, list(names)
        self.started = time.perf_counter()
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None, table_column=Column(max_width=24)),  # gives way first
            TextColumn("{task.fields[place]}"),
            TextColumn("[bold]{task.fields[facts]}"),
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
        self.epoch_started = self.started

    def __enter__(self) -> Bar:
        try:
            self.bar.start()
        except BaseException:  # Ctrl-C in the middle of the first drawing: show the cursor again
            self.bar.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.bar.stop()

    def watch(self, run: EpochRun, first_epoch: int) -> None:
        """Move the bar."""
        done, batch = run.progress
        epoch = first_epoch + min(done, run.epochs - 1)
        seen = min(batch * run.batch, run.samples)
        total = (first_epoch + done) * run.samples + (seen if done < run.epochs else 0)
        seconds = time.perf_counter() - self.started
        speed = total / seconds if seconds else 0.0
        rest = self.epochs * run.samples - total
        self.bar.update(
            self.task,
            completed=batch,
            total=run.batches,
            place=f"{batch}/{run.batches}",
            epoch=epoch + 1,
            facts=self._facts(run, epoch - first_epoch, seen),
            speed=speed,
            left=rest / speed if speed else None,
        )
        self.bar.tasks[0].finished_time = None  # an epoch is: the spinner turns for the next one

    def _facts(self, run: EpochRun, row: int, seen: int) -> str:
        if not seen:
            return ""
        values = run.sums[row] / seen
        return "  ".join(f"{n} {v:.4f}" for n, v in zip(self.names, values, strict=False))

    def epoch_done(self, epoch: int, names: Sequence[str], values: Sequence[float]) -> None:
        """Leave a line for the epoch."""
        now = time.perf_counter()
        seconds, self.epoch_started = now - self.epoch_started, now
        facts = "  ".join(f"[dim]{n}[/] {v:.4f}" for n, v in zip(names, values, strict=True))
        number = f"{epoch + 1:>{self.width}}/{self.epochs}"
        self.bar.console.print(f"epoch {number}  {seconds:6.2f} s  {facts}", highlight=False)
