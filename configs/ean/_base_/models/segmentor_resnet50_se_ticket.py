"""What the segmentors share: ResNet-50 with an SE ticket and its classifier's weights, output stride 8, an auxiliary head."""

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='ean_mm.EANBackbone',
        # The 7x7 stem of mmpretrain.ResNet, on which the ticket is searched and trained. mmseg's usual ResNetV1c begins with
        # three 3x3 convolutions, which those weights do not fit.
        backbone=dict(
            type='mmseg.ResNet',
            depth=50,
            deep_stem=False,
            out_indices=(0, 1, 2, 3),
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            contract_dilation=True,
            norm_cfg=norm_cfg,
        ),
        attention=dict(type='ean_mm.SE', reduction=16),
        sharing='stage',
        ticket='work_dirs/resnet50_se/ticket.json',
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/resnet50_se_ticket/epoch_120.pth', prefix='backbone.'),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=1024,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
