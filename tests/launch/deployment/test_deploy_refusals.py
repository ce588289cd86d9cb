"""What cannot be deployed gets one sentence, and nothing is written."""

import pytest
import torch
from deployments import FEW, PLAIN, names
from mmengine.logging import HistoryBuffer
from random_networks import ASR, save_model

from ean_mm.datasets import MissingDataError
from ean_mm.evaluation import SupernetError
from ean_mm.launch import DeployOptions, deploy
from ean_mm.launch.deployment import workflow

pytestmark = pytest.mark.usefixtures('hurried')


@pytest.fixture
def checkpoint(plain_config, tmp_path):
    save_model(plain_config, tmp_path / 'trained.pth')
    return tmp_path / 'trained.pth'


def refuse(cfg, checkpoint, error, message, **options):
    with pytest.raises(error, match=message):
        deploy(cfg, str(checkpoint), DeployOptions(**{**FEW, **options}))


# -- the checkpoint ---------------------------------------------------------------------------------------------------------


def test_no_checkpoint(plain_config, tmp_path):
    message = r'`checkpoint` must be a file, but got .*nowhere.pth.; train one with tools/train.py'
    refuse(plain_config, tmp_path / 'nowhere.pth', SupernetError, message)
    assert not (tmp_path / 'work').exists()  # it is looked at before anything is built


def test_a_damaged_checkpoint(plain_config, checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    refuse(
        plain_config, checkpoint, SupernetError, '`checkpoint` must be a checkpoint of torch >= 1.6, but got .*damaged'
    )


def test_a_checkpoint_without_weights(plain_config, checkpoint):
    torch.save([1, 2], checkpoint)
    refuse(plain_config, checkpoint, SupernetError, "`checkpoint` must hold a 'state_dict', but got .* with list")


def test_a_checkpoint_that_runs_code_needs_a_word(plain_config, checkpoint, tmp_path):
    """What mmengine's CheckpointHook writes, with smoothed log values in it."""
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, 'message_hub': dict(log_scalars=dict(loss=HistoryBuffer([1.0], [1])))}, checkpoint)
    message = '`checkpoint` must load without running code, but got .*HistoryBuffer.*; pass --trust-checkpoint'
    refuse(plain_config, checkpoint, SupernetError, message)
    deploy(plain_config, str(checkpoint), DeployOptions(**FEW, trust_checkpoint=True))
    assert 'deployed.pth' in names(tmp_path / 'work/deployed')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            dict(attention=dict(type='ean_mm.SE', reduction=4)),
            r'18 mis-shaped keys \(ean\.stage0_block0\.attention\.excite',
        ),
        (dict(attention=ASR), r'30 missing keys \(ean\.stage0_block0\.attention\.attention\.0\.excite'),
        (dict(sharing='stage'), r'12 missing keys \(ean\.stage0\.attention\.excite'),
        (dict(backbone=dict(PLAIN, base_channels=16, stem_channels=16)), r'99 mis-shaped keys \(bn1\.bias'),
    ],
    ids=['reduction', 'attention', 'sharing', 'width'],
)
def test_a_checkpoint_of_another_config(plain_config, checkpoint, change, message):
    for key, value in change.items():
        plain_config.model.backbone[key] = value
    refuse(plain_config, checkpoint, ValueError, '`checkpoint` must hold the keys of ResNet_CIFAR, but got ' + message)


def test_a_checkpoint_of_another_head(plain_config, checkpoint):
    plain_config.model.head.num_classes = 5
    message = (
        r'`checkpoint` must hold the weights of this ImageClassifier and of its attention, but got .*trained\.pth. with others '
        r'\(.*head\.fc\.weight.*\); give the config that it was trained with'
    )
    refuse(plain_config, checkpoint, ValueError, message)


def test_a_checkpoint_without_attention(plain_config, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    weights = {key: value for key, value in content['state_dict'].items() if '.ean.' not in key}
    torch.save({'state_dict': weights}, checkpoint)
    refuse(plain_config, checkpoint, ValueError, '`checkpoint` must hold the weights of this .* and of its attention')


# -- the config --------------------------------------------------------------------------------------------------------------


def test_a_config_without_attention(plain_config, checkpoint):
    plain_config.model.backbone = PLAIN
    message = "`model` must contain a backbone of type 'ean_mm.EANBackbone', but got 'ImageClassifier' without one"
    refuse(plain_config, checkpoint, ValueError, message)


@pytest.mark.parametrize(
    ('name', 'options', 'reason'),
    [
        ('test_dataloader', {}, 'equality is shown on its images'),
        ('train_dataloader', dict(threshold=0.1), 'gates are recorded on its images'),
        ('test_evaluator', dict(threshold=0.1), 'it tells what folding costs'),
        ('val_dataloader', dict(max_drop=1.0), '--max-drop chooses by it'),
        ('val_evaluator', dict(max_drop=1.0), '--max-drop chooses by it'),
    ],
)
def test_a_config_without_the_images_that_are_asked_for(plain_config, checkpoint, name, options, reason):
    plain_config[name] = None
    refuse(plain_config, checkpoint, ValueError, f'`{name}` must be in the config, but got None; {reason}', **options)


@pytest.mark.parametrize(
    ('part', 'options'),
    [('test', {}), ('train', dict(threshold=0.1)), ('val', dict(max_drop=1.0))],
)
def test_missing_images(plain_config, checkpoint, tmp_path, part, options):
    images = dict(type='ImageNet', data_root=str(tmp_path / 'imagenet'), split='train', pipeline=[])
    plain_config[f'{part}_dataloader'].dataset = images
    with pytest.raises(MissingDataError, match=r'imagenet.*https://www.image-net.org'):
        deploy(plain_config, str(checkpoint), DeployOptions(**FEW, **options))
    assert not (tmp_path / 'work').exists()


def test_images_that_nobody_asks_for_may_be_missing(plain_config, checkpoint, tmp_path):
    images = dict(type='ImageNet', data_root=str(tmp_path / 'imagenet'), split='train', pipeline=[])
    plain_config.train_dataloader.dataset = plain_config.val_dataloader.dataset = images
    deploy(plain_config, str(checkpoint), DeployOptions(**FEW))


def test_options_are_looked_at_first(plain_config, tmp_path):
    refuse(plain_config, 'nowhere', ValueError, '`max_drop` must be left out beside', max_drop=1.0, threshold=1.0)


def test_more_images_than_there_are(plain_config, checkpoint):
    message = '`num_calibration_images` must be between 1 and the 60 training images, but got 1000'
    refuse(plain_config, checkpoint, ValueError, message, threshold=0.1, num_calibration_images=1000)


# -- the proof ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('earlier', [False, True])
def test_what_is_not_equal_is_not_written(plain_config, checkpoint, tmp_path, monkeypatch, earlier):
    folder, original = tmp_path / 'work/deployed', workflow.fold_constant_gates
    if earlier:
        deploy(plain_config, str(checkpoint), DeployOptions(**FEW))
    before = {path: path.read_bytes() for path in folder.glob('deployed.*')}

    def fold_wrongly(backbone):
        folded = original(backbone)
        with torch.no_grad():
            folded.slots[5].child.bias += 0.01
        return folded

    monkeypatch.setattr(workflow, 'fold_constant_gates', fold_wrongly)
    message = r'`deployed` must compute what the trained network does, up to 0.0001 .*, but got .*; nothing was written'
    refuse(plain_config, checkpoint, ValueError, message)
    assert {path: path.read_bytes() for path in folder.glob('deployed.*')} == before
    assert bool(before) == earlier
    assert 'gates.png' not in names(folder)


def test_nor_is_a_network_that_returns_no_numbers(plain_config, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    content['state_dict']['head.fc.bias'][0] = float('nan')
    torch.save(content, checkpoint)
    refuse(plain_config, checkpoint, ValueError, 'largest difference nan')
