"""A connection scheme saved with where it comes from: one screen of strict JSON."""

from __future__ import annotations

import json
import os
import stat
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from .durable import write_atomically
from .scheme import ConnectionScheme
from .shorten import shorten
from .strict_json import MAX_BYTES, check_json_value, read_strict_json

FORMAT: Final = 'ean_mm.ticket'
VERSION: Final = 1
MAX_CONNECTIONS = 4096
# the backbone knows the one; the other can name a checkpoint to load
_NOT_IN_ATTENTION = ('in_channels', 'init_cfg')


class TicketError(ValueError):
    """A ticket that cannot be used."""


class _Strict(BaseModel):
    """Frozen, no conversions, no extra fields; errors are one sentence of type TicketError."""

    model_config = ConfigDict(
        strict=True, extra='forbid', frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    def __init__(self, /, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as err:
            raise TicketError(_one_sentence(err)) from err


def _to_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _check_scheme(value: object) -> ConnectionScheme:
    if not isinstance(value, ConnectionScheme):
        raise ValueError('must be a ConnectionScheme')
    if value.num_connections > MAX_CONNECTIONS:
        raise ValueError(f'must have at most {MAX_CONNECTIONS} connections')
    return value


def _check_attention(value: object) -> object:
    value = _plain(value)
    check_json_value(value, 'attention')
    if not isinstance(value, dict) or not isinstance(value.get('type'), str) or not value['type']:
        raise ValueError("must be a dict with a 'type'")
    for name in _NOT_IN_ATTENTION:
        if name in value:
            raise ValueError(f'must not give {name!r}, which the config and the backbone do')
    return {'type': value['type'], **value}


def _plain(value: object) -> object:
    """A copy with tuples as lists, which is how JSON gives them back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


Count = Annotated[int, Field(ge=0, lt=2**63)]
PositiveCounts = Annotated[tuple[Annotated[int, Field(ge=1, lt=2**31)], ...], BeforeValidator(_to_tuple)]


class BackboneFingerprint(_Strict):
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


class Ticket(_Strict):
    """A scheme and its provenance: for which backbone and attention, how found, what it measured.

    No clock and no latency: two runs of one search give the same bytes.

    Args:
        format: always 'ean_mm.ticket'.
        version: of the format; 1.
        origin: 'searched' by this program, 'quoted' from a publication or 'given' by hand.
        scheme: which blocks are connected.
        backbone: what it was made for.
        attention: type and arguments; JSON values.
        sharing: 'stage' (one module per stage) or 'block' (one per connected block).
        metrics: what the scheme scored, finite, in the units of the evaluator.
        params: parameters of the whole network, if counted.
        macs: multiply-accumulates of one image, if counted.
        seed: of the search.
        supernet_sha256: digest of the supernet's weights, 64 hexadecimal digits.
        versions: of the packages that made it.
        notes: free text.

    Raises: TicketError if a value is not of its kind or scheme and backbone disagree.
    """

    format: Literal['ean_mm.ticket'] = FORMAT
    version: Annotated[int, Field(ge=VERSION, le=VERSION)] = VERSION
    origin: Literal['searched', 'quoted', 'given']
    scheme: Annotated[ConnectionScheme, PlainValidator(_check_scheme)]
    backbone: BackboneFingerprint
    attention: Annotated[dict[str, Any], BeforeValidator(_check_attention)]
    sharing: Literal['stage', 'block']
    metrics: dict[str, float] = {}
    params: Count | None = None
    macs: Count | None = None
    seed: Count | None = None
    supernet_sha256: Annotated[str, Field(pattern=r'^[0-9a-f]{64}$')] | None = None
    versions: dict[str, str] = {}
    notes: str = ''

    @model_validator(mode='after')
    def _check(self) -> Ticket:
        free = {'metrics': self.metrics, 'versions': self.versions, 'notes': self.notes}
        check_json_value(free)
        if self.scheme.blocks_per_stage != self.backbone.blocks_per_stage:
            raise ValueError(
                f'`scheme` must have {self.backbone.blocks_per_stage} blocks per stage as '
                f'`backbone` has, but got {shorten(str(self.scheme))}'
            )
        return self

    # -- reading -----------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | os.PathLike) -> Ticket:
        """Read a ticket file.

        Raises:
            TicketError: if there is none or it is damaged, foreign or of an unknown version.
        """
        try:
            return cls.from_json(_read_bytes(path))
        except TicketError as err:
            raise TicketError(f'{os.fspath(path)!r} is not a usable ticket: {err}') from err

    @classmethod
    def from_json(cls, text: str | bytes) -> Ticket:
        """Read a ticket from its JSON text.

        Raises:
            TicketError: for anything that :meth:`to_json` would not write.
        """
        try:
            fields = read_strict_json(text)
        except ValueError as err:
            raise TicketError(str(err)) from err
        _check_version(fields)
        if 'scheme' in fields:
            fields['scheme'] = _read_scheme(fields['scheme'])
        if 'backbone' in fields:
            fields['backbone'] = _read_backbone(fields['backbone'])
        return cls(**fields)

    # -- writing -----------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The text of the file: fields in fixed order, two spaces of indent, a newline at the end.

        Raises:
            TicketError: if it is longer than a ticket may be.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        fields['scheme'] = str(self.scheme)
        fields['backbone'] = self.backbone.model_dump()
        text = '{\n' + ',\n'.join(_line(key, value) for key, value in fields.items()) + '\n}\n'
        if len(text.encode()) > MAX_BYTES:
            raise TicketError(
                f'a ticket must be at most {MAX_BYTES} bytes, but got {len(text.encode())}; shorten its notes.'
            )
        return text

    def save(self, path: str | os.PathLike) -> None:
        """Write the ticket so that the file is never seen half-written."""
        write_atomically(path, self.to_json().encode())

    # -- use ---------------------------------------------------------------------------------------

    def check_backbone(self, fingerprint: BackboneFingerprint) -> None:
        """Check that the ticket was made for a backbone like this.

        Raises:
            TicketError: showing both, if it was not.
        """
        if fingerprint != self.backbone:
            raise TicketError(
                f'`backbone` must be like the one of the ticket ({self.backbone}), but got '
                f'{fingerprint}; search again for this backbone.'
            )


def _line(key: str, value: object) -> str:
    if not isinstance(value, dict) or not value:
        return f'  {json.dumps(key)}: {_inline(value)}'
    inner = ',\n'.join(f'    {_inline(name)}: {_inline(item)}' for name, item in value.items())
    return f'  {json.dumps(key)}: {{\n{inner}\n  }}'


def _inline(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _read_bytes(path: str | os.PathLike) -> bytes:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise TicketError('it must be a file, but got a folder or device.')
        if found.st_size > MAX_BYTES:
            raise TicketError(f'it must have at most {MAX_BYTES} bytes, but got {found.st_size}.')
        with open(path, 'rb') as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as err:
        if isinstance(err, TicketError):
            raise
        raise TicketError(f'it cannot be read ({err}).') from err


def _check_version(fields: dict) -> None:
    if fields.get('format') != FORMAT:
        raise TicketError(f'`format` must be {FORMAT!r}, but got {shorten(fields.get("format"))}.')
    version = fields.get('version')
    # True == 1 in Python, so the type is compared as well.
    if type(version) is not int or version != VERSION:
        raise TicketError(
            f'`version` must be {VERSION}, but got {shorten(version)}; newer versions need a newer ean_mm.'
        )


def _read_scheme(text: object) -> ConnectionScheme:
    if isinstance(text, str) and len(text) > 2 * MAX_CONNECTIONS:
        raise TicketError(f'`scheme` must have at most {MAX_CONNECTIONS} connections, but got {shorten(text)}.')
    try:
        return ConnectionScheme.from_string(text)  # type: ignore[arg-type]
    except ValueError as err:
        raise TicketError(str(err)) from err


def _read_backbone(fields: object) -> BackboneFingerprint:
    if not isinstance(fields, dict):
        raise TicketError(f'`backbone` must be an object, but got {shorten(fields)}.')
    try:
        return BackboneFingerprint(**fields)
    except TicketError as err:
        raise TicketError(str(err).replace('`', '`backbone.', 1)) from err


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
