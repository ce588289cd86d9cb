"""Train a config: a ticket, a supernet, or any network of MM.

python tools/train.py configs/ean/resnet20_se_ticket_digits.py --work-dir work_dirs/ticket
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

from mmengine.runner import Runner

from ean_mm.launch import add_training_flags, build_parser, check_data, check_weights, load_config, one_sentence


def main() -> None:
    parser = build_parser('Train a config.')
    add_training_flags(parser)
    args = parser.parse_args()
    with one_sentence():
        cfg = load_config(args)
        check_data(cfg, 'train_dataloader', 'val_dataloader')
        check_weights(cfg)
        Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()
