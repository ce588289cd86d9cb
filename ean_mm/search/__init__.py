"""Searching over bit strings: strategies, the loop and its files; no image, no runner."""

from .atlas import Atlas, AtlasError
from .curiosity import Curiosity
from .evolution import RegularizedEvolution
from .exhaustive import Exhaustive
from .loop import SearchFailedError, SearchLoop
from .policy import Policy
from .racing import Race, RaceSettings, slices_are_additive
from .random_search import RandomSearch
from .record import SearchRecord
from .reinforce import Reinforce
from .results import Evaluation, SearchResult, StepReport, rank_scheme
from .reward import Reward
from .scoring import Measurement, ScoreMany, one_by_one
from .state_file import SearchStateError
from .strategy import Strategy, seeded_generator

__all__ = [
    'Atlas',
    'AtlasError',
    'Curiosity',
    'Evaluation',
    'Exhaustive',
    'Measurement',
    'Policy',
    'Race',
    'RaceSettings',
    'RandomSearch',
    'RegularizedEvolution',
    'Reinforce',
    'Reward',
    'ScoreMany',
    'SearchFailedError',
    'SearchLoop',
    'SearchRecord',
    'SearchResult',
    'SearchStateError',
    'StepReport',
    'Strategy',
    'one_by_one',
    'rank_scheme',
    'seeded_generator',
    'slices_are_additive',
]
