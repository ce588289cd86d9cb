"""Networks are built from adapted tickets as from any other."""

import pytest

from ean_mm.models import EANBackbone
from ean_mm.structures import ConnectionScheme, Ticket, TicketError

ATTENTION = dict(type='ean_mm.SE', reduction=4)


def search(backbone, scheme) -> Ticket:
    """What a search of this backbone would leave."""
    network = EANBackbone(backbone, ATTENTION)
    return Ticket(
        origin='searched',
        scheme=ConnectionScheme.from_string(scheme),
        backbone=network.fingerprint,
        attention=network.attention_spec,
        sharing=network.sharing,
    )


def build(backbone, ticket, tmp_path) -> EANBackbone:
    ticket.save(tmp_path / 'ticket.json')
    return EANBackbone(backbone, ticket=str(tmp_path / 'ticket.json'))


THREE_STAGES = dict(depth=50, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,))


@pytest.mark.parametrize(
    ('old', 'new', 'rule', 'scheme', 'expected'),
    [
        (50, dict(depth=101), 'nearest', '100 1011 010011 011', '100 1011 00011110000000001111111 011'),
        (50, THREE_STAGES, 'first_stages', '100 1011 010011 011', '100 1011 010011'),
        (18, dict(depth=34), 'nearest', '10 01 11 00', '110 0011 111111 000'),
    ],
)
def test_the_adapted_ticket_of_a_resnet_builds_the_other_resnet(tmp_path, old, new, rule, scheme, expected):
    pytest.importorskip('mmpretrain')
    old, new = ({'type': 'mmpretrain.ResNet', **arguments} for arguments in (dict(depth=old), new))
    ticket = search(old, scheme)
    with pytest.raises(TicketError, match=r'or map the ticket to it with tools/adapt_ticket.py'):
        build(new, ticket, tmp_path)
    layout = EANBackbone(new, ATTENTION).blocks_per_stage
    network = build(new, ticket.adapt(layout, rule), tmp_path)
    assert str(network.scheme) == expected
    assert [slot.connected for slot in network.slots] == network.scheme.mask.tolist()
    with pytest.raises(TicketError, match=r'`backbone` must be like the one of the ticket'):
        build(old, ticket.adapt(layout, rule), tmp_path)


def test_a_wrong_depth_is_found_when_a_network_is_built(tmp_path):
    old, new = (dict(type='ean_mm.ResNetCifar', depth=depth, base_channels=8) for depth in (20, 32))
    ticket = search(old, '101 001 010')
    with pytest.raises(TicketError, match=r'depth 33, blocks 5/5/5, .* but got ResNetCifar, depth 32, blocks 5/5/5'):
        build(new, ticket.adapt((5, 5, 5), 'nearest', depth=33), tmp_path)
    # old blocks 0 0 1 1 2 of each stage: 0.5 and 1.5 are as near to the earlier
    assert str(build(new, ticket.adapt((5, 5, 5), 'nearest'), tmp_path).scheme) == '11001 00001 00110'
