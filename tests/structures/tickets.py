"""A good ticket, and its text with some fields changed."""

from __future__ import annotations

import json

from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket

WIDTHS = (256, 512, 1024, 2048)
R50 = BackboneFingerprint(type='ResNet', depth=50, blocks_per_stage=(3, 4, 6, 3), channels=WIDTHS)


def make_ticket(**changes) -> Ticket:
    fields = {
        'origin': 'searched',
        'scheme': ConnectionScheme.from_string('101 0110 100100 010'),
        'backbone': R50,
        'attention': {'type': 'ean_mm.SE', 'reduction': 16},
        'sharing': 'stage',
        'metrics': {'accuracy/top1': 76.25},
        'params': 26257432,
        'macs': 4109464576,
        'seed': 0,
        'supernet_sha256': 'ab' * 32,
        'versions': {'ean_mm': '0.1.0'},
        'notes': 'a note',
    }
    return Ticket(**{**fields, **changes})


def changed(**changes) -> str:
    """The text of a good ticket with some fields replaced; None removes one."""
    fields = {**json.loads(make_ticket().to_json()), **changes}
    return json.dumps(fields)
