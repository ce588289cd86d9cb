"""A network built from a ticket, and every mismatch refused at build time."""

import pytest
from mmengine.config import Config

from ean_mm.models import DIA, SE, EANBackbone, Stacked
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


# -- attentions that are made of attentions ---------------------------------------------------------------------------------

ASR = dict(type='ean_mm.ASR', attention=dict(type='ean_mm.SE', reduction=4), num_insertions=2)
ASR_SPELLED = {
    'type': 'ean_mm.ASR',
    'num_insertions': 2,
    'initial_value': 0.1,
    'attention': {'type': 'ean_mm.SE', 'reduction': 4, 'min_channels': 1, 'gate_init': 'paper'},
}
BOTH = dict(type='ean_mm.Stacked', attentions=[ASR, dict(type='ean_mm.DIA')])
BOTH_SPELLED = {
    'type': 'ean_mm.Stacked',
    'attentions': [ASR_SPELLED, {'type': 'ean_mm.DIA', 'reduction': 4, 'gate_init': 'paper'}],
}


def ticket_of(network, scheme):
    return Ticket(
        origin='searched',
        scheme=ConnectionScheme.from_string(scheme),
        backbone=network.fingerprint,
        attention=network.attention_spec,
        sharing=network.sharing,
    )


@pytest.mark.parametrize(('cfg', 'spelled'), [(ASR, ASR_SPELLED), (BOTH, BOTH_SPELLED)])
def test_a_ticket_spells_out_what_is_inside(tmp_path, cfg, spelled):
    path = str(tmp_path / 'ticket.json')
    ticket = ticket_of(EANBackbone(CIFAR, cfg, sharing='block'), '101 000 111')
    assert ticket.attention == spelled
    ticket.save(path)
    assert Ticket.load(path) == ticket
    from_ticket, from_config = EANBackbone(CIFAR, ticket=path), EANBackbone(CIFAR, cfg, 'block', '101 000 111')
    assert from_ticket.attention_spec == spelled
    assert from_ticket.state_dict().keys() == from_config.state_dict().keys()


@pytest.mark.parametrize(
    'given',
    [
        Config(dict(attention=BOTH)).attention,
        dict(BOTH_SPELLED, attentions=tuple(BOTH_SPELLED['attentions'])),
        dict(type=Stacked, attentions=[dict(ASR, attention=dict(type=SE, reduction=4)), dict(type=DIA)]),
        dict(BOTH, attentions=[dict(ASR, init_cfg=None), dict(type='ean_mm.DIA', init_cfg=None)]),
    ],
)
def test_another_spelling_of_what_is_inside_agrees(given, tmp_path):
    path = str(tmp_path / 'ticket.json')
    ticket_of(EANBackbone(CIFAR, BOTH), '111 111 111').save(path)
    assert EANBackbone(CIFAR, given, ticket=path).attention_spec == BOTH_SPELLED
    other = dict(BOTH, attentions=[dict(ASR, attention=dict(type='ean_mm.SE', reduction=8)), dict(type='ean_mm.DIA')])
    with pytest.raises(TicketError, match='`attention` must agree with the ticket'):
        EANBackbone(CIFAR, other, ticket=path)


def test_a_foreign_attention_inside_makes_all_of_it_foreign(tmp_path):
    pytest.importorskip('timm')
    path = str(tmp_path / 'ticket.json')
    cfg = dict(type='ean_mm.ASR', attention=dict(type='ean_mm.TimmAttention', name='eca'))
    ticket_of(EANBackbone(CIFAR, cfg), '111 111 111').save(path)
    assert EANBackbone(CIFAR, cfg, ticket=path).num_connections == 9
    with pytest.raises(TicketError, match=r"`attention` must be given .* got None; .*'name': 'eca'"):
        EANBackbone(CIFAR, ticket=path)


@pytest.mark.parametrize(
    'attention',
    [
        dict(type='ean_mm.ASR', attention=dict(type='elsewhere.Gate')),
        dict(type='ean_mm.Stacked', attentions=[dict(type='ean_mm.SE'), dict(type='elsewhere.Gate')]),
        dict(type='ean_mm.Stacked', attentions=[dict(type='ean_mm.ASR', attention=dict(type='elsewhere.Gate'))]),
    ],
)
def test_no_name_inside_a_ticket_is_looked_up(attention, tmp_path, monkeypatch):
    (tmp_path / 'elsewhere.py').write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    path = str(tmp_path / 'ticket.json')
    fingerprint = EANBackbone(CIFAR, dict(type='ean_mm.SE')).fingerprint
    make_ticket(attention=attention, backbone=fingerprint, scheme=ConnectionScheme.all((3, 3, 3))).save(path)
    with pytest.raises(TicketError, match='`attention` must be given in the config beside a ticket'):
        EANBackbone(CIFAR, ticket=path)
    assert not (tmp_path / 'was_run').exists()


@pytest.mark.parametrize(
    ('attention', 'message'),
    [
        (dict(ASR, attention=dict(type='ean_mm.SE', ratio=4)), r"arguments of ean_mm.SE \(.*\), but got 'ratio' in "),
        (
            dict(ASR, attention=dict(type='ean_mm.SE', init_cfg={})),
            r"arguments of ean_mm.SE \(.*\), but got 'init_cfg' in ",
        ),
        (dict(ASR, psi=1), r"arguments of ean_mm.ASR \(attention, num_insertions, initial_value\), but got 'psi' in"),
        (
            dict(type='ean_mm.ASR'),
            "`attention` must give ean_mm.ASR its `attention`, each a dict with a 'type', but got None",
        ),
        (dict(type='ean_mm.ASR', attention='ean_mm.SE'), r"give ean_mm.ASR its `attention`, .* but got 'ean_mm.SE' in"),
        (
            dict(type='ean_mm.ASR', attention=[dict(type='ean_mm.SE')]),
            r'give ean_mm.ASR its `attention`, .* but got \[',
        ),
        (dict(type='ean_mm.Stacked', attentions=dict(type='ean_mm.SE')), r'ean_mm.Stacked its `attentions`, .* got \{'),
        (
            dict(type='ean_mm.Stacked', attentions=['ean_mm.SE']),
            r"ean_mm.Stacked its `attentions`, .* got \['ean_mm.SE'",
        ),
        (dict(type='ean_mm.Stacked', attentions=[dict(reduction=4)]), r'ean_mm.Stacked its `attentions`, .* got \['),
    ],
)
def test_what_is_wrong_inside_is_named(save, attention, message):
    pytest.importorskip('mmpretrain')
    path = save(attention=attention)
    for given in (None, ASR):
        with pytest.raises(TicketError, match=message):
            EANBackbone(R50, given, ticket=path)


def test_an_empty_stack_in_a_ticket_is_refused(save):
    pytest.importorskip('mmpretrain')
    with pytest.raises(ValueError, match='`attentions` must be a list of one config or more'):
        EANBackbone(R50, ticket=save(attention=dict(type='ean_mm.Stacked', attentions=[])))


def test_what_is_inside_is_kept_when_a_ticket_is_adapted(tmp_path):
    ticket = ticket_of(EANBackbone(CIFAR, BOTH), '101 000 111').adapt((2, 2, 2), 'nearest')
    ticket.save(tmp_path / 'adapted.json')
    net = EANBackbone(dict(CIFAR, depth=14), ticket=str(tmp_path / 'adapted.json'))
    assert net.attention_spec == BOTH_SPELLED
