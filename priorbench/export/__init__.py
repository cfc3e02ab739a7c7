"""A finished run as files for other programs; what is read by people belongs in `reports/`."""
