"""Train the network of another task with a ticket, with no attention, with attention everywhere and a random scheme.

python tools/transfer.py work_dirs/resnet20_se_digits/ticket.json configs/ean/fcn_resnet20_se_ticket_digitscenes.py
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

from ean_mm.launch import NAMES_IN_TRANSFER, build_parser, load_config, one_sentence, transfer


def main() -> None:
    description = 'Train a ticket and what it is to be compared with on another task, side by side.'
    parser = build_parser(description, ticket='path of the ticket')
    names = NAMES_IN_TRANSFER
    parser.add_argument('--schemes', nargs='+', choices=names, default=names, help='which to train')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='one training each')
    args = parser.parse_args()
    with one_sentence():
        print(transfer(load_config(args), args.ticket, args.schemes, args.seeds))


if __name__ == '__main__':
    main()
