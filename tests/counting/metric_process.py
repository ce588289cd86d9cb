"""One of two ranks that measure counts: metric_process.py RANK STORE PAIRS. Started by test_count_metric.py."""

import json
import sys

import torch.distributed as dist

from ean_mm.counting import CountMetric

rank, store, pairs = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
dist.init_process_group('gloo', init_method=f'file://{store}', rank=rank, world_size=2)
even = pairs + pairs[: len(pairs) % 2]  # as a distributed sampler does
metric = CountMetric()
metric.process({}, [dict(pred_count=pred, gt_count=gt) for pred, gt in even[rank::2]])
metrics = metric.evaluate(len(pairs))
dist.barrier()
dist.destroy_process_group()
sys.stdout.write('\n' + json.dumps(metrics) + '\n')
