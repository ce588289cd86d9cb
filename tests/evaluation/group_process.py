"""One of two ranks that score group by group: group_process.py RANK STORE METRIC. Started by test_group_ranks.py."""

import json
import sys

import torch
import torch.distributed as dist
from mmengine.evaluator import Evaluator
from test_scorer_racing import SCHEMES, Accuracy, Iou, Table, spread
from torch.utils.data import DataLoader, Subset

from ean_mm.evaluation import SupernetScorer

NUM_IMAGES = 101


class Halves(DataLoader):
    """What a distributed sampler gives a rank: every second image, the first once more at the end; knows all images."""

    def __init__(self, rank: int, num_ranks: int):
        places = list(range(NUM_IMAGES)) + [0] * (num_ranks - 1)
        super().__init__(Subset(torch.arange(NUM_IMAGES), places[:NUM_IMAGES]), batch_size=9)
        self.own = DataLoader(Subset(torch.arange(NUM_IMAGES), places[rank::num_ranks]), batch_size=9)

    def __iter__(self):
        return iter(self.own)


def score(rank: int, num_ranks: int, metric: str) -> dict:
    """Full scores and groups of three schemes."""
    table = Table(0, spread(0))
    evaluator = Evaluator({'mean': Accuracy, 'ratio': Iou}[metric]())
    scorer = SupernetScorer(table, table, Halves(rank, num_ranks), evaluator, 'accuracy')
    found = scorer.score_groups(SCHEMES[:3], 10)
    scores = [each.metric for each in scorer.score_many(SCHEMES[:3])]
    return dict(scores=scores, metrics=found.metrics.tolist(), values=found.values.tolist(), sizes=found.sizes.tolist())


if __name__ == '__main__':
    dist.init_process_group('gloo', init_method=f'file://{sys.argv[2]}', rank=int(sys.argv[1]), world_size=2)
    result = score(int(sys.argv[1]), 2, sys.argv[3])
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.write('\n' + json.dumps(result) + '\n')
