import math

import numpy as np
import pytest

from ean_mm.search import AddedCost, AddedCosts, Reward


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


# two bits share an attention of 30 parameters, the third has one of 10
COSTS = AddedCosts(
    3,
    {
        'params': AddedCost(1000, (0, 0, 0), ('a', 'a', 'b'), {'a': 30, 'b': 10}),
        'macs': AddedCost(500, (2, 2, 4)),
        'latency': AddedCost(7.0, (1.0, 0.5, 0.5)),
    },
)


@pytest.mark.parametrize(
    ('weights', 'first', 'third'),
    [
        (dict(params_weight=4.0), 1.0, 3.0),
        (dict(macs_weight=4.0), 3.0, 2.0),
        (dict(latency_weight=4.0), 2.0, 3.0),
        (dict(sparsity_weight=3.0, params_weight=4.0, macs_weight=8.0, latency_weight=-4.0), 7.0, 6.0),
    ],
)
def test_each_cost_is_a_term_of_its_own(weights, first, third):
    reward = Reward(offset=-70.0, **weights).with_costs(COSTS)
    none, every = np.zeros(3, dtype=bool), np.ones(3, dtype=bool)
    assert reward(70.0, none) == sum(weights.values())
    assert reward(70.0, every) == 0.0
    assert reward(71.0, np.array([1, 0, 0], dtype=bool)) == pytest.approx(first + 1)
    assert reward(70.0, np.array([0, 0, 1], dtype=bool)) == pytest.approx(third)


def test_costs_are_needed_only_for_what_has_a_weight():
    assert Reward(sparsity_weight=2.0).needs == ()
    assert Reward(latency_weight=1.0, params_weight=-1.0).needs == ('params', 'latency')
    counted = AddedCosts(3, {'macs': AddedCost(500, (2, 2, 4))})
    mask = np.ones(3, dtype=bool)
    assert Reward(macs_weight=1.0).with_costs(counted)(70.0, mask) == 70.0
    message = r'`latency_weight` must be 0 where nobody knows the latency of connections, but got 1\.5; give'
    with pytest.raises(ValueError, match=message):
        Reward(latency_weight=1.5).with_costs(counted)(70.0, mask)
    with pytest.raises(ValueError, match=r'`params_weight` must be 0 where .*, but got 2\.0; give the reward'):
        Reward(params_weight=2.0)(70.0, mask)


def test_which_reward_it_is_says_nothing_of_terms_it_has_not():
    old = dict(metric='accuracy/top1', sparsity_weight=2.0, offset=-54.0)
    assert Reward(**old).to_dict() == old
    assert Reward(**old).with_costs(COSTS).to_dict() == old
    given = dict(**old, macs_weight=1.0)
    assert Reward(**given).to_dict() == given
    assert Reward(**Reward(**given).to_dict()) == Reward(**given).with_costs(COSTS)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'latency_weight': math.nan}, r'`latency_weight` must be a finite number, but got nan\.'),
        ({'costs': {'macs': 3}}, r"`costs` must be AddedCosts, which no config gives, but got \{'macs': 3\}\."),
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
