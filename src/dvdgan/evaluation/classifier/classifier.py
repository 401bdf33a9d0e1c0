"""The classifier of clips, trained on the same data, that the paper's protocol measures with (PAPER.md 6).

Its class probabilities give the Inception Score and class fidelity, its pooled features a Fréchet distance. The paper
calls such a distance FID, with I3D trained on Kinetics-600; with this network it is the "classifier Fréchet distance",
and compares with nothing but itself: the same classifier, the same real clips, the same counts.

A classifier on disk is a directory: ``classifier.json`` says what it knows, what it was trained on, and how often it is
right; ``model.safetensors`` holds the weights. `dvdgan.evaluation.classifier.training` makes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from scipy.special import softmax
from torch import Tensor, nn

from dvdgan.atomic import atomic_path
from dvdgan.devices import full_fp32, pick_device
from dvdgan.documents import MOST_TABLE_BYTES, DocumentError, read_bytes, read_json, shortened
from dvdgan.evaluation.classifier.network import STEM_STRIDE, ClassifierNetwork
from dvdgan.evaluation.classifier.results import (
    FORMAT,
    VERSION,
    Accuracies,
    ClassifierFile,
    TrainingClips,
    TrainingDone,
)
from dvdgan.evaluation.clip_set import content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.extract import Unit
from dvdgan.evaluation.features.resize import resize, resize_name
from dvdgan.evaluation.real_clips import RealClips
from dvdgan.wording import some_of

NAME = "classifier"
FRECHET_NAME = "Classifier Fréchet distance"
"""What a Fréchet distance on these features is called; never FID or FVD, which are of other networks."""

ABOUT, WEIGHTS = "classifier.json", "model.safetensors"
_MOST_WEIGHTS = 2 << 30  # bytes
_CHUNK_BYTES = 1 << 27  # of fp32 activations of the widest layer, about, that one pass through the network makes


def is_classifier(directory: Path) -> bool:
    """Whether a directory has what says that it is a classifier, of any version."""
    try:
        about = read_json(directory / ABOUT, MOST_TABLE_BYTES, finite=False)
    except (FileNotFoundError, DocumentError):
        return False
    return isinstance(about, dict) and about.get("format") == FORMAT


@dataclass
class Classifier:
    """A classifier of clips. Use `load`, or train one.

    It is a `FeatureExtractor`: its features are those before its last layer, a mean over time and space.

    Attributes:
        network: in evaluation mode.
        classes: K names, in the order of the probabilities.
        size: height and width that it sees, in pixels; other clips are resized, antialiased.
        frames: frames of the clips that it was trained on; it takes any number.
        widths: the network's.
        path: its directory; None if it was not saved.
    """

    network: ClassifierNetwork
    classes: list[str]
    size: int
    frames: int
    widths: tuple[int, ...]
    path: Path | None = None
    _about: ClassifierFile | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)
        self.weights_sha256 = hashlib.sha256(self._weights()).hexdigest()
        self.name, self.dimension = NAME, self.network.dimension
        self.unit: Unit = "clip"
        self.key = content_key(FORMAT, VERSION, self.weights_sha256, list(self.widths), self.size)

    @classmethod
    def load(cls, directory: Path | str, device: torch.device | str | None = "cpu") -> Classifier:
        """Read a classifier.

        Args:
            directory: what training wrote.
            device: where it is to run; None takes the accelerator where there is one.

        Raises:
            EvaluationError: no classifier, one of another version, or a damaged one.
            DeviceError: there is no such device.
        """
        directory = Path(directory)
        again = "train it again (dvdgan train-classifier)"
        try:
            about = read_json(directory / ABOUT, MOST_TABLE_BYTES, finite=False)
            found = about.get("format") if isinstance(about, dict) else None
            if found != FORMAT:
                raise EvaluationError(f"{directory / ABOUT}: damaged (its format is {shortened(repr(found))}); {again}")
            if (version := about.get("version")) != VERSION:
                raise EvaluationError(
                    f"{directory / ABOUT}: of version {shortened(repr(version))}, not {VERSION}; {again}"
                )
            file = ClassifierFile.model_validate(about, strict=True)
        except FileNotFoundError:
            raise EvaluationError(
                f"{directory}: no classifier ({ABOUT} is missing); train one with dvdgan train-classifier"
            ) from None
        except DocumentError as error:
            raise EvaluationError(f"{directory / ABOUT}: damaged ({error.reason}); {again}") from None
        except ValidationError as error:
            fault = error.errors()[0]
            where = shortened(".".join(map(str, fault["loc"])))
            raise EvaluationError(f"{directory / ABOUT}: damaged ({where}: {fault['msg']}); {again}") from None
        names, widths, size, frames = file.classes, tuple(file.widths), file.size, file.frames
        path = directory / WEIGHTS
        try:
            content = read_bytes(path, _MOST_WEIGHTS)
        except FileNotFoundError:
            raise EvaluationError(f"{path}: cannot be read (no such file); {again}") from None
        except DocumentError as error:
            raise EvaluationError(f"{error}; {again}") from None
        if hashlib.sha256(content).hexdigest() != file.weights:
            raise EvaluationError(f"{path}: damaged, or another classifier's (its checksum is not {ABOUT}'s); {again}")
        try:
            with torch.device("meta"):  # no random numbers are drawn
                network = ClassifierNetwork(len(names), widths)
            network.load_state_dict(load(content), assign=True)
        except (SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise EvaluationError(f"{path}: does not fit {ABOUT} ({reason}); {again}") from None
        network.to(pick_device(device))
        return cls(network, names, size, frames, widths, directory, file)

    def save(
        self,
        directory: Path | str,
        data: TrainingClips,
        training: TrainingDone,
        accuracy: Accuracies,
        versions: dict[str, str],
    ) -> None:
        """Write the classifier into a directory, which is made if missing, and remember where."""
        directory = Path(directory)
        with atomic_path(directory / WEIGHTS) as partial:
            partial.write_bytes(self._weights())
        self.path = directory
        self._about = ClassifierFile(
            format=FORMAT,
            version=VERSION,
            classes=self.classes,
            size=self.size,
            frames=self.frames,
            widths=list(self.widths),
            weights=self.weights_sha256,
            data=data,
            training=training,
            accuracy=accuracy,
            versions=versions,
        )
        with atomic_path(directory / ABOUT) as partial:
            partial.write_text(self._about.model_dump_json(indent=1, exclude_unset=True) + "\n", encoding="utf-8")

    @property
    def about(self) -> ClassifierFile:
        """What ``classifier.json`` says, of a classifier that was loaded or saved."""
        assert self._about is not None
        return self._about

    @torch.no_grad()
    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips, uint8 ``[N, T, H, W, 3]``, of any length and size: float32 ``[N, D]``, in fp32."""
        device = self.network.head.weight.device
        widest = clips.shape[1] * (self.size // STEM_STRIDE) ** 2 * self.widths[0]
        chunk = max(1, _CHUNK_BYTES // (4 * widest))
        features = np.empty((len(clips), self.dimension), np.float32)
        with full_fp32():
            for start in range(0, len(clips), chunk):
                part = slice(start, start + chunk)
                pixels = resize(clips[part], (self.size, self.size), device).div_(127.5).sub_(1)
                features[part] = self.network.features(pixels).cpu().numpy()
        return features

    def probabilities(self, clips: np.ndarray) -> np.ndarray:
        """How probable each class is for each clip, uint8 ``[N, T, H, W, 3]``: float32 ``[N, K]``, rows sum to 1."""
        return self.probabilities_of(self(clips))

    def probabilities_of(self, features: np.ndarray) -> np.ndarray:
        """The same from pooled features, float32 ``[N, D]``, so that clips are looked at once only."""
        head: nn.Linear = self.network.head
        logits = features.astype(np.float64) @ _numbers(head.weight).T + _numbers(head.bias)
        return softmax(logits, axis=1).astype(np.float32)

    def require_classes(self, classes: Sequence[str]) -> None:
        """Refuse clips of classes that the classifier does not know.

        Raises:
            EvaluationError: there is such a class, which is named, or no class at all.
        """
        mend = "train a classifier on the same data (dvdgan train-classifier)"
        if not classes:
            raise EvaluationError(
                f"{self.place}: a classifier tells classes apart, but the clips have none; sort them first"
            )
        if unknown := [name for name in classes if name not in self.classes]:
            known, others = some_of(self.classes, 12), some_of(unknown, 5)
            raise EvaluationError(f"{self.place}: knows the classes {known}, not {others}; {mend}")

    def notes(self, size: int, frames: int, stride: int = 1) -> list[str]:
        """What is to be said where clips are of another size, length or speed than those that it was trained on."""
        notes = []
        if size != self.size:
            made = resize_name((self.size, self.size))
            notes.append(f"the classifier was trained at {self.size} px: clips of {size} px are resized to {made}")
        if frames != self.frames:
            notes.append(
                f"the classifier was trained on {self.frames} frames, not {frames}: it may be right less often"
            )
        own = self.about.data.stride
        if stride != own:
            notes.append(
                f"the classifier was trained at a stride of {own}, not {stride}: clips move at another "
                "speed than it knows"
            )
        return notes

    def learned_from(self, clips: RealClips) -> np.ndarray:
        """Which clips of a set it was trained on, bool ``[N]``."""
        trained = set(self.about.data.clips.split())
        return np.array([not trained.isdisjoint(one) for one in clips.identities], bool)

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return NAME if self.path is None else str(self.path)

    def _weights(self) -> bytes:
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        return save(tensors, {"format": FORMAT})  # one entry only: several come in any order, and the bytes are hashed


def _numbers(parameter: Tensor) -> np.ndarray:
    """In double precision, which not every device has."""
    return parameter.detach().cpu().double().numpy()
