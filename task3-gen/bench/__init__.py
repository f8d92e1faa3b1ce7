"""What bench_gen.py measures."""
