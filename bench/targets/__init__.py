"""The measured systems. Each file starts, loads and stops one of them."""
