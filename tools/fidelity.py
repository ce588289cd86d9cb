"""Train schemes from scratch, briefly, and compare their order with that of the supernet of a finished search.

python tools/fidelity.py configs/ean/resnet20_se_digits.py --num-schemes 12 --seeds 0 1 2 --epochs 5
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

from functools import partial

from ean_mm.launch import build_parser, check_data, fidelity, load_config, one_sentence
from ean_mm.launch.arguments import find_search_hook


def main() -> None:
    parser = build_parser('Measure whether the supernet ranks schemes as training them alone does.')
    parser.add_argument(
        '--num-schemes', type=int, default=12, help='none, all, the ticket and random ones of all sizes'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='trainings of each scheme')
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--epochs', type=int, default=5, help='of a training, its schedule compressed (default: 5)')
    length.add_argument('--iters', type=int, help='the same where the recipe counts iterations')
    parser.add_argument('--scheme-seed', type=int, default=0, help='of the choice of random schemes')
    parser.add_argument('--supernet', help='weights that the search was given (default: those in the work directory)')
    parser.add_argument('--trust-checkpoint', action='store_true', help='let reading --supernet run code')
    args = parser.parse_args()
    with one_sentence():
        cfg = load_config(args)
        hook = find_search_hook(cfg)
        if args.supernet:
            hook.supernet, hook.trust_checkpoint = args.supernet, args.trust_checkpoint
        check_data(cfg, 'train_dataloader', 'val_dataloader', 'test_dataloader')
        length = (args.epochs, 'epochs') if args.iters is None else (args.iters, 'iters')
        print(fidelity(cfg, args.num_schemes, args.seeds, *length, args.scheme_seed, partial(print, flush=True)))


if __name__ == '__main__':
    main()
