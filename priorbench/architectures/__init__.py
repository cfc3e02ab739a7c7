"""Network architectures by name, one file each."""
