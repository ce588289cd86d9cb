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


def test_norm_and_convolution_come_from_the_config():
    net = ResNetCifar(8, norm_cfg=dict(type='GN', num_groups=4), conv_cfg=dict(type='ConvWS'))
    assert net.layer1[0].norm2_name == 'gn2'
    assert type(net.conv1).__name__ == 'ConvWS2d'
