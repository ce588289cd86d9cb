"""Attention modules, one file and one paper each, and the adapters to those of other libraries."""

from .asr import ASR
from .base import AttentionModule, GatedAttention
from .dia import DIA
from .efficient import EfficientAttention
from .plugin_layer import PluginLayer
from .se import SE
from .sge import SGE
from .stacked import Stacked
from .timm_attention import TimmAttention

__all__ = [
    'ASR',
    'DIA',
    'SE',
    'SGE',
    'AttentionModule',
    'EfficientAttention',
    'GatedAttention',
    'PluginLayer',
    'Stacked',
    'TimmAttention',
]
