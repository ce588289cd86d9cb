"""Train a supernet, search where to plug attention, leave a ticket.

python tools/search.py configs/ean/resnet20_se_digits.py
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

import shutil
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ean_mm.launch import (
    add_search_flags,
    add_training_flags,
    build_parser,
    check_data,
    check_weights,
    describe_plan,
    find_checkpoint,
    load_config,
    merge_search_flags,
    one_sentence,
    pick,
    search_seeds,
    shorten_run,
)


def main() -> None:
    parser = build_parser('Search where to plug attention.')
    add_training_flags(parser)
    add_search_flags(parser)
    args = parser.parse_args()
    with one_sentence():
        cfg = load_config(args)
        merge_search_flags(cfg, args)
        if args.plan:
            print(describe_plan(cfg))
        elif args.fast_dev_run:
            check_weights(cfg)
            rehearse(cfg)
        else:
            check_data(cfg, 'train_dataloader', 'val_dataloader')
            check_weights(cfg)
            checkpoint = None if args.resume or args.restart or args.supernet else find_checkpoint(cfg)
            if checkpoint is not None:
                cfg.resume, cfg.load_from = True, str(checkpoint)
            if args.seeds:
                print(search_seeds(cfg, args.seeds))
            else:
                Runner.from_cfg(cfg).train()
            if args.pick and is_main_process():
                print(pick(cfg.work_dir, args.pick))


def rehearse(cfg: Config) -> None:
    """Run two iterations of supernet, search and retraining."""
    short = shorten_run(cfg)
    shutil.rmtree(short.work_dir, ignore_errors=True)
    Runner.from_cfg(short).train()
    retrain = Config.fromfile(Path(short.work_dir) / 'retrain.py')
    retrain.work_dir = str(Path(short.work_dir) / 'retrain')
    Runner.from_cfg(shorten_run(retrain)).train()


if __name__ == '__main__':
    main()
