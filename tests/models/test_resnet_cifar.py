import pytest
import torch

from ean_mm.models import ResNetCifar


@pytest.mark.parametrize(
    ('depth', 'block', 'num_blocks'), [(20, 'basic', 3), (110, 'basic', 18), (38, 'bottleneck', 4)]
)
def test_depth_counts_the_layers_with_weights(depth, block, num_blocks):
    net = ResNetCifar(depth, block)
    convs = [
        name for name, module in net.named_modules() if isinstance(module, torch.nn.Conv2d) and 'downsample' not in name
    ]
    assert len(convs) + 1 == depth  # the classifier is the last layer
    assert [len(getattr(net, f'layer{stage}')) for stage in (1, 2, 3)] == [num_blocks] * 3


def test_outputs_of_the_chosen_stages():
    net = ResNetCifar(20, out_indices=(0, 2))
    shapes = [tuple(out.shape) for out in net(torch.zeros(1, 3, 32, 32))]
    assert shapes == [(1, 16, 32, 32), (1, 64, 8, 8)]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(depth=21), r'`depth` must be 6n \+ 2 for BasicBlock, but got 21; the nearest is 20'),
        (dict(depth=163, block='bottleneck'), r'must be 9n \+ 2 .* nearest is 164'),
        (dict(depth=2), 'nearest is 8'),
        (dict(depth=20, block='wide'), "`block` must be one of .* but got 'wide'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNetCifar(**arguments)


@pytest.mark.parametrize('size', [8, 9])
def test_a_shortcut_is_a_convolution_with_its_stride(size):
    shortcut = ResNetCifar(8).double().eval().layer2[0].downsample
    conv, norm = shortcut
    x = torch.randn(2, 16, size, size, dtype=torch.float64)
    expected = norm(torch.nn.functional.conv2d(x, conv.weight, stride=2))
    assert shortcut.stride == 2
    assert torch.allclose(shortcut(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('block', ['basic', 'bottleneck'])
def test_narrow_networks_train_on_wide_maps(block):
    """With strided shortcuts, torch 2.15 crashed here on AVX-512 processors."""
    net = ResNetCifar(8 if block == 'basic' else 11, block, base_channels=4)
    net(torch.randn(4, 3, 128, 128))[0].sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_norm_and_convolution_come_from_the_config():
    net = ResNetCifar(8, norm_cfg=dict(type='GN', num_groups=4), conv_cfg=dict(type='ConvWS'))
    assert net.layer1[0].norm2_name == 'gn2'
    assert type(net.conv1).__name__ == 'ConvWS2d'
