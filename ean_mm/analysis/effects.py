"""Why this ticket: what each of its bits is worth, what each block is worth anywhere, and which blocks depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..search import seeded_generator
from ..search.masks import MAX_LISTED_SITES, every_mask, flip
from ..search.strategies.pair_maximum import climb_within
from ..search.strategies.pair_model import PRIOR_VARIANCES, PairModel, num_rounds
from ..structures import ConnectionScheme, GroupScores
from .bootstrap import CONFIDENCE, Bootstrap

TellMasks = Callable[[np.ndarray], np.ndarray]
NUM_DRAWS = 1000
NUM_PAIRS = 10
NUM_STARTS = 10
MOST_FITTED = 1000


@dataclass(frozen=True)
class Flip:
    """What the metric does when one bit of the ticket is flipped.

    Attributes:
        bit: its number, from 0.
        on: whether the ticket connects it.
        difference: metric of the flipped scheme minus that of the ticket.
        low: lower end of the 95 % interval.
        high: upper end.
    """

    bit: int
    on: bool
    difference: float
    low: float
    high: float

    @property
    def worth(self) -> float:
        """What the ticket's choice of this bit gains over the other one."""
        return -self.difference


@dataclass(frozen=True)
class BlockEffect:
    """The Shapley value of a block: what connecting it adds, on average over all orders of connecting one block after another.

    Attributes:
        bit: its number, from 0.
        effect: in units of the metric; those of all blocks add up to all minus none, as far as the model goes.
        low: lower end of the 95 % interval.
        high: upper end.
    """

    bit: int
    effect: float
    low: float
    high: float


@dataclass(frozen=True)
class PairEffect:
    """What connecting two blocks adds beyond what each adds alone.

    Attributes:
        bits: their numbers, from 0.
        effect: in units of the metric: below 0, one makes the other less useful.
        low: lower end of the 95 % interval.
        high: upper end.
    """

    bits: tuple[int, int]
    effect: float
    low: float
    high: float


@dataclass(frozen=True)
class Effects:
    """Why a ticket is what it is.

    Attributes:
        scheme: the ticket.
        num_scores: how many schemes the estimates of blocks and pairs are made from.
        flips: one per bit.
        shapley: one per block.
        pairs: the strongest first.
    """

    scheme: ConnectionScheme
    num_scores: int
    flips: tuple[Flip, ...]
    shapley: tuple[BlockEffect, ...]
    pairs: tuple[PairEffect, ...]

    def to_dict(self) -> dict[str, Any]:
        """The effects as plain values, for ``effects.json``."""
        return {
            'scheme': str(self.scheme),
            'num_scores': self.num_scores,
            'sentences': self.sentences,
            'flips': [asdict(each) for each in self.flips],
            'shapley': [asdict(each) for each in self.shapley],
            'pairs': [{**asdict(each), 'bits': list(each.bits)} for each in self.pairs],
        }

    @property
    def sentences(self) -> list[str]:
        """What each choice of the ticket is worth, what blocks are worth anywhere, the strongest pair; blocks count from 1."""
        place = _name_blocks(self.scheme.blocks_per_stage)
        return [*self._describe_flips(place), self._describe_blocks(place), self._describe_pairs(place)]

    def _describe_flips(self, place: Sequence[str]) -> list[str]:
        paying = {place[each.bit]: each.worth for each in self.flips if each.on and each.high < 0}
        harmful = {place[each.bit]: each.difference for each in self.flips if not each.on and each.high < 0}
        gains = {place[each.bit]: each.difference for each in self.flips if each.low > 0}
        lines = []
        if self.scheme.num_connected:
            lines.append(
                f'In the ticket, attention pays in {_spell_effects(paying)}.'
                if paying
                else 'In the ticket, no single connection clearly pays.'
            )
        if self.scheme.num_connected < self.scheme.num_connections:
            lines.append(
                f'Added to it, attention would hurt in {_spell_effects(harmful)}.'
                if harmful
                else 'Added to it, attention would clearly hurt in no block.'
            )
        if gains:
            best = max(gains, key=gains.__getitem__)
            lines.append(f'Flipping {best} would raise the metric by {gains[best]:.2f}.')
        return lines

    def _describe_blocks(self, place: Sequence[str]) -> str:
        clear = {place[each.bit]: each.effect for each in self.shapley if not each.low <= 0 <= each.high}
        helpful = {name: effect for name, effect in clear.items() if effect > 0}
        harmful = {name: effect for name, effect in clear.items() if effect < 0}
        if not clear:
            return 'On average over all schemes, no block has a clear effect.'
        parts = [f'{verb} in {_spell_effects(of)}' for verb, of in (('helps', helpful), ('hurts', harmful)) if of]
        rest = '; no clear effect elsewhere' if len(clear) < len(self.shapley) else ''
        return f'On average over all schemes, attention {" and ".join(parts)}{rest}.'

    def _describe_pairs(self, place: Sequence[str]) -> str:
        clear = [each for each in self.pairs if not each.low <= 0 <= each.high]
        if not clear:
            return 'No pair of blocks clearly depends on each other.'
        first, second = (place[bit] for bit in clear[0].bits)
        what = 'less useful' if clear[0].effect < 0 else 'more useful'
        return f'Strongest pair: {first} and {second} make each other {what} ({clear[0].effect:+.2f}).'


def find_effects(
    scores: GroupScores, ticket: ConnectionScheme, masks: np.ndarray, metrics: np.ndarray, seed: int = 0
) -> Effects:
    """Estimate the effects of bits, blocks and pairs of blocks.

    Flips are compared with the ticket on the same images (paired bootstrap). The ticket was chosen on them, so its own score is
    flattered a little and every flip looks a little worse than it is. Shapley values and pair effects are those of
    ``PairModel``, fitted to all scores in full: in a function of single bits and pairs
    ``sum_i w_i x_i + sum_ij w_ij x_i x_j``, x = +-1, the Shapley value of i is ``2 w_i`` (pairs cancel: they are worth the same
    without any connection and with all), and the pair effect ``f(11) - f(10) - f(01) + f(00) = 4 w_ij``. Intervals are those of
    draws from the posterior.

    Args:
        scores: of the ticket and its n flips.
        ticket: whose bits are flipped.
        masks: all schemes with a score, (M, n) bool, all different.
        metrics: their scores, (M,).
        seed: of draws.
    """
    model = _fit(masks, metrics)
    draws = model.draw(NUM_DRAWS, False, seeded_generator(seed, 0, 'effects'))
    expected = model.expect(False)
    first, second = np.triu_indices(masks.shape[1], 1)
    sites = zip(2 * expected.sites[0], _interval(2 * draws.sites), strict=True)
    pair_effects, pair_ends = 4 * expected.pairs[0, first, second], _interval(4 * draws.pairs[:, first, second])
    strongest = np.argsort(-np.abs(pair_effects), kind='stable')[:NUM_PAIRS]
    return Effects(
        scheme=ticket,
        num_scores=len(masks),
        flips=_compare_flips(scores, ticket, seed),
        shapley=tuple(BlockEffect(bit, float(effect), *ends) for bit, (effect, ends) in enumerate(sites)),
        pairs=tuple(
            PairEffect((int(first[i]), int(second[i])), float(pair_effects[i]), *pair_ends[i]) for i in strongest
        ),
    )


def guess_best_of_size(
    masks: np.ndarray, values: np.ndarray, size: int, is_allowed: TellMasks, seed: int = 0
) -> np.ndarray | None:
    """The scheme with ``size`` connections that a model of all scores expects most of, among those without a score.

    Args:
        masks: schemes with a score, (M, n) bool, all different.
        values: metrics or rewards, (M,).
        size: how many connections.
        is_allowed: tells which masks may be chosen.
        seed: of where climbing starts, in spaces too large to list.

    Returns:
        A mask (n,); None if there is none.
    """
    n = masks.shape[1]
    taken = {mask.tobytes() for mask in masks}

    def is_free(others: np.ndarray) -> np.ndarray:
        is_new = np.array([mask.tobytes() not in taken for mask in others], dtype=bool)
        return (others.sum(1) == size) & is_new & is_allowed(others)

    function = _fit(masks, values).expect(False)
    if n <= MAX_LISTED_SITES:
        free = every_mask(n)[is_free(every_mask(n))]
    else:
        generator = np.random.default_rng([seed, size])
        order = generator.random((200, n)).argsort(1).argsort(1)
        starts = (order < size)[is_free(order < size)][:NUM_STARTS]
        free = np.array([climb_within(function, start, is_free) for start in starts])
    return free[function(free)[0].argmax()] if len(free) else None


def flip_each(ticket: ConnectionScheme) -> list[ConnectionScheme]:
    """The n schemes that differ from one in a single bit, first bit first."""
    return [ConnectionScheme.from_mask(mask, ticket.blocks_per_stage) for mask in flip(ticket.mask, 1)]


def _fit(masks: np.ndarray, values: np.ndarray) -> PairModel:
    """The model of all scores, or of the best of very many."""
    best = np.sort(np.argsort(-values, kind='stable')[:MOST_FITTED])
    return PairModel(masks[best], values[best], PRIOR_VARIANCES, num_rounds(len(best)))


def _compare_flips(scores: GroupScores, ticket: ConnectionScheme, seed: int) -> tuple[Flip, ...]:
    bootstrap = Bootstrap(scores.sizes, seed)
    own = scores.rows([ticket])[0]
    found = (bootstrap.difference(row - own) for row in scores.rows(flip_each(ticket)))
    bits = enumerate(zip(ticket.mask.tolist(), found, strict=True))
    return tuple(Flip(bit, on, each.value, each.low, each.high) for bit, (on, each) in bits)


def _interval(draws: np.ndarray) -> list[tuple[float, float]]:
    tail = (1 - CONFIDENCE) / 2
    return [(float(low), float(high)) for low, high in np.quantile(draws, (tail, 1 - tail), axis=0).T]


def _name_blocks(blocks_per_stage: Sequence[int]) -> list[str]:
    stages = enumerate(blocks_per_stage, 1)
    return [f'stage {stage} block {block}' for stage, count in stages for block in range(1, count + 1)]


def _spell_effects(effects: Mapping[str, float]) -> str:
    """Names and effects, the largest first."""
    largest_first = sorted(effects.items(), key=lambda item: -abs(item[1]))
    return ', '.join(f'{name} ({effect:+.2f})' for name, effect in largest_first)
