"""Results of schemes that take turns."""

import logging

import pytest
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger

from ean_mm.evaluation.tally import Tally


class Talkative(BaseMetric):
    """Counts, with a table for every result and a warning."""

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        MMLogger.get_current_instance().info('a table of all classes')
        MMLogger.get_current_instance().warning('a class was never there')
        return dict(sum=float(sum(results)))


@pytest.fixture
def said():
    logger = MMLogger.get_current_instance()
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield records
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_any_range_of_slices_can_be_read_and_tables_are_not_logged(said):
    evaluator = Evaluator(Talkative())
    tally, other = (Tally(evaluator, 'sum', 6) for _ in range(2))
    for slice_number in range(3):
        for each, sign in ((tally, 1), (other, -1)):
            samples = [sign * (slice_number + 1)] * 2
            each.add(lambda samples=samples: evaluator.metrics[0].process(None, samples))
    assert [tally.read(2, first, first + 1) for first in range(3)] == [2.0, 4.0, 6.0]
    assert (tally.measure().metric, other.measure().metric) == (12.0, -12.0)
    assert 'a class was never there' in said
    assert 'a table of all classes' not in said
    MMLogger.get_current_instance().info('afterwards')
    assert said[-1] == 'afterwards'
