"""Convolutions that give some of their channels to attention."""

from .aa_conv import AAConv2d, RelativeAttention
from .augmented_conv import AugmentedConv2d, ProjectedAttention
from .eaa_conv import EAAConv2d, SummaryAttention

__all__ = ['AAConv2d', 'AugmentedConv2d', 'EAAConv2d', 'ProjectedAttention', 'RelativeAttention', 'SummaryAttention']
