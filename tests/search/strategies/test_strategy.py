"""The contract of every strategy, ours and a user's."""

import copy
import io
import random
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from ean_mm.search import (
    Exhaustive,
    OptunaSampler,
    PairSurrogate,
    RandomSearch,
    RegularizedEvolution,
    Reinforce,
    Strategy,
    seeded_generator,
)

STRATEGIES = {
    'exhaustive': lambda seed=0: Exhaustive(6, seed, samples_per_step=3),
    'evolution': lambda seed=0: RegularizedEvolution(6, seed, population_size=8, tournament_size=3),
    'random': lambda seed=0: RandomSearch(6, seed),
    'paper': lambda seed=0: Reinforce(6, seed, 'paper', replay_start=3, replay_size=5),
    'corrected': lambda seed=0: Reinforce(6, seed, replay_start=3, replay_size=5),
    'surrogate': lambda seed=0: PairSurrogate(6, seed, num_random=10),
}
if find_spec('optuna') is not None:
    STRATEGIES['optuna'] = lambda seed=0: OptunaSampler(6, seed)
NUM_STEPS = 14


@pytest.fixture(params=STRATEGIES)
def make(request):
    return STRATEGIES[request.param]


def rewards_of(masks):
    return masks @ np.array([1.0, -2.0, 0.5, 3.0, -0.25, 0.75]) + 50


def advance(strategy, steps):
    """Run some steps; returns everything proposed."""
    proposals = []
    for step in steps:
        masks = strategy.propose(step)
        strategy.observe(step, masks, rewards_of(masks))
        proposals.append(masks)
    return proposals


def assert_same(one, other):
    """Two states are equal bit for bit, container by container."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_same(first, second)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    else:
        assert one == other


def plain_types(value):
    if isinstance(value, dict):
        return {kind for inner in value.values() for kind in plain_types(inner)}
    if isinstance(value, list):
        return {kind for inner in value for kind in plain_types(inner)}
    return {type(value)}


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    assert not torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(file.getvalue()))
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


def test_proposals_are_boolean_and_repeat_when_asked_again(make):
    strategy = make()
    advance(strategy, range(5))
    state = strategy.state_dict()
    masks = strategy.propose(5)
    assert masks.dtype == bool
    assert masks.shape == (3, 6)
    strategy.propose(99)
    np.testing.assert_array_equal(strategy.propose(5), masks)
    assert_same(strategy.state_dict(), state)


def test_proposals_depend_on_seed_and_step(make):
    steps = [make().propose(step).tobytes() for step in range(20)]
    seeds = [b''.join(make(seed).propose(step).tobytes() for step in range(5)) for seed in range(20)]
    assert len(set(steps)) == len(set(seeds)) == 20


def test_global_generators_are_left_alone(make):
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    strategy = make()
    advance(strategy, range(6))
    strategy.load_state_dict(strategy.state_dict())
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_global_seeds_do_not_matter(make):
    runs = []
    for seed in (0, 12345):
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
        strategy = make()
        proposals = advance(strategy, range(NUM_STEPS))
        runs.append([np.stack(proposals).tobytes(), strategy.state_dict()])
    assert_same(runs[0], runs[1])


@pytest.mark.parametrize('stop', [0, 1, 4, 9, NUM_STEPS])
def test_restored_run_continues_bit_for_bit(make, stop):
    whole = make()
    proposals = advance(whole, range(NUM_STEPS))
    half = make()
    advance(half, range(stop))
    state = half.state_dict()
    untouched = copy.deepcopy(state)
    restored = make()
    advance(restored, range(2))  # a state replaces whatever was learned before
    restored.load_state_dict(through_a_file(state))
    continued = advance(restored, range(stop, NUM_STEPS))
    np.testing.assert_array_equal(continued, proposals[stop:] or continued)
    assert_same(restored.state_dict(), whole.state_dict())
    advance(half, range(stop, NUM_STEPS))
    assert_same(state, untouched)


def warm(strategy):
    masks = np.array([[1, 0, 1, 1, 0, 1], [1, 0, 0, 1, 0, 1], [0, 1, 1, 0, 1, 0], [1, 0, 1, 1, 0, 0]], dtype=bool)
    strategy.warm_start(masks, rewards_of(masks))
    return strategy


@pytest.mark.parametrize('stop', [0, 5])
def test_a_warm_start_belongs_to_the_state(make, stop):
    whole = warm(make())
    proposals = advance(whole, range(9))
    half = warm(make())
    advance(half, range(stop))
    restored = make()
    restored.load_state_dict(through_a_file(half.state_dict()))
    np.testing.assert_array_equal(advance(restored, range(stop, 9)), proposals[stop:])
    assert_same(restored.state_dict(), whole.state_dict())


def test_who_learns_begins_elsewhere_after_a_warm_start():
    learning = {'evolution', 'paper', 'corrected', 'surrogate', 'optuna'}
    for name, build in STRATEGIES.items():
        cold, warmed = build(), warm(build())
        advance(cold, range(10)), advance(warmed, range(10))
        is_same = all(np.array_equal(cold.propose(step), warmed.propose(step)) for step in range(10, 20))
        assert is_same == (name not in learning)


def test_probabilities_to_connect_are_probabilities_and_a_copy(make):
    strategy = make()
    advance(strategy, range(8))
    before, keep = strategy.state_dict(), strategy.keep_probabilities()
    if keep is not None:
        assert keep.shape == (6,)
        assert ((keep >= 0) & (keep <= 1)).all()
        keep[:] = 0.123
        assert_same(strategy.state_dict(), before)


def test_a_loaded_state_is_not_written_to(make):
    strategy, taught = make(), make()
    advance(taught, range(6))
    state = taught.state_dict()
    before = copy.deepcopy(state)
    strategy.load_state_dict(state)
    advance(strategy, range(6, 12))
    assert_same(state, before)


def test_state_holds_plain_values_only(make):
    strategy = make()
    advance(strategy, range(NUM_STEPS))
    assert plain_types(strategy.state_dict()) <= {torch.Tensor, int, float, str}


def test_no_surviving_scheme_teaches_nothing(make):
    strategy = make()
    advance(strategy, range(5))
    before = strategy.state_dict()
    strategy.observe(5, np.zeros((0, 6), dtype=bool), np.zeros(0))
    assert_same(strategy.state_dict(), before)


def test_fewer_schemes_than_proposed_are_enough(make):
    strategy = make()
    for step in range(NUM_STEPS):
        masks = strategy.propose(step)[: step % 4]
        strategy.observe(step, masks, rewards_of(masks))
    for value in strategy.state_dict().get('policy', {}).values():
        assert value.isfinite().all()
    assert all(np.isfinite(value) for value in strategy.summary().values())


@pytest.mark.parametrize(
    ('masks', 'rewards', 'message'),
    [
        (
            np.ones((2, 6)),
            [1.0, 2.0, 3.0],
            r'`masks` must have shape \(3, 6\) .* got \(2, 6\) and \(3,\)',
        ),
        (
            np.ones((3, 5)),
            [1.0, 2.0, 3.0],
            r'`masks` must have shape \(3, 6\) .* got \(3, 5\) and \(3,\)',
        ),
        (np.ones((1, 6)), [[1.0]], r'`rewards` one number for each, but got \(1, 6\) and \(1, 1\)'),
        (np.ones((2, 6)), [1.0, np.nan], r'`rewards` must be finite, but got \[1.0, nan\]; leave'),
        (np.ones((2, 6)), [np.inf, 1.0], r'`rewards` must be finite, but got \[inf, 1.0\]; leave'),
    ],
)
def test_what_cannot_be_learned_from_is_refused_and_changes_nothing(make, masks, rewards, message):
    strategy = make()
    advance(strategy, range(5))
    before = strategy.state_dict()
    with pytest.raises(ValueError, match=message):
        strategy.observe(5, masks, np.array(rewards))
    assert_same(strategy.state_dict(), before)


@pytest.mark.parametrize('kind', [Exhaustive, PairSurrogate, RandomSearch, RegularizedEvolution, Reinforce])
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            {'num_connections': 0},
            r'`num_connections` must be a whole number of at least 1, but got 0\.',
        ),
        ({'num_connections': 16.0}, r'`num_connections` must be a whole .* got 16\.0\.'),
        ({'num_connections': True}, r'`num_connections` must be a whole .* got True\.'),
        ({'seed': -1}, r'`seed` must be a whole number of at least 0, but got -1\.'),
        ({'seed': 'x'}, r"`seed` must be a whole number of at least 0, but got 'x'\."),
        (
            {'samples_per_step': 0},
            r'`samples_per_step` must be a whole number of at least 1, but got 0\.',
        ),
        ({'num_steps': 0}, r'`num_steps` must be a whole number of at least 1, but got 0\.'),
        ({'num_steps': 2.5}, r'`num_steps` must be a whole number of at least 1, but got 2\.5\.'),
    ],
)
def test_bad_arguments(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**{'num_connections': 6, **arguments})


@pytest.mark.parametrize('state', [{'step': 3}, None])
def test_foreign_state_is_refused(make, state):
    with pytest.raises(ValueError, match=r'`state` must hold \[.*\], but got .*another strategy'):
        make().load_state_dict(state)


def test_generator_depends_on_all_its_arguments():
    keys = [(0, 1, 'a'), (1, 0, 'a'), (0, 1, 'b'), (0, 11, 'a'), (0, 2**40, 'a'), (2**40, 1, 'a')]
    draws = [torch.rand(1, generator=seeded_generator(*key)).item() for key in keys * 2]
    assert draws[:6] == draws[6:]
    assert len(set(draws)) == 6


def test_a_users_strategy_needs_two_methods():
    class AlwaysAll(Strategy):
        def propose(self, step):
            return np.ones((1, self.num_connections), dtype=bool)

        def _learn(self, step, masks, rewards):
            self.last = rewards

    strategy = AlwaysAll(4)
    strategy.observe(0, strategy.propose(0), [2.0])
    assert strategy.last.tolist() == [2.0]
    assert strategy.state_dict() == strategy.summary() == {}
    with pytest.raises(TypeError, match='abstract'):
        Strategy(4)
