"""A network built from a ticket, and every mismatch refused at build time."""

import pytest

from ean_mm.models import EANBackbone
from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket, TicketError

R50 = dict(type='mmpretrain.ResNet', depth=50)
CIFAR = dict(type='ean_mm.ResNetCifar', depth=20)


def make_ticket(**changes):
    fields = dict(
        origin='given',
        scheme=ConnectionScheme.from_string('100 1011 010011 011'),
        backbone=BackboneFingerprint(
            type='ResNet', depth=50, blocks_per_stage=(3, 4, 6, 3), channels=(256, 512, 1024, 2048)
        ),
        attention=dict(type='ean_mm.SE', reduction=8),
        sharing='stage',
    )
    return Ticket(**{**fields, **changes})


@pytest.fixture
def save(tmp_path):
    def write(**changes):
        path = tmp_path / 'ticket.json'
        make_ticket(**changes).save(path)
        return str(path)

    return write


def test_a_ticket_gives_scheme_attention_and_sharing(save):
    pytest.importorskip('mmpretrain')
    net = EANBackbone(R50, ticket=save())
    assert str(net.scheme) == '100 1011 010011 011'
    assert net.sharing == 'stage'
    assert net.ean['stage0'].attention.hidden_channels == 256 // 8
    assert net.attention_spec == {
        'type': 'ean_mm.SE',
        'reduction': 8,
        'min_channels': 1,
        'gate_init': 'paper',
    }


def test_what_is_given_beside_it_may_agree(save):
    pytest.importorskip('mmpretrain')
    attention = dict(type='ean_mm.SE', reduction=8, min_channels=1)
    net = EANBackbone(R50, attention, sharing='stage', ticket=save())
    assert net.scheme.num_connected == 9


def test_mmseg_and_mmpretrain_agree(save):
    pytest.importorskip('mmseg')
    assert EANBackbone(dict(type='mmseg.ResNet', depth=50), ticket=save()).num_connections == 16


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='mmpretrain.ResNet', depth=101),
        dict(type='mmpretrain.ResNet', depth=18),
        dict(type='mmpretrain.ResNetV1c', depth=50),
        dict(type='mmpretrain.SEResNet', depth=50),
        dict(type='mmpretrain.ResNeXt', depth=50),
        dict(type='mmpretrain.ResNet', depth=50, base_channels=32, stem_channels=32),
        dict(type='mmpretrain.ResNet', depth=50, num_stages=3, strides=(1, 2, 2), dilations=(1,) * 3, out_indices=(2,)),
        CIFAR,
    ],
)
def test_another_backbone_is_refused_with_both_layouts(save, backbone):
    pytest.importorskip('mmpretrain')
    with pytest.raises(TicketError, match=r'ResNet, depth 50, blocks 3/4/6/3, channels 256') as caught:
        EANBackbone(backbone, ticket=save())
    assert EANBackbone(backbone, dict(type='ean_mm.SE')).fingerprint.__str__() in str(caught.value)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(attention=dict(type='ean_mm.SE')), '`attention` must agree with the ticket'),
        (dict(attention=dict(type='ean_mm.SGE')), '`attention` must agree with the ticket'),
        (dict(sharing='block'), "`sharing` must agree with the ticket .'stage'"),
        (dict(scheme='all'), "`scheme` must be left out beside a ticket, .* but got 'all'"),
    ],
)
def test_a_contradiction_is_refused(save, arguments, message):
    pytest.importorskip('mmpretrain')
    with pytest.raises(ValueError, match=message):
        EANBackbone(R50, ticket=save(), **arguments)


def test_a_foreign_attention_must_be_given(save):
    pytest.importorskip('mmpretrain')
    path = save(attention=dict(type='elsewhere.Gate'))
    with pytest.raises(TicketError, match='`attention` must be given in the config beside a ticket'):
        EANBackbone(R50, ticket=path)


def test_no_name_in_a_ticket_is_looked_up(save, tmp_path, monkeypatch):
    (tmp_path / 'elsewhere.py').write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    path = save(
        attention=dict(type='elsewhere.Gate'),
        backbone=EANBackbone(CIFAR, dict(type='ean_mm.SE')).fingerprint,
        scheme=ConnectionScheme.all((3, 3, 3)),
    )
    for attention in (None, dict(type='ean_mm.SE')):
        with pytest.raises(TicketError, match='`attention` must'):
            EANBackbone(CIFAR, attention, ticket=path)
    assert not (tmp_path / 'was_run').exists()


def test_an_unknown_argument_is_named(save):
    pytest.importorskip('mmpretrain')
    path = save(attention=dict(type='ean_mm.SE', ratio=4))
    with pytest.raises(
        TicketError, match=r"arguments of ean_mm.SE \(reduction, min_channels, gate_init\), but got 'ratio'"
    ):
        EANBackbone(R50, ticket=path)


def test_no_ticket_at_the_path(tmp_path):
    with pytest.raises(TicketError, match=r'nowhere\.json'):
        EANBackbone(CIFAR, ticket=str(tmp_path / 'nowhere.json'))
