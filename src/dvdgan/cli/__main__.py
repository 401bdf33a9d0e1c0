"""``python -m dvdgan.cli``: the same as ``dvdgan``."""

from dvdgan.cli import main

main()
