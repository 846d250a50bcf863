"""The page in a browser: every tab is driven as people do, nothing is asked of other machines, the console stays empty.

Pictures for the docs: DCGAN_EXPLORE_PICTURES=FOLDER, and DCGAN_EXPLORE_RUN=RUN for a run that is worth looking at.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from dcgan.files import write_atomically
from dcgan.pretrained import Generator
from dcgan.run import Run
from tests.explorer.driving import (
    changed,
    colours,
    downloaded,
    drawn,
    go,
    pixels,
    reload,
    serving,
    settled,
    until,
    visiting,
)
from tests.test_pretrained import CLASSES, trained

pytestmark = pytest.mark.slow
TABS = ("draw", "walk", "directions", "arithmetic", "forget", "training", "honesty")
PICTURES, SHOWN = os.environ.get("DCGAN_EXPLORE_PICTURES"), os.environ.get("DCGAN_EXPLORE_RUN")


@pytest.fixture(scope="module")
def looked_at(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that is shown, a copy of its own."""
    folder = tmp_path_factory.mktemp("shown by name")
    return Path(shutil.copytree(SHOWN or finished, folder / Path(SHOWN or "small").name))


@pytest.fixture(scope="module")
def address(looked_at: Path, weights: dict[str, Path]) -> Iterator[str]:
    """Of a server that the command has started; the training images of a run that is shown are in the user's cache."""
    with serving(looked_at, weights["classes"], cached=bool(SHOWN)) as address:
        yield address


@pytest.fixture
def page(browser, address: str, request: pytest.FixtureRequest) -> Iterator:
    """A page of its own, which fails the test for any error, and for any request to another machine."""
    with visiting(browser, address, **getattr(request, "param", {})) as page:
        page.wait_for_selector("#panel-draw .tile")
        yield page


def snap(page, name: str, height: int = 900) -> None:
    """Keep what is seen for the docs, if they are asked for."""
    if PICTURES:
        settled(page)
        page.wait_for_timeout(2000)  # what was said at the bottom goes
        shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture = shown.crop((0, 0, shown.width, min(height, shown.height))).quantize(112, dither=Image.Dither.NONE)
        picture.save(Path(PICTURES) / f"explore-{name}.png", optimize=True)


def test_draw(page, looked_at: Path) -> None:
    generator = Generator.from_pretrained(looked_at, "cpu")
    first = "#panel-draw .tile canvas"
    drawn(page, first, 29)
    for n, image in enumerate(generator.sample(30)[[0, 29]]):
        assert np.array_equal(pixels(page, first, 29 * n), colours(image))
    snap(page, "draw", 660)
    tiles = page.locator("#panel-draw .tile").count()
    page.mouse.wheel(0, 50_000)
    until(page, f"document.querySelectorAll('#panel-draw .tile').length > {tiles}")
    before = pixels(page, first)
    page.fill("#panel-draw input[type=number]", "7")
    page.keyboard.press("Enter")
    assert np.array_equal(changed(page, first, before), colours(generator.sample(1, 7)[0]))
    slider = page.get_by_role("slider", name="Truncation")
    slider.fill("0.7")
    truncated = generator.sample(1, 7, truncation=0.7)[0]
    assert np.array_equal(changed(page, first, colours(generator.sample(1, 7)[0])), colours(truncated))
    slider.fill("3.05")
    settled(page)
    page.locator("#panel-draw .tile").nth(3).click()
    page.wait_for_selector("dialog[open] canvas")
    settled(page)
    page.keyboard.press("ArrowRight")
    page.get_by_text("Sample 4 of seed 7").wait_for()
    settled(page)
    name, content = downloaded(page, "text=Download PNG")
    assert name == f"{looked_at.name}-7-4.png"
    image = np.asarray(Image.open(io.BytesIO(content)))
    assert np.array_equal(image.reshape(generator.sample(1)[0].shape), generator.sample(5, 7)[4])
    page.click("text=♡ Favourite")
    assert page.get_by_text("♥ Favourite").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    page.get_by_text("Favourites (1)").wait_for()
    name, content = downloaded(page, "text=Download zip")
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.namelist() == ["7-4.png"]
    reload(page)
    page.get_by_text("Favourites (1)").wait_for()
    page.click("text=Forget them")
    page.get_by_text("Favourites (1)").wait_for(state="hidden")


def test_a_run_that_is_replaced_is_shown_anew(browser, run: Path) -> None:
    with serving(run) as address, visiting(browser, address) as page:
        drawn(page, "#panel-draw .tile canvas")
        other = trained(Generator)
        other.save_pretrained(run)
        page.fill("#panel-draw input[type=number]", "7")
        page.keyboard.press("Enter")
        page.get_by_text("There is another run in this place now").wait_for()
        page.get_by_text("16×20").wait_for()
        assert np.array_equal(drawn(page, "#panel-draw .tile canvas"), colours(other.sample(1, 7)[0]))


def test_grids_of_a_training_that_is_begun_anew_are_its_own(browser, run: Path) -> None:
    with serving(run) as address, visiting(browser, address) as page:
        go(page, "training")
        until(page, "document.querySelector('.over-time img').naturalWidth > 0")
        width, log = page.evaluate("document.querySelector('.over-time img').naturalWidth"), run / "metrics.jsonl"
        for path in (run / "samples").iterdir():
            Image.new("RGB", (width + 8, 16)).save(path)
        write_atomically(log, log.read_bytes())
        until(page, f"document.querySelector('.over-time img').naturalWidth === {width + 8}")
        newest = max((run / "samples").glob("0*.png"))
        newest.rename(newest.with_stem("0000123456"))
        page.get_by_text("after 123,456 images").wait_for()


def test_two_runs_side_by_side(page, looked_at: Path) -> None:
    page.get_by_label("Compare with").select_option("1")
    until(page, "document.querySelectorAll('#panel-draw .columns h2').length === 2")
    settled(page)
    assert page.locator("#panel-draw .columns h2").all_inner_texts() == [looked_at.name, "classes"]
    page.select_option("#run", "1")
    page.get_by_label("Class", exact=True).select_option("dog")
    settled(page)


def test_walk(page, looked_at: Path) -> None:
    go(page, "walk")
    generator = Generator.from_pretrained(looked_at, "cpu")
    view = "#panel-walk .player canvas"
    first = colours(generator.sample(1)[0])
    page.get_by_text("1 of 70").wait_for()
    assert np.array_equal(drawn(page, view), first)
    snap(page, "walk")
    scrub = page.get_by_label("Frame of the walk")
    scrub.fill("23")
    assert np.array_equal(changed(page, view, first), colours(generator.sample(2)[1]))
    scrub.fill("11")
    arc = pixels(page, view)
    page.get_by_label("Line", exact=True).check()
    line = changed(page, view, arc)
    page.get_by_role("button", name="▶ Play").click()
    changed(page, view, line)
    page.get_by_role("button", name="Pause").click()
    page.locator("#panel-walk section[aria-label='Choose samples'] .tile").nth(8).click()
    page.get_by_text("of 93").wait_for()
    page.get_by_label("back to the first").check()
    page.get_by_text("of 115").wait_for()
    _, content = downloaded(page, "text=Export GIF")
    assert sum(1 for _ in ImageSequence.Iterator(Image.open(io.BytesIO(content)))) == 115
    page.locator("#panel-walk [aria-label='Path'] .tile").first.click()
    page.get_by_text("of 92").wait_for()


def test_a_walk_is_played_once_its_frames_are_there(page) -> None:
    play, before = page.get_by_role("button", name="▶ Play"), list[bool]()

    def look(route) -> None:
        before.append(play.is_disabled())
        route.continue_()

    page.route("**/walk.png", look)
    go(page, "walk")
    page.get_by_text("1 of 70").wait_for()
    assert before[0]
    play.click()
    page.get_by_text("3 of 70").wait_for()


def test_directions(page) -> None:
    go(page, "directions")
    page.locator("#panel-directions .slider input").nth(7).wait_for()
    view = "#panel-directions .moved canvas"
    start = drawn(page, view)
    slider = page.locator("#panel-directions .slider input").first
    slider.fill("3")
    moved = changed(page, view, start)
    ends = "#panel-directions .slider canvas"
    assert np.array_equal(moved, pixels(page, ends, 1))  # the picture at the slider's end
    snap(page, "directions")
    page.click("text=All back to 0")
    assert np.array_equal(changed(page, view, moved), start)
    tiles = page.locator("#panel-directions section[aria-label='Choose samples'] .tile")
    for group, numbers in (("From", (5, 6)), ("To", (7, 8))):
        page.get_by_label(group, exact=True).check()
        for number in numbers:
            tiles.nth(number).click()
    page.fill("[placeholder=smile]", "mine")
    page.click("text=Add direction")
    page.get_by_label("mine", exact=True).fill("2")
    changed(page, view, start)
    page.get_by_label("Remove mine").click()
    settled(page)
    assert np.array_equal(pixels(page, view), start)


def test_arithmetic(page) -> None:
    go(page, "arithmetic")
    result = "#panel-arithmetic .three canvas"
    before = drawn(page, result, 4)
    snap(page, "arithmetic")
    page.get_by_label("B", exact=True).check()
    tiles = page.locator("#panel-arithmetic section[aria-label='Choose samples'] .tile")
    tiles.nth(12).click()
    after = changed(page, result, before, 4)
    tiles.nth(15).drag_to(page.get_by_role("group", name="group C"))
    again = changed(page, result, after, 4)
    assert page.get_by_role("group", name="group C").locator(".tile").count() == 4
    neighbour = pixels(page, result, 0)
    page.get_by_label("Noise of the neighbours").fill("1.5")
    changed(page, result, neighbour, 0)
    assert np.array_equal(pixels(page, result, 4), again)


def test_forget(page, looked_at: Path) -> None:
    go(page, "forget")
    settled(page)
    for n in range(6):
        place = page.locator(".boxed").nth(n).bounding_box()
        x, y, side = place["x"], place["y"], place["width"]
        page.mouse.move(x + 0.28 * side, y + 0.66 * side)
        page.mouse.down()
        page.mouse.move(x + 0.72 * side, y + 0.88 * side, steps=4)
        page.mouse.up()
    page.get_by_text("6 boxes").wait_for()
    page.get_by_label("Add a box to Sample 6").click()
    box = page.locator(".box").last
    top = box.evaluate("element => parseFloat(element.style.top)")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    assert box.evaluate("element => parseFloat(element.style.top)") < top
    page.get_by_text("7 boxes").wait_for()
    page.keyboard.press("Delete")
    page.get_by_text("6 boxes").wait_for()
    page.click("text=Forget it")
    page.get_by_text("maps are dropped").wait_for()
    settled(page)
    page.locator("#panel-forget > div").evaluate("element => scrollTo(0, 0)")
    assert not np.array_equal(pixels(page, ".pair canvas", 0), pixels(page, ".pair canvas", 1))
    if PICTURES:
        page.set_viewport_size({"width": 1240, "height": 1180})
    snap(page, "forget", 1080)
    page.fill("input[pattern]", "no-mouth")
    page.click("text=Save the generator")
    page.get_by_text("Saved as edited/no-mouth.safetensors").wait_for()
    kept = looked_at / "edited" / "no-mouth.safetensors"
    command = shlex.split(page.locator("#panel-forget code").inner_text())
    assert command == ["dcgan", "sample", str(kept), "--out", "grid.png"]
    edited = Generator.from_pretrained(kept, "cpu")
    assert np.array_equal(pixels(page, ".pair canvas", 1), colours(edited.sample(1)[0]))
    page.refusals = True
    page.click("text=Save the generator")
    page.get_by_text("exists already").wait_for()


def test_what_a_training_adds_is_seen(page, looked_at: Path) -> None:
    go(page, "training")
    page.locator(".chart svg path").first.wait_for()
    settled(page)
    snap(page, "training")
    run = Run(looked_at)
    last = run.metrics()[-1]
    run.log(last | {"step": last["step"] + 5, "images": 123_456_789})
    page.get_by_text("123,456,789").first.wait_for()
    page.get_by_text("live", exact=True).wait_for()
    image = page.locator(".over-time img")
    shown = image.get_attribute("alt")
    run.log_health({"step": 7, "images": 56, "symptom": "collapse", "evidence": "<img src=x onerror=alert(1)>"})
    page.get_by_text("<img src=x onerror=alert(1)>").wait_for()
    page.get_by_label("Time of the samples").fill("0")
    until(page, f"document.querySelector('.over-time img').alt !== {shown!r}")
    first = sorted((looked_at / "samples").glob("*.png"))[0]
    assert image.get_attribute("alt") == f"Samples after {int(first.stem):,} images"
    run.rewind(last["step"], 10**9)
    page.get_by_text("123,456,789").first.wait_for(state="hidden")
    (looked_at / "health.jsonl").unlink()


def test_honesty(page, looked_at: Path) -> None:
    go(page, "draw")
    page.locator("#panel-draw .tile").nth(2).click()
    page.click("text=Nearest real images")
    page.get_by_text("Sample, and the nearest training images").wait_for()
    command = shlex.split(page.locator("#panel-honesty code").inner_text())
    assert command == ["dcgan", "evaluate", str(looked_at), "--metrics", "memorisation"]
    assert page.locator(".honest").count() == 1
    page.locator("#panel-honesty section[aria-label='Choose samples'] .tile").nth(8).click()
    until(page, "document.querySelectorAll('.honest').length === 2")
    assert page.locator(".honest figure").count() == 10
    page.get_by_text("Others").click()
    until(page, "document.querySelectorAll('.honest').length === 6")
    snap(page, "honesty")
    page.select_option("#run", "1")
    page.get_by_text("There is nothing to compare with").wait_for()


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
def test_axe_finds_nothing_serious(page) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    found: list[tuple[str, ...]] = []
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    rules = {"resultTypes": ["violations"]} | ({"runOnly": ["color-contrast"]} if dark else {})
    for tab in TABS:
        go(page, tab)
        settled(page)
        page.evaluate("document.getElementById('status').className = ''")  # what is fading has no contrast
        for violation in axe.run(page, options=rules).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found.append((tab, violation["id"], *(node["html"][:120] for node in violation["nodes"][:3])))
    assert not found


@pytest.mark.parametrize("page", [{"viewport": {"width": 360, "height": 740}, "has_touch": True}], indirect=True)
def test_a_phone_is_wide_enough(page) -> None:
    for tab in TABS:
        go(page, tab)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, tab
        assert page.locator(f"#tab-{tab}").bounding_box()["x"] >= 0
        if tab in ("walk", "training"):
            snap(page, f"phone-{tab}")


def test_long_names_have_room_and_numbers_their_order(browser, tmp_path: Path) -> None:
    long, numbers = "very_long_name_" * 16, ("10", "9")
    runs = [tmp_path / name for name in ("one", "a_long_name_" * 12)]
    generator = trained(Generator, **CLASSES)
    generator.info = replace(generator.info, class_names=(long, *numbers))
    for path in runs:
        generator.save_pretrained(path)
    phone = {"viewport": {"width": 360, "height": 740}}
    with serving(*runs) as address, visiting(browser, address, **phone) as page:
        page.wait_for_selector("#panel-draw .tile")
        other, label = page.get_by_label("Compare with"), page.get_by_label("Class", exact=True)
        assert label.locator("option").all_inner_texts() == ["all in turn", long, *numbers]
        assert other.locator("option").all_inner_texts() == ["nothing", runs[1].name]
        label.select_option(long)
        other.select_option("1")
        settled(page)
        page.locator("#panel-draw .tile").first.click()
        page.wait_for_selector("dialog[open] canvas")
        settled(page)
        for element in ("document.documentElement", "document.querySelector('dialog')"):
            assert page.evaluate(f"{element}.scrollWidth <= {element}.clientWidth"), element
        page.keyboard.press("Escape")
        for tab in TABS:
            go(page, tab)
            settled(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, tab


def test_the_newest_favourites_are_shown(page, looked_at: Path) -> None:
    pick = {"seed": 0, "label": None, "truncation": None}
    script = f"picks => localStorage.setItem('dcgan.favourites.{looked_at.name}', JSON.stringify(picks))"
    page.evaluate(script, [pick | {"number": number} for number in range(1000, 1200)])
    reload(page)
    page.get_by_text("Favourites (the newest 64 of 200)").wait_for()
    page.locator("#panel-draw .tiles .tile").first.click()
    page.click("text=♡ Favourite")
    page.get_by_text("200 favourites are kept").wait_for()
    page.keyboard.press("Escape")
    kept = page.get_by_role("group", name="Favourites").locator(".tile")
    settled(page)
    assert [kept.nth(n).get_attribute("title") for n in (0, 1)] == ["Sample 0 of seed 0", "Sample 1199 of seed 0"]
    page.click("text=Forget them")


def test_keys_are_enough(page) -> None:
    page.focus("#tab-draw")
    for tab in (*TABS[1:], "draw"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == f"tab-{tab}"
        assert page.locator("[role=tabpanel]:not([hidden])").get_attribute("id") == f"panel-{tab}"
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.locator("#panel-draw .tile").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    assert "Sample 0" in page.evaluate("document.activeElement.getAttribute('aria-label')")


def test_light_and_dark_are_remembered(page) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    dark = page.evaluate(ground)
    assert dark != light
    reload(page)
    page.wait_for_selector("#panel-draw .tile")
    assert page.evaluate(ground) == dark
    go(page, "directions")
    snap(page, "dark")


def test_requests_of_another_site_are_refused(browser, address: str, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("http://evil.example/", lambda route: route.fulfill(body="<h1>evil</h1>", content_type="text/html"))
    page.goto("http://evil.example/")
    read = f"fetch('{address}api/runs').then((answer) => answer.text(), () => 'refused')"
    assert page.evaluate(read) == "refused"
    blind = f"fetch('{address}api/runs', {{mode: 'no-cors'}}).then((answer) => answer.type, () => 'refused')"
    assert page.evaluate(blind) in ("opaque", "refused")
    image = f"""new Promise((done) => {{ const image = new Image();
        image.onload = () => done('seen'); image.onerror = () => done('refused');
        image.src = '{address}api/runs/0/samples.png?count=1'; }})"""
    assert page.evaluate(image) == "refused"
    context.close()


def test_an_address_that_names_no_tab_shows_the_first(page, address: str) -> None:
    page.goto(f"{address}#constructor")
    page.locator("#panel-draw .tile").first.wait_for()


def test_ticks_of_numbers_that_hardly_differ_end(page) -> None:
    few = page.evaluate("import('/page/chart.js').then(({ ticks }) => ticks(1e17, 1e17 + 16).length)")
    assert few <= 15
    assert page.evaluate("import('/page/chart.js').then(({ ticks }) => ticks(-3, 12))") == [0, 5, 10]


def test_favourites_of_classes_that_the_run_lacks_are_kept(page, looked_at: Path) -> None:
    stored = f"'dcgan.favourites.{looked_at.name}'"
    page.evaluate(f"localStorage.setItem({stored}, JSON.stringify([{{seed: 0, number: 1, label: 'gone'}}]))")
    reload(page)
    drawn(page, "#panel-draw .tile canvas")
    page.locator("#panel-draw .tile").nth(2).click()
    page.click("text=♡ Favourite")
    page.keyboard.press("Escape")
    page.get_by_text("Favourites (1)").wait_for()
    kept = page.evaluate(f"JSON.parse(localStorage.getItem({stored})).map((one) => one.number)")
    assert kept == [1, 2]
