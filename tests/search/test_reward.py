import math

import numpy as np
import pytest

from ean_mm.search import Reward


def test_published_reward_of_a_scheme_with_seven_zeros():
    mask = np.array([letter == '1' for letter in '1010110100111010'])
    assert (~mask).sum() == 7
    reward = Reward(sparsity_weight=2.0, offset=-54.0)(55.0, mask)
    assert reward == 1.875
    assert type(reward) is float


def test_one_connection_less_is_worth_an_eighth_of_a_point():
    reward = Reward(sparsity_weight=2.0, offset=-54.0)
    mask = np.ones(16, dtype=bool)
    fewer = mask.copy()
    fewer[3] = False
    assert reward(70.0, fewer) - reward(70.0, mask) == 0.125


def test_metric_alone_by_default():
    assert Reward().metric == 'accuracy/top1'
    assert Reward()(73.25, np.zeros(9, dtype=bool)) == 73.25


def test_a_metric_that_is_nan_stays_nan():
    assert math.isnan(Reward(sparsity_weight=1.0)(math.nan, np.ones(4, dtype=bool)))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'metric': ''}, r"`metric` must name a result of the evaluator, but got ''; try"),
        ({'metric': None}, r'`metric` must name a result of the evaluator, but got None; try'),
        (
            {'sparsity_weight': math.nan},
            r'`sparsity_weight` must be a finite number, but got nan\.',
        ),
        ({'sparsity_weight': '2'}, r"`sparsity_weight` must be a finite number, but got '2'\."),
        ({'offset': math.inf}, r'`offset` must be a finite number, but got inf\.'),
        ({'offset': True}, r'`offset` must be a finite number, but got True\.'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Reward(**arguments)
