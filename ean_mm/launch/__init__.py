"""What the command-line tools share."""

from .arguments import add_training_flags, build_parser, load_config
from .errors import one_sentence

__all__ = ['add_training_flags', 'build_parser', 'load_config', 'one_sentence']
