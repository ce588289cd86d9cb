"""Convolutions that give some of their channels to attention."""

from .aa_conv import AAConv2d, RelativeAttention
from .augmented_conv import PLAIN_ARGUMENTS, AugmentedConv2d, ProjectedAttention, can_be_augmented
from .eaa_conv import EAAConv2d, SummaryAttention

__all__ = [
    'PLAIN_ARGUMENTS',
    'AAConv2d',
    'AugmentedConv2d',
    'EAAConv2d',
    'ProjectedAttention',
    'RelativeAttention',
    'SummaryAttention',
    'can_be_augmented',
]
