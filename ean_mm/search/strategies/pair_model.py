"""A Gaussian model of rewards with effects of single sites and of pairs of sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.linalg import cho_solve, cholesky

from ..masks import to_numbers

NEIGHBOUR_CORRELATION = 0.5  # of the rest, between schemes that differ in one bit
PRIOR_VARIANCES = (0.5, 0.3, 0.1, 0.05)  # of sites, pairs, rest and noise, in units of the rewards' own variance
PRIOR_WEIGHT = 1.0  # how many observations of each variance the prior is worth
MEAN_VARIANCE = 4.0  # in the same units
JITTER = 1e-6
MOST_ROUNDS = 10
ROUND_BUDGET = 3e8  # rounds * M^3, so that a fit stays within a few tenths of a second


@dataclass(frozen=True)
class Functions:
    """D functions of a scheme: ``mean + sum_i sites_i x_i + sum_{i<j} pairs_ij x_i x_j + rest(x)``, x_i = +-1.

    Attributes:
        mean: (D,).
        sites: (D, n).
        pairs: (D, n, n), symmetric, 0 on the diagonal.
        rest: (D, 2^n), by the number that a scheme spells in binary; (D, 0) where it is left out.
    """

    mean: np.ndarray
    sites: np.ndarray
    pairs: np.ndarray
    rest: np.ndarray

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Their values at masks (M, n), as (D, M)."""
        signs = to_signs(masks)
        forces = signs @ self.pairs / 2 + self.sites[:, None]
        values = self.mean[:, None] + (forces * signs).sum(2)
        return values + self.rest[:, to_numbers(masks)] if self.rest.size else values

    def everywhere(self) -> np.ndarray:
        """Their values at all 2^n masks, counted up, as (D, 2^n)."""
        values = self.mean[:, None]
        for i in range(self.sites.shape[1]):
            # what bit i is worth for every choice of the bits before it
            force = self.sites[:, i, None]
            for j in range(i):
                force = _append_bit(force, self.pairs[:, j, i, None])
            values = _append_bit(values, force)
        return values + self.rest if self.rest.size else values

    def only(self, i: int) -> Functions:
        """One of them."""
        return Functions(*(getattr(self, field)[i : i + 1] for field in _FIELDS))

    def towards(self, others: Functions, share: float) -> Functions:
        """These functions moved towards others, all the way if ``share`` is 1."""
        both = ((getattr(self, field), getattr(others, field)) for field in _FIELDS)
        return Functions(*(mine + share * (theirs - mine) for mine, theirs in both))


def _append_bit(values: np.ndarray, force: np.ndarray) -> np.ndarray:
    """Values (D, L) without and with a further bit, as (D, 2L)."""
    return np.stack([values - force, values + force], axis=2).reshape(len(values), -1)


_FIELDS = tuple(field.name for field in fields(Functions))


class PairModel:
    """What rewards to expect, and how surely: Bayesian regression in closed form on all rewards so far.

    ``reward = mean + sum_i w_i x_i + sum_{i<j} w_ij x_i x_j + rest(x) + noise(x)``, x_i = +-1, everything Gaussian. With d
    bits in which two schemes differ and z = n - 2d, the covariance of their rewards is
    ``c + v_sites z / n + v_pairs (z^2 - n) / (n^2 - n) + v_rest 2^-d + v_noise [d = 0]``.
    The rest stands for interactions of more than two sites, the noise for what nothing explains. The four variances maximise
    the marginal likelihood times an inverse-gamma prior that expects most of single sites, then of pairs.
    Source: regression on sites and pairs as in Baptista and Poloczek, arXiv:1806.08838; the variances by the iteration of
    Zhou et al., arXiv:1509.07426. **Differs:** Gaussian weights with estimated variances where the former has a horseshoe and
    a sampler; a rest.

    Args:
        masks: (M, n) bool, all different; M >= 1.
        rewards: (M,).
        variances: of sites, pairs, rest and noise, in units of the rewards' variance, to begin the estimate with.
        num_rounds: of the estimate; 0 takes the variances as they are.

    Attributes:
        variances: as estimated.

    Cost: O(M^3) per round, and once more for the weights.
    """

    def __init__(
        self, masks: np.ndarray, rewards: np.ndarray, variances: Sequence[float] | np.ndarray, num_rounds: int
    ):
        self.masks = masks
        self._signs = to_signs(masks)
        self._center = float(rewards.mean())
        self._scale = float(rewards.std()) or 1.0
        self._rewards = (rewards - self._center) / self._scale
        kernels = covariances(masks, masks)
        self.variances = np.asarray(variances, dtype=np.float64)
        for _ in range(num_rounds):
            self.variances = self._improve(kernels)
        self._rest_kernel = kernels[2]
        self._root = cholesky(self._covariance(kernels), lower=True)

    def _covariance(self, kernels: np.ndarray) -> np.ndarray:
        total = np.tensordot(self.variances, kernels, 1) + MEAN_VARIANCE
        return total + JITTER * np.eye(len(total))

    def _improve(self, kernels: np.ndarray) -> np.ndarray:
        """A round of the estimate, which increases the posterior density of the variances."""
        inverse = cho_solve((cholesky(self._covariance(kernels), lower=True), True), np.eye(len(self.masks)))
        weights = inverse @ self._rewards
        fit = self.variances**2 * (kernels @ weights @ weights)
        slope = np.tensordot(kernels, inverse, 2)
        target = fit + PRIOR_WEIGHT * np.array(PRIOR_VARIANCES)
        # the positive root of slope v^2 + PRIOR_WEIGHT v = target, in the form that allows slope = 0: one site has no pairs
        return 2 * target / (PRIOR_WEIGHT + np.sqrt(PRIOR_WEIGHT**2 + 4 * slope * target))

    # -- what it says ------------------------------------------------------------------------------

    def expect(self, with_rest: bool) -> Functions:
        """The expected reward, as one function.

        Args:
            with_rest: whether the rest is wanted, which takes 2^n numbers.
        """
        n = self.masks.shape[1]
        pairs, rest = np.zeros((1, n * (n - 1) // 2)), np.zeros((1, 2**n * with_rest))
        return self._condition(np.zeros(1), np.zeros((1, n)), pairs, rest, np.zeros((1, len(self.masks))))

    def draw(self, count: int, with_rest: bool, generator: torch.Generator) -> Functions:
        """Rewards without their noise, drawn from the posterior, each draw a possible truth about all schemes."""
        n = self.masks.shape[1]
        of_sites, of_pairs = self._weight_variances()

        def normal(variance: float, *shape: int) -> np.ndarray:
            numbers = torch.randn(count, *shape, generator=generator, dtype=torch.float64, device='cpu')
            return variance**0.5 * numbers.numpy()

        mean, sites = normal(MEAN_VARIANCE), normal(of_sites, n)
        pairs, rest = normal(of_pairs, n * (n - 1) // 2), normal(self.variances[2], 2**n * with_rest)
        noise = self.variances[3] + JITTER
        if with_rest:
            rest = _along_bits(rest, _ROOT)
            seen = normal(noise, len(self.masks)) + rest[:, to_numbers(self.masks)]
        else:
            both = self.variances[2] * self._rest_kernel + noise * np.eye(len(self.masks))
            seen = normal(1.0, len(self.masks)) @ cholesky(both, lower=True).T
        seen += mean[:, None] + sites @ self._signs.T + pairs @ _products(self._signs).T
        return self._condition(mean, sites, pairs, rest, seen)

    def _weight_variances(self) -> tuple[float, float]:
        n = self.masks.shape[1]
        return self.variances[0] / n, 2 * self.variances[1] / max(n * (n - 1), 1)

    def _condition(
        self, mean: np.ndarray, sites: np.ndarray, pairs: np.ndarray, rest: np.ndarray, seen: np.ndarray
    ) -> Functions:
        """Functions drawn before there was data, ``seen`` with noise at the masks, corrected by what was observed there."""
        n = self.masks.shape[1]
        of_sites, of_pairs = self._weight_variances()
        weights = cho_solve((self._root, True), (self._rewards - seen).T).T
        square = np.zeros((len(seen), n, n))
        upper = np.triu_indices(n, 1)
        square[:, upper[0], upper[1]] = pairs + of_pairs * weights @ _products(self._signs)
        if rest.size:
            spikes = np.zeros_like(rest)
            spikes[:, to_numbers(self.masks)] = weights
            rest = rest + self.variances[2] * _along_bits(spikes, _KERNEL)
        return Functions(
            self._center + self._scale * (mean + MEAN_VARIANCE * weights.sum(1)),
            self._scale * (sites + of_sites * weights @ self._signs),
            self._scale * (square + square.transpose(0, 2, 1)),
            self._scale * rest,
        )


def num_rounds(num_rewards: int) -> int:
    """How many rounds of the estimate there is time for."""
    return max(1, min(MOST_ROUNDS, int(ROUND_BUDGET / num_rewards**3)))


def covariances(masks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of sites, pairs, rest and noise with variance 1, (4, M, L)."""
    n = masks.shape[1]
    z = to_signs(masks) @ to_signs(others).T
    different = (n - z) / 2
    return np.stack([z / n, (z * z - n) / max(n * n - n, 1), NEIGHBOUR_CORRELATION**different, different == 0])


def to_signs(masks: np.ndarray) -> np.ndarray:
    """+1 for on and -1 for off, float64."""
    return 2.0 * masks - 1


def _products(signs: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(signs.shape[1], 1)
    return signs[:, first] * signs[:, second]


_KERNEL = np.array([[1, NEIGHBOUR_CORRELATION], [NEIGHBOUR_CORRELATION, 1]])
_ROOT = np.linalg.cholesky(_KERNEL)


def _along_bits(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Multiply (D, 2^n) by the n-fold Kronecker power of a 2 x 2 matrix: the rest's covariance of all schemes, or its root."""
    count, size = values.shape
    for i in range(size.bit_length() - 1):
        off, on = values.reshape(count, 2**i, 2, -1).transpose(2, 0, 1, 3)
        values = np.stack([row[0] * off + row[1] * on for row in matrix], axis=2).reshape(count, size)
    return values
