"""The classifier of clips that evaluation uses."""
