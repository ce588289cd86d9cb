"""Which convolutions compute with their weight as it stands."""

import pytest
from torch import nn

from ean_mm.models.plain_layers import is_plain_conv

C = 8


class Standardised(nn.Conv2d):
    def forward(self, x):
        return nn.functional.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


def conv():
    return nn.Conv2d(C, C, 3)


def test_a_convolution_that_changes_its_weight_first_is_not_plain():
    assert is_plain_conv(conv())
    assert not is_plain_conv(Standardised(C, C, 3))
    assert not is_plain_conv(nn.utils.parametrizations.weight_norm(conv()))
    assert not is_plain_conv(nn.utils.spectral_norm(conv()))
    assert not is_plain_conv(nn.Conv1d(C, C, 3))
    assert not is_plain_conv(nn.Linear(C, C))


def test_mmcvs_convolution_is_plain():
    wrappers = pytest.importorskip('mmcv.cnn.bricks.wrappers')
    assert is_plain_conv(wrappers.Conv2d(C, C, 3))
