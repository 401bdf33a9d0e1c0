"""Render clips of the bodies of dm_control's suite, moved at random: one class per domain, such as cheetah or swimmer.

    pip install 'dvdgan[dm-control]'
    python scripts/render_dm_control.py OUT --clips-per-class 200 --size 128 --processes 2

OUT gets DOMAIN/000012.mp4. Task, initial state, camera and actions of a clip are drawn from the seed, its domain and
its number, so a clip is the same whatever else is rendered. Clips that are there are kept: the same command goes on
after an interruption, and with more --clips-per-class it adds clips. Without a display this needs EGL (on Debian:
libegl1 and libgl1-mesa-dri; a processor does) or, with MUJOCO_GL=osmesa, libosmesa6.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from dvdgan.atomic import atomic_path
from dvdgan.data.errors import DataError
from dvdgan.data.write.encode import write_clip

SETTINGS = "dm-control.json"
INSIDE = ("egocentric", "eye", "eyes", "hand", "global")  # cameras that see too little of the body, or too much
LOOK_ALIKE = ("_sparse", "walk", "trot", "run", "hop", "run_pure_state")  # tasks that differ in what earns rewards
FIXED = 0  # MuJoCo's mode of cameras that follow nothing
ATTEMPTS = 5


def main(arguments: list[str] | None = None) -> int:
    """Render what the command line says; returns the exit status."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder for the clips: new, empty, or rendered by the same settings")
    add("--domains", metavar="A,B", help="only these (all)")
    add("--clips-per-class", type=partial(_whole, 1, 10**6), default=100, metavar="N", help="clips per domain (100)")
    add("--size", type=partial(_whole, 16, 1024), default=128, metavar="PX", help="height and width in pixels (128)")
    add("--frames", type=partial(_whole, 2, 10_000), default=48, metavar="N", help="frames per clip (48)")
    add("--fps", type=partial(_whole, 1, 100), default=24, metavar="N", help="frames per second (24)")
    add("--seed", type=partial(_whole, 0, 2**63), default=0, metavar="N", help="another one renders other clips (0)")
    add("--processes", type=partial(_whole, 1, 1024), default=1, metavar="N", help="how many render at a time (1)")
    return parser


def _whole(low: int, high: int, text: str) -> int:
    if not (text.isdecimal() and low <= int(text) <= high):
        raise argparse.ArgumentTypeError(f"is a whole number from {low} to {high}, not {text}")
    return int(text)


def _run(args: argparse.Namespace) -> None:
    tasks = suite_tasks()
    domains = sorted(tasks) if args.domains is None else [name.strip() for name in args.domains.split(",")]
    if unknown := [name for name in domains if name not in tasks]:
        raise DataError(f"--domains: there is no {unknown[0]!r}; there are {', '.join(sorted(tasks))}")
    _check_folder(args.out, {name: getattr(args, name) for name in ("size", "frames", "fps", "seed")})
    clips = [(domain, index) for domain in domains for index in range(args.clips_per_class)]
    missing = [clip for clip in clips if not _file(args.out, *clip).is_file()]
    work = partial(_render_file, args.out, args.size, args.frames, args.fps, args.seed)
    began, console = time.monotonic(), Console(stderr=True)
    done = _in_processes(work, missing, args.processes)
    for _ in track(done, "rendering", total=len(missing), console=console, disable=not missing):
        pass
    rate = len(missing) * args.frames / (time.monotonic() - began)
    news = f"{len(missing)} of them new, {rate:.0f} frames/s" if missing else "all of them there before"
    print(f"{args.out}: {len(domains)} classes, {len(clips)} clips ({news})")


def _check_folder(out: Path, settings: dict[str, int]) -> None:
    """Begin a folder, or refuse one that holds something else."""
    try:
        found = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(f"{out}: holds no clips of this script (no {SETTINGS}); choose a new folder") from None
        out.mkdir(parents=True, exist_ok=True)
        with atomic_path(out / SETTINGS) as temporary:
            temporary.write_text(json.dumps(settings) + "\n", encoding="utf-8")
        return
    if other := [name for name, value in settings.items() if found.get(name) != value]:
        raise DataError(f"{out}: was rendered with another {', '.join(other)}; choose a new folder")


def _file(out: Path, domain: str, index: int) -> Path:
    return out / domain / f"{index:06d}.mp4"


def _render_file(out: Path, size: int, frames: int, fps: int, seed: int, clip: tuple[str, int]) -> None:
    write_clip(_file(out, *clip), render(*clip, seed=seed, size=size, frames=frames, fps=fps), fps)


def _in_processes(work: Any, clips: list[tuple[str, int]], processes: int) -> Iterator[None]:
    """Do the work on all clips, in other processes if there is more than one."""
    if processes == 1 or len(clips) < 2:
        yield from map(work, clips)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(work, clips, chunksize=max(1, min(16, len(clips) // processes)))
        except BrokenProcessPool:
            raise DataError("a rendering process ended; the same command goes on, try fewer --processes") from None
        finally:
            pool.shutdown(cancel_futures=True)


def suite_tasks() -> dict[str, list[str]]:
    """The tasks of each domain, without those that look like its first.

    Raises:
        DataError: dm_control is not installed, or finds no OpenGL.
    """
    tasks: dict[str, list[str]] = {}
    for domain, task in _suite().ALL_TASKS:
        own = tasks.setdefault(domain, [])
        if not own or not task.endswith(LOOK_ALIKE):
            own.append(task)
    return tasks


def _suite() -> Any:
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        from dm_control import suite
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        raise DataError(f"{name} is not installed; run: pip install 'dvdgan[dm-control]'") from None
    except (ImportError, AttributeError, RuntimeError) as error:  # what PyOpenGL raises where there is no library
        reason = " ".join(str(error).split())
        way = os.environ.get("MUJOCO_GL", "a display")
        raise DataError(
            f"no OpenGL by {way} ({reason}); install libegl1 and libgl1-mesa-dri, and unset MUJOCO_GL"
        ) from None
    return suite


@lru_cache(maxsize=8)
def _environment(domain: str, task: str) -> tuple[Any, np.random.RandomState]:
    """An environment and what all its draws come from."""
    draws = np.random.RandomState(0)
    return _suite().load(domain, task, task_kwargs={"random": draws}), draws


def render(domain: str, index: int, *, seed: int, size: int, frames: int, fps: int) -> np.ndarray:
    """A clip, uint8 ``[frames, size, size, 3]``: a function of the arguments alone.

    Raises:
        DataError: dm_control cannot be used, or the simulation became unstable again and again.
    """
    tasks = suite_tasks()[domain]
    from dm_control.rl.control import PhysicsError

    for attempt in range(ATTEMPTS):
        digest = hashlib.sha256(f"{seed}/{domain}/{index}/{attempt}".encode()).digest()
        rng = np.random.default_rng(list(digest))
        env, draws = _environment(domain, tasks[rng.integers(len(tasks))])
        draws.seed(rng.integers(2**32))
        try:
            return np.stack(list(_frames(env, rng, size, frames, fps)))
        except PhysicsError:
            continue
    raise DataError(f"{domain}/{index:06d}: the simulation became unstable {ATTEMPTS} times; use another seed")


def _frames(env: Any, rng: np.random.Generator, size: int, frames: int, fps: int) -> Iterator[np.ndarray]:
    """The frames of an episode, without its end: the physics are stepped on whatever the task thinks of it."""
    env.reset()
    physics, step = env.physics, env.control_timestep()
    action = _smooth_actions(env.action_spec(), rng)
    camera = _Camera(physics, rng, size)
    steps = 0
    for frame in range(frames):
        while steps * step < frame / fps:
            env.task.before_step(action(steps * step), physics)
            physics.step(max(1, round(step / physics.timestep())))
            steps += 1
        physics.check_divergence()
        yield camera.look()


def _smooth_actions(spec: Any, rng: np.random.Generator) -> Any:
    """A function of time in seconds: each action is a sum of three waves of 0.2 to 2 Hz within its bounds."""
    low, high = np.maximum(spec.minimum, -1.0), np.minimum(spec.maximum, 1.0)
    shape = (3, *spec.shape)
    rate, phase = np.exp(rng.uniform(math.log(0.2), math.log(2.0), shape)), rng.uniform(0, 2 * math.pi, shape)
    weight = rng.dirichlet(np.ones(3), spec.shape).T * rng.uniform(0.5, 1.5)

    def action(seconds: float) -> np.ndarray:
        wave = (weight.reshape(shape) * np.sin(2 * math.pi * rate * seconds + phase)).sum(0)
        return np.asarray(low + (high - low) * (np.clip(wave, -1, 1) + 1) / 2)

    return action


class _Camera:
    """One of the model's own cameras, turned and moved a little. If it follows, then the heaviest body that moves."""

    def __init__(self, physics: Any, rng: np.random.Generator, size: int) -> None:
        from dm_control.mujoco.engine import MovableCamera

        model = physics.model
        model.vis.global_.offwidth, model.vis.global_.offheight = (max(size, 640), max(size, 480))
        names = [model.id2name(number, "camera") for number in range(model.ncam)]
        chosen = rng.choice([number for number, name in enumerate(names) if name not in INSIDE])
        self._physics = physics
        self._follows = model.cam_mode[chosen] != FIXED
        roots = np.where(np.asarray(model.body_weldid) != 0, model.body_rootid, 0)  # 0 is what never moves
        weights = np.bincount(roots, model.body_mass)
        self._moving = np.flatnonzero(roots == 1 + np.argmax(weights[1:]))
        place, forward = physics.data.cam_xpos[chosen].copy(), -physics.data.cam_xmat[chosen].reshape(3, 3)[:, 2]
        distance = float((self._find_centre() - place) @ forward)
        self._offset = place + distance * forward - self._find_centre()
        self._centre = self._find_centre()
        self._distance = distance * rng.uniform(0.9, 1.2)
        self._azimuth = math.degrees(math.atan2(forward[1], forward[0])) + rng.uniform(-40, 40)
        self._elevation = math.degrees(math.asin(np.clip(forward[2], -1, 1))) + rng.uniform(-15, 5)
        self._elevation = float(np.clip(self._elevation, -85, 0))
        model.vis.global_.fovy = model.cam_fovy[chosen]
        self._camera = MovableCamera(physics, height=size, width=size)

    def _find_centre(self) -> np.ndarray:
        masses = self._physics.model.body_mass[self._moving]
        return np.average(self._physics.data.xipos[self._moving], axis=0, weights=masses)

    def look(self) -> np.ndarray:
        """The present frame, uint8 ``[size, size, 3]``."""
        if self._follows:
            self._centre = self._find_centre()
        self._camera.set_pose(self._centre + self._offset, self._distance, self._azimuth, self._elevation)
        return self._camera.render().copy()  # it renders into the same array each time


if __name__ == "__main__":
    sys.exit(main())
