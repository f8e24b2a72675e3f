"""What leaves for other systems: audience events and webhooks, request by request, and what becomes of each."""
