"""A user as an entry: small, exact, and refused if it isn't whole."""

import msgspec
import pytest

from worker.lift.accounts import Account, totals
from worker.lift.people import FIRED, LIMITED, OBSERVED, Part, Person, packed, rows_of, unpacked
from worker.lift.shelves import People, Shelf

NOW_MS = 1_772_409_600_000
PART = Part(3 << 16 | 2, 3, 11, -2, FIRED | OBSERVED, 2, NOW_MS, NOW_MS + 86_400_000, 240_000, 99_950, (1, 2**64 - 1))


def person(parts: int) -> Person:
    """A user in so many runs."""
    of = [msgspec.structs.replace(PART, run=number) for number in range(parts)]
    return Person(of, {3: NOW_MS, 65_535: NOW_MS + 1}, {"email": [NOW_MS] * 8})


@pytest.mark.parametrize("parts", [0, 1, 5, 300])
def test_an_entry_says_what_was_packed(parts: int) -> None:
    """Of nobody's runs, of few, of more than a byte counts."""
    entry = packed(person(parts))
    found = unpacked(entry)
    assert packed(found) == entry
    assert (found.latest, found.sends) == (person(parts).latest, person(parts).sends)
    assert [part.run for part in found.parts] == rows_of([entry])["run"].tolist() == list(range(parts))


def test_a_part_takes_the_room_that_was_planned() -> None:
    """With a fired decision 56 bytes."""
    once = msgspec.structs.replace(PART, joined=(2**64 - 1,))
    sizes = [len(packed(Person([once] * count))) for count in (1, 2)]
    assert sizes[1] - sizes[0] == 56


@pytest.mark.parametrize("harm", [b"", b"\x01", b"\x01\x00", packed(person(1))[:-1], packed(person(1)) + b"\x00",
                                  b"\x02" + packed(person(1))[1:]])  # fmt: skip
def test_what_is_no_entry_is_refused(harm: bytes) -> None:
    """Cut short, too long, of another number of parts; by whoever reads what was stored, at once."""
    with pytest.raises(ValueError, match="no entry of a user"):
        People({b"u": harm})


@pytest.mark.parametrize("harm", [b"", b"{", b"[1]", b'{"1": "many"}'])
def test_what_is_not_of_its_shelf_is_refused(harm: bytes) -> None:
    """No JSON, and JSON of another kind."""
    with pytest.raises(ValueError, match=r"Expecting|no entry of its kind"):
        Shelf(dict[int, int], {b"0/reminder": harm})


def test_sums_are_whole_numbers_of_any_size() -> None:
    """Squares outgrow 64 bits; and what there is nothing of adds up to nothing."""
    rich = msgspec.structs.replace(PART, amount=10**13)
    limited = msgspec.structs.replace(rich, arm=0, seen=LIMITED)
    entries = [packed(Person([rich, limited])) for _ in range(25_000)]
    found = totals(entries, {11: NOW_MS + 10**9})
    assert found[PART.run, -2].amount_squares == 25_000 * 10**26
    assert found[PART.run, 0] == Account(assigned=25_000, limited=25_000, converted=25_000, conversions=50_000,
                                         amount=25_000 * 10**13)  # fmt: skip
    assert totals([packed(Person())], {}) == {}


def test_an_amount_stays_in_its_place() -> None:
    """However much a user buys, she can be stored."""
    part = msgspec.structs.replace(PART, amount=0)
    for _ in range(1_100):
        part.convert(2**53)
    assert unpacked(packed(Person([part]))).parts[0].amount == 2**63 - 1
