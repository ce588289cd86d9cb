"""Replay the strategy of a config on the scores of all schemes, with several seeds.

python tools/search.py configs/ean/resnet20_se_digits.py --score-all
python tools/replay.py work_dirs/resnet20_se_digits/atlas.csv configs/ean/resnet20_se_digits.py
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

from ean_mm.launch import build_parser, load_config, one_sentence, replay_config


def main() -> None:
    parser = build_parser('Replay a search on a table of all scores.', atlas='path of an atlas.csv')
    parser.add_argument('--seeds', type=int, default=20, help='how many searches: seeds 0, 1, ... (default: 20)')
    parser.add_argument('--num-steps', type=int, help="steps of a search (default: the config's)")
    parser.add_argument('--max-schemes', type=int, help="distinct schemes of a search (default: the config's)")
    args = parser.parse_args()
    with one_sentence():
        print(replay_config(args.atlas, load_config(args), args.seeds, args.num_steps, args.max_schemes))


if __name__ == '__main__':
    main()
