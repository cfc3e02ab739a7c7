"""Networks by name, one file each and nothing else; how they are trained belongs in `training`."""
