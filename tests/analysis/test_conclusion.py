"""Everything a search says when it has ended, from its evaluations alone."""

import numpy as np
import pytest

from ean_mm.analysis import conclude
from ean_mm.search import Evaluation, Reward
from ean_mm.structures import ConnectionScheme, GroupScores

LAYOUT = (3, 3)
CONTROLS = ('000 000', '111 111', '000 111', '101 010')
REWARD = Reward('accuracy', sparsity_weight=1.0)


class Scorer:
    """Attention helps in block 1 and hurts in block 6."""

    def __init__(self):
        self.asked = []

    def metric(self, scheme):
        return 60 + 6.0 * scheme.mask[0] - 4.0 * scheme.mask[5] + 0.01 * int(str(scheme).replace(' ', ''), 2)

    def score_groups(self, schemes):
        self.asked.append(list(schemes))
        noise = np.random.default_rng(0).normal(size=(1, 40))
        own = np.array([np.random.default_rng(int(str(s).replace(' ', ''), 2)).normal(0, 0.2, 40) for s in schemes])
        values = noise + own - (noise + own).mean(1, keepdims=True)
        metrics = np.array([self.metric(scheme) for scheme in schemes])
        return GroupScores(tuple(schemes), metrics, metrics[:, None] + values, np.full(40, 5), True)


def evaluate(scheme, role='proposal', **fields):
    metric = Scorer().metric(scheme)
    values = dict(metric=metric, reward=REWARD(metric, scheme.mask)) | fields
    return Evaluation(scheme, role, 0 if role == 'proposal' else None, **values)


@pytest.fixture
def evaluations():
    schemes = list(ConnectionScheme.every(LAYOUT))
    chosen = [schemes[row] for row in np.random.default_rng(0).choice(np.arange(1, 63), 25, replace=False)]
    ticket = ConnectionScheme.from_string('110 000')
    lost = evaluate(schemes[62], num_images=10, reward=99.0)
    failed = Evaluation(schemes[61], 'proposal', 0, None, None, 'out of memory')
    apart = {ticket, schemes[61], schemes[62], *map(ConnectionScheme.from_string, CONTROLS)}
    others = [evaluate(scheme) for scheme in chosen if scheme not in apart]
    controls = [evaluate(ConnectionScheme.from_string(bits), 'control') for bits in CONTROLS]
    return [*controls, evaluate(ticket), *others, lost, failed]


def run(evaluations, **arguments):
    scorer = Scorer()
    eligible = arguments.pop('is_allowed', lambda masks: np.ones(len(masks), bool))
    ticket = ConnectionScheme.from_string('110 000')
    return scorer, conclude(scorer, evaluations, ticket, 'accuracy', REWARD, eligible, **arguments)


def test_one_pass_over_everything_that_is_needed(evaluations):
    scorer, conclusion = run(evaluations)
    (asked,) = scorer.asked
    assert len(set(asked)) == len(asked) <= 44 + 6
    roles = conclusion.roles
    assert set(roles.values()) == {'control', 'random', 'probe'}
    assert set(roles) <= set(asked)
    assert sum(role == 'random' for role in roles.values()) <= 14  # C(6, 2) - 1
    assert conclusion.verdict.num_random == 14
    assert not conclusion.verdict.is_sample
    assert conclusion.verdict.verdict == 'better'
    assert conclusion.verdict.num_candidates == len(
        [e for e in evaluations if e.reward is not None and not e.is_partial]
    )
    assert conclusion.effects.shapley[0].low > 3
    assert conclusion.effects.shapley[5].high < -2


def test_what_it_leads_to_changes_nothing_if_it_is_there_already(evaluations):
    _, first = run(evaluations)
    known = {each.scheme for each in evaluations}
    added = [evaluate(scheme, role) for scheme, role in first.roles.items() if scheme not in known]
    _, second = run(evaluations + added)
    assert second.verdict == first.verdict
    assert second.effects == first.effects


def test_schemes_that_may_not_win_are_no_candidates(evaluations):
    _, conclusion = run(evaluations, is_allowed=lambda masks: masks[:, 0])
    allowed = [e for e in evaluations if e.reward is not None and not e.is_partial and e.scheme.mask[0]]
    assert conclusion.verdict.num_candidates == len(allowed)


def test_fixed_bits_hold_in_random_schemes(evaluations):
    _, conclusion = run(evaluations, fixed={0: True, 5: False})
    drawn = [scheme for scheme, role in conclusion.roles.items() if role == 'random']
    assert len(drawn) == 3
    assert all(scheme.mask[0] and not scheme.mask[5] for scheme in drawn)
