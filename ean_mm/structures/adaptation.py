"""Carry a scheme over to a backbone with other stages, by a rule that is written down with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

from pydantic import model_validator

from .scheme import ConnectionScheme
from .shorten import shorten
from .strict_model import BackboneFingerprint, Scheme, StrictModel, TicketError, check_fit

Rule = Literal['nearest', 'first_stages']
RULES: Final[tuple[str, ...]] = get_args(Rule)
# a stem and a last layer; two convolutions in a basic block, three in a bottleneck
_LAYERS_OUTSIDE_BLOCKS = 2
_LAYERS_PER_BLOCK = (2, 3)


class Adaptation(StrictModel):
    """One step of the way from the scheme that was found to the one of an adapted ticket.

    Args:
        rule: that was applied.
        origin: of the ticket it was applied to; 'adapted' if a step came before.
        scheme: it was applied to.
        backbone: that scheme's.

    Raises: TicketError if a value is not of its kind or scheme and backbone disagree.
    """

    rule: Rule
    origin: Literal['searched', 'quoted', 'given', 'adapted']
    scheme: Scheme
    backbone: BackboneFingerprint

    @model_validator(mode='after')
    def _check(self) -> Adaptation:
        check_fit(self.scheme, self.backbone)
        return self


def adapt_scheme(scheme: ConnectionScheme, blocks_per_stage: Sequence[int], rule: str) -> ConnectionScheme:
    """Give a scheme another layout.

    'nearest': each stage keeps its place. Block i of its n' takes the bit of that one of the old n blocks whose relative
    position j / (n - 1) is nearest to i / (n' - 1); of two equally near ones the earlier. So first and last block take the
    bits of first and last; a stage of one block takes the first bit.
    'first_stages': the new layout is that of the first stages, whose bits stay.

    Raises:
        TicketError: if there is no such rule or it cannot give this layout.

    >>> adapt_scheme(ConnectionScheme.from_string('101 0110'), (5, 2), 'nearest')
    ConnectionScheme.from_string('11001 00')
    >>> adapt_scheme(ConnectionScheme.from_string('101 0110'), (3,), 'first_stages')
    ConnectionScheme.from_string('101')
    """
    layout = ConnectionScheme.none(blocks_per_stage).blocks_per_stage
    old = scheme.blocks_per_stage
    if rule not in RULES:
        raise TicketError(f'`rule` must be one of {RULES}, but got {shorten(rule)}.')
    if rule == 'first_stages':
        if old[: len(layout)] != layout:
            raise TicketError(
                f"`blocks_per_stage` must be the first stages of {old} for rule 'first_stages', but got {layout}."
            )
        return ConnectionScheme(scheme.stages[: len(layout)])
    if len(old) != len(layout):
        raise TicketError(
            f"`blocks_per_stage` must have {len(old)} stages for rule 'nearest', but got {layout}; "
            "'first_stages' leaves stages away."
        )
    stages = zip(scheme.stages, layout, strict=True)
    return ConnectionScheme(
        tuple(tuple(stage[j] for j in nearest_blocks(len(stage), count)) for stage, count in stages)
    )


def nearest_blocks(num_old: int, num_new: int) -> list[int]:
    """For each of ``num_new`` blocks, which of ``num_old`` is nearest by relative position; in doubt the earlier.

    >>> nearest_blocks(3, 4)
    [0, 1, 1, 2]
    """
    # i * (num_old - 1) / (num_new - 1), rounded to the nearest whole number, halves down, without fractions
    last = max(num_new - 1, 1)
    return [-((last - 2 * i * (num_old - 1)) // (2 * last)) for i in range(num_new)]


def adapt_backbone(
    backbone: BackboneFingerprint, blocks_per_stage: Sequence[int], rule: str, depth: int | None = None
) -> BackboneFingerprint:
    """The fingerprint of the same kind of backbone with another layout; :func:`adapt_scheme` says which are possible.

    Args:
        backbone: the old one.
        blocks_per_stage: of the new one.
        rule: 'first_stages' keeps the depth: MM's backbones keep theirs with fewer ``num_stages``.
        depth: of the new one; None counts two or three layers per block, as many as the old depth has, plus two.

    Raises:
        TicketError: if the depth follows no such count and is not given.
    """
    layout = tuple(blocks_per_stage)
    if depth is None:
        depth = backbone.depth if rule == 'first_stages' else _count_depth(backbone, layout)
    return BackboneFingerprint(
        type=backbone.type, depth=depth, blocks_per_stage=layout, channels=backbone.channels[: len(layout)]
    )


def _count_depth(backbone: BackboneFingerprint, layout: tuple[int, ...]) -> int | None:
    if backbone.depth is None or layout == backbone.blocks_per_stage:
        return backbone.depth
    per_block, rest = divmod(backbone.depth - _LAYERS_OUTSIDE_BLOCKS, sum(backbone.blocks_per_stage))
    if rest or per_block not in _LAYERS_PER_BLOCK:
        raise TicketError(
            f'`depth` must be given where the blocks do not tell it, but got None for a backbone of depth '
            f'{backbone.depth} with {backbone.blocks_per_stage} blocks per stage.'
        )
    return per_block * sum(layout) + _LAYERS_OUTSIDE_BLOCKS


def are_kin(old: BackboneFingerprint, new: BackboneFingerprint) -> bool:
    """Whether two backbones differ in depth and number of blocks at most, the new one in having fewer stages as well."""
    return new.type == old.type and new.channels == old.channels[: len(new.channels)]


def check_steps(steps: Sequence[Adaptation], scheme: ConnectionScheme, backbone: BackboneFingerprint) -> None:
    """Check that the rules of ``steps``, one after the other, lead to ``scheme`` on ``backbone``.

    Raises:
        ValueError: naming the first step that does not.
    """
    places = [*((step.scheme, step.backbone) for step in steps), (scheme, backbone)]
    for number, (step, (found, new)) in enumerate(zip(steps, places[1:], strict=True)):
        name = f'`adapted_from.{number}'
        if (step.origin == 'adapted') != (number > 0):
            raise ValueError(f"{name}.origin` must be 'adapted' after the first step alone, but got {step.origin!r}")
        if not are_kin(step.backbone, new):
            pair = shorten(str(step.backbone)), shorten(str(new))
            raise ValueError(
                '{}.backbone` must have type and widths of the next, but got {} before {}'.format(name, *pair)
            )
        try:
            expected = adapt_scheme(step.scheme, new.blocks_per_stage, step.rule)
        except TicketError as err:
            raise ValueError(f'{name}.rule` must be possible, but got {step.rule!r}: {err}') from err
        if found != expected:
            pair = shorten(str(expected)), shorten(str(found))
            raise ValueError(f'{name}` must lead to {pair[0]} by rule {step.rule!r}, but got {pair[1]}')
