"""SGD with a polynomial decay over 80,000 iterations, validated and saved ten times."""

_base_ = './sgd_40k.py'

max_iters = 80000
param_scheduler = dict(end=max_iters)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))
