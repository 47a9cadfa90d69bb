"""Labelling: configurations of many realizations of a magnet with what a calculator says of them, for training."""

from spinase_training.labels.answers import label_configurations
from spinase_training.labels.box import BoxError, box_errors, box_report
from spinase_training.labels.config import LabelInput
from spinase_training.labels.labelling import LabelOptions, label_file
from spinase_training.labels.realizations import label_chosen, make_candidates, make_labels

__all__ = [
    "BoxError",
    "LabelInput",
    "LabelOptions",
    "box_errors",
    "box_report",
    "label_chosen",
    "label_configurations",
    "label_file",
    "make_candidates",
    "make_labels",
]
