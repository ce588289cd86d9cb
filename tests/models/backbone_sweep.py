"""What every backbone is put through, and the table of outcomes.

``python tests/models/backbone_sweep.py docs/backbones.md`` writes the table; ``--check`` only compares.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from backbone_cases import CASES, Case
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ean_mm.models import EANBackbone, find_sites
from ean_mm.registry import MODELS

ATTENTION = dict(type='ean_mm.SE', reduction=4)
_HEAD = """# Backbones

<!-- Written by `make docs-backbones`; do not edit. -->

Every backbone in the registries of mmpretrain and mmseg, and a choice of timm models through `TIMMBackbone`. "Supported"
means that this was run: build, wrap, forward, backward, each site's attention called exactly once per forward pass and
changing the output, all bits off equal to the bare backbone bit for bit in training and evaluation, the keys of the bare
backbone, deepcopy, and weights carried into the wrapper and back. The arguments are those of the run; other sizes of a
family have other numbers of sites.

Where the branches of a block run in parallel and are summed (RepVGG, MobileOne), attention acts on the sum, after the
block's own SE if it has one and before the activation. Their `switch_to_deploy` works on the wrapped backbone too: it
merges the branches and leaves the attention. (In mmpretrain a RepVGG's own SE is left out by that switch, wrapped or not.)

A kind of block that is not here is added in a config, by the child at which its residual branch ends (`after`), or the
child to which its end is handed (`before`, with a module as wide as the branch):

```python
backbone = dict(
    type='ean_mm.EANBackbone',
    backbone=dict(type='MyNet'),
    attention=dict(type='ean_mm.SE'),
    residual_blocks=dict(MyBlock=dict(after='bn2')),
)
```

"""


def build(case: Case) -> nn.Module:
    """Build the bare backbone of a case, with layer scales and zero-initialised norms large enough to matter."""
    torch.manual_seed(0)
    with _scope(case):
        backbone = MODELS.build({'type': case.type, **case.arguments})
    for name, parameter in backbone.named_parameters():
        if parameter.dim() <= 1:
            nn.init.uniform_(parameter, *(-0.1, 0.1) if name.endswith('bias') else (0.5, 1.5))
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
    backbone.train()
    with torch.no_grad():
        backbone(image(case))  # running statistics that fit the weights keep deep networks finite
    return backbone


def wrap(case: Case, **kwargs: object) -> EANBackbone:
    """Build the wrapped backbone of a case."""
    with _scope(case):
        return EANBackbone({'type': case.type, **case.arguments}, attention=ATTENTION, **kwargs)


def image(case: Case) -> Tensor:
    """Two images of the size of a case."""
    return torch.randn(2, 3, case.size, case.size, generator=torch.Generator().manual_seed(1))


def run(model: nn.Module, case: Case) -> list[Tensor]:
    """Return all tensors that one forward pass puts out, with the same random numbers every time."""
    torch.manual_seed(2)
    return list(_tensors(model(image(case))))


def check_supported(case: Case, every_site: bool, **kwargs: object) -> EANBackbone:
    """Put one backbone through everything that "supported" promises, and return it wrapped.

    Args:
        case: the backbone.
        every_site: switch on every site alone; otherwise the first, the last and the middle one.
        **kwargs: for the wrapper.
    """
    bare, net = build(case), wrap(case, **kwargs)
    net.load_state_dict(bare.state_dict(), strict=False)
    assert {key for key in net.state_dict() if not key.startswith('ean.')} == set(bare.state_dict())
    _check_all_off(case, bare, net)
    _check_calls(case, net)
    net.eval()
    net.set_scheme('none')
    with torch.no_grad():
        off = run(net, case)
        _check_effect(case, net, off, every_site)
        net.set_scheme('all')
        twin, on = copy.deepcopy(net), run(net, case)
        assert _same(run(twin, case), on)
        bare.load_state_dict({key: value for key, value in net.state_dict().items() if not key.startswith('ean.')})
        bare.eval()
        assert _same(run(bare, case), off)
    _check_backward(case, net)
    return net


def describe(case: Case) -> tuple[str, str]:
    """Return the outcome of a case in two words or fewer, and what there is to say about it."""
    if case.not_built:
        return 'not run', case.not_built
    torch.manual_seed(0)
    with _scope(case):
        backbone = MODELS.build({'type': case.type, **case.arguments})
    if case.refused:
        return 'refused', case.refused
    sites = find_sites(backbone)
    counts = Counter(site.stage for site in sites).values()
    ends = {
        f'`{type(site.block).__name__}` {"before" if site.comes_first else "after"} `{site.slot}`': None
        for site in sites
    }
    return 'supported', f'{len(sites)} sites in {len(counts)} stages ({" ".join(map(str, counts))}); {", ".join(ends)}'


def write_table() -> str:
    """Return the text of ``docs/backbones.md``."""
    rows = ['| backbone | arguments | outcome | sites, and where a branch ends; or why not |', '|---|---|---|---|']
    for case in CASES:
        arguments = ', '.join(
            f'{key}={value!r}'
            for key, value in case.arguments.items()
            if not isinstance(value, dict) and key != 'pretrained'
        )
        rows.append(f'| `{case.type}` | {f"`{arguments}`" if arguments else ""} | {" | ".join(describe(case))} |')
    return _HEAD + '\n'.join(rows) + '\n'


def _check_all_off(case: Case, bare: nn.Module, net: EANBackbone) -> None:
    net.set_scheme('none')
    for training in (True, False):
        bare.train(training)
        net.train(training)
        twin = copy.deepcopy(bare)
        with torch.no_grad():
            assert _same(run(net, case), run(twin, case)), (
                f'all off differs from the bare backbone, training={training}'
            )
        net.load_state_dict(bare.state_dict(), strict=False)  # running statistics moved


def _check_calls(case: Case, net: EANBackbone) -> None:
    net.set_scheme('all')
    calls: Counter = Counter()
    handles = [
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, module in [*enumerate(net.slots), *net.ean.items()]
    ]
    net.eval()
    with torch.no_grad():
        run(net, case)
    for handle in handles:
        handle.remove()
    expected = Counter(range(len(net.slots))) + Counter(net.groups)
    assert calls == expected, f'attention must be called once per site, but got {calls} for {expected}'


def _check_effect(case: Case, net: EANBackbone, off: list[Tensor], every_site: bool) -> None:
    count = net.num_connections
    for chosen in range(count) if every_site else {0, count // 2, count - 1}:
        bits = ''.join('1' if position == chosen else '0' for position in range(count))
        net.set_scheme(_grouped(bits, net.blocks_per_stage))
        on = run(net, case)
        assert all(tensor.isfinite().all() for tensor in on)
        assert not _same(on, off), f'site {chosen} has no effect'


def _check_backward(case: Case, net: EANBackbone) -> None:
    net.set_scheme('all')
    net.train()
    sum(tensor.square().mean() for tensor in run(net, case)).backward()
    for name, parameter in net.ean.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def _grouped(bits: str, blocks_per_stage: tuple[int, ...]) -> str:
    groups, start = [], 0
    for count in blocks_per_stage:
        groups.append(bits[start : start + count])
        start += count
    return ' '.join(groups)


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (list, tuple)):
        for part in output:
            yield from _tensors(part)


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) > 0 and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@contextmanager
def _scope(case: Case) -> Iterator[None]:
    with DefaultScope.overwrite_default_scope(case.type.partition('.')[0]):
        yield


def main() -> None:
    """Write the table, or compare it with the file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('path', type=Path)
    parser.add_argument('--check', action='store_true', help='change nothing; fail if the file differs')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    logging.disable(logging.INFO)
    import mmseg.models  # noqa: F401

    text = write_table()
    if args.check:
        sys.exit(args.path.read_text(encoding='utf-8') != text)
    args.path.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
