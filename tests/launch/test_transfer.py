"""A ticket in another network beside none, all and a random scheme: trained alike, tested alike, and once."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import IterBasedTrainLoop, Runner
from tickets import make_ticket
from tiny_tasks import COUNTER, SEGMENTOR, load_tiny, write_ticket

from ean_mm.datasets import SceneRecipe, compose_scene
from ean_mm.hooks.wrapped_backbone import find_backbone
from ean_mm.launch import transfer
from ean_mm.launch.predictions import NUM_IMAGES
from ean_mm.launch.transfer import NAMES, choose_schemes
from ean_mm.registry import MODELS
from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket, TicketError

NUM_SCENES = 24
CONV = dict(type='ean_mm.EAAConv2d', num_heads=2, min_key_channels_per_head=2)


def ticket_of(bits):
    """A ticket with this scheme, and a backbone that fits it."""
    scheme = ConnectionScheme.from_string(bits)
    widths = (16, 32, 64)[: len(scheme.stages)]
    backbone = BackboneFingerprint(type='X', depth=None, blocks_per_stage=scheme.blocks_per_stage, channels=widths)
    return make_ticket(scheme=scheme, backbone=backbone)


def rows_of(cfg):
    return {row['name']: row for row in json.loads((Path(cfg.work_dir) / 'transfer.json').read_text())}


def network_of(cfg, scheme, checkpoint):
    """A trained network of the transfer, built without it."""
    init_default_scope(cfg.default_scope)
    model = copy.deepcopy(cfg.model)
    model.backbone.scheme = scheme
    built = MODELS.build(model)
    built.load_state_dict(torch.load(checkpoint, weights_only=False)['state_dict'])
    return built.eval()


def augment(cfg):
    """Give the segmentor augmented convolutions in the place of attention."""
    backbone = cfg.model.backbone
    for name in ('attention', 'sharing', 'ticket', 'init_cfg'):
        backbone.pop(name, None)
    backbone.type = 'ean_mm.AugmentedBackbone'


class TestChoice:
    def test_none_all_ticket_and_one_of_its_size(self):
        ticket = make_ticket()
        schemes = choose_schemes(ticket)
        assert tuple(schemes) == NAMES == ('none', 'all', 'ticket', 'random')
        assert [scheme.num_connected for scheme in schemes.values()] == [0, 16, 7, 7]
        assert schemes['ticket'] == ticket.scheme
        assert schemes['random'] != ticket.scheme
        assert {scheme.blocks_per_stage for scheme in schemes.values()} == {(3, 4, 6, 3)}

    def test_the_random_one_depends_on_the_scheme_alone(self):
        chosen = choose_schemes(make_ticket())['random']
        assert choose_schemes(make_ticket(seed=5, notes='another', metrics={}))['random'] == chosen
        other = choose_schemes(make_ticket(scheme=ConnectionScheme.from_string('101 0110 100100 001')))['random']
        assert other != chosen

    @pytest.mark.parametrize(('bits', 'expected'), [('10', '01'), ('1 0', '0 1'), ('0 1', '1 0'), ('01', '10')])
    def test_of_two_it_is_the_other(self, bits, expected):
        assert str(choose_schemes(ticket_of(bits))['random']) == expected

    @pytest.mark.parametrize('bits', ['000 000', '111 111', '1', '0'])
    def test_where_there_is_no_other_there_is_none(self, bits):
        schemes = choose_schemes(ticket_of(bits))
        assert list(schemes) == ['none', 'all', 'ticket']


@pytest.fixture(scope='module')
def segmented(tmp_path_factory):
    """A transfer of the ticket '1 0 1' to segmentation: its config, the ticket's path and the text."""
    pytest.importorskip('mmseg.models')
    directory = tmp_path_factory.mktemp('segmented')
    ticket = write_ticket(directory / 'ticket.json', '1 0 1')
    cfg = load_tiny(SEGMENTOR, directory)
    return cfg, ticket, transfer(cfg, ticket, NAMES, [0])


class TestSegmentation:
    def test_rows(self, segmented):
        cfg, ticket, text = segmented
        rows = rows_of(cfg)
        assert list(rows) == list(NAMES)
        chosen = {name: str(scheme) for name, scheme in choose_schemes(Ticket.load(ticket)).items()}
        assert {name: row['scheme'] for name, row in rows.items()} == chosen
        assert [row['num_connected'] for row in rows.values()] == [0, 3, 2, 2]
        for name, row in rows.items():
            tested = json.loads((Path(cfg.work_dir) / f'{name}_0/metrics.json').read_text())
            assert row['metrics'] == {key: [value] for key, value in tested.items()}
            assert {'aAcc', 'mIoU', 'mAcc'} <= tested.keys()
            assert f'{tested["mIoU"]:.2f}' in text
        lines = text.splitlines()
        assert lines[-2:] == [f'Ticket:  {ticket}', f'Picture: {cfg.work_dir}/transfer.png']
        assert (Path(cfg.work_dir) / 'transfer.png').read_bytes().startswith(b'\x89PNG')

    def test_costs_are_those_of_networks_built_with_the_scheme(self, segmented):
        cfg, _, _ = segmented
        rows = rows_of(cfg)
        init_default_scope('mmseg')
        for row in rows.values():
            model = copy.deepcopy(cfg.model)
            model.backbone.scheme = row['scheme']
            assert row['params'] == sum(p.numel() for p in MODELS.build(model).parameters())
            assert row['latency_ms'] > 0
        # a gate of SE at C channels: two products of C x 4 (C // 4 is 8 at the most)
        added = {name: row['macs'] - rows['none']['macs'] for name, row in rows.items()}
        assert (added['none'], added['all'], added['ticket']) == (
            0,
            2 * (8 * 4 + 16 * 4 + 32 * 8),
            2 * (8 * 4 + 32 * 8),
        )
        assert rows['none']['params'] < rows['random']['params'] < rows['all']['params']

    def test_metrics_are_those_of_the_trained_networks(self, segmented):
        cfg, _, _ = segmented
        recipe = SceneRecipe('test', 32, (1, 4), (10, 16))
        scenes = [compose_scene(recipe, index) for index in range(NUM_SCENES)]
        images = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2).float()
        labels = np.stack([scene.labels for scene in scenes])
        mean, std = (torch.tensor(cfg.model.data_preprocessor[key]).view(3, 1, 1) for key in ('mean', 'std'))
        for name, row in rows_of(cfg).items():
            directory = Path(cfg.work_dir) / f'{name}_0'
            model = network_of(cfg, row['scheme'], directory / 'iter_2.pth')
            with torch.no_grad():
                logits = model.decode_head(model.backbone((images - mean) / std))
            logits = torch.nn.functional.interpolate(logits, size=(32, 32), mode='bilinear', align_corners=False)
            predicted = logits.argmax(1).numpy()
            (accuracy,) = row['metrics']['aAcc']
            assert accuracy == pytest.approx(100 * (predicted == labels).mean(), abs=0.02)
            with np.load(directory / 'predictions.npz') as file:
                assert len(file.files) == 3 * NUM_IMAGES + 1
                for index in range(NUM_IMAGES):
                    np.testing.assert_array_equal(file[f'image_{index}'], scenes[index].image)
                    np.testing.assert_array_equal(file[f'gt_{index}'], labels[index])
                    assert (file[f'pred_{index}'] == predicted[index]).mean() > 0.99
                assert len(file['palette']) == 11

    def test_nothing_is_trained_twice(self, segmented, monkeypatch):
        cfg, ticket, _ = segmented
        before = rows_of(cfg)
        monkeypatch.setattr(Runner, 'train', lambda self: pytest.fail('trained twice'))
        transfer(cfg, ticket, NAMES, [0])
        after = rows_of(cfg)
        for row in (*before.values(), *after.values()):
            del row['latency_ms']
        assert after == before
        transfer(cfg, ticket, ['ticket'], [0])
        assert list(rows_of(cfg)) == ['ticket']
        transfer(cfg, ticket, NAMES, [0])

    def test_another_transfer_in_the_folder_is_refused(self, segmented, tmp_path):
        cfg, ticket, _ = segmented
        other = write_ticket(tmp_path / 'other.json', '0 1 1')
        with pytest.raises(
            ValueError, match=r'`work_dir` must hold the transfer of .*, but got .*work. with another ticket;'
        ):
            transfer(cfg, other, NAMES, [0])
        changed = copy.deepcopy(cfg)
        changed.optim_wrapper.optimizer.lr = 1.0
        with pytest.raises(ValueError, match='with another optim_wrapper; choose another work_dir'):
            transfer(changed, ticket, NAMES, [0])
        Path(other).write_bytes(Path(ticket).read_bytes())
        assert rows_of(cfg)
        transfer(cfg, other, ['none'], [0])
        transfer(cfg, ticket, NAMES, [0])


def test_a_ticket_of_augmented_convolutions(tmp_path):
    pytest.importorskip('mmseg.models')
    cfg = load_tiny(SEGMENTOR, tmp_path)
    augment(cfg)
    ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1', attention=CONV, sharing='block')
    transfer(cfg, ticket, ['none', 'ticket'], [0])
    none, chosen = rows_of(cfg).values()
    assert (none['scheme'], chosen['scheme']) == ('0 0 0', '1 0 1')
    cfg.model.backbone.conv = CONV
    trained = network_of(cfg, '1 0 1', next(Path(cfg.work_dir).glob('ticket_0/iter_*.pth')))
    backbone = find_backbone(trained)
    resting = sum(slot.num_resting for slot in backbone.slots if slot.connected)
    assert chosen['params'] == sum(parameter.numel() for parameter in trained.parameters()) - resting


def test_an_interrupted_transfer_ends_as_one_that_was_not(segmented, tmp_path, monkeypatch):
    reference, ticket, _ = segmented
    cfg = copy.deepcopy(reference)
    cfg.work_dir = str(tmp_path / 'work')
    original, done = IterBasedTrainLoop.run_iter, []

    def run_iter(self, batch):
        done.append(Path(self.runner.work_dir).name)
        if len(done) == 4:
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(IterBasedTrainLoop, 'run_iter', run_iter)
    with pytest.raises(KeyboardInterrupt):
        transfer(cfg, ticket, ['none', 'all'], [0])
    assert not (tmp_path / 'work/transfer.json').exists()
    transfer(cfg, ticket, ['none', 'all'], [0])
    assert done == ['none_0', 'none_0', 'all_0', 'all_0', 'all_0']  # the fourth was not counted: done again
    expected = rows_of(reference)
    assert {name: row['metrics'] for name, row in rows_of(cfg).items()} == {
        name: expected[name]['metrics'] for name in ('none', 'all')
    }
    weights = [
        torch.load(Path(each.work_dir) / 'all_0/iter_2.pth', weights_only=False)['state_dict']
        for each in (cfg, reference)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


@pytest.fixture
def starts(monkeypatch):
    """What each training starts with, by the name of its folder; it ends there."""
    seen = {}

    def run(self):
        batch = next(iter(self.dataloader))
        backbone = find_backbone(self.runner.model)
        seen[Path(self.runner.work_dir).name] = dict(
            state={key: value.clone() for key, value in self.runner.model.state_dict().items()},
            batch=torch.stack(batch['inputs']),
            built=(backbone.attention_spec, backbone.sharing, str(backbone.scheme)),
        )
        return self.runner.model

    monkeypatch.setattr(IterBasedTrainLoop, 'run', run)
    return seen


class TestSameStart:
    @pytest.fixture
    def pretrained(self, tmp_path):
        """Weights of a classifier with this backbone and attention everywhere."""
        backbone = load_tiny(SEGMENTOR, tmp_path).model.backbone
        torch.manual_seed(3)
        state = MODELS.build(backbone).state_dict()
        torch.save({'state_dict': {f'backbone.{key}': value for key, value in state.items()}}, tmp_path / 'given.pth')
        return tmp_path / 'given.pth', state

    @pytest.mark.slow
    def test_networks_of_a_seed_start_alike(self, tmp_path, starts, pretrained):
        pytest.importorskip('mmseg.models')
        path, given = pretrained
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
        cfg = load_tiny(SEGMENTOR, tmp_path)
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
        transfer(cfg, ticket, NAMES, [0, 1])
        assert set(starts) == {f'{name}_{seed}' for name in NAMES for seed in (0, 1)}
        for seed in (0, 1):
            full = starts[f'all_{seed}']
            for name in NAMES:
                start = starts[f'{name}_{seed}']
                assert torch.equal(start['batch'], full['batch'])
                assert all(torch.equal(value, full['state'][key]) for key, value in start['state'].items()), name
                loaded = [key for key in start['state'] if key.startswith('backbone.')]
                assert all(torch.equal(start['state'][key], given[key.removeprefix('backbone.')]) for key in loaded)
        one, other = (starts[f'all_{seed}'] for seed in (0, 1))
        assert not torch.equal(one['batch'], other['batch'])
        assert not torch.equal(*(each['state']['decode_head.conv_seg.weight'] for each in (one, other)))
        assert len(starts['none_0']['state']) < len(starts['ticket_0']['state']) < len(one['state'])

    def test_attention_and_sharing_are_the_tickets(self, tmp_path, starts):
        pytest.importorskip('mmseg.models')
        spec = {'type': 'ean_mm.SE', 'reduction': 2, 'min_channels': 1, 'gate_init': 'identity'}
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1', attention=spec, sharing='block')
        cfg = load_tiny(SEGMENTOR, tmp_path)
        cfg.model.backbone.update(attention=None, sharing=None, ticket='no/where.json')  # its own is replaced
        transfer(cfg, ticket, NAMES, [0])
        schemes = choose_schemes(Ticket.load(ticket))
        assert {key: start['built'] for key, start in starts.items()} == {
            f'{name}_0': (spec, 'block', str(scheme)) for name, scheme in schemes.items()
        }
        assert any('ean.stage2_block0' in key for key in starts['ticket_0']['state'])

    def test_two_seeds_are_two_numbers(self, tmp_path, starts):
        pytest.importorskip('mmseg.models')
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
        cfg = load_tiny(SEGMENTOR, tmp_path)
        text = transfer(cfg, ticket, ['ticket'], [4, 9])
        (row,) = rows_of(cfg).values()
        tested = [json.loads((Path(cfg.work_dir) / f'ticket_{seed}/metrics.json').read_text()) for seed in (4, 9)]
        assert row['metrics'] == {key: [each[key] for each in tested] for key in tested[0]}
        assert tested[0] != tested[1]
        assert '± ' in text
        assert starts.keys() == {'ticket_4', 'ticket_9'}


class TestRefusals:
    """Before anything is trained; and what was refused leaves no trace that refuses the next try."""

    @pytest.fixture
    def cfg(self, tmp_path, monkeypatch):
        pytest.importorskip('mmseg.models')
        monkeypatch.setattr(Runner, 'train', lambda self: pytest.fail('trained'))
        return load_tiny(SEGMENTOR, tmp_path)

    def refused(self, cfg, ticket, error, message, names=NAMES):
        with pytest.raises(error, match=message):
            transfer(cfg, str(ticket), names, [0])
        assert not (Path(cfg.work_dir) / 'transferred.json').exists()

    def test_no_ticket(self, cfg):
        self.refused(
            cfg, 'no/where.json', ValueError, r"`ticket` must be a file, but got 'no/where\.json'; tools/search"
        )

    def test_another_attention_than_the_tickets(self, cfg, tmp_path):
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
        cfg.model.backbone.attention.reduction = 8
        self.refused(cfg, ticket, TicketError, r"`attention` must agree with the ticket .*, but got \{.*'reduction': 8")

    def test_another_sharing_than_the_tickets(self, cfg, tmp_path):
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
        cfg.model.backbone.sharing = 'block'
        self.refused(
            cfg, ticket, ValueError, r"`sharing` must agree with the ticket \('stage' in .*\), but got 'block'"
        )

    def test_an_attention_that_the_config_has_to_give(self, cfg, tmp_path):
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1', attention={'type': 'mine.Gate'})
        cfg.model.backbone.attention = None
        self.refused(cfg, ticket, TicketError, '`attention` must be given in the config beside a ticket whose')

    def test_a_ticket_of_the_other_wrapper(self, cfg, tmp_path):
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1', attention=CONV)
        self.refused(
            cfg, ticket, TicketError, '`ticket` must be made for an ean_mm.EANBackbone .*, but got one for ean_mm.EAAC'
        )
        augment(cfg)
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
        self.refused(
            cfg, ticket, TicketError, 'must be made for an ean_mm.AugmentedBackbone .*, but got one for ean_mm.SE'
        )

    @pytest.mark.parametrize(
        'backbone', [dict(depth=14, base_channels=8), dict(depth=8, base_channels=16)], ids=['layout', 'width']
    )
    def test_a_ticket_of_another_backbone(self, cfg, tmp_path, backbone):
        ticket = write_ticket(tmp_path / 'ticket.json', 'all', dict(type='ean_mm.ResNetCifar', **backbone))
        channels = '8/16/32'
        self.refused(
            cfg, ticket, TicketError, rf'like the one of the ticket .*, but got ResNetCifar.*1/1/1.*{channels}'
        )

    def test_a_config_that_searches(self, cfg, tmp_path):
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
        cfg.custom_hooks = load_tiny(SEGMENTOR.replace('_ticket', ''), tmp_path).custom_hooks
        message = (
            r"must hold no hook of a search in a transfer, but got \['ean_mm\.SupernetHook', 'ean_mm\.SearchHook'\]"
        )
        self.refused(cfg, ticket, ValueError, message)

    def test_a_model_without_our_backbone(self, cfg, tmp_path):
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
        cfg.model.backbone = cfg.model.backbone.backbone
        self.refused(
            cfg, ticket, ValueError, "must contain a backbone of type 'ean_mm.EANBackbone', but got 'EncoderDecoder'"
        )

    def test_only_a_random_scheme_where_there_is_none(self, cfg, tmp_path):
        ticket = write_ticket(tmp_path / 'ticket.json', 'all')
        self.refused(cfg, ticket, ValueError, r"\('1 1 1'\), but got \['random'\]; no other", names=['random'])

    def test_missing_weights(self, cfg, tmp_path):
        ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='no/supernet.pth', prefix='backbone.')
        self.refused(cfg, ticket, ValueError, r'no/supernet\.pth., which does not exist; search first')


def test_counting(tmp_path):
    ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
    cfg = load_tiny(COUNTER, tmp_path)
    text = transfer(cfg, ticket, ['none', 'ticket'], [0])
    rows = rows_of(cfg)
    assert list(rows) == ['none', 'ticket']
    assert rows['none']['params'] < rows['ticket']['params']
    assert rows['none']['macs'] < rows['ticket']['macs']
    recipe = SceneRecipe('test', 32, (1, 4), (10, 16))
    scenes = [compose_scene(recipe, index) for index in range(NUM_SCENES)]
    for name, row in rows.items():
        directory = Path(cfg.work_dir) / f'{name}_0'
        counts = counts_of(network_of(cfg, row['scheme'], directory / 'epoch_2.pth'), cfg)
        errors = counts - np.array([len(scene.points) for scene in scenes])
        assert row['metrics']['count/mae'] == [pytest.approx(np.abs(errors).mean(), rel=1e-3)]
        with np.load(directory / 'predictions.npz') as file:
            assert len(file.files) == 3 * NUM_IMAGES
            for index, scene in enumerate(scenes[:NUM_IMAGES]):
                image = file[f'image_{index}'].astype(float)
                assert np.abs(image - scene.image).mean() < 8 < np.abs(image[..., ::-1] - scene.image).mean()  # JPEG
                assert file[f'gt_{index}'].shape == (32, 32)
                assert file[f'gt_{index}'].sum() == pytest.approx(len(scene.points), rel=1e-4)
                assert file[f'pred_{index}'].sum() == pytest.approx(counts[index], rel=1e-3, abs=1e-6)
    assert f'Picture: {cfg.work_dir}/transfer.png' in text


def counts_of(model, cfg):
    """What a network counts in the test images, all at once."""
    runner = Runner.from_cfg(Config({**cfg.to_dict(), 'experiment_name': f'{cfg.work_dir}/by_hand'}))
    dataset = runner.build_dataloader(cfg.test_dataloader).dataset
    with torch.no_grad():
        data = model.data_preprocessor(dict(inputs=[each['inputs'] for each in dataset]), False)
        return model(data['inputs'], mode='tensor').sum((1, 2, 3)).numpy()


def test_what_has_no_map_is_not_drawn(tiny_config, tmp_path):
    backbone = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
    attention = {'type': 'ean_mm.SE', 'reduction': 2, 'min_channels': 1, 'gate_init': 'paper'}
    ticket = write_ticket(tmp_path / 'ticket.json', '10 01 11', backbone, attention=attention)
    tiny_config.custom_hooks = []
    text = transfer(tiny_config, ticket, ['ticket'], [0])
    assert rows_of(tiny_config)['ticket']['metrics'].keys() == {'accuracy/top1'}
    assert text.splitlines()[-1] == f'Ticket:  {ticket}'
    assert not list(Path(tiny_config.work_dir).rglob('*.png'))
    assert not list(Path(tiny_config.work_dir).rglob('*.npz'))
