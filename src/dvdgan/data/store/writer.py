"""Writes a packed store (see `dvdgan.data.store`): clip by clip, at once or going on after an interruption."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dvdgan.atomic import write_all
from dvdgan.capacity import gib
from dvdgan.data.layouts.listing import Problem
from dvdgan.data.store.entries import all_but_renamed, is_entry
from dvdgan.data.store.frame_files import FrameFile, TarShards, remove_beyond
from dvdgan.data.store.index import FORMAT, FRAMES, INDEX, MOST_INDEX, SHARDS_VERSION, VERSION, Clip, StoreError
from dvdgan.data.store.partial import LOG, Hold, PackingLog, check_place, is_packing, remove_abandoned, remove_own, sync


class StoreWriter:
    """Writes a store; use it as a context manager.

    Leaving the block puts the store in its place (over a store that was there before); an exception leaves nothing,
    or, with `resume`, what is needed to go on: the same work, begun again, then ends in the very same bytes.

    Args:
        path: the store's directory. What is there already must be a store or an empty directory.
        size: short side of every frame, in pixels.
        classes: names of the classes; empty if the clips have none.
        about: what the clips are and how they were made, as JSON values; `ClipStore.about` gives it back.
        resume: go on where a writer with equal arguments was interrupted or killed; `done` says what is there.
        shards: how many tar shards to write; None is one file.

    Attributes:
        done: the sources that were added or skipped so far.
        skipped: the clips that could not be used.
        bytes: how many bytes of frames there are so far.
        begins_anew: whether what an interrupted packing has left is of other work, and is given up.
        scratch: a directory for files on the way, on the disk of the store; empty at first, removed at the end.

    Raises:
        StoreError: something else stands at `path`, another process is packing there, or no clip was added.
    """

    def __init__(
        self,
        path: str | Path,
        size: int,
        classes: Iterable[str],
        about: dict[str, Any],
        resume: bool = False,
        shards: int | None = None,
    ) -> None:
        self.path = Path(os.path.abspath(path))  # "." has no name to put a temporary directory beside
        self.size = size
        self.classes = list(classes)
        self.about = about
        self.shards = shards
        self.skipped: list[Problem] = []
        self.done: set[str] = set()
        self.bytes = 0
        self.begins_anew = False
        self._clips: list[Clip] = []
        self._keep, self._over = resume, False
        check_place(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self.path, resume)
        self._partial = self.path.with_name(f".{self.path.name}.{'' if resume else secrets.token_hex(4) + '.'}partial")
        self.scratch = self._partial / f"scratch.{secrets.token_hex(4)}"
        if os.path.lexists(self._partial) and not is_packing(self._partial):
            raise StoreError(self._partial, "is no unfinished packing; move it away, or choose another place")
        try:
            self._hold = Hold(self._partial)
        except BlockingIOError:
            mend = "wait until it has ended, or choose another place"
            raise StoreError(self.path, f"another process is packing here; {mend}") from None
        self._frames = TarShards(self._partial, shards, self.classes) if shards else FrameFile(self._partial)
        try:
            self._log = self._resumed() if resume else None
            self._frames.open()
            self.scratch.mkdir()
        except BaseException:
            self._hold.release()
            raise

    def _resumed(self) -> PackingLog:
        """Take in what is there for certain, and remove the rest."""
        more = [self.shards] if self.shards else []
        work = json.loads(json.dumps([VERSION, self.size, self.classes, self.about, *more]))
        log = PackingLog(self._partial / LOG, work)
        known = log.entries or all_but_renamed(self._partial, self.size, self.classes, self.about, self.shards)
        taken = 0
        for kind, entry in known:
            if not is_entry(kind, entry, self.classes, range(self._frames.shard + 1, self.shards or 0)):
                break
            if kind == "clip" and not self._frames.has(Clip(*entry)):
                break  # the disk has lost what it had confirmed
            self._take(kind, entry)
            taken += 1
        remove_beyond(self._partial, self._frames)
        if taken < len(known) or not log.entries:
            log.rewrite(known[:taken])
        self.begins_anew = log.replaces and not taken
        (self._partial / INDEX).unlink(missing_ok=True)
        for scratch in self._partial.glob("scratch.*"):
            shutil.rmtree(scratch, ignore_errors=True)
        return log

    def add(
        self, frames: Iterable[np.ndarray], label: int, source: str, fps: float, split: str = "", group: str = ""
    ) -> None:
        """Append one clip. If reading its frames fails, the store is as it was before.

        Args:
            frames: uint8 ``[H, W, 3]`` or ``[H, W, 4]`` each, all of one shape with a short side of `size`; at least
                one.
            label: index of the class; 0 if there are no classes.
            source: where the clip comes from, for people.
            fps: frames per second.
            split: ``train``, ``test`` or empty.
            group: what the clip's near copies share; empty for a group of its own.

        Raises:
            ValueError: frames of another shape, no frames, or no such label.
        """
        if not 0 <= label < max(1, len(self.classes)):
            raise ValueError(f"{source}: label {label} is not one of {len(self.classes)} classes")
        digest, count, shape = hashlib.sha256(), 0, None
        self._frames.begin()
        try:
            for frame in frames:
                _check_frame(frame, self.size, source)
                if shape is not None and frame.shape != shape:
                    raise ValueError(f"{source}: the size of its frames changes on the way")
                shape = frame.shape
                data = np.ascontiguousarray(frame).data.cast("B")
                write_all(self._frames.file, data)
                digest.update(data)
                count += 1
            if shape is None:
                raise ValueError(f"{source}: no frames")
            height, width, channels = shape
            entry = Clip(label, source, count, height, width, channels, float(fps), split, group, digest.hexdigest())
            self._frames.complete(len(self), entry)
        except BaseException:
            self._frames.undo()
            raise
        self._note("clip", entry)

    def skip(self, source: str, reason: str) -> None:
        """Note a clip that could not be used; the index keeps the list."""
        self._note("skip", asdict(Problem(source, reason)))

    def begin_shard(self, shard: int) -> None:
        """Write what is added from now on into this shard, which may be the one at hand; numbers ascend from 0."""
        if isinstance(self._frames, TarShards) and shard > self._frames.shard:
            self._frames.end_shard()
            self._frames.turn(shard)
            self._frames.open()
            self._note("shard", shard)

    def _note(self, kind: str, entry: Any) -> None:
        self._take(kind, entry)
        if self._log is not None:
            self._log.add([kind, entry], self._frames.file)

    def _take(self, kind: str, entry: Any) -> None:
        if kind == "clip":
            clip = Clip(*entry)
            self._clips.append(clip)
            self.bytes += clip.bytes
            self.done.add(clip.source)
            self._frames.count(clip)
        elif kind == "shard":
            if isinstance(self._frames, TarShards):
                self._frames.turn(entry)
        else:
            problem = Problem(**entry)
            self.skipped.append(problem)
            self.done.add(problem.source)

    def drop_unused_classes(self) -> list[str]:
        """Forget classes without a clip, and number the labels anew. Returns the names that were dropped.

        To be called last; a writer that resumes begins with all classes again. In shards, where labels are written
        already, all stay.
        """
        if self.shards:
            return []
        used = sorted({clip.label for clip in self._clips})
        dropped = [name for label, name in enumerate(self.classes) if label not in set(used)]
        if dropped:
            self.classes = [self.classes[label] for label in used]
            number = {label: new for new, label in enumerate(used)}
            self._clips = [clip._replace(label=number[clip.label]) for clip in self._clips]
        return dropped

    def discard(self) -> None:
        """Leave nothing behind at the end of the block: no store, and nothing to go on with."""
        self._keep, self._over = False, True

    def __len__(self) -> int:
        return len(self._clips)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Put the store in its place, or, after an exception, remove what was written unless it is to be resumed."""
        try:
            if kind is None and not self._over:
                self._commit()
        finally:
            if self._log is not None and not self._over:
                with suppress(OSError, ValueError):  # the disk is full, or the commit has closed it
                    self._log.sync(self._frames.file)
            self._frames.close()
            if self._log is not None:
                self._log.close()
            shutil.rmtree(self.scratch, ignore_errors=True)
            if self._partial.exists() and not (self._keep and self.done):
                remove_own(self._partial)
            self._hold.release()

    def _commit(self) -> None:
        if not self._clips:
            self.discard()
            raise StoreError(self.path, "no clips to pack")
        placed = self._frames.finish()
        index = {
            "format": FORMAT,
            "version": SHARDS_VERSION if self.shards else VERSION,
            "size": self.size,
            "classes": self.classes,
            "about": self.about,
            "bytes": self.bytes,
            "skipped": [asdict(problem) for problem in self.skipped],
            **placed,
            "clips": dict(zip(Clip._fields, map(list, zip(*self._clips)))) | placed["clips"],
        }
        with open(self._partial / INDEX, "w", encoding="utf-8") as file:
            json.dump(index, file)
            sync(file)
            if (length := file.tell()) > MOST_INDEX:  # it could not be read; the store that is there stays
                what = f"the index of {len(self._clips):,} clips takes {gib(length)}; pack them into several stores"
                raise StoreError(self.path, what)
        self._frames.close()  # Windows renames no directory with an open file in it
        shutil.rmtree(self.scratch)
        old = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.old")
        if self.path.exists():
            os.rename(self.path, old)
        try:
            if self._log is not None:
                self._log.remove()
            os.rename(self._partial, self.path)
        except OSError:
            if old.exists():
                os.rename(old, self.path)
            raise
        self._over = True
        if self.shards:
            (self.path / FRAMES).unlink()  # it was locked until now
        if old.exists():
            remove_own(old)


def _check_frame(frame: np.ndarray, size: int, source: str) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] not in (3, 4) or min(frame.shape[:2]) != size:
        raise ValueError(
            f"{source}: a frame is uint8 [H, W, 3 or 4] with a short side of {size}, "
            f"not {frame.dtype} {list(frame.shape)}"
        )
