"""Augmented convolutions in double precision, their parts by hand, and the networks that have them."""

import torch
from random_networks import randomise

from ean_mm.models import AugmentedBackbone
from ean_mm.registry import MODELS

CONVS = ('AAConv2d', 'EAAConv2d')
SETTINGS = dict(num_heads=2, min_key_channels_per_head=2)
BY_WIDTH = {8: 8, 16: 4, 32: 2, 64: 1}  # ResNet-18 with base_channels=8 at 32 x 32
CFGS = {
    'AAConv2d': dict(type='ean_mm.AAConv2d', feature_size=BY_WIDTH, **SETTINGS),
    'EAAConv2d': dict(type='ean_mm.EAAConv2d', **SETTINGS),
}
EAA = CFGS['EAAConv2d']
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


# -- augmented block by block ----------------------------------------------------------------------


def augment(backbone, conv=EAA, dtype=torch.double, **arguments):
    """An ``AugmentedBackbone`` in evaluation mode whose numbers are all random."""
    return randomise(AugmentedBackbone(backbone, conv, **arguments)).to(dtype)


def build_bare(backbone, dtype=torch.double):
    """The backbone without a wrapper, likewise."""
    bare = MODELS.build(backbone)
    randomise(bare)  # which returns nothing where ``eval`` of MM's backbones returns nothing
    return bare.to(dtype)


def site_paths(net):
    """Where the convolutions with a bit stand in the bare backbone."""
    slots = {id(slot): name for name, slot in net.backbone.named_modules()}
    return [slots[id(slot)] for slot in net.slots]


def with_real_layers(net, backbone):
    """The bare backbone with the weights of ``net`` and a layer, built by hand, for each bit that is on; and the layers."""
    bare = build_bare(backbone, next(net.parameters()).dtype)
    bare.load_state_dict({key: value for key, value in net.state_dict().items() if not key.startswith('ean.')})
    layers = {}
    for path, group, is_on in zip(site_paths(net), net.groups, net.scheme.mask, strict=True):
        if is_on:
            layers[path] = make_layer(bare.get_submodule(path), net.attention_cfg, net.ean[group])
            parent, _, name = path.rpartition('.')
            setattr(bare.get_submodule(parent), name, layers[path])
    bare.train(net.training)
    return bare, layers


def make_layer(conv, cfg, attention):
    """A layer in the place of ``conv``, with the first rows of its weight and the weights of the attention."""
    # fmt: off
    layer = MODELS.build(dict(
        cfg, in_channels=conv.in_channels, out_channels=conv.out_channels, kernel_size=3, padding=conv.padding,
        dilation=conv.dilation, bias=conv.bias is not None, padding_mode=conv.padding_mode,
    )).to(conv.weight)
    # fmt: on
    num_rows = conv.out_channels - layer.value_channels
    state = {key: value[:num_rows] for key, value in conv.state_dict().items()}
    state.update({f'attention.{key}': value for key, value in attention.state_dict().items()})
    layer.load_state_dict(state)
    return layer
