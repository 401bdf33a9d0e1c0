"""A model on disk: a directory with config.yaml, model.safetensors, classes.json and card.md. Nothing is pickled.

``model.safetensors`` has the EMA generator with spectral norm folded in, and its standing statistics for several
truncations (``statistics/<truncation>/<buffer>``). ``discriminators.safetensors``, which is optional, has the
discriminators (``<network>/<parameter>``), for a training that starts from the model.

Built-in models are in ``dvdgan/builtin``; the name of such a directory is the name of the model.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dvdgan.config import Config
from dvdgan.config.files import ConfigError, parse_config
from dvdgan.documents import DocumentError, open_regular, parse_yaml, read_json, read_text
from dvdgan.model_place import DISCRIMINATORS, FORMAT, ModelError, replaced
from dvdgan.networks import Generator
from dvdgan.networks.batch_norm import BatchNormReLU
from dvdgan.networks.statistics import STATISTICS

FORMAT_VERSION = "2"
BUILTIN = Path(__file__).parent / "builtin"
"""Directory of the built-in models."""


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
        discriminators: their parameters as ``<network>/<parameter>``; empty unless they are to be saved. Reading a
            model does not read them; `read_discriminators` does, and `save_model` copies their file.
        settled: what the statistics are of that the generator has now; None if that is not known.
        directory: where the model was read; None if it was not read.
    """

    generator: Generator
    config: Config
    classes: list[str]
    class_weights: list[float]
    statistics: dict[float, dict[str, Tensor]] = field(default_factory=dict)
    card: str = ""
    discriminators: dict[str, Tensor] = field(default_factory=dict)
    settled: tuple[Any, ...] | None = None
    directory: Path | None = None


def save_model(model: Model, directory: Path | str) -> None:
    """Write a model directory; an existing model is replaced only once the new one is complete.

    Raises:
        ModelError: the path is a file, or a directory that is not a model.
    """
    with replaced(Path(directory)) as staging:
        weights = model.generator.state_dict() | model.statistics.get(1.0, {})  # not those that were used last
        tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
        for truncation, statistics in model.statistics.items():
            tensors |= {f"statistics/{truncation}/{name}": v.cpu().clone() for name, v in statistics.items()}
        about = {"format": f"{FORMAT} {FORMAT_VERSION}"}  # one entry: the order of several changes from file to file
        save_file(tensors, staging / "model.safetensors", about)
        if model.discriminators:
            theirs = {name: value.detach().cpu().contiguous() for name, value in model.discriminators.items()}
            save_file(theirs, staging / DISCRIMINATORS, about)
        elif model.directory is not None and (there := model.directory / DISCRIMINATORS).is_file():
            shutil.copyfile(there, staging / DISCRIMINATORS)
        (staging / "config.yaml").write_text(model.config.to_yaml(), encoding="utf-8")
        classes = {"classes": model.classes, "weights": model.class_weights}
        (staging / "classes.json").write_text(json.dumps(classes, indent=1, ensure_ascii=False), encoding="utf-8")
        (staging / "card.md").write_text(model.card, encoding="utf-8")


def builtin_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in BUILTIN.glob("*/model.safetensors"))


def is_builtin(directory: Path) -> bool:
    """Whether a model directory is one that comes with the package."""
    return directory.resolve().parent == BUILTIN.resolve()


def find_model(model: Path | str) -> Path:
    """The directory of a model.

    Args:
        model: a model directory, a run's directory (its model), or the name of a built-in model.

    Raises:
        ModelError: there is no such directory, or the run in it has not finished.
    """
    directory = Path(model)
    if not directory.exists() and str(model) in builtin_models():
        return BUILTIN / str(model)
    if not directory.is_dir():
        names = ", ".join(builtin_models())
        raise ModelError(
            f"{directory}: there is no such directory; a model is the directory that training wrote"
            + (f", or one that is built in: {names}" if names else "")
        )
    run_model = directory / "model"
    if not (directory / "model.safetensors").exists():
        if (run_model / "model.safetensors").exists():
            return run_model
        if (directory / "checkpoints").is_dir():
            raise ModelError(
                f"{directory}: a run that has not finished; its training command with --minutes 0 added writes a model"
            )
    return directory


def read_discriminators(model: Path | str) -> dict[str, Tensor]:
    """A model's discriminators, ``<network>/<parameter>``; empty where it has none.

    Raises:
        ModelError: as `find_model`; or their file is damaged.
    """
    path = find_model(model) / DISCRIMINATORS
    return _read_tensors(path) if path.exists() else {}


def load_model(directory: Path | str, device: torch.device | str = "cpu") -> Model:
    """Read a model.

    Args:
        directory: as `find_model` takes it.
        device: where to.

    Raises:
        ModelError: the directory, or one of its files, is missing, damaged, or not a dvdgan model.
    """
    directory = find_model(directory)
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
    statistics = {key: {name: value.to(device) for name, value in some.items()} for key, some in statistics.items()}
    card = ""
    if (path := directory / "card.md").exists():
        with _reading(path):
            card = read_text(path)
    generator = generator.to(device).eval().requires_grad_(False)
    return Model(generator, config, classes, weights, statistics, card, directory=directory)


def _misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that are missing, unexpected, or of another shape or type than expected."""
    return sorted(expected.keys() ^ found.keys()) or [
        name for name, like in expected.items() if (like.shape, like.dtype) != (found[name].shape, found[name].dtype)
    ]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise a `ModelError` for what is wrong with a file that is read."""
    try:
        yield
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; {path.parent} is not a model directory") from None
    except (ConfigError, DocumentError) as error:
        raise ModelError(str(error).splitlines()[0]) from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged or not a safetensors file ({error})") from None


def _read_config(path: Path) -> Config:
    with _reading(path):
        return parse_config(parse_yaml(read_text(path), str(path)), str(path))


def _read_classes(path: Path, count: int) -> tuple[list[str], list[float]]:
    with _reading(path):
        content = read_json(path, finite=False)
    classes: Any = content.get("classes") if isinstance(content, dict) else None
    weights: Any = content.get("weights") if isinstance(content, dict) else None
    if not (_all_are(classes, str) and _all_are(weights, int, float)):
        raise ModelError(f'{path}: damaged; expected {{"classes": [names], "weights": [numbers]}}')
    if not all(weight >= 0 for weight in weights) or (weights and not 0 < sum(weights) < math.inf):
        raise ModelError(f"{path}: weights are the classes' frequencies: 0 or more, and not all of them 0")
    if len(classes) != count or len(weights) != count:
        raise ModelError(f"{path}: has {len(classes)} classes, but config.yaml says {count}")
    if any("\0" in name for name in classes):
        raise ModelError(f"{path}: the name of a class has a NUL in it; take it out")
    return classes, [float(weight) for weight in weights]


def _all_are(values: Any, *kinds: type) -> bool:
    """Whether it is a list of values of these types; true and false are no numbers."""
    return isinstance(values, list) and set(map(type, values)) <= set(kinds)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    with _reading(path), open_regular(path), safe_open(path, framework="pt") as file:
        found, _, version = (file.metadata() or {}).get("format", "").partition(" ")
        if found != FORMAT:
            raise ModelError(f"{path}: not a dvdgan model (its format is {found or 'not named'})")
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{path}: format version {version or '1'}, but this dvdgan reads {FORMAT_VERSION}; update dvdgan, "
                "or train the model again"
            )
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
