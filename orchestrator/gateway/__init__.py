"""The metering gateway: forwards what agents ask the API, counts what it costs, keeps the caps."""
