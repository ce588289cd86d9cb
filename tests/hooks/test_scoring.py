"""Precision, racing and memory of a search's scoring."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from ean_mm.evaluation import NumericMode, SharedScorer, SupernetScorer
from ean_mm.hooks.scoring import Scoring
from ean_mm.search import Reward, SearchStateError
from ean_mm.structures import ConnectionScheme

CPU = torch.device('cpu')
REINFORCE = dict(type='ean_mm.Reinforce')


def scoring(racing=None, precision='float32', budget='2GiB', images='1GiB', strategy=REINFORCE):
    return Scoring(budget, images, precision, racing, strategy)


def search(cfg):
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def lines(cfg):
    text = (Path(cfg.work_dir) / 'search.jsonl').read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_only_what_changes_a_number_identifies_a_search():
    assert scoring(budget='0B', images=0).identity(CPU) == {}
    assert scoring(precision='bfloat16').identity(CPU) == {'precision': 'bfloat16, channels_last'}
    settings = dict(confidence=0.99, min_slices=5, scale=100.0)
    assert scoring(racing=dict(confidence=0.99)).identity(CPU) == {'racing': settings}


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(precision='fp8'), r"`precision` must be .*'fastest'.*, but got 'fp8'"),
        (dict(budget='lots'), r"`activation_budget` must be .*, but got 'lots'"),
        (dict(images='-1'), r"`image_budget` must be .*, but got '-1'"),
        (
            dict(racing={}, strategy=dict(type='ean_mm.Reinforce', preset='paper')),
            r"`racing` must be None with the paper preset, .* but got \{\}; leave it out, or take preset='corrected'",
        ),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        scoring(**given)


def test_images_are_dealt_at_random_into_enough_slices(tiny_config):
    tiny_config.custom_hooks = []
    tiny_config.val_dataloader.dataset.num_scenes = 1000
    tiny_config.val_dataloader.batch_size = 500
    runner = Runner.from_cfg(tiny_config)
    runner.val_loop  # noqa: B018 (mmengine builds it on first use)
    loader = scoring(racing={}).build(runner, Reward(), None).dataloader
    in_order = [image_id(image) for batch in runner.val_dataloader for image in batch['inputs']]
    dealt, again = ([image_id(image) for batch in loader for image in batch['inputs']] for _ in range(2))
    assert loader.dataset is runner.val_dataloader.dataset
    assert loader.batch_size == 50  # twenty slices
    assert dealt == again != in_order
    assert sorted(dealt) == sorted(in_order)
    assert scoring().build(runner, Reward(), None).dataloader is runner.val_dataloader


def image_id(image):
    return image.numpy().tobytes()


def test_the_search_scores_a_converted_copy(tiny_config):
    runner = Runner.from_cfg({**tiny_config, 'custom_hooks': []})
    runner.val_loop  # noqa: B018
    given = scoring(precision='bfloat16')
    plain = given.build(runner, Reward(), None)
    fast = given.speed_up(plain)
    assert isinstance(fast, SharedScorer)
    assert fast.numeric_mode == NumericMode(torch.bfloat16, True)
    assert {m.weight.dtype for m in fast.model.modules() if isinstance(m, nn.Conv2d)} == {torch.bfloat16}
    assert plain.model is runner.model
    assert all(parameter.dtype is torch.float32 for parameter in runner.model.parameters())
    alone = scoring(precision='bfloat16', budget=0).speed_up(plain)
    assert type(alone) is SupernetScorer
    assert alone.numeric_mode == fast.numeric_mode
    assert scoring(budget=0).speed_up(plain) is plain


def test_a_fast_search_is_another_search(tiny_config):
    tiny_config.custom_hooks[1].precision = 'bfloat16'
    tiny_config.custom_hooks[1].racing = dict(min_slices=2)
    search(tiny_config)
    fast = lines(tiny_config)
    context = (Path(tiny_config.work_dir) / 'scores.jsonl').read_text()
    assert 'bfloat16, channels_last on cpu' in context
    tiny_config.custom_hooks[1].precision = 'float32'
    with pytest.raises(SearchStateError, match=r'precision was .*bfloat16'):
        search(tiny_config)
    tiny_config.custom_hooks[1].racing = None
    tiny_config.custom_hooks[1].supernet = str(Path(tiny_config.work_dir) / 'supernet.pth')
    tiny_config.work_dir += '_exact'
    search(tiny_config)
    exact = lines(tiny_config)
    assert [line['scheme'] for line in fast] == [line['scheme'] for line in exact]
    complete = [(f['metric'], e['metric']) for f, e in zip(fast, exact, strict=True) if 'num_images' not in f]
    assert all(found == pytest.approx(expected, abs=5) for found, expected in complete)


def test_a_budget_for_no_activation_says_so_once(tiny_config):
    runner = Runner.from_cfg({**tiny_config, 'custom_hooks': []})
    runner.val_loop  # noqa: B018
    given = scoring(budget='1KiB')
    scorer = given.speed_up(given.build(runner, Reward(), None))
    layout = scorer.backbone.blocks_per_stage
    for text in ('11 00 11', '11 01 11'):
        scorer.score_many([ConnectionScheme.parse(text, layout)])
    log = ''.join(path.read_text() for path in Path(tiny_config.work_dir).glob('*/*.log'))
    # the smallest kept value of a batch: 50 images of 32 channels on 8 x 8, in float32, and a third of it for the allocator
    assert log.count('`activation_budget` must be at least 1 MiB') == 1
