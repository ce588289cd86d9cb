"""Make a trained network cheap to run: fold its constant gates, rewrite the others, check on real images, and write it.

python tools/deploy.py configs/ean/resnet14_asr_se_digits.py work_dirs/resnet14_asr_se_digits/epoch_40.pth --format pth onnx
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

from ean_mm.launch import DEPLOY_FORMATS, DeployOptions, build_parser, deploy, load_config, one_sentence


def main() -> None:
    parser = build_parser('Deploy a trained network with attention.')
    parser.add_argument('checkpoint', help='path of the weights')
    parser.add_argument(
        '--format', nargs='+', choices=DEPLOY_FORMATS, default=['pth'], help='what to write (default: pth)'
    )
    parser.add_argument(
        '--max-drop', type=float, help='fold nearly constant gates as long as the validation metric drops by no more'
    )
    parser.add_argument(
        '--threshold',
        type=float,
        help='fold the gates of sites whose standard deviation over images is below this, unchecked',
    )
    parser.add_argument('--metric', help='what --max-drop limits (default: accuracy/top1, mIoU or count/neg_mae)')
    parser.add_argument('--no-accelerate', action='store_true', help='leave the forward pass of what stays as it is')
    parser.add_argument(
        '--num-images', type=int, default=64, help='test images on which equality is shown (default: 64)'
    )
    parser.add_argument(
        '--num-calibration-images',
        type=int,
        default=1000,
        help='training images for gates and batch norm (default: 1000)',
    )
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='let reading the checkpoint run code; only for files you trust'
    )
    args = parser.parse_args()
    options = DeployOptions(
        formats=args.format,
        max_drop=args.max_drop,
        threshold=args.threshold,
        metric=args.metric,
        accelerate=not args.no_accelerate,
        num_images=args.num_images,
        num_calibration_images=args.num_calibration_images,
        trust_checkpoint=args.trust_checkpoint,
    )
    with one_sentence():
        print(deploy(load_config(args), args.checkpoint, options))


if __name__ == '__main__':
    main()
