"""Races: winners are kept as often as promised, losers are dropped early, and full scores decide at the end."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ean_mm.search.racing import Race, slices_are_additive, student_tail

# -- the distribution ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('degrees', 'tail', 't'),
    [  # of printed tables
        (1, 0.001, 318.309),
        (2, 0.001, 22.327),
        (3, 0.01, 4.5407),
        (4, 0.001, 7.1732),
        (5, 0.05, 2.0150),
        (10, 0.0005, 4.5869),
        (29, 0.0005, 3.6594),
        (120, 0.001, 3.1595),
    ],
)
def test_tails_of_student_distribution(degrees, tail, t):
    assert student_tail(t, degrees) == pytest.approx(tail, rel=5e-4)
    assert student_tail(-t, degrees) == pytest.approx(1 - tail, rel=1e-5)


@pytest.mark.parametrize('degrees', [1, 2, 7, 8, 63, 64])
def test_tails_agree_with_scipy(degrees):
    stats = pytest.importorskip('scipy.stats')
    for t in (-3.0, 0.0, 0.1, 1.0, 4.0, 7.0, math.inf):
        assert student_tail(t, degrees) == pytest.approx(stats.t.sf(t, degrees), rel=1e-9, abs=1e-14)


# -- simulated races on images that are right or wrong ---------------------------------------------

SIZES = [50] * 20
NUM_IMAGES = sum(SIZES)


def shuffled_slices(gained: int, lost: int, sizes: list[int], num_races: int, seed: int) -> np.ndarray:
    """Accuracies (percent) of the challenger less the incumbent's, (num_races, K), for images dealt at random.

    ``gained`` images are right with the challenger only, ``lost`` with the incumbent only.
    """
    rng = np.random.default_rng(seed)
    images = np.zeros(sum(sizes))
    images[:gained] = 100
    images[gained : gained + lost] = -100
    dealt = rng.permuted(np.tile(images, (num_races, 1)), axis=1)
    starts = np.cumsum([0, *sizes[:-1]])
    return np.add.reduceat(dealt, starts, axis=1) / np.array(sizes)


def num_seen_when_dropped(race: Race, differences: np.ndarray, bonus_difference: float = 0.0) -> list[int]:
    """For each race, after how many slices the challenger is dropped; K + 1 if it finishes and wins."""
    incumbent = [70.0] * race.num_slices

    def run(row: np.ndarray) -> int:
        challenger = (70.0 + row).tolist()
        looks = range(race.min_slices, race.num_slices + 1)
        lost = (seen for seen in looks if race.is_lost(challenger[:seen], incumbent, bonus_difference))
        return next(lost, race.num_slices + 1)

    return [run(row) for row in differences]


@pytest.mark.parametrize(
    ('gained', 'lost', 'bonus_difference', 'sizes'),
    [
        (11, 10, 0.0, SIZES),  # hardly an image differs
        (101, 100, 0.0, SIZES),
        (301, 300, 0.0, SIZES),
        (1, 0, 0.0, SIZES),
        (5, 0, -0.4, SIZES),  # better on five images and less sparse
        (0, 5, 0.6, SIZES),  # worse on five images and sparser
        (60, 100, 4.1, SIZES),
        (101, 100, 0.0, [20, 20, 20, 40, 40, 60, 80, 80, 80, 100, 100, 120, 120, 120]),  # growing slices
    ],
)
@pytest.mark.parametrize('confidence', [0.9, 0.999])
def test_winners_by_a_hair_are_dropped_more_rarely_than_promised(gained, lost, bonus_difference, sizes, confidence):
    race = Race(sizes, confidence=confidence)
    num_races = 400
    differences = shuffled_slices(gained, lost, sizes, num_races, seed=gained)
    ends = num_seen_when_dropped(race, differences, bonus_difference)
    num_dropped = sum(end < race.num_slices for end in ends)
    assert num_dropped < (1 - confidence) * num_races


def test_the_least_variance_is_what_keeps_the_promise(monkeypatch):
    """Without it, slices that agree by chance pass for certainty: the check above can fail."""
    monkeypatch.setattr(Race, '_least_variance', lambda self, difference: 0.0)
    differences = shuffled_slices(5, 0, SIZES, 400, seed=5)
    ends = num_seen_when_dropped(Race(SIZES), differences, bonus_difference=-0.4)
    assert sum(end < len(SIZES) for end in ends) > 100


@pytest.mark.parametrize(
    ('gained', 'lost', 'share_saved'),
    [(50, 100, 0.33), (50, 150, 0.5), (50, 250, 0.6), (50, 350, 0.65), (0, 600, 0.74)],  # by 5, 10, 20, 30, 60 points
)
def test_clear_losers_are_dropped_early(gained, lost, share_saved):
    race = Race(SIZES)
    ends = num_seen_when_dropped(race, shuffled_slices(gained, lost, SIZES, 100, seed=lost))
    assert all(end <= race.num_slices for end in ends)
    saved = 1 - np.mean([race.count_images(end) for end in ends]) / NUM_IMAGES
    assert saved >= share_saved


# -- what is exact ---------------------------------------------------------------------------------


def test_with_all_slices_seen_the_rewards_decide():
    race = Race([10, 30, 60], min_slices=2)
    incumbent = [70.0, 70.0, 70.0]
    assert race.estimate([80.0, 70.0, 70.0]) == 71.0
    assert not race.is_lost([80.0, 70.0, 70.0], incumbent, -0.99)
    assert race.is_lost([80.0, 70.0, 70.0], incumbent, -1.0)  # a tie
    assert race.is_lost([80.0, 70.0, 70.0], incumbent, -1.01)
    assert not race.is_lost([70.0, 70.0, 69.0], incumbent, 0.61)
    assert race.is_lost([70.0, 70.0, 69.0], incumbent, 0.59)


def test_nothing_is_dropped_before_min_slices_or_while_it_leads():
    race = Race([50] * 10, min_slices=4)
    incumbent = [90.0] * 10
    for num_seen in range(1, 4):
        assert not race.is_lost([0.0] * num_seen, incumbent)
    assert race.is_lost([0.0] * 4, incumbent)
    assert not race.is_lost([0.0] * 4, incumbent, 90.0)  # leads by its bonus
    assert not race.is_lost([90.0] * 9, incumbent)


def test_a_race_without_looks_drops_nothing_unfinished():
    race = Race([50] * 5, min_slices=5)
    assert race.num_looks == 0
    assert not race.is_lost([0.0] * 4, [90.0] * 4)
    assert race.is_lost([0.0] * 5, [90.0] * 5)


def test_a_difference_of_the_whole_scale_needs_no_variance():
    assert Race([50] * 6).is_lost([0.0] * 5, [100.0] * 5)


def test_the_statistic_by_hand():
    """Slices of 10, 20 and 30 of 120 images: d = -20, V = (10*100 + 20*25 + 30*0) / 2 is below 20 * 80 = 1600."""
    race = Race([10, 20, 30, 30, 30], min_slices=2, confidence=0.9)
    challenger, incumbent = [40.0, 55.0, 50.0], [70.0, 70.0, 70.0]
    assert race.estimate(challenger) == 50.0
    excess = 20 / math.sqrt(1600 * (1 / 60 - 1 / 120))
    assert race.is_lost(challenger, incumbent) == (student_tail(excess, 2) < 0.1 / 3)
    tail = student_tail(excess, 2)
    for factor, is_lost in ((0.99, False), (1.01, True)):
        at_the_edge = Race([10, 20, 30, 30, 30], min_slices=2, confidence=1 - 3 * tail * factor)
        assert at_the_edge.is_lost(challenger, incumbent) == is_lost


def test_the_variance_between_slices_by_hand():
    """V = (10*40**2 + 20*25**2 + 30*30**2) / 2 = 27750 is above 20 * 80."""
    race_of = {'images_per_slice': [10, 20, 30, 60], 'min_slices': 3}
    challenger, incumbent = [10.0, 75.0, 50.0], [70.0, 70.0, 100.0]
    differences, sizes = [-60.0, 5.0, -50.0], [10, 20, 30]
    mean = sum(d * n for d, n in zip(differences, sizes, strict=True)) / 60
    variance = sum(n * (d - mean) ** 2 for d, n in zip(differences, sizes, strict=True)) / 2
    tail = student_tail(-mean / math.sqrt(variance * (1 / 60 - 1 / 120)), 2)
    for factor, is_lost in ((0.99, False), (1.01, True)):
        race = Race(**race_of, confidence=1 - tail * factor)
        assert race.is_lost(challenger, incumbent) == is_lost


def test_units_of_the_metric_do_not_matter():
    differences = shuffled_slices(50, 250, SIZES, 20, seed=0)
    percent, share = Race(SIZES), Race(SIZES, scale=1.0)
    for row in differences:
        for num_seen in range(5, 20):
            challenger = [70 + d for d in row[:num_seen]]
            in_percent = percent.is_lost(challenger, [70.0] * 20, 1.0)
            assert share.is_lost([c / 100 for c in challenger], [0.7] * 20, 0.01) == in_percent


def test_images_are_counted():
    race = Race([10, 20, 30], min_slices=2)
    assert [race.count_images(num_slices) for num_slices in range(4)] == [0, 10, 30, 60]
    assert (race.num_slices, race.num_looks) == (3, 1)


# -- additive metrics ------------------------------------------------------------------------------


def test_accuracy_is_additive_and_a_ratio_of_sums_is_not():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 2, (2, 90))
    predicted[:40] = truth[:40]
    slices = [slice(0, 30), slice(30, 40), slice(40, 90)]
    sizes = [30, 10, 50]

    def accuracy(part: slice) -> float:
        return 100 * float(np.mean(truth[part] == predicted[part]))

    def iou(part: slice) -> float:
        both, either = truth[part] & predicted[part], truth[part] | predicted[part]
        return 100 * float(both.sum() / either.sum())

    whole = slice(0, 90)
    assert slices_are_additive([accuracy(part) for part in slices], sizes, accuracy(whole), 1e-4)
    assert not slices_are_additive([iou(part) for part in slices], sizes, iou(whole), 1e-4)
    assert slices_are_additive([50.0, 51.0], [1, 1], 50.0, 0.5)
    assert not slices_are_additive([50.0, 51.0], [1, 1], float('nan'), 0.5)


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'images_per_slice': [50, 0]}, '`images_per_slice` must be a whole number of at least 1, but got 0'),
        ({'images_per_slice': [50, 2.5]}, r'`images_per_slice` must be a whole number of .*, but got 2\.5'),
        ({'confidence': 1.0}, r'`confidence` must be a number from 0\.5 to 0\.999999, but got 1\.0'),
        ({'confidence': 0.1}, r'`confidence` must be a number from 0\.5 to 0\.999999, but got 0\.1'),
        ({'min_slices': 1}, '`min_slices` must be a whole number of at least 2, but got 1'),
        ({'min_slices': 11}, r'`min_slices` must be at most the number of slices \(10\), but got 11'),
        ({'images_per_slice': []}, r'`min_slices` must be at most the number of slices \(0\), but got 5'),
        ({'scale': 0}, '`scale` must be a positive number, but got 0'),
        ({'scale': math.inf}, '`scale` must be a positive number, but got inf'),
    ],
)
def test_settings_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Race(**{'images_per_slice': [50] * 10, **arguments})


@pytest.mark.parametrize(
    ('challenger', 'incumbent', 'bonus', 'message'),
    [
        ([], [1.0], 0.0, '`challenger` must have 1 to 3 metrics, one per slice, but got 0'),
        ([1.0] * 4, [1.0] * 3, 0.0, '`challenger` must have 1 to 3 metrics, one per slice, but got 4'),
        ([1.0], [1.0] * 4, 0.0, '`incumbent` must have 1 to 3 metrics, one per slice, but got 4'),
        ([1.0, 1.0], [1.0], 0.0, '`incumbent` must have a metric for each of the 2 slices .*, but got 1'),
        ([math.nan], [1.0], 0.0, r'`challenger` must be finite numbers, but got \[nan\]'),
        ([1.0], [math.inf], 0.0, r'`incumbent` must be finite numbers, but got \[inf\]'),
        ([1.0], [1.0], math.nan, '`bonus_difference` must be a finite number, but got nan'),
    ],
)
def test_metrics_that_cannot_be_compared(challenger, incumbent, bonus, message):
    with pytest.raises(ValueError, match=message):
        Race([50] * 3, min_slices=2).is_lost(challenger, incumbent, bonus)


@pytest.mark.parametrize('metrics', [[], [1.0] * 4, [math.nan]])
def test_metrics_that_have_no_mean(metrics):
    with pytest.raises(ValueError, match='`metrics` must '):
        Race([50] * 3, min_slices=2).estimate(metrics)


@pytest.mark.parametrize(
    ('metrics', 'sizes', 'tolerance', 'message'),
    [
        ([1.0], [1, 2], 0.1, '`slice_metrics` must have one number for each of the 2 slices, but got 1'),
        ([], [], 0.1, '`slice_metrics` must have one number for each of the 0 slices, but got 0'),
        ([1.0], [1], -0.1, r'`tolerance` must be a number of at least 0, but got -0\.1'),
    ],
)
def test_slices_that_cannot_be_compared(metrics, sizes, tolerance, message):
    with pytest.raises(ValueError, match=message):
        slices_are_additive(metrics, sizes, 1.0, tolerance)
