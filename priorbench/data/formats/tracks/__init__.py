"""bigWig files, read as counts of reads; what their windows are belongs to data/readers."""
