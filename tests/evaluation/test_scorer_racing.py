"""Racing drops clear losers and never the best, changes no full score, and ends where slices do not add up."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from scored_model import Margin, batches, build, parts
from torch.utils.data import DataLoader

from ean_mm.evaluation import Racing, RememberedScores, ScoreStore, SharedScorer, SupernetScorer, count_images
from ean_mm.search import Measurement, RaceSettings, Reward
from ean_mm.structures import ConnectionScheme

LAYOUT = (2, 2)
SCHEMES = [ConnectionScheme.from_mask([bool(n >> k & 1) for k in range(4)], LAYOUT) for n in range(16)]
NUM_IMAGES, BATCH_SIZE = 990, 50  # 20 slices, the last of 40 images


@pytest.fixture
def warnings_logged(monkeypatch):
    texts: list[str] = []
    monkeypatch.setattr('ean_mm.evaluation.racing.print_log', lambda text, **_: texts.append(text))
    return texts


# -- a network that is a table ---------------------------------------------------------------------


class Table:
    """Which images each scheme gets right, in random order; stands for model and backbone. Counts what it runs."""

    def __init__(self, seed: int, qualities: np.ndarray):
        rng = np.random.default_rng(seed)
        difficulty = rng.random(NUM_IMAGES)
        noise = rng.normal(0, 0.05, (16, NUM_IMAGES))
        self.right = dict(zip(SCHEMES, difficulty + noise < qualities[:, None], strict=True))
        self.runs: list[ConnectionScheme] = []

    def eval(self):
        return self

    def parameters(self):
        return iter([torch.zeros(1)])

    def set_scheme(self, scheme):
        self.scheme = scheme
        self.runs.append(scheme)

    def val_step(self, batch):
        return self.right[self.scheme][batch].tolist()

    def accuracy(self, scheme, num_images=NUM_IMAGES):
        return 100 * int(self.right[scheme][:num_images].sum()) / num_images


class Accuracy(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return {'accuracy': 100 * sum(results) / len(results)}


class Iou(Accuracy):
    """A ratio of two sums over all images."""

    def process(self, data_batch, data_samples):
        self.results.extend(zip(data_samples, data_batch.tolist(), strict=True))

    def compute_metrics(self, results):
        either = [right for right, image in results if right or image % 3 == 0]
        return {'accuracy': 100 * sum(either) / len(either)}


def make(table, metric=Accuracy, settings=None, reward=None, batch_size=BATCH_SIZE) -> SupernetScorer:
    loader = DataLoader(torch.arange(NUM_IMAGES), batch_size=batch_size)
    racing = None
    if settings is not None:
        racing = Racing(settings, reward or Reward('accuracy'), count_images(loader))
    return SupernetScorer(table, table, loader, Evaluator(metric()), 'accuracy', racing=racing)


def spread(seed: int) -> np.ndarray:
    """Sixteen qualities around 0.6: some close together, some far below."""
    return np.random.default_rng(1000 + seed).normal(0.6, 0.12, 16).clip(0.05, 0.95)


@pytest.mark.parametrize('seed', range(30))
def test_clear_losers_are_dropped_and_the_best_never_is(seed):
    table = Table(seed, spread(seed))
    reward = Reward('accuracy', sparsity_weight=5.0, offset=-3.0)
    rewards = {scheme: reward(table.accuracy(scheme), scheme.mask) for scheme in SCHEMES}
    incumbent, *challengers = np.random.default_rng(seed).permutation(16)
    incumbent, challengers = SCHEMES[incumbent], [SCHEMES[n] for n in challengers]
    scorer = make(table, settings=RaceSettings(), reward=reward)
    scorer.score_many([incumbent])
    measured = dict(zip(challengers, scorer.score_many(challengers, incumbent), strict=True))
    dropped = {scheme: each for scheme, each in measured.items() if each.num_images is not None}
    assert all(rewards[scheme] < rewards[incumbent] for scheme in dropped)
    losers = {scheme for scheme in challengers if rewards[scheme] < rewards[incumbent] - 10}
    assert losers <= set(dropped)
    for scheme, each in measured.items():
        if scheme in dropped:
            assert each.num_images % 50 == 0
            assert 250 <= each.num_images <= 950
            assert each.metric == pytest.approx(table.accuracy(scheme, each.num_images), abs=1e-9)
        else:
            assert each.metric == table.accuracy(scheme)
    saved = sum(NUM_IMAGES - each.num_images for each in dropped.values())
    assert scorer.describe_work() == {'dropped': len(dropped), 'images_saved': saved}


def test_the_spread_has_losers_and_close_ones():
    """So that the test above can fail both ways."""
    num_losers = num_winners = 0
    for seed in range(30):
        gaps = 100 * (spread(seed)[1:] - spread(seed)[0])
        num_losers += int((gaps < -12).sum())
        num_winners += int((gaps > 0).sum())
    assert num_losers > 50
    assert num_winners > 100


@pytest.mark.parametrize(('settings', 'incumbent'), [(None, SCHEMES[0]), (None, None), (RaceSettings(), None)])
def test_without_racing_or_incumbent_every_score_is_full(settings, incumbent):
    table = Table(0, spread(0))
    measured = make(table, settings=settings).score_many(SCHEMES, incumbent)
    assert measured == [Measurement(table.accuracy(scheme)) for scheme in SCHEMES]


def test_an_estimate_and_what_it_saves_counted_by_hand():
    qualities = np.full(16, 0.2)
    qualities[3] = 0.9
    table = Table(5, qualities)
    scorer = make(table, settings=RaceSettings(min_slices=5))
    assert scorer.describe_work() == {'dropped': 0, 'images_saved': 0}
    scorer.score_many([SCHEMES[3]])
    measured = scorer.score_many([SCHEMES[1], SCHEMES[2]], SCHEMES[3])
    assert [each.num_images for each in measured] == [250, 250]
    for scheme, each in zip(SCHEMES[1:3], measured, strict=True):
        slices = [100 * table.right[scheme][k : k + 50].mean() for k in range(0, 250, 50)]
        assert each.metric == pytest.approx(np.mean(slices), abs=1e-9)
    assert scorer.describe_work() == {'dropped': 2, 'images_saved': 2 * (990 - 250)}


def test_an_unknown_incumbent_is_scored_along_first_and_once():
    table = Table(1, spread(1))
    scorer = make(table, settings=RaceSettings())
    scorer.score_many(SCHEMES[4:6], SCHEMES[2])
    assert table.runs == [SCHEMES[2], *SCHEMES[4:6]]
    scorer.score_many(SCHEMES[6:7], SCHEMES[2])
    assert table.runs[3:] == [SCHEMES[6]]
    known = make(Table(1, spread(1)), settings=RaceSettings())
    known.score_many([SCHEMES[0], SCHEMES[2]])
    assert known.score_many(SCHEMES[4:7], SCHEMES[2]) == make(table, settings=RaceSettings()).score_many(
        SCHEMES[4:7], SCHEMES[2]
    )


def test_a_dropped_scheme_that_becomes_an_incumbent_is_scored_along():
    table = Table(2, np.linspace(0.3, 0.9, 16))
    scorer = make(table, settings=RaceSettings())
    assert scorer.score_many([SCHEMES[0]], SCHEMES[15])[0].num_images is not None
    table.runs.clear()
    assert scorer.score_many([SCHEMES[1]], SCHEMES[0]) == [Measurement(table.accuracy(SCHEMES[1]))]
    assert table.runs == [SCHEMES[0], SCHEMES[1]]


class TestRefusals:
    @pytest.mark.parametrize('is_resumed', [False, True])
    def test_a_ratio_of_sums(self, warnings_logged, is_resumed):
        table = Table(3, spread(3))
        expected = make(table, Iou).score_many(SCHEMES)
        scorer = make(table, Iou, RaceSettings())
        if not is_resumed:
            scorer.score_many(SCHEMES[:2])
        assert scorer.score_many(SCHEMES, SCHEMES[15]) == expected
        assert scorer.describe_work() == {'dropped': 0, 'images_saved': 0}
        (text,) = warnings_logged
        assert text.startswith('No racing, every scheme is scored in full: the metric of ')
        assert text.endswith('only a mean over images can be raced, not a ratio of sums like mIoU.')

    def test_a_challenger_whose_slices_do_not_add_up_ends_nothing_until_it_is_the_incumbent(self, warnings_logged):
        """A search that is resumed does not score challengers again, and must decide alike."""

        class Odd(Accuracy):
            def compute_metrics(self, results):
                whole = super().compute_metrics(results)
                return whole if len(results) < NUM_IMAGES or whole['accuracy'] < 90 else {'accuracy': 95.0}

        table = Table(4, np.append(np.linspace(0.2, 0.8, 15), 0.97))
        scorer = make(table, Odd, RaceSettings())
        best, *others = scorer.score_many([SCHEMES[15], *SCHEMES[:3]], SCHEMES[14])
        assert best == Measurement(95.0)
        assert all(each.num_images is not None for each in others)
        assert warnings_logged == []
        assert all(each.num_images is None for each in scorer.score_many(SCHEMES[3:6], SCHEMES[15]))
        (text,) = warnings_logged
        assert 'the metric of 20 batches together is 95, but the mean of theirs is 9' in text

    def test_a_refused_metric_is_not_read_slice_by_slice_any_more(self, warnings_logged, monkeypatch):
        scorer = make(Table(3, spread(3)), Iou, RaceSettings())
        scorer.score_many(SCHEMES[:1])
        reads = []
        original = Evaluator.evaluate
        monkeypatch.setattr(Evaluator, 'evaluate', lambda self, size: reads.append(size) or original(self, size))
        table = scorer.model
        table.runs.clear()
        scorer.score_many(SCHEMES[:3], SCHEMES[5])
        assert reads == [NUM_IMAGES] * 3
        assert table.runs == SCHEMES[:3]  # and no incumbent along

    def test_a_metric_rounded_to_two_decimals_is_a_mean(self, warnings_logged):
        class Rounded(Accuracy):
            def compute_metrics(self, results):
                return {'accuracy': round(super().compute_metrics(results)['accuracy'], 2)}

        scorer = make(Table(3, np.linspace(0.2, 0.9, 16)), Rounded, RaceSettings(), batch_size=47)
        measured = scorer.score_many(SCHEMES, SCHEMES[15])
        assert sum(each.num_images is not None for each in measured) > 8
        assert warnings_logged == []

    def test_too_few_slices(self, warnings_logged):
        table = Table(4, np.linspace(0.1, 0.9, 16))
        scorer = make(table, settings=RaceSettings(), batch_size=198)
        assert warnings_logged == [
            'No racing, every scheme is scored in full: `val_dataloader` must yield more than 5 batches (`min_slices`), '
            'but got 5; lower its `batch_size` or hold out more images.'
        ]
        assert all(each.num_images is None for each in scorer.score_many(SCHEMES, SCHEMES[15]))
        make(table, settings=RaceSettings(), batch_size=165)
        assert len(warnings_logged) == 1

    def test_batches_of_no_known_size(self, warnings_logged):
        Racing(RaceSettings(), Reward(), [])
        assert warnings_logged == [
            'No racing, every scheme is scored in full: `val_dataloader` must yield batches of one `batch_size`.'
        ]

    def test_a_batch_without_a_number(self, warnings_logged):
        class Sometimes(Accuracy):
            def compute_metrics(self, results):
                whole = super().compute_metrics(results)
                return whole if len(results) > 50 else {'accuracy': float('nan')}

        table = Table(4, np.linspace(0.1, 0.9, 16))
        scorer = make(table, Sometimes, RaceSettings())
        assert all(each.num_images is None for each in scorer.score_many(SCHEMES, SCHEMES[15]))
        assert warnings_logged == [
            'No racing, every scheme is scored in full: the metric of a batch is not always a number.'
        ]

    def test_a_scheme_that_is_no_number_at_all_ends_nothing(self, warnings_logged):
        table = Table(4, np.linspace(0.1, 0.9, 16))
        table.right[SCHEMES[7]] = np.full(NUM_IMAGES, np.nan)
        scorer = make(table, settings=RaceSettings())
        measured = dict(zip(SCHEMES, scorer.score_many(SCHEMES, SCHEMES[15]), strict=True))
        assert np.isnan(measured[SCHEMES[7]].metric)
        assert measured[SCHEMES[7]].num_images is None
        assert measured[SCHEMES[2]].num_images is not None
        assert warnings_logged == []


@pytest.mark.parametrize(
    ('arguments', 'counts'),
    [
        (dict(batch_size=4), [4, 4, 2]),
        (dict(batch_size=5), [5, 5]),
        (dict(batch_size=4, drop_last=True), []),
        (dict(batch_sampler=[[0, 1], [2, 3]]), []),
    ],
)
def test_images_per_batch(arguments, counts):
    assert count_images(DataLoader(range(10), **arguments)) == counts


def test_images_per_batch_of_all_ranks(monkeypatch):
    monkeypatch.setattr('ean_mm.evaluation.racing.get_world_size', lambda: 3)
    sampler = torch.utils.data.SubsetRandomSampler(range(4))  # a third of ten, made equal
    assert count_images(DataLoader(range(10), batch_size=2, sampler=sampler)) == [6, 4]


# -- the store of scores ---------------------------------------------------------------------------


def test_an_estimate_never_enters_the_store(tmp_path):
    table = Table(6, np.linspace(0.3, 1.0, 16).clip(max=0.85))
    store = ScoreStore(tmp_path / 'scores.jsonl', {'metric': 'accuracy'})
    scores = RememberedScores(make(table, settings=RaceSettings()), store)
    measured = dict(zip(SCHEMES, scores.score_many(SCHEMES, SCHEMES[15]), strict=True))
    kept = [scheme for scheme, each in measured.items() if each.num_images is None]
    assert 1 < len(kept) < 12
    assert [scheme for scheme in SCHEMES if store.find(scheme) is not None] == kept
    assert all(store.find(scheme) == table.accuracy(scheme) for scheme in kept)
    assert (tmp_path / 'scores.jsonl').read_text().count('"metric": ') == len(kept) + 1  # and the context


def test_an_incumbent_from_the_store_is_scored_along_if_somebody_races_it():
    table = Table(6, np.linspace(0.3, 0.9, 16))
    store = ScoreStore('nowhere', {'metric': 'accuracy'}, is_writer=False)
    for scheme in (SCHEMES[15], SCHEMES[3]):
        store.add(scheme, table.accuracy(scheme))
    scores = RememberedScores(make(table, settings=RaceSettings()), store)
    found = scores.score_many([SCHEMES[3]], SCHEMES[15])
    assert found == [Measurement(table.accuracy(SCHEMES[3]))]
    assert table.runs == []
    remembered, raced = scores.score_many([SCHEMES[3], SCHEMES[0]], SCHEMES[15])
    assert table.runs == [SCHEMES[15], SCHEMES[0]]
    assert (remembered.num_images, raced.num_images is None) == (None, False)
    assert scores.describe_work()['remembered'] == 2


# -- shared passes ---------------------------------------------------------------------------------

CIFAR = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
DEEP = [ConnectionScheme.from_mask([bool(n >> k & 1) for k in range(6)], (2, 2, 2)) for n in range(64)]


class Answers(BaseMetric):
    """The class that each image gets."""

    def process(self, data_batch, data_samples):
        self.results.extend(int(scores.argmax()) for scores in data_samples)

    def compute_metrics(self, results):
        self.seen = list(results)
        return {'right': 0.0}


def agreeing(incumbent, num_calibration):
    """Parts of a scorer whose labels are what the network says under ``incumbent``: it has 100 percent."""
    model = build(CIFAR)
    given = parts(model, num_calibration)
    images = [{'inputs': image, 'labels': 0} for batch in batches(10, batch_size=6) for image in batch['inputs']]
    answers = Answers()
    given.update(dataloader=DataLoader(images, batch_size=6), evaluator=Evaluator(answers), metric='right')
    SupernetScorer(**given)(incumbent)
    labelled = [{**image, 'labels': label} for image, label in zip(images, answers.seen, strict=True)]
    given.update(dataloader=DataLoader(labelled, batch_size=6), evaluator=Evaluator(Margin()))
    return given


@pytest.mark.parametrize('num_calibration', [0, 3])
@pytest.mark.parametrize('budget', [0, 2**30])
def test_shared_passes_decide_alike(num_calibration, budget):
    incumbent = DEEP[21]
    given = agreeing(incumbent, num_calibration)

    def racing():
        reward = Reward('right', sparsity_weight=10.0)
        return Racing(RaceSettings(confidence=0.9, min_slices=2), reward, count_images(given['dataloader']))

    challengers = DEEP[::3]
    full = SupernetScorer(**given).score_many(challengers)
    plain = SupernetScorer(**given, racing=racing())
    shared = SharedScorer(SupernetScorer(**given, racing=racing()), activation_budget=budget)
    expected = plain.score_many(challengers, incumbent)
    assert shared.score_many(challengers, incumbent) == expected
    num_dropped = sum(each.num_images is not None for each in expected)
    assert 5 < num_dropped < len(challengers)
    complete = [pair for pair in zip(expected, full, strict=True) if pair[0].num_images is None]
    assert all(one == other for one, other in complete)
    work = shared.describe_work()
    assert {name: work[name] for name in ('dropped', 'images_saved')} == plain.describe_work()
    assert work['images_saved'] == sum(60 - each.num_images for each in expected if each.num_images is not None)
    assert work['num_schemes'] == len(challengers)
    assert work['naive_block_images'] == len(challengers) * 6 * (60 + 4 * num_calibration)


def test_block_images_of_what_was_computed():
    """Nothing is shared without a budget, bar the batch at hand: a scheme is alone here."""
    incumbent, challenger = DEEP[63], DEEP[0]
    given = agreeing(incumbent, 0)
    racing = Racing(RaceSettings(confidence=0.9, min_slices=2), Reward('right'), count_images(given['dataloader']))
    scorer = SharedScorer(SupernetScorer(**given, racing=racing), activation_budget=0)
    (measured,) = scorer.score_many([challenger], incumbent)
    assert measured.num_images is not None
    assert scorer.facts.block_images == 6 * (60 + measured.num_images)
    assert (scorer.facts.num_schemes, scorer.facts.naive_block_images) == (1, 6 * 60)
