"""What the program asks of its machine: caches, signals; nothing about studies or trials."""
