"""Whether reading clips keeps up with training (data stalls)."""

from __future__ import annotations

SHARE = 0.1
"""Share of a step's time that may go to waiting for clips."""

_LEAST = 0.02  # seconds a step below which waiting does not matter
_SETTLED = 20  # steps before anything is said
_SILENCE = 1000  # steps before it is said again


class DataStallNotice:
    """Watches how long training waits for clips. It touches no training state, since it depends on the clock.

    Args:
        workers: how many processes decode clips while training; 0 where they are read from a packed store.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._waited = self._total = 0.0
        self._steps, self._quiet = 0, 0

    def step(self, waited: float, total: float) -> str | None:
        """Take in one step.

        Args:
            waited: seconds that it waited for clips.
            total: seconds that it took in all.

        Returns:
            What to tell the user, if reading does not keep up and that was not said lately.
        """
        keep = 1 - 1 / _SETTLED
        self._waited, self._total = keep * self._waited + waited, keep * self._total + total
        self._steps, self._quiet = self._steps + 1, self._quiet - 1
        behind = self._waited > max(SHARE * self._total, _LEAST * min(self._steps, _SETTLED))
        if not behind or self._steps < _SETTLED or self._quiet > 0:
            return None
        self._quiet = _SILENCE
        share = 100 * self._waited / self._total
        if self.workers:
            mend = (
                f"decoding in {self.workers} processes does not keep up: pack the clips once (`dvdgan data pack`, or "
                "data.pack=true in a new run), or raise data.workers on a machine with more cores"
            )
        else:
            mend = "the disk does not keep up: put the packed store on a quicker one, or free memory to cache it"
        return f"warning: {share:.0f} % of a step is waiting for clips; {mend}"
