"""What any process of the product needs: clock, retry policy, metrics, logs, health, process settings."""
