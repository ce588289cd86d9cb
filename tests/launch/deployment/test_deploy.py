"""From a checkpoint to files that others read: what is written computes what was trained."""

import os
import subprocess
import sys

import pytest
import torch
from deployments import FEW, PLAIN, backbone_of, images_of, load, logits_of, names, results_of
from mmengine.config import Config
from random_networks import ASR, DIA, SE, largest_error, save_model
from tiny_tasks import write_ticket
from torch import nn

from ean_mm.hooks.wrapped_backbone import find_backbone, type_name
from ean_mm.launch import DeployOptions, deploy
from ean_mm.registry import MODELS

pytestmark = pytest.mark.usefixtures('hurried')

# Loads the result where our package does not exist: config, weights, images, where the logits go.
FOREIGN = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'ean_mm':
            raise ImportError('there is no ean_mm here')

sys.meta_path.insert(0, Refuse())
import torch
from mmpretrain import get_model

config, weights, images, out = sys.argv[1:]
model = get_model(config, pretrained=weights, device='cpu').eval()
with torch.no_grad():
    torch.save(model(torch.load(images, weights_only=True), mode='tensor'), out)
assert not any(name.split('.')[0] == 'ean_mm' for name in sys.modules)
print(model._dataset_meta['classes'])
"""


# -- constant gates --------------------------------------------------------------------------------------------------------


def test_what_is_folded_needs_nothing_of_ours(plain_config, run_deploy, tmp_path):
    plain_config.model.backbone.attention = ASR
    plain_config.custom_imports = dict(imports=['ean_mm', 'mmpretrain.models'], allow_failed_imports=False)
    report, trained, folder = run_deploy(formats=['pth', 'safetensors'])
    assert '6 connected: 6 constant and folded, 0 stay' in report
    assert 'Needs:   no ean_mm; the backbone is a plain mmpretrain.ResNet_CIFAR' in report

    x = images_of(trained)
    torch.save(x, tmp_path / 'images.pt')
    arguments = [folder / 'deployed.py', folder / 'deployed.pth', tmp_path / 'images.pt', tmp_path / 'logits.pt']
    (tmp_path / 'elsewhere').mkdir()
    result = subprocess.run(
        [sys.executable, '-c', FOREIGN, *map(str, arguments)],
        cwd=tmp_path / 'elsewhere',
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str([str(digit) for digit in range(10)])
    assert largest_error(torch.load(tmp_path / 'logits.pt', weights_only=True), logits_of(trained, x)) <= 1e-5


def test_what_is_written(plain_config, run_deploy):
    plain_config.model.backbone.attention = ASR
    report, trained, folder = run_deploy(formats=['pth', 'safetensors'])
    assert names(folder) == ['deployed.json', 'deployed.pth', 'deployed.py', 'deployed.safetensors', 'log']
    assert report.splitlines()[-2:] == [
        f'File:    {folder / "deployed.pth"}',
        f'File:    {folder / "deployed.safetensors"}',
    ]

    content = torch.load(folder / 'deployed.pth', weights_only=True)
    keys = {key for key in trained.state_dict() if '.ean.' not in key}
    assert set(content['state_dict']) == keys
    results = results_of(folder)
    assert results['scheme'] == '11 11 11'
    assert results['agreement']['num_images'] == 60
    assert results['agreement']['max_error'] <= 1e-5
    assert results['gates'] == []
    assert results['metrics'] == {}
    networks = {row['name']: row['params'] for row in results['networks']}
    assert list(networks) == ['no attention', 'trained', 'deployed']
    assert networks['trained'] == sum(parameter.numel() for parameter in trained.parameters())
    attention = sum(parameter.numel() for parameter in find_backbone(trained).ean.parameters())
    assert networks['deployed'] == networks['no attention'] == networks['trained'] - attention

    written = Config.fromfile(folder / 'deployed.py')
    assert written.model.backbone == PLAIN
    assert written.test_dataloader.dataset == plain_config.test_dataloader.dataset
    left_out = ('train_dataloader', 'optim_wrapper', 'custom_hooks', 'val_dataloader', 'work_dir', 'custom_imports')
    assert not set(left_out) & set(written)


def test_of_a_stack_the_rest_stays(plain_config, run_deploy):
    plain_config.model.backbone.attention = dict(type='ean_mm.Stacked', attentions=[ASR, SE])
    report, trained, folder = run_deploy(accelerate=False)
    assert '6 connected: 0 constant and folded, 6 stay, less the part of their attention that is constant' in report
    assert backbone_of(folder).attention == SE
    x = images_of(trained)
    assert largest_error(logits_of(load(folder), x), logits_of(trained, x)) <= 1e-5


# -- attention that stays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('attention', 'scheme'),
    [(SE, '11 11 11'), (DIA, '01 10 00'), (dict(type='ean_mm.SGE', groups=4), '10 00 01')],
    ids=['SE', 'DIA', 'SGE'],
)
@pytest.mark.parametrize('accelerate', [True, False])
def test_the_config_builds_the_rest(plain_config, run_deploy, attention, scheme, accelerate):
    plain_config.model.backbone = dict(type='ean_mm.EANBackbone', backbone=PLAIN, attention=attention, scheme=scheme)
    report, trained, folder = run_deploy(accelerate=accelerate)
    backbone = backbone_of(folder)
    assert backbone.type == ('ean_mm.AcceleratedBackbone' if accelerate else 'ean_mm.EANBackbone')
    model, x = load(folder), images_of(trained)
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules()) != accelerate
    assert largest_error(logits_of(model, x), logits_of(trained, x)) <= 1e-5
    assert f'Needs:   ean_mm, for {backbone.type}' in report


def test_a_ticket_becomes_a_part_of_the_config(plain_config, run_deploy, tmp_path):
    ticket = write_ticket(tmp_path / 'ticket.json', '10 11 00', PLAIN)
    plain_config.model.backbone = dict(type='ean_mm.EANBackbone', backbone=PLAIN, ticket=ticket)
    _, trained, folder = run_deploy()
    (tmp_path / 'ticket.json').unlink()
    backbone = backbone_of(folder).backbone
    assert backbone.scheme == '10 11 00'
    assert type_name(backbone.attention) == 'SE'
    assert largest_error(logits_of(load(folder), images_of(trained)), logits_of(trained, images_of(trained))) <= 1e-5


def test_pretrained_weights_are_not_looked_for_again(plain_config, run_deploy, tmp_path):
    save_model(plain_config, tmp_path / 'start.pth')
    plain_config.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'start.pth'), prefix='backbone.'
    )
    _, _, folder = run_deploy()
    assert 'Pretrained' not in (folder / 'deployed.py').read_text()


class Fickle(nn.Module):
    """Its way depends on the values of the image."""

    def __init__(self):
        super().__init__()
        self.backbone = MODELS.build(PLAIN)

    def forward(self, x):
        return self.backbone(x if x.mean() > 0 else -x)


def test_what_cannot_be_accelerated_is_written_as_it_is(plain_config, run_deploy, monkeypatch, capfd):
    monkeypatch.setitem(MODELS._module_dict, 'Fickle', Fickle)
    plain_config.log_level = 'INFO'
    plain_config.model.backbone.backbone = dict(type='ean_mm.Fickle')
    _, trained, folder = run_deploy()
    assert 'Not accelerated: the forward pass of Fickle is no fixed graph' in capfd.readouterr().out
    assert backbone_of(folder).type == 'ean_mm.EANBackbone'
    x = images_of(trained)
    assert largest_error(logits_of(load(folder), x), logits_of(trained, x)) <= 1e-5


# -- branches that merge ---------------------------------------------------------------------------------------------------


REPVGG = dict(num_blocks=[1, 1, 1, 1], width_factor=[0.25] * 4, group_layer_map=None, se_cfg=None)


def test_branches_are_merged_too(plain_config, run_deploy):
    plain_config.model.backbone.backbone = dict(type='mmpretrain.RepVGG', arch=REPVGG)
    plain_config.model.backbone.attention = ASR
    plain_config.model.head.in_channels = 128
    _, trained, folder = run_deploy()
    assert backbone_of(folder).deploy is True
    model, x = load(folder), images_of(trained)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert largest_error(logits_of(model, x), logits_of(trained, x)) <= 1e-5


class Merging(MODELS.get('ean_mm.ResNetCifar')):
    """It merges its branches, and has no word for that in its config."""

    def switch_to_deploy(self):
        raise AssertionError('the config could not say so')


def test_unless_a_config_cannot_say_so(plain_config, run_deploy, monkeypatch):
    monkeypatch.setitem(MODELS._module_dict, 'Merging', Merging)
    plain_config.model.backbone.backbone = dict(type='ean_mm.Merging', depth=14, base_channels=8)
    plain_config.model.backbone.attention = ASR
    _, _, folder = run_deploy()
    assert 'deploy' not in backbone_of(folder)


# -- one call after another ------------------------------------------------------------------------------------------------


def test_files_of_an_earlier_call_go(run_deploy):
    run_deploy(max_drop=100, formats=['pth', 'safetensors'])
    _, trained, folder = run_deploy(formats=['safetensors'])
    assert names(folder) == ['deployed.json', 'deployed.py', 'deployed.safetensors', 'log']
    safetensors = pytest.importorskip('safetensors.torch')
    model = MODELS.build(Config.fromfile(folder / 'deployed.py').model)
    model.load_state_dict(safetensors.load_file(folder / 'deployed.safetensors'), strict=True)
    assert largest_error(logits_of(model, images_of(trained)), logits_of(trained, images_of(trained))) <= 1e-5


def test_the_checkpoint_and_the_config_are_left_alone(plain_config, run_deploy, tmp_path):
    run_deploy()
    before, given = (tmp_path / 'trained.pth').read_bytes(), plain_config.to_dict()
    assert save_model(plain_config, tmp_path / 'again.pth') is not None
    deploy(plain_config, str(tmp_path / 'trained.pth'), DeployOptions(**FEW, max_drop=100))
    assert (tmp_path / 'trained.pth').read_bytes() == before
    assert plain_config.to_dict() == given
