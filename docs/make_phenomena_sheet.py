"""Writes docs/phenomena.png: a clip of each class of the rendered data set, time to the right.

python docs/make_phenomena_sheet.py
"""

from pathlib import Path

import numpy as np

from dvdgan.data.phenomena import CLASSES, render
from dvdgan.data.write.sheets import clip_sheet, write_image

clips = np.stack([render(name, 3, size=128, frames=16).clip for name in CLASSES])
write_image(Path(__file__).with_name("phenomena.png"), clip_sheet(clips, list(CLASSES), columns=6, scale=1))
