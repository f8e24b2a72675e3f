"""What operators are given: dashboards, rules, and the pages that go with them."""
