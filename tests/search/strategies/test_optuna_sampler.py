"""optuna's samplers behind the contract of a strategy; what they have learned is what was observed."""

import sys

import numpy as np
import pytest

optuna = pytest.importorskip('optuna')

from ean_mm.registry import STRATEGIES, build_from  # noqa: E402
from ean_mm.search import OptunaSampler  # noqa: E402


def additive(masks):
    return 70 + masks @ np.linspace(-1, 1, masks.shape[1])


def search_on(search, num_steps, first=0):
    proposals = []
    for step in range(first, first + num_steps):
        masks = search.propose(step)
        search.observe(step, masks, additive(masks))
        proposals.append(masks)
    return np.concatenate(proposals)


def test_the_first_proposal_is_what_optuna_samples_itself():
    """A study of one's own, its trials told in the same order, asks for the same."""
    search = OptunaSampler(8, seed=3, samples_per_step=1)
    search_on(search, 25)
    study = optuna.create_study(direction='maximize', sampler=search._build_sampler(25))
    choice = optuna.distributions.CategoricalDistribution((False, True))
    bits = {f'bit {i}': choice for i in range(8)}
    for mask, reward in zip(search._masks, search._rewards, strict=True):
        params = {name: bool(bit) for name, bit in zip(bits, mask, strict=True)}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=bits, value=reward))
    expected = study.ask(bits).params
    assert search.propose(25)[0].tolist() == [expected[name] for name in bits]


def test_tpe_learns_towards_higher_rewards():
    late = additive(search_on(OptunaSampler(12), 24)[-24:]).mean()
    by_chance = additive(search_on(OptunaSampler(12, sampler='random'), 24)[-24:]).mean()
    assert by_chance < 71.0
    assert late > 71.5  # the best is 73.3


def test_a_warm_start_is_learned_from():
    """After 60 schemes in which bit 0 decides, tpe connects it from its first step on; without them it guesses."""
    masks = np.random.default_rng(0).random((60, 8)) < 0.5
    search = OptunaSampler(8, samples_per_step=10)
    search.warm_start(masks, 10.0 * masks[:, 0])
    assert search.propose(0)[:, 0].mean() >= 0.9
    assert 0.1 < OptunaSampler(8, samples_per_step=10).propose(0)[:, 0].mean() < 0.9


def test_every_sampler_keeps_the_state_of_a_search_in_what_was_observed():
    for sampler, arguments in (('gp', dict(n_startup_trials=3)), ('tpe', dict(multivariate=True)), ('random', None)):
        whole = OptunaSampler(5, samples_per_step=2, sampler=sampler, arguments=arguments)
        proposals = search_on(whole, 3)
        resumed = OptunaSampler(5, samples_per_step=2, sampler=sampler, arguments=arguments)
        half = OptunaSampler(5, samples_per_step=2, sampler=sampler, arguments=arguments)
        search_on(half, 2)
        resumed.load_state_dict(half.state_dict())
        np.testing.assert_array_equal(search_on(resumed, 1, first=2), proposals[4:])


def test_gp_leaves_global_generators_alone():
    import random

    import torch

    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    search_on(OptunaSampler(4, samples_per_step=2, sampler='gp', arguments=dict(n_startup_trials=2)), 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_optuna_is_quiet_and_its_verbosity_stays(capfd):
    before = optuna.logging.get_verbosity()
    OptunaSampler(4).propose(0)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(sampler='cmaes'), r"`sampler` must be one of \('tpe', 'gp', 'random'\), but got 'cmaes'"),
        (dict(arguments=dict(width=3)), r"`arguments` must be arguments of optuna's TPESampler other .* 'width'"),
        (dict(arguments=dict(seed=3)), r"`arguments` must be arguments of optuna's TPESampler other than its seed"),
        (dict(sampler='random', arguments=dict(multivariate=True)), r"`arguments` must be .* optuna's RandomSampler"),
    ],
)
def test_bad_arguments(given, message):
    with pytest.raises(ValueError, match=message):
        OptunaSampler(4, **given)


def test_a_state_of_another_space_is_refused():
    search = OptunaSampler(4)
    search_on(search, 1)
    with pytest.raises(ValueError, match=r"`state\['masks'\]` must have shape \(3, 5\), but got \(3, 4\); it belongs"):
        OptunaSampler(5).load_state_dict(search.state_dict())


def test_without_optuna_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'optuna', None)
    with pytest.raises(ImportError, match=r"`sampler` must be one of the package optuna, but got 'tpe' .* pip install"):
        OptunaSampler(4)


def test_built_by_name():
    search = build_from(STRATEGIES, {'type': 'ean_mm.OptunaSampler', 'sampler': 'gp'}, 'strategy', num_connections=9)
    assert (search.num_connections, search.num_steps, search.samples_per_step) == (9, 300, 3)
