"""Pictures of the fleet, drawn from the model: SVG that needs nothing else to be shown."""
