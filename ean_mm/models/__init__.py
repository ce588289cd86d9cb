"""Models: attentions, the backbone wrapper, and the CIFAR residual networks of the papers."""

from .attentions import DIA, SE, SGE, AttentionModule
from .backbone import EANBackbone
from .resnet_cifar import ResNetCifar
from .shared_attention import SharedAttention
from .sites import Site, find_sites, register_residual_block

__all__ = [
    'DIA',
    'SE',
    'SGE',
    'AttentionModule',
    'EANBackbone',
    'ResNetCifar',
    'SharedAttention',
    'Site',
    'find_sites',
    'register_residual_block',
]
