"""The small residual networks for 32 x 32 images that the papers study: ResNet-20, 38, 110, 164, ..."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import build_conv_layer, build_norm_layer
from mmengine.model import BaseModule, Sequential
from torch import Tensor, nn

from ..registry import MODELS
from ..structures.checks import require_one_of

NUM_STAGES = 3


class _Norms(BaseModule):
    """The norms of a block under the names that MM's blocks give them, whatever kind of norm they are."""

    norm1 = property(lambda self: getattr(self, self.norm1_name))
    norm2 = property(lambda self: getattr(self, self.norm2_name))
    norm3 = property(lambda self: getattr(self, self.norm3_name))


class BasicBlock(_Norms):
    """Two 3 x 3 convolutions and a shortcut; input and output widths may differ."""

    expansion = 1
    num_layers = 2

    def __init__(self, in_channels: int, channels: int, stride: int, conv_cfg, norm_cfg: dict):
        super().__init__()
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, channels, postfix=1)
        self.norm2_name, norm2 = build_norm_layer(norm_cfg, channels, postfix=2)
        self.conv1 = build_conv_layer(conv_cfg, in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.add_module(self.norm1_name, norm1)
        self.conv2 = build_conv_layer(conv_cfg, channels, channels, 3, padding=1, bias=False)
        self.add_module(self.norm2_name, norm2)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _build_shortcut(in_channels, channels, stride, conv_cfg, norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu(self.norm1(self.conv1(x)))
        branch = self.norm2(self.conv2(branch))
        branch += x if self.downsample is None else self.downsample(x)
        return self.relu(branch)


class Bottleneck(_Norms):
    """1 x 1, 3 x 3 and 1 x 1 convolutions and a shortcut; the output is four times as wide as the 3 x 3."""

    expansion = 4
    num_layers = 3

    def __init__(self, in_channels: int, channels: int, stride: int, conv_cfg, norm_cfg: dict):
        super().__init__()
        out_channels = channels * self.expansion
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, channels, postfix=1)
        self.norm2_name, norm2 = build_norm_layer(norm_cfg, channels, postfix=2)
        self.norm3_name, norm3 = build_norm_layer(norm_cfg, out_channels, postfix=3)
        self.conv1 = build_conv_layer(conv_cfg, in_channels, channels, 1, bias=False)
        self.add_module(self.norm1_name, norm1)
        self.conv2 = build_conv_layer(conv_cfg, channels, channels, 3, stride=stride, padding=1, bias=False)
        self.add_module(self.norm2_name, norm2)
        self.conv3 = build_conv_layer(conv_cfg, channels, out_channels, 1, bias=False)
        self.add_module(self.norm3_name, norm3)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _build_shortcut(in_channels, out_channels, stride, conv_cfg, norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu(self.norm1(self.conv1(x)))
        branch = self.relu(self.norm2(self.conv2(branch)))
        branch = self.norm3(self.conv3(branch))
        branch += x if self.downsample is None else self.downsample(x)
        return self.relu(branch)


_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {'basic': BasicBlock, 'bottleneck': Bottleneck}


@MODELS.register_module()
class ResNetCifar(BaseModule):
    """Residual network for small images: a 3 x 3 stem and three stages of equally many blocks.

    ``depth = 6n + 2`` with basic blocks, ``9n + 2`` with bottlenecks; n blocks per stage, widths ``base_channels`` times
    1, 2, 4 (times 4 more at the output of a bottleneck). Shortcuts are identities, or 1 x 1 convolution and norm where the
    shape changes.
    Source: He et al., arXiv:1512.03385, section 4.2; bottlenecks (ResNet-38, ResNet-164) as in arXiv:1905.10671.

    Args:
        depth: number of layers with weights, shortcuts not counted.
        block: 'basic' or 'bottleneck'.
        base_channels: width of the stem and of the first stage.
        in_channels: channels of the image.
        out_indices: stages whose output is returned, each in 0..2.
        conv_cfg: MM config of the convolutions.
        norm_cfg: MM config of the norms.
        init_cfg: an mmengine initialisation config.

    Shape: x: (N, in_channels, H, W); a tuple with one (N, width, H / 2^s, W / 2^s) per stage s in ``out_indices``.
    Raises: ValueError if ``block`` is unknown or ``depth`` does not fit it.

    >>> import torch
    >>> ResNetCifar(depth=20)(torch.ones(1, 3, 32, 32))[0].shape
    torch.Size([1, 64, 8, 8])
    """

    def __init__(
        self,
        depth: int,
        block: str = 'basic',
        base_channels: int = 16,
        in_channels: int = 3,
        out_indices: Sequence[int] = (2,),
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg or _default_init())
        self.depth = depth
        self.out_indices = tuple(out_indices)
        block_type = _BLOCKS[require_one_of('block', block, _BLOCKS)]
        num_blocks = _blocks_per_stage(depth, block_type)
        norm_cfg = norm_cfg or dict(type='BN')
        self.conv1 = build_conv_layer(conv_cfg, in_channels, base_channels, 3, padding=1, bias=False)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, base_channels, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.relu = nn.ReLU(inplace=True)
        width = base_channels
        for stage in range(NUM_STAGES):
            blocks = []
            for index in range(num_blocks):
                stride = 2 if stage and not index else 1
                channels = base_channels * 2**stage
                blocks.append(block_type(width, channels, stride, conv_cfg, norm_cfg))
                width = channels * block_type.expansion
            self.add_module(f'layer{stage + 1}', Sequential(*blocks))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        # The layout goes through every layer; these narrow networks run about 1.5 times faster in it on a CPU.
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.relu(getattr(self, self.norm1_name)(self.conv1(x)))
        outputs = []
        for stage in range(NUM_STAGES):
            x = getattr(self, f'layer{stage + 1}')(x)
            if stage in self.out_indices:
                outputs.append(x)
        return tuple(outputs)


def _default_init() -> list[dict]:
    return [
        dict(type='Kaiming', layer='Conv2d'),
        dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
    ]


def _blocks_per_stage(depth: int, block_type: type[BasicBlock] | type[Bottleneck]) -> int:
    layers = NUM_STAGES * block_type.num_layers
    if depth < layers + 2 or (depth - 2) % layers:
        raise ValueError(
            f'`depth` must be {layers}n + 2 for {block_type.__name__}, but got {depth!r}; '
            f'the nearest is {max(1, round((depth - 2) / layers)) * layers + 2}.'
        )
    return (depth - 2) // layers


def _build_shortcut(
    in_channels: int, out_channels: int, stride: int, conv_cfg: dict | None, norm_cfg: dict
) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    conv = build_conv_layer(conv_cfg, in_channels, out_channels, 1, bias=False)
    return _Shortcut(stride, conv, build_norm_layer(norm_cfg, out_channels)[1])


class _Shortcut(Sequential):
    """Every ``stride``-th pixel, a 1 x 1 convolution and a norm.

    The same as a convolution with that stride, whose backward pass leaves the memory of a narrow map in channels_last
    (torch 2.15 on AVX-512 processors, widths that are no multiple of 16) and can end the process.
    """

    def __init__(self, stride: int, conv: nn.Module, norm: nn.Module):
        super().__init__(conv, norm)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., :: self.stride, :: self.stride])
