"""What holds for every class of phenomena."""

import base64

import numpy as np
import pytest

from dvdgan.data import phenomena
from support.measures import luma

SMALL = {"size": 32, "frames": 4}


def thumbnail(clip):
    """67 numbers: the luma of the first frame's 8 x 8 fields, and the clip's mean colour, in codes."""
    fields = 255 * luma(clip[0]).reshape(8, 4, 8, 4).mean((1, 3))
    return np.concatenate([fields.ravel(), clip.mean((0, 1, 2))])


# Thumbnails of the clips 0 and 1 of each class.
PINNED = {
    "pen": (
        "3OPn6Ofm5ODg4+bo6enp5cbj5ebn6urqb+To5ubo6Oqfyujm5+fm6dzi5eTn5+bn3uLj4+bm5+XZ4OPk5eTk397g2w==",
        "5err6enp5uDq7u3r6+vp5evj7u3r6efn3XDn7ezq5+ftm8Ps7Orn5evs6+ro5+fl5unp6ejo5+Lh5ujn6Ofk3Ofh2A==",
    ),
    "zoom-in": (
        "6+2ta0RaZ5Po6LpbRVtu1oShv8msx9zld2eE7+Xk27B8eGve4ndVW2hzfN/ndnV8ieTf2umUZ3Dh69l/mKOHqKqimg==",
        "S4C5y5V2cIyrpYhmpaurnrmijpaXqqOkgIG2ybiOkIWqnIhQhpafiqyhjo+erKGda4S90KGPfZCgp5OCp7vBqKOWkg==",
    ),
    "zoom-out": (
        "lKWjxKKXoZ2SiZack6WoqqGPm5+hnou1pqSdpZ6gpqS2t6SqpqCmpL21sKavtqqbtqGkpaSepZqYlrLuspmgnqijqA==",
        "jHd6usCoYn6zqZpbZX2ZpbSihJ+kjaThPZGLeH6Rp1WbjHuxsZSuwK+bgllni7PQlZCanJ+il6JDm7Dj5tGWcJ2VjA==",
    ),
    "pan-left": (
        "kmlWW3N8kLV9k5x1XVpkbYS1ZHGMiH59gKh9uodXWGWPo5WzTUE/PKZ3oaVTUUZKX4K0d3BqYXCKkXqVmYuWtHZ9hA==",
        "lXqFvJaDiX5hjY2oy7JOaVFRopGUm1Nib1eYoFp+ekGjaHd5iJiBXHBOWmlmcmGpkmROW1Vrb556i4tMWbRoc3qCWA==",
    ),
    "pan-right": (
        "ysnEqqCjr6Khfn+Yr77Pz4aIcoSCgZO4sba6sK24xdWToqeRfW+Bo6yvqY6Ii6rJ3taypaOKgomasbCRcHePnb6iXw==",
        "f7Blf9DCuLugoKTGpYyav3ZhgbGRgpS0Wy1orKqvusR2Z3Jlp8fFsIqQekhYtaRFfZ5URlShsXGBmmxffb7KyaOYaw==",
    ),
    "passing": (
        "1Nja2NPLwrrf4+rk3tXLw+Lo9uzh29fL6Ovo5uXi3rPn6d/d4OfjaOHg4t3k6OPbv8PFwLzGybignqCjop2Wk9vJuw==",
        "ytDW29/d2NLV3OLp8O3l3N7l7vH49ezk5evv8vXz773q7/Dy8fDwuuzw8fHz8vDu4+fl4+bo6efEys3LxcvQ2OrfyA==",
    ),
    "bounce": (
        "vcPJzdLV1NK/xMnT3d/d3MDGytng4+Tgv6KbwN7Ow9m9n3a72KWMzLC0ub/DxL7HrKKnur+ws8OpqKy1u7q6u8C/xw==",
        "wcTCvraupZ7JzszIvrSqn8zU08zBtKuiyb2iwMCsopy+iGmYu4pulaeef6Wim5KSo5iOk52QhYqYl5OVlI6HiLWklQ==",
    ),
    "turn": (
        "aXV7eG5hV1N7iqezlYxdVYWQyq18cl5VgYy6iHJsW1VygZGSoW9WU1tnf6iZXU9NVlBnk3lCPUZOS0VFPTk/RHRmig==",
        "wcjN09XV087HztPAzOHd1MfPyZ+74eHWxsaUk5vB3NTFn31DXJ+50bOHYCQzb5u/mXVcKihzrL+spJaRmrC/v7OpjQ==",
    ),
    "flow": (
        "kFBVgHVddlmOilGJcYB0Nm+FZ5SNbFRVZGCLmpZ6RTtIVKGVjolaOD9PiKGXiFY2ZXmJkJGHRDNiho2LimM3MJtaYQ==",
        "HCApRJRVOT4eJCtQjrS0cjZWY5CcmqiAMKakfXaZyLYkbKaPQGKodB8qPkEzYJ1aHiMoLj92iIkcICUoPZ2EUH1YOQ==",
    ),
}


@pytest.mark.parametrize("label", phenomena.CLASSES)
def test_clips_stay_what_they_are(label):
    """Pins the scenes: who changes them on purpose writes the table anew."""
    for index, pinned in enumerate(PINNED[label]):
        expected = np.frombuffer(base64.b64decode(pinned), np.uint8)
        found = thumbnail(phenomena.render(label, index, **SMALL).clip)
        assert np.abs(found - expected).max() <= 1.5, index  # rounding differs from processor to processor


@pytest.mark.parametrize("label", phenomena.CLASSES)
def test_no_two_clips_are_alike(label):
    clips = np.stack([phenomena.render(label, index, **SMALL).clip for index in range(30)]).astype(np.float32)
    for index in range(1, 30):
        assert np.abs(clips[:index] - clips[index]).mean((1, 2, 3, 4)).min() > 5, index


@pytest.mark.parametrize("label", phenomena.CLASSES)
def test_split_and_seed_give_other_scenes(label):
    first = phenomena.render(label, 0, **SMALL)
    assert (first.label, first.clip.shape, first.clip.dtype) == (label, (4, 32, 32, 3), np.uint8)
    for other in ({"split": "heldout"}, {"seed": 1}):
        assert np.abs(phenomena.render(label, 0, **SMALL, **other).clip - first.clip.astype(float)).mean() > 5


@pytest.mark.parametrize(
    ("label", "index", "settings", "message"),
    [
        ("juggling", 0, {}, "no class 'juggling'; its classes are pen, "),
        ("pen", 0, {"size": 31}, "32 to 256 pixels, not 31"),
        ("pen", 0, {"size": 257}, "32 to 256 pixels, not 257"),
        ("pen", 0, {"frames": 1}, "at least 2 frames, not 1"),
        ("pen", 0, {"split": "test"}, "train, heldout, not 'test'"),
        ("pen", 0, {"seed": -1}, "0 or more, not -1 and 0"),
        ("pen", -1, {}, "0 or more, not 0 and -1"),
    ],
)
def test_what_is_out_of_range_is_refused(label, index, settings, message):
    with pytest.raises(ValueError, match=message):
        phenomena.render(label, index, **(SMALL | settings))
