"""Grafana's dashboards as data: each panel with the question it answers, its queries, and the alerts it explains."""
