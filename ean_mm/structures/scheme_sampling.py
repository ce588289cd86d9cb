"""Random schemes for supernet training, each a function of seed and iteration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .scheme import ConnectionScheme


def _bernoulli(generator: np.random.Generator, num_connections: int) -> np.ndarray:
    return generator.random(num_connections) < 0.5


def _stratified(generator: np.random.Generator, num_connections: int) -> np.ndarray:
    num_connected = generator.integers(num_connections + 1)
    mask = np.zeros(num_connections, dtype=bool)
    mask[generator.permutation(num_connections)[:num_connected]] = True
    return mask


SAMPLINGS = {'bernoulli': _bernoulli, 'stratified': _stratified}


def sample_scheme(blocks_per_stage: Sequence[int], sampling: str, seed: int, iteration: int) -> ConnectionScheme:
    """Draw the scheme of one training iteration.

    'bernoulli' connects each block with probability 1/2 (arXiv:2011.14058); 'stratified' draws the number of connections
    uniformly from 0 ... n first, so that sparse and dense schemes, none and all among them, are trained as often as others.

    Args:
        blocks_per_stage: layout of the scheme.
        sampling: a key of ``SAMPLINGS``.
        seed: at least 0.
        iteration: number of the training iteration, at least 0.

    >>> sample_scheme((3, 3), 'bernoulli', seed=0, iteration=5) == sample_scheme((3, 3), 'bernoulli', 0, 5)
    True
    """
    generator = np.random.default_rng([seed, iteration])
    mask = SAMPLINGS[sampling](generator, sum(blocks_per_stage))
    return ConnectionScheme.from_mask(mask, blocks_per_stage)
