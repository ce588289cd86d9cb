"""An attention as a ticket stores it: its type and every argument that matters, in one spelling."""

from __future__ import annotations

import inspect
import json

from ..registry import MODELS
from ..structures import Ticket, TicketError
from .attentions import DIA, SE, SGE, EfficientAttention

OWN_ATTENTIONS = {f'ean_mm.{cls.__name__}': cls for cls in (SE, SGE, DIA, EfficientAttention)}
_NOT_STORED = ('self', 'in_channels', 'init_cfg')


def attention_spec(cfg: dict) -> dict:
    """Return a config's attention with its full type name and, for one of our own, every default spelled out.

    >>> attention_spec(dict(type='SE'))
    {'type': 'ean_mm.SE', 'reduction': 16, 'min_channels': 1, 'gate_init': 'paper'}
    """
    found = MODELS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    own = {cls: name for name, cls in OWN_ATTENTIONS.items()}.get(found)
    given = {key: value for key, value in cfg.items() if key not in ('type', *_NOT_STORED)}
    if own is None:
        # As JSON would give it back; what JSON cannot hold is stored by its text.
        return {'type': str(cfg['type']), **json.loads(json.dumps(given, default=str))}
    return {'type': own, **_defaults(own), **given}


def reconcile_attention(cfg: dict | None, ticket: Ticket, path: str) -> dict:
    """Return the attention to build: the ticket's, or the config's where it says the same.

    No name that stands in a ticket is looked up in a registry: it is compared with the table of our own attentions.

    Raises:
        TicketError: if they differ, or the config gives none and the ticket's is none of our own.
    """
    stored = _read_stored(ticket, path)
    if cfg is None:
        if stored['type'] not in OWN_ATTENTIONS:
            raise TicketError(
                f'`attention` must be given in the config beside a ticket whose attention is not one of '
                f'{list(OWN_ATTENTIONS)}, but got None; {path} names {ticket.attention!r}.'
            )
        return stored
    if attention_spec(cfg) != stored:
        raise TicketError(
            f'`attention` must agree with the ticket ({ticket.attention!r} in {path}), but got {cfg!r}; '
            "leave it out to take the ticket's."
        )
    return cfg


def _read_stored(ticket: Ticket, path: str) -> dict:
    name = ticket.attention['type']
    if name not in OWN_ATTENTIONS:
        return dict(ticket.attention)
    unknown = ticket.attention.keys() - {'type', *_defaults(name)}
    if unknown:
        raise TicketError(
            f'`attention` must have arguments of {name} ({", ".join(_defaults(name))}), '
            f'but got {", ".join(map(repr, sorted(unknown)))} in {path}.'
        )
    return {'type': name, **_defaults(name), **ticket.attention}


def _defaults(name: str) -> dict:
    """The arguments of one of our own attentions that a ticket stores."""
    signature = inspect.signature(OWN_ATTENTIONS[name].__init__).parameters
    return {key: p.default for key, p in signature.items() if key not in _NOT_STORED}
