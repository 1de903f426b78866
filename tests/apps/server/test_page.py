"""The page as a person uses it, in a headless Chromium; skipped where there is none."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.server.conftest import KnownBackend, KnownVideo, LongBackend, Running
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.errors import InputError
from videoexpert.library.build import index
from videoexpert.library.encoders import encoder_of
from videoexpert.session import load

playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page is tested in Debian's chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--autoplay-policy=no-user-gesture-required",
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    made = context.new_page()
    made.set_default_timeout(60_000)
    faults: list[str] = []
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    yield made
    context.close()
    assert faults == []


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("state"), load()) as running:
        yield running


@pytest.fixture
def known(tmp_path: Path, backend: Any) -> Iterator[Running]:
    with Running(tmp_path / "state", backend, opened=SHIPPED_VIDEO) as running:
        yield running
        backend.gate.set()


class BlankBackend(KnownBackend):
    """Says that it can answer without a video, and fails to."""

    def open_blank(self, duration_s: float) -> Any:
        raise NotImplementedError

    def open(self, path: Any, **_: Any) -> KnownVideo:
        found: Any = super().open(path)
        found.evidence = self.evidence
        return found

    @staticmethod
    def evidence(queries: Any) -> Any:
        raise InputError("there is nothing grey to look at.")


def now(page: Any) -> float:
    return page.eval_on_selector("#player", "v => v.currentTime")


def drop(page: Any, file: Path) -> None:
    """A file let go over the page."""
    page.evaluate(
        """([bytes, name]) => {
            const data = new DataTransfer();
            const content = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
            data.items.add(new File([content], name, { type: "video/mp4" }));
            for (const kind of ["dragenter", "dragover", "drop"]) {
                const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data });
                document.getElementById("drop").dispatchEvent(event);
            }
        }""",
        [base64.b64encode(file.read_bytes()).decode(), file.name],
    )


def seconds(shown: str) -> list[float]:
    """Both times of a moment as the list shows it."""
    return [60 * int(m) + float(s) for m, s in re.findall(r"(\d+):([\d.]+)", shown)]


def test_drop_a_video_ask_two_sentences_click_a_moment(page, shipped):
    page.goto(shipped.url)
    page.locator("#drop").wait_for()
    drop(page, SHIPPED_VIDEO)
    page.locator("#work").wait_for()
    assert page.locator("#title").inner_text() == "demo.mp4"
    page.fill("#query", "the purple triangle moves right\na dog barks at the moon")
    page.click("#find-go")
    first = page.locator(".results section").first
    first.locator(".moment").first.wait_for()
    assert page.locator(".results section").count() == 2
    start, end = seconds(first.locator(".moment .time").first.inner_text())
    first.locator(".moment .play").first.click()
    page.wait_for_function(f"() => document.getElementById('player').currentTime >= {start - 0.1}")
    assert start - 0.1 <= now(page) <= end + 0.1
    # it stops where the moment does
    page.wait_for_function("() => document.getElementById('player').paused")
    assert start < now(page) < end + 1
    assert page.evaluate("location.hash").startswith("#v=")
    assert page.locator("#timeline .span").count() >= 1
    assert page.locator("#timeline .curve").count() == 2


def test_the_answers_are_those_of_the_model(page, shipped):
    page.goto(shipped.url)
    page.set_input_files("#file", SHIPPED_VIDEO)
    page.fill("#query", "the purple triangle moves right")
    page.click("#find-go")
    shown = page.locator(".results .moment .time").first.inner_text()
    best = load().open(SHIPPED_VIDEO).ground("the purple triangle moves right")[0]
    assert shown == f"0:{best.start:04.1f} – 0:{best.end:04.1f}"


def test_the_slider_hides_moments_without_asking_again(page, known, backend):
    page.goto(known.url)
    page.fill("#query", "it moves")
    page.click("#find-go")
    page.locator(".moment").first.wait_for()
    asked = len(backend.passes)
    page.locator("#least").fill("90")
    assert page.locator(".moment").count() == 0
    assert "below 90%" in page.locator(".results").inner_text()
    page.locator("#least").fill("50")
    assert page.locator(".moment").count() == 1
    assert len(backend.passes) == asked


def test_the_page_says_that_the_model_does_not_know_such_videos(page, known, backend):
    backend.familiarity = 0.1
    page.goto(known.url)
    note = page.locator("#unfamiliar")
    page.fill("#query", "it moves")
    page.click("#find-go")
    note.wait_for(state="visible")
    assert "has not been trained on videos like this one" in note.inner_text()
    page.locator(".moment").first.wait_for()


def test_what_is_absent_is_said_and_has_no_moments(page, known):
    page.goto(known.url)
    page.fill("#query", "absent dog\nit moves")
    page.click("#find-go")
    told = page.locator(".results section").first.locator(".absent")
    told.wait_for()
    assert told.inner_text() == (
        "Not in this video, as far as the model can tell (probability 12%). Its best guess would be 0:01.0 – 0:01.5."
    )
    assert page.locator(".results .moment").count() == 1
    assert page.locator("#timeline .span").count() == 1


WITHOUT = "Does this come from the video?"


def test_the_page_says_what_the_model_would_answer_without_the_video(page, shipped):
    page.goto(shipped.url)
    page.set_input_files("#file", SHIPPED_VIDEO)
    queries = ["the purple triangle moves right", "the green circle moves up"]
    page.fill("#query", "\n".join(queries))
    page.click("#find-go")
    first, second = (page.locator(".results section").nth(i) for i in (0, 1))
    first.get_by_role("button", name=WITHOUT).click()
    told = first.locator(".evidence")
    told.wait_for()
    found = load().open(SHIPPED_VIDEO).evidence(queries[0])
    blank = found.blank_moment
    assert told.inner_text() == (
        f"Without the video the model would give this a probability of {100 * found.blank_presence:.0f}% instead of "
        f"{100 * found.presence:.0f}%, and guess 0:{blank.start:04.1f} – 0:{blank.end:04.1f} "
        f"(overlap {100 * found.overlap:.0f}%)."
    )
    assert second.locator(".evidence").count() == 0  # each sentence is asked about by itself
    assert second.get_by_role("button", name=WITHOUT).count() == 1


def test_evidence_that_cannot_be_had_is_said_or_not_offered(page, tmp_path, backend, known):
    page.goto(known.url)
    page.fill("#query", "it moves")
    page.click("#find-go")
    page.locator(".moment").first.wait_for()
    assert page.get_by_role("button", name=WITHOUT).count() == 0  # this model needs a video
    with Running(tmp_path / "blank", BlankBackend(), opened=SHIPPED_VIDEO) as running:
        page.goto(running.url)
        page.fill("#query", "it moves")
        page.click("#find-go")
        page.get_by_role("button", name=WITHOUT).click()
        page.locator("#notice").filter(has_text="nothing grey to look at").wait_for()
        assert page.get_by_role("button", name=WITHOUT).is_enabled()


@pytest.mark.parametrize(("question", "shown"), [("which?", ["a\n70%", "b\n30%"]), ("named?", ["a", "b"])])
def test_choices_with_and_without_scores(page, known, question, shown):
    page.goto(known.url)
    page.click("#tab-ask")
    page.fill("#question", question)
    page.fill("#choices", "a\nb")
    page.click("#ask-go")
    page.locator(".choice").first.wait_for()
    assert [re.sub(r"\s+", "\n", text.strip()) for text in page.locator(".choice").all_inner_texts()] == shown
    assert page.locator(".choice.best").inner_text().startswith("a")
    assert page.locator(".answer").inner_text() == "a"


def test_another_video_begins_with_an_empty_sentence(page, known):
    page.goto(known.url)
    page.click("#tab-ask")
    page.fill("#question", "why?")
    page.click("#home")
    page.get_by_text("demo.mp4").click()
    page.locator("#query").wait_for()
    assert page.get_attribute("#tab-find", "aria-selected") == "true"
    page.click("#tab-ask")
    assert page.input_value("#question") == ""


def test_a_picture_that_cannot_be_had_leaves_its_place_empty(page, known):
    page.route("**/thumbnail*", lambda route: route.fulfill(status=422))
    page.goto(known.url)
    page.click("#home")
    page.locator("#recent img").first.wait_for(state="attached")
    page.wait_for_function(
        "![...document.querySelectorAll('#recent img')].some((img) => img.hasAttribute('src'))"
    )


def test_a_file_name_is_never_markup(page, known, clip):
    name = "<img src=x onerror=document.title='owned'>.mp4"
    page.goto(known.url)
    page.click("#home")
    page.set_input_files("#file", {"name": name, "mimeType": "video/mp4", "buffer": clip.read_bytes()})
    page.locator("#work").wait_for()
    assert page.locator("#title").inner_text() == name
    page.click("#home")
    page.locator("#recent").get_by_text(name).wait_for()
    assert page.locator("#recent img[src='x'], #title img").count() == 0
    assert page.title() != "owned"


def test_minutes_are_told_of_a_long_video(page, tmp_path, root):
    backend = LongBackend()
    backend.gate.clear()
    with Running(tmp_path / "long", backend, opened=root / "a.mp4") as running:
        page.goto(running.url)
        page.fill("#query", "it moves")
        page.click("#find-go")
        page.locator("#busy").get_by_text("Looked at 30.0 of 60.0 min").wait_for()
        assert page.locator("#busy-bar").is_visible()
        backend.gate.set()
        page.locator(".moment").first.wait_for()
        assert not page.locator("#busy").is_visible()


def test_words_are_never_markup(page, known):
    page.goto(known.url)
    words = "<img src=x onerror=document.title='owned'>"
    page.fill("#query", words)
    page.click("#find-go")
    page.locator(".results h3").wait_for()
    assert page.locator(".results h3").inner_text() == words
    page.click("#tab-chapters")
    page.click("#chapters-go")
    page.get_by_text("it <b>moves</b>").first.wait_for()
    assert page.title() != "owned"


def test_a_broken_upload_says_so_and_leaves_the_page_usable(page, shipped, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    page.goto(shipped.url)
    page.set_input_files("#file", tmp_path / "broken.mp4")
    page.locator("#notice").filter(has_text="video").wait_for()
    assert page.locator("#drop").is_visible()
    assert not page.locator("#work").is_visible()


def test_a_file_chosen_before_the_server_has_answered_is_not_lost(page, shipped, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/v1/info", hold)
    page.goto(shipped.url)
    page.set_input_files("#file", tmp_path / "broken.mp4")
    held[0].continue_()
    page.locator("#notice").filter(has_text="video").wait_for()


def test_cancel_while_it_looks(page, known, backend):
    backend.gate.clear()
    page.goto(known.url)
    page.fill("#query", "it moves")
    page.click("#find-go")
    page.locator("#busy").wait_for()
    page.click("#cancel")
    page.locator("#busy").wait_for(state="hidden")
    assert page.locator(".moment").count() == 0
    assert page.locator("#find-go").is_enabled()


def test_a_reload_takes_the_question_up_again(page, known, backend):
    backend.gate.clear()
    page.goto(known.url)
    page.fill("#query", "it moves")
    page.click("#find-go")
    page.locator("#busy").wait_for()
    page.reload()
    page.locator("#busy").wait_for()
    backend.gate.set()
    page.locator(".moment").first.wait_for()
    assert page.input_value("#query") == "it moves"
    assert len(backend.passes) == 1


def test_keys_and_a_shared_link(page, known, browser):
    page.goto(known.url)
    page.fill("#query", "it moves")
    page.click("#find-go")
    page.locator(".moment").first.wait_for()
    page.locator("#title").click()
    page.keyboard.press("n")
    page.wait_for_function("() => document.getElementById('player').currentTime >= 0.79")
    page.keyboard.press("k")
    link = page.evaluate("location.href")
    other = browser.new_page()
    other.set_default_timeout(60_000)
    other.goto(link)
    other.locator(".moment").first.wait_for()
    other.wait_for_function("() => Math.abs(document.getElementById('player').currentTime - 0.8) < 0.1")
    other.close()


def test_what_is_shown_is_saved_in_the_format_that_was_chosen(page, known):
    page.goto(known.url)
    page.fill("#query", "it moves")
    page.click("#find-go")
    page.locator(".moment").first.wait_for()
    page.select_option("#format", "srt")
    with page.expect_download() as saved:
        page.click("#export")
    assert saved.value.suggested_filename == "demo.srt"
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert text.startswith("1\n00:00:00,800 --> 00:00:01,300\n")
    assert "it moves" in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, known, backend, theme):
    """On a phone: answers, what is absent from an unfamiliar video, a busy page; at a desk: the start with a fault."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="accessibility is tested with axe-core"
    )
    context = browser.new_context(color_scheme=theme, bypass_csp=True, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.set_default_timeout(60_000)
    serious: list[str] = []

    def look() -> None:
        found = axe.Axe().run(page).response["violations"]
        serious.extend(v["id"] for v in found if v["impact"] in ("serious", "critical"))

    backend.familiarity = 0.1
    page.goto(known.url)
    page.fill("#query", "it moves\nabsent dog")
    page.click("#find-go")
    page.locator(".moment").first.wait_for()
    look()
    if theme == "light":
        backend.gate.clear()
        page.click("#find-go")
        page.locator("#busy").wait_for()
        look()
        backend.gate.set()
        page.locator("#busy").wait_for(state="hidden")
        page.click("#tab-ask")
        look()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.click("#home")
    page.locator("#drop").wait_for()
    page.set_input_files("#file", {"name": "a.mp4", "mimeType": "video/mp4", "buffer": b"no video"})
    page.locator("#notice").filter(has_text="not a readable video").wait_for()
    look()
    context.close()
    assert serious == []


@pytest.mark.parametrize("width", [360, 800, 1440])
def test_nothing_is_wider_than_the_window(browser, known, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_default_timeout(60_000)
    page.goto(known.url)
    page.fill("#query", "a very long sentence " * 12)
    page.click("#find-go")
    page.locator(".results h3").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_search_box_opens_a_hit_of_the_library_at_its_moment(page, tmp_path):
    (tmp_path / "videos").mkdir()
    shutil.copy(SHIPPED_VIDEO, tmp_path / "videos" / "found.mp4")
    expert = load()
    index([tmp_path / "videos"], tmp_path / "lib", encoder_of(expert))
    with Running(tmp_path / "state", expert, library=tmp_path / "lib") as running:
        page.goto(running.url)
        page.locator("#library").wait_for()
        page.fill("#library-query", "the purple triangle moves right")
        page.press("#library-query", "Enter")
        hit = page.locator("#library-results .moment").first
        hit.wait_for()
        assert "found.mp4" in hit.inner_text()
        start, _ = seconds(hit.locator(".time").inner_text())
        assert 14 < start < 16
        page.wait_for_function("() => document.querySelector('#library-results img').naturalWidth > 0")
        hit.locator(".play").click()
        page.locator("#work").wait_for()
        assert page.locator("#title").inner_text() == "found.mp4"
        page.wait_for_function(f"() => document.getElementById('player').currentTime >= {start - 0.2}")
