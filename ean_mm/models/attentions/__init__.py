"""Attention modules, one file and one paper each."""

from .base import AttentionModule
from .dia import DIA
from .se import SE
from .sge import SGE

__all__ = ['DIA', 'SE', 'SGE', 'AttentionModule']
