"""Every supported backbone can share its passes, or says why not."""

import pytest
import torch
from backbone_cases import CASES
from backbone_sweep import build, image, wrap

from ean_mm.evaluation import ActivationStore, SharedForward
from ean_mm.structures import ConnectionScheme


def tensors(output):
    return [output] if isinstance(output, torch.Tensor) else [t for part in output for t in tensors(part)]


@pytest.mark.parametrize(
    'case',
    [
        pytest.param(case, id=case.name, marks=() if case.fast else pytest.mark.slow)
        for case in CASES
        if not case.refused and not case.not_built
    ],
)
def test_shared_passes_equal_ordinary_ones(case):
    pytest.importorskip(case.type.partition('.')[0] + '.models')
    if 'model_name' in case.arguments:
        pytest.importorskip('timm')
    bare, net = build(case), wrap(case)
    net.load_state_dict(bare.state_dict(), strict=False)
    net.eval()
    images = image(case)
    shared = SharedForward(net, ActivationStore(2**34), False, images)
    masks = torch.rand(3, net.num_connections, generator=torch.Generator().manual_seed(3)) < 0.5
    schemes = [ConnectionScheme.from_mask(mask.tolist(), net.blocks_per_stage) for mask in masks]
    with torch.no_grad():
        for scheme in [*schemes, ConnectionScheme.none(net.blocks_per_stage), schemes[0]]:
            net.set_scheme(scheme)
            expected = tensors(net(images))
            with shared.active():
                found = tensors(shared.predict(0, lambda: images, scheme.mask))
            assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    naive = 4 * net.num_connections * len(images)
    assert shared.num_block_images < naive
