"""Several networks trained at once; what a training alone needs belongs in `training`."""
