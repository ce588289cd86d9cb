"""An attention as a ticket stores it: its type and every argument that matters, in one spelling."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping

from torch import nn

from ..registry import MODELS
from ..structures import Ticket, TicketError
from ..structures.shorten import shorten
from .attentions import ASR, DIA, SE, SGE, EfficientAttention, Stacked
from .convolutions import PLAIN_ARGUMENTS, AAConv2d, EAAConv2d

Types = Mapping[str, type[nn.Module]]

OWN_ATTENTIONS: Types = {f'ean_mm.{cls.__name__}': cls for cls in (SE, SGE, DIA, EfficientAttention, ASR, Stacked)}
OWN_CONVOLUTIONS: Types = {f'ean_mm.{cls.__name__}': cls for cls in (AAConv2d, EAAConv2d)}
_OWN = {**OWN_ATTENTIONS, **OWN_CONVOLUTIONS}
_NOT_STORED = ('in_channels', 'init_cfg')
# Arguments of our own attentions that are configs of attentions themselves: one, and a list of them.
_ONE_INSIDE = 'attention'
_SEVERAL_INSIDE = 'attentions'


def attention_spec(cfg: dict) -> dict:
    """Return a config's attention with its full type name and, for one of our own, every default spelled out.

    >>> attention_spec(dict(type='SE'))
    {'type': 'ean_mm.SE', 'reduction': 16, 'min_channels': 1, 'gate_init': 'paper'}
    """
    found = MODELS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    own = {cls: name for name, cls in _OWN.items()}.get(found)
    left_out = ('type', *(_left_out(own) if own else _NOT_STORED))
    given = {key: value for key, value in cfg.items() if key not in left_out}
    if own is None:
        # As JSON would give it back; what JSON cannot hold is stored by its text.
        return {'type': str(cfg['type']), **json.loads(json.dumps(given, default=str))}
    return {'type': own, **_defaults(own), **_replace_inside(_as_json(given), attention_spec)}


def require_ticket_for(wrapper: str, ticket: Ticket, own: Types, path: str) -> None:
    """Refuse a ticket of the other kind of wrapper.

    Raises:
        TicketError: naming the attention, if it is one of our own and not of ``own``.
    """
    name = ticket.attention['type']
    if name in _OWN and name not in own:
        raise TicketError(
            f'`ticket` must be made for an ean_mm.{wrapper} ({", ".join(own)}), but got one for {name} in {path}; '
            'it belongs to the other wrapper, ean_mm.EANBackbone for attention, ean_mm.AugmentedBackbone for convolutions.'
        )


def reconcile_attention(
    cfg: dict | None, ticket: Ticket, path: str, own: Types = OWN_ATTENTIONS, argument: str = 'attention'
) -> dict:
    """Return the attention to build: the ticket's, or the config's where it says the same.

    No name that stands in a ticket is looked up in a registry: it is compared with a table of our own attentions, ``own``, and
    so is every name inside it.

    Args:
        cfg: of the config, or None.
        ticket: that stands beside it.
        path: of the ticket, for the error message.
        own: what may be built from a ticket alone.
        argument: how the user calls ``cfg``, for the error message.

    Raises:
        TicketError: if they differ, or the config gives none and the ticket's, or one inside it, is none of our own.
    """
    stored = _read_stored(ticket.attention, path)
    if cfg is None:
        if not _is_own(stored, own):
            raise TicketError(
                f'`{argument}` must be given in the config beside a ticket whose attention is not one of '
                f'{list(own)}, but got None; {path} names {ticket.attention!r}.'
            )
        return stored
    if attention_spec(cfg) != stored:
        raise TicketError(
            f'`{argument}` must agree with the ticket ({ticket.attention!r} in {path}), but got {cfg!r}; '
            "leave it out to take the ticket's."
        )
    return cfg


def _read_stored(attention: dict, path: str) -> dict:
    """Spell out one of our own as a ticket stores it; any other is left as it is."""
    name = attention['type']
    if name not in _OWN:
        return dict(attention)
    known = _arguments(name)
    unknown = attention.keys() - {'type', *known}
    if unknown:
        raise TicketError(
            f'`attention` must have arguments of {name} ({", ".join(known)}), '
            f'but got {", ".join(map(repr, sorted(unknown)))} in {path}.'
        )
    spelled = {'type': name, **_defaults(name), **attention}
    _check_inside(spelled, path)
    return _replace_inside(spelled, lambda inner: _read_stored(inner, path))


def _check_inside(attention: dict, path: str) -> None:
    """Refuse a ticket in which one of our own lacks the attentions it is made of."""
    for key in {_ONE_INSIDE, _SEVERAL_INSIDE}.intersection(_arguments(attention['type'])):
        value = attention.get(key)
        inside = [value] if key == _ONE_INSIDE else value
        if not isinstance(inside, list) or not all(map(_is_config, inside)):
            raise TicketError(
                f"`attention` must give {attention['type']} its `{key}`, each a dict with a 'type', "
                f'but got {shorten(value)} in {path}.'
            )


def _is_own(attention: dict, own: Types) -> bool:
    return attention['type'] in own and all(_is_own(inner, own) for inner in _inside(attention))


def _inside(attention: dict) -> Iterator[dict]:
    """The configs of the attentions that one of our own is made of."""
    several = attention.get(_SEVERAL_INSIDE, ())
    return filter(_is_config, (attention.get(_ONE_INSIDE), *several))


def _replace_inside(attention: dict, function: Callable[[dict], dict]) -> dict:
    """A copy with ``function`` applied to the config of every attention that this one is made of."""
    replaced = dict(attention)
    if _is_config(replaced.get(_ONE_INSIDE)):
        replaced[_ONE_INSIDE] = function(replaced[_ONE_INSIDE])
    if isinstance(replaced.get(_SEVERAL_INSIDE), list | tuple):
        replaced[_SEVERAL_INSIDE] = [function(each) if _is_config(each) else each for each in replaced[_SEVERAL_INSIDE]]
    return replaced


def _as_json(arguments: dict) -> dict:
    """Arguments as JSON gives them back: tuples as lists, numbers that are keys as text; attentions inside stay."""
    inside = {key: value for key, value in arguments.items() if key in (_ONE_INSIDE, _SEVERAL_INSIDE)}
    plain = {key: value for key, value in arguments.items() if key not in inside}
    return {**json.loads(json.dumps(plain)), **inside}


def _is_config(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get('type'), str | type)


def _arguments(name: str) -> list[str]:
    """The arguments of one of our own attentions that a ticket stores."""
    return [key for key in inspect.signature(_OWN[name]).parameters if key not in _left_out(name)]


def _left_out(name: str) -> tuple[str, ...]:
    # an attention may have a `groups` of its own
    return (*_NOT_STORED, *(PLAIN_ARGUMENTS if name in OWN_CONVOLUTIONS else ()))


def _defaults(name: str) -> dict:
    """Those of them that may be left out."""
    signature = inspect.signature(_OWN[name]).parameters
    return {
        key: signature[key].default for key in _arguments(name) if signature[key].default is not inspect.Parameter.empty
    }
