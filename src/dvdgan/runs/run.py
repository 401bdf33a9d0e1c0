"""A training under way in its directory: where it goes on, when it stops, what it writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from dvdgan.runs import distributed
from dvdgan.runs.checkpoint import CheckpointError, prune, restore_newest, save_and_prune
from dvdgan.runs.events import Event, in_lines
from dvdgan.runs.log import Log
from dvdgan.runs.progress import ProgressDisplay
from dvdgan.runs.retention import Retention
from dvdgan.runs.signals import Interrupted, stop_signals
from dvdgan.runs.state import RunState
from dvdgan.runs.tensorboard import TensorBoard


class Run:
    """A training under way: restores the newest checkpoint, if there is one; then, with a trainer's own step,

        with run.training("…"):
            while run.goes_on:
                …
                run.count_step()
                if run.due(every): run.write({…})
                if run.ended or run.stopped or run.due(every): run.save()

    In several processes (`dvdgan.runs.distributed`) all agree on when it ends, and the main one alone writes.

    Args:
        folder: the run's directory.
        state: the training's state, new; restored from the newest checkpoint.
        steps: steps in all.
        minutes: of training, all parts of the run together, after which it ends; None trains all the steps.
        retention: which checkpoints stay.
        say: where lines for the user go.

    Attributes:
        resumed: whether there was a checkpoint.
        display: while `training`, the progress bar; its `note` says lines without tearing it.

    Raises:
        CheckpointError: no checkpoint can be used.
    """

    def __init__(
        self,
        folder: Path,
        state: RunState,
        steps: int,
        minutes: float | None,
        retention: Retention,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.state, self.steps, self.minutes = folder, state, steps, minutes
        self._retention, self.say = retention, say
        self._received: list[int] = []
        self._agreed_signal = 0
        self._writes = distributed.is_main()
        self._board: TensorBoard | None = None
        checkpoints = folder / "checkpoints"
        self.resumed = distributed.main_first(lambda: restore_newest(checkpoints, state.restore, say))
        at = distributed.gathered(torch.tensor([state.step])).tolist()
        if len(set(at)) > 1:
            raise CheckpointError(
                f"{checkpoints}: processes find checkpoints of different steps ({', '.join(map(str, at))}); put the "
                "run's directory where all machines see it"
            )
        self._saved_step = state.step if self.resumed else -1
        if self.resumed:
            say(f"resumed at step {state.step}, after {state.seconds / 60:.1f} minutes of training")
            if self._writes:
                prune(checkpoints, retention)  # a kill right after a save leaves one too many

    @contextmanager
    def training(self, title: str = "training", tensorboard: bool = False) -> Iterator[None]:
        """Keep the log open, watch for signals and show progress; at the end, leave if a signal came.

        Args:
            title: of the progress bar.
            tensorboard: whether the log goes to TensorBoard as well.

        Raises:
            TrainingError: TensorBoard is wanted and not installed.
            Interrupted: a SIGINT, SIGTERM or SIGHUP came; everything is saved.
        """
        state = self.state
        with ExitStack() as stack:
            if tensorboard and self._writes:
                self._board = stack.enter_context(closing(TensorBoard(self.folder / "tensorboard", state.step)))
            if self._writes:
                self._log = stack.enter_context(closing(Log(self.folder / "log.jsonl", state.lines, self.say)))
                state.lines = self._log.lines
            self._received = stack.enter_context(stop_signals(repeated=distributed.world_size() > 1))
            known = state.step, self.steps, state.seconds, self.minutes
            self.display = stack.enter_context(ProgressDisplay(title, *known, self.say, self._writes))
            self._mark = time.perf_counter()
            yield
            if self.stopped:
                self.save()
                distributed.wait()  # the end of one process is the end of all
                raise Interrupted(self._signal)

    @property
    def stopped(self) -> bool:
        """Whether a signal to stop came, to any of the processes."""
        return self._signal > 0

    @property
    def _signal(self) -> int:
        """The number of the signal that came; of several processes, the one that they agreed on after the last step."""
        if distributed.world_size() > 1:
            return self._agreed_signal
        return self._received[0] if self._received else 0

    @property
    def ended(self) -> bool:
        """Whether the steps or the minutes are over."""
        over_budget = self.minutes is not None and self.state.seconds >= 60 * self.minutes
        return self.state.step >= self.steps or over_budget

    @property
    def goes_on(self) -> bool:
        """Whether there is another step to do."""
        return not (self.ended or self.stopped)

    def count_step(self) -> None:
        """Count a finished step, and the time since the last one."""
        now = time.perf_counter()
        self.state.step += 1
        self.state.seconds, self._mark = self.state.seconds + now - self._mark, now
        if distributed.world_size() > 1:
            signal = self._received[0] if self._received else 0
            seen = distributed.gathered(torch.tensor([[self.state.seconds, signal]], dtype=torch.float64))
            self.state.seconds, self._agreed_signal = float(seen[0, 0]), int(seen[:, 1].max())

    def due(self, every: int) -> bool:
        """Whether the step is one of every so many."""
        return self.state.step % every == 0

    def show(self, figures: str | None = None) -> None:
        """Move the progress bar; with main figures of a line of the log, say them where there is no terminal."""
        self.display.show(self.state.step, self.state.seconds, figures)

    def write(self, line: dict[str, Any]) -> None:
        """Append a line to the log; ``step`` is put before it."""
        if not self._writes:
            return
        line = {"step": self.state.step, **line}
        self._log.write(line)
        self.state.lines = self._log.lines
        if self._board is not None:
            self._board.write(line)

    def report(self, events: Sequence[Event]) -> None:
        """Write events to the log, and say them."""
        for event in events:
            self.write(event.line())
        for text in in_lines(events):
            self.display.note(text)

    def show_image(self, image: Any) -> None:
        """Write an image, uint8 ``[H, W, 3]``, to TensorBoard, if that is wanted."""
        if self._board is not None:
            self._board.image(image, self.state.step)

    def save(self, again: bool = False) -> None:
        """Save a checkpoint, unless this step's is there.

        Args:
            again: save it even so, because there is more to say of this step.

        Raises:
            OSError: it cannot be written; the newest checkpoint on disk is as it was.
        """
        state = self.state
        if not self._writes or (self._saved_step == state.step and not again):
            return
        self._log.sync()
        if self._board is not None:
            self._board.flush()
        folder = self.folder / "checkpoints"
        save_and_prune(folder, state.step, state.tensors(), state.numbers(), self._retention, self.display.note)
        self._saved_step = state.step
