"""Plan, fast-dev-run, resume and comparison on a small search."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from tiny_tasks import load_tiny

from ean_mm.evaluation import SupernetError
from ean_mm.launch import compare, describe_plan, find_checkpoint, shorten_run
from ean_mm.structures import Ticket

IMAGENET = dict(
    type='ImageNet',
    data_root='nowhere/imagenet',
    split='train',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=32),
        dict(type='PackInputs'),
    ],
)


def run(cfg):
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    return runner


class TestFastDevRun:
    def test_each_phase_takes_two_iterations(self, tiny_config):
        short = shorten_run(tiny_config)
        runner = run(short)
        assert runner.iter == 2
        assert len(runner.val_dataloader) == 2
        assert Path(short.work_dir).name == 'fast_dev_run'
        steps = [json.loads(x)['step'] for x in (Path(short.work_dir) / 'search.jsonl').read_text().splitlines()]
        assert max(steps[2:]) == 1

    def test_missing_data_is_replaced_by_random_images(self, tiny_config):
        held_out = dict(type='ean_mm.HoldOut', per_class=100, dataset=IMAGENET)
        tiny_config.train_dataloader.dataset = dict(held_out, part='train')
        tiny_config.val_dataloader.dataset = dict(held_out, part='reward')
        short = shorten_run(tiny_config)
        assert short.train_dataloader.dataset.type == 'ean_mm.GeneratedImages'
        assert short.train_dataloader.dataset.num_classes == 10
        run(short)
        assert Ticket.load(Path(short.work_dir) / 'ticket.json')

    @pytest.mark.parametrize('name', ['train_dataloader', 'test_dataloader'])
    def test_missing_data_that_nothing_can_stand_for_is_named_at_once(self, tiny_config, name):
        boxes = dict(type='LoadAnnotations', with_bbox=True)
        tiny_config[name].dataset = dict(IMAGENET, pipeline=[dict(type='LoadImageFromFile'), boxes])
        with pytest.raises(
            ValueError, match=r"`pipeline` must load nothing .* but got \{.*'with_bbox': True\}; put the data"
        ):
            shorten_run(tiny_config)

    def test_the_number_of_classes_is_that_of_the_first_of_several_heads(self, tiny_config):
        tiny_config.model = dict(type='Cascade', decode_head=[dict(num_classes=7), dict(num_classes=7)])
        tiny_config.train_dataloader.dataset = IMAGENET
        assert shorten_run(tiny_config).train_dataloader.dataset.num_classes == 7

    def test_the_given_config_stays_as_it_is(self, tiny_config):
        before = copy.deepcopy(tiny_config.to_dict())
        shorten_run(tiny_config)
        assert tiny_config.to_dict() == before


class TestPlan:
    def test_sites_costs_and_estimates(self, tiny_config):
        text = describe_plan(tiny_config)
        assert '8 x 32 x 32' in text
        assert '32 x 8 x 8' in text
        assert '11 00 00' in text
        # SE at 8 channels of 32 x 32: two products of 8 x 4; a mean, a product, two activations
        assert re.search(r'8 x 32 x 32 .* 64 .* 16,396 ', text)
        assert '120 images' in text  # two epochs of sixty
        assert 'at most 14 schemes, 1,960 images' in text  # a hundred for the reward, forty for calibration
        assert not (Path(tiny_config.work_dir) / 'supernet.pth').exists()

    def test_missing_data_leaves_its_part_open(self, tiny_config):
        tiny_config.train_dataloader.dataset = IMAGENET
        text = ' '.join(describe_plan(tiny_config).split())
        assert 'how many there are is unknown, the data is missing' in text

    @pytest.mark.parametrize(
        ('name', 'dataset', 'mmseg'),
        [
            ('counter_resnet20_se_digitcrowds', 'ean_mm.CrowdDataset', False),
            ('fcn_resnet20_se_digitscenes', 'mmseg.CityscapesDataset', True),
        ],
    )
    def test_other_tasks_are_planned_without_their_data(self, tmp_path, name, dataset, mmseg):
        pytest.importorskip('mmseg.models' if mmseg else 'mmengine')
        cfg = load_tiny(name, tmp_path)
        # mmseg's images are channels_last, in which torch 2.15 on AVX-512 processors crashes in the backward pass of 1 x 1
        # convolutions with stride 2 whose width is no multiple of 16
        cfg.model.backbone.backbone.base_channels = 16
        cfg.model['decode_head' if mmseg else 'head'].in_channels = 64
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset = dict(type=dataset, data_root='no/where', pipeline=loader.dataset.pipeline)
        text = ' '.join(describe_plan(cfg).split())
        assert '16 x 256 x 256' in text
        assert 'at most 8 schemes; ' in text  # three blocks
        assert 'how many there are is unknown, the data is missing' in text


class TestResume:
    def test_training_goes_on_from_the_newest_good_checkpoint(self, tiny_config):
        tiny_config.custom_hooks = tiny_config.custom_hooks[:1]
        assert find_checkpoint(tiny_config) is None
        run(tiny_config)
        newest = find_checkpoint(tiny_config)
        assert newest.name == 'epoch_2.pth'
        newest.write_bytes(newest.read_bytes()[:1000])
        assert find_checkpoint(tiny_config).name == 'epoch_1.pth'

    def test_another_training_is_refused(self, tiny_config):
        tiny_config.custom_hooks = tiny_config.custom_hooks[:1]
        run(tiny_config)
        tiny_config.optim_wrapper.optimizer.lr = 0.1
        with pytest.raises(SupernetError, match='whose optim_wrapper was'):
            find_checkpoint(tiny_config)

    def test_a_checkpoint_with_code_is_passed_over(self, tiny_config, tmp_path):
        Path(tiny_config.work_dir).mkdir()
        torch.save({'state_dict': {}, 'meta': Path('x')}, Path(tiny_config.work_dir) / 'epoch_9.pth')
        assert find_checkpoint(tiny_config) is None


def test_a_search_can_be_compared(tiny_config):
    directory = Path(tiny_config.work_dir)
    run(tiny_config)
    text = compare(directory, ['ticket'], [0])
    row = {line.split('│')[1].strip(): line.split('│')[3].strip() for line in text.splitlines() if '│' in line}
    trained = json.loads((directory / 'compare' / 'ticket_0' / 'metrics.json').read_text())['accuracy/top1']
    assert row['none'] == row['all'] == '-'
    assert row['ticket'] == f'{trained:.2f}'
