"""The command line, a module for related commands; what they carry out belongs in workflow."""
