"""Order of the supernet's scores beside that of networks trained alone."""

import json
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from ean_mm.analysis import Fidelity, RankCorrelation, kendall_tau
from ean_mm.evaluation import SupernetError
from ean_mm.launch import fidelity
from ean_mm.launch.fidelity import spell_fidelity, spread_schemes
from ean_mm.structures import ConnectionScheme

TICKET = ConnectionScheme.from_string('110 000 001')


class TestChoice:
    def test_the_shorter_list_begins_the_longer_one(self):
        assert spread_schemes(TICKET, 20, seed=1)[:12] == spread_schemes(TICKET, 12, seed=1)
        assert spread_schemes(TICKET, 12, seed=1) != spread_schemes(TICKET, 12, seed=2)

    def test_the_landmarks_come_first_and_sizes_are_spread(self):
        chosen = spread_schemes(TICKET, 19, seed=0)
        assert [str(scheme) for scheme in chosen[:3]] == ['000 000 000', '111 111 111', '110 000 001']
        assert len(set(chosen)) == 19
        sizes = [scheme.num_connected for scheme in chosen[3:]]
        assert {size: sizes.count(size) for size in range(1, 9)} == dict.fromkeys(range(1, 9), 2)

    @pytest.mark.parametrize('bits', ['11 11', '10 01'])
    def test_every_scheme_there_is_can_be_asked_for(self, bits):
        chosen = spread_schemes(ConnectionScheme.from_string(bits), 16, seed=0)
        assert set(chosen) == set(ConnectionScheme.every((2, 2)))

    def test_impossible_numbers_are_refused(self):
        with pytest.raises(ValueError, match='`num_schemes` must be at most the 512 that there are, but got 513'):
            spread_schemes(TICKET, 513, seed=0)
        with pytest.raises(ValueError, match='`num_schemes` must be a whole number of at least 3, but got 2'):
            spread_schemes(TICKET, 2, seed=0)


def test_scores_and_trainings_side_by_side(finished_search, monkeypatch):
    """Real scores of an untrained supernet, whose batch norm has seen nothing; trainings that are made up."""
    directory = Path(finished_search.work_dir)
    trained = []

    def train(cfg, work_dir, seed):
        trained.append((work_dir.name, seed, cfg.train_cfg.max_epochs, cfg.model.backbone.scheme))
        value = float(work_dir.name.count('1')) + 0.1 * seed
        (work_dir / 'metrics.json').write_text(json.dumps({'accuracy/top1': value}))

    monkeypatch.setattr('ean_mm.launch.trainings.train_once', train)
    lines = []
    text = fidelity(finished_search, 5, [0, 1], 1, announce=lines.append)
    assert len(trained) == 10
    assert {(epochs, name == f'{bits.replace(" ", "")}_{seed}') for name, seed, epochs, bits in trained} == {(1, True)}
    assert [seed for _, seed, _, _ in trained] == [0] * 5 + [1] * 5
    assert lines[0].startswith('10 of 10 trainings to run, about ')
    facts = json.loads((directory / 'fidelity.json').read_text())
    assert (facts['metric'], facts['epochs'], facts['iters'], facts['seeds']) == ('accuracy/top1', 1, None, [0, 1])
    assert facts['num_images'] == 100
    assert [row['name'] for row in facts['schemes'][:3]] == ['none', 'all', 'ticket']
    means = [sum(row['stand_alone']) / 2 for row in facts['schemes']]
    for kind, key in (('recalibrated', 'supernet'), ('raw', 'supernet_raw')):
        assert facts['tau'][kind]['value'] == pytest.approx(kendall_tau([row[key] for row in facts['schemes']], means))
    assert facts['tau']['ceiling']['value'] == 1
    assert facts['sentence'] in text
    assert (directory / 'fidelity.png').read_bytes().startswith(b'\x89PNG')
    # what has been computed is not computed again
    trained.clear()
    monkeypatch.setattr('ean_mm.evaluation.SupernetScorer.score_many', lambda *_: pytest.fail('scored again'))
    assert fidelity(finished_search, 5, [0, 1], 1, announce=lines.append) == text
    assert trained == []


def test_scores_are_those_of_the_search(tiny_config, monkeypatch):
    """What a search has scored, recalibrated, is found in its store; with num_calibration_images=0, what is raw."""
    from mmengine.runner import Runner

    from ean_mm.launch.supernet_scores import score_on_supernet

    Runner.from_cfg(tiny_config).train()
    directory = Path(tiny_config.work_dir)
    stored = [json.loads(line) for line in (directory / 'scores.jsonl').read_text().splitlines()]
    scores = {line['scheme']: line['metric'] for line in stored if 'metric' in line}
    schemes = [ConnectionScheme.from_string(bits) for bits in scores]
    found = score_on_supernet(tiny_config, schemes, directory / 'again')
    assert found.recalibrated == list(scores.values())
    after = [json.loads(line) for line in (directory / 'scores.jsonl').read_text().splitlines()]
    assert len(after) == len(stored) + 1 + len(schemes)  # the raw ones, and what they depend on
    assert after[len(stored)]['fields']['calibration'].startswith('0 images')
    assert [line['metric'] for line in after[len(stored) + 1 :]] == found.raw


def test_a_supernet_of_another_training_is_refused(finished_search):
    finished_search.optim_wrapper.optimizer.lr = 0.5
    with pytest.raises(SupernetError, match='`work_dir` must hold the supernet of this config'):
        fidelity(finished_search, 4, [0], 1)


def test_without_a_finished_search_there_is_nothing_to_rank(tmp_path):
    with pytest.raises(ValueError, match='`work_dir` must hold a finished search'):
        fidelity(Config(dict(work_dir=str(tmp_path))), 4, [0], 1)


GOOD, BAD, POOR = RankCorrelation(0.6, 0.3, 0.8), RankCorrelation(-0.6, -0.8, -0.3), RankCorrelation(0.1, -0.2, 0.4)


class TestSentence:
    def test_with_a_ceiling(self):
        found = Fidelity(
            dict(recalibrated=GOOD, raw=POOR),
            RankCorrelation(0.75, 0.5, 0.9),
            RankCorrelation(0.88, 0.7, 0.95),
            dict(raw=GOOD),
        )
        assert spell_fidelity(found, 12, 3) == (
            'The supernet ranks schemes as training them alone does, better than chance: Kendall tau 0.60 (0.30 to 0.80) over '
            '12 schemes. Two seeds agree with each other by 0.75 (0.50 to 0.90), of which that is 80 %; a perfect score would '
            'reach about 0.88 with the mean of 3. Without recalibration tau is 0.10 (-0.20 to 0.40): a difference of +0.60 '
            '(0.30 to 0.80).'
        )

    @pytest.mark.parametrize(
        ('tau', 'start'),
        [(POOR, 'The supernet is not shown to rank schemes: '), (BAD, 'The supernet ranks schemes backwards: ')],
    )
    def test_of_a_poor_one(self, tau, start):
        found = Fidelity(dict(recalibrated=tau, raw=POOR), GOOD, GOOD, dict(raw=POOR))
        assert spell_fidelity(found, 12, 3).startswith(start)
        assert ('of which that is' in spell_fidelity(found, 12, 3)) == (tau is POOR)

    def test_without_a_ceiling(self):
        found = Fidelity(dict(recalibrated=GOOD, raw=POOR), None, None, dict(raw=GOOD))
        assert re.search(r'unknown with one seed: name several', spell_fidelity(found, 12, 1))
        found = Fidelity(dict(recalibrated=GOOD, raw=POOR), BAD, BAD, dict(raw=GOOD))
        assert 'two seeds do not agree with each other' in spell_fidelity(found, 12, 2)
