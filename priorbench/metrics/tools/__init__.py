"""What metrics are made with: definitions, rankings, motifs and their comparison; no metric."""
