"""Maps against the closed form of a linear head, and the file they are saved to."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from torch import nn

from ean_mm.analysis import map_activations, save_activation_maps
from ean_mm.models import EANBackbone
from ean_mm.structures import ConnectionScheme

LAYOUT = (2, 2, 2)
NONE, ALL = ConnectionScheme.none(LAYOUT), ConnectionScheme.all(LAYOUT)


class Sample:
    def __init__(self, label):
        self.gt_label = torch.tensor([label])


class Classifier(BaseModel):
    """Global pooling and a linear layer, behind which a class-activation map has a closed form."""

    def __init__(self, num_classes=4):
        super().__init__()
        torch.manual_seed(0)
        backbone = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
        self.backbone = EANBackbone(backbone, attention=dict(type='ean_mm.SE', reduction=2))
        self.head = nn.Linear(32, num_classes)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.head(self.backbone(inputs / 255)[-1].mean(dim=(2, 3)))


class Segmentor(Classifier):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.backbone(inputs / 255)[-1]


class Stacking(nn.Module):
    """What a data preprocessor does: a list of images becomes one tensor."""

    def __init__(self, to_rgb=False):
        super().__init__()
        self.to_rgb = to_rgb

    def forward(self, batch, training):
        return dict(inputs=torch.stack(batch['inputs']).float(), data_samples=batch['data_samples'])


@pytest.fixture
def model():
    model = Classifier()
    model.data_preprocessor = Stacking()
    return model


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    images = [torch.randint(0, 256, (3, 16, 16), generator=generator, dtype=torch.uint8) for _ in range(3)]
    return dict(inputs=images, data_samples=[Sample(label) for label in (0, 1, 3)])


@pytest.mark.parametrize('scheme', [NONE, ALL, ConnectionScheme.from_string('10 01 10')])
def test_with_one_linear_layer_it_is_the_weighted_sum_of_the_maps(model, batch, scheme):
    found = map_activations(model, model.backbone, batch, scheme)
    model.eval()
    model.backbone.set_scheme(scheme)
    with torch.no_grad():
        images = torch.stack(batch['inputs']).float()
        features = model.backbone(images / 255)[-1]
        answers = model(images).argmax(dim=1)
        expected = torch.einsum('nchw,nc->nhw', features, model.head.weight[answers]).relu()[:, None]
        expected = nn.functional.interpolate(expected, (16, 16), mode='bilinear', align_corners=False)[:, 0]
    assert found.answers.tolist() == answers.tolist()
    for seen, wanted in zip(found.maps, expected.numpy(), strict=True):
        np.testing.assert_allclose(seen, wanted / max(wanted.max(), 1e-30), atol=1e-5)


def test_model_and_weights_come_back_as_they_were(model, batch):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    map_activations(model, model.backbone, batch, NONE)
    assert model.training
    assert model.backbone.scheme == ALL
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_frozen_parameters_have_maps_too(model, batch):
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert map_activations(model, model.backbone, batch, ALL).maps.max() == 1


def test_an_answer_that_nothing_speaks_for_has_a_map_of_zeros(model, batch):
    nn.init.zeros_(model.head.weight)
    assert map_activations(model, model.backbone, batch, ALL).maps.max() == 0


def test_the_file_holds_plain_arrays(model, batch, tmp_path):
    path = tmp_path / 'maps.npz'
    schemes = {'none': NONE, 'all': ALL}
    assert save_activation_maps(path, model, model.backbone, batch, schemes, list('abcd'), num_images=2)
    with np.load(path) as file:
        saved = dict(file)
    few = {key: values[:2] for key, values in batch.items()}
    expected = [map_activations(model, model.backbone, few, scheme) for scheme in schemes.values()]
    assert saved['names'].tolist() == ['none', 'all']
    assert saved['truth'].tolist() == ['a', 'b']
    assert saved['predicted'].tolist() == [['abcd'[answer] for answer in each.answers] for each in expected]
    np.testing.assert_array_equal(saved['maps'], [each.maps for each in expected])
    np.testing.assert_array_equal(saved['images'][1], batch['inputs'][1].permute(1, 2, 0))


def test_images_are_red_green_blue(model, batch, tmp_path):
    model.data_preprocessor = Stacking(to_rgb=True)
    save_activation_maps(tmp_path / 'maps.npz', model, model.backbone, batch, {'all': ALL})
    with np.load(tmp_path / 'maps.npz') as file:
        np.testing.assert_array_equal(file['images'][0], batch['inputs'][0].permute(1, 2, 0).flip(2))


def test_statistics_are_recalibrated_with_the_scheme_in_force(model, batch, tmp_path):
    seen = []

    @contextmanager
    def recalibrated():
        seen.append(model.backbone.scheme)
        yield

    schemes = {'none': NONE, 'all': ALL}
    save_activation_maps(tmp_path / 'maps.npz', model, model.backbone, batch, schemes, recalibrated=recalibrated)
    assert seen == [NONE, ALL]


@pytest.mark.parametrize('kind', ['segmentor', 'sizes'])
def test_what_is_no_classifier_has_none(batch, tmp_path, kind):
    model = Segmentor() if kind == 'segmentor' else Classifier()
    model.data_preprocessor = Stacking()
    if kind == 'sizes':
        batch['inputs'][1] = batch['inputs'][1][:, :8]
    assert not save_activation_maps(tmp_path / 'maps.npz', model, model.backbone, batch, {'all': ALL})
    assert list(tmp_path.iterdir()) == []


def test_an_error_names_the_model(batch):
    model = Segmentor()
    model.data_preprocessor = Stacking()
    with pytest.raises(
        ValueError, match=r"`model` must answer with logits \(N, classes\) made of a map, but got 'Segm"
    ):
        map_activations(model, model.backbone, batch, ALL)


def test_a_classifier_of_mmpretrain_has_maps(tiny_config, tmp_path):
    mmpretrain = pytest.importorskip('mmpretrain')
    model = mmpretrain.get_model(tiny_config, device='cpu')
    sample = mmpretrain.structures.DataSample().set_gt_label(7)
    batch = dict(inputs=[torch.full((3, 32, 32), 9, dtype=torch.uint8)], data_samples=[sample])
    assert save_activation_maps(tmp_path / 'maps.npz', model, model.backbone, batch, {'all': ALL})
    with np.load(tmp_path / 'maps.npz') as file:
        assert file['maps'].shape == (1, 1, 32, 32)
        assert file['truth'].tolist() == ['7']
