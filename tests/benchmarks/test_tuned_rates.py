"""A ticket at its recipe's rate beside others at the rate that is best for them."""

import csv
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

RATES = ('0.001', '0.005', '0.02')  # the recipe's is 0.005
GAINS = {'ticket': (None, 9.0, None), 'none': (0.0, 4.0, 5.0), '000011': (8.5, 1.0, 2.0)}


@pytest.fixture
def script():
    return importlib.import_module('benchmarks.truth.tuned_rates')


@pytest.fixture
def run(script, finished_search, monkeypatch, tmp_path):
    """Run it with trainings that leave a made-up metric, and return the rows of its table."""
    trained = []

    def train(cfg, work_dir, seed):
        name, rate = work_dir.name.rpartition('_')[0], cfg.optim_wrapper.optimizer.lr
        trained.append((name, rate, seed))
        value = 80 + GAINS[name][[float(each) for each in RATES].index(rate)] + 0.5 * seed
        (work_dir / 'metrics.json').write_text(json.dumps({'accuracy/top1': value}))

    monkeypatch.setattr('ean_mm.launch.trainings.train_once', train)
    monkeypatch.setattr(script.SchemeFacts, 'estimate_seconds', lambda self: 7.0)

    def run_script(*arguments):
        arguments = [finished_search.work_dir, *arguments, '--results', str(tmp_path)]
        monkeypatch.setattr(sys, 'argv', ['tuned_rates.py', *arguments])
        script.main()
        with (tmp_path / 'tuned_rates.csv').open(newline='') as file:
            return trained, list(csv.DictReader(file))

    return run_script


def test_the_others_are_trained_at_every_rate_and_compared_at_their_best(run, finished_search, capsys):
    arguments = ('--rates', *RATES, '--schemes', 'none', '00 00 11', '--seeds', '0', '1')
    trained, rows = run(*arguments)
    rates = {'ticket': RATES[1:2], 'none': RATES, '000011': RATES}
    wanted = {(name, float(rate), seed) for name in rates for rate in rates[name] for seed in (0, 1)}
    assert set(trained) == wanted
    assert len(trained) == len(wanted)
    assert [seed for _, _, seed in trained] == [0] * 7 + [1] * 7  # a first answer is there as soon as can be
    found = {(row['name'], row['rate'], row['seed']): row['value'] for row in rows}
    assert found['ticket', '0.005', '1'] == '89.5'
    assert found['00 00 11', '0.001', '0'] == '88.5'
    assert len(found) == len(rows) == 14
    text = capsys.readouterr().out
    assert re.search(r'│ ticket +│ - +│ [^-]+ +│ - +│', text)
    expected = 'The ticket at 0.005 is better than none at 0.02 (by 4.00 ± 0.00), 00 00 11 at 0.001 (by 0.50 ± 0.00).'
    assert expected in text
    # those of the recipe's own rate are tools/compare.py's
    assert (Path(finished_search.work_dir) / 'compare/none_1/metrics.json').exists()
    trained.clear()
    assert run(*arguments)[0] == []


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--rates', '0.1'), "`rates` must hold the recipe's own, 0.005, but got [0.1]."),
        (('--rates', '0.005', '--schemes', 'random'), "`schemes` must be 'none', 'all' or bits, but got 'random'"),
    ],
)
def test_what_cannot_be_compared_is_refused(run, arguments, message, capsys):
    with pytest.raises(SystemExit):
        run(*arguments)
    assert message in capsys.readouterr().err
