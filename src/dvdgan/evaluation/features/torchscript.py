"""The field's own feature networks, as TorchScript files that the user brings: only with these is a score FVD or FID.

Neither file comes with dvdgan or with a package. They are known by their SHA-256; a file with another one can be used
if the user names that hash, but its scores then carry another name.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dvdgan.devices import full_fp32, pick_device
from dvdgan.documents import DocumentError, read_bytes
from dvdgan.evaluation.clip_set import content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.extract import Unit

_MOST_BYTES = 2 << 30  # of a file of weights
_VERSION = 1  # raised whenever features change
_FRAMES_AT_ONCE = 128


@dataclass(frozen=True)
class FieldNetwork:
    """A feature network that a score of the field is defined by.

    Attributes:
        score: the name that only this file's scores may carry.
        file: how the file is known.
        sha256: of the file, in hex.
        dimension: features per vector.
        unit: ``clip``: called with uint8 ``[N, 3, T, H, W]`` and rescale, resize and return_features set; ``frames``:
            called with uint8 ``[M, 3, H, W]`` and return_features set. Both resize as they were published to.
        description: for reports.
    """

    score: str
    file: str
    sha256: str
    dimension: int
    unit: Unit
    description: str


I3D = FieldNetwork(
    score="FVD",
    file="i3d_torchscript.pt",
    sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
    dimension=400,
    unit="clip",
    description="I3D, Kinetics-400 logits, in StyleGAN-V's TorchScript form, which resizes to 224 x 224 itself",
)
"""What FVD is computed with since StyleGAN-V (Skorokhodov et al. 2022); the same numbers as the original's."""

INCEPTION = FieldNetwork(
    score="FID",
    file="inception-2015-12-05.pt",
    sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    dimension=2048,
    unit="frames",
    description="Inception-v3 of 2015, in StyleGAN2-ADA's TorchScript form, which resizes to 299 x 299 itself",
)
"""What FID is computed with since StyleGAN2-ADA (Karras et al. 2020), here on frames."""


class TorchScriptFeatures:
    """A `FeatureExtractor` from a TorchScript file, which is read only after its hash was checked.

    Args:
        path: the file.
        network: which of the field's networks it is, or is called like.
        sha256: what its SHA-256 must be, in hex; None is the network's own.
        device: such as ``cpu`` or ``cuda:1``; None takes the accelerator where there is one.

    Attributes:
        score_name: what a Fréchet distance of these features is called: ``FVD`` or ``FID`` for the field's own file,
            and otherwise a name that says which file it was.

    Raises:
        EvaluationError: no such file, one with another hash (both are named), or no TorchScript in it.
        DeviceError: there is no such device.
    """

    def __init__(
        self,
        path: str | Path,
        network: FieldNetwork = I3D,
        sha256: str | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Check the file, then load it."""
        self.path = Path(path)
        wanted = network.sha256 if sha256 is None else sha256.strip().lower()
        if not re.fullmatch("[0-9a-f]{64}", wanted):
            raise EvaluationError(f"{path}: {sha256!r} is no SHA-256, which has 64 digits; see `sha256sum {path}`")
        try:
            content = read_bytes(self.path, _MOST_BYTES)
        except FileNotFoundError as error:
            raise EvaluationError(f"{path}: cannot be read ({error.strerror}); name the file {network.file}") from None
        except DocumentError as error:
            raise EvaluationError(f"{error}; name the file {network.file}") from None
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            whose = f"that of {network.file}" if sha256 is None else "the one that was asked for"
            mend = "get that file again, or name this one's hash if it is meant: its scores then carry another name"
            raise EvaluationError(f"{path}: its SHA-256 is {found}, not {wanted}, {whose}; {mend}")
        genuine = found == network.sha256
        self.score_name = network.score if genuine else f"Fréchet distance of {self.path.name} ({found[:8]})"
        self.name = network.description if genuine else f"{self.path.name} ({found[:8]})"
        self.unit: Unit = network.unit
        self.dimension = network.dimension
        self.resize = "by the file itself"
        self.key = content_key("torchscript", _VERSION, found, network.unit)
        self._device = pick_device(device)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the files of the field are what they are
                self._module = torch.jit.load(io.BytesIO(content), map_location=self._device).eval()
        except (RuntimeError, ValueError) as error:
            raise EvaluationError(f"{path}: holds no TorchScript ({_line(error)})") from None

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips, uint8 ``[N, T, H, W, 3]``: float32 ``[N, D]``, or ``[N, T, D]`` if the unit is frames.

        Raises:
            EvaluationError: the file cannot be applied to such clips.
        """
        count, frames = clips.shape[:2]
        if self.unit == "clip":
            pixels, at_once = clips.transpose(0, 4, 1, 2, 3), max(1, _FRAMES_AT_ONCE // frames)
            flags = {"rescale": True, "resize": True, "return_features": True}
        else:
            pixels, at_once = clips.reshape(-1, *clips.shape[2:]).transpose(0, 3, 1, 2), _FRAMES_AT_ONCE
            flags = {"return_features": True}
        parts = []
        with torch.inference_mode(), full_fp32():
            for start in range(0, len(pixels), at_once):
                some = torch.from_numpy(np.ascontiguousarray(pixels[start : start + at_once])).to(self._device)
                try:
                    parts.append(self._module(some, **flags).float().cpu().numpy())
                except (RuntimeError, torch.jit.Error) as error:
                    shape = f"{frames} frames of {clips.shape[2]} x {clips.shape[3]} px"
                    raise EvaluationError(f"{self.path}: cannot look at clips of {shape} ({_line(error)})") from None
        features = np.concatenate(parts)
        return features if self.unit == "clip" else features.reshape(count, frames, -1)


def _line(error: Exception) -> str:
    """What an error says last, which in TorchScript is what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
