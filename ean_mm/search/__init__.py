"""Searching over bit strings: strategies, the loop and its files; no image, no runner."""

from .added_costs import AddedCost, AddedCosts
from .atlas import Atlas, AtlasError
from .budget import Budget, Spent
from .front import Candidates, best_per_size, pareto_front
from .front_files import read_candidates, write_front
from .limits import Limits, parse_bound
from .loop import SearchLoop
from .racing import Race, RaceSettings, slices_are_additive
from .record import SearchRecord
from .results import Evaluation, SearchResult, StepReport, rank_scheme
from .reward import Reward
from .scoreboard import Scoreboard
from .scoring import Measurement, ScoreMany, one_by_one
from .space import SearchSpace
from .standing import SearchFailedError
from .state_file import SearchStateError
from .strategies import (
    Curiosity,
    Exhaustive,
    OptunaSampler,
    PairSurrogate,
    Policy,
    RandomSearch,
    RegularizedEvolution,
    Reinforce,
    Strategy,
    seeded_generator,
)

__all__ = [
    'AddedCost',
    'AddedCosts',
    'Atlas',
    'AtlasError',
    'Budget',
    'Candidates',
    'Curiosity',
    'Evaluation',
    'Exhaustive',
    'Limits',
    'Measurement',
    'OptunaSampler',
    'PairSurrogate',
    'Policy',
    'Race',
    'RaceSettings',
    'RandomSearch',
    'RegularizedEvolution',
    'Reinforce',
    'Reward',
    'ScoreMany',
    'Scoreboard',
    'SearchFailedError',
    'SearchLoop',
    'SearchRecord',
    'SearchResult',
    'SearchSpace',
    'SearchStateError',
    'Spent',
    'StepReport',
    'Strategy',
    'best_per_size',
    'one_by_one',
    'pareto_front',
    'parse_bound',
    'rank_scheme',
    'read_candidates',
    'seeded_generator',
    'slices_are_additive',
    'write_front',
]
