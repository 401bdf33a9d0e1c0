"""Classifiers on disk, with a made-up past."""

import numpy as np

from dvdgan.evaluation.classifier.results import Accuracies, Accuracy, TrainingClips, TrainingDone


def save_classifier(classifier, path, accuracy=None, **data):
    """Write a classifier that was right on 9 of 10 clips, half of them of one class, unless it was measured."""
    if accuracy is None:
        counts = np.zeros((len(classifier.classes),) * 2, int)
        counts[0, 0], counts[1, 1], counts[1, 0] = 5, 4, 1
        accuracy = Accuracies(chance=0.5, clips=Accuracy.of_counts(classifier.classes, counts))
    known = {"source": "squares", "training_clips": 3, "held_out_clips": 10, "held_out": "none", "clips": ""}
    done = TrainingDone(steps=9, steps_done=9, minutes=0.5, finished=True)
    classifier.save(path, TrainingClips(**known | data), done, accuracy, {})
    return path
