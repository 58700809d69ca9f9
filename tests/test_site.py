"""The built site: links, names and formulas, and its pages in a browser at two widths.

`.ci/run docs` builds the site and names its folder in SKNNENS_SITE.
"""

import importlib
import operator
import os
import posixpath
import re
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import sknnens

SITE = Path(os.environ.get("SKNNENS_SITE", "no site"))
pytestmark = pytest.mark.skipif("SKNNENS_SITE" not in os.environ, reason="needs the built site")
WIDTHS = (1400, 500)
# what sticks out of the page, or of a box that hides or scrolls it; code and diagrams may scroll
FIND_WIDE = """() => {
  document.querySelectorAll('details').forEach(fold => fold.open = true);
  const wide = [], inner = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > inner) wide.push('page');
  const parts = 'h1, h2, h3, p, li, table, img, svg, math, figure, dt, .sd-card';
  for (const part of document.querySelectorAll(`article :is(${parts})`)) {
    const box = part.getBoundingClientRect();
    if (box.width === 0 || part.closest('pre, .sk-top-container')) continue;
    let frame = part.parentElement;
    while (frame.tagName !== 'ARTICLE' && getComputedStyle(frame).overflowX === 'visible')
      frame = frame.parentElement;
    if (box.right > frame.getBoundingClientRect().right + 1 || box.right > inner + 1)
      wide.push(part.tagName + ': ' + part.textContent.trim().slice(0, 60));
    if (part.tagName[0] === 'H' && part.scrollWidth > part.clientWidth + 1)
      wide.push('cut title: ' + part.textContent);
  }
  return wide;
}"""


@pytest.fixture(scope="module")
def pages():
    """The path of each page, with its text."""
    found = {
        path.relative_to(SITE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(SITE.rglob("*.html"))
        if "_static" not in path.parts
    }
    assert len(found) > 50
    return found


def test_links_resolve(pages):
    anchors = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    broken = []
    for page, text in pages.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), parts.path))
            target = unquote(target) if parts.path else page
            known = anchors.get(target, set()) | {""}
            if not (SITE / target).exists() or unquote(parts.fragment) not in known:
                broken.append(f"{page}: {link}")
    assert broken == []


def public_names():
    """Each public name with its object."""
    rooms = ("callbacks", "datasets", "fusion", "inspection", "metrics")
    names = [n for n in sknnens.__all__ if n not in (*rooms, "__version__")]
    for room in rooms:
        names += [f"{room}.{n}" for n in importlib.import_module(f"sknnens.{room}").__all__]
    return {f"sknnens.{name}": operator.attrgetter(name)(sknnens) for name in names}


def test_every_public_name_has_a_page_with_an_example(pages):
    for name in public_names():
        own = pages[f"generated/{name}.html"].partition('<dl class="py method">')[0]
        assert ">Examples</p>" in own, name


def test_every_public_method_has_an_anchor(pages):
    hidden = {"get_metadata_routing", "set_output", "set_transform_request", "set_score_request"}
    for name, item in public_names().items():
        methods = {m for m in dir(item) if m[0] != "_" and callable(getattr(item, m))}
        for method in methods - hidden if isinstance(item, type) else ():
            assert f'id="{name}.{method}"' in pages[f"generated/{name}.html"]


def test_formulas_are_in_the_pages(pages):
    assert pages["guide/method.html"].count("<math") > 30
    assert not any("mathjax" in text.lower() for text in pages.values())


@pytest.fixture(scope="module")
def browser():
    """A browser that can reach this machine only."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "needs Chromium"
    args = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=args)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address():
    """Address of a server of the site."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_and_ask_nobody(pages, browser, address, width):
    """No element is wider than its page, no sidebar is empty, and no request leaves."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    requests, faults = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("response", lambda r: r.status >= 400 and faults.append(f"{r.status} {r.url}"))
    for name in pages:
        if name in ("search.html", "genindex.html", "py-modindex.html"):
            continue
        page.goto(f"{address}/{name}")
        faults += [f"{name}: {part}" for part in page.evaluate(FIND_WIDE)]
        links = page.locator(".bd-sidebar-primary nav a")
        if links.count() < 10 or (width > 1000 and not links.first.is_visible()):
            faults.append(f"{name}: no contents on the left")
    page.close()
    assert faults == []
    assert {urlsplit(url).netloc for url in requests} == {urlsplit(address).netloc}
