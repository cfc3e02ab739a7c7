"""The command line, one module a command; what a command computes belongs in the folders below."""
