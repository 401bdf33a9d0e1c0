"""The log of a run for TensorBoard, an extra: ``pip install 'dvdgan[tensorboard]'``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dvdgan.runs.directory import TrainingError


class TensorBoard:
    """Writes lines of the log, and sheets, as TensorBoard's events.

    Args:
        folder: where to; made if missing.
        step: the step that training goes on from; what an interruption left beyond it is hidden.

    Raises:
        TrainingError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainingError(
                "training.tensorboard needs TensorBoard: pip install 'dvdgan[tensorboard]', or set it to false"
            ) from None
        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, line: Mapping[str, Any]) -> None:
        """Write one line of the log: numbers as scalars, events as text."""
        if "event" in line:
            about = f" ({line['about']})" if line["about"] else ""
            text = f"{line['event']}{about}, {line['state']}: {line['message']} {line['advice']}"
            self._writer.add_text("events", text, line["step"])
            return
        for name, value in _scalars(line):
            self._writer.add_scalar(name, value, line["step"])

    def image(self, image: np.ndarray, step: int) -> None:
        """Write an image, uint8 ``[H, W, 3]``."""
        self._writer.add_image("samples", image, step, dataformats="HWC")

    def flush(self) -> None:
        """Write what is buffered."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is buffered, and close the file."""
        self._writer.close()


def _scalars(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of a line by path; ``loss_spatial`` becomes ``loss/spatial``, so that kinds are grouped."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and name != "step":
            yield prefix + (name.replace("_", "/", 1) if not prefix else name), float(value)
