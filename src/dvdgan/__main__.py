"""``python -m dvdgan``: the same as the command ``dvdgan``."""

from dvdgan.cli import main

main()
