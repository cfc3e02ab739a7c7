"""What makes a dataset doubtful: splits that leak or are too small, and input that is nonsense."""
