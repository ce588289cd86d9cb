"""Losses of a policy with independent bits: log-probabilities and advantages in, a scalar out.

All take ``log_probs`` (N, n), the log-probability of each bit of N schemes, and ``advantages``
(N,); they sum over bits, average over schemes, and are to be minimised.
"""

from __future__ import annotations

import torch
from torch import Tensor


def policy_gradient_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """REINFORCE: ``-mean_n A_n * sum_b log pi_b(a_nb)``."""
    return -(log_probs.sum(1) * advantages).mean()


def clipped_ratio_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, epsilon: float) -> Tensor:
    """The clipped objective per bit: ``-mean_n sum_b min(r A_n, clip(r, 1 - eps, 1 + eps) A_n)``.

    r is the bit's probability now over then. The gradient flows through r, so a bit that has
    already moved as far as the clip allows in the direction of its advantage is left alone.
    Source: Schulman et al., arXiv:1707.06347, equation 7. **Differs:** a ratio per bit, as in
    arXiv:2011.14058: the product over many bits leaves the clip after a few steps.
    """
    ratio = (log_probs - old_log_probs).exp()
    clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
    weight = advantages[:, None]
    return -torch.minimum(ratio * weight, clipped * weight).sum(1).mean()


def detached_ratio_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, epsilon: float) -> Tensor:
    """The published replay objective: ``-min(S(r), S(clip(r)))``.

    ``S(w) = mean_n sum_b w * log pi_b(a_nb) * A_n``, with r a constant weight here. As
    log-probabilities are negative, the smaller total is the one that :func:`clipped_ratio_loss`
    would not take, and a clipped bit still learns.
    Source: the published code of arXiv:2011.14058.
    """
    ratio = (log_probs.detach() - old_log_probs).exp()
    terms = log_probs * advantages[:, None]
    plain = (ratio * terms).sum(1).mean()
    clipped = (ratio.clamp(1 - epsilon, 1 + epsilon) * terms).sum(1).mean()
    return -torch.minimum(plain, clipped)
