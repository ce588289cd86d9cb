"""Scoring schemes on a frozen supernet."""

from ..models.site_tracer import GraphError
from .activation_store import ActivationStore
from .calibration import CalibrationImages, find_pipeline, with_pipeline
from .numeric_mode import PRECISIONS, NumericMode
from .racing import Racing, count_images
from .recalibration import find_norms, recalibrate, recalibrated
from .remembered_scores import RememberedScores
from .score_store import ScoreStore, read_bytes
from .scorer import SupernetScorer
from .shared_forward import SharedForward
from .shared_scorer import ScoringFacts, SharedScorer
from .supernet_file import Supernet, SupernetError, load_supernet, restore_supernet, save_supernet

__all__ = [
    'PRECISIONS',
    'ActivationStore',
    'CalibrationImages',
    'GraphError',
    'NumericMode',
    'Racing',
    'RememberedScores',
    'ScoreStore',
    'ScoringFacts',
    'SharedForward',
    'SharedScorer',
    'Supernet',
    'SupernetError',
    'SupernetScorer',
    'count_images',
    'find_norms',
    'find_pipeline',
    'load_supernet',
    'read_bytes',
    'recalibrate',
    'recalibrated',
    'restore_supernet',
    'save_supernet',
    'with_pipeline',
]
