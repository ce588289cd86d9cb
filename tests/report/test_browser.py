"""The page in a real browser, wide and narrow, light and dark; skipped where there is none."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ean_mm.report import build_report

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
# the contrast of every text with the nearest background below it, as WCAG 2.2 defines it; the least ones
CONTRASTS = """
(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.body.querySelectorAll('*:not(svg, svg *)')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue;
    const pair = [light(parse(getComputedStyle(element).color)), light(background(element))].sort((a, b) => b - a);
    found.push([(pair[0] + 0.05) / (pair[1] + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]).slice(0, 3);
})()
"""
OVERFLOWING = """
[...document.querySelectorAll('body *')].filter(element => !element.closest('.scroll, svg'))
  .filter(element => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(element => element.outerHTML.slice(0, 80))
"""


class Browser:
    """One tab of a headless Chromium, spoken to through its debugging pipe. Use it as a context manager.

    Args:
        executable: path of the Chromium.
        profile: an empty folder.
    """

    def __init__(self, executable: str, profile: Path):
        flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run']
        command = [executable, *flags, '--remote-debugging-pipe', f'--user-data-dir={profile}', 'about:blank']
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def connect() -> None:
            """The browser reads its descriptor 3 and writes its descriptor 4."""
            first, second = os.dup(to_browser), os.dup(from_browser)
            os.dup2(first, 3)
            os.dup2(second, 4)

        log = subprocess.DEVNULL
        self._process = subprocess.Popen(command, preexec_fn=connect, close_fds=False, stdout=log, stderr=log)
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number, self._session = b'', 0, None
        self.events: list[dict] = []

    def __enter__(self) -> Browser:
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self._session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Network', 'Runtime', 'Log'):
            self.call(f'{domain}.enable')
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        os.close(self._out)
        os.close(self._in)

    def call(self, method: str, **params: object) -> dict:
        """Send a command and wait for its answer."""
        self._number += 1
        message = dict(id=self._number, method=method, params=params)
        if self._session is not None:
            message['sessionId'] = self._session
        os.write(self._out, json.dumps(message).encode() + b'\0')
        while (answer := self._read()).get('id') != self._number:
            self.events.append(answer)
        if 'error' in answer:
            raise RuntimeError(f'{method}: {answer["error"]}')
        return answer['result']

    def _read(self) -> dict:
        while b'\0' not in self._buffer:
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError('the browser has ended')
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b'\0')
        return json.loads(message)

    def open(self, path: Path, width: int, scheme: str = 'light', scale: float = 1.0) -> None:
        """Show a file in a window of some width, in a light or a dark scheme."""
        self.events.clear()
        self.call(
            'Emulation.setDeviceMetricsOverride', width=width, height=800, deviceScaleFactor=scale, mobile=width < 600
        )
        self.call('Emulation.setEmulatedMedia', features=[dict(name='prefers-color-scheme', value=scheme)])
        self.call('Page.navigate', url=path.resolve().as_uri())
        while self.evaluate('document.readyState') != 'complete':
            pass

    def evaluate(self, expression: str) -> object:
        """The value of a JavaScript expression."""
        return self.call('Runtime.evaluate', expression=expression, returnByValue=True)['result'].get('value')

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG file."""
        data = self.call('Page.captureScreenshot', captureBeyondViewport=True)['data']
        path.write_bytes(base64.b64decode(data))

    def requested(self) -> set[str]:
        """What the page has asked for."""
        events = (event for event in self.events if event.get('method') == 'Network.requestWillBeSent')
        return {event['params']['request']['url'] for event in events}


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    executable = next((path for name in NAMES if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip('no Chromium here')
    with Browser(executable, tmp_path_factory.mktemp('profile')) as opened:
        yield opened


@pytest.mark.parametrize('width', [375, 1280])
def test_nothing_is_wider_than_the_window(browser, work_dir, width):
    browser.open(build_report(work_dir), width)
    assert browser.evaluate('document.documentElement.scrollWidth') <= width
    assert browser.evaluate(OVERFLOWING) == []


def test_a_deep_network_fits_a_phone(browser, tmp_path):
    bits = ' '.join('01' * (count // 2) + '1' * (count % 2) for count in (3, 8, 36, 3))
    other = bits.replace('0', '2').replace('1', '0').replace('2', '1')
    scores = [
        dict(step=i, role='proposal', scheme=scheme, metric=70.0 + i, reward=70.5 + i)
        for i, scheme in enumerate((bits, other))
    ]
    timing = dict(step=0, time=1.0, seconds=1.0, keep=[0.25] * 50)
    check = [dict(scheme=scheme, measured_ms=9.0, predicted_ms=9.5) for scheme in (bits, other)]
    latency = dict(
        device='device', bare_ms=8.0, sites_ms=[0.1] * 50, check=check, median_error=0.05, largest_error=0.06
    )
    effects = dict(scheme=bits, flips=[dict(bit=i, on=bool(i % 2), difference=-1.0) for i in range(50)])
    files = {
        'search.jsonl': scores,
        'timing.jsonl': [timing] * 100,
        'latency.json': [latency],
        'effects.json': [effects],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text(''.join(json.dumps(line) + '\n' for line in lines))
    browser.open(build_report(tmp_path), 375)
    assert browser.evaluate('document.documentElement.scrollWidth') <= 375
    assert browser.evaluate(OVERFLOWING) == []


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_texts_stand_out_from_their_background(browser, work_dir, scheme):
    browser.open(build_report(work_dir), 1280, scheme)
    assert (
        browser.evaluate('getComputedStyle(document.body).backgroundColor')
        == {
            'light': 'rgb(244, 245, 247)',
            'dark': 'rgb(16, 20, 24)',
        }[scheme]
    )
    least = browser.evaluate(CONTRASTS)
    assert least[0][0] >= 4.5, least


def test_it_asks_for_nothing_and_complains_about_nothing(browser, work_dir):
    path = build_report(work_dir)
    browser.open(path, 1280)
    assert {url for url in browser.requested() if not url.startswith('data:')} == {path.resolve().as_uri()}
    assert not [
        event for event in browser.events if event.get('method') in ('Log.entryAdded', 'Runtime.exceptionThrown')
    ]
    assert browser.evaluate('[...document.images].every(image => image.naturalWidth > 0)')


def test_no_script_runs_even_if_one_came_in(browser, work_dir):
    path = build_report(work_dir)
    path.write_text(path.read_text().replace('</main>', '<script>window.came = 1</script></main>'))
    browser.open(path, 1280)
    assert browser.evaluate('typeof window.came') == 'undefined'
