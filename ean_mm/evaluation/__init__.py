"""Scoring schemes on a frozen supernet."""

from .calibration import CalibrationImages, find_pipeline, with_pipeline
from .recalibration import recalibrated
from .scorer import SupernetScorer
from .supernet_file import Supernet, SupernetError, load_supernet, restore_supernet, save_supernet

__all__ = [
    'CalibrationImages',
    'Supernet',
    'SupernetError',
    'SupernetScorer',
    'find_pipeline',
    'load_supernet',
    'recalibrated',
    'restore_supernet',
    'save_supernet',
    'with_pipeline',
]
