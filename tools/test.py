"""Evaluate a checkpoint on the test set of its config.

python tools/test.py work_dirs/resnet20_se_digits/retrain.py work_dirs/retrain/epoch_15.pth
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

from mmengine.runner import Runner

from ean_mm.launch import build_parser, check_data, load_config, one_sentence


def main() -> None:
    parser = build_parser('Evaluate a checkpoint.')
    parser.add_argument('checkpoint', help='path of the weights')
    args = parser.parse_args()
    with one_sentence():
        cfg = load_config(args)
        check_data(cfg, 'test_dataloader')
        cfg.load_from = args.checkpoint
        Runner.from_cfg(cfg).test()


if __name__ == '__main__':
    main()
