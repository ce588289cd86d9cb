"""Where the residual branch of each kind of block ends: one row per kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

_ROW = "dict(after='bn2')"


@dataclass(frozen=True)
class ResidualBlock:
    """How to read one kind of residual block; exactly one of ``after`` and ``before`` is given.

    Paths are attributes of the block (``'norm3'``, ``'mlp.fc2'``). Of several, the first that the block has is taken.

    Attributes:
        after: what computes the end of the branch; attention acts on its output.
        before: what the end of the branch is handed to (a drop path); attention acts on its input.
        when: an attribute that is true for blocks which have a shortcut; every block of the kind has one by default.
        width: a module as wide as the branch, or several; the end of ``after`` by default.
    """

    after: str | tuple[str, ...] = ()
    before: str = ''
    when: str = ''
    width: str | tuple[str, ...] = ''

    def __post_init__(self) -> None:
        if bool(self.after) == bool(self.before):
            raise ValueError(
                '`residual_blocks` must say either what the attention comes after or what it comes before, '
                f'but got {self!r}; write {_ROW}.'
            )
        if self.before and not self.width:
            raise ValueError(
                "`residual_blocks` must name a module as wide as the branch beside 'before', "
                f"but got {self!r}; add width='...'."
            )


_TIMM_BLOCKS = {
    'timm.models.resnet.BasicBlock': ResidualBlock(after=('se', 'bn2'), width='bn2'),
    'timm.models.resnet.Bottleneck': ResidualBlock(after=('se', 'bn3'), width='bn3'),
    'timm.models.res2net.Bottle2neck': ResidualBlock(after=('se', 'bn3'), width='bn3'),
    'timm.models.resnest.ResNestBottleneck': ResidualBlock(after='bn3'),
    'timm.models.regnet.Bottleneck': ResidualBlock(after='conv3'),
    'timm.models.resnetv2.PreActBasic': ResidualBlock(before='drop_path', width='conv2'),
    'timm.models.resnetv2.PreActBottleneck': ResidualBlock(before='drop_path', width='conv3'),
    'timm.models.resnetv2.Bottleneck': ResidualBlock(before='drop_path', width='conv3'),
    'timm.models.nfnet.NormFreeBlock': ResidualBlock(before='drop_path', width='conv3'),
    'timm.models.cspnet.BottleneckBlock': ResidualBlock(before='drop_path', width='conv3'),
    'timm.models.cspnet.DarkBlock': ResidualBlock(before='drop_path', width='conv2'),
    'timm.models.cspnet.EdgeBlock': ResidualBlock(before='drop_path', width='conv2'),
    'timm.models.dla.DlaBasic': ResidualBlock(after='bn2'),
    'timm.models.dla.DlaBottleneck': ResidualBlock(after='bn3'),
    'timm.models.dla.DlaBottle2neck': ResidualBlock(after='bn3'),
    'timm.models.convnext.ConvNeXtBlock': ResidualBlock(before='drop_path', width='mlp.fc2'),
    'timm.models._efficientnet_blocks.ConvBnAct': ResidualBlock(after='bn1', when='has_skip'),
    'timm.models._efficientnet_blocks.DepthwiseSeparableConv': ResidualBlock(after='bn2', when='has_skip'),
    'timm.models._efficientnet_blocks.InvertedResidual': ResidualBlock(after='bn3', when='has_skip'),
    'timm.models._efficientnet_blocks.EdgeResidual': ResidualBlock(after='bn2', when='has_skip'),
    'timm.models._efficientnet_blocks.UniversalInvertedResidual': ResidualBlock(
        before='drop_path', width='pw_proj', when='has_skip'
    ),
}

# A key is a class name, or the full name where libraries use one class name for blocks that are built differently.
RESIDUAL_BLOCKS: dict[str, ResidualBlock] = {
    'BasicBlock': ResidualBlock(after='norm2'),
    'Bottleneck': ResidualBlock(after='norm3'),
    'SEBottleneck': ResidualBlock(after='se_layer', width='norm3'),
    'DarknetBottleneck': ResidualBlock(after='conv2', when='add_identity'),
    'InvertedResidual': ResidualBlock(after='linear_conv', when='with_res_shortcut'),
    'InvertedResidualV3': ResidualBlock(after='linear_conv', when='with_res_shortcut'),
    'mmpretrain.models.backbones.mobilenet_v2.InvertedResidual': ResidualBlock(after='conv', when='use_res_connect'),
    'mmseg.models.utils.inverted_residual.InvertedResidual': ResidualBlock(after='conv', when='use_res_connect'),
    'mmseg.models.utils.basic_block.BasicBlock': ResidualBlock(after='conv2'),
    'mmseg.models.utils.basic_block.Bottleneck': ResidualBlock(after='conv3'),
    'EdgeResidual': ResidualBlock(after='conv2', when='with_residual'),
    'EnhancedConvModule': ResidualBlock(before='drop_path', width='conv', when='has_skip'),
    'ConvNeXtBlock': ResidualBlock(before='drop_path', width='pointwise_conv2'),
    # Two branches in a block: the site is the end of the second.
    'VANBlock': ResidualBlock(after='mlp'),
    'MSCABlock': ResidualBlock(after='mlp'),
    'PoolFormerBlock': ResidualBlock(after='mlp'),
    'RIFormerBlock': ResidualBlock(after='mlp'),
    'mmpretrain.models.backbones.efficientformer.Meta4D': ResidualBlock(after='mlp'),
    'mmpretrain.models.backbones.tinyvit.MBConvBlock': ResidualBlock(after='conv3'),
    'mmpretrain.models.backbones.replknet.RepLKBlock': ResidualBlock(after='pw2'),
    'mmpretrain.models.backbones.replknet.ConvFFN': ResidualBlock(after='pw2'),
    'GELayer': ResidualBlock(after='conv2'),
    'ContextGuidedBlock': ResidualBlock(after='f_glo', when='skip_connect'),
    # Parallel branches with one sum: the site is behind it, before the activation, where the block's own SE stands too. That
    # child is not called in a block without SE, the activation is.
    'mmpretrain.models.backbones.repvgg.RepVGGBlock': ResidualBlock(
        before='act', width=('branch_3x3', 'branch_reparam')
    ),
    'mmpretrain.models.backbones.mobileone.MobileOneBlock': ResidualBlock(
        before='act', width=('branch_conv_list', 'branch_reparam')
    ),
    **_TIMM_BLOCKS,
}


def merge_residual_blocks(given: Mapping[str, Mapping[str, Any]] | None) -> dict[str, ResidualBlock]:
    """Return the table with a user's rows in front of it.

    Args:
        given: class name of a block, or its full name, to the fields of its row (``dict(MyBlock=dict(after='bn2'))``).

    Raises:
        ValueError: if a row is not a dict of the fields of ``ResidualBlock``.
    """
    table = dict(RESIDUAL_BLOCKS)
    for name, row in (given or {}).items():
        try:
            table[name] = ResidualBlock(**row)
        except TypeError as err:
            fields = ', '.join(ResidualBlock.__dataclass_fields__)
            raise ValueError(
                f'`residual_blocks` must give a dict with fields among {fields} per block, '
                f'but got {row!r} for {name!r}; write {_ROW}.'
            ) from err
    return table


def find_kind(block: nn.Module, table: Mapping[str, ResidualBlock]) -> ResidualBlock | None:
    """Return the row of a block's class or nearest base class, the full name before the class name."""
    for cls in type(block).__mro__:
        kind = table.get(f'{cls.__module__}.{cls.__name__}') or table.get(cls.__name__)
        if kind is not None:
            return kind
    return None
