"""What is said about a deployment: drawn, timed and written in full."""

import hashlib

from deployments import PLAIN, backbone_of, results_of


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_a_network_whose_gates_are_all_folded(run_deploy, tmp_path):
    report, trained, folder = run_deploy(max_drop=100)
    assert backbone_of(folder) == PLAIN
    results = results_of(folder)
    assert results['checkpoint'] == dict(path=str(tmp_path / 'trained.pth'), sha256=sha256(tmp_path / 'trained.pth'))
    assert results['files']['deployed.pth']['sha256'] == sha256(folder / 'deployed.pth')
    assert [(each['site'], each['folded']) for each in results['gates']] == [(site, True) for site in range(6)]
    assert {key: list(value) for key, value in results['metrics'].items()} == dict(
        before=['accuracy/top1'], after=['accuracy/top1']
    )
    assert all(row['latency_ms'] > 0 for row in results['networks'])

    lines = report.splitlines()
    assert 'Sites:   6 connected: 0 constant and folded, 6 nearly constant and folded, 0 stay' in lines
    assert any(line.startswith('Equal:   to the network with these gates folded: largest') for line in lines)
    assert any(f'{sum(each.numel() for each in trained.parameters()):,}' in line for line in lines)
    assert f'Picture: {folder / "gates.png"}' in lines
    assert (folder / 'gates.png').read_bytes().startswith(b'\x89PNG')
