"""What makes a dataset doubtful, such as splits that leak; wrong files are refused by readers."""
