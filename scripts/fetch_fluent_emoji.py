"""Fetch Microsoft's animated Fluent emoji from npm and lay them out as labelled clips with a held-out test set.

    python scripts/fetch_fluent_emoji.py OUT                    # 51 actions, each by man, woman and person in 6 tones
    python scripts/fetch_fluent_emoji.py OUT --set activities   # 17 of them: what people do, and sports
    python scripts/fetch_fluent_emoji.py OUT --set groups       # all animated emoji, in the 8 emoji groups

The packages (730 MB) go to a cache folder and are fetched once, by running `npm pack`; nothing else uses the network.
After an interruption the same command goes on. OUT gets CLASS/LABEL.webp as they are in the packages (256x256 pixels,
transparent, 24 frames per second), or MP4 on a colour; clips.csv (path, label, split, group), where one gender of each
action is the test set; and ATTRIBUTION.md, to be read before anything is published.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageSequence
from rich.console import Console
from rich.progress import track

from dvdgan.atomic import atomic_path
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import TEST, TRAIN
from dvdgan.data.layouts.splits import assign_splits
from dvdgan.data.write.encode import write_clip

ARTWORK = tuple(f"@lobehub/fluent-emoji-anim-{part}" for part in (1, 2, 3, 4))
NAMES = "emojibase-data"
PACKAGES = {**dict.fromkeys(ARTWORK, "1.0.0"), NAMES: "17.0.0"}
GENDERS = ("man", "woman", "person")
MIN_VARIANTS = 15  # clips of an action
MIN_FRAMES = 48  # two seconds
ACTIVITIES = ("person-activity", "person-sport")
SETTINGS, LIST, ATTRIBUTION = "fluent-emoji.json", "clips.csv", "ATTRIBUTION.md"

_ATTRIBUTION_TEXT = """# Where these clips come from

The pictures are Microsoft's animated Fluent Emoji, as LobeHub packed them for npm:

{packages}

Labels and groups of the emoji are those of emojibase (Miles Johnson, MIT).

The packages say MIT, and so does Microsoft of the still Fluent Emoji. The licence of the animated artwork itself could
not be verified. dvdgan does not distribute it: whoever ran `scripts/fetch_fluent_emoji.py` fetched it. Settle the
licence before you publish these clips, or a model that was trained on them.
"""


@dataclass(frozen=True)
class Emoji:
    """An animated emoji: where it lies, and what emojibase says of it."""

    package: str
    member: str  # its path in the package
    code: str  # code points
    label: str  # man running: dark skin tone
    group: str  # people-body
    subgroup: str  # person-activity

    @property
    def base(self) -> str:
        """The label without skin tones: ``man running``."""
        return self.label.split(":")[0]

    @property
    def gender(self) -> str:
        """Who is shown; a person where the label names neither man nor woman."""
        first = self.base.split(" ")[0]
        return first if first in GENDERS else "person"

    @property
    def action(self) -> str:
        """What is done, whoever does it: ``running``; empty if the label only names who."""
        return re.sub(rf"^({'|'.join(GENDERS)})( |$)", "", self.base)


@dataclass(frozen=True)
class Clip:
    """A clip to be laid out, and its row in the list."""

    emoji: Emoji
    path: str  # relative to OUT
    label: str
    split: str


def main(arguments: list[str] | None = None) -> int:
    """Fetch and lay out what the command line says; returns the exit status."""
    args = _parser().parse_args(arguments)
    try:
        _run(args)
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dvdgan" / "fluent-emoji"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder for the clips: new, empty, or made by the same settings")
    add("--set", choices=("person-actions", "activities", "groups"), default="person-actions", help="which emoji")
    add("--subgroups", type=_names, metavar="A,B", help=f"only these subgroups of emojibase, such as {ACTIVITIES[0]}")
    add("--mp4", action="store_true", help="write MP4 on --background instead of transparent WebP")
    add("--background", type=_colour, default="white", metavar="COLOUR", help="a name or #rrggbb (white)")
    add("--cache", type=Path, default=home, metavar="DIR", help=f"where fetched packages are kept ({home})")
    add("--packages", type=Path, metavar="DIR", help="take the .tgz files in DIR and use no network")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _colour(text: str) -> str:
    try:
        ImageColor.getrgb(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"is a colour such as white or #ffd0a0, not {text}") from None
    return text


def _run(args: argparse.Namespace) -> None:
    settings = {
        "set": args.set,
        "subgroups": args.subgroups,
        "background": args.background if args.mp4 else None,
        "packages": PACKAGES,
    }
    if not _is_done(args.out, settings):
        folder = args.packages or _fetch(args.cache)
        clips = _laid_out(choose(read_packages(folder), args.set, args.subgroups), ".mp4" if args.mp4 else ".webp")
        _lay_out(clips, folder, args.out, settings)
    _summarise(args.out)


def _is_done(out: Path, settings: dict[str, Any]) -> bool:
    """Whether OUT holds all clips of these settings; DataError if it holds anything else than some of them."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(f"{out}: holds no emoji of this script (no {SETTINGS}); choose a new or empty folder") from None
    if other := [name for name in settings if found.get(name) != settings[name]]:
        raise DataError(f"{out}: was made with another {', '.join(other)}; choose a new folder")
    return (out / LIST).is_file() and all((out / row["path"]).is_file() for row in _rows(out))


def _fetch(cache: Path) -> Path:
    """Fetch the packages that the cache lacks. Each is whole or absent there."""
    cache.mkdir(parents=True, exist_ok=True)
    for number, (name, version) in enumerate(PACKAGES.items(), 1):
        target = cache / _file_name(name)
        if target.is_file():
            continue
        npm = shutil.which("npm")
        if npm is None:
            raise DataError("npm is not installed; install Node.js, or give the packages by --packages DIR")
        print(f"fetching {name} {version} ({number} of {len(PACKAGES)})", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            command = [npm, "pack", f"{name}@{version}", "--ignore-scripts", "--pack-destination", temporary]
            ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
            packed = list(Path(temporary).glob("*.tgz"))
            if ran.returncode or not packed:
                reason = [line for line in ran.stderr.splitlines() if "error" in line] or ["no package came"]
                raise DataError(
                    f"{name}@{version}: npm pack failed ({reason[0].strip()}); the same command tries again"
                )
            os.replace(packed[0], target)
    return cache


def _file_name(package: str) -> str:
    """What `npm pack` calls a package's file."""
    return f"{package.lstrip('@').replace('/', '-')}-{PACKAGES[package]}.tgz"


def _members(folder: Path, package: str, wanted: Iterable[str] | None = None) -> Iterable[tuple[str, bytes]]:
    """Names and bytes of a package's files, in the order in which they lie there; nothing is unpacked to disk."""
    path = folder / _file_name(package)
    names = None if wanted is None else set(wanted)
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and (names is None or member.name in names):
                    file = archive.extractfile(member)
                    assert file is not None  # it is a file
                    yield member.name, file.read()
    except FileNotFoundError:
        raise DataError(f"{path}: no such package; run npm pack {package}@{PACKAGES[package]} there") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it and fetch it again") from None


def read_packages(folder: Path) -> list[Emoji]:
    """All emoji of at least `MIN_FRAMES` frames that emojibase knows, ordered by code.

    Raises:
        DataError: a package is missing or damaged.
    """
    wanted = ("package/en/data.json", "package/en/messages.json")
    try:
        data, messages = (json.loads(text) for _, text in sorted(_members(folder, NAMES, wanted)))
        groups, subgroups = ({e["order"]: e["key"] for e in messages[kind]} for kind in ("groups", "subgroups"))
        known = {
            _code(emoji["hexcode"]): (emoji["label"], groups[emoji["group"]], subgroups[emoji["subgroup"]])
            for entry in data
            for emoji in (entry, *entry.get("skins", []))
            if "group" in emoji  # single letters of flags have none
        }
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"{folder / _file_name(NAMES)}: not the emojibase data that is expected ({error!r})") from None
    found = {}
    for package in ARTWORK:
        for name, picture in _members(folder, package):
            code = _code(Path(name).stem)
            if name.endswith(".webp") and code in known and _frames(picture) >= MIN_FRAMES:
                found[code] = Emoji(package, name, code, *known[code])
    return [found[code] for code in sorted(found)]


def _code(text: str) -> str:
    """Code points as a key: the selector of the coloured form, fe0f, comes and goes."""
    return "-".join(point for point in text.lower().split("-") if point != "fe0f")


def _frames(picture: bytes) -> int:
    try:
        with Image.open(io.BytesIO(picture)) as image:
            return int(getattr(image, "n_frames", 1))
    except (OSError, ValueError, SyntaxError):
        return 0


def choose(found: list[Emoji], which: str, subgroups: list[str] | None) -> dict[str, list[tuple[Emoji, str]]]:
    """Choose the emoji of a set and hold out a test set, all from their labels alone.

    Returns:
        Classes by name, and in each its emoji with ``train`` or ``test``, ordered by label.

    Raises:
        DataError: nothing is left to choose.
    """
    of_set = _in_groups(found) if which == "groups" else _actions(found)
    kept = set(subgroups or (emoji.subgroup for _, emoji, _ in of_set))
    kept &= set(ACTIVITIES) if which == "activities" else kept
    chosen = [(name, emoji, split) for name, emoji, split in of_set if emoji.subgroup in kept]
    if not chosen:
        known = ", ".join(sorted({emoji.subgroup for _, emoji, _ in of_set}))
        raise DataError(f"the set {which} has no emoji in these subgroups; it has {known or 'none at all'}")
    classes: dict[str, list[tuple[Emoji, str]]] = defaultdict(list)
    for name, emoji, split in sorted(chosen, key=lambda choice: (choice[0], choice[1].label)):
        classes[name].append((emoji, split))
    return classes


def _in_groups(found: list[Emoji]) -> list[tuple[str, Emoji, str]]:
    """All emoji, with their group as class. A sixth is held out, with all skin tones of an emoji."""
    labels = sorted({emoji.group for emoji in found})
    numbers = [labels.index(emoji.group) for emoji in found]
    splits = assign_splits([emoji.base for emoji in found], numbers, [""] * len(found), 1 / 6, 0)
    return [(emoji.group, emoji, split) for emoji, split in zip(found, splits)]


def _actions(found: list[Emoji]) -> list[tuple[str, Emoji, str]]:
    """What a man, a woman and a person are each shown doing, in `MIN_VARIANTS` clips or more.

    One gender of each action is held out: the same one in every set, and each equally often in every subgroup.
    """
    variants: dict[str, list[Emoji]] = defaultdict(list)
    for emoji in found:
        if emoji.subgroup.startswith("person-") and emoji.action:
            variants[emoji.action].append(emoji)
    actions = [
        action
        for action, shown in variants.items()
        if len(shown) >= MIN_VARIANTS and {emoji.gender for emoji in shown} == set(GENDERS)
    ]
    actions.sort(key=lambda action: (variants[action][0].subgroup, hashlib.sha256(action.encode()).digest()))
    return [
        (action, emoji, TEST if emoji.gender == GENDERS[rank % len(GENDERS)] else TRAIN)
        for rank, action in enumerate(actions)
        for emoji in variants[action]
    ]


def _laid_out(classes: dict[str, list[tuple[Emoji, str]]], suffix: str) -> list[Clip]:
    """Where each emoji goes: ``getting-haircut/man-getting-haircut-dark-skin-tone.webp``."""
    clips = []
    for name, members in classes.items():
        alike = Counter(_slug(emoji.label) for emoji, _ in members)
        for emoji, split in members:
            stem = _slug(emoji.label)
            if alike[stem] > 1 or not stem:  # labels that differ in signs only
                stem = f"{stem}-{emoji.code}".strip("-")
            clips.append(Clip(emoji, f"{_slug(name)}/{stem}{suffix}", _slug(name), split))
    return clips


def _slug(label: str) -> str:
    """A label as a file name: ``getting-haircut``."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _lay_out(clips: list[Clip], folder: Path, out: Path, settings: dict[str, Any]) -> None:
    """Write the clips that OUT lacks, then the list."""
    out.mkdir(parents=True, exist_ok=True)
    _write(out / SETTINGS, json.dumps(settings, indent=2) + "\n")
    packages = "\n".join(f"- {name} {version}" for name, version in PACKAGES.items())
    _write(out / ATTRIBUTION, _ATTRIBUTION_TEXT.format(packages=packages))
    missing = {(c.emoji.package, c.emoji.member): out / c.path for c in clips if not (out / c.path).is_file()}
    pictures = (
        (missing[package, name], picture)
        for package in ARTWORK
        if (wanted := [name for home, name in missing if home == package])
        for name, picture in _members(folder, package, wanted)
    )
    console = Console(stderr=True)
    for path, picture in track(pictures, "laying out", total=len(missing), console=console, disable=not missing):
        path.parent.mkdir(exist_ok=True)
        if settings["background"] is None:
            with atomic_path(path) as temporary:
                temporary.write_bytes(picture)
        else:
            write_clip(path, *_on_colour(picture, settings["background"]))
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["path", "label", "split", "group"])
    writer.writerows([c.path, c.label, c.split, c.emoji.base] for c in clips)
    _write(out / LIST, rows.getvalue())


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _on_colour(picture: bytes, colour: str) -> tuple[np.ndarray, float]:
    """The frames on a plain background, uint8 ``[T, H, W, 3]``, and their mean rate in frames per second."""
    frames, delays = [], []
    with Image.open(io.BytesIO(picture)) as image:
        for frame in ImageSequence.Iterator(image):
            canvas = Image.new("RGBA", frame.size, ImageColor.getrgb(colour))
            frames.append(np.array(Image.alpha_composite(canvas, frame.convert("RGBA")).convert("RGB")))
            delays.append(frame.info["duration"])  # milliseconds, known once the frame is decoded
    return np.stack(frames), 1000 * len(delays) / sum(delays)


def _rows(out: Path) -> list[dict[str, str]]:
    with open(out / LIST, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _summarise(out: Path) -> None:
    rows = _rows(out)
    for label in sorted({row["label"] for row in rows}):
        own = [row for row in rows if row["label"] == label]
        test = [row for row in own if row["split"] == TEST]
        groups = sorted({row["group"] for row in test})
        held_out = groups[0] if len(groups) == 1 else f"{len(groups)} emoji"
        print(f"{label:28} {len(own):4} clips, {len(test):3} of them for test ({held_out})")
    tests = sum(row["split"] == TEST for row in rows)
    print(f"{len({row['label'] for row in rows})} classes, {len(rows)} clips, {tests} of them for test")
    print(f"list: {out / LIST}   licence: {out / ATTRIBUTION}")


if __name__ == "__main__":
    sys.exit(main())
