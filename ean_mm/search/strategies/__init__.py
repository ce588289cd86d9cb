"""What proposes schemes and learns from their rewards: bit strings in, numbers out, one file per strategy."""

from .curiosity import Curiosity
from .evolution import RegularizedEvolution
from .exhaustive import Exhaustive
from .optuna_sampler import OptunaSampler
from .pair_surrogate import PairSurrogate
from .policy import Policy
from .random_search import RandomSearch
from .reinforce import Reinforce
from .strategy import Strategy, seeded_generator

__all__ = [
    'Curiosity',
    'Exhaustive',
    'OptunaSampler',
    'PairSurrogate',
    'Policy',
    'RandomSearch',
    'RegularizedEvolution',
    'Reinforce',
    'Strategy',
    'seeded_generator',
]
