"""What an evaluation is given: a model or a folder of clips, and the real clips to compare with, of one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvdgan.config import Config, DataConfig
from dvdgan.config.data import PHENOMENA
from dvdgan.config.files import override, updated
from dvdgan.data import phenomena
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import is_store
from dvdgan.devices import pick_device
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.folder_clips import open_folder
from dvdgan.evaluation.parts import Parts, open_parts
from dvdgan.evaluation.real_clips import RealClips
from dvdgan.evaluation.sets import REFERENCE
from dvdgan.evaluation.settings import EvaluationSettings
from dvdgan.models import Model, find_model, load_model

_SIZE, _FRAMES = 64, 12  # of clips in a folder, where nothing says it
_DIVIDING = ("split", "test_fraction", "split_seed", "group", "fold", "list_file")  # fields that say what trains
_RENDERED = ("seed", "clips_per_class")  # fields that say which clips there are, where they are rendered
_FROM_FILES = ("layout", "parts", "class_depth", "target_fps", "max_seconds", "windows")  # the same, of files
_LEAST_HELD_OUT = 180  # clips, for the tests that need some whatever a set has


@dataclass(frozen=True)
class Inputs:
    """What is evaluated, and against what.

    Attributes:
        made: the model, or the folder's clips.
        path: of the model's own directory, or of the folder.
        parts: the real clips.
        data: how they are read.
        unsearched: why copies may be there although none is found among the training part, in a sentence; "" if no
            reason is known.
    """

    made: Model | RealClips
    path: Path
    parts: Parts
    data: DataConfig
    unsearched: str = ""


def open_inputs(
    model: Path | None,
    clips: Path | None,
    source: str | None,
    fields: Sequence[str],
    classifier: Classifier | None,
    settings: EvaluationSettings,
    folder: Path,
    device: str | None,
    say: Callable[[str], None],
) -> Inputs:
    """Open all of it.

    Args, beside those of `evaluate`:
        source: what `data` is there.
        fields: they come after the model's own configuration.
        classifier: gives the size and the length of a folder's clips, where nothing else does.
        folder: where packed stores are made.

    Raises:
        EvaluationError: both a model and clips, or none; a size that the model does not have; data.source as a field.
        ModelError: the model cannot be used.
        ConfigError: a field that there is not.
        DataError: clips that cannot be used.
    """
    if (model is None) == (clips is None):
        raise EvaluationError("give either --model or --clips: a model's directory, or a folder of clips")
    if any(field.partition("=")[0].strip() == "data.source" for field in fields):
        raise EvaluationError("data.source: name the real clips with --data")
    loaded, classes, own = None, 0, False
    if model is not None:
        loaded = load_model(model, pick_device(device))
        place = find_model(model)
        (base, own), classes = _as_trained(loaded, model, source), len(loaded.classes)
        size, frames = loaded.config.network.size, settings.frames or loaded.config.network.frames
        if frames <= (given := loaded.config.network.first_frames):
            raise EvaluationError(f"{model}: is given the first {given} frames; give frames={given + 1} or more")
        if settings.size not in (None, size):
            raise EvaluationError(f"{model}: makes clips of {size} px; leave size out, or give {size}")
    else:
        if source is None:
            raise EvaluationError("name the real clips to compare with: --data")
        assert clips is not None
        place, base = clips, DataConfig(source=source)
        known = settings.size or store_size(source) or store_size(str(clips))
        size = known or (classifier.size if classifier else _SIZE)
        frames = settings.frames or (classifier.frames if classifier else _FRAMES)
    data = override(Config(data=base), list(fields)).data
    most = settings.clips(classes or (len(phenomena.CLASSES) if data.source == PHENOMENA else 0))
    if not classes and data.source != PHENOMENA:
        most = max(most, settings.clips(10**6))  # how many classes there are is not known yet
    made = loaded if loaded is not None else open_folder(place, size, frames, folder / "clips")
    held_out_clips = max(REFERENCE * most, _LEAST_HELD_OUT)
    parts = open_parts(data, size, frames, folder, held_out_clips=held_out_clips, say=say)
    unsearched = "" if loaded is None else _unsearched(loaded.config.data, data, parts, own)
    return Inputs(made, place, parts, data, unsearched)


def _as_trained(model: Model, directory: Path, source: str | None) -> tuple[DataConfig, bool]:
    """How the model's data was read, of another source only how its frames are taken; and whether it is the model's."""
    own, packed = model.config.data, _packed_by_run(directory)
    if source is None or _same_place(source, own.source):
        if packed is None and own.source is None:
            raise EvaluationError(f"{directory}: does not say what it was trained on; name the data with --data")
        return own if packed is None else own.model_copy(update={"source": str(packed)}), True
    if packed is not None and _same_place(source, str(packed)):
        return own.model_copy(update={"source": source}), True
    here = {"source": source, "layout": "auto", "list_file": None, "split": "train"}
    reset: dict[str, Any] = {**here, "flip": False, "flip_labels": {}}
    return updated(Config(data=own), data=reset).data, False


def _same_place(source: str, other: str | None) -> bool:
    """Whether two sources are the same, however their paths are spelt; a folder called phenomena is not those."""
    if other is None or PHENOMENA in (source, other):
        return source == other
    return Path(source).resolve() == Path(other).resolve()


def _unsearched(trained: DataConfig, data: DataConfig, parts: Parts, own: bool) -> str:
    """Why a model may have learned from clips that are not in the training part, in a sentence; "" if it has not."""
    if not own:
        return f"The model was trained on {trained.source or 'other clips'}, and copies of those are not looked for."
    if parts.chosen_here:
        return (
            "The model was trained on all clips, the held-out ones too, and copies of these are not looked for; "
            "a training that leaves some out (data.test_fraction=0.2) tells more."
        )
    if trained.split != "train":
        return (
            f"The model was trained with data.split={trained.split}, and copies of held-out clips are not looked for."
        )
    changed = [name for name in _DIVIDING if getattr(trained, name) != getattr(data, name)]
    if changed:
        return f"The data is divided otherwise than in training ({', '.join(changed)}), and copies may stay unseen."
    assert data.source is not None
    making = _RENDERED if data.source == PHENOMENA else () if is_store(data.source) else _FROM_FILES
    changed = [name for name in making if getattr(trained, name) != getattr(data, name)]
    if changed:
        return f"The clips are others than in training ({', '.join(changed)}), and copies may stay unseen."
    return ""


def _packed_by_run(directory: Path) -> Path | None:
    """The packed clips of the run that a directory is, or that its model is in."""
    for run in (directory, directory.parent) if directory.name == "model" else (directory,):
        if is_store(run / "data"):
            return run / "data"
    return None


def store_size(source: str) -> int | None:
    """The short side of a packed store's frames, in pixels; None for other sources."""
    return ClipStore.open(source).size if source != PHENOMENA and is_store(source) else None
