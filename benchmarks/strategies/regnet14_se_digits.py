"""Supernet and table of all 16,384 schemes of a RegNet of 14 sites with SE on cued digits; for regret.py."""

_base_ = '../../configs/ean/resnet20_se_digits.py'

# widths 24, 32, 56 in 2, 5 and 7 blocks, without groups, on maps of 16, 8 and 4 pixels
arch = dict(w0=24, wa=3, wm=1.5, group_w=56, depth=14, bot_mul=1.0)
model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type='mmpretrain.RegNet',
            arch=arch,
            stem_channels=24,
            base_channels=24,
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
            out_indices=(2,),
        )
    ),
    head=dict(in_channels=56),
)
val_dataloader = dict(dataset=dict(num_scenes=250))
_base_.custom_hooks[1].num_calibration_images = 125
custom_hooks = _base_.custom_hooks
