"""leaderboard.html in a real Chromium: sorts, hides, hovers, and loads nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from test_page import RULES, write_tree

import scoring
from scoring.web.page import render_page

NAMES = "chromium chromium-browser google-chrome google-chrome-stable chrome msedge"
SUBMISSIONS = ["adam", "lion", "sgd"]


def chromium() -> str | None:
    """A browser on the path, else the one that Playwright has fetched."""
    found = next(filter(None, map(shutil.which, NAMES.split())), None)
    if found:
        return found
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium here: `make browser` installs one")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    logs = write_tree(root / "logs", SUBMISSIONS)
    for folder in (logs / "lion").glob("study_*/*/trial_1"):
        (folder / "hparams.json").write_text('{"learning_rate": 0.25}')
    report = scoring.score(logs, RULES, reference="lion")
    path = root / "leaderboard.html"
    path.write_text(render_page(report), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Page]:
    """The page; afterwards: nothing was complained of and nothing else was loaded."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    yield page
    page.close()
    assert complaints == []
    assert requests == [file.as_uri()]


def first_column(page: Page) -> list[str]:
    cells = page.locator("#leaderboard table").first.locator("tbody th")
    return [text.strip() for text in cells.all_inner_texts()]


def test_a_click_sorts_and_another_one_turns_it_round(opened: Page):
    assert first_column(opened) == ["adam", "lion", "sgd"]
    score = opened.locator("#leaderboard th", has_text="score").first
    score.get_by_role("button").click()
    assert first_column(opened) == ["sgd", "lion", "adam"]
    assert score.get_attribute("aria-sort") == "ascending"
    score.get_by_role("button").click()
    assert first_column(opened) == ["adam", "lion", "sgd"]
    assert score.get_attribute("aria-sort") == "descending"


def test_the_keyboard_sorts(opened: Page):
    opened.locator("#leaderboard th button").first.focus()
    opened.keyboard.press("Enter")
    opened.keyboard.press("Enter")
    assert first_column(opened) == ["sgd", "lion", "adam"]


def test_the_legend_hides_a_submission_in_every_chart(opened: Page):
    lines = opened.locator('svg.profile [data-s="1"], .strips [data-s="1"] circle')
    assert lines.count() > 3
    button = opened.locator('[data-hide="1"]')
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert not any(line.is_visible() for line in lines.all())
    assert opened.locator('svg.profile [data-s="0"]').is_visible()
    assert "lion" in first_column(opened)
    button.press("Space")
    assert lines.first.is_visible()


def test_pointing_at_a_dot_says_what_it_is(opened: Page):
    tip = opened.locator("#tip")
    assert tip.is_hidden()
    # The third study of the first submission lies on top of the others.
    opened.locator('.strips [data-s="0"] circle').nth(2).hover()
    assert tip.inner_text().startswith("adam, study 2, trial 1: 20.0 s, step 100")
    opened.locator("h1").hover()
    assert tip.is_hidden()


def shares(page: Page) -> list[str]:
    return page.locator(".rho output").all_inner_texts()


def test_the_slider_reads_the_profiles(opened: Page):
    # 20, 21 and 22 seconds everywhere: ratios 1, 1.05 and 1.1.
    slider = opened.locator("#tau")
    slider.fill("1")
    assert shares(opened) == ["1.000 (2 of 2)", "0.000 (0 of 2)", "0.000 (0 of 2)"]
    slider.fill("1.07")
    assert shares(opened) == ["1.000 (2 of 2)", "1.000 (2 of 2)", "0.000 (0 of 2)"]
    slider.press("End")
    assert opened.locator("#tau-value").inner_text() == "4.00"
    assert shares(opened) == ["1.000 (2 of 2)"] * 3


def test_a_dot_says_which_hyperparameters_won(opened: Page):
    assert opened.locator("table.winners tbody tr").count() == 18
    opened.locator('.strips [data-s="1"] circle').nth(2).hover()
    tip = opened.locator("#tip").inner_text()
    assert tip.startswith("lion, study 2")
    assert tip.endswith("; learning_rate 0.25")
    # Sorting the table does not change what a dot says.
    opened.locator("summary", has_text="Trials that won").click()
    head = opened.locator("table.winners th", has_text="submission")
    head.get_by_role("button").click()
    head.get_by_role("button").click()
    opened.locator('.strips [data-s="1"] circle').nth(2).hover()
    assert opened.locator("#tip").inner_text() == tip


def test_a_thin_curve_can_be_pointed_at(opened: Page):
    line = opened.locator('#curves [data-s="2"] path.hit').first
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 4)
    assert "reached at" in opened.locator("#tip").inner_text()


def test_intervals_over_workloads_take_the_place_of_those_over_studies(opened: Page):
    board = opened.locator("#leaderboard table").first
    assert board.locator("th.of-studies").first.is_visible()
    assert not board.locator("th.of-workloads").first.is_visible()
    opened.get_by_label("studies and workloads").check()
    assert not board.locator("th.of-studies").first.is_visible()
    assert board.locator("td.of-workloads").first.is_visible()


def test_pointing_at_the_profiles_moves_tau(opened: Page):
    chart = opened.locator("svg.profile")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
    assert 2.3 < float(opened.locator("#tau-value").inner_text()) < 2.6


def test_a_phone_scrolls_down_and_not_sideways(opened: Page):
    opened.evaluate(
        "document.querySelectorAll('details').forEach((d) => d.open = true)"
    )
    opened.set_viewport_size({"width": 360, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") == 360


def contrast(page: Page) -> float:
    """WCAG contrast of the text to the background of the page."""
    return page.evaluate("""() => {
        const style = getComputedStyle(document.body);
        const light = (colour) => {
            const [r, g, b] = colour.match(/\\d+/g).map((v) => v / 255).map((v) =>
                v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const [a, b] = [light(style.color), light(style.backgroundColor)].sort();
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }""")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_modes(browser: Browser, file: Path, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert contrast(page) > 7
    page.close()


def test_without_javascript_everything_is_there_to_read(browser: Browser, file: Path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert first_column(page) == ["adam", "lion", "sgd"]
    assert page.locator("svg.profile path").count() == 3
    assert page.locator(".strips circle title").first.text_content()
    assert not page.locator("#tau").is_visible()
    assert page.locator("button:enabled").count() == 0
    assert page.locator("#curves svg").first.is_visible()
    context.close()
