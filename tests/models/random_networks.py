"""Small networks full of random numbers, and how far two outputs are apart."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ean_mm.models import EANBackbone
from ean_mm.registry import MODELS
from ean_mm.reparam import rewrite

SE = dict(type='ean_mm.SE', reduction=2)
DIA = dict(type='ean_mm.DIA', reduction=2)
ASR = dict(type='ean_mm.ASR', attention=SE)
NARROW = dict(base_channels=8, stem_channels=8)
CIFAR = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
RESNET_18 = dict(type='mmpretrain.ResNet', depth=18, out_indices=(0, 1, 2, 3), **NARROW)
RESNET_50 = dict(type='mmpretrain.ResNet', depth=50, out_indices=(0, 1, 2, 3), **NARROW)


def wrap(backbone: dict, attention: dict = SE, dtype: torch.dtype = torch.double, **arguments: Any) -> EANBackbone:
    """A wrapped backbone in evaluation mode; no weight, gate or statistic is 0, 1 or what another is."""
    return randomise(EANBackbone(backbone, attention, **arguments)).to(dtype)


def build(backbone: dict, dtype: torch.dtype = torch.double) -> Any:
    """A bare backbone, likewise."""
    return randomise(MODELS.build(backbone)).to(dtype)


def randomise(module: Any, seed: int = 0) -> Any:
    """Redraw every parameter and every running statistic."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.empty(tensor.shape).uniform_(low, high, generator=generator))

    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() < 2:
                uniform(parameter, 0.3, 1.2)
                parameter[torch.rand(parameter.shape, generator=generator) < 0.2] *= -1
            else:
                bound = (6 / parameter[0].numel()) ** 0.5 if parameter.shape[0] > 1 else 2.0
                uniform(parameter, -bound, bound)
        for name, buffer in module.named_buffers():
            if name.endswith('running_mean'):
                uniform(buffer, -0.5, 0.5)
            elif name.endswith('running_var'):
                uniform(buffer, 0.5, 2)
    return module.eval()


def images(size: int = 32, dtype: torch.dtype = torch.double, seed: int = 1) -> Tensor:
    """Two of them, and not square."""
    return torch.randn(2, 3, size, size + 16, generator=torch.Generator().manual_seed(seed)).to(dtype)


def run(module: nn.Module, x: Tensor) -> list[Tensor]:
    """All maps that a backbone returns."""
    with torch.no_grad():
        return tree_leaves(module(x))


def largest_error(found: Any, wanted: Any) -> float:
    """The largest difference of two outputs, tensor by tensor, over the largest value of each."""
    pairs = zip(tree_leaves(found), tree_leaves(wanted), strict=True)
    return max(((one - other).abs().max() / other.abs().max()).item() for one, other in pairs)


def copy_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict, apart from the module."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def has_state(module: nn.Module, state: dict[str, Tensor]) -> bool:
    """Whether the state dict is this one bit for bit."""
    found = module.state_dict()
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def check_rewritten(net: Any, size: int = 32, tolerance: float = 1e-10) -> Any:
    """The rewritten network, after it was held against the given one on images of two sizes."""
    before, dtype = copy_state(net), next(net.parameters()).dtype
    rewritten = rewrite(net, torch.zeros(1, 3, 64, 64, dtype=dtype))
    assert has_state(net, before)
    for x in (images(size, dtype), images(2 * size, dtype, seed=2)):
        given = x.clone()
        assert largest_error(run(rewritten, x), run(net, x)) <= tolerance
        assert torch.equal(x, given)
    return rewritten


class PlainBlock(nn.Module):
    """A residual block without norms; by default it ends in a convolution.

    Args:
        channels: of its branch.
        end: makes the last layer.
    """

    def __init__(self, channels: int, end: Any = None):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.end = (end or (lambda width: nn.Conv2d(width, width, 3, padding=1)))(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.end(torch.relu(self.conv1(x))))


class PlainNet(BaseModule):
    """Blocks without norms, one for each of ``ends``."""

    def __init__(self, ends: Any = (None,), channels: int = 8):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(*[PlainBlock(channels, end) for end in ends])

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.blocks(self.stem(x)),)


PLAIN_ROWS = dict(PlainBlock=dict(after='end', width='conv1'))  # for ``residual_blocks``


def save_model(cfg: Any, path: Any) -> Any:
    """Build the model of a config with random weights, save them as a training would, and return it."""
    init_default_scope(cfg.default_scope)
    model = randomise(MODELS.build(cfg.model))
    torch.save({'meta': {}, 'state_dict': model.state_dict()}, path)
    return model
