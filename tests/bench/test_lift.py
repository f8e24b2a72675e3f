"""The comparison with scipy on a real trial, on made data of its form; what lift costs."""

import csv
import lzma
from pathlib import Path

import numpy as np
import pytest

from worker.bench import lift_state
from worker.bench.lift import compared, main


def test_both_sides_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the trial's form: the table has both intervals of every arm and outcome; without the file, status 2."""
    assert main(["--data", str(tmp_path)]) == 2
    rng = np.random.default_rng(5)
    with lzma.open(tmp_path / "hillstrom_email.csv.xz", "wt", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["segment", "visit", "conversion", "spend"])
        for number in range(1_500):
            bought = int(rng.random() < 0.2)
            arm = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")[number % 3]
            writer.writerow([arm, int(rng.random() < 0.3), bought, bought * rng.gamma(2, 30)])
    assert main(["--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("Mens E-Mail") == 3


@pytest.mark.parametrize("binary", [True, False])
def test_the_intervals_are_the_same(binary: bool) -> None:
    """To a fiftieth of their width, of shares and of amounts."""
    rng = np.random.default_rng(6)
    arms = [(rng.random(4_000) < share).astype(float) for share in (0.12, 0.1)]
    arms = arms if binary else [arm * rng.gamma(2, 30, 4_000) for arm in arms]
    ours, theirs = compared(*arms, binary=binary)
    assert ours is not None
    assert (ours.fixed_low, ours.fixed_high) == pytest.approx(theirs, abs=(theirs[1] - theirs[0]) / 50)


def test_what_lift_costs_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """All records of two campaigns are taken, and the ledger is made again of what it stored; no users: status 2."""
    assert lift_state.main(["--users", "0"]) == 2
    assert lift_state.main(["--users", "700", "--campaigns", "2"]) == 0
    assert "restore us per user" in capsys.readouterr().out
    stored = lift_state.costs(700, 2)["stored_bytes_per_user"] - lift_state.costs(700, 1)["stored_bytes_per_user"]
    assert 60 < stored < 80
