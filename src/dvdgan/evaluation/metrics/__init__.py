"""Scores: pure functions of features, statistics or probabilities."""
