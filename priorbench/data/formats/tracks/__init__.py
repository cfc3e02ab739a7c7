"""Signal along a genome: bigWig files, read as counts of reads."""
