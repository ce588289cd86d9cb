"""What the command-line tools share."""

from .arguments import add_search_flags, add_training_flags, build_parser, load_config, merge_search_flags
from .comparison import compare
from .data import check_data
from .deployment import FORMATS, DeployOptions, deploy
from .errors import one_sentence
from .fast_dev_run import shorten_run
from .fidelity import fidelity
from .pick import pick
from .plan import describe_plan
from .ratios import study_ratios
from .replay import replay_config
from .resume import find_checkpoint
from .seeds import search_seeds
from .transfer import NAMES as NAMES_IN_TRANSFER
from .transfer import transfer
from .weights import check_weights

DEPLOY_FORMATS = tuple(FORMATS)

__all__ = [
    'DEPLOY_FORMATS',
    'NAMES_IN_TRANSFER',
    'DeployOptions',
    'add_search_flags',
    'add_training_flags',
    'build_parser',
    'check_data',
    'check_weights',
    'compare',
    'deploy',
    'describe_plan',
    'fidelity',
    'find_checkpoint',
    'load_config',
    'merge_search_flags',
    'one_sentence',
    'pick',
    'replay_config',
    'search_seeds',
    'shorten_run',
    'study_ratios',
    'transfer',
]
