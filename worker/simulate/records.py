"""What happens in the shop, as rows: one 48-byte record per event until its line is written.

A record doesn't hold its products. It holds the key of its session and a slot in it: the n-th product of a session is a
function of both (`catalog.py`), so a refund twenty days later still names what was bought. `basket` has a bit for each
slot that is in an order or refund.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHANNEL_ACTS", "EVENT_NAMES", "Act", "Records", "Scene", "empty", "records"]

RECORD = np.dtype(
    [
        ("arrival", np.int64),  # ms since the epoch: when the record reaches the topic
        ("time", np.int64),  # ms since the epoch: when it happened
        ("message", np.uint64),  # the message id; also what every draw about this event's delivery hangs on
        ("key", np.uint64),  # of the session
        ("user", np.uint32),
        ("basket", np.uint32),  # the slots bought, one bit each
        ("note", np.int32),  # the trigger this reacts to, -1 for none
        ("act", np.uint8),
        ("slot", np.uint8),  # the product's place in its session
        ("scene", np.uint8),  # bits of `Scene`
        ("fault", np.uint8),  # see faults.py
    ],
    align=True,
)
Records = NDArray[np.void]


class Act(IntEnum):
    """Everything that can happen, by what the shop calls it."""

    IDENTIFY = 0
    PAGE = 1
    SEARCH = 2
    VIEW = 3
    ADD = 4
    REMOVE = 5
    WISHLIST = 6
    CHECKOUT = 7
    ORDER = 8
    REFUND = 9
    CANCEL = 10
    REVIEW = 11
    COMPLAINT = 12
    TICKET = 13
    EMAIL_SENT = 14
    EMAIL_OPENED = 15
    EMAIL_CLICKED = 16
    UNSUBSCRIBED = 17
    PUSH_SENT = 18
    PUSH_TAPPED = 19
    SMS_SENT = 20


class Scene(IntEnum):
    """Bits: what was going on in the shop when a session began."""

    VIRAL = 1
    DRIFTED = 2


EVENT_NAMES: dict[Act, str] = {
    Act.SEARCH: "Products Searched",
    Act.VIEW: "Product Viewed",
    Act.ADD: "Product Added",
    Act.REMOVE: "Product Removed",
    Act.WISHLIST: "Product Added to Wishlist",
    Act.CHECKOUT: "Checkout Started",
    Act.ORDER: "Order Completed",
    Act.REFUND: "Order Refunded",
    Act.CANCEL: "Order Cancelled",
    Act.REVIEW: "Product Reviewed",
    Act.COMPLAINT: "Complaint Filed",
    Act.TICKET: "Support Ticket Created",
    Act.EMAIL_SENT: "Email Sent",
    Act.EMAIL_OPENED: "Email Opened",
    Act.EMAIL_CLICKED: "Email Link Clicked",
    Act.UNSUBSCRIBED: "Unsubscribed",
    Act.PUSH_SENT: "Push Notification Sent",
    Act.PUSH_TAPPED: "Push Notification Tapped",
    Act.SMS_SENT: "SMS Sent",
}
"""The Segment name of every `track`; IDENTIFY and PAGE are message types of their own."""

CHANNEL_ACTS: dict[str, tuple[Act, Act | None]] = {
    "email": (Act.EMAIL_SENT, Act.EMAIL_CLICKED),
    "push": (Act.PUSH_SENT, Act.PUSH_TAPPED),
    "sms": (Act.SMS_SENT, None),
}
"""What a message on a channel is called when sent, and when clicked (a text message isn't)."""


def empty() -> Records:
    """No records at all."""
    return np.empty(0, RECORD)


def records(count: int, act: Act, **columns: NDArray[np.generic] | int) -> Records:
    """`count` records of one act with the named columns set; `arrival` and `message` come later (`faults.py`)."""
    made = np.zeros(count, RECORD)
    made["act"] = act
    made["note"] = -1
    for name, values in columns.items():
        made[name] = values
    return made
