"""Tickets: what is written, what ships, and which backbone fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tickets import R50, WIDTHS, changed, make_ticket

from ean_mm.structures import BackboneFingerprint, Ticket, TicketError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'

# -- writing --------------------------------------------------------------------------------------


def test_text_is_one_screen_with_format_and_version_first():
    assert make_ticket(attention={'reduction': 16, 'type': 'ean_mm.SE'}).to_json() == (
        """{
  "format": "ean_mm.ticket",
  "version": 1,
  "origin": "searched",
  "scheme": "101 0110 100100 010",
  "backbone": {
    "type": "ResNet",
    "depth": 50,
    "blocks_per_stage": [3, 4, 6, 3],
    "channels": [256, 512, 1024, 2048]
  },
  "attention": {
    "type": "ean_mm.SE",
    "reduction": 16
  },
  "sharing": "stage",
  "metrics": {
    "accuracy/top1": 76.25
  },
  "params": 26257432,
  "macs": 4109464576,
  "seed": 0,
  "supernet_sha256": "%s",
  "versions": {
    "ean_mm": "0.1.0"
  },
  "notes": "a note"
}
"""
        % ('ab' * 32)
    )


def test_save_and_load(tmp_path):
    path = tmp_path / 'ticket with ünïcode.json'
    make_ticket(notes='ünïcode').save(path)
    assert Ticket.load(path) == make_ticket(notes='ünïcode')
    assert Ticket.load(str(path)) == Ticket.load(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_ticket_too_long_to_read_is_not_written(tmp_path):
    with pytest.raises(TicketError, match=r'at most 65536 bytes, but got \d+; shorten its notes'):
        make_ticket(notes='x' * 70_000).save(tmp_path / 'ticket.json')
    assert not list(tmp_path.iterdir())


def test_only_origin_scheme_backbone_attention_and_sharing_are_needed():
    fields = json.loads(make_ticket().to_json())
    needed = ['format', 'version', 'origin', 'scheme', 'backbone', 'attention', 'sharing']
    ticket = Ticket.from_json(json.dumps({name: fields[name] for name in needed}))
    assert (ticket.metrics, ticket.versions, ticket.notes) == ({}, {}, '')
    assert ticket.params is ticket.macs is ticket.seed is ticket.supernet_sha256 is None
    for name in needed[2:]:
        without = {key: fields[key] for key in needed if key != name}
        with pytest.raises(TicketError, match=rf'`{name}` must be given'):
            Ticket.from_json(json.dumps(without))


def test_an_attention_may_hold_others():
    inside = {'type': 'ean_mm.ASR', 'attention': {'type': 'ean_mm.SE', 'reduction': 4}}
    ticket = make_ticket(attention={'type': 'ean_mm.Stacked', 'attentions': (inside, {'type': 'ean_mm.DIA'})})
    assert ticket.attention['attentions'] == [inside, {'type': 'ean_mm.DIA'}]
    assert Ticket.from_json(ticket.to_json()) == ticket


def test_tuples_in_arguments_come_back_as_lists():
    ticket = make_ticket(attention={'type': 'x.Y', 'kernels': (3, (5, 7))})
    assert ticket.attention['kernels'] == [3, [5, 7]]
    assert Ticket.from_json(ticket.to_json()) == ticket


def test_frozen():
    with pytest.raises(ValueError, match='frozen'):
        make_ticket().notes = 'other'


# -- published tickets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'codes', 'attention'),
    [
        ('sge', (4, 11, 19, 3), {'type': 'ean_mm.SGE', 'groups': 64}),
        ('dia', (6, 3, 50, 3), {'type': 'ean_mm.DIA', 'reduction': 20}),
    ],
)
def test_quoted_tickets_claim_nothing_that_was_not_published(name, codes, attention):
    path = CONFIGS / 'ean' / 'tickets' / f'resnet50_{name}_quoted.json'
    ticket = Ticket.load(path)
    assert ticket.scheme.codes == codes
    assert (ticket.scheme.num_connected, ticket.scheme.sparsity) == (9, 0.4375)
    assert (ticket.origin, ticket.sharing, ticket.attention) == ('quoted', 'stage', attention)
    assert ticket.backbone == R50
    assert (ticket.metrics, ticket.params, ticket.macs, ticket.seed) == ({}, None, None, None)
    assert 'gbup-group/EAN-efficient-attention-network' in ticket.notes
    assert '2011.14058' in ticket.notes
    assert path.read_text(encoding='utf-8') == ticket.to_json()


def test_the_documented_example_is_the_shipped_ticket():
    text = (CONFIGS.parent / 'docs' / 'ticket_format.md').read_text(encoding='utf-8')
    example = Ticket.from_json(text.split('```json\n')[1].split('```')[0])
    shipped = Ticket.load(CONFIGS / 'ean' / 'tickets' / 'resnet50_sge_quoted.json')
    assert example.model_copy(update={'notes': shipped.notes}) == shipped
    for field in Ticket.model_fields | BackboneFingerprint.model_fields:
        assert f'| `{field}` |' in text


def test_the_documented_messages_are_the_real_ones(tmp_path, monkeypatch):
    text = (CONFIGS.parent / 'docs' / 'ticket_format.md').read_text(encoding='utf-8')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'my_ticket.json').write_text(changed(scheme='101 0210 100100 010'))
    with pytest.raises(TicketError, match='my_ticket') as first:
        Ticket.load('my_ticket.json')
    deeper = BackboneFingerprint(type='ResNet', depth=101, blocks_per_stage=(3, 4, 23, 3), channels=WIDTHS)
    with pytest.raises(TicketError, match='depth 101') as second:
        make_ticket().check_backbone(deeper)
    assert f'```text\n{first.value}\n{second.value}\n```' in text


# -- the backbone ---------------------------------------------------------------------------------


def test_the_same_backbone_of_another_library_fits():
    make_ticket().check_backbone(
        BackboneFingerprint(type='ResNet', depth=50, blocks_per_stage=[3, 4, 6, 3], channels=list(WIDTHS))
    )


@pytest.mark.parametrize(
    ('kind', 'depth', 'blocks', 'channels'),
    [
        ('ResNet', 101, (3, 4, 23, 3), WIDTHS),
        ('ResNet', 18, (2, 2, 2, 2), (64, 128, 256, 512)),
        ('ResNet', 34, (3, 4, 6, 3), (64, 128, 256, 512)),
        ('ResNet', None, (3, 4, 6, 3), WIDTHS),
        ('ResNet', 50, (3, 4, 6), WIDTHS[:3]),
        ('ResNetV1c', 50, (3, 4, 6, 3), WIDTHS),
        ('ResNetV1d', 50, (3, 4, 6, 3), WIDTHS),
        ('SEResNet', 50, (3, 4, 6, 3), WIDTHS),
        ('ResNeXt', 50, (3, 4, 6, 3), WIDTHS),
        ('ResNetCifar', 164, (18, 18, 18), (64, 128, 256)),
    ],
)
def test_another_backbone_is_refused_with_both_layouts(kind, depth, blocks, channels):
    other = BackboneFingerprint(type=kind, depth=depth, blocks_per_stage=blocks, channels=channels)
    with pytest.raises(TicketError, match='search again for this backbone') as info:
        make_ticket().check_backbone(other)
    message = str(info.value)
    assert 'ResNet, depth 50, blocks 3/4/6/3, channels 256/512/1024/2048' in message
    assert f'but got {kind},' in message
    assert f'blocks {"/".join(map(str, blocks))}' in message
    assert f'channels {"/".join(map(str, channels))}' in message
