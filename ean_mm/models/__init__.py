"""Models: attentions, the backbone wrapper, and the CIFAR residual networks of the papers."""

from .attention_spec import OWN_ATTENTIONS, OWN_CONVOLUTIONS, reconcile_attention, require_ticket_for
from .attentions import (
    ASR,
    DIA,
    SE,
    SGE,
    AttentionModule,
    EfficientAttention,
    PluginLayer,
    Stacked,
    TimmAttention,
)
from .augmented_backbone import AugmentedBackbone
from .backbone import EANBackbone
from .convolutions import AAConv2d, EAAConv2d
from .efficient_attention_neck import EfficientAttentionNeck
from .residual_blocks import RESIDUAL_BLOCKS, ResidualBlock
from .resnet_cifar import ResNetCifar
from .shared_attention import SharedAttention
from .sites import Site, find_sites

__all__ = [
    'ASR',
    'DIA',
    'OWN_ATTENTIONS',
    'OWN_CONVOLUTIONS',
    'RESIDUAL_BLOCKS',
    'SE',
    'SGE',
    'AAConv2d',
    'AttentionModule',
    'AugmentedBackbone',
    'EAAConv2d',
    'EANBackbone',
    'EfficientAttention',
    'EfficientAttentionNeck',
    'PluginLayer',
    'ResNetCifar',
    'ResidualBlock',
    'SharedAttention',
    'Site',
    'Stacked',
    'TimmAttention',
    'find_sites',
    'reconcile_attention',
    'require_ticket_for',
]
