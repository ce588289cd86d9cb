"""Augmented convolutions have nothing to fold; they are written as they are, in every format."""

import pytest
import torch
from deployments import backbone_of, images_of, load, logits_of, results_of

from ean_mm.evaluation import GraphError
from ean_mm.models import AugmentedBackbone
from ean_mm.registry import MODELS
from ean_mm.reparam import AcceleratedBackbone

CONV = dict(type='ean_mm.EAAConv2d', num_heads=2, min_key_channels_per_head=2)


@pytest.fixture
def augmented_config(plain_config):
    plain_config.model.backbone = dict(
        type='ean_mm.AugmentedBackbone', backbone=plain_config.model.backbone.backbone, conv=CONV, scheme='01 10 11'
    )
    return plain_config


def test_the_written_network_is_the_trained_one(augmented_config, run_deploy, hurried):
    text, trained, folder = run_deploy()
    read = load(folder)
    x = images_of(trained)
    assert torch.equal(logits_of(read, x), logits_of(trained, x))
    assert backbone_of(folder).type == 'ean_mm.AugmentedBackbone'
    assert backbone_of(folder).scheme == '01 10 11'
    assert results_of(folder)['scheme'] == '01 10 11'
    assert '4 stay' in text


@pytest.mark.slow
def test_onnx(augmented_config, run_deploy, hurried):
    pytest.importorskip('onnxscript')
    _, _, folder = run_deploy(formats=['onnx'])
    assert results_of(folder)['files']['deployed.onnx']['max_error'] <= 1e-4


def test_with_no_bit_on_the_plain_network_is_left(augmented_config, run_deploy, hurried):
    augmented_config.model.backbone.scheme = 'none'
    plain = augmented_config.model.backbone.backbone
    text, trained, folder = run_deploy()
    assert backbone_of(folder) == plain
    x = images_of(trained)
    assert torch.equal(logits_of(load(folder), x), logits_of(trained, x))
    assert 'no ean_mm' in text


def test_there_is_no_gate_to_rewrite():
    torch.manual_seed(0)
    backbone = AugmentedBackbone(dict(type='ean_mm.ResNetCifar', depth=8), CONV)
    with pytest.raises(GraphError, match='no gate'):
        AcceleratedBackbone.of(backbone)
    with pytest.raises(GraphError, match='no gate'):
        MODELS.build(
            dict(
                type='ean_mm.AcceleratedBackbone',
                backbone=dict(
                    type='ean_mm.AugmentedBackbone', backbone=dict(type='ean_mm.ResNetCifar', depth=8), conv=CONV
                ),
            )
        )
