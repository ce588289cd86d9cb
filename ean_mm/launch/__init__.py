"""What the command-line tools share."""

from .arguments import add_search_flags, add_training_flags, build_parser, load_config, merge_search_flags
from .comparison import compare
from .data import check_data
from .deployment import FORMATS, DeployOptions, deploy
from .errors import one_sentence
from .fast_dev_run import shorten_run
from .plan import describe_plan
from .replay import replay_config
from .resume import find_checkpoint
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
    'find_checkpoint',
    'load_config',
    'merge_search_flags',
    'one_sentence',
    'replay_config',
    'shorten_run',
    'transfer',
]
