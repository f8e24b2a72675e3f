"""Events and tables for the tests of files: small, made here, and told apart by their user ids."""

import json
from pathlib import Path
from typing import Any

START_MS = 1_767_614_400_000  # 2026-01-05T12:00:00Z
MINUTE_MS = 60_000

DEFINITIONS = """
version: 3
segments:
  - {id: buyer, enter: orders_total > 0}
  - {id: cart_abandoner, enter: cart_items > 0 and time_since_cart_add >= 30m, exit: cart_items == 0}
campaigns:
  - {id: thanks, trigger: {entered: buyer}}
tests:
  - name: an order makes a buyer
    given: [{at: 0m, event: Order Completed, properties: {total: 5}}]
    expect: {at: 1m, in: [buyer], triggers: [thanks]}
"""

RETAIL_HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def event(user: str, name: str, minute: float = 0, **properties: Any) -> bytes:
    """A track event of a user, some minutes after the start."""
    at = START_MS + round(minute * MINUTE_MS)
    record = {"type": "track", "event": name, "userId": user, "timestamp": at, "properties": properties}
    return json.dumps(record).encode()


def shop(users: int = 3) -> list[bytes]:
    """All users add to the cart; the even ones buy ten minutes later. Then a line that isn't JSON, and a quiet hour."""
    adds = [event(f"u-{n}", "Product Added", n / 10, price=10, quantity=1) for n in range(users)]
    orders = [event(f"u-{n}", "Order Completed", 10 + n / 10, order_id=f"o-{n}", total=10) for n in range(0, users, 2)]
    return [*adds, *orders, b"not json", event("u-0", "Product Viewed", 90)]


def write_definitions(folder: Path, text: str = DEFINITIONS) -> Path:
    """A definitions file."""
    path = folder / "definitions.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def records(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
