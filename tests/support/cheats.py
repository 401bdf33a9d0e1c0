"""Clips that look right to a careless measure: what passed former definitions of the behaviours, and more of the kind.

Every maker takes two real clips of the class, uint8 ``[T, H, W, 3]``, and a number that varies the cheat, and returns
one clip of the same shape. `GENERAL` are for all classes, `OF_CLASS` for one each. `HONEST` are drawn by the same means
and behave: what fails a cheat is the cheat, not the way it is drawn.
"""

import colorsys

import numpy as np
from scipy import ndimage

_FLOOR = 0.86


def _uint8(clip):
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def _grid(size):
    centres = (np.arange(size) + 0.5) / size
    return centres[None, :], centres[:, None]


def _texture(size, i, scale=0.07):
    """A coloured smooth noise that repeats at its borders, float ``[H, W, 3]``."""
    noise = np.random.default_rng(i).normal(size=(size, size, 3))
    smooth = ndimage.gaussian_filter(noise, (scale * size, scale * size, 0), mode="wrap")
    return 128 + 70 * smooth / smooth.std()


def _rolled(picture, shift, axis):
    """A picture moved along an axis by any number of pixels, wrapped."""
    whole = int(np.floor(shift))
    part = shift - whole
    return (1 - part) * np.roll(picture, whole, axis) + part * np.roll(picture, whole + 1, axis)


def _hue(i, value=0.85, saturation=0.8):
    return 255 * np.array(colorsys.hsv_to_rgb(i * 0.39 % 1, saturation, value))


def _paint(frame, inside, colour):
    """Colour where the signed distance ``inside`` (in pixels) is positive, with a soft edge."""
    share = np.clip(inside + 0.5, 0, 1)[..., None]
    frame[:] = frame * (1 - share) + share * colour


def _disc(size, x, y, radius):
    gx, gy = _grid(size)
    return (radius - np.hypot(gx - x, gy - y)) * size


def _square(size, x, y, radius):
    gx, gy = _grid(size)
    return (0.886 * radius - np.maximum(np.abs(gx - x), np.abs(gy - y))) * size


def _every(clip, change):
    return np.stack([change(frame, t) for t, frame in enumerate(clip)])


# --- for all classes


def two_in_turn(a, b, i):
    return np.where((np.arange(len(a)) % 2 == 0)[:, None, None, None], a, b)


def snaps_back(a, b, i):
    half = (len(a) + 1) // 2
    return a[np.arange(len(a)) % half]


def forth_and_back(a, b, i):
    t = np.arange(len(a))
    return a[np.minimum(t, len(a) - 1 - t)]


def odd_dimmed(a, b, i):
    return _uint8(a * np.where(np.arange(len(a)) % 2, 0.7, 1.0)[:, None, None, None])


def freezes(a, b, i):
    return a[np.minimum(np.arange(len(a)), 2 * len(a) // 3)]


def stutters(a, b, i):
    return a[np.arange(len(a)) // 2]


def swapped_pairs(a, b, i):
    return a[np.minimum(np.arange(len(a)) ^ 1, len(a) - 1)]


def cut(a, b, i):
    return np.concatenate([a[: len(a) // 2], b[len(a) // 2 :]])


def flash(a, b, i):
    clip = a.copy()
    clip[len(a) // 2] = b[len(a) // 2]
    return clip


def dissolve(a, b, i):
    share = np.linspace(0, 1, len(a))[:, None, None, None]
    return _uint8(a[:1] * (1 - share) + a[-1:] * share)


def fades(a, b, i):
    return _uint8(a * np.linspace(1, 0.4, len(a))[:, None, None, None])


def colours_turn(a, b, i):
    clip = a.copy()
    clip[len(a) // 2 :] = clip[len(a) // 2 :, ..., [1, 2, 0]]
    return clip


def shakes(a, b, i):
    steps = np.random.default_rng(i).integers(-1, 2, (len(a), 2)) * max(2, a.shape[1] // 16)
    return _every(a, lambda frame, t: np.roll(frame, steps[t], (0, 1)))


def snow(a, b, i):
    return _uint8(a + np.random.default_rng(i).normal(0, 30, a.shape))


GENERAL = {
    f.__name__.replace("_", " "): f
    for f in (
        two_in_turn, snaps_back, forth_and_back, odd_dimmed, freezes, stutters, swapped_pairs, cut, flash, dissolve,
        fades, colours_turn, shakes, snow,
    )
}  # fmt: skip


# --- zoom and pan


def rings(direction):
    """Rings that run outward (1) or inward (-1), at one speed: nothing grows."""

    def make(a, b, i):
        frames, size = a.shape[:2]
        gx, gy = _grid(size)
        radius = np.hypot(gx - 0.5, gy - 0.5)
        length, speed = 0.14 + 0.03 * (i % 5), 0.015 + 0.005 * (i % 3)
        two = np.stack([_hue(i), _hue(i + 1, 0.3)])
        share = [0.5 + 0.5 * np.sin(2 * np.pi * (radius - direction * speed * t) / length) for t in range(frames)]
        return _uint8(np.stack(share)[..., None] * two[0] + (1 - np.stack(share))[..., None] * two[1])

    return make


def disc_that_scales(direction):
    """A disc that grows or shrinks before flat ground."""

    def make(a, b, i):
        clip = np.empty(a.shape)
        clip[:] = _hue(i, 0.9, 0.2)
        for t, frame in enumerate(clip):
            _paint(frame, _disc(len(frame), 0.5, 0.5, 0.27 * np.exp(0.07 * direction * (t - len(a) / 2))), _hue(i, 0.4))
        return _uint8(clip)

    return make


def half_still(a, b, i):
    clip = a.copy()
    half = a.shape[1] // 2
    clip[:, half:] = a[:1, half:]
    return clip


def seen_in_a_window(a, b, i):
    clip = np.repeat(a[:1], len(a), 0)
    edge = round(0.24 * a.shape[1])
    clip[:, edge:-edge, edge:-edge] = a[:, edge:-edge, edge:-edge]
    return clip


def bar_that_slides(direction):
    """A bar that moves across flat ground."""

    def make(a, b, i):
        clip = np.empty(a.shape)
        clip[:] = _hue(i, 0.9, 0.2)
        gx, gy = _grid(a.shape[1])
        for t, frame in enumerate(clip):
            middle = 0.5 + direction * 0.055 * (t - len(a) / 2)
            _paint(frame, (0.12 - np.abs(gx - middle) + 0 * gy) * a.shape[1], _hue(i, 0.4))
        return _uint8(clip)

    return make


def turns_about(a, b, i):
    """The picture turns in its plane while it does what it does."""
    return _every(a, lambda frame, t: ndimage.rotate(frame, 7 * t, reshape=False, order=1, mode="reflect"))


# --- flow


def scrolled_up(a, b, i):
    step = (0.03 + 0.004 * (i % 3)) * a.shape[1]
    return _uint8(np.stack([_rolled(a[0].astype(float), -step * t, 0) for t in range(len(a))]))


def texture_scrolled_up(a, b, i):
    step, picture = (0.03 + 0.004 * (i % 3)) * a.shape[1], _texture(a.shape[1], i)
    return _uint8(np.stack([_rolled(picture, -step * t, 0) for t in range(len(a))]))


def ball_that_rises(a, b, i):
    clip = np.empty(a.shape)
    clip[:] = _hue(i, 0.25, 0.3)
    for t, frame in enumerate(clip):
        _paint(frame, _disc(len(frame), 0.5, 0.75 - 0.035 * t, 0.2), _hue(i + 1))
    return _uint8(clip)


# --- passing


def _crossing(a, colour, level, radius, seen=lambda t: True, x=None):
    """A disc that crosses the scene of a real clip."""
    clip = np.repeat(np.median(a, 0)[None], len(a), 0)
    bright = clip.mean() < 128
    for t, frame in enumerate(clip):
        if seen(t):
            at = (-0.05 + 1.1 * t / (len(a) - 1)) if x is None else x(t)
            _paint(frame, _disc(len(frame), at, level(t), radius(t)), colour(t, bright))
    return _uint8(clip)


def _one_colour(t, bright):
    return np.array([240.0, 235, 190]) if bright else np.array([50.0, 20, 60])


def another_each_frame(a, b, i):
    rng = np.random.default_rng(i)
    levels, radii = rng.uniform(0.3, 0.7, len(a)), rng.uniform(0.08, 0.22, len(a))
    return _crossing(a, lambda t, bright: _hue(t, 1.0 if bright else 0.3), lambda t: levels[t], lambda t: radii[t])


def size_changes(a, b, i):
    return _crossing(a, _one_colour, lambda t: 0.5, lambda t: 0.1 + 0.12 * (t % 2))


def height_changes(a, b, i):
    return _crossing(a, _one_colour, lambda t: 0.5 + 0.12 * (t % 2), lambda t: 0.15)


def colour_changes(a, b, i):
    return _crossing(a, lambda t, bright: _hue(i + t, 1.0 if bright else 0.3), lambda t: 0.5, lambda t: 0.15)


def blinks(a, b, i):
    return _crossing(a, _one_colour, lambda t: 0.5, lambda t: 0.15, lambda t: t % 3 != 2)


def vanishes_half_way(a, b, i):
    return _crossing(a, _one_colour, lambda t: 0.5, lambda t: 0.15, lambda t: t < 0.6 * len(a))


def leaps(a, b, i):
    x = lambda t: [0.12, 0.2, 0.3, 0.7, 0.8, 0.88][6 * t // len(a)] + 0.01 * t  # noqa: E731
    return _crossing(a, _one_colour, lambda t: 0.5, lambda t: 0.15, x=x)


def two_cross(a, b, i):
    clip = _crossing(a, _one_colour, lambda t: 0.25, lambda t: 0.14)
    return np.where(np.arange(a.shape[1])[:, None, None] < a.shape[1] // 2, clip, _crossing(
        a, _one_colour, lambda t: 0.75, lambda t: 0.14, x=lambda t: 1.05 - 1.1 * t / (len(a) - 1)))  # fmt: skip


def scene_scrolls(a, b, i):
    return _every(a, lambda frame, t: np.roll(frame, t * max(1, len(frame) // 32), 1))


def honest_crossing(a, b, i):
    return _crossing(a, _one_colour, lambda t: 0.5, lambda t: 0.16)


# --- turn


def hole(a, b, i, profile=None):
    """A still frame with a round hole, behind which a texture goes to the right."""
    size = a.shape[1]
    ground, texture = np.broadcast_to(_hue(i, 0.8, 0.15), (size, size, 3)), _texture(size, i, 0.05)
    gx, gy = _grid(size)
    inside = np.clip((1 - np.hypot((gx - 0.5) / 0.3, (gy - 0.5) / 0.36)) * 0.3 * size + 0.5, 0, 1)[..., None]
    step = (0.05 + 0.01 * (i % 4)) * size
    return _uint8(np.stack([ground * (1 - inside) + inside * _rolled(texture, step * t, 1) for t in range(len(a))]))


def hole_of_real_shape(a, b, i):
    """What does not change stays; where the solid is, a texture goes to the right."""
    inside = ndimage.binary_closing(np.ptp(a.astype(int), 0).max(-1) > 25, iterations=3)[..., None]
    texture, step = _texture(a.shape[1], i, 0.05), (0.05 + 0.01 * (i % 4)) * a.shape[1]
    return _uint8(np.stack([np.where(inside, _rolled(texture, step * t, 1), a[0]) for t in range(len(a))]))


def rocks(a, b, i):
    """To and fro, a third of the clip each."""
    third = max(len(a) // 3, 2)
    way = np.abs((np.arange(len(a)) + third) % (2 * third) - third)
    return a[way]


def wobbles(a, b, i):
    return _every(a, lambda frame, t: np.roll(frame, round(0.09 * len(frame)) * (t % 2), 1))


# --- pen


def _written(a, i, place=None, blot=None, ink=None, tip=None, before=0.0):
    """A line that a red tip draws over the paper of a real clip."""
    size = a.shape[1]
    clip = np.full(a.shape, 232.0)
    place = place or (lambda s: (0.5 + 0.3 * np.cos(0.42 * s + i), 0.55 + 0.27 * np.sin(0.42 * s + i)))
    cover = np.full((size, size), -9.0)
    for t, frame in enumerate(clip):
        for s in np.linspace(t - 1, t, 13) if blot is None else [t]:
            cover = np.maximum(cover, _disc(size, *place(s + before), blot or 0.04))
        _paint(frame, cover, np.array([30.0, 40, 80]) if ink is None else ink(t))
        x, y = place(t) if tip is None else tip(t)
        for k in range(8):
            _paint(frame, _disc(size, x + 0.012 * k, y - 0.02 * k, 0.02 + 0.004 * k), np.array([225.0, 50, 30]))
    return _uint8(clip)


def blots(a, b, i):
    places = np.random.default_rng(i).uniform(0.15, 0.85, (len(a), 2))
    return _written(a, i, lambda s: places[int(np.ceil(s))], blot=0.06)


def ink_flickers(a, b, i):
    return _written(a, i, ink=lambda t: np.array([30.0, 40, 80]) + (170 if t % 4 == 3 else 0))


def ink_changes_colour(a, b, i):
    return _written(a, i, ink=lambda t: np.array([[30.0, 40, 110], [25, 90, 30], [100, 20, 90]][3 * t // len(a)]))


def ink_comes_elsewhere(a, b, i):
    return _written(a, i, tip=lambda t: (0.5 + 0.3 * np.cos(0.42 * t + i + 3), 0.55 + 0.27 * np.sin(0.42 * t + i + 3)))


def ink_ahead_of_tip(a, b, i):
    return _written(a, i, before=3.0)


def ink_there_from_the_start(a, b, i):
    clip, end = _written(a, i), _written(a, i)[-1]
    return np.minimum(clip, np.where(end.max(-1, keepdims=True) < 120, end, 255))


def paper_darkens(a, b, i):
    """The ground turns dark from the left, under a pen that goes with it."""
    size = a.shape[1]
    clip = np.full(a.shape, 232.0)
    for t, frame in enumerate(clip):
        edge = (t + 1) / (len(a) + 2)
        frame[:, : round(edge * size)] = (40, 40, 80)
        for k in range(6):
            _paint(frame, _disc(size, edge + 0.012 * k, 0.6 - 0.02 * k, 0.02 + 0.004 * k), np.array([225.0, 50, 30]))
    return _uint8(clip)


def two_pens(a, b, i):
    clip = _written(a, i).astype(float)
    for t, frame in enumerate(clip):
        for k in range(8):
            _paint(
                frame, _disc(a.shape[1], 0.2 + 0.03 * t, 0.25 - 0.02 * k, 0.02 + 0.004 * k), np.array([225.0, 50, 30])
            )
    return _uint8(clip)


def honest_pen(a, b, i):
    return _written(a, i)


# --- bounce


def _bouncing(a, i, gain=0.93, shape=_disc, floor=_FLOOR, gravity=0.016, colour=None, radius=None, second=None):
    """A ball before a wall and a floor, drawn flat."""
    clip, size, r = np.empty(a.shape), a.shape[1], 0.15
    clip[:] = _hue(i + 0.5, 0.95, 0.12)
    clip[:, round(0.74 * size) :] = _hue(i + 0.5, 0.85, 0.15)
    first, speed = 5.0 + 0.1 * (i % 3), 0.016 * 6.2
    for t, frame in enumerate(clip):
        since = t - first
        v = speed if since < 0 else speed * gain
        height = max(v * abs(since) - 0.5 * gravity * since**2, 0.0)
        x = 0.3 + 0.025 * t if i % 2 else 0.7 - 0.025 * t
        _paint(
            frame,
            shape(size, x, floor - r - height, r if radius is None else radius(t)),
            _hue(i + 1, 0.42, 0.9) if colour is None else colour(t),
        )
        if second is not None and t >= second:
            _paint(
                frame, _disc(size, 0.88 if x < 0.5 else 0.12, 0.3 + 0.02 * (t - second), 0.11), _hue(i + 2.3, 0.5, 0.9)
            )
    return _uint8(clip)


def second_ball_half_way(a, b, i):
    return _bouncing(a, i, second=len(a) // 2)


def quicker_after_the_floor(a, b, i):
    return _bouncing(a, i, gain=1.6 if i % 2 else 1.35)


def square_ball(a, b, i):
    return _bouncing(a, i, shape=_square)


def wall_scrolls(a, b, i):
    ball = _bouncing(a, i)
    stripes = 22 * np.sin(2 * np.pi * (_grid(a.shape[1])[0] * 3 - 0.1 * np.arange(len(a))[:, None, None]))[..., None]
    flat = (np.ptp(ball.astype(int), -1) < 70)[..., None]
    return _uint8(ball + stripes * flat)


def room_scrolls(a, b, i):
    """A real ball before a real room that goes to the side."""
    room = np.median(a, 0)
    ball = ndimage.binary_dilation(np.abs(a - room).max(-1) > 20, np.ones((1, 3, 3), bool))[..., None]
    steps = np.arange(len(a)) * max(1, a.shape[1] // 24)
    return np.stack([np.where(m, f, np.roll(room, s, 1)) for m, f, s in zip(ball, a, steps)]).astype(np.uint8)


def bounces_in_the_air(a, b, i):
    return _bouncing(a, i, floor=0.7)


def ball_grows(a, b, i):
    return _bouncing(a, i, radius=lambda t: 0.1 + 0.1 * t / len(a))


def ball_changes_colour(a, b, i):
    return _bouncing(a, i, colour=lambda t: _hue(i + 1 + (t > len(a) // 2), 0.5, 0.9))


def no_gravity(a, b, i):
    return _bouncing(a, i, gravity=0.0005, gain=1.0)


def leaves_a_trail(a, b, i):
    ball = _bouncing(a, i)
    trail = ball.copy()
    for t in range(1, len(a)):
        vivid = np.ptp(trail[t - 1].astype(int), -1, keepdims=True) > 90
        trail[t] = np.where(
            vivid & (np.arange(len(ball[0]))[:, None, None] > 0.4 * len(ball[0])), trail[t - 1], ball[t]
        )
    return trail


def honest_bounce(a, b, i):
    return _bouncing(a, i)


_CAMERA = {"half still": half_still, "seen in a window": seen_in_a_window, "turns about": turns_about}

OF_CLASS = {
    "zoom-in": {"rings": rings(1), "disc that grows": disc_that_scales(1), **_CAMERA},
    "zoom-out": {"rings": rings(-1), "disc that shrinks": disc_that_scales(-1), **_CAMERA},
    "pan-left": {"bar": bar_that_slides(1), **_CAMERA},
    "pan-right": {"bar": bar_that_slides(-1), **_CAMERA},
    "flow": {
        "half still": half_still,
        "scrolled up": scrolled_up,
        "texture scrolled up": texture_scrolled_up,
        "ball that rises": ball_that_rises,
    },
    "passing": {
        f.__name__.replace("_", " "): f
        for f in (
            another_each_frame, size_changes, height_changes, colour_changes, blinks, vanishes_half_way, leaps,
            two_cross, scene_scrolls,
        )
    },
    "turn": {f.__name__.replace("_", " "): f for f in (hole, hole_of_real_shape, rocks, wobbles, scene_scrolls)},
    "pen": {
        f.__name__.replace("_", " "): f
        for f in (
            blots, ink_flickers, ink_changes_colour, ink_comes_elsewhere, ink_ahead_of_tip, ink_there_from_the_start,
            paper_darkens, two_pens, scene_scrolls,
        )
    },
    "bounce": {
        f.__name__.replace("_", " "): f
        for f in (
            second_ball_half_way, quicker_after_the_floor, square_ball, wall_scrolls, room_scrolls, bounces_in_the_air,
            ball_grows, ball_changes_colour, no_gravity, leaves_a_trail,
        )
    },
}  # fmt: skip

HONEST = {"passing": honest_crossing, "pen": honest_pen, "bounce": honest_bounce}
