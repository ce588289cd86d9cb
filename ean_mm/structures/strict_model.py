"""Values read from files that nobody vouches for: no conversions, no extra fields, one kind of error."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from .scheme import ConnectionScheme
from .shorten import shorten

MAX_CONNECTIONS: Final = 4096


class TicketError(ValueError):
    """A ticket that cannot be used."""


class StrictModel(BaseModel):
    """Frozen, no conversions, no extra fields; errors are one sentence of type TicketError."""

    model_config = ConfigDict(
        strict=True, extra='forbid', frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    def __init__(self, /, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as err:
            raise TicketError(_one_sentence(err)) from err


def to_tuple(value: object) -> object:
    """A list as a tuple, which can be a field of a frozen value; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def _check_scheme(value: object) -> ConnectionScheme:
    if not isinstance(value, ConnectionScheme):
        raise ValueError('must be a ConnectionScheme')
    if value.num_connections > MAX_CONNECTIONS:
        raise ValueError(f'must have at most {MAX_CONNECTIONS} connections')
    return value


Scheme = Annotated[ConnectionScheme, PlainValidator(_check_scheme)]
PositiveCounts = Annotated[tuple[Annotated[int, Field(ge=1, lt=2**31)], ...], BeforeValidator(to_tuple)]


class BackboneFingerprint(StrictModel):
    """What a backbone and a ticket made for it have in common.

    Args:
        type: class of the bare backbone without its scope, so that mmpretrain.ResNet and
            mmseg.ResNet agree.
        depth: its depth where it has one, else None.
        blocks_per_stage: residual blocks of each stage.
        channels: width of the residual branch of each stage.

    Raises: TicketError if a value is not of its kind or the stages differ in number.
    """

    type: Annotated[str, Field(pattern=r'^[A-Za-z_][A-Za-z0-9_]*$', max_length=128)]
    depth: Annotated[int, Field(ge=1, lt=2**31)] | None
    blocks_per_stage: PositiveCounts
    channels: PositiveCounts

    @model_validator(mode='after')
    def _check_stages(self) -> BackboneFingerprint:
        if not self.blocks_per_stage or len(self.channels) != len(self.blocks_per_stage):
            raise ValueError(
                f'`channels` must have one entry per stage of {self.blocks_per_stage!r}, but got {self.channels!r}'
            )
        return self

    def __str__(self) -> str:
        depth = '' if self.depth is None else f' depth {self.depth},'
        blocks = '/'.join(map(str, self.blocks_per_stage))
        return f'{self.type},{depth} blocks {blocks}, channels {"/".join(map(str, self.channels))}'


def check_fit(scheme: ConnectionScheme, backbone: BackboneFingerprint) -> None:
    """Check that a scheme has the layout of a backbone.

    Raises:
        ValueError: if it has not.
    """
    if scheme.blocks_per_stage != backbone.blocks_per_stage:
        raise ValueError(
            f'`scheme` must have {backbone.blocks_per_stage} blocks per stage as '
            f'`backbone` has, but got {shorten(str(scheme))}'
        )


def _one_sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    name = '.'.join(str(part) for part in first['loc'])
    message = first['msg'].removeprefix('Value error, ').removeprefix('Assertion failed, ')
    if message.startswith('`'):
        return message if message.endswith('.') else f'{message}.'
    if first['type'] == 'missing':
        return f'`{name}` must be given, but got nothing.'
    rule = 'must not be given' if first['type'] == 'extra_forbidden' else message
    for start in ('Input should', 'String should'):
        rule = rule.replace(start, 'must', 1)
    return f'`{shorten(name)[1:-1]}` {rule}, but got {shorten(first["input"])}.'
