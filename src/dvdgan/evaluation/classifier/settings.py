"""Whether a training that was interrupted goes on under the same settings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dvdgan.atomic import atomic_path
from dvdgan.config import DataConfig
from dvdgan.config.data import PHENOMENA
from dvdgan.documents import read_json
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.settings import ClassifierSettings
from dvdgan.runs.checkpoint import list_checkpoints


def resuming(folder: Path, settings: ClassifierSettings, data: DataConfig) -> bool:
    """Whether there is a training to go on with; what it was started with lies beside its checkpoints.

    Raises:
        EvaluationError: it was started with other settings, each of which is named.
    """
    path = folder / "settings.json"
    # what decides which clips there are; not how quickly they are decoded, nor at what speed they are watched
    deciding = data.model_dump(mode="json", exclude={"workers", "decode_seconds", "decode_gib", "fps", "split"})
    now = settings.model_dump(mode="json") | {f"data.{k}": v for k, v in deciding.items()}
    if not list_checkpoints(folder / "checkpoints"):
        with atomic_path(path) as partial:
            partial.write_text(json.dumps(now, indent=1), encoding="utf-8")
        return False
    try:
        before = read_json(path)
        sources = before.get("data.source"), data.source  # as paths: one may be spelled in several ways
        same = None not in sources and PHENOMENA not in sources and len(set(map(os.path.abspath, sources))) == 1
        other = [
            f"{k} was {before.get(k)}, not {now.get(k)}"
            for k in before | now
            if before.get(k) != now.get(k) and not (same and k == "data.source")
        ]
    except (OSError, ValueError, TypeError, AttributeError):
        raise EvaluationError(f"{path}: missing or damaged beside checkpoints; choose another --out") from None
    if other:
        mend = "give the same again, or choose another --out"
        raise EvaluationError(f"{folder.parent}: its training began otherwise ({'; '.join(other[:5])}); {mend}")
    return True


def in_short(data: DataConfig) -> dict[str, Any]:
    """The source, and what else of a configuration is not as it is by default."""
    return {"source": data.source, **data.model_dump(mode="json", exclude_defaults=True, exclude={"split"})}
