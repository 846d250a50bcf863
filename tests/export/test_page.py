"""Chromium drives the page that `--web` makes: the numbers are dcgan's own, and everything works, for everyone.

With $DCGAN_PICTURES_RUN, a run directory, the page is of that run, and its pictures go to docs/pictures.
"""

from __future__ import annotations

import base64
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.export.web import export_web
from dcgan.latent.arithmetic import pixel_arithmetic
from dcgan.latent.likely import typical
from dcgan.latent.walk import interpolate
from dcgan.latents import latents, truncate
from dcgan.pretrained import Generator
from tests.export.networks import CASES, generator

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


class Visit:
    """A page in a window, with what it logged and asked for."""

    def __init__(self, browser, address, hash="", **window):
        self.address = address
        self.page = browser.new_context(**window).new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address + hash)
        self.page.wait_for_selector("html[data-ready]", timeout=30_000)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.page.context.close()
        if kind is None:
            assert self.said == []
            assert [url for url in self.asked if not url.startswith((self.address, "blob:"))] == []

    def pixels(self, selector):
        """(H, W, 3) of a canvas."""
        url = self.page.locator(selector).first.evaluate("canvas => canvas.toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))

    def until(self, condition, seconds=20):
        """Wait for a JavaScript expression to hold; the page's policy forbids it to evaluate one by itself."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.02)

    def caption(self, view, text):
        self.until(f"document.querySelector('#panel-{view} .caption').textContent.endsWith('{text}')")

    def drawn(self, n):
        self.until(f"document.querySelector('#status').textContent.startsWith('{n} samples')")

    def tile(self, number):
        return self.page.locator(".tile").nth(number)

    def tile_pixels(self, number):
        return self.pixels(f".tile:nth-child({number + 1}) canvas")

    def downloaded(self, selector):
        """The name and the pixels of what a button offers."""
        with self.page.expect_download() as download:
            self.page.click(selector)
        image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
        return download.value.suggested_filename, np.asarray(image.convert("RGB"))


def near(drawn, wanted):
    """Equal but for values half-way between two levels."""
    wanted = np.broadcast_to(wanted, drawn.shape)
    off = np.abs(drawn.astype(int) - wanted)
    return off.max() <= 1 and (off > 0).mean() < 0.01


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module")
def classes(folder, ort, serve):
    """A site of a generator with three classes, and the generator."""
    g = generator("fast, classes")
    return g, serve(export_web(g, folder / "classes", ort, title="Three classes").path)


@pytest.fixture(scope="module")
def shown(folder, ort, serve):
    """The site that pictures are taken of."""
    given = os.environ.get("DCGAN_PICTURES_RUN")
    g = Generator.from_pretrained(given, "cpu") if given else generator("fast")
    title = f"{Path(given).name.capitalize()}" if given else "Noise"
    return g, serve(export_web(g, folder / "shown", ort, title=title, licence="CC0-1.0").path)


@pytest.mark.parametrize(
    "cases",
    [CASES, pytest.param(["paper, as wide as it is"], marks=pytest.mark.slow)],
    ids=["narrow", "wide"],
)
def test_every_preset_in_the_browser_equals_torch(cases, classes, float_model, folder, browser):
    """The page's own worker and runtime, on the files with float output."""
    draw = """async ([name, z, labels]) => {
        const { Model } = await import("./model.js");
        const model = (window.model ??= new Model());
        await model.load(name);
        const { values, shape } = await model.run(z, labels);
        return [shape, Array.from(values)];
    }"""
    _, address = classes
    with Visit(browser, address) as visit:
        assert not visit.page.evaluate("crossOriginIsolated")  # the host sends no headers for it
        for case in cases:
            g, exported = float_model(case)
            config = g.info.network
            (folder / "classes" / f"{case}.onnx").write_bytes(exported.path.read_bytes())
            z = latents(5, config.latent_dim, 9, 0, config.latent)
            labels = torch.arange(5) % config.classes if config.classes else None
            with torch.inference_mode():
                wanted = g.alone()(z, labels).numpy()
            asked = [f"{case}.onnx", z.tolist(), None if labels is None else labels.tolist()]
            shape, values = visit.page.evaluate(draw, asked)
            drawn = np.array(values, np.float32).reshape(shape)
            assert drawn.shape == wanted.shape
            print(f"{case}: in Chromium: largest difference {np.abs(drawn - wanted).max():.1e}")
            assert np.abs(drawn - wanted).max() <= 1e-4, case


def test_latents_are_those_of_the_command(classes, browser):
    draw = """async ([seed, block, dim, how]) => {
        const { latentBlock } = await import("./latents.js");
        return latentBlock(BigInt(seed), block, dim, how).map((z) => Array.from(z));
    }"""
    with Visit(browser, classes[1]) as visit:
        # 2,000 dimensions a latent: 128,000 normals, so that each of the ziggurat's ways out is taken
        for seed, block, dim in ((0, 0, 2000), (7, 3, 100), (2**63 - 1, 10**6, 5), (2**32, 1, 1)):
            for how in ("normal", "uniform"):
                drawn = np.array(visit.page.evaluate(draw, [str(seed), block, dim, how]))
                wanted = latents(64, dim, seed, 64 * block, how).numpy()
                assert drawn.shape == wanted.shape
                np.testing.assert_allclose(drawn, wanted, rtol=3e-7, atol=0)
                assert (drawn == wanted).mean() > 0.999
    assert np.abs(latents(64, 2000, 0).numpy()).max() > 3.7  # the tail was among them


def test_paths_truncation_and_means_are_those_of_the_commands(classes, browser):
    call = "async ([name, ...given]) => Array.from((await import('./paths.js'))[name](...given))"
    one, other = latents(2, 50, 3)
    for how in ("normal", "uniform"):
        a, b = (one, other) if how == "normal" else latents(2, 50, 3, 0, "uniform")
        with Visit(browser, classes[1]) as visit:
            for path in ("spherical", "linear"):
                wanted = interpolate(a, b, 6, path, how).numpy()
                drawn = [
                    visit.page.evaluate(call, ["between", a.tolist(), b.tolist(), i / 5, path, how]) for i in range(6)
                ]
                np.testing.assert_allclose(drawn, wanted, atol=1e-6)
            for limit in (0.3, 1.0, 4.0):
                drawn = visit.page.evaluate(call, ["truncate", a.tolist(), limit, how])
                np.testing.assert_allclose(drawn, truncate(a, limit, how).numpy(), atol=1e-6)
            mean = (a + b) / 2
            drawn = visit.page.evaluate(call, ["typical", mean.tolist(), how])
            np.testing.assert_allclose(drawn, typical(mean[None], how)[0].numpy(), atol=1e-6)
            assert visit.page.evaluate(call, ["mean", [a.tolist(), b.tolist()]]) == pytest.approx(mean.tolist())


def test_samples_are_those_of_the_command(classes, browser):
    g, address = classes
    wanted = g.sample(70, seed=5)
    with Visit(browser, address, "#seed=5") as visit:
        page = visit.page
        for number in (0, 1, 27):
            assert near(visit.tile_pixels(number), wanted[number])
        for _ in range(2):
            page.click("#more")
        visit.drawn(84)
        assert near(visit.tile_pixels(69), wanted[69])
        visit.tile(30).click()
        assert page.inner_text("#panel-draw .caption") == "sample 30, class a of seed 5"
        name, picture = visit.downloaded("#panel-draw .one")
        assert name == "seed-5-sample-30.png"
        assert near(picture, wanted[30])
        name, picture = visit.downloaded("#panel-draw .all")
        assert picture.shape == (9 * 34 + 2, 10 * 34 + 2, 3)  # 84 as nine rows of ten
        assert near(picture[2:34, 36:68], wanted[1])
        page.select_option("#class", "2")
        page.select_option("#typical", "1")
        visit.drawn(84)
        of_class = g.sample(70, seed=5, label=2, truncation=1)
        assert near(visit.tile_pixels(69), of_class[69])
        assert page.url.endswith("#seed=5&class=2&typical=1&sample=30")
        page.fill("#seed", "12")
        page.press("#seed", "Enter")
        visit.until("location.hash.startsWith('#seed=12&')")
        page.go_back()
        visit.until("location.hash.startsWith('#seed=5&')")
        assert page.input_value("#seed") == "5"
        page.fill("#seed", "x")
        page.press("#seed", "Enter")
        assert page.input_value("#seed") == "5"
        before = page.url
        page.click("#another")
        visit.until(f"location.href !== '{before}'")


def test_a_shared_link_shows_the_same(classes, browser):
    g, address = classes
    link = "#seed=9223372036854775807&view=arithmetic&class=1&a=3,4&b=5&c=6"
    with Visit(browser, address, link) as visit:
        assert visit.page.url.endswith(link)
        assert near(visit.tile_pixels(2), g.sample(3, seed=2**63 - 1, label=1)[2])
        assert visit.tile(4).get_attribute("aria-label") == "sample 4, class b, chosen as A"
    nonsense = "#seed=-1&view=<b>&class=3&a=x,1e9,-2&typical=Infinity&sample=99999999999&walk=1,1,2,3,4,5,6,7,8,9,10"
    with Visit(browser, address, nonsense) as visit:
        assert visit.page.url.endswith("#seed=0&walk=1,2,3,4,5,6,7,8,9&a=")


def test_walk(classes, browser):
    g, address = classes
    with Visit(browser, address, "#view=walk&seed=2&walk=4") as visit:
        page = visit.page
        assert page.locator("#panel-walk .play").is_disabled()
        visit.tile(9).click()
        assert page.url.endswith("walk=4,9")
        assert [visit.tile(n).locator(".mark").inner_text() for n in (4, 9, 5)] == ["1", "2", ""]
        z = latents(10, 100, 2)
        label = torch.tensor([4 % 3])
        for place, caption in ((0, "0 %"), (35, "35 %"), (100, "100 %")):
            page.fill("#panel-walk input[type=range]", str(place))
            visit.caption("walk", caption)
            there = interpolate(z[4], z[9], 101, "spherical")[place]
            assert near(visit.pixels("#panel-walk canvas"), g.draw(there[None], label)[0])
        page.click("#panel-walk .play")
        assert page.inner_text("#panel-walk .play") == "Pause"
        visit.until("document.querySelector('#panel-walk .play').textContent === 'Play'")
        assert page.inner_text("#panel-walk .caption") == "sample 4 to 9, 100 %"
        name, picture = visit.downloaded("#panel-walk .picture")
        assert name == "walk-of-seed-2.png"
        assert picture.shape == (36, 342, 3)
        there = interpolate(z[4], z[9], 10, "spherical")[3]
        assert near(picture[2:34, 2 + 3 * 34 :][:, :32], g.draw(there[None], label)[0])
        page.select_option("#panel-walk select", "linear")
        page.fill("#panel-walk input[type=range]", "50")
        visit.caption("walk", "50 %")
        assert near(visit.pixels("#panel-walk canvas"), g.draw((z[4:5] + z[9:10]) / 2, label)[0])
        for number in range(10, 20):
            visit.tile(number).click()
        assert page.url.endswith("path=linear&walk=4,9,10,11,12,13,14,15,16")  # nine and no more
        page.click("#panel-walk .clear")
        assert page.url.endswith("walk=")


def test_arithmetic(classes, browser):
    g, address = classes
    with Visit(browser, address, "#view=arithmetic&seed=2&a=&b=&c=") as visit:
        page = visit.page
        assert page.locator("#panel-arithmetic .picture").is_disabled()
        chosen = {"a": (1, 4, 7), "b": (2,), "c": (3, 6)}
        for name, numbers in chosen.items():
            page.check(f"input[value={name}]")
            for number in numbers:
                visit.tile(number).click()
        page.wait_for_selector("#panel-arithmetic .picture:enabled")
        visit.until("document.querySelector('#pixels').width === 32")
        z, images = latents(8, 100, 2), g.sample(8, seed=2)
        a, b, c = (z[list(numbers)].mean(0, keepdim=True) for numbers in chosen.values())
        label = torch.tensor([0])  # that of samples 3 and 6
        assert near(visit.pixels("#result"), g.draw(typical(a - b + c, "normal"), label)[0])
        assert near(visit.pixels("#mean-a"), g.draw(typical(a, "normal"), torch.tensor([1]))[0])
        assert near(visit.pixels("#mean-b"), images[2])
        wanted = pixel_arithmetic(*(images[list(numbers)] for numbers in chosen.values()))
        assert np.abs(visit.pixels("#pixels").astype(int) - wanted).max() <= 3  # three means of images a level off
        name, picture = visit.downloaded("#panel-arithmetic .picture")
        assert name == "arithmetic-of-seed-2.png"
        assert np.array_equal(picture[2:34, 104:136], visit.pixels("#result"))
        page.click("#panel-arithmetic .clear")
        assert page.url.endswith("a=1,4,7&b=2&c=")


def test_keyboard_alone(classes, browser):
    with Visit(browser, classes[1]) as visit:
        page = visit.page
        page.focus("#tab-draw")
        page.keyboard.press("ArrowRight")
        assert page.locator("#panel-walk").is_visible()
        assert page.evaluate("document.activeElement.id") == "tab-walk"
        page.focus(".tile")
        for key in ("ArrowDown", "ArrowRight", "ArrowLeft", "ArrowUp", "End", "Home", "ArrowLeft", "ArrowRight"):
            page.keyboard.press(key)
        assert visit.tile(1).get_attribute("tabindex") == "0"
        page.keyboard.press("Enter")  # was in the walk, and is no more
        assert page.url.endswith("walk=0,2,3")
        page.focus("#panel-walk input[type=range]")
        page.keyboard.press("End")
        visit.caption("walk", "sample 2 to 3, 100 %")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme, shown, browser):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with Visit(browser, shown[1], color_scheme=scheme) as visit:
        for name in ("draw", "walk", "arithmetic"):
            visit.page.click(f"#tab-{name}")
            found = axe.run(visit.page).response["violations"]
            assert [(v["id"], v["nodes"][0]["target"]) for v in found if v["impact"] in ("serious", "critical")] == []


def test_pictures(shown, browser, tmp_path):
    """Light and dark, wide and narrow; nothing is wider than the window."""
    folder = PICTURES if os.environ.get("DCGAN_PICTURES_RUN") else tmp_path
    wide, narrow = {"width": 980, "height": 620}, {"width": 390, "height": 844}
    chosen = "#seed=3&a=3,10,22&b=1,2,9&c=5,11,21&walk=10,1,22,8"
    views = (("draw", wide, "light"), ("walk", wide, "dark"), ("arithmetic", wide, "light"), ("draw", narrow, "dark"))
    for name, window, scheme in views:
        with Visit(browser, shown[1], f"{chosen}&view={name}", viewport=window, color_scheme=scheme) as visit:
            page = visit.page
            if name == "walk":
                page.fill("#panel-walk input[type=range]", "140")
                visit.caption("walk", "40 %")
            path = folder / f"web-{name if window is wide else 'phone'}.png"
            page.screenshot(path=path)
            assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
            assert folder is tmp_path or path.stat().st_size < 300_000
            page.click("#theme")
            assert (
                page.evaluate("getComputedStyle(document.documentElement).colorScheme")
                == {
                    "light": "dark",
                    "dark": "light",
                }[scheme]
            )


FAKE = """
    const waiting = [], next = () => new Promise((tick) => setTimeout(tick));
    const drawn = async () => { waiting.shift()(); await next(); };
    const samples = (seed) => ({
        seed, facts: { latent: "normal" }, latent: () => new Float32Array([1, 2]), labelOf: () => null,
        draw: (zs) => new Promise((done) => waiting.push(() => done(zs.map(() => new ImageData(4, 4))))),
        pictures: async (numbers) => numbers.map(() => new ImageData(4, 4)),
    });
"""
"""For views alone, with samples that are drawn when a test says so."""


def test_a_walk_that_was_changed_while_it_was_drawn_is_not_described(classes, browser):
    views = """async () => {
        const { WalkView } = await import("./walk.js");
        const view = new WalkView(document.querySelector("#panel-walk"), null, (work) => work());
        const one = samples("0"), render = (walk) => view.render({ walk, how: "linear" }, one);
        render([0, 1, 2, 3]);
        view.slider.value = 277;
        render([5]);
        await drawn();
        await drawn();
        return view.caption.textContent === view.hint && view.canvas.getAttribute("aria-label");
    }""".replace("=> {", "=> {" + FAKE, 1)
    with Visit(browser, classes[1]) as visit:
        label = visit.page.evaluate(views)
        assert label is not False
        assert "undefined" not in (label or "")


def test_arithmetic_offers_what_is_drawn_under_its_own_name(classes, browser):
    views = """async () => {
        const { ArithmeticView } = await import("./arithmetic.js");
        const view = new ArithmeticView(document.querySelector("#panel-arithmetic"), null);
        const state = { a: [1], b: [2], c: [3] }, offered = [];
        for (const seed of ["0", "1"]) {
            view.render(state, samples(seed));
            await next();
            offered.push(!view.picture.disabled);
            await drawn();
            offered.push(!view.picture.disabled && view.drawn.seed);
        }
        return offered;
    }""".replace("=> {", "=> {" + FAKE, 1)
    with Visit(browser, classes[1]) as visit:
        assert visit.page.evaluate(views) == [False, "0", False, "1"]


def test_what_failed_is_tried_again_and_no_longer_said(classes, browser):
    with Visit(browser, classes[1]) as visit:
        page = visit.page
        page.evaluate("""async () => {
            const { Model } = await import("./model.js");
            window.draw = Model.prototype.draw;
            Model.prototype.draw = async () => { throw new Error("on purpose"); };
        }""")
        page.fill("#seed", "7")
        page.press("#seed", "Enter")
        page.wait_for_selector("#status.wrong")
        assert page.inner_text("#status") == "That did not work: on purpose"
        assert {"on purpose" in line for line in visit.said} == {True}
        visit.said.clear()
        page.evaluate("async () => { (await import('./model.js')).Model.prototype.draw = window.draw; }")
        visit.tile(3).click()
        visit.drawn(28)
        assert page.locator("#status.wrong").count() == 0
        assert near(visit.tile_pixels(3), classes[0].sample(4, seed=7)[3])


def test_what_goes_wrong_is_said(classes, folder, browser):
    _, address = classes
    context = browser.new_context()
    page = context.new_page()
    page.route("**/model.onnx", lambda route: route.fulfill(status=404))
    page.goto(address)
    page.wait_for_selector("#status.wrong")
    assert page.inner_text("#status") == "That did not work: model.onnx: 404"
    context.close()


def test_opened_as_a_file_it_says_what_it_wants(classes, folder, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto((folder / "classes" / "index.html").as_uri())
    page.wait_for_selector("#hint.wrong")
    assert "python -m http.server" in page.inner_text("#hint")
    assert "static host" in page.inner_text("#hint")
    context.close()
