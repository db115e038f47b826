"""What describes the fleet: the model, its checks and the `fleet` command."""
