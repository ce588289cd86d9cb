"""A scoring that drops schemes: estimates are learned from, and never taken for scores."""

from __future__ import annotations

import math

import pytest
import torch
from toy_search import STEPS, Listed, Scores, files, lines, scheme_of

from ean_mm.search import Evaluation, Measurement, RaceSettings
from ean_mm.structures import ConnectionScheme, DamagedFileError


class Racer:
    """Drops what scores 2 or more below the incumbent; its estimates are 100 too high and stem from 50 images."""

    def __init__(self):
        self.scores = Scores()
        self.asked: list[tuple[list[str], str | None]] = []

    def __call__(self, schemes, incumbent):
        self.asked.append(([str(scheme) for scheme in schemes], None if incumbent is None else str(incumbent)))
        return [self.measure(scheme, incumbent) for scheme in schemes]

    def measure(self, scheme: ConnectionScheme, incumbent: ConnectionScheme | None) -> Measurement:
        metric = self.scores(scheme)
        least = -math.inf if incumbent is None else Scores()(incumbent) - 2
        return Measurement(metric) if metric > least else Measurement(metric + 100, num_images=50)


def test_a_step_is_scored_together_against_the_best_before_it(run):
    racer = Racer()
    run(Listed((8, 1, 8), (10, 1), (3, 14)), score_many=racer)
    assert racer.asked == [
        (['00 00', '11 11'], None),
        (['10 00', '00 01'], '11 11'),  # 72
        (['10 10'], '10 00'),  # 74; 00 01 is not scored again
        (['00 11', '11 10'], '10 10'),  # 76
    ]


def test_an_estimate_is_learned_from_and_never_ranked(run, tmp_path):
    strategy, reports = Listed((8, 1), (10, 1), (3, 14)), []
    result = run(strategy, score_many=Racer(), on_step=reports.append)
    assert strategy.observed == [
        (0, ['1000', '0001'], [74.0, 167.0]),
        (1, ['1010', '0001'], [76.0, 167.0]),
        (2, ['0011', '1110'], [169.0, 75.0]),
    ]
    assert str(result.best.scheme) == '10 10'
    assert [str(e.scheme) for e in result.top] == ['10 10', '11 10', '10 00', '11 11', '00 00']
    assert (result.num_distinct, result.num_partial, result.num_failures) == (7, 2, 0)
    assert [str(report.best.scheme) for report in reports] == ['11 11', '10 00', '10 10', '10 10']
    partial = [line for line in lines(tmp_path / 'run') if 'num_images' in line]
    assert [(line['scheme'], line['metric'], line['num_images']) for line in partial] == [
        ('00 01', 167.0, 50),
        ('00 11', 169.0, 50),
    ]


def test_without_an_eligible_scheme_nothing_is_raced(run):
    racer = Racer()
    run(Listed((8,), (12,)), score_many=racer, min_connected=2, reward=lambda m, mask: math.nan if mask.all() else m)
    assert [incumbent for _, incumbent in racer.asked] == [None, None, None]


@pytest.mark.parametrize('call', range(1, 11))
def test_stopped_anywhere_it_goes_on_with_the_same_decisions(run, tmp_path, call):
    reference = run(Listed(*STEPS), score_many=Racer(), folder='reference')
    assert reference.num_partial > 2
    stopping = Racer()
    stopping.scores.failing[call] = KeyboardInterrupt('stop here')
    with pytest.raises(KeyboardInterrupt, match='stop here'):
        run(Listed(*STEPS), score_many=stopping)
    assert run(Listed(*STEPS), score_many=Racer()) == reference
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_out_of_memory_together_is_scored_one_by_one(run, tmp_path, warnings_logged, monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: emptied.append(1))
    reference = run(Listed(*STEPS), score_many=Racer(), folder='reference')

    class Small(Racer):
        def __call__(self, schemes, incumbent):
            measured = super().__call__(schemes, incumbent)
            if len(schemes) > 1:
                raise torch.cuda.OutOfMemoryError('tried to allocate 2 GiB')
            return measured

    racer = Small()
    assert run(Listed(*STEPS), score_many=racer) == reference
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')
    assert racer.asked[:6] == [
        (['00 00', '11 11'], None),
        (['00 00'], None),
        (['11 11'], None),
        (['10 00', '00 01'], '11 11'),
        (['10 00'], '11 11'),
        (['00 01'], '11 11'),
    ]
    assert warnings_logged[0] == (
        '2 schemes together ran out of memory (tried to allocate 2 GiB); emptying the cache and scoring each alone.'
    )
    assert len(emptied) == len(warnings_logged)


def test_of_schemes_scored_together_only_those_fail_that_are_no_number(run, tmp_path):
    strategy = Listed((8, 1, 2), (5,))
    result = run(strategy, Scores({4: math.nan}))
    assert strategy.observed[0] == (0, ['1000', '0010'], [74.0, 72.0])
    assert [line['reason'] for line in lines(tmp_path / 'run') if 'reason' in line] == ['the metric is nan']
    assert (result.num_failures, result.num_distinct) == (1, 5)


def test_max_schemes_is_filled_up_after_a_failure(run):
    scores = Scores({4: math.nan})
    result = run(Listed((8, 1, 2, 3), (5,)), scores, max_schemes=4)
    assert scores.calls == ['00 00', '11 11', '10 00', '00 01', '00 10']
    assert (result.num_failures, result.num_distinct, result.is_finished) == (1, 4, True)


# -- lines of the log ------------------------------------------------------------------------------


def test_only_an_estimate_names_its_images():
    complete = Evaluation(scheme_of(5), 'proposal', 3, 70.0, 71.0)
    partial = Evaluation(scheme_of(5), 'proposal', 3, 70.0, 71.0, num_images=250)
    text = b'{"step": 3, "role": "proposal", "scheme": "01 01", "num_connected": 2, "metric": 70.0, "reward": 71.0'
    assert complete.to_line() == text + b'}\n'
    assert partial.to_line() == text + b', "num_images": 250}\n'
    for evaluation in (complete, partial):
        assert Evaluation.from_line(evaluation.to_line()) == evaluation
    assert (complete.is_partial, partial.is_partial) == (False, True)


@pytest.mark.parametrize('count', [b'0', b'-5', b'2.5', b'true', b'"many"'])
def test_a_line_with_a_wrong_number_of_images_is_damaged(count):
    line = Evaluation(scheme_of(5), 'proposal', 3, 70.0, 71.0, num_images=250).to_line()
    with pytest.raises(DamagedFileError, match=r'`line` must be an evaluation, but got .* it is damaged'):
        Evaluation.from_line(line.replace(b'250', count))


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('given', 'match'),
    [
        (True, '`racing` must be a dict of settings or None, but got True'),
        ('fast', "`racing` must be a dict of settings or None, but got 'fast'"),
        ({'confidance': 0.9}, "must hold nothing but its settings, but got 'confidance'; did you mean 'confidence'"),
        ({1: 2}, 'must hold nothing but its settings, but got 1; it has confidence, min_slices, scale'),
        ({'confidence': 1.0}, r'`confidence` must be a number from 0\.5 to 0\.999999, but got 1\.0'),
        ({'min_slices': 1}, '`min_slices` must be a whole number of at least 2, but got 1'),
        ({'scale': 0}, '`scale` must be a positive number, but got 0'),
    ],
)
def test_settings_that_are_refused(given, match):
    with pytest.raises(ValueError, match=match):
        RaceSettings.from_dict(given)


def test_settings_of_a_config():
    assert RaceSettings.from_dict({}) == RaceSettings(confidence=0.999, min_slices=5, scale=100.0)
    assert RaceSettings.from_dict({'min_slices': 3, 'scale': 1}) == RaceSettings(min_slices=3, scale=1)
