"""Accuracy by lamp and bars: which sign a network follows."""

import csv
import importlib
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from ean_mm.datasets import LampDigits, load_digit_scans
from ean_mm.datasets.lamp_digits import draw_lamp_scene
from ean_mm.launch.finished_search import FinishedSearch
from ean_mm.structures import ConnectionScheme


@pytest.fixture
def script():
    return importlib.import_module('benchmarks.truth.signs')


@pytest.mark.parametrize('is_lit', [False, True])
@pytest.mark.parametrize('is_hinted_green', [False, True])
def test_signs_are_read_off_a_scene(script, is_lit, is_hinted_green):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = draw_lamp_scene(load_digit_scans('test'), seed % 4, rng, bool(seed % 2), is_lit, is_hinted_green)
        assert script.read_signs(image) == (is_lit, is_hinted_green)


def test_bars_are_right_where_they_say_what_the_lamp_says(script):
    cases = [script.find_case(script.Signs(*each)) for each in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert cases == [('off', 'right'), ('off', 'wrong'), ('on', 'wrong'), ('on', 'right')]


def test_shares_are_of_each_case_alone(script):
    cases = [('off', 'right'), ('on', 'wrong'), ('off', 'right'), ('on', 'wrong'), ('on', 'wrong')]
    shares = script.share_by_case(np.array([True, False, False, True, True]), cases)
    assert shares == {('off', 'right'): (2, 50.0), ('on', 'wrong'): (3, pytest.approx(200 / 3))}


@pytest.fixture
def run(script, finished_search, monkeypatch, tmp_path):

    def run_script():
        monkeypatch.setattr(sys, 'argv', ['signs.py', finished_search.work_dir, '--results', str(tmp_path)])
        script.main()

    return run_script


@pytest.fixture
def on_lamp_digits(finished_search):
    """Let the recipe of the search test on lamp digits."""
    path = Path(finished_search.work_dir) / 'retrain.py'
    cfg = Config.fromfile(path)
    cfg.test_dataloader.dataset.update(type='ean_mm.LampDigits', num_scenes=8)
    cfg.dump(path)
    return Path(finished_search.work_dir)


@pytest.fixture
def compared(on_lamp_digits):
    """A comparison of three networks, which read everything as a 2, 3 and 0."""
    rows = [
        dict(name='ticket', schemes=['11 00 00'], seeds=[3, 1], values=[25.0, 25.0]),
        dict(name='random', schemes=['00 11 00', '01 00 01'], seeds=[1], values=[25.0]),
    ]
    facts = dict(metric='accuracy/top1', seeds=[3, 1], rows=rows)
    (on_lamp_digits / 'comparison.json').write_text(json.dumps(facts))
    search = FinishedSearch.open(on_lamp_digits)
    init_default_scope('mmpretrain')
    for name, scheme, seed, label in (
        ('ticket', '11 00 00', 3, 2),
        ('ticket', '11 00 00', 1, 3),
        ('random', '01 00 01', 1, 0),
    ):
        training = search.plan(name, ConnectionScheme.from_string(scheme), seed)
        network = MODELS.build(training.cfg.model)
        torch.nn.init.zeros_(network.head.fc.weight)
        network.head.fc.bias.data = torch.eye(10)[label]
        training.work_dir.mkdir(parents=True)
        torch.save({'state_dict': network.state_dict()}, training.work_dir / 'epoch_2.pth')
        (training.work_dir / 'last_checkpoint').write_text('/where/it/was/trained/epoch_2.pth')
    return on_lamp_digits


def test_every_training_of_a_comparison_is_read_by_case(script, run, compared, tmp_path, capsys):
    """Of eight scenes with labels 0, 1, 2, 3, 0, ... each network reads those of its label."""
    run()
    with (tmp_path / 'signs.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    cases = [script.find_case(script.read_signs(scene['img'])) for scene in LampDigits('test', num_scenes=8)]
    for name, seed, label in (('ticket', '3', 2), ('ticket', '1', 3), ('random', '1', 0)):
        for lamp, bars in set(cases):
            chosen = [index for index, case in enumerate(cases) if case == (lamp, bars)]
            expected = 100 * sum(index % 4 == label for index in chosen) / len(chosen)
            key = dict(name=name, seed=seed, lamp=lamp, bars=bars)
            (row,) = [row for row in rows if key.items() <= row.items()]
            assert (row['num_scenes'], row['accuracy']) == (str(len(chosen)), f'{expected:.1f}')
    assert len(rows) == 3 * len(set(cases))
    assert '│ random │ 01 00 01 │ 1 ' in capsys.readouterr().out


def test_a_checkpoint_runs_no_code(script, run, compared):
    torch.save({'state_dict': {}, 'message_hub': Path('x')}, compared / 'compare/ticket_3/epoch_2.pth')
    with pytest.raises(pickle.UnpicklingError):
        run()


def test_a_network_that_is_gone_is_named(run, compared, capsys):
    (compared / 'compare/ticket_1/last_checkpoint').unlink()
    with pytest.raises(SystemExit):
        run()
    assert "but got no last_checkpoint in ['" in capsys.readouterr().err


def test_another_task_is_refused(run, capsys):
    with pytest.raises(SystemExit):
        run()
    assert '`work_dir` must be of a search on ean_mm.LampDigits, but got one on ' in capsys.readouterr().err


def test_without_a_comparison_it_says_what_to_run(run, on_lamp_digits, capsys):
    with pytest.raises(SystemExit):
        run()
    expected = f"`work_dir` must hold a comparison.json, but got '{on_lamp_digits}'; run tools/compare.py first."
    assert expected in capsys.readouterr().err
