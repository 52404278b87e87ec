"""Flask, born async."""
