"""Clips in: files, the packed store, the data set that training reads, the rendered data set."""
