"""Whatever is wrong with a ticket is one TicketError of one sentence."""

from __future__ import annotations

import json
import os

import pytest
from tickets import changed, make_ticket

from ean_mm.structures import ConnectionScheme, Ticket, TicketError

# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        ({'format': 'other'}, r"`format` must be 'ean_mm.ticket', but got 'other'"),
        ({'format': None}, r'`format` must be .* got None'),
        ({'version': 2}, r'`version` must be 1, but got 2; newer versions need a newer ean_mm'),
        ({'version': 0}, r'`version` must be 1, but got 0'),
        ({'version': True}, r'`version` must be 1, but got True'),
        ({'version': 1.0}, r'`version` must be 1, but got 1.0'),
        ({'version': '1'}, r"`version` must be 1, but got '1'"),
        ({'surprise': 1}, r'`surprise` must not be given, but got 1'),
        ({'self': 1}, r'`self` must not be given'),
        ({'../../x': 1}, r'`\.\./\.\./x` must not be given'),
        ({'origin': 'found'}, r"`origin` must be 'searched', 'quoted', 'given' or 'adapted', but got 'found'"),
        ({'scheme': '101'}, r'`scheme` must have \(3, 4, 6, 3\) blocks .* as `backbone` has'),
        ({'scheme': '101 0110 100100 012'}, r"`scheme` must hold '0', '1' .* got '2' at index 18"),
        ({'scheme': 'all'}, r"`scheme` must hold '0', '1'"),
        ({'scheme': '1' * 5000}, r'`scheme` must have at most 4096 connections, but got ConnectionScheme'),
        ({'scheme': '1' * 9000}, r"`scheme` must have at most 4096 connections, but got '1111"),
        ({'scheme': [1, 0]}, r'`scheme` must be a text'),
        ({'backbone': []}, r'`backbone` must be an object, but got \[\]'),
        ({'backbone': {'self': 1}}, r'`backbone.type` must be given'),
        ({'attention': 'ean_mm.SE'}, r"`attention` must be a dict with a 'type'"),
        ({'attention': {'reduction': 16}}, r"`attention` must be a dict with a 'type'"),
        ({'attention': {'type': 3}}, r"`attention` must be a dict with a 'type'"),
        ({'attention': {'type': 'ean_mm.SE', 'init_cfg': {}}}, r"`attention` must not give 'init_cfg', which"),
        ({'attention': {'type': 'ean_mm.SE', 'in_channels': 8}}, r"`attention` must not give 'in_channels'"),
        ({'sharing': 'network'}, r"`sharing` must be 'stage' or 'block', but got 'network'"),
        ({'metrics': {'top1': True}}, r'`metrics.top1` must be a valid number, but got True'),
        ({'metrics': {'top1': '76'}}, r"`metrics.top1` must be a valid number, but got '76'"),
        ({'metrics': {'top1': None}}, r'`metrics.top1` must be a valid number, but got None'),
        ({'metrics': []}, r'`metrics` must be a valid dictionary'),
        ({'params': 1.0}, r'`params` must be a valid integer, but got 1.0'),
        ({'params': True}, r'`params` must be a valid integer, but got True'),
        ({'params': -1}, r'`params` must be greater than or equal to 0, but got -1'),
        ({'macs': '4'}, r"`macs` must be a valid integer, but got '4'"),
        ({'seed': 0.5}, r'`seed` must be a valid integer, but got 0.5'),
        ({'seed': 2**63}, r"whole numbers must fit in 64 bits, but got '9223372036854775808'"),
        ({'supernet_sha256': 'AB' * 32}, r'`supernet_sha256` must match pattern'),
        ({'supernet_sha256': 'ab' * 32 + '\n'}, r'`supernet_sha256` must match pattern'),
        ({'versions': {'torch': 2}}, r'`versions.torch` must be a valid string, but got 2'),
        ({'notes': 3}, r'`notes` must be a valid string, but got 3'),
        ({'notes': '\ud800'}, r'`notes` must be valid Unicode'),
        ({'attention': {'type': 'x', 'deep': [[[[[[[[1]]]]]]]]}}, r'nested at most 8 deep'),
    ],
)
def test_one_sentence_with_field_and_value(changes, match, tmp_path):
    path = tmp_path / 'the_ticket.json'
    path.write_text(changed(**changes))
    with pytest.raises(TicketError, match=match):
        Ticket.from_json(changed(**changes))
    with pytest.raises(TicketError, match=rf'the_ticket.json\' is not a usable ticket: .*{match}'):
        Ticket.load(path)


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        ({'type': 'mmpretrain.ResNet'}, r'`backbone.type` must match pattern'),
        ({'type': ''}, r'`backbone.type` must match pattern'),
        ({'depth': 50.0}, r'`backbone.depth` must be a valid integer, but got 50.0'),
        ({'depth': True}, r'`backbone.depth` must be a valid integer'),
        ({'depth': 0}, r'`backbone.depth` must be greater than or equal to 1'),
        ({'channels': [256, 512]}, r'`backbone.channels` must have one entry per stage'),
        ({'channels': [256, 512, 1024, 0]}, r'`backbone.channels.3` must be greater'),
        ({'channels': [256, 512, 1024, 1.0]}, r'`backbone.channels.3` must be a valid integer'),
        ({'channels': '256'}, r'`backbone.channels` must be a valid tuple'),
        ({'blocks_per_stage': []}, r'`backbone.channels` must have one entry per stage'),
        ({'blocks_per_stage': [3, 4, 6, True]}, r'`backbone.blocks_per_stage.3` must be a valid'),
        ({'width': 1}, r'`backbone.width` must not be given'),
    ],
)
def test_backbone_fields_are_checked(changes, match):
    backbone = json.loads(make_ticket().to_json())['backbone']
    with pytest.raises(TicketError, match=match):
        Ticket.from_json(changed(backbone={**backbone, **changes}))


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('', r'must be JSON, but got .* at line 1, column 1'),
        ('{"format": "ean_mm.ticket",\n "version" 1}', r'must be JSON, but got .* at line 2'),
        ('{} {}', r'must be JSON'),
        ('[]', r'must be one JSON object, but got \[\]'),
        ('null', r'must be one JSON object, but got None'),
        ('"ticket"', r'must be one JSON object'),
        ('{"a": 1, "b": 2, "a": 3}', r"keys must be given once, but got 'a' twice"),
        ('{"metrics": {"a": 1, "a": 1}}', r"keys must be given once, but got 'a' twice"),
        ('{"a": NaN}', r'numbers must be finite, but got NaN'),
        ('{"a": -Infinity}', r'numbers must be finite, but got -Infinity'),
        ('{"a": [1e999]}', r'`a.0` must be a finite JSON value, but got inf'),
        ('{"a": ' + '9' * 60_000 + '}', r'whole numbers must fit in 64 bits'),
        ('{"a": -' + '9' * 4_000 + '}', r'whole numbers must fit in 64 bits'),
        ('[' * 60_000, r'values must be nested at most 8 deep'),
        ('{"a":' * 10_000 + '1' + '}' * 10_000, r'values must be nested at most 8 deep'),
        ('{"a": ' + '[' * 9 + ']' * 9 + '}', r'values must be nested at most 8 deep'),
        ('{"a": "' + 'x' * 65_536 + '"}', r'must have at most 65536 bytes, but got 65545'),
        ('\ufeff{}', r'but got a byte order mark'),
        ('{"a": "\ud800"}', r'must be UTF-8'),
        ('{"a": "\\ud800"}', r'`a` must be valid Unicode'),
        ('{"\\udfff": 1}', r'must be valid Unicode'),
        (b'\xef\xbb\xbf{}', r'but got a byte order mark'),
        (b'\xff\xfe{\x00}\x00', r"must be UTF-8, but got b'\\xff' at byte 0"),
        (b'{"a": "\xc3\x28"}', r"must be UTF-8, but got b'\\xc3' at byte 7"),
        (b'\x80\x04K\x01.', r'must be UTF-8'),
        ('!!python/object/apply:os.system ["true"]', r'must be JSON'),
    ],
)
def test_text_that_is_no_strict_json(text, match, tmp_path):
    with pytest.raises(TicketError, match=match):
        Ticket.from_json(text)
    path = tmp_path / 'ticket.json'
    path.write_bytes(text.encode('utf-8', 'surrogatepass') if isinstance(text, str) else text)
    with pytest.raises(TicketError, match=rf"ticket.json' is not a usable ticket: .*{match}"):
        Ticket.load(path)


def test_messages_stay_short():
    for text in ('9' * 60_000, '"' + 'x' * 60_000 + '"', changed(notes=['y' * 60_000])):
        with pytest.raises(TicketError, match='but got') as info:
            Ticket.from_json(text)
        assert len(str(info.value)) < 300


@pytest.mark.parametrize('name', ['missing.json', 'a\0b', 'folder', 'link', 'x' * 5000])
def test_no_file_to_read(tmp_path, name):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'link')
    with pytest.raises(TicketError, match=r'usable ticket: it (cannot be read|must be a f)'):
        Ticket.load(os.fspath(tmp_path) + '/' + name)


@pytest.mark.parametrize('device', ['/dev/zero', '/dev/stdin'])
def test_a_device_is_not_read(device):
    with pytest.raises(TicketError, match='must be a file, but got a folder or device'):
        Ticket.load(device)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(TicketError, match='must be a file'):
        Ticket.load(tmp_path / 'pipe')


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        ({'scheme': '101 0110 100100 010'}, r'`scheme` must be a ConnectionScheme, but got'),
        ({'scheme': ConnectionScheme.all((4097,))}, r'`scheme` must have at most 4096 connections'),
        ({'scheme': ConnectionScheme.all((3, 4, 6))}, r'`scheme` must have \(3, 4, 6, 3\)'),
        ({'version': True}, r'`version` must be a valid integer, but got True'),
        ({'metrics': {'a': float('nan')}}, r'`metrics.a` must be a finite number, but got nan'),
        ({'metrics': {'a': float('inf')}}, r'`metrics.a` must be a finite number, but got inf'),
        ({'metrics': {'\ud800': 1.0}}, r'must be valid Unicode'),
        ({'notes': 'half \udc00'}, r'`notes` must be valid Unicode'),
        ({'attention': {'type': 'x', 'f': print}}, r'`attention.f` must be a finite JSON value'),
        ({'attention': {'type': 'x', 'f': float('inf')}}, r'`attention.f` must be a finite JSON'),
        ({'attention': {'type': 'x', 3: 1}}, r'`attention.3` must be valid Unicode, but got 3'),
        ({'attention': {'type': 'x', 'n': 2**64}}, r'`attention.n` must fit in 64 bits'),
        ({'backbone': {'type': 'ResNet'}}, r'`depth` must be given'),
        ({'extra': 1}, r'`extra` must not be given'),
    ],
)
def test_the_constructor_refuses_what_the_parser_would(changes, match):
    with pytest.raises(TicketError, match=match):
        make_ticket(**changes)


def test_every_truncation_is_refused(tmp_path):
    data = make_ticket().to_json().encode()
    path = tmp_path / 'ticket.json'
    # without its last newline the text is the same ticket
    for size in {*(len(data) * part // 64 for part in range(64)), 0, len(data) - 2}:
        path.write_bytes(data[:size])
        with pytest.raises(TicketError, match='is not a usable ticket'):
            Ticket.load(path)
