"""Feature networks and the extraction of features."""
