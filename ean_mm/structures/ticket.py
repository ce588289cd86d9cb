"""A connection scheme saved with where it comes from: one screen of strict JSON."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from .adaptation import Adaptation, adapt_backbone, adapt_scheme, are_kin, check_steps
from .durable import write_atomically
from .scheme import ConnectionScheme
from .shorten import shorten
from .strict_json import MAX_BYTES, check_json_value, read_strict_json
from .strict_model import MAX_CONNECTIONS, BackboneFingerprint, Scheme, StrictModel, TicketError, check_fit, to_tuple

FORMAT: Final = 'ean_mm.ticket'
VERSION: Final = 1
# the backbone knows the one; the other can name a checkpoint to load
_NOT_IN_ATTENTION = ('in_channels', 'init_cfg')
# metrics, params and macs are facts of one backbone; these are not, or say where the scheme was found
_KEPT_WHEN_ADAPTED = ('attention', 'sharing', 'seed', 'supernet_sha256', 'versions')


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


class Ticket(StrictModel):
    """A scheme and its provenance: for which backbone and attention, how found, what it measured.

    No clock and no latency: two runs of one search give the same bytes.

    Args:
        format: always 'ean_mm.ticket'.
        version: of the format; 1.
        origin: 'searched' by this program, 'quoted' from a publication, 'given' by hand or 'adapted' from
            another ticket.
        scheme: which blocks are connected.
        backbone: what it was made for.
        adapted_from: the steps by which an adapted ticket came about, the oldest first; each says from what and how.
        attention: type and arguments; JSON values.
        sharing: 'stage' (one module per stage) or 'block' (one per connected block).
        metrics: what the scheme scored, finite, in the units of the evaluator.
        params: parameters of the whole network, if counted.
        macs: multiply-accumulates of one image, if counted.
        seed: of the search; of an adapted ticket, of the one that found the first scheme.
        supernet_sha256: digest of the weights of the supernet that was searched, 64 hexadecimal digits.
        versions: of the packages that made it.
        notes: free text.

    Raises: TicketError if a value is not of its kind or scheme and backbone disagree.
    """

    format: Literal['ean_mm.ticket'] = FORMAT
    version: Annotated[int, Field(ge=VERSION, le=VERSION)] = VERSION
    origin: Literal['searched', 'quoted', 'given', 'adapted']
    scheme: Scheme
    backbone: BackboneFingerprint
    adapted_from: Annotated[tuple[Adaptation, ...], BeforeValidator(to_tuple)] = ()
    attention: Annotated[dict[str, Any], BeforeValidator(_check_attention)]
    sharing: Literal['stage', 'block']
    metrics: dict[str, float] = Field(default_factory=dict)
    params: Count | None = None
    macs: Count | None = None
    seed: Count | None = None
    supernet_sha256: Annotated[str, Field(pattern=r'^[0-9a-f]{64}$')] | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    notes: str = ''

    @model_validator(mode='after')
    def _check(self) -> Ticket:
        free = {'metrics': self.metrics, 'versions': self.versions, 'notes': self.notes}
        check_json_value(free)
        check_fit(self.scheme, self.backbone)
        if (self.origin == 'adapted') != bool(self.adapted_from):
            raise ValueError(
                f"`origin` must be 'adapted' where `adapted_from` has steps and nowhere else, but got "
                f'{self.origin!r} with {len(self.adapted_from)} steps'
            )
        check_steps(self.adapted_from, self.scheme, self.backbone)
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
        if 'adapted_from' in fields:
            fields['adapted_from'] = _read_steps(fields['adapted_from'])
        return cls(**fields)

    # -- writing -----------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The text of the file: fields in fixed order, two spaces of indent, a newline at the end.

        ``adapted_from`` stands in adapted tickets alone.

        Raises:
            TicketError: if it is longer than a ticket may be.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        fields['scheme'] = str(self.scheme)
        fields['backbone'] = self.backbone.model_dump()
        fields['adapted_from'] = [_write_step(step) for step in self.adapted_from]
        if not self.adapted_from:
            del fields['adapted_from']
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

    def adapt(self, blocks_per_stage: Sequence[int], rule: str, depth: int | None = None) -> Ticket:
        """A ticket for the same kind of backbone with other stages; what was done stands in ``adapted_from``.

        Metrics, parameters and MACs are left out: they were those of the other backbone. A ticket that has this layout
        already is returned as it is.

        Args:
            blocks_per_stage: layout of the new backbone; widths stay.
            rule: 'nearest' or 'first_stages', see :func:`~ean_mm.structures.adaptation.adapt_scheme`.
            depth: of the new backbone; None derives it, see :func:`~ean_mm.structures.adaptation.adapt_backbone`.

        Raises:
            ValueError: if the rule cannot give this layout, or the depth cannot be derived.
        """
        scheme = adapt_scheme(self.scheme, blocks_per_stage, rule)
        backbone = adapt_backbone(self.backbone, scheme.blocks_per_stage, rule, depth)
        if backbone == self.backbone:
            return self
        step: dict[str, Any] = dict(rule=rule, origin=self.origin, scheme=self.scheme, backbone=self.backbone)
        kept: dict[str, Any] = {
            name: getattr(self, name) for name in ('attention', 'sharing', 'seed', 'supernet_sha256', 'versions')
        }
        is_first = self.origin != 'adapted'
        return Ticket(
            origin='adapted',
            scheme=scheme,
            backbone=backbone,
            adapted_from=(*self.adapted_from, Adaptation(**step)),
            notes=f'Of the ticket that was adapted: {self.notes}' if self.notes and is_first else self.notes,
            **kept,
        )

    def check_backbone(self, fingerprint: BackboneFingerprint) -> None:
        """Check that the ticket was made for a backbone like this.

        Raises:
            TicketError: showing both, if it was not.
        """
        if fingerprint != self.backbone:
            hint = ', or map the ticket to it with tools/adapt_ticket.py' if are_kin(self.backbone, fingerprint) else ''
            raise TicketError(
                f'`backbone` must be like the one of the ticket ({self.backbone}), but got '
                f'{fingerprint}; search again for this backbone{hint}.'
            )


def _line(key: str, value: object) -> str:
    if key == 'adapted_from' and isinstance(value, list):
        inner = ',\n'.join(f'    {_inline(step)}' for step in value)
        return f'  {json.dumps(key)}: [\n{inner}\n  ]'
    if not isinstance(value, dict) or not value:
        return f'  {json.dumps(key)}: {_inline(value)}'
    inner = ',\n'.join(f'    {_inline(name)}: {_inline(item)}' for name, item in value.items())
    return f'  {json.dumps(key)}: {{\n{inner}\n  }}'


def _write_step(step: Adaptation) -> dict[str, object]:
    return {**dict(step), 'scheme': str(step.scheme), 'backbone': step.backbone.model_dump()}


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


def _read_steps(steps: object) -> list[Adaptation]:
    if not isinstance(steps, list):
        raise TicketError(f'`adapted_from` must be a list, but got {shorten(steps)}.')
    return [_read_step(number, step) for number, step in enumerate(steps)]


def _read_step(number: int, fields: object) -> Adaptation:
    if not isinstance(fields, dict):
        raise TicketError(f'`adapted_from.{number}` must be an object, but got {shorten(fields)}.')
    values: dict[str, Any] = dict(fields)
    try:
        if 'scheme' in fields:
            values['scheme'] = _read_scheme(fields['scheme'])
        if 'backbone' in fields:
            values['backbone'] = _read_backbone(fields['backbone'])
        return Adaptation(**values)
    except TicketError as err:
        raise TicketError(str(err).replace('`', f'`adapted_from.{number}.', 1)) from err
