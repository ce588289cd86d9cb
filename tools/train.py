"""Train a config: a ticket, a supernet, or any network of MM.

python tools/train.py configs/ean/resnet20_se_ticket_digits.py --work-dir work_dirs/ticket
"""

from mmengine.runner import Runner

from ean_mm.environment import check_environment
from ean_mm.launch import add_training_flags, build_parser, load_config, one_sentence


def main() -> None:
    parser = build_parser('Train a config.')
    add_training_flags(parser)
    args = parser.parse_args()
    with one_sentence():
        check_environment()
        Runner.from_cfg(load_config(args)).train()


if __name__ == '__main__':
    main()
