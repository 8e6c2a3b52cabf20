"""What bench/run does: see ../README.md."""
