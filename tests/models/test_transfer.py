"""The backbone of a trained classifier inside a segmentor: the same features, or one error that says what differs."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from transfer_cases import backbone_of, classifier_of, segmentor_of, train_classifier

from ean_mm.models import EANBackbone
from ean_mm.registry import MODELS
from ean_mm.structures import ConnectionScheme, TicketError

pytest.importorskip('mmpretrain.models')
pytest.importorskip('mmseg.models')

DILATED = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Ticket and checkpoint of a trained classifier, and the checkpoint's weights."""
    ticket, checkpoint = train_classifier(tmp_path_factory.mktemp('trained'))
    return ticket, str(checkpoint), torch.load(checkpoint, weights_only=False)['state_dict']


def through_init_cfg(model, checkpoint, work_dir, prefix='backbone.'):
    model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=checkpoint, prefix=prefix)
    return start(dict(model=model), work_dir)


def through_load_from(model, checkpoint, work_dir):
    return start(dict(model=model, load_from=checkpoint), work_dir)


def start(changes, work_dir):
    """The segmentor as it is when the Runner begins to train, and the log."""
    name = str(work_dir)  # the default is the time in seconds, which two tests may share
    runner = Runner.from_cfg(Config(dict(default_scope='mmseg', work_dir=name, experiment_name=name, **changes)))
    runner._init_model_weights()
    runner.load_or_resume()
    (log,) = work_dir.glob('*/*.log')
    return runner.model, log.read_text()


def report_in(log):
    """What the log says of the backbone's keys, once."""
    (report,) = re.findall(r'Checkpoint keys of the backbone: (.*)', log)
    return report


ROUTES = pytest.mark.parametrize('route', [through_init_cfg, through_load_from])


@ROUTES
def test_features_are_those_of_the_classifier_bit_for_bit(route, trained, tmp_path, capsys):
    ticket, checkpoint, weights = trained
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        classifier = MODELS.build(classifier_of(backbone_of('mmpretrain', ticket)))
    classifier.load_state_dict(weights)
    segmentor, log = route(segmentor_of(backbone_of('mmseg', ticket)), checkpoint, tmp_path)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    classifier.eval()
    segmentor.eval()
    with torch.no_grad():
        (expected,) = classifier.backbone(x)
        features = segmentor.backbone(x)
        assert len(features) == 4
        assert torch.equal(features[-1], expected)
        segmentor.backbone.set_scheme('000 0000 000000 000')
        assert not torch.equal(segmentor.backbone(x)[-1], expected)
    loaded = sum(key.startswith('backbone.') for key in weights)
    assert report_in(log) == f'{loaded} loaded, 0 new, 0 ignored'
    # where the file is loaded as a whole, MM itself says that the classifier's head stays unused
    unused = 'unexpected key in source state_dict: head.fc.weight, head.fc.bias' in capsys.readouterr().out
    assert unused == (route is through_load_from)


@ROUTES
def test_dilation_moves_no_key(route, trained, tmp_path):
    ticket, checkpoint, weights = trained
    segmentor, _ = route(segmentor_of(backbone_of('mmseg', ticket, **DILATED)), checkpoint, tmp_path)
    assert {key: value.tolist() for key, value in segmentor.backbone.state_dict().items()} == {
        key.removeprefix('backbone.'): value.tolist() for key, value in weights.items() if key.startswith('backbone.')
    }
    with torch.no_grad():
        shapes = [tuple(y.shape[-2:]) for y in segmentor.eval().backbone(torch.zeros(1, 3, 64, 64))]
    assert shapes == [(16, 16), (8, 8), (8, 8), (8, 8)]


@ROUTES
def test_a_deep_stem_is_an_error(route, trained, tmp_path):
    ticket, checkpoint, _ = trained
    message = r'but got 15 missing keys \(stem\.0\.weight, .*\), 6 unexpected keys \(bn1\.bias, .*\); name keys'
    with pytest.raises(ValueError, match=message):
        route(segmentor_of(backbone_of('mmseg', ticket, deep_stem=True)), checkpoint, tmp_path)


@ROUTES
def test_a_plain_checkpoint_leaves_the_attention_new(route, trained, tmp_path):
    ticket, _, weights = trained
    plain = {key: value for key, value in weights.items() if not key.startswith('backbone.ean.')}
    torch.save(dict(state_dict=plain), tmp_path / 'plain.pth')
    segmentor, log = route(segmentor_of(backbone_of('mmseg', ticket)), str(tmp_path / 'plain.pth'), tmp_path / 'work')
    new = [key for key in segmentor.backbone.state_dict() if key.startswith('ean.')]
    assert f'{len(plain) - 2} loaded, {len(new)} new (ean.stage0.attention' in report_in(log)
    assert all(torch.equal(segmentor.state_dict()[key], plain[key]) for key in plain if not key.startswith('head.'))


def test_attention_of_a_part_of_the_groups_is_an_error(trained, tmp_path):
    ticket, _, weights = trained
    part = {key: value for key, value in weights.items() if not key.startswith('backbone.ean.stage1.')}
    torch.save(dict(state_dict=part), tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r'but got 4 missing keys \(ean\.stage1\.'):
        through_load_from(segmentor_of(backbone_of('mmseg', ticket)), str(tmp_path / 'part.pth'), tmp_path / 'work')


def test_attention_that_the_ticket_leaves_out_is_ignored(trained, tmp_path):
    _, checkpoint, weights = trained
    backbone = dict(backbone_of('mmseg'), scheme='101 0000 010000 111')
    segmentor, log = through_load_from(segmentor_of(backbone), checkpoint, tmp_path)
    left_out = [key for key in weights if key.startswith('backbone.ean.stage1.')]
    loaded = len([key for key in weights if key.startswith('backbone.')]) - len(left_out)
    assert report_in(log).startswith(f'{loaded} loaded, 0 new, {len(left_out)} ignored (ean.stage1.')
    assert len(segmentor.backbone.state_dict()) == loaded


def test_deep_stems_of_the_packages_have_other_keys():
    pretrain, segmentation, plain = (
        MODELS.build(backbone_of(package, type=f'{package}.{name}'))
        for package, name in (('mmpretrain', 'ResNetV1c'), ('mmseg', 'ResNetV1c'), ('mmseg', 'ResNet'))
    )
    assert pretrain.fingerprint == segmentation.fingerprint
    with pytest.raises(
        ValueError, match=r'15 missing keys \(stem\.0\.weight, .*, 18 unexpected keys \(stem\.0\.bn\.bias'
    ):
        segmentation.load_state_dict(pretrain.state_dict())
    with pytest.raises(ValueError, match=r'5 missing keys \(bn1\.bias, .*, 18 unexpected keys \(stem\.0\.weight'):
        plain.load_state_dict(segmentation.state_dict())


@pytest.mark.parametrize('kind', ['ResNet', 'ResNetV1c'])
def test_a_classifier_may_have_the_segmentors_backbone(kind):
    classifier = classifier_of(backbone_of('mmseg', type=f'mmseg.{kind}', out_indices=(3,)))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        classifier = MODELS.build(classifier)
    segmentor = MODELS.build(backbone_of('mmseg', type=f'mmseg.{kind}', **DILATED))
    segmentor.load_state_dict(classifier.backbone.state_dict())
    assert classifier.head.fc(classifier.extract_feat(torch.zeros(2, 3, 32, 32))[0]).shape == (2, 10)


def test_without_a_prefix_the_error_says_so(trained, tmp_path):
    ticket, checkpoint, _ = trained
    with pytest.raises(ValueError, match=r"whole model: add prefix='backbone\.' to the Pretrained init_cfg"):
        through_init_cfg(segmentor_of(backbone_of('mmseg', ticket)), checkpoint, tmp_path, prefix=None)


@pytest.mark.parametrize(
    'change', [dict(type='mmseg.ResNetV1c'), dict(depth=101), dict(base_channels=16), dict(type='mmseg.ResNeXt')]
)
def test_a_ticket_of_another_backbone_is_an_error(trained, change):
    with pytest.raises(TicketError, match=r'ResNet, depth 50, blocks 3/4/6/3, channels 32/64/128/256'):
        MODELS.build(backbone_of('mmseg', trained[0], **change))


def test_the_ticket_gives_the_scheme(trained):
    net = EANBackbone(backbone_of('mmseg')['backbone'], ticket=trained[0])
    assert net.scheme == ConnectionScheme.from_mask([i % 2 == 0 for i in range(16)], (3, 4, 6, 3))
