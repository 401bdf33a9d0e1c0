"""What goes wrong with video GANs and does not show in their losses: watched while training, with what to do about it.

A condition is looked for in averages over the last steps, raised once, and cleared once it has gone well past its
threshold. The state is part of a checkpoint, so that a resumed run raises what an uninterrupted one would.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from dvdgan.config.training import HealthConfig
from dvdgan.runs.checkpoint import list_checkpoints
from dvdgan.runs.directory import TrainingFailed
from dvdgan.runs.events import Event
from dvdgan.runs.run import Run
from dvdgan.training.checks import SampleCheck
from dvdgan.training.metrics import (
    DISCRIMINATORS,
    AveragedMetrics,
    StepMetrics,
    values_of,
)

_FEWEST = 8  # clips of a class, generated and real, before its motion counts
_NO_JUMP = 0.05  # step from frame 0 to 1 of real clips, in median steps, below which there is nothing to compare with
_STILL = 1e-3  # motion of real clips, in units of the luma range, below which there is nothing to compare with
_MARGIN = 1.2  # a condition clears only so far beyond its threshold
_CHECKS = 3  # checks that are pooled before a class is called never right
_SETTLED = 50  # steps before a gradient's usual norm is known
_USUAL = 0.99  # decay per step of the mean of a norm

ADVICE = {
    "not finite": "the same command would come here again: add training.lr_d and training.lr_g of half their size, or "
    "training.precision=fp32, and --override; to go on from an earlier checkpoint, delete the newest",
    "frozen clips": "train on while motion_ratio rises; if it does not, start anew with what is not set yet of "
    "network.generator.gate_bias=log_uniform, network.generator.time_code=8 and "
    "network.temporal.frame_differences=true",
    "frame 0 apart": "train on while first_frame falls; if it does not, start anew with what is not set yet of "
    "network.generator.norm_statistics=per_step and network.generator.time_code=8",
    "little variety": "the generator repeats itself: look at the sheets; start anew with network.spatial.group=3 and "
    "network.temporal.group=3; or go on with more regularisation (training.regularisation.r1, lecam or augment) or a "
    "lower training.lr_d, with --override",
    "little variety within a class": "the seed hardly changes the clip: look at the sheet; start anew with "
    "network.spatial.group=3 and network.temporal.group=3, so that the discriminators see clips of a class together",
    "discriminator saturated": "it tells every clip apart, so that the generator learns little from it: lower "
    "training.lr_d, or set training.regularisation.lecam, r1 or augment, with --override; with few clips it memorises",
    "discriminator blind": "it does not tell real clips from generated ones: raise training.lr_d or training.d_steps "
    "with --override, or start anew with a wider discriminator",
    "gradient explosion": "copy the newest checkpoint away; if it comes again, go on from it with a lower "
    "training.lr_g (of the generator) or training.lr_d (of D_S and D_T), or training.precision=fp32, and --override",
    "class never right": "no generated clip of it is taken for it: look at its row of the sheet; if it has few clips, "
    "set data.sampling=by_class in a new run, and check its folder for clips that belong elsewhere",
}


def _numbers(state: Mapping[str, Any], name: str, length: int | None) -> dict[str, list[float]]:
    """A part of a monitor's state: lists of so many numbers (None: any), by name."""
    lists = {key: list(values) for key, values in state.get(name, {}).items()}
    for values in lists.values():
        if not set(map(type, values)) <= {int, float} or len(values) != (length or len(values)):
            raise ValueError(f"health.{name} is not what is written there")
    return lists


class Monitor:
    """Watches a run. All methods return the events that they bring about.

    Args:
        config: thresholds.
        state: from `state`, of a run that goes on.

    Raises:
        ValueError: the state is none.
    """

    def __init__(self, config: HealthConfig, state: Mapping[str, Any] | None = None) -> None:
        self.config = config
        state = state or {}
        self._means = _numbers(state, "means", 2)
        self._norms = _numbers(state, "norms", 2)
        self._motion = _numbers(state, "motion", 4)
        self._checks = _numbers(state, "checks", None)
        self._raised: set[tuple[str, str | None]] = {(event, about) for event, about in state.get("raised", [])}
        if not all(
            isinstance(event, str) and (about is None or isinstance(about, str)) for event, about in self._raised
        ):
            raise ValueError("health.raised is not what is written there")

    def state(self) -> dict[str, Any]:
        """Everything that it remembers, JSON-serialisable."""
        raised = sorted(([event, about] for event, about in self._raised), key=str)
        averages = {"means": self._means, "norms": self._norms, "motion": self._motion}
        return {**averages, "checks": self._checks, "raised": raised}

    def moved(self, real: Mapping[str, tuple[float, int]], fake: Mapping[str, tuple[float, int]]) -> None:
        """Take in how much the clips of one step moved.

        Args:
            real: sum of the motion and number of clips, by class ("" without classes).
            fake: the same of generated clips.
        """
        decay = math.exp(-1 / self.config.window)
        for sums in self._motion.values():
            sums[:] = [decay * value for value in sums]
        for first, clips in ((0, real), (2, fake)):
            for name, (total, count) in clips.items():
                sums = self._motion.setdefault(name, [0.0] * 4)
                sums[first], sums[first + 1] = sums[first] + total, sums[first + 1] + count

    def gradients(self, step: int, norms: Mapping[str, float]) -> list[Event]:
        """Look for explosions in the gradient norms of one step.

        Args:
            step: G steps done.
            norms: finite norms by network.
        """
        events: list[Event] = []
        for name, norm in norms.items():
            usual, count = self._norms.get(name, [norm, 0])
            if count >= _SETTLED:
                times = norm / max(usual, 1e-12)
                text = f"norm {norm:.3g}, {times:.1f} times the usual {usual:.3g}"
                network = DISCRIMINATORS.get(name, name)
                self._check(events, step, "gradient explosion", network, times, self.config.explosion, True, text)
                norm = min(norm, self.config.explosion * usual)  # one explosion does not hide the next
            decay = min(_USUAL, count / (count + 1))
            self._norms[name] = [decay * usual + (1 - decay) * norm, count + 1]
        return events

    def logged(self, step: int, averages: AveragedMetrics, every: int) -> list[Event]:
        """Check what one line of the log says.

        Args:
            step: G steps done.
            averages: of the steps since the last line.
            every: steps between two lines.
        """
        means = self._averaged(averages, every)
        events: list[Event] = []
        if step < self.config.grace:
            return events
        c = self.config
        for name, (real, real_count, fake, fake_count) in self._motion.items():
            if min(real_count, fake_count) < _FEWEST or real / real_count < _STILL:
                continue
            ratio = (fake / fake_count) / (real / real_count)
            text = f"they move {ratio:.2f} times as much as real ones (alarm below {c.motion:g})"
            self._check(events, step, "frozen clips", name or None, ratio, c.motion, False, text)
        if means.get("first_frame_real", 0.0) > _NO_JUMP:
            jump = means["first_frame"] / means["first_frame_real"]
            text = f"its step to frame 1 is {jump:.1f} times what it is in real clips (alarm above {c.first_frame:g})"
            self._check(events, step, "frame 0 apart", None, jump, c.first_frame, True, text)
        for name, network in DISCRIMINATORS.items():
            if f"auc_{name}" in means:
                self._check_discriminator(events, step, network, means[f"auc_{name}"], means[f"loss_{name}"])
        return events

    def checked(self, step: int, check: SampleCheck, usable: Collection[str]) -> list[Event]:
        """Look for what is wrong with samples.

        Args:
            step: G steps done.
            check: of the samples.
            usable: classes that the check tells apart on real clips.
        """
        c = self.config
        rights = {name: right for name, right in check.accuracy_by_class.items() if name in usable}
        self._checks = {name: [*self._checks.get(name, []), right][-_CHECKS:] for name, right in rights.items()}
        events: list[Event] = []
        if step < c.grace:
            return events
        for name, share in check.diversity_by_class.items():
            text = f"layouts differ {share:.2f} times as much as real ones (alarm below {c.diversity:g})"
            self._check(events, step, "little variety within a class", name, share, c.diversity, False, text)
        if check.diversity is not None:
            text = f"layouts differ {check.diversity:.2f} times as much as real ones (alarm below {c.diversity:g})"
            self._check(events, step, "little variety", None, check.diversity, c.diversity, False, text)
        for name, past in self._checks.items():
            if len(past) == _CHECKS:
                share = sum(past) / _CHECKS
                text = f"{100 * share:.0f} % of its clips were taken for it in {_CHECKS} checks"
                # the threshold itself is an alarm: a share of 0 must raise even when the threshold is 0
                self._check(
                    events, step, "class never right", name, share, math.nextafter(c.never_right, 1), False, text
                )
        return events

    def _averaged(self, averages: AveragedMetrics, every: int) -> dict[str, float]:
        """Averages over the window, with this line's taken in."""
        values: dict[str, float] = {}
        if averages.first_frame is not None and averages.first_frame_real is not None:
            values |= {"first_frame": averages.first_frame, "first_frame_real": averages.first_frame_real}
        for name, one in averages.discriminators.items():
            values |= {f"auc_{name}": one.auc, f"loss_{name}": one.loss}
        decay = math.exp(-every / self.config.window)
        for name, value in values.items():
            mean, weight = self._means.get(name, [0.0, 0.0])
            total = decay * weight + 1
            self._means[name] = [(decay * weight * mean + value) / total, total]
        return {name: self._means[name][0] for name in values}

    def _check_discriminator(self, events: list[Event], step: int, network: str, auc: float, loss: float) -> None:
        c = self.config
        near_zero = 0.1  # of the hinge loss, which starts at 2, and of the relativistic one, which starts at ln 2
        share = auc if loss < near_zero else 0.0
        text = f"it ranks {100 * auc:.1f} % of pairs rightly, with a loss of {loss:.3f}"
        key = ("discriminator saturated", network)
        wrong = share >= c.saturated or (key in self._raised and auc >= c.saturated and loss < _MARGIN * near_zero)
        self._set(events, step, *key, wrong, text)
        text = f"it ranks {100 * auc:.1f} % of pairs rightly (alarm below {100 * c.equal:g} %; 50 % is chance)"
        threshold = 0.5 + (c.equal - 0.5) * (_MARGIN if ("discriminator blind", network) in self._raised else 1)
        self._set(events, step, "discriminator blind", network, auc < threshold, text)

    def _check(
        self,
        events: list[Event],
        step: int,
        event: str,
        about: str | None,
        value: float,
        threshold: float,
        above: bool,
        text: str,
    ) -> None:
        """Raise when the value is beyond the threshold; clear when it is back by a margin."""
        if (event, about) in self._raised:
            threshold = threshold / _MARGIN if above else threshold * _MARGIN
        self._set(events, step, event, about, value > threshold if above else value < threshold, text)

    def _set(self, events: list[Event], step: int, event: str, about: str | None, wrong: bool, text: str) -> None:
        key = (event, about)
        if wrong and key not in self._raised:
            self._raised.add(key)
            events.append(Event(step, event, about, "raised", text, ADVICE[event]))
        elif not wrong and key in self._raised:
            self._raised.discard(key)
            events.append(Event(step, event, about, "cleared", text))


def require_finite(run: Run, metrics: StepMetrics) -> None:
    """Stop before anything of this step is saved.

    Raises:
        TrainingFailed: a value is not finite; those of the first update that has such are named.
    """
    for update in (*metrics.discriminators, metrics.generator):
        if broken := [name for name, value in values_of(update) if not math.isfinite(value)]:
            step, advice = run.state.step, ADVICE["not finite"]
            event = Event(step, "not finite", None, "raised", f"{', '.join(broken)} not finite", advice)
            run.write(event.line())
            saved = list_checkpoints(run.folder / "checkpoints")
            last = f"the last checkpoint is {saved[-1].name}" if saved else "there is no checkpoint yet"
            raise TrainingFailed(f"step {step}: {event.message}; {last}; {advice}")
