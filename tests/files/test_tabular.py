"""Tables made into events: by a mapping of columns, and by the names of the columns."""

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.files.support import RETAIL_HEADER
from worker.errors import WrongUsage
from worker.files import columns
from worker.files.source import Source
from worker.language.mapping import SHIPPED
from worker.language.mistakes import MappingError

RETAIL = """\
536365,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom
536365,71053,"LANTERN, WHITE",2,2010-12-01 08:26:00,3.39,17850,United Kingdom
536366,22633,WARMER,6,2010-12-01 08:28:00,1.85,,United Kingdom
C536379,D,Discount,-1,2011-07-01 09:41:00,27.50,14527.0,United Kingdom
536365,22752,BOXES,1,2010-12-01 08:27:00,7.65,17850,United Kingdom
536380,22961,JAM,0,2010-12-01 09:41:00,1.45,17809,United Kingdom
536381,22961,JAM,3,2010-12-01 09:41:00,0,17809,United Kingdom
"""


def read(path: Path, mapping: str | None = None) -> tuple[dict[int, dict[str, Any]], Counter[str]]:
    """The events of a table by offset, and the lines left out by reason."""
    source = Source([path], columns.load(columns.find(mapping).read_text(encoding="utf-8")) if mapping else None)
    found = {
        offset: json.loads(payload)
        for payloads, offsets in source.batches(10)
        for payload, offset in zip(payloads, offsets, strict=True)
    }
    return found, source.left_out


@pytest.fixture
def retail(tmp_path: Path) -> Path:
    """A few invoice lines as UCI Online Retail has them."""
    path = tmp_path / "retail.csv"
    path.write_text(f"{RETAIL_HEADER}\n{RETAIL}", encoding="utf-8")
    return path


def test_an_invoice_is_one_order_with_its_products(retail: Path) -> None:
    """Its lines come together though another customer's stand between them; the offset is that of the first line."""
    found, _ = read(retail, "online_retail")
    order = found[1]
    assert (order["event"], order["userId"], order["properties"]["order_id"]) == ("Order Completed", "17850", "536365")
    assert order["timestamp"] == "2010-12-01T08:26:00.000Z"
    assert order["properties"]["products"] == [
        {"product_id": "85123A", "price": 2.55, "quantity": 6.0},
        {"product_id": "71053", "price": 3.39, "quantity": 2.0},
        {"product_id": "22752", "price": 7.65, "quantity": 1.0},
    ]


def test_a_cancellation_is_a_refund_at_london_time(retail: Path) -> None:
    """Its quantity counts positive, its customer loses the spreadsheet's .0, July in London is an hour ahead of UTC."""
    found, _ = read(retail, "online_retail")
    refund = found[4]
    assert (refund["event"], refund["userId"]) == ("Order Refunded", "14527")
    assert refund["timestamp"] == "2011-07-01T08:41:00.000Z"
    assert refund["properties"]["products"] == [{"product_id": "D", "price": 27.5, "quantity": 1.0}]


def test_what_is_neither_is_left_out_and_counted(retail: Path) -> None:
    """No customer, no positive quantity, no price: each line is counted under one reason, and makes no event."""
    found, left_out = read(retail, "online_retail")
    assert sorted(found) == [1, 4]
    assert left_out == {"no_customer": 1, "write_off": 1, "no_price": 1}


def test_an_invoice_too_far_apart_is_two_events(tmp_path: Path) -> None:
    """What is held open is bounded: lines further apart than `within_lines` are no longer one group."""
    mapping = tmp_path / "near.yaml"
    mapping.write_text(
        "columns: {id: id, who: text, at: epoch_seconds}\nuser: who\ntime: at\ngroup: {by: id, within_lines: 2}\n"
        "events: [{event: Order Completed, properties: {order_id: id}, product: {product_id: who}}]\n"
    )
    table = tmp_path / "t.csv"
    table.write_text("id,who,at\n1,a,1\n2,b,2\n1,a,3\n3,c,4\n4,d,5\n5,e,6\n1,a,7\n")
    found, _ = read(table, str(mapping))
    assert [(at, e["properties"]["order_id"], len(e["properties"]["products"])) for at, e in found.items()] == [
        (1, "1", 2), (2, "2", 1), (4, "3", 1), (5, "4", 1), (6, "5", 1), (7, "1", 1),
    ]  # fmt: skip


def test_an_invoice_larger_than_a_record_keeps_its_total(tmp_path: Path) -> None:
    """Two thousand lines don't fit into 64 KiB: the products that don't are counted, the amount is whole."""
    lines = [f"7,{number:05},X,2,2010-12-01 08:26:00,1.5,17850,UK" for number in range(2000)]
    table = tmp_path / "large.csv"
    table.write_text("\n".join([RETAIL_HEADER, *lines]))
    found, left_out = read(table, "online_retail")
    properties = found[1]["properties"]
    assert properties["total"] == 6000
    assert 0 < left_out["beyond_event_size"] == 2000 - len(properties["products"])
    assert len(json.dumps(found[1], separators=(",", ":"))) <= 65_536


def test_what_is_no_number_or_time_goes_on_as_text(tmp_path: Path) -> None:
    """The mapping doesn't judge: the engine repairs or refuses such an event like any other."""
    table = tmp_path / "odd.csv"
    table.write_text(f"{RETAIL_HEADER}\n1,A,X,many,yesterday,2.5,17850,UK\n")
    found, _ = read(table, "online_retail")
    assert found[1]["timestamp"] == "yesterday"
    assert found[1]["properties"]["products"][0]["quantity"] == "many"


def test_csv_columns_are_fields_by_their_dotted_names(tmp_path: Path) -> None:
    """Without a mapping numbers are numbers where the spec says so, products are JSON, and empty cells are absent."""
    table = tmp_path / "events.csv"
    table.write_text(
        "userId,event,timestamp,properties.order_id,properties.total,properties.products,context.timezone\n"
        'u-1,Order Completed,1767614400000,123,9.5,"[{""product_id"": ""p""}]",Europe/Rome\n'
        "u-2,Product Viewed,2026-01-05T12:00:00Z,,,,\n"
    )
    found, _ = read(table)
    assert found[1] == {
        "type": "track", "userId": "u-1", "event": "Order Completed", "timestamp": 1767614400000,
        "properties": {"order_id": "123", "total": 9.5, "products": [{"product_id": "p"}]},
        "context": {"timezone": "Europe/Rome"},
    }  # fmt: skip
    assert found[2] == {
        "type": "track", "userId": "u-2", "event": "Product Viewed", "timestamp": "2026-01-05T12:00:00Z"
    }  # fmt: skip


def test_parquet_gives_the_events_that_csv_gives(retail: Path, tmp_path: Path) -> None:
    """The same invoice lines as typed columns: real times, floats for customers, and rows counted from 0."""
    rows = [line.split(",") for line in RETAIL.replace('"LANTERN, WHITE"', "LANTERN").splitlines()]
    names = RETAIL_HEADER.split(",")
    table = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    typed: dict[str, list[Any]] = {
        **table,
        "Quantity": [int(text) for text in table["Quantity"]],
        "UnitPrice": [float(text) for text in table["UnitPrice"]],
        "CustomerID": [float(text) if text else None for text in table["CustomerID"]],
        "InvoiceDate": [datetime.fromisoformat(text) for text in table["InvoiceDate"]],
    }
    path = tmp_path / "retail.parquet"
    pyarrow.parquet.write_table(pyarrow.table(typed), path)
    of_csv, left_out = read(retail, "online_retail")
    of_parquet, also_left_out = read(path, "online_retail")
    assert of_parquet == {offset - 1: event for offset, event in of_csv.items()}
    assert also_left_out == left_out


def test_parquet_columns_keep_their_types(tmp_path: Path) -> None:
    """Structs and timestamps of a table without a mapping become the objects and times of an event."""
    path = tmp_path / "events.parquet"
    moment = datetime(2026, 1, 5, 12, tzinfo=UTC)
    rows = [{"userId": "u-1", "event": "Order Completed", "timestamp": moment, "properties": {"total": 9.5}}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    found, _ = read(path)
    assert found[0]["timestamp"] == "2026-01-05T12:00:00.000Z"
    assert found[0]["properties"] == {"total": 9.5}


RIGHT = """\
columns: {a: text, at: {time: ["%d/%m/%Y"]}}
user: a
time: at
encoding: latin-1
leave_out: [{reason: none, where: {a: {absent: true}}}]
group: {by: a}
events: [{event: X, where: {a: {not: {equals: 5}}}, properties: {order_id: a, total: {value: 1}}}]
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "near"),
    [
        ("columns:", "colums:", "line 1, column 1, colums", "columns"),
        ("{a: text,", "{a: texxt,", "line 1, column 14, columns", "text"),
        ("{a: text,", "{a: 5,", "line 1, column 14, columns", None),
        ("{time: [", "{tme: [", "line 1, column 25, columns", "time"),
        ("%d/%m/%Y", "%d/%m/%Q", "line 1, column 32, columns", None),
        ("user: a", "user: aat", "line 2, column 7, user", "at"),
        ("time: at", "timezone: Europe/Berln\ntime: at", "line 3, column 11, timezone", "Europe/Berlin"),
        ("latin-1", "latin-99", "line 4, column 11, encoding", None),
        ("reason: none", "reason: 5", "line 5, column 22, leave_out[0]", None),
        ("where: {a: {absent", "where: {aat: {absent", "line 5, column 36, leave_out[0]", "at"),
        ("absent:", "absnt:", "line 5, column 40, leave_out[0]", "absent"),
        ("by: a", "by: b", "line 6, column 13, group", None),
        ("equals: 5", "equals: [5]", "line 7, column 39, events[0]", None),
        ("order_id: a", "order_id: 5", "line 7, column 76, events[0]", None),
        ("order_id: a", "order_id: {colum: a}", "line 7, column 77, events[0]", "column"),
        ("order_id: a", "order_id: {column: aat}", "line 7, column 85, events[0]", "at"),
        ("events: [", "events: [] #", "line 7, column 1, events", None),
        ("{by: a}", "{by: a]", "line 6, column 14", None),
    ],
)
def test_a_mistake_in_a_mapping_of_columns_is_told_at_its_spot(
    old: str, new: str, place: str, near: str | None
) -> None:
    """One mistake is one sentence with line, column and the nearest valid name, in words of ours."""
    assert columns.load(RIGHT) is not None
    with pytest.raises(MappingError) as told:
        columns.load(RIGHT.replace(old, new, 1))
    (mistake,) = told.value.mistakes
    assert str(mistake).startswith(f"{place}: ")
    assert mistake.nearest == near
    assert "Input should" not in mistake.message


def test_a_mapping_of_events_is_none_of_columns() -> None:
    """Rules tell them apart, and so does a file that has neither."""
    assert [columns.load(text) for text in ("rules: []", "match: {event: x}", "[]", "")] == [None] * 4


def test_a_name_of_a_vendor_means_the_shipped_mapping_of_events() -> None:
    """It reads the events of all four; a name nobody knows is told with those there are."""
    assert {columns.find(name) for name in ("segment", "ga4", "braze", "snowplow")} == {SHIPPED}
    with pytest.raises(WrongUsage) as told:
        columns.find("snowplough")
    for said in ("nearest: snowplow", "the path of a file", "segment", "ga4", "braze", "online_retail"):
        assert said in str(told.value)
    with pytest.raises(WrongUsage):
        columns.find("x" * 300)


def test_a_table_without_the_columns_is_refused(tmp_path: Path) -> None:
    """The message names the file, the missing columns with the nearest that is there, and those that are there."""
    path = tmp_path / "other.csv"
    path.write_text("Customer ID,b\n1,2\n")
    with pytest.raises(WrongUsage) as told:
        read(path, "online_retail")
    assert str(told.value).startswith(
        f"{path} has no column CustomerID (nearest: Customer ID), InvoiceDate, InvoiceNo, Quantity, StockCode, "
        "UnitPrice; it has Customer ID, b: "
    )
    path.write_text("user_id,b\n1,2\n")
    with pytest.raises(WrongUsage, match=r"other\.csv has no column userId \(nearest: user_id\); it has user_id, b: "):
        read(path)


def one(path: Path, header: str, row: str) -> dict[str, Any]:
    """The event of a CSV of one row, its cells between semicolons."""
    cells = ",".join('"' + cell.replace('"', '""') + '"' for cell in row.split(";"))
    (path / "one.csv").write_text(f"userId,{header}\nu-1,{cells}\n", encoding="utf-8")
    (event,) = read(path / "one.csv")[0].values()
    return event


@pytest.mark.parametrize("text", ["²", "١٢", "1" * 20, "1" * 5000, "-5", "1_000"])
def test_only_digits_are_an_instant(tmp_path: Path, text: str) -> None:
    """And no more of them than nanoseconds have: anything else stays text, for the engine to refuse."""
    assert one(tmp_path, "timestamp", text)["timestamp"] == text
    assert one(tmp_path, "timestamp", " 1767614400000 ")["timestamp"] == 1767614400000


@pytest.mark.parametrize("text", ["1e306", "²", "inf", "nan"])
def test_seconds_that_are_no_instant_stay_text(tmp_path: Path, text: str) -> None:
    """A column of epoch seconds judges no more than the others."""
    mapping = tmp_path / "m.yaml"
    mapping.write_text("columns: {userId: id, at: epoch_seconds}\nuser: userId\ntime: at\nevents: [{event: X}]\n")
    (tmp_path / "t.csv").write_text(f"userId,at\nu-1,{text}\nu-1,1.5\n", encoding="utf-8")
    assert [event["timestamp"] for event in read(tmp_path / "t.csv", str(mapping))[0].values()] == [text, 1500]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("properties.total;properties.a.b;properties", '5;x;{"total": 7, "rating": 3, "a": {"b": "y", "c": "z"}}'),
        ("properties;properties.total;properties.a.b", '{"total": 7, "rating": 3, "a": {"b": "y", "c": "z"}};5;x'),
    ],
)
def test_an_object_and_columns_of_its_fields_come_together(tmp_path: Path, header: str, row: str) -> None:
    """In whichever order they stand; where both say something the column of the one field counts."""
    properties = one(tmp_path, header.replace(";", ","), row)["properties"]
    assert properties == {"total": 5.0, "rating": 3, "a": {"b": "x", "c": "z"}}


def test_an_object_too_deep_to_read_stays_text(tmp_path: Path) -> None:
    """As anything that isn't JSON does."""
    deep = "[" * 20_000 + "]" * 20_000
    assert one(tmp_path, "properties", deep)["properties"] == deep


def test_ids_of_parquet_are_text(tmp_path: Path) -> None:
    """Whole numbers, as pandas has them, also where one missing made floats of them; other numbers stay numbers."""
    path = tmp_path / "events.parquet"
    table: dict[str, list[Any]] = {
        "userId": [17850, 3],
        "messageId": [1.0, None],
        "properties.order_id": [1e16, 536365.0],
        "properties.product_id": [Decimal(7), Decimal(8)],
        "traits.age": [30, 31],
    }
    pyarrow.parquet.write_table(pyarrow.table(table), path)
    first, second = read(path)[0].values()
    assert (first["userId"], first["messageId"], first["traits"]["age"]) == ("17850", "1", 30)
    assert first["properties"] == {"order_id": "10000000000000000", "product_id": "7"}
    assert ("messageId" not in second, second["properties"]["order_id"]) == (True, "536365")
