"""The page and the API: what people see of the fleet, and how they put it to work."""
