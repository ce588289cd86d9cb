"""Augmented convolutions in double precision, their parts by hand, and the ResNets that have them."""

import torch

from ean_mm.registry import MODELS

CONVS = ('AAConv2d', 'EAAConv2d')
# of ResNet-18, the 3x3 convolutions of stride 1
AUGMENTED_IN_RESNET18 = {
    'layer1.0.conv1', 'layer1.0.conv2', 'layer1.1.conv1', 'layer1.1.conv2',
    'layer2.0.conv2', 'layer2.1.conv1', 'layer2.1.conv2',
    'layer3.0.conv2', 'layer3.1.conv1', 'layer3.1.conv2',
    'layer4.0.conv2', 'layer4.1.conv1', 'layer4.1.conv2',
}  # fmt: skip


def build_conv(conv_type, *args, **arguments):
    torch.manual_seed(0)
    settings = dict(padding=1, num_heads=2, min_key_channels_per_head=2)
    return conv_type(*args, **{**settings, **arguments}).double()


def draw(*shape):
    torch.manual_seed(1)
    return torch.randn(*shape, dtype=torch.double)


def head_parts(attention, image):
    """Queries, keys and values of each head for one image, by rows: position y * W + x."""
    rows = image.flatten(1).T @ attention.qkv.weight[:, :, 0, 0].T
    if attention.qkv.bias is not None:
        rows = rows + attention.qkv.bias
    return zip(*(part.chunk(attention.num_heads, 1) for part in rows.split(attention.widths, 1)), strict=True)


def project(attention, heads, image):
    """The heads, each (n, v / h), through W_O as a map."""
    rows = torch.cat(heads, 1) @ attention.projection.weight[:, :, 0, 0].T
    if attention.projection.bias is not None:
        rows = rows + attention.projection.bias
    return rows.T.reshape(-1, *image.shape[1:])


def build_resnet(conv_cfg, depth=18, **arguments):
    torch.manual_seed(0)
    backbone = dict(type='mmpretrain.ResNet', depth=depth, base_channels=8, stem_channels=8, conv_cfg=conv_cfg)
    resnet = MODELS.build({**backbone, **arguments})
    resnet.init_weights()
    return resnet


def augmented_names(network):
    return {name for name, module in network.named_modules() if getattr(module, 'is_augmented', False)}
