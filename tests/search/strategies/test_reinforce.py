import copy
import math

import numpy as np
import pytest
import torch

from ean_mm.registry import STRATEGIES, build_from
from ean_mm.search import Reinforce


class Published:
    """The published step by hand, in numpy: forward, backward and Adam, from the formulas."""

    lr, temperature, epsilon = 0.05, 5.0, 0.1

    def __init__(self, state):
        self.theta = {f'policy.{k}': v.numpy().copy() for k, v in state['policy'].items()}
        for key, value in state['curiosity'].items():
            if key != 'reference_error':
                self.theta[key] = value.numpy().copy()
        self.moments = {key: [0, 0.0, 0.0] for key in self.theta}
        self.baseline, self.buffer, self.branches = None, [], []

    def adam(self, gradients):
        for key, gradient in gradients.items():
            moment = self.moments[key]
            moment[0] += 1
            moment[1] = 0.9 * moment[1] + 0.1 * gradient
            moment[2] = 0.999 * moment[2] + 0.001 * gradient**2
            first = moment[1] / (1 - 0.9 ** moment[0])
            second = moment[2] / (1 - 0.999 ** moment[0])
            self.theta[key] = self.theta[key] - self.lr * first / (np.sqrt(second) + 1e-8)

    def probs(self):
        """(n, 2): the input is zero, so the first layer gives its bias."""
        hidden = np.maximum(self.theta['policy.network.0.bias'], 0)
        weight, bias = self.theta['policy.network.2.weight'], self.theta['policy.network.2.bias']
        pairs = np.exp((weight @ hidden + bias).reshape(-1, 2) / self.temperature)
        return pairs / pairs.sum(1, keepdims=True)

    def of_actions(self, actions):
        return self.probs()[np.arange(actions.shape[1]), actions]

    def policy_gradients(self, actions, weights):
        """Gradients of ``-(1/N) sum_nb weights_nb * log pi_b(a_nb)``."""
        chosen = np.eye(2)[actions]
        logits = -(weights[:, :, None] * (chosen - self.probs())).mean(0) / self.temperature
        flat = logits.reshape(-1)
        bias = self.theta['policy.network.0.bias']
        hidden = self.theta['policy.network.2.weight'].T @ flat * (bias > 0)
        return {
            'policy.network.0.weight': np.outer(hidden, np.zeros(20)),
            'policy.network.0.bias': hidden,
            'policy.network.2.weight': np.outer(flat, np.maximum(bias, 0)),
            'policy.network.2.bias': flat,
        }

    def curiosity(self, actions):
        """The summed bonus and the predictor's gradients."""
        t, x = self.theta, actions.astype(float)
        y = np.maximum(x @ t['target.0.weight'].T + t['target.0.bias'], 0)
        y = np.maximum(y @ t['target.2.weight'].T + t['target.2.bias'], 0)
        y = y @ t['target.4.weight'].T + t['target.4.bias']
        before = x @ t['predictor.0.weight'].T + t['predictor.0.bias']
        hidden = np.maximum(before, 0)
        error = hidden @ t['predictor.2.weight'].T + t['predictor.2.bias'] - y
        back = 2 * error @ t['predictor.2.weight'] * (before > 0)
        gradients = {
            'predictor.0.weight': back.T @ x,
            'predictor.0.bias': back.sum(0),
            'predictor.2.weight': 2 * error.T @ hidden,
            'predictor.2.bias': 2 * error.sum(0),
        }
        return (error**2).sum(), gradients

    def on_policy(self, masks, rewards):
        actions = masks.astype(int)
        self.buffer = [*self.buffer, (actions, rewards, self.of_actions(actions))][-30:]
        bonus, gradients = self.curiosity(actions)
        mean = (rewards + bonus).mean()
        self.baseline = mean if self.baseline is None else 0.95 * self.baseline + 0.05 * mean
        advantages = rewards + bonus - self.baseline
        weights = np.repeat(advantages[:, None], actions.shape[1], 1)
        self.adam({**gradients, **self.policy_gradients(actions, weights)})

    def replay(self, index):
        actions, rewards, old = self.buffer[index]
        now = self.of_actions(actions)
        ratio = now / old
        advantages = (rewards - self.baseline)[:, None]
        choices = [ratio, np.clip(ratio, 1 - self.epsilon, 1 + self.epsilon)]
        totals = [(weight * np.log(now) * advantages).sum(1).mean() for weight in choices]
        self.branches.append(int(np.argmin(totals)))
        weights = 0.1 * choices[self.branches[-1]] * advantages
        self.adam(self.policy_gradients(actions, weights))


def distance(published, search):
    """Largest difference of any parameter."""
    state = search.state_dict()
    ours = {**{f'policy.{k}': v for k, v in state['policy'].items()}, **state['curiosity']}
    return max(np.abs(ours[key].numpy() - value).max() for key, value in published.theta.items())


def scripted_rewards(masks, step):
    """Rewards of the published size that prefer some bits and shift from step to step."""
    weights = np.linspace(-1, 1, masks.shape[1])
    return masks @ weights + 1.5 + 3 * math.sin(step / 3)


def test_paper_preset_is_the_published_arithmetic():
    search = Reinforce(16, seed=666, preset='paper')
    published = Published(search.state_dict())
    replayed = []
    for step in range(45):
        masks = search.propose(step)[: 2 if step == 5 else 3]
        rewards = scripted_rewards(masks, step)
        search.observe(step, masks, rewards)
        published.on_policy(masks, rewards)
        if step >= 10:
            size = len(published.buffer)
            assert size == min(step + 1, 30)
            outcomes = [copy.deepcopy(published) for _ in range(size)]
            for index, outcome in enumerate(outcomes):
                outcome.replay(index)
            drawn = int(np.argmin([distance(outcome, search) for outcome in outcomes]))
            published = outcomes[drawn]
            replayed.append(size - drawn)
        assert distance(published, search) < 1e-7
        assert search.summary()['baseline'] == pytest.approx(published.baseline, rel=1e-12)
    assert max(replayed) > 20
    assert len(set(replayed)) > 12
    assert min(published.branches.count(branch) for branch in (0, 1)) > 2


def test_first_published_step_centres_the_rewards_and_the_second_lags():
    search = Reinforce(4, preset='paper', samples_per_step=2, curiosity_weight=0.0)
    masks = search.propose(0)
    search.observe(0, masks, np.array([1.0, 3.0]))
    assert search.summary()['baseline'] == 2.0
    search.observe(1, masks, np.array([5.0, 7.0]))
    assert search.summary()['baseline'] == pytest.approx(0.95 * 2 + 0.05 * 6)


def baselines(first, second, **settings):
    """Advantages of the second of two steps, and the baseline after it."""
    search = Reinforce(4, samples_per_step=2, **settings)
    bonus = torch.tensor([10.0, 20.0])
    search._advantages(torch.tensor(first), bonus)
    return search._advantages(torch.tensor(second), bonus).tolist(), search.summary()['baseline']


@pytest.mark.parametrize(
    ('has_bonus', 'updated_first', 'advantages', 'baseline'),
    [
        (True, True, [5 + 10 - 17.2, 7 + 20 - 17.2], 17.2),
        (True, False, [5 + 10 - 17.0, 7 + 20 - 17.0], 17.2),
        (False, True, [5 + 10 - 2.2, 7 + 20 - 2.2], 2.2),
        (False, False, [5 + 10 - 2.0, 7 + 20 - 2.0], 2.2),
    ],
)
def test_baseline_arithmetic(has_bonus, updated_first, advantages, baseline):
    settings = {'baseline_has_bonus': has_bonus, 'baseline_updated_first': updated_first}
    got = baselines([1.0, 3.0], [5.0, 7.0], **settings)
    assert got[0] == pytest.approx(advantages, rel=1e-6)
    assert got[1] == pytest.approx(baseline, rel=1e-6)


def test_corrected_step_by_hand():
    search = Reinforce(2, curiosity_weight=0.0, samples_per_step=2, replay_start=2)
    steps = [
        (np.array([[1, 0], [0, 0]]), np.array([3.0, 1.0])),
        (np.array([[1, 1], [1, 0]]), np.array([4.0, 2.5])),
    ]
    logits, first, second, baseline = np.zeros((2, 2)), 0.0, 0.0, 2.0
    for step, (actions, rewards) in enumerate(steps):
        search.observe(step, actions.astype(bool), rewards)
        probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        advantages = (rewards - baseline)[:, None, None]
        gradient = -(advantages * (np.eye(2)[actions] - probs)).mean(0)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        correction = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        with np.errstate(invalid='ignore'):
            logits = logits - 0.05 * correction * np.nan_to_num(first / np.sqrt(second))
        baseline = 0.95 * baseline + 0.05 * rewards.mean()
        ours = search.state_dict()['policy']['network.logits'].numpy().reshape(2, 2)
        np.testing.assert_allclose(ours, logits, atol=1e-6)
    assert search.summary()['baseline'] == pytest.approx(2.0 + 0.05 * 1.25)


def run(search, reward, num_steps):
    history = []
    for step in range(num_steps):
        masks = search.propose(step)
        rewards = np.array([reward(mask) for mask in masks])
        search.observe(step, masks, rewards)
        history += rewards.tolist()
    return history


@pytest.mark.parametrize('preset', ['paper', 'corrected'])
@pytest.mark.parametrize('seed', [0, 1])
def test_finds_a_separable_optimum(preset, seed):
    weights = np.array([1.0, -1.0, 0.5, -0.5, 0.75, -0.75, 0.25, -0.25])
    best, spread = weights[weights > 0].sum(), np.abs(weights).sum()
    search = Reinforce(8, seed, preset)
    start = search.summary()
    history = run(search, lambda mask: float(mask @ weights), 300)
    assert np.mean(history[-60:]) > best - 0.1 * spread
    assert max(history) > best - 0.06 * spread
    most_likely = search.policy.connect_probs().detach().numpy() > 0.5
    assert most_likely @ weights > best - 0.06 * spread
    assert search.summary()['entropy'] < 0.3 * start['entropy']


@pytest.mark.parametrize('preset', ['paper', 'corrected'])
def test_summary_of_a_fresh_and_of_a_taught_search(preset):
    search = Reinforce(16, preset=preset)
    assert search.summary() == {
        'entropy': pytest.approx(math.log(2), abs=2e-3),
        'density': pytest.approx(0.5, abs=0.02),
    }
    run(search, lambda mask: 50.0 + mask.sum(), 150)
    taught = search.summary()
    assert taught.keys() == {'entropy', 'density', 'baseline'}
    probs = search.policy.connect_probs().detach().numpy()
    entropy = -(probs * np.log(probs) + (1 - probs) * np.log(1 - probs)).mean()
    assert taught['entropy'] == pytest.approx(entropy)
    assert taught['density'] == pytest.approx(probs.mean())
    assert taught['density'] > 0.7
    assert taught['baseline'] > 50


def test_entropy_weight_keeps_the_policy_open():
    ends = [run_entropy(Reinforce(6, entropy_weight=weight, curiosity_weight=0.0)) for weight in (0.0, 1.0)]
    assert ends[0] < 0.5 * ends[1]


def run_entropy(search):
    run(search, lambda mask: float(mask.sum()), 100)
    return search.summary()['entropy']


@pytest.mark.parametrize('mode', [torch.no_grad, torch.inference_mode])
def test_learns_under_a_callers_no_grad(mode):
    plain, guarded = Reinforce(6, replay_start=1), Reinforce(6, replay_start=1)
    run(plain, lambda mask: float(mask.sum()), 5)
    with mode():
        run(guarded, lambda mask: float(mask.sum()), 5)
    assert guarded.policy.connect_probs().tolist() == plain.policy.connect_probs().tolist()
    assert plain.policy.connect_probs().tolist() != [0.5] * 6


@pytest.mark.parametrize('preset', ['paper', 'corrected'])
def test_stays_finite_on_extreme_rewards(preset):
    search = Reinforce(6, preset=preset, replay_start=0)
    run(search, lambda mask: float((mask.sum() - 3) * 1e12), 200)
    assert search.policy.log_probs().isfinite().all()
    assert all(math.isfinite(value) for value in search.summary().values())


def test_state_of_another_space_or_of_other_settings_is_refused():
    state = Reinforce(6).state_dict()
    with pytest.raises(ValueError, match=r"`state\['num_connections'\]` must be 7, but got 6; it"):
        Reinforce(7).load_state_dict(state)
    with pytest.raises(ValueError, match=r"`state\['policy'\]` must fit hidden_width=50, but got"):
        Reinforce(6, preset='paper').load_state_dict(state)


def test_built_by_name():
    cfg = {'type': 'ean_mm.Reinforce', 'preset': 'paper'}
    search = build_from(STRATEGIES, cfg, 'strategy', num_connections=16, seed=666)
    assert isinstance(search, Reinforce)
    assert sum(parameter.numel() for parameter in search.policy.parameters()) == 2682


@pytest.mark.parametrize('preset', ['paper', 'corrected'])
def test_a_warm_start_sets_the_policy_to_the_mean_of_masks_weighted_by_reward(preset):
    masks = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0]], dtype=bool)
    search = Reinforce(4, preset=preset)
    search.warm_start(masks, np.array([74.0, 71.0, 71.0]))
    spread = math.sqrt(2)  # of 74, 71, 71
    weight = 1 / (1 + 2 * math.exp(-3 / spread))
    expected = [0.8, min(weight, 0.8), max(1 - weight, 0.2), 0.2]
    np.testing.assert_allclose(search.keep_probabilities(), expected, rtol=1e-12)
    np.testing.assert_allclose(search.keep_probabilities(), search.policy.connect_probs().tolist())


def test_after_a_warm_start_of_equal_rewards_or_a_single_scheme_all_stays_possible():
    search = Reinforce(3)
    search.warm_start(np.array([[True, False, True], [True, True, False]]), np.array([70.0, 70.0]))
    np.testing.assert_allclose(search.keep_probabilities(), [0.8, 0.5, 0.5])
    search.warm_start(np.array([[True, False, True]]), np.array([70.0]))
    np.testing.assert_allclose(search.keep_probabilities(), [0.8, 0.2, 0.8])
    masks = np.concatenate([search.propose(step) for step in range(100)])
    np.testing.assert_allclose(masks.mean(0), [0.8, 0.2, 0.8], atol=0.1)


def test_keep_probabilities_follow_what_is_learned():
    search = Reinforce(4)
    np.testing.assert_array_equal(search.keep_probabilities(), 0.5)
    for step in range(60):
        masks = search.propose(step)
        search.observe(step, masks, 4.0 * masks[:, 0] - 4.0 * masks[:, 1])
    assert search.keep_probabilities()[0] > 0.9
    assert search.keep_probabilities()[1] < 0.1
