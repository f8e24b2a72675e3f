"""The naive twin's mapping: a record in whatever words brought into Segment's, as a mapping file says.

Written from CONTRACT section 1 ("Kind"), docs/files.md and the comments at the head of the shipped file: the first
envelope that fits opens a record without a type, the first rule that matches decides; a path is member names joined by
dots, a number is a place in an array, and of several paths the first that leads to something counts.
"""

from typing import Any, NamedTuple

__all__ = ["Meaning", "Rules", "SegmentNames"]

KINDS = {
    "Product Viewed": "view",
    "Product List Viewed": "view",
    "Product Clicked": "view",
    "Products Searched": "search",
    "Product Added": "cart_add",
    "Product Removed": "cart_remove",
    "Product Added to Wishlist": "wishlist",
    "Checkout Started": "checkout",
    "Order Completed": "order",
    "Order Refunded": "refund",
    "Order Cancelled": "refund",
    "Product Reviewed": "review",
    "Complaint Filed": "complaint",
    "Support Ticket Created": "complaint",
    "Email Sent": "message_sent",
    "Push Notification Sent": "message_sent",
    "SMS Sent": "message_sent",
    "Email Link Clicked": "message_clicked",
    "Push Notification Tapped": "message_clicked",
}
CONSENT_WITHDRAWN = {"Unsubscribed", "Email Marked as Spam"}
MAIL_WITHOUT_ACTIVITY = {"Email Delivered", "Email Bounced", "Email Opened"} | CONSENT_WITHDRAWN
NO_ACTIVITY_KINDS = {"refund", "message_sent"}
FIELDS = (
    "product_id", "category", "price", "quantity", "order_id", "total", "revenue", "value", "currency", "rating",
    "decision_id", "channel",
)  # fmt: skip
PRODUCT_FIELDS = ("product_id", "category", "price", "quantity")
Json = dict[str, Any]


class Meaning(NamedTuple):
    """What an event is: its kind, whether it is activity, whether it withdraws a consent; its properties, in Segment's
    words; None: they are in those words already.
    """

    kind: str
    activity: bool
    revokes_consent: bool = False
    properties: Json | None = None


def found(value: Any, paths: str | list[str]) -> Any:
    """Return what the first of the paths leads to; None where none leads to anything."""
    for path in [paths] if isinstance(paths, str) else paths:
        at = value
        for name in path.split("."):
            if isinstance(at, list) and name.isdecimal():
                at = at[int(name)] if int(name) < len(at) else None
            else:
                at = at.get(name) if isinstance(at, dict) else None
        if at is not None:
            return at
    return None


def same(value: Any, wanted: Any) -> bool:
    """Whether two JSON values are one: `true` isn't 1, and 1 is 1.0."""
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


class SegmentNames:
    """The Segment spec's own names, without any file."""

    def opened(self, _: Json) -> Json | None:
        """Return nothing: all that has no type is refused."""

    def meaning(self, event: Json, _: Json) -> Meaning:
        """Return what an event in Segment's words is."""
        name = event["event"] if event["type"] == "track" else ""
        kind = KINDS.get(name, "other")
        return Meaning(kind, name not in MAIL_WITHOUT_ACTIVITY and kind not in NO_ACTIVITY_KINDS,
                       name in CONSENT_WITHDRAWN)  # fmt: skip


class Rules:
    """A mapping file, read from YAML."""

    def __init__(self, data: Json) -> None:
        self.envelopes: list[Json] = data.get("envelopes") or []
        self.rules: list[Json] = data["rules"]

    def opened(self, source: Json) -> Json | None:
        """Return a record without a type in Segment's form; None if it is in no envelope."""
        for envelope in self.envelopes:
            if all(found(source, path) is not None for path in envelope["detect"]):
                event: Json = dict(envelope.get("constants", {}))
                event |= {name: found(source, paths) for name, paths in envelope["fields"].items()}
                event["context"] = {"timezone": event.pop("timezone", None)}
                return event
        return None

    def meaning(self, event: Json, source: Json) -> Meaning:
        """Return what an event is; `source` is the record it came of, which paths are of."""
        name = event["event"] if event["type"] == "track" else None
        for rule in self.rules:
            if all(self._holds(path, wanted, name, source) for path, wanted in rule["match"].items()):
                activity = rule.get("activity")
                if activity is None:
                    activity = rule["kind"] not in NO_ACTIVITY_KINDS
                return Meaning(rule["kind"], activity, rule.get("revokes_consent", False), _properties(rule, source))
        return Meaning("other", activity=True)

    def _holds(self, path: str, wanted: Any, name: str | None, source: Json) -> bool:
        value = name if path == "event" else found(source, path)
        return any(same(value, one) for one in (wanted if isinstance(wanted, list) else [wanted]))


def _properties(rule: Json, source: Json) -> Json | None:
    """Return Segment's properties; None where the rule doesn't say that they are elsewhere."""
    fields, product = rule.get("fields", {}), rule.get("product", {})
    if not fields and not product:
        return None
    properties = {name: found(source, fields.get(name, f"properties.{name}")) for name in (*FIELDS, "products")}
    listed = properties["products"]
    if isinstance(listed, list) and product:
        properties["products"] = [
            {name: found(one, product.get(name, name)) for name in PRODUCT_FIELDS} if isinstance(one, dict) else one
            for one in listed
        ]
    return properties
