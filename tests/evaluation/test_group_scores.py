"""Scores group by group: their mean is the score, bit for bit that of the search, whichever way they are computed."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from scored_model import build, parts
from test_scorer_racing import SCHEMES, Accuracy, Iou, Table, make, spread

from ean_mm.evaluation import RememberedScores, ScoreStore, SharedScorer, SupernetScorer
from ean_mm.evaluation.group_reading import PartReader
from ean_mm.search import RaceSettings
from ean_mm.structures import ConnectionScheme
from ean_mm.structures.group_scores import split_evenly

NUM_IMAGES = 990
CIFAR = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
DEEP = list(ConnectionScheme.every((2, 2, 2)))[::7]


class Batchwise(Accuracy):
    """One result per batch."""

    def process(self, data_batch, data_samples):
        self.results.append((sum(data_samples), len(data_samples)))

    def compute_metrics(self, results):
        return {'accuracy': 100 * sum(right for right, _ in results) / sum(num for _, num in results)}


@pytest.mark.parametrize('settings', [None, RaceSettings()])
def test_groups_of_a_mean_are_those_counted_by_hand(settings):
    table = Table(0, spread(0))
    scores = make(table, settings=settings).score_groups(SCHEMES[:5], num_groups=7)
    assert scores.is_additive
    assert scores.sizes.tolist() == [142, 142, 142, 141, 141, 141, 141]
    edges = np.cumsum(scores.sizes)[:-1]
    for row, scheme in enumerate(SCHEMES[:5]):
        by_hand = [100 * part.mean() for part in np.split(table.right[scheme], edges)]
        assert scores.values[row] == pytest.approx(by_hand, abs=1e-9)
    assert scores.metrics.tolist() == [each.metric for each in make(Table(0, spread(0))).score_many(SCHEMES[:5])]
    assert scores.values @ scores.weights == pytest.approx(scores.metrics, abs=1e-9)


def test_of_few_images_groups_have_one():
    scores = make(Table(0, spread(0))).score_groups(SCHEMES[:1], num_groups=5000)
    assert scores.sizes.tolist() == [1] * NUM_IMAGES
    assert set(scores.values[0].round(6)) == {0.0, 100.0}


def test_a_ratio_of_sums_varies_as_its_bootstrap_does():
    """The oracle: the metric of images drawn anew, computed by the metric itself."""
    table = Table(1, spread(1))
    scores = make(table, Iou).score_groups(SCHEMES[:2], num_groups=99)
    assert not scores.is_additive
    assert scores.values @ scores.weights == pytest.approx(scores.metrics, abs=1e-9)
    generator = np.random.default_rng(0)
    counts = generator.multinomial(99, np.full(99, 1 / 99), size=1000)
    images = np.arange(NUM_IMAGES)
    drawn = []
    for count in counts:
        chosen = np.repeat(images, np.repeat(count, 10))
        both = [100 * table.right[s][chosen][table.right[s][chosen] | (chosen % 3 == 0)].mean() for s in SCHEMES[:2]]
        drawn.append(both)
    expected, found = np.array(drawn), scores.resample(counts)
    assert found.std(0) == pytest.approx(expected.std(0), rel=0.05)
    assert np.diff(found).std() == pytest.approx(np.diff(expected).std(), rel=0.05)
    assert np.corrcoef(np.diff(found)[:, 0], np.diff(expected)[:, 0])[0, 1] > 0.99


def test_results_of_batches_make_groups_of_batches():
    table = Table(2, spread(2))
    scores = make(table, Batchwise).score_groups(SCHEMES[:2], num_groups=10)
    assert scores.sizes.tolist() == [100] * 9 + [90]
    assert scores.is_additive
    assert scores.values[0] == pytest.approx(
        [100 * part.mean() for part in np.split(table.right[SCHEMES[0]], range(100, 990, 100))], abs=1e-9
    )


def test_a_metric_that_one_class_alone_leaves_undefined_is_read_from_the_rest():
    class Mixed(Accuracy):
        def compute_metrics(self, results):
            if len(results) < 50:
                raise ValueError('one class only')
            return super().compute_metrics(results)

    scores = make(Table(0, spread(0)), Mixed).score_groups(SCHEMES[:2])
    plain = make(Table(0, spread(0))).score_groups(SCHEMES[:2])
    assert not scores.is_additive
    assert scores.values == pytest.approx(plain.values, abs=1e-6)


def test_neither_images_nor_batches_can_be_told_apart():
    scorer = make(Table(0, spread(0)), Batchwise)
    scorer.dataloader = torch.utils.data.DataLoader(torch.arange(NUM_IMAGES), batch_sampler=[[0, 1], [2, 3, 4]])
    with pytest.raises(ValueError, match=r"must note one result per image, .* but got neither for 'accuracy'"):
        scorer.score_groups(SCHEMES[:1])


@pytest.mark.parametrize('num_calibration', [0, 2])
def test_shared_passes_give_the_same_groups(num_calibration):
    given = {**parts(build(CIFAR), num_calibration), 'metric': 'right'}
    plain = SupernetScorer(**given)
    shared = SharedScorer(SupernetScorer(**given))
    expected, found = plain.score_groups(DEEP, 6), shared.score_groups(DEEP, 6)
    assert np.array_equal(found.values, expected.values)
    assert found.metrics.tolist() == [each.metric for each in shared.score_many(DEEP)]
    assert found.schemes == tuple(DEEP)
    assert shared.facts.num_schemes == 2 * len(DEEP)
    assert shared.facts.block_images < 0.6 * shared.facts.naive_block_images


def test_groups_are_as_even_as_can_be():
    assert [len(group) for group in split_evenly(11, 4)] == [3, 3, 3, 2]
    assert np.concatenate(split_evenly(11, 4)).tolist() == list(range(11))


def test_scores_on_the_way_are_remembered():
    table = Table(4, spread(4))
    store = ScoreStore('nowhere', {'metric': 'accuracy'}, is_writer=False)
    scores = RememberedScores(make(table), store)
    found = scores.score_groups(SCHEMES[:3])
    assert [store.find(scheme) for scheme in SCHEMES[:3]] == found.metrics.tolist()
    table.runs.clear()
    assert [each.metric for each in scores.score_many(SCHEMES[:3])] == found.metrics.tolist()
    assert table.runs == []


def test_the_metric_is_as_before_after_it_was_watched():
    class Own(BaseMetric):
        process = Accuracy.process

        def compute_metrics(self, results):
            return {'accuracy': 1.0}

    metric = Own()
    metric.compute_metrics = original = lambda results: {'accuracy': 50.0}
    scorer = make(Table(0, spread(0)))
    other = Accuracy()
    other.default_prefix = other.prefix = 'other'
    scorer.evaluator = Evaluator([other, metric])
    assert scorer(SCHEMES[0]) == 50.0
    assert metric.compute_metrics is original
    assert 'compute_metrics' not in vars(other)
    scorer.metric = 'other/accuracy'
    scores = scorer.score_groups(SCHEMES[:1])
    assert scores.values[0] @ scores.weights == pytest.approx(Table(0, spread(0)).accuracy(SCHEMES[0]))


def test_parts_are_read_of_a_scheme_alone():
    scorer = make(Table(0, spread(0)))
    tally = scorer._show(SCHEMES[0], None)
    tally.measure()
    reader = PartReader(tally, [])
    assert reader.read([np.arange(10)])[0] == 100 * scorer.model.right[SCHEMES[0]][:10].mean()
