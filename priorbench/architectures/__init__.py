"""Networks by name, one file each; their training belongs in `training`."""
