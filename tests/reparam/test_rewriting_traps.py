"""Networks on which a careless rewriting would compute something else, and those that cannot be rewritten."""

import pytest
import torch
from random_networks import PLAIN_ROWS, SE, PlainNet, check_rewritten, randomise, wrap
from torch import nn

from ean_mm.models.site_tracer import GraphError
from ean_mm.reparam import rewrite


class Trap(nn.Module):
    """A network whose forward pass is given."""

    def __init__(self, forward):
        super().__init__()
        self.conv, self.other, self.point = (nn.Conv2d(3, 3, size, padding=size // 2) for size in (3, 3, 1))
        self.norm = nn.BatchNorm2d(3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def twice(net, x):  # both see the convolution, one of them without its norm
    y = net.conv(x)
    return net.norm(y) + y


def one_convolution_for_two(net, x):
    return net.norm(net.conv(net.norm(net.conv(x))))


def branch_is_returned_too(net, x):
    y = net.conv(x)
    return y, y + x


def branch_is_read_again(net, x):
    y = net.conv(x)
    return (y + x) * y


def sum_with_itself(net, x):
    y = net.conv(x)
    return y + y


def two_branches(net, x):
    return net.conv(x) + net.other(x)


def a_row_is_added_to_a_map(net, x):
    return net.point(net.pool(x)) + x


def a_map_is_added_to_a_row(net, x):
    return x + net.point(net.pool(x))


def a_view_of_the_branch_lives_on(net, x):
    y = net.conv(x)
    rows = y.flatten(2)
    return (y + x), rows


def scaled_sum(net, x):
    return torch.add(net.conv(x), x, alpha=2)


def one_norm_for_two(net, x):
    return net.norm(net.conv(x)) + net.norm(net.other(x))


def norm_in_front(net, x):
    return net.conv(net.norm(x))


TRAPS = [
    twice,
    one_convolution_for_two,
    branch_is_returned_too,
    branch_is_read_again,
    sum_with_itself,
    two_branches,
    a_row_is_added_to_a_map,
    a_map_is_added_to_a_row,
    a_view_of_the_branch_lives_on,
    scaled_sum,
    one_norm_for_two,
    norm_in_front,
]


@pytest.mark.parametrize('trap', TRAPS, ids=lambda trap: trap.__name__)
def test_traps(trap):
    check_rewritten(randomise(Trap(trap)).double())


@pytest.mark.parametrize('trap', [twice, one_convolution_for_two, one_norm_for_two], ids=lambda trap: trap.__name__)
def test_traps_with_timms_norms(trap):
    layers = pytest.importorskip('timm.layers')
    net = Trap(trap)
    net.norm = layers.BatchNormAct2d(3)
    check_rewritten(randomise(net).double())


def test_a_site_whose_branch_is_read_elsewhere():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

        def forward(self, x):
            y = self.bn(self.conv(x))
            return (x + y) * y.sigmoid()

    rows = dict(Block=dict(after='bn'))
    net = dict(type=PlainNet, ends=[lambda width: Block(), None])
    check_rewritten(wrap(net, SE, residual_blocks={**PLAIN_ROWS, **rows}))


# -- refusals ----------------------------------------------------------------------------------------------------------------


def by_value(net, x):
    return net.conv(x) if x.mean() > 0 else x


def by_size(net, x):
    return net.conv(x) if x.shape[2] > 32 else x


@pytest.mark.parametrize(
    ('forward', 'message'),
    [
        (by_value, 'the forward pass of Trap is no fixed graph'),
        (by_size, 'the forward pass of Trap chooses its way by the size of the image'),
    ],
)
def test_no_fixed_graph(forward, message):
    with pytest.raises(GraphError, match=message):
        rewrite(Trap(forward).eval(), torch.zeros(1, 3, 64, 64))
