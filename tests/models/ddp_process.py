"""One of two ranks that train a wrapped backbone; exits with an error if the ranks come apart."""

from __future__ import annotations

import os
import sys

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from ean_mm.models import AugmentedBackbone, EANBackbone
from ean_mm.structures import ConnectionScheme

CIFAR = dict(type='ean_mm.ResNetCifar', depth=20, base_channels=8)
SCHEMES = ('111 111 111', '000 000 000', '101 000 011', '000 111 000', '000 000 001')


def train(net: EANBackbone, schemes: tuple[str, ...], find_unused_parameters: bool) -> list[float]:
    """Take one step per scheme on images that differ between ranks; return each step's summed gradient norm."""
    model = DistributedDataParallel(net, find_unused_parameters=find_unused_parameters)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(distributed.get_rank())
    norms = []
    for scheme in schemes:
        net.set_scheme(ConnectionScheme.parse(scheme, net.blocks_per_stage))
        optimizer.zero_grad()
        model(torch.randn(4, 3, 16, 16, generator=generator))[-1].square().mean().backward()
        norms.append(sum(p.grad.norm().item() for p in net.parameters() if p.grad is not None))
        optimizer.step()
    return norms


def check_ranks_agree(net: EANBackbone) -> None:
    """Fail if a parameter differs between the ranks."""
    for name, parameter in net.named_parameters():
        highest, lowest = parameter.detach().clone(), parameter.detach().clone()
        distributed.all_reduce(highest, distributed.ReduceOp.MAX)
        distributed.all_reduce(lowest, distributed.ReduceOp.MIN)
        if not torch.equal(highest, lowest):
            sys.exit(f'ranks differ in {name}')


def main(attention: str) -> None:
    """Train a ticket network and a supernet."""
    torch.set_num_threads(1)
    distributed.init_process_group('gloo')
    for scheme, schemes in (('101 000 011', ('101 000 011',) * 3), ('all', SCHEMES * 2)):
        torch.manual_seed(0)
        if attention.endswith('Conv2d'):
            net = AugmentedBackbone(CIFAR, dict(type=attention, num_heads=2, min_key_channels_per_head=2), scheme)
        else:
            net = EANBackbone(CIFAR, attention=dict(type=attention), scheme=scheme)
        norms = train(net, schemes, find_unused_parameters=scheme == 'all')
        if not all(0 < norm < float('inf') for norm in norms):
            sys.exit(f'gradients must be finite and not zero, but got {norms}')
        check_ranks_agree(net)
    distributed.destroy_process_group()
    os.write(1, b'trained\n')


if __name__ == '__main__':
    main(sys.argv[1])
