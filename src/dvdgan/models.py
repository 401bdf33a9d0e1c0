"""A model on disk: a directory with config.yaml, model.safetensors, classes.json and card.md. Nothing is pickled.

``model.safetensors`` holds the averaged generator with spectral norm folded in, and its standing statistics for several
truncations (``statistics/<truncation>/<buffer>``).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dvdgan.config import Config
from dvdgan.config_files import ConfigError, parse_config
from dvdgan.networks import Generator
from dvdgan.networks.batch_norm import BatchNormReLU
from dvdgan.networks.statistics import STATISTICS

FORMAT = "dvdgan-model"
FORMAT_VERSION = "1"
FILES = ("config.yaml", "model.safetensors", "classes.json", "card.md")
SCORES = "## Scores"
"""The heading of a card's last part, which `dvdgan evaluate` writes."""
UNMEASURED = "Not measured; `dvdgan evaluate --model THIS_DIRECTORY` does it and writes them here."


class ModelError(ValueError):
    """A model directory that cannot be used; the message is one line and names the file and the mend."""


@dataclass
class Model:
    """A finished generator and what belongs to it.

    Attributes:
        generator: in evaluation mode, without spectral normalisation.
        config: the configuration that it was trained with.
        classes: class names; empty when unconditional.
        class_weights: relative frequency of each class in training; empty when unconditional.
        statistics: standing statistics by truncation, for `load_statistics`.
        card: Markdown text that says what it was trained on and for how long.
    """

    generator: Generator
    config: Config
    classes: list[str]
    class_weights: list[float]
    statistics: dict[float, dict[str, Tensor]] = field(default_factory=dict)
    card: str = ""


def save_model(model: Model, directory: Path | str) -> None:
    """Write a model directory; an existing model there is replaced only once the new one is complete.

    Raises:
        ModelError: the path is a file, or a directory that is not a model.
    """
    directory = Path(directory)
    check_model_place(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        tensors = {name: value.detach().cpu().contiguous() for name, value in model.generator.state_dict().items()}
        for truncation, statistics in model.statistics.items():
            tensors |= {f"statistics/{truncation}/{name}": v.cpu().contiguous() for name, v in statistics.items()}
        save_file(tensors, staging / "model.safetensors", {"format": FORMAT, "version": FORMAT_VERSION})
        (staging / "config.yaml").write_text(model.config.to_yaml(), encoding="utf-8")
        classes = {"classes": model.classes, "weights": model.class_weights}
        (staging / "classes.json").write_text(json.dumps(classes, indent=1, ensure_ascii=False), encoding="utf-8")
        (staging / "card.md").write_text(model.card, encoding="utf-8")
        os.chmod(staging, 0o755)
        if directory.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent))
            retired.rmdir()  # Windows replaces no directory, not even an empty one
            os.replace(directory, retired)
            try:
                os.replace(staging, directory)
            except OSError:
                os.replace(retired, directory)
                raise
            shutil.rmtree(retired)
        else:
            os.replace(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_model_place(directory: Path) -> None:
    """Refuse a place where a model cannot be written, before any work.

    Raises:
        ModelError: the path is a file, or a directory with other files than a model's.
    """
    if directory.exists() and not (directory.is_dir() and set(os.listdir(directory)) <= set(FILES)):
        raise ModelError(
            f"{directory}: exists and is not a model directory; move what is in it, or choose another place"
        )


def load_model(directory: Path | str, device: torch.device | str = "cpu") -> Model:
    """Read a model directory.

    Raises:
        ModelError: the directory, or one of its files, is missing, damaged, or not a dvdgan model.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ModelError(f"{directory}: there is no such directory; a model is the directory that training wrote")
    run_model = directory / "model"
    if not (directory / "model.safetensors").exists():
        if (run_model / "model.safetensors").exists():
            directory = run_model  # a run directory: its model is meant
        elif (directory / "checkpoints").is_dir():
            raise ModelError(
                f"{directory}: a run that has not finished; its training command with --minutes 0 added writes a model"
            )
    config = _read_config(directory / "config.yaml")
    classes, weights = _read_classes(directory / "classes.json", config.network.classes)
    tensors = _read_tensors(directory / "model.safetensors")

    plain = config.network.model_copy(
        update={"generator": config.network.generator.model_copy(update={"spectral_norm": False})}
    )
    with torch.device("meta"):
        generator = Generator(plain)
    statistics: dict[float, dict[str, Tensor]] = {}
    for name in [name for name in tensors if name.startswith("statistics/")]:
        truncation, _, buffer = name.removeprefix("statistics/").partition("/")
        try:
            statistics.setdefault(float(truncation), {})[buffer] = tensors.pop(name)
        except ValueError:
            raise ModelError(f"{directory / 'model.safetensors'}: damaged; it has a tensor {name!r}") from None
    expected = generator.state_dict()
    wrong = _misfits(expected, tensors)
    buffers = {
        f"{name}.{kind}" for name, m in generator.named_modules() if isinstance(m, BatchNormReLU) for kind in STATISTICS
    }
    for settled in statistics.values():
        wrong += _misfits({name: expected[name] for name in buffers}, settled)
    if wrong:
        raise ModelError(
            f"{directory / 'model.safetensors'}: does not fit {directory / 'config.yaml'} "
            f"({len(wrong)} tensors differ, such as {wrong[0]}); the two files come from different models"
        )
    generator.load_state_dict(tensors, assign=True)
    statistics = {key: {name: value.to(device) for name, value in kept.items()} for key, kept in statistics.items()}
    card_path = directory / "card.md"
    card = _read_text(card_path) if card_path.exists() else ""
    return Model(generator.to(device).eval().requires_grad_(False), config, classes, weights, statistics, card)


def with_scores(card: str, scores: str = UNMEASURED) -> str:
    """A card, Markdown, with these scores in the place of any that it had; by default it says that there are none."""
    before, found, after = card.partition(f"{SCORES}\n")
    if not found:
        before = f"{before.rstrip()}\n\n"
    rest = after[after.index("\n## ") :] if "\n## " in after else ""
    return f"{before}{SCORES}\n\n{scores}\n{rest}"


def _misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that are missing, too many, or of another shape or type than expected."""
    return sorted(expected.keys() ^ found.keys()) or [
        name for name, like in expected.items() if (like.shape, like.dtype) != (found[name].shape, found[name].dtype)
    ]


def _read_config(path: Path) -> Config:
    try:
        tree = yaml.safe_load(_read_text(path))
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    try:
        return parse_config(tree, str(path))
    except ConfigError as error:
        raise ModelError(str(error).splitlines()[0]) from None


def _read_classes(path: Path, count: int) -> tuple[list[str], list[float]]:
    text = _read_text(path)
    try:
        content: Mapping = json.loads(text)
        classes, weights = [str(name) for name in content["classes"]], [float(w) for w in content["weights"]]
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise ModelError(f'{path}: damaged; expected {{"classes": [names], "weights": [numbers]}}') from None
    if len(classes) != count or len(weights) != count:
        raise ModelError(f"{path}: has {len(classes)} classes, but config.yaml says {count}")
    return classes, weights


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"{path}: missing; {path.parent} is not a model directory")
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("format")
            if found != FORMAT:
                raise ModelError(f"{path}: not a dvdgan model (its format is {found or 'not named'})")
            version = file.metadata().get("version")
            if version != FORMAT_VERSION:
                raise ModelError(
                    f"{path}: format version {version}, but this dvdgan reads {FORMAT_VERSION}; update dvdgan"
                )
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged or not a safetensors file ({error})") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; {path.parent} is not a model directory") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from None
