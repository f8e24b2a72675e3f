"""The benchmark of learning on a tiny shop and on tiny files: what it compares, and that nobody sees the future."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from worker.bench import learning, learning_sets
from worker.bench.learning_batch import MATURED, batch_scores
from worker.bench.learning_run import Judged
from worker.cli import app
from worker.errors import WrongUsage
from worker.learning.preparation import NAMES
from worker.learning.settings import DAY_MS
from worker.simulate.shop import Settings

Data = dict[str, Any]
TINY = learning.Plan(
    shop=Settings(users=120, days=45, seed=5), linear_samples=1_000, field_samples=300, users=50, events=200
)
TAOBAO = """user_id,item_id,category_id,behavior,ts
u2,p1,c1,buy,1511700000
u1,p1,c1,pv,1511600000
u1,p2,c1,cart,1511600060
u1,p2,c1,fav,1511600120
"""


@pytest.fixture(scope="module")
def result() -> Data:
    """The figures of a tiny simulated shop."""
    return learning.run(None, plan=TINY)


def test_everybody_is_judged_on_the_simulated_shop(result: Data) -> None:
    """Without a folder the data is a simulated shop: each target has its champion, learners and batch models."""
    (shop,) = result["sets"]
    assert shop["events"] > 1_000
    assert {target["target"] for target in shop["targets"]} == {"purchase_7d", "silence_30d"}
    for target in shop["targets"]:
        models = target["models"]
        assert {learning.CHAMPION, "prior", "linear", "tree"} <= models.keys()
        assert {"random forest", "gradient boosting", "logistic regression" + MATURED} <= models.keys()
        assert target["samples"] > target["compared"] >= target["live"]


def test_measures_are_numbers_in_their_ranges(result: Data) -> None:
    """Where something could be compared, AUC and Brier score lie between 0 and 1, and speeds are positive."""
    first = result["sets"][0]["targets"][0]
    assert first["compared"] > 100
    for model, measures in first["models"].items():
        assert all(0 <= measures[name] <= 1 for name in ("auc", "brier", "ece") if name in measures), model
    assert first["models"]["linear"]["auc"] != first["models"]["tree"]["auc"]
    assert result["speed"]["linear_samples_per_second"] > 0
    assert result["speed"]["field_samples_per_second"] > 0


def test_the_table_tells_the_same_figures(result: Data) -> None:
    """A person sees every model with its AUC, uncut on 80 columns."""
    console = Console(width=80)
    with console.capture() as captured:
        console.print(learning.as_table(result))
    text = captured.get()
    for target in result["sets"][0]["targets"]:
        for model, measures in target["models"].items():
            line = next(line for line in text.splitlines() if line.startswith(f"{model} ") and _shown(measures) in line)
            assert "…" not in line


def _shown(measures: Data) -> str:
    return f"{measures['auc']:.3f}" if "auc" in measures else "-"


def drawn(count: int, seed: int = 1) -> Judged:
    """Samples of a target with a horizon of 2 days, four an hour, that one feature foretells well."""
    draw = np.random.default_rng(seed)
    sampled = np.arange(count, dtype=np.int64) * 900_000
    features = draw.normal(size=(count, len(NAMES)))
    labels = features[:, 0] + draw.normal(size=count) * 0.5 > 0
    resolved = sampled + np.where(labels, DAY_MS // 2, 2 * DAY_MS)
    scores = {learning.CHAMPION: np.full(count, np.nan), "linear": draw.random(count)}
    return Judged("t", features, labels, sampled, resolved, sampled + 2 * DAY_MS, scores)


def test_batch_models_see_no_label_that_was_not_there_at_their_refit() -> None:
    """Labels that weren't resolved at a refit change no score that it gave: others in their place give the same."""
    judged = drawn(700)
    refit_ms = 4 * DAY_MS
    unknown = judged.resolved_ms >= refit_ms
    flipped = replace(judged, labels=np.where(unknown, ~judged.labels, judged.labels))
    until = judged.sampled_ms < refit_ms + DAY_MS
    told, otherwise = batch_scores(judged, 1), batch_scores(flipped, 1)
    for model, scores in told.items():
        np.testing.assert_allclose(scores[until], otherwise[model][until], rtol=1e-9, err_msg=model)
        assert not np.isnan(scores[until][-1])
        assert not np.allclose(scores[~until][-48:], otherwise[model][~until][-48:])


def test_batch_models_learn_what_is_there_to_be_learnt() -> None:
    """A feature that foretells the label is found by every one of them, whichever labels it is fitted to."""
    judged = drawn(800)
    figures = learning.judge(judged, batch_scores(judged, 1), int(judged.due_ms[-1]))
    for model, measures in figures["models"].items():
        if model not in {learning.CHAMPION, "linear"}:
            assert measures["auc"] > 0.8, model
    assert abs(figures["models"]["linear"]["auc"] - 0.5) < 0.1  # it was drawn at random


def test_only_what_everybody_scored_is_compared_and_only_whole_horizons() -> None:
    """Samples that someone had no score for, or whose horizon ends after the data, count for nobody."""
    judged = drawn(400)
    judged.scores["linear"][:50] = np.nan
    judged.scores[learning.CHAMPION][300:] = 0.5
    end_ms = int(judged.due_ms[379])
    figures = learning.judge(judged, {"other": np.full(400, 0.5)}, end_ms)
    assert figures["compared"] == 330
    assert figures["live"] == 80
    assert figures["models"]["other"]["auc"] == 0.5
    assert "auc" not in figures["models"][learning.CHAMPION]
    assert figures["models"][learning.CHAMPION]["live_auc"] == 0.5


def test_data_sets_are_found_by_the_names_of_their_files_and_put_in_order(tmp_path: Path) -> None:
    """A file of Taobao's behaviour becomes events in order of time; files that nobody knows are passed over."""
    (tmp_path / "taobao_small.csv").write_text(TAOBAO, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    (data,) = learning_sets.found(tmp_path)
    events = [msgspec.json.decode(payload) for payload in data.payloads]
    assert [event["userId"] for event in events] == ["u1", "u1", "u1", "u2"]
    assert events[0]["event"] == "Product Viewed"
    assert events[3]["properties"]["products"][0]["product_id"] == "p1"
    assert [target.id for target in data.under.checked.definitions.targets] == ["buy_1d"]


def test_a_folder_without_a_known_data_set_is_wrong_usage(tmp_path: Path) -> None:
    """It says which names are known, and what to do; so does the command, be the folder empty or missing."""
    with pytest.raises(WrongUsage, match=r"online_retail\*, taobao\*"):
        learning_sets.found(tmp_path / "missing")
    told = CliRunner().invoke(app, ["bench", "learning", "--data", str(tmp_path)]).exception
    assert isinstance(told, WrongUsage)
    assert "leave it out" in str(told)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured before: what it is measured beside is no part of what is installed."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(WrongUsage, match="pip install scikit-learn"):
        learning.run(None)
