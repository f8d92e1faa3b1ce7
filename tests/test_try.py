"""docs/try: the page that runs kogpt-mini in the browser, from a folder and from one file."""

import importlib.util
import os
import re
import shutil
from functools import partial

import pytest
from helpers import REPOSITORY, StaticFiles, chromium, http_server, text_of, wait

HERE = REPOSITORY / "docs" / "try"


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_try", HERE / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Handler(StaticFiles):
    """The repository under a sub-path, as GitHub Pages has it."""

    def translate_path(self, path):
        return super().translate_path(path.removeprefix("/project"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile"), "--window-size=1200,1000") as driver:
        yield driver


@pytest.fixture(scope="module")
def address():
    with http_server(partial(Handler, directory=REPOSITORY)) as server:
        yield f"http://127.0.0.1:{server.server_port}/project/docs/try/"


def written(browser):
    wait(browser, lambda: text_of(browser, "#told"))
    return text_of(browser, "#result")


def test_the_page_and_its_settings_are_what_the_tool_would_make_today(build):
    assert (HERE / "index.html").read_text(encoding="utf-8") == build.index()
    assert (HERE / "settings.js").read_text(encoding="utf-8") == build.settings_module()


def test_it_writes_and_shows_why(browser, address):
    browser.get("about:blank")
    browser.get(address + "#prompt=긍정&seed=7&top_p=0.9")
    text = written(browser)
    assert text.startswith("긍정")
    tokens = browser.find_elements("css selector", "[data-token]")
    assert len(tokens) > 1
    tokens[0].click()
    wait(browser, lambda: len(browser.find_elements("css selector", "[data-candidate]")) >= 20)
    assert "top_p" in text_of(browser, ".pipeline")
    names = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith("http://127.0.0.1:") for name in names)
    other = [each for each in browser.find_elements("css selector", "[data-candidate]")
             if each.get_attribute("data-candidate") != tokens[0].get_attribute("data-token")][0]
    browser.execute_script("arguments[0].click()", other)
    wait(browser, lambda: text_of(browser, "#send") == "이어 쓰기")
    assert text_of(browser, "#result") != text
    assert "가지 2개" in text_of(browser, "#branches")


def test_on_a_phone_it_is_as_wide_as_the_phone(browser, address):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True})
    browser.get("about:blank")
    browser.get(address + "#prompt=부정&seed=3")
    written(browser)
    assert browser.execute_script("return innerWidth") == 360
    button = browser.find_element("id", "send")
    assert button.rect["y"] + button.rect["height"] < 640
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("size", [0, 5_000_000, None])
def test_weights_that_are_broken_are_one_sentence(browser, tmp_path, size):
    """Half of the file, nothing, or no file at all."""
    for folder in ("docs/try", "templates/serve_gen", "task3-gen/kogpt-mini"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    weights = tmp_path / "task3-gen" / "kogpt-mini" / "model.safetensors"
    weights.unlink() if size is None else os.truncate(weights, size)
    with http_server(partial(Handler, directory=tmp_path)) as server:
        browser.get("about:blank")
        browser.get(f"http://127.0.0.1:{server.server_port}/docs/try/")
        wait(browser, lambda: "error" in browser.find_element("id", "status").get_attribute("class"))
    told = text_of(browser, "#status")
    assert re.fullmatch(r"(가중치 파일이|model\.safetensors: )[^\n]*[.)]", told), told
    assert not browser.find_elements("css selector", "progress")


def test_one_file_opens_by_a_double_click(browser, build, tmp_path):
    file = tmp_path / "kogpt-mini.html"
    file.write_text(build.single(), encoding="utf-8")
    assert 18e6 < file.stat().st_size < 21e6
    browser.get("about:blank")
    browser.get(f"{file.as_uri()}#prompt=긍정&seed=7&top_p=0.9")
    assert written(browser).startswith("긍정")
    browser.find_elements("css selector", "[data-token]")[0].click()
    wait(browser, lambda: len(browser.find_elements("css selector", "[data-candidate]")) >= 20)
