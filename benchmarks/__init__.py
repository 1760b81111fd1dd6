"""Speed figures: run `python -m benchmarks NAME`."""
