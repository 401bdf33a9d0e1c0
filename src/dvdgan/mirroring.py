"""Which class a clip shows once it is mirrored left to right: a pan to the left becomes a pan to the right."""

from __future__ import annotations

from collections.abc import Mapping


def with_opposites(flip_labels: Mapping[str, str | None]) -> dict[str, str | None]:
    """A map of classes with all that it implies: where clips of a, mirrored, show b, those of b show a.

    Args:
        flip_labels: the class that a mirrored clip of each class shows; None where clips are never mirrored. A class
            that is not named stays itself.

    Returns:
        The map, with the opposite of each class that it names, unless it says itself what becomes of that one.

    Raises:
        ValueError: mirrored twice, a clip would show another class than at first; the message names the mend.
    """
    whole = dict(flip_labels)
    for label, mirrored in flip_labels.items():
        if mirrored is not None:
            whole.setdefault(mirrored, label)
    for label, mirrored in whole.items():
        back = None if mirrored is None else whole[mirrored]
        if back is not None and back != label:
            raise ValueError(
                f"mirrored, {label} shows {mirrored}, but {mirrored} shows {back}, and a clip that is mirrored twice "
                f"is itself again; say {mirrored}: {label}, or null for the one that is never mirrored"
            )
    return whole
