"""The report in a real browser: what it shows, and that it asks for nothing from outside."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas.examples import EXAMPLES
from tests.support.packages import need_programs
from worker.errors import JobFailed, WrongUsage
from worker.files.lift_report import as_table, page, read_folder, sentences, write_page

EXAMPLE = EXAMPLES["CampaignResult"]


def result(**changes: Any) -> dict[str, Any]:
    """A result like the example, changed."""
    return {**json.loads(json.dumps(EXAMPLE)), **changes}


def treated(**changes: Any) -> list[dict[str, Any]]:
    """The example's groups, the variant's changed."""
    first, holdout = result()["groups"]
    return [{**first, **changes}, holdout]


def shown(tmp_path: Path, *results: dict[str, Any]) -> tuple[str, str]:
    """What a browser makes of the page, and what it wrote into the log of its network."""
    need_programs(chromium="chromium")
    write_page(tmp_path / "lift.html", results)
    net = tmp_path / "net.json"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={net}", "--net-log-capture-mode=Everything"]
    command = ["chromium", *options, "--dump-dom", (tmp_path / "lift.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, net.read_text("utf-8")


def test_the_page_shows_everything_and_asks_for_nothing(tmp_path: Path) -> None:
    """In words, pictures and tables; names are text, whatever is in them; nothing is loaded and no script runs."""
    evil = '<img src="https://elsewhere.example/x" onerror="document.title=1">'
    history = [{**EXAMPLE["history"][0], "at": f"2026-11-{day}T00:00:00.000Z"} for day in (20, 21, 22)]
    seen, net = shown(tmp_path, result(history=history), result(campaign="*", groups=treated(variant=evil)))
    assert "discount: 5.0 more of 100 users ordered because of it (+1.0 to +9.0)." in seen
    assert seen.count("<svg") == 3
    assert "<td>9,000</td>" in seen
    assert seen.index("All campaigns together") < seen.index("cart_reminder")
    assert "<title>What campaigns brought</title>" in seen
    assert "&lt;img src=" in seen
    assert re.search(r"<(img|script|link|iframe)\b", seen) is None
    assert "elsewhere.example" not in net


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.09, "discount: 5.0 more of 100 users ordered because of it (+1.0 to +9.0)."),
        (-0.09, -0.01, "discount: 5.0 fewer of 100 users ordered because of it (-9.0 to -1.0)."),
        (-0.01, 0.11, "discount: can't be told from nothing yet; of 100 users +5.0 ordered (-1.0 to +11.0)."),
    ],
)
def test_nothing_is_said_to_work_whose_bounds_hold_nothing(low: float, high: float, said: str) -> None:
    """More, fewer, or not known yet: by the bounds that hold at all times."""
    estimate = -0.05 if high < 0 else 0.05
    bounds = {"estimate": estimate, "low": low, "high": high, "fixed_low": low / 2, "fixed_high": high / 2}
    found = sentences([result(groups=treated(lift={**EXAMPLE["groups"][0]["lift"], "conversion": bounds}))])
    assert found == [f"cart_reminder, {said}"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sample_ratio": {"log10_evidence": 9999.0, "mismatch": True}}, "not in the arms by the planned shares"),
        ({"groups": treated(sent=30)}, "of 9,240 users to be written to only 30 are known to have been"),
        ({"groups": treated(limited=5_000)}, "limits stood in the way of 5,000 of 9,300 users"),
        ({"groups": treated(lift=None, judged=12)}, "too early to say; 12 users are judged and 1,000 of its control"),
        ({"control": None, "groups": treated(lift=None)}, "nothing to compare with"),
    ],
)
def test_what_should_keep_one_from_believing_is_said(changes: dict[str, Any], said: str) -> None:
    """In the words for the terminal and on the page."""
    assert said in " ".join(sentences([result(**changes)]))
    assert said in page([result(**changes)])


def test_a_report_of_nothing_says_so() -> None:
    """No campaign, no table, no picture."""
    assert "No campaign has decided anything yet." in page([])
    assert (as_table([]).row_count, sentences([])) == (0, [])


def test_a_folder_without_results_is_told(tmp_path: Path) -> None:
    """Not there, or not as this release writes them; and a page that can't be written."""
    with pytest.raises(WrongUsage, match="has no campaign-results"):
        read_folder(tmp_path)
    (tmp_path / "campaign-results.jsonl").write_text('{"campaign": 1}\n')
    with pytest.raises(WrongUsage, match="isn't as this release writes it"):
        read_folder(tmp_path)
    (tmp_path / "campaign-results.jsonl").write_text(json.dumps(EXAMPLE) + "\n")
    assert read_folder(tmp_path) == [EXAMPLE]
    with pytest.raises(JobFailed, match="choose another --html"):
        write_page(tmp_path / "no" / "lift.html", [])
