"""What a search may propose, from the arguments of ``SearchHook``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..models import EANBackbone
from ..search import AddedCosts, Limits, SearchSpace
from ..structures import ConnectionScheme, Ticket
from ..structures.shorten import shorten


def build_space(
    backbone: EANBackbone, fixed: str | None, min_connected: int, limits: dict | None, costs: AddedCosts
) -> SearchSpace:
    """The schemes that a search may propose.

    Args:
        backbone: the wrapped backbone.
        fixed: a scheme with ``*`` for every free bit, or None.
        min_connected: smaller schemes do not become the ticket.
        limits: upper bounds by name, as :meth:`Limits.parse` reads them, or None.
        costs: what connections add.

    Raises:
        ValueError: if one is wrong, or no scheme satisfies all.
    """
    bounds = Limits.parse(limits, costs) if limits else None
    return SearchSpace(backbone.blocks_per_stage, fixed, min_connected, bounds)


def read_schemes(given: Sequence[str], backbone: EANBackbone) -> list[ConnectionScheme]:
    """Schemes from texts: each the path of a ticket, or a scheme itself.

    Raises:
        ValueError: if one is neither, or does not fit the backbone.
    """
    if isinstance(given, str) or not all(isinstance(text, str) for text in given):
        raise ValueError(
            f"`warm_start` must be a list of tickets or schemes, like ['ticket.json'], but got {shorten(given)}."
        )
    return [_read_scheme(text, backbone) for text in given]


def _read_scheme(text: str, backbone: EANBackbone) -> ConnectionScheme:
    if text.endswith('.json') or Path(text).is_file():
        if not Path(text).is_file():
            raise ValueError(f'`warm_start` must name tickets that there are, but got {text!r}.')
        ticket = Ticket.load(text)
        ticket.check_backbone(backbone.fingerprint)
        return ticket.scheme
    return ConnectionScheme.parse(text, backbone.blocks_per_stage)
