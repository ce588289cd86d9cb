"""Distinct schemes with their rewards."""

import numpy as np
import pytest

from ean_mm.search.masks import every_mask
from ean_mm.search.strategies.observations import Observations

MASKS = every_mask(3)


@pytest.fixture
def known():
    known = Observations(3)
    known.add(MASKS[[4, 2]], np.array([1.0, 2.0]))
    known.add(MASKS[[2, 7, 7, 1]], np.array([20.0, 3.0, 30.0, 4.0]))
    return known


def test_the_first_of_equal_schemes_counts_and_order_is_kept(known):
    np.testing.assert_array_equal(known.masks, MASKS[[4, 2, 7, 1]])
    assert known.rewards.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert len(known) == 4
    assert [mask in known for mask in MASKS] == [False, True, True, False, True, False, False, True]
    assert known.taken == {MASKS[number].tobytes() for number in (1, 2, 4, 7)}


def test_a_state_replaces_what_was_known_and_shares_nothing(known):
    state = known.state_dict()
    other = Observations(3)
    other.add(MASKS[[0, 2]], np.array([9.0, 9.0]))
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.masks, known.masks)
    assert (other.rewards.tolist(), other.taken) == (known.rewards.tolist(), known.taken)
    other.add(MASKS[:1], np.array([5.0]))
    other.rewards[0] = -1.0
    assert state['rewards'].tolist() == known.rewards.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_the_state_of_another_space_is_refused(known):
    with pytest.raises(
        ValueError, match=r"`state\['masks'\]` must have shape \(4, 5\), but got \(4, 3\); it belongs to an"
    ):
        Observations(5).load_state_dict(known.state_dict())
