"""A model's card, Markdown: what it makes, what it was trained on, and its scores."""

from __future__ import annotations

from typing import Any

from dvdgan import __version__
from dvdgan.config import Config

SCORES = "## Scores"
"""The heading of a card's last part, which `dvdgan evaluate` writes."""
UNMEASURED = "Not measured; `dvdgan evaluate --model THIS_DIRECTORY` does it and writes them here."


def card(config: Config, classes: list[str], summary: dict[str, Any]) -> str:
    """A model card: what it makes, what it was trained on, for how long."""
    network = config.network
    what = "images" if network.frames == 1 else f"clips of {network.frames} frames"
    command = "dvdgan generate --model THIS_DIRECTORY --num 4 --out clips.mp4"
    if network.first_frames:
        what += f", the first {network.first_frames} given," if network.first_frames > 1 else ", the first given,"
        command = "dvdgan predict --model THIS_DIRECTORY --first picture.png --num 4 --out futures.mp4"
    if network.projected is not None:
        summary = summary | {
            "Discriminators": "one of them saw frames by features of EfficientNet-Lite0, which flatters scores by them"
        }
    lines = [
        f"# {config.name}",
        "",
        f"A DVD-GAN generator: {what} of {network.size}×{network.size} pixels, "
        + (f"{len(classes)} classes: {', '.join(classes)}." if classes else "unconditional."),
        "",
        *[f"- {heading}: {text}" for heading, text in summary.items()],
        f"- Written by dvdgan {__version__}",
        "",
        "```bash",
        command,
        "```",
        "",
        SCORES,
        "",
        UNMEASURED,
        "",
    ]
    return "\n".join(lines)


def with_scores(card: str, scores: str = UNMEASURED) -> str:
    """A card, Markdown, with these scores in place of earlier ones; by default it says that there are none."""
    before, found, after = card.partition(f"{SCORES}\n")
    if not found:
        before = f"{before.rstrip()}\n\n"
    rest = after[after.index("\n## ") :] if "\n## " in after else ""
    return f"{before}{SCORES}\n\n{scores}\n{rest}"
