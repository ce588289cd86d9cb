"""Train a supernet, search where to plug attention, leave a ticket.

python tools/search.py configs/ean/resnet20_se_digits.py
"""

from mmengine.runner import Runner

from ean_mm.environment import check_environment
from ean_mm.launch import add_training_flags, build_parser, load_config, one_sentence


def main() -> None:
    parser = build_parser('Search where to plug attention.')
    add_training_flags(parser)
    args = parser.parse_args()
    with one_sentence():
        check_environment()
        Runner.from_cfg(load_config(args)).train()


if __name__ == '__main__':
    main()
