"""One rank of a run on the CPU: rank_process.py CONFIG. Started by test_ranks.py."""

import sys

import torch
from mmengine.config import Config
from mmengine.runner import Runner

torch.cuda.set_device = lambda device: None  # mmengine selects a GPU even for gloo
torch.set_num_threads(1)

Runner.from_cfg(Config.fromfile(sys.argv[1])).train()
