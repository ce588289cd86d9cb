"""Searching over bit strings: strategies, the loop and its files; no image, no runner."""

from .curiosity import Curiosity
from .loop import SearchFailedError, SearchLoop
from .policy import Policy
from .random_search import RandomSearch
from .record import SearchRecord
from .reinforce import Reinforce
from .results import Evaluation, SearchResult, StepReport
from .reward import Reward
from .state_file import SearchStateError
from .strategy import Strategy, seeded_generator

__all__ = [
    'Curiosity',
    'Evaluation',
    'Policy',
    'RandomSearch',
    'Reinforce',
    'Reward',
    'SearchFailedError',
    'SearchLoop',
    'SearchRecord',
    'SearchResult',
    'SearchStateError',
    'StepReport',
    'Strategy',
    'seeded_generator',
]
