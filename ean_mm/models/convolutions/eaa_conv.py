"""The convolution augmented by efficient attention (after arXiv 2206.01821): linear in the number of positions."""

from __future__ import annotations

from torch import Tensor

from ...registry import MODELS
from ..attentions.efficient import NORMALIZATIONS, read_summary
from .augmented_conv import AugmentedConv2d, ProjectedAttention


class SummaryAttention(ProjectedAttention):
    """Multi-head efficient attention: head by head, ``rho_q(Q) @ (rho_k(K).T @ V)``.

    rho_q is a softmax over the channels of each query, rho_k one over the positions of each key channel.
    Source: Shen et al., arXiv:1812.01243.

    >>> SummaryAttention(6, 8, 4, 2)(torch.ones(1, 6, 3, 5)).shape
    torch.Size([1, 4, 3, 5])
    """

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return read_summary(*NORMALIZATIONS['softmax'](queries, keys), values)


@MODELS.register_module()
class EAAConv2d(AugmentedConv2d):
    """A convolution augmented by efficient attention: ``concat[conv(x), EA(x)]``, the last v of F_out channels by attention.

    ``AAConv2d`` with ``SummaryAttention`` in place of the n x n map, n = H*W: for maps of any size. As ``conv_cfg`` of an MM
    network it augments every 3x3 convolution of stride 1 and one group, dilated or not, and is a plain convolution elsewhere.
    Source: Zhang and Zhu, arXiv:2206.01821, whose abstract puts efficient self-attention into the augmented convolution of
    arXiv:1904.09925; no more of it could be confirmed. Differs, or may: which efficient attention (arXiv:1812.01243, with
    softmax), heads and key floor as in AA-Net, which convolutions are augmented, and that there is no relative term, for want
    of an n x n map to add it to, are our choice.

    Args:
        in_channels: F_in; this and all others as in ``AugmentedConv2d``, with which the constructor is shared.

    Shape: x: (N, F_in, H, W); y: (N, F_out, H, W) where augmented, with H, W >= 1.
    Cost: where augmented, per image and call, n*(9*F_in*(F_out - v) + F_in*(2*k + v) + v*v) + 2*n*k*v/h MACs and 2*n*k
        element-wise operations; 9*F_in*(F_out - v) + F_in*(2*k + v) + v*v parameters, and F_out + 2*k + v biases.
    Raises: ValueError if an argument is not as above.

    >>> conv = EAAConv2d(8, 16, 3, padding=1, num_heads=2)
    >>> conv(torch.ones(1, 8, 4, 4)).shape, conv.is_augmented, EAAConv2d(8, 16, 3, stride=2, padding=1).is_augmented
    (torch.Size([1, 16, 4, 4]), True, False)
    """

    def build_attention(self, in_channels: int, num_heads: int, bias: bool) -> SummaryAttention:
        return SummaryAttention(in_channels, self.key_channels, self.value_channels, num_heads, bias)
