"""An attention as a ticket stores it: its type and every argument that matters, in one spelling."""

from __future__ import annotations

import inspect
import json

from ..registry import MODELS
from ..structures import Ticket, TicketError
from .attentions import DIA, SE, SGE

OWN_ATTENTIONS = {f'ean_mm.{cls.__name__}': cls for cls in (SE, SGE, DIA)}
_NOT_STORED = ('self', 'in_channels', 'init_cfg')


def attention_spec(cfg: dict) -> dict:
    """Return ``cfg`` with its full type name and, for one of our own, every default spelled out.

    >>> attention_spec(dict(type='SE'))
    {'type': 'ean_mm.SE', 'reduction': 16, 'min_channels': 1}
    """
    found = MODELS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    own = {cls: name for name, cls in OWN_ATTENTIONS.items()}.get(found)
    given = {key: value for key, value in cfg.items() if key not in ('type', *_NOT_STORED)}
    if own is None:
        return {'type': str(cfg['type']), **_plain(given)}
    signature = inspect.signature(found.__init__).parameters
    defaults = {key: p.default for key, p in signature.items() if key not in _NOT_STORED}
    return {'type': own, **defaults, **given}


def reconcile_attention(cfg: dict | None, ticket: Ticket, path: str) -> dict:
    """Return the attention to build: the ticket's, or the config's where it says the same.

    Raises:
        TicketError: if they differ, or the config gives none and the ticket's is none of our own.
    """
    if cfg is None:
        if ticket.attention['type'] not in OWN_ATTENTIONS:
            raise TicketError(
                f'`attention` must be given in the config beside a ticket whose attention is not one of '
                f'{list(OWN_ATTENTIONS)}, but got None; {path} names {ticket.attention!r}.'
            )
        return dict(ticket.attention)
    if attention_spec(cfg) != attention_spec(ticket.attention):
        raise TicketError(
            f'`attention` must agree with the ticket ({ticket.attention!r} in {path}), but got {cfg!r}; '
            'leave it out to take the ticket\'s.'
        )
    return cfg


def _plain(arguments: dict) -> dict:
    """Arguments as JSON would give them back; what JSON cannot hold is stored by its text."""
    return json.loads(json.dumps(arguments, default=str))
